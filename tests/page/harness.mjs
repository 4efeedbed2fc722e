// What every scenario uses: Chromium that knows the broker's CA as a user's would, tabs, a second client, waiting.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import mqtt from "mqtt";
import { chromium } from "playwright-core";

import { Tab } from "./tab.mjs";

/** For one step; the broker and Chromium are on this machine, which may be busy. */
export const PATIENCE = 120_000;
/** Between two looks at something that has no event of its own. */
const LOOK_INTERVAL = 50;

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Tabs take turns in front; one that waits behind another is still somebody's.
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
];

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740 };

/** Comes back when the condition holds, with what it returned. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`still waiting for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL));
  }
}

export class Harness {
  #browser;
  #home;
  #answers;
  #clients = [];
  #contexts = [];
  /** What the console of any tab has said that nobody expects: violations of the policy, errors. */
  #logs = [];

  constructor(given) {
    Object.assign(this, given);
    const lines = createInterface({ input: process.stdin });
    this.#answers = lines[Symbol.asyncIterator]();
  }

  static async start(given) {
    const harness = new Harness(given);
    harness.#home = mkdtempSync(join(tmpdir(), "gatemq-page-"));
    const store = join(harness.#home, ".pki/nssdb");
    mkdirSync(store, { recursive: true });
    execFileSync("certutil", ["-N", "-d", `sql:${store}`, "--empty-password"]);
    for (const [index, ca] of given.trusted.entries()) {
      execFileSync("certutil", ["-A", "-d", `sql:${store}`, "-n", `GateMQ ${index}`, "-t", "C,,", "-i", ca]);
    }
    harness.#browser = await chromium.launch({
      executablePath: CHROMIUM,
      env: { ...process.env, HOME: harness.#home },
      args: FLAGS,
    });
    return harness;
  }

  /** A person with a browser: storage and settings of their own. */
  async person({ locale = "en-GB", viewport = DESKTOP, colorScheme = "light", ...more } = {}) {
    const context = await this.#browser.newContext({ locale, viewport, colorScheme, ...more });
    context.setDefaultTimeout(PATIENCE);
    // Violations are events of the document, and not all of them reach the console.
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        console.error(`policy violated: ${violatedDirective} ${blockedURI}`),
      );
    });
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#logs.push(message.text());
    });
    context.on("weberror", (error) => this.#logs.push(`thrown: ${error.error().stack}`));
    this.#contexts.push(context);
    return context;
  }

  /** A tab with the page in it; of a new person, where none is given. */
  async tab(given = {}) {
    const { person = await this.person(given), url = this.url } = given;
    const tab = new Tab(this, await person.newPage());
    await tab.open(url);
    return tab;
  }

  /** A second client, over TCP. */
  async client(options = {}) {
    const client = await mqtt.connectAsync(this.plain, { protocolVersion: 5, connectTimeout: PATIENCE, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Messages of a topic filter as they arrive at a second client. */
  async listen(filter) {
    const client = await this.client();
    const seen = [];
    client.on("message", (topic, payload, packet) => seen.push({ topic, payload, packet }));
    await client.subscribeAsync(filter, { qos: 2 });
    return seen;
  }

  /** Asks the broker over HTTP, past Chromium. */
  get(path, headers = {}) {
    return new Promise((resolve, reject) => {
      const asked = request(`${this.url}${path}`, { ca: readFileSync(this.ca), headers }, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () => {
          const { statusCode: status, headers: said } = response;
          resolve({ status, headers: said, body: Buffer.concat(parts) });
        });
      });
      asked.on("error", reject).end();
    });
  }

  /** What a metric of the broker says; the sum, where it has several labels. */
  async metric(name) {
    const text = (await this.get("/metrics")).body.toString();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    assert.notEqual(lines.length, 0, `there is a metric ${name}`);
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  /** Has the program that started us do it. */
  async ask(what) {
    console.log(what);
    const { value } = await this.#answers.next();
    assert.equal(value, "done");
  }

  picture(name) {
    if (!this.pictures) return undefined;
    mkdirSync(this.pictures, { recursive: true });
    return join(this.pictures, `${name}.png`);
  }

  /** Nothing was in a console that the scenario does not expect there. */
  checkLogs() {
    const unexpected = this.#logs.filter((line) => !this.mayLog?.test(line));
    assert.deepEqual(unexpected, [], "nothing unexpected is in the console");
  }

  async pictureOfFailure() {
    const pages = this.#contexts.flatMap((context) => context.pages());
    for (const [index, page] of pages.entries()) {
      const path = this.picture(`failed-${this.scenario}-${index}`);
      if (path) await page.screenshot({ path, fullPage: true, timeout: 10_000 }).catch(() => undefined);
    }
    console.error("consoles:", this.#logs);
  }

  async stop() {
    for (const client of this.#clients) client.end(true);
    await this.#browser.close();
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 10 });
  }
}
