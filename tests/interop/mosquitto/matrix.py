"""mosquitto_pub and mosquitto_sub in the interop matrix: its steps are at Step in matrix/clients/mod.rs.

    python mosquitto/matrix.py URL [--ca FILE] --version 3|4|5 --name NAME

Exits with 1, and says why, where the broker does not do as it should.
"""

import argparse
import subprocess
import sys
from urllib.parse import urlsplit

PATIENCE = 60
"""Seconds for one run of a tool; the broker is on this machine, which may be busy."""
VERSIONS = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}


class Tools:
    """mosquitto_pub and mosquitto_sub, told where the broker is and which version to speak."""

    def __init__(self, url, ca, version, name):
        self.version = version
        self.name = name
        self._where = ["-V", VERSIONS[version], "-h", url.hostname, "-p", str(url.port)]
        self._where += ["--cafile", ca] if ca else []

    def topic(self, name):
        return f"{self.name}/{name}"

    def start(self, tool, *arguments):
        return subprocess.Popen([tool, *self._where, *arguments], stdout=subprocess.PIPE, text=True)

    def publish(self, topic, payload, qos, *arguments):
        """Returns once the broker has acknowledged it, or once it is written at QoS 0."""
        _end(self.start("mosquitto_pub", "-t", topic, "-m", payload, "-q", str(qos), *arguments))

    def subscribe(self, client_id, topic, qos, count, *arguments):
        """A mosquitto_sub that ends after `count` messages, once its subscriptions stand.

        The retained greeting tells: it is the last filter of SUBSCRIBE, and arrives as the subscriber's first line.
        """
        greeting = f"{client_id}/greeting"
        self.publish(greeting, "welcome", 1, "-r")
        filters = ["-q", str(qos), "-t", topic, "-t", greeting]
        ending = ["-C", str(count + 1), "-W", str(PATIENCE), "-F", "%q %r %p"]
        process = self.start("mosquitto_sub", "-i", client_id, *filters, *ending, *arguments)
        _expect("1 1 welcome" if qos else "0 1 welcome", process.stdout.readline().strip())
        return process


def connect(tools):
    tools.publish(tools.topic("connect"), "nobody reads it", 0)


def qos0(tools):
    _there_and_back(tools, 0)


def qos1(tools):
    _there_and_back(tools, 1)


def qos2(tools):
    _there_and_back(tools, 2)


def retained(tools):
    topic = tools.topic("retained")
    tools.publish(topic, "kept", 1, "-r")
    arguments = ["-t", topic, "-q", "1", "-C", "1", "-W", str(PATIENCE), "-F", "%q %r %p"]
    _expect(["1 1 kept"], _end(tools.start("mosquitto_sub", *arguments)))
    _end(tools.start("mosquitto_pub", "-t", topic, "-n", "-r", "-q", "1"))


def will(tools):
    topic = tools.topic("will")
    watcher = tools.subscribe(f"{tools.name}-watcher", topic, 1, 1)
    testament = ["--will-topic", topic, "--will-payload", "cut off", "--will-qos", "1"]
    dying = tools.subscribe(f"{tools.name}-dying", tools.topic("nothing"), 1, 1, *testament)
    dying.kill()
    dying.wait()
    _expect(["1 0 cut off"], _end(watcher))


def session(tools):
    topic, client_id = tools.topic("session"), f"{tools.name}-kept"
    # -c keeps the session; in MQTT 5 it asks for one that never expires.
    where = ["-i", client_id, "-c", "-q", "2", "-t", topic, "-W", str(PATIENCE), "-F", "%q %r %p"]
    # -E ends once the subscription stands.
    _end(tools.start("mosquitto_sub", *where, "-E"))
    for qos in (1, 2):
        tools.publish(topic, f"at {qos}", qos)
    # Without the session there would be nothing: both were published before.
    _expect(["1 0 at 1", "2 0 at 2"], sorted(_end(tools.start("mosquitto_sub", *where, "-C", "2"))))


def _there_and_back(tools, qos):
    topic = tools.topic(f"qos{qos}")
    subscriber = tools.subscribe(f"{tools.name}-qos{qos}", topic, qos, 1)
    tools.publish(topic, f"at {qos}", qos)
    _expect([f"{qos} 0 at {qos}"], _end(subscriber))


def _end(process):
    """What a tool still writes up to its end, which must be a good one."""
    written, _ = process.communicate(timeout=2 * PATIENCE)
    if process.returncode != 0:
        sys.exit(f"{process.args} ended with {process.returncode} after {written!r}")
    return written.splitlines()


def _expect(expected, got):
    if expected != got:
        sys.exit(f"expected {expected!r}, got {got!r}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url", type=urlsplit)
    parser.add_argument("--ca")
    parser.add_argument("--version", type=int, choices=VERSIONS, required=True)
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    tools = Tools(arguments.url, arguments.ca, arguments.version, arguments.name)
    for step in (connect, qos0, qos1, qos2, retained, will, session):
        step(tools)
        print(step.__name__, flush=True)


main()
