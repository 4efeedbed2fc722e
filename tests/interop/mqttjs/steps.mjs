// What every version can: each step gets a Place (see main.mjs) and throws where the broker does not do as it should.
import assert from "node:assert/strict";

import { Inbox } from "./client.mjs";

export async function connects(place) {
  const client = await place.open("connects");
  assert.equal(client.connack.reasonCode ?? client.connack.returnCode, 0);
  assert.equal(client.connack.sessionPresent, false);
  await client.disconnect();
}

export async function delivers_at_the_lower_qos(place) {
  const [subscriber, publisher] = [await place.open("sub"), await place.open("pub")];
  for (const granted of [0, 1, 2]) {
    const topic = place.topic(`qos/${granted}`);
    assert.equal(await subscriber.subscribe(topic, { qos: granted }), granted);
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, `sent at ${qos}`, { qos });
      const message = await subscriber.receive();
      assert.equal(message.topic, topic);
      assert.equal(message.payload.toString(), `sent at ${qos}`);
      assert.equal(message.qos, Math.min(qos, granted));
      assert.equal(message.dup, false);
    }
  }
}

export async function keeps_the_order_of_many_in_flight(place) {
  const [subscriber, publisher] = [await place.open("sub"), await place.open("pub")];
  for (const qos of [0, 1, 2]) {
    const topic = place.topic(`order/${qos}`);
    await subscriber.subscribe(topic);
    const sent = Array.from({ length: 300 }, (_, number) => `number ${number}`);
    await Promise.all(sent.map((payload) => publisher.publish(topic, payload, { qos })));
    for (const payload of sent) assert.equal((await subscriber.receive()).payload.toString(), payload);
  }
}

export async function carries_200_kilobytes(place) {
  const [subscriber, publisher] = [await place.open("sub"), await place.open("pub")];
  const topic = place.topic("large");
  const payload = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
  await subscriber.subscribe(topic);
  for (const qos of [0, 1, 2]) {
    await publisher.publish(topic, payload, { qos });
    assert.ok((await subscriber.receive()).payload.equals(payload), `the payload came changed at QoS ${qos}`);
  }
}

export async function carries_every_script(place) {
  const client = await place.open("both");
  await client.subscribe(place.topic("传感器/+/温度"));
  await client.subscribe(place.topic("🌡/#"));
  for (const name of ["传感器/客厅/温度", "🌡", "🌡/Küche/θερμοκρασία"]) {
    await client.publish(place.topic(name), "二十一度 ½");
    const message = await client.receive();
    assert.equal(message.topic, place.topic(name));
    assert.equal(message.payload.toString(), "二十一度 ½");
  }
}

export async function matches_wildcards(place) {
  const client = await place.open("both");
  await client.subscribe(place.topic("a/+/c"));
  await client.subscribe(place.topic("b/#"));
  // The last of each row ends the silence: what must not come would come before it.
  for (const [others, matching] of [[["a/b", "a/b/d", "a/b/c/d"], "a/b/c"], [["c", "bb/c"], "b"], [["B"], "b/c/d"]]) {
    for (const name of others) await client.publish(place.topic(name), "not asked for");
    await client.publish(place.topic(matching), "asked for");
    assert.equal((await client.receive()).topic, place.topic(matching));
  }
}

export async function retains_and_clears(place) {
  const topic = place.topic("retained");
  const [publisher, present] = [await place.open("pub"), await place.open("present")];
  await present.subscribe(topic);
  await publisher.publish(topic, "kept", { qos: 1, retain: true });
  assert.equal((await present.receive()).retain, false, "RETAIN reached a subscription that was there before");

  const later = await place.open("later");
  await later.subscribe(topic);
  const kept = await later.receive();
  assert.deepEqual([kept.payload.toString(), kept.qos, kept.retain], ["kept", 1, true]);

  await publisher.publish(topic, "", { qos: 1, retain: true });
  const last = await place.open("last");
  await last.subscribe(topic);
  await publisher.publish(topic, "live");
  const first = await last.receive();
  assert.deepEqual([first.payload.toString(), first.retain], ["live", false]);
}

export async function publishes_the_will_of_whom_is_cut_off(place) {
  const topic = place.topic("will");
  const watcher = await place.open("watcher");
  await watcher.subscribe(topic);
  const will = { topic, payload: Buffer.from("cut off"), qos: 1, retain: false };

  await (await place.open("dying", { will })).abort();
  const message = await watcher.receive();
  assert.deepEqual([message.payload.toString(), message.qos], ["cut off", 1]);

  await (await place.open("polite", { will })).disconnect();
  await watcher.publish(topic, "after the polite one");
  assert.equal((await watcher.receive()).payload.toString(), "after the polite one");
}

export async function resumes_a_kept_session(place) {
  const topic = place.topic("kept");
  const before = await place.open("keeper", place.kept());
  assert.equal(before.connack.sessionPresent, false);
  await before.subscribe(topic);
  await before.disconnect();

  const publisher = await place.open("pub");
  const sent = [["one", 1], ["two", 1], ["three", 2], ["four", 1]];
  for (const [payload, qos] of sent) await publisher.publish(topic, payload, { qos });

  const after = await place.open("keeper", place.kept());
  // CONNACK of MQTT 3.1 cannot say it.
  if (place.version > 3) assert.equal(after.connack.sessionPresent, true);
  const received = [];
  while (received.length < sent.length) {
    const { payload, qos, dup } = await after.receive();
    assert.equal(dup, false);
    received.push([payload.toString(), qos]);
  }
  // The client hands a message of QoS 2 over at PUBREL, later than the broker has sent it.
  const at = (qos, list) => list.filter((message) => message[1] === qos);
  for (const qos of [1, 2]) assert.deepEqual(at(qos, received), at(qos, sent));
  await publisher.publish(topic, "live");
  assert.equal((await after.receive()).payload.toString(), "live");
  await after.disconnect();

  const clean = await place.open("keeper");
  assert.equal(clean.connack.sessionPresent, false);
  await clean.subscribe(place.topic("clean"));
  await publisher.publish(topic, "for a subscription that is gone");
  await publisher.publish(place.topic("clean"), "for the new one");
  assert.equal((await clean.receive()).payload.toString(), "for the new one");
}

export async function resumes_after_being_cut_off(place) {
  const topic = place.topic("cut");
  const before = await place.open("cut", place.kept());
  await before.subscribe(topic, { qos: 1 });
  await before.abort();
  const publisher = await place.open("pub");
  await publisher.publish(topic, "sent meanwhile");
  const after = await place.open("cut", place.kept());
  assert.equal((await after.receive()).payload.toString(), "sent meanwhile");
}

export async function lets_the_newer_connection_take_over(place) {
  const older = await place.open("same", place.kept());
  await older.subscribe(place.topic("over"));
  const newer = await place.open("same", place.kept());
  if (place.version === 5) assert.equal((await older.packet("disconnect")).reasonCode, 0x8e);
  await older.closed;
  await newer.publish(place.topic("over"), "to the newer one");
  assert.equal((await newer.receive()).payload.toString(), "to the newer one");
}

export async function shares_a_subscription(place) {
  const members = [await place.open("member1"), await place.open("member2")];
  const received = new Inbox();
  for (const member of members) {
    member.inbox = received;
    await member.subscribe(`$share/${place.name("group")}/${place.topic("work/+")}`);
  }
  const publisher = await place.open("pub");
  const expected = Array.from({ length: 40 }, (_, number) => place.topic(`work/${number}`));
  for (const topic of expected) await publisher.publish(topic, "once");
  const topics = [];
  while (topics.length < expected.length) topics.push((await received.take()).topic);
  assert.deepEqual(topics.sort(), expected.sort());
}

export async function forgets_what_is_unsubscribed(place) {
  const client = await place.open("both");
  await client.subscribe(place.topic("dropped"));
  await client.subscribe(place.topic("held"));
  await client.unsubscribe(place.topic("dropped"));
  await client.publish(place.topic("dropped"), "not asked for any more");
  await client.publish(place.topic("held"), "asked for");
  assert.equal((await client.receive()).topic, place.topic("held"));
}

export async function answers_pings(place) {
  const client = await place.open("pings", { keepalive: 1 });
  await client.packet("pingresp");
  await client.disconnect();
}
