// Payloads of every kind: each view, rubbish, scripts, and one that is large.
import assert from "node:assert/strict";
import { deflateSync } from "node:zlib";

const LARGE = 10 * 1024 * 1024;
/** A tab that takes longer between two beats is frozen. */
const FROZEN = 10_000;

export default async function run(harness) {
  const tab = await harness.tab();
  const client = await harness.client();
  const send = (topic, payload) => client.publishAsync(topic, payload, { qos: 1 });
  await tab.connect();
  await tab.subscribe("p/#", 1);

  await json(tab, send);
  await binary(tab, send);
  await image(tab, send);
  await empty(tab, send);
  await script(tab, send);
  await large(tab, send);
}

/** Shows a payload in one of its forms. */
async function shown(tab, form) {
  await tab.id(`form-${form}`).click();
  assert.equal(await tab.id(`form-${form}`).getAttribute("aria-pressed"), "true");
  return (await tab.id("detail-payload").or(tab.id("not-this")).textContent()) ?? "";
}

async function json(tab, send) {
  await send("p/json", '{"big":12345678901234567890,"list":[1,{"two":[]}],"text":"ä {x}"}');
  await tab.choose("p/json");
  const expected = `{
  "big": 12345678901234567890,
  "list": [
    1,
    {
      "two": []
    }
  ],
  "text": "ä {x}"
}`;
  assert.equal(await tab.id("detail-payload").textContent(), expected, "JSON is shown as such by itself");
  assert.match(await shown(tab, "text"), /^\{"big":1234/);
  assert.match(await shown(tab, "hex"), /^00000000 {2}7b 22 62 69 67 22/);
  const base64 = await shown(tab, "base64");
  assert.equal(JSON.parse(Buffer.from(base64, "base64").toString()).text, "ä {x}");
  await tab.picture("detail-json");
}

async function binary(tab, send) {
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, n) => (n * 73 + 255) % 256));
  await send("p/binary", bytes);
  await tab.choose("p/binary");
  assert.equal(await tab.id("form-hex").getAttribute("aria-pressed"), "true", "what is no text is shown in hex");
  assert.match(await shown(tab, "hex"), /^00000000 {2}ff 48 91/);
  assert.match(await shown(tab, "text"), /no text/);
  assert.match(await shown(tab, "json"), /no JSON/);
  assert.deepEqual(Buffer.from(await shown(tab, "base64"), "base64"), bytes);
  const saved = await tab.download("download");
  assert.deepEqual(saved.bytes, bytes);
  assert.match(saved.name, /^binary-\d+\.bin$/);
}

async function image(tab, send) {
  const png = drawPng(8);
  await send("p/image", png);
  await tab.choose("p/image");
  const width = () => tab.id("image").evaluate(async (element) => (await element.decode(), element.naturalWidth));
  assert.equal(await width(), 8, "the image is drawn");
  assert.match((await tab.download("download")).name, /\.png$/);
  await send("p/broken-image", png.subarray(0, 20));
  await tab.choose("p/broken-image");
  await tab.id("image").waitFor({ state: "attached" });
  // An image that may hold scripts stays text.
  await send("p/svg", '<svg xmlns="http://www.w3.org/2000/svg" onload="window.ran=1"><script>window.ran=1</script></svg>');
  await tab.choose("p/svg");
  assert.equal(await tab.id("form-image").count(), 0);
}

async function empty(tab, send) {
  await send("p/empty", "");
  await tab.choose("p/empty");
  assert.match(await tab.text("detail"), /The payload is empty/);
}

async function script(tab, send) {
  const attack = `<script>window.ran=1</script><img src=x onerror="window.ran=1">`;
  const topic = `p/<img src=x onerror="window.ran=1">/javascript:window.ran=1`;
  await send(topic, attack);
  await tab.choose("javascript:window.ran=1");
  assert.equal(await tab.id("detail-topic").textContent(), topic);
  assert.equal(await tab.id("detail-payload").textContent(), attack);
  await tab.unfold("topics", "Topics");
  await tab.id("topics").getByRole("button", { name: "p", exact: true }).first().click();
  await tab.id("topics").getByText("<img src=x", { exact: false }).waitFor();
  await tab.unfold("topics", "Topics");
  assert.equal(await tab.page.locator("img[src=x]").count(), 0, "nothing of it became an element");
  assert.equal(await tab.page.evaluate(() => window.ran), undefined, "nothing of it ran");
}

async function large(tab, send) {
  await tab.beat();
  await send("p/large", Buffer.alloc(LARGE, "0123456789abcde\n"));
  await tab.rows("p/large").filter({ hasText: "10 MB" }).waitFor();
  await tab.choose("p/large");
  assert.equal((await tab.id("detail-payload").textContent()).length, 4096);
  await tab.id("show-all").click();
  await tab.says("detail", /The first 128 KB of 10 MB/);
  for (const form of ["json", "hex", "base64", "text"]) await shown(tab, form);
  assert.equal((await tab.download("download")).bytes.length, LARGE);
  await tab.id("pause").click();
  await tab.id("paused").waitFor();
  await tab.id("pause").click();

  // Binary of that size, too; and searching through all of it.
  await send("p/large-binary", Buffer.alloc(LARGE, Buffer.from([0, 1, 2, 254])));
  await tab.choose("p/large-binary");
  assert.match(await shown(tab, "hex"), /^00000000 {2}00 01 02 fe/);
  await tab.id("search-text").fill("large-b");
  await tab.shows(1);
  const gap = await tab.gap();
  assert.equal(gap < FROZEN, true, `the tab stood still for ${gap} ms`);
}

/** A square of one colour. */
function drawPng(side) {
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(side * 3, Buffer.from([11, 110, 95]))]);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(Buffer.concat(Array(side).fill(row)))), chunk("IEND")];
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), ...parts]);
}

function chunk(type, data = Buffer.alloc(0)) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** Node 20 has none of its own. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
