//! A new configuration under running connections: all of it or nothing.

use std::{net::SocketAddr, net::TcpListener as StdTcpListener, time::Duration};

use gatemq::{
    message::QoS,
    mqtt::packet::{ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Carrier, Client, Stream, connect, http1, until, within};

fn listener(addr: impl std::fmt::Display, tls: bool) -> String {
    format!("[[listener]]\nbind = \"{addr}\"\ntls = {tls}\n")
}

/// A port that nobody listens on; others may take it meanwhile, which the range of free ports makes unlikely.
fn free_addr() -> SocketAddr {
    let socket = StdTcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address")
}

async fn accepted(addr: SocketAddr, client_id: &str) -> Client {
    let stream = Stream::tcp(addr).await.expect("connected");
    let mut client = Client::new(stream, ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, client_id))
        .await;
    client
}

async fn check_there_and_back(client: &mut Client) {
    client.publish("t", "x", QoS::AtLeastOnce).await;
    client.expect_message("t", "x").await;
}

/// Nobody listens there any more, as soon as the accept loops have ended.
async fn check_closed(addr: SocketAddr) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while let Ok(stream) = Stream::tcp(addr).await {
        stream.abort().await;
        assert!(tokio::time::Instant::now() < deadline, "still listening");
    }
}

#[tokio::test]
async fn listeners_come_and_go() {
    let [first, second] = [free_addr(), free_addr()];
    let broker = Broker::start_with(&listener(first, false));
    let mut client = accepted(first, "first").await;
    client.subscribe("t", QoS::AtLeastOnce).await;

    let both = listener(second, false) + &listener(first, false);
    let report = broker.reload(&both).expect("reloaded");
    assert_eq!(report.changed, ["listeners"]);
    accepted(second, "second").await;
    accepted(first, "third").await;
    let order: Vec<String> = broker
        .app()
        .local_addrs()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(order, [second.to_string(), first.to_string()]);

    broker.reload(&listener(second, false)).expect("reloaded");
    check_closed(first).await;
    // Who came in by a listener that is gone stays.
    check_there_and_back(&mut client).await;
    let mut other = accepted(second, "other").await;
    other.publish("t", "from the other", QoS::AtLeastOnce).await;
    client.expect_message("t", "from the other").await;

    broker.reload(&both).expect("reloaded");
    accepted(first, "again").await;
    check_there_and_back(&mut client).await;
}

/// A listener that stays where it is takes on its new settings for connections to come.
#[tokio::test]
async fn a_listener_is_changed() {
    let addr = free_addr();
    let broker = Broker::start_with(&listener(addr, false));
    let mut client = accepted(addr, "plain").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    broker.reload(&listener(addr, true)).expect("reloaded");
    let stream = Stream::tls(addr, &broker.ca_path(), &[b"mqtt"]).await;
    let mut secure = Client::new(stream.expect("a handshake"), ProtocolVersion::V5);
    secure
        .expect_accepted(connect(ProtocolVersion::V5, "secure"))
        .await;
    check_there_and_back(&mut client).await;
    let narrowed = listener(addr, false) + "protocols = [\"http\"]\n";
    broker.reload(&narrowed).expect("reloaded");
    let mut stream = Stream::tcp(addr).await.expect("connected");
    stream.write(b"\x10\x0c\0\x04MQTT").await.expect("written");
    assert_eq!(within(stream.read()).await, b"");
    let mut stream = Stream::tcp(addr).await.expect("connected");
    assert_eq!(http1::get(&mut stream, "/livez").await.status, 200);
    check_there_and_back(&mut client).await;
    secure.expect_nothing().await;
}

/// From loopback to every address and back, on the same port: the broker is not in its own way.
#[tokio::test]
async fn a_listener_moves_to_another_address_of_its_port() {
    let addr = free_addr();
    let everywhere = SocketAddr::from(([0, 0, 0, 0], addr.port()));
    let broker = Broker::start_with(&format!("threads = 2\n{}", listener(addr, false)));
    let mut client = accepted(addr, "c").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let reload = |listener: String| broker.reload(&format!("threads = 2\n{listener}"));
    reload(listener(everywhere, false)).expect("reloaded");
    assert_eq!(
        broker.app().local_addrs()[0].to_string(),
        everywhere.to_string()
    );
    let mut attempts = 0;
    loop {
        attempts += 1;
        assert!(attempts < 100);
        // The old sockets may still have a connection in their backlog, which ends with them.
        let Ok(stream) = Stream::tcp(addr).await else {
            continue;
        };
        let mut other = Client::new(stream, ProtocolVersion::V5);
        let wanted = connect(ProtocolVersion::V5, "other");
        let bytes = other.encode(&gatemq::mqtt::packet::Packet::Connect(Box::new(wanted)));
        if other.stream.write(&bytes).await.is_ok() && other.receive().await.is_some() {
            break;
        }
    }
    check_there_and_back(&mut client).await;
    reload(listener(addr, false)).expect("reloaded");
    assert_eq!(broker.app().local_addrs()[0].to_string(), addr.to_string());
    check_there_and_back(&mut client).await;
}

/// One of several things is wrong: nothing changes, and all that is wrong is said.
#[tokio::test]
async fn all_or_nothing() {
    let [addr, new] = [free_addr(), free_addr()];
    let another = StdTcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = another.local_addr().expect("an address").to_string();
    let before = format!("[limits]\nmax_connections = 7\n{}", listener(addr, false));
    let broker = Broker::start_with(&before);
    let config = broker.app().config();
    let mut client = accepted(addr, "c").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    std::fs::write(broker.folder().join("broken.pem"), "no certificate").expect("written");
    let certificate = "[[tls.certificate]]\nchain = \"broken.pem\"\nkey = \"broken.pem\"\n";
    let limits = "sys_interval = \"1s\"\n[limits]\nmax_connections = 1\n";
    for (wrong, words) in [
        (
            listener(&taken, false),
            &[&*taken, "another process listens there"][..],
        ),
        (certificate.to_owned(), &["broken.pem"]),
        (
            certificate.to_owned() + &listener(&taken, false),
            &["broken.pem", "another process listens there"],
        ),
    ] {
        let toml = format!("{limits}{wrong}{}", listener(new, false));
        let failed = broker.reload(&toml).expect_err("something is wrong");
        for word in words {
            assert!(failed.to_string().contains(word), "{word}: {failed}");
        }
        assert_eq!(broker.app().config(), config);
        let metrics = broker.app().metrics();
        assert!(!metrics.is_last_reload_successful());
        assert_eq!(
            metrics.last_reload_error.lock().as_deref(),
            Some(&*failed.to_string())
        );
        // What was prepared is given up: the port is free, and the limits are the old ones.
        check_closed(new).await;
        check_there_and_back(&mut client).await;
        accepted(addr, "second").await;
    }
    broker.reload(&before).expect("reloaded");
    assert!(broker.app().metrics().last_reload_error.lock().is_none());
}

/// New limits are for connections to come.
#[tokio::test]
async fn limits_are_changed() {
    let addr = free_addr();
    let with = |limit: usize| {
        format!(
            "[limits]\nmax_connections = {limit}\n{}",
            listener(addr, false)
        )
    };
    let broker = Broker::start_with(&with(3));
    let mut clients = Vec::new();
    for name in ["1", "2", "3"] {
        clients.push(accepted(addr, name).await);
    }
    let refused = async || {
        let stream = Stream::tcp(addr).await.expect("connected");
        let mut client = Client::new(stream, ProtocolVersion::V5);
        let answer = client.connect(connect(ProtocolVersion::V5, "more")).await;
        assert_eq!(answer.reason_code, ReasonCode::ServerBusy);
    };
    refused().await;
    assert_eq!(
        broker.reload(&with(4)).expect("reloaded").changed,
        ["limits"]
    );
    clients.push(accepted(addr, "4").await);
    broker.reload(&with(1)).expect("reloaded");
    refused().await;
    for client in &mut clients {
        client.expect_nothing().await;
    }
}

/// Limits of the protocol are for connections to come, too: who is in was told the old ones.
#[tokio::test]
async fn limits_of_the_protocol_are_changed() {
    let addr = free_addr();
    let with = |size: &str| {
        format!(
            "[mqtt]\nmax_packet_size = \"{size}\"\n{}",
            listener(addr, false)
        )
    };
    let broker = Broker::start_with(&with("64KiB"));
    let mut old = accepted(addr, "old").await;
    old.subscribe("t", QoS::AtLeastOnce).await;
    broker.reload(&with("1KiB")).expect("reloaded");
    let stream = Stream::tcp(addr).await.expect("connected");
    let mut new = Client::new(stream, ProtocolVersion::V5);
    let answer = new.connect(connect(ProtocolVersion::V5, "new")).await;
    assert_eq!(answer.maximum_packet_size, Some(1024));
    let payload = "x".repeat(10_000);
    old.publish("t", &payload, QoS::AtLeastOnce).await;
    old.expect_message("t", &payload).await;
    new.publish("t", &payload, QoS::AtMostOnce).await;
    new.expect_disconnect(ReasonCode::PacketTooLarge).await;
}

/// A smaller queue holds from the next message on.
#[tokio::test]
async fn queues_are_changed() {
    let addr = free_addr();
    let with = |messages: usize| {
        format!(
            "[queue]\nmax_messages = {messages}\nwhen_full = \"drop-newest\"\n{}",
            listener(addr, false)
        )
    };
    let broker = Broker::start_with(&with(100));
    let mut wanted = connect(ProtocolVersion::V5, "away");
    wanted.clean_start = false;
    wanted.session_expiry_interval = 600;
    let stream = Stream::tcp(addr).await.expect("connected");
    let mut away = Client::new(stream, ProtocolVersion::V5);
    away.expect_accepted(wanted).await;
    away.subscribe("t", QoS::AtLeastOnce).await;
    away.disconnect().await;
    until("it is parked", || {
        broker.app().metrics().sessions_parked.get() == 1
    })
    .await;
    let mut publisher = accepted(addr, "p").await;
    let metrics = broker.app().metrics();
    for _ in 0..3 {
        publisher.publish("t", "x", QoS::AtLeastOnce).await;
    }
    assert_eq!(metrics.queued_messages.get(), 3);
    broker.reload(&with(4)).expect("reloaded");
    for _ in 0..3 {
        publisher.publish("t", "x", QoS::AtLeastOnce).await;
    }
    assert_eq!(metrics.queued_messages.get(), 4);
}

#[tokio::test]
async fn anonymous_clients_are_let_in_or_not() {
    let addr = free_addr();
    let with = |allow: bool| {
        format!(
            "[mqtt]\nallow_anonymous = {allow}\n{}",
            listener(addr, false)
        )
    };
    let broker = Broker::start_with(&with(true));
    let mut inside = accepted(addr, "inside").await;
    inside.subscribe("t", QoS::AtLeastOnce).await;
    assert_eq!(
        broker.reload(&with(false)).expect("reloaded").changed,
        ["mqtt"]
    );
    let stream = Stream::tcp(addr).await.expect("connected");
    let mut outside = Client::new(stream, ProtocolVersion::V5);
    let answer = outside
        .connect(connect(ProtocolVersion::V5, "outside"))
        .await;
    assert_eq!(answer.reason_code, ReasonCode::NotAuthorized);
    assert!(answer.reason_string.is_some());
    check_there_and_back(&mut inside).await;
    broker.reload(&with(true)).expect("reloaded");
    accepted(addr, "outside").await;
}

/// `$SYS` appears, follows its interval, and is taken back.
#[tokio::test]
async fn sys_is_switched_on_and_off() {
    let addr = free_addr();
    let with = |interval: &str| format!("sys_interval = \"{interval}\"\n{}", listener(addr, false));
    let broker = Broker::start_with(&with("off"));
    let mut client = accepted(addr, "c").await;
    client
        .subscribe("$SYS/broker/version", QoS::AtMostOnce)
        .await;
    client.expect_nothing().await;
    broker.reload(&with("1s")).expect("reloaded");
    let publish = client.expect_publish().await;
    assert!(publish.message.payload.starts_with(b"gatemq version"));
    broker.reload(&with("off")).expect("reloaded");
    assert_eq!(client.expect_publish().await.message.payload, "");
    let mut later = accepted(addr, "later").await;
    later.subscribe("$SYS/#", QoS::AtMostOnce).await;
    later.expect_nothing().await;
}

/// What only a start can change is named, and everything else is done.
#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let addr = free_addr();
    let broker = Broker::start_with(&format!("threads = 1\n{}", listener(addr, false)));
    let toml = format!(
        "threads = 2\nsys_interval = \"7s\"\n{}",
        listener(addr, false)
    );
    let report = broker.reload(&toml).expect("reloaded");
    assert!(
        report.needs_restart.iter().any(|it| it.contains("threads")),
        "{report:?}"
    );
    assert_eq!(report.changed, ["sys_interval"]);
}

/// The page and discovery say what holds now.
#[tokio::test]
async fn endpoints_follow() {
    let [addr, new] = [free_addr(), free_addr()];
    let broker = Broker::start_with(&listener(addr, false));
    broker
        .reload(&(listener(addr, false) + &listener(new, false)))
        .expect("reloaded");
    let mut stream = Stream::tcp(addr).await.expect("connected");
    let known = http1::get(&mut stream, "/.well-known/mqtt").await.text();
    assert!(known.contains(&format!(":{}", new.port())), "{known}");
}

/// A Unix socket of a listener that is gone is gone, and one that stays is not touched.
#[tokio::test]
async fn unix_sockets_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let unix = |path: &std::path::Path| listener(format!("unix:{}", path.display()), false);
    let broker = Broker::start_with(&unix(&one));
    let stream = tokio::net::UnixStream::connect(&one)
        .await
        .expect("connected");
    let mut client = Client::new(Stream::Io(Box::new(stream)), ProtocolVersion::V5);
    client
        .expect_accepted(connect(ProtocolVersion::V5, "c"))
        .await;
    broker
        .reload(&(unix(&one) + &unix(&other)))
        .expect("reloaded");
    assert!(one.exists() && other.exists());
    broker.reload(&unix(&other)).expect("reloaded");
    until("the file is gone", || !one.exists()).await;
    assert!(tokio::net::UnixStream::connect(&other).await.is_ok());
    client.expect_nothing().await;
}

/// Listeners that want any free port stay what they were, and one more is one more.
#[tokio::test]
async fn several_listeners_on_port_0_stay() {
    let mut broker = Broker::start();
    let before = broker.app().local_addrs();
    let three = [false, true, false].map(|tls| listener("127.0.0.1:0", tls));
    broker.reload(&three.concat()).expect("nothing is wrong");
    let after = broker.app().local_addrs();
    assert_eq!((after.len(), &after[..2]), (3, &before[..]));
    for carrier in Carrier::ALL {
        broker = broker.over(carrier);
        broker.connect(connect(ProtocolVersion::V5, "c")).await;
    }
}
