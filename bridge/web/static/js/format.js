// Numbers, sizes, durations and times as people read them. Pure: `now` is a parameter.
// Every function takes whatever comes, and answers with text: what is no number, or no moment, is a dash.

const SPACE = "\u00a0"; // no line break between a number and its unit, or within a number
const NOTHING = "–";
/** From here on, digits say less than powers of ten. */
const COUNTLESS = 1e15;

/** The number, or null for all that is none. @param {unknown} value @returns {number | null} */
const numberOf = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** 12 480, in groups of three. @param {unknown} value */
export function count(value) {
  const number = numberOf(value);
  if (number === null) return NOTHING;
  if (Math.abs(number) >= COUNTLESS) return number.toExponential(2).replace("e+", `${SPACE}×${SPACE}10^`);
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, SPACE);
}

/** The plural or the singular beside its number. @param {unknown} value @param {string} one @param {string} [many] */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** "4 to 9", or "4" where it is one. @param {unknown} first @param {unknown} length */
export function range(first, length) {
  const [from, many] = [numberOf(first), numberOf(length)];
  if (from === null || many === null || many < 1) return NOTHING;
  return many === 1 ? count(from) : `${count(from)} to ${count(from + many - 1)}`;
}

/** @param {number} value */
function short(value) {
  if (value < 0) return `−${short(-value)}`;
  if (value >= 99.95) return count(value);
  if (value >= 9.995) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** 3.2 MiB. @param {unknown} value in bytes */
export function bytes(value) {
  const number = numberOf(value);
  if (number === null) return NOTHING;
  let power = 0;
  let left = number;
  while (Math.abs(left) >= 999.5 && power < SIZES.length - 1) {
    left /= 1024;
    power += 1;
  }
  return `${power ? short(left) : count(left)}${SPACE}${SIZES[power]}`;
}

/** 12.4/s; nothing is 0/s. @param {unknown} value */
export function rate(value) {
  const number = numberOf(value);
  if (number === null) return NOTHING;
  if (number > 0 && number < 0.01) return `<${SPACE}0.01/s`;
  return `${short(number)}/s`;
}

/** 3.1 MiB/s. @param {unknown} value */
export const byteRate = (value) => (numberOf(value) === null ? NOTHING : `${bytes(value)}/s`);

const UNITS = /** @type {[string, number][]} */ ([
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
]);

/** 45 s, 4 min, 2 h 10 min, 3 d 4 h: at most two units. @param {unknown} value in seconds */
export function duration(value) {
  const number = numberOf(value);
  if (number === null) return NOTHING;
  const seconds = Math.max(0, number);
  if (seconds < 1) return seconds === 0 ? `0${SPACE}s` : `under 1${SPACE}s`;
  const at = UNITS.findIndex(([, size]) => seconds >= size);
  const [unit, size] = UNITS[at];
  const whole = Math.floor(seconds / size);
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((seconds - whole * size) / next[1]) : 0;
  const isFine = next && rest > 0 && !(unit === "min" && whole >= 10) && !(unit === "d" && whole >= 10);
  return `${count(whole)}${SPACE}${unit}${isFine ? `${SPACE}${rest}${SPACE}${next[0]}` : ""}`;
}

/** "in 4 min"; what is due is "now". @param {unknown} value in seconds */
export function due(value) {
  const number = numberOf(value);
  if (number === null) return NOTHING;
  return number < 0.5 ? "now" : `in ${duration(Math.ceil(number))}`;
}

/** So far ahead of the gateway's clock a moment is not "now" any more: one of two clocks was wrong. */
const AHEAD_S = 60;

/** "4 min ago". @param {unknown} at_ms @param {number} now_ms */
export function ago(at_ms, now_ms) {
  if (!isMoment(at_ms)) return NOTHING;
  const seconds = (now_ms - at_ms) / 1000;
  if (seconds <= -AHEAD_S) return `in ${duration(-seconds)}`;
  return seconds < 1 ? "now" : `${duration(seconds)} ago`;
}

/** Milliseconds since the epoch; null when it names no moment. @param {unknown} at RFC 3339, or seconds since the epoch */
export function momentOf(at) {
  const at_ms = typeof at === "number" ? at * 1000 : typeof at === "string" ? Date.parse(at) : Number.NaN;
  return isMoment(at_ms) ? at_ms : null;
}

/** Whether a Date can hold it. @param {unknown} at_ms @returns {at_ms is number} */
const isMoment = (at_ms) => typeof at_ms === "number" && !Number.isNaN(new Date(at_ms).getTime());

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/** 14:03:09, by the clock of whoever looks. @param {unknown} at_ms */
export function clockTime(at_ms) {
  if (!isMoment(at_ms)) return NOTHING;
  const at = new Date(at_ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** 22 Nov. @param {unknown} at_ms */
export function day(at_ms) {
  if (!isMoment(at_ms)) return NOTHING;
  const at = new Date(at_ms);
  return `${at.getDate()}${SPACE}${MONTHS[at.getMonth()]}`;
}

/** 22 Nov 2026, 14:03:09. @param {unknown} at_ms */
export const dateTime = (at_ms) =>
  isMoment(at_ms) ? `${day(at_ms)} ${new Date(at_ms).getFullYear()}, ${clockTime(at_ms)}` : NOTHING;

/** 14:03:09 today, else with the day, and with the year where it is another. @param {unknown} at_ms @param {number} now_ms */
export function shortTime(at_ms, now_ms) {
  if (!isMoment(at_ms)) return NOTHING;
  const year = new Date(at_ms).getFullYear();
  if (year !== new Date(now_ms).getFullYear()) return `${day(at_ms)} ${year}, ${clockTime(at_ms).slice(0, 5)}`;
  return day(at_ms) === day(now_ms) ? clockTime(at_ms) : `${day(at_ms)}, ${clockTime(at_ms).slice(0, 5)}`;
}

/** 14:03 – or 14:03:09, or 22 Nov – by how far apart the marks of a time axis are. @param {unknown} at_s @param {number} step_s */
export function axisTime(at_s, step_s) {
  const at_ms = typeof at_s === "number" ? momentOf(at_s) : null;
  if (at_ms === null) return NOTHING;
  const at = new Date(at_ms);
  if (step_s >= 86400 || (at.getHours() === 0 && at.getMinutes() === 0 && step_s >= 3600)) return day(at_ms);
  return clockTime(at_ms).slice(0, step_s < 60 ? 8 : 5);
}

/** backing_off becomes "backing off". @param {unknown} word */
export const plain = (word) => (typeof word === "string" ? word.replaceAll("_", " ") : NOTHING);

/** A sentence that begins with a capital. @param {unknown} text */
export function capital(text) {
  if (typeof text !== "string") return NOTHING;
  const first = String.fromCodePoint(...(text ? [text.codePointAt(0) ?? 0] : []));
  return first.toUpperCase() + text.slice(first.length);
}
