// Everything by keyboard: in an order that can be followed, with the focus in sight.
import assert from "node:assert/strict";

import { until } from "../harness.mjs";

/** More than the page has places to stop at. */
const MOST_STOPS = 120;

export default async function run(harness) {
  const tab = await harness.tab();
  const { keyboard } = tab.page;

  await keyboard.press("Tab");
  assert.equal(await tab.page.evaluate(() => document.activeElement.className), "skip", "the first stop leads past the head");
  await onward(tab, "url");
  await keyboard.press("Enter");
  await tab.is("connected");

  await onward(tab, "filter");
  await keyboard.type("k/#");
  await keyboard.press("Enter");
  await tab.page.locator("[data-testid=subscription][data-state=granted]").waitFor();
  await onward(tab, "topic");
  await keyboard.type("k/one");
  await onward(tab, "payload");
  await keyboard.type("hello");
  await onward(tab, "publish");
  await keyboard.press("Space");
  await tab.rows("k/one").waitFor();
  await keyboard.press("Enter");
  await tab.shows(2);

  await onward(tab, "list");
  await keyboard.press("Home");
  await tab.id("detail").waitFor();
  assert.equal(await chosen(tab), "1");
  await keyboard.press("ArrowDown");
  await until("the second is chosen", async () => (await chosen(tab)) === "2");
  await keyboard.press("ArrowUp");
  await until("the first is chosen", async () => (await chosen(tab)) === "1");
  await onward(tab, "form-hex");
  await keyboard.press("Enter");
  assert.match(await tab.id("detail-payload").textContent(), /68 65 6c 6c 6f/);

  await focusIsSeen(tab);
}

const chosen = (tab) => tab.page.locator(".row[aria-selected=true]").getAttribute("aria-posinset");

/** Goes on with Tab until that element has the focus. */
async function onward(tab, testId) {
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    if ((await tab.page.evaluate(() => document.activeElement.dataset.testid)) === testId) return;
    await tab.page.keyboard.press("Tab");
  }
  assert.fail(`${testId} is not reached by Tab`);
}

/** Each place to stop at shows that it has the focus, and has a name. */
async function focusIsSeen(tab) {
  await tab.page.evaluate(() => document.activeElement.blur());
  await tab.page.evaluate(() => scrollTo(0, 0));
  const bad = [];
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    await tab.page.keyboard.press("Tab");
    const at = await tab.page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { width, height } = element.getBoundingClientRect();
      const what = element.outerHTML.slice(0, 120);
      return { what, isEnd: element === document.body, isSeen: outlineStyle !== "none" && outlineWidth !== "0px" && width * height > 0 };
    });
    if (at.isEnd) break;
    if (!at.isSeen) bad.push(at.what);
  }
  assert.deepEqual(bad, []);
}
