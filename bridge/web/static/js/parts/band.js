// A day of one uplink as a band: pattern and colour say the state, and each stretch has its reason, by mouse, key or list.
import { axisTime, capital, clockTime, counted, day, duration, plain } from "../format.js";
import { html, useState } from "../html.js";
import { State } from "./state.js";

/** @typedef {{from: number, to: number | null, state: string, reason: string | null}} Stretch */

/** What is narrower than this share of the band is drawn together with its neighbours. */
const NARROWEST = 1 / 400;
/** What took less is in the list only: a start, the moment of connecting. */
const SHORTEST_S = 2;

/**
 * Stretches that can be seen; many short ones become one that is "mixed" and shows its worst state.
 * @param {Stretch[]} stretches @param {number} from_s @param {number} to_s
 */
function drawn(stretches, from_s, to_s) {
  const whole_s = to_s - from_s;
  /** @type {(Stretch & {to: number, changes: number})[]} */
  const shown = [];
  for (const stretch of stretches) {
    // The history ends with a whole second: what has just begun is there all the same.
    const from = stretch.to === null ? Math.min(to_s, Math.max(from_s, stretch.from)) : Math.max(from_s, stretch.from);
    const to = Math.min(to_s, stretch.to ?? to_s);
    if (to - from < SHORTEST_S && stretch.to !== null) continue;
    if (to < from) continue;
    const last = shown.at(-1);
    const isNarrow = stretch.to !== null && (to - from) / whole_s < NARROWEST; // what is now is always seen by itself
    if (last && isNarrow && (last.to - last.from) / whole_s < NARROWEST && from - last.to < 1) {
      last.to = to;
      last.changes += 1;
      if (stretch.state !== "online") [last.state, last.reason] = [stretch.state, stretch.reason];
    } else shown.push({ ...stretch, from, to, changes: 0 });
  }
  return shown;
}

/** The states that can be seen in the band. @param {Stretch[]} stretches @param {number} from_s @param {number} to_s */
export const statesSeen = (stretches, from_s, to_s) => drawn(stretches, from_s, to_s).map((stretch) => stretch.state);

/** "Online 96 % of the time that was measured; 3 stretches were not." @param {Stretch[]} stretches @param {number} from_s @param {number} to_s */
export function inWords(stretches, from_s, to_s) {
  let [measured_s, online_s, others] = [0, 0, 0];
  for (const stretch of stretches) {
    const length_s = Math.min(to_s, stretch.to ?? to_s) - Math.max(from_s, stretch.from);
    if (!(length_s > 0)) continue;
    measured_s += length_s;
    if (stretch.state === "online") online_s += length_s;
    else if (length_s >= SHORTEST_S || stretch.to === null) others += 1;
  }
  if (measured_s === 0) return "Nothing was measured yet.";
  if (others === 0) return "Online all the time that was measured.";
  const percent = Math.min(99, Math.floor((online_s / measured_s) * 100));
  return `Online ${percent} % of the time that was measured; ${counted(others, "stretch was", "stretches were")} not.`;
}

/** @param {number} at_s @param {number} to_s */
const moment = (at_s, to_s) =>
  (to_s - at_s > 64_800 ? `${day(at_s * 1000)}, ` : "") + clockTime(at_s * 1000).slice(0, 5);

/** @param {{name: string, stretches: Stretch[], from_s: number, to_s: number}} props */
export function Band({ name, stretches, from_s, to_s }) {
  const [pointed, setPointed] = useState(/** @type {number | null} */ (null));
  const shown = drawn(stretches, from_s, to_s);
  const at = pointed === null ? null : (shown[Math.min(pointed, shown.length - 1)] ?? null);
  const share = (/** @type {number} */ part_s) => `${((part_s / (to_s - from_s)) * 100).toFixed(3)}%`;
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const last = shown.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last }[event.key];
    if (event.key === "Escape") setPointed(null);
    if (step === undefined) return;
    event.preventDefault();
    setPointed(Math.max(0, Math.min(last, (pointed ?? last) + step)));
  };
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => from_s + share * (to_s - from_s));
  const summary = inWords(stretches, from_s, to_s);
  const trouble = shown.some((stretch) => stretch.state !== "online");
  return html`<div class="band-block">
    <div class="band" role="slider" tabindex="0" aria-label="State of the uplink ${name} over time; the arrow keys go from one stretch to the next"
      aria-valuemin="0" aria-valuemax=${Math.max(0, shown.length - 1)} aria-valuenow=${pointed ?? Math.max(0, shown.length - 1)}
      aria-valuetext=${at ? told(at, to_s) : summary} onKeyDown=${onKey} onFocus=${() => setPointed(pointed ?? shown.length - 1)}
      onBlur=${() => setPointed(null)} onMouseLeave=${() => setPointed(null)}>
      ${shown.map(
        (
          stretch,
          number,
        ) => html`<div key=${stretch.from} class="stretch" data-state=${stretch.state} data-pointed=${number === pointed}
          style=${{ right: `calc(100% - ${share(stretch.to - from_s)})`, width: share(stretch.to - stretch.from) }} onMouseEnter=${() => setPointed(number)}></div>`,
      )}
    </div>
    <div class="band-marks" aria-hidden="true">${marks.map((mark) => html`<span>${axisTime(Math.round(mark / 60) * 60, 60)}</span>`)}</div>
    <p class="band-told">${
      at
        ? html`<${State} state=${at.state} /> <bdi>${told(at, to_s).replace(/^[^,]*, /, "")}</bdi>`
        : html`<span class="quiet">${summary}${trouble && " Point at a stretch, or use the arrow keys, for its reason."}</span>`
    }</p>
    <details>
      <summary>As a list<span class="hidden">: the states of ${name}</span></summary>
      <div class="scroll" tabindex="0" role="region" aria-label="States of ${name} over time">
        <ul class="stretches">${[...stretches]
          .reverse()
          .slice(0, 200)
          .map((stretch) => html`<li key=${stretch.from}><bdi>${told(stretch, to_s)}</bdi></li>`)}</ul>
      </div>
    </details>
  </div>`;
}

/** "Backing off, 14:02 to 14:09 (7 min): connection refused." @param {Stretch & {changes?: number}} stretch @param {number} to_s */
function told(stretch, to_s) {
  const until_s = stretch.to ?? to_s;
  const when = `${moment(stretch.from, to_s)} to ${stretch.to === null || stretch.to >= to_s ? "now" : moment(stretch.to, to_s)}`;
  const mixed = stretch.changes ? `; ${counted(stretch.changes, "change")} in this time` : "";
  return `${capital(plain(stretch.state))}, ${when} (${duration(until_s - stretch.from)})${stretch.reason ? `: ${stretch.reason}` : ""}${mixed}`;
}

/** What the patterns mean. @param {{states: string[]}} props */
export const BandKey = ({ states }) => html`<p class="band-key">
  ${states.map((state) => html`<span key=${state}><span class="swatch" data-state=${state}></span>${plain(state)}</span>`)}
  <span><span class="swatch"></span>not running</span>
</p>`;
