// Thousands of messages a second: the tab stays alive, the counts go up, and memory does not.
// It goes on as long as the controls are tried, and for PAGE_FLOOD_SECONDS at least.
import assert from "node:assert/strict";
import { connect } from "node:net";

import { generate } from "mqtt-packet";

import { until } from "../harness.mjs";

const SECONDS = Number(process.env.PAGE_FLOOD_SECONDS ?? 10);
const RATE = 10_000;
/** Between two portions. */
const TICK = 20;
/** A tab that takes longer between two beats is frozen. The machine has to run broker and sender beside it. */
const FROZEN = 10_000;
/** MOST_ROWS of web/src/log.ts. */
const KEPT = 5000;
/** The page, MQTT.js and the messages kept take a tenth of it. */
const MEMORY = 200 * 1024 * 1024;

export default async function run(harness) {
  const tab = await harness.tab();
  await tab.connect();
  await tab.subscribe("flood/#");
  await tab.beat();
  const sender = await Sender.start(harness.plain);

  await until("the list is full", async () => (await tab.counts()).total === KEPT);
  const before = await arrived(tab);
  // The controls answer while it goes on.
  await tab.id("pause").click();
  await tab.says("paused", /[\d,]{3,} more/);
  const still = await tab.rows().last().innerText();
  await tab.choose("flood/");
  assert.equal(await tab.rows().last().innerText(), still, "what is paused stands still");
  await tab.id("pause").click();
  await tab.id("search-topic").fill("flood/7");
  await until("only one topic is shown", async () => {
    const topics = await tab.rows().locator(".topic").allInnerTexts();
    return topics.length > 0 && topics.every((topic) => topic === "flood/7");
  });
  await tab.id("search-topic").fill("");

  const { sent, seconds } = await sender.end();
  const gap = await tab.gap();
  await until("messages went on arriving", async () => (await arrived(tab)) > before);
  await tab.publish("flood/last", "the last one", { qos: 1 });
  await tab.rows("flood/last").waitFor();
  const [shown, memory] = [await arrived(tab), await heap(tab.page)];
  console.log(`${sent} sent in ${seconds} s, ${shown} reached the page, ${gap} ms without a beat, ${memory} bytes`);
  assert.equal(gap < FROZEN, true, `the tab stood still for ${gap} ms`);
  assert.equal(memory < MEMORY, true, `${memory} bytes are in use`);
  assert.equal((await tab.counts()).total, KEPT);
}

/** How many have arrived, those that are no longer kept included. */
async function arrived(tab) {
  const text = await tab.text("count");
  return Number(/of ([\d,]+) are kept/.exec(text)?.[1].replaceAll(",", "") ?? 0);
}

/** What is left once what nobody uses is gone. */
async function heap(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  return usedSize;
}

/** Publishes at its rate over TCP, as cheaply as it goes: packets made once, written in portions. */
class Sender {
  static async start(url) {
    const sender = new Sender();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    sender.socket = socket.resume();
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    socket.write(generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clientId: "flood", clean: true, keepalive: 0 }));
    sender.sent = 0;
    sender.begun = Date.now();
    sender.timer = setInterval(() => sender.tick(), TICK);
    return sender;
  }

  tick() {
    // What the broker does not take yet waits there, not here.
    const due = ((Date.now() - this.begun) / 1000) * RATE - this.sent;
    if (this.socket.writableNeedDrain) return;
    const portion = Array.from({ length: Math.min(due, RATE) }, () => this.#packet(this.sent++));
    this.socket.write(Buffer.concat(portion));
  }

  /** Once the time is over: how many were sent in how many seconds. */
  async end() {
    await until("the end of the flood", () => Date.now() - this.begun > SECONDS * 1000);
    clearInterval(this.timer);
    this.socket.end(generate({ cmd: "disconnect" }));
    return { sent: this.sent, seconds: Math.round((Date.now() - this.begun) / 1000) };
  }

  #packet(number) {
    const payload = JSON.stringify({ number, temperature: 21.5, place: "somewhere" });
    return generate({ cmd: "publish", topic: `flood/${number % 10}`, payload, qos: 0, retain: false, dup: false });
  }
}
