// The one sentence: is the data safe, and when will it arrive? It says so when it is no longer known.
import { capital } from "../format.js";
import { html } from "../html.js";
import { Icon } from "./icon.js";

/** @typedef {{level: "ok" | "warning" | "critical", word: string, sentence: string}} Said */

/** The sentence, no number of it parted from its unit, without the word that stands before it in large letters. @param {Said} said */
function rest(said) {
  const start = `${said.word}: `;
  const sentence = said.sentence.startsWith(start) ? said.sentence.slice(start.length) : said.sentence;
  return capital(sentence.replace(/(\d) (?=(?:s|min|h|d|days?|B|[KMGT]iB)\b)/g, "$1\u00a0"));
}

/** @param {{verdict: Said | null | undefined, isOld: boolean, isLarge?: boolean}} props */
export function Verdict({ verdict, isOld, isLarge = false }) {
  if (!verdict)
    return html`<section class="verdict" data-tone="quiet" data-large=${isLarge} aria-label="Verdict"><p class="verdict-word">…</p></section>`;
  const word = isOld ? `Last known: ${verdict.word}` : verdict.word;
  return html`<section class="verdict" data-tone=${isOld ? "quiet" : verdict.level} data-large=${isLarge} aria-label="Verdict">
    <${Icon} name=${isOld ? "unknown" : verdict.level} size=${isLarge ? 64 : 22} />
    <p class="verdict-word">${word}<span class="hidden">. </span></p>
    <p class="verdict-sentence">${rest(verdict)}</p>
  </section>`;
}
