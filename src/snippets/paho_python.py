# pip install paho-mqtt{% if fetch_ca %}; {{ fetch_ca }}{% endif %}; python3 hello.py
{% if user -%}
import os
{% endif -%}
import paho.mqtt.client as mqtt

TOPIC = {{ topic|literal }}
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5{% if websocket %}, transport="websockets"{% endif %})
{%- if websocket %}
client.ws_set_options(path={{ path|literal }})
{%- endif %}
{%- if tls %}
client.tls_set({% if ca %}{{ ca|literal }}{% endif %})
{%- endif %}
{%- if user %}
client.username_pw_set({{ user|literal }}, os.environ["MQTT_PASSWORD"])
{%- endif %}


def on_connect(client, userdata, flags, reason_code, properties):
    print("connected:", reason_code, flush=True)
    client.subscribe(TOPIC, qos=1)


def on_subscribe(client, userdata, mid, reason_codes, properties):
    client.publish(TOPIC, "hello from Paho Python", qos=1)


def on_message(client, userdata, message):
    print(message.topic, message.payload.decode(), flush=True)


client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect({{ host|literal }}, {{ port }}, keepalive=45)
client.loop_forever()
