// What came of an action, told once and until it is put away.
import { html } from "../html.js";
import { Store, useStore } from "../store.js";
import { Icon } from "./icon.js";

/** @typedef {{id: number, kind: "info" | "error", text: string}} Notice */

const MOST = 3;
let last = 0;

/** @type {Store<Notice[]>} */
const notices = new Store(/** @type {Notice[]} */ ([]));

/** @param {"info" | "error"} kind @param {string} text a sentence */
export function tell(kind, text) {
  last += 1;
  notices.set([...notices.value, { id: last, kind, text }].slice(-MOST));
}

/** @param {number} id */
const putAway = (id) => notices.set(notices.value.filter((notice) => notice.id !== id));

export function Notices() {
  const all = useStore(notices);
  return html`<div class="notices" role="status" aria-live="polite">
    ${all.map(
      (notice) => html`<div class="notice" key=${notice.id} data-tone=${notice.kind === "error" ? "critical" : "ok"}>
        <${Icon} name=${notice.kind === "error" ? "error" : "online"} />
        <p id="notice-${notice.id}"><bdi>${notice.text}</bdi></p>
        <button type="button" class="bare" aria-label="Put this away" aria-describedby="notice-${notice.id}" onClick=${() => putAway(notice.id)}><${Icon} name="close" /></button>
      </div>`,
    )}
  </div>`;
}
