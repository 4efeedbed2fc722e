//! Reason codes as sentences, and what to try.

use crate::mqtt::packet::ReasonCode;

/// The standard's name of a code in lower case, with its value: `not authorized (0x87)`.
#[must_use]
pub fn words(code: ReasonCode) -> String {
    // QoS is one word with two capitals.
    let name = format!("{code:?}").replace("QoS", "Qos");
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    format!("{} (0x{:02X})", words.replace("qos", "QoS"), code as u8)
}

/// What usually helps.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "for the others the broker's own words and its log are all there is"
)]
pub(super) const fn hint(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::BadUserNameOrPassword => "check -u and -P (or the URL's user:password@)",
        ReasonCode::NotAuthorized => {
            "give -u and -P if you gave none; otherwise the broker's permissions have to allow it"
        }
        ReasonCode::UnsupportedProtocolVersion => "try -V 311",
        ReasonCode::ClientIdentifierNotValid => "try another -i, of at most 23 letters and digits",
        ReasonCode::ServerUnavailable
        | ReasonCode::ServerBusy
        | ReasonCode::ServerShuttingDown
        | ReasonCode::ConnectionRateExceeded
        | ReasonCode::MessageRateTooHigh => "try again in a moment",
        ReasonCode::SessionTakenOver => {
            "another client has connected with the same client identifier: use another -i"
        }
        ReasonCode::PacketTooLarge => "send less at once, or raise the broker's largest packet",
        ReasonCode::QoSNotSupported => "use a lower -q",
        ReasonCode::RetainNotSupported => "leave -r away",
        ReasonCode::KeepAliveTimeout => "use a longer -k, or look at the network",
        ReasonCode::BadAuthenticationMethod => {
            "leave -D connect authentication-method away, or name one that the broker has"
        }
        _ => "the broker's log says more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_the_standard_names_them() {
        assert_eq!(words(ReasonCode::NotAuthorized), "not authorized (0x87)");
        assert_eq!(
            words(ReasonCode::QoSNotSupported),
            "QoS not supported (0x9B)"
        );
        assert_eq!(words(ReasonCode::GrantedQoS1), "granted QoS1 (0x01)");
    }
}
