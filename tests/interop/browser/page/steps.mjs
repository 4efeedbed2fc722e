// The steps in the page. Each gets the place where it works: { library, url, version, name }.

async function open({ library, url, version, name }, what, options = {}) {
  const { Client } = await import(`/${library}.mjs`);
  return Client.open(url, version, `${name}-${what}`, options);
}

function expect(expected, got) {
  const [left, right] = [JSON.stringify(expected), JSON.stringify(got)];
  if (left !== right) throw new Error(`expected ${left}, got ${right}`);
}

export async function connect(place) {
  await (await open(place, "connect")).close();
}

async function thereAndBack(place, qos) {
  const client = await open(place, `qos${qos}`);
  const topic = `${place.name}/qos${qos}`;
  expect(qos, await client.subscribe(topic, qos));
  await client.publish(topic, `at ${qos}`, qos);
  expect([`at ${qos}`, qos, false], await client.received.take());
  await client.close();
}

export const qos0 = (place) => thereAndBack(place, 0);
export const qos1 = (place) => thereAndBack(place, 1);
export const qos2 = (place) => thereAndBack(place, 2);

export async function retained(place) {
  const topic = `${place.name}/retained`;
  const publisher = await open(place, "keeps");
  await publisher.publish(topic, "kept", 1, true);
  const subscriber = await open(place, "asks");
  await subscriber.subscribe(topic, 1);
  expect(["kept", 1, true], await subscriber.received.take());
  await publisher.publish(topic, "", 1, true);
  await subscriber.close();
  await publisher.close();
}

let watcher;

export async function watchForWill(place) {
  watcher = await open(place, "watcher");
  await watcher.subscribe(`${place.name}/will`, 1);
}

export async function connectWithWill(place) {
  await open(place, "dying", { will: { topic: `${place.name}/will`, payload: "cut off" } });
}

export async function will() {
  expect(["cut off", 1, false], await watcher.received.take());
  await watcher.close();
}

export async function session(place) {
  const topic = `${place.name}/session`;
  const before = await open(place, "kept", { kept: true });
  await before.subscribe(topic, 2);
  await before.close();
  const publisher = await open(place, "meanwhile");
  await publisher.publish(topic, "at 1", 1);
  await publisher.publish(topic, "at 2", 2);
  await publisher.close();
  const after = await open(place, "kept", { kept: true });
  // CONNACK of MQTT 3.1 cannot say it, and Paho keeps it to itself.
  if (after.sessionPresent !== undefined && place.version > 3) expect(true, after.sessionPresent);
  const received = [await after.received.take(), await after.received.take()];
  expect([["at 1", 1, false], ["at 2", 2, false]], received.sort());
  await after.close();
}

/** What arrived, in order, and whoever waits for it. */
export class Inbox {
  #items = [];
  #waiting = [];

  put(item) {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#items.push(item);
  }

  take() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
