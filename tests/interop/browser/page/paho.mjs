// Paho JavaScript, which index.html loads, as the steps want it: see mqttjs.mjs.
import { Inbox } from "/steps.mjs";

function message(topic, payload, qos, retained) {
  const made = new Paho.Message(payload);
  return Object.assign(made, { destinationName: topic, qos, retained });
}

/** The library's options of a call as a promise. */
function answered(call) {
  return new Promise((onSuccess, reject) => {
    call({ onSuccess, onFailure: ({ errorCode, errorMessage }) => reject(new Error(`${errorCode}: ${errorMessage}`)) });
  });
}

export class Client {
  received = new Inbox();
  sessionPresent;
  #delivered = new Inbox();
  #paho;

  static async open(url, mqttVersion, clientId, { kept = false, will }) {
    const client = new Client();
    const paho = (client.#paho = new Paho.Client(url, clientId));
    paho.onMessageArrived = ({ payloadString, qos, retained }) => client.received.put([payloadString, qos, retained]);
    paho.onMessageDelivered = () => client.#delivered.put();
    const willMessage = will ? { willMessage: message(will.topic, will.payload, 1, false) } : {};
    const options = { mqttVersion, mqttVersionExplicit: true, cleanSession: !kept, ...willMessage };
    await answered((callbacks) => paho.connect({ ...options, ...callbacks }));
    return client;
  }

  async subscribe(filter, qos) {
    const { grantedQos } = await answered((callbacks) => this.#paho.subscribe(filter, { qos, ...callbacks }));
    return grantedQos[0];
  }

  publish(topic, payload, qos, retain = false) {
    this.#paho.send(message(topic, payload, qos, retain));
    return this.#delivered.take();
  }

  close() {
    const closed = new Promise((resolve) => (this.#paho.onConnectionLost = resolve));
    this.#paho.disconnect();
    return closed;
  }
}
