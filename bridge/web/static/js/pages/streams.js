// What waits, in which lane, for how long; the roads out, what is on them, and how to hold them back.
import { send } from "../api.js";
import { bytes, count, counted, due, duration, plain, rate } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Action, ViewerNote } from "../parts/action.js";
import { useQuestion } from "../parts/dialog.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Facts } from "../parts/facts.js";
import { Meter } from "../parts/meter.js";
import { PageHead, Panel } from "../parts/panel.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { useQueryValue } from "../router.js";
import { QueuePanel } from "./queue.js";

export function StreamsPage() {
  const { body, problem } = useLive("/api/v1/streams");
  const [looked, look] = useQueryValue("queue", "");
  const [dialog, ask] = useQuestion();
  if (!body) return html`<${PageHead} title="Streams" /><${NoBody} problem=${problem} />`;
  return html`
    <${PageHead} title="Streams"><p class="lead">What waits on the disk, and the roads that take it away.</p><//>
    <${ViewerNote} />
    <${Streams} streams=${body.streams} looked=${looked} onLook=${look} />
    ${looked && html`<${QueuePanel} key=${looked} stream=${looked} onClose=${() => {
        document.getElementById(lookId(looked))?.focus();
        look("");
      }} />`}
    <${Spool} spool=${body.spool} />
    ${body.uplinks.length === 0 && html`<${Empty} title="No uplink is configured."><p>Records stay on this box. Name an uplink in the <a href="/configuration">configuration</a>, section <code>uplinks</code>.</p><//>`}
    ${body.uplinks.map((/** @type {any} */ uplink) => html`<${UplinkPanel} key=${uplink.name} uplink=${uplink} ask=${ask} />`)}
    ${dialog}`;
}

/** The button that opens a queue, and has the focus again when it is closed. @param {string} stream */
const lookId = (stream) => `look-${stream}`;

/** @param {Record<string, number>} dropped */
function drops(dropped) {
  const all = Object.entries(dropped).filter(([, records]) => records > 0);
  return all.length ? all.map(([reason, records]) => `${count(records)} ${plain(reason)}`).join(", ") : "none";
}

/** @param {{streams: any[], looked: string, onLook: (stream: string) => void}} props */
function Streams({ streams, looked, onLook }) {
  const columns = [
    {
      title: "Stream",
      isMain: true,
      cell: (/** @type {any} */ stream) =>
        html`<strong>${stream.name}</strong> <span class="quiet"><bdi>${stream.topics.join(", ")}</bdi></span>`,
    },
    { title: "Waiting", isNumber: true, cell: (/** @type {any} */ stream) => count(stream.records) },
    { title: "Size", isNumber: true, cell: (/** @type {any} */ stream) => bytes(stream.bytes) },
    { title: "Oldest", isNumber: true, cell: (/** @type {any} */ stream) => duration(stream.oldest_age_s) },
    { title: "In", isNumber: true, cell: (/** @type {any} */ stream) => rate(stream.in_per_s) },
    { title: "Out", isNumber: true, cell: (/** @type {any} */ stream) => rate(stream.out_per_s) },
    {
      title: "Drained in",
      isNumber: true,
      cell: (/** @type {any} */ stream) =>
        stream.records === 0
          ? "empty"
          : stream.drained_in_s === null
            ? "not at this rate"
            : duration(stream.drained_in_s),
    },
    { title: "Dropped", cell: (/** @type {any} */ stream) => drops(stream.dropped) },
    {
      title: "Kept for",
      cell: (/** @type {any} */ stream) => (stream.time_to_live_s === null ? "ever" : duration(stream.time_to_live_s)),
    },
    {
      title: "",
      cell: (
        /** @type {any} */ stream,
      ) => html`<button type="button" id=${lookId(stream.name)} aria-expanded=${looked === stream.name}
        onClick=${() => onLook(looked === stream.name ? "" : stream.name)}>Look inside<span class="hidden"> ${stream.name}</span></button>`,
    },
  ];
  return html`<${Panel} title="Queues"><${Table} caption="Streams" columns=${columns} rows=${streams} keyOf=${(/** @type {any} */ stream) => stream.name} /><//>`;
}

/** @param {{spool: any}} props */
function Spool({ spool }) {
  const share = spool.limit_bytes ? spool.size_bytes / spool.limit_bytes : 0;
  return html`<${Panel} title="Disk">
    <${Meter} value=${share} label="Room taken of what the queue may have" isCritical=${spool.is_refusing} />
    <${Facts} facts=${[
      ["Taken", `${bytes(spool.size_bytes)} of ${bytes(spool.limit_bytes)}`],
      [
        "Full in",
        spool.is_refusing
          ? "full now: new records are refused"
          : spool.full_in_s === null
            ? "not at this rate"
            : duration(spool.full_in_s),
      ],
      ["When full", plain(String(spool.when_full))],
      ["Free on the disk", bytes(spool.disk_free_bytes)],
    ]} />
  <//>`;
}

/** @param {{uplink: any, ask: (question: any) => Promise<boolean>}} props */
function UplinkPanel({ uplink, ask }) {
  const act = (/** @type {string} */ verb) => async () =>
    (await send("POST", `/api/v1/uplinks/${encodeURIComponent(uplink.name)}/${verb}`)).message;
  const pause = async () => {
    const yes = await ask({
      title: `Pause the uplink ${uplink.name}?`,
      text: html`<p>Nothing more is sent to <bdi>${uplink.url}</bdi> until somebody resumes it, over restarts too. Devices go on publishing, and what they say is kept on the disk until it is full.</p>`,
      action: "Pause",
      isDangerous: true,
    });
    return yes ? act("pause")() : null;
  };
  const frames = uplink.in_flight;
  return html`<${Panel} title=${`Uplink ${uplink.name}`} side=${html`<${State} state=${uplink.state} />`}>
    <p class="lead"><bdi>${uplink.url}</bdi>${uplink.is_paused && html` — paused by <bdi>${uplink.paused_by ?? "somebody"}</bdi>`}, since <${When} at=${uplink.since} isClock />.
      ${uplink.last_error && uplink.state !== "online" && html` <${DeviceText} text=${uplink.last_error} max=${200} />`}
      ${uplink.next_try_in_s !== null && uplink.next_try_in_s !== undefined && ` The next try is ${due(uplink.next_try_in_s)}.`}</p>
    <div class="actions">
      ${
        uplink.is_paused
          ? html`<${Action} kind="primary" act=${act("resume")} label="Resume ${uplink.name}">Resume<//>`
          : html`<${Action} act=${pause} label="Pause ${uplink.name}">Pause<//>`
      }
      <${Action} act=${act("drain")} reason=${uplink.is_paused ? "It is paused: resume it first." : null} >Drain now<span class="hidden"> ${uplink.name}</span><//>
      <span class="quiet">Drain now: connect at once, and send what waits without waiting for company.</span>
    </div>
    <${Facts} facts=${[
      ["Delivered", counted(uplink.records, "record")],
      ["Frames", count(uplink.frames)],
      ["On the wire", `${bytes(uplink.wire_bytes)} of ${bytes(uplink.raw_bytes)}`],
      ["Sent again", count(uplink.retries)],
      [
        "Dead letters",
        html`<a href="/dead-letters?uplink=${encodeURIComponent(uplink.name)}">${count(uplink.dead_letters)}</a>`,
      ],
      ["Carries", uplink.streams.join(", ")],
    ]} />
    <h3>In flight: ${count(uplink.in_flight_total)} of at most ${count(uplink.window)} frames</h3>
    ${
      frames.length > 0 &&
      html`<${Table} caption="Frames in flight" rows=${frames} keyOf=${(/** @type {any} */ frame) => `${frame.stream} ${frame.first_seq}`} columns=${[
        { title: "Stream", isMain: true, cell: (/** @type {any} */ frame) => frame.stream },
        { title: "From number", isNumber: true, cell: (/** @type {any} */ frame) => count(frame.first_seq) },
        { title: "Records", isNumber: true, cell: (/** @type {any} */ frame) => count(frame.records) },
        { title: "Size", isNumber: true, cell: (/** @type {any} */ frame) => bytes(frame.size_bytes) },
        { title: "Attempt", isNumber: true, cell: (/** @type {any} */ frame) => count(frame.attempt) },
        { title: "Sent", isNumber: true, cell: (/** @type {any} */ frame) => `${duration(frame.sent_ago_s)} ago` },
      ]} />`
    }
    ${uplink.in_flight_total > frames.length && html`<p class="quiet">${count(uplink.in_flight_total - frames.length)} more are not listed.</p>`}
  <//>`;
}
