// English and Chinese: chosen by the browser's language, by hand, by the address; and nothing of the other one is left.
import assert from "node:assert/strict";

/** Chromium writes each connection that fails into the console. */
export const mayLog = /WebSocket connection to|Failed to load resource/;

/** What is the same in both: names, units, terms of MQTT that Chinese texts keep, examples. */
const SHARED =
  /^(GateMQ.*|MQTT( \+ TLS)?|WebSocket( \+ TLS)?|QoS( \d)?.*|JSONL?|CSV|English|zh|hello\.mjs|\d+|[\d.,]+ (B|KB|MB|ms)|\/\.well-known\/mqtt|demo\/.*|application\/json|zh\/.*|Base64|Hex|(wss?|mqtts?):\/\/\S*|page-\w+|[\w\s:.]*\d{2}:\d{2}:\d{2}.*)$/;

export default async function run(harness) {
  await byHand(harness);
  await byBrowser(harness);
  await byAddress(harness);
  await everyText(harness);
}

const lang = (tab) => tab.page.locator("html").getAttribute("lang");

async function byHand(harness) {
  const person = await harness.person();
  const tab = await harness.tab({ person });
  assert.equal(await lang(tab), "en");
  await tab.id("language").click();
  await tab.says("connect-form", /服务器地址/);
  assert.match(await lang(tab), /^zh/);
  const later = await harness.tab({ person });
  assert.match(await lang(later), /^zh/, "the choice is kept");
  await later.id("language").click();
  await later.says("connect-form", /Address of the broker/);
  assert.equal(await lang(later), "en");
  await person.close();
}

async function byBrowser(harness) {
  for (const [locale, expected] of [["zh-CN", /^zh/], ["zh-TW", /^zh/], ["de-DE", /^en/], ["en-US", /^en/]]) {
    const tab = await harness.tab({ locale });
    assert.match(await lang(tab), expected, locale);
    await tab.page.context().close();
  }
}

async function byAddress(harness) {
  const tab = await harness.tab({ url: `${harness.url}/?lang=zh` });
  assert.match(await lang(tab), /^zh/);
  await tab.page.context().close();
}

/** Every text, label and hint of the page in use, in both languages. */
async function everyText(harness) {
  const english = new Set(await texts(harness, "en-GB"));
  const chinese = await texts(harness, "zh-CN");
  assert.equal(chinese.length > 80, true, `there are ${chinese.length} texts`);
  const left = chinese.filter((text) => english.has(text) && /[a-z]{2}/i.test(text) && !SHARED.test(text));
  assert.deepEqual(left, [], "no English is left");
  const untranslated = chinese.filter((text) => /[a-z]{3,} [a-z]{2,} [a-z]{2,}/i.test(text) && !/[\u4e00-\u9fff]/.test(text));
  assert.deepEqual(untranslated, [], "no sentence is English");
}

async function texts(harness, locale) {
  const tab = await harness.tab({ locale });
  const all = [];
  const collect = async () => all.push(...(await tab.page.evaluate(visibleTexts)));
  for (const summary of await tab.id("connect-form").locator("summary").all()) await summary.click();
  await tab.id("will").check();
  await collect();
  await tab.id("will").uncheck();
  await tab.id("url").fill("broker.example");
  await collect();
  await tab.id("url").fill(`${harness.url.replace("https", "wss")}/mqtt`);
  await tab.connect({ "client-id": `page-${locale.slice(0, 2)}` });
  for (const summary of await tab.page.locator("main summary").all()) await summary.click();
  await tab.subscribe("zh/#", 1);
  await tab.id("topic").fill("zh/x");
  await tab.id("payload").fill("{}");
  await tab.id("retain").check();
  await tab.id("publish").click();
  await tab.choose("zh/x");
  await tab.id("pause").click();
  await collect();
  await tab.id("disconnect").click();
  await tab.is("idle");
  await tab.id("url").fill(`${harness.url.replace("https", "wss")}/nowhere`);
  await tab.id("connect").click();
  await tab.page.locator("[data-testid=stage-upgrade][data-state=failed]").waitFor();
  await collect();
  await tab.picture(`diagnosis-${locale.slice(0, 2)}`);
  await tab.page.context().close();
  return [...new Set(all)];
}

/** Runs in the page. Code, payloads and what is marked as English are what they are. */
function visibleTexts() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (node.nodeType === Node.ELEMENT_NODE) {
      for (const name of ["aria-label", "placeholder", "title", "alt"]) found.push(node.getAttribute(name) ?? "");
    } else if (!element.closest("code, pre, [data-testid=snippet-language], script, noscript, .payload, .topic, .branch .name")) {
      const marked = element.closest("[lang]").lang;
      if (marked === document.documentElement.lang) found.push(node.data);
    }
  }
  return found.map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean);
}
