//! HTTP/2 by the h2 crate: requests, and streams that become WebSockets (RFC 8441).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    ext::Protocol,
};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinHandle,
};

use super::{Io, Stream, until, within};

/// Bytes that all streams of a connection together may have on their way to the client.
const WINDOW: u32 = 16 * 1024 * 1024;

/// The client's end of a connection.
pub struct Http2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    /// Begins HTTP/2 on a stream, after TLS or with prior knowledge.
    pub async fn over(stream: impl Io + 'static) -> Self {
        let mut builder = h2::client::Builder::new();
        // The streams of a test are read one after the other: none may use up what is meant for all.
        builder.initial_connection_window_size(WINDOW);
        let (requests, connection) = within(builder.handshake(stream))
            .await
            .expect("a handshake");
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// Asks for a path.
    pub async fn get(&mut self, path: &str) -> Response<Vec<u8>> {
        let request = Request::get(format!("http://localhost{path}"));
        let request = request.body(()).expect("a request");
        let (answer, _) = self.requests.send_request(request, true).expect("sent");
        read(answer).await
    }

    /// Opens a WebSocket; the answer and its text where it is refused.
    pub async fn websocket(&mut self, path: &str) -> Result<Stream, Response<Vec<u8>>> {
        self.websocket_with(path, &[("sec-websocket-protocol", "mqtt")])
            .await
    }

    /// Opens a WebSocket with these headers.
    pub async fn websocket_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Stream, Response<Vec<u8>>> {
        let requests = &self.requests;
        until("the server allows Extended CONNECT", || {
            requests.is_extended_connect_protocol_enabled()
        })
        .await;
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://localhost{path}"))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let (answer, sending) = self.requests.send_request(request, false).expect("sent");
        let answer = within(answer).await.expect("an answer");
        let (head, receiving) = answer.into_parts();
        if head.status != 200 {
            let body = read_body(receiving).await;
            return Err(Response::from_parts(head, body));
        }
        let stream = Http2Stream {
            sending,
            receiving,
            received: Bytes::new(),
        };
        Ok(Stream::websocket(Box::new(stream)).await)
    }

    /// The server has closed the connection.
    pub async fn expect_end(self) {
        // However it ends: what matters is that it does.
        let _ = within(self.connection).await.expect("no panic");
    }

    pub fn has_ended(&self) -> bool {
        self.connection.is_finished()
    }
}

async fn read(answer: ResponseFuture) -> Response<Vec<u8>> {
    let (head, body) = within(answer).await.expect("an answer").into_parts();
    Response::from_parts(head, read_body(body).await)
}

async fn read_body(mut body: RecvStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(data) = within(body.data()).await {
        let data = data.expect("data");
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    bytes
}

/// A stream of HTTP/2 as a stream of bytes.
struct Http2Stream {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    received: Bytes,
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
