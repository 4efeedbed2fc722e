// What the browser keeps: profiles without passwords unless asked, language and colours; and what an older or newer
// version, or rubbish, has left there.
import assert from "node:assert/strict";

import { until } from "../harness.mjs";

const KEY = "gatemq";

export default async function run(harness) {
  await profiles(harness);
  await older(harness);
  await newer(harness);
  await rubbish(harness);
  await forbidden(harness);
}

const stored = (tab) => tab.page.evaluate((key) => localStorage.getItem(key), KEY);

async function profiles(harness) {
  const person = await harness.person();
  const tab = await harness.tab({ person });
  await tab.id("url").fill("wss://broker.example/mqtt");
  await tab.id("username").fill("ada");
  await tab.id("password").fill("open sesame");
  await tab.id("client-id").fill("ada-1");
  await tab.unfold("connect-form", "Profiles");
  assert.equal(await tab.id("profile-save").isDisabled(), true, "a profile needs a name");
  await tab.id("profile-name").fill("work");
  await tab.id("profile-save").click();
  await tab.says("connect-form", /Saved “work” in this browser/);
  assert.doesNotMatch(await stored(tab), /sesame/, "the password stays out");

  await tab.id("profile-name").fill("home");
  await tab.id("url").fill("wss://home.example/mqtt");
  await tab.id("profile-password").check();
  await tab.id("profile-save").click();
  await until("the password is kept, as asked for", async () => /sesame/.test(await stored(tab)));

  const later = await harness.tab({ person });
  await later.unfold("connect-form", "Profiles");
  await later.id("profile").selectOption("work");
  assert.equal(await later.id("url").inputValue(), "wss://broker.example/mqtt");
  assert.equal(await later.id("username").inputValue(), "ada");
  assert.equal(await later.id("client-id").inputValue(), "ada-1");
  assert.equal(await later.id("password").inputValue(), "");
  await later.id("profile").selectOption("home");
  assert.equal(await later.id("url").inputValue(), "wss://home.example/mqtt");
  assert.equal(await later.id("password").inputValue(), "open sesame");
  await later.picture("profiles");
  await later.id("profile-delete").click();
  await until("it is gone", async () => !/sesame/.test(await stored(later)));
  assert.match(await stored(later), /broker\.example/);
  await person.close();
}

/** The page with this in its storage. */
async function tabWith(harness, value) {
  const person = await harness.person();
  const store = ([key, text]) => location.protocol === "https:" && localStorage.setItem(key, text);
  await person.addInitScript(store, [KEY, value]);
  return harness.tab({ person });
}

/** It works, whatever it found. */
async function works(tab) {
  await tab.connect();
  await tab.subscribe("t/#");
  await tab.publish("t/x", "works");
  await tab.rows("t/x").waitFor();
  await tab.page.context().close();
}

async function older(harness) {
  const profile = { name: "old", url: "wss://old.example/mqtt", qos: 7, version: "five", will: "none", userProperties: [1] };
  const tab = await tabWith(harness, JSON.stringify({ theme: "dark", profiles: [profile, 5, null, { url: "unnamed" }] }));
  await tab.says("settings-note", /Settings stored by an older version were taken over as far as they fit/);
  assert.equal(await tab.page.locator("html").getAttribute("data-theme"), "dark");
  await tab.unfold("connect-form", "Profiles");
  await tab.id("profile").selectOption("old");
  assert.equal(await tab.id("url").inputValue(), "wss://old.example/mqtt");
  await tab.id("profile").selectOption("(none)");
  await tab.id("url").fill(harness.url.replace("https", "wss") + "/mqtt");
  await tab.id("settings-note").getByRole("button", { name: "Dismiss" }).click();
  await tab.id("settings-note").waitFor({ state: "detached" });
  await works(tab);
}

async function newer(harness) {
  const text = JSON.stringify({ version: 99, profiles: { of: "another shape" }, theme: "sepia" });
  const tab = await tabWith(harness, text);
  await tab.says("settings-note", /of a newer version of this page/);
  await tab.id("theme").click();
  assert.equal(await stored(tab), text, "what is newer is left alone");
  await works(tab);
}

async function rubbish(harness) {
  for (const text of ["{", "[]", "null", '"text"', "\u0000\uffff"]) {
    const tab = await tabWith(harness, text);
    await tab.says("settings-note", /could not be read and were dropped/);
    await works(tab);
  }
}

/** A browser that lets pages keep nothing. */
async function forbidden(harness) {
  const person = await harness.person();
  await person.addInitScript(() => {
    Object.defineProperty(window, "localStorage", {
      get() {
        throw new DOMException("forbidden", "SecurityError");
      },
    });
  });
  const tab = await harness.tab({ person });
  await tab.id("theme").click();
  assert.equal(await tab.page.locator("html").getAttribute("data-theme"), "light");
  await works(tab);
}
