//! What every proxy is held to, in every way it is used.

use std::time::Duration;

use tokio::{io::AsyncReadExt, io::AsyncWriteExt, time::timeout};

use crate::{
    proxy::IDLE_LIMIT,
    script,
    setup::{ANOTHER_SITE, CLIENT, RETRY_INTERVAL, Row, Setup, Way, accepted, tcp},
    support::{Client, Stream, http1, upgrade, within},
};

/// More than twice what a proxy puts up with.
const LONG: Duration = Duration::from_secs(2 * IDLE_LIMIT + 2);

/// Nobody's address: what a client claims to come from.
const FORGED: &str = "203.0.113.9";

/// Everything that can come through does.
async fn everything_comes_through(row: Row) {
    let setup = Setup::start(row).await;
    for path in ["/", "/mqtt"] {
        setup
            .wss_with(path, &[], "browser")
            .await
            .disconnect()
            .await;
    }
    let mut page = Stream::Tls(Box::new(setup.tls(&[b"http/1.1"]).await));
    let answer = http1::get(&mut page, "/livez").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    script::page_by_http2(&setup, setup.port()).await;
    if row.way == Way::Termination {
        return;
    }
    for alpn in [&[b"mqtt".as_slice()][..], &[]] {
        let stream = Stream::Tls(Box::new(setup.tls(alpn).await));
        accepted(stream, "device").await.disconnect().await;
    }
    // ALPN leads to the broker whatever the name, and the name whatever the ALPN.
    for protocol in ["mqtt", "x-amzn-mqtt-ca"] {
        let stream = setup.tls_as(ANOTHER_SITE, &[protocol.as_bytes()]).await;
        let device = accepted(Stream::Tls(Box::new(stream)), "device").await;
        device.disconnect().await;
    }
    let site = setup.tls_as(ANOTHER_SITE, &[b"http/1.1"]).await;
    let answer = http1::get(&mut Stream::Tls(Box::new(site)), "/").await;
    assert_eq!(answer.text(), "another site");
}

async fn mqttjs(row: Row) {
    let setup = Setup::start(row).await;
    script::scenario(&setup, &setup.url("wss", "/mqtt")).await;
    if row.way == Way::Passthrough {
        script::scenario(&setup, &setup.url("mqtts", "")).await;
    }
}

/// The broker sees where clients come from, and believes nobody who says it himself.
async fn the_real_address_is_seen(row: Row) {
    let setup = Setup::start(row).await;
    let client = CLIENT.to_string();
    let forwarded = format!("for={FORGED}");
    let headers = [
        ("x-forwarded-for", FORGED),
        ("forwarded", forwarded.as_str()),
    ];
    let claims: [(&str, &[(&'static str, &str)]); 4] = [
        ("honest", &[]),
        ("x-forwarded-for", &headers[..1]),
        ("forwarded", &headers[1..]),
        ("both", &headers),
    ];
    for (name, headers) in claims {
        let _connected = setup.wss_with("/mqtt", headers, name).await;
        assert_eq!(setup.broker.source_of(name).await, client, "{name}");
    }
    if row.way == Way::Passthrough {
        let _connected = setup.mqtts("device").await;
        assert_eq!(setup.broker.source_of("device").await, client);
    }
}

/// Neither the proxy nor the broker takes a PROXY header from a client, and the broker none of its claims past the proxy.
async fn forged_headers_are_refused(row: Row) {
    let setup = Setup::start(row).await;
    let header = format!("PROXY TCP4 {FORGED} 198.51.100.1 4711 443\r\n");
    for port in [setup.port(), setup.ports.broker[0], setup.ports.broker[1]] {
        let mut stream = tcp(port).await;
        // It may be closed already.
        let _ = stream.write_all(header.as_bytes()).await;
        let _ = stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{port}: {answer}");
    }
    let request = {
        let mut request = upgrade(
            &format!("ws://localhost:{}/mqtt", setup.ports.broker[1]),
            "mqtt",
        );
        let forged = FORGED.parse().expect("a value");
        request.headers_mut().append("x-forwarded-for", forged);
        request
    };
    let stream = Stream::upgrade(Box::new(tcp(setup.ports.broker[1]).await), request).await;
    let _past_the_proxy = accepted(stream.expect("an upgrade"), "past").await;
    assert_eq!(setup.broker.source_of("past").await, CLIENT.to_string());
}

/// The broker's PINGs keep a silent WebSocket, keep alive keeps MQTT.
async fn who_is_idle_stays(row: Row) {
    let setup = Setup::start(row).await;
    let seconds = LONG.as_secs();
    let (wss, mqtts) = (setup.url("wss", "/mqtt"), setup.url("mqtts", ""));
    let websocket = async {
        let mut client = setup.wss("silent").await;
        let silence = timeout(LONG, client.stream.read()).await;
        assert!(silence.is_err(), "{silence:?}");
        client.expect_nothing().await;
    };
    let raw = async {
        if row.way == Way::Passthrough {
            script::idle(&setup, &mqtts, seconds, 1).await;
        }
    };
    tokio::join!(websocket, raw, script::idle(&setup, &wss, seconds, 60));
}

/// The limit is there: without PINGs and keep alive it ends them.
async fn who_is_silent_is_cut(row: Row) {
    let setup = Setup::start_with(row, "[websocket]\nping_interval = \"1h\"\n").await;
    assert_eq!(setup.wss("silent").await.expect_end().await, []);
    if row.way == Way::Passthrough {
        assert_eq!(setup.mqtts("silent").await.expect_end().await, []);
    }
}

/// New connections are shown the new certificate, running ones stay.
async fn certificates_change(row: Row) {
    let setup = Setup::start(row).await;
    let before = setup.certificate().await;
    let mut clients = vec![setup.wss("browser").await];
    let renewed = match row.way {
        Way::Passthrough => {
            clients.push(setup.mqtts("device").await);
            // The broker sees it by itself.
            setup.renew("gatemq")
        }
        Way::Termination => {
            let renewed = setup.renew("proxy");
            setup.proxy.reload().await;
            renewed
        }
    };
    assert_ne!(before, renewed);
    within(async {
        while setup.certificate().await != renewed {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    })
    .await;
    if row.keeps_clients {
        still_there(&mut clients).await;
    }
    setup.wss("another").await.disconnect().await;
}

/// Even a passthrough, which has no certificate, is reloaded some day.
async fn a_reload_of_the_proxy_keeps_clients(row: Row) {
    let setup = Setup::start(row).await;
    let mut clients = vec![setup.wss("browser").await, setup.mqtts("device").await];
    setup.proxy.reload().await;
    for number in 0..5 {
        let client_id = format!("after-{number}");
        clients.push(setup.mqtts(&client_id).await);
    }
    still_there(&mut clients).await;
}

async fn still_there(clients: &mut [Client]) {
    for client in clients {
        client.expect_nothing().await;
    }
}

/// A test for each check of a row.
macro_rules! row {
    ($name:ident, $row:expr, [$($check:ident),* $(,)?]) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $check() {
                    super::$check($row).await;
                }
            )*
        }
    };
}

row!(
    nginx_passthrough,
    crate::setup::NGINX_PASSTHROUGH,
    [
        everything_comes_through,
        mqttjs,
        the_real_address_is_seen,
        forged_headers_are_refused,
        who_is_idle_stays,
        who_is_silent_is_cut,
        certificates_change,
        a_reload_of_the_proxy_keeps_clients,
    ]
);
row!(
    nginx_termination,
    crate::setup::NGINX_TERMINATION,
    [
        everything_comes_through,
        mqttjs,
        the_real_address_is_seen,
        forged_headers_are_refused,
        who_is_idle_stays,
        who_is_silent_is_cut,
        certificates_change,
    ]
);
row!(
    haproxy_passthrough,
    crate::setup::HAPROXY_PASSTHROUGH,
    [
        everything_comes_through,
        mqttjs,
        the_real_address_is_seen,
        forged_headers_are_refused,
        who_is_idle_stays,
        who_is_silent_is_cut,
        certificates_change,
        a_reload_of_the_proxy_keeps_clients,
    ]
);
row!(
    haproxy_termination,
    crate::setup::HAPROXY_TERMINATION,
    [
        everything_comes_through,
        mqttjs,
        the_real_address_is_seen,
        forged_headers_are_refused,
        who_is_idle_stays,
        who_is_silent_is_cut,
        certificates_change,
    ]
);
// It has no limit that would cut who is silent.
row!(
    caddy_termination,
    crate::setup::CADDY_TERMINATION,
    [
        everything_comes_through,
        mqttjs,
        the_real_address_is_seen,
        forged_headers_are_refused,
        who_is_idle_stays,
        certificates_change,
    ]
);
