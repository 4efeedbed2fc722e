//! Distinguished names as text, to the letter of RFC 4514.

use std::fmt::Write as _;

use x509_parser::{
    asn1_rs::ToDer,
    x509::{AttributeTypeAndValue, X509Name},
};

/// The short names of RFC 4514, clause 3, and three more that the LDAP registry has and device certificates use.
const SHORT_NAMES: [(&str, &str); 12] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.12", "title"),
];

/// The name as a string: the most specific part first, which is the last one in the certificate (clause 2.1).
pub(super) fn to_string(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for (at, part) in parts.iter().rev().enumerate() {
        if at > 0 {
            text.push(',');
        }
        for (at, attribute) in part.iter().enumerate() {
            if at > 0 {
                text.push('+');
            }
            push_attribute(&mut text, attribute);
        }
    }
    text
}

/// The most specific common name; one with U+0000 in it counts as none, since it is made to be misread.
pub(super) fn common_name(name: &X509Name<'_>) -> Option<String> {
    let last = name.iter_common_name().last()?;
    let text = last.as_str().ok()?;
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    if let (Some((_, short)), Ok(value)) = (short, attribute.as_str()) {
        text.push_str(short);
        text.push('=');
        push_value(text, value);
        return;
    }
    // Clause 2.4: whatever has no short name, or is no string, is given as its encoding.
    text.push_str(short.map_or(oid.as_str(), |(_, short)| short));
    text.push_str("=#");
    for octet in attribute.attr_value().to_der_vec().unwrap_or_default() {
        write!(text, "{octet:02x}").expect("a String takes what is written");
    }
}

/// Escapes what clause 2.4 says must be escaped.
fn push_value(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        match letter {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            _ => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use x509_parser::{certificate::X509Certificate, prelude::FromDer};

    use super::*;

    fn check(attributes: &[(DnType, &str)], text: &str, cn: Option<&str>) {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            let value = DnValue::Utf8String((*value).to_owned());
            params.distinguished_name.push(kind.clone(), value);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (_, certificate) = X509Certificate::from_der(certificate.der()).unwrap();
        assert_eq!(to_string(certificate.subject()), text);
        assert_eq!(common_name(certificate.subject()).as_deref(), cn);
    }

    #[test]
    fn most_specific_part_comes_first() {
        check(
            &[
                (DnType::CountryName, "DE"),
                (DnType::OrganizationName, "Example"),
                (DnType::CommonName, "device-7"),
            ],
            "CN=device-7,O=Example,C=DE",
            Some("device-7"),
        );
    }

    /// RFC 4514, clause 2.4.
    #[test]
    fn special_characters_are_escaped() {
        check(
            &[(DnType::CommonName, " a,b+\"c\";<d>\\ ")],
            "CN=\\ a\\,b\\+\\\"c\\\"\\;\\<d\\>\\\\\\ ",
            Some(" a,b+\"c\";<d>\\ "),
        );
        check(
            &[(DnType::CommonName, "#1 #2")],
            "CN=\\#1 #2",
            Some("#1 #2"),
        );
        check(&[(DnType::CommonName, "ü")], "CN=ü", Some("ü"));
    }

    #[test]
    fn common_name_with_nul_counts_as_none() {
        check(&[(DnType::CommonName, "admin\0x")], "CN=admin\\00x", None);
    }

    /// RFC 4514, clause 2.4: a type without a short name gives the encoding of its value.
    #[test]
    fn unknown_type_is_given_in_hexadecimal() {
        check(
            &[(DnType::CustomDnType(vec![1, 2, 3, 4]), "ab")],
            "1.2.3.4=#0c026162",
            None,
        );
    }
}
