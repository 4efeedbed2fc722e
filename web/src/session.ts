/** The connection to a broker: MQTT.js, and around it what the page promises of reconnects, takeovers and reasons. */

import mqtt from "mqtt";
import type { IClientOptions, IClientPublishOptions, IPublishPacket, MqttClient, Packet } from "mqtt";
import { type Attempt, randomId } from "./attempt";
import { type Message, MessageLog } from "./log";
import { Store } from "./store";
import { TopicTree } from "./topics";

/** Full jitter: anything up to a limit that doubles from one second to thirty. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30_000;
/** Even the luckiest draw leaves the broker this long. */
const SHORTEST_WAIT = 250;

const CONNECT_TIMEOUT = 15_000;
/** How often the round trip is measured. */
const PING_INTERVAL = 20_000;
/** How long an answer may take after the browser has said the network is gone. */
const PATIENCE_OFFLINE = 5000;

const TAKEN_OVER = 0x8e;
/** Refusals that pass by themselves: unavailable, busy, shutting down, quota, rate; and 3 of MQTT 3.1.1. */
const PASSING = new Set([3, 0x88, 0x89, 0x8b, 0x97, 0x9f]);
/** What a server ends a connection with that would only come again: not authorized, banned, moved. */
const FINAL_DISCONNECTS = new Set([0x87, 0x8a, 0x8c, 0x98, 0x9c, 0x9d]);
/** WebSocket's "policy violation": the broker's word for refused. */
const POLICY_VIOLATION = 1008;
const TAKEN_OVER_TEXT = "another connection uses this client identifier";

export interface ConnectOptions {
  url: string;
  httpOrigin: string;
  options: IClientOptions;
}

/** What has become of the connection. */
export type State =
  | { is: "idle" | "connecting" | "connected" | "taken-over" }
  /** Will be tried again by itself. */
  | { is: "waiting"; until: number; offline: boolean }
  /** Would be refused again. */
  | { is: "refused" };

export interface Subscription {
  filter: string;
  qos: 0 | 1 | 2;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: 0 | 1 | 2;
  state: "waiting" | "granted" | "refused";
  /** What SUBACK said. */
  code?: number | undefined;
  reason?: string | undefined;
}

/** What became of a message that was published. */
export interface Outcome {
  ok: boolean;
  code?: number | undefined;
  reason?: string | undefined;
  error?: string;
}

export class Session extends Store {
  state: State = { is: "idle" };
  attempt: Attempt | undefined;
  /** The attempt before it, while it says why there is no connection. */
  failed: Attempt | undefined;
  clientId = "";
  version: 4 | 5 = 5;
  sessionPresent = false;
  subscriptions: Subscription[] = [];
  readonly log = new MessageLog();
  readonly topics = new TopicTree();

  #client: MqttClient | undefined;
  #wanted: ConnectOptions | undefined;
  #failures = 0;
  #timer = 0;
  #pingTimer = 0;
  #pinged = 0;
  #acks = new Map<number, { code: number; reason?: string | undefined }>();
  /** Ended while there was no connection: the broker may still keep them. */
  #toUnsubscribe = new Set<string>();

  constructor() {
    super();
    addEventListener("online", () => this.#online());
    addEventListener("offline", () => this.#offline());
  }

  get isConnected(): boolean {
    return this.state.is === "connected";
  }

  /** Replaces a connection that there is. Messages and subscriptions stay. */
  connect(wanted: ConnectOptions): void {
    this.#drop();
    this.#wanted = wanted;
    this.clientId = wanted.options.clientId ?? "";
    this.version = wanted.options.protocolVersion === 4 ? 4 : 5;
    this.#failures = 0;
    this.failed = undefined;
    for (const subscription of this.subscriptions) subscription.state = "waiting";
    this.#open();
  }

  disconnect(): void {
    this.#drop();
    this.#become({ is: "idle" });
    this.failed = undefined;
  }

  /** At once, instead of waiting. */
  retry(): void {
    if (this.state.is === "connected" || this.state.is === "connecting") return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** Connects as somebody else, where another has taken the identifier. */
  retryAs(clientId: string): void {
    if (!this.#wanted) return;
    this.connect({ ...this.#wanted, options: { ...this.#wanted.options, clientId } });
  }

  subscribe(asked: Omit<Subscription, "state" | "code" | "reason">): void {
    const subscription: Subscription = { ...asked, state: "waiting" };
    this.#toUnsubscribe.delete(asked.filter);
    this.subscriptions = [...this.subscriptions.filter((other) => other.filter !== asked.filter), subscription];
    this.changed();
    if (this.isConnected) this.#subscribe(subscription);
  }

  unsubscribe(filter: string): void {
    this.subscriptions = this.subscriptions.filter((other) => other.filter !== filter);
    this.changed();
    if (this.isConnected) this.#client?.unsubscribe(filter);
    else this.#toUnsubscribe.add(filter);
  }

  async publish(topic: string, payload: Uint8Array, options: IClientPublishOptions): Promise<Outcome> {
    const client = this.#client;
    if (!client || !this.isConnected) return { ok: false, error: "not connected" };
    return new Promise((resolve) => {
      client.publish(topic, payload as Buffer, options, (error, packet) => {
        const id = packet?.messageId;
        const ack = id === undefined ? undefined : this.#acks.get(id);
        if (id !== undefined) this.#acks.delete(id);
        const code = ack?.code ?? (error as { code?: number } | null)?.code;
        const told = { code: typeof code === "number" ? code : undefined, reason: ack?.reason };
        resolve(error ? { ok: false, ...told, error: error.message } : { ok: true, ...told });
      });
    });
  }

  clear(): void {
    this.log.clear();
    this.topics.clear();
    this.changed();
  }

  #become(state: State): void {
    this.state = state;
    this.changed();
  }

  #open(): void {
    const wanted = this.#wanted;
    if (!wanted) return;
    this.#become({ is: "connecting" });
    try {
      if (this.#client) this.#reconnect(this.#client);
      else this.#client = this.#create(wanted);
    } catch (error) {
      // A browser throws at once what it will never do, such as ws from a page of https.
      this.#client = undefined;
      if (this.attempt) this.attempt.error = String(error instanceof Error ? error.message : error);
      this.failed = this.attempt;
      this.#become({ is: "refused" });
    }
  }

  #create(wanted: ConnectOptions): MqttClient {
    const kept = { incomingStore: new mqtt.Store({ clean: false }), outgoingStore: new mqtt.Store({ clean: false }) };
    const client = mqtt.connect(wanted.url, {
      ...wanted.options,
      ...(wanted.options.clean === false ? kept : {}),
      connectTimeout: CONNECT_TIMEOUT,
      // Both are done here: MQTT.js would wait the same second each time, and fight a takeover.
      reconnectPeriod: 0,
      resubscribe: false,
      createWebsocket: (_url: string, protocols: string[]) => this.#dial(wanted, protocols),
    });
    // A client that was replaced says its last words to nobody.
    const current = (act: () => void) => {
      if (this.#client === client) act();
    };
    client.on("packetreceive", (packet) => current(() => this.#received(packet)));
    client.on("connect", (packet) => current(() => this.#connected(packet.sessionPresent)));
    client.on("message", (topic, payload, packet) => current(() => this.#arrived(topic, payload, packet)));
    client.on("error", (error) =>
      current(() => {
        if (this.attempt) this.attempt.error ??= error.message;
      }),
    );
    // WebSocket's own event may come a moment later, and it alone has the reason.
    client.on("close", () => setTimeout(() => current(() => this.#ended()), 0));
    return client;
  }

  #reconnect(client: MqttClient): void {
    const { incomingStore, outgoingStore, clean } = client.options;
    // What was in flight belongs to the session, and goes on with it.
    if (clean === false && incomingStore && outgoingStore) client.reconnect({ incomingStore, outgoingStore });
    else client.reconnect();
  }

  #dial(wanted: ConnectOptions, protocols: string[]): WebSocket {
    const probe = randomId(16);
    const attempt: Attempt = { probe, url: wanted.url, httpOrigin: wanted.httpOrigin, opened: false };
    this.attempt = attempt;
    const url = new URL(wanted.url);
    url.searchParams.set("probe", probe);
    const socket = new WebSocket(url, protocols);
    socket.addEventListener("open", () => (attempt.opened = true));
    socket.addEventListener("close", ({ code, reason }) => (attempt.closed = { code, reason }));
    return socket;
  }

  #received(packet: Packet): void {
    const attempt = this.attempt;
    switch (packet.cmd) {
      case "connack":
        if (attempt) {
          const code = packet.reasonCode ?? packet.returnCode ?? 0;
          attempt.connack = { code, reason: packet.properties?.reasonString };
        }
        break;
      case "disconnect":
        if (attempt) {
          attempt.disconnect = { code: packet.reasonCode ?? 0, reason: packet.properties?.reasonString };
        }
        break;
      case "puback":
      case "pubrec":
        if (packet.messageId !== undefined) {
          const code = packet.reasonCode ?? 0;
          this.#acks.set(packet.messageId, { code, reason: packet.properties?.reasonString });
        }
        break;
      case "pingresp":
        if (attempt && this.#pinged > 0) {
          attempt.roundTrip = performance.now() - this.#pinged;
          this.#pinged = 0;
          this.changed();
        }
        break;
      default:
    }
  }

  #connected(sessionPresent: boolean): void {
    this.#failures = 0;
    this.failed = undefined;
    this.sessionPresent = sessionPresent;
    this.#become({ is: "connected" });
    for (const filter of this.#toUnsubscribe) this.#client?.unsubscribe(filter);
    this.#toUnsubscribe.clear();
    // A session that was kept has its subscriptions; asking again would have retained messages sent again.
    const missing = this.subscriptions.filter(({ state }) => !sessionPresent || state !== "granted");
    for (const subscription of missing) this.#subscribe(subscription);
    this.#ping();
    clearInterval(this.#pingTimer);
    this.#pingTimer = window.setInterval(() => this.#ping(), PING_INTERVAL);
  }

  #ping(): void {
    if (!this.isConnected) return;
    this.#pinged = performance.now();
    this.#client?.sendPing();
  }

  #subscribe(subscription: Subscription): void {
    const { filter, qos, noLocal, retainAsPublished, retainHandling } = subscription;
    const options = this.version === 5 ? { qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling } : { qos };
    subscription.state = "waiting";
    this.#client?.subscribe({ [filter]: options }, (error, _granted, packet) => {
      const suback = packet ?? (error as { packet?: typeof packet } | null)?.packet;
      const code = suback?.granted[0];
      // Without SUBACK the connection was lost: the next one asks again.
      if (typeof code !== "number") return;
      subscription.state = code < 0x80 ? "granted" : "refused";
      subscription.code = code;
      subscription.reason = suback?.properties?.reasonString;
      this.changed();
    });
  }

  #arrived(topic: string, payload: Uint8Array, packet: IPublishPacket): void {
    const { qos, retain, dup, properties } = packet;
    const message: Omit<Message, "number"> = { time: Date.now(), topic, payload, qos, retain, dup };
    this.log.push(properties ? { ...message, properties } : message);
    this.topics.add(topic);
    this.changed();
  }

  #ended(): void {
    const attempt = this.attempt;
    clearInterval(this.#pingTimer);
    this.#acks.clear();
    this.#pinged = 0;
    this.failed = attempt;
    if (attempt && isTakenOver(attempt)) this.#become({ is: "taken-over" });
    else if (attempt && isFinal(attempt)) this.#become({ is: "refused" });
    else this.#wait();
  }

  #wait(): void {
    const limit = Math.min(FIRST_WAIT * 2 ** this.#failures, LONGEST_WAIT);
    this.#failures += 1;
    const wait = Math.max(Math.random() * limit, SHORTEST_WAIT);
    clearTimeout(this.#timer);
    this.#become({ is: "waiting", until: Date.now() + wait, offline: !navigator.onLine });
    // Without a network each attempt fails at once; the browser says when it is back.
    if (navigator.onLine) this.#timer = window.setTimeout(() => this.#open(), wait);
  }

  #online(): void {
    if (this.state.is === "waiting") this.retry();
  }

  #offline(): void {
    if (this.state.is === "waiting") {
      clearTimeout(this.#timer);
      this.#become({ ...this.state, offline: true });
    } else if (this.isConnected) {
      // The browser may be wrong (the broker may be on this machine): ask the broker, and not for as long as keep alive.
      const client = this.#client;
      this.#ping();
      setTimeout(() => {
        if (this.#client === client && this.isConnected && this.#pinged > 0) client?.stream.destroy();
      }, PATIENCE_OFFLINE);
    }
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#pingTimer);
    const client = this.#client;
    this.#client = undefined;
    this.#pinged = 0;
    // Errors of one that has been let go go nowhere, and must not be thrown.
    client?.on("error", () => undefined);
    client?.end(!client.connected);
  }
}

/** MQTT 5 says it in DISCONNECT, 3.1.1 has only WebSocket's close frame for it. */
function isTakenOver({ disconnect, closed }: Attempt): boolean {
  return disconnect?.code === TAKEN_OVER || (closed?.code === POLICY_VIOLATION && closed.reason === TAKEN_OVER_TEXT);
}

/** Whether trying again would only be refused again. */
function isFinal({ connack, disconnect, closed }: Attempt): boolean {
  if (connack && connack.code !== 0) return !PASSING.has(connack.code);
  if (disconnect) return FINAL_DISCONNECTS.has(disconnect.code);
  return closed?.code === POLICY_VIOLATION;
}
