//! Whatever can be wrong is named at once, with what to try and an exit code of its kind.

use super::Gate;
use crate::support::{Folder, free_port};

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32, words: &[&str]) {
    let refused = folder.run(arguments);
    assert_eq!(refused.code, Some(code), "{arguments:?}: {refused:?}");
    for word in words {
        assert!(
            refused.err.contains(word),
            "{arguments:?}: no {word:?} in {}",
            refused.err
        );
    }
    assert!(refused.out.is_empty(), "{refused:?}");
}

/// Arguments, and words of the answer.
const MAKES_NO_SENSE: &[(&[&str], &[&str])] = &[
    (
        &["pub", "htp://h", "-t", "a", "-m", "x"],
        &["the scheme \"htp\"", "wss://"],
    ),
    (
        &["pub", "localhost", "-t", "a", "-m", "x"],
        &["\"localhost\" is no URL", "mqtt://localhost"],
    ),
    (
        &["pub", "mqtt://h:0", "-t", "a", "-m", "x"],
        &["the port \"0\"", "1 to 65535"],
    ),
    (
        &["pub", "-h", "mqtt://h", "-t", "a", "-m", "x"],
        &["-h takes a host"],
    ),
    (
        &["pub", "-p", "0", "-t", "a", "-m", "x"],
        &["-p 0 is no port"],
    ),
    (
        &["pub", "-t", "a/#", "-m", "x"],
        &["\"a/#\" contains a wildcard", "demo/hello"],
    ),
    (&["pub", "-t", "", "-m", "x"], &["\"\" is empty"]),
    (&["pub", "-m", "x"], &["-t TOPIC"]),
    (&["pub", "-t", "a"], &["exactly one payload", "-m TEXT"]),
    (
        &["pub", "-t", "a", "-m", "x", "-n"],
        &["exactly one payload"],
    ),
    (
        &["pub", "-t", "a", "-m", "x", "-q", "3"],
        &["'3'", "expected is 0, 1 or 2"],
    ),
    (
        &["pub", "-t", "a", "-f", "absent"],
        &["-f absent: No such file"],
    ),
    (&["pub", "-t", "a", "-f", "/"], &["-f /: Is a directory"]),
    (
        &["pub", "-t", "a", "-m", "x", "-V", "6"],
        &["expected is 5, 311 or 31"],
    ),
    (
        &[
            "pub", "-t", "a", "-m", "x", "-D", "publish", "nonsense", "1",
        ],
        &["-D publish nonsense 1:", "content-type"],
    ),
    (
        &[
            "pub",
            "-t",
            "a",
            "-m",
            "x",
            "-V",
            "311",
            "-D",
            "publish",
            "content-type",
            "t",
        ],
        &["only MQTT 5 can"],
    ),
    (
        &["pub", "-t", "a", "-m", "x", "--http2", "-L", "mqtt://h"],
        &["--http2 carries a WebSocket"],
    ),
    (
        &["pub", "-t", "a", "-m", "x", "--cert", "c.pem"],
        &["--key"],
    ),
    (
        &[
            "pub",
            "mqtts://localhost",
            "--unix",
            "/",
            "-t",
            "a",
            "-m",
            "x",
            "--password-file",
            "absent",
        ],
        &["absent: No such file"],
    ),
    (&["sub"], &["-t FILTER"]),
    (
        &["sub", "-t", "a/#/b"],
        &["has a # that is not its last level"],
    ),
    (&["sub", "-t", "a", "-T", "b+"], &["-T \"b+\" has a +"]),
    (&["sub", "-t", "a", "-F", "%z"], &["%z means nothing"]),
    (&["sub", "-t", "a", "-c"], &["add -i"]),
    (&["sub", "-t", "a", "-C", "0"], &["'0'"]),
    (&["sub", "-t", "a", "-W", "-1"], &["-1"]),
    (
        &["rr", "-t", "a", "-m", "x", "-e", "b/+"],
        &["response topic \"b/+\" contains a wildcard"],
    ),
];

#[test]
fn a_command_that_makes_no_sense_is_a_usage_error() {
    let folder = Folder::new();
    for (arguments, words) in MAKES_NO_SENSE {
        check(&folder, arguments, 2, words);
    }
}

#[test]
fn the_wrong_door_says_which_is_the_right_one() {
    let gate = Gate::open();
    let (plain, secure) = (gate.plain, gate.secure);
    let publish = |url: &str, code: i32, words: &[&str]| {
        check(
            &gate.folder,
            &["pub", url, "-t", "a", "-m", "x"],
            code,
            words,
        );
    };
    publish(
        &format!("mqtt://localhost:{}", free_port()),
        3,
        &["nothing listens on", "is the broker running"],
    );
    publish(
        "mqtt://nowhere.invalid",
        3,
        &["\"nowhere.invalid\" is not found", "spelled right"],
    );
    publish(&format!("mqtt://localhost:{secure}"), 3, &["mqtts://"]);
    publish(&format!("mqtts://localhost:{plain}"), 3, &["try mqtt://"]);
    publish(
        &format!("wss://localhost:{plain}"),
        3,
        &["ws:// (without TLS)"],
    );
    publish(&format!("ws://localhost:{secure}"), 4, &["308", "wss://"]);
    publish(
        &format!("wss://localhost:{secure}/nowhere"),
        4,
        &["404 Not Found", "the paths are /mqtt, /ws and /"],
    );
    let url = format!("wss://localhost:{secure}/nowhere");
    check(
        &gate.folder,
        &["pub", "--http2", &url, "-t", "a", "-m", "x"],
        4,
        &["404 Not Found", "the paths are"],
    );
}

#[test]
fn a_certificate_that_is_not_trusted_is_named_with_its_issuer() {
    let gate = Gate::open();
    // Somewhere else than the broker, whose authority lies in its own directory.
    let elsewhere = Folder::new();
    let url = format!("wss://localhost:{}", gate.secure);
    let publish = ["pub", &url, "-t", "a", "-m", "x"];
    check(
        &elsewhere,
        &publish,
        3,
        &["signed by \"CN=GateMQ CA", "not trusted", "--cafile FILE"],
    );
    let insecure = elsewhere.run(&[&publish[..], &["--insecure"]].concat());
    assert_eq!(insecure.code, Some(0), "{insecure:?}");
    let ca = gate.folder.path().join("certs/ca.pem");
    let trusting = elsewhere.run(&[&publish[..], &["--cafile", ca.to_str().unwrap()]].concat());
    assert_eq!(trusting.code, Some(0), "{trusting:?}");
    let absent = [&publish[..], &["--cafile", "absent.pem"]].concat();
    check(&elsewhere, &absent, 2, &["absent.pem", "No such file"]);
}

#[test]
fn what_the_broker_does_not_take_is_said_in_its_words() {
    let configuration = format!(
        "{}max_packet_size = \"64KiB\"\n",
        crate::support::TWO_LISTENERS
    );
    let gate = Gate::with(&configuration);
    gate.folder.write("large", &"x".repeat(70_000));
    let url = gate.url();
    check(
        &gate.folder,
        &["pub", &url, "-t", "a", "-f", "large"],
        4,
        &["70000 bytes does not fit", "up to 65536 bytes"],
    );
    let closed = Gate::with(
        &crate::support::TWO_LISTENERS.replace("allow_anonymous = true", "allow_anonymous = false"),
    );
    let url = closed.url();
    check(
        &closed.folder,
        &["pub", &url, "-t", "a", "-m", "x"],
        4,
        &["refuses the connection: not authorized (0x87)", "-u and -P"],
    );
    check(
        &closed.folder,
        &["sub", &url, "-t", "a", "-V", "311"],
        4,
        &["not authorized", "-u and -P"],
    );
    drop(closed.broker);
    drop(gate.broker);
}
