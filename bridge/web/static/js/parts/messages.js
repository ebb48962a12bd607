// A list of records: who said what, where and when.
import { count } from "../format.js";
import { LONGEST_NAME } from "../device_text.js";
import { html } from "../html.js";
import { PayloadLine } from "./payload.js";
import { Table } from "./table.js";
import { DeviceText } from "./text.js";
import { When } from "./when.js";

/** The client as the end of an address: "." and ".." are directions in a path, so they go into the query.
 * @param {string} client @param {string} [rest] of the path */
export const clientEnd = (client, rest = "") =>
  /^\.{1,2}$/.test(client) ? `-${rest}?${new URLSearchParams({ client })}` : encodeURIComponent(client) + rest;

/** @param {string} client */
export const deviceAddress = (client) => `/devices/${clientEnd(client)}`;

/** @param {string} topic */
export const topicAddress = (topic) => `/topics?${new URLSearchParams({ topic })}`;

/** A request's first line holds 8190 bytes: what is longer has a name, and no address. */
const LONGEST = 7_000;

/** The address, or nothing where it would be too long to be asked for. @param {string} address */
const linkTo = (address) => (address.length > LONGEST ? undefined : address);

/** A link to the device, where there can be one. @param {string | null | undefined} client */
export const deviceLink = (client) =>
  client && client.length <= LONGEST_NAME ? linkTo(deviceAddress(client)) : undefined;

/** A link to the topic, where there can be one. @param {string | null | undefined} topic */
export const topicLink = (topic) =>
  topic && topic.length <= LONGEST_NAME ? linkTo(topicAddress(topic)) : undefined;

/** @param {{caption: string, records: any[], hides?: ("client" | "topic")[]}} props */
export function Messages({ caption, records, hides = [] }) {
  const seen = new Map();
  const keyed = records.map((record) => {
    const base = record.seq ?? `${record.at} ${record.client} ${record.topic}`;
    const times = (seen.get(base) ?? 0) + 1;
    seen.set(base, times);
    return { ...record, key: `${base} ${times}` };
  });
  const columns = [
    ...(keyed.some((record) => record.seq !== undefined)
      ? [{ title: "Number", isNumber: true, cell: (/** @type {any} */ record) => count(record.seq) }]
      : []),
    ...(keyed.some((record) => record.at)
      ? [{ title: "When", isPlain: true, cell: (/** @type {any} */ record) => html`<${When} at=${record.at} isClock />` }]
      : []),
    {
      title: "Device",
      isPlain: hides.includes("topic"),
      cell: (/** @type {any} */ record) =>
        html`<${DeviceText} text=${record.client} max=${28} href=${deviceLink(record.client)} />`,
    },
    {
      title: "Topic",
      isPlain: hides.includes("client"),
      cell: (/** @type {any} */ record) =>
        html`<${DeviceText} text=${record.topic} max=${44} href=${topicLink(record.topic)} />`,
    },
    {
      title: "Payload",
      isWide: true,
      isPlain: true,
      card: "last",
      cell: (/** @type {any} */ record) => html`<${PayloadLine} payload=${record.payload} />`,
    },
    {
      title: "QoS",
      isNumber: true,
      cell: (/** @type {any} */ record) => `${record.qos}${record.retain ? " retained" : ""}`,
    },
  ].filter(
    (column) =>
      !(hides.includes("client") && column.title === "Device") &&
      !(hides.includes("topic") && column.title === "Topic"),
  );
  return html`<${Table} caption=${caption} columns=${columns} rows=${keyed} keyOf=${(/** @type {any} */ record) => record.key} isShort />`;
}
