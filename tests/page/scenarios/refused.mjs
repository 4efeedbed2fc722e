// A broker that lets nobody in: the page says so, in its words and the broker's, and does not try again by itself.
import assert from "node:assert/strict";

/** Longer than the page waits at first before it tries again. */
const WATCHED = 3000;

export default async function run(harness) {
  const tab = await harness.tab();
  await tab.says("addresses", /A user name and a password are needed/);
  for (const version of ["5.0", "3.1.1"]) {
    await tab.id("version").selectOption(version);
    await tab.connect({ waits: false, username: "ada", password: "wrong" });
    await tab.is("refused");
    const said = await tab.says("failure", /The broker refused the connection/);
    assert.match(said, /[Nn]ot authorized|[Bb]ad user name or password/);
    await tab.page.locator("[data-testid=stage-connect][data-state=failed]").waitFor();
    assert.match(await tab.text("stage-connect"), /user name/);
    await tab.picture(`refused-${version}`);
    const before = await harness.metric("gatemq_connections_total");
    await new Promise((resolve) => setTimeout(resolve, WATCHED));
    assert.equal(await harness.metric("gatemq_connections_total"), before, "it is not tried again");
    // The form is there to put it right.
    assert.equal(await tab.id("password").isVisible(), true);
  }
}
