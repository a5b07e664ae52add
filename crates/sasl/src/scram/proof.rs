//! The arithmetic of RFC 5802, section 3.

use alloc::string::String;
use alloc::vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::message::ServerFirst;
use crate::hash::hmac;

/// Knows the signature that the broker owes. It wipes itself.
pub(super) enum Verifier {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Verifier {
    /// Compares in a time that does not tell how much of it was right.
    pub(super) fn accepts(self, signature: &[u8]) -> bool {
        match self {
            Self::Sha256(hmac) => hmac.verify_slice(signature).is_ok(),
            Self::Sha512(hmac) => hmac.verify_slice(signature).is_ok(),
        }
    }
}

impl From<Hmac<Sha256>> for Verifier {
    fn from(hmac: Hmac<Sha256>) -> Self {
        Self::Sha256(hmac)
    }
}

impl From<Hmac<Sha512>> for Verifier {
    fn from(hmac: Hmac<Sha512>) -> Self {
        Self::Sha512(hmac)
    }
}

/// The proof that we know the password, in base64, and what the broker has to prove.
pub(super) fn prove<D>(
    password: &[u8],
    first: &ServerFirst<'_>,
    signed: &[u8],
) -> (String, Verifier)
where
    D: EagerHash + Digest,
    Hmac<D>: Mac + KeyInit,
    Verifier: From<Hmac<D>>,
{
    let mut salted = Zeroizing::new(vec![0; <D as Digest>::output_size()]);
    pbkdf2::pbkdf2_hmac::<D>(password, &first.salt, first.iterations, &mut salted);
    let key = |name: &[u8]| {
        let key = hmac::<D>(&salted).chain_update(name).finalize().into_bytes();
        Zeroizing::new(key.to_vec())
    };
    let client_key = key(b"Client Key");
    let stored_key = Zeroizing::new(D::digest(&client_key[..]).to_vec());
    let mut proof = hmac::<D>(&stored_key).chain_update(signed).finalize().into_bytes();
    for (byte, key) in proof.iter_mut().zip(client_key.iter()) {
        *byte ^= key;
    }
    let verifier = hmac::<D>(&key(b"Server Key")).chain_update(signed).into();
    (STANDARD.encode(proof), verifier)
}
