//! `gatemq snippet`: what it prints, and what it says of a mistake. That the programs run is for the interop tests.

use crate::support::Folder;

#[test]
fn without_a_name_it_lists_what_there_is() {
    let listed = Folder::new().run(&["snippet"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(
        listed.out.contains("paho-python  Paho Python\n"),
        "{listed:?}"
    );
}

#[test]
fn it_is_filled_with_the_listener_and_the_authority_of_the_configuration() {
    let folder = Folder::with("[[listener]]\nbind = \"127.0.0.1:9443\"\n");
    let printed = folder.run(&["snippet", "mqttjs", "-u", "alice", "-t", "a/b"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    for part in [
        "\"wss://localhost:9443/mqtt\"",
        "certs/ca.pem\"",
        "\"alice\"",
        "\"a/b\"",
    ] {
        assert!(printed.out.contains(part), "no {part} in {printed:?}");
    }
}

#[test]
fn a_url_goes_before_the_configuration() {
    let printed = Folder::new().run(&["snippet", "paho-python", "mqtts://example.org"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.out.contains("\"example.org\", 8883"), "{printed:?}");
    assert!(printed.out.contains("tls_set()"), "{printed:?}");
}

#[test]
fn a_mistake_is_named() {
    for (arguments, named) in [
        (&["snippet", "cobol"][..], "paho-python"),
        (&["snippet", "mqttjs", "gopher://a"], "gopher"),
        (&["snippet", "mqttjs", "-t", "a/#"], "--topic"),
    ] {
        let refused = Folder::new().run(arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(named), "{refused:?}");
    }
}
