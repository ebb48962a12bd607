// One topic: its last message, its numbers over time, and what came before.
import { query } from "../api.js";
import { count, counted, rate } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { numericFields } from "../json_fields.js";
import { useLive } from "../live.js";
import { visible } from "../device_text.js";
import { Empty, NoBody } from "../parts/empty.js";
import { deviceLink, Messages } from "../parts/messages.js";
import { PayloadBlock } from "../parts/payload.js";
import { Panel } from "../parts/panel.js";
import { Plot } from "../parts/plot.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { useQueryValue } from "../router.js";

const MOST_POINTS = 1_000;
const SHOWN = 20;

/** @param {{topic: string}} props */
export function TopicPanel({ topic }) {
  const { body, problem } = useLive(`/api/v1/topics/one${query({ topic })}`);
  const [field, setField] = useQueryValue("field", "");
  const points = usePoints(body?.recent);
  const last = body?.recent[0] ?? body?.retained;
  const [isAll, setAll] = useState(false);
  const title = html`<${DeviceText} text=${topic} max=${60} />`;
  if (!body) return html`<${Panel} title=${title}><${NoBody} problem=${problem} /><//>`;
  return html`<${Panel} title=${title} kind="topic" side=${html`<a class="to-tree" href="/topics">← The tree</a>`}>
    <p class="lead">${rate(body.per_s)}, ${counted(body.messages, "message")} since the start, ${counted(body.subscribers, "subscriber")} here.</p>
    ${
      last
        ? html`<h3>Last value</h3>
          <p class="quiet"><${When} at=${last.at} /> from <${DeviceText} text=${last.client} max=${40} href=${deviceLink(last.client)} /></p>
          <${PayloadBlock} payload=${last.payload} label="The last payload of ${visible(topic, 80)}" />`
        : html`<${Empty} title=${body.messages ? "No message of this topic is remembered any more: others came since." : "Nothing was published here since the gateway started."} />`
    }
    <${FieldPlot} points=${points} field=${field} onField=${setField} topic=${topic} />
    ${
      body.retained &&
      html`<h3>Retained</h3>
      <p class="quiet">Whoever subscribes gets this first; from <${DeviceText} text=${body.retained.client} max=${40} />.</p>
      <${PayloadBlock} payload=${body.retained.payload} label="The retained payload of ${visible(topic, 80)}" />`
    }
    ${
      body.recent.length > 0 &&
      html`<h3>Recent messages</h3>
      <${Messages} caption="Recent messages of this topic, newest first" records=${isAll ? body.recent : body.recent.slice(0, SHOWN)} hides=${["topic"]} />
      ${body.recent.length > SHOWN && html`<p><button type="button" onClick=${() => setAll(!isAll)}>${isAll ? "Fewer" : `All ${count(body.recent.length)}`}</button></p>`}`
    }
  <//>`;
}

/** @typedef {{at: number, fields: Map<string, number>}} Point */

/** Points as they came while one looked, with what is remembered from before; oldest first.
 * @param {any[] | undefined} recent newest first */
function usePoints(recent) {
  const kept = useRef(/** @type {Point[]} */ ([]));
  const [points, setPoints] = useState(/** @type {Point[]} */ ([]));
  useEffect(() => {
    if (!recent?.length) return;
    const fresh = recent
      .map((record) => ({ at: Date.parse(record.at) / 1000, fields: numericFields(record.payload.text) }))
      .reverse();
    const before = kept.current.filter((point) => point.at < fresh[0].at);
    kept.current = [...before, ...fresh].slice(-MOST_POINTS);
    setPoints(kept.current);
  }, [recent]);
  return points;
}

/** @param {{points: Point[], field: string, onField: (field: string) => void, topic: string}} props */
function FieldPlot({ points, field, onField, topic }) {
  const names = useMemo(() => [...new Set(points.flatMap((point) => [...point.fields.keys()]))], [points]);
  const chosen = names.includes(field) ? field : names[0];
  const data = useMemo(() => {
    const known = points.filter((point) => chosen !== undefined && point.fields.has(chosen));
    return { at: known.map((point) => point.at), values: known.map((point) => point.fields.get(chosen ?? "") ?? null) };
  }, [points, chosen]);
  const lines = useMemo(() => [{ title: visible(chosen ?? "", 40), color: "--line-in", values: data.values }], [data]);
  if (chosen === undefined) return null;
  return html`<h3>Over time</h3>
    ${
      names.length > 1 &&
      html`<p><label>Field <select value=${chosen} onChange=${(/** @type {any} */ event) => onField(event.currentTarget.value)}>
      ${names.map((name) => html`<option key=${name} value=${name} selected=${name === chosen}>${visible(name, 60)}</option>`)}
    </select></label></p>`
    }
    ${
      data.at.length < 2
        ? html`<p class="quiet">One value so far; the next one begins the line.</p>`
        : html`<${Plot} title="${visible(chosen, 40)} of ${visible(topic, 60)}" at=${data.at} lines=${lines} unit=${number} isFromZero=${false} height=${220} />`
    }`;
}

/** @param {number | null | undefined} value */
const number = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(6))));
