// Pictures of each state, in both languages and colours, on a desktop and 360 pixels wide; nothing sticks out sideways.
import assert from "node:assert/strict";

import { DESKTOP, PHONE } from "../harness.mjs";

const LONG = `a/very/long/topic/${"with-levels-that-do-not-fit/".repeat(8)}temperature`;

export default async function run(harness) {
  for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    for (const [language, locale] of [["en", "en-GB"], ["zh", "zh-CN"]]) {
      for (const colorScheme of ["light", "dark"]) {
        const tab = await harness.tab({ locale, viewport, colorScheme });
        await states(tab, `${size}-${language}-${colorScheme}`);
        await tab.page.context().close();
      }
    }
  }
  await colours(harness);
}

async function states(tab, name) {
  await look(tab, `${name}-first`);
  for (const summary of await tab.id("connect-form").locator("summary").all()) await summary.click();
  await tab.id("will").check();
  await look(tab, `${name}-form`);
  await tab.id("will").uncheck();
  await tab.connect();
  await look(tab, `${name}-empty`);
  await tab.subscribe("#", 1);
  await tab.publish("kitchen/temperature", '{"celsius": 21.5, "at": "2026-01-01T12:00:00Z"}', { qos: 1, retain: true });
  await tab.publish("kitchen/humidity", "40 %");
  await tab.publish(LONG, "x".repeat(500), { qos: 2 });
  await tab.publish("温度/厨房", "二十一度半");
  await tab.rows("温度/厨房").waitFor();
  await tab.id("topics").locator("summary").click();
  await tab.choose("kitchen/temperature");
  await look(tab, `${name}-messages`);
  await tab.rows(LONG.slice(0, 30)).first().click();
  await look(tab, `${name}-long`);
  await tab.id("snippets").locator("summary").click();
  await tab.id("snippet").waitFor();
  await look(tab, `${name}-snippets`);
}

async function look(tab, name) {
  const { width, wide } = await tab.page.evaluate(() => {
    const root = document.documentElement;
    const edge = root.clientWidth + 1;
    const outside = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > edge);
    const isSeen = (element) => !element.closest(".list, pre, .topics, .skip, .unseen");
    return { width: root.scrollWidth, wide: outside.filter(isSeen).map((element) => element.outerHTML.slice(0, 160)) };
  });
  assert.deepEqual(wide, [], `${name}: nothing sticks out`);
  assert.equal(width <= tab.page.viewportSize().width, true, `${name}: ${width} pixels are wide`);
  await tab.picture(name);
}

/** As the system has them, or as chosen here. */
async function colours(harness) {
  const tab = await harness.tab({ colorScheme: "dark" });
  const paper = () => tab.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await tab.page.emulateMedia({ colorScheme: "light" });
  const light = await paper();
  assert.notEqual(light, dark, "it follows the system");
  for (const [name, expected] of [["light", light], ["dark", dark], ["as the system", light]]) {
    await tab.id("theme").click();
    await tab.says("theme", new RegExp(`^Colours: ${name}$`));
    assert.equal(await paper(), expected, name);
  }
  await tab.id("theme").click();
  await tab.id("theme").click();
  await tab.page.reload();
  await tab.id("connect-form").waitFor();
  assert.equal(await paper(), dark, "the choice is kept");
}
