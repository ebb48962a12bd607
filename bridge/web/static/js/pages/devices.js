// Who is connected, who is away, who was refused.
import { query } from "../api.js";
import { count, counted, rate } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useLive } from "../live.js";
import { Empty, NoBody } from "../parts/empty.js";
import { ConnectDevice } from "../parts/first_steps.js";
import { deviceLink, topicLink } from "../parts/messages.js";
import { Pager } from "../parts/pager.js";
import { PageHead, Panel } from "../parts/panel.js";
import { State } from "../parts/state.js";
import { Table } from "../parts/table.js";
import { DeviceText } from "../parts/text.js";
import { When } from "../parts/when.js";
import { go, usePlace, withQuery } from "../router.js";

const LIMIT = 100;
const TYPING_MS = 250;
const STATES = /** @type {[string, string][]} */ ([
  ["all", "All"],
  ["connected", "Connected"],
  ["absent", "Away"],
]);

export function DevicesPage() {
  const asked = usePlace().query;
  const search = asked.get("search") ?? "";
  const state = asked.get("state") ?? "all";
  const sort = asked.get("sort") ?? "client";
  const order = asked.get("order") ?? "asc";
  const offset = Math.max(0, Number.parseInt(asked.get("offset") ?? "0", 10) || 0);
  const { body, problem } = useLive(`/api/v1/devices${query({ search, state, sort, order, limit: LIMIT, offset })}`);
  const change = (/** @type {Record<string, string | null>} */ changes) =>
    go(withQuery({ offset: null, ...changes }), { replace: true });
  return html`
    <${PageHead} title="Devices">${body && html`<p class="lead">${counted(body.connected, "device")} connected, ${count(body.absent)} away.</p>`}<//>
    <${Panel} title="All devices" kind="untitled">
    <${Filters} search=${search} state=${state} onChange=${change} />
    ${
      !body
        ? html`<${NoBody} problem=${problem} />`
        : body.devices.length === 0
          ? html`<${NoDevices} isFiltered=${search !== "" || state !== "all"} />`
          : html`<${DeviceTable} devices=${body.devices} sort=${sort} order=${order} onSort=${(/** @type {string} */ by, /** @type {string} */ way) => change({ sort: by, order: way })} />
            <${Pager} offset=${offset} limit=${LIMIT} total=${body.total} what="devices" onOffset=${(/** @type {number} */ to) => change({ offset: to ? String(to) : null })} />`
    }
    <//>
    ${body?.refused.length > 0 && html`<${Refused} refused=${body.refused} />`}`;
}

/** @param {{isFiltered: boolean}} props */
const NoDevices = ({ isFiltered }) =>
  isFiltered
    ? html`<${Empty} title="No device is like that."><p>Search finds part of a client id, a user name or an address.</p><//>`
    : html`<${Empty} title="No device has connected yet.">
        <${ConnectDevice} />
      <//>`;

/** @param {{search: string, state: string, onChange: (changes: Record<string, string | null>) => void}} props */
function Filters({ search, state, onChange }) {
  const [typed, setTyped] = useState(search);
  useEffect(() => {
    if (typed === search) return undefined;
    const timer = setTimeout(() => onChange({ search: typed || null }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`<form class="filters" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <label>Search <input type="search" value=${typed} placeholder="client, user or address" maxlength="256" onInput=${(/** @type {any} */ event) => setTyped(event.currentTarget.value)} /></label>
    <fieldset class="choice">
      <legend class="hidden">Which devices</legend>
      ${STATES.map(
        ([value, name]) =>
          html`<label key=${value}><input type="radio" name="state" checked=${state === value} onChange=${() => onChange({ state: value === "all" ? null : value })} /><span>${name}</span></label>`,
      )}
    </fieldset>
  </form>`;
}

/** @typedef {any} Device */

const COLUMNS = [
  {
    title: "Device",
    sort: "client",
    isMain: true,
    cell: (/** @type {Device} */ device) =>
      html`<${DeviceText} text=${device.client} max=${40} href=${deviceLink(device.client)} />`,
  },
  {
    title: "State",
    isPlain: true,
    card: "beside",
    cell: (/** @type {Device} */ device) =>
      html`<${State} state=${device.is_connected ? "connected" : "absent"} word=${device.is_connected ? "Connected" : "Away"} />`,
  },
  { title: "Since", sort: "since", isPlain: true, card: "steady", cell: (/** @type {Device} */ device) => html`<${When} at=${device.since} />` },
  { title: "MQTT", card: "aside", cell: (/** @type {Device} */ device) => device.protocol ?? "–" },
  { title: "Rate", sort: "per_s", isNumber: true, isPlain: true, cell: (/** @type {Device} */ device) => rate(device.per_s) },
  {
    title: "Published",
    sort: "published",
    isNumber: true,
    cell: (/** @type {Device} */ device) => count(device.published),
  },
  {
    title: "Last topic",
    isRoomy: true,
    isWide: true,
    isPlain: true,
    isIdle: (/** @type {Device} */ device) => device.last_topic === null,
    cell: (/** @type {Device} */ device) =>
      html`<${DeviceText} text=${device.last_topic} isCut=${device.is_last_topic_cut} max=${36} href=${device.is_last_topic_cut ? undefined : topicLink(device.last_topic)} />`,
  },
  {
    title: "Refused",
    isNumber: true,
    isIdle: (/** @type {Device} */ device) => device.refused === 0,
    cell: (/** @type {Device} */ device) => count(device.refused),
  },
  {
    title: "Waits for it",
    sort: "queued",
    isNumber: true,
    isIdle: (/** @type {Device} */ device) => device.queued === 0,
    cell: (/** @type {Device} */ device) => count(device.queued),
  },
];

/** @param {{devices: Device[], sort: string, order: string, onSort: (sort: string, order: string) => void}} props */
const DeviceTable = ({ devices, sort, order, onSort }) =>
  html`<${Table} caption="Devices" columns=${COLUMNS} rows=${devices} keyOf=${(/** @type {Device} */ device) => device.client} sort=${sort} order=${order} onSort=${onSort} isShort />`;

/** @param {{refused: any[]}} props */
const Refused = ({ refused }) => html`<${Panel} title="Refused at the door">
  <${Table} caption="Connections that were refused, newest first" rows=${refused} keyOf=${(/** @type {any} */ one) => `${one.client} ${one.address} ${one.reason}`} columns=${[
    {
      title: "Device",
      isMain: true,
      cell: (/** @type {any} */ one) => html`<${DeviceText} text=${one.client} max=${40} />`,
    },
    { title: "Reason", cell: (/** @type {any} */ one) => html`<${DeviceText} text=${one.reason} max=${120} />` },
    { title: "From", cell: (/** @type {any} */ one) => one.address ?? "–" },
    { title: "Times", isNumber: true, cell: (/** @type {any} */ one) => count(one.count) },
    { title: "Last", cell: (/** @type {any} */ one) => html`<${When} at=${one.at} />` },
  ]} />
<//>`;
