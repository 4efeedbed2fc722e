//! One request: what HTTP asks of every server, then WebSocket or the routes.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request as HttpRequest, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue, UPGRADE},
    http::request::Parts,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade};
use tokio::sync::watch;

use super::{
    Request, Response,
    answer::{self, harden, unavailable},
    log_refusal,
    probing::Probed,
    request,
};
use crate::{
    listener::{
        admission::{Admission, Crowded},
        detect::Prefixed,
        forwarded,
        path::{self, Stream, Visitor},
        stream::Lingering,
        websocket::{self, WebSocketTransport},
    },
    mqtt::{
        connection,
        transport::{Carrier, Closing, LimitReached, Peer, Source, Transport},
    },
};

/// What proxies cut connections for is a minute of silence; clients that can be told to speak more often are.
const MAX_KEEP_ALIVE: u16 = 45;

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Service {
    connection: Arc<Connection>,
}

struct Connection {
    visitor: Visitor,
    /// Requests and WebSockets that are open.
    open: watch::Sender<usize>,
    /// Takes off an upgraded stream what HTTP has put around it.
    unwrap: fn(Upgraded) -> Box<dyn Stream>,
}

/// A request or a WebSocket that is open.
struct Open(Arc<Connection>);

/// Who really asks, behind a proxy or not.
struct Asker {
    source: Source,
    is_secure: bool,
}

impl Service {
    /// For the requests that come on an `S`.
    pub(super) fn new<S: Stream>(visitor: Visitor, open: watch::Sender<usize>) -> Self {
        Self {
            connection: Arc::new(Connection {
                visitor,
                open,
                unwrap: unwrap::<S>,
            }),
        }
    }
}

impl hyper::service::Service<HttpRequest<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: HttpRequest<Incoming>) -> Self::Future {
        let open = Open::new(&self.connection);
        Box::pin(async move { Ok(open.answer(request).await) })
    }
}

impl Open {
    fn new(connection: &Arc<Connection>) -> Self {
        connection.open.send_modify(|open| *open += 1);
        Self(connection.clone())
    }

    async fn answer(self, mut request: HttpRequest<Incoming>) -> Response {
        let visitor = &self.0.visitor;
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let asker = visitor.asker(&head);
        let checked = request::check(&head, asker.is_secure, visitor.limits.max_header_bytes);
        if let Err(refusal) = checked {
            visitor.shared.metrics.http_requests.increment();
            log_refusal(&asker.source, &visitor.listener.name, &refusal);
            return refusal.into_response(head.version);
        }
        let config = &visitor.config;
        let probed = Probed::of(&head, visitor);
        if config.protocols.websocket && websocket::wants_upgrade(&head) {
            return self.upgrade(&head, upgrade, asker, probed);
        }
        visitor.shared.metrics.http_requests.increment();
        if let Some(limit) = visitor.refusal {
            return unavailable(limit, head.version);
        }
        if !config.protocols.http {
            return not_served(&head);
        }
        let request = Request {
            head,
            body,
            source: asker.source,
            is_secure: asker.is_secure,
            listener: visitor.listener.name.clone(),
        };
        visitor.shared.routes.answer(request).await
    }

    /// Answers an upgrade; the client is served by a task of its own, which keeps the connection's place.
    fn upgrade(self, head: &Parts, upgraded: OnUpgrade, asker: Asker, probed: Probed) -> Response {
        let visitor = &self.0.visitor;
        let upgrades = &visitor.shared.metrics.ws_upgrades;
        let upgrade = match websocket::upgrade(head, &visitor.limits.allowed_origins) {
            Ok(upgrade) => upgrade,
            Err(rejection) => {
                let path = websocket::served_path(head.uri.path()).unwrap_or("other");
                upgrades.add((path, rejection.name), 1);
                tracing::info!(code = "websocket.rejected", source = %asker.source, listener = %visitor.listener.name,
                    path = head.uri.path(), "no WebSocket: {}", rejection.text);
                probed.rejected(head, &rejection);
                let mut response = rejection.into_response();
                harden(response.headers_mut());
                return response;
            }
        };
        probed.arrived(head.version, &head.uri);
        let Ok((admission, limit)) = visitor.admit_websocket(&asker, head.version) else {
            let text = "the server has its limit of connections";
            upgrades.add((upgrade.path, "crowded"), 1);
            probed.refused("crowded", text);
            return unavailable(text, head.version);
        };
        let refusal = upgrade.refusal();
        let result = match &refusal {
            Some(refusal) => {
                probed.refused("origin", refusal.reason());
                "origin"
            }
            None => {
                probed.accepted();
                "ok"
            }
        };
        upgrades.add((upgrade.path, result), 1);
        let peer = visitor.websocket_peer(asker, limit, probed);
        let ping_interval = if upgrade.takes_ping {
            visitor.limits.websocket_ping_interval
        } else {
            Duration::ZERO
        };
        let tasks = visitor.shared.connections.clone();
        tasks.spawn(async move {
            // Where the client has gone before the answer reached it, nothing has begun.
            match upgraded.await {
                Ok(stream) => {
                    let stream = (self.0.unwrap)(stream);
                    let transport = WebSocketTransport::new(stream, ping_interval);
                    self.serve_websocket(transport, peer, refusal).await;
                }
                Err(_) => Probed::from(peer.probe).gone(),
            }
            drop((self, admission));
        });
        upgrade.response.map(|()| Full::default())
    }

    /// Boxed: what waits beside it in the task would otherwise be there twice, 2 kB for each client.
    fn serve_websocket(
        &self,
        mut transport: WebSocketTransport<Box<dyn Stream>>,
        peer: Peer,
        refusal: Option<Closing>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let visitor = &self.0.visitor;
        let Some(refusal) = refusal else {
            let broker = visitor.shared.broker.clone();
            return Box::pin(connection::serve(transport, peer, broker));
        };
        visitor.shared.metrics.connect_refused.add("origin", 1);
        tracing::info!(code = "websocket.refused", source = %peer.source, listener = %peer.listener,
            "connection ended: {}", refusal.reason());
        Box::pin(async move { transport.close(refusal).await })
    }
}

impl Visitor {
    /// Who really asks: a trusted proxy is believed.
    fn asker(&self, head: &Parts) -> Asker {
        let peer = forwarded::peer_addr(&self.source);
        let trusted = &self.config.trusted_proxies;
        let source = forwarded::source_addr(&head.headers, peer, trusted);
        Asker {
            source: if source == peer {
                self.source.clone()
            } else {
                Source::Ip(source)
            },
            is_secure: self.is_secure || forwarded::is_secure(&head.headers, peer.ip(), trusted),
        }
    }

    /// A place for a WebSocket: the connection's own, or on HTTP/2, where a connection has many, another.
    fn admit_websocket(
        &self,
        asker: &Asker,
        version: Version,
    ) -> Result<(Option<Admission>, Option<LimitReached>), Crowded> {
        if self.refusal.is_some() {
            return Ok((None, self.refusal));
        }
        let counted = path::counted(&asker.source, &self.config);
        if version == Version::HTTP_2 {
            let admission = self.shared.admissions.admit(counted, &self.limits)?;
            let refusal = admission.refusal();
            return Ok((Some(admission), refusal));
        }
        let reassigned = self.admission.reassign(counted, &self.limits);
        Ok((None, reassigned.err()))
    }

    fn websocket_peer(&self, asker: Asker, refusal: Option<LimitReached>, probed: Probed) -> Peer {
        Peer {
            source: asker.source,
            listener: self.listener.name.clone(),
            carrier: if asker.is_secure {
                Carrier::SecureWebSocket
            } else {
                Carrier::WebSocket
            },
            certificate: self.certificate.clone(),
            max_keep_alive: Some(MAX_KEEP_ALIVE),
            refusal,
            probe: probed.into(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

/// The stream that a WebSocket goes on with, without the layers of HTTP/1; on HTTP/2 it is one of many.
fn unwrap<S: Stream>(upgraded: Upgraded) -> Box<dyn Stream> {
    match upgrade::downcast::<TokioIo<Lingering<Prefixed<S>>>>(upgraded) {
        Ok(parts) => {
            let (stream, unread) = parts.io.into_inner().into_inner().into_parts();
            let first = [parts.read_buf, unread].concat();
            Box::new(Prefixed::new(stream, first.into()))
        }
        Err(upgraded) => Box::new(TokioIo::new(upgraded)),
    }
}

/// What a listener says whose `protocols` leave HTTP out.
fn not_served(head: &Parts) -> Response {
    if websocket::served_path(head.uri.path()).is_none() {
        return answer::text(
            StatusCode::NOT_FOUND,
            "Nothing here: this listener serves MQTT over WebSocket at /mqtt.\n",
        );
    }
    let text = "This is an MQTT over WebSocket endpoint.\nConnect to it with a WebSocket client, sub-protocol mqtt.\n";
    // HTTP/2 has no Upgrade (RFC 9113, 8.6), and 426 is nothing without it.
    if head.version == Version::HTTP_2 {
        return answer::text(StatusCode::BAD_REQUEST, text);
    }
    let mut response = answer::text(StatusCode::UPGRADE_REQUIRED, text);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response
}
