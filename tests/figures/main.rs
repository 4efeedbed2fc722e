//! What the benches of durability and instructions read and compute, without the programs that they start: a bench that is a
//! program of its own has no place for tests.

#![allow(
    dead_code,
    reason = "only a part of the benches runs without other programs"
)]

#[path = "../../benches/durability/connection.rs"]
mod connection;
#[path = "../../benches/instructions/counts.rs"]
mod counts;
#[path = "../../benches/durability/document.rs"]
mod document;
#[path = "../../benches/durability/machine.rs"]
mod machine;
#[path = "../../benches/durability/metrics.rs"]
mod metrics;
#[path = "../../benches/durability/process.rs"]
mod process;
#[path = "../../benches/durability/statistics.rs"]
mod statistics;
#[path = "../../benches/durability/wire.rs"]
mod wire;

use gatemq::mqtt::{
    codec::{Decoder, Limits},
    packet::{self, ProtocolVersion},
};

use counts::{Counts, Verdict};
use metrics::Store;
use statistics::{cell, count, median, number, ratio};
use wire::{Packet, Template};

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
    assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
    assert_eq!(median(&[9.0, 1.0, 5.0, 4.0]), Some(4.5));
}

#[test]
fn numbers_have_three_digits_that_count() {
    for (value, text) in [
        (0.0, "0"),
        (0.000_4, "0.0004"),
        (0.123_4, "0.123"),
        (0.999_6, "1.00"),
        (1.236, "1.24"),
        (9.996, "10.0"),
        (99.96, "100"),
        (999.6, "1,000"),
        (12_345.0, "12,345"),
        (10_000_000.0, "10,000,000"),
    ] {
        assert_eq!(number(value), text, "{value}");
    }
    assert_eq!(count(20), "20");
    assert_eq!(count(1000), "1,000");
}

#[test]
fn a_cell_says_how_far_the_runs_were_apart() {
    assert_eq!(cell(&[]), "–");
    assert_eq!(cell(&[2.0, 2.0]), "**2.00**");
    assert_eq!(cell(&[3.0, 1.0, 2.0]), "**2.00** (1.00–3.00)");
}

#[test]
fn a_ratio_is_of_medians() {
    assert_eq!(ratio(&[10.0, 30.0, 20.0], &[5.0, 5.0, 99.0]), "4.00");
    assert_eq!(ratio(&[], &[1.0]), "–");
    assert_eq!(ratio(&[1.0], &[]), "–");
    assert_eq!(ratio(&[1.0], &[0.0]), "–", "of nothing");
}

#[test]
fn a_table_is_replaced_between_its_marks_only() {
    let document =
        "a\n<!-- durability: x -->\nold\n<!-- /durability: x -->\nb <!-- durability: y -->";
    assert_eq!(
        document::replaced(document, "x", "new\n").as_deref(),
        Some("a\n<!-- durability: x -->\nnew\n<!-- /durability: x -->\nb <!-- durability: y -->")
    );
    assert_eq!(
        document::replaced(document, "y", "new"),
        None,
        "without an end"
    );
    assert_eq!(document::replaced(document, "z", "new"), None, "not there");
}

/// The bench is of no use where it measures for hours and then has no place for what it has found.
#[test]
fn the_document_has_a_place_for_each_table() {
    let document = std::fs::read_to_string(document::path()).expect("BENCHMARKS.md");
    for name in [
        "machine",
        "acknowledged",
        "written",
        "drain",
        "fan-out",
        "start",
    ] {
        assert!(document::replaced(&document, name, "").is_some(), "{name}");
    }
}

#[test]
fn a_mount_is_the_last_of_the_nearest() {
    let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp xfs rw 0 0\n/dev/vdc /tmpest btrfs rw 0 0\n";
    assert_eq!(
        machine::mount_of(mounts, "/tmp/a"),
        Some(("/dev/vdb", "xfs"))
    );
    assert_eq!(
        machine::mount_of(mounts, "/home"),
        Some(("/dev/vda", "ext4"))
    );
    assert_eq!(machine::mount_of("", "/home"), None);
}

#[test]
fn figures_of_the_kernel_are_read() {
    let io = "rchar: 1\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
    assert_eq!(process::field(io, "write_bytes"), Some(8192));
    let status = "VmHWM:\t  200 kB\nVmRSS:\t  100 kB\n";
    assert_eq!(process::field(status, "VmRSS"), Some(100));
    assert_eq!(process::field(status, "VmSwap"), None);
    let cpu = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz: fast\n";
    assert_eq!(
        machine::value_of(cpu, "model name"),
        Some("Some CPU @ 2 GHz: fast")
    );
}

#[test]
fn counters_of_the_store_are_read() {
    let text = "# TYPE gatemq_store_syncs counter\ngatemq_store_syncs_total 7\ngatemq_store_commits_total 9\n# EOF\n";
    let store = Store {
        commits: 9,
        syncs: 7,
    };
    assert_eq!(Store::parse(text), Some(store));
    assert_eq!(Store::parse("gatemq_store_syncs_total 7\n"), None);
}

/// What the generator says is what the broker's own codec hears.
#[test]
fn packets_are_those_of_the_standard() {
    let mut bytes = wire::connect("me", false);
    bytes.extend(wire::subscribe("a/#"));
    Template::new("a/b", 64).write(300, 1, &mut bytes);
    wire::acknowledge(9, &mut bytes);
    bytes.extend(wire::DISCONNECT);
    let mut decoder = Decoder::new(Limits {
        max_packet_size: 1024,
        topic_alias_maximum: 0,
        max_topic_levels: 8,
    });
    decoder.push(bytes.into());
    let mut next = || decoder.next().expect("well-formed").expect("whole");
    let packet::Packet::Connect(connect) = next() else {
        panic!("no CONNECT")
    };
    assert_eq!(connect.version, ProtocolVersion::V3_1_1);
    assert_eq!((&*connect.client_id, connect.clean_start), ("me", false));
    let packet::Packet::Subscribe(subscribe) = next() else {
        panic!("no SUBSCRIBE")
    };
    assert_eq!(subscribe.subscriptions[0].topic_filter.as_str(), "a/#");
    let packet::Packet::Publish(publish) = next() else {
        panic!("no PUBLISH")
    };
    assert_eq!(publish.message.topic.as_str(), "a/b");
    assert_eq!(publish.message.payload.len(), 64);
    assert_eq!(publish.packet_id.map(u16::from), Some(300));
    let packet::Packet::PubAck(acknowledgement) = next() else {
        panic!("no PUBACK")
    };
    assert_eq!(u16::from(acknowledgement.packet_id), 9);
    assert!(matches!(next(), packet::Packet::Disconnect(_)));
}

#[test]
fn a_publish_can_be_read() {
    for payload_bytes in [8, 64, 128, 16_384] {
        let mut template = Template::new("a/b", payload_bytes);
        let mut bytes = Vec::new();
        template.write(7, 1, &mut bytes);
        template.write(0xFFFE, u64::MAX, &mut bytes);
        let mut at = 0;
        for (id, sequence) in [(7, 1), (0xFFFE, u64::MAX)] {
            let whole = wire::read(&bytes[at..]).expect("well-formed");
            let (packet, length) = whole.expect("whole");
            let Packet::Publish { packet_id, payload } = packet else {
                panic!("{packet:?}");
            };
            assert_eq!(packet_id, id);
            assert_eq!(payload.len(), payload_bytes);
            assert_eq!(wire::number(payload).expect("a number"), sequence);
            for cut in at..at + length {
                let part = wire::read(&bytes[at..cut]).expect("well-formed so far");
                assert_eq!(part, None, "{cut} bytes are not whole");
            }
            at += length;
        }
        assert_eq!(at, bytes.len());
    }
}

#[test]
fn answers_are_read() {
    for (bytes, packet) in [
        (&[0x20, 2, 0, 5][..], Packet::ConnAck(5)),
        (&[0x40, 2, 1, 2], Packet::PubAck(0x0102)),
        (&[0x90, 3, 0, 1, 0x80], Packet::SubAck(0x80)),
    ] {
        let read = wire::read(bytes).expect("well-formed");
        assert_eq!(read, Some((packet, bytes.len())));
    }
    // A PUBLISH of QoS 0, a length of five bytes, a PUBLISH shorter than its topic.
    for bytes in [
        &[0x30, 3, 0, 1, b'a'][..],
        &[0x32, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        &[0x32, 3, 0, 9, b'a'],
    ] {
        assert!(wire::read(bytes).is_err(), "{bytes:?}");
    }
}

fn counts(by_name: &[(&str, u64)]) -> Counts {
    Counts {
        tools: "rustc 1, valgrind-3".into(),
        by_name: by_name
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect(),
    }
}

#[test]
fn counts_are_read_as_they_were_written() {
    let written = counts(&[("codec/decode, 64 B", 412), ("queue", 1)]);
    assert_eq!(Counts::parse(&written.to_string()), Ok(written));
    assert_eq!(
        Counts::parse("# a word\nqueue many"),
        Err("line 2 is \"queue many\" instead of a name and a number".into())
    );
}

#[test]
fn five_percent_more_is_too_much() {
    let kept = counts(&[
        ("same", 1000),
        ("slower", 1000),
        ("faster", 1000),
        ("gone", 1),
    ]);
    let now = counts(&[
        ("same", 1050),
        ("slower", 1051),
        ("faster", 949),
        ("new", 1),
    ]);
    let verdicts: Vec<_> = kept
        .compare(&now)
        .iter()
        .map(|it| (it.name.clone(), it.verdict()))
        .collect();
    let expected = [
        ("faster", Verdict::Faster),
        ("gone", Verdict::Gone),
        ("new", Verdict::New),
        ("same", Verdict::Same),
        ("slower", Verdict::Slower),
    ];
    assert_eq!(
        verdicts,
        expected.map(|(name, verdict)| (name.to_owned(), verdict))
    );
    assert!(Verdict::Slower.is_failure() && !Verdict::Faster.is_failure());
    let slower = kept.compare(&now).pop().expect("five").to_string();
    assert!(
        slower.ends_with("1051, +5.1 % of the 1000 that are kept"),
        "{slower}"
    );
}
