//! A WebSocket on a stream of HTTP/2: Extended CONNECT (RFC 8441).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h2::{Ping, RecvStream, SendStream, client, ext::Protocol};
use http::{HeaderMap, Method, Request, header};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinHandle,
};

use super::{
    DialError, Io, Stage,
    upgrade::{check_subprotocol, text_of},
};
use crate::client::{Target, wire::Wire};

/// What of a refusal's body is read: an error page's beginning says what is wrong.
const MAX_BODY: usize = 4096;

/// Bytes on their way to us: enough for a gigabit over 8 ms.
const WINDOW: u32 = 1024 * 1024;

/// Asks for a WebSocket that carries MQTT.
pub(super) async fn open(
    stream: Box<dyn Io>,
    target: &Target,
    subprotocol: &str,
) -> Result<Wire, DialError> {
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let handshake = builder.handshake(stream).await;
    let (mut requests, mut connection) = handshake.map_err(failed)?;
    let ping_pong = connection.ping_pong();
    let connection = Connection(tokio::spawn(async move {
        // Its streams say how it has ended.
        let _ = connection.await;
    }));
    // SETTINGS are the first that a server sends, so they have come once it has answered anything.
    if let Some(mut ping_pong) = ping_pong {
        ping_pong.ping(Ping::opaque()).await.map_err(failed)?;
    }
    if !requests.is_extended_connect_protocol_enabled() {
        return Err(DialError::NoExtendedConnect);
    }
    let request = request(target, subprotocol)?;
    let (answer, sending) = requests.send_request(request, false).map_err(failed)?;
    let (head, receiving) = answer.await.map_err(failed)?.into_parts();
    if head.status != 200 {
        return Err(DialError::Http {
            status: head.status.as_u16(),
            location: value(&head.headers, header::LOCATION.as_str()),
            text: read(receiving, value(&head.headers, "content-type").as_deref()).await,
        });
    }
    let answered = value(&head.headers, "sec-websocket-protocol");
    check_subprotocol(answered.as_deref(), subprotocol)?;
    let stream = Http2Stream {
        sending,
        receiving,
        received: Bytes::new(),
        _connection: connection,
    };
    Ok(Wire::websocket(Box::new(stream), Vec::new()).await)
}

fn request(target: &Target, subprotocol: &str) -> Result<Request<()>, DialError> {
    let scheme = if target.tls { "https" } else { "http" };
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("{scheme}://{}{}", target.authority(), target.path))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", subprotocol)
        .header(
            header::USER_AGENT,
            concat!("gatemq/", env!("CARGO_PKG_VERSION")),
        )
        .body(());
    request.map_err(|error| DialError::Io(Stage::Upgrade, io::Error::other(error)))
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The text of a refusal, as far as it comes.
async fn read(mut receiving: RecvStream, content_type: Option<&str>) -> String {
    let mut body = Vec::new();
    while body.len() < MAX_BODY
        && let Some(Ok(data)) = receiving.data().await
    {
        body.extend_from_slice(&data);
        let _ = receiving.flow_control().release_capacity(data.len());
    }
    text_of(content_type, &body)
}

fn failed(error: h2::Error) -> DialError {
    if error.is_io() || error.is_go_away() {
        return DialError::Io(Stage::Upgrade, io::Error::other(error));
    }
    // Whatever is no HTTP/2 is a protocol error of it.
    DialError::NoHttp2
}

/// The connection below the only stream. It ends with it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A stream of HTTP/2 as a stream of bytes.
struct Http2Stream {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    received: Bytes,
    _connection: Connection,
}

impl AsyncRead for Http2Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.received.is_empty() {
            match ready!(self.receiving.poll_data(cx)) {
                Some(Ok(data)) => {
                    let _ = self.receiving.flow_control().release_capacity(data.len());
                    self.received = data;
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received[..length]);
        self.received.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sending.reserve_capacity(bytes.len());
        while self.sending.capacity() == 0 {
            match ready!(self.sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = self.sending.capacity().min(bytes.len());
        let data = Bytes::copy_from_slice(&bytes[..length]);
        let sent = self.sending.send_data(data, false);
        Poll::Ready(sent.map(|()| length).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It may have ended already.
        let _ = self.sending.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}
