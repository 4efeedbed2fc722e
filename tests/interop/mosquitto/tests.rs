//! What the tools do against the broker, over TCP and TLS, in each version.

use std::fs;

use super::{Message, Mosquitto, Reach, each, each_in_v5};
use crate::broker::Broker;

#[tokio::test]
async fn messages_arrive_at_the_lower_qos() {
    each(async |mosquitto: Mosquitto| {
        for granted in 0..=2_u8 {
            let topic = mosquitto.topic(&format!("qos/{granted}"));
            let mut subscriber = mosquitto
                .subscribe(&["-q", &granted.to_string(), "-t", &topic])
                .await;
            for qos in 0..=2_u8 {
                mosquitto
                    .publish(&["-q", &qos.to_string(), "-t", &topic, "-m", "二十一度"])
                    .await;
                let expected = Message {
                    topic: topic.clone(),
                    qos: qos.min(granted),
                    retain: false,
                    payload: "二十一度".to_owned(),
                };
                assert_eq!(subscriber.message().await, expected);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_retained_message_is_kept_until_it_is_cleared() {
    each(async |mosquitto: Mosquitto| {
        let topic = mosquitto.topic("传感器/温度");
        let mut present = mosquitto.subscribe(&["-t", &topic]).await;
        mosquitto
            .publish(&["-q", "1", "-r", "-t", &topic, "-m", "21"])
            .await;
        assert!(!present.message().await.retain, "it was subscribed before");

        let filter = mosquitto.topic("传感器/#");
        let later = ["-C", "1", "-F", "%r %t %p", "-t", &filter];
        assert_eq!(mosquitto.receive(&later).await, [format!("1 {topic} 21")]);

        mosquitto
            .publish(&["-q", "1", "-r", "-n", "-t", &topic])
            .await;
        let mut last = mosquitto.subscribe(&["-t", &filter]).await;
        mosquitto
            .publish(&["-q", "1", "-t", &topic, "-m", "live"])
            .await;
        assert_eq!(last.payload().await, "live");
    })
    .await;
}

#[tokio::test]
async fn remove_retained_empties_a_tree() {
    each(async |mosquitto: Mosquitto| {
        let filter = mosquitto.topic("tree/#");
        for name in ["tree/1", "tree/2"] {
            let topic = mosquitto.topic(name);
            mosquitto
                .publish(&["-q", "1", "-r", "-t", &topic, "-m", "kept"])
                .await;
        }
        let remove = ["-q", "1", "--remove-retained", "-F", "%r %p", "-t", &filter];
        let mut remover = mosquitto.tool("mosquitto_sub", &remove);
        // What is retained, then what clears it, which this client receives as any other does.
        for expected in ["1 kept", "1 kept", "0 ", "0 "] {
            assert_eq!(remover.line().await, expected);
        }
        remover.kill().await;
        let mut last = mosquitto.subscribe(&["-t", &filter]).await;
        let topic = mosquitto.topic("tree/3");
        mosquitto
            .publish(&["-q", "1", "-t", &topic, "-m", "live"])
            .await;
        assert_eq!(last.payload().await, "live");
    })
    .await;
}

#[tokio::test]
async fn the_will_of_a_killed_client_is_published() {
    each(async |mosquitto: Mosquitto| {
        let topic = mosquitto.topic("will");
        let mut watcher = mosquitto.subscribe(&["-q", "2", "-t", &topic]).await;
        let will = [
            "--will-topic",
            &topic,
            "--will-payload",
            "gone",
            "--will-qos",
            "1",
            "--will-retain",
        ];
        let unrelated = mosquitto.topic("unrelated");
        let dying = mosquitto
            .subscribe(&[&will[..], &["-t", &unrelated]].concat())
            .await;
        dying.kill().await;
        let message = watcher.message().await;
        assert_eq!((message.payload.as_str(), message.qos), ("gone", 1));

        let later = ["-C", "1", "-F", "%r %p", "-t", &topic];
        assert_eq!(mosquitto.receive(&later).await, ["1 gone"], "retained");

        // This one ends as it should, having received the retained will.
        mosquitto
            .receive(&[&will[..], &["-C", "1", "-t", &topic]].concat())
            .await;
        mosquitto
            .publish(&["-q", "1", "-r", "-t", &topic, "-m", "no second will"])
            .await;
        assert_eq!(watcher.payload().await, "no second will");
    })
    .await;
}

#[tokio::test]
async fn a_kept_session_receives_what_was_sent_meanwhile() {
    each(async |mosquitto: Mosquitto| {
        let [first, second] = ["kept/1", "kept/2"].map(|name| mosquitto.topic(name));
        let session = [
            "-c",
            "-i",
            &mosquitto.client_id("kept"),
            "-q",
            "1",
            "-t",
            &second,
        ];
        mosquitto
            .receive(&[&session[..], &["-t", &first, "-E"]].concat())
            .await;
        for payload in ["one", "two", "three"] {
            mosquitto
                .publish(&["-q", "1", "-t", &first, "-m", payload])
                .await;
        }
        // The subscription to the first is the session's, not this command's.
        let owed = mosquitto
            .receive(&[&session[..], &["-C", "3"]].concat())
            .await;
        assert_eq!(owed, ["one", "two", "three"]);

        mosquitto
            .receive(&[&session[..], &["-U", &first, "-E"]].concat())
            .await;
        mosquitto
            .publish(&["-q", "1", "-t", &first, "-m", "unsubscribed"])
            .await;
        mosquitto
            .publish(&["-q", "1", "-t", &second, "-m", "still subscribed"])
            .await;
        let mut subscriber = mosquitto.tool("mosquitto_sub", &session);
        let mut payload = subscriber.line().await;
        // With -C the tool leaves before it has acknowledged the last message, which so may come again.
        if payload == "three" {
            payload = subscriber.line().await;
        }
        assert_eq!(payload, "still subscribed");
    })
    .await;
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_member() {
    each(async |mosquitto: Mosquitto| {
        let topic = mosquitto.topic("work");
        let filter = format!("$share/group/{topic}");
        let mut one = mosquitto.subscribe(&["-q", "1", "-t", &filter]).await;
        let mut other = mosquitto.subscribe(&["-q", "1", "-t", &filter]).await;
        let mut publisher = mosquitto.tool("mosquitto_pub", &["-q", "1", "-l", "-t", &topic]);
        let mut expected: Vec<String> = (0..40).map(|number| format!("task {number}")).collect();
        for task in &expected {
            publisher.say(task).await;
        }
        publisher.succeeds().await;
        let mut received = Vec::new();
        while received.len() < expected.len() {
            received.push(tokio::select! {
                payload = one.payload() => payload,
                payload = other.payload() => payload,
            });
        }
        received.sort();
        expected.sort();
        assert_eq!(received, expected);
    })
    .await;
}

#[tokio::test]
async fn many_messages_keep_their_order() {
    each(async |mosquitto: Mosquitto| {
        let topic = mosquitto.topic("order");
        let mut subscriber = mosquitto.subscribe(&["-q", "2", "-t", &topic]).await;
        for qos in ["0", "1", "2"] {
            let mut publisher = mosquitto.tool("mosquitto_pub", &["-q", qos, "-l", "-t", &topic]);
            for number in 0..200 {
                publisher.say(&format!("{qos}: {number}")).await;
            }
            publisher.succeeds().await;
            for number in 0..200 {
                assert_eq!(subscriber.payload().await, format!("{qos}: {number}"));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_of_200_kilobytes_arrives_whole() {
    each(async |mosquitto: Mosquitto| {
        let content: String = (0..20_000).map(|number| format!("{number:09},")).collect();
        let file = mosquitto.folder.join("large");
        fs::write(&file, &content).expect("a file");
        let topic = mosquitto.topic("large");
        let mut subscriber = mosquitto.subscribe(&["-q", "2", "-t", &topic]).await;
        let file = file.to_str().expect("a path in UTF-8");
        for qos in ["0", "1", "2"] {
            mosquitto
                .publish(&["-q", qos, "-t", &topic, "-f", file])
                .await;
            assert!(
                subscriber.payload().await == content,
                "it came changed at QoS {qos}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_finds_its_response() {
    each(async |mosquitto: Mosquitto| {
        let [question, answer] = ["question", "answer"].map(|name| mosquitto.topic(name));
        let mut responder = mosquitto.subscribe(&["-q", "1", "-t", &question]).await;
        let requester = mosquitto.tool(
            "mosquitto_rr",
            &["-q", "1", "-t", &question, "-e", &answer, "-m", "6 × 7"],
        );
        assert_eq!(responder.payload().await, "6 × 7");
        mosquitto
            .publish(&["-q", "1", "-t", &answer, "-m", "42"])
            .await;
        assert_eq!(requester.succeeds().await, ["42"]);
    })
    .await;
}

#[tokio::test]
async fn sys_topics_are_there_and_a_plain_wildcard_does_not_match_them() {
    each(async |mosquitto: Mosquitto| {
        let version = mosquitto
            .receive(&["-C", "1", "-t", "$SYS/broker/version"])
            .await;
        assert!(
            version.concat().to_lowercase().contains("gatemq"),
            "{version:?}"
        );
        let topics = mosquitto
            .receive(&["-C", "10", "-F", "%t", "-t", "$SYS/#"])
            .await;
        assert!(
            topics.iter().all(|topic| topic.starts_with("$SYS/broker/")),
            "{topics:?}"
        );

        // Retained topics of $SYS would come before what is published now.
        let mut everything = mosquitto.subscribe(&["-t", "#"]).await;
        let topic = mosquitto.topic("live");
        mosquitto
            .publish(&["-q", "1", "-t", &topic, "-m", "live"])
            .await;
        loop {
            let message = everything.message().await;
            assert!(!message.topic.starts_with('$'), "{message:?}");
            if message.topic == topic {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn properties_of_a_message_arrive() {
    each_in_v5(async |mosquitto: Mosquitto| {
        let topic = mosquitto.topic("properties");
        let session = [
            "-c",
            "-i",
            &mosquitto.client_id("props"),
            "-q",
            "1",
            "-t",
            &topic,
        ];
        let identified = ["-D", "subscribe", "subscription-identifier", "7"];
        mosquitto
            .receive(&[&session[..], &identified, &["-E"]].concat())
            .await;
        let properties = [
            ["content-type", "text/plain"],
            ["response-topic", "an/answer"],
            ["correlation-data", "request 7"],
            ["payload-format-indicator", "1"],
            ["topic-alias", "1"],
        ];
        let mut publish = vec!["-q", "1", "-t", &topic, "-m", "21"];
        publish.extend(
            properties
                .iter()
                .flat_map(|[name, value]| ["-D", "publish", name, value]),
        );
        publish.extend(["-D", "publish", "user-property", "unit", "°C"]);
        publish.extend(["-D", "publish", "user-property", "unit", "K"]);
        mosquitto.publish(&publish).await;

        let format = ["-C", "1", "-F", "%C|%R|%D|%F|%P|%S|%p"];
        let received = mosquitto
            .receive(&[&session[..], &identified, &format].concat())
            .await;
        assert_eq!(
            received,
            ["text/plain|an/answer|request 7|1|unit:°C unit:K|7|21"]
        );
    })
    .await;
}

#[tokio::test]
async fn exit_codes_tell_how_it_went() {
    let broker = Broker::start("").await;
    let mosquitto = Mosquitto::new(&broker, Reach::Tls, "mqttv5").await;
    // Nobody checks them where anonymous clients are allowed.
    let anybody = [
        "-u",
        "somebody",
        "-P",
        "something",
        "-t",
        "exit/codes",
        "-m",
        "x",
    ];
    mosquitto.publish(&anybody).await;

    // 27: timed out.
    let silent = ["-W", "1", "-t", "exit/silence"];
    assert_eq!(
        mosquitto.tool("mosquitto_sub", &silent).end().await.0,
        Some(27)
    );
    let stranger = Mosquitto {
        ca: mosquitto.folder.join("foreign.pem"),
        ..mosquitto
    };
    fs::write(&stranger.ca, foreign_ca()).expect("a file");
    let refused = stranger
        .tool("mosquitto_pub", &["-t", "exit/codes", "-m", "x"])
        .end()
        .await;
    // 8: a TLS error; 1: cannot connect, where it meets the error early.
    assert!(
        matches!(refused.0, Some(1 | 8)),
        "{:?} for a certificate of a CA that the client does not know",
        refused.0
    );
}

/// A CA that has not signed the broker's certificate.
fn foreign_ca() -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&key).expect("a certificate").pem()
}
