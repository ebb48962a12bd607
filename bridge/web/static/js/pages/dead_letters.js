// What could not be delivered: why, and what is to become of it.
import { query } from "../api.js";
import { bytes, count, counted, plain } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useLive } from "../live.js";
import { ViewerNote } from "../parts/action.js";
import { useQuestion } from "../parts/dialog.js";
import { Empty, NoBody } from "../parts/empty.js";
import { PageHead, Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { go, usePlace, withQuery } from "../router.js";
import { LetterActions } from "./letter_actions.js";

const LIMIT = 50;

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
    <${Panel} title="${counted(body.total, "letter")}, ${counted(body.records, "record")}${isFiltered ? " in all" : ""}">
      <${Filters} filter=${filter} letters=${letters} onChange=${change} />
      <div class="actions sticky" role="group" aria-label="With the chosen letters">
        <${LetterActions} letters=${chosen} which=${{ ids: chosen.map((/** @type {any} */ letter) => letter.id) }} what=${chosen.length ? counted(chosen.length, "letter") : null} records=${sum(chosen)} ask=${ask} onDone=${() => setMarked(new Set())} />
        <span class="grow"></span>
        <${LetterActions} letters=${letters} which=${{ all: true, ...nonEmpty(filter) }} what=${isFiltered ? "all letters of this filter" : body.total === 1 ? "the only letter" : `all ${counted(body.total, "letter")}`} records=${isFiltered ? null : body.records} ask=${ask} onDone=${() => setMarked(new Set())} isAll />
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
    <${Table} caption="Dead letters, newest first" isShort rows=${letters} keyOf=${(/** @type {any} */ letter) => letter.id} columns=${[
      {
        title: "",
        isPlain: true,
        cell: (/** @type {any} */ letter) =>
          html`<input type="checkbox" aria-label="Choose letter ${letter.id}" checked=${marked.has(letter.id)} onChange=${() => mark(letter.id)} />`,
      },
      {
        title: "Letter",
        isMain: true,
        cell: (/** @type {any} */ letter) => html`<a href="/dead-letters/${letter.id}">Letter\u00a0${letter.id}</a>`,
      },
      { title: "When", isPlain: true, card: "beside", cell: (/** @type {any} */ letter) => html`<${When} at=${letter.at} />` },
      {
        title: "Reason",
        isWide: true,
        isPlain: true,
        cell: (/** @type {any} */ letter) =>
          html`<strong>${plain(letter.reason)}</strong><br /><span class="quiet">${letter.explanation}</span>`,
      },
      { title: "Way", cell: (/** @type {any} */ letter) => `${letter.stream} → ${letter.uplink ?? "–"}` },
      { title: "Records", isNumber: true, cell: (/** @type {any} */ letter) => count(letter.count) },
      { title: "Size", isNumber: true, cell: (/** @type {any} */ letter) => bytes(letter.size_bytes) },
      {
        title: "Topics",
        isRoomy: true,
        isWide: true,
        isPlain: true,
        cell: (/** @type {any} */ letter) =>
          letter.topics.map(
            (/** @type {string} */ topic) => html`<div><${DeviceText} text=${topic} max=${32} /></div>`,
          ),
      },
    ]} />`;
}
