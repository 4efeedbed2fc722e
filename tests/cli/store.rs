//! `gatemq backup`, `restore`, `export` and `import`: what they say where something is in the way, and files by hand.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{Finished, Folder, PATIENCE, TWO_LISTENERS, finish, within};

const HEADER: &str = "{\"type\":\"gatemq-export\",\"version\":1}";
const END: &str = "{\"type\":\"end\"}";
const SESSION: &str = "{\"type\":\"session\",\"client_id\":\"c\"}";
const MESSAGE: &str = "{\"type\":\"message\",\"id\":1,\"topic\":\"t\",\"payload\":\"p\"}";

/// Imports what is written by hand, between the first line and the last.
fn import(folder: &Folder, lines: &[&str]) -> Finished {
    let text = [&[HEADER], lines, &[END]].concat().join("\n");
    folder.write("lines", &text);
    folder.run(&["import", "lines"])
}

/// A mistake is named with its line, and nothing is left behind.
fn check_refused(folder: &Folder, refused: &Finished, expected: &[&str]) {
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in expected {
        assert!(refused.err.contains(part), "no {part:?} in {refused:?}");
    }
    assert!(refused.err.contains("nothing was changed"), "{refused:?}");
    let left = fs::read_dir(folder.path().join("gatemq-data")).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn mistakes_are_named_with_line_and_field() {
    let folder = Folder::new();
    let check = |lines: &[&str], expected: &[&str]| {
        check_refused(&folder, &import(&folder, lines), expected);
    };
    let retained = |field: &str| format!("{{\"type\":\"retained\",\"topic\":\"t\",{field}}}");
    check(&["{"], &["line 2: it is no JSON from column"]);
    check(
        &["[]"],
        &["line 2: an empty array found, expected an object"],
    );
    check(
        &["{\"type\":\"x\"}"],
        &["type is \"x\", expected one of message"],
    );
    check(&["{\"type\":\"retained\"}"], &["line 2: topic is missing"]);
    check(
        &["{\"type\":\"retained\",\"topik\":\"t\"}"],
        &["line 2: topik is unknown, did you mean topic?"],
    );
    check(
        &["{\"type\":\"retained\",\"topic\":\"a/#\",\"payload\":\"p\"}"],
        &["topic is \"a/#\", which contains a wildcard"],
    );
    check(&[&retained("\"payload\":\"\"")], &["payload is empty"]);
    check(
        &[&retained("\"payload\":1")],
        &["payload is 1, expected a text"],
    );
    check(
        &[&retained("\"payload_base64\":\"?\"")],
        &["line 2: payload_base64 is \"?\" (at character 1), expected base64"],
    );
    check(
        &[&retained("\"payload\":\"p\",\"payload_base64\":\"cA==\"")],
        &["payload and payload_base64 are both there"],
    );
    check(
        &[&retained("\"payload\":\"p\",\"qos\":3")],
        &["qos is 3, expected 0, 1 or 2"],
    );
    check(
        &[&retained("\"payload\":\"p\",\"expires_at\":\"soon\"")],
        &["expires_at is \"soon\", expected a time"],
    );
    check(
        &[&retained("\"payload\":\"p\",\"colour\":\"\\u001b[31m\"")],
        &["colour is unknown, expected one of type, topic"],
    );
    check(
        &[&retained(
            "\"payload\":\"p\",\"properties\":{\"user_properties\":[[\"a\"]]}",
        )],
        &["properties.user_properties has an array in it, expected an array of pairs"],
    );
}

#[test]
fn what_comes_twice_or_belongs_to_nobody_is_named() {
    let folder = Folder::new();
    let check = |lines: &[&str], expected: &[&str]| {
        check_refused(&folder, &import(&folder, lines), expected);
    };
    let twice = "{\"type\":\"retained\",\"topic\":\"t\",\"payload\":\"p\"}";
    check(
        &[twice, twice],
        &["line 3: topic is \"t\", which has a retained"],
    );
    check(
        &[SESSION, SESSION],
        &["line 3: client_id is \"c\", which another"],
    );
    check(
        &["{\"type\":\"subscription\",\"client_id\":\"d\",\"filter\":\"f\",\"qos\":1}"],
        &["client_id is \"d\", which has no session yet"],
    );
    let queued = "{\"type\":\"queued\",\"client_id\":\"c\",\"place\":5,\"message\":1,\"qos\":1}";
    check(&[SESSION, queued], &["line 3: message is 1, which is none"]);
    check(
        &[MESSAGE, SESSION, queued, queued],
        &["line 5: place is 5, expected at least 6"],
    );
    check(&[END], &["line 3: it comes after the end line"]);
    check(
        &["{\"type\":\"end\",\"sessions\":1}"],
        &["line 2: sessions is 1, expected 0"],
    );
}

#[test]
fn what_is_no_export_is_said_to_be_none() {
    let folder = Folder::new();
    let check = |text: &str, expected: &str| {
        folder.write("lines", text);
        check_refused(&folder, &folder.run(&["import", "lines"]), &[expected]);
    };
    let newer = "{\"type\":\"gatemq-export\",\"version\":2}\n";
    check(
        "",
        "line 1: nothing is there, expected {\"type\":\"gatemq-export\"",
    );
    check(newer, "line 1: version is 2, expected 1");
    check(
        "GateMQ backup 1\n\0",
        "it is a backup, which is for `gatemq restore`",
    );
    check("mosquitto", "line 1: it is no JSON");
    check(HEADER, "expected a last line {\"type\":\"end\"}");
    let refused = folder.run(&["restore", "lines"]);
    check_refused(&folder, &refused, &["is for `gatemq import`"]);
    let missing = folder.run(&["import", "nothing"]);
    assert!(
        missing.err.contains("nothing cannot be read"),
        "{missing:?}"
    );
}

/// However long a line is, memory is not as long.
#[test]
fn long_lines_are_refused_in_bounded_memory() {
    let folder = Folder::new();
    for (first, bytes, kilobytes) in [("", 300_000_000, 400_000), (HEADER, 450_000_000, 1_500_000)]
    {
        let script = format!(
            "ulimit -v {kilobytes}; \
             {{ echo '{first}'; head -c {bytes} /dev/zero | tr '\\0' x; }} | \"$0\" import"
        );
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_gatemq")])
            .current_dir(folder.path());
        let refused = finish(&mut command);
        check_refused(&folder, &refused, &["line 2: it is longer than"]);
    }
}

/// Written by hand, as by somebody who comes from another broker: what is not said has its default.
#[test]
fn a_file_written_by_hand_is_imported_and_exported() {
    let folder = Folder::new();
    let lines = [
        "{\"type\":\"retained\",\"topic\":\"home/light\",\"payload\":\"on\"}",
        "",
        MESSAGE,
        SESSION,
        "{\"type\":\"subscription\",\"client_id\":\"c\",\"filter\":\"home/#\",\"qos\":1}",
        "{\"type\":\"queued\",\"client_id\":\"c\",\"message\":1,\"qos\":1}",
        "{\"type\":\"queued\",\"client_id\":\"c\",\"message\":1,\"qos\":1,\"share\":null}",
        // Nobody is owed this one.
        "{\"type\":\"message\",\"id\":9,\"topic\":\"t\"}",
    ];
    let imported = import(&folder, &lines);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let counts = "sessions 1, subscriptions 1, queued messages 2, retained messages 1";
    assert!(imported.out.contains(counts), "{imported:?}");
    let exported = folder.run(&["export"]);
    assert!(exported.err.contains("Exported: 8 lines."), "{exported:?}");
    let lines: Vec<Value> = exported
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = lines
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    let expected = [
        "gatemq-export",
        "message",
        "session",
        "subscription",
        "queued",
        "queued",
        "retained",
        "end",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(lines[2]["expiry_interval"], u32::MAX);
    assert_eq!(
        (&lines[4]["place"], &lines[5]["place"]),
        (&0.into(), &1.into())
    );
    let refused = import(&folder, &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("store is not empty"), "{refused:?}");
}

/// Half a store is not taken for one, and is in nobody's way.
#[test]
fn an_import_that_is_killed_leaves_no_store() {
    let folder = Folder::new();
    let mut importing = folder
        .gatemq(&["import"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = importing.stdin.take().unwrap();
    writeln!(lines, "{HEADER}\n{SESSION}").unwrap();
    let data_dir = folder.path().join("gatemq-data");
    let has_begun = within(PATIENCE, || data_dir.join("store.unfinished").exists());
    assert!(has_begun);
    importing.kill().unwrap();
    importing.wait().unwrap();
    assert!(!data_dir.join("store").exists());
    let imported = import(&folder, &[SESSION]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(!data_dir.join("store.unfinished").exists());
}

#[test]
fn copies_go_through_pipes() {
    let folder = Folder::new();
    assert_eq!(import(&folder, &[MESSAGE, SESSION]).code, Some(0));
    let script = "set -e; \"$0\" backup - | \"$0\" restore - --data-dir b; \
                  \"$0\" export | \"$0\" import - --data-dir c; \
                  \"$0\" export --data-dir b x; \"$0\" export --data-dir c y; cmp x y";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_gatemq")])
        .current_dir(folder.path());
    let piped = finish(&mut command);
    assert_eq!(piped.code, Some(0), "{piped:?}");
    assert!(piped.err.contains("Backed up: 2 rows"), "{piped:?}");
    assert!(folder.read("x").contains("\"client_id\":\"c\""));
}

#[test]
fn a_file_that_is_there_is_replaced_by_a_whole_one_only() {
    let folder = Folder::new();
    folder.write("b", "what was there");
    let refused = folder.run(&["backup", "b"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("gatemq-data/store is not there")
            && refused.err.contains("--data-dir"),
        "{refused:?}"
    );
    assert_eq!(folder.read("b"), "what was there");
    assert_eq!(import(&folder, &[SESSION]).code, Some(0));
    let replaced = folder.run(&["backup", "b"]);
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert!(
        replaced.out.contains("the file that was there is replaced"),
        "{replaced:?}"
    );
    let mode = folder
        .path()
        .join("b")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let json = folder.run(&["backup", "b2", "--json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["rows"], 2);
    for (path, expected) in [
        ("b/b", "b/b cannot be written: Not a directory"),
        (
            "nowhere/b",
            "nowhere/b cannot be written: No such file or directory",
        ),
        (".", ". cannot be written: is a directory"),
        ("/dev/full", "/dev/full cannot be written: No space left"),
    ] {
        let refused = folder.run(&["backup", path]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.err.contains(expected),
            "no {expected:?} in {refused:?}"
        );
    }
    let left = fs::read_dir(folder.path()).unwrap();
    let mut left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["b", "b2", "gatemq-data", "lines"]);
}

#[test]
fn a_running_broker_is_copied_and_not_filled() {
    let folder = Folder::with(TWO_LISTENERS);
    let mut broker = folder.start(&[]);
    for command in ["backup", "export"] {
        let copied = folder.run(&[command, command]);
        assert_eq!(copied.code, Some(0), "{copied:?}");
    }
    assert_eq!(folder.read("export").lines().count(), 2);
    for (command, file) in [("restore", "backup"), ("import", "export")] {
        let refused = folder.run(&[command, file]);
        assert_eq!(refused.code, Some(4), "{refused:?}");
        let expected = format!("a broker (process {}) runs with data_dir", broker.pid());
        assert!(refused.err.contains(&expected), "{refused:?}");
        assert!(refused.err.contains("gatemq stop"), "{refused:?}");
    }
    assert_eq!(folder.run(&["stop"]).code, Some(0));
    broker.wait();
    // What nobody has used is as good as empty.
    let imported = folder.run(&["import", "export"]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let folder = Folder::with(TWO_LISTENERS);
    let _broker = folder.start(&["run", "--ephemeral"]);
    for command in ["backup", "export"] {
        let refused = folder.run(&[command, "file"]);
        assert_eq!(refused.code, Some(4), "{refused:?}");
        assert!(
            refused.err.contains("was started with --ephemeral"),
            "{refused:?}"
        );
        assert!(!folder.path().join("file").exists());
    }
}
