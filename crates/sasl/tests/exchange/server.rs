//! The server's half of SCRAM, written anew out of RFC 5802 for what the client says to be
//! compared with. It trusts its caller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

#[derive(Clone, Copy)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
            let mac = <M as KeyInit>::new_from_slice(key).expect("any length");
            mac.chain_update(text).finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha256 => of::<Hmac<Sha256>>(key, text),
            Self::Sha512 => of::<Hmac<Sha512>>(key, text),
        }
    }

    /// `Hi` of the RFC.
    fn stretch(self, text: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut last = self.hmac(text, &[salt, &1_u32.to_be_bytes()].concat());
        let mut all = last.clone();
        for _ in 1..iterations {
            last = self.hmac(text, &last);
            all = xor(&all, &last);
        }
        all
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// What a server keeps of a user.
pub(crate) struct Account {
    hash: Hash,
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

/// An exchange that waits for the proof.
pub(crate) struct Exchange<'a> {
    account: &'a Account,
    bare: String,
    first: String,
}

impl Account {
    pub(crate) fn new(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = hash.stretch(password.as_bytes(), salt, iterations);
        Self {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&hash.hmac(&salted, b"Client Key")),
            server_key: hash.hmac(&salted, b"Server Key"),
        }
    }

    /// Answers a client's first message.
    pub(crate) fn begin(&self, hello: &[u8], nonce: &str) -> (String, Exchange<'_>) {
        let hello = std::str::from_utf8(hello).expect("text");
        let bare = hello.strip_prefix("n,,").expect("a header").to_owned();
        let (_, theirs) = bare.split_once(",r=").expect("a nonce");
        let salt = STANDARD.encode(&self.salt);
        let first = format!("r={theirs}{nonce},s={salt},i={}", self.iterations);
        (first.clone(), Exchange { account: self, bare, first })
    }
}

impl Exchange<'_> {
    fn signed(&self, unproven: &str) -> Vec<u8> {
        format!("{},{},{unproven}", self.bare, self.first).into_bytes()
    }

    /// Judges the proof; if it is right, gives the last message.
    pub(crate) fn end(&self, message: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(message).expect("text");
        let (unproven, proof) = text.rsplit_once(",p=").expect("a proof");
        let Account { hash, stored_key, .. } = self.account;
        let signature = hash.hmac(stored_key, &self.signed(unproven));
        let client_key = xor(&STANDARD.decode(proof).expect("base64"), &signature);
        (hash.digest(&client_key) == *stored_key).then(|| self.pretend(message))
    }

    /// The last message, whatever the proof is.
    pub(crate) fn pretend(&self, message: &[u8]) -> String {
        let text = std::str::from_utf8(message).expect("text");
        let (unproven, _) = text.rsplit_once(",p=").expect("a proof");
        let Account { hash, server_key, .. } = self.account;
        format!("v={}", STANDARD.encode(hash.hmac(server_key, &self.signed(unproven))))
    }
}
