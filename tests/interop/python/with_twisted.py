"""twisted-mqtt as the steps want it: see with_aiomqtt.py. Imported while the event loop runs, which becomes Twisted's."""

import asyncio
from pathlib import Path

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.get_running_loop())

from mqtt import v31, v311  # noqa: E402
from mqtt.client.factory import MQTTFactory  # noqa: E402
from twisted.internet import reactor, ssl  # noqa: E402
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS  # noqa: E402

WITHOUT = ("qos2",)
"""Its PUBCOMP has the flags of PUBREL, for which a broker must close the connection [MQTT-2.2.2-2]."""

reactor.startRunning(installSignalHandlers=False)


class Client:
    async def open(self, url, ca, version, client_id, kept, will):
        endpoint = HostnameEndpoint(reactor, url.hostname.encode(), url.port)
        if ca:
            authority = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(Path(ca).read_bytes())])
            endpoint = wrapClientTLS(ssl.optionsForClientTLS(url.hostname, trustRoot=authority), endpoint)
        factory = MQTTFactory(profile=MQTTFactory.PUBLISHER | MQTTFactory.SUBSCRIBER)
        self._protocol = await answer(endpoint.connect(factory))
        self._received = asyncio.Queue()
        self._protocol.onPublish = self._on_publish
        self._closed = asyncio.Event()
        self._protocol.onDisconnection = lambda _reason: self._closed.set()
        topic, payload = will or (None, None)
        self.session_present = await answer(
            self._protocol.connect(
                client_id,
                keepalive=60,
                willTopic=topic,
                willMessage=payload,
                willQoS=1 if will else 0,
                cleanStart=not kept,
                version=v31 if version == 3 else v311,
            )
        )

    def _on_publish(self, _topic, payload, qos, _dup, retain, _packet_id):
        self._received.put_nowait((bytes(payload).decode(), qos, bool(retain)))

    async def subscribe(self, topic_filter, qos):
        granted = await answer(self._protocol.subscribe(topic_filter, qos))
        assert [level for level, _refused in granted] == [qos], f"SUBACK: expected {qos}, got {granted}"

    async def publish(self, topic, payload, qos, retain=False):
        await answer(self._protocol.publish(topic, payload, qos, retain))

    async def receive(self):
        return await self._received.get()

    async def close(self):
        self._protocol.disconnect()
        await self._closed.wait()


def answer(deferred):
    return deferred.asFuture(asyncio.get_running_loop())


def end():
    """Ends the threads that look names up; the process would wait for them."""
    reactor.getThreadPool().stop()
