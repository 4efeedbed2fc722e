// Two tabs with one client identifier: the second takes over, the first says so, and neither fights.
import assert from "node:assert/strict";

import { until } from "../harness.mjs";

/** Longer than the page waits at first before it tries again. */
const WATCHED = 5000;

export default async function run(harness) {
  const person = await harness.person();
  const first = await harness.tab({ person });
  await first.connect({ "client-id": "the-same" });
  await first.subscribe("t/#");
  const second = await harness.tab({ person });
  await second.connect({ "client-id": "the-same" });

  await first.is("taken-over");
  assert.match(await first.text("taken-over"), /Another tab or client has connected with the client identifier the-same/);
  await first.picture("taken-over");
  const before = await harness.metric("gatemq_connections_total");
  await new Promise((resolve) => setTimeout(resolve, WATCHED));
  await first.is("taken-over");
  await second.is("connected");
  assert.equal(await harness.metric("gatemq_connections_total"), before, "neither has connected again");

  // Both get on: one under another name, with what it had subscribed to.
  await first.id("new-id").click();
  await first.is("connected");
  assert.doesNotMatch(await first.text("connection"), /the-same/);
  await first.page.locator("[data-testid=subscription][data-state=granted]").waitFor();
  await second.publish("t/x", "hello", { qos: 1 });
  await first.rows("t/x").waitFor();
  await second.is("connected");

  // Or it is taken back, and the other one says so. MQTT 3.1.1 has only WebSocket's word for it.
  const third = await harness.tab({ person });
  await third.id("version").selectOption("3.1.1");
  await third.connect({ "client-id": "the-same" });
  await second.is("taken-over");
  await second.id("take-back").click();
  await second.is("connected");
  await third.is("taken-over");
  await until("its reason", async () => /the-same/.test(await third.text("taken-over")));
}
