// MQTT.js as a client of the broker: every step of steps.mjs and, in version 5, of steps5.mjs.
//
//   node mqttjs/main.mjs URL [--ca FILE] [--version 3|4|5] [--library mqtt|mqtt4]
//   node mqttjs/main.mjs URL [--ca FILE] --paths /,/mqtt     connects by each WebSocket path
//   node mqttjs/main.mjs URL [--ca FILE] [--version 3|4|5] [--library mqtt|mqtt4] --matrix --name NAME
//   node mqttjs/main.mjs URL [--ca FILE] --meet NAME --with NAME,…
//
// --matrix does the steps of matrix.mjs instead, and names each once it has passed. The last subscribes to meet/#, says `ready`, publishes meet/NAME once a line comes in, and ends well when a message
// of every NAME has arrived. Exits with 1, and says why, where the broker does not do as it should.
import { randomBytes } from "node:crypto";
import dns from "node:dns";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { Client } from "./client.mjs";
import * as matrix from "./matrix.mjs";
import * as steps from "./steps.mjs";
import * as steps5 from "./steps5.mjs";

/** For one step; the broker is on this machine, which may be busy. */
const PATIENCE = 30_000;

// Node 18 tries only the first address of a name, and localhost may begin with ::1.
dns.setDefaultResultOrder("ipv4first");

/** Where one step works: topics and client identifiers that no other run has, and clients that end with the step. */
class Place {
  #opened = [];

  constructor(library, url, options, run) {
    Object.assign(this, { library, url, options, run, version: options.protocolVersion });
  }

  name(name) {
    return `${this.run}-${name}`;
  }

  topic(name) {
    return `${this.run}/${name}`;
  }

  async open(name, options = {}) {
    const client = await Client.open(this.library, this.url, { ...this.options, clientId: this.name(name), ...options });
    this.#opened.push(client);
    return client;
  }

  /** Options of a session that outlives its connection. */
  kept() {
    return this.version === 5 ? { clean: false, properties: { sessionExpiryInterval: 300 } } : { clean: false };
  }

  async leave() {
    await Promise.all(this.#opened.map((client) => client.abort()));
  }
}

function deadline(name) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`"${name}" still waits after ${PATIENCE} ms`)), PATIENCE).unref();
  });
}

async function scenario(place) {
  const all = { ...steps, ...(place.version === 5 ? steps5 : {}) };
  for (const [name, step] of Object.entries(all)) {
    console.log(name);
    await Promise.race([step(place), deadline(name)]);
    await place.leave();
  }
}

/** In this order; the names are what the matrix waits for. */
const MATRIX = ["connect", "qos0", "qos1", "qos2", "retained", "will", "session"];

async function matrixSteps(place) {
  for (const name of MATRIX) {
    await Promise.race([matrix[name](place), deadline(name)]);
    await place.leave();
    console.log(name);
  }
}

async function paths(place, list) {
  for (const path of list) {
    const url = new URL(path, place.url).href;
    console.log(url);
    const client = await Client.open(place.library, url, { ...place.options, clientId: place.name("path") });
    await client.disconnect();
  }
}

async function meet(place, name, others) {
  const client = await place.open(name);
  await client.subscribe("meet/#");
  console.log("ready");
  await new Promise((resolve) => createInterface({ input: process.stdin }).once("line", resolve));
  await client.publish(`meet/${name}`, `from ${name}`);
  const missing = new Set(others);
  while (missing.size > 0) {
    const { topic, payload } = await client.receive();
    console.log(topic, payload.toString());
    missing.delete(topic.slice("meet/".length));
  }
  await client.disconnect();
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ca: { type: "string" },
      version: { type: "string", default: "4" },
      library: { type: "string", default: "mqtt" },
      matrix: { type: "boolean" },
      name: { type: "string" },
      paths: { type: "string" },
      meet: { type: "string" },
      with: { type: "string", default: "" },
    },
  });
  const library = (await import(values.library)).default;
  const protocolVersion = Number(values.version);
  const options = {
    protocolVersion,
    ...(protocolVersion === 3 ? { protocolId: "MQIsdp" } : {}),
    ...(values.ca ? { ca: readFileSync(values.ca) } : {}),
  };
  // Short, since MQTT 3.1 allows client identifiers of 23 characters.
  const run = values.name ?? `js${randomBytes(3).toString("hex")}`;
  const place = new Place(library, positionals[0], options, run);
  if (values.matrix) await matrixSteps(place);
  else if (values.paths) await Promise.race([paths(place, values.paths.split(",")), deadline("paths")]);
  else if (values.meet) await Promise.race([meet(place, values.meet, values.with.split(",")), deadline("meet")]);
  else await scenario(place);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
