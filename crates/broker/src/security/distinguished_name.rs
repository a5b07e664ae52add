//! The name in a client's certificate, in the words of RFC 2253, as Kafka uses it.

use std::fmt::Write;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AttributeTypeAndValue;

/// The attributes that have a short name; the others go by their numbers.
const KEYWORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The subject of a certificate, `None` when it cannot be read.
pub(super) fn subject_of(certificate_der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate_der).ok()?;
    let mut names: Vec<String> = Vec::new();
    for name in certificate.subject().iter_rdn() {
        let parts: Vec<String> = name.iter().map(attribute).collect();
        names.push(parts.join("+"));
    }
    // The most particular name comes last in a certificate and first in its text.
    names.reverse();
    Some(names.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == number).map(|(_, keyword)| *keyword);
    match (keyword, attribute.as_str()) {
        (Some(keyword), Ok(value)) => format!("{keyword}={}", escaped(value)),
        (keyword, _) => {
            let mut text = format!("{}=#", keyword.unwrap_or(&number));
            // Tag and length in front, as the RFC wants it; a text of Kafka's own kind is short.
            let value = attribute.attr_value();
            let bytes = value.data;
            let header = [value.header.tag().0 as u8, bytes.len() as u8];
            for byte in header.iter().chain(bytes) {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        let is_special = matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let is_at_the_start = index == 0 && matches!(letter, ' ' | '#');
        let is_at_the_end = index == last && letter == ' ';
        if is_special || is_at_the_start || is_at_the_end {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn subject(names: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        subject_of(certificate.der()).unwrap()
    }

    #[test]
    fn a_subject_is_written_from_its_end_as_java_writes_it() {
        let names = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Ottla, Inc."),
            (DnType::OrganizationalUnitName, "test"),
            (DnType::CommonName, " alice;#"),
        ];
        assert_eq!(subject(&names), "CN=\\ alice\\;#,OU=test,O=Ottla\\, Inc.,C=DE");
        assert_eq!(subject(&[]), "");
        let other = (DnType::CustomDnType(vec![2, 5, 4, 5]), "7");
        assert_eq!(subject(&[other]), "2.5.4.5=#0c0137");
    }

    #[test]
    fn what_is_no_certificate_has_no_subject() {
        assert_eq!(subject_of(b""), None);
        assert_eq!(subject_of(&[0x30; 64]), None);
    }
}
