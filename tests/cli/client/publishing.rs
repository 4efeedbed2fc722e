//! What is published arrives, by every way and at mosquitto's clients.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::Value;

use super::{Gate, ends};
use crate::support::{Broker, Folder, PATIENCE, finish};

#[test]
fn every_way_carries_every_qos_in_every_version() {
    let gate = Gate::open();
    for way in gate.ways() {
        for version in ["31", "mqttv311", "5"] {
            let flags = [
                "-V", version, "-t", "a/#", "-q", "2", "-C", "3", "-F", "%t %q %p",
            ];
            let mut subscriber = gate.subscribe_by(&way, &flags);
            for qos in ["0", "1", "2"] {
                let flags = ["-V", version, "-t", "a/b", "-m", "hello", "-q", qos];
                let published = finish(&mut gate.gatemq("pub", &way, &flags));
                assert_eq!(published.code, Some(0), "{way:?} {flags:?}: {published:?}");
            }
            let out = ends(&mut subscriber, 0);
            assert_eq!(
                out, "a/b 0 hello\na/b 1 hello\na/b 2 hello\n",
                "{way:?} {version}"
            );
        }
    }
}

#[test]
fn flags_are_those_of_mosquittos_clients() {
    let gate = Gate::open();
    let secure = gate.secure.to_string();
    let mut subscriber = gate.subscribe(&["-t", "+", "-v", "-C", "2"]);
    let flags = [
        "pub",
        "-h",
        "localhost",
        "-p",
        &secure,
        "--cafile",
        "certs/ca.pem",
        "-t",
        "a",
        "-m",
        "-1",
        "-u",
        "me",
        "-P",
        "-x",
        "-i",
        "id",
        "-k",
        "30",
        "-q",
        "1",
    ];
    let published = gate.folder.run(&flags);
    assert_eq!(published.code, Some(0), "{published:?}");
    let url = format!("{}/b", gate.url());
    let published = gate.folder.run(&["pub", "-L", &url, "-n"]);
    assert_eq!(published.code, Some(0), "{published:?}");
    assert_eq!(ends(&mut subscriber, 0), "a -1\nb (null)\n");
}

#[test]
fn properties_reach_mosquitto_as_they_were_given() {
    let gate = Gate::open();
    gate.publish(&[
        "-t",
        "a",
        "-r",
        "-m",
        "hello",
        "-D",
        "publish",
        "content-type",
        "text/plain",
        "-D",
        "PUBLISH",
        "response-topic",
        "r/t",
        "-D",
        "publish",
        "correlation-data",
        "xyz",
        "-D",
        "publish",
        "message-expiry-interval",
        "5000",
        "-D",
        "publish",
        "payload-format-indicator",
        "1",
        "-D",
        "publish",
        "user-property",
        "name",
        "-value",
    ]);
    let format = "%p|%C|%R|%D|%F|%P|%E";
    let flags = ["-V", "5", "-t", "a", "-C", "1", "-F", format];
    let came = finish(&mut gate.mosquitto("mosquitto_sub", &flags));
    let expected = "hello|text/plain|r/t|xyz|1|name:-value|";
    let left = came
        .out
        .strip_prefix(expected)
        .and_then(|left| left.trim_end().parse::<u32>().ok());
    assert!(
        left.is_some_and(|left| (1..=5000).contains(&left)),
        "{came:?}"
    );
}

#[test]
fn json_has_all_that_mosquitto_published() {
    let gate = Gate::open();
    let mut subscriber = gate.subscribe(&[
        "-t",
        "a/#",
        "-C",
        "2",
        "-q",
        "1",
        "--json",
        "-D",
        "subscribe",
        "subscription-identifier",
        "9",
    ]);
    let flags = [
        "-V",
        "5",
        "-t",
        "a/b",
        "-q",
        "1",
        "-m",
        "h\u{e9}\"",
        "-D",
        "publish",
        "user-property",
        "k",
        "v",
    ];
    let published = finish(&mut gate.mosquitto("mosquitto_pub", &flags));
    assert_eq!(published.code, Some(0), "{published:?}");
    let published = gate.shell("printf '\\377\\000' | $GATEMQ pub $URL -t a/c -s");
    assert_eq!(published.code, Some(0), "{published:?}");
    let out = ends(&mut subscriber, 0);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(lines[0]["topic"], "a/b");
    assert_eq!(lines[0]["payload"], "h\u{e9}\"");
    assert_eq!(
        (
            &lines[0]["qos"],
            &lines[0]["retain"],
            &lines[0]["payloadlen"]
        ),
        (&1.into(), &0.into(), &4.into())
    );
    assert_eq!(lines[0]["properties"]["user-properties"]["k"], "v");
    assert_eq!(
        lines[0]["properties"]["subscription-identifiers"],
        serde_json::json!([9])
    );
    assert_eq!(lines[1]["payload_base64"], "/wA=");
    assert_eq!(lines[1]["payload"], Value::Null);
}

#[test]
fn lines_files_and_repetitions() {
    let gate = Gate::open();
    gate.folder.write("file", "from a\nfile");
    let mut subscriber = gate.subscribe(&["-t", "a", "-q", "2", "-C", "8", "-F", "[%p]"]);
    let published = gate.shell("printf 'one\\n\\nthree' | $GATEMQ pub $URL -t a -l -q 1");
    assert_eq!(published.code, Some(0), "{published:?}");
    gate.publish(&["-t", "a", "-f", "file", "-q", "2"]);
    let published = gate.shell("printf 'all of\\nit' | $GATEMQ pub $URL -t a -s");
    assert_eq!(published.code, Some(0), "{published:?}");
    gate.publish(&[
        "-t",
        "a",
        "-m",
        "again",
        "--repeat",
        "3",
        "--repeat-delay",
        "0.05",
        "-q",
        "1",
    ]);
    let out = ends(&mut subscriber, 0);
    let expected = "[one]\n[]\n[three]\n[from a\nfile]\n[all of\nit]\n[again]\n[again]\n[again]\n";
    assert_eq!(out, expected);
}

#[test]
fn thousands_of_lines_arrive_in_order_within_the_brokers_receive_maximum() {
    let gate = Gate::with(&format!(
        "{}receive_maximum = 3\n",
        crate::support::TWO_LISTENERS
    ));
    let mut subscriber = gate.subscribe(&["-t", "a", "-q", "2", "-C", "3000"]);
    let published = gate.shell("seq 1 3000 | $GATEMQ pub $URL -t a -l -q 2");
    assert_eq!(published.code, Some(0), "{published:?}");
    let expected: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    assert_eq!(ends(&mut subscriber, 0), expected);
}

#[test]
fn a_request_is_answered_by_whoever_listens() {
    let gate = Gate::open();
    let mut responder = gate.subscribe(&["-t", "ask", "-C", "1", "-F", "%p\\n%R\\n%D"]);
    let request = [
        "-t",
        "ask",
        "-m",
        "how much?",
        "-q",
        "1",
        "-v",
        "-e",
        "answers",
    ];
    let mut requester = Broker::spawn(&mut gate.gatemq("rr", &[gate.url()], &request));
    let asked = ends(&mut responder, 0);
    let [question, topic, correlation] = asked.lines().collect::<Vec<_>>()[..] else {
        panic!("not three lines in {asked:?}");
    };
    assert_eq!((question, topic), ("how much?", "answers"));
    // An answer to somebody else's question is not for us.
    gate.publish(&[
        "-t",
        topic,
        "-m",
        "wrong",
        "-D",
        "publish",
        "correlation-data",
        "other",
    ]);
    gate.publish(&[
        "-t",
        topic,
        "-m",
        "42",
        "-D",
        "publish",
        "correlation-data",
        correlation,
    ]);
    assert_eq!(ends(&mut requester, 0), "answers 42\n");
    let unanswered = gate.run("rr", &["-t", "ask", "-m", "?", "-q", "1", "-W", "0.1"]);
    assert_eq!(unanswered.code, Some(5), "{unanswered:?}");
    assert!(
        unanswered.err.contains("nobody has subscribed to ask"),
        "{unanswered:?}"
    );
    assert!(
        unanswered.err.contains("no response to ask in time"),
        "{unanswered:?}"
    );
}

#[test]
fn a_broker_that_knows_no_newer_version_is_spoken_to_in_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        // The CONNACK of MQTT 3.1.1: unacceptable protocol version, then accepted.
        [[0x20, 2, 0, 1], [0x20, 2, 0, 0]].map(|connack| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut received = vec![0; 4096];
            let count = stream.read(&mut received).unwrap();
            stream.write_all(&connack).unwrap();
            received.truncate(count);
            // It may go without a word once it knows.
            let _ = stream.read_to_end(&mut received);
            received
        })
    });
    let published = Folder::new().run(&["pub", &url, "-t", "topic", "-m", "payload", "-d"]);
    assert_eq!(published.code, Some(0), "{published:?}");
    assert!(published.err.contains("with MQTT 3.1.1"), "{published:?}");
    let received = server
        .join()
        .unwrap()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(received[0].contains("MQTT\u{5}"), "{received:?}");
    assert!(
        received[1].contains("MQTT\u{4}") && received[1].contains("topicpayload"),
        "{received:?}"
    );
}

#[test]
fn a_unix_socket_is_a_way_in_too() {
    let folder =
        Folder::with("[[listener]]\nbind = \"unix:gatemq.sock\"\n[mqtt]\nallow_anonymous = true\n");
    let _broker = folder.start(&[]);
    let socket = ["--unix", "gatemq.sock", "-t", "a", "-q", "1"];
    let published = folder.run(&[&["pub", "-m", "kept", "-r"][..], &socket].concat());
    assert_eq!(published.code, Some(0), "{published:?}");
    let came = folder.run(&[&["sub", "-C", "1"][..], &socket].concat());
    assert_eq!(
        (came.code, came.out.as_str()),
        (Some(0), "kept\n"),
        "{came:?}"
    );
    let absent = folder.run(&["pub", "--unix", "absent.sock", "-t", "a", "-m", "x"]);
    assert_eq!(absent.code, Some(3), "{absent:?}");
    assert!(
        absent
            .err
            .contains("absent.sock: the Unix socket cannot be reached"),
        "{absent:?}"
    );
}
