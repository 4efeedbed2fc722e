/** Messages as files. */

import { asBase64, asText } from "./payload";
import type { Message } from "./log";

/** A message for each line; the payload is text where it is valid UTF-8, else base64. */
export function toJsonLines(messages: Message[]): string[] {
  return messages.map((message) => {
    const { time, topic, qos, retain, dup, properties } = message;
    const line = { time: new Date(time).toISOString(), topic, qos, retain, dup, ...payload(message), properties };
    return `${JSON.stringify(line, binary)}\n`;
  });
}

/** RFC 4180, with a header line. */
export function toCsv(messages: Message[]): string[] {
  const rows = messages.map((message) => {
    const { payload: text, encoding } = payload(message);
    const { time, topic, qos, retain, dup } = message;
    return row([new Date(time).toISOString(), topic, String(qos), String(retain), String(dup), encoding, text]);
  });
  return [row(["time", "topic", "qos", "retain", "dup", "encoding", "payload"]), ...rows];
}

function payload(message: Message): { payload: string; encoding: "utf-8" | "base64" } {
  const text = asText(message.payload);
  return text === null
    ? { payload: asBase64(message.payload), encoding: "base64" }
    : { payload: text, encoding: "utf-8" };
}

const row = (cells: string[]) => `${cells.map(cell).join(",")}\r\n`;

/**
 * A cell in quotes. Spreadsheets take what begins with = + - @ tab or CR for a formula, which could run programs or send
 * data away; an apostrophe in front makes it text. Numbers are left as they are.
 */
function cell(text: string): string {
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);
  return `"${(isFormula ? `'${text}` : text).replaceAll('"', '""')}"`;
}

/** Correlation data is bytes, and becomes base64. */
function binary(this: unknown, key: string, value: unknown): unknown {
  if (key !== "correlationData") return value;
  // `JSON.stringify` has called `toJSON` of the Buffer already; the bytes are in its parent.
  const bytes = (this as Record<string, unknown>)[key];
  return bytes instanceof Uint8Array ? asBase64(bytes) : value;
}

/** Hands a file to the browser. */
export function download(name: string, type: string, parts: (string | Uint8Array)[]): void {
  const url = URL.createObjectURL(new Blob(parts as BlobPart[], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Not at once: the browser has to begin reading first.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
