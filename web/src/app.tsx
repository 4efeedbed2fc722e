/** The frame of the page: what is on it, and when. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ownAddress } from "./address";
import { Addresses } from "./addresses";
import { ConnectForm, newClientId } from "./connect";
import { chooseLanguage } from "./language";
import type { ConnectOptions } from "./session";
import { newProfile, type Settings, type Theme } from "./settings";
import { useStore } from "./store";
import { first as t } from "./words/first";

type Console = typeof import("./console");
type Snippets = typeof import("./snippets");

const THEMES: Theme[] = ["auto", "light", "dark"];

/** The language and the colours of the settings, put in force. */
export function applySettings(settings: Settings): void {
  chooseLanguage(settings.language);
  document.documentElement.dataset["theme"] = settings.theme;
}

export function App({ settings }: { settings: Settings }) {
  const [console, setConsole] = useState<Console>();
  const [loading, setLoading] = useState<"" | "running" | "failed">("");
  const [profile, setProfile] = useState(() => newProfile(ownAddress(location)));
  const [ownId, setOwnId] = useState(newClientId);
  const [isChanging, setChanging] = useState(false);
  useStore(settings);
  useStore(console?.session);

  const connect = async (options: ConnectOptions) => {
    setLoading("running");
    try {
      const loaded = console ?? (await import("./console"));
      setConsole(loaded);
      setChanging(false);
      loaded.session.connect(options);
      setLoading("");
    } catch {
      setLoading("failed");
    }
  };
  const retryAsNew = () => {
    const id = newClientId();
    setOwnId(id);
    setProfile({ ...profile, clientId: "" });
    console?.session.retryAs(id);
  };
  const state = console?.session.state.is ?? "idle";
  const showsForm = isChanging || state === "idle" || state === "refused";
  return (
    <>
      <a class="skip" href="#main">
        {t("skip")}
      </a>
      <Header settings={settings}>
        {console ? <console.Status /> : <span class="pill">{t("not-connected")}</span>}
      </Header>
      {settings.note && (
        <p class="note banner" role="status" data-testid="settings-note">
          {t(settings.note)}{" "}
          <button type="button" class="quiet" onClick={() => settings.dismissNote()}>
            {t("dismiss")}
          </button>
        </p>
      )}
      <main id="main" class={console ? "layout active" : "layout"}>
        <div class="side">
          {console && state !== "idle" && (
            <console.Connection onChange={() => setChanging(true)} onNewId={retryAsNew} />
          )}
          {loading === "failed" && <p class="error" role="alert">{t("loading-failed")}</p>}
          {showsForm && (
            <ConnectForm
              settings={settings}
              profile={profile}
              ownId={ownId}
              isLoading={loading === "running"}
              onChange={setProfile}
              onConnect={connect}
            />
          )}
          {console && <console.Subscriptions />}
          {console && <console.Publish />}
        </div>
        <div class="content">
          {console && <console.Messages />}
          <Addresses onUse={(url) => { setProfile({ ...profile, url }); setChanging(true); }} />
          <LazySnippets url={profile.url} username={profile.username} />
        </div>
      </main>
      <footer>
        <span>GateMQ {document.body.dataset["version"]}</span>
        <a href="/plain">{t("plain")}</a>
        <a href="/status">{t("status")}</a>
        <a href="/metrics">{t("metrics")}</a>
        <a href="/.well-known/mqtt">/.well-known/mqtt</a>
      </footer>
    </>
  );
}

function Header({ settings, children }: { settings: Settings; children: ComponentChildren }) {
  const isChinese = document.documentElement.lang !== "en";
  const changeLanguage = () => {
    // A choice made here goes before the one in the address.
    history.replaceState(null, "", location.pathname);
    settings.setLanguage(isChinese ? "en" : "zh");
    applySettings(settings);
  };
  const changeTheme = () => {
    settings.setTheme(THEMES[(THEMES.indexOf(settings.theme) + 1) % THEMES.length] ?? "auto");
    applySettings(settings);
  };
  return (
    <header>
      <div class="bar">
        <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" fill="#0b6e5f" />
          <path d="M7 25V15a9 9 0 0 1 18 0v10" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" />
          <path d="M12 18h6m0 0-3-3m3 3-3 3" fill="none" stroke="#9fe8d4" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round" />
        </svg>
        <h1>GateMQ</h1>
        {children}
        <span class="spring" />
        <button
          type="button"
          class="quiet"
          lang={isChinese ? "en" : "zh-CN"}
          onClick={changeLanguage}
          data-testid="language"
        >
          {t("language")}
        </button>
        <button type="button" class="quiet" onClick={changeTheme} data-testid="theme">
          {t("theme")}: {t(`theme-${settings.theme}`)}
        </button>
      </div>
      <p class="lead">{t("lead")}</p>
    </header>
  );
}

/** Code for other clients is fetched when somebody wants to see it. */
function LazySnippets({ url, username }: { url: string; username: string }) {
  const [snippets, setSnippets] = useState<Snippets>();
  const open = (event: Event) => {
    const isOpen = (event.currentTarget as HTMLDetailsElement).open;
    if (isOpen && !snippets) import("./snippets").then(setSnippets, () => undefined);
  };
  return (
    <details class="card" onToggle={open} data-testid="snippets">
      <summary>
        <h2>{t("snippets")}</h2>
      </summary>
      {snippets ? <snippets.Snippets url={url} username={username} /> : <p class="hint">{t("loading")}</p>}
    </details>
  );
}
