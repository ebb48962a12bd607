// What is retained: the message that whoever subscribes gets first.
import { get, query } from "../api.js";
import { count } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Messages } from "../parts/messages.js";
import { Panel } from "../parts/panel.js";
import { go, withQuery } from "../router.js";

const LIMIT = 100;

/** @param {{filter: string}} props */
export function RetainedPanel({ filter }) {
  const [pages, setPages] = useState(/** @type {any[]} */ ([]));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const ask = async (/** @type {string | null} */ after, /** @type {AbortSignal | undefined} */ signal = undefined) => {
    try {
      const page = await get(`/api/v1/retained${query({ filter, after, limit: LIMIT })}`, signal);
      setPages((before) => (after === null ? [page] : [...before, page]));
      setProblem(null);
    } catch (error) {
      if (!signal?.aborted) setProblem(error);
    }
  };
  useEffect(() => {
    const left = new AbortController();
    void ask(null, left.signal);
    return () => left.abort();
  }, [filter]);
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const wanted = String(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get("filter"));
    if (wanted === filter) void ask(null);
    else go(withQuery({ filter: wanted === "#" ? null : wanted }), { replace: true });
  };
  const records = pages.flatMap((page) => page.retained);
  const next = pages.at(-1)?.next_after;
  return html`<${Panel} title="Retained messages">
    <form class="filters" role="search" onSubmit=${submit}>
      <label>Topic filter <input name="filter" defaultValue=${filter} maxlength="1024" spellcheck="false" placeholder="plant/+/temp or #" /></label>
      <button type="submit">Look</button>
    </form>
    ${problem && html`<p class="field-problem" role="alert">${problem.message}</p>`}
    ${
      pages.length === 0
        ? !problem && html`<${NoBody} problem=${null} />`
        : records.length === 0
          ? html`<${Empty} title="Nothing is retained there."><p>A message published with RETAIN stays for whoever subscribes later.</p><//>`
          : html`<p class="quiet">${count(pages[0].total)} retained in all.</p><${Messages} caption="Retained messages" records=${records} />`
    }
    ${next && html`<p><button type="button" onClick=${() => ask(next)}>More</button></p>`}
  <//>`;
}
