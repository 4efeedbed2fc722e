/** What of the page can be tried without a browser. `npm test` runs it. */

// @ts-nocheck Node's types are not those of the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../src/address";
import { toCsv, toJsonLines } from "../src/export";
import { filterProblem, matches, topicProblem } from "../src/filter";
import { MessageLog, View } from "../src/log";
import { asBase64, asHex, asJson, asText, bestForm, fromBase64, fromHex, imageType, preview } from "../src/payload";
import { MOST_NODES, TopicTree } from "../src/topics";

const bytes = (text: string) => new TextEncoder().encode(text);
const message = (topic: string, payload = bytes("x")) => ({ time: 0, topic, payload, qos: 0, retain: false, dup: false });

test("filters match as the broker matches them", () => {
  const check = (filter, topic, expected) => assert.equal(matches(filter, topic), expected, `${filter} ${topic}`);
  check("a/+/c", "a/b/c", true);
  check("a/#", "a", true);
  check("a/#", "a/b/c", true);
  check("+", "/a", false);
  check("+/+", "/a", true);
  check("#", "$SYS/x", false);
  check("+/x", "$SYS/x", false);
  check("$SYS/#", "$SYS/x", true);
  check("$share/group/a/+", "a/b", true);
  check("a", "a/b", false);
  check("a/b", "a", false);
});

test("what is wrong with a filter or a topic is named", () => {
  for (const [filter, problem] of [["", "filter-empty"], ["a+", "filter-wildcard"], ["#/a", "filter-wildcard"],
    ["$share/g", "filter-share"], ["$share/g/", "filter-share"], ["a/+/#", null], ["x".repeat(65_536), "topic-long"]]) {
    assert.equal(filterProblem(filter), problem, filter.slice(0, 20));
  }
  assert.equal(topicProblem("a/+"), "topic-wildcard");
  assert.equal(topicProblem("a b/ü"), null);
});

test("addresses are taken as a browser can use them", () => {
  const page = { protocol: "https:", host: "mq.example" };
  const check = (typed, expected) => {
    const parsed = parseAddress(typed, page);
    assert.equal(parsed.ok ? parsed.address.url : parsed.problem, expected, typed);
  };
  check(" wss://h/mqtt ", "wss://h/mqtt");
  check("WSS://H:8443/x?y=1", "wss://h:8443/x?y=1");
  check("mqtts://h:8883", "wss://h:8883/mqtt");
  check("ws://localhost:8083/mqtt", "ws://localhost:8083/mqtt");
  check("ws://[::1]/mqtt", "ws://[::1]/mqtt");
  check("wss://[::1]:1/", "wss://[::1]:1/");
  check("ws://h/mqtt", "address-mixed");
  check("", "address-empty");
  check("h:8883", "address-no-scheme");
  check("https://h", "address-http");
  check("amqp://h", "address-unknown-scheme");
  check("wss:///mqtt", "address-no-host");
  check("wss://:1/", "address-no-host");
  check("wss://h:0/", "address-port");
  check("wss://h:65536/", "address-port");
  check("wss://h/#a", "address-fragment");
  check("wss://a b/", "address-unreadable");
  const { address } = parseAddress("wss://u:p%40ss@h/", page);
  assert.deepEqual([address.url, address.username, address.password], ["wss://h/", "u", "p@ss"]);
  assert.equal(parseAddress("h", page).expected, "wss://h/mqtt");
});

test("the log keeps the newest, by rows and by bytes", () => {
  const byRows = new MessageLog(3);
  for (let i = 0; i < 5; i += 1) byRows.push(message(`t/${i}`));
  assert.deepEqual([byRows.first, byRows.next, byRows.at(1), byRows.at(4)?.topic], [2, 5, undefined, "t/4"]);
  const byBytes = new MessageLog(100, 2000);
  for (let i = 0; i < 5; i += 1) byBytes.push(message("t", new Uint8Array(700)));
  assert.ok(byBytes.bytes <= 2000);
  byBytes.push(message("t", new Uint8Array(5000)));
  assert.equal(byBytes.next - byBytes.first, 1, "one that is too large is kept alone");
  byBytes.clear();
  assert.deepEqual([byBytes.bytes, byBytes.at(byBytes.next - 1)], [0, undefined]);
});

test("a view follows its log", () => {
  const log = new MessageLog(4);
  const view = new View(log, ({ topic }) => topic !== "no");
  for (const topic of ["a", "no", "b"]) log.push(message(topic));
  assert.equal(view.follow(), 0);
  assert.deepEqual(view.rows().map(({ topic }) => topic), ["a", "b"]);
  assert.equal(view.rowOf(2), 1);
  assert.equal(view.rowOf(1), -1);
  for (const topic of ["c", "d", "e"]) log.push(message(topic));
  assert.equal(view.follow(), 1, "a has left; no was never there");
  assert.deepEqual(view.rows().map(({ topic }) => topic), ["b", "c", "d", "e"]);
  log.clear();
  view.follow();
  assert.equal(view.length, 0);
});

test("the tree of topics has its limit and says so", () => {
  const tree = new TopicTree();
  for (let i = 0; i <= MOST_NODES; i += 1) tree.add(`t/${i}`);
  assert.deepEqual([tree.nodes, tree.isFull, tree.root.count], [MOST_NODES, true, MOST_NODES + 1]);
  tree.clear();
  tree.add("/".repeat(60_000));
  assert.ok(tree.nodes <= 64);
});

test("payloads are shown for what they are", () => {
  assert.equal(asText(bytes("grün")), "grün");
  assert.equal(asText(bytes("ü").subarray(0, 1), 1), null);
  assert.equal(asText(bytes("aü!"), 2), "a", "a cut through a character is forgiven");
  assert.equal(asText(Uint8Array.of(0)), null);
  assert.equal(preview(Uint8Array.of(0xff, 1)), "ff 01");
  assert.equal(asJson(bytes('{"n":12345678901234567890,"e":{}}')), '{\n  "n": 12345678901234567890,\n  "e": {}\n}');
  assert.equal(asJson(bytes("{")), null);
  assert.ok((asJson(bytes("[".repeat(3000) + "]".repeat(3000)))?.length ?? 0) < 1_000_000);
  assert.match(asHex(bytes("A\n")), /^00000000 {2}41 0a .* A·$/);
  assert.equal(asBase64(bytes("Hello")), "SGVsbG8=");
  assert.equal(imageType(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)), "image/png");
  assert.equal(imageType(bytes("<svg onload=alert(1)>")), null);
  assert.equal(bestForm(bytes("[1]")), "json");
  assert.equal(bestForm(bytes("1")), "text");
  assert.equal(bestForm(Uint8Array.of(0xfe)), "hex");
  assert.deepEqual(fromHex("48 65"), Uint8Array.of(0x48, 0x65));
  assert.equal(fromHex("4"), null);
  assert.deepEqual(fromBase64("_-8"), Uint8Array.of(0xff, 0xef));
  assert.equal(fromBase64("?"), null);
});

test("exported cells are no formulas", () => {
  const log = new MessageLog();
  for (const text of ["=1+1", "@x", "-2", "-2+3", 'a"b', "\tx"]) log.push(message("t", bytes(text)));
  const cells = toCsv([0, 1, 2, 3, 4, 5].map((n) => log.at(n))).slice(1).map((row) => row.split(",").at(-1)?.trim());
  assert.deepEqual(cells, [`"'=1+1"`, `"'@x"`, `"-2"`, `"'-2+3"`, `"a""b"`, `"'\tx"`]);
  const [line] = toJsonLines([{ ...message("t", Uint8Array.of(0xff)), number: 0,
    properties: { correlationData: Uint8Array.of(1) } }]);
  const parsed = JSON.parse(line);
  assert.deepEqual([parsed.payload, parsed.encoding, parsed.properties.correlationData], ["/w==", "base64", "AQ=="]);
});
