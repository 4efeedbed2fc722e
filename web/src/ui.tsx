/** The pieces every form is made of: each control has a visible label, and its error is tied to it. */

import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { first as t } from "./words/first";

interface Labelled {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
  testId?: string;
}

function Frame({ id, label, hint, error, children }: Labelled & { id: string; children: ComponentChildren }) {
  return (
    <div class={error ? "field wrong" : "field"}>
      <label for={id}>{label}</label>
      {children}
      {error ? (
        <p class="error" id={`${id}-note`}>
          {error}
        </p>
      ) : (
        hint && (
          <p class="hint" id={`${id}-note`}>
            {hint}
          </p>
        )
      )}
    </div>
  );
}

interface TextProps extends Labelled {
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "password" | "number" | "url" | "search";
  rows?: number;
  autocomplete?: string;
  placeholder?: string;
}

/** A line of text, or several. */
export function Text({ value, onChange, type = "text", rows, autocomplete = "off", placeholder, ...frame }: TextProps) {
  const id = useId();
  const common = {
    id,
    value,
    placeholder,
    autocomplete,
    spellcheck: false,
    autocapitalize: "off",
    "data-testid": frame.testId,
    "aria-invalid": frame.error ? true : undefined,
    "aria-describedby": frame.error || frame.hint ? `${id}-note` : undefined,
  } as const;
  return (
    <Frame id={id} {...frame}>
      {rows ? (
        <textarea {...common} rows={rows} onInput={(event) => onChange(event.currentTarget.value)} />
      ) : (
        <input
          {...common}
          // Numbers and addresses are judged here, not by the browser. The types of Preact want one literal each.
          type={(type === "number" || type === "url" ? "text" : type) as "text"}
          inputMode={type === "number" ? "numeric" : type === "url" ? "url" : undefined}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </Frame>
  );
}

interface ChoiceProps<T extends string | number> extends Labelled {
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

/** One of a few. */
export function Choice<T extends string | number>({ value, options, onChange, ...frame }: ChoiceProps<T>) {
  const id = useId();
  const choose = (index: number) => {
    const option = options[index];
    if (option) onChange(option[0]);
  };
  return (
    <Frame id={id} {...frame}>
      <select id={id} data-testid={frame.testId} onChange={(event) => choose(event.currentTarget.selectedIndex)}>
        {options.map(([option, name]) => (
          <option selected={option === value}>{name}</option>
        ))}
      </select>
    </Frame>
  );
}

/** Yes or no. */
export function Check({
  label,
  value,
  onChange,
  testId,
}: {
  label: string;
  value: boolean;
  onChange: (value: boolean) => void;
  testId?: string;
}) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={value}
        data-testid={testId}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

/** Pairs of texts, MQTT 5's user properties. */
export function Pairs({ label, value, onChange }: {
  label: string;
  value: [string, string][];
  onChange: (value: [string, string][]) => void;
}) {
  const replace = (index: number, pair: [string, string]) => onChange(value.map((old, i) => (i === index ? pair : old)));
  return (
    <fieldset class="pairs">
      <legend>{label}</legend>
      {value.map(([key, text], index) => (
        <div class="pair">
          <input
            aria-label={t("property-name", { n: index + 1 })}
            value={key}
            placeholder={t("name")}
            onInput={(event) => replace(index, [event.currentTarget.value, text])}
          />
          <input
            aria-label={t("property-value", { n: index + 1 })}
            value={text}
            placeholder={t("value")}
            onInput={(event) => replace(index, [key, event.currentTarget.value])}
          />
          <button
            type="button"
            class="quiet icon"
            aria-label={t("property-remove", { n: index + 1 })}
            onClick={() => onChange(value.filter((_, i) => i !== index))}
          >
            ×
          </button>
        </div>
      ))}
      <button type="button" class="quiet" onClick={() => onChange([...value, ["", ""]])}>
        {t("property-add")}
      </button>
    </fieldset>
  );
}

/** Puts a text on the clipboard and says so for a moment. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await toClipboard(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return (
    <button type="button" class="quiet copy" aria-label={`${t("copy")}: ${label}`} onClick={copy}>
      {isDone ? t("copied") : t("copy")}
    </button>
  );
}

async function toClipboard(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not there on pages over plain HTTP.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
