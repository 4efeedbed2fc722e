// The list: bounded, paused, filtered, counted by topic, saved to files, cleared.
import assert from "node:assert/strict";

import { until } from "../harness.mjs";

/** MOST_ROWS of web/src/log.ts. */
const KEPT = 5000;

export default async function run(harness) {
  const tab = await harness.tab();
  const client = await harness.client();
  await tab.connect();
  await tab.says("messages", /No messages yet/);
  await tab.subscribe("m/#", 1);
  const send = (topic, payload) => client.publishAsync(topic, payload, { qos: 1 });

  await send("m/kitchen/temperature", "21.5");
  await send("m/kitchen/humidity", "40 %");
  await send("m/cellar/temperature", "12.0");
  await send("m/cellar/door", '{"open":true}');
  await tab.shows(4);
  await filters(tab);
  await topics(tab);
  await files(tab, send);
  await pause(tab, send);
  await bound(tab, client);
  await tab.id("clear").click();
  await tab.shows(0);
  await send("m/after", "cleared");
  await tab.shows(1);
}

async function filters(tab) {
  await tab.id("search-topic").fill("m/+/temperature");
  await tab.shows(2);
  await tab.id("search-text").fill("12.0");
  await tab.shows(1);
  await tab.rows("m/cellar/temperature").waitFor();
  await tab.id("search-topic").fill("m/+");
  await tab.says("messages", /No message matches the filter/);
  await tab.id("search-topic").fill("m/#/temperature");
  await tab.says("messages", /\+ stands for one whole level/);
  await tab.id("search-topic").fill("");
  await tab.id("search-text").fill("KITCHEN");
  await tab.shows(2);
  await tab.id("search-text").fill("");
  await tab.shows(4);
}

async function topics(tab) {
  await tab.unfold("topics", "Topics");
  const tree = tab.id("topics");
  await tab.says("topics", /m\s*4/);
  await tree.getByRole("button", { name: "m", exact: true }).first().click();
  await tree.getByRole("button", { name: "m/cellar", exact: true }).click();
  await tab.says("topics", /cellar\s*2[\s\S]*temperature\s*1[\s\S]*door\s*1/);
  await tree.getByTitle("Show only m/cellar", { exact: true }).click();
  await tab.shows(2);
  assert.equal(await tab.id("search-topic").inputValue(), "m/cellar/#");
  await tab.id("search-topic").fill("");
  await tab.shows(4);
  await tab.unfold("topics", "Topics");
}

async function files(tab, send) {
  await send("m/odd", 'comma, "quotes"\nand a line');
  await send("m/binary", Buffer.from([0, 255, 1]));
  await send("m/formula", "=1+1");
  await tab.shows(7);

  const jsonl = await tab.download("export-jsonl");
  assert.match(jsonl.name, /^messages-\d{14}\.jsonl$/);
  const lines = jsonl.bytes.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ topic, payload, encoding, qos }) => [topic, payload, encoding, qos]).slice(3), [
    ["m/cellar/door", '{"open":true}', "utf-8", 1],
    ["m/odd", 'comma, "quotes"\nand a line', "utf-8", 1],
    ["m/binary", "AP8B", "base64", 1],
    ["m/formula", "=1+1", "utf-8", 1],
  ]);
  assert.equal(new Date(lines[0].time).toISOString(), lines[0].time);

  const csv = await tab.download("export-csv");
  assert.match(csv.name, /\.csv$/);
  const rows = parseCsv(csv.bytes.toString());
  assert.deepEqual(rows[0], ["time", "topic", "qos", "retain", "dup", "encoding", "payload"]);
  assert.deepEqual(rows.slice(5).map((row) => row.slice(1)), [
    ["m/odd", "1", "false", "false", "utf-8", 'comma, "quotes"\nand a line'],
    ["m/binary", "1", "false", "false", "base64", "AP8B"],
    // A spreadsheet would run it.
    ["m/formula", "1", "false", "false", "utf-8", "'=1+1"],
  ]);

  // What is filtered out is not in the file.
  await tab.id("search-topic").fill("m/kitchen/#");
  await tab.shows(2);
  const part = await tab.download("export-jsonl");
  assert.equal(part.bytes.toString().trimEnd().split("\n").length, 2);
  await tab.id("search-topic").fill("");
}

/** RFC 4180. */
function parseCsv(text) {
  const rows = [[]];
  for (const [, quoted, end] of text.matchAll(/"((?:[^"]|"")*)"(,|\r\n)/g)) {
    rows.at(-1).push(quoted.replaceAll('""', '"'));
    if (end !== ",") rows.push([]);
  }
  return rows.slice(0, -1);
}

async function pause(tab, send) {
  await tab.shows(7);
  await tab.id("pause").click();
  await send("m/unseen", "meanwhile");
  await tab.says("paused", /1 more/);
  await tab.shows(7);
  await tab.id("pause").click();
  await tab.shows(8);
  await tab.rows("m/unseen").waitFor();
}

async function bound(tab, client) {
  const more = 2000;
  // In portions that the broker's queue for the page holds.
  for (let sent = 0; sent < KEPT + more; sent += 500) {
    const portion = Array.from({ length: 500 }, (_, n) => client.publishAsync("m/many", `nr. ${sent + n}`, { qos: 1 }));
    await Promise.all(portion);
    await tab.rows(`nr. ${sent + 499}`).first().waitFor();
  }
  await until("the list is full", async () => (await tab.counts()).total === KEPT);
  await tab.says("count", /the newest 5,000 of 7,008 are kept/);
  const rows = await tab.rows().count();
  assert.equal(rows < 100, true, `only rows in sight exist, not ${rows}`);

  // Whoever scrolls up stays there, and comes back with a click.
  await tab.id("list").evaluate((list) => (list.scrollTop = 0));
  await tab.rows("nr. 2000").waitFor();
  await tab.id("follow").click();
  await tab.rows("nr. 6999").waitFor();
}
