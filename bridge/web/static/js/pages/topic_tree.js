// The tree: each level is asked for when it is opened, and again while it is open. Plain buttons and links, in lists.
import { get, query } from "../api.js";
import { count, rate } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { useLive } from "../live.js";
import { visible } from "../device_text.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Icon } from "../parts/icon.js";
import { topicAddress } from "../parts/messages.js";
import { PayloadLine } from "../parts/payload.js";
import { DeviceText } from "../parts/text.js";
import { usePlace, withQuery, go } from "../router.js";

const LIMIT = 100;
const MOST_OPEN = 12;
const AGAIN_MS = 2_000;
const TYPING_MS = 250;
const SORTS = /** @type {[string, string][]} */ ([
  ["per_s", "the fastest first"],
  ["name", "by name"],
  ["messages", "the most messages first"],
]);

/** The levels above a topic, as prefixes that end with "/". @param {string} topic */
const above = (topic) => [...topic.matchAll(/\//g)].map((match) => topic.slice(0, match.index + 1));

/** @param {{chosen: string | null}} props */
export function TopicTree({ chosen }) {
  const asked = usePlace().query;
  const sort = asked.get("sort") ?? "name";
  const search = asked.get("search") ?? "";
  const [limit, setLimit] = useState(LIMIT);
  const [open, setOpen] = useState(/** @type {string[]} */ (chosen ? above(chosen).slice(-MOST_OPEN) : []));
  const root = useLive(`/api/v1/topics${query({ prefix: "", sort, search, limit })}`);
  const below = useBelow(open, sort);
  const toggle = (/** @type {string} */ prefix) =>
    setOpen(
      open.includes(prefix) ? open.filter((one) => !one.startsWith(prefix)) : [...open, prefix].slice(-MOST_OPEN),
    );
  const change = (/** @type {Record<string, string | null>} */ changes) => go(withQuery(changes), { replace: true });
  return html`
    <${Filters} search=${search} sort=${sort} onChange=${change} />
    ${
      !root.body
        ? html`<${NoBody} problem=${root.problem} />`
        : root.body.topics.length === 0
          ? html`<${Empty} title=${search ? "No topic is like that." : "Nothing has been published since the gateway started."}>
            ${!search && html`<p>Try <code>fieldgate pub plant/line1/temp 21.5</code> on this box.</p>`}
          <//>`
          : html`<${Level} topics=${root.body.topics} open=${open} below=${below} chosen=${chosen} onToggle=${toggle} />
            ${
              root.body.total > root.body.topics.length &&
              html`<p><button type="button" onClick=${() => setLimit(limit + LIMIT)}>${count(root.body.total - root.body.topics.length)} more</button></p>`
            }
            ${root.body.sampled < 1 && html`<p class="quiet">So much flows that ${Math.round(root.body.sampled * 100)} % of it is looked at: rates are estimates.</p>`}
            ${!root.body.is_complete && html`<p class="quiet left-out">Some topics are not shown: too many flowed to remember them all, or one was too long.</p>`}`
    }`;
}

/** What is below each open prefix, asked for one after the other. @param {string[]} open @param {string} sort */
function useBelow(open, sort) {
  const [below, setBelow] = useState(/** @type {Record<string, any>} */ ({}));
  useEffect(() => {
    const left = new AbortController();
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const ask = async () => {
      for (const prefix of document.hidden ? [] : open) {
        try {
          const body = await get(`/api/v1/topics${query({ prefix, sort, limit: LIMIT })}`, left.signal);
          if (left.signal.aborted) return;
          setBelow((before) => ({ ...before, [prefix]: body }));
        } catch {
          // The banner tells that nobody answers; what was seen stays.
        }
      }
      if (!left.signal.aborted) timer = setTimeout(ask, AGAIN_MS);
    };
    void ask();
    return () => {
      left.abort();
      clearTimeout(timer);
    };
  }, [open.join("\n"), sort]);
  return below;
}

/** @param {{topics: any[], open: string[], below: Record<string, any>, chosen: string | null, onToggle: (prefix: string) => void}} props */
function Level({ topics, open, below, chosen, onToggle }) {
  return html`<ul class="tree">
    ${topics.map((node) => {
      const prefix = `${node.topic}/`;
      const isOpen = open.includes(prefix);
      const inside = below[prefix];
      return html`<li key=${node.topic}>
        <div class="node" data-chosen=${chosen === node.topic}>
          ${
            node.children > 0
              ? html`<button type="button" class="bare twist" aria-expanded=${isOpen} aria-label="${visible(node.topic, 80)}: ${count(node.children)} below it" onClick=${() => onToggle(prefix)}><${Icon} name="chevron" size=${16} /></button>`
              : html`<span class="twist"></span>`
          }
          <span class="node-name">${node.last ? html`<${DeviceText} text=${node.name} max=${40} href=${keepingTree(node.topic)} />` : html`<${DeviceText} text=${node.name} max=${40} />`}${node.is_retained && html` <span class="tag">retained</span>`}</span>
          <span class="node-value">${node.last && html`<${PayloadLine} payload=${node.last.payload} max=${36} />`}</span>
          <span class="node-rate number">${rate(node.per_s)}</span>
        </div>
        ${isOpen && (inside ? html`<${Level} topics=${inside.topics} open=${open} below=${below} chosen=${chosen} onToggle=${onToggle} />` : html`<p class="quiet">…</p>`)}
        ${isOpen && inside && inside.total > inside.topics.length && html`<p class="quiet more">${count(inside.total - inside.topics.length)} more: search for them.</p>`}
      </li>`;
    })}
  </ul>`;
}

/** A topic's address, with the tree's order and search kept. @param {string} topic */
function keepingTree(topic) {
  const here = new URLSearchParams(location.search);
  const query = new URLSearchParams();
  for (const key of ["sort", "search"]) if (here.has(key)) query.set(key, here.get(key) ?? "");
  query.set("topic", topic);
  return `${topicAddress("").split("?")[0]}?${query}`;
}

/** @param {{search: string, sort: string, onChange: (changes: Record<string, string | null>) => void}} props */
function Filters({ search, sort, onChange }) {
  const [typed, setTyped] = useState(search);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const timer = setTimeout(() => onChange({ search: typed || null }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`<form class="filters" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <label>Search <input type="search" value=${typed} maxlength="256" placeholder="part of a topic" onInput=${(/** @type {any} */ event) => setTyped(event.currentTarget.value)} /></label>
    <label>Order <select value=${sort} onChange=${(/** @type {any} */ event) => onChange({ sort: event.currentTarget.value === "name" ? null : event.currentTarget.value })}>
      ${SORTS.map(([value, name]) => html`<option key=${value} value=${value} selected=${value === sort}>${name}</option>`)}
    </select></label>
  </form>`;
}
