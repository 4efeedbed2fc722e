// A broker that is full: the page says so in the broker's words, tries again by itself, and gets in once there is room.
import assert from "node:assert/strict";

export default async function run(harness) {
  const others = [await harness.client(), await harness.client()];
  const tab = await harness.tab();
  await tab.connect({ waits: false });
  await tab.is("waiting");
  await tab.says("failure", /the server keeps its limit of 2 sessions/);
  await tab.page.locator("[data-testid=stage-connect][data-state=failed]").waitFor();
  assert.match(await tab.text("stage-connect"), /Try again later/);
  await others[0].endAsync();
  await tab.is("connected");
  await tab.id("diagnosis").waitFor({ state: "detached" });
}
