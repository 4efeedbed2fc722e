/** The addresses of the broker the page came from, and the certificate to trust. */

import { useEffect, useState } from "preact/hooks";
import { Copy } from "./ui";
import { first as t } from "./words/first";

/** `/.well-known/mqtt`, as far as it is shown. */
export interface WellKnown {
  wss: string[];
  ws: string[];
  mqtts: string[];
  mqtt: string[];
  allow_anonymous: boolean;
  certificate_authority: string | null;
}

const SCHEMES = ["wss", "ws", "mqtts", "mqtt"] as const;

export function Addresses({ onUse }: { onUse: (url: string) => void }) {
  const [known, setKnown] = useState<WellKnown>();
  const [failure, setFailure] = useState("");
  useEffect(() => {
    fetchWellKnown().then(setKnown, (error: unknown) => setFailure(String(error)));
  }, []);
  return (
    <section class="card" aria-labelledby="addresses-title" data-testid="addresses">
      <h2 id="addresses-title">{t("addresses")}</h2>
      <p class="hint">
        {t("addresses-hint")} {known && t(known.allow_anonymous ? "anonymous" : "login")}
      </p>
      {failure && <p class="error">{t("addresses-failed", { error: failure })}</p>}
      <ul class="addresses">
        {SCHEMES.flatMap((scheme) =>
          (known?.[scheme] ?? []).map((url) => (
            <li key={url}>
              <code>{url}</code>
              <span class="hint">{t(scheme)}</span>
              <span class="buttons">
                {(scheme === "wss" || scheme === "ws") && (
                  <button type="button" class="quiet" aria-label={`${t("use")}: ${url}`} onClick={() => onUse(url)}>
                    {t("use")}
                  </button>
                )}
                <Copy text={url} label={url} />
              </span>
            </li>
          )),
        )}
      </ul>
      {known?.certificate_authority && (
        <p class="note">
          {t("ca")}{" "}
          <a href="/ca.crt" download data-testid="ca">
            {t("ca-pem")}
          </a>
          {" · "}
          <a href="/ca.crt?format=der" download>
            {t("ca-der")}
          </a>
        </p>
      )}
    </section>
  );
}

async function fetchWellKnown(): Promise<WellKnown> {
  const response = await fetch("/.well-known/mqtt", { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return (await response.json()) as WellKnown;
}
