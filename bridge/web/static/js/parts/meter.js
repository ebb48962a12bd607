// How full something is.
import { html } from "../html.js";

/** @param {{value: number, label: string, isCritical?: boolean}} props 0 to 1 */
export function Meter({ value, label, isCritical = false }) {
  const share = Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0;
  const percent = share > 0 && share < 0.01 ? "under 1 %" : `${Math.round(share * 100)} %`;
  return html`<div class="meter" data-tone=${isCritical || share > 0.95 ? "critical" : share > 0.8 ? "warning" : "ok"}>
    <div role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)} aria-valuetext=${percent}>
      <div style=${{ width: `${share * 100}%` }}></div>
    </div>
    <span aria-hidden="true">${percent}</span>
  </div>`;
}
