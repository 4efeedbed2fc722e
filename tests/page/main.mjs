// Runs a scenario of scenarios/ against a broker, in a Chromium of its own.
//
//   node main.mjs SCENARIO URL --ca FILE --plain mqtt://… --pictures DIRECTORY [--other URL --other-ca FILE]
//
// Prints "passed" at the end. Before that it may ask for the broker to be killed and started again: it prints "kill" or
// "start", and waits for a line. Exits with 1, and says why, where the page does not do as it should.
import { parseArgs } from "node:util";

import { Harness } from "./harness.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ca: { type: "string" },
    plain: { type: "string" },
    pictures: { type: "string" },
    other: { type: "string" },
    "other-ca": { type: "string" },
  },
});
const [scenario, url] = positionals;
const { default: run, mayLog, trustsOther = false } = await import(`./scenarios/${scenario}.mjs`);
const trusted = trustsOther ? [values.ca, values["other-ca"]] : [values.ca];
const harness = await Harness.start({ scenario, url, mayLog, trusted, ...values });
let code = 0;
try {
  await run(harness);
  harness.checkLogs();
  console.log("passed");
} catch (error) {
  console.error(error);
  await harness.pictureOfFailure();
  code = 1;
} finally {
  await harness.stop();
}
process.exit(code);
