"""Python libraries in the interop matrix, whose steps are described at Step in matrix/clients/mod.rs.

    python tests/interop/python LIBRARY URL [--ca FILE] --version 3|4|5 --name NAME

LIBRARY is with_aiomqtt, with_gmqtt or with_twisted: a module with a class Client, as with_aiomqtt.py describes it. It may
name steps WITHOUT which it does, and have an `end`. Exits with 1, and says why, where the broker does not do as it should.
"""

import argparse
import asyncio
import importlib
import sys
from urllib.parse import urlsplit

PATIENCE = 60
"""Seconds for one step; the broker is on this machine, which may be busy."""


class Place:
    """Where the steps work: topics and client identifiers that no other run has."""

    def __init__(self, library, arguments):
        self._library = library
        self._arguments = arguments
        self.version = arguments.version

    def topic(self, name):
        return f"{self._arguments.name}/{name}"

    async def open(self, name, *, kept=False, will=None):
        """`will` is a topic and a payload; its QoS is 1."""
        client = self._library.Client()
        client_id = f"{self._arguments.name}-{name}"
        await client.open(self._arguments.url, self._arguments.ca, self.version, client_id, kept, will)
        return client


async def connect(place):
    await (await place.open("connect")).close()


async def there_and_back(place, qos):
    client = await place.open(f"qos{qos}")
    topic = place.topic(f"qos{qos}")
    await client.subscribe(topic, qos)
    await client.publish(topic, f"at {qos}", qos)
    expect((f"at {qos}", qos, False), await client.receive())
    await client.close()


async def qos0(place):
    await there_and_back(place, 0)


async def qos1(place):
    await there_and_back(place, 1)


async def qos2(place):
    await there_and_back(place, 2)


async def retained(place):
    topic = place.topic("retained")
    publisher = await place.open("keeps")
    await publisher.publish(topic, "kept", 1, retain=True)
    subscriber = await place.open("asks")
    await subscriber.subscribe(topic, 1)
    expect(("kept", 1, True), await subscriber.receive())
    # Before the empty message comes: TLS in asyncio raises where something arrives while it ends.
    await subscriber.close()
    await publisher.publish(topic, "", 1, retain=True)
    await publisher.close()


async def will(place):
    watcher = await place.open("watcher")
    await watcher.subscribe(place.topic("will"), 1)
    # This program again: none of the libraries can be cut off.
    dying = await asyncio.create_subprocess_exec(sys.executable, *sys.argv, "--dying", stdout=asyncio.subprocess.PIPE)
    expect(b"ready\n", await dying.stdout.readline())
    dying.kill()
    await dying.wait()
    expect(("cut off", 1, False), await watcher.receive())
    await watcher.close()


async def die_later(place):
    await place.open("dying", will=(place.topic("will"), "cut off"))
    print("ready", flush=True)
    await asyncio.sleep(10 * PATIENCE)


async def session(place):
    topic = place.topic("session")
    before = await place.open("kept", kept=True)
    if before.session_present:
        sys.exit("expected no session before the first connection, got one")
    await before.subscribe(topic, 1)
    await before.close()
    publisher = await place.open("meanwhile")
    for qos in (1, 2):
        await publisher.publish(topic, f"at {qos}", qos)
    await publisher.close()
    after = await place.open("kept", kept=True)
    # CONNACK of MQTT 3.1 cannot say it, and aiomqtt keeps it to itself.
    if after.session_present is not None and place.version > 3:
        expect(True, after.session_present)
    received = sorted([await after.receive(), await after.receive()])
    expect([("at 1", 1, False), ("at 2", 1, False)], received)
    await after.close()


def expect(expected, got):
    if expected != got:
        sys.exit(f"expected {expected!r}, got {got!r}")


async def run(arguments):
    # It may want to know the event loop that runs.
    library = importlib.import_module(arguments.library)
    place = Place(library, arguments)
    without = getattr(library, "WITHOUT", ())
    try:
        if arguments.dying:
            await die_later(place)
        for step in (connect, qos0, qos1, qos2, retained, will, session):
            if step.__name__ in without:
                continue
            async with asyncio.timeout(PATIENCE):
                await step(place)
            print(step.__name__, flush=True)
    finally:
        getattr(library, "end", lambda: None)()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=("with_aiomqtt", "with_gmqtt", "with_twisted"))
    parser.add_argument("url", type=urlsplit)
    parser.add_argument("--ca")
    parser.add_argument("--version", type=int, choices=(3, 4, 5), required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--dying", action="store_true", help=argparse.SUPPRESS)
    asyncio.run(run(parser.parse_args()))


main()
