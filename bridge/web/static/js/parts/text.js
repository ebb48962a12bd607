// Text that devices chose: isolated from the direction of what stands around it, its odd characters named, cut when long.
import { html, useState } from "../html.js";
import { count } from "../format.js";
import { begun, isCutName, shortened, visible, visibleParts } from "../device_text.js";

/** What is no longer than this is not broken at its hyphens. */
const BRIEF = 16;
/** So much more is shown as it is: the button for it would take more room. */
const SLACK = 12;

/**
 * `max` characters; the rest on demand. `isCut`: the gateway itself has only the beginning.
 * @param {{text: string | null | undefined, max?: number, href?: string, isCut?: boolean}} props
 */
export function DeviceText({ text: given, max = 60, href, isCut: isTold = false }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof given !== "string") return html`<span class="quiet">–</span>`;
  if (given === "") return html`<span class="quiet">(empty)</span>`;
  const text = isCutName(given) ? given.slice(0, -1) : given;
  const isCut = isTold || text !== given;
  const isLong = isCut || text.length > max + SLACK;
  const told = isCut ? begun(text, isWhole ? text.length : max) : isLong && !isWhole ? shortened(text, max) : text;
  const shown = visibleParts(told).map((part) =>
    part.isOdd ? html`<span class="odd">${part.text}</span>` : part.text,
  );
  const body = html`<bdi class=${text.length <= BRIEF ? "device-text brief" : "device-text"} title=${isLong ? visible(text, 1000) : undefined}>${shown}</bdi>`;
  return html`<span class="text"
    >${href === undefined ? body : html`<a href=${href}>${body}</a>`}${
      isLong &&
      html`<button class="whole" type="button" aria-expanded=${isWhole} 
      onClick=${() => setWhole(!isWhole)}>${isWhole ? "less" : `${isCut ? "the first" : "all"} ${count(text.length)} characters`}<span class="hidden"> of ${visible(text, 24)}</span></button>`
    }</span
  >`;
}
