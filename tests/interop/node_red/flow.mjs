// What is deployed: a flow is a tab of Node-RED with a broker, nodes that publish to it and nodes that subscribe.

let tabs = 0;

/** The configuration node of a connection, as its dialog saves it. `will` is a message. */
export class Broker {
  constructor({ url, ca, version, clientId, clean = true, will }) {
    Object.assign(this, { url, ca, version, clientId, clean, will });
  }

  /** The node and, with TLS, the configuration node of its trust. */
  nodes(id) {
    const { url, ca, version, clientId, clean, will } = this;
    const tls = { id: `${id}-tls`, type: "tls-config", cert: "", key: "", ca, verifyservercert: true, servername: "" };
    const node = {
      id,
      type: "mqtt-broker",
      broker: url,
      port: "",
      clientid: clientId,
      autoConnect: true,
      usetls: Boolean(ca),
      tls: ca ? tls.id : "",
      protocolVersion: version,
      keepalive: 60,
      cleansession: clean,
      // A kept session keeps its subscriptions.
      autoUnsubscribe: clean,
      sessionExpiry: clean ? "" : "300",
      willTopic: will?.topic ?? "",
      willPayload: will?.payload ?? "",
      willQos: String(will?.qos ?? 0),
      willRetain: String(will?.retain ?? false),
      willMsg: {},
    };
    return ca ? [tls, node] : [node];
  }
}

/** One connection. Function nodes lead to and from this program by the event emitter `bus` of the global context. */
export class Flow {
  #broker;
  #subscriptions = [];

  constructor(broker) {
    this.#broker = broker;
    this.id = `tab${++tabs}`;
  }

  subscribe(topic, qos) {
    this.#subscriptions.push({ topic, qos });
    return this;
  }

  nodes() {
    const { id } = this;
    const node = (name, type, options) => ({ id: `${id}-${name}`, z: id, type, wires: [], x: 0, y: 0, ...options });
    const emit = (event) => `global.get("bus").emit("${id}-${event}", msg); return null;`;
    const code = (name, func, options = {}) =>
      node(name, "function", { func, outputs: 0, initialize: "", finalize: "", libs: [], ...options });
    const initialize = `
      const bus = global.get("bus");
      bus.removeAllListeners("${id}-send");
      bus.on("${id}-send", (msg) => node.send(msg));`;
    return [
      { id, type: "tab", label: id },
      ...this.#broker.nodes(`${id}-broker`),
      code("source", "return null;", { outputs: 1, initialize, wires: [[`${id}-out`]] }),
      node("out", "mqtt out", { topic: "", qos: "", retain: "", broker: `${id}-broker` }),
      node("complete", "complete", { scope: [`${id}-out`], wires: [[`${id}-sent`]] }),
      code("sent", emit("sent")),
      node("status", "status", { scope: [`${id}-out`], wires: [[`${id}-state`]] }),
      code("state", emit("state")),
      node("catch", "catch", { scope: null, wires: [[`${id}-failure`]] }),
      code("failure", emit("failure")),
      ...this.#subscriptions.map(({ topic, qos }, at) =>
        node(`in${at}`, "mqtt in", {
          topic,
          qos: String(qos),
          datatype: "utf8",
          broker: `${id}-broker`,
          nl: false,
          rap: true,
          rh: 0,
          inputs: 0,
          wires: [[`${id}-sink`]],
        }),
      ),
      code("sink", emit("arrived")),
    ];
  }
}
