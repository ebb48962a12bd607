// One dead letter: its reason, and the records in it.
import { get } from "../api.js";
import { bytes, count, plain, range } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useQuestion } from "../parts/dialog.js";
import { NoBody } from "../parts/empty.js";
import { Facts } from "../parts/facts.js";
import { Messages } from "../parts/messages.js";
import { PageHead, Panel } from "../parts/panel.js";
import { ViewerNote } from "../parts/action.js";
import { When } from "../parts/when.js";
import { go } from "../router.js";
import { LetterActions } from "./letter_actions.js";

const BACK = { href: "/dead-letters", text: "All dead letters" };

/** @param {{path: string}} props */
export function DeadLetterPage({ path }) {
  const id = Number.parseInt(path.slice("/dead-letters/".length), 10) || 0;
  const [letter, setLetter] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [dialog, ask] = useQuestion();
  useEffect(() => {
    const left = new AbortController();
    get(`/api/v1/dead-letters/${id}`, left.signal).then(setLetter, (error) => left.signal.aborted || setProblem(error));
    return () => left.abort();
  }, [id]);
  const head = html`<${PageHead} title=${`Dead letter ${id}`} back=${BACK}>${letter && html`<p class="lead">${letter.explanation}</p>`}<//>`;
  if (!letter) return html`${head}<${NoBody} problem=${problem} />`;
  return html`${head}
    <${ViewerNote} />
    <div class="actions"><${LetterActions} letters=${[letter]} which=${{ ids: [id] }} what=${`letter ${id}`} records=${letter.count} ask=${ask} onDone=${() => go("/dead-letters")} /></div>
    <${Panel} title="What it is">
      <${Facts} facts=${[
        ["Reason", plain(letter.reason)],
        ["Kept since", html`<${When} at=${letter.at} />`],
        ["Uplink", letter.uplink ?? "–"],
        ["Stream", letter.stream],
        ["Numbers", range(letter.first_seq, letter.count)],
        ["Records", count(letter.count)],
        ["Size", bytes(letter.size_bytes)],
      ]} />
    <//>
    <${Panel} title="What it holds">
      <${Messages} caption="Records of this letter" records=${letter.records} />
      ${!letter.is_complete && html`<p class="quiet">These are the first ${count(letter.records.length)}; export has all.</p>`}
    <//>
    ${dialog}`;
}
