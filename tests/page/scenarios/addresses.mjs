// What people type as an address: what is wrong with it is said at once, in words, with what to try.
import assert from "node:assert/strict";

export default async function run(harness) {
  const tab = await harness.tab();
  const host = new URL(harness.url).host;
  const own = `wss://${host}/mqtt`;
  assert.equal(await tab.id("url").inputValue(), own, "it begins with where the page came from");

  for (const [typed, expected] of [
    ["", /An address is needed, such as wss:/],
    ["ftp://broker.example", /A browser connects to wss:\/\/ and ws:\/\/ addresses/],
    ["broker.example:8443", /must begin with wss:\/\/ or ws:\/\/\. Try wss:\/\/broker\.example:8443\/mqtt/],
    ["https://broker.example", /That is an address for pages\. MQTT is at wss:\/\/broker\.example\/mqtt/],
    ["wss://", /The name of the host is missing/],
    ["wss:///mqtt", /The name of the host is missing/],
    ["wss://:8443/mqtt", /The name of the host is missing/],
    ["wss://broker.example:99999/mqtt", /Ports go from 1 to 65535/],
    ["wss://broker.example/mqtt#x", /has no # in it\. Try wss:\/\/broker\.example\/mqtt/],
    ["wss://broker example/mqtt", /cannot be read as an address/],
    ["ws://broker.example/mqtt", /may not use ws without TLS\. Try wss:\/\/broker\.example\/mqtt/],
    ["javascript:alert(1)", /must begin with|A browser connects/],
    ["wss://[::1/mqtt", /cannot be read as an address/],
  ]) {
    await tab.id("url").fill(typed);
    await tab.says("connect-form", expected);
    assert.equal(await tab.id("url").getAttribute("aria-invalid"), "true", typed);
    await tab.id("connect").click();
    assert.equal(await tab.id("status").count(), 0, `nothing is tried with "${typed}"`);
  }
  await tab.picture("address-wrong");

  // Raw MQTT is out of a browser's reach; what it will do instead is said.
  await tab.id("url").fill(`mqtts://${host}`);
  await tab.says("connect-form", /cannot speak raw MQTT \(mqtts\): it will use WebSocket at wss:/);
  assert.equal(await tab.id("url").getAttribute("aria-invalid"), null);
  await tab.id("connect").click();
  await tab.is("connected");

  // Credentials in an address are taken out of it, and are not shown.
  await tab.id("change").click();
  await tab.id("url").fill(`wss://ada:secret@${host}/mqtt`);
  await tab.connect();
  assert.doesNotMatch(await tab.text("connection"), /secret/);

  // The addresses of the broker stand on the page, to use and to copy.
  await tab.id("disconnect").click();
  const plain = `ws://localhost:${new URL(harness.plain).port}/mqtt`;
  await tab.id("addresses").getByRole("button", { name: `Use: ${plain}` }).click();
  assert.equal(await tab.id("url").inputValue(), plain);
  await tab.connect();
  await tab.id("addresses").getByRole("button", { name: `Copy: ${own}` }).click();
  await tab.says("addresses", /Copied/);
  const ca = await tab.download("ca");
  assert.match(ca.bytes.toString(), /^-----BEGIN CERTIFICATE-----/);
}
