//! How `gatemq sub` begins and ends, and what it leaves out.

use rustix::process::Signal;

use super::{Gate, ends};
use crate::support::{Broker, Folder, PATIENCE, free_port, within};

#[test]
fn a_timeout_ends_with_a_code_of_its_own() {
    let gate = Gate::open();
    let timed_out = gate.run("sub", &["-t", "a", "-W", "0.1"]);
    assert_eq!(
        (timed_out.code, timed_out.out.as_str()),
        (Some(5), ""),
        "{timed_out:?}"
    );
}

#[test]
fn ctrl_c_says_goodbye_and_a_kill_leaves_the_will() {
    let gate = Gate::open();
    let mut witness =
        gate.subscribe(&["-t", "gone/+", "-C", "1", "-F", "%t %p %q %r %C", "-q", "1"]);
    let will = |topic| {
        [
            "-t",
            "a",
            "--will-topic",
            topic,
            "--will-payload",
            "gone",
            "--will-qos",
            "1",
            "--will-retain",
            "-D",
            "will",
            "content-type",
            "t",
        ]
    };
    let mut polite = gate.subscribe(&will("gone/polite"));
    polite.signal(Signal::INT);
    assert_eq!(ends(&mut polite, 0), "");
    let mut killed = gate.subscribe(&will("gone/killed"));
    killed.signal(Signal::KILL);
    assert!(!killed.wait().success());
    assert_eq!(ends(&mut witness, 0), "gone/killed gone 1 0 t\n");
}

#[test]
fn retained_messages_are_shown_left_out_and_deleted() {
    let gate = Gate::open();
    gate.publish(&["-t", "a/old", "-m", "old", "-r"]);
    let both = gate.subscribe(&["-t", "a/#", "-v", "-F", "%p %r"]);
    let mut new_only = gate.subscribe(&["-t", "a/#", "-R", "-C", "1"]);
    let mut old_only = gate.subscribe(&["-t", "a/#", "--retained-only", "-T", "a/b"]);
    let mut as_published = gate.subscribe(&[
        "-t",
        "a/new",
        "--retain-as-published",
        "-C",
        "1",
        "-F",
        "%r",
    ]);
    gate.publish(&["-t", "a/new", "-m", "new", "-r"]);
    assert_eq!(ends(&mut new_only, 0), "new\n");
    assert_eq!(ends(&mut old_only, 0), "old\n");
    assert_eq!(ends(&mut as_published, 0), "1\n");
    assert!(both.out.wait_for("old 1\nnew 0\n"), "{}", both.out.text());
    let removed = gate.run("sub", &["-t", "a/#", "--remove-retained", "-C", "2"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let left = gate.run("sub", &["-t", "a/#", "-W", "0.2"]);
    assert_eq!((left.code, left.out.as_str()), (Some(5), ""), "{left:?}");
}

#[test]
fn a_kept_session_brings_what_was_missed() {
    let gate = Gate::open();
    for version in ["311", "5"] {
        let session = ["-c", "-i", version, "-V", version, "-t", "a", "-q", "1"];
        let begun = gate.run("sub", &[&session[..], &["-E"]].concat());
        assert_eq!((begun.code, begun.out.as_str()), (Some(0), ""), "{begun:?}");
        gate.publish(&["-t", "a", "-m", "missed", "-q", "1"]);
        let came = gate.run("sub", &[&session[..], &["-C", "1"]].concat());
        assert_eq!(
            (came.code, came.out.as_str()),
            (Some(0), "missed\n"),
            "{came:?}"
        );
        let left = gate.run(
            "sub",
            &["-c", "-i", version, "-V", version, "-U", "a", "-E"],
        );
        assert_eq!(left.code, Some(0), "{left:?}");
    }
}

#[test]
fn whoever_reads_no_more_ends_it_quietly() {
    let gate = Gate::open();
    gate.publish(&["-t", "a", "-m", "old", "-r"]);
    // The pipe is closed before there is something more to write.
    let script = "{ $GATEMQ sub $URL -t a; echo $? >&2; } | \
        { head -n 1; exec </dev/null; $GATEMQ pub $URL -t a -m new; }";
    let read = gate.shell(script);
    assert_eq!((read.out.as_str(), read.err.as_str()), ("old\n", "0\n"));
}

#[test]
fn a_broker_that_comes_back_is_found_again() {
    let port = free_port();
    let configuration = format!(
        "[[listener]]\nbind = \"127.0.0.1:{port}\"\ntls = false\n[mqtt]\nallow_anonymous = true\n"
    );
    let folder = Folder::with(&configuration);
    let mut broker = folder.start(&[]);
    let url = format!("mqtt://127.0.0.1:{port}");
    let mut subscriber =
        Broker::spawn(&mut folder.gatemq(&["sub", &url, "-t", "a", "-C", "1", "-d"]));
    subscriber.logs("subscribed to a");
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
    subscriber.logs("server shutting down (0x8B)");
    subscriber.logs("connecting again in 1s");
    let _broker = folder.start(&[]);
    // Until it has subscribed, what is published is lost.
    let came = within(PATIENCE, || {
        let published = folder.run(&["pub", &url, "-t", "a", "-m", "back"]);
        assert_eq!(published.code, Some(0), "{published:?}");
        subscriber.out.text() == "back\n"
    });
    assert!(came, "{}", subscriber.err.text());
    ends(&mut subscriber, 0);
}

#[test]
fn two_with_one_client_identifier_do_not_fight() {
    let gate = Gate::open();
    let mut first = gate.subscribe(&["-t", "a", "-i", "same"]);
    let _second = gate.subscribe(&["-t", "a", "-i", "same"]);
    ends(&mut first, 4);
    first.logs("session taken over (0x8E)");
    first.logs("use another -i");
}
