// A button that acts on the gateway: disabled with its reason for who may not, busy while it acts, and it tells what came of it.
import { html, useId, useState } from "../html.js";
import { reasonNotToAct } from "../session.js";
import { tell } from "./notices.js";

/**
 * @param {object} props
 * @param {any} props.children
 * @param {() => Promise<string | null | void>} props.act returns the sentence that tells what was done
 * @param {string | null} [props.reason] why it can't be done now
 * @param {string} [props.kind] primary or danger
 * @param {string} [props.label] for screen readers, where the words alone do not say which one
 */
export function Action({ children, act, reason = null, kind = "", label }) {
  const [isBusy, setBusy] = useState(false);
  const id = useId();
  const why = reasonNotToAct() ?? reason;
  const run = async () => {
    if (why !== null || isBusy) return;
    setBusy(true);
    try {
      const done = await act();
      if (done) tell("info", done);
    } catch (error) {
      tell("error", error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  };
  return html`<span class="action">
    <button type="button" class=${kind} aria-label=${label} aria-disabled=${why !== null || isBusy} aria-describedby=${why === null ? undefined : id}
      title=${why ?? undefined} onClick=${run}>${children}${isBusy && " …"}</button>
    ${why !== null && html`<span id=${id} class="hidden">${why}</span>`}
  </span>`;
}

/** Told once on a page with actions, to whom they are closed. */
export const ViewerNote = () =>
  reasonNotToAct() === null
    ? null
    : html`<p class="note">You are logged in as a viewer: you see everything here, and actions are for operators.</p>`;
