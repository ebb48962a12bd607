// Names and values, one beside the other.
import { html } from "../html.js";

/** @param {{facts: [string, any][]}} props */
export const Facts = ({ facts }) => html`<dl class="facts">
  ${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
</dl>`;
