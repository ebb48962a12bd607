// Clients of npm's `mqtt`, moved by lines of JSON: {"id", "client", "do", ...} in; {"id", "ok" | "error"} and
// {"client", "event", ...} out.
"use strict";

const mqtt = require("mqtt");
const readline = require("node:readline");

const clients = new Map();
const held = new Map();
let holds = 0;

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

function connect(name, { url, options, hold }) {
  return new Promise((resolve, reject) => {
    if (options.will) options.will.payload = Buffer.from(options.will.payload);
    const client = mqtt.connect(url, options);
    clients.set(name, client);
    let reason = null;
    client.on("connect", (packet) => {
      say({ client: name, event: "connect" });
      resolve({ sessionPresent: packet.sessionPresent, properties: packet.properties || {} });
    });
    client.on("error", (error) => reject(error));
    client.on("disconnect", (packet) => {
      reason = packet.reasonCode;
    });
    client.on("close", () => {
      say({ client: name, event: "close", reason });
      reject(new Error("closed"));
    });
    client.on("message", (topic, payload, packet) => {
      const properties = { ...packet.properties };
      if (properties.correlationData) properties.correlationData = properties.correlationData.toString("base64");
      if (properties.userProperties) properties.userProperties = { ...properties.userProperties };
      const { qos, retain } = packet;
      const hold_id = hold ? (holds += 1) : null;
      if (hold) packet.hold_id = hold_id;
      say({ client: name, event: "message", topic, payload: payload.toString("base64"), qos, retain, properties, hold_id });
    });
    if (hold) client.handleMessage = (packet, done) => held.set(packet.hold_id, done);
  });
}

const actions = {
  connect,
  subscribe: (name, { filter, options }) =>
    new Promise((resolve, reject) =>
      clients.get(name).subscribe(filter, options, (error, granted, packet) =>
        packet ? resolve({ reason: packet.granted[0] }) : reject(error || new Error("no SUBACK")),
      ),
    ),
  unsubscribe: (name, { filter }) => clients.get(name).unsubscribeAsync(filter).then(() => ({})),
  publish: (name, { topic, payload, options }) => {
    const properties = options.properties;
    if (properties && properties.correlationData)
      properties.correlationData = Buffer.from(properties.correlationData, "base64");
    return new Promise((resolve, reject) =>
      clients.get(name).publish(topic, payload, options, (error, packet) =>
        error && error.code === undefined
          ? reject(error)
          : resolve({ reason: error ? error.code : ((packet && packet.reasonCode) ?? 0) }),
      ),
    );
  },
  acknowledge: (name, { hold_id }) => {
    held.get(hold_id)(0);
    return Promise.resolve({});
  },
  end: (name, { reason }) =>
    clients
      .get(name)
      .endAsync(false, reason ? { reasonCode: reason } : {})
      .then(() => ({})),
  cut: (name) => {
    clients.get(name).stream.destroy();
    return Promise.resolve({});
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, client, do: what, ...more } = JSON.parse(line);
  actions[what](client, more).then(
    (ok) => say({ id, ok }),
    (error) => say({ id, error: { message: String(error.message), code: error.code ?? null } }),
  );
}).on("close", () => process.exit(0));
