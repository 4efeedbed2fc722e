/** What the browser keeps for this page: language, colours, profiles. Read with distrust: anything may be stored there. */

import type { Language } from "./language";
import { Store } from "./store";

const KEY = "gatemq";

/** Raised when a field changes its meaning; new fields need no new version. */
const VERSION = 1;

const MOST_PROFILES = 100;

export interface Will {
  wanted: boolean;
  topic: string;
  payload: string;
  qos: 0 | 1 | 2;
  retain: boolean;
  delay: string;
}

/** How to connect. Numbers are kept as they were typed. */
export interface Profile {
  name: string;
  url: string;
  /** Empty: a new one for each tab. */
  clientId: string;
  username: string;
  password: string;
  keepsPassword: boolean;
  version: 4 | 5;
  cleanStart: boolean;
  sessionExpiry: string;
  keepAlive: string;
  will: Will;
  userProperties: [string, string][];
}

export type Theme = "light" | "dark" | "auto";

/** What became of stored settings, where it is worth a word. */
export type SettingsNote = "settings-older" | "settings-newer" | "settings-rubbish";

export const NO_WILL: Will = { wanted: false, topic: "", payload: "", qos: 0, retain: false, delay: "0" };

export function newProfile(url: string): Profile {
  return {
    name: "",
    url,
    clientId: "",
    username: "",
    password: "",
    keepsPassword: false,
    version: 5,
    cleanStart: true,
    sessionExpiry: "0",
    keepAlive: "60",
    will: NO_WILL,
    userProperties: [],
  };
}

export class Settings extends Store {
  language: Language | undefined;
  theme: Theme = "auto";
  profiles: Profile[] = [];
  note: SettingsNote | undefined;
  /** Whether storage holds something of a later version, which must not be lost. */
  #isForeign = false;

  constructor(stored: string | null = read()) {
    super();
    if (stored !== null) this.#take(stored);
  }

  setLanguage(language: Language): void {
    this.language = language;
    this.#save();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.#save();
  }

  /** Replaces the profile of the same name. The password stays out unless it was asked for. */
  keep(profile: Profile): void {
    const kept = profile.keepsPassword ? profile : { ...profile, password: "" };
    const others = this.profiles.filter((other) => other.name !== profile.name);
    this.profiles = [...others, kept].slice(-MOST_PROFILES).sort((a, b) => a.name.localeCompare(b.name));
    this.#save();
  }

  forget(name: string): void {
    this.profiles = this.profiles.filter((profile) => profile.name !== name);
    this.#save();
  }

  dismissNote(): void {
    this.note = undefined;
    this.changed();
  }

  #take(stored: string): void {
    let found: unknown;
    try {
      found = JSON.parse(stored);
    } catch {
      this.note = "settings-rubbish";
      return;
    }
    if (!isRecord(found)) {
      this.note = "settings-rubbish";
      return;
    }
    const version = Number(found["version"] ?? 0);
    if (version > VERSION) {
      this.#isForeign = true;
      this.note = "settings-newer";
      return;
    }
    // Whatever fits is taken field by field, so that no older shape can break the page.
    if (version !== VERSION) this.note = "settings-older";
    this.language = oneOf(found["language"], ["en", "zh"]);
    this.theme = oneOf(found["theme"], ["light", "dark", "auto"]) ?? "auto";
    const profiles = Array.isArray(found["profiles"]) ? found["profiles"].slice(0, MOST_PROFILES) : [];
    this.profiles = profiles.filter(isRecord).map(readProfile).filter((profile) => profile.name !== "");
  }

  #save(): void {
    this.changed();
    if (this.#isForeign) return;
    const { language, theme, profiles } = this;
    try {
      localStorage.setItem(KEY, JSON.stringify({ version: VERSION, language, theme, profiles }));
    } catch {
      // Storage is full or forbidden: the settings hold until the tab is closed.
    }
  }
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // forbidden by the browser
  }
}

function readProfile(found: Record<string, unknown>): Profile {
  const usual = newProfile("");
  const will = isRecord(found["will"]) ? found["will"] : {};
  const properties = Array.isArray(found["userProperties"]) ? found["userProperties"] : [];
  return {
    name: text(found["name"], ""),
    url: text(found["url"], ""),
    clientId: text(found["clientId"], ""),
    username: text(found["username"], ""),
    password: text(found["password"], ""),
    keepsPassword: found["keepsPassword"] === true,
    version: oneOf(found["version"], [4, 5]) ?? 5,
    cleanStart: found["cleanStart"] !== false,
    sessionExpiry: text(found["sessionExpiry"], usual.sessionExpiry),
    keepAlive: text(found["keepAlive"], usual.keepAlive),
    will: {
      wanted: will["wanted"] === true,
      topic: text(will["topic"], ""),
      payload: text(will["payload"], ""),
      qos: oneOf(will["qos"], [0, 1, 2]) ?? 0,
      retain: will["retain"] === true,
      delay: text(will["delay"], NO_WILL.delay),
    },
    userProperties: properties
      .filter(Array.isArray)
      .map(([key, value]): [string, string] => [text(key, ""), text(value, "")]),
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text = (value: unknown, otherwise: string) =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : otherwise;

const oneOf = <T>(value: unknown, known: readonly T[]): T | undefined => known.find((one) => one === value);
