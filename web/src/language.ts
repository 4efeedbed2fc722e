/** The languages of the page, and how a text is looked up and filled in. */

export type Language = "en" | "zh";

/** What a text may be filled in with. */
export type Values = Record<string, string | number>;

/** Looks a text up in the language chosen. */
export type Translate<Key extends string> = (key: Key, values?: Values) => string;

let chosen: Language = "en";

/** The stored choice, else Chinese for those whose browser prefers it, else English. */
export function chooseLanguage(stored: Language | undefined): Language {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = asked ?? stored ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  chosen = wanted.startsWith("zh") ? "zh" : "en";
  document.documentElement.lang = locale();
  return chosen;
}

/** For `Intl` and the `lang` attribute. */
export const locale = () => (chosen === "zh" ? "zh-CN" : "en");

/**
 * A dictionary in both languages. The Chinese one is written with `satisfies Record<keyof typeof en, string>`, so that a
 * missing or superfluous key is an error of types, and the build fails.
 */
export function dictionary<Key extends string>(
  en: Record<Key, string>,
  zh: Record<Key, string>,
): Translate<Key> {
  return (key, values = {}) => {
    const text = (chosen === "zh" ? zh : en)[key];
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
  };
}

/** A number as people of this language write it. */
export const figure = (value: number) => value.toLocaleString(locale());

/** A number of bytes in the unit that fits. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${figure(bytes)} B`;
  const [value, unit] = bytes < 1_048_576 ? [bytes / 1024, "KB"] : [bytes / 1_048_576, "MB"];
  return `${value.toLocaleString(locale(), { maximumFractionDigits: 1 })} ${unit}`;
}
