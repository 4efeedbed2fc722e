//! HTTP/1.1 and HTTP/2 on a stream: WebSocket upgrades become clients, everything else goes to the routes that `app`
//! gives. Start at [`serve`]; `service` answers one request.

mod service;

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HOST, LOCATION},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::sync::watch;

use self::service::Service;
use super::{
    Limits,
    path::{Stream, Visitor},
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

/// How long an HTTP connection may take to end once it has been asked to.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves HTTP on a stream until it ends, is idle for too long, or the server stops.
pub(super) async fn serve<S: Stream>(stream: S, visitor: Visitor) {
    let stopping = visitor.shared.stopping.clone();
    let idle_timeout = visitor.limits.http_header_timeout;
    let builder = builder(&visitor.limits);
    let (open, mut activity) = watch::channel(0_usize);
    let service = Service::new(visitor, open);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopping.cancelled() => None,
        () = idle(&mut activity, idle_timeout) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            let farewell = async {
                // WebSockets on HTTP/2 end by themselves, each when its client is told.
                let _ = activity.wait_for(|open| *open == 0).await;
                tokio::time::sleep(FAREWELL).await;
            };
            tokio::select! {
                ended = connection => ended,
                () = farewell => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        // Mostly peers that went away; what they were sent is in the count of requests.
        tracing::debug!(code = "http.ended", "HTTP connection ended: {error}");
    }
}

/// Answers whoever speaks plain HTTP to a listener with TLS, and ends the connection.
pub(super) async fn redirect_to_tls<S: Stream>(stream: S, limits: &Limits) {
    let answer = service_fn(async |request: hyper::Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(redirect(&request))
    });
    let mut builder = builder(limits);
    builder.http1().keep_alive(false);
    let builder = builder.http1_only();
    let connection = builder.serve_connection(TokioIo::new(stream), answer);
    let _ = tokio::time::timeout(limits.http_header_timeout, connection).await;
}

fn redirect(request: &hyper::Request<hyper::body::Incoming>) -> Response {
    let text = "This port speaks TLS: use https:// or wss:// instead of http:// or ws://.\n";
    let mut response = Response::new(Full::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, service::TEXT);
    headers.insert(CONNECTION, service::CLOSE);
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let location = host.and_then(|host| format!("https://{host}{path}").parse().ok());
    *response.status_mut() = match location {
        Some(location) => {
            response.headers_mut().insert(LOCATION, location);
            StatusCode::PERMANENT_REDIRECT
        }
        None => StatusCode::BAD_REQUEST,
    };
    response
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http_header_timeout)
        // Twice the limit, so that the service can say what the limit is; beyond that hyper says 431 without words.
        .max_buf_size((2 * limits.max_header_bytes).max(16 * 1024))
        .max_headers(256);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(MAX_STREAMS * STREAM_WINDOW)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.websocket_ping_interval))
        .keep_alive_timeout(limits.http_header_timeout);
    builder
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
