// A new configuration: written, pasted or uploaded; checked; compared with what is in force; then applied, or not.
import { Problem, send } from "../api.js";
import { counted } from "../format.js";
import { html, useRef, useState } from "../html.js";
import { Action } from "../parts/action.js";
import { useQuestion } from "../parts/dialog.js";
import { tell } from "../parts/notices.js";
import { Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";

const LARGEST = 1_048_576;

/** @param {{file: string | null, onApplied: () => void}} props */
export function ProposalPanel({ file, onApplied }) {
  const [text, setText] = useState("");
  const [proposal, setProposal] = useState(/** @type {any} */ (null));
  const [dialog, ask] = useQuestion();
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const change = (/** @type {string} */ next) => {
    setText(next);
    setProposal(null);
  };
  const upload = async (/** @type {any} */ event) => {
    const chosen = event.currentTarget.files?.[0];
    if (!chosen) return;
    if (chosen.size > LARGEST) tell("error", `${chosen.name} is larger than 1 MiB: that is no configuration.`);
    else change(await chosen.text());
  };
  const check = async () => setProposal(await send("POST", "/api/v1/configuration/check", { text }));
  const apply = async () => {
    const restart = proposal.changes.filter((/** @type {any} */ one) => one.effect === "restart");
    const yes = await ask({
      title: "Apply this configuration?",
      text: html`<p>${file ? html`<code><bdi>${file}</bdi></code> is replaced` : "It is taken"}, with ${counted(proposal.changes.length, "change")}. What can change while it runs is in force at once, without losing a connection or the queue.</p>
        ${restart.length > 0 && html`<p>In force after a restart only: ${restart.map((/** @type {any} */ one, /** @type {number} */ at) => html`${at > 0 && ", "}<code>${one.key}</code>`)}.</p>`}`,
      action: "Apply",
      isDangerous: true,
    });
    if (!yes) return null;
    try {
      const report = await send("POST", "/api/v1/configuration", { text, base: proposal.base });
      change("");
      onApplied();
      return report.message;
    } catch (error) {
      if (error instanceof Problem && error.body?.problems)
        setProposal({ ...proposal, is_valid: false, problems: error.body.problems });
      throw error;
    }
  };
  const reason = text.trim() === "" ? "Write, paste or upload a configuration first." : null;
  return html`<${Panel} title="A new configuration">
    <p class="quiet">Paste a whole gateway.yaml, or take one from this computer. Nothing changes before you have seen the difference and applied it.</p>
    <label>New configuration
      <textarea ref=${area} rows="10" spellcheck="false" value=${text} placeholder="gateway:\n  id: edge-01\n…" onInput=${(/** @type {any} */ event) => change(event.currentTarget.value)}></textarea>
    </label>
    <div class="actions">
      <label class="upload">Take a file <input type="file" accept=".yaml,.yml,text/yaml,text/plain" onChange=${upload} /></label>
      <${Action} kind="primary" act=${check} reason=${reason}>Check<//>
    </div>
    <div role="status">${proposal && html`<${Outcome} proposal=${proposal} onLine=${(/** @type {number} */ line) => select(area.current, line)} />`}</div>
    ${
      proposal?.is_valid &&
      proposal.changes.length > 0 &&
      html`<div class="actions"><${Action} kind="primary" act=${apply} reason=${file ? null : "It runs without a configuration file."}>Apply…<//></div>`
    }
    ${dialog}
  <//>`;
}

/** Put the cursor where the mistake is. @param {HTMLTextAreaElement | null} area @param {number} line from 1 */
function select(area, line) {
  if (!area) return;
  const lines = area.value.split("\n");
  const from = lines.slice(0, line - 1).reduce((length, one) => length + one.length + 1, 0);
  area.focus();
  area.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
  area.scrollTop = Math.max(0, (area.scrollHeight / lines.length) * (line - 4));
}

/** @param {{proposal: any, onLine: (line: number) => void}} props */
function Outcome({ proposal, onLine }) {
  if (!proposal.is_valid)
    return html`<div class="outcome" data-tone="critical">
      <h3>Refused: ${counted(proposal.problems.length, "mistake")}</h3>
      <ul>
        ${proposal.problems.map(
          (/** @type {any} */ one) => html`<li>
            ${one.line ? html`<button type="button" class="link" onClick=${() => onLine(one.line)}>${one.file}:${one.line}</button>` : html`<bdi>${one.file}</bdi>`}
            ${one.key && html` <code>${one.key}</code>`}: <bdi>${one.message}</bdi>
          </li>`,
        )}
      </ul>
      <p>The configuration in force stays as it is.</p>
    </div>`;
  return html`<div class="outcome" data-tone="ok">
    <h3>${proposal.changes.length ? `Right, with ${counted(proposal.changes.length, "change")}` : "Right, and the same as what is in force"}</h3>
    ${proposal.advice?.length > 0 && html`<ul class="advice">${proposal.advice.map((/** @type {string} */ one) => html`<li><bdi>${one}</bdi></li>`)}</ul>`}
    ${
      proposal.changes.length > 0 &&
      html`<${Table} caption="What would change" rows=${proposal.changes} keyOf=${(/** @type {any} */ one) => one.key} columns=${[
        { title: "Key", isMain: true, cell: (/** @type {any} */ one) => html`<code>${one.key}</code>` },
        { title: "Now", cell: (/** @type {any} */ one) => html`<${Side} value=${one.before} mark="−" />` },
        { title: "Then", cell: (/** @type {any} */ one) => html`<${Side} value=${one.after} mark="+" />` },
        {
          title: "In force",
          cell: (/** @type {any} */ one) => (one.effect === "live" ? "at once" : "after a restart"),
        },
      ]} />`
    }
  </div>`;
}

/** @param {{value: unknown, mark: string}} props */
const Side = ({ value, mark }) =>
  value === null || value === undefined
    ? html`<span class="quiet">not there</span>`
    : html`<code class=${mark === "+" ? "added" : "removed"}><span aria-hidden="true">${mark} </span><${DeviceText} text=${typeof value === "string" ? value : JSON.stringify(value)} max=${60} /></code>`;
