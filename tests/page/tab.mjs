// A tab with the page in it, and what people do there.
import assert from "node:assert/strict";

import { PATIENCE, until } from "./harness.mjs";

export class Tab {
  constructor(harness, page) {
    this.harness = harness;
    this.page = page;
  }

  async open(url) {
    const response = await this.page.goto(url);
    const scripts = await this.page.locator("script[type=module]").count();
    assert.equal(
      scripts > 0,
      true,
      "the broker was built without its page; `tests/run install` installs Node.js, then `touch build.rs`",
    );
    await this.id("connect-form").waitFor();
    return response;
  }

  id(testId) {
    return this.page.getByTestId(testId);
  }

  /** The text of an element, in one line. */
  async text(testId) {
    return (await this.id(testId).innerText()).replace(/\s+/g, " ").trim();
  }

  /** Waits for the state that the page says it is in. */
  async is(...states) {
    const any = states.map((state) => `[data-testid=status][data-state=${state}]`).join(",");
    await this.page.locator(any).waitFor();
  }

  /** Waits for an element to say something that fits. */
  async says(testId, pattern) {
    return until(`${testId} says ${pattern}`, async () => {
      const texts = await this.id(testId).allInnerTexts();
      return texts.find((text) => pattern.test(text));
    });
  }

  /** Opens what is folded, by its summary. */
  async unfold(within, summary) {
    await this.id(within).locator("summary").filter({ hasText: summary }).first().click();
  }

  /** Fills in the form and sends it off; waits until it is connected, unless told otherwise. */
  async connect({ waits = true, ...fields } = {}) {
    for (const [field, value] of Object.entries(fields)) await this.id(field).fill(value);
    await this.id("connect").click();
    if (waits) await this.is("connected");
  }

  async subscribe(filter, qos = 0) {
    await this.id("filter").fill(filter);
    await this.id("sub-qos").selectOption(String(qos));
    await this.id("subscribe").click();
    await this.page.locator("[data-testid=subscription][data-state=granted]", { hasText: filter }).waitFor();
  }

  /** Publishes, and returns what the page then says of it. */
  async publish(topic, payload, { qos = 0, retain = false } = {}) {
    await this.id("topic").fill(topic);
    await this.id("payload").fill(payload);
    await this.id("pub-qos").selectOption(String(qos));
    await this.id("retain").setChecked(retain);
    await this.id("publish").click();
    return this.says("publish-result", /[.。]$/);
  }

  /** The rows of the list in sight. */
  rows(text) {
    const rows = this.page.getByRole("option").and(this.page.locator(".row"));
    return text === undefined ? rows : rows.filter({ hasText: text });
  }

  /** Opens a message of the list. */
  async choose(text) {
    await this.rows(text).last().click();
    await this.id("detail").waitFor();
  }

  /** How many messages are shown, and how many are kept. */
  async counts() {
    const text = await this.text("count");
    const [shown, total] = text.match(/[\d,]+/g).map((figure) => Number(figure.replaceAll(",", "")));
    return { shown, total };
  }

  /** Waits until so many messages are shown. */
  async shows(number) {
    await until(`${number} messages are shown`, async () => (await this.counts()).shown === number);
  }

  /** What a click on the element has the browser save. */
  async download(testId) {
    const saved = this.page.waitForEvent("download", { timeout: PATIENCE });
    await this.id(testId).click();
    const download = await saved;
    const parts = [];
    for await (const part of await download.createReadStream()) parts.push(part);
    return { name: download.suggestedFilename(), bytes: Buffer.concat(parts) };
  }

  /** Beats ten times a second from now on; `gap` tells the longest time without a beat. */
  async beat() {
    await this.page.evaluate(() => {
      const beats = { last: performance.now(), gap: 0 };
      window.beats = beats;
      setInterval(() => {
        const now = performance.now();
        beats.gap = Math.max(beats.gap, now - beats.last);
        beats.last = now;
      }, 100);
    });
  }

  /** Milliseconds. */
  gap() {
    return this.page.evaluate(() => Math.max(window.beats.gap, performance.now() - window.beats.last));
  }

  async picture(name) {
    const path = this.harness.picture(name);
    if (path) await this.page.screenshot({ path, fullPage: true });
  }
}
