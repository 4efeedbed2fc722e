"""aiomqtt as the steps want it."""

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

VERSIONS = {3: aiomqtt.ProtocolVersion.V31, 4: aiomqtt.ProtocolVersion.V311, 5: aiomqtt.ProtocolVersion.V5}


class Client:
    """One connection. A message is received as its payload, its QoS, and whether it was retained."""

    session_present = None
    """Whether CONNACK has said so; nothing where the library does not pass it on."""

    async def open(self, url, ca, version, client_id, kept, will):
        """Returns once the connection is accepted."""
        arguments = {"clean_session": not kept}
        if version == 5:
            expiry = Properties(PacketTypes.CONNECT)
            expiry.SessionExpiryInterval = 300 if kept else 0
            arguments = {"clean_start": not kept, "properties": expiry}
        if url.scheme in ("ws", "wss"):
            arguments |= {"transport": "websockets", "websocket_path": url.path}
        if will:
            topic, payload = will
            arguments["will"] = aiomqtt.Will(topic, payload, qos=1)
        self._client = aiomqtt.Client(
            url.hostname,
            url.port,
            identifier=client_id,
            protocol=VERSIONS[version],
            tls_params=aiomqtt.TLSParameters(ca_certs=ca) if ca else None,
            timeout=60,
            **arguments,
        )
        await self._client.__aenter__()

    async def subscribe(self, topic_filter, qos):
        """Returns once it is granted at this QoS."""
        (granted,) = await self._client.subscribe(topic_filter, qos)
        granted = getattr(granted, "value", granted)
        assert granted == qos, f"SUBACK: expected {qos}, got {granted}"

    async def publish(self, topic, payload, qos, retain=False):
        """Returns once the broker has acknowledged it, or once it is written at QoS 0."""
        await self._client.publish(topic, payload, qos, retain)

    async def receive(self):
        message = await anext(aiter(self._client.messages))
        return message.payload.decode(), message.qos, bool(message.retain)

    async def close(self):
        """Ends with DISCONNECT."""
        await self._client.__aexit__(None, None, None)
