/** What somebody typed as the address of a broker, and what a browser can do with it. */

/** An address a browser can connect to. */
export interface Address {
  /** For WebSocket; without user name and password. */
  url: string;
  /** Where the same server answers HTTP. */
  httpOrigin: string;
  /** User name and password, where they stood in the address. */
  username: string;
  password: string;
  /** The scheme that was written, where the browser has to use another one. */
  replaced?: string;
}

/** What is wrong with it: each has its sentence in `words/first.ts`. */
export type AddressProblem =
  | "address-empty"
  | "address-no-scheme"
  | "address-http"
  | "address-unknown-scheme"
  | "address-no-host"
  | "address-port"
  | "address-fragment"
  | "address-unreadable"
  | "address-mixed";

export type ParsedAddress =
  | { ok: true; address: Address }
  | { ok: false; problem: AddressProblem; expected: string };

/** Where the page itself came from, as `location` says it. */
export interface PageOrigin {
  protocol: string;
  host: string;
}

/** Raw MQTT is out of a browser's reach: what answers it here takes WebSocket on the same port. */
const SCHEMES: Record<string, "ws" | "wss"> = {
  ws: "ws",
  wss: "wss",
  mqtt: "ws",
  tcp: "ws",
  mqtts: "wss",
  ssl: "wss",
  tls: "wss",
};

/** The WebSocket address of the server the page came from. */
export function ownAddress(page: PageOrigin): string {
  return `${page.protocol === "http:" ? "ws" : "wss"}://${page.host}/mqtt`;
}

export function parseAddress(typed: string, page: PageOrigin): ParsedAddress {
  const text = typed.trim();
  const wrong = (problem: AddressProblem, expected = ownAddress(page)): ParsedAddress => ({
    ok: false,
    problem,
    expected,
  });
  if (text === "") return wrong("address-empty");
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) {
    const looksLikeHost = /^[\w.-]+(:\d+)?(\/\S*)?$/.test(text) || /^\[[0-9a-f:]+\]/i.test(text);
    return wrong("address-no-scheme", looksLikeHost ? withPath(`wss://${text}`) : undefined);
  }
  const lower = scheme.toLowerCase();
  if (lower === "http" || lower === "https") {
    return wrong("address-http", withPath(`${lower === "http" ? "ws" : "wss"}://${rest}`));
  }
  const used = SCHEMES[lower];
  if (used === undefined) return wrong("address-unknown-scheme");
  // `URL` skips slashes to find a host: wss:///mqtt would become wss://mqtt.
  const authority = (/^[^/?#\\]*/.exec(rest)?.[0] ?? "").replace(/^.*@/, "");
  if (authority === "" || authority.startsWith(":")) return wrong("address-no-host");
  if (Number(/:(\d+)$/.exec(authority)?.[1] ?? 1) > 65_535 || /:0+$/.test(authority)) return wrong("address-port");
  if (rest.includes("#")) return wrong("address-fragment", `${scheme}://${rest.split("#")[0]}`);
  const isRaw = lower !== used;
  const whole = `${used}://${rest}`;
  if (/\s/.test(rest) || !URL.canParse(whole)) return wrong("address-unreadable");
  const url = new URL(isRaw ? withPath(whole) : whole);
  if (used === "ws" && page.protocol === "https:" && !isLoopback(url.hostname)) {
    return wrong("address-mixed", `wss://${rest}`);
  }
  const [username, password] = [decode(url.username), decode(url.password)];
  url.username = "";
  url.password = "";
  const httpOrigin = `${used === "ws" ? "http" : "https"}://${url.host}`;
  const address = { url: url.href, httpOrigin, username, password };
  return { ok: true, address: isRaw ? { ...address, replaced: lower } : address };
}

/** Browsers let pages of https speak ws to the machine they run on. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/i.test(hostname);
}

function withPath(url: string): string {
  return /:\/\/[^/?#]+$/.test(url) ? `${url}/mqtt` : url;
}

/** A stray % is taken as it stands. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
