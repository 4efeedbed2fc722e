// Clients in Chromium in the interop matrix, from a page of another origin than the broker's: its steps are described at
// Step in matrix/clients/mod.rs, and done in page/steps.mjs.
//
//   node browser/main.mjs LIBRARY URL [--ca FILE] --version 3|4|5 --name NAME
//
// LIBRARY is mqttjs or paho. Exits with 1, and says why, where the broker does not do as it should.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

/** For one step; the broker is on this machine, which may be busy. */
const PATIENCE = 60_000;
/** The broker's allowed_origins lists it: see matrix/main.rs. Chromium is told where it is. */
const ORIGIN = "http://pages.example";
/** What the page may load, by its path. */
const FILES = {
  "/": ["page/index.html", "text/html"],
  "/steps.mjs": ["page/steps.mjs", "text/javascript"],
  "/mqttjs.mjs": ["page/mqttjs.mjs", "text/javascript"],
  "/paho.mjs": ["page/paho.mjs", "text/javascript"],
  "/mqtt.esm.js": ["../node_modules/mqtt/dist/mqtt.esm.js", "text/javascript"],
  "/paho-mqtt.js": ["../node_modules/paho-mqtt/paho-mqtt.js", "text/javascript"],
};

/** Serves the page, and returns its port. */
function serve() {
  const server = createServer((request, response) => {
    const [file, type] = FILES[request.url] ?? [];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": type });
    response.end(readFileSync(new URL(file, import.meta.url)));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

/** Chromium with a home of its own, whose certificate store knows the CA as a user's would. */
async function launch(home, ca) {
  if (ca) {
    const store = join(home, ".pki/nssdb");
    mkdirSync(store, { recursive: true });
    execFileSync("certutil", ["-N", "-d", `sql:${store}`, "--empty-password"]);
    execFileSync("certutil", ["-A", "-d", `sql:${store}`, "-n", "GateMQ", "-t", "C,,", "-i", ca]);
  }
  return chromium.launchPersistentContext(join(home, "profile"), {
    executablePath: "/usr/bin/chromium",
    env: { ...process.env, HOME: home },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--host-resolver-rules=MAP pages.example 127.0.0.1:${await serve()}`,
    ],
  });
}

async function open(context) {
  const page = await context.newPage();
  await page.goto(ORIGIN);
  return page;
}

/** Runs a function of page/steps.mjs in the page. */
async function run(page, place, step) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`"${step}" still waits after ${PATIENCE} ms`)), PATIENCE);
  });
  const done = page.evaluate(
    async ([name, given]) => {
      const steps = await import("/steps.mjs");
      await steps[name](given);
    },
    [step, place],
  );
  await Promise.race([done, deadline]);
  clearTimeout(timer);
}

async function scenario(context, place) {
  const page = await open(context);
  for (const step of ["connect", "qos0", "qos1", "qos2", "retained"]) {
    await run(page, place, step);
    console.log(step);
  }

  // The client with a will lives in a tab of its own, which is closed.
  await run(page, place, "watchForWill");
  const tab = await open(context);
  await run(tab, place, "connectWithWill");
  await tab.close();
  await run(page, place, "will");
  console.log("will");

  await run(page, place, "session");
  console.log("session");
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ca: { type: "string" }, version: { type: "string" }, name: { type: "string" } },
  });
  const [library, url] = positionals;
  const home = mkdtempSync(join(tmpdir(), "gatemq-browser-"));
  try {
    const context = await launch(home, values.ca);
    await scenario(context, { library, url, version: Number(values.version), name: values.name });
    await context.close();
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 10 });
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
