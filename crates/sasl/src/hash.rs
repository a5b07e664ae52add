//! HMAC with a key of any length.

use hmac::{EagerHash, Hmac, KeyInit};
use sha2::Digest;
use sha2::digest::Key;
use zeroize::Zeroize;

/// HMAC (RFC 2104). Keys longer than a block are hashed first, shorter ones are filled with zeros.
pub(crate) fn hmac<D>(key: &[u8]) -> Hmac<D>
where
    D: EagerHash + Digest,
{
    let mut block = Key::<Hmac<D>>::default();
    if let Some(room) = block.get_mut(..key.len()) {
        room.copy_from_slice(key);
    } else {
        let hashed = D::digest(key);
        block[..hashed.len()].copy_from_slice(&hashed);
    }
    let hmac = Hmac::<D>::new(&block);
    block.as_mut_slice().zeroize();
    hmac
}

#[cfg(test)]
mod tests {
    use hmac::Mac;
    use sha2::{Sha256, Sha512};

    use super::*;

    /// The library's own way, which may fail by its type.
    fn other<D: EagerHash + Digest>(key: &[u8]) -> alloc::vec::Vec<u8>
    where
        Hmac<D>: KeyInit + Mac,
    {
        let hmac = <Hmac<D> as KeyInit>::new_from_slice(key).expect("any length");
        hmac.chain_update(b"text").finalize().into_bytes().to_vec()
    }

    #[test]
    fn keys_of_any_length_are_taken_as_the_rfc_has_it() {
        for len in [0, 1, 32, 63, 64, 65, 127, 128, 129, 500] {
            let key = alloc::vec![7; len];
            let ours = hmac::<Sha256>(&key).chain_update(b"text").finalize().into_bytes();
            assert_eq!(ours.to_vec(), other::<Sha256>(&key), "{len}");
            let ours = hmac::<Sha512>(&key).chain_update(b"text").finalize().into_bytes();
            assert_eq!(ours.to_vec(), other::<Sha512>(&key), "{len}");
        }
    }
}
