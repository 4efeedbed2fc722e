"""The steps of the interop matrix, in its order and by its names: see Step in matrix/clients/mod.rs.

Each gets a Place (see __main__.py) and raises where the broker does not do as it should.
"""

import paho.mqtt.client as paho


def connect(place):
    place.open("connect").disconnect()


def qos0(place):
    _there_and_back(place, 0)


def qos1(place):
    _there_and_back(place, 1)


def qos2(place):
    _there_and_back(place, 2)


def retained(place):
    topic = place.topic("retained")
    publisher = place.open("keeps")
    publisher.publish(topic, "kept", retain=True)
    subscriber = place.open("asks")
    subscriber.subscribe(topic, 1)
    message = subscriber.receive()
    assert (message.payload, message.retain) == (b"kept", True), (message.payload, message.retain)
    publisher.publish(topic, "", retain=True)


def will(place):
    topic = place.topic("will")
    watcher = place.open("watcher")
    watcher.subscribe(topic, 1)
    place.open("dying", will={"topic": topic, "payload": "cut off", "qos": 1}).abort()
    message = watcher.receive()
    assert (message.payload, message.qos) == (b"cut off", 1), (message.payload, message.qos)


def session(place):
    topic = place.topic("session")
    before = place.open("kept", **place.kept())
    assert before.session_present is False
    before.subscribe(topic, 2)
    before.disconnect()
    publisher = place.open("meanwhile")
    for qos in (1, 2):
        publisher.publish(topic, f"at {qos}", qos)
    after = place.open("kept", **place.kept())
    # CONNACK of MQTT 3.1 cannot say it.
    assert after.session_present is True or place.version == paho.MQTTv31
    received = sorted(after.receive().payload for _ in (1, 2))
    assert received == [b"at 1", b"at 2"], received
    after.disconnect()


def _there_and_back(place, qos):
    client = place.open(f"qos{qos}")
    topic = place.topic(f"qos{qos}")
    assert client.subscribe(topic, qos) == qos
    client.publish(topic, f"at {qos}", qos)
    message = client.receive()
    received = (message.topic, message.payload, message.qos)
    assert received == (topic, f"at {qos}".encode(), qos), received
    client.disconnect()
