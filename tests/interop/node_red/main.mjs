// Node-RED's MQTT nodes as clients of the broker: each step deploys a flow.
//
//     node main.mjs URL [--ca FILE] --version 3|4|5 --name NAME
//
// Prints the name of each step that has passed. Exits with 1, and says why, where the broker does not do as it should.
// Node-RED shows no flags of CONNACK: that a session was kept shows in what arrives.

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { Broker, Flow } from "./flow.mjs";
import { NodeRed } from "./node_red.mjs";
import { Relay } from "./relay.mjs";

// Not ASCII, so that a byte changed on the way shows.
const PAYLOAD = "21.5 °C, 温度";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ca: { type: "string" }, version: { type: "string" }, name: { type: "string" } },
});
const [url] = positionals;
const { ca, version, name } = values;
assert(url && version && name, "expected URL [--ca FILE] --version 3|4|5 --name NAME");

const broker = (suffix, options = {}) => new Broker({ url, ca, version, clientId: `${name}-${suffix}`, ...options });
const message = (topic, qos, payload = PAYLOAD, retain = false) => ({ topic: `${name}/${topic}`, payload, qos, retain });

async function connect(red) {
  await red.deploy(new Flow(broker("c")));
}

async function exchange(red, qos) {
  const sent = message(`qos${qos}`, qos);
  const [client] = await red.deploy(new Flow(broker(`q${qos}`)).subscribe(sent.topic, qos));
  await client.publish(sent);
  assert.deepEqual(await client.receive(), sent);
}

async function retained(red) {
  const kept = message("retained", 1, PAYLOAD, true);
  const [publisher] = await red.deploy(new Flow(broker("rp")));
  await publisher.publish(kept);

  const [subscriber] = await red.deploy(new Flow(broker("r1")).subscribe(kept.topic, 1));
  assert.deepEqual(await subscriber.receive(), kept);
  await subscriber.publish({ ...kept, payload: "" });

  // It was cleared, so the first that the next one receives is what it publishes itself.
  const next = message("retained", 1, "after it was cleared");
  const [late] = await red.deploy(new Flow(broker("r2")).subscribe(kept.topic, 1));
  await late.publish(next);
  assert.deepEqual(await late.receive(), next);
}

async function will(red) {
  const will = message("will", 1);
  const ready = message("will", 1, "subscribed");
  const relay = await Relay.start(url);
  const mortal = broker("w", { url: relay.url, will });
  const [heir] = await red.deploy(new Flow(broker("h")).subscribe(will.topic, 1), new Flow(mortal));
  // Its own message comes back: the subscription is there.
  await heir.publish(ready);
  assert.deepEqual(await heir.receive(), ready);
  relay.cut();
  assert.deepEqual(await heir.receive(), will);
}

async function session(red) {
  const ready = message("session", 1, "subscribed");
  const kept = new Flow(broker("k", { clean: false })).subscribe(ready.topic, 1);
  const [client, publisher] = await red.deploy(kept, new Flow(broker("kp")));
  await client.publish(ready);
  assert.deepEqual(await client.receive(), ready);

  await client.disconnect();
  for (const qos of [1, 2]) await publisher.publish(message("session", qos, `meanwhile ${qos}`));
  await client.connect();
  for (const qos of [1, 2]) assert.deepEqual(await client.receive(), message("session", 1, `meanwhile ${qos}`));
  // Ends the session.
  await red.deploy(new Flow(broker("k")));
}

const steps = {
  connect,
  qos0: (red) => exchange(red, 0),
  qos1: (red) => exchange(red, 1),
  qos2: (red) => exchange(red, 2),
  retained,
  will,
  session,
};

const red = await NodeRed.start();
try {
  for (const [step, run] of Object.entries(steps)) {
    try {
      await run(red);
    } catch (error) {
      error.message = `${step}: ${error.message}`;
      throw error;
    }
    console.log(step);
  }
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await red.stop();
}
process.exit();
