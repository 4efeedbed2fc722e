// A page of one broker that connects to another: refused there by its origin, and told so.
import assert from "node:assert/strict";

export const mayLog = /WebSocket connection to|Failed to load resource/;
/** Its certificate is not what is wrong. */
export const trustsOther = true;

export default async function run(harness) {
  // Ports do not tell origins apart for the broker, hosts do.
  const url = harness.url.replace("localhost", "127.0.0.1");
  const tab = await harness.tab({ url });
  await tab.connect({ waits: false, url: `${harness.other.replace("https", "wss")}/mqtt` });
  await tab.says("failure", /allowed_origins|origin/);
  await tab.page.locator("[data-testid=stage-server][data-state=ok]").waitFor();
  const stage = tab.page.locator("[data-testid=stage-upgrade][data-state=failed],[data-testid=stage-connect][data-state=failed]");
  await stage.waitFor();
  const text = await stage.innerText();
  assert.match(text, /does not let pages of this origin connect/);
  assert.equal(text.includes(`Add the origin of this page (${url}) to allowed_origins`), true, text);
  await tab.picture("diagnosis-origin");
}
