// Chromium as a user has it: with a home of its own, whose certificate store knows the CA.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

/** Runs `work` with a browser, and leaves nothing behind. `hosts` maps names to HOST:PORT; `ca` is a file, or nothing. */
export async function withChromium({ ca, hosts = {} }, work) {
  const home = mkdtempSync(join(tmpdir(), "gatemq-browser-"));
  try {
    if (ca) {
      const store = join(home, ".pki/nssdb");
      mkdirSync(store, { recursive: true });
      execFileSync("certutil", ["-N", "-d", `sql:${store}`, "--empty-password"]);
      execFileSync("certutil", ["-A", "-d", `sql:${store}`, "-n", "GateMQ", "-t", "C,,", "-i", ca]);
    }
    const rules = Object.entries(hosts).map(([name, place]) => `MAP ${name} ${place}`);
    const context = await chromium.launchPersistentContext(join(home, "profile"), {
      executablePath: "/usr/bin/chromium",
      env: { ...process.env, HOME: home },
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // What Playwright answers in place of the broker has no address that would be local.
        "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
        `--host-resolver-rules=${rules.join(",")}`,
      ],
    });
    await work(context);
    await context.close();
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 10 });
  }
}
