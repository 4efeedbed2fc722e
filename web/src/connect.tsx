/** The form to connect with. Says at once what is wrong with what was typed, and keeps profiles. */

import { useMemo, useState } from "preact/hooks";
import { parseAddress } from "./address";
import { randomId } from "./attempt";
import { topicProblem } from "./filter";
import type { ConnectOptions } from "./session";
import type { Profile, Settings } from "./settings";
import { useStore } from "./store";
import { Check, Choice, Pairs, Text } from "./ui";
import { first as t } from "./words/first";

/** MQTT's four bytes without sign. */
const MOST = 4_294_967_295;

export const QOS = [[0, "0"], [1, "1"], [2, "2"]] as const;

type Problems = Partial<Record<"url" | "password" | "sessionExpiry" | "keepAlive" | "willTopic" | "willDelay", string>>;

interface Props {
  settings: Settings;
  profile: Profile;
  /** The identifier of this tab, for profiles without one. */
  ownId: string;
  isLoading: boolean;
  onChange: (profile: Profile) => void;
  onConnect: (options: ConnectOptions) => void;
}

export const newClientId = () => `page-${randomId(8)}`;

export function ConnectForm({ settings, profile, ownId, isLoading, onChange, onConnect }: Props) {
  const [hasTried, setTried] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const parsed = useMemo(() => parseAddress(profile.url, location), [profile.url]);
  const problems = findProblems(profile, parsed);
  const change = (part: Partial<Profile>) => onChange({ ...profile, ...part });
  const changeWill = (part: Partial<Profile["will"]>) => change({ will: { ...profile.will, ...part } });
  // What stands in a field is judged at once; what was not yet reached, only when somebody wants to connect.
  const shown = (problem: string | undefined, text: string) => (text !== "" || hasTried ? problem : undefined);
  const hidden = problems.sessionExpiry || problems.keepAlive || problems.willTopic || problems.willDelay;

  const connect = (event: Event) => {
    event.preventDefault();
    setTried(true);
    // What is wrong must not be out of sight.
    if (hidden) setOpen(true);
    if (parsed.ok && Object.keys(problems).length === 0) onConnect(connectOptions(profile, parsed.address, ownId));
  };
  const replaced = parsed.ok && parsed.address.replaced;
  return (
    <form class="card" onSubmit={connect} data-testid="connect-form" aria-labelledby="connect-title" noValidate>
      <h2 id="connect-title">{t("connect")}</h2>
      <Text
        label={t("address")}
        type="url"
        value={profile.url}
        error={problems.url}
        hint={
          replaced
            ? t("address-replaced", { scheme: replaced, url: parsed.address.url })
            : t("address-hint")
        }
        testId="url"
        onChange={(url) => change({ url })}
      />
      <div class="pair-of-fields">
        <Text
          label={t("username")}
          value={profile.username}
          autocomplete="username"
          testId="username"
          onChange={(username) => change({ username })}
        />
        <Text
          label={t("password")}
          type="password"
          value={profile.password}
          error={problems.password}
          autocomplete="current-password"
          testId="password"
          onChange={(password) => change({ password })}
        />
      </div>
      <div class="pair-of-fields wide-first">
        <Text
          label={t("client-id")}
          value={profile.clientId}
          placeholder={ownId}
          hint={t("client-id-hint")}
          testId="client-id"
          onChange={(clientId) => change({ clientId })}
        />
        <Choice
          label={t("version")}
          value={profile.version}
          options={[[5, "5.0"], [4, "3.1.1"]]}
          testId="version"
          onChange={(version) => change({ version })}
        />
      </div>
      <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{t("more")}</summary>
        <Check
          label={t("clean-start")}
          value={profile.cleanStart}
          testId="clean-start"
          onChange={(cleanStart) => change({ cleanStart })}
        />
        <div class="pair-of-fields">
          <Text
            label={t("keep-alive")}
            type="number"
            value={profile.keepAlive}
            error={problems.keepAlive}
            testId="keep-alive"
            onChange={(keepAlive) => change({ keepAlive })}
          />
          {profile.version === 5 && (
            <Text
              label={t("session-expiry")}
              type="number"
              value={profile.sessionExpiry}
              error={problems.sessionExpiry}
              hint={t("session-expiry-hint")}
              testId="session-expiry"
              onChange={(sessionExpiry) => change({ sessionExpiry })}
            />
          )}
        </div>
        <Check label={t("will")} value={profile.will.wanted} testId="will" onChange={(wanted) => changeWill({ wanted })} />
        {profile.will.wanted && (
          <div class="nested">
            <Text
              label={t("will-topic")}
              value={profile.will.topic}
              error={shown(problems.willTopic, profile.will.topic)}
              testId="will-topic"
              onChange={(topic) => changeWill({ topic })}
            />
            <Text
              label={t("will-payload")}
              value={profile.will.payload}
              rows={2}
              testId="will-payload"
              onChange={(payload) => changeWill({ payload })}
            />
            <div class="pair-of-fields">
              <Choice
                label="QoS"
                value={profile.will.qos}
                options={QOS}
                testId="will-qos"
                onChange={(qos) => changeWill({ qos })}
              />
              {profile.version === 5 && (
                <Text
                  label={t("will-delay")}
                  type="number"
                  value={profile.will.delay}
                  error={problems.willDelay}
                  testId="will-delay"
                  onChange={(delay) => changeWill({ delay })}
                />
              )}
            </div>
            <Check
              label={t("retain")}
              value={profile.will.retain}
              testId="will-retain"
              onChange={(retain) => changeWill({ retain })}
            />
          </div>
        )}
        {profile.version === 5 && (
          <Pairs
            label={t("user-properties")}
            value={profile.userProperties}
            onChange={(userProperties) => change({ userProperties })}
          />
        )}
      </details>
      <Profiles settings={settings} profile={profile} onChange={onChange} />
      <button type="submit" class="main" disabled={isLoading} data-testid="connect">
        {isLoading ? t("loading") : t("connect")}
      </button>
    </form>
  );
}

function Profiles({ settings, profile, onChange }: Pick<Props, "settings" | "profile" | "onChange">) {
  useStore(settings);
  const [saved, setSaved] = useState("");
  const names = settings.profiles.map(({ name }) => name);
  const chosen = names.includes(profile.name) ? profile.name : "";
  const name = profile.name.trim();
  const choose = (wanted: string) => {
    setSaved("");
    onChange(settings.profiles.find((known) => known.name === wanted) ?? { ...profile, name: "" });
  };
  const save = () => {
    settings.keep({ ...profile, name });
    setSaved(name);
  };
  const forget = () => {
    settings.forget(chosen);
    onChange({ ...profile, name: "" });
  };
  return (
    <details class="profiles">
      <summary>{t("profiles")}{chosen && `: ${chosen}`}</summary>
      {names.length > 0 && (
        <Choice
          label={t("profiles")}
          value={chosen}
          options={[["", t("profile-new")], ...names.map((known) => [known, known] as const)]}
          testId="profile"
          onChange={choose}
        />
      )}
      <Text
        label={t("profile-name")}
        value={profile.name}
        testId="profile-name"
        onChange={(typed) => onChange({ ...profile, name: typed })}
      />
      <Check
        label={t("profile-password")}
        value={profile.keepsPassword}
        testId="profile-password"
        onChange={(keepsPassword) => onChange({ ...profile, keepsPassword })}
      />
      <div class="buttons">
        <button type="button" disabled={name === ""} onClick={save} data-testid="profile-save">
          {t("profile-save")}
        </button>
        {chosen && (
          <button type="button" class="quiet" onClick={forget} data-testid="profile-delete">
            {t("profile-delete")}
          </button>
        )}
      </div>
      <p class="hint" role="status">{saved && t("profile-saved", { name: saved })}</p>
    </details>
  );
}

function findProblems(profile: Profile, parsed: ReturnType<typeof parseAddress>): Problems {
  const problems: Problems = {};
  const { version, will } = profile;
  if (!parsed.ok) problems.url = t(parsed.problem, { expected: parsed.expected });
  else if (version === 4 && profile.password !== "" && (profile.username || parsed.address.username) === "") {
    problems.password = t("password-without-user");
  }
  if (!isWhole(profile.keepAlive, 65_535)) problems.keepAlive = t("number", { low: 0, high: 65_535 });
  if (version === 5 && !isWhole(profile.sessionExpiry, MOST)) {
    problems.sessionExpiry = t("number", { low: 0, high: MOST });
  }
  if (will.wanted) {
    const topic = topicProblem(will.topic);
    if (topic) problems.willTopic = t(topic);
    if (version === 5 && !isWhole(will.delay, MOST)) problems.willDelay = t("number", { low: 0, high: MOST });
  }
  return problems;
}

/** A whole number without sign, at most `most`. */
export const isWhole = (text: string, most: number) => /^\d{1,10}$/.test(text.trim()) && Number(text) <= most;

/** As MQTT.js takes them: a name that occurs twice has a list. None at all are left out: it sends nothing for an empty object. */
export function toUserProperties(pairs: [string, string][]): { userProperties?: Record<string, string[]> } {
  const properties = new Map<string, string[]>();
  for (const [key, value] of pairs) {
    if (key !== "" || value !== "") properties.set(key, [...(properties.get(key) ?? []), value]);
  }
  return properties.size === 0 ? {} : { userProperties: Object.fromEntries(properties) };
}

function connectOptions(
  profile: Profile,
  address: { url: string; httpOrigin: string; username: string; password: string },
  ownId: string,
): ConnectOptions {
  const { will, version } = profile;
  const isV5 = version === 5;
  const username = profile.username || address.username;
  const password = profile.password || address.password;
  return {
    url: address.url,
    httpOrigin: address.httpOrigin,
    options: {
      protocolVersion: version,
      clientId: profile.clientId || ownId,
      clean: profile.cleanStart,
      keepalive: Number(profile.keepAlive),
      ...(username && { username }),
      ...(password && { password }),
      ...(isV5 && {
        properties: { sessionExpiryInterval: Number(profile.sessionExpiry), ...toUserProperties(profile.userProperties) },
      }),
      ...(will.wanted && {
        will: {
          topic: will.topic,
          payload: will.payload as unknown as Buffer, // MQTT.js takes text as well
          qos: will.qos,
          retain: will.retain,
          ...(isV5 && { properties: { willDelayInterval: Number(will.delay) } }),
        },
      }),
    },
  };
}
