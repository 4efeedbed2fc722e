//! What was written: the file's sections and keys, as TOML spells them, before anything is checked. A new key is a line
//! here, its default and range in `defaults.rs`, and a row in README.md.

use std::path::PathBuf;

use super::{
    address::{Network, Origin, ServerName, SocketName},
    diagnostics::Problems,
    document::Entry,
    section::{Description, Key, Shape, Value, Written, read_keys, section, unknown_key},
    units::{Count, OrNever, OrOff, Period, Size},
    words::{Filter, Protocol},
};
use crate::{
    listener::{ClientCertificates, ProxyProtocol},
    router::WhenFull,
    telemetry::LogFormat,
};

section! {
    /// The whole file.
    File "" {
        data_dir: PathBuf,
        threads: Count,
        drain_timeout: Period,
        sys_interval: OrOff,
        listener: Vec<Written<ListenerFile>>,
        tls: TlsFile,
        mqtt: MqttFile,
        queue: QueueFile,
        retained: RetainedFile,
        limits: LimitsFile,
        websocket: WebSocketFile,
        log: LogFile,
    }
}

section! {
    /// One listener.
    ListenerFile "[[listener]]" {
        bind: SocketName,
        tls: bool,
        protocols: Vec<Written<Protocol>>,
        proxy_protocol: ProxyProtocol,
        trusted_proxies: Vec<Written<Network>>,
        client_certificates: ClientCertificates,
    }
}

section! {
    /// Where certificates come from.
    TlsFile "[tls]" {
        certificate: Vec<Written<CertificateFile>>,
        own_dir: PathBuf,
        own_names: Vec<Written<ServerName>>,
        client_ca: PathBuf,
        crl: Vec<Written<PathBuf>>,
    }
}

section! {
    /// One certificate and its key.
    CertificateFile "[[tls.certificate]]" {
        chain: PathBuf,
        key: PathBuf,
    }
}

section! {
    /// The protocol engine.
    MqttFile "[mqtt]" {
        allow_anonymous: bool,
        max_packet_size: Size,
        session_expiry_max: OrNever,
        receive_maximum: Count,
        topic_alias_maximum: Count,
        max_topic_levels: Count,
        connect_timeout: Period,
        max_sessions: Count,
        max_keep_alive: OrOff,
        max_subscriptions_per_session: Count,
    }
}

section! {
    /// The queue of each session.
    QueueFile "[queue]" {
        max_messages: Count,
        max_bytes: Size,
        max_age: OrNever,
        when_full: WhenFull,
        queue_qos0: bool,
        max_total_bytes: Size,
    }
}

section! {
    /// Retained messages.
    RetainedFile "[retained]" {
        max_bytes: Size,
    }
}

section! {
    /// The front door.
    LimitsFile "[limits]" {
        max_connections: Count,
        max_connections_per_address: Count,
        max_handshakes: Count,
        proxy_header_timeout: Period,
        tls_handshake_timeout: Period,
        first_byte_timeout: Period,
        http_header_timeout: Period,
        max_header_bytes: Size,
    }
}

section! {
    /// WebSocket.
    WebSocketFile "[websocket]" {
        ping_interval: Period,
        allowed_origins: Vec<Written<Origin>>,
    }
}

section! {
    /// Logs.
    LogFile "[log]" {
        filter: Filter,
        format: LogFormat,
    }
}
