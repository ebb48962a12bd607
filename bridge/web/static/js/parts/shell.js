// The frame around every page: where one can go, whether the data is safe, whether what one sees is live, who looks.
import { logOut } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { stopped } from "../live.js";
import { go, usePlace } from "../router.js";
import { session } from "../session.js";
import { useStore } from "../store.js";
import { choose, theme } from "../theme.js";
import { Banner } from "./banner.js";
import { Icon, Mark } from "./icon.js";
import { Notices, tell } from "./notices.js";

/** Who looks where nobody has to say who he is; he has no session to leave. */
const LOCAL = "local";

/** @typedef {{path: string, name: string, icon: string, badge?: number}} Entry */

/** @param {{entries: Entry[], strip: any, children: any}} props */
export function Shell({ entries, strip, children }) {
  const { path } = usePlace();
  const who = useStore(session);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <div class="frame">
      <header class="side">
        <div class="brand">
          <a href="/" aria-label="Fieldgate, ${who?.name ?? ""}: to the first page">
            <${Mark} /><span class="brand-name">Fieldgate<span class="brand-site"><bdi>${who?.name}</bdi></span></span>
          </a>
          <button type="button" class="menu" aria-expanded=${isOpen} aria-controls="nav" onClick=${() => setOpen(!isOpen)}>
            <${Icon} name=${isOpen ? "close" : "menu"} />Menu
          </button>
        </div>
        <div id="nav" class="side-body" data-open=${isOpen}>
          <nav aria-label="Pages">
            <ul>
              ${entries.map(
                (entry) => html`<li key=${entry.path}>
                  <a href=${entry.path} aria-current=${isHere(entry.path, path) ? "page" : undefined}>
                    <${Icon} name=${entry.icon} />${entry.name}${entry.badge ? html`<span class="badge">${entry.badge > 999 ? "999+" : entry.badge}<span class="hidden"> waiting</span></span>` : null}
                  </a>
                </li>`,
              )}
            </ul>
          </nav>
          <div class="side-foot"><${Liveness} /><${ThemeChoice} /><${Who} /></div>
        </div>
      </header>
      <div class="content">
        <${Banner} />
        ${strip}
        <main id="main" tabindex="-1">${children}</main>
        <${Notices} />
      </div>
    </div>`;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {string} entry @param {string} path */
const isHere = (entry, path) => (entry === "/" ? path === "/" : path === entry || path.startsWith(`${entry}/`));

function Liveness() {
  const stop = useStore(stopped);
  return html`<p class="liveness" data-tone=${stop ? "critical" : "ok"}><span class="dot" aria-hidden="true"></span>${stop ? "Not live" : "Live"}</p>`;
}

const THEMES = /** @type {const} */ ([
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
]);

function ThemeChoice() {
  const chosen = useStore(theme);
  return html`<fieldset class="themes">
    <legend class="hidden">Colours</legend>
    ${THEMES.map(
      ([value, name]) => html`<label title=${name}>
        <input type="radio" name="theme" value=${value} checked=${chosen === value} onChange=${() => choose(value)} />
        <${Icon} name=${{ system: "system", light: "sun", dark: "moon" }[value]} size=${18} /><span class="hidden">${name}</span>
      </label>`,
    )}
  </fieldset>`;
}

function Who() {
  const who = useStore(session);
  if (!who) return null;
  const leave = async () => {
    try {
      await logOut();
      go("/login");
    } catch (error) {
      tell("error", String(error instanceof Error ? error.message : error));
    }
  };
  return html`<div class="who">
    <p><${Icon} name="user" size=${18} /><span><bdi>${who.user}</bdi><span class="quiet"> · ${who.role}</span></span></p>
    ${who.user !== LOCAL && html`<button type="button" onClick=${leave}>Log out</button>`}
    <p class="quiet version">Version ${who.version}</p>
  </div>`;
}
