// MQTT.js with persistent sessions, its own reconnection and a broker that is killed: everything arrives, QoS 2 once, and
// so it does at a session that was away when it was published and acknowledged, and until the broker was killed.
//
//   node crash/crash.mjs URL [--ca FILE]
//
// Says `half` once half of the messages are acknowledged: then the broker is killed. Exits with 1 where one is missing.
import dns from "node:dns";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import mqtt from "mqtt";

const MESSAGES = 1000;
const AWAY = 200;

dns.setDefaultResultOrder("ipv4first");

const { values, positionals } = parseArgs({ allowPositionals: true, options: { ca: { type: "string" } } });
const options = {
  clean: false,
  protocolVersion: 5,
  properties: { sessionExpiryInterval: 300 },
  reconnectPeriod: 50,
  ...(values.ca ? { ca: readFileSync(values.ca) } : {}),
};

function open(clientId) {
  const client = mqtt.connect(positionals[0], { ...options, clientId });
  // While the broker is away each attempt fails; the library tries again.
  client.on("error", () => {});
  return new Promise((resolve) => client.once("connect", () => resolve(client)));
}

/** Counts what comes; `complete` is resolved once there are so many different messages. */
function count(client, expected) {
  const received = new Map();
  const complete = new Promise((resolve) => {
    client.on("message", (topic, payload, packet) => {
      const key = `${packet.qos}/${payload}`;
      received.set(key, (received.get(key) ?? 0) + 1);
      if (received.size === expected) resolve();
    });
  });
  const twice = () => [...received].filter(([key, times]) => key.startsWith("2/") && times > 1);
  return { complete, twice };
}

const leaving = await open("js-away");
await leaving.subscribeAsync("away/#", { qos: 2 });
await leaving.endAsync();
const subscriber = await open("js-subscriber");
const live = count(subscriber, MESSAGES);
await subscriber.subscribeAsync("crash/#", { qos: 2 });
const publisher = await open("js-publisher");
// All of these are acknowledged before the broker is killed.
await Promise.all(Array.from({ length: AWAY }, (_, number) => publisher.publishAsync("away/js", String(number), { qos: (number % 2) + 1 })));
let acknowledged = 0;
for (let number = 0; number < MESSAGES; number += 1) {
  publisher.publish("crash/js", String(number), { qos: (number % 2) + 1 }, (error) => {
    // PUBCOMP 0x92 "is not an error during recovery" (MQTT 5, 3.7.2.1): the first one was lost with the broker.
    if (error && error.code !== 0x92) throw error;
    acknowledged += 1;
    if (acknowledged === MESSAGES / 2) console.log("half");
  });
}
await live.complete;
// Nothing may come before its handler is there.
const returning = mqtt.connect(positionals[0], { ...options, clientId: "js-away" });
returning.on("error", () => {});
const away = count(returning, AWAY);
await away.complete;
// What came twice would come now.
await new Promise((resolve) => setTimeout(resolve, 500));
const twice = [...live.twice(), ...away.twice()];
if (twice.length > 0) {
  console.error("twice at QoS 2:", twice);
  process.exit(1);
}
console.log("complete");
process.exit(0);
