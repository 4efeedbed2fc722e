use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::*;
use crate::listener::{
    ClientCertificates,
    tls::{Certificates, Config, HandshakePolicy, describe, provider::provider},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const FILES: [&str; 4] = ["ca.key", "ca.pem", "server.key", "server.pem"];

fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("certs");
    (dir, own)
}

fn contents(dir: &Path) -> Vec<Vec<u8>> {
    FILES.map(|name| fs::read(dir.join(name)).unwrap()).to_vec()
}

fn actions(report: &Report) -> Vec<String> {
    let steps = report.steps.iter();
    steps
        .map(|step| {
            let name = step.path.file_name().unwrap().to_str().unwrap();
            format!("{name} {}", step.action)
        })
        .collect()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn authority_and_certificate_are_made_once() {
    let (_dir, own) = folder();
    let report = init(&own, &[]).unwrap();
    assert_eq!(
        actions(&report),
        FILES.map(|name| format!("{name} created"))
    );
    let before = contents(&own);
    let report = init(&own, &[]).unwrap();
    assert_eq!(actions(&report), ["ca.pem kept", "server.pem kept"]);
    assert_eq!(contents(&own), before);
}

#[test]
fn keys_are_for_the_owner_alone() {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    for (name, mode) in FILES.into_iter().zip([0o600, 0o644, 0o600, 0o644]) {
        let metadata = fs::metadata(own.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(fs::read_dir(&own).unwrap().count(), FILES.len());
}

#[test]
fn certificate_is_a_leaf_that_browsers_accept() {
    let (_dir, own) = folder();
    init(&own, &names(&["broker.example", "192.0.2.7"])).unwrap();
    let info = &describe(&own.join("server.pem")).unwrap()[0];
    assert_eq!(info.names[..2], ["broker.example", "192.0.2.7"]);
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert!(info.names.iter().any(|known| known == name), "{info:?}");
    }
    assert!(info.not_after.days_from(info.not_before) <= 398);
    let chain = fs::read(own.join("server.pem")).unwrap();
    let chain = chain::parse_certificates(&chain).unwrap();
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(!leaf.is_ca());
    assert!(
        leaf.extended_key_usage()
            .unwrap()
            .unwrap()
            .value
            .server_auth
    );
    let ca = &describe(&own.join("ca.pem")).unwrap()[0];
    assert_eq!(ca.subject, info.issuer);
    assert!(ca.not_after.days_from(info.not_before) > 3600);
}

/// A client built on rustls takes it, given `ca.pem`.
#[tokio::test]
async fn certificate_is_trusted_by_way_of_its_authority() {
    let (_dir, own) = folder();
    let config = Config {
        certificates: Vec::new(),
        own_dir: own,
        client_ca: None,
        crl: Vec::new(),
        own_names: Vec::new(),
    };
    let certificates = Certificates::open(config.clone(), Arc::default()).unwrap();
    let ca = certificates.ca_pem().unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&ca).unwrap())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    let policy = HandshakePolicy {
        client_certificates: ClientCertificates::Off,
        mqtt: true,
        http2: true,
        http1: true,
    };
    for name in ["localhost", "127.0.0.1", "::1"] {
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from(name).unwrap();
        let (client, served) = tokio::join!(
            connector.connect(name, near),
            certificates.accept(far, Vec::new(), policy)
        );
        client.unwrap();
        served.unwrap();
    }
    // A second start serves the same.
    let again = Certificates::open(config, Arc::default()).unwrap();
    assert_eq!(again.summary(), certificates.summary());
    assert_eq!(again.ca_pem().unwrap(), ca);
}

fn check_renewed(own: &Path, wanted: &[&str], later: Duration, reason: Option<Reason>) {
    let before = contents(own);
    let now = SystemTime::now() + later;
    let report = ensure(own, &names(wanted), now, false).unwrap();
    let expected = reason.map_or(Action::Kept, Action::Renewed);
    assert_eq!(report.steps.last().unwrap().action, expected, "{later:?}");
    let after = contents(own);
    let is_renewed = expected != Action::Kept;
    assert_eq!(before[3] != after[3], is_renewed, "{later:?}");
    // Authority and keys are never touched, so a crash cannot leave a key beside another one's certificate.
    assert_eq!(before[..3], after[..3]);
}

#[test]
fn certificate_is_renewed_in_its_last_third() {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    check_renewed(&own, &[], DAY * 260, None);
    check_renewed(&own, &[], DAY * 270, Some(Reason::EndsSoon));
    check_renewed(&own, &[], DAY * 270, None);
    // Long after its end as well.
    check_renewed(&own, &[], DAY * 1500, Some(Reason::EndsSoon));
}

#[test]
fn certificate_is_renewed_where_a_name_is_lacking() {
    let (_dir, own) = folder();
    init(&own, &names(&["a.example"])).unwrap();
    check_renewed(&own, &["A.example"], Duration::ZERO, None);
    check_renewed(&own, &[], Duration::ZERO, None);
    let reason = Reason::Names(names(&["b.example", "::2"]));
    check_renewed(
        &own,
        &["a.example", "b.example", "::2"],
        Duration::ZERO,
        Some(reason),
    );
}

/// What `gatemq cert init NAME` was told, nothing else remembers.
#[test]
fn a_renewal_keeps_the_names_that_are_there() {
    let (_dir, own) = folder();
    init(&own, &names(&["a.example"])).unwrap();
    renew(&own, &names(&["b.example"])).unwrap();
    check_renewed(&own, &[], DAY * 270, Some(Reason::EndsSoon));
    let present = describe(&own.join("server.pem")).unwrap()[0].names.clone();
    for name in ["a.example", "b.example", "localhost"] {
        let count = present.iter().filter(|known| *known == name).count();
        assert_eq!(count, 1, "{name} in {present:?}");
    }
}

#[test]
fn renewing_on_demand_gives_a_new_serial_number() {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    let serial = || {
        describe(&own.join("server.pem")).unwrap()[0]
            .serial_number
            .clone()
    };
    let before = serial();
    let report = renew(&own, &[]).unwrap();
    assert_eq!(actions(&report), ["ca.pem kept", "server.pem renewed"]);
    assert_ne!(serial(), before);
}

#[test]
fn certificate_does_not_outlive_its_authority() {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    let ca = describe(&own.join("ca.pem")).unwrap()[0].not_after;
    let report = ensure(&own, &[], SystemTime::now() + DAY * 3600, false).unwrap();
    assert!(
        report.warnings[0]
            .to_string()
            .contains("ca.pem: expires at")
    );
    assert_eq!(describe(&own.join("server.pem")).unwrap()[0].not_after, ca);
    let error = ensure(&own, &[], SystemTime::now() + DAY * 3700, false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("ca.pem: cannot be used (it expired at")
    );
}

/// What a start that was cut short leaves behind: keys without certificates.
#[test]
fn lone_keys_are_completed() {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    let keys = [0, 2].map(|at| contents(&own)[at].clone());
    fs::remove_file(own.join("server.pem")).unwrap();
    let report = init(&own, &[]).unwrap();
    assert_eq!(
        actions(&report),
        ["ca.pem kept", "server.key kept", "server.pem created"]
    );
    fs::remove_file(own.join("server.pem")).unwrap();
    fs::remove_file(own.join("ca.pem")).unwrap();
    fs::write(own.join("ca.pem.new"), "left by a crash").unwrap();
    init(&own, &[]).unwrap();
    assert_eq!([0, 2].map(|at| contents(&own)[at].clone()), keys);
}

/// Breaks something; the error names the file and what to do, and nothing is written.
fn check_kept(change: impl FnOnce(&Path), file: &str, problem: &str) {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    change(&own);
    let listing = || {
        let entries = fs::read_dir(&own).unwrap();
        let mut all: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                (path, bytes)
            })
            .collect();
        all.sort();
        all
    };
    let before = listing();
    for result in [init(&own, &[]), renew(&own, &[])] {
        let text = result.unwrap_err().to_string();
        let place = format!("{}: ", own.join(file).display());
        assert!(text.starts_with(&place) && text.contains(problem), "{text}");
    }
    assert_eq!(listing(), before);
}

#[test]
fn broken_files_are_named_and_never_overwritten() {
    let other = || {
        let (dir, own) = folder();
        init(&own, &[]).unwrap();
        (dir, own)
    };
    let remedy = "put the right file back, or remove it";
    for file in ["ca.pem", "ca.key", "server.pem"] {
        let garble = |own: &Path| fs::write(own.join(file), "garbled").unwrap();
        check_kept(garble, file, remedy);
    }
    let remove = |file: &'static str| move |own: &Path| fs::remove_file(own.join(file)).unwrap();
    check_kept(remove("ca.pem"), "ca.pem", "is missing while");
    check_kept(remove("server.key"), "server.key", "is missing while");
    let take = |file: &'static str| {
        move |own: &Path| {
            let (_dir, other) = other();
            fs::copy(other.join(file), own.join(file)).unwrap();
        }
    };
    check_kept(take("ca.key"), "ca.key", "not the key of ca.pem");
    check_kept(take("server.pem"), "server.pem", "was not issued by");
    let leaf_as_ca = |own: &Path| {
        fs::copy(own.join("server.pem"), own.join("ca.pem")).unwrap();
    };
    check_kept(leaf_as_ca, "ca.pem", "not the certificate of an authority");
}

/// The key of the authority may be kept elsewhere; the certificate is served until its end.
#[test]
fn authority_key_may_be_elsewhere() {
    let (_dir, own) = folder();
    init(&own, &[]).unwrap();
    fs::remove_file(own.join("ca.key")).unwrap();
    assert_eq!(
        actions(&init(&own, &[]).unwrap()),
        ["ca.pem kept", "server.pem kept"]
    );
    let late = ensure(&own, &[], SystemTime::now() + DAY * 300, false).unwrap();
    let warning = late.warnings[0].to_string();
    assert!(
        warning.contains("server.pem: is due for renewal, but"),
        "{warning}"
    );
    let error = renew(&own, &[]).unwrap_err().to_string();
    assert!(error.contains("ca.key: is missing while"), "{error}");
}

#[test]
fn bad_names_are_refused_before_anything_is_made() {
    let (_dir, own) = folder();
    let error = init(&own, &names(&["http://broker"])).unwrap_err();
    assert!(
        error.to_string().contains("`http://broker` is neither"),
        "{error}"
    );
    assert!(!own.exists());
}
