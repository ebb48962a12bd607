// The cloud side: which gateways speak, what is missing of them, and whether the sinks keep up.
import { count, counted, duration, plain, range, rate } from "../format.js";
import { html } from "../html.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Facts } from "../parts/facts.js";
import { PageHead, Panel } from "../parts/panel.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { Tile } from "../parts/tile.js";
import { When } from "../parts/when.js";

/** @param {{summary: import("../live.js").Live, verdict: any}} props */
export function ReceiverPage({ summary, verdict }) {
  const { body, problem } = summary;
  if (!body) return html`<${PageHead} title="Receiver" /><${NoBody} problem=${problem} />`;
  return html`
    <${PageHead} title="Receiver" heading=${html`<span class="hidden">Receiver</span>`} />
    ${verdict}
    <div class="tiles">
      <${Tile} name="In" value=${rate(body.records_per_s)} lines=${[counted(body.records, "record"), counted(body.frames, "frame")]} />
      <${Tile} name="Link" tone=${body.link.state === "online" ? "ok" : "warning"} value=${html`<${State} state=${body.link.state} />`} lines=${[html`<${DeviceText} text=${body.link.url ?? body.link.last_error ?? ""} max=${50} />`]} />
      <${Tile} name="Missing" tone=${body.missing ? "critical" : undefined} value=${count(body.missing)} lines=${[`${counted(body.dropped, "record")} given up by gateways`, `${counted(body.duplicates, "duplicate")} dropped here`]} />
      <${Tile} name="Set aside" href="/set-aside" tone=${body.set_aside ? "warning" : undefined} value=${count(body.set_aside)} lines=${["frames that could not be read"]} />
    </div>
    <${Panel} title="Gateways">
      ${
        body.gateways.length === 0
          ? html`<${Empty} title="No gateway has sent a frame yet."><p>Its uplink has to reach the same broker, with the topic that <code>receiver.topic</code> names.</p><//>`
          : body.gateways.map(
              (/** @type {any} */ gateway) => html`<${Gateway} key=${gateway.gateway} gateway=${gateway} />`,
            )
      }
    <//>
    <${Panel} title="Sinks"><${Sinks} sinks=${body.sinks} /><//>`;
}

/** @param {{gateway: any}} props */
const Gateway = ({ gateway }) => html`<article class="gateway">
  <h3><${DeviceText} text=${gateway.gateway} max=${60} /></h3>
  <${Facts} facts=${[
    ["Last frame", html`<${When} at=${gateway.last_frame_at} />`],
    ["Rate", rate(gateway.per_s)],
    ["Records", `${count(gateway.records)} in ${counted(gateway.frames, "frame")}`],
    ["Behind", duration(gateway.lag_s)],
    ["Duplicates dropped", count(gateway.duplicates)],
    ["Missing", count(gateway.missing)],
  ]} />
  <${Table} caption="Its streams" rows=${gateway.streams} keyOf=${(/** @type {any} */ stream) => `${stream.stream} ${stream.epoch}`} columns=${[
    {
      title: "Stream",
      isMain: true,
      cell: (/** @type {any} */ stream) => html`<${DeviceText} text=${stream.stream} max=${40} />`,
    },
    { title: "Records", isNumber: true, cell: (/** @type {any} */ stream) => count(stream.records) },
    { title: "Next number", isNumber: true, cell: (/** @type {any} */ stream) => count(stream.next_seq) },
    { title: "Duplicates", isNumber: true, cell: (/** @type {any} */ stream) => count(stream.duplicates) },
    { title: "Dropped on purpose", cell: (/** @type {any} */ stream) => ranges(stream.gaps) },
    { title: "Missing", cell: (/** @type {any} */ stream) => ranges(stream.holes) },
  ]} />
</article>`;

/** @param {{first_seq: number, count: number, reason?: string}[] | undefined} all */
function ranges(all) {
  if (!all?.length) return "none";
  const shown = all
    .slice(0, 5)
    .map(
      (one) =>
        html`<div>${range(one.first_seq, one.count)}${one.reason ? `: ${plain(one.reason)}` : ""}</div>`,
    );
  return html`${shown}${all.length > 5 && html`<div class="quiet">and ${count(all.length - 5)} more</div>`}`;
}

/** @param {{sinks: any[]}} props */
const Sinks = ({ sinks }) =>
  html`<${Table} caption="Sinks" rows=${sinks} keyOf=${(/** @type {any} */ sink) => sink.name} columns=${[
    { title: "Sink", isMain: true, cell: (/** @type {any} */ sink) => html`<strong>${sink.name}</strong>` },
    { title: "State", cell: (/** @type {any} */ sink) => html`<${State} state=${sink.state} />` },
    { title: "Rate", isNumber: true, cell: (/** @type {any} */ sink) => rate(sink.per_s) },
    { title: "Records", isNumber: true, cell: (/** @type {any} */ sink) => count(sink.records) },
    {
      title: "Behind",
      isNumber: true,
      cell: (/** @type {any} */ sink) =>
        sink.lag_records ? `${counted(sink.lag_records, "record")}, ${duration(sink.lag_s)}` : "nothing",
    },
    { title: "Last write", cell: (/** @type {any} */ sink) => html`<${When} at=${sink.last_write_at} />` },
    { title: "Errors", isNumber: true, cell: (/** @type {any} */ sink) => count(sink.errors) },
    {
      title: "Last error",
      isWide: true,
      cell: (/** @type {any} */ sink) =>
        sink.last_error ? html`<${DeviceText} text=${sink.last_error} max=${120} />` : "none",
    },
  ]} />`;
