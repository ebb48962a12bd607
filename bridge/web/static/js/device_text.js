// What devices send, made safe to look at: nothing invisible, nothing that turns the line round, nothing endless. Pure.

/** Characters that hide, or that change the order of what stands beside them. */
const ODD = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0\u2800]|[\u0300-\u036f]{4,}|\u00a0/gu;

/** @param {string} odd */
function named(odd) {
  const code = odd.codePointAt(0) ?? 0;
  if (odd.length > 2) return `⟨${odd.length} marks⟩`;
  if (code === 0x0a) return "↵";
  if (code === 0x09) return "⇥";
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/**
 * The text in parts; the odd ones name a character that could not be seen.
 * @param {string} text
 * @returns {{text: string, isOdd: boolean}[]}
 */
export function visibleParts(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(ODD)) {
    if (match.index > from) parts.push({ text: text.slice(from, match.index), isOdd: false });
    parts.push({ text: named(match[0]), isOdd: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push({ text: text.slice(from), isOdd: false });
  return parts;
}

/** The same as one string, for titles and labels. @param {string} text @param {number} [max] */
export const visible = (text, max = 200) =>
  visibleParts(shortened(text, max))
    .map((part) => part.text)
    .join("");

/** The gateway cuts a longer name in what it tells, and puts "…" behind it: then it names nothing any more. */
export const LONGEST_NAME = 1_024;

/** @param {string} text */
export const isCutName = (text) => text.length > LONGEST_NAME && text.endsWith("…");

/** The beginning of what goes on elsewhere. @param {string} text @param {number} max */
export const begun = (text, max) => `${text.slice(0, max).replace(/[\ud800-\udbff]$/, "")}…`;

/** The beginning and the end of what is too long, and never half a character. @param {string} text @param {number} max */
export function shortened(text, max) {
  if (text.length <= max) return text;
  const head = Math.ceil((max - 1) * 0.7);
  const tail = max - 1 - head;
  return `${text.slice(0, head).replace(/[\ud800-\udbff]$/, "")}…${text.slice(text.length - tail).replace(/^[\udc00-\udfff]/, "")}`;
}
