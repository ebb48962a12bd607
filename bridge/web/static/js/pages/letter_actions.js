// What can be done with dead letters: replay, discard and export; one, those that were chosen, or all.
import { get, send } from "../api.js";
import { counted } from "../format.js";
import { html } from "../html.js";
import { Action } from "../parts/action.js";
import { tell } from "../parts/notices.js";
import { detourFor, DetourField, replays } from "./detour.js";

/**
 * @param {object} props
 * @param {any[]} props.letters those that are meant, as far as they are shown
 * @param {import("./detour.js").Which} props.which
 * @param {string | null} props.what null: nothing is chosen
 * @param {number | null} props.records null where it is not known
 * @param {(question: import("../parts/dialog.js").Question) => Promise<boolean>} props.ask
 * @param {() => void} props.onDone
 * @param {boolean} [props.isAll]
 */
export function LetterActions({ letters, which, what, records, ask, onDone, isAll = false }) {
  const none = what === null ? "Choose letters in the list first." : null;
  const hold = letters.length === 1 ? "What it holds" : "What they hold";
  const size = records === null ? "" : ` (${counted(records, "record")})`;
  const replay = async () => {
    const detour = detourFor(letters, await get("/api/v1/streams"));
    let to = "";
    const yes = await ask({
      title: `Replay ${what}?`,
      text: html`<p>${hold}${size} goes back to the end of its stream with new numbers and is sent again. What is refused again comes back here.</p>`,
      field: detour && html`<${DetourField} detour=${detour} onChoice=${(/** @type {string} */ uplink) => (to = uplink)} />`,
      action: "Replay",
    });
    if (!yes) return null;
    const all = replays(which, detour, to);
    for (const asked of all) {
      const done = await send("POST", "/api/v1/dead-letters/replay", asked);
      // Of what went through another uplink there may be no rest.
      if (done.letters || done.refused.length || all.length === 1) tellOf(done);
    }
    onDone();
    return null;
  };
  const discard = async () => {
    const yes = await ask({
      title: `Discard ${what}?`,
      text: html`<p>${hold}${size} is deleted for good and can't be had back. Export first what you may still want.</p>`,
      action: "Discard",
      isDangerous: true,
    });
    if (!yes) return null;
    const done = await send("POST", "/api/v1/dead-letters/discard", which);
    onDone();
    return done.message;
  };
  const ids = "ids" in which ? which.ids : [];
  const address = `/api/v1/dead-letters/export${ids.length ? `?${new URLSearchParams(ids.map((id) => ["id", String(id)]))}` : ""}`;
  const suffix = isAll ? " all" : "";
  return html`
    <${Action} act=${replay} reason=${none} label=${what ? `Replay ${what}` : "Replay the chosen letters"}>Replay${suffix}<//>
    <${Action} act=${discard} reason=${none} kind="danger" label=${what ? `Discard ${what}` : "Discard the chosen letters"}>Discard${suffix}<//>
    ${
      what === null
        ? html`<button type="button" aria-disabled="true" title="Choose letters in the list first.">Export</button>`
        : isAll && Object.keys(which).length > 1
          ? null
          : html`<a class="button" href=${address} download="dead-letters.ndjson" aria-label="Export ${what}">Export${suffix}</a>`
    }`;
}

/** The sentence has the first reason why some stayed; other reasons are told beside it.
 * @param {{letters: number, refused: {id: number, message: string}[], message: string}} done */
function tellOf(done) {
  tell(done.refused.length ? "error" : "info", done.message);
  const told = new Set(done.refused.slice(0, 1).map((one) => one.message));
  for (const one of done.refused) {
    if (told.has(one.message)) continue;
    told.add(one.message);
    tell("error", `Letter ${one.id}: ${one.message}`);
  }
}
