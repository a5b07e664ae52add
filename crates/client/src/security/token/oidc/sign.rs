//! Signatures of assertions (RFC 7518 §3), by the library that signs for TLS.

use ottla_core::config::{AssertionAlgorithm, AssertionConfig, ConfigError};
use rustls::SignatureScheme;

use super::super::source::refuse;
use super::assertion::read;
use crate::tls;

const KEY_FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
const KEY: &str = "sasl.oauthbearer.assertion.private.key.pem";
const PASSPHRASE: &str = "sasl.oauthbearer.assertion.private.key.passphrase";
const ALGORITHM: &str = "sasl.oauthbearer.assertion.algorithm";

/// Bytes of each of the two numbers that a signature by P-256 is made of.
const SCALAR_BYTES: usize = 32;

/// An algorithm's name in a header.
pub(super) fn name(algorithm: AssertionAlgorithm) -> &'static str {
    match algorithm {
        AssertionAlgorithm::Rs256 => "RS256",
        AssertionAlgorithm::Es256 => "ES256",
    }
}

/// The signature of `message` by the key that the settings name.
///
/// # Errors
/// The key cannot be read, or is not one for the algorithm.
pub(super) fn sign(config: &AssertionConfig, message: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let passphrase = (PASSPHRASE, config.private_key_passphrase.as_ref());
    let key = match (&config.private_key_file, &config.private_key_pem) {
        (Some(path), _) => {
            let bytes = read(KEY_FILE, path)?;
            tls::signing_key((KEY_FILE, Some(path)), &bytes, passphrase)?
        }
        (None, Some(pem)) => tls::signing_key((KEY, None), pem.expose().as_bytes(), passphrase)?,
        (None, None) => return Err(refuse(KEY_FILE, "is required: the key that signs")),
    };
    let (scheme, wanted) = match config.algorithm {
        AssertionAlgorithm::Rs256 => (SignatureScheme::RSA_PKCS1_SHA256, "an RSA key"),
        AssertionAlgorithm::Es256 => {
            (SignatureScheme::ECDSA_NISTP256_SHA256, "a key of the curve P-256")
        }
    };
    let name = name(config.algorithm);
    let signer = key.choose_scheme(&[scheme]).ok_or_else(|| {
        refuse(ALGORITHM, format!("{name} needs {wanted}, and the assertion's key is another"))
    })?;
    let failed = || refuse(ALGORITHM, format!("the assertion's key does not sign by {name}"));
    let signature = signer.sign(message).map_err(|_| failed())?;
    match config.algorithm {
        AssertionAlgorithm::Rs256 => Ok(signature),
        AssertionAlgorithm::Es256 => raw(&signature).ok_or_else(failed),
    }
}

/// TLS has the two numbers of a signature in DER, RFC 7518 §3.4 has them one behind the other.
fn raw(der: &[u8]) -> Option<Vec<u8>> {
    let (numbers, rest) = element(der, 0x30)?;
    let (r, after) = element(numbers, 0x02)?;
    let (s, end) = element(after, 0x02)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut raw = vec![0; 2 * SCALAR_BYTES];
    for (number, place) in [r, s].into_iter().zip(raw.chunks_mut(SCALAR_BYTES)) {
        // A zero in front keeps a number from being negative.
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        place.get_mut(SCALAR_BYTES.checked_sub(number.len())?..)?.copy_from_slice(number);
    }
    Some(raw)
}

/// The content of a DER element of a type, and what follows. Such signatures are shorter than 128
/// bytes, so lengths have one.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk()?;
    (first == tag && length < 0x80).then(|| rest.split_at_checked(length.into()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(bytes: &[u8]) -> Vec<u8> {
        [&[2, bytes.len() as u8], bytes].concat()
    }

    fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        let content = parts.concat();
        [&[0x30, content.len() as u8], &*content].concat()
    }

    #[test]
    fn numbers_of_a_signature_get_32_bytes_each_whatever_der_makes_of_them() {
        let long = [&[0], &[0xff; 32][..]].concat();
        let der = sequence(&[integer(&long), integer(&[7])]);
        let mut wanted = vec![0xff; 32];
        wanted.extend([0; 31]);
        wanted.push(7);
        assert_eq!(raw(&der), Some(wanted));
    }

    #[test]
    fn what_is_no_signature_is_none() {
        let good = sequence(&[integer(&[1]), integer(&[2])]);
        assert!(raw(&good).is_some());
        for end in 0..good.len() {
            assert_eq!(raw(&good[..end]), None);
        }
        assert_eq!(raw(&[good.as_slice(), &[0]].concat()), None);
        assert_eq!(raw(&sequence(&[integer(&[1; 33]), integer(&[2])])), None);
        assert_eq!(raw(&[0x30, 0x80, 0, 0]), None);
    }
}
