// Is the data safe, when will it arrive, and what was the last day like?
import { get } from "../api.js";
import { bytes, byteRate, count, counted, due, duration, rate } from "../format.js";
import { html, useEffect, useMemo, useState } from "../html.js";
import { Band, BandKey, statesSeen } from "../parts/band.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Events } from "../parts/events.js";
import { FirstSteps } from "../parts/first_steps.js";
import { PageHead, Panel } from "../parts/panel.js";
import { Plot } from "../parts/plot.js";
import { State, toneOf } from "../parts/state.js";
import { Tile } from "../parts/tile.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { useQueryValue } from "../router.js";

const SPANS = ["1h", "6h", "24h", "7d", "30d"];
const SPAN_NAMES = /** @type {Record<string, string>} */ ({
  "1h": "1 hour",
  "6h": "6 hours",
  "24h": "24 hours",
  "7d": "7 days",
  "30d": "30 days",
});

/** @param {{summary: import("../live.js").Live, verdict: any}} props */
export function OverviewPage({ summary, verdict }) {
  const now = summary.body;
  const [asked, setSpan] = useQueryValue("span", "24h");
  const span = SPANS.includes(asked) ? asked : "24h";
  const states = now
    ? now.uplinks.map((/** @type {any} */ uplink) => `${uplink.name} ${uplink.state} ${uplink.since}`).join("\n")
    : "";
  const lastDay = useHistory("24h", states);
  const wanted = useHistory(span, states);
  if (!now) return html`<${PageHead} title="Overview" /><${NoBody} problem=${summary.problem} />`;
  return html`
    <${PageHead} title="Overview" heading=${html`<span class="hidden">Overview</span>`} />
    ${verdict}
    <${Tiles} now=${now} />
    ${lastDay && isNew(now, lastDay) && html`<${Panel} title="Begin here"><${FirstSteps} hasUplink=${now.uplinks.length > 0} /><//>`}
    ${lastDay && now.uplinks.length > 0 && html`<${Bands} history=${lastDay} />`}
    <${Panel} title="Over time" side=${html`<${Spans} span=${span} onSpan=${setSpan} />`}>
      ${wanted && html`<${Plots} history=${wanted} />`}
    <//>
    <${Panel} title="Last events">
      ${now.events.length ? html`<${Events} events=${now.events} />` : html`<${Empty} title="Nothing has happened yet." />`}
    <//>`;
}

/** Whether no record has come, since the start and in the day before. @param {any} now @param {any} lastDay */
const isNew = (now, lastDay) =>
  now.in.records === 0 && now.queued.records === 0 && !lastDay.in_per_s.some((/** @type {number | null} */ value) => value);

/** The history of a span, asked for as often as a new point can be in it, and when an uplink's state is another.
 * @param {string} span @param {string} states */
function useHistory(span, states) {
  const [history, setHistory] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const left = new AbortController();
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const ask = async () => {
      let pause_s = 5;
      if (!document.hidden) {
        try {
          const body = await get(`/api/v1/history?span=${span}`, left.signal);
          setHistory(body);
          pause_s = Math.min(60, Math.max(2, body.step_s));
        } catch {
          // The banner tells that nobody answers; what was seen stays.
        }
      }
      if (!left.signal.aborted) timer = setTimeout(ask, pause_s * 1000);
    };
    void ask();
    return () => {
      left.abort();
      clearTimeout(timer);
    };
  }, [span, states]);
  return history;
}

/** How much less went over the wire than came in; never all of it. @param {number | null} ratio */
function savedShare(ratio) {
  if (!ratio) return "–";
  const percent = Math.max(0, (1 - 1 / ratio) * 100);
  return percent > 99.5 ? "over 99 %" : `${Math.round(percent)} %`;
}

/** @param {{now: any}} props */
function Tiles({ now }) {
  const { queued, saved, devices } = now;
  const dropped = Object.values(now.dropped ?? {}).reduce((sum, value) => sum + value, 0);
  const outlook =
    queued.full_in_s !== null && queued.full_in_s !== undefined
      ? `Full in ${duration(queued.full_in_s)} at this rate`
      : queued.drained_in_s !== null && queued.drained_in_s !== undefined && queued.records > 0
        ? `Delivered in about ${duration(queued.drained_in_s)}`
        : queued.records > 0
          ? "Waits for the uplink"
          : "Nothing waits";
  return html`<div class="tiles road">
    <${Tile} name="In" href="/devices" value=${rate(now.in.per_s)} lines=${[
      `${counted(now.in.records, "record")} since the start`,
      `${counted(devices.connected, "device")} connected${devices.absent ? `, ${count(devices.absent)} away` : ""}`,
    ]} />
    <${Tile} name="Queued" href="/streams" value=${count(queued.records)} tone=${queued.full_in_s !== null && queued.full_in_s < 86400 ? "warning" : undefined} lines=${[
      queued.records ? `${bytes(queued.bytes)}, the oldest ${duration(queued.oldest_age_s)}` : "records on disk",
      outlook,
      ...(dropped ? [`${counted(dropped, "record")} dropped`] : []),
    ]} />
    <${UplinkTile} uplinks=${now.uplinks} />
    <${Tile} name="Saved on the wire" href="/streams" value=${savedShare(saved.ratio)} lines=${
      saved.raw_bytes
        ? [`${bytes(saved.raw_bytes)} of messages`, `went as ${bytes(saved.wire_bytes)}`]
        : ["Known when the first frame", "has been delivered"]
    } />
  </div>`;
}

const WORST = ["critical", "warning", "paused", "quiet", "ok"];

/** @param {{uplinks: any[]}} props */
function UplinkTile({ uplinks }) {
  if (uplinks.length === 0)
    return html`<${Tile} name="Uplink" href="/configuration" value="None" lines=${["Name one in the section uplinks", "of the configuration"]} />`;
  const worst = [...uplinks].sort(
    (one, other) => WORST.indexOf(toneOf(one.state)) - WORST.indexOf(toneOf(other.state)),
  )[0];
  const online = uplinks.filter((uplink) => uplink.state === "online").length;
  return html`<${Tile} name=${uplinks.length === 1 ? `Uplink ${worst.name}` : "Uplinks"} href="/streams" tone=${toneOf(worst.state)}
    value=${uplinks.length === 1 || online < uplinks.length ? html`<${State} state=${worst.state} />` : `${online} of ${uplinks.length} online`}
    lines=${[
      uplinks.length > 1 && online < uplinks.length
        ? html`${worst.name}, since <${When} at=${worst.since} isClock />`
        : html`since <${When} at=${worst.since} isClock />, ${rate(worst.per_s)} out`,
      worst.state === "online"
        ? `${counted(worst.delivered, "record")} delivered`
        : html`<${DeviceText} text=${worst.reason ?? "no reason was given"} max=${160} />`,
      ...(worst.next_try_in_s !== null && worst.next_try_in_s !== undefined
        ? [`next try ${due(worst.next_try_in_s)}`]
        : []),
    ]} />`;
}

/** @param {{history: any}} props */
function Bands({ history }) {
  const names = Object.keys(history.uplinks);
  const states = [...new Set(names.flatMap((name) => statesSeen(history.uplinks[name], history.from, history.to)))];
  return html`<${Panel} title=${names.length === 1 ? `Uplink ${names[0]}, the last 24 hours` : "The uplinks, the last 24 hours"} side=${html`<${BandKey} states=${states} />`}>
    ${names.map(
      (name) => html`<div key=${name}>${names.length > 1 && html`<h3>${name}</h3>`}
        <${Band} name=${name} stretches=${history.uplinks[name]} from_s=${history.from} to_s=${history.to} /></div>`,
    )}
  <//>`;
}

/** @param {{history: any}} props */
function Plots({ history }) {
  const lines = useMemo(() => {
    const rates = [
      { title: "in", color: "--line-in", values: history.in_per_s, isFilled: true },
      { title: "out", color: "--line-out", values: history.out_per_s, dash: [7, 4] },
    ];
    if (history.dropped_per_s?.some((/** @type {number | null} */ value) => value))
      rates.push({ title: "dropped", color: "--line-dropped", values: history.dropped_per_s, dash: [2, 3] });
    return {
      rates,
      depth: [{ title: "waiting", color: "--line-depth", values: history.records, isFilled: true }],
      wire: [
        { title: "messages", color: "--line-in", values: history.raw_bytes_per_s },
        { title: "on the wire", color: "--line-out", values: history.wire_bytes_per_s, dash: [7, 4] },
      ],
    };
  }, [history]);
  if (!history.at.some((/** @type {number} */ _at, /** @type {number} */ row) => history.records[row] !== null)) {
    return html`<${Empty} title="There is no history yet."><p>It begins when the gateway has run for a few seconds.</p><//>`;
  }
  return html`<p class="quiet plots-note">One point is ${duration(history.step_s)}. Gaps: the gateway was not running.</p>
    <${Plot} title="Records a second" at=${history.at} lines=${lines.rates} unit=${rate} group="overview" />
    <${Plot} title="Records that wait" at=${history.at} lines=${lines.depth} unit=${count} group="overview" isWhole />
    <${Plot} title="Bytes a second" at=${history.at} lines=${lines.wire} unit=${byteRate} group="overview" height=${150} isBytes />`;
}

/** @param {{span: string, onSpan: (span: string) => void}} props */
const Spans = ({ span, onSpan }) => html`<fieldset class="choice">
  <legend class="hidden">How far back</legend>
  ${SPANS.map(
    (value) =>
      html`<label key=${value}><input type="radio" name="span" value=${value} checked=${value === span} onChange=${() => onSpan(value)} /><span>${SPAN_NAMES[value]}</span></label>`,
  )}
</fieldset>`;
