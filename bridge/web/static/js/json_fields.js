// The numbers in a payload, by their path: what of a topic can be plotted. Pure.

const MOST_FIELDS = 50;
const DEEPEST = 6;

/** The name of a payload that is a number itself. */
export const WHOLE = "value";

/**
 * Path to number: `{"a": {"b": [1, true]}}` has `a.b[0]` = 1 and `a.b[1]` = 1. Empty when it is no JSON.
 * @param {string | undefined} text
 * @returns {Map<string, number>}
 */
export function numericFields(text) {
  /** @type {Map<string, number>} */
  const fields = new Map();
  if (text === undefined || text.length > 65_536) return fields;
  try {
    walk(JSON.parse(text), "", 0, fields);
  } catch {
    // Not JSON: nothing to plot.
  }
  return fields;
}

/** @param {unknown} value @param {string} path @param {number} depth @param {Map<string, number>} fields */
function walk(value, path, depth, fields) {
  if (fields.size >= MOST_FIELDS || depth > DEEPEST) return;
  if (typeof value === "number" && Number.isFinite(value)) fields.set(path || WHOLE, value);
  else if (typeof value === "boolean") fields.set(path || WHOLE, Number(value));
  else if (Array.isArray(value)) value.forEach((item, at) => walk(item, `${path}[${at}]`, depth + 1, fields));
  else if (value !== null && typeof value === "object")
    for (const [key, item] of Object.entries(value)) walk(item, path ? `${path}.${key}` : key, depth + 1, fields);
}

/** A payload that is JSON, on several lines; else, or where a number would lose digits, as it is. @param {string} text */
export function pretty(text) {
  if (/\d{16}|[eE][+-]?\d/.test(text)) return text;
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}
