// Decodes one Fieldgate frame: node decode.mjs frame.hex   (encoding blocks or json; compression none or gzip)
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
const MAX_RAW = 64 << 20; // never inflate to more than this, whatever the frame says

function unpacker(bytes) { // the part of MessagePack that frames use
  let at = 0;
  const take = (n) => { if (at + n > bytes.length) throw Error("it is malformed"); return bytes.subarray(at, (at += n)); };
  const uint = (n) => n === 8 ? Number(take(8).readBigUInt64BE()) : take(n).readUIntBE(0, n);
  const int = (n) => n === 8 ? Number(take(8).readBigInt64BE()) : take(n).readIntBE(0, n);
  const list = (n) => { const out = []; while (n--) out.push(value()); return out; };
  const map = (n) => { const out = {}; while (n--) { const key = value(); out[key] = value(); } return out; };
  function value() {
    const t = uint(1);
    if (t < 0x80) return t;
    if (t >= 0xe0) return t - 256;
    if (t < 0x90) return map(t & 15);
    if (t < 0xa0) return list(t & 15);
    if (t < 0xc0) return take(t & 31).toString();
    if (t === 0xc0) return null;
    if (t >= 0xc4 && t <= 0xc6) return take(uint(1 << (t - 0xc4)));
    if (t >= 0xcc && t <= 0xcf) return uint(1 << (t - 0xcc));
    if (t >= 0xd0 && t <= 0xd3) return int(1 << (t - 0xd0));
    if (t >= 0xd9 && t <= 0xdb) return take(uint(1 << (t - 0xd9))).toString();
    if (t === 0xdc || t === 0xdd) return list(uint(t === 0xdc ? 2 : 4));
    if (t === 0xde || t === 0xdf) return map(uint(t === 0xde ? 2 : 4));
    throw Error("it is malformed");
  }
  return { value, done: () => at === bytes.length };
}
function crc32c(bytes) {
  let crc = ~0;
  for (const byte of bytes) { crc ^= byte; for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0); }
  return ~crc >>> 0;
}
const time = (us) => new Date(Math.floor(us / 1000)).toISOString().slice(0, 23) + String(us % 1000).padStart(3, "0") + "Z";
const isText = (bytes) => Buffer.from(bytes.toString()).equals(bytes);

process.on("uncaughtException", (error) => { console.error(`This frame can't be decoded: ${error.message}.`); process.exit(1); });
const data = Buffer.from(readFileSync(process.argv[2], "ascii").replace(/\s/g, ""), "hex");
if (data.readUIntBE(0, 3) !== 0x46479d || data[3] !== 1) throw Error("it is not a frame of version 1");
const split = 16 + data.readUInt32BE(8);
if (data.length !== split + data.readUInt32BE(12)) throw Error("it is cut short, or has trailing bytes");
if (crc32c(data.subarray(8)) !== data.readUInt32BE(4)) throw Error("its checksum is wrong");
const head = unpacker(data.subarray(16, split)).value();
if (!["none", "gzip"].includes(head.cmp)) throw Error(`its compression is ${head.cmp}, and this decoder knows none and gzip`);
if (head.raw > MAX_RAW) throw Error(`it inflates to ${head.raw} bytes, more than ${MAX_RAW}`);
const body = data.subarray(split);
const raw = head.cmp === "gzip" ? gunzipSync(body, { maxOutputLength: Math.max(head.raw, 1) }) : body;
const records = head.enc === "json" ? raw.toString().split("\n").filter(Boolean).map((line) => JSON.parse(line)) : [];
for (let blocks = unpacker(raw); head.enc === "blocks" && !blocks.done(); ) {
  const [start, topics, clients, topic, client, delta, flags, payloads, [sets, index] = [[], []]] = blocks.value();
  payloads.forEach((payload, i) => records.push({
    gateway: head.gw, stream: head.st, epoch: head.ep, seq: head.seq + records.length, received_at: time(start + delta[i]),
    client: clients[client[i]], topic: topics[topic[i]], qos: flags[i] >> 1, retain: (flags[i] & 1) === 1,
    ...(isText(payload) ? { payload: payload.toString() } : { payload_base64: payload.toString("base64") }),
    ...(index[i] ? { properties: sets[index[i] - 1] } : {}),
  }));
}
console.log(JSON.stringify({ header: head, records }, (_, v) => v?.type === "Buffer" ? Buffer.from(v).toString("base64") : v, 1));
