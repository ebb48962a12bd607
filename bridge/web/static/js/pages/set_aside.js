// Frames that the receiver could not read, kept as they came.
import { get, query, send } from "../api.js";
import { bytes, count, counted, plain } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Action, ViewerNote } from "../parts/action.js";
import { useQuestion } from "../parts/dialog.js";
import { Empty, NoBody } from "../parts/empty.js";
import { PageHead, Panel } from "../parts/panel.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { useQueryValue } from "../router.js";

const LIMIT = 50;

/** @param {{summary: import("../live.js").Live}} props */
export function SetAsidePage({ summary }) {
  const [before, setBefore] = useQueryValue("before", "");
  const [page, setPage] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [opened, setOpened] = useState(/** @type {number | null} */ (null));
  const [dialog, ask] = useQuestion();
  const read = (/** @type {AbortSignal | undefined} */ signal = undefined) =>
    get(`/api/v1/set-aside${query({ before, limit: LIMIT })}`, signal).then(
      setPage,
      (error) => signal?.aborted || setProblem(error),
    );
  useEffect(() => {
    const left = new AbortController();
    void read(left.signal);
    return () => left.abort();
  }, [before, summary.body?.set_aside]);
  const head = html`<${PageHead} title="Set aside"><p class="lead">Frames that arrived and could not be read, byte for byte as they came. Nothing of them reached a sink.</p><//>`;
  if (!page) return html`${head}<${NoBody} problem=${problem} />`;
  if (page.total === 0)
    return html`${head}<${Empty} title="No frame was set aside."><p>One comes here when it is damaged, too large, or not a frame at all: somebody else publishing on <code>receiver.topic</code>, say.</p><//>`;
  const discard = (/** @type {any} */ which, /** @type {string} */ what) => async () => {
    const yes = await ask({
      title: `Discard ${what}?`,
      text: html`<p>It is deleted for good and can't be had back. Export first what you may still want.</p>`,
      action: "Discard",
      isDangerous: true,
    });
    if (!yes) return null;
    const done = await send("POST", "/api/v1/set-aside/discard", which);
    await read();
    return done?.message ?? "Discarded.";
  };
  return html`${head}
    <${ViewerNote} />
    <${Panel} title=${counted(page.total, "frame")} side=${html`<${Action} kind="danger" label="Discard all ${counted(page.total, "frame")}" act=${discard({ all: true }, `all ${counted(page.total, "frame")}`)}>Discard all<//>`}>
      <${Table} caption="Frames set aside, newest first" rows=${page.frames} keyOf=${(/** @type {any} */ frame) => frame.id} columns=${[
        { title: "Frame", isMain: true, cell: (/** @type {any} */ frame) => `Frame\u00a0${frame.id}` },
        { title: "When", cell: (/** @type {any} */ frame) => html`<${When} at=${frame.at} />` },
        {
          title: "Reason",
          isWide: true,
          cell: (/** @type {any} */ frame) =>
            html`<strong>${plain(frame.reason)}</strong><br /><span class="quiet"><${DeviceText} text=${frame.explanation} max=${200} /></span>`,
        },
        { title: "Topic", cell: (/** @type {any} */ frame) => html`<${DeviceText} text=${frame.topic} max=${40} />` },
        { title: "Size", isNumber: true, cell: (/** @type {any} */ frame) => bytes(frame.size_bytes) },
        {
          title: "",
          cell: (/** @type {any} */ frame) => html`<span class="actions">
            <button type="button" aria-expanded=${opened === frame.id} aria-label="Look at frame ${frame.id}" onClick=${() => setOpened(opened === frame.id ? null : frame.id)}>Look</button>
            <a class="button" href="/api/v1/set-aside/${frame.id}/export" download="frame-${frame.id}.bin" aria-label="Export frame ${frame.id}">Export</a>
            <${Action} kind="danger" label="Discard frame ${frame.id}" act=${discard({ ids: [frame.id] }, `frame ${frame.id}`)}>Discard<//>
          </span>`,
        },
      ]} />
      ${opened !== null && html`<${Head} key=${opened} id=${opened} />`}
      ${
        (page.next_before || before) &&
        html`<nav class="pager" aria-label="Pages of frames">
        <button type="button" disabled=${!before} onClick=${() => setBefore("")}>Newest</button>
        <button type="button" disabled=${!page.next_before} onClick=${() => setBefore(String(page.next_before))}>Older</button>
      </nav>`
      }
    <//>
    ${dialog}`;
}

/** Its first bytes. @param {{id: number}} props */
function Head({ id }) {
  const [frame, setFrame] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const left = new AbortController();
    get(`/api/v1/set-aside/${id}`, left.signal).then(setFrame, (error) => left.signal.aborted || setProblem(error));
    return () => left.abort();
  }, [id]);
  if (!frame) return html`<${NoBody} problem=${problem} />`;
  return html`<h3>The first ${count(frame.head.length / 2)} bytes of frame ${id}</h3>
    <figure class="payload"><pre tabindex="0" role="region" aria-label="Bytes of frame ${id}">${dump(frame.head)}</pre></figure>`;
}

/** Sixteen bytes a line, as numbers and as letters. @param {string} hex */
function dump(hex) {
  const lines = [];
  for (let at = 0; at < hex.length; at += 32) {
    const pairs = hex.slice(at, at + 32).match(/../g) ?? [];
    const letters = pairs.map((pair) => {
      const code = Number.parseInt(pair, 16);
      return code > 31 && code < 127 ? String.fromCharCode(code) : "·";
    });
    lines.push(`${(at / 2).toString(16).padStart(4, "0")}  ${pairs.join(" ").padEnd(47)}  ${letters.join("")}`);
  }
  return lines.join("\n");
}
