//! `gatemq reload | status | stop`, and SIGHUP.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Folder, TWO_LISTENERS};

const BROKEN: &str = "\n[queue]\nwhen_full = \"drop\"\nmax_message = 5\n";

#[test]
fn status_says_what_the_broker_does_to_people_and_to_programs() {
    let folder = Folder::with(TWO_LISTENERS);
    let broker = folder.start(&[]);
    let text = folder.run(&["status"]);
    assert_eq!(text.code, Some(0), "{text:?}");
    for expected in [
        &format!("process        {}\n", broker.pid()),
        "ready          yes\n",
        "last reload    ok\n",
        "listener       127.0.0.1:",
        "certificate    localhost",
    ] {
        assert!(text.out.contains(expected), "no {expected:?} in {text:?}");
    }
    let status = folder.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], broker.pid());
    assert_eq!(status["ready"], true);
    assert_eq!(status["listeners"].as_array().unwrap().len(), 2);
    assert_eq!(status["listeners"][0]["tls"], true);
}

#[test]
fn without_a_broker_each_command_says_so_and_ends_with_3() {
    let folder = Folder::with(TWO_LISTENERS);
    for command in ["reload", "status", "stop"] {
        let finished = folder.run(&[command]);
        assert_eq!(finished.code, Some(3), "{finished:?}");
        assert!(finished.err.contains("gatemq run"), "{finished:?}");
        assert!(finished.out.is_empty(), "{finished:?}");
    }
    // Asking makes nothing.
    assert!(!folder.path().join("gatemq-data").exists());
}

#[test]
fn stop_ends_the_broker_in_order() {
    let folder = Folder::with(TWO_LISTENERS);
    let mut broker = folder.start(&[]);
    let stopped = folder.run(&["stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(
        stopped.out.contains(&broker.pid().to_string()),
        "{stopped:?}"
    );
    assert_eq!(broker.wait().code(), Some(0));
    broker.logs("code=app.stopped");
    assert!(!folder.path().join("gatemq-data/control.sock").exists());
}

#[test]
fn reload_says_what_has_changed_and_what_needs_a_restart() {
    let folder = Folder::with(TWO_LISTENERS);
    let _broker = folder.start(&[]);
    let before = folder.status();
    let nothing = folder.run(&["reload"]);
    assert_eq!(nothing.code, Some(0), "{nothing:?}");
    assert_eq!(nothing.out, "Reloaded: nothing has changed.\n");
    assert_eq!(folder.status()["listeners"], before["listeners"]);
    let more = "\n[[listener]]\nbind = \"127.0.0.2:0\"\n[log]\nfilter = \"debug\"\n";
    folder.write(
        "gatemq.toml",
        &format!("threads = 1\ndata_dir = \"elsewhere\"\n{TWO_LISTENERS}{more}"),
    );
    let changed = folder.run(&["reload", "--data-dir", "gatemq-data", "--json"]);
    assert_eq!(changed.code, Some(0), "{changed:?}");
    let report: Value = serde_json::from_str(&changed.out).unwrap();
    assert_eq!(report["reply"], "reloaded");
    assert_eq!(report["changed"], serde_json::json!(["listeners", "log"]));
    assert_eq!(report["needs_restart"][0], "data_dir");
    let status = folder.run(&["status", "--data-dir", "gatemq-data", "--json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["listeners"].as_array().unwrap().len(), 3);
    assert_eq!(status["listeners"][0], before["listeners"][0]);
}

#[test]
fn a_broken_configuration_is_refused_with_every_place_and_nothing_changes() {
    let folder = Folder::with(TWO_LISTENERS);
    let broker = folder.start(&[]);
    let before = folder.status();
    let lines = TWO_LISTENERS.lines().count();
    folder.write("gatemq.toml", &format!("{TWO_LISTENERS}{BROKEN}"));
    let refused = folder.run(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for expected in [
        format!("gatemq.toml:{}:13: ", lines + 3),
        format!("gatemq.toml:{}:1: ", lines + 4),
        "max_messages".to_owned(),
        "the broker goes on as it was".to_owned(),
    ] {
        assert!(
            refused.err.contains(&expected),
            "no {expected:?} in {refused:?}"
        );
    }
    let json = folder.run(&["reload", "--json"]);
    assert_eq!(json.code, Some(1), "{json:?}");
    let reply: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(reply["reply"], "rejected");
    let after = folder.status();
    assert_eq!(after["listeners"], before["listeners"]);
    let last = after["last_reload"].as_str().unwrap();
    assert!(last.contains("gatemq.toml:"), "{last}");
    broker.logs("code=config.reload_failed");
    folder.write("gatemq.toml", TWO_LISTENERS);
    assert_eq!(folder.run(&["reload"]).code, Some(0));
    assert_eq!(folder.status()["last_reload"], "ok");
}

#[test]
fn a_broken_certificate_is_refused_and_named_and_the_old_one_stays() {
    let folder = Folder::with(TWO_LISTENERS);
    assert_eq!(folder.run(&["cert", "init"]).code, Some(0));
    let configured = format!(
        "{TWO_LISTENERS}\n[[tls.certificate]]\nchain = \"certs/server.pem\"\nkey = \"certs/server.key\"\n"
    );
    folder.write("gatemq.toml", &configured);
    let _broker = folder.start(&[]);
    let before = folder.status();
    let chain = folder.read("certs/server.pem");
    folder.write("certs/server.pem", &chain[..chain.len() / 2]);
    let refused = folder.run(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("certs/server.pem: "), "{refused:?}");
    assert_eq!(folder.status()["certificates"], before["certificates"]);
}

#[test]
fn sighup_reloads() {
    let folder = Folder::with(TWO_LISTENERS);
    let broker = folder.start(&[]);
    folder.write(
        "gatemq.toml",
        &format!("drain_timeout = \"1s\"\n{TWO_LISTENERS}"),
    );
    broker.signal(Signal::HUP);
    broker.logs("drain_timeout");
    broker.logs("code=config.reloaded");
    folder.write("gatemq.toml", &format!("{TWO_LISTENERS}{BROKEN}"));
    broker.signal(Signal::HUP);
    broker.logs("code=config.reload_failed");
    broker.logs("gatemq.toml:");
    assert_eq!(folder.status()["ready"], true);
}
