// One device: what it said, what it listens to, its session, and how to send it away.
import { send } from "../api.js";
import { bytes, count, counted, duration, plain, rate } from "../format.js";
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { visible } from "../device_text.js";
import { Action, ViewerNote } from "../parts/action.js";
import { useQuestion } from "../parts/dialog.js";
import { Empty, NoBody } from "../parts/empty.js";
import { Facts } from "../parts/facts.js";
import { clientEnd, Messages } from "../parts/messages.js";
import { PageHead, Panel } from "../parts/panel.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { usePlace } from "../router.js";

const BACK = { href: "/devices", text: "All devices" };
const SHOWN = 20;

/** What stands behind /devices/ in the address; null when it is no client id. @param {string} path */
function clientOf(path) {
  try {
    return decodeURIComponent(path.slice("/devices/".length));
  } catch {
    return null;
  }
}

/** @param {{path: string}} props */
export function DevicePage({ path }) {
  const client = usePlace().query.get("client") ?? clientOf(path);
  const address = (rest = "") => `/api/v1/devices/${clientEnd(client ?? "", rest)}`;
  const { body, problem } = useLive(client === null ? null : address());
  const [dialog, ask] = useQuestion();
  const head = html`<${PageHead} title=${`Device ${visible(client ?? "", 60)}`} back=${BACK} heading=${html`<${DeviceText} text=${client} max=${80} />`}>
    ${body && html`<p class="lead"><${State} state=${body.is_connected ? "connected" : "absent"} word=${body.is_connected ? "Connected" : "Away"} /> <${When} at=${body.since} /></p>`}
  <//>`;
  if (client === null)
    return html`${head}<${Empty} title="This address names no device."><p>What stands behind /devices/ is a client id, with %25 for each percent sign.</p><//>`;
  if (!body) return html`${head}<${NoBody} problem=${problem} />`;
  const disconnect = async () => {
    const yes = await ask({
      title: "Disconnect this device?",
      text: html`<p><${DeviceText} text=${client} max=${120} /> is told that an administrator ended its connection (reason 0x98), and its connection is closed.</p>
        <p>${body.is_durable ? "Its session stays, and keeps what is published for it." : "Its session ends with it."} Most devices connect again by themselves.</p>`,
      action: "Disconnect",
      isDangerous: true,
    });
    return yes ? (await send("POST", address("/disconnect"))).message : null;
  };
  return html`${head}
    <${ViewerNote} />
    <div class="actions"><${Action} act=${disconnect} kind="danger" label="Disconnect ${visible(client ?? "", 60)}" reason=${body.is_connected ? null : "It is not connected."}>Disconnect<//></div>
    <${Panel} title="Connection"><${Facts} facts=${connection(body)} /><//>
    <${Panel} title="Subscriptions">${body.subscription_list.length ? html`<${Subscriptions} list=${body.subscription_list} />` : html`<${Empty} title="It has subscribed to nothing." />`}<//>
    <${Panel} title="Last messages">
      ${
        body.messages.length
          ? html`<${LastMessages} messages=${body.messages} />`
          : html`<${Empty} title=${body.published ? "None of its messages is remembered any more: others spoke since." : "It has published nothing since it connected."} />`
      }
    <//>
    ${dialog}`;
}

/** @param {{messages: any[]}} props */
function LastMessages({ messages }) {
  const [isAll, setAll] = useState(false);
  return html`<${Messages} caption="Its last messages, newest first" records=${isAll ? messages : messages.slice(0, SHOWN)} hides=${["client"]} />
    ${messages.length > SHOWN && html`<p><button type="button" onClick=${() => setAll(!isAll)}>${isAll ? "Fewer" : `All ${count(messages.length)}`}<span class="hidden"> messages</span></button></p>`}`;
}

/** @param {any} device @returns {[string, any][]} */
const connection = (device) => [
  ["Address", device.address ?? "–"],
  ["Listener", device.listener ?? "–"],
  ["MQTT", device.protocol ?? "–"],
  ["User", html`<${DeviceText} text=${device.username} max=${60} />`],
  ["Keep alive", device.keep_alive_s ? duration(device.keep_alive_s) : "none asked for"],
  [
    "Session",
    device.is_durable
      ? device.session_expiry_s === null
        ? "kept for ever"
        : `kept for ${duration(device.session_expiry_s)}`
      : "ends with the connection",
  ],
  ["Published", `${counted(device.published, "message")}, ${bytes(device.published_bytes)}, ${rate(device.per_s)}`],
  ["Delivered to it", count(device.delivered)],
  [
    "Waits for it",
    `${counted(device.queued, "message")}, ${bytes(device.queued_bytes)}; ${count(device.in_flight)} in flight`,
  ],
  ["Refused", refusals(device)],
  ["Will", device.will ? html`<${DeviceText} text=${device.will.topic} max=${60} />, QoS ${device.will.qos}` : "none"],
];

/** @param {any} device */
function refusals(device) {
  const reasons = Object.entries(device.refusals ?? {}).map(
    ([reason, times]) => `${count(Number(times))} ${plain(reason)}`,
  );
  return reasons.length ? reasons.join(", ") : count(device.refused);
}

/** @param {{list: any[]}} props */
const Subscriptions = ({ list }) =>
  html`<${Table} caption="Its subscriptions" rows=${list} keyOf=${(/** @type {any} */ one) => `${one.shared ?? ""} ${one.filter}`} columns=${[
    {
      title: "Filter",
      isMain: true,
      cell: (/** @type {any} */ one) => html`<${DeviceText} text=${one.filter} max=${60} />`,
    },
    { title: "QoS", isNumber: true, cell: (/** @type {any} */ one) => one.qos },
    {
      title: "Shared with",
      cell: (/** @type {any} */ one) =>
        one.shared ? html`<${DeviceText} text=${String(one.shared)} max=${40} />` : "nobody",
    },
    {
      title: "Options",
      cell: (/** @type {any} */ one) =>
        [one.no_local && "not its own", one.retain_as_published && "retain as published"].filter(Boolean).join(", ") ||
        "–",
    },
  ]} />`;
