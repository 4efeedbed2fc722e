"""Paho as a client of the broker: every step of steps.py and, in version 5, of steps5.py.

    python paho_python URL [--ca FILE] [--version 3|4|5]
    python paho_python URL [--ca FILE] --paths /,/mqtt     connects by each WebSocket path
    python paho_python URL [--ca FILE] [--version 3|4|5] --matrix --name NAME
    python paho_python URL [--ca FILE] --meet NAME --with NAME,…

--matrix does the steps of matrix.py instead, and names each once it has passed. The last subscribes to meet/#, says `ready`, publishes meet/NAME once a line comes in, and ends well when a message of
every NAME has arrived. Exits with 1, and says why, where the broker does not do as it should.
"""

import argparse
import inspect
import secrets
import sys
from urllib.parse import urljoin

import paho.mqtt.client as paho

import matrix
import steps
import steps5
from client import Client


class Place:
    """Where one step works: topics and client identifiers that no other run has, and clients that end with the step."""

    def __init__(self, url, ca, version, run):
        self.url = url
        self.ca = ca
        self.version = version
        # Short, since MQTT 3.1 allows client identifiers of 23 characters.
        self.run = run or f"py{secrets.token_hex(3)}"
        self._opened = []

    def name(self, name):
        return f"{self.run}-{name}"

    def topic(self, name):
        return f"{self.run}/{name}"

    def open(self, name, **options):
        options.setdefault("client_id", self.name(name))
        client = Client(self.url, version=self.version, ca=self.ca, **options)
        self._opened.append(client)
        return client

    def kept(self):
        """Options of a session that outlives its connection."""
        if self.version == paho.MQTTv5:
            return {"clean": False, "connect": {"SessionExpiryInterval": 300}}
        return {"clean": False}

    def leave(self):
        while self._opened:
            self._opened.pop().abort()


def functions(module):
    """The functions a module defines, in order."""
    return [item for item in vars(module).values() if inspect.isfunction(item) and item.__module__ == module.__name__]


def scenario(place):
    for step in functions(steps) + (functions(steps5) if place.version == paho.MQTTv5 else []):
        print(step.__name__, flush=True)
        step(place)
        place.leave()


def matrix_steps(place):
    for step in (matrix.connect, matrix.qos0, matrix.qos1, matrix.qos2, matrix.retained, matrix.will, matrix.session):
        step(place)
        place.leave()
        print(step.__name__, flush=True)


def paths(place, names):
    for name in names:
        url = urljoin(place.url, name)
        print(url, flush=True)
        Client(url, place.name("path"), version=place.version, ca=place.ca).disconnect()


def meet(place, name, others):
    client = place.open(name)
    client.subscribe("meet/#")
    print("ready", flush=True)
    sys.stdin.readline()
    client.publish(f"meet/{name}", f"from {name}")
    missing = set(others)
    while missing:
        message = client.receive()
        print(message.topic, message.payload.decode(), flush=True)
        missing.discard(message.topic.removeprefix("meet/"))
    client.disconnect()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca")
    parser.add_argument("--version", type=int, choices=(3, 4, 5), default=4)
    parser.add_argument("--matrix", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("--paths")
    parser.add_argument("--meet")
    parser.add_argument("--with", dest="others", default="")
    arguments = parser.parse_args()
    place = Place(arguments.url, arguments.ca, arguments.version, arguments.name)
    if arguments.matrix:
        matrix_steps(place)
    elif arguments.paths:
        paths(place, arguments.paths.split(","))
    elif arguments.meet:
        meet(place, arguments.meet, arguments.others.split(","))
    else:
        scenario(place)


main()
