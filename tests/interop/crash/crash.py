"""Paho with persistent sessions, its own reconnection and a broker that is killed: everything arrives, QoS 2 once, and so
it does at a session that was away when it was published and acknowledged, and until the broker was killed.

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
AWAY = 200
PATIENCE = 150


class Received:
    """Counts what comes; `complete` is set once there are so many different messages."""

    def __init__(self, expected):
        self.expected = expected
        self.times = collections.Counter()
        self.complete = threading.Event()

    def on_message(self, _client, _data, message):
        self.times[message.qos, message.payload] += 1
        if len(self.times) == self.expected:
            self.complete.set()

    def wait(self):
        if not self.complete.wait(PATIENCE):
            sys.exit(f"{len(self.times)} of {self.expected} arrived")

    def twice(self):
        return [key for key, times in self.times.items() if key[0] == 2 and times > 1]


def client(arguments, name, received=None):
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
    if received:
        made.on_message = received.on_message
    made.connect(url.hostname, url.port, clean_start=False, properties=properties)
    made.loop_start()
    if not connected.wait(PATIENCE):
        sys.exit("no CONNACK")
    return made


def subscribe(subscriber, topic_filter):
    subscribed = threading.Event()
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.subscribe(topic_filter, qos=2)
    if not subscribed.wait(PATIENCE):
        sys.exit("no SUBACK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca")
    arguments = parser.parse_args()
    leaving = client(arguments, "py-away")
    subscribe(leaving, "away/#")
    leaving.disconnect()
    leaving.loop_stop()
    live = Received(MESSAGES)
    subscribe(client(arguments, "py-subscriber", live), "crash/#")
    publisher = client(arguments, "py-publisher")
    # All of these are acknowledged before the broker is killed.
    away = [publisher.publish("away/py", str(number), qos=number % 2 + 1) for number in range(AWAY)]
    for published in away:
        published.wait_for_publish(PATIENCE)
        if not published.is_published():
            sys.exit("no acknowledgement")
    acknowledged = []

    def on_publish(_client, _data, number, *_):
        acknowledged.append(number)
        if len(acknowledged) == MESSAGES // 2:
            print("half", flush=True)

    publisher.on_publish = on_publish
    for number in range(MESSAGES):
        publisher.publish("crash/py", str(number), qos=number % 2 + 1)
    live.wait()
    away = Received(AWAY)
    client(arguments, "py-away", away)
    away.wait()
    # What came twice would come now.
    time.sleep(0.5)
    twice = live.twice() + away.twice()
    if twice:
        sys.exit(f"twice at QoS 2: {twice}")
    print("complete", flush=True)


main()
