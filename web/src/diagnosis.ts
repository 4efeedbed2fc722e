/**
 * Why there is no connection. A browser hides from a page why its WebSocket failed, so the way is tried stage by stage:
 * with `fetch`, with what the attempt itself has shown, and with what the broker remembers of it under its probe.
 */

import type { Attempt } from "./attempt";
import { diagnosisWords as t, probeText } from "./words/diagnosis";
import { reasonText } from "./words/codes";

export const STAGES = ["page", "server", "upgrade", "connect", "round-trip"] as const;
export type Stage = (typeof STAGES)[number];

/** What was found out about a stage. `tries` are what may be done about it. */
export interface Finding {
  stage: Stage;
  is: "running" | "ok" | "failed" | "unknown" | "skipped";
  text: string;
  tries: string[];
  /** What the broker says in English and we have no words for. */
  detail?: string;
}

/** What the broker remembers of an attempt: `GET /api/v1/probe/{id}`. */
interface Note {
  stage: "request" | "upgrade" | "connect" | "closed";
  ok: boolean;
  code: string;
  detail: string;
}

/** `null`: it remembers nothing; `undefined`: it does not answer such questions. */
type Remembered = Note[] | null | undefined;

const PATIENCE = 8000;

/** Goes through the stages; `report` is called with each finding as it is made. */
export async function diagnose(attempt: Attempt, report: (finding: Finding) => void): Promise<void> {
  const skipRest = (after: Stage) => {
    for (const stage of STAGES.slice(STAGES.indexOf(after) + 1)) report(made(stage, "skipped", t("skipped")));
  };
  report(made("page", "running", ""));
  const isPageThere = await answers("/livez");
  const isSame = attempt.httpOrigin === location.origin;
  report(
    isPageThere
      ? made("page", "ok", t("page-ok"))
      : made("page", "failed", t("page-failed"), [t("try-running"), t("try-network")]),
  );
  report(made("server", "running", ""));
  const server = isSame ? serverOfPage(isPageThere) : await otherServer(attempt);
  report(server);
  if (server.is === "failed" && !attempt.opened) return skipRest("server");

  report(made("upgrade", "running", ""));
  const remembered = await ask(attempt);
  const upgrade = judgeUpgrade(attempt, remembered);
  report(upgrade);
  if (upgrade.is !== "ok") return skipRest("upgrade");
  const connect = judgeConnect(attempt, remembered ?? []);
  report(connect);
  if (connect.is !== "ok") return skipRest("connect");
  report(judgeRoundTrip(attempt, remembered ?? []));
}

function serverOfPage(isThere: boolean): Finding {
  return isThere
    ? made("server", "ok", t("server-same"))
    : made("server", "failed", t("server-same-failed"), [t("try-running"), t("try-network")]);
}

async function otherServer({ httpOrigin }: Attempt): Promise<Finding> {
  if (await answers(`${httpOrigin}/livez`)) return made("server", "ok", t("server-ok", { origin: httpOrigin }));
  const tries = [t("try-open", { origin: httpOrigin }), t("try-host")];
  if (httpOrigin.startsWith("https:")) tries.push(t("try-ca", { origin: httpOrigin }), t("try-plain"));
  else tries.push(t("try-secure"));
  return made("server", "failed", t("server-failed", { origin: httpOrigin }), [...tries, t("try-local"), t("try-firewall")]);
}

function judgeUpgrade(attempt: Attempt, remembered: Remembered): Finding {
  const refused = remembered?.find(({ stage, ok }) => (stage === "request" || stage === "upgrade") && !ok);
  // Before what the browser saw: a page of another origin is let through, so that it can be told that it is refused.
  if (refused) return fromNote("upgrade", refused);
  if (attempt.opened) return made("upgrade", "ok", t("upgrade-ok"));
  const failed = (text: string, tries: string[]) => made("upgrade", "failed", text, tries);
  if (remembered === undefined) return failed(t("upgrade-stranger"), [t("try-path"), t("try-proxy"), t("try-broker")]);
  if (remembered === null) return failed(t("upgrade-nothing"), [t("try-proxy"), t("try-path"), t("try-local")]);
  // The broker let it through, and the browser never heard of it.
  return failed(t("upgrade-lost"), [t("try-proxy")]);
}

function judgeConnect(attempt: Attempt, notes: Note[]): Finding {
  const { connack, closed } = attempt;
  if (connack?.code === 0) return made("connect", "ok", t("connect-ok"));
  const note = notes.find(({ stage, ok }) => stage === "connect" && !ok);
  if (connack) {
    const tries = note ? probeText(note.code).tries : probeText(connackName(connack.code)).tries;
    const finding = made("connect", "failed", t("connect-refused", { code: reasonText(connack.code, connack.reason) }), tries);
    // MQTT 3.1.1 has no room for the reason in its CONNACK.
    return note && !connack.reason ? { ...finding, detail: note.detail } : finding;
  }
  const end = note ?? notes.find(({ stage }) => stage === "closed");
  if (end && end.code !== "closed" && end.code !== "network") return fromNote("connect", end);
  if (closed?.reason) return made("connect", "failed", t("connect-closed", { reason: closed.reason }));
  return made("connect", "failed", t("connect-silent"), [t("try-proxy"), t("try-broker")]);
}

function judgeRoundTrip(attempt: Attempt, notes: Note[]): Finding {
  const end = notes.find(({ stage, ok }) => stage === "closed" && !ok);
  const { disconnect, closed, roundTrip } = attempt;
  if (disconnect) {
    const code = reasonText(disconnect.code, disconnect.reason);
    return made("round-trip", "failed", t("trip-disconnect", { code }), end ? probeText(end.code).tries : []);
  }
  if (end && end.code !== "closed" && end.code !== "network") return fromNote("round-trip", end);
  if (closed?.reason) return made("round-trip", "failed", t("connect-closed", { reason: closed.reason }));
  if (closed || end) {
    const text = roundTrip === undefined ? t("trip-none") : t("trip-lost", { ms: Math.round(roundTrip) });
    return made("round-trip", "failed", text, [t("try-idle"), t("try-network")]);
  }
  return roundTrip === undefined
    ? made("round-trip", "failed", t("trip-none"), [t("try-network")])
    : made("round-trip", "ok", t("trip-ok", { ms: Math.round(roundTrip) }));
}

function fromNote(stage: Stage, note: Note): Finding {
  const { text, tries } = probeText(note.code);
  return { ...made(stage, "failed", text ?? t("broker-says"), tries), detail: note.detail };
}

function made(stage: Stage, is: Finding["is"], text: string, tries: string[] = []): Finding {
  return { stage, is, text, tries };
}

/** Refusals of MQTT 3.1.1 by the names of MQTT 5's. */
function connackName(code: number): string {
  return { 1: "unsupported-protocol-version", 2: "client-identifier-not-valid", 4: "bad-user-name-or-password",
    5: "not-authorized", 0x84: "unsupported-protocol-version", 0x85: "client-identifier-not-valid",
    0x86: "bad-user-name-or-password", 0x87: "not-authorized" }[code] ?? "";
}

/** Whether anything answers HTTP there. Other origins tell a page nothing more than that. */
async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return true;
  } catch {
    return false;
  }
}

async function ask({ httpOrigin, probe }: Attempt): Promise<Remembered> {
  try {
    const url = `${httpOrigin}/api/v1/probe/${probe}`;
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (response.status === 404) return null;
    if (!response.ok) return undefined;
    const { seen } = (await response.json()) as { seen?: Note[] };
    return Array.isArray(seen) ? seen : undefined;
  } catch {
    return undefined;
  }
}
