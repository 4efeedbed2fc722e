//! Starting: the first minute, a second start, and what is in the way.

use std::{fs, net::TcpListener, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Broker, Folder, PATIENCE, TWO_LISTENERS, exchange, finish, free_port, within,
};

const OWN_FILES: [&str; 4] = [
    "certs/ca.key",
    "certs/ca.pem",
    "certs/server.key",
    "certs/server.pem",
];

/// What the first screen proposes to type.
fn commands(screen: &str) -> Vec<String> {
    let (_, after) = screen.split_once("Try these").unwrap();
    let lines = after.lines().skip(1).map(str::trim);
    let is_command = |line: &&str| !line.is_empty() && !line.starts_with("Ctrl-C");
    lines.filter(is_command).map(str::to_owned).collect()
}

/// A line as it is printed, in a terminal somewhere else.
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec {line}")])
        .current_dir("/");
    command
}

#[test]
fn the_first_screen_shows_every_way_in_and_three_commands_that_work_as_printed() {
    let folder = Folder::new();
    let port = free_port();
    let broker = folder.start(&["run", "-p", &port.to_string()]);
    let screen = broker.out.text();
    for expected in [
        format!("https://localhost:{port}/\n"),
        format!("wss://localhost:{port}/mqtt\n"),
        format!("mqtts://localhost:{port}\n"),
    ] {
        assert!(screen.contains(&expected), "no {expected:?} in {screen}");
    }
    // The other ports are taken if they are free: who runs a broker already is told, and loses nothing.
    if !screen.contains("mqtt://localhost:1883\n") {
        broker.logs("cannot listen on 127.0.0.1:1883");
    }
    let [subscribe, publish, look] = &commands(&screen)[..] else {
        panic!("not three commands in {screen}");
    };
    let subscriber = Broker::spawn(&mut shell(subscribe));
    // Nothing says that it has subscribed: what is published before is lost.
    let arrived = within(PATIENCE, || {
        let published = finish(&mut shell(publish));
        assert_eq!(published.code, Some(0), "{publish}: {published:?}");
        subscriber.out.text().contains("demo/hello hello, world\n")
    });
    assert!(
        arrived,
        "{}{}",
        subscriber.out.text(),
        subscriber.err.text()
    );
    let answer = finish(&mut shell(look));
    assert_eq!(answer.code, Some(0), "{look}: {answer:?}");
    assert!(answer.out.contains("gatemq is running"), "{answer:?}");
    assert!(folder.path().join("gatemq-data").is_dir());
}

#[test]
fn a_second_start_reuses_everything() {
    let folder = Folder::new();
    let port = free_port().to_string();
    let read = || OWN_FILES.map(|file| folder.read(file));
    let mut broker = folder.start(&["-p", &port]);
    let first = (broker.out.text(), read());
    broker.signal(Signal::INT);
    assert_eq!(broker.wait().code(), Some(0));
    let broker = folder.start(&["-p", &port]);
    let commands_of_first = commands(&first.0);
    assert!(broker.out.text().contains(&commands_of_first[2]));
    assert_eq!(read(), first.1);
}

#[test]
fn a_second_broker_on_the_same_data_dir_is_refused_and_names_the_first() {
    let folder = Folder::with(TWO_LISTENERS);
    let broker = folder.start(&[]);
    let second = folder.run(&["run"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let named = format!("(process {})", broker.pid());
    assert!(second.err.contains(&named), "{second:?}");
    assert!(second.err.contains("stop that one first"), "{second:?}");
    assert_eq!(folder.status()["pid"], broker.pid());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = folder.run(&["-p", &port.to_string()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let expected = format!("gatemq: cannot listen on 127.0.0.1:{port}: another process listens");
    assert!(refused.err.contains(&expected), "{refused:?}");
    assert!(refused.out.is_empty(), "{refused:?}");
}

#[test]
fn a_data_dir_that_cannot_be_made_is_named_with_the_cause() {
    let folder = Folder::with(TWO_LISTENERS);
    folder.write("gatemq-data", "");
    let refused = folder.run(&[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let expected = "gatemq: gatemq-data cannot be used: File exists";
    assert!(refused.err.contains(expected), "{refused:?}");
    assert!(refused.err.contains("GATEMQ_DATA_DIR"), "{refused:?}");
}

#[test]
fn after_a_kill_it_starts_again() {
    let folder = Folder::with(TWO_LISTENERS);
    let mut broker = folder.start(&[]);
    broker.signal(Signal::KILL);
    assert!(!broker.wait().success());
    assert!(folder.path().join("gatemq-data/control.sock").exists());
    assert_eq!(folder.run(&["status"]).code, Some(3));
    let broker = folder.start(&[]);
    assert_eq!(folder.status()["pid"], broker.pid());
}

#[test]
fn the_environment_goes_before_the_file_and_flags_before_both() {
    let folder = Folder::with(TWO_LISTENERS);
    let mut command = folder.gatemq(&["--ephemeral", "-v"]);
    command.env("GATEMQ_LOG__FORMAT", "json");
    command.env("GATEMQ_MQTT__MAX_PACKET_SIZE", "64KiB");
    command.env("GATEMQ_LOG__FILTER", "info");
    let broker = Broker::start(&mut command);
    let request = b"GET /.well-known/mqtt HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (_, answer) = exchange(folder.addr(false), request, usize::MAX);
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let known: Value = serde_json::from_str(body).unwrap();
    assert_eq!(known["max_packet_size"], 64 * 1024, "{answer}");
    assert!(
        broker.err.wait_for("\"level\":\"debug\""),
        "{}",
        broker.err.text()
    );
}

#[test]
fn every_line_of_a_json_log_is_an_object_with_time_level_and_code() {
    let folder = Folder::with(&format!("{TWO_LISTENERS}[log]\nformat = \"json\"\n"));
    let mut broker = folder.start(&[]);
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
    let log = broker.err.text();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    assert!(lines.len() >= 4, "{log}");
    for line in &lines {
        let is_text = |key: &str| line[key].is_string();
        assert!(
            is_text("ts") && is_text("level") && is_text("msg"),
            "{line}"
        );
        assert!(is_text("code"), "{line}");
    }
}

#[test]
fn a_configuration_can_have_any_name_and_place() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("etc")).unwrap();
    folder.write("etc/broker.toml", TWO_LISTENERS);
    let broker = folder.start(&["run", "-c", "etc/broker.toml"]);
    assert!(broker.out.text().contains("configured by etc/broker.toml"));
    assert!(folder.path().join("etc/gatemq-data").is_dir());
    assert!(folder.path().join("etc/certs/ca.pem").is_file());
    let status = folder.run(&["status", "--config", "etc/broker.toml"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    let elsewhere = folder.run(&["status"]);
    assert_eq!(elsewhere.code, Some(3), "{elsewhere:?}");
}

#[test]
fn whoever_closes_its_output_does_not_stop_it() {
    let folder = Folder::with(TWO_LISTENERS);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder.gatemq(&[]);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut broker = command.spawn().unwrap();
    let is_running = within(PATIENCE, || folder.run(&["status"]).code == Some(0));
    assert!(is_running);
    assert_eq!(folder.run(&["reload"]).code, Some(0));
    assert_eq!(folder.run(&["stop"]).code, Some(0));
    assert_eq!(broker.wait().unwrap().code(), Some(0));
}

#[test]
fn a_command_whose_output_nobody_reads_ends_as_if_it_were_read() {
    let folder = Folder::new();
    for (arguments, expected) in [
        (&["check"][..], 0),
        (&["check", "-c", "none.toml"], 1),
        (&["cert", "show"], 0),
        (&["status"], 3),
        (&["--help"], 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = folder.gatemq(arguments);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let status = command.status().unwrap();
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn help_and_version_say_what_there_is() {
    let folder = Folder::new();
    let help = folder.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for expected in [
        "An MQTT broker whose front door is HTTPS",
        "run ",
        "check ",
        "reload ",
        "status ",
        "stop ",
        "cert ",
        "-c, --config <FILE>",
        "-p, --port <PORT>",
        "--ephemeral",
        "Exit codes: 0 done, 1 configuration or start error, 2 usage",
    ] {
        assert!(help.out.contains(expected), "no {expected:?} in {help:?}");
    }
    let version = folder.run(&["--version"]);
    assert_eq!(
        version.out,
        concat!("gatemq ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_mistyped_command_is_a_usage_error() {
    let folder = Folder::new();
    for arguments in [&["strat"][..], &["run", "--prot", "1"], &["-p", "65536"]] {
        let refused = folder.run(arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("--help"), "{refused:?}");
    }
}
