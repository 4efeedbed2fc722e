// Connecting, subscribing and publishing: each QoS, retained messages, what MQTT 5 adds, and a will.
import assert from "node:assert/strict";

import { until } from "../harness.mjs";

export default async function run(harness) {
  const elsewhere = await harness.listen("t/#");
  const tab = await harness.tab();
  await tab.connect({ "client-id": "page-under-test" });
  await tab.says("connection", /as page-under-test, MQTT 5\.0/);
  await tab.subscribe("t/#", 2);
  await tab.says("subscriptions", /QoS 2 granted/);

  for (const qos of [0, 1, 2]) {
    const said = await tab.publish(`t/qos${qos}`, `hello ${qos}`, { qos });
    assert.match(said, qos === 0 ? /Sent/ : /Confirmed by the broker\./);
    await tab.rows(`t/qos${qos}`).filter({ hasText: `QoS ${qos}` }).waitFor();
    const { payload, packet } = await arrived(elsewhere, `t/qos${qos}`);
    assert.equal(payload.toString(), `hello ${qos}`);
    assert.equal(packet.qos, qos);
  }
  assert.match(await tab.publish("nobody/listens", "x", { qos: 1 }), /nobody was subscribed/);

  await retained(harness, tab);
  await properties(tab, elsewhere);
  await unsubscribing(tab);
  await older(harness, elsewhere);
  await will(harness, elsewhere);
}

const arrived = (seen, topic) => until(`a message at ${topic}`, () => seen.find((message) => message.topic === topic));

async function retained(harness, tab) {
  await tab.publish("t/retained", "kept", { qos: 1, retain: true });
  const [message] = await until("the retained message", async () => {
    const seen = await harness.listen("t/retained");
    return until("it", () => seen.length > 0 && seen);
  });
  assert.equal(message.packet.retain, true);
  // Whoever subscribes later has it marked as retained.
  const later = await harness.tab();
  await later.connect();
  await later.subscribe("t/retained", 1);
  await later.rows("t/retained").filter({ hasText: "retained" }).waitFor();
  await later.choose("t/retained");
  assert.match(await later.text("detail"), /Flags retained/);
  await later.page.context().close();
  await tab.publish("t/retained", "", { qos: 1, retain: true });
}

async function properties(tab, elsewhere) {
  await tab.unfold("publish-form", "Properties of MQTT 5");
  await tab.id("content-type").fill("text/plain");
  await tab.id("message-expiry").fill("600");
  await tab.id("response-topic").fill("t/answer");
  await tab.id("correlation").fill("nr. 7");
  await tab.id("is-utf8").check();
  for (const [index, value] of ["one", "two"].entries()) {
    await tab.id("publish-form").getByRole("button", { name: "Add a property" }).click();
    await tab.id("publish-form").getByLabel(`Name of property ${index + 1}`).fill("place");
    await tab.id("publish-form").getByLabel(`Value of property ${index + 1}`).fill(value);
  }
  await tab.publish("t/properties", "with properties", { qos: 1 });
  await tab.rows("t/properties").waitFor();
  await tab.choose("t/properties");
  const detail = await tab.text("detail");
  for (const line of [
    "Content type text/plain",
    "Payload format UTF-8 text",
    "Response topic t/answer",
    "Correlation data nr. 7",
    "User property place one",
    "User property place two",
  ]) {
    assert.equal(detail.includes(line), true, `"${line}" is in: ${detail}`);
  }
  assert.match(detail, /Message expiry (600|59\d) s/);
  const { properties: received } = (await arrived(elsewhere, "t/properties")).packet;
  assert.equal(received.contentType, "text/plain");
  assert.equal(received.correlationData.toString(), "nr. 7");
  assert.deepEqual(received.userProperties.place, ["one", "two"]);
  // Bad ones are said at the field, and nothing is sent.
  await tab.id("message-expiry").fill("soon");
  await tab.says("publish-form", /A whole number from 0 to 4294967295 is expected/);
  await tab.id("message-expiry").fill("");
  await tab.id("topic").fill("t/#");
  await tab.says("publish-form", /no \+ or # in it/);
}

async function unsubscribing(tab) {
  await tab.page.getByRole("button", { name: "Unsubscribe from t/#" }).click();
  await tab.id("subscription").waitFor({ state: "detached" });
  const before = await tab.counts();
  assert.match(await tab.publish("t/after", "not here", { qos: 1 }), /Confirmed/);
  assert.deepEqual(await tab.counts(), before, "nothing arrives any more");
}

/** MQTT 3.1.1 has fewer fields, and works. */
async function older(harness, elsewhere) {
  const tab = await harness.tab();
  await tab.id("version").selectOption("3.1.1");
  await tab.connect();
  await tab.says("connection", /MQTT 3\.1\.1/);
  await tab.subscribe("t/311", 1);
  await tab.publish("t/311", "older", { qos: 1 });
  await tab.rows("t/311").waitFor();
  assert.equal((await arrived(elsewhere, "t/311")).payload.toString(), "older");
  await tab.page.context().close();
}

/** The broker publishes it when the tab is closed without a word. */
async function will(harness, elsewhere) {
  const tab = await harness.tab();
  await tab.unfold("connect-form", "Session, will, properties");
  await tab.id("will").check();
  await tab.id("will-topic").fill("t/will");
  await tab.id("will-payload").fill("gone");
  await tab.id("will-qos").selectOption("1");
  await tab.id("will-retain").check();
  await tab.connect();
  await tab.page.close();
  const { payload, packet } = await arrived(elsewhere, "t/will");
  assert.equal(payload.toString(), "gone");
  assert.equal(packet.qos, 1);
}
