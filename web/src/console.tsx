/** What comes with MQTT.js: the one session of the page, and everything that shows or uses it. */

import { useEffect, useState } from "preact/hooks";
import type { Attempt } from "./attempt";
import { Diagnosis } from "./diagnosis-view";
import { session } from "./current";
import { useStore } from "./store";
import { reasonText } from "./words/codes";
import { words as t } from "./words/console";

export { session } from "./current";
export { Messages } from "./messages";
export { Publish } from "./publish";
export { Subscriptions } from "./subscribe";

// Fetched while the broker is there: it is wanted when the broker is not.
import("./diagnosis").catch(() => undefined);

/** How the connection is, in the head of the page. */
export function Status() {
  useStore(session);
  const { state, attempt } = session;
  const isOffline = state.is === "waiting" && state.offline;
  const ms = attempt?.roundTrip;
  const word = isOffline ? t("offline") : state.is === "waiting" ? t("reconnecting") : t(state.is);
  const shown = state.is === "connected" && ms !== undefined ? t("connected-ms", { ms: Math.round(ms) }) : word;
  return (
    <span class={`pill ${state.is}`} data-testid="status" data-state={isOffline ? "offline" : state.is}>
      <span aria-hidden="true">{shown}</span>
      {/* Without figures that change by themselves: each change would be read out. */}
      <span role="status" class="unseen">
        {word}
      </span>
    </span>
  );
}

/** Where to, and what may be done about it. */
export function Connection({ onChange, onNewId }: { onChange: () => void; onNewId: () => void }) {
  useStore(session);
  const { state, attempt, failed } = session;
  const isWaiting = state.is === "waiting";
  return (
    <section class="card" aria-label={t("connection")} data-testid="connection">
      <p class="target">
        <strong>{attempt?.url}</strong>
        <span class="hint">
          {t("as", { id: session.clientId, version: session.version === 5 ? "5.0" : "3.1.1" })}{" "}
          {state.is === "connected" && session.sessionPresent && t("session-present")}
        </span>
      </p>
      {state.is === "taken-over" && (
        <p class="warning" role="alert" data-testid="taken-over">
          {t("taken-text", { id: session.clientId })}
        </p>
      )}
      {failed && state.is !== "connected" && state.is !== "taken-over" && (
        <p class="warning" role="alert" data-testid="failure">
          {isWaiting && state.offline ? t("offline-text") : whyText(failed)}
        </p>
      )}
      {isWaiting && !state.offline && <Countdown until={state.until} />}
      <div class="buttons">
        {state.is === "taken-over" && (
          <>
            <button type="button" class="main" onClick={onNewId} data-testid="new-id">
              {t("new-id")}
            </button>
            <button type="button" onClick={() => session.retry()} data-testid="take-back">
              {t("take-back")}
            </button>
          </>
        )}
        {(isWaiting || state.is === "refused") && (
          <button type="button" onClick={() => session.retry()} data-testid="retry">
            {t("retry")}
          </button>
        )}
        <button type="button" onClick={() => session.disconnect()} data-testid="disconnect">
          {t(state.is === "connected" ? "disconnect" : isWaiting || state.is === "connecting" ? "stop" : "close")}
        </button>
        {state.is !== "refused" && (
          <button type="button" class="quiet" onClick={onChange} data-testid="change">
            {t("change")}
          </button>
        )}
      </div>
      {failed && state.is !== "taken-over" && <Diagnosis attempt={failed} />}
    </section>
  );
}

function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  return <p class="hint">{t("waiting", { seconds: Math.max(0, Math.ceil((until - now) / 1000)) })}</p>;
}

/** What the attempt itself has shown. */
function whyText({ connack, disconnect, closed, error, opened }: Attempt): string {
  if (connack && connack.code !== 0) return t("why-connack", { code: reasonText(connack.code, connack.reason) });
  if (disconnect) return t("why-disconnect", { code: reasonText(disconnect.code, disconnect.reason) });
  if (closed?.reason) return t("why-closed", { reason: closed.reason });
  if (error === "connack timeout") return t("why-timeout");
  return opened ? t("why-lost") : t("why-failed");
}
