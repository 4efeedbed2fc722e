//! Where one MQTT packet ends and the next begins in what the server sends: all that this module knows of MQTT.
//!
//! A message may carry several packets, or part of one [MQTT-6.0.0-2]. Clients exist that read only the first packet of a
//! message (Paho C 1.3.12 without TLS, hivemq-mqtt-web-client), so each packet gets a message of its own, and many of
//! them one write.

/// The longest fixed header: a byte, and four of Remaining Length (MQTT 5.0, 2.1).
const HEADER: usize = 5;

/// How many bytes the packet at the front has, its header included; what is not the beginning of one counts as a whole.
pub(super) fn first_length(piece: &[u8]) -> usize {
    let mut remaining = 0;
    for (place, byte) in piece.iter().enumerate().take(HEADER).skip(1) {
        remaining |= usize::from(byte & 0x7F) << (7 * (place - 1));
        if byte & 0x80 == 0 {
            return place + 1 + remaining;
        }
    }
    piece.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_packet_includes_its_header() {
        let check = |bytes: &'static [u8], length| {
            assert_eq!(first_length(bytes), length, "{bytes:?}");
        };
        check(&[0xD0, 0], 2);
        check(&[0x40, 2, 0, 1, 0xD0, 0], 4);
        check(&[0x30, 0xFF, 0x7F, 1, 2], 3 + 16_383);
        check(&[0x30, 0x80, 0x80, 0x80, 0x01], 5 + 2_097_152);
        check(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 6);
        check(&[0x30], 1);
    }
}
