//! Files with anything in them.

use std::sync::Arc;

use ottla_core::config::{Secret, TlsConfig};
use p12_keystore::EncryptionAlgorithm::PbeWithHmacSha256AndAes256;
use proptest::prelude::*;

use super::super::files::Files;
use super::super::{identity, pem, roots, suites};
use super::pki::{Authority, Pair, client, pkcs12_of};
use super::{CANARY, file, folder};

/// Reads bytes as everything that they could be. Whatever they are, it ends in a value or an error.
fn read(bytes: &[u8], password: &str) {
    let folder = folder();
    let path = Some(file(&folder, "file", bytes));
    let mut key = TlsConfig::default();
    key.keystore_location = path.clone();
    key.keystore_password = Some(Secret::new(password));
    key.key_password = Some(Secret::new(password));
    let _ = identity::load(&key, &Files::read(&key));
    let mut trust = TlsConfig::default();
    trust.truststore_location = path.clone();
    trust.truststore_password = Some(Secret::new(password));
    trust.crl_location = path;
    let files = Files::read(&trust);
    if let Ok(Some(given)) = roots::load(&trust, &files) {
        let provider = suites::provider(&trust).expect("cryptography");
        let _ = roots::verifier(&trust, &files, &given, &Arc::new(provider));
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn pair() -> Pair {
    Authority::new("authority").issue(&client("amara"))
}

proptest! {
    #![proptest_config(cases(300))]

    /// Laws: L11. Scenarios: S14.
    #[test]
    fn any_bytes_and_any_text_with_marks_of_pem_are_read_or_refused(
        pieces in prop::collection::vec(
            prop_oneof![
                Just(b"-----BEGIN ".to_vec()),
                Just(b"-----END ".to_vec()),
                Just(b"CERTIFICATE".to_vec()),
                Just(b"PRIVATE KEY".to_vec()),
                Just(b"ENCRYPTED PRIVATE KEY".to_vec()),
                Just(b"X509 CRL".to_vec()),
                Just(b"-----".to_vec()),
                Just(b"\\n".to_vec()),
                Just(vec![0x30, 0x82]),
                prop::collection::vec(any::<u8>(), 0..40),
            ],
            0..20,
        ),
    ) {
        let bytes = pieces.concat();
        if let Ok(blocks) = pem::blocks(&bytes) {
            for block in blocks {
                let _ = block.decode();
            }
        }
        read(&bytes, "");
    }
}

proptest! {
    // Each opens key stores, which costs time on purpose.
    #![proptest_config(cases(48))]

    /// Laws: L11. Scenarios: S14.
    #[test]
    fn a_file_with_some_bytes_changed_is_read_or_refused(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<prop::sample::Index>(),
    ) {
        let pair = pair();
        let mut bytes = match which {
            0 => pair.pkcs12(CANARY, PbeWithHmacSha256AndAes256),
            1 => pkcs12_of(&[&Authority::new("authority")], CANARY),
            2 => (pair.pem() + &pair.key_pem_under(CANARY)).into_bytes(),
            _ => (pair.pem() + &pair.key_pem()).into_bytes(),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes, CANARY);
        bytes.truncate(keep.index(bytes.len()));
        read(&bytes, CANARY);
    }
}

/// The libraries below would compute for hours at these numbers, or panic at them.
/// Laws: L9, L11. Scenarios: S14.
#[test]
fn costs_that_make_no_sense_are_refused() {
    use super::pki::pem;
    let pair = pair();
    // An EncryptedPrivateKeyInfo by PBES2 with AES-256-CBC, and the costs of its derivation.
    let scrypt = |cost: &[u8], block: &[u8]| {
        let costs = [integer(cost), integer(block), integer(&[1])].concat();
        let kdf = [oid(&SCRYPT), sequence(&[octets(&[7; 16]), costs].concat())].concat();
        encrypted_by(&kdf)
    };
    let pbkdf2 = |rounds: &[u8]| {
        let parameters = [octets(&[7; 16]), integer(rounds)].concat();
        encrypted_by(&[oid(&PBKDF2), sequence(&parameters)].concat())
    };
    for key in [
        scrypt(&[0], &[8]),
        scrypt(&[1, 0, 0, 0, 0], &[8]),
        scrypt(&[0x40, 0], &[0x70, 0]),
        pbkdf2(&[0x7f, 0xff, 0xff, 0xff]),
    ] {
        let mut settings = TlsConfig::default();
        settings.verify_certificate = false;
        settings.certificate_chain = Some(pair.pem());
        settings.key = Some(Secret::new(pem("ENCRYPTED PRIVATE KEY", &key)));
        settings.key_password = Some(Secret::new(CANARY));
        let text = super::refused(&settings);
        assert!(text.contains("far too much time or memory"), "{text}");
    }
}

const PBES2: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const SCRYPT: [u8; 9] = [0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11];
const AES_256_CBC: [u8; 9] = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2a];

fn encrypted_by(kdf: &[u8]) -> Vec<u8> {
    let cipher = sequence(&[oid(&AES_256_CBC), octets(&[9; 16])].concat());
    let parameters = sequence(&[sequence(kdf), cipher].concat());
    let algorithm = sequence(&[oid(&PBES2), parameters].concat());
    sequence(&[algorithm, octets(&[0; 32])].concat())
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("short");
    let header = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [header, value.to_vec()].concat()
}

fn sequence(value: &[u8]) -> Vec<u8> {
    tagged(0x30, value)
}

fn octets(value: &[u8]) -> Vec<u8> {
    tagged(4, value)
}

fn integer(value: &[u8]) -> Vec<u8> {
    tagged(2, value)
}

fn oid(value: &[u8]) -> Vec<u8> {
    tagged(6, value)
}
