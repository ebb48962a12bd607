// From one page of a list to the next.
import { count } from "../format.js";
import { html } from "../html.js";

/** @param {{offset: number, limit: number, total: number, what: string, onOffset: (offset: number) => void}} props */
export function Pager({ offset, limit, total, what, onOffset }) {
  if (total <= limit && offset === 0) return null;
  const last = Math.min(total, offset + limit);
  return html`<nav class="pager" aria-label="Pages of ${what}">
    <button type="button" disabled=${offset === 0} onClick=${() => onOffset(Math.max(0, offset - limit))}>Previous</button>
    <span>${count(total === 0 ? 0 : offset + 1)}–${count(last)} of ${count(total)}</span>
    <button type="button" disabled=${last >= total} onClick=${() => onOffset(offset + limit)}>Next</button>
  </nav>`;
}
