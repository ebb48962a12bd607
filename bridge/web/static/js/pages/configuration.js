// What is in force and where each value came from; and a new file: checked, compared, applied or refused.
import { get, send } from "../api.js";
import { count, counted } from "../format.js";
import { html, useEffect, useMemo, useState } from "../html.js";
import { Action, ViewerNote } from "../parts/action.js";
import { NoBody } from "../parts/empty.js";
import { PageHead, Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { useQueryValue } from "../router.js";
import { ProposalPanel } from "./proposal.js";

export function ConfigurationPage() {
  const [view] = useQueryValue("view", "");
  const [body, setBody] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const read = () => get("/api/v1/configuration").then(setBody, setProblem);
  useEffect(() => void read(), []);
  const head = html`<${PageHead} title="Configuration">
    ${body && html`<p class="lead">${body.file ? html`From <code><bdi>${body.file}</bdi></code>` : "Without a file: from the environment and the defaults"}, read <${When} at=${body.read_at} />.</p>`}
    <nav class="tabs" aria-label="Parts of the configuration"><ul>
      <li><a href="/configuration" aria-current=${view === "new" ? undefined : "page"}>In force</a></li>
      <li><a href="/configuration?view=new" aria-current=${view === "new" ? "page" : undefined}>A new one</a></li>
    </ul></nav>
  <//>`;
  if (!body) return html`${head}<${NoBody} problem=${problem} />`;
  const reload = async () => {
    const report = await send("POST", "/api/v1/configuration/reload");
    await read();
    return report.message;
  };
  return html`${head}
    <${ViewerNote} />
    ${
      body.waiting_for_restart.length > 0 &&
      html`<p class="note" data-tone="warning">Changed, and in force after the next restart: ${body.waiting_for_restart.map((/** @type {string} */ key, /** @type {number} */ at) => html`${at > 0 && ", "}<code>${key}</code>`)}.</p>`
    }
    ${
      view === "new"
        ? html`<${ProposalPanel} file=${body.file} onApplied=${read} />`
        : html`<${Values} values=${body.values} file=${body.file} reload=${html`<${Reload} file=${body.file} act=${reload} />`} />`
    }`;
}

/** @param {{file: string | null, act: () => Promise<string>}} props */
const Reload = ({ file, act }) => html`<div class="actions">
  <span class="quiet">The same as <code>fieldgate reload</code>, or SIGHUP:</span>
  <${Action} act=${act} reason=${file ? null : "It runs without a configuration file."}>Read the file again<//>
</div>`;

/** A value as it would be written. @param {unknown} value */
const written = (value) =>
  value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);

/** Where a value came from; of the file that is named above, its own name is enough. @param {string} text @param {string | null} file */
const origin = (text, file) =>
  file && text.startsWith(`${file}:`) ? `${file.split("/").pop()}${text.slice(file.length)}` : text;

/** @param {{values: any[], file: string | null, reload: any}} props */
function Values({ values, file, reload }) {
  const [search, setSearch] = useQueryValue("search", "");
  const [changed, setChanged] = useQueryValue("only", "");
  const shown = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return values.filter((value) => {
      const text = `${value.key} ${written(value.value)} ${value.origin}`.toLowerCase();
      return words.every((word) => text.includes(word)) && !(changed && value.origin === "default");
    });
  }, [values, search, changed]);
  return html`<${Panel} title="In force" side=${reload}>
    <form class="filters" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>Search <input type="search" value=${search} placeholder="key, value or origin" maxlength="256" onInput=${(/** @type {any} */ event) => setSearch(event.currentTarget.value)} /></label>
      <label class="check"><input type="checkbox" checked=${changed !== ""} onChange=${() => setChanged(changed ? "" : "set")} /> Only what is not a default</label>
      <span class="quiet" role="status">${count(shown.length)} of ${counted(values.length, "value")}</span>
    </form>
    <${Table} caption="Effective settings and where each came from" rows=${shown} keyOf=${(/** @type {any} */ value) => value.key} columns=${[
      { title: "Key", isMain: true, cell: (/** @type {any} */ value) => html`<code>${value.key}</code>` },
      {
        title: "Value",
        isWide: true,
        cell: (/** @type {any} */ value) =>
          value.value === null || value.value === "" || value.value === "null"
            ? html`<span class="quiet">not set</span>`
            : html`<code><${DeviceText} text=${written(value.value)} max=${70} /></code>`,
      },
      {
        title: "From",
        cell: (/** @type {any} */ value) =>
          html`<span class=${value.origin === "default" ? "quiet" : ""}><${DeviceText} text=${origin(String(value.origin), file)} max=${60} /></span>`,
      },
      {
        title: "A change is in force",
        cell: (/** @type {any} */ value) => (value.change === "live" ? "at once" : "after a restart"),
      },
    ]} />
  <//>`;
}
