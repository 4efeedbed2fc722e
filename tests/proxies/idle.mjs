// MQTT.js that says nothing of its own for a while, and is still connected afterwards.
//
//   node idle.mjs URL --ca FILE --seconds N --keepalive N
//
// The keep alive is MQTT's. In a browser, and here over wss, nothing else is sent by the client; PONG answers PING.
import dns from "node:dns";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const mqtt = createRequire(new URL("../interop/package.json", import.meta.url))("mqtt");
dns.setDefaultResultOrder("ipv4first");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ca: { type: "string" }, seconds: { type: "string" }, keepalive: { type: "string" } },
});
const [url] = positionals;
const options = { ca: readFileSync(values.ca), keepalive: Number(values.keepalive), reconnectPeriod: 0 };
const began = Date.now();
const client = mqtt.connect(url, options);
client.on("error", fail);
client.on("close", () => fail(new Error("closed")));
client.on("connect", () => setTimeout(end, 1000 * Number(values.seconds)));

function fail(error) {
  console.error(`${url} after ${Date.now() - began} ms: ${error.message}`);
  process.exit(1);
}

function end() {
  client.publish("idle", "still here", { qos: 1 }, (error) => (error ? fail(error) : process.exit(0)));
}
