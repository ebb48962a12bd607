// What one sees is not what is: nothing comes any more, or the page itself is older than the gateway.
import { useNowMs } from "../clock.js";
import { clockTime, duration } from "../format.js";
import { html } from "../html.js";
import { retryNow, stopped } from "../live.js";
import { otherVersion } from "../session.js";
import { useStore } from "../store.js";
import { Icon } from "./icon.js";

export function Banner() {
  const stop = useStore(stopped);
  const other = useStore(otherVersion);
  return html`<div role="alert">${stop ? html`<${Stopped} stop=${stop} />` : other && html`<${Outdated} version=${other} />`}</div>`;
}

/** @param {{version: string}} props */
const Outdated = ({ version }) => html`<div class="banner" data-tone="warning">
  <${Icon} name="warning" size=${26} />
  <p><strong>This page is of another version than the gateway, which is ${version} now.</strong> Load it again before you rely on it.</p>
  <button type="button" onClick=${() => location.reload()}>Load again</button>
</div>`;

/** @param {{stop: import("../live.js").Stop}} props */
function Stopped({ stop }) {
  useNowMs();
  const now_ms = Date.now();
  const left_s = Math.ceil((stop.retry_ms - now_ms) / 1000);
  // The seconds are for the eye: read aloud, they would be told again each time.
  return html`<div class="banner">
    <${Icon} name="warning" size=${26} />
    <p>
      <strong>What you see is old: live data has stopped at ${clockTime(stop.since_ms)}.</strong> ${stop.message}${" "}
      <span aria-hidden="true">
        That was ${duration((now_ms - stop.since_ms) / 1000)} ago; ${left_s > 0 ? `the next try is in ${left_s} s.` : "trying now."}
      </span>
    </p>
    <button type="button" onClick=${retryNow}>Try now</button>
  </div>`;
}
