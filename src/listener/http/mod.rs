//! HTTP/1.1 and HTTP/2 on a stream: WebSocket upgrades become clients, everything else goes to the routes that `app`
//! gives. Start at [`serve`]; `service` answers one request.

mod answer;
mod head;
mod probing;
mod request;
mod service;

pub use answer::harden;

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    StatusCode, Version,
    header::{HeaderValue, LOCATION},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{io::AsyncWriteExt, sync::watch};

use self::{answer::Refusal, head::Refused, service::Service};
use super::{
    Limits, Protocols,
    detect::Prefixed,
    path::{Stream, Visitor},
    stream::Lingering,
};
use crate::mqtt::transport::Source;

/// Answers every HTTP request that opens no WebSocket.
pub trait Routes: Send + Sync {
    /// The answer, a 404 included. HEAD is answered as GET; the body is left out on the way.
    fn answer(&self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + '_>>;
}

/// A request, and who asks.
#[derive(Debug)]
pub struct Request {
    /// Method, path, headers.
    pub head: hyper::http::request::Parts,
    /// The body, unread.
    pub body: hyper::body::Incoming,
    /// Who asks: behind a trusted proxy the address that the proxy names.
    pub source: Source,
    /// It came over TLS, here or at a trusted proxy.
    pub is_secure: bool,
    /// The name of the listener it came in by.
    pub listener: Arc<str>,
}

/// An answer whose body is at hand.
pub type Response = hyper::Response<Full<Bytes>>;

/// Streams of one HTTP/2 connection: WebSockets and requests at once.
const MAX_STREAMS: u32 = 100;

/// Bytes of one stream of HTTP/2 that may be on their way to us: what a stream takes whose client stands still. All
/// streams of a connection together may have as many each, 6 MiB, so that none can take the room of the others.
const STREAM_WINDOW: u32 = 64 * 1024;

/// For a request that is on its way when the server stops, so that it gets an answer.
const GRACE: Duration = Duration::from_secs(1);

/// How long an HTTP connection may take to end once it has been asked to.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves HTTP on a stream until it ends, is idle for too long, or the server stops.
pub(super) async fn serve<S: Stream>(stream: Prefixed<S>, visitor: Visitor) {
    let stopping = visitor.shared.stopping.clone();
    let stopped = async {
        stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let read = tokio::select! {
        read = head::read(stream, &visitor.limits) => read,
        () = stopped => return,
    };
    match read {
        Ok(stream) => serve_requests(stream, visitor).await,
        Err(refused) => {
            visitor.shared.metrics.http_requests.increment();
            log_refusal(&visitor.source, &visitor.listener.name, &refused.refusal);
            refuse(refused, &visitor.limits).await;
        }
    }
}

async fn serve_requests<S: Stream>(stream: Prefixed<S>, visitor: Visitor) {
    let stopping = visitor.shared.stopping.clone();
    let idle_timeout = visitor.limits.http_header_timeout;
    let builder = builder(&visitor.limits, visitor.config.protocols);
    let (source, listener) = (visitor.source.clone(), visitor.listener.name.clone());
    let (open, mut activity) = watch::channel(0_usize);
    let service = Service::new::<S>(visitor, open);
    let stream = TokioIo::new(Lingering::new(stream));
    let connection = builder.serve_connection_with_upgrades(stream, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        // The request whose head has been read comes before the stop.
        biased;
        ended = connection.as_mut() => Some(ended),
        () = stopping.cancelled() => None,
        () = idle(&mut activity, idle_timeout) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = idle(&mut activity, FAREWELL) => Ok(()),
            }
        }
    };
    let Err(error) = ended else { return };
    if error.downcast_ref().is_some_and(hyper::Error::is_parse) {
        // hyper has told the client, if only by the status.
        let refusal =
            Refusal::bad_request(format!("the head of the request is malformed: {error}"));
        log_refusal(&source, &listener, &refusal);
    } else {
        // Mostly peers that went away; what they were sent is in the count of requests.
        tracing::debug!(code = "http.ended", "HTTP connection ended: {error}");
    }
}

fn log_refusal(source: &Source, listener: &str, refusal: &Refusal) {
    tracing::info!(code = "http.refused", %source, listener, status = refusal.status.as_u16(),
        "request refused: {}", refusal.text);
}

/// Answers a request that could not be read, and ends the connection.
async fn refuse<S: Stream>(refused: Refused<S>, limits: &Limits) {
    let Refused {
        mut stream,
        version,
        is_head,
        refusal,
    } = refused;
    if version == Version::HTTP_2 {
        // SETTINGS, and GOAWAY with PROTOCOL_ERROR for stream 0 (RFC 9113, 3.4 and 5.4.1).
        let last = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        let sending = async {
            stream.write_all(last).await?;
            stream.flush().await
        };
        let _ = tokio::time::timeout(FAREWELL, sending).await;
        return super::stream::end(&mut stream).await;
    }
    // One that can be read takes its place.
    let substitute: &[u8] = if is_head {
        b"HEAD / HTTP/1.1\r\n\r\n"
    } else {
        b"GET / HTTP/1.1\r\n\r\n"
    };
    let stream = Prefixed::new(stream, Bytes::from_static(substitute));
    answer_once(stream, limits, move |_| {
        refusal.clone().into_response(version)
    })
    .await;
}

/// Answers whoever speaks plain HTTP to a listener with TLS, and ends the connection.
pub(super) async fn redirect_to_tls<S: Stream>(stream: Prefixed<S>, limits: &Limits) {
    match head::read(stream, limits).await {
        Ok(stream) => answer_once(stream, limits, redirect).await,
        Err(refused) => refuse(refused, limits).await,
    }
}

fn redirect(head: &hyper::http::request::Parts) -> Response {
    const TEXT: &str = "this port speaks TLS: use https:// or wss:// instead of http:// or ws://";
    let location = request::secure_location(head)
        .and_then(|location| HeaderValue::try_from(location).map_err(|_| unspeakable()));
    match location {
        Ok(location) => {
            let refusal = Refusal::new(StatusCode::PERMANENT_REDIRECT, TEXT);
            let mut response = refusal.into_response(head.version);
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(refusal) => {
            let text = format!("{TEXT}; and {}", refusal.text);
            Refusal::bad_request(text).into_response(head.version)
        }
    }
}

fn unspeakable() -> Refusal {
    Refusal::bad_request("the request names no address")
}

/// Answers one request of HTTP/1, and ends the connection.
async fn answer_once<S: Stream>(
    stream: Prefixed<S>,
    limits: &Limits,
    answer: impl Fn(&hyper::http::request::Parts) -> Response,
) {
    let service = service_fn(async |request: hyper::Request<hyper::body::Incoming>| {
        let (head, _) = request.into_parts();
        Ok::<_, Infallible>(answer(&head))
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .keep_alive(false)
        .half_close(true)
        .max_buf_size(buffer_size(limits))
        .max_headers(head::MAX_HEADERS);
    let stream = TokioIo::new(Lingering::new(stream));
    let connection = builder.serve_connection(stream, service);
    let _ = tokio::time::timeout(limits.http_header_timeout, connection).await;
}

fn builder(limits: &Limits, protocols: Protocols) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // A client that has said all it had to say still hears the answer.
        .half_close(true)
        .header_read_timeout(limits.http_header_timeout)
        .max_buf_size(buffer_size(limits))
        .max_headers(head::MAX_HEADERS);
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(MAX_STREAMS * STREAM_WINDOW)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.websocket_ping_interval))
        .keep_alive_timeout(limits.http_header_timeout);
    if protocols.websocket {
        http2.enable_connect_protocol();
    }
    builder
}

/// Twice the limit of a head, so that the service can say what the limit is; beyond that hyper says 431 without words.
fn buffer_size(limits: &Limits) -> usize {
    (2 * limits.max_header_bytes).max(16 * 1024)
}

/// Ends once no request and no WebSocket has been open for this long.
async fn idle(activity: &mut watch::Receiver<usize>, timeout: Duration) {
    loop {
        // The sender lives in the connection that this is waiting beside.
        if activity.wait_for(|open| *open == 0).await.is_err() {
            return;
        }
        match tokio::time::timeout(timeout, activity.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
