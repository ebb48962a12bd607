// One fact in large letters, and what belongs to it below.
import { html } from "../html.js";

/** What is longer stands in smaller letters, so that a number is never broken in two. */
const LONG = 9;

/** @param {{name: string, value: any, lines: any[], href?: string, tone?: string}} props */
export const Tile = ({
  name,
  value,
  lines,
  href,
  tone,
}) => html`<section class="tile" data-tone=${tone} aria-label=${name}>
  <h2>${href ? html`<a href=${href}>${name}</a>` : name}</h2>
  <p class=${`tile-value ${typeof value === "string" && value.length > LONG ? "long" : ""}`}>${value}</p>
  ${lines.map((line) => html`<p class="tile-line">${line}</p>`)}
</section>`;
