"""gmqtt as the steps want it: see with_aiomqtt.py."""

import asyncio
import ssl

import gmqtt
from gmqtt.storage import PersistentStorage


class Client:
    async def open(self, url, ca, version, client_id, kept, will):
        self._received, self._granted = asyncio.Queue(), asyncio.Queue()
        self._unacknowledged = PersistentStorage()
        self._client = gmqtt.Client(
            client_id,
            clean_session=not kept,
            persistent_storage=self._unacknowledged,
            will_message=gmqtt.Message(*will, qos=1) if will else None,
            **({"session_expiry_interval": 300} if version == 5 and kept else {}),
        )
        self._client.set_config({"reconnect_retries": 0})
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda _client, _mid, granted, _properties: self._granted.put_nowait(granted)
        tls = ssl.create_default_context(cafile=ca) if ca else False
        await self._client.connect(url.hostname, url.port, ssl=tls, version=version)

    def _on_connect(self, _client, session_present, _code, _properties):
        self.session_present = bool(session_present)

    def _on_message(self, _client, _topic, payload, qos, properties):
        self._received.put_nowait((payload.decode(), qos, bool(properties["retain"])))
        return 0

    async def subscribe(self, topic_filter, qos):
        self._client.subscribe(topic_filter, qos)
        granted = list(await self._granted.get())
        assert granted == [qos], f"SUBACK: expected {qos}, got {granted}"

    async def publish(self, topic, payload, qos, retain=False):
        self._client.publish(topic, payload, qos, retain)
        await self._unacknowledged.wait_empty()

    async def receive(self):
        return await self._received.get()

    async def close(self):
        await self._client.disconnect()
