//! From the first byte to CONNACK: CONNECT, authentication, the session (MQTT 5, 3.1.4).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    connected::Connected,
    end::{End, Refusal},
    link::Link,
    now,
};
use crate::{
    auth::{Action, Authority, Principal, Request, Step},
    message::ClientId,
    mqtt::{
        Broker, Config,
        mailbox::Mailbox,
        packet::{Authentication, ConnAck, Connect, Packet, ProtocolVersion, ReasonCode},
        registry::{Attachment, Held, Registry},
        session::{Exchange, Grant, Session, State, Violation, may},
        transport::{Peer, Transport},
    },
    storage::Change,
};

/// A connection whose CONNECT was accepted; CONNACK is written first of all.
pub(super) struct Opened {
    pub(super) attachment: Attachment,
    pub(super) client: Client,
    _connected: Connected,
}

/// Who is connected, for the log.
pub(super) struct Client {
    pub(super) client_id: ClientId,
    pub(super) username: Option<Arc<str>>,
    pub(super) version: ProtocolVersion,
}

/// Who the client has proven to be, and how.
struct Identity {
    principal: Principal,
    exchange: Option<Box<Exchange>>,
    /// The last step of an enhanced authentication, for CONNACK.
    authentication: Option<Authentication>,
}

/// Waits for CONNECT, decides, and answers with CONNACK unless it refuses.
pub(super) async fn open<T: Transport>(
    link: &mut Link<T>,
    peer: &Peer,
    broker: &Arc<Broker>,
    mailbox: &Arc<Mailbox>,
) -> Result<Opened, End> {
    let config = broker.config.load_full();
    let opening = async {
        let connect = receive_connect(link, &config).await?;
        if let Some(limit) = peer.refusal {
            return Err(Refusal::Limit(limit).into());
        }
        refuse_if_stopping(broker)?;
        accept(link, peer, broker, mailbox, &config, connect).await
    };
    tokio::select! {
        opened = tokio::time::timeout(config.connect_timeout, opening) => opened.unwrap_or(Err(End::ConnectTimeout)),
        () = silent_stop(broker) => Err(End::ShuttingDown),
    }
}

fn refuse_if_stopping(broker: &Broker) -> Result<(), Refusal> {
    if broker.stopping.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    Ok(())
}

/// While the server stops, a connection that has not even said CONNECT is not waited for.
async fn silent_stop(broker: &Broker) {
    /// For a CONNECT that is on its way, so that it gets an answer.
    const GRACE: Duration = Duration::from_secs(1);
    broker.stopping.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

async fn receive_connect<T: Transport>(
    link: &mut Link<T>,
    config: &Config,
) -> Result<Box<Connect>, End> {
    let packet = link.receive_packet().await?;
    let name = packet.name();
    let Packet::Connect(connect) = packet else {
        // The decoder lets nothing else through as the first packet.
        return Err(Violation::Unexpected { packet: name }.into());
    };
    link.speak_to(&connect, config.topic_alias_maximum);
    Ok(connect)
}

async fn accept<T: Transport>(
    link: &mut Link<T>,
    peer: &Peer,
    broker: &Arc<Broker>,
    mailbox: &Arc<Mailbox>,
    config: &Config,
    mut connect: Box<Connect>,
) -> Result<Opened, End> {
    let authority: Arc<dyn Authority> = Arc::clone(&**broker.authority.load());
    let client_id = if connect.client_id.is_empty() {
        Broker::assign_client_id()
    } else {
        ClientId::from(&*connect.client_id)
    };
    let identity = authenticate(link, peer, &authority, &connect, &client_id).await?;
    if let Some(will) = &connect.will {
        may(
            &*authority,
            &identity.principal,
            Action::Publish,
            will.topic.as_str(),
        )
        .map_err(Refusal::Denied)?;
    }
    let mut attachment = Registry::attach(broker, &client_id, mailbox)
        .await
        .ok_or(End::ShuttingDown)?;
    // Again, now that this connection is among those that are told: no client slips in between.
    refuse_if_stopping(broker)?;
    let now = now();
    let Identity {
        principal,
        exchange,
        authentication,
    } = identity;
    let username = principal.name.clone();
    let keep_alive = granted_keep_alive(&connect, peer, config);
    let (state, session_present) =
        resume(broker, &mut attachment, &client_id, &connect, config, now)?;
    let answer = connack(
        &connect,
        session_present,
        authentication,
        keep_alive,
        config,
        &client_id,
    );
    // Only words could make a CONNACK too large, and the encoder leaves them out.
    let _ = link.send(&Packet::ConnAck(Box::new(answer)));
    let client = Client {
        client_id: client_id.clone(),
        username,
        version: connect.version,
    };
    let grant = Grant {
        principal,
        authority,
        exchange,
        receive_maximum: config.receive_maximum,
        keep_alive,
        session_expiry_max: expiry_max(config),
    };
    state.queue().connected(connect.receive_maximum);
    let session = Session::new(state, client_id, &mut connect, grant, now);
    if session.is_kept() {
        let record = session.record(connect.receive_maximum);
        broker
            .storage
            .commit(vec![Change::SessionSaved(Box::new(record))], None);
    }
    attachment.begin(session);
    Ok(Opened {
        attachment,
        _connected: Connected::count(broker, peer, client.version.as_str()),
        client,
    })
}

async fn authenticate<T: Transport>(
    link: &mut Link<T>,
    peer: &Peer,
    authority: &Arc<dyn Authority>,
    connect: &Connect,
    client_id: &ClientId,
) -> Result<Identity, End> {
    if let Some(first) = &connect.authentication {
        return exchange(link, authority, first).await;
    }
    let request = Request {
        client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref(),
        certificate_subject: peer
            .certificate
            .as_ref()
            .map(|certificate| certificate.subject.as_str()),
    };
    let principal = authority
        .authenticate(request)
        .await
        .map_err(Refusal::Denied)?;
    Ok(Identity {
        principal,
        exchange: None,
        authentication: None,
    })
}

/// Enhanced authentication: AUTH back and forth until the mechanism has decided (MQTT 5, 4.12).
async fn exchange<T: Transport>(
    link: &mut Link<T>,
    authority: &Arc<dyn Authority>,
    first: &Authentication,
) -> Result<Identity, End> {
    let unsupported = || Refusal::AuthenticationMethod(first.method.clone());
    let (mut exchange, mut step) = Exchange::begin(authority, first).ok_or_else(unsupported)?;
    loop {
        match step {
            Step::Continue(data) => {
                let auth = exchange.auth(ReasonCode::ContinueAuthentication, data);
                let _ = link.send(&Packet::Auth(auth));
                link.flush().await.map_err(End::Network)?;
            }
            Step::Success(principal, data) => {
                exchange.finish();
                let authentication = Some(exchange.answer(data));
                return Ok(Identity {
                    principal,
                    exchange: Some(Box::new(exchange)),
                    authentication,
                });
            }
            Step::Failure(denied) => return Err(Refusal::Denied(denied).into()),
        }
        let packet = link.receive_packet().await?;
        if let Packet::Disconnect(disconnect) = packet {
            return Err(End::Disconnected(disconnect.reason_code));
        }
        let name = packet.name();
        let Packet::Auth(auth) = packet else {
            // [MQTT-3.1.2-30]
            return Err(Violation::Unexpected { packet: name }.into());
        };
        step = exchange.step(authority, &auth)?;
    }
}

/// The session that goes on, or a new one in its place [MQTT-3.1.2-4, -5, -6].
fn resume(
    broker: &Arc<Broker>,
    attachment: &mut Attachment,
    client_id: &ClientId,
    connect: &Connect,
    config: &Config,
    now: Instant,
) -> Result<(State, bool), Refusal> {
    let is_over = matches!(&attachment.held, Held::Parked(parked) if parked.expires_at <= now);
    if connect.clean_start || is_over {
        attachment.forget(now);
    }
    if let Held::Parked(parked) = std::mem::replace(&mut attachment.held, Held::Nothing) {
        return Ok((parked.state, true));
    }
    let sessions = broker.session_count();
    if sessions > config.max_sessions {
        return Err(Refusal::Sessions {
            limit: config.max_sessions,
        });
    }
    let is_kept = connect.session_expiry_interval.min(expiry_max(config)) > 0;
    let queue = broker.router.register(client_id.clone(), is_kept);
    Ok((State::new(queue, broker.metrics.clone()), false))
}

/// What the client asked for, or less where the path or the configuration allows less and the client can be told.
fn granted_keep_alive(connect: &Connect, peer: &Peer, config: &Config) -> Duration {
    let asked = Duration::from_secs(u64::from(connect.keep_alive));
    let of_path = peer.max_keep_alive.map(u64::from).map(Duration::from_secs);
    let longest = [config.max_keep_alive, of_path].into_iter().flatten().min();
    match longest {
        Some(longest)
            if connect.version.accepts_connack_properties()
                && (asked.is_zero() || asked > longest) =>
        {
            longest
        }
        Some(_) | None => asked,
    }
}

fn expiry_max(config: &Config) -> u32 {
    u32::try_from(config.session_expiry_max.as_secs()).unwrap_or(u32::MAX)
}

fn connack(
    connect: &Connect,
    session_present: bool,
    authentication: Option<Authentication>,
    keep_alive: Duration,
    config: &Config,
    client_id: &ClientId,
) -> ConnAck {
    let mut answer = ConnAck::new(session_present, ReasonCode::Success);
    let longest = expiry_max(config);
    answer.session_expiry_interval = (connect.session_expiry_interval > longest).then_some(longest);
    answer.receive_maximum = Some(config.receive_maximum);
    answer.maximum_packet_size = Some(config.max_packet_size);
    answer.topic_alias_maximum = config.topic_alias_maximum;
    answer.assigned_client_identifier = connect.client_id.is_empty().then(|| (&**client_id).into());
    let keep_alive = u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX);
    answer.server_keep_alive = (keep_alive != connect.keep_alive).then_some(keep_alive);
    answer.authentication = authentication;
    answer
}
