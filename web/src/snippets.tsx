/** Code for clients of other languages, written by the broker for the address at hand. */

import { useEffect, useState } from "preact/hooks";
import { Choice, Copy, Text } from "./ui";
import { snippetWords as t } from "./words/snippets";

interface Language {
  id: string;
  title: string;
}

interface Snippet {
  title: string;
  /** The name a file of it has. */
  file: string;
  text: string;
}

/** The broker knows nothing of snippets: said in the language of the reader, whichever that is by then. */
const NONE = "none";

export function Snippets({ url, username }: { url: string; username: string }) {
  const [languages, setLanguages] = useState<Language[]>();
  const [id, setId] = useState("");
  const [topic, setTopic] = useState("demo/hello");
  const [snippet, setSnippet] = useState<Snippet>();
  const [failure, setFailure] = useState("");
  useEffect(() => {
    ask<{ languages: Language[] }>("/api/v1/snippets").then(({ languages: found }) => {
      setLanguages(found);
      setId(found[0]?.id ?? "");
    }, (error: unknown) => setFailure(String(error)));
  }, []);
  useEffect(() => {
    if (!id) return;
    const query = new URLSearchParams({ url, topic, ...(username && { user: username }) });
    // An answer that comes late must not take the place of a later question's.
    let isCurrent = true;
    ask<Snippet>(`/api/v1/snippets/${encodeURIComponent(id)}?${query}`).then(
      (found) => isCurrent && (setSnippet(found), setFailure("")),
      (error: unknown) => isCurrent && setFailure(String(error)),
    );
    return () => {
      isCurrent = false;
    };
  }, [id, url, topic, username]);
  return (
    <>
      {failure && <p class="hint" role="status" data-testid="snippets-failure">{t("failed", { error: failure === NONE ? t("none") : failure })}</p>}
      {languages && (
        <div class="pair-of-fields">
          <Choice
            label={t("client")}
            value={id}
            options={languages.map((one) => [one.id, one.title] as const)}
            testId="snippet-language"
            onChange={setId}
          />
          <Text label={t("topic")} value={topic} testId="snippet-topic" onChange={setTopic} />
        </div>
      )}
      {snippet && (
        <>
          <div class="bar">
            <span class="hint">{t("for", { url })} · {snippet.file}</span>
            <span class="spring" />
            <Copy text={snippet.text} label={snippet.title} />
          </div>
          <pre tabIndex={0} data-testid="snippet">{snippet.text}</pre>
        </>
      )}
    </>
  );
}

async function ask<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (response.ok) return (await response.json()) as T;
  if (response.status === 404) throw NONE;
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  throw problem.detail ?? `HTTP ${response.status}`;
}
