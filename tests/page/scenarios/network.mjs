// The network goes and comes back: what was shown stays, what was subscribed comes back, and messages go on.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";

/** Chromium writes each connection that fails into the console, whoever made it. */
export const mayLog = /WebSocket connection to|Failed to load resource|net::ERR_/;

export default async function run(harness) {
  await brokerGone(harness);
  const way = await Way.to(Number(new URL(harness.url).port));
  await cut(harness, way);
  await silent(harness, way);
  await offline(harness, way);
  await keptSession(harness, way);
  await way.close();
}

/** A line to the broker that can be cut, and that can fall silent. */
class Way {
  #sockets = new Set();
  #isCut = false;

  static async to(port) {
    const way = new Way();
    way.server = createServer((near) => {
      if (way.#isCut) return near.destroy();
      const far = connect(port, "127.0.0.1");
      for (const [socket, other] of [[near, far], [far, near]]) {
        way.#sockets.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => (way.#sockets.delete(socket), other.destroy()));
        socket.pipe(other);
      }
    });
    await new Promise((resolve) => way.server.listen(0, "localhost", resolve));
    way.url = `https://localhost:${way.server.address().port}`;
    return way;
  }

  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Takes bytes, and passes none on, for the connections there are. */
  fallSilent() {
    for (const socket of this.#sockets) socket.unpipe().resume();
  }

  mend() {
    this.#isCut = false;
  }

  close() {
    this.cut();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

/** With a message shown, and one subscription. */
async function connected(harness, topic, given = {}, fields = {}) {
  const tab = await harness.tab(given);
  await tab.connect(fields);
  await tab.subscribe(`${topic}/#`, 1);
  await tab.publish(`${topic}/before`, "before", { qos: 1 });
  await tab.rows(`${topic}/before`).waitFor();
  return tab;
}

/** Back, with what was there and what comes now. */
async function isBack(tab, topic) {
  await tab.is("connected");
  await tab.page.locator("[data-testid=subscription][data-state=granted]").waitFor();
  await tab.publish(`${topic}/after`, "after", { qos: 1 });
  await tab.rows(`${topic}/after`).waitFor();
  assert.equal(await tab.rows(`${topic}/before`).count(), 1, "the list was kept");
  assert.equal(await tab.id("failure").count(), 0, "nothing is said of failures any more");
  await tab.page.context().close();
}

async function brokerGone(harness) {
  const tab = await connected(harness, "killed");
  await harness.ask("kill");
  await tab.is("waiting");
  await tab.says("failure", /The connection was lost|No connection came about/);
  await tab.page.locator("[data-testid=stage-page][data-state=failed]").waitFor();
  assert.match(await tab.text("stage-page"), /Look whether the broker runs/);
  await tab.picture("broker-gone");
  assert.match(await tab.publish("killed/x", "meanwhile", { qos: 1 }), /Connect first/);
  await harness.ask("start");
  await isBack(tab, "killed");
}

async function cut(harness, way) {
  const tab = await connected(harness, "cut", { url: way.url });
  way.cut();
  await tab.is("waiting");
  // What is asked for meanwhile is done later.
  await tab.id("filter").fill("late/#");
  await tab.id("subscribe").click();
  await tab.says("subscriptions", /late\/#[\s\S]*once connected/);
  await tab.page.getByRole("button", { name: "Unsubscribe from late/#" }).click();
  // Whoever does not want to wait need not; it comes back by itself all the same.
  await tab.id("retry").click();
  way.mend();
  await isBack(tab, "cut");
}

/** Nobody says that the connection is gone: keep alive finds out. */
async function silent(harness, way) {
  const tab = await harness.tab({ url: way.url });
  await tab.unfold("connect-form", "Session, will, properties");
  await tab.id("keep-alive").fill("2");
  await tab.connect();
  await tab.subscribe("silent/#", 1);
  await tab.publish("silent/before", "before", { qos: 1 });
  await tab.rows("silent/before").waitFor();
  way.fallSilent();
  await tab.is("waiting");
  await isBack(tab, "silent");
}

/** The browser knows that it has no network, and when it has one again. */
async function offline(harness, way) {
  const person = await harness.person();
  const tab = await connected(harness, "offline", { person, url: way.url });
  await person.setOffline(true);
  way.cut();
  await tab.is("offline");
  await tab.says("failure", /there is no network/);
  await tab.picture("offline");
  way.mend();
  await person.setOffline(false);
  await isBack(tab, "offline");
}

/** With a session, what came meanwhile comes later. */
async function keptSession(harness, way) {
  const person = await harness.person();
  const tab = await harness.tab({ person, url: way.url });
  await tab.unfold("connect-form", "Session, will, properties");
  await tab.id("clean-start").uncheck();
  await tab.id("session-expiry").fill("600");
  await tab.connect({ "client-id": "with-a-session" });
  await tab.subscribe("kept/#", 1);
  await tab.publish("kept/before", "before", { qos: 1 });
  await tab.rows("kept/before").waitFor();
  way.cut();
  await tab.is("waiting");
  const client = await harness.client();
  await client.publishAsync("kept/meanwhile", "meanwhile", { qos: 1 });
  way.mend();
  await tab.rows("kept/meanwhile").waitFor();
  await tab.says("connection", /The broker had kept the session/);
  await isBack(tab, "kept");
}
