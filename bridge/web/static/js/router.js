// Each page has an address of its own; links work as everywhere, and so does the way back.
import { Store, useStore } from "./store.js";

/** @typedef {{path: string, query: URLSearchParams}} Place */

/** @returns {Place} */
const here = () => ({ path: location.pathname, query: new URLSearchParams(location.search) });

/** @type {Store<Place>} */
export const place = new Store(here());

/** Counts the pages that were entered, so that the reader's focus can be put on the new one's heading. */
export const arrivals = new Store(0);

/** Go to an address of this program. @param {string} address @param {{replace?: boolean}} [how] */
export function go(address, { replace = false } = {}) {
  const before = location.pathname;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  place.set(here());
  if (location.pathname !== before) {
    scrollTo(0, 0);
    arrivals.set(arrivals.value + 1);
  }
}

addEventListener("popstate", () => place.set(here()));

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/static/") || link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

/** Where we are. */
export const usePlace = () => useStore(place);

/**
 * One value of the address's query and how to change it; the page stays, and "back" leads to where one came from.
 * @param {string} key @param {string} fallback
 * @returns {[string, (value: string) => void]}
 */
export function useQueryValue(key, fallback) {
  const { query } = usePlace();
  return [
    query.get(key) ?? fallback,
    (value) => go(withQuery({ [key]: value === fallback ? null : value }), { replace: true }),
  ];
}

/** This page's address with other values in its query; null takes one out. @param {Record<string, string | null>} changes */
export function withQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(key);
    else query.set(key, value);
  }
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}
