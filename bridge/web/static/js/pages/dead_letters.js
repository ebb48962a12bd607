// What could not be delivered: why, and what is to become of it.
import { query, send } from "../api.js";
import { bytes, count, counted, plain } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useLive } from "../live.js";
import { Action, ViewerNote } from "../parts/action.js";
import { useQuestion } from "../parts/dialog.js";
import { Empty, NoBody } from "../parts/empty.js";
import { tell } from "../parts/notices.js";
import { PageHead, Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { go, usePlace, withQuery } from "../router.js";

const LIMIT = 50;

/** The same letters for every way to name them. @typedef {{ids: number[]} | {all: true, stream?: string, uplink?: string, reason?: string}} Which */

export function DeadLettersPage() {
  const asked = usePlace().query;
  const filter = {
    uplink: asked.get("uplink") ?? "",
    stream: asked.get("stream") ?? "",
    reason: asked.get("reason") ?? "",
  };
  const before = asked.get("before");
  const { body, problem } = useLive(`/api/v1/dead-letters${query({ before, limit: LIMIT, ...filter })}`);
  const [marked, setMarked] = useState(/** @type {Set<number>} */ (new Set()));
  const [dialog, ask] = useQuestion();
  const isFiltered = Object.values(filter).some(Boolean);
  const change = (/** @type {Record<string, string | null>} */ changes) =>
    go(withQuery({ before: null, ...changes }), { replace: true });
  useEffect(() => {
    if (!body) return;
    // What was replayed or discarded elsewhere is no longer marked here.
    const there = new Set(body.dead_letters.map((/** @type {any} */ letter) => letter.id));
    setMarked((all) => ([...all].every((id) => there.has(id)) ? all : new Set([...all].filter((id) => there.has(id)))));
  }, [body]);
  const head = html`<${PageHead} title="Dead letters"><p class="lead">Records that the other side will not take as they are, kept with the reason until you decide.</p><//>`;
  if (!body) return html`${head}<${NoBody} problem=${problem} />`;
  const letters = body.dead_letters;
  if (letters.length === 0 && !isFiltered && !before)
    return html`${head}<${Empty} title="There are no dead letters."><p>A record comes here when a broker refuses it for good: too large for it, say, or on a topic it forbids. It never holds up the rest.</p><//>`;
  const chosen = letters.filter((/** @type {any} */ letter) => marked.has(letter.id));
  return html`${head}
    <${ViewerNote} />
    <${Panel} title="${counted(body.total, "letter")}, ${counted(body.records, "record")}">
      <${Filters} filter=${filter} letters=${letters} onChange=${change} />
      <div class="actions sticky" role="group" aria-label="With the chosen letters">
        <${Actions} which=${{ ids: chosen.map((/** @type {any} */ letter) => letter.id) }} what=${chosen.length ? counted(chosen.length, "letter") : null} records=${sum(chosen)} ask=${ask} onDone=${() => setMarked(new Set())} />
        <span class="grow"></span>
        <${Actions} which=${{ all: true, ...nonEmpty(filter) }} what=${`all ${counted(body.total, "letter")}${isFiltered ? " of this filter" : ""}`} records=${isFiltered ? null : body.records} ask=${ask} onDone=${() => setMarked(new Set())} isAll />
      </div>
      ${
        letters.length === 0
          ? html`<${Empty} title="No dead letter is like that."><p><a href="/dead-letters">Show all</a></p><//>`
          : html`<${Letters} letters=${letters} marked=${marked} onMark=${setMarked} />`
      }
      ${
        (body.next_before || before) &&
        html`<nav class="pager" aria-label="Pages of dead letters">
        <button type="button" disabled=${!before} onClick=${() => change({})}>Newest</button>
        <button type="button" disabled=${!body.next_before} onClick=${() => change({ before: String(body.next_before) })}>Older</button>
      </nav>`
      }
    <//>
    ${dialog}`;
}

/** @param {any[]} letters */
const sum = (letters) => letters.reduce((records, letter) => records + letter.count, 0);

/** @param {Record<string, string>} values */
const nonEmpty = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value));

/**
 * Replay, discard and export what is named.
 * @param {{which: Which, what: string | null, records: number | null, ask: (question: any) => Promise<boolean>, onDone: () => void, isAll?: boolean}} props
 */
export function Actions({ which, what, records, ask, onDone, isAll = false }) {
  const none = what === null ? "Choose letters in the list first." : null;
  const size = records === null ? "" : `, ${counted(records, "record")}`;
  const replay = async () => {
    const yes = await ask({
      title: `Replay ${what}?`,
      text: html`<p>What they hold${size && ` (${counted(records ?? 0, "record")})`} goes back to the end of its stream with new numbers and is sent again. What is refused again comes back here.</p>`,
      action: "Replay",
    });
    if (!yes) return null;
    const done = await send("POST", "/api/v1/dead-letters/replay", which);
    for (const refused of done.refused ?? []) tell("error", `Letter ${refused.id}: ${refused.message}`);
    onDone();
    return done.message;
  };
  const discard = async () => {
    const yes = await ask({
      title: `Discard ${what}?`,
      text: html`<p>What they hold${size && ` (${counted(records ?? 0, "record")})`} is deleted for good and can't be had back. Export first what you may still want.</p>`,
      action: "Discard",
      isDangerous: true,
    });
    if (!yes) return null;
    const done = await send("POST", "/api/v1/dead-letters/discard", which);
    onDone();
    return done.message;
  };
  const ids = "ids" in which ? which.ids : [];
  const address = `/api/v1/dead-letters/export${ids.length ? `?${new URLSearchParams(ids.map((id) => ["id", String(id)]))}` : ""}`;
  const suffix = isAll ? " all" : "";
  return html`
    <${Action} act=${replay} reason=${none} label=${what ? `Replay ${what}` : "Replay the chosen letters"}>Replay${suffix}<//>
    <${Action} act=${discard} reason=${none} kind="danger" label=${what ? `Discard ${what}` : "Discard the chosen letters"}>Discard${suffix}<//>
    ${
      what === null
        ? html`<button type="button" aria-disabled="true" title="Choose letters in the list first.">Export</button>`
        : isAll && Object.keys(which).length > 1
          ? null
          : html`<a class="button" href=${address} download="dead-letters.ndjson" aria-label="Export ${what}">Export${suffix}</a>`
    }`;
}

/** @param {{filter: Record<string, string>, letters: any[], onChange: (changes: Record<string, string | null>) => void}} props */
function Filters({ filter, letters, onChange }) {
  const names = /** @type {[string, string][]} */ ([
    ["uplink", "Uplink"],
    ["stream", "Stream"],
    ["reason", "Reason"],
  ]);
  return html`<form class="filters" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    ${names.map(([key, name]) => {
      const values = [...new Set([...letters.map((letter) => letter[key]), filter[key]])].filter(Boolean).sort();
      return html`<label key=${key}>${name} <select value=${filter[key]} onChange=${(/** @type {any} */ event) => onChange({ [key]: event.currentTarget.value || null })}>
        <option value="" selected=${filter[key] === ""}>all</option>
        ${values.map((value) => html`<option key=${value} value=${value} selected=${value === filter[key]}>${plain(value)}</option>`)}
      </select></label>`;
    })}
  </form>`;
}

/** @param {{letters: any[], marked: Set<number>, onMark: (marked: Set<number>) => void}} props */
function Letters({ letters, marked, onMark }) {
  const isAll = letters.every((letter) => marked.has(letter.id));
  const mark = (/** @type {number} */ id) => {
    const next = new Set(marked);
    if (!next.delete(id)) next.add(id);
    onMark(next);
  };
  return html`
    <p><label class="check"><input type="checkbox" checked=${isAll} onChange=${() => onMark(isAll ? new Set() : new Set(letters.map((letter) => letter.id)))} /> ${letters.length === 1 ? "Choose it" : `Choose all ${count(letters.length)} shown`}</label></p>
    <${Table} caption="Dead letters, newest first" rows=${letters} keyOf=${(/** @type {any} */ letter) => letter.id} columns=${[
      {
        title: "",
        cell: (/** @type {any} */ letter) =>
          html`<input type="checkbox" aria-label="Choose letter ${letter.id}" checked=${marked.has(letter.id)} onChange=${() => mark(letter.id)} />`,
      },
      {
        title: "Letter",
        isMain: true,
        cell: (/** @type {any} */ letter) => html`<a href="/dead-letters/${letter.id}">Letter\u00a0${letter.id}</a>`,
      },
      { title: "When", cell: (/** @type {any} */ letter) => html`<${When} at=${letter.at} />` },
      {
        title: "Reason",
        isWide: true,
        cell: (/** @type {any} */ letter) =>
          html`<strong>${plain(letter.reason)}</strong><br /><span class="quiet">${letter.explanation}</span>`,
      },
      { title: "Way", cell: (/** @type {any} */ letter) => `${letter.stream} → ${letter.uplink ?? "–"}` },
      { title: "Records", isNumber: true, cell: (/** @type {any} */ letter) => count(letter.count) },
      { title: "Size", isNumber: true, cell: (/** @type {any} */ letter) => bytes(letter.size_bytes) },
      {
        title: "Topics",
        cell: (/** @type {any} */ letter) =>
          letter.topics.map(
            (/** @type {string} */ topic) => html`<div><${DeviceText} text=${topic} max=${32} /></div>`,
          ),
      },
    ]} />`;
}
