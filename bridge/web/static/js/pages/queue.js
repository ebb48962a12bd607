// A look into one stream's queue: the records that wait, from the oldest on.
import { get, query } from "../api.js";
import { range } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Messages } from "../parts/messages.js";
import { Panel } from "../parts/panel.js";

const LIMIT = 50;

/** @param {{stream: string, onClose: () => void}} props */
export function QueuePanel({ stream, onClose }) {
  const [fromSeq, setFromSeq] = useState(/** @type {number | null} */ (null));
  const [page, setPage] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [times, setTimes] = useState(0);
  const path = `/api/v1/queue/${encodeURIComponent(stream)}`;
  useEffect(() => {
    const left = new AbortController();
    get(path + query({ from_seq: fromSeq, limit: LIMIT }), left.signal).then(
      setPage,
      (error) => left.signal.aborted || setProblem(error),
    );
    return () => left.abort();
  }, [path, fromSeq, times]);
  return html`<${Panel} title=${`What waits in ${stream}`} side=${html`<button type="button" onClick=${onClose}>Close<span class="hidden"> what waits in ${stream}</span></button>`}>
    ${
      !page
        ? html`<${NoBody} problem=${problem} />`
        : page.records.length === 0
          ? html`<${Empty} title="Nothing waits here: all of it has been delivered." />`
          : html`<${Messages} caption="Records that wait in ${stream}" records=${page.records} />`
    }
    <div class="actions">
      <button type="button" onClick=${() => (setFromSeq(null), setTimes(times + 1))}>From the oldest, again</button>
      <button type="button" disabled=${!page?.next_from_seq} onClick=${() => setFromSeq(page.next_from_seq)}>Next ${LIMIT}</button>
      <a class="button" href="${path}/export" download="${stream}.ndjson">Export all</a>
      ${page && html`<span class="quiet">${page.next_seq > page.first_seq && `Waiting: ${range(page.first_seq, page.next_seq - page.first_seq)}. `}Looking takes nothing away.</span>`}
    </div>
  <//>`;
}
