// Code for other clients, on the page: chosen from a list, filled in with the address at hand, copied.
import assert from "node:assert/strict";

import { until } from "../harness.mjs";

/** For an address that is none. */
export const mayLog = /status of 400/;

export default async function run(harness) {
  const tab = await harness.tab({ permissions: ["clipboard-read", "clipboard-write"] });
  const url = `${harness.url.replace("https", "wss")}/mqtt`;
  await tab.id("username").fill("ada");
  await tab.unfold("snippets", "Code for other clients");
  await tab.id("snippet").waitFor();
  const languages = await tab.id("snippet-language").locator("option").allInnerTexts();
  assert.equal(languages.length >= 10, true, `there are ${languages}`);
  assert.equal(languages.some((language) => /MQTT\.js/.test(language)), true);

  const seen = new Set();
  for (const language of languages) {
    await tab.id("snippet-language").selectOption(language);
    const text = await until(`code for ${language}`, async () => {
      const shown = await tab.id("snippet").textContent();
      return !seen.has(shown) && shown;
    });
    seen.add(text);
    assert.match(text, /localhost/, language);
    // It asks over HTTP only, which needs no user.
    if (language !== "curl") assert.match(text, /ada/, language);
  }

  await tab.id("snippet-language").selectOption(languages.find((language) => /MQTT\.js/.test(language)));
  await tab.id("snippet-topic").fill("kitchen/temperature");
  const text = await until("the topic is in it", async () => {
    const shown = await tab.id("snippet").textContent();
    return shown.includes("kitchen/temperature") && /mqtt/.test(shown) && shown;
  });
  assert.equal(text.includes(url), true, text);
  await tab.id("snippets").getByRole("button", { name: /^Copy/ }).click();
  await tab.says("snippets", /Copied/);
  assert.equal(await tab.page.evaluate(() => navigator.clipboard.readText()), text);
  await tab.picture("snippets");
  await tab.page.setViewportSize({ width: 360, height: 740 });
  await tab.picture("snippets-phone");

  // What cannot be filled in is said in words, and the page goes on.
  await tab.id("url").fill("wss://");
  await tab.id("snippets-failure").waitFor();
  await tab.id("url").fill("wss://broker.example/mqtt");
  await until("the other address is in it", async () => (await tab.id("snippet").textContent()).includes("broker.example"));
}
