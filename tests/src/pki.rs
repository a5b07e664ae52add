//! Certificates of our own making, good and bad ones. The task that starts Kafka takes this file in
//! as well, so that both make the same.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Somebody who vouches for others.
pub struct Authority {
    name: String,
    key: KeyPair,
    certificate: Certificate,
    /// What is shown beside a certificate that this one has issued: its own, if it is no root.
    chain: String,
}

/// When a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From an hour ago, for a month.
    Now,
    /// It ended yesterday.
    Ended,
    /// It begins tomorrow.
    NotYet,
}

/// Which key a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 2048 bits.
    Rsa,
    /// On the P-256 curve.
    Ec,
}

/// What is to be certified.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The common name.
    pub name: &'a str,
    /// Host names and addresses; without any it is the certificate of a client.
    pub hosts: &'a [&'a str],
    /// When it holds.
    pub validity: Validity,
    /// Which key it is for.
    pub key: KeyKind,
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate, followed by those that vouch for it short of the root.
    pub chain: String,
    /// PKCS#8 without a password.
    pub key: String,
}

impl Issued {
    /// Both in one text, the key first.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{}{}", self.key, self.chain)
    }
}

impl Authority {
    /// A new root.
    ///
    /// # Errors
    /// Keys or certificates cannot be made here.
    pub fn create(name: &str) -> Result<Self, String> {
        Self::with_key(name, key_pair(KeyKind::Ec)?)
    }

    /// The root of that name whose key was kept. Its certificate is another than before, and good
    /// for what the earlier one is good for.
    ///
    /// # Errors
    /// The text is no key.
    pub fn open(name: &str, key: &str) -> Result<Self, String> {
        Self::with_key(name, KeyPair::from_pem(key).map_err(told)?)
    }

    fn with_key(name: &str, key: KeyPair) -> Result<Self, String> {
        let certificate = ca_params(name)?.self_signed(&key).map_err(told)?;
        Ok(Self { name: name.to_owned(), key, certificate, chain: String::new() })
    }

    /// An authority for which this one vouches.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn below(&self, name: &str) -> Result<Self, String> {
        let key = key_pair(KeyKind::Ec)?;
        let above = ca_params(&self.name)?;
        let issuer = Issuer::from_params(&above, &self.key);
        let certificate = ca_params(name)?.signed_by(&key, &issuer).map_err(told)?;
        let chain = format!("{}{}", certificate.pem(), self.chain);
        Ok(Self { name: name.to_owned(), key, certificate, chain })
    }

    /// Its own certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// Its key, as PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate with a new key.
    ///
    /// # Errors
    /// As [`Authority::create`], or a host is no name.
    pub fn issue(&self, wish: &Wish<'_>) -> Result<Issued, String> {
        let key = key_pair(wish.key)?;
        let hosts: Vec<String> = wish.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).map_err(told)?;
        params.distinguished_name.push(DnType::CommonName, wish.name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if wish.hosts.is_empty() {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        let now = SystemTime::now();
        let (begin, end) = match wish.validity {
            Validity::Now => (now - HOUR, now + 30 * DAY),
            Validity::Ended => (now - 30 * DAY, now - DAY),
            Validity::NotYet => (now + DAY, now + 30 * DAY),
        };
        (params.not_before, params.not_after) = (begin.into(), end.into());
        let above = ca_params(&self.name)?;
        let issuer = Issuer::from_params(&above, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(told)?;
        let chain = format!("{}{}", certificate.pem(), self.chain);
        Ok(Issued { chain, key: key.serialize_pem() })
    }
}

fn ca_params(name: &str) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(Vec::new()).map_err(told)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - 30 * DAY).into(), (now + 365 * DAY).into());
    Ok(params)
}

fn key_pair(kind: KeyKind) -> Result<KeyPair, String> {
    let algorithm = match kind {
        KeyKind::Rsa => &PKCS_RSA_SHA256,
        KeyKind::Ec => &PKCS_ECDSA_P256_SHA256,
    };
    KeyPair::generate_for(algorithm).map_err(told)
}

/// A key that signs tokens.
pub struct TokenKey {
    /// By which tokens name it.
    pub id: String,
    /// PKCS#8, as PEM.
    pub private: String,
    /// As a key set has it (RFC 7517), without its id.
    public: Vec<(&'static str, String)>,
}

impl TokenKey {
    /// A new key.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn create(id: &str, kind: KeyKind) -> Result<Self, String> {
        let key = key_pair(kind)?;
        let raw = key.public_key_raw();
        let public = match kind {
            KeyKind::Rsa => {
                let (modulus, exponent) = rsa_numbers(raw).ok_or("an RSA key of another form")?;
                vec![
                    ("kty", "RSA".to_owned()),
                    ("alg", "RS256".to_owned()),
                    ("n", base64url(modulus)),
                    ("e", base64url(exponent)),
                ]
            }
            KeyKind::Ec => {
                // One byte that says "not compressed", then both coordinates.
                let (x, y) = raw.get(1..65).ok_or("an EC key of another form")?.split_at(32);
                vec![
                    ("kty", "EC".to_owned()),
                    ("alg", "ES256".to_owned()),
                    ("crv", "P-256".to_owned()),
                    ("x", base64url(x)),
                    ("y", base64url(y)),
                ]
            }
        };
        Ok(Self { id: id.to_owned(), private: key.serialize_pem(), public })
    }
}

/// The key set (RFC 7517) that has the public halves of these keys.
#[must_use]
pub fn key_set(keys: &[TokenKey]) -> String {
    let entry = |key: &TokenKey| {
        let mut entry = json!({ "kid": key.id, "use": "sig" });
        for (name, value) in &key.public {
            entry[name] = json!(value);
        }
        entry
    };
    json!({ "keys": keys.iter().map(entry).collect::<Vec<_>>() }).to_string()
}

/// Modulus and exponent of an RSA key in DER (RFC 8017, A.1.1): a sequence of two integers.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    // A zero in front keeps an integer from being negative.
    let plain = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    Some((&modulus[plain(modulus)..], &exponent[plain(exponent)..]))
}

/// The content of the element of DER with this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (len, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        (len.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (found == tag).then(|| rest.split_at_checked(len))?
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn told(error: rcgen::Error) -> String {
    format!("a certificate cannot be made: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rsa_key_is_told_by_two_numbers() {
        let der = [0x30, 0x09, 0x02, 0x02, 0x00, 0xC1, 0x02, 0x03, 0x01, 0x00, 0x01];
        assert_eq!(rsa_numbers(&der), Some((&[0xC1][..], &[0x01, 0x00, 0x01][..])));
        for end in 0..der.len() {
            assert_eq!(rsa_numbers(&der[..end]), None);
        }
    }

    #[test]
    fn a_key_set_names_both_kinds_of_keys() {
        let rsa = TokenKey::create("one", KeyKind::Rsa).expect("a key");
        let ec = TokenKey::create("two", KeyKind::Ec).expect("a key");
        let set = key_set(&[rsa, ec]);
        assert!(set.contains("\"kid\":\"one\",\"use\":\"sig\",\"kty\":\"RSA\""), "{set}");
        assert!(set.contains("\"e\":\"AQAB\""), "{set}");
        assert!(set.contains("\"crv\":\"P-256\""), "{set}");
    }
}
