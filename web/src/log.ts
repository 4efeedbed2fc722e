/** The messages that have arrived: as many as fit, the oldest go first. */

import type { IPublishPacket } from "mqtt";

/** 5,000 rows or 32 MB of payload, whichever is met first: what a tab holds without being felt. */
export const MOST_ROWS = 5000;
export const MOST_BYTES = 32 * 1_048_576;

/** What a row costs beside its topic and payload, roughly. */
const ROW_OVERHEAD = 200;

export interface Message {
  /** Counts the messages that arrived, from 0. */
  number: number;
  /** Milliseconds since 1970. */
  time: number;
  topic: string;
  payload: Uint8Array;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  properties?: IPublishPacket["properties"];
}

/** A ring: a message takes the place of the one `MOST_ROWS` before it. */
export class MessageLog {
  /** The number of the oldest message still there, and of the next to come. */
  first = 0;
  next = 0;
  bytes = 0;
  #slots: (Message | undefined)[] = [];
  #rows: number;
  #limit: number;

  constructor(rows = MOST_ROWS, limit = MOST_BYTES) {
    this.#rows = rows;
    this.#limit = limit;
  }

  push(arrived: Omit<Message, "number">): Message {
    const message = { ...arrived, number: this.next };
    if (this.next - this.first === this.#rows) this.#dropOldest();
    this.#slots[this.next % this.#rows] = message;
    this.next += 1;
    this.bytes += cost(message);
    // The newest stays, however large: it is what somebody is waiting for.
    while (this.bytes > this.#limit && this.first < this.next - 1) this.#dropOldest();
    return message;
  }

  at(number: number): Message | undefined {
    return number < this.first || number >= this.next ? undefined : this.#slots[number % this.#rows];
  }

  /** The same messages, which no longer change. */
  copy(): MessageLog {
    const copy = new MessageLog(this.#rows, this.#limit);
    copy.first = this.first;
    copy.next = this.next;
    copy.bytes = this.bytes;
    copy.#slots = [...this.#slots];
    return copy;
  }

  clear(): void {
    this.#slots = [];
    this.first = this.next;
    this.bytes = 0;
  }

  #dropOldest(): void {
    const oldest = this.#slots[this.first % this.#rows];
    if (oldest) this.bytes -= cost(oldest);
    this.#slots[this.first % this.#rows] = undefined;
    this.first += 1;
  }
}

const cost = (message: Message) => message.payload.length + message.topic.length * 2 + ROW_OVERHEAD;

/** The messages of a log that a test lets through, in order; follows the log without looking at any message twice. */
export class View {
  #log: MessageLog;
  #lets: (message: Message) => boolean;
  #kept: Message[] = [];
  /** How many at the head of `#kept` have left the log since. */
  #gone = 0;
  #seen: number;

  constructor(log: MessageLog, lets: (message: Message) => boolean) {
    this.#log = log;
    this.#lets = lets;
    this.#seen = log.first;
  }

  /** Takes in what has arrived; how many of its rows have left at the head. */
  follow(): number {
    const before = this.#gone;
    for (let number = Math.max(this.#seen, this.#log.first); number < this.#log.next; number += 1) {
      const message = this.#log.at(number);
      if (message && this.#lets(message)) this.#kept.push(message);
    }
    this.#seen = this.#log.next;
    const isGone = (message: Message | undefined) => message !== undefined && message.number < this.#log.first;
    while (isGone(this.#kept[this.#gone])) this.#gone += 1;
    const left = this.#gone - before;
    if (this.#gone > MOST_ROWS) {
      this.#kept.splice(0, this.#gone);
      this.#gone = 0;
    }
    return left;
  }

  get length(): number {
    return this.#kept.length - this.#gone;
  }

  at(row: number): Message | undefined {
    return this.#kept[this.#gone + row];
  }

  rows(from = 0, to = this.length): Message[] {
    return this.#kept.slice(this.#gone + Math.max(from, 0), this.#gone + Math.min(to, this.length));
  }

  /** The row a message is in; -1 where it is not. */
  rowOf(number: number): number {
    let [low, high] = [this.#gone, this.#kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#kept[middle]?.number ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return this.#kept[low]?.number === number ? low - this.#gone : -1;
  }
}
