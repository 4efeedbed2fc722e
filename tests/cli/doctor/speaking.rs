//! The broker itself: what it takes, whom it lets in, and how the findings are printed.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use super::{ALL_STAGES, Running, examine};
use crate::support::{Folder, TWO_LISTENERS};

#[test]
fn all_is_well_in_every_way_in() {
    let broker = Running::with(TWO_LISTENERS);
    let (secure, plain) = (broker.authority(true), broker.authority(false));
    let ca = broker.ca();
    let examined = examine(
        &format!("wss://{secure}/mqtt"),
        &["--cafile", &ca, "--idle", "1"],
    );
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
    examined.expect_good(&ALL_STAGES).expect_good(&["idle"]);
    for url in [
        format!("mqtts://{secure}"),
        format!("mqtt://{plain}"),
        format!("ws://{plain}/ws"),
    ] {
        let examined = examine(&url, &["--cafile", &ca]);
        assert_eq!(examined.exit, Some(0), "{url}: {:#}", examined.json);
        examined.expect_good(&["connect", "round-trip"]);
    }
}

#[test]
fn another_path() {
    let broker = Running::with(TWO_LISTENERS);
    let authority = broker.authority(false);
    let advice = format!("ws://{authority}/mqtt");
    examine(&format!("ws://{authority}/websocket"), &[])
        .expect_fault("upgrade", "wrong-path", &advice, 4)
        .expect_good(&["connect", "round-trip"]);
}

#[test]
fn a_listener_for_mqtt_only() {
    let broker = Running::with(
        "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = true\nprotocols = [\"mqtt\"]\n\
         [mqtt]\nallow_anonymous = true\n",
    );
    let authority = broker.authority(true);
    let ca = broker.ca();
    let advice = format!("mqtts://{authority}");
    examine(&format!("wss://{authority}/mqtt"), &["--cafile", &ca])
        .expect_fault("http", "mqtt-only", &advice, 4)
        .expect_skipped(&["upgrade", "connect"]);
}

#[test]
fn a_listener_for_http_only() {
    let broker = Running::with(
        "[[listener]]\nbind = \"127.0.0.1:0\"\ntls = false\nprotocols = [\"websocket\", \"http\"]\n\
         [mqtt]\nallow_anonymous = true\n",
    );
    let authority = broker.authority(false);
    let advice = format!("ws://{authority}/mqtt");
    examine(&format!("mqtt://{authority}"), &[]).expect_fault("connect", "http-only", &advice, 4);
}

#[test]
fn nobody_may_in() {
    let broker = Running::with(&TWO_LISTENERS.replace("anonymous = true", "anonymous = false"));
    let url = format!("ws://{}/mqtt", broker.authority(false));
    examine(&url, &[])
        .expect_fault("connect", "not-authorized", "-u USER", 4)
        .expect_skipped(&["round-trip"]);
    let file = broker.folder.write("password", "wrong\nsecond line\n");
    let file = file.to_str().unwrap();
    examine(&url, &["-u", "me", "--password-file", file]).expect_fault(
        "connect",
        "not-authorized",
        "permissions of the user",
        4,
    );
}

#[test]
fn a_page_of_another_origin() {
    let broker = Running::with(TWO_LISTENERS);
    let url = format!("ws://{}/mqtt", broker.authority(false));
    let advice = "allowed_origins = [\"https://page.example\"]";
    examine(&url, &["--origin", "https://page.example"]).expect_fault(
        "connect",
        "origin-refused",
        advice,
        4,
    );
}

/// Enough of a broker of 3.1.1 for one client, which refuses MQTT 5 in its own words.
fn serve_old_mqtt(mut stream: TcpStream) -> Option<()> {
    loop {
        let mut header = [0; 2];
        stream.read_exact(&mut header).ok()?;
        // The doctor's packets are shorter than 128 bytes.
        let mut body = vec![0; header[1].into()];
        stream.read_exact(&mut body).ok()?;
        match header[0] >> 4 {
            1 => {
                let refusal = u8::from(body[6] > 4);
                stream.write_all(&[0x20, 2, 0, refusal]).ok()?;
                (refusal == 0).then_some(())?;
            }
            8 => stream.write_all(&[0x90, 3, body[0], body[1], 0]).ok()?,
            3 => {
                let topic = 2 + usize::from(body[1]);
                // At QoS 0 it has no packet identifier.
                body.drain(topic..topic + 2);
                let length = u8::try_from(body.len()).ok()?;
                stream
                    .write_all(&[&[0x30, length], &body[..]].concat())
                    .ok()?;
            }
            _ => return None,
        }
    }
}

#[test]
fn a_broker_that_knows_no_mqtt_5() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(|| serve_old_mqtt(stream));
        }
    });
    let examined = examine(&format!("mqtt://{addr}"), &[]);
    assert_eq!(examined.exit, Some(0), "{:#}", examined.json);
    assert_eq!(examined.finding("connect", "version")["level"], "note");
    let detail = examined.finding("connect", "accepted")["detail"].to_string();
    assert!(detail.contains("MQTT 3.1.1"), "{detail}");
}

#[test]
fn a_line_for_each_finding_and_each_fix() {
    let broker = Running::with(TWO_LISTENERS);
    let url = format!("ws://{}/nowhere", broker.authority(false));
    let finished = Folder::new().run(&["doctor", &url]);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    let out = &finished.out;
    for line in [
        "✓ TCP        127.0.0.1:",
        "- TLS        not tried: the URL asks for none",
        "✗ Upgrade    /nowhere is not a path",
        "             fix: use ws://localhost:",
        "✓ Round trip a message to gatemq-doctor/",
        "One fault, in Upgrade.",
    ] {
        assert!(out.contains(line), "no {line:?} in {out}");
    }
    assert_eq!(finished.err, "");
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = Folder::new();
    for (arguments, words) in [
        (&["doctor", "localhost"][..], "mqtt://"),
        (&["doctor", "ftp://localhost"], "wss://"),
        (&["doctor", "ws://a", "--idle", "0"], "idle"),
        (
            &["doctor", "wss://a", "--cafile", "absent.pem"],
            "absent.pem",
        ),
        (
            &["doctor", "ws://a", "--password-file", "absent"],
            "first line",
        ),
    ] {
        let finished = folder.run(arguments);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.err.contains(words), "{finished:?}");
    }
}
