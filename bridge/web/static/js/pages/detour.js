// Another uplink for the dead letters of one that is gone. Only a person knows who stands in for it, so nobody is proposed.
import { count } from "../format.js";
import { html } from "../html.js";

/** Letters by their ids, or all of them, or all that are like that.
 * @typedef {{ids: number[]} | {all: true, stream?: string, uplink?: string, reason?: string}} Which */

/**
 * @typedef {object} Detour
 * @property {any[]} stranded the letters whose own uplink does not carry their stream any more
 * @property {boolean} isForAll whether there are no others among those that are meant
 * @property {string[]} uplinks that carry one of their streams
 */

/**
 * Null where each letter can go its own way, or none can go another.
 * @param {any[]} letters @param {any} body of /api/v1/streams @returns {Detour | null}
 */
export function detourFor(letters, body) {
  /** @type {Map<string, string[]>} */
  const carriers = new Map(
    body.streams.map((/** @type {any} */ stream) => [
      stream.name,
      Object.keys(stream.uplinks).filter((uplink) => stream.uplinks[uplink].is_carried),
    ]),
  );
  const of = (/** @type {any} */ letter) => carriers.get(letter.stream) ?? [];
  const stranded = letters.filter((letter) => letter.uplink && of(letter).length > 0 && !of(letter).includes(letter.uplink));
  if (stranded.length === 0) return null;
  return {
    stranded,
    isForAll: stranded.length === letters.length,
    uplinks: [...new Set(stranded.flatMap(of))].sort(),
  };
}

/**
 * What to ask of the API, one after the other: those that go another way, then the rest, each by its own uplink.
 * @param {Which} which @param {Detour | null} detour @param {string} to the uplink that was chosen; empty: none
 * @returns {any[]}
 */
export function replays(which, detour, to) {
  if (!detour || !to) return [which];
  if ("ids" in which) {
    const ids = detour.stranded.map((letter) => letter.id);
    const rest = which.ids.filter((id) => !ids.includes(id));
    return [{ ids, to }, ...(rest.length ? [{ ids: rest }] : [])];
  }
  // There may be more of them than are shown: they are named by what they have in common.
  const ways = new Map(detour.stranded.map(({ uplink, stream }) => [JSON.stringify([uplink, stream]), { uplink, stream }]));
  return [...[...ways.values()].map((way) => ({ ...which, ...way, to })), which];
}

/** @param {{detour: Detour, onChoice: (uplink: string) => void}} props */
export function DetourField({ detour, onChoice }) {
  const { stranded, isForAll, uplinks } = detour;
  const gone = [...new Set(stranded.map((letter) => letter.uplink))];
  const whose = gone.length === 1 ? html`uplink <bdi>${gone[0]}</bdi>, which does` : "uplinks that do";
  return html`<p>${isForAll ? (stranded.length === 1 ? "It is" : "They are") : `${count(stranded.length)} of them ${stranded.length === 1 ? "is" : "are"}`} of ${whose} not carry ${stranded.length === 1 ? "its" : "their"} stream any more.</p>
    <label class="field">Deliver ${isForAll ? (stranded.length === 1 ? "it" : "them") : "those"} through
      <select autofocus required=${isForAll} onChange=${(/** @type {any} */ event) => onChoice(event.currentTarget.value)}>
        <option value="">${isForAll ? "Choose an uplink" : "none: they stay here"}</option>
        ${uplinks.map((uplink) => html`<option key=${uplink} value=${uplink}>${uplink}</option>`)}
      </select>
    </label>`;
}
