// Numbers, sizes, durations and times as people read them. Pure: `now` is a parameter.

const SPACE = "\u00a0"; // no line break between a number and its unit, or within a number

/** 12 480, in groups of three. @param {number | null | undefined} value */
export function count(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, SPACE);
}

/** The plural or the singular beside its number. @param {number} value @param {string} one @param {string} [many] */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** @param {number} value */
function short(value) {
  if (value >= 100) return count(value);
  if (value >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 3.2 MiB. @param {number | null | undefined} value in bytes */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  let power = 0;
  let left = value;
  while (left >= 1000 && power < SIZES.length - 1) {
    left /= 1024;
    power += 1;
  }
  return `${power ? short(left) : count(left)}${SPACE}${SIZES[power]}`;
}

/** 12.4/s; nothing is 0/s. @param {number | null | undefined} value */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 0.01) return `<${SPACE}0.01/s`;
  return `${short(value)}/s`;
}

/** 3.1 MiB/s. @param {number | null | undefined} value */
export const byteRate = (value) => (value === null || value === undefined ? "–" : `${bytes(value)}/s`);

const UNITS = /** @type {[string, number][]} */ ([
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
]);

/** 45 s, 4 min, 2 h 10 min, 3 d 4 h: at most two units. @param {number | null | undefined} value in seconds */
export function duration(value) {
  if (value === null || value === undefined) return "–";
  const seconds = Math.max(0, value);
  if (seconds < 1) return seconds === 0 ? `0${SPACE}s` : `under 1${SPACE}s`;
  const at = UNITS.findIndex(([, size]) => seconds >= size);
  const [unit, size] = UNITS[at];
  const whole = Math.floor(seconds / size);
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((seconds - whole * size) / next[1]) : 0;
  const isFine = next && rest > 0 && !(unit === "min" && whole >= 10) && !(unit === "d" && whole >= 10);
  return `${whole}${SPACE}${unit}${isFine ? `${SPACE}${rest}${SPACE}${next[0]}` : ""}`;
}

/** "in 4 min"; what is due is "now". @param {number} value in seconds */
export const due = (value) => (value < 0.5 ? "now" : `in ${duration(Math.ceil(value))}`);

/** "4 min ago". @param {number} at_ms @param {number} now_ms */
export function ago(at_ms, now_ms) {
  const seconds = (now_ms - at_ms) / 1000;
  return seconds < 1 ? "now" : `${duration(seconds)} ago`;
}

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/** 14:03:09, by the clock of whoever looks. @param {number} at_ms */
export function clockTime(at_ms) {
  const at = new Date(at_ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** 22 Nov. @param {number} at_ms */
export function day(at_ms) {
  const at = new Date(at_ms);
  return `${at.getDate()}${SPACE}${MONTHS[at.getMonth()]}`;
}

/** 22 Nov 2026, 14:03:09. @param {number} at_ms */
export const dateTime = (at_ms) => `${day(at_ms)} ${new Date(at_ms).getFullYear()}, ${clockTime(at_ms)}`;

/** 14:03:09 today, else with the day. @param {number} at_ms @param {number} now_ms */
export const shortTime = (at_ms, now_ms) =>
  day(at_ms) === day(now_ms) && now_ms - at_ms < 86_400_000
    ? clockTime(at_ms)
    : `${day(at_ms)}, ${clockTime(at_ms).slice(0, 5)}`;

/** 14:03 – or 14:03:09, or 22 Nov – by how far apart the marks of a time axis are. @param {number} at_s @param {number} step_s */
export function axisTime(at_s, step_s) {
  const at = new Date(at_s * 1000);
  if (step_s >= 86400 || (at.getHours() === 0 && at.getMinutes() === 0 && step_s >= 3600)) return day(at_s * 1000);
  return clockTime(at_s * 1000).slice(0, step_s < 60 ? 8 : 5);
}

/** backing_off becomes "backing off". @param {string} word */
export const plain = (word) => word.replaceAll("_", " ");

/** A sentence that begins with a capital. @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
