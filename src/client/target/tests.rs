use super::*;

fn parse(url: &str) -> Target {
    match Target::parse(url) {
        Ok(target) => target,
        Err(error) => panic!("{url}: {error}"),
    }
}

fn refused(url: &str, words: &str) {
    let error = Target::parse(url).expect_err(url).to_string();
    assert!(error.contains(words), "{url}: {error}");
}

#[test]
fn schemes_and_their_default_ports() {
    for (url, carrier, tls, port) in [
        ("mqtt://h", Carrier::Tcp, false, 1883),
        ("MQTT://h", Carrier::Tcp, false, 1883),
        ("tcp://h", Carrier::Tcp, false, 1883),
        ("mqtts://h", Carrier::Tcp, true, 8883),
        ("ssl://h", Carrier::Tcp, true, 8883),
        ("tls://h:1", Carrier::Tcp, true, 1),
        ("ws://h", Carrier::WebSocket, false, 80),
        ("wss://h", Carrier::WebSocket, true, 443),
        ("https://h", Carrier::WebSocket, true, 443),
        (" wss://h:65535 ", Carrier::WebSocket, true, 65_535),
    ] {
        let target = parse(url);
        let found = (target.carrier, target.tls, target.port);
        assert_eq!(found, (carrier, tls, port), "{url}");
    }
    assert_eq!(parse("wss://h").over_http2().carrier, Carrier::Http2);
    assert_eq!(parse("mqtts://h").over_http2().carrier, Carrier::Tcp);
}

#[test]
fn hosts() {
    for (url, host, authority) in [
        ("mqtt://[::1]:1884", "::1", "[::1]:1884"),
        ("mqtt://[fd00::1]", "fd00::1", "[fd00::1]"),
        ("mqtt://192.0.2.1:1883", "192.0.2.1", "192.0.2.1"),
        (
            "wss://my_broker.example:8443/",
            "my_broker.example",
            "my_broker.example:8443",
        ),
    ] {
        let target = parse(url);
        assert_eq!(
            (target.host.as_str(), target.authority().as_str()),
            (host, authority)
        );
    }
    for (url, is_loopback) in [
        ("mqtt://localhost", true),
        ("mqtt://LOCALHOST.", true),
        ("mqtt://127.9.9.9", true),
        ("mqtt://[::1]", true),
        ("mqtt://localhost.example", false),
        ("mqtt://10.0.0.1", false),
    ] {
        assert_eq!(parse(url).is_loopback(), is_loopback, "{url}");
    }
}

#[test]
fn users_and_passwords_are_decoded_and_never_displayed() {
    let target = parse("wss://me%40home:p%2Fw:%25@h/mqtt");
    assert_eq!(target.username.as_deref(), Some("me@home"));
    assert_eq!(target.password.as_deref(), Some("p/w:%"));
    assert_eq!(target.to_string(), "wss://h/mqtt");
    let target = parse("mqtt://me@h");
    assert_eq!(
        (target.username.as_deref(), target.password),
        (Some("me"), None)
    );
    let target = parse("mqtt://a@b:c@h");
    assert_eq!(target.username.as_deref(), Some("a@b"));
    refused("mqtt://me:%4@h", "write a % itself as %25");
    refused("mqtt://me:%ff@h", "UTF-8");
    refused("mqtt://me:p/w@h", "write / as %2F");
}

#[test]
fn paths_and_topics() {
    for (url, path) in [
        ("wss://h", "/mqtt"),
        ("wss://h/", "/"),
        ("https://h/", "/mqtt"),
        ("https://h/ws", "/ws"),
        ("wss://h?probe=1", "/mqtt?probe=1"),
        ("wss://h/a/b?c=d", "/a/b?c=d"),
    ] {
        assert_eq!(parse(url).path, path, "{url}");
    }
    for (url, topic) in [
        ("mqtt://h", None),
        ("mqtt://h/", None),
        ("mqtt://h/a/b", Some("a/b")),
        ("mqtts://h/demo/#", Some("demo/#")),
        ("mqtt://h/a%20b", Some("a b")),
    ] {
        assert_eq!(parse(url).topic.as_deref(), topic, "{url}");
    }
    refused("wss://h/mqtt#a", "ends in \"#a\"");
    refused("wss://h/a b", "write a space as %20");
}

#[test]
fn what_is_wrong_is_named_with_what_is_expected() {
    refused("localhost", "begins with none of mqtt://");
    refused("", "begins with none of mqtt://");
    refused("htp://h", "the scheme \"htp\" does not lead to a broker");
    refused("mqtt://", "has no host");
    refused("mqtt://:1883", "has no host");
    refused("mqtt://user@", "has no host");
    refused("mqtt://h:0", "the port \"0\" is no number from 1 to 65535");
    refused("mqtt://h:65536", "the port \"65536\"");
    refused("mqtt://h:+1", "the port \"+1\"");
    refused("mqtt://h:", "the port \"\"");
    refused("mqtt://fe80::1", "stands in brackets");
    refused("mqtt://[::1", "stands in brackets");
    refused("mqtt://[h]", "stands in brackets");
    refused("mqtt://[::1]1883", "stands in brackets");
    refused("mqtt://ex ample", "is no host name");
    refused("mqtt://-", "is no host name");
    refused("mqtt://bücher.example", "xn-- form");
}

proptest::proptest! {
    /// Whatever is typed is understood or refused, and what was understood can be typed again.
    #[test]
    fn what_is_displayed_is_understood_again(rest in ".{0,40}", scheme in "(mqtt|wss|https)") {
        if let Ok(target) = Target::parse(&format!("{scheme}://{rest}")) {
            let again = Target::parse(&target.to_string()).expect("displayed");
            proptest::prop_assert_eq!(again.authority(), target.authority());
            proptest::prop_assert_eq!(again.path, target.path);
        }
    }
}
