"""What every version can: each step gets a Place (see __main__.py) and raises where the broker does not do as it should."""

import queue

import paho.mqtt.client as paho


def connects(place):
    client = place.open("connects")
    assert client.session_present is False
    client.disconnect()


def delivers_at_the_lower_qos(place):
    subscriber, publisher = place.open("sub"), place.open("pub")
    for granted in (0, 1, 2):
        topic = place.topic(f"qos/{granted}")
        assert subscriber.subscribe(topic, granted) == granted
        for qos in (0, 1, 2):
            publisher.publish(topic, f"sent at {qos}", qos)
            message = subscriber.receive()
            received = (message.topic, message.payload, message.qos, message.dup)
            assert received == (topic, f"sent at {qos}".encode(), min(qos, granted), False), received


def keeps_the_order_of_many_in_flight(place):
    subscriber, publisher = place.open("sub"), place.open("pub")
    for qos in (0, 1, 2):
        topic = place.topic(f"order/{qos}")
        subscriber.subscribe(topic)
        payloads = [f"number {number}" for number in range(300)]
        for sent in [publisher.send(topic, payload, qos) for payload in payloads]:
            publisher.acknowledged(sent)
        received = [subscriber.receive().payload.decode() for _ in payloads]
        assert received == payloads, received


def carries_200_kilobytes(place):
    subscriber, publisher = place.open("sub"), place.open("pub")
    topic = place.topic("large")
    payload = bytes((at * 31 + (at >> 8)) & 0xFF for at in range(200_000))
    subscriber.subscribe(topic)
    for qos in (0, 1, 2):
        publisher.publish(topic, payload, qos)
        assert subscriber.receive().payload == payload, f"the payload came changed at QoS {qos}"


def carries_every_script(place):
    client = place.open("both")
    client.subscribe(place.topic("传感器/+/温度"))
    client.subscribe(place.topic("🌡/#"))
    for name in ("传感器/客厅/温度", "🌡", "🌡/Küche/θερμοκρασία"):
        client.publish(place.topic(name), "二十一度 ½")
        message = client.receive()
        assert (message.topic, message.payload.decode()) == (place.topic(name), "二十一度 ½")


def matches_wildcards(place):
    client = place.open("both")
    client.subscribe(place.topic("a/+/c"))
    client.subscribe(place.topic("b/#"))
    # The last of each row ends the silence: what must not come would come before it.
    for others, matching in ((("a/b", "a/b/d", "a/b/c/d"), "a/b/c"), (("c", "bb/c"), "b"), (("B",), "b/c/d")):
        for name in others:
            client.publish(place.topic(name), "not asked for")
        client.publish(place.topic(matching), "asked for")
        assert client.receive().topic == place.topic(matching)


def retains_and_clears(place):
    topic = place.topic("retained")
    publisher, present = place.open("pub"), place.open("present")
    present.subscribe(topic)
    publisher.publish(topic, "kept", retain=True)
    assert present.receive().retain is False, "RETAIN reached a subscription that was there before"

    later = place.open("later")
    later.subscribe(topic)
    kept = later.receive()
    assert (kept.payload, kept.qos, kept.retain) == (b"kept", 1, True)

    publisher.publish(topic, "", retain=True)
    last = place.open("last")
    last.subscribe(topic)
    publisher.publish(topic, "live")
    first = last.receive()
    assert (first.payload, first.retain) == (b"live", False)


def publishes_the_will_of_whom_is_cut_off(place):
    topic = place.topic("will")
    watcher = place.open("watcher")
    watcher.subscribe(topic)
    will = {"topic": topic, "payload": "cut off", "qos": 1}
    place.open("dying", will=will).abort()
    message = watcher.receive()
    assert (message.payload, message.qos) == (b"cut off", 1)

    place.open("polite", will=will).disconnect()
    watcher.publish(topic, "after the polite one")
    assert watcher.receive().payload == b"after the polite one"


def resumes_a_kept_session(place):
    topic = place.topic("kept")
    before = place.open("keeper", **place.kept())
    assert before.session_present is False
    before.subscribe(topic)
    before.disconnect()

    publisher = place.open("pub")
    messages = [(b"one", 1), (b"two", 1), (b"three", 2), (b"four", 1)]
    for payload, qos in messages:
        publisher.publish(topic, payload, qos)

    after = place.open("keeper", **place.kept())
    # CONNACK of MQTT 3.1 cannot say it.
    assert after.session_present is True or place.version == paho.MQTTv31
    received = [after.receive() for _ in messages]
    assert not any(message.dup for message in received)
    # The client hands a message of QoS 2 over at PUBREL, later than the broker has sent it.
    for level in (1, 2):
        expected = [payload for payload, qos in messages if qos == level]
        assert [message.payload for message in received if message.qos == level] == expected
    publisher.publish(topic, "live")
    assert after.receive().payload == b"live"
    after.disconnect()

    clean = place.open("keeper")
    assert clean.session_present is False
    clean.subscribe(place.topic("clean"))
    publisher.publish(topic, "for a subscription that is gone")
    publisher.publish(place.topic("clean"), "for the new one")
    assert clean.receive().payload == b"for the new one"


def resumes_after_being_cut_off(place):
    topic = place.topic("cut")
    before = place.open("cut", **place.kept())
    before.subscribe(topic, 1)
    before.abort()
    publisher = place.open("pub")
    publisher.publish(topic, "sent meanwhile")
    assert place.open("cut", **place.kept()).receive().payload == b"sent meanwhile"


def lets_the_newer_connection_take_over(place):
    older = place.open("same", **place.kept())
    older.subscribe(place.topic("over"))
    newer = place.open("same", **place.kept())
    reason = older.closed()
    assert reason == (0x8E if place.version == paho.MQTTv5 else None), reason
    newer.publish(place.topic("over"), "to the newer one")
    assert newer.receive().payload == b"to the newer one"


def shares_a_subscription(place):
    members = [place.open("member1"), place.open("member2")]
    received = queue.Queue()
    for member in members:
        member.inbox = received
        member.subscribe(f"$share/{place.name('group')}/{place.topic('work/+')}")
    publisher = place.open("pub")
    expected = [place.topic(f"work/{number}") for number in range(40)]
    for topic in expected:
        publisher.publish(topic, "once")
    topics = [members[0].receive().topic for _ in expected]
    assert sorted(topics) == sorted(expected), topics


def forgets_what_is_unsubscribed(place):
    client = place.open("both")
    client.subscribe(place.topic("dropped"))
    client.subscribe(place.topic("held"))
    client.unsubscribe(place.topic("dropped"))
    client.publish(place.topic("dropped"), "not asked for any more")
    client.publish(place.topic("held"), "asked for")
    assert client.receive().topic == place.topic("held")
