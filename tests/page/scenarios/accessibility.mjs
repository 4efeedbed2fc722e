// What assistive technology gets, in each state of the page: axe-core finds nothing wrong, in both languages and colours.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };

/** Chromium writes each connection that fails into the console. */
export const mayLog = /WebSocket connection to|Failed to load resource/;

export default async function run(harness) {
  for (const locale of ["en-GB", "zh-CN"]) {
    for (const colorScheme of ["light", "dark"]) await states(harness, { locale, colorScheme });
  }
}

async function states(harness, given) {
  const tab = await harness.tab(given);
  await check(tab, "the first load", given);
  for (const summary of await tab.id("connect-form").locator("summary").all()) await summary.click();
  await tab.id("will").check();
  await tab.id("url").fill("broker.example");
  await check(tab, "the form, with what is wrong", given);
  await tab.id("will").uncheck();
  await tab.id("url").fill(`${harness.url.replace("https", "wss")}/nowhere`);
  await tab.id("connect").click();
  await tab.page.locator("[data-testid=stage-upgrade][data-state=failed]").waitFor();
  await check(tab, "a diagnosis", given);

  await tab.id("disconnect").click();
  await tab.id("url").fill(`${harness.url.replace("https", "wss")}/mqtt`);
  await tab.connect();
  for (const summary of await tab.page.locator("main summary").all()) await summary.click();
  await tab.subscribe("a/#", 1);
  await tab.id("topic").fill("a/b");
  await tab.id("payload").fill('{"a": 1}');
  await tab.id("publish").click();
  await tab.choose("a/b");
  await tab.id("pause").click();
  await check(tab, "messages and one of them", given);
  await tab.page.context().close();
}

async function check(tab, what, { locale, colorScheme }) {
  // Past the page's policy, which lets no such script in.
  await tab.page.evaluate(AXE);
  const { violations } = await tab.page.evaluate((rules) => window.axe.run(document, rules), RULES);
  const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} (${node.failureSummary})`));
  assert.deepEqual(found, [], `${what}, ${locale}, ${colorScheme}`);
}
