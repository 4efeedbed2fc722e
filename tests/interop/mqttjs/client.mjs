// One MQTT.js client as the steps want it: each answer awaited, each message kept until a step asks for it.
// Works with MQTT.js 4 and 5 alike, and so uses callbacks and events, which both have.

/** What arrived, in order, and whoever waits for it. */
export class Inbox {
  #items = [];
  #waiting = [];

  put(item) {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#items.push(item);
  }

  /** The next item, now or later. A step's deadline ends the wait. */
  take() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export class Client {
  /** Messages: topic, payload, qos, retain, dup and, in MQTT 5, properties. */
  inbox = new Inbox();
  /** The CONNACK that accepted it. */
  connack;
  /** Resolves once the stream has ended, whoever ended it. */
  closed;
  #mqtt;
  #packets = [];
  #watchers = [];

  /** Opens a connection that was accepted; throws what refused it. */
  static async open(library, url, options) {
    const client = new Client();
    await client.#open(library, url, options);
    return client;
  }

  #open(library, url, options) {
    this.#mqtt = library.connect(url, { reconnectPeriod: 0, connectTimeout: 15_000, ...options });
    this.#mqtt.on("message", (topic, payload, packet) => this.inbox.put({ ...packet, topic, payload }));
    this.#mqtt.on("packetreceive", (packet) => this.#received(packet));
    this.closed = new Promise((resolve) => this.#mqtt.once("close", resolve));
    return new Promise((resolve, reject) => {
      this.#mqtt.once("connect", (connack) => {
        this.connack = connack;
        resolve();
      });
      this.#mqtt.on("error", reject);
      this.#mqtt.once("close", () => reject(new Error(`${url} was closed before CONNACK`)));
    });
  }

  #received(packet) {
    const watcher = this.#watchers.find(({ command }) => command === packet.cmd);
    if (!watcher) {
      this.#packets.push(packet);
      return;
    }
    this.#watchers.splice(this.#watchers.indexOf(watcher), 1);
    watcher.resolve(packet);
  }

  /** The next packet of this type that no call has returned yet. */
  packet(command) {
    const at = this.#packets.findIndex(({ cmd }) => cmd === command);
    if (at >= 0) return Promise.resolve(this.#packets.splice(at, 1)[0]);
    return new Promise((resolve) => this.#watchers.push({ command, resolve }));
  }

  /** What is granted for the filter: a QoS, or a reason code from 128 on. */
  async subscribe(filter, options = { qos: 2 }) {
    await this.#answered((done) => this.#mqtt.subscribe(filter, options, done));
    const { granted } = await this.packet("suback");
    return Number(granted[0]);
  }

  /** The reason codes of MQTT 5; nothing in versions before. */
  async unsubscribe(filter) {
    await this.#answered((done) => this.#mqtt.unsubscribe(filter, {}, done));
    return (await this.packet("unsuback")).granted;
  }

  /** Returns once the broker has acknowledged it, or once it is written at QoS 0. */
  publish(topic, payload, options = { qos: 1 }) {
    return this.#answered((done) => this.#mqtt.publish(topic, payload, options, done));
  }

  receive() {
    return this.inbox.take();
  }

  /** Ends with DISCONNECT, and returns once the stream has ended. */
  async disconnect(packet = {}) {
    await this.#answered((done) => this.#mqtt.end(false, packet, done));
    await this.closed;
  }

  /** Ends the stream without DISCONNECT and without a WebSocket close frame. */
  async abort() {
    this.#mqtt.stream.destroy();
    await this.closed;
  }

  #answered(call) {
    return new Promise((resolve, reject) => {
      call((error, answer) => (error ? reject(error) : resolve(answer)));
    });
  }
}
