// Why there is no connection: each way to fail is found at its stage, and said in words with what to try.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";

import { WebSocketServer } from "ws";

import { until } from "../harness.mjs";

/** Chromium writes each connection that fails into the console, whoever made it. */
export const mayLog = /WebSocket connection to|Failed to load resource|net::ERR_|CORS policy/;

const STAGES = ["page", "server", "upgrade", "connect", "round-trip"];

export default async function run(harness) {
  const tab = await harness.tab();
  const host = new URL(harness.url).host;
  const plain = new URL(harness.plain).port;

  let found = await why(tab, `wss://${host}/wrong/path`);
  assert.deepEqual(states(found), ["ok", "ok", "failed", "skipped", "skipped"]);
  assert.match(found.upgrade.text, /path that is none for WebSocket/);
  assert.match(found.upgrade.text, /takes WebSocket at \/mqtt, \/ws and \//);
  await pictures(tab);
  await stop(tab);

  // Nobody listens there.
  const closed = await listen(createServer());
  await new Promise((resolve) => closed.server.close(resolve));
  await unreachable(tab, `wss://localhost:${closed.port}/mqtt`, /cannot be reached from this browser/, /ca\.crt/);
  // A certificate that the browser does not trust.
  await unreachable(tab, `${harness.other.replace("https", "wss")}/mqtt`, /a certificate it does not trust/, /ca\.crt/);
  // TLS, where there is none, and the other way round.
  await unreachable(tab, `wss://localhost:${plain}/mqtt`, /something else than HTTPS/, /If that port has no TLS/);
  await noTls(tab, host);
  // A name that is nobody's.
  await unreachable(tab, "wss://nobody.invalid/mqtt", /no such name/, /Look at host and port for mistakes/);

  await stranger(tab);
  await silent(tab);
  await stripped(tab, plain);
}

/** Connects, and returns what each stage says once all of them have been looked at. */
async function why(tab, url) {
  await tab.id("url").fill(url);
  await tab.id("connect").click();
  await tab.id("diagnosis").waitFor();
  return until("a diagnosis", async () => {
    const found = {};
    for (const stage of STAGES) {
      const is = await tab.id(`stage-${stage}`).getAttribute("data-state");
      if (is === "running") return undefined;
      found[stage] = { is, text: await tab.text(`stage-${stage}`) };
    }
    return found;
  });
}

const states = (found) => STAGES.map((stage) => found[stage].is);

async function stop(tab) {
  await tab.id("disconnect").click();
  await tab.is("idle");
}

async function unreachable(tab, url, text, advice) {
  const found = await why(tab, url);
  assert.deepEqual(states(found), ["ok", "failed", "skipped", "skipped", "skipped"], url);
  assert.match(found.server.text, text);
  assert.match(found.server.text, advice);
  assert.match(await tab.text("failure"), /No connection came about/);
  await stop(tab);
}

/** The port answers HTTP over TLS only. */
async function noTls(tab, host) {
  const found = await why(tab, `ws://${host}/mqtt`);
  assert.equal(states(found).includes("failed"), true);
  const told = found.server.text + found.upgrade.text;
  assert.match(told, /use wss:\/\/|Look whether MQTT over WebSocket is served at this address/);
  await stop(tab);
}

/** A web server that knows nothing of MQTT. */
async function stranger(tab) {
  const { server, port } = await listen(createServer((_, response) => response.end("hello")));
  const found = await why(tab, `ws://localhost:${port}/mqtt`);
  assert.deepEqual(states(found), ["ok", "ok", "failed", "skipped", "skipped"]);
  assert.match(found.upgrade.text, /Something answers at this address, but not this kind of broker/);
  await stop(tab);
  server.close();
}

/** One that opens the WebSocket and then says nothing. */
async function silent(tab) {
  const { server, port } = await listen(createServer((_, response) => response.end()));
  const sockets = new WebSocketServer({ server, handleProtocols: () => "mqtt" });
  const found = await why(tab, `ws://localhost:${port}/mqtt`);
  assert.deepEqual(states(found), ["ok", "ok", "ok", "failed", "skipped"]);
  assert.match(found.connect.text, /no MQTT answer came over it/);
  assert.match(await tab.text("failure"), /did not answer in time/);
  await stop(tab);
  sockets.close();
  server.close();
}

/** A proxy that takes the Upgrade away, as nginx does by itself. */
async function stripped(tab, plain) {
  const proxy = createServer((asked, answer) => {
    const { connection, upgrade, ...headers } = asked.headers;
    const passed = request({ port: plain, host: "127.0.0.1", path: asked.url, headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  // Without a listener for it, Node itself passes the request on as any other.
  const { server, port } = await listen(proxy);
  const found = await why(tab, `ws://localhost:${port}/mqtt`);
  assert.deepEqual(states(found), ["ok", "ok", "failed", "skipped", "skipped"]);
  assert.match(found.upgrade.text, /without “Upgrade: websocket”: a proxy in between took it away/);
  assert.match(found.upgrade.text, /proxy_set_header Upgrade/);
  await stop(tab);
  server.close();
}

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, "localhost", () => resolve({ server, port: server.address().port }));
  });
}

async function pictures(tab) {
  await tab.picture("diagnosis");
  await tab.page.setViewportSize({ width: 360, height: 740 });
  await tab.picture("diagnosis-phone");
  await tab.page.setViewportSize({ width: 1280, height: 900 });
}
