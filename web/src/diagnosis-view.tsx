/** The stages of the diagnosis, as they are found out. */

import { useEffect, useState } from "preact/hooks";
import type { Attempt } from "./attempt";
import type * as Diagnoses from "./diagnosis";
import { session } from "./current";
import { words as t } from "./words/console";

type Module = typeof Diagnoses;

const SIGNS = { running: "…", ok: "✓", failed: "✗", unknown: "?", skipped: "–" } as const;

/** Runs by itself after the first failure of a series, and when asked to. */
export function Diagnosis({ attempt }: { attempt: Attempt }) {
  const [examined, setExamined] = useState<Attempt>();
  const [module, setModule] = useState<Module>();
  const [findings, setFindings] = useState<Diagnoses.Finding[]>([]);
  useEffect(() => {
    // Others of the same series fail for the same reason; where another one shows, it is looked at.
    if (examined && looksLike(examined, attempt)) return;
    setExamined(attempt);
  }, [attempt]);
  useEffect(() => {
    if (!examined) return;
    let isCurrent = true;
    setFindings([]);
    const report = (finding: Diagnoses.Finding) => {
      if (!isCurrent) return;
      setFindings((known) => [...known.filter(({ stage }) => stage !== finding.stage), finding]);
    };
    import("./diagnosis").then(async (loaded) => {
      setModule(loaded);
      await loaded.diagnose(examined, report);
    }).catch(() => undefined); // not loaded yet, and now out of reach: the plain reason above stands
    return () => {
      isCurrent = false;
    };
  }, [examined, document.documentElement.lang]);
  if (!module) return null;
  return (
    <div class="diagnosis" data-testid="diagnosis">
      <h2>{t("why")}</h2>
      <ol>
        {module.STAGES.map((stage) => {
          const finding = findings.find((one) => one.stage === stage);
          const is = finding?.is ?? "running";
          return (
            <li key={stage} class={is} data-testid={`stage-${stage}`} data-state={is}>
              <span class="sign" aria-hidden="true">{SIGNS[is]}</span>
              <div>
                <strong>{t(`stage-${stage}`)}</strong>
                <span class="unseen">: {t(`is-${is}`)}</span>
                {finding?.text && <p>{finding.text}</p>}
                {finding?.detail && <p class="hint" lang="en">{finding.detail}</p>}
                {finding && finding.tries.length > 0 && (
                  <ul>{finding.tries.map((line) => <li key={line}>{line}</li>)}</ul>
                )}
              </div>
            </li>
          );
        })}
      </ol>
      <button type="button" class="quiet" data-testid="diagnose"
        onClick={() => session.state.is === "waiting" || session.state.is === "refused" ? (setExamined(undefined), session.retry()) : setExamined({ ...attempt })}>
        {t("check-again")}
      </button>
    </div>
  );
}

function looksLike(a: Attempt, b: Attempt): boolean {
  return (
    a.opened === b.opened &&
    a.connack?.code === b.connack?.code &&
    a.disconnect?.code === b.disconnect?.code &&
    a.closed?.code === b.closed?.code
  );
}
