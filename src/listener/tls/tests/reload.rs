//! Replacing what is in force, by hand and by watching.

use std::os::unix::fs::symlink;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{watch::Watcher, *};

type Breakage = (&'static str, &'static str, fn(&Files, &Ca));

const BREAKAGES: [Breakage; 6] = [
    ("a.key", "is not the key of", |files, ca| {
        files.write("a.key", ca.issue(&["a.example"]).key);
    }),
    ("a.pem", "expired at", |files, ca| {
        let key = KeyPair::generate().unwrap();
        files.put(
            "a",
            &ca.issue_with(&["a.example"], For::Servers, &key, |params| {
                params.not_after = (SystemTime::now() - DAY).into();
            }),
        );
    }),
    ("a.pem", "not whole PEM", |files, ca| {
        let pair = ca.issue(&["a.example"]);
        files.write("a.pem", &pair.chain[..pair.chain.len() / 2]);
        files.write("a.key", pair.key);
    }),
    ("a.pem", "cannot be read", |files, _| {
        fs::remove_file(files.path("a.pem")).unwrap();
    }),
    ("a.key", "cannot be read", |files, _| {
        fs::remove_file(files.path("a.key")).unwrap();
    }),
    ("clients.pem", "holds no certificate", |files, ca| {
        // A good new certificate does not come in alone.
        files.put("a", &ca.issue(&["a.example"]));
        files.write("clients.pem", "");
    }),
];

#[tokio::test]
async fn any_error_leaves_the_old_set_in_force() {
    for (file, problem, break_it) in BREAKAGES {
        let ca = Ca::new("ca");
        let good = ca.issue(&["a.example"]);
        let mut files = Files::with(&good);
        files.config.client_ca = Some(files.write("clients.pem", ca.0.pem()));
        let metrics = Arc::<Metrics>::default();
        let certificates = Certificates::open(files.config.clone(), Arc::clone(&metrics)).unwrap();
        assert!(metrics.is_last_reload_successful());

        break_it(&files, &ca);
        let text = text(certificates.reload());
        assert!(text.contains(file) && text.contains(problem), "{text}");
        assert_eq!(served(&certificates, &ca, "a.example").await, der(&good));
        assert_eq!(metrics.config_last_reload_successful.get(), 0);
        assert_eq!(metrics.reloads.get(), 1);

        let new = ca.issue(&["a.example"]);
        files.put("a", &new);
        files.write("clients.pem", ca.0.pem());
        assert!(certificates.reload().unwrap().changed);
        assert_eq!(served(&certificates, &ca, "a.example").await, der(&new));
        assert_eq!(metrics.config_last_reload_successful.get(), 1);
        assert_eq!(metrics.reloads.get(), 2);
    }
}

#[tokio::test]
async fn connections_outlive_the_certificate_they_began_with() {
    let ca = Ca::new("ca");
    let files = Files::with(&ca.issue(&["a.example"]));
    let certificates = files.open();
    let (mut near, mut far) = connect(&certificates, OPEN, trusting(&ca), "a.example").await;
    files.put("a", &ca.issue(&["a.example"]));
    certificates.reload().unwrap();
    near.write_all(b"still here").await.unwrap();
    near.flush().await.unwrap();
    let mut bytes = [0; 10];
    far.stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"still here");
}

#[test]
fn expiry_is_published_by_name() {
    let ca = Ca::new("ca");
    let mut files = Files::with(&ca.issue(&["a.example", "other.example"]));
    files.add("b", &ca.issue(&["b.example"]));
    let metrics = Arc::<Metrics>::default();
    let certificates = Certificates::open(files.config.clone(), Arc::clone(&metrics)).unwrap();
    let names = || {
        let mut all = metrics.cert_expiry.all();
        all.sort();
        let end = certificates.summary().certificates[0].not_after.0;
        assert_eq!(all[0].1, end);
        all.into_iter()
            .map(|(name, _)| name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["a.example", "b.example"]);
    files.put("b", &ca.issue(&["c.example"]));
    certificates.reload().unwrap();
    assert_eq!(names(), ["a.example", "c.example"]);
}

#[tokio::test]
async fn new_configuration_is_in_force_once_installed() {
    let ca = Ca::new("ca");
    let (old, new) = (ca.issue(&["a.example"]), ca.issue(&["a.example"]));
    let files = Files::with(&old);
    let certificates = files.open();
    let other = Files::with(&new);
    let prepared = Certificates::prepare(other.config.clone()).unwrap();
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&old));
    assert!(certificates.install(prepared).changed);
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&new));
    // From now on the new files are those that count.
    files.write("a.pem", "");
    assert!(!certificates.reload().unwrap().changed);
}

/// Replaces the certificate in one way; two looks later, which is a second, the next client is shown the new one.
async fn check_noticed(replace: impl FnOnce(&Files, &Pair)) {
    let ca = Ca::new("ca");
    let (old, new) = (ca.issue(&["a.example"]), ca.issue(&["a.example"]));
    let mut files = Files::new();
    // As Kubernetes lays out a secret: files → folder of now → folder of a date.
    fs::create_dir(files.path("day-1")).unwrap();
    files.write("day-1/a.pem", &old.chain);
    files.write("day-1/a.key", &old.key);
    symlink("day-1", files.path("now")).unwrap();
    symlink("now/a.pem", files.path("a.pem")).unwrap();
    symlink("now/a.key", files.path("a.key")).unwrap();
    files.config.certificates.push(CertificateFiles {
        chain: files.path("a.pem"),
        key: files.path("a.key"),
    });
    let certificates = files.open();
    let mut watcher = Watcher::default();
    watcher.poll(&certificates);
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&old));

    replace(&files, &new);
    watcher.poll(&certificates);
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&old));
    watcher.poll(&certificates);
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&new));
}

#[tokio::test]
async fn renamed_files_are_noticed() {
    check_noticed(|files, new| {
        files.put("new", new);
        fs::rename(files.path("new.pem"), files.path("a.pem")).unwrap();
        fs::rename(files.path("new.key"), files.path("a.key")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn swapped_symlink_is_noticed() {
    check_noticed(|files, new| {
        fs::create_dir(files.path("day-2")).unwrap();
        files.write("day-2/a.pem", &new.chain);
        files.write("day-2/a.key", &new.key);
        symlink("day-2", files.path("next")).unwrap();
        fs::rename(files.path("next"), files.path("now")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn rewriting_in_place_is_noticed() {
    check_noticed(|files, new| drop(files.put("a", new))).await;
}

#[tokio::test]
async fn files_are_loaded_once_they_rest() {
    let ca = Ca::new("ca");
    let (old, new) = (ca.issue(&["a.example"]), ca.issue(&["a.example"]));
    let files = Files::with(&old);
    let metrics = Arc::<Metrics>::default();
    let certificates = Certificates::open(files.config.clone(), Arc::clone(&metrics)).unwrap();
    let mut watcher = Watcher::default();
    // The chain comes first, in two halves, and the key only then: none of it is tried.
    let half = new.chain.len() / 2;
    for end in [half, new.chain.len()] {
        files.write("a.pem", &new.chain[..end]);
        watcher.poll(&certificates);
    }
    files.write("a.key", &new.key);
    watcher.poll(&certificates);
    assert_eq!(metrics.reloads.get(), 0);
    watcher.poll(&certificates);
    assert_eq!(metrics.reloads.get(), 1);
    assert_eq!(metrics.config_last_reload_successful.get(), 1);
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&new));
}

#[tokio::test]
async fn failure_is_counted_once_and_tried_again() {
    let ca = Ca::new("ca");
    let old = ca.issue(&["a.example"]);
    let files = Files::with(&old);
    let metrics = Arc::<Metrics>::default();
    let certificates = Certificates::open(files.config.clone(), Arc::clone(&metrics)).unwrap();
    let mut watcher = Watcher::default();
    let whole = fs::read(files.path("a.pem")).unwrap();
    files.write("a.pem", "");
    for _ in 0..100 {
        watcher.poll(&certificates);
    }
    assert_eq!(metrics.reloads.get(), 1);
    assert_eq!(metrics.config_last_reload_successful.get(), 0);
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&old));
    // Back as it was: nothing in force changes, but the failure is over.
    files.write("a.pem", whole);
    watcher.poll(&certificates);
    watcher.poll(&certificates);
    assert_eq!(metrics.config_last_reload_successful.get(), 1);
    assert_eq!(metrics.reloads.get(), 2);
}

/// A touched file is read, found to be the same, and not worth a word.
#[test]
fn same_content_is_no_change() {
    let ca = Ca::new("ca");
    let pair = ca.issue(&["a.example"]);
    let files = Files::with(&pair);
    let certificates = files.open();
    files.put("a", &pair);
    assert!(!certificates.reload().unwrap().changed);
}

#[tokio::test(start_paused = true)]
async fn change_is_in_force_within_two_seconds() {
    let ca = Ca::new("ca");
    let files = Files::with(&ca.issue(&["a.example"]));
    let certificates = files.open();
    let watch = tokio::spawn(Arc::clone(&certificates).watch());
    tokio::time::sleep(Duration::from_millis(750)).await;
    let new = ca.issue(&["a.example"]);
    files.put("a", &new);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(served(&certificates, &ca, "a.example").await, der(&new));
    watch.abort();
}

#[tokio::test]
async fn renewed_certificate_of_our_own_is_noticed() {
    let files = Files::new();
    let certificates = files.open();
    let mut watcher = Watcher::default();
    watcher.poll(&certificates);
    let before = certificates.summary().certificates[0].fingerprint.clone();
    own::renew(&files.config.own_dir, &files.config.own_names).unwrap();
    watcher.poll(&certificates);
    watcher.poll(&certificates);
    let after = certificates.summary().certificates[0].fingerprint.clone();
    assert_ne!(before, after);
}
