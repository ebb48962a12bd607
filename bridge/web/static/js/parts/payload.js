// What a message carried: one line of it, or all that came with it.
import { bytes } from "../format.js";
import { html } from "../html.js";
import { pretty } from "../json_fields.js";
import { visibleParts } from "../device_text.js";
import { DeviceText } from "./text.js";

/** @typedef {{text?: string, base64?: string, size_bytes: number, is_truncated: boolean}} Payload */

/** @param {{payload: Payload | null | undefined, max?: number}} props */
export function PayloadLine({ payload, max = 80 }) {
  if (!payload) return html`<span class="quiet">–</span>`;
  if (payload.size_bytes === 0) return html`<span class="quiet">(no payload)</span>`;
  if (payload.text === undefined)
    return html`<span class="quiet">${bytes(payload.size_bytes)}, not text: </span><${DeviceText} text=${payload.base64 ?? ""} max=${24} />`;
  return html`<code><${DeviceText} text=${payload.text} max=${max} /></code>${
    payload.is_truncated && html` <span class="quiet">of ${bytes(payload.size_bytes)}</span>`
  }`;
}

/** @param {{payload: Payload | null | undefined, label: string}} props */
export function PayloadBlock({ payload, label }) {
  if (!payload || payload.size_bytes === 0) return html`<p class="quiet">No payload.</p>`;
  const text = payload.text === undefined ? (payload.base64 ?? "") : pretty(payload.text);
  const lines = text
    .split("\n")
    .map((line) => [
      visibleParts(line).map((part) => (part.isOdd ? html`<span class="odd">${part.text}</span>` : part.text)),
      "\n",
    ]);
  return html`<figure class="payload">
    <pre tabindex="0" role="region" aria-label=${label}><bdi>${lines}</bdi></pre>
    <figcaption>
      ${bytes(payload.size_bytes)}${payload.text === undefined ? ", not text: shown in base64" : ""}${
        payload.is_truncated ? ", of which the beginning is shown" : ""
      }
    </figcaption>
  </figure>`;
}
