// What a person does who has just installed it, until the first record has come.
import { html } from "../html.js";

/** Where a device connects, and how to try it without one. */
export const ConnectDevice = () => html`
  <p>Point one at <code>mqtt://${location.hostname}:1883</code>, or wherever <a href="/configuration?search=listeners">listeners</a> says. To try it from this box:</p>
  <pre tabindex="0" aria-label="A command to try">fieldgate pub plant/line1/temp '{"celsius": 21.5}'</pre>`;

/** @param {{hasUplink: boolean}} props */
export const FirstSteps = ({ hasUplink }) => html`<ol class="steps">
  <li><h3>Connect a device.</h3><${ConnectDevice} /></li>
  <li><h3>See what it says.</h3><p>It is listed under <a href="/devices">devices</a>, and its values under <a href="/topics">topics</a>, the moment they come.</p></li>
  <li>
    <h3>Send it on.</h3>
    ${
      hasUplink
        ? html`<p>Nothing to do: each record goes to the cloud by itself, and stays on this disk until it is acknowledged.</p>`
        : html`<p>No uplink is configured yet: records stay on this disk. Name one in the <a href="/configuration">configuration</a>, section <code>uplinks</code>.</p>`
    }
  </li>
</ol>`;
