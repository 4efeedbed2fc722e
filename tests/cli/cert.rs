//! `gatemq cert`: certificates of the broker's own making.

use std::{process::Command, time::Duration};

use crate::support::{Folder, TWO_LISTENERS, finish, within};

const SERVED_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn init_makes_what_is_missing_and_keeps_what_is_there() {
    let folder = Folder::new();
    let empty = folder.run(&["cert", "show"]);
    assert_eq!(empty.code, Some(0), "{empty:?}");
    assert!(empty.out.contains("gatemq cert init"), "{empty:?}");
    let made = folder.run(&["cert", "init", "broker.example", "192.0.2.9"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.out.contains("certs/server.pem: created"), "{made:?}");
    let before = folder.read("certs/server.pem");
    let kept = folder.run(&["cert", "init", "broker.example"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    assert!(kept.out.contains("certs/server.pem: kept"), "{kept:?}");
    assert_eq!(folder.read("certs/server.pem"), before);
}

#[test]
fn show_tells_names_and_dates_of_what_is_configured_or_of_a_file() {
    let folder = Folder::new();
    folder.run(&["cert", "init", "broker.example"]);
    for arguments in [&["cert", "show"][..], &["cert", "show", "certs/server.pem"]] {
        let shown = folder.run(arguments);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        for expected in [
            "certs/server.pem\n",
            "broker.example",
            "localhost",
            "valid until",
            "SHA-256",
        ] {
            assert!(shown.out.contains(expected), "no {expected:?} in {shown:?}");
        }
    }
    let missing = folder.run(&["cert", "show", "none.pem"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(
        missing.err.contains("none.pem: cannot be read"),
        "{missing:?}"
    );
}

#[test]
fn a_renewed_certificate_is_served_within_two_seconds() {
    let folder = Folder::with(TWO_LISTENERS);
    let _broker = folder.start(&[]);
    let port = folder.addr(true).port();
    let is_served = || {
        // The client insists on the new name, which the old certificate has not.
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--cacert"]);
        curl.arg(folder.path().join("certs/ca.pem"));
        curl.arg("--resolve")
            .arg(format!("new.example:{port}:127.0.0.1"));
        curl.arg(format!("https://new.example:{port}/livez"));
        finish(&mut curl).code == Some(0)
    };
    assert!(!is_served());
    let authority = folder.read("certs/ca.pem");
    let renewed = folder.run(&["cert", "renew", "new.example"]);
    assert_eq!(renewed.code, Some(0), "{renewed:?}");
    assert!(within(SERVED_WITHIN, is_served));
    assert_eq!(folder.read("certs/ca.pem"), authority);
}

#[test]
fn an_authority_whose_key_is_gone_is_not_replaced() {
    let folder = Folder::new();
    folder.run(&["cert", "init"]);
    std::fs::remove_file(folder.path().join("certs/ca.key")).unwrap();
    let before = folder.read("certs/ca.pem");
    let refused = folder.run(&["cert", "renew"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("certs/ca.key"), "{refused:?}");
    assert_eq!(folder.read("certs/ca.pem"), before);
}
