//! Whatever can be wrong is named before anything is measured.

use std::process::Command;

use crate::{
    client::Gate,
    support::{Folder, TWO_LISTENERS, finish, free_port},
};

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], code: i32, words: &[&str]) {
    let arguments = [&["bench"], arguments].concat();
    let refused = folder.run(&arguments);
    assert_eq!(refused.code, Some(code), "{arguments:?}: {refused:?}");
    for word in words {
        let text = &refused.err;
        assert!(text.contains(word), "{arguments:?}: no {word:?} in {text}");
    }
    assert!(refused.out.is_empty(), "{refused:?}");
}

#[test]
fn a_plan_that_makes_no_sense_is_a_usage_error() {
    let folder = Folder::new();
    let usage = |arguments: &[&str], words: &[&str]| check(&folder, arguments, 2, words);
    usage(&["conn", "htp://h"], &["the scheme \"htp\"", "wss://"]);
    usage(
        &["conn", "--http2", "mqtt://h"],
        &["--http2 carries a WebSocket"],
    );
    usage(&["conn", "-c", "0"], &["'0'", "--count"]);
    usage(&["pairs", "-c", "-1"], &["-1"]);
    usage(
        &["pairs", "--window", "2", "--rate", "5"],
        &["--window", "--rate"],
    );
    usage(
        &["pairs", "--rate", "5", "-I", "5"],
        &["--rate", "--interval_of_msg"],
    );
    usage(&["pairs", "--window", "0"], &["'0'"]);
    usage(&["pairs", "--rate", "0"], &["above 0"]);
    usage(&["pairs", "--rate", "NaN"], &["expected is a number"]);
    usage(&["pairs", "-s", "23"], &["-s 23 is too small", "24 bytes"]);
    usage(&["pairs", "-q", "3"], &["expected is 0, 1 or 2"]);
    usage(
        &["pub", "-t", "a/#"],
        &["\"a/#\" contains a wildcard", "bench/%i"],
    );
    usage(
        &["sub", "-t", "a/#/b"],
        &["has a # that is not its last level"],
    );
    usage(
        &["conn", "--id", "one"],
        &["--id is for one client", "--id-prefix"],
    );
    usage(&["storm", "--rounds", "0"], &["'0'"]);
    usage(&["conn", "--threads", "0"], &["'0'"]);
    usage(
        &["conn", "mqtt://h", "--cafile", "a", "--cert", "b"],
        &["--key"],
    );
}

#[test]
fn a_broker_that_cannot_be_used_ends_it_at_once() {
    let gate = Gate::open();
    let (plain, secure) = (gate.plain, gate.secure);
    let refused = |url: &str, code, words: &[&str]| {
        check(&gate.folder, &["pairs", url, "-c", "1000"], code, words);
    };
    let words = ["nothing listens on", "is the broker running"];
    refused(&format!("mqtt://localhost:{}", free_port()), 3, &words);
    refused(&format!("mqtt://localhost:{secure}"), 3, &["mqtts://"]);
    refused(
        &format!("wss://localhost:{plain}"),
        3,
        &["ws:// (without TLS)"],
    );
    refused(
        &format!("wss://localhost:{secure}/nowhere"),
        4,
        &["404 Not Found"],
    );
    let elsewhere = Folder::new();
    let url = format!("wss://localhost:{secure}");
    let words = ["signed by \"CN=GateMQ CA", "not trusted", "--cafile FILE"];
    check(&elsewhere, &["conn", &url, "-c", "1000"], 3, &words);
    let words = ["absent.pem", "No such file"];
    check(
        &gate.folder,
        &["conn", &url, "--cafile", "absent.pem"],
        2,
        &words,
    );
    let url = gate.url();
    let flags = ["conn", &url, "-c", "1", "--pid", "4194304"];
    check(
        &gate.folder,
        &flags,
        2,
        &["--pid 4194304", "process identifier"],
    );
}

#[test]
fn what_the_broker_does_not_take_is_said_in_its_words() {
    let closed = TWO_LISTENERS.replace("allow_anonymous = true", "allow_anonymous = false");
    let closed = Gate::with(&closed);
    let words = ["refuses the connection: not authorized (0x87)", "-u and -P"];
    check(&closed.folder, &["fanout", &closed.url()], 4, &words);
    let words = ["refuses the connection", "-u and -P"];
    let flags = ["conn", &closed.url(), "-u", "me", "-P", "wrong"];
    check(&closed.folder, &flags, 4, &words);
    let small = Gate::with(&format!("{TWO_LISTENERS}max_packet_size = \"64KiB\"\n"));
    let words = ["70000 bytes does not fit", "up to 65536 bytes"];
    check(
        &small.folder,
        &["pub", &small.url(), "-s", "70000"],
        4,
        &words,
    );
    drop(closed.broker);
    drop(small.broker);
}

#[test]
fn too_few_descriptors_are_said_with_how_many_are_needed() {
    let folder = Folder::new();
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "ulimit -n 100; exec \"$GATEMQ\" bench conn mqtt://localhost -c 100",
        ])
        .env("GATEMQ", env!("CARGO_BIN_EXE_gatemq"))
        .current_dir(folder.path());
    let refused = finish(&mut shell);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for words in [
        "100 clients need 140 descriptors",
        "may have 100",
        "ulimit -n 140",
    ] {
        assert!(
            refused.err.contains(words),
            "no {words:?} in {}",
            refused.err
        );
    }
}
