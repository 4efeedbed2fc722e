"""What only MQTT 5 can. The steps are as in steps.py."""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from client import properties


def assigns_a_client_identifier(place):
    assert place.open("", client_id="").properties.AssignedClientIdentifier


def carries_the_properties_of_a_message(place):
    client = place.open("both")
    topic = place.topic("properties")
    client.subscribe(topic)
    sent = {
        "PayloadFormatIndicator": 1,
        "ContentType": "text/plain; charset=utf-8",
        "ResponseTopic": place.topic("answer"),
        "CorrelationData": b"\x00\x01\x02\xff",
        "UserProperty": [("twice", "first"), ("单位", "°C"), ("twice", "second")],
    }
    client.publish(topic, "21", MessageExpiryInterval=3600, **sent)
    received = client.receive().properties
    assert 3500 < received.MessageExpiryInterval <= 3600
    for name, value in sent.items():
        assert getattr(received, name) == value, (name, getattr(received, name))


def takes_a_request_to_its_response(place):
    requester, responder = place.open("requester"), place.open("responder")
    requester.subscribe(place.topic("response"))
    responder.subscribe(place.topic("request"))
    requester.publish(
        place.topic("request"), "6 × 7", ResponseTopic=place.topic("response"), CorrelationData=b"request 7"
    )
    request = responder.receive().properties
    responder.publish(request.ResponseTopic, "42", CorrelationData=request.CorrelationData)
    response = requester.receive()
    assert (response.payload, response.properties.CorrelationData) == (b"42", b"request 7")


def names_the_subscriptions_that_matched(place):
    client = place.open("both")
    client.subscribe(place.topic("id/#"), 1, identifier=7)
    client.subscribe(place.topic("id/+"), 1, identifier=268_435_455)
    client.publish(place.topic("id/x"), "for both")
    # One message that names both or one message for each: the standard leaves it to the broker [MQTT-3.3.4-3].
    named = set()
    while len(named) < 2:
        named.update(client.receive().properties.SubscriptionIdentifier)
    assert named == {7, 268_435_455}, named


def honours_subscription_options(place):
    client, other = place.open("one"), place.open("other")
    topic = place.topic("no-local")
    client.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=True))
    client.publish(topic, "own")
    other.publish(topic, "of another")
    assert client.receive().payload == b"of another"

    topic = place.topic("handling")
    client.subscribe(topic, options=SubscribeOptions(qos=1, retainAsPublished=True))
    other.publish(topic, "kept", retain=True)
    assert client.receive().retain is True, "retain as published"

    # 1: only where the subscription is new, which it is not; 2: never.
    for handling in (1, 2):
        client.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=handling))
    other.publish(topic, "live")
    assert client.receive().payload == b"live"
    client.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=0))
    assert client.receive().payload == b"kept"
    other.publish(topic, "", retain=True)


def gives_reason_codes(place):
    client = place.open("both")
    assert client.publish(place.topic("nobody"), "lost") in (0, 0x10)
    assert client.subscribe(place.topic("codes"), 1) == 1
    assert client.unsubscribe(place.topic("codes")) == [0]
    assert client.unsubscribe(place.topic("codes")) == [0x11]


def understands_topic_aliases(place):
    subscriber, publisher = place.open("sub"), place.open("pub")
    topic = place.topic("a/long/topic/that/is/not/worth/repeating")
    subscriber.subscribe(topic)
    publisher.publish(topic, "names it", TopicAlias=1)
    publisher.publish("", "by its alias", TopicAlias=1)
    for payload in (b"names it", b"by its alias"):
        message = subscriber.receive()
        assert (message.topic, message.payload) == (topic, payload)


def respects_the_limits_of_a_client(place):
    subscriber = place.open("small", connect={"MaximumPacketSize": 1000, "ReceiveMaximum": 2})
    publisher = place.open("pub")
    topic = place.topic("limits")
    subscriber.subscribe(topic, 1)
    publisher.publish(topic, bytes(1000))
    payloads = [f"number {number}" for number in range(20)]
    for sent in [publisher.send(topic, payload) for payload in payloads]:
        publisher.acknowledged(sent)
    received = [subscriber.receive().payload.decode() for _ in payloads]
    assert received == payloads, received


def publishes_a_will_on_request(place):
    topic = place.topic("will5")
    watcher = place.open("watcher")
    watcher.subscribe(topic)
    given = properties(PacketTypes.WILLMESSAGE, ContentType="text/plain", UserProperty=[("cause", "test")])
    will = {"topic": topic, "payload": "by request", "qos": 1, "properties": given}
    place.open("asking", will=will).disconnect(0x04)
    message = watcher.receive()
    assert message.payload == b"by request"
    assert message.properties.ContentType == "text/plain"
    assert message.properties.UserProperty == [("cause", "test")]


def delays_a_will_until_the_client_is_not_back(place):
    topic = place.topic("delayed")
    watcher = place.open("watcher")
    watcher.subscribe(topic)

    def will(delay):
        given = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=delay)
        return {"topic": topic, "payload": f"{delay}", "qos": 1, "properties": given}

    place.open("back", will=will(60), **place.kept()).abort()
    place.open("back", **place.kept()).disconnect()
    place.open("gone", will=will(1), **place.kept()).abort()
    assert watcher.receive().payload == b"1"


def ends_a_session_when_asked_at_the_end(place):
    place.open("ending", **place.kept()).disconnect(0, SessionExpiryInterval=0)
    assert place.open("ending", **place.kept()).session_present is False
