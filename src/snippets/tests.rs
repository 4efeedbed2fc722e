use super::*;

fn render(id: &str, url: &str, ca: Option<&str>, user: Option<&str>, topic: &str) -> String {
    let target = Target::parse(url).expect("a URL");
    let topic = TopicName::parse(topic).expect("a topic");
    let filling = Filling {
        target: &target,
        ca,
        fetch_ca: ca.map(|_| "curl -kO https://localhost/ca.crt"),
        user,
        topic: &topic,
    };
    let language = Language::by_id(id).expect("a language");
    language.render(&filling).expect("nothing unprintable")
}

const URLS: [&str; 5] = [
    "wss://example.org/mqtt",
    "wss://[2001:db8::1]:8443/ws",
    "ws://localhost:8083",
    "mqtts://example.org:8883",
    "mqtt://localhost:1883",
];

#[test]
fn every_language_is_filled_in_for_every_way_in() {
    for language in ALL {
        for url in URLS {
            for ca in [None, Some("ca.crt")] {
                for user in [None, Some("alice")] {
                    let text = render(language.id, url, ca, user, "demo/hello");
                    let what = format!("{} for {url}:\n{text}", language.id);
                    assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{what}");
                    assert!(!text.contains("{{") && !text.contains("{%"), "{what}");
                    let host = if url.contains("db8") {
                        "2001:db8::1"
                    } else {
                        "localhost"
                    };
                    assert!(
                        text.contains(host) || text.contains("example.org"),
                        "{what}"
                    );
                    // curl shows the addresses where it cannot speak MQTT: without a user, without a topic.
                    let speaks = language.id != "curl" || url.starts_with("mqtt:");
                    assert_eq!(text.contains("alice"), user.is_some() && speaks, "{what}");
                    assert_eq!(text.contains("demo/hello"), speaks, "{what}");
                    let in_browser = language.id == "paho-js";
                    let asks = ["MQTT_PASSWORD", "prompt("]
                        .iter()
                        .any(|way| text.contains(way));
                    assert_eq!(asks, user.is_some() && speaks, "{what}");
                    let needs_ca = ca.is_some() && Target::parse(url).expect("a URL").tls;
                    assert_eq!(text.contains("ca.crt"), needs_ca && !in_browser, "{what}");
                }
            }
        }
    }
}

#[test]
fn the_libraries_get_the_scheme_they_know() {
    let of = |id, url| render(id, url, None, None, "a");
    assert!(of("paho-java", "mqtts://h:8883").contains("\"ssl://h:8883\""));
    assert!(of("paho-go", "mqtt://h").contains("\"tcp://h:1883\""));
    assert!(of("paho-c", "wss://h").contains("\"wss://h/mqtt\""));
    assert!(of("mqttjs", "mqtts://h:8883").contains("\"mqtts://h:8883\""));
    assert!(of("rumqttc", "mqtts://h:8883").contains("\"h\", 8883"));
}

#[test]
fn what_is_filled_in_stays_in_its_string() {
    let topic = r#"a"b\c</script>"#;
    let user = "o'brien $HOME";
    assert!(render("mqttjs", URLS[0], None, None, topic).contains(r#""a\"b\\c</script>""#));
    let html = render("paho-js", URLS[0], None, None, topic);
    assert!(html.contains(r#""a\"b\\c\x3C/script>""#), "{html}");
    let script = render("mosquitto", URLS[0], None, Some(user), "a b");
    assert!(script.contains(r"-u 'o'\''brien $HOME' -P"), "{script}");
    assert!(script.contains("-t 'a b'"), "{script}");
}

#[test]
fn a_control_character_is_refused_by_name() {
    let target = Target::parse(URLS[0]).expect("a URL");
    let topic = TopicName::parse("a").expect("a topic");
    let filling = Filling {
        target: &target,
        ca: None,
        fetch_ca: None,
        user: Some("a\nb"),
        topic: &topic,
    };
    let error = ALL[0].render(&filling).expect_err("a line break");
    assert_eq!(
        error.to_string(),
        "the user name has a control character in it"
    );
}
