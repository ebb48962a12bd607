// A part of a page under its own heading; and the head of a page, where a reader's focus goes on arrival.
import { html, useEffect, useId, useRef } from "../html.js";
import { arrivals, place } from "../router.js";
import { session } from "../session.js";
import { useStore } from "../store.js";

/** @param {{title: any, children?: any, side?: any, level?: number, kind?: string}} props */
export function Panel({ title, children, side, level = 2, kind = "" }) {
  const id = useId();
  return html`<section class="panel ${kind}" aria-labelledby=${id}>
    <header class="panel-head"><${`h${level}`} id=${id}>${title}<//>${side}</header>
    ${children}
  </section>`;
}

/** @param {{title: string, heading?: any, children?: any, back?: {href: string, text: string}}} props */
export function PageHead({ title, heading, children, back }) {
  const head = useRef(/** @type {HTMLHeadingElement | null} */ (null));
  const arrival = useStore(arrivals);
  useEffect(() => {
    document.title = [title, session.value?.name, "Fieldgate"].filter(Boolean).join(" · ");
  }, [title, place.value]);
  useEffect(() => {
    if (arrival > 0) head.current?.focus({ preventScroll: true });
  }, [arrival]);
  return html`<header class="page-head">
    ${back && html`<p class="back"><a href=${back.href}>← ${back.text}</a></p>`}
    <h1 ref=${head} tabindex="-1">${heading ?? title}</h1>
    ${children}
  </header>`;
}
