"""Paho with persistent sessions, its own reconnection and a broker that is killed: everything arrives, QoS 2 once.

    python crash/crash.py URL [--ca FILE]

Says `half` once half of the messages are acknowledged: then the broker is killed. Exits with 1 where one is missing.
"""

import argparse
import collections
import sys
import threading
import time
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MESSAGES = 1000
PATIENCE = 150


def client(arguments, name):
    url = urlsplit(arguments.url)
    transport = "websockets" if url.scheme.startswith("ws") else "tcp"
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, transport=transport)
    if transport == "websockets":
        made.ws_set_options(path=url.path)
    if arguments.ca:
        made.tls_set(arguments.ca)
    made.reconnect_delay_set(min_delay=1, max_delay=1)
    made.max_inflight_messages_set(50)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 300
    connected = threading.Event()
    made.on_connect = lambda *_: connected.set()
    made.connect(url.hostname, url.port, clean_start=False, properties=properties)
    made.loop_start()
    if not connected.wait(PATIENCE):
        sys.exit("no CONNACK")
    return made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca")
    arguments = parser.parse_args()
    received = collections.Counter()
    complete, subscribed = threading.Event(), threading.Event()
    subscriber = client(arguments, "py-subscriber")

    def on_message(_client, _data, message):
        received[message.qos, message.payload] += 1
        if len(received) == MESSAGES:
            complete.set()

    subscriber.on_message = on_message
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.subscribe("crash/#", qos=2)
    if not subscribed.wait(PATIENCE):
        sys.exit("no SUBACK")
    publisher = client(arguments, "py-publisher")
    acknowledged = []

    def on_publish(_client, _data, number, *_):
        acknowledged.append(number)
        if len(acknowledged) == MESSAGES // 2:
            print("half", flush=True)

    publisher.on_publish = on_publish
    for number in range(MESSAGES):
        publisher.publish("crash/py", str(number), qos=number % 2 + 1)
    if not complete.wait(PATIENCE):
        sys.exit(f"{len(received)} of {MESSAGES} arrived")
    # What came twice would come now.
    time.sleep(0.5)
    twice = [key for key, times in received.items() if key[0] == 2 and times > 1]
    if twice:
        sys.exit(f"twice at QoS 2: {twice}")
    print("complete", flush=True)


main()
