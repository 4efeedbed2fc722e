//! From a request of an independent client, through hyper, to a transport.

use std::convert::Infallible;

use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::*;
use crate::listener::websocket::{upgrade, wants_upgrade};

type Upgraded = WebSocketTransport<TokioIo<hyper::upgrade::Upgraded>>;

/// A server of HTTP/1.1 and HTTP/2; the client's end, and what becomes a WebSocket.
fn serve() -> (DuplexStream, mpsc::Receiver<Upgraded>) {
    let (ours, peer) = tokio::io::duplex(1000);
    let (sender, upgraded) = mpsc::channel(1);
    let service = service_fn(move |request| {
        let response = answer(request, sender.clone());
        async { Ok::<_, Infallible>(response) }
    });
    tokio::spawn(async move {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let serving = builder.serve_connection_with_upgrades(TokioIo::new(ours), service);
        serving.await.expect("served");
    });
    (peer, upgraded)
}

fn answer(
    mut request: Request<Incoming>,
    sender: mpsc::Sender<Upgraded>,
) -> Response<Empty<Bytes>> {
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    assert!(wants_upgrade(&request));
    let upgrade = upgrade(&request, &[]).expect("an upgrade");
    tokio::spawn(async move {
        let stream = TokioIo::new(on_upgrade.await.expect("upgraded"));
        let _ = sender
            .send(WebSocketTransport::new(stream, PING_INTERVAL))
            .await;
    });
    upgrade.response.map(|()| Empty::new())
}

/// The server's side: a question and its answer, in small pieces.
async fn answer_question(server: &mut Upgraded) {
    let received = server.receive().await.expect("received");
    assert_eq!(received.as_deref(), Some(&b"question"[..]));
    let mut frames = [&b"an"[..], b"sw", b"er"]
        .map(Bytes::from_static)
        .into_iter()
        .collect();
    server.send(&mut frames).await.expect("sent");
}

#[tokio::test]
async fn tungstenite_connects_over_http_1() {
    let (peer, mut upgraded) = serve();
    let mut request = "ws://localhost/mqtt"
        .into_client_request()
        .expect("a request");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "mqtt".parse().expect("a value"));
    let (mut client, response) = tokio_tungstenite::client_async(request, peer)
        .await
        .expect("connected");
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
    client
        .send(Message::binary("question"))
        .await
        .expect("sent");
    let mut server = upgraded.recv().await.expect("a transport");
    answer_question(&mut server).await;
    assert_eq!(next_message(client.next().await), Message::binary("answer"));
}

/// RFC 8441, by a client that knows nothing of WebSocket: its frames are bytes of a request's body.
#[tokio::test]
async fn an_h2_client_connects_over_http_2() {
    let (peer, mut upgraded) = serve();
    let (client, connection) = h2::client::handshake(peer).await.expect("connected");
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.expect("ready");
    while !client.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    let mut request = Request::connect("https://localhost/mqtt")
        .header("sec-websocket-protocol", "mqttv3.1, mqtt")
        .header("sec-websocket-version", "13")
        .body(())
        .expect("a request");
    request
        .extensions_mut()
        .insert(h2::ext::Protocol::from_static("websocket"));
    let (response, mut body) = client.send_request(request, false).expect("sent");
    let response = response.await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
    body.send_data(masked(0x82, b"question").into(), false)
        .expect("sent");
    let mut server = upgraded.recv().await.expect("a transport");
    answer_question(&mut server).await;
    let mut answers = response.into_body();
    let answer = answers.data().await.expect("open").expect("data");
    assert_eq!(answer, b"\x82\x06answer"[..], "one frame in one piece");
    body.send_data(masked(0x88, b"\x03\xe8").into(), true)
        .expect("sent");
    assert_eq!(server.receive().await.expect("received"), None);
    let closing = server.close(crate::mqtt::transport::Closing::Normal);
    let reading = async {
        let mut read = Vec::new();
        while let Some(data) = answers.data().await {
            read.extend(data.expect("data"));
        }
        assert_eq!(read, b"\x88\x02\x03\xe8");
    };
    tokio::join!(closing, reading);
    drop((client, body));
    connection.abort();
}
