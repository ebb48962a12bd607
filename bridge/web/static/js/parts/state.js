// A state as an icon and a word; the colour only repeats what they say.
import { capital, plain } from "../format.js";
import { html } from "../html.js";
import { Icon } from "./icon.js";

/** @type {any} none of what every object has: a state is a word from elsewhere */
const TONES = {
  __proto__: null,
  online: "ok",
  connected: "ok",
  ok: "ok",
  running: "ok",
  ready: "ok",
  writing: "ok",
  connecting: "warning",
  backing_off: "warning",
  warning: "warning",
  retrying: "warning",
  waiting: "warning",
  paused: "paused",
  stopped: "quiet",
  absent: "quiet",
  closed: "quiet",
  critical: "critical",
  error: "critical",
  failed: "critical",
  refused: "critical",
};
/** @type {any} */
const ICONS = {
  __proto__: null,
  connected: "online",
  ok: "online",
  running: "online",
  ready: "online",
  writing: "online",
  retrying: "backing_off",
  waiting: "backing_off",
  closed: "stopped",
  failed: "critical",
};

/** Which tone a state has. @param {string} state */
export const toneOf = (state) => TONES[state] ?? "quiet";

/** @param {{state: string, word?: string}} props */
export function State({ state, word }) {
  return html`<span class="state" data-tone=${toneOf(state)}
    ><${Icon} name=${ICONS[state] ?? state} size=${16} />${word ?? capital(plain(state))}</span
  >`;
}
