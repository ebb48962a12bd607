// Nothing to show yet: why, and what to do next.
import { html } from "../html.js";

/** @param {{title: string, children?: any}} props */
export const Empty = ({ title, children }) =>
  html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;

/** The first body has not come yet. */
export const Loading = () => html`<p class="loading" role="status">Asking the gateway …</p>`;

/** What to show in the place of a page that has no body: why not, or that it is on its way.
 * @param {{problem: {status: number, message: string} | null}} props */
export const NoBody = ({ problem }) =>
  problem && problem.status ? html`<${Empty} title=${problem.message} />` : html`<${Loading} />`;
