// Clients in Chromium in the interop matrix, from a page of another origin than the broker's, or from the broker's own:
// its steps are described at Step in matrix/clients/mod.rs, and done in page/steps.mjs.
//
//   node browser/main.mjs LIBRARY URL [--ca FILE] --version 3|4|5 --name NAME
//
// LIBRARY is mqttjs, paho, or ours: MQTT.js on the broker's page. Exits with 1, and says why, where the broker does not do as it should.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { withChromium } from "./chromium.mjs";

/** For one step; the broker is on this machine, which may be busy. */
const PATIENCE = 60_000;
/** The broker's allowed_origins lists it: see matrix/main.rs. Chromium is told where it is. */
const ORIGIN = "http://pages.example";
/** What the page may load, by its path. */
const FILES = {
  "/": file("page/index.html", "text/html"),
  "/steps.mjs": file("page/steps.mjs", "text/javascript"),
  "/mqttjs.mjs": file("page/mqttjs.mjs", "text/javascript"),
  "/paho.mjs": file("page/paho.mjs", "text/javascript"),
  "/mqtt.esm.js": file("../node_modules/mqtt/dist/mqtt.esm.js", "text/javascript"),
  "/paho-mqtt.js": file("../node_modules/paho-mqtt/paho-mqtt.js", "text/javascript"),
};

function file(path, type) {
  return { path: new URL(path, import.meta.url), type };
}

/** Serves the page, and returns where. */
function serve() {
  const server = createServer((request, response) => {
    const file = FILES[request.url];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": file.type });
    response.end(readFileSync(file.path));
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${server.address().port}`));
  });
}

/** The page to work in: one of another origin, or the broker's own, with its policy, to which the steps are added. */
async function pageOf(context, library, url) {
  if (library !== "ours") return ORIGIN;
  const { protocol, host } = new URL(url);
  const page = `${protocol === "wss:" ? "https" : "http"}://${host}`;
  for (const [path, file] of Object.entries(FILES)) {
    if (path === "/") continue;
    await context.route(page + path, (route) => route.fulfill({ path: fileURLToPath(file.path), contentType: file.type }));
  }
  return page;
}

async function open(context, address) {
  const page = await context.newPage();
  await page.goto(address);
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

async function scenario(context, address, place) {
  const page = await open(context, address);
  for (const step of ["connect", "qos0", "qos1", "qos2", "retained"]) {
    await run(page, place, step);
    console.log(step);
  }

  // The client with a will lives in a tab of its own, which is closed.
  await run(page, place, "watchForWill");
  const tab = await open(context, address);
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
  const place = {
    library: library === "ours" ? "mqttjs" : library,
    url,
    version: Number(values.version),
    name: values.name,
  };
  await withChromium({ ca: values.ca, hosts: { "pages.example": await serve() } }, async (context) => {
    await scenario(context, await pageOf(context, library, url), place);
  });
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
