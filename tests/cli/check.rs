//! `gatemq check`: everything that is wrong, before it goes wrong.

use std::net::TcpListener;

use rcgen::{CertificateParams, Issuer, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::support::{Finished, Folder, TWO_LISTENERS, finish};

fn check(configuration: &str, expected: &[&str]) -> Finished {
    let folder = Folder::with(configuration);
    let refused = folder.run(&["check"]);
    assert_eq!(refused.code, Some(1), "{configuration}: {refused:?}");
    assert!(refused.out.is_empty(), "{refused:?}");
    for expected in expected {
        let err = &refused.err;
        assert!(err.contains(expected), "no {expected:?} in {err}");
    }
    refused
}

/// A chain and its key, valid until the end of a year.
fn certificate(year: i32) -> (String, String) {
    let authority = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &authority).unwrap();
    (leaf.pem(), key.serialize_pem())
}

/// A folder with a listener that uses these.
fn with_certificate(chain: &str, key: &str) -> Folder {
    let configuration =
        format!("{TWO_LISTENERS}[[tls.certificate]]\nchain = \"chain.pem\"\nkey = \"key.pem\"\n");
    let folder = Folder::with(&configuration);
    folder.write("chain.pem", chain);
    folder.write("key.pem", key);
    folder
}

#[test]
fn what_would_start_is_said_to_start() {
    let folder = Folder::with(TWO_LISTENERS);
    let fine = folder.run(&["check"]);
    assert_eq!(fine.code, Some(0), "{fine:?}");
    assert_eq!(fine.out, "A broker would start with gatemq.toml.\n");
    // It has only looked.
    assert!(!folder.path().join("certs").exists());
    assert!(!folder.path().join("gatemq-data").exists());
    let json = folder.run(&["check", "--json"]);
    assert_eq!((json.code, json.out.as_str()), (Some(0), "[]\n"));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_a_suggestion() {
    let refused = check(
        "[mqtt]\nmax_packet_siz = \"1MiB\"\nallow_anonymous = 3\n[[listener]]\nbind = \"nope\"\ntls = \"yes\"\n\
         [queue]\nwhen_full = \"drop\"\n",
        &[
            "gatemq.toml:2:1: unknown key \"max_packet_siz\"",
            "did you mean max_packet_size?",
            "gatemq.toml:3:19: ",
            "gatemq.toml:5:8: bind: \"nope\"",
            "gatemq.toml:6:7: tls: ",
            "gatemq.toml:8:13: when_full: \"drop\"",
            "gatemq: 5 errors in the configuration",
        ],
    );
    assert!(refused.err.starts_with("gatemq.toml:2:1: "), "{refused:?}");
}

#[test]
fn each_broken_configuration_has_its_place() {
    for (configuration, expected) in [
        ("[mqtt", "gatemq.toml:1:6: "),
        ("threads = 0\n", "gatemq.toml:1:11: "),
        ("data_dir = 5\n", "gatemq.toml:1:12: "),
        ("[mqqt]\n", "did you mean [mqtt]?"),
        ("[mqtt]\nconnect_timeout = \"10\"\n", "gatemq.toml:2:19: "),
        ("[[listener]]\n", "bind"),
        ("[[listener]]\nbind = \":1\"\nprotocols = []\n", "protocols"),
        ("[log]\nfilter = \"gatemq=loud\"\n", "gatemq.toml:2:10: "),
        ("threads = 1\nthreads = 2\n", "gatemq.toml:2:1: "),
        ("[[tls.certificate]]\nchain = \"a\"\n", "key"),
    ] {
        check(configuration, &[expected, "in the configuration"]);
    }
}

#[test]
fn variables_and_files_are_named() {
    let folder = Folder::new();
    let mut command = folder.gatemq(&["check"]);
    command.env("GATEMQ_MQTT__RECEIVE_MAXIMUM", "0");
    command.env("GATEMQ_MQQT__X", "1");
    let refused = finish(&mut command);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for expected in ["GATEMQ_MQTT__RECEIVE_MAXIMUM: ", "GATEMQ_MQQT__X: "] {
        assert!(refused.err.contains(expected), "{refused:?}");
    }
    let missing = folder.run(&["check", "-c", "none.toml"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.err.contains("none.toml: cannot be read"),
        "{missing:?}"
    );
}

#[test]
fn json_findings_have_severity_subject_and_message() {
    let folder = Folder::with("[mqtt]\nmax_packet_siz = 1\n");
    let refused = folder.run(&["check", "--json"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let findings: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(findings[0]["severity"], "error");
    assert_eq!(findings[0]["subject"], "gatemq.toml:2:1");
    assert_eq!(findings[0]["line"], 2);
    assert!(
        findings[0]["message"]
            .as_str()
            .unwrap()
            .contains("max_packet_siz")
    );
    let folder = with_certificate("", "");
    let refused = folder.run(&["check", "--json"]);
    let findings: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(findings[0]["severity"], "error");
    assert!(findings[0]["subject"].as_str().unwrap().ends_with(".pem"));
}

#[test]
fn a_key_of_another_certificate_is_found() {
    let (chain, _) = certificate(2050);
    let (_, key) = certificate(2050);
    let refused = with_certificate(&chain, &key).run(&["check"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("key.pem: "), "{refused:?}");
}

#[test]
fn an_expired_certificate_is_found() {
    let (chain, key) = certificate(2021);
    let refused = with_certificate(&chain, &key).run(&["check"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("chain.pem: "), "{refused:?}");
    assert!(refused.err.contains("expired"), "{refused:?}");
    let (chain, key) = certificate(2050);
    let fine = with_certificate(&chain, &key).run(&["check"]);
    assert_eq!(fine.code, Some(0), "{fine:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_once() {
    let configuration =
        format!("{TWO_LISTENERS}[[tls.certificate]]\nchain = \"chain.pem\"\nkey = \"key.pem\"\n");
    let refused = check(&configuration, &["key.pem: cannot be read: No such file"]);
    assert_eq!(refused.err.matches("chain.pem").count(), 1, "{refused:?}");
}

#[test]
fn ports_that_are_taken_or_named_twice_are_found() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let one = format!("[[listener]]\nbind = \"{addr}\"\n[mqtt]\nallow_anonymous = true\n");
    check(
        &one,
        &[
            &format!("error: {addr}: another process listens there"),
            "ss -tlnp",
        ],
    );
    let twice = format!("[[listener]]\nbind = \"{addr}\"\n{one}");
    check(&twice, &[&format!("{addr}")]);
}

#[test]
fn while_the_broker_runs_its_own_ports_are_no_conflict() {
    let port = crate::support::free_port();
    let configuration =
        format!("[[listener]]\nbind = \"127.0.0.1:{port}\"\n[mqtt]\nallow_anonymous = true\n");
    let folder = Folder::with(&configuration);
    let _broker = folder.start(&[]);
    let fine = folder.run(&["check"]);
    assert_eq!(fine.code, Some(0), "{fine:?}");
}
