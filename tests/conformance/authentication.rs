//! Enhanced authentication (4.12, 3.15), with a mechanism that asks a question in both directions.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use gatemq::{
    auth::{Action, Authority, Denied, Mechanism, Principal, Request, Step},
    mqtt::packet::{Auth, Authentication, Connect, Packet, ProtocolVersion, ReasonCode},
};

use crate::support::{Broker, Carrier, Client, connect};

const V5: ProtocolVersion = ProtocolVersion::V5;

/// Knows one method, `RIDDLE`: the client begins with its name, the server asks, the client answers.
struct Riddler;

struct Riddle {
    name: Option<Bytes>,
}

impl Authority for Riddler {
    fn authenticate<'a>(
        &'a self,
        _: Request<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Principal, Denied>> + Send + 'a>> {
        Box::pin(std::future::ready(Err(Denied::BadCredentials)))
    }

    fn may(&self, _: &Principal, _: Action, _: &str) -> Result<(), Denied> {
        Ok(())
    }

    fn mechanism(&self, method: &str) -> Option<Box<dyn Mechanism>> {
        (method == "RIDDLE").then(|| Box::new(Riddle { name: None }) as Box<dyn Mechanism>)
    }
}

impl Mechanism for Riddle {
    fn step(&mut self, data: Option<&Bytes>) -> Step {
        let data = data.cloned().unwrap_or_default();
        match self.name.take() {
            None => {
                self.name = Some(data);
                Step::Continue(Some(Bytes::from_static(b"6 x 9?")))
            }
            Some(name) if data == "42" => {
                let name = String::from_utf8_lossy(&name).into_owned();
                let principal = Principal {
                    name: Some(name.into()),
                };
                Step::Success(principal, Some(Bytes::from_static(b"welcome")))
            }
            Some(_) => Step::Failure(Denied::BadCredentials),
        }
    }
}

fn authentication(data: &'static [u8]) -> Authentication {
    Authentication {
        method: "RIDDLE".into(),
        data: Some(Bytes::from_static(data)),
    }
}

fn auth(reason_code: ReasonCode, authentication: Option<Authentication>) -> Packet {
    Packet::Auth(Auth {
        reason_code,
        authentication,
        reason_string: None,
        user_properties: Vec::new(),
    })
}

fn wanted(method: &str) -> Connect {
    let mut connect = connect(V5, "c");
    connect.authentication = Some(Authentication {
        method: method.into(),
        ..authentication(b"alice")
    });
    connect
}

async fn each(test: impl AsyncFn(Broker)) {
    for carrier in Carrier::ALL {
        let broker = Broker::build("", |builder| builder.authority(Arc::new(Riddler)));
        test(broker.over(carrier)).await;
    }
}

/// Begins and is asked.
async fn begun(broker: &Broker) -> Client {
    let mut client = broker.client(V5).await;
    client
        .send(&Packet::Connect(Box::new(wanted("RIDDLE"))))
        .await;
    expect_question(&mut client).await;
    client
}

async fn expect_question(client: &mut Client) {
    let Packet::Auth(question) = client.expect_packet().await else {
        panic!("not AUTH");
    };
    assert_eq!(question.reason_code, ReasonCode::ContinueAuthentication);
    assert_eq!(question.authentication, Some(authentication(b"6 x 9?")));
}

/// Answers, and is accepted.
async fn accepted(broker: &Broker) -> Client {
    let mut client = begun(broker).await;
    let answer = auth(
        ReasonCode::ContinueAuthentication,
        Some(authentication(b"42")),
    );
    client.send(&answer).await;
    let Packet::ConnAck(connack) = client.expect_packet().await else {
        panic!("not CONNACK");
    };
    assert_eq!(connack.reason_code, ReasonCode::Success);
    assert_eq!(connack.authentication, Some(authentication(b"welcome")));
    client
}

/// [MQTT-4.12.0-2 to -5] AUTH goes back and forth, then CONNACK.
#[tokio::test]
async fn a_client_proves_itself() {
    each(async |broker| {
        let mut client = accepted(&broker).await;
        client.expect_nothing().await;
    })
    .await;
}

/// [MQTT-4.12.0-4] A wrong answer is told by CONNACK.
#[tokio::test]
async fn a_wrong_answer_is_refused() {
    each(async |broker| {
        let mut client = begun(&broker).await;
        let answer = auth(
            ReasonCode::ContinueAuthentication,
            Some(authentication(b"54")),
        );
        client.send(&answer).await;
        let Packet::ConnAck(connack) = client.expect_packet().await else {
            panic!("not CONNACK");
        };
        assert_eq!(connack.reason_code, ReasonCode::BadUserNameOrPassword);
        assert_eq!(client.expect_end().await, []);
    })
    .await;
}

/// [MQTT-4.12.0-1] An unknown method is 0x8C.
#[tokio::test]
async fn an_unknown_method_is_refused() {
    each(async |broker| {
        let mut client = broker.client(V5).await;
        let answer = client.connect(wanted("SCRAM-SHA-1")).await;
        assert_eq!(answer.reason_code, ReasonCode::BadAuthenticationMethod);
    })
    .await;
}

/// [MQTT-3.1.2-30] Until CONNACK a client that authenticates says AUTH or DISCONNECT, nothing else.
#[tokio::test]
async fn nothing_else_is_said_meanwhile() {
    each(async |broker| {
        let mut client = begun(&broker).await;
        client.send(&Packet::PingReq).await;
        match client.expect_end().await.pop() {
            None => {}
            Some(Packet::ConnAck(refusal)) => {
                assert_eq!(refusal.reason_code, ReasonCode::ProtocolError);
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// [MQTT-4.12.0-5] The method stays the same.
#[tokio::test]
async fn the_method_stays_the_same() {
    each(async |broker| {
        let mut client = begun(&broker).await;
        let mut other = authentication(b"42");
        other.method = "OTHER".into();
        client
            .send(&auth(ReasonCode::ContinueAuthentication, Some(other)))
            .await;
        let last = client.expect_end().await;
        assert!(
            !matches!(&last[..], [Packet::ConnAck(answer)] if answer.reason_code == ReasonCode::Success),
            "{last:?}"
        );
    })
    .await;
}

/// [MQTT-4.12.1-1] Re-authentication, while everything else goes on.
#[tokio::test]
async fn a_client_proves_itself_again() {
    each(async |broker| {
        let mut client = accepted(&broker).await;
        let again = auth(ReasonCode::ReAuthenticate, Some(authentication(b"alice")));
        client.send(&again).await;
        expect_question(&mut client).await;
        client.expect_nothing().await;
        let answer = auth(
            ReasonCode::ContinueAuthentication,
            Some(authentication(b"42")),
        );
        client.send(&answer).await;
        let expected = auth(ReasonCode::Success, Some(authentication(b"welcome")));
        assert_eq!(client.expect_packet().await, expected);
    })
    .await;
}

/// [MQTT-4.12.1-2] A re-authentication that fails ends the connection.
#[tokio::test]
async fn a_failed_re_authentication_ends_the_connection() {
    each(async |broker| {
        let mut client = accepted(&broker).await;
        let again = auth(ReasonCode::ReAuthenticate, Some(authentication(b"alice")));
        client.send(&again).await;
        expect_question(&mut client).await;
        let answer = auth(
            ReasonCode::ContinueAuthentication,
            Some(authentication(b"54")),
        );
        client.send(&answer).await;
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    })
    .await;
}

/// [MQTT-4.12.0-6] A client that began without a method has none.
#[tokio::test]
async fn auth_without_a_method_is_a_protocol_error() {
    each(async |broker| {
        let mut client = accepted(&broker).await;
        client
            .send(&auth(ReasonCode::ContinueAuthentication, None))
            .await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    })
    .await;
}
