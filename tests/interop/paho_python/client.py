"""One Paho client as the steps want it: each answer awaited, each message kept until a step asks for it."""

import os
import queue
import socket
import threading
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

PATIENCE = 30
"""Seconds for one answer; the broker is on this machine, which may be busy."""


def properties(packet, **values):
    """The properties of a packet, by their names without spaces: ContentType, UserProperty …"""
    result = Properties(packet)
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Client:
    """A connection that was accepted."""

    def __init__(self, url, client_id, *, version, ca=None, clean=True, will=None, keep_alive=60, connect=None):
        """`will` holds the arguments of `will_set`, `connect` the properties of CONNECT."""
        self.inbox = queue.Queue()
        self.disconnected = queue.Queue()
        self._connected = queue.Queue()
        self._answers = {}
        self._answered = threading.Condition()
        self._version = version
        self._paho = self._make(urlsplit(url), client_id, ca, clean)
        if will:
            self._paho.will_set(**will)
        self._connect(urlsplit(url), clean, keep_alive, connect)

    def _make(self, url, client_id, ca, clean):
        websocket = url.scheme in ("ws", "wss")
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=self._version,
            transport="websockets" if websocket else "tcp",
            clean_session=None if self._version == paho.MQTTv5 else clean,
            reconnect_on_failure=False,
        )
        if websocket:
            client.ws_set_options(path=url.path or "/")
        if url.scheme in ("mqtts", "wss"):
            client.tls_set(ca)
        # No limit of its own: what is in flight is the broker's to limit.
        client.max_inflight_messages_set(0)
        client.on_connect = lambda _c, _u, flags, code, props: self._connected.put((flags, code, props))
        client.on_disconnect = lambda _c, _u, flags, code, _p: self.disconnected.put((flags, code))
        client.on_message = lambda _c, _u, message: self.inbox.put(message)
        client.on_subscribe = lambda _c, _u, mid, codes, _p: self._answer("subscribe", mid, codes)
        client.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._answer("unsubscribe", mid, codes)
        client.on_publish = lambda _c, _u, mid, code, _p: self._answer("publish", mid, code)
        return client

    def _connect(self, url, clean, keep_alive, connect):
        arguments = {}
        if self._version == paho.MQTTv5:
            arguments["clean_start"] = clean
            if connect:
                arguments["properties"] = properties(PacketTypes.CONNECT, **connect)
        self._paho.connect(url.hostname, url.port, keepalive=keep_alive, **arguments)
        self._paho.loop_start()
        flags, code, self.properties = self._connected.get(timeout=PATIENCE)
        if code.is_failure:
            raise ConnectionRefusedError(f"{url.geturl()}: {code}")
        self.session_present = flags.session_present

    def _answer(self, kind, mid, answer):
        with self._answered:
            self._answers[kind, mid] = answer
            self._answered.notify_all()

    def _wait(self, kind, sent):
        status, mid = sent
        assert status == paho.MQTT_ERR_SUCCESS, f"{kind}: {paho.error_string(status)}"
        with self._answered:
            if not self._answered.wait_for(lambda: (kind, mid) in self._answers, PATIENCE):
                raise TimeoutError(f"no answer to {kind} {mid}")
            return self._answers.pop((kind, mid))

    def subscribe(self, topic_filter, qos=2, options=None, identifier=None):
        """What is granted: a QoS, or a reason code from 128 on."""
        given = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=identifier) if identifier else None
        if options:
            sent = self._paho.subscribe(topic_filter, options=options, properties=given)
        elif self._version == paho.MQTTv5:
            sent = self._paho.subscribe(topic_filter, options=paho.SubscribeOptions(qos=qos), properties=given)
        else:
            sent = self._paho.subscribe(topic_filter, qos)
        (code,) = self._wait("subscribe", sent)
        return code.value

    def unsubscribe(self, topic_filter):
        """The reason codes of MQTT 5; nothing in versions before."""
        return [code.value for code in self._wait("unsubscribe", self._paho.unsubscribe(topic_filter))]

    def send(self, topic, payload, qos=1, retain=False, **values):
        """Sends without waiting; `acknowledged` waits. `values` are properties."""
        given = properties(PacketTypes.PUBLISH, **values) if values else None
        return self._paho.publish(topic, payload, qos, retain, given)

    def acknowledged(self, sent):
        """The reason code of the acknowledgement; success for QoS 0 once it is written."""
        return self._wait("publish", (sent.rc, sent.mid)).value

    def publish(self, topic, payload, qos=1, retain=False, **values):
        return self.acknowledged(self.send(topic, payload, qos, retain, **values))

    def receive(self):
        return self.inbox.get(timeout=PATIENCE)

    def closed(self):
        """Waits for the end of the stream: its reason code, if the broker gave one."""
        flags, code = self.disconnected.get(timeout=PATIENCE)
        return code.value if flags.is_disconnect_packet_from_server else None

    def disconnect(self, reason=None, **values):
        """Ends with DISCONNECT; `values` are its properties."""
        packet = PacketTypes.DISCONNECT
        self._paho.disconnect(
            ReasonCode(packet, identifier=reason) if reason is not None else None,
            properties(packet, **values) if values else None,
        )
        self.closed()
        self._paho.loop_stop()

    def abort(self):
        """Ends the TCP stream below TLS and WebSocket: neither DISCONNECT nor close frame nor close_notify."""
        stream = self._paho.socket()
        if stream is not None:
            with socket.socket(fileno=os.dup(stream.fileno())) as tcp:
                tcp.shutdown(socket.SHUT_RDWR)
        self._paho.loop_stop()
