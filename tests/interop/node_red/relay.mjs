// A network cable to pull: what is connected to its port goes on to the broker until it is cut, whatever the client.

import { once } from "node:events";
import net from "node:net";

export class Relay {
  #server;
  #target;
  #sockets = [];

  static async start(url) {
    const relay = new Relay(url);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  constructor(url) {
    this.#target = new URL(url);
    this.#server = net.createServer((client) => {
      const broker = net.connect(this.#target.port, this.#target.hostname);
      this.#sockets.push(client, broker);
      // Either end goes with the other, and neither may end the process.
      for (const [from, to] of [[client, broker], [broker, client]]) {
        from.on("error", () => {}).on("close", () => to.destroy()).pipe(to);
      }
    });
  }

  /** The target's URL with the port of this relay. */
  get url() {
    const url = new URL(this.#target);
    url.port = this.#server.address().port;
    return url.href;
  }

  /** Ends both streams at once: the broker sees no DISCONNECT, no close frame and no close_notify. */
  cut() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
