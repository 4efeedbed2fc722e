// MQTT.js as the steps want it.
import mqtt from "/mqtt.esm.js";
import { Inbox } from "/steps.mjs";

export class Client {
  /** Messages: payload, QoS, and whether it was retained. */
  received = new Inbox();
  /** Whether CONNACK has said so; undefined where the library keeps it to itself. */
  sessionPresent;
  #mqtt;

  /** Returns once the connection is accepted. */
  static async open(url, protocolVersion, clientId, { kept = false, will }) {
    const client = new Client();
    client.#mqtt = mqtt.connect(url, {
      clientId,
      protocolVersion,
      ...(protocolVersion === 3 ? { protocolId: "MQIsdp" } : {}),
      clean: !kept,
      ...(kept && protocolVersion === 5 ? { properties: { sessionExpiryInterval: 300 } } : {}),
      ...(will ? { will: { ...will, qos: 1, retain: false } } : {}),
      reconnectPeriod: 0,
    });
    client.#mqtt.on("message", (_topic, payload, { qos, retain }) => {
      client.received.put([new TextDecoder().decode(payload), qos, retain]);
    });
    await new Promise((resolve, reject) => {
      client.#mqtt.once("connect", ({ sessionPresent }) => {
        client.sessionPresent = sessionPresent;
        resolve();
      });
      client.#mqtt.on("error", reject);
      client.#mqtt.once("close", () => reject(new Error(`${url} was closed before CONNACK`)));
    });
    return client;
  }

  /** The QoS that is granted. */
  async subscribe(filter, qos) {
    const [granted] = await this.#mqtt.subscribeAsync(filter, { qos });
    return granted.qos;
  }

  /** Returns once the broker has acknowledged it, or once it is written at QoS 0. */
  publish(topic, payload, qos, retain = false) {
    return this.#mqtt.publishAsync(topic, payload, { qos, retain });
  }

  /** Ends with DISCONNECT. */
  close() {
    return this.#mqtt.endAsync();
  }
}
