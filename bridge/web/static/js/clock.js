// The gateway's clock as far as this page can know it: ages are reckoned against it, not against a browser that is wrong.
import { Store, useStore } from "./store.js";

let ahead_ms = 0;

/** Milliseconds since the epoch by the gateway's clock. */
export const nowMs = () => Date.now() + ahead_ms;

/** The gateway says what time it is. @param {string | undefined} at RFC 3339 */
export function heardTime(at) {
  const said_ms = Date.parse(at ?? "");
  if (!Number.isNaN(said_ms)) ahead_ms = said_ms - Date.now();
}

/** Changes once a second while somebody follows it. */
const second = new Store(0);
setInterval(() => second.followers.size && !document.hidden && second.set(second.value + 1), 1000);

/** Draw the component again each second; returns the time now. */
export function useNowMs() {
  useStore(second);
  return nowMs();
}
