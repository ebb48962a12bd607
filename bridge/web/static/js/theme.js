// Light, dark, or as the system says; the choice is kept in this browser.
import { Store } from "./store.js";

/** @typedef {"system" | "light" | "dark"} Theme */

const KEY = "fieldgate.theme";
const root = document.documentElement;
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const forced = matchMedia("(forced-colors: active)");

/** @type {Store<Theme>} */
export const theme = new Store(/** @type {Theme} */ (root.dataset.choice ?? "system"));

/** Counts the changes of what is in force; plots draw themselves again. */
export const themeChanges = new Store(0);

function enforce() {
  const isDark = theme.value === "dark" || (theme.value === "system" && darkSystem.matches);
  root.dataset.theme = isDark ? "dark" : "light";
  themeChanges.set(themeChanges.value + 1);
}
darkSystem.addEventListener("change", enforce);
forced.addEventListener("change", enforce);

/** @param {Theme} chosen */
export function choose(chosen) {
  try {
    if (chosen === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // Without storage the choice holds until the page is left.
  }
  root.dataset.choice = chosen;
  theme.set(chosen);
  enforce();
}

/** The value of a custom property now, for what is drawn on a canvas. @param {string} name */
export function token(name) {
  const value = getComputedStyle(root).getPropertyValue(name).trim();
  return forced.matches ? resolved(value) : value;
}

/** A canvas does not know the reader's own colours by name: an element does. @param {string} color */
function resolved(color) {
  const probe = document.createElement("span");
  probe.style.setProperty("forced-color-adjust", "none");
  probe.style.color = color;
  root.append(probe);
  const known = getComputedStyle(probe).color;
  probe.remove();
  return CSS.supports("color", color) ? known : color;
}
