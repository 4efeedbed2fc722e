//! The cryptography of rustls that this module uses, named once: aws-lc-rs, and no process-wide default.

use std::sync::Arc;

use rustls::{
    SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
};

/// aws-lc-rs with its own preferences: X25519MLKEM768 first, TLS 1.3 before 1.2.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The SHA-256 of the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    let SupportedCipherSuite::Tls13(suite) = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
    else {
        unreachable!("TLS13_AES_128_GCM_SHA256 is a suite of TLS 1.3")
    };
    let mut hash = suite.common.hash_provider.start();
    for part in parts {
        hash.update(part);
    }
    hash.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn sha256_of_abc() {
        let digest = sha256(&[b"a", b"bc"]);
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(digest.len(), 32);
    }
}
