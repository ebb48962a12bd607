// Publishes 90 messages with QoS 0, 1 and 2, waits for every answer, then dies without a DISCONNECT, leaving its will.
const mqtt = require('mqtt');

const [port, level] = process.argv.slice(2).map(Number);
const properties =
  level === 5
    ? { userProperties: { unit: 'K' }, contentType: 'text/plain', correlationData: Buffer.from([1, 2]) }
    : undefined;
const client = mqtt.connect({
  host: '127.0.0.1',
  port,
  protocolVersion: level,
  clientId: 'npm',
  reconnectPeriod: 0,
  will: { topic: 'state/npm', payload: Buffer.from('gone'), qos: 1, retain: false },
});
client.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
client.on('connect', async () => {
  const answers = [];
  for (let n = 0; n < 90; n++) {
    answers.push(client.publishAsync(`plant/${n % 3}`, String(n), { qos: n % 3, retain: n % 2 === 0, properties }));
  }
  await Promise.all(answers);
  console.log(`acknowledged ${answers.length}`);
  client.stream.destroy();
});
