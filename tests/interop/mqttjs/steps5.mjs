// What only MQTT 5 can. The steps are as in steps.mjs.
import assert from "node:assert/strict";

export async function assigns_a_client_identifier(place) {
  const { connack } = await place.open("", { clientId: "" });
  assert.ok(connack.properties.assignedClientIdentifier, "CONNACK without an assigned client identifier");
}

export async function carries_the_properties_of_a_message(place) {
  const client = await place.open("both");
  const topic = place.topic("properties");
  await client.subscribe(topic);
  const properties = {
    payloadFormatIndicator: true,
    messageExpiryInterval: 3600,
    contentType: "text/plain; charset=utf-8",
    responseTopic: place.topic("answer"),
    correlationData: Buffer.from([0, 1, 2, 0xff]),
    userProperties: { 单位: "°C", twice: ["first", "second"] },
  };
  await client.publish(topic, "21", { qos: 1, properties });
  const received = { ...(await client.receive()).properties };
  assert.ok(received.messageExpiryInterval > 3500 && received.messageExpiryInterval <= 3600);
  received.messageExpiryInterval = 3600;
  received.userProperties = { ...received.userProperties };
  assert.deepEqual(received, properties);
}

export async function takes_a_request_to_its_response(place) {
  const [requester, responder] = [await place.open("requester"), await place.open("responder")];
  await requester.subscribe(place.topic("response"));
  await responder.subscribe(place.topic("request"));
  const correlationData = Buffer.from("request 7");
  const properties = { responseTopic: place.topic("response"), correlationData };
  await requester.publish(place.topic("request"), "6 × 7", { qos: 1, properties });
  const request = await responder.receive();
  await responder.publish(request.properties.responseTopic, "42", {
    qos: 1,
    properties: { correlationData: request.properties.correlationData },
  });
  const response = await requester.receive();
  assert.equal(response.payload.toString(), "42");
  assert.deepEqual(response.properties.correlationData, correlationData);
}

export async function names_the_subscriptions_that_matched(place) {
  const client = await place.open("both");
  await client.subscribe(place.topic("id/#"), { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await client.subscribe(place.topic("id/+"), { qos: 1, properties: { subscriptionIdentifier: 268_435_455 } });
  await client.publish(place.topic("id/x"), "for both");
  // One message that names both or one message for each: the standard leaves it to the broker [MQTT-3.3.4-3].
  const named = new Set();
  while (named.size < 2) {
    for (const identifier of [(await client.receive()).properties.subscriptionIdentifier].flat()) named.add(identifier);
  }
  assert.deepEqual([...named].sort(), [268_435_455, 7]);
}

export async function honours_subscription_options(place) {
  const [client, other] = [await place.open("one"), await place.open("other")];
  await client.subscribe(place.topic("no-local"), { qos: 1, nl: true });
  await client.publish(place.topic("no-local"), "own");
  await other.publish(place.topic("no-local"), "of another");
  assert.equal((await client.receive()).payload.toString(), "of another");

  const topic = place.topic("handling");
  await client.subscribe(topic, { qos: 1, rap: true });
  await other.publish(topic, "kept", { qos: 1, retain: true });
  assert.equal((await client.receive()).retain, true, "retain as published");

  // 1: only where the subscription is new, which it is not; 2: never.
  await client.subscribe(topic, { qos: 1, rh: 1 });
  await client.subscribe(topic, { qos: 1, rh: 2 });
  await other.publish(topic, "live");
  assert.equal((await client.receive()).payload.toString(), "live");
  await client.subscribe(topic, { qos: 1, rh: 0 });
  assert.equal((await client.receive()).payload.toString(), "kept");
  await other.publish(topic, "", { qos: 1, retain: true });
}

export async function gives_reason_codes(place) {
  const client = await place.open("both");
  await client.publish(place.topic("nobody"), "lost");
  const { reasonCode } = await client.packet("puback");
  assert.ok([0, 0x10].includes(reasonCode ?? 0), `PUBACK with ${reasonCode}`);
  assert.equal(await client.subscribe(place.topic("codes"), { qos: 1 }), 1);
  assert.deepEqual(await client.unsubscribe(place.topic("codes")), [0]);
  assert.deepEqual(await client.unsubscribe(place.topic("codes")), [0x11]);
}

export async function understands_topic_aliases(place) {
  // MQTT.js 4 takes it as an option of its own, MQTT.js 5 as a property.
  const maximum = { topicAliasMaximum: 5 };
  const subscriber = await place.open("sub", { ...maximum, properties: maximum });
  const topic = place.topic("a/long/topic/that/is/not/worth/repeating");
  await subscriber.subscribe(place.topic("a/#"));

  const by_hand = await place.open("hand");
  await by_hand.publish(topic, "names it", { qos: 1, properties: { topicAlias: 1 } });
  await by_hand.publish("", "by its alias", { qos: 1, properties: { topicAlias: 1 } });
  for (const payload of ["names it", "by its alias"]) {
    const message = await subscriber.receive();
    assert.deepEqual([message.topic, message.payload.toString()], [topic, payload]);
  }

  const automatic = await place.open("auto", { autoAssignTopicAlias: true });
  const topics = [topic, place.topic("a/b"), topic, place.topic("a/b"), place.topic("a/c"), topic];
  for (const each of topics) {
    await automatic.publish(each, "again");
    assert.equal((await subscriber.receive()).topic, each);
  }
}

export async function respects_the_limits_of_a_client(place) {
  const properties = { maximumPacketSize: 1000, receiveMaximum: 2 };
  const [subscriber, publisher] = [await place.open("small", { properties }), await place.open("pub")];
  await subscriber.subscribe(place.topic("limits"), { qos: 1 });
  await publisher.publish(place.topic("limits"), Buffer.alloc(1000));
  const sent = Array.from({ length: 20 }, (_, number) => `number ${number}`);
  await Promise.all(sent.map((payload) => publisher.publish(place.topic("limits"), payload)));
  for (const payload of sent) assert.equal((await subscriber.receive()).payload.toString(), payload);
}

export async function publishes_a_will_on_request(place) {
  const topic = place.topic("will5");
  const watcher = await place.open("watcher");
  await watcher.subscribe(topic);
  const properties = { contentType: "text/plain", userProperties: { cause: "test" } };
  const will = { topic, payload: Buffer.from("by request"), qos: 1, retain: false, properties };
  await (await place.open("asking", { will })).disconnect({ reasonCode: 0x04 });
  const message = await watcher.receive();
  assert.equal(message.payload.toString(), "by request");
  assert.equal(message.properties.contentType, "text/plain");
  assert.deepEqual({ ...message.properties.userProperties }, { cause: "test" });
}

export async function delays_a_will_until_the_client_is_not_back(place) {
  const topic = place.topic("delayed");
  const watcher = await place.open("watcher");
  await watcher.subscribe(topic);
  const will = (delay) => ({
    ...place.kept(),
    will: { topic, payload: Buffer.from(`${delay}`), qos: 1, retain: false, properties: { willDelayInterval: delay } },
  });
  await (await place.open("back", will(60))).abort();
  await (await place.open("back", place.kept())).disconnect();
  await (await place.open("gone", will(1))).abort();
  assert.equal((await watcher.receive()).payload.toString(), "1");
}

export async function ends_a_session_when_asked_at_the_end(place) {
  await (await place.open("ending", place.kept())).disconnect({ properties: { sessionExpiryInterval: 0 } });
  assert.equal((await place.open("ending", place.kept())).connack.sessionPresent, false);
}
