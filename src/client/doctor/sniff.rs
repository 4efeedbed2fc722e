//! What a port does speak that did not answer as it was asked: for "you have the wrong scheme".

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    request::{self, NoAnswer},
    way::Way,
};
use crate::client::{Carrier, Trust};

/// MQTT 3.1.1, clean session, keep alive 10, no client identifier.
const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00";

/// What was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spoken {
    Http,
    Mqtt,
    Tls,
    Nothing,
}

/// What is spoken on this way, by trying; a broker with the one ear open has the other one shut.
pub(super) async fn spoken(way: &Way) -> Spoken {
    // First: a port with TLS may answer plain HTTP, to say that it has TLS.
    if way.tls.is_none() && speaks_tls(way).await {
        return Spoken::Tls;
    }
    // A port that takes both is asked for what was wanted of it.
    if way.target.carrier == Carrier::Tcp && speaks_mqtt(way).await {
        return Spoken::Mqtt;
    }
    match request::get(way, "/livez").await {
        Ok(_) => return Spoken::Http,
        Err(NoAnswer::Tls) => return Spoken::Tls,
        Err(_) => {}
    }
    if speaks_mqtt(way).await {
        return Spoken::Mqtt;
    }
    Spoken::Nothing
}

/// Whether CONNECT is answered by CONNACK, whatever it says.
async fn speaks_mqtt(way: &Way) -> bool {
    let asking = async {
        let mut stream = way.open().await?;
        stream.write_all(CONNECT).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    matches!(way.patiently(asking).await, Ok(0x20))
}

/// Whether a handshake succeeds, whoever the server is.
async fn speaks_tls(way: &Way) -> bool {
    let anybody = Trust {
        insecure: true,
        ..Trust::default()
    };
    let Ok(dialect) = anybody.dialect(&way.target) else {
        return false;
    };
    let shaken = way.open_tls(dialect.config, &[]).await;
    // A server that wants a certificate of the client's has shown its own before.
    shaken.is_ok() || !dialect.presented.chain().is_empty()
}
