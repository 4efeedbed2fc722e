/** Payloads as people read them. Nothing here looks at more bytes than it is asked for: a payload may have megabytes. */

/** What a list or a first look shows. */
export const PREVIEW_BYTES = 4096;

/** More than this in one element stalls the layout of a browser; the rest is a download away. */
export const SHOWN_BYTES = 128 * 1024;

/** Beyond it, parsing and indenting JSON takes longer than a blink. */
export const JSON_BYTES = 1_048_576;

const DEEPEST_INDENT = 40;

export type Form = "text" | "json" | "hex" | "base64" | "image";

/** The bytes as text; `null` where they are none. `limit` may cut a character in two. */
export function asText(payload: Uint8Array, limit = payload.length): string | null {
  const bytes = payload.subarray(0, limit);
  try {
    // `stream` forgives the character that the cut went through.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, {
      stream: limit < payload.length,
    });
    return /[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** One line for a list. */
export function preview(payload: Uint8Array): string {
  const text = asText(payload, PREVIEW_BYTES);
  if (text === null) return hexPairs(payload.subarray(0, 64)) + (payload.length > 64 ? " …" : "");
  return payload.length > PREVIEW_BYTES ? `${text} …` : text;
}

/** Offsets, pairs of digits and what is printable, sixteen bytes in a line. */
export function asHex(payload: Uint8Array, limit = payload.length): string {
  const lines: string[] = [];
  for (let offset = 0; offset < Math.min(limit, payload.length); offset += 16) {
    const bytes = payload.subarray(offset, Math.min(offset + 16, limit));
    const shown = Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·"));
    lines.push(`${offset.toString(16).padStart(8, "0")}  ${hexPairs(bytes).padEnd(47)}  ${shown.join("")}`);
  }
  return lines.join("\n");
}

export function asBase64(payload: Uint8Array, limit = payload.length): string {
  let binary = "";
  // Whole groups of three, so that a part is a prefix of the whole.
  const bytes = payload.subarray(0, limit < payload.length ? limit - (limit % 3) : limit);
  for (let offset = 0; offset < bytes.length; offset += 8192) {
    binary += String.fromCharCode(...bytes.subarray(offset, offset + 8192));
  }
  return btoa(binary);
}

/** JSON with its indentation; `null` where it is none, or too long to try. Numbers keep the digits they came with. */
export function asJson(payload: Uint8Array): string | null {
  if (payload.length === 0 || payload.length > JSON_BYTES) return null;
  const text = asText(payload);
  if (text === null) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  return indent(text);
}

/** The type of an image a browser shows without running anything; SVG is left out on purpose: it may hold scripts. */
export function imageType(payload: Uint8Array): string | null {
  const begins = (offset: number, ...bytes: number[]) => bytes.every((byte, i) => payload[offset + i] === byte);
  if (begins(0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  if (begins(0, 0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0, 0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (begins(0, 0x52, 0x49, 0x46, 0x46) && begins(8, 0x57, 0x45, 0x42, 0x50)) return "image/webp";
  return null;
}

/** What a payload is best shown as. */
export function bestForm(payload: Uint8Array): Form {
  if (imageType(payload)) return "image";
  if (asText(payload, PREVIEW_BYTES) === null) return "hex";
  // `{` or `[` first: a bare number is JSON too, and reads better as it is.
  return /^\s*[[{]/.test(asText(payload, 64) ?? "") && asJson(payload) !== null ? "json" : "text";
}

/** Hexadecimal digits with or without spaces; `null` where they are none. */
export function fromHex(text: string): Uint8Array | null {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return null;
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

/** Base64, the URL alphabet and missing padding included; `null` where it is none. */
export function fromBase64(text: string): Uint8Array | null {
  try {
    const binary = atob(text.replace(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, ""));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

const hexPairs = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** Re-indents valid JSON. `JSON.stringify` of the parsed value would round numbers beyond 2^53. */
function indent(json: string): string {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[^\s"[\]{},:]+|[[\]{},:]/g) ?? [];
  const out: string[] = [];
  let depth = 0;
  // Nesting without end would make lines without end.
  const line = () => `\n${"  ".repeat(Math.min(depth, DEEPEST_INDENT))}`;
  for (const [index, token] of tokens.entries()) {
    const isEmpty = /[[{]/.test(tokens[index - 1] ?? "") && tokens[index - 1]?.length === 1;
    if (token === "{" || token === "[") {
      depth += 1;
      out.push(token, /^[\]}]$/.test(tokens[index + 1] ?? "") ? "" : line());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out.push(isEmpty ? token : line() + token);
    } else if (token === ",") out.push(token, line());
    else out.push(token === ":" ? ": " : token);
  }
  return out.join("");
}
