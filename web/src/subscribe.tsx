/** What is subscribed, and what the broker granted. */

import { useState } from "preact/hooks";
import { QOS } from "./connect";
import { session } from "./current";
import { filterProblem } from "./filter";
import type { Subscription } from "./session";
import { useStore } from "./store";
import { Check, Choice, Text } from "./ui";
import { reasonText } from "./words/codes";
import { words as t } from "./words/console";

type Asked = Omit<Subscription, "state" | "code" | "reason">;

const FIRST: Asked = { filter: "", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 };

export function Subscriptions() {
  useStore(session);
  const [asked, setAsked] = useState(FIRST);
  const [hasTried, setTried] = useState(false);
  const problem = filterProblem(asked.filter);
  const isShared = asked.filter.startsWith("$share/");
  const change = (part: Partial<Asked>) => setAsked({ ...asked, ...part });
  const subscribe = (event: Event) => {
    event.preventDefault();
    setTried(problem !== null);
    if (problem !== null) return;
    // The two together are a protocol error [MQTT-3.8.3-4], which ends the connection.
    session.subscribe(isShared ? { ...asked, noLocal: false } : asked);
    setAsked({ ...asked, filter: "" });
  };
  return (
    <section class="card" aria-labelledby="subscriptions-title" data-testid="subscriptions">
      <h2 id="subscriptions-title">{t("subscriptions")}</h2>
      <form onSubmit={subscribe} noValidate>
        <div class="pair-of-fields wide-first">
          <Text
            label={t("filter")}
            value={asked.filter}
            placeholder="demo/#"
            error={problem && (hasTried || asked.filter !== "") ? t(problem) : undefined}
            testId="filter"
            onChange={(filter) => change({ filter })}
          />
          <Choice label={t("qos")} value={asked.qos} options={QOS} testId="sub-qos" onChange={(qos) => change({ qos })} />
        </div>
        {session.version === 5 && (
          <details>
            <summary>{t("options")}</summary>
            {isShared ? (
              <p class="hint">{t("no-local-shared")}</p>
            ) : (
              <Check
                label={t("no-local")}
                value={asked.noLocal}
                testId="no-local"
                onChange={(noLocal) => change({ noLocal })}
              />
            )}
            <Check
              label={t("retain-as-published")}
              value={asked.retainAsPublished}
              testId="retain-as-published"
              onChange={(retainAsPublished) => change({ retainAsPublished })}
            />
            <Choice
              label={t("retain-handling")}
              value={asked.retainHandling}
              options={[[0, t("rh-0")], [1, t("rh-1")], [2, t("rh-2")]]}
              testId="retain-handling"
              onChange={(retainHandling) => change({ retainHandling })}
            />
          </details>
        )}
        <button type="submit" data-testid="subscribe">
          {t("subscribe")}
        </button>
      </form>
      {session.subscriptions.length === 0 ? (
        <p class="hint">{t("no-subscriptions")}</p>
      ) : (
        <ul class="subscriptions">
          {session.subscriptions.map((subscription) => (
            <Row key={subscription.filter} subscription={subscription} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Row({ subscription }: { subscription: Subscription }) {
  const { filter, code = 0, reason } = subscription;
  // What was granted held for the connection that there was.
  const state = session.isConnected || subscription.state === "refused" ? subscription.state : "waiting";
  const result =
    state === "granted"
      ? t("granted", { qos: code })
      : state === "refused"
        ? t("sub-refused", { reason: reasonText(code, reason) })
        : t(session.isConnected ? "sub-waiting" : "sub-later");
  return (
    <li data-testid="subscription" data-state={state}>
      <code>{filter}</code>
      <span class={state === "refused" ? "error" : "hint"}>{result}</span>
      <button
        type="button"
        class="quiet"
        aria-label={t("unsubscribe-from", { filter })}
        onClick={() => session.unsubscribe(filter)}
      >
        {t("unsubscribe")}
      </button>
    </li>
  );
}
