// Text that devices chose: isolated from the direction of what stands around it, its odd characters named, cut when long.
import { html, useState } from "../html.js";
import { count } from "../format.js";
import { shortened, visible, visibleParts } from "../device_text.js";

/** What is no longer than this is not broken at its hyphens. */
const BRIEF = 16;

/** @param {{text: string | null | undefined, max?: number, href?: string}} props `max` characters; the rest on demand */
export function DeviceText({ text, max = 60, href }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof text !== "string") return html`<span class="quiet">–</span>`;
  if (text === "") return html`<span class="quiet">(empty)</span>`;
  const isLong = text.length > max;
  const shown = visibleParts(isLong && !isWhole ? shortened(text, max) : text).map((part) =>
    part.isOdd ? html`<span class="odd">${part.text}</span>` : part.text,
  );
  const body = html`<bdi class=${text.length <= BRIEF ? "device-text brief" : "device-text"} title=${isLong ? visible(text, 1000) : undefined}>${shown}</bdi>`;
  return html`<span class="text"
    >${href === undefined ? body : html`<a href=${href}>${body}</a>`}${
      isLong &&
      html`<button class="whole" type="button" aria-expanded=${isWhole} 
      onClick=${() => setWhole(!isWhole)}>${isWhole ? "less" : `all ${count(text.length)} characters`}<span class="hidden"> of ${visible(text, 24)}</span></button>`
    }</span
  >`;
}
