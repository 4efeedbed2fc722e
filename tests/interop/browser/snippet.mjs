// A page from a file, in Chromium, and what it shows.
//
//   node browser/snippet.mjs FILE [--ca FILE]
//
// Prints each line that comes into #messages. Its host is one that the broker's allowed_origins lists; what the page
// loads from node_modules is what is installed here. It answers "secret" to whatever the page asks.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { withChromium } from "./chromium.mjs";

const ORIGIN = "http://pages.example";
const MODULES = new URL("../node_modules/", import.meta.url);

const { values, positionals } = parseArgs({ allowPositionals: true, options: { ca: { type: "string" } } });
await withChromium({ ca: values.ca }, async (context) => {
  await context.route(`${ORIGIN}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    const module = pathname.split("/node_modules/")[1];
    const path = module ? fileURLToPath(new URL(module, MODULES)) : positionals[0];
    return route.fulfill({ path });
  });
  const page = await context.newPage();
  page.on("dialog", (dialog) => dialog.accept("secret"));
  page.on("pageerror", (error) => console.error(error));
  await page.goto(`${ORIGIN}/hello.html`);
  let shown = 0;
  for (;;) {
    await page.waitForFunction((known) => document.querySelector("#messages").textContent.length > known, shown, { timeout: 0 });
    const text = await page.textContent("#messages");
    process.stdout.write(text.slice(shown));
    shown = text.length;
  }
});
