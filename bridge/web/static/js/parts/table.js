// A table that becomes a list of cards where it is too narrow. Roles are written out, since that look would take them away.
import { html, useEffect, useMemo, useState } from "../html.js";

/** In what window a table of so many columns is too wide. @param {number} columns */
const narrowFor = (columns) => `(max-width: ${columns < 6 ? 60 : columns < 9 ? 66 : 76}rem)`;

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: any) => any} cell
 * @property {boolean} [isNumber]
 * @property {string} [sort] the name under which it can be sorted by
 * @property {boolean} [isMain] names the row: its cell is the row's heading
 * @property {boolean} [isWide] stands on a line of its own in a card
 * @property {"beside" | "last" | "aside" | "steady"} [card] in a short card it stands at the end of the first line, below
 *   all others, or nowhere, so that it is only read aloud; or it is always of the same width
 * @property {boolean} [isPlain] says in a short card what it is without its title
 * @property {boolean} [isRoomy] is not to be squeezed: names that break badly
 * @property {(row: any) => boolean} [isIdle] whether it tells nothing of this row: then a short card only has it read aloud
 */

/**
 * @param {object} props
 * @param {string} props.caption for readers who do not see what is around it
 * @param {Column[]} props.columns
 * @param {any[]} props.rows
 * @param {(row: any) => string | number} props.keyOf
 * @param {string} [props.sort]
 * @param {string} [props.order] asc or desc
 * @param {(sort: string, order: string) => void} [props.onSort]
 * @param {boolean} [props.isShort] its cards are short: for many rows
 */
export function Table({ caption, columns, rows, keyOf, sort, order, onSort, isShort = false }) {
  const isCards = useMedia(narrowFor(columns.length));
  return html`<table class=${["cards", isCards && "is-cards", isShort && "short"].filter(Boolean).join(" ")} role="table">
    <caption>${caption}</caption>
    <thead role="rowgroup"><tr role="row">${columns.map((column) => html`<${Head} column=${column} sort=${sort} order=${order} onSort=${onSort} />`)}</tr></thead>
    <tbody role="rowgroup">
      ${rows.map((row) => html`<tr role="row" key=${keyOf(row)}>${columns.map((column) => cell(column, row))}</tr>`)}
    </tbody>
  </table>`;
}

/** Whether the window is like that; drawn again when it changes. @param {string} query */
function useMedia(query) {
  const media = useMemo(() => matchMedia(query), [query]);
  const [isSo, setSo] = useState(media.matches);
  useEffect(() => {
    const hear = () => setSo(media.matches);
    hear();
    media.addEventListener("change", hear);
    return () => media.removeEventListener("change", hear);
  }, [media]);
  return isSo;
}

/** @param {Column} column @param {any} row */
function cell(column, row) {
  const name = [
    column.isNumber && "number",
    column.isMain && "main",
    column.isWide && "wide",
    column.isPlain && "plain",
    column.isRoomy && "roomy",
    column.card,
    column.isIdle?.(row) && "idle",
  ]
    .filter(Boolean)
    .join(" ");
  const label = column.title || undefined;
  return column.isMain
    ? html`<th role="rowheader" scope="row" class=${name} data-label=${label}><span>${column.cell(row)}</span></th>`
    : html`<td role="cell" class=${name} data-label=${label}><span>${column.cell(row)}</span></td>`;
}

/** @param {{column: Column, sort?: string, order?: string, onSort?: (sort: string, order: string) => void}} props */
function Head({ column, sort, order, onSort }) {
  const isSorted = column.sort !== undefined && column.sort === sort;
  const name = column.isNumber ? "number" : "";
  if (column.sort === undefined || !onSort)
    return column.title
      ? html`<th role="columnheader" scope="col" class=${name}>${column.title}</th>`
      : html`<td role="cell" class=${name}></td>`;
  const next = isSorted ? (order === "asc" ? "desc" : "asc") : column.isNumber ? "desc" : "asc";
  return html`<th role="columnheader" scope="col" class=${name} aria-sort=${isSorted ? (order === "asc" ? "ascending" : "descending") : "none"}>
    <button type="button" class="sort" onClick=${() => onSort(String(column.sort), next)}>
      ${column.title}<span aria-hidden="true">${isSorted ? (order === "asc" ? " ↑" : " ↓") : ""}</span>
    </button>
  </th>`;
}
