// One fact in large letters, and what belongs to it below.
import { html } from "../html.js";

/** @param {{name: string, value: any, lines: any[], href?: string, tone?: string}} props */
export const Tile = ({
  name,
  value,
  lines,
  href,
  tone,
}) => html`<section class="tile" data-tone=${tone} aria-label=${name}>
  <h2>${href ? html`<a href=${href}>${name}</a>` : name}</h2>
  <p class="tile-value">${value}</p>
  ${lines.map((line) => html`<p class="tile-line">${line}</p>`)}
</section>`;
