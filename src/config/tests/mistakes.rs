//! Every kind of mistake, and the text it is told in.

use std::{path::Path, time::Duration};

use super::{errors, file, load_at};
use crate::config::{Config, Overrides};

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(errors(text, &[], &Overrides::default()), expected);
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
    check(
        "[[listener]]\nbind = ':443'\n  tls_cert = 'a.pem'",
        r#"gatemq.toml:3:3: unknown key "tls_cert" in [[listener]]
      tls_cert = 'a.pem'
      ^^^^^^^^
    did you mean chain in [[tls.certificate]]?"#,
    );
    check(
        "allow_anonymous = true",
        r#"gatemq.toml:1:1: unknown key "allow_anonymous" at the top level
    allow_anonymous = true
    ^^^^^^^^^^^^^^^
    did you mean allow_anonymous in [mqtt]?"#,
    );
    check(
        "[listeners]\nbind = ':1'",
        r#"gatemq.toml:1:2: unknown section "listeners"
    [listeners]
     ^^^^^^^^^
    did you mean [[listener]]?"#,
    );
    check(
        "[tls.certificates]\nchain = 'x'",
        r#"gatemq.toml:1:6: unknown section "certificates" in [tls]
    [tls.certificates]
         ^^^^^^^^^^^^
    did you mean [[tls.certificate]]?"#,
    );
}

#[test]
fn a_section_in_the_wrong_brackets_is_told() {
    check(
        "[listener]\nbind = ':1'",
        "gatemq.toml:1:1: listener: one section, where there may be several\n    [listener]\n    ^^^^^^^^^^\n    write [[listener]], in double brackets",
    );
    check(
        "[[mqtt]]\nmax_sessions = 1",
        "gatemq.toml:1:1: mqtt: expected the section [mqtt], found a list\n    [[mqtt]]\n    ^^^^^^^^",
    );
    check(
        "tls = true",
        "gatemq.toml:1:7: tls: expected the section [tls], found true or false\n    tls = true\n          ^^^^",
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    check(
        "threads = '4'",
        "gatemq.toml:1:11: threads: expected a whole number, found text\n    threads = '4'\n              ^^^\n    did you mean 4, without quotes?",
    );
    check(
        "threads = 1.5",
        "gatemq.toml:1:11: threads: expected a whole number, found a number with a fraction\n    threads = 1.5\n              ^^^",
    );
    check(
        "threads = [1]",
        "gatemq.toml:1:11: threads: expected a whole number, found a list\n    threads = [1]\n              ^^^",
    );
    check(
        "drain_timeout = 30",
        "gatemq.toml:1:17: drain_timeout: 30 has no unit\n    drain_timeout = 30\n                    ^^\n    did you mean \"30s\"?",
    );
    check(
        "[mqtt]\nallow_anonymous = 'no'",
        "gatemq.toml:2:19: allow_anonymous: expected true or false, found text\n    allow_anonymous = 'no'\n                      ^^^^\n    did you mean false, without quotes?",
    );
    check(
        "[queue]\nwhen_full = 'drop_oldest'",
        "gatemq.toml:2:13: when_full: \"drop_oldest\" is none of \"drop-oldest\", \"drop-newest\", \"disconnect\"\n    when_full = 'drop_oldest'\n                ^^^^^^^^^^^^^\n    did you mean \"drop-oldest\"?",
    );
    check(
        "[[listener]]\nbind = ':1'\nprotocols = ['mqtt', 'htp']",
        "gatemq.toml:3:22: protocols: \"htp\" is none of \"mqtt\", \"websocket\", \"http\"\n    protocols = ['mqtt', 'htp']\n                         ^^^^^\n    did you mean \"http\"?",
    );
}

#[test]
fn a_value_out_of_its_range_is_refused() {
    check(
        "threads = 0",
        "gatemq.toml:1:11: threads must be 1 to 1024\n    threads = 0\n              ^",
    );
    check(
        "[mqtt]\nreceive_maximum = 65536",
        "gatemq.toml:2:19: receive_maximum must be 1 to 65535\n    receive_maximum = 65536\n                      ^^^^^",
    );
    check(
        "[mqtt]\nmax_packet_size = '300MiB'",
        "gatemq.toml:2:19: max_packet_size must be 1KiB to 256MiB\n    max_packet_size = '300MiB'\n                      ^^^^^^^^",
    );
    check(
        "[websocket]\nping_interval = '0s'",
        "gatemq.toml:2:17: ping_interval must be 1s to 1h\n    ping_interval = '0s'\n                    ^^^^",
    );
    check(
        "[mqtt]\nmax_keep_alive = '1s'",
        "gatemq.toml:2:18: max_keep_alive must be 5s to 65535s\n    max_keep_alive = '1s'\n                     ^^^^",
    );
    check(
        "[mqtt]\nsession_expiry_max = '200000w'",
        "gatemq.toml:2:22: session_expiry_max must be 0s to 4294967294s\n    session_expiry_max = '200000w'\n                         ^^^^^^^^^",
    );
}

#[test]
fn ranges_include_their_ends() {
    let config = file(
        "threads = 1024\n[mqtt]\nreceive_maximum = 65535\nmax_packet_size = '256MiB'\nsession_expiry_max = 0",
    );
    assert_eq!(
        (config.threads, config.mqtt.receive_maximum),
        (1024, 65_535)
    );
    assert_eq!(config.mqtt.max_packet_size, 256 << 20);
    assert_eq!(config.mqtt.session_expiry_max, Duration::ZERO);
}

#[test]
fn a_bad_address_is_refused() {
    check(
        "[[listener]]\nbind = 'localhost:1883'",
        "gatemq.toml:2:8: bind: localhost is a name, and may be two addresses\n    bind = 'localhost:1883'\n           ^^^^^^^^^^^^^^^^\n    did you mean \"127.0.0.1:1883\" or \"[::1]:1883\"?",
    );
    check(
        "[[listener]]\nbind = ':1'\ntrusted_proxies = ['10.0.0.0/40']",
        "gatemq.toml:3:20: trusted_proxies: \"10.0.0.0/40\" is not an address or a network\n    trusted_proxies = ['10.0.0.0/40']\n                       ^^^^^^^^^^^^^\n    write it like \"192.0.2.7\", \"10.0.0.0/8\" or \"fd00::/8\"",
    );
}

#[test]
fn the_path_of_a_unix_socket_fits_the_system_call() {
    let at = |length: usize| format!("[[listener]]\nbind = 'unix:/{}'", "x".repeat(length - 1));
    assert_eq!(file(&at(107)).listeners.len(), 1);
    let text = errors(at(108), &[], &Overrides::default());
    assert!(
        text.starts_with(
            "gatemq.toml:2:8: bind: the path of a Unix socket has at most 107 bytes\n"
        ),
        "{text}"
    );
}

#[test]
fn two_listeners_at_one_address_are_refused() {
    check(
        "[[listener]]\nbind = ':1883'\n[[listener]]\nbind = '[::]:1883'",
        "gatemq.toml:4:8: [::]:1883 has a listener already\n    bind = '[::]:1883'\n           ^^^^^^^^^^^",
    );
    let free = file("[[listener]]\nbind = '127.0.0.1:0'\n[[listener]]\nbind = '127.0.0.1:0'");
    assert_eq!(free.listeners.len(), 2);
}

#[test]
fn what_a_section_cannot_do_without_is_asked_for() {
    check(
        "[[listener]]\ntls = true",
        "gatemq.toml:1:1: bind is missing in [[listener]]\n    [[listener]]\n    ^^^^^^^^^^^^",
    );
    check(
        "[[tls.certificate]]\nchain = 'c.pem'",
        "gatemq.toml:1:1: key is missing in [[tls.certificate]]\n    [[tls.certificate]]\n    ^^^^^^^^^^^^^^^^^^^",
    );
}

#[test]
fn what_cannot_be_said_together_is_refused() {
    check(
        "[[listener]]\nbind = ':443'\nclient_certificates = 'required'",
        "gatemq.toml:3:23: client_certificates: there is no CA to check them with\n    client_certificates = 'required'\n                          ^^^^^^^^^^\n    set client_ca in [tls] to the certificates of the CA that issues them",
    );
    check(
        "[[listener]]\nbind = ':1883'\nclient_certificates = 'optional'\n[tls]\nclient_ca = 'ca.pem'",
        "gatemq.toml:3:23: client_certificates: there are none without TLS\n    client_certificates = 'optional'\n                          ^^^^^^^^^^\n    set tls = true",
    );
    check(
        "[[listener]]\nbind = ':443'\nproxy_protocol = 'optional'\ntrusted_proxies = []",
        "gatemq.toml:3:18: proxy_protocol: no proxy is trusted to send it\n    proxy_protocol = 'optional'\n                     ^^^^^^^^^^\n    set trusted_proxies to the addresses of the proxies, like [\"10.0.0.0/8\"]",
    );
    check(
        "[[listener]]\nbind = ':443'\nprotocols = []",
        "gatemq.toml:3:13: protocols: the list is empty, nothing could be spoken\n    protocols = []\n                ^^\n    leave it out to speak all of them",
    );
    check(
        "[tls]\ncrl = ['crl.pem']",
        "gatemq.toml:2:7: crl: without client_ca there are no client certificates to revoke\n    crl = ['crl.pem']\n          ^^^^^^^^^^^\n    set client_ca to the certificates of the CA that issues them",
    );
}

#[test]
fn everything_is_told_at_once_and_in_order() {
    let text = "threads = 0\nzebra = 1\n[mqtt\n";
    assert!(
        errors(text, &[], &Overrides::default())
            .starts_with("gatemq.toml:3:6: the closing ] is missing")
    );
    let text =
        "data_dir = \"x\nthreads = 0\nzebra = 1\n[[listener]]\nbind : 443\n[log]\nfilter = loud";
    let environment = [
        ("GATEMQ_MQTT__MAX_SESSIONS", "0"),
        ("GATEMQ_MQTT__RECEIVE", "1"),
    ];
    let all = errors(text, &environment, &Overrides::default());
    let heads: Vec<_> = all.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        heads,
        [
            "gatemq.toml:1:14: the closing quote is missing",
            "gatemq.toml:2:11: threads must be 1 to 1024",
            "gatemq.toml:3:1: unknown key \"zebra\" at the top level",
            "gatemq.toml:5:6: there is no = after the key",
            "gatemq.toml:7:10: loud is text without quotes",
            "GATEMQ_MQTT__RECEIVE: unknown key \"receive\" in [mqtt]",
            "GATEMQ_MQTT__MAX_SESSIONS: max_sessions must be 1 to 1000000000",
        ]
    );
}

#[test]
fn a_wrong_value_is_not_taken_for_an_absent_one() {
    let text = "[[listener]]\nbind = 'localhost:1'\nclient_certificates = 'required'\ntls = true\nproxy_protocol = 'required'\ntrusted_proxies = ['x']\n[tls]\nclient_ca = 5\n[[tls.certificate]]\nchain = 1\nkey = 2";
    let all = errors(text, &[], &Overrides::default());
    let lines: Vec<_> = all
        .lines()
        .filter_map(|line| line.strip_prefix("gatemq.toml:")?.split(':').next())
        .collect();
    assert_eq!(lines, ["2", "6", "8", "10", "11"], "{all}");
}

#[test]
fn errors_in_the_environment_name_the_variable() {
    let environment = [
        ("GATEMQ_LISTENER__0__BIND", ":1"),
        ("GATEMQ_LISTENER__0__PROTOCOLS", "mqtt, htp"),
    ];
    assert_eq!(
        errors("", &environment, &Overrides::default()),
        "GATEMQ_LISTENER__0__PROTOCOLS: protocols: \"htp\" is none of \"mqtt\", \"websocket\", \"http\"\n    GATEMQ_LISTENER__0__PROTOCOLS=mqtt, htp\n                                        ^^^\n    did you mean \"http\"?"
    );
    let environment = [("GATEMQ_LISTENER__0__TLS", "true")];
    assert_eq!(
        errors("", &environment, &Overrides::default()),
        "GATEMQ_LISTENER__0__TLS: bind is missing in [[listener]]\n    GATEMQ_LISTENER__0__TLS=true\n    ^^^^^^^^^^^^^^^^^^^^^^^"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let nothing = std::iter::empty::<(String, String)>;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let load = |path: &Path| Config::load(Some(path), nothing(), &Overrides::default());
    let expected = format!(
        "{}: cannot be read: No such file or directory (os error 2)\n    without -c, gatemq.toml in the working directory is read if it is there",
        path.display()
    );
    assert_eq!(load(&path).unwrap_err().to_string(), expected);
    assert!(
        load(folder.path())
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    let endless = load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert_eq!(
        endless,
        "/dev/zero: is larger than 1MiB, which no configuration is"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_told_where() {
    assert_eq!(
        errors(b"# ok\n# caf\xe9\n", &[], &Overrides::default()),
        "gatemq.toml:2:6: this is not UTF-8\n    # caf\u{fffd}\n         ^\n    save the file as UTF-8"
    );
}

#[test]
fn a_file_that_leads_nowhere_is_not_the_absence_of_one() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("absent", folder.path().join("gatemq.toml")).unwrap();
    let errors = load_at(folder.path(), &[], &Overrides::default()).unwrap_err();
    assert!(errors.to_string().contains("cannot be read"), "{errors}");
}

#[test]
fn a_byte_order_mark_and_windows_lines_are_fine() {
    assert_eq!(
        file("\u{feff}threads = 2\r\n[mqtt]\r\nmax_sessions = 3\r\n").threads,
        2
    );
}
