// The steps of the interop matrix, in its order and by its names: see Step in matrix/clients/mod.rs. Each gets a Place
// (see main.mjs) and throws where the broker does not do as it should.
import assert from "node:assert/strict";

export async function connect(place) {
  const client = await place.open("connect");
  await client.disconnect();
}

async function thereAndBack(place, qos) {
  const client = await place.open(`qos${qos}`);
  const topic = place.topic(`qos${qos}`);
  assert.equal(await client.subscribe(topic, { qos }), qos);
  await client.publish(topic, `at ${qos}`, { qos });
  const message = await client.receive();
  assert.deepEqual([message.topic, message.payload.toString(), message.qos], [topic, `at ${qos}`, qos]);
  await client.disconnect();
}

export const qos0 = (place) => thereAndBack(place, 0);
export const qos1 = (place) => thereAndBack(place, 1);
export const qos2 = (place) => thereAndBack(place, 2);

export async function retained(place) {
  const topic = place.topic("retained");
  const publisher = await place.open("keeps");
  await publisher.publish(topic, "kept", { qos: 1, retain: true });
  const subscriber = await place.open("asks");
  await subscriber.subscribe(topic, { qos: 1 });
  const message = await subscriber.receive();
  assert.deepEqual([message.payload.toString(), message.retain], ["kept", true]);
  await publisher.publish(topic, "", { qos: 1, retain: true });
}

export async function will(place) {
  const topic = place.topic("will");
  const watcher = await place.open("watcher");
  await watcher.subscribe(topic, { qos: 1 });
  const testament = { topic, payload: Buffer.from("cut off"), qos: 1, retain: false };
  await (await place.open("dying", { will: testament })).abort();
  const message = await watcher.receive();
  assert.deepEqual([message.payload.toString(), message.qos], ["cut off", 1]);
}

export async function session(place) {
  const topic = place.topic("session");
  const before = await place.open("kept", place.kept());
  assert.equal(before.connack.sessionPresent, false);
  await before.subscribe(topic, { qos: 2 });
  await before.disconnect();
  const publisher = await place.open("meanwhile");
  for (const qos of [1, 2]) await publisher.publish(topic, `at ${qos}`, { qos });
  const after = await place.open("kept", place.kept());
  // CONNACK of MQTT 3.1 cannot say it.
  if (place.version > 3) assert.equal(after.connack.sessionPresent, true);
  const received = [(await after.receive()).payload.toString(), (await after.receive()).payload.toString()];
  assert.deepEqual(received.sort(), ["at 1", "at 2"]);
  await after.disconnect();
}
