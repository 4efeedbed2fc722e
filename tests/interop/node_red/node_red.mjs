// Node-RED inside this process, without its editor and its HTTP ports; its folder is a temporary one.

import { EventEmitter } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** For one answer, in milliseconds. The broker is on this machine, which may be busy. */
const PATIENCE = 60_000;

const RED = createRequire(import.meta.url)("node-red");

export class NodeRed {
  #bus = new EventEmitter();
  #userDir;

  static async start() {
    const red = new NodeRed();
    red.#userDir = await mkdtemp(join(tmpdir(), "gatemq-node-red-"));
    RED.init(http.createServer(), {
      userDir: red.#userDir,
      flowFile: "flows.json",
      credentialSecret: false,
      httpAdminRoot: false,
      httpNodeRoot: false,
      disableEditor: true,
      functionGlobalContext: { bus: red.#bus },
      // Standard output is for the names of the steps.
      logging: { console: { level: "off" } },
      telemetry: { enabled: false, updateNotification: false },
    });
    await RED.start();
    return red;
  }

  /** Takes the place of what was deployed, once each of its flows is connected. */
  async deploy(...flows) {
    const clients = flows.map((flow) => new Client(this.#bus, flow.id));
    const nodes = flows.flatMap((flow) => flow.nodes());
    await RED.runtime.flows.setFlows({ flows: { flows: nodes }, deploymentType: "full" });
    for (const client of clients) await client.connected();
    return clients;
  }

  async stop() {
    await RED.stop();
    await rm(this.#userDir, { recursive: true, force: true });
  }
}

/** One deployed flow: what its nodes report is kept until a step asks for it. */
class Client {
  #bus;
  #id;
  #reports = { arrived: [], sent: [], state: [] };
  #wake = () => {};
  #failure;

  constructor(bus, id) {
    this.#bus = bus;
    this.#id = id;
    for (const [event, reports] of Object.entries(this.#reports)) {
      bus.on(`${id}-${event}`, (msg) => {
        reports.push(msg);
        this.#wake();
      });
    }
    bus.on(`${id}-failure`, (msg) => {
      this.#failure = new Error(msg.error.message);
      this.#wake();
    });
  }

  /** Waits for the green of "connected"; the yellow of "connecting" comes before it. */
  async connected() {
    while ((await this.#next("state")).status.fill !== "green");
  }

  /** Ends with DISCONNECT; the flow stays. */
  async disconnect() {
    await this.#send({ action: "disconnect" });
    while ((await this.#next("state")).status.fill !== "red");
  }

  async connect() {
    await this.#send({ action: "connect" });
    await this.connected();
  }

  /** Returns once the node has had the acknowledgement; with QoS 0, once the message is sent. */
  async publish(message) {
    await this.#send({ ...message });
  }

  async #send(msg) {
    this.#bus.emit(`${this.#id}-send`, msg);
    await this.#next("sent");
  }

  async receive() {
    const { topic, payload, qos, retain } = await this.#next("arrived");
    return { topic, payload, qos, retain };
  }

  async #next(event) {
    const reports = this.#reports[event];
    const deadline = Date.now() + PATIENCE;
    while (reports.length === 0) {
      if (this.#failure) throw this.#failure;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no report '${event}' within ${PATIENCE / 1000} s`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return reports.shift();
  }
}
