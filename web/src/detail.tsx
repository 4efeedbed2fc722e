/** One message, all of it: properties, and the payload in the form that suits it. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { download } from "./export";
import { locale, size } from "./language";
import type { Message } from "./log";
import {
  asBase64,
  asHex,
  asJson,
  asText,
  bestForm,
  type Form,
  imageType,
  PREVIEW_BYTES,
  SHOWN_BYTES,
} from "./payload";
import { Copy } from "./ui";
import { words as t } from "./words/console";

/** Pixels of it that say that it is there. */
const LEAST_SEEN = 120;

const FORMS: Form[] = ["text", "json", "hex", "base64", "image"];

export function Detail({ message, onClose }: { message: Message; onClose: () => void }) {
  const { payload, topic } = message;
  const [form, setForm] = useState<Form>(() => bestForm(payload));
  const [limit, setLimit] = useState(PREVIEW_BYTES);
  const forms = FORMS.filter((one) => one !== "image" || imageType(payload) !== null);
  const save = () => download(fileName(message), "application/octet-stream", [payload]);
  const box = useRef<HTMLElement>(null);
  // Where the screen is narrow it is below the list, and whoever has chosen a message would see nothing happen.
  useEffect(() => {
    const top = box.current?.getBoundingClientRect().top ?? 0;
    if (top > innerHeight - LEAST_SEEN) box.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <section ref={box} class="detail" aria-labelledby="detail-title" data-testid="detail">
      <div class="bar">
        <h3 id="detail-title">{t("detail")}</h3>
        <span class="spring" />
        <button type="button" class="quiet icon" aria-label={t("close")} onClick={onClose}>
          ×
        </button>
      </div>
      <p class="whole-topic">
        <code data-testid="detail-topic">{topic}</code> <Copy text={topic} label={t("copy-topic")} />
      </p>
      <Facts message={message} />
      {payload.length === 0 ? (
        <p class="hint">{t("empty-payload")}</p>
      ) : (
        <>
          <div class="tabs" role="group" aria-label={t("view-as")}>
            {forms.map((one) => (
              <button
                type="button"
                aria-pressed={one === form}
                data-testid={`form-${one}`}
                onClick={() => {
                  setForm(one);
                  setLimit(PREVIEW_BYTES);
                }}
              >
                {t(`form-${one}`)}
              </button>
            ))}
          </div>
          {form === "image" ? (
            <Image payload={payload} />
          ) : (
            <Shown payload={payload} form={form} limit={limit} onMore={() => setLimit(SHOWN_BYTES)} />
          )}
          <button type="button" class="quiet" onClick={save} data-testid="download">
            {t("download")} ({size(payload.length)})
          </button>
        </>
      )}
    </section>
  );
}

function Facts({ message }: { message: Message }) {
  const { time, payload, qos, retain, dup } = message;
  const flags = [retain && t("retained"), dup && t("dup")].filter(Boolean);
  const facts: [string, string][] = [
    [t("time"), moment(time)],
    [t("size"), size(payload.length)],
    [t("qos"), String(qos)],
    [t("flags"), flags.join(", ") || t("none")],
    ...properties(message),
  ];
  return (
    <dl>
      {facts.map(([name, value], index) => (
        <div key={index}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The day, and the time to the millisecond. */
function moment(time: number): string {
  return new Intl.DateTimeFormat(locale(), {
    year: "numeric", month: "short", day: "numeric",
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
  }).format(time);
}

/** Everything that came along in MQTT 5. */
function properties({ properties: found }: Message): [string, string][] {
  if (!found) return [];
  const rows: [string, string | undefined][] = [
    [t("p-content-type"), found.contentType],
    [t("p-payload-format"), found.payloadFormatIndicator === undefined ? undefined
      : t(found.payloadFormatIndicator ? "p-utf8" : "p-bytes")],
    [t("p-expiry"), found.messageExpiryInterval?.toString() && t("seconds", { n: found.messageExpiryInterval })],
    [t("p-response-topic"), found.responseTopic],
    [t("p-correlation"), found.correlationData && bytes(found.correlationData)],
    [t("p-subscription"), found.subscriptionIdentifier === undefined ? undefined
      : [found.subscriptionIdentifier].flat().join(", ")],
    [t("p-alias"), found.topicAlias?.toString()],
  ];
  const user = Object.entries(found.userProperties ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [t("p-user", { name }), value]),
  );
  return [...rows.filter((row): row is [string, string] => row[1] !== undefined), ...user];
}

const bytes = (data: Uint8Array) => asText(data, PREVIEW_BYTES) ?? asHex(data, 64);

function Shown({ payload, form, limit, onMore }: {
  payload: Uint8Array;
  form: Exclude<Form, "image">;
  limit: number;
  onMore: () => void;
}) {
  const { text, isCut } = useMemo(() => written(payload, form, limit), [payload, form, limit]);
  if (text === null) return <p class="hint" data-testid="not-this">{t(form === "json" ? "not-json" : "not-text")}</p>;
  return (
    <>
      <pre tabIndex={0} data-testid="detail-payload">{text}</pre>
      {isCut && (
        <p class="hint">
          {t("cut", { shown: size(limit), total: size(payload.length) })}{" "}
          {limit < SHOWN_BYTES && (
            <button type="button" class="quiet" onClick={onMore} data-testid="show-all">
              {payload.length <= SHOWN_BYTES ? t("show-all") : t("show-more", { size: size(SHOWN_BYTES) })}
            </button>
          )}
        </p>
      )}
    </>
  );
}

/** The payload as text of that form, at most `limit` of it. */
function written(payload: Uint8Array, form: Exclude<Form, "image">, limit: number) {
  if (form === "json") {
    const json = asJson(payload);
    return { text: json?.slice(0, limit) ?? null, isCut: json !== null && json.length > limit };
  }
  const write = { text: asText, hex: asHex, base64: asBase64 }[form];
  return { text: write(payload, Math.min(limit, payload.length)), isCut: payload.length > limit };
}

function Image({ payload }: { payload: Uint8Array }) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([payload as BlobPart], { type: imageType(payload) ?? "" }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [payload]);
  return url ? <img class="picture" src={url} alt={t("image-alt")} data-testid="image" /> : null;
}

/** The last level of the topic, as far as a file may have it in its name. */
function fileName({ topic, payload, number }: Message): string {
  const level = topic.split("/").at(-1)?.replace(/[^\w.-]+/g, "_").slice(0, 60);
  const ending = imageType(payload)?.split("/")[1] ?? "bin";
  return `${level || "message"}-${number}.${ending}`;
}
