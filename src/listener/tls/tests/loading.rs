//! What is wrong with files, and whether it is said.

use super::*;

/// Breaks one thing; every finding must be of `file` and say `problem`.
fn check(change: impl FnOnce(&Files, &Ca), file: &str, problem: &str) {
    let ca = Ca::new("ca");
    let files = Files::with(&ca.issue(&["a.example"]));
    change(&files, &ca);
    let errors = files.try_open().map(|_| ()).unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(file_name(&errors.0[0].path), file, "{errors}");
    assert!(errors.to_string().contains(problem), "{errors}");
}

fn with_params(change: impl Fn(&mut CertificateParams)) -> impl FnOnce(&Files, &Ca) {
    move |files, ca| {
        let key = KeyPair::generate().unwrap();
        files.put(
            "a",
            &ca.issue_with(&["a.example"], For::Servers, &key, change),
        );
    }
}

#[test]
fn files_that_are_no_certificates_are_named() {
    check(
        |files, _| fs::remove_file(files.path("a.pem")).unwrap(),
        "a.pem",
        "cannot be read: No such file",
    );
    check(
        |files, _| fs::remove_file(files.path("a.key")).unwrap(),
        "a.key",
        "cannot be read: No such file",
    );
    check(
        |files, _| {
            fs::remove_file(files.path("a.pem")).unwrap();
            fs::create_dir(files.path("a.pem")).unwrap();
        },
        "a.pem",
        "not a regular file",
    );
    check(
        |files, _| drop(files.write("a.pem", "")),
        "a.pem",
        "holds no certificate",
    );
    check(
        |files, ca| drop(files.write("a.pem", ca.0.der())),
        "a.pem",
        "openssl x509 -inform der",
    );
    check(
        |files, _| {
            let file = fs::File::create(files.path("a.pem")).unwrap();
            file.set_len(chain::MAX_PEM_BYTES + 1).unwrap();
        },
        "a.pem",
        "larger than",
    );
    check(
        |files, _| {
            let garbled = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
            files.write("a.pem", garbled);
        },
        "a.pem",
        "certificate 1 is not well-formed",
    );
}

#[test]
fn half_written_files_are_named() {
    for file in ["a.pem", "a.key"] {
        let cut = |files: &Files, _: &Ca| {
            let whole = fs::read(files.path(file)).unwrap();
            files.write(file, &whole[..whole.len() / 2]);
        };
        check(cut, file, "not whole PEM");
    }
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    check(
        |files, ca| drop(files.write("a.key", ca.issue(&["b.example"]).key)),
        "a.key",
        "is not the key of the certificate in",
    );
    check(
        |files, ca| drop(files.write("a.key", ca.0.pem())),
        "a.key",
        "holds no private key",
    );
    for label in ["ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY"] {
        let pem = format!(
            "-----BEGIN {label}-----\nProc-Type: 4,ENCRYPTED\n\nMAMCAQE=\n-----END {label}-----\n"
        );
        check(
            |files, _| drop(files.write("a.key", pem)),
            "a.key",
            "openssl pkey",
        );
    }
    let odd = "-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n";
    check(
        |files, _| drop(files.write("a.key", odd)),
        "a.key",
        "ECDSA P-256, P-384, P-521 or Ed25519 is expected",
    );
}

#[test]
fn certificates_that_clients_would_refuse_are_named() {
    check(
        with_params(|params| params.not_after = (SystemTime::now() - DAY).into()),
        "a.pem",
        "certificate 1 expired at",
    );
    check(
        with_params(|params| params.not_before = (SystemTime::now() + DAY).into()),
        "a.pem",
        "not valid before",
    );
    check(
        with_params(|params| params.subject_alt_names.clear()),
        "a.pem",
        "no Subject Alternative Name",
    );
    check(
        with_params(|params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        "a.pem",
        "lacks serverAuth",
    );
}

#[test]
fn chain_must_lead_from_the_leaf_upwards() {
    let chain = |order: &'static [&'static str], forged: bool| {
        move |files: &Files, ca: &Ca| {
            let middle = ca.intermediate("middle");
            let leaf = middle.issue(&["a.example"]);
            let shown = if forged {
                Ca::new("other").intermediate("middle")
            } else {
                middle
            };
            let chain = order.iter().map(|part| match *part {
                "leaf" => leaf.chain.clone(),
                "middle" => shown.0.pem(),
                _ => ca.0.pem(),
            });
            files.write("a.pem", chain.collect::<String>());
            files.write("a.key", leaf.key);
        }
    };
    let ca = Ca::new("ca");
    for good in [&["leaf", "middle"][..], &["leaf", "middle", "root"]] {
        let files = Files::with(&ca.issue(&["a.example"]));
        chain(good, false)(&files, &ca);
        files.open();
    }
    check(
        chain(&["leaf", "root"], false),
        "a.pem",
        "certificate 1 was issued by `CN=middle`, but the next one is that of `CN=ca`",
    );
    check(
        chain(&["leaf", "middle"], true),
        "a.pem",
        "certificate 1 was not signed by the one that follows",
    );
    let files = Files::with(&ca.issue(&["a.example"]));
    chain(&["middle", "leaf"], false)(&files, &ca);
    let text = text(files.try_open());
    assert!(text.contains("is the key of certificate 2 in"), "{text}");
}

#[test]
fn all_errors_are_told_at_once() {
    let ca = Ca::new("ca");
    let mut files = Files::with(&ca.issue(&["a.example"]));
    files.add("b", &ca.issue(&["b.example"]));
    files.write("a.pem", "");
    fs::remove_file(files.path("b.key")).unwrap();
    files.config.client_ca = Some(files.path("gone.pem"));
    let errors = files.try_open().map(|_| ()).unwrap_err();
    let named: Vec<_> = errors.0.iter().map(|one| file_name(&one.path)).collect();
    assert_eq!(named, ["a.pem", "b.key", "gone.pem"]);
    assert_eq!(errors.to_string().lines().count(), 3);
}

#[test]
fn what_does_not_stop_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;

    let (ca, hour) = (Ca::new("ca"), DAY / 24);
    let warnings = |left: Duration, mode| {
        let key = KeyPair::generate().unwrap();
        let pair = ca.issue_with(&["a.example"], For::Anything, &key, |params| {
            params.not_after = (SystemTime::now() + left).into();
        });
        let files = Files::with(&pair);
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(files.path("a.key"), mode).unwrap();
        let warnings = Certificates::check(files.config.clone()).unwrap().warnings;
        warnings
            .iter()
            .map(|warning| warning.problem.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(warnings(DAY * 21 + hour, 0o600), [""; 0]);
    assert!(warnings(DAY * 21 - hour, 0o600)[0].contains("in 20 days"));
    assert!(warnings(DAY * 30, 0o644)[0].contains("every user may read"));
}

#[test]
fn check_changes_nothing() {
    let files = Files::new();
    let summary = Certificates::check(files.config.clone()).unwrap();
    assert_eq!(summary.certificates, []);
    assert!(!files.config.own_dir.exists());
}

#[test]
fn certificates_are_described() {
    let ca = Ca::new("ca");
    let files = Files::with(&ca.issue(&["a.example", "*.b.example", "::1", "10.0.0.1"]));
    let summary = files.open().summary();
    let info = &summary.certificates[0];
    assert_eq!(info.names, ["a.example", "*.b.example", "::1", "10.0.0.1"]);
    assert_eq!(info.subject, "CN=a.example");
    assert_eq!(info.issuer, "CN=ca");
    assert_eq!(info.key_type, "ECDSA P-256");
    assert_eq!(info.fingerprint.len(), 32 * 3 - 1);
    assert_eq!(
        describe(&files.path("a.pem")).unwrap(),
        summary.certificates
    );
    let rsa = Files::with(&ca.issue_rsa(&["a.example"]));
    assert_eq!(rsa.open().summary().certificates[0].key_type, "RSA 2048");
}

#[test]
fn time_is_displayed_in_utc() {
    let check = |seconds, text: &str| assert_eq!(Timestamp(seconds).to_string(), text);
    check(0, "1970-01-01 00:00:00 UTC");
    check(1_800_000_000, "2027-01-15 08:00:00 UTC");
    assert_eq!(Timestamp(86_400).days_from(Timestamp(86_401)), -1);
    assert_eq!(Timestamp(3 * 86_400).days_from(Timestamp(1)), 2);
}
