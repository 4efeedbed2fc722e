/** The form to publish with. */

import type { IClientPublishOptions } from "mqtt";
import { useState } from "preact/hooks";
import { isWhole, QOS, toUserProperties } from "./connect";
import { session } from "./current";
import { topicProblem } from "./filter";
import { size } from "./language";
import { fromBase64, fromHex } from "./payload";
import type { Outcome } from "./session";
import { useStore } from "./store";
import { Check, Choice, Pairs, Text } from "./ui";
import { reasonText } from "./words/codes";
import { words as t } from "./words/console";

type Kind = "text" | "json" | "hex" | "base64" | "file";
const KINDS: Kind[] = ["text", "json", "hex", "base64", "file"];

const MOST = 4_294_967_295;
const NO_MATCHING_SUBSCRIBERS = 0x10;

interface Properties {
  contentType: string;
  responseTopic: string;
  correlation: string;
  expiry: string;
  isUtf8: boolean;
  user: [string, string][];
}

type Result = "file-missing" | "publish-offline" | "publishing" | (Outcome & { qos: number });

const NONE: Properties = { contentType: "", responseTopic: "", correlation: "", expiry: "", isUtf8: false, user: [] };

export function Publish() {
  useStore(session);
  const [topic, setTopic] = useState("");
  const [kind, setKind] = useState<Kind>("text");
  const [text, setText] = useState("");
  const [file, setFile] = useState<File>();
  const [qos, setQos] = useState<0 | 1 | 2>(0);
  const [retain, setRetain] = useState(false);
  const [properties, setProperties] = useState(NONE);
  const [hasTried, setTried] = useState(false);
  // Not its text: that follows the language.
  const [result, setResult] = useState<Result>();

  const isV5 = session.version === 5;
  const wrongTopic = topicProblem(topic);
  const payload = encode(kind, text);
  const badExpiry = properties.expiry !== "" && !isWhole(properties.expiry, MOST);
  const badResponse = properties.responseTopic === "" ? null : topicProblem(properties.responseTopic);
  const isBad = wrongTopic || typeof payload === "string" || (isV5 && (badExpiry || badResponse));

  const publish = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (isBad || typeof payload === "string") return;
    if (kind === "file" && !file) return setResult("file-missing");
    if (!session.isConnected) return setResult("publish-offline");
    setResult("publishing");
    try {
      const bytes = kind === "file" && file ? new Uint8Array(await file.arrayBuffer()) : payload;
      const options: IClientPublishOptions = { qos, retain, ...(isV5 && { properties: toProperties(properties) }) };
      setResult({ qos, ...(await session.publish(topic, bytes, options)) });
    } catch (error) {
      // The file has gone or may not be read, or the packet would be larger than MQTT can say.
      setResult({ qos, ok: false, error: String(error) });
    }
  };
  const shown = describe(result);
  return (
    <form class="card" onSubmit={publish} noValidate aria-labelledby="publish-title" data-testid="publish-form">
      <h2 id="publish-title">{t("publish")}</h2>
      <Text
        label={t("topic")}
        value={topic}
        placeholder="demo/hello"
        error={wrongTopic && (hasTried || topic !== "") ? t(wrongTopic) : undefined}
        testId="topic"
        onChange={setTopic}
      />
      <div class="pair-of-fields wide-first">
        <Choice
          label={t("kind")}
          value={kind}
          options={KINDS.map((one) => [one, t(`kind-${one}`)] as const)}
          testId="kind"
          onChange={setKind}
        />
        <Choice label={t("qos")} value={qos} options={QOS} testId="pub-qos" onChange={setQos} />
      </div>
      {kind === "file" ? (
        <div class="field">
          <label for="publish-file">{t("file")}</label>
          <input
            id="publish-file"
            type="file"
            data-testid="file"
            onChange={(event) => setFile(event.currentTarget.files?.[0])}
          />
          {file && <p class="hint">{t("file-chosen", { name: file.name, size: size(file.size) })}</p>}
        </div>
      ) : (
        <Text
          label={t("payload")}
          value={text}
          rows={3}
          error={typeof payload === "string" && (hasTried || text !== "") ? payload : undefined}
          testId="payload"
          onChange={setText}
        />
      )}
      <Check label={t("retain")} value={retain} testId="retain" onChange={setRetain} />
      {isV5 && (
        <PropertyFields
          value={properties}
          badExpiry={badExpiry}
          badResponse={badResponse !== null && t(badResponse)}
          onChange={setProperties}
        />
      )}
      <button type="submit" data-testid="publish">
        {t("publish")}
      </button>
      <p role="status" class={shown.isBad ? "error" : "hint"} data-testid="publish-result">
        {shown.text}
      </p>
    </form>
  );
}

function PropertyFields({ value, badExpiry, badResponse, onChange }: {
  value: Properties;
  badExpiry: boolean;
  badResponse: string | false;
  onChange: (value: Properties) => void;
}) {
  const change = (part: Partial<Properties>) => onChange({ ...value, ...part });
  return (
    <details>
      <summary>{t("properties")}</summary>
      <div class="pair-of-fields">
        <Text
          label={t("content-type")}
          value={value.contentType}
          placeholder="application/json"
          testId="content-type"
          onChange={(contentType) => change({ contentType })}
        />
        <Text
          label={t("expiry")}
          type="number"
          value={value.expiry}
          error={badExpiry ? t("number", { low: 0, high: MOST }) : undefined}
          testId="message-expiry"
          onChange={(expiry) => change({ expiry })}
        />
        <Text
          label={t("response-topic")}
          value={value.responseTopic}
          error={badResponse || undefined}
          testId="response-topic"
          onChange={(responseTopic) => change({ responseTopic })}
        />
        <Text
          label={t("correlation")}
          value={value.correlation}
          testId="correlation"
          onChange={(correlation) => change({ correlation })}
        />
      </div>
      <Check label={t("is-utf8")} value={value.isUtf8} testId="is-utf8" onChange={(isUtf8) => change({ isUtf8 })} />
      <Pairs label={t("user-properties")} value={value.user} onChange={(user) => change({ user })} />
    </details>
  );
}

/** The bytes, or what is wrong with the text. */
function encode(kind: Kind, text: string): Uint8Array | string {
  switch (kind) {
    case "json":
      try {
        JSON.parse(text);
      } catch (error) {
        return t("bad-json", { error: error instanceof Error ? error.message : "" });
      }
      return new TextEncoder().encode(text);
    case "hex":
      return fromHex(text) ?? t("bad-hex");
    case "base64":
      return fromBase64(text) ?? t("bad-base64");
    case "text":
      return new TextEncoder().encode(text);
    case "file":
      return new Uint8Array();
  }
}

function toProperties(value: Properties): NonNullable<IClientPublishOptions["properties"]> {
  return {
    ...(value.isUtf8 && { payloadFormatIndicator: true }),
    ...(value.contentType && { contentType: value.contentType }),
    ...(value.responseTopic && { responseTopic: value.responseTopic }),
    ...(value.correlation && { correlationData: new TextEncoder().encode(value.correlation) as Buffer }),
    ...(value.expiry && { messageExpiryInterval: Number(value.expiry) }),
    ...toUserProperties(value.user),
  };
}

function describe(result: Result | undefined): { text: string; isBad: boolean } {
  if (result === undefined) return { text: "", isBad: false };
  if (typeof result === "string") return { text: t(result), isBad: result !== "publishing" };
  const { qos, ok, code, reason, error } = result;
  if (!ok) {
    const told = code === undefined ? (error ?? "") : reasonText(code, reason);
    return { text: t("publish-failed", { reason: told }), isBad: true };
  }
  if (qos === 0) return { text: t("published-0"), isBad: false };
  return { text: t(code === NO_MATCHING_SUBSCRIBERS ? "published-nobody" : "published"), isBad: false };
}
