// Light, dark, or as the system says; the choice is kept in this browser.
import { Store } from "./store.js";

/** @typedef {"system" | "light" | "dark"} Theme */

const KEY = "fieldgate.theme";
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

/** @type {Store<Theme>} */
export const theme = new Store(/** @type {Theme} */ (document.documentElement.dataset.theme ?? "system"));

/** Counts the changes of what is in force; plots draw themselves again. */
export const themeChanges = new Store(0);
const changed = () => themeChanges.set(themeChanges.value + 1);
darkSystem.addEventListener("change", changed);

/** @param {Theme} chosen */
export function choose(chosen) {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    if (chosen === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // Without storage the choice holds until the page is left.
  }
  theme.set(chosen);
  changed();
}

/** The value of a custom property now, for what is drawn on a canvas. @param {string} name */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
