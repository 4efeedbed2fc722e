{% if ca -%}
// npm install mqtt; {% if fetch_ca %}{{ fetch_ca }}; {% endif %}node hello.mjs
import { readFileSync } from "node:fs";
{% else -%}
// npm install mqtt; node hello.mjs
{% endif -%}
import mqtt from "mqtt";

const topic = {{ topic|literal }};
const client = mqtt.connect({{ url|literal }}, {
  protocolVersion: 5,
{%- if ca %}
  ca: readFileSync({{ ca|literal }}), // not in a browser: there the system must trust it
{%- endif %}
{%- if user %}
  username: {{ user|literal }},
  password: process.env.MQTT_PASSWORD,
{%- endif %}
});
client.on("connect", async () => {
  await client.subscribeAsync(topic, { qos: 1 });
  await client.publishAsync(topic, "hello from MQTT.js", { qos: 1 });
});
client.on("message", (topic, payload) => console.log(topic, payload.toString()));
client.on("error", (error) => console.error(error.message));
