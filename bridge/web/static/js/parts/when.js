// A moment: how long ago it was, and on demand exactly when.
import { useNowMs } from "../clock.js";
import { ago, dateTime, momentOf, shortTime } from "../format.js";
import { html } from "../html.js";

/** @param {{at: string | number | null | undefined, isClock?: boolean}} props RFC 3339, or seconds since the epoch */
export function When({ at, isClock = false }) {
  const now_ms = useNowMs();
  const at_ms = momentOf(at);
  if (at_ms === null) return html`<span class="quiet">–</span>`;
  return html`<time datetime=${new Date(at_ms).toISOString()} title=${dateTime(at_ms)}
    >${isClock ? shortTime(at_ms, now_ms) : ago(at_ms, now_ms)}</time
  >`;
}
