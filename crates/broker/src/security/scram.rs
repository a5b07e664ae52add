//! The server's half of SCRAM (RFC 5802, RFC 7677), with Kafka's delegation tokens (KIP-48).
//!
//! Like Kafka, and unlike the RFC, a password counts by its bytes in UTF-8: SASLprep is not
//! applied. Unlike Kafka, names may hold letters beyond ASCII. Channel binding is not offered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::session::Step;
use super::users::Users;

/// The extension that says that a delegation token is meant.
const TOKEN_AUTH: &str = "tokenauth=true";

/// Which of the two SCRAM mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScramHash {
    Sha256,
    Sha512,
}

/// What the server keeps of a password.
#[derive(Clone)]
pub(crate) struct ScramKeys {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
    stored_key: Zeroizing<Vec<u8>>,
    server_key: Zeroizing<Vec<u8>>,
}

/// One authentication.
#[derive(Debug)]
pub(super) struct Exchange {
    hash: ScramHash,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The client's first message is to come.
    First,
    /// The proof is to come.
    Final(Box<Opened>),
    /// Nothing more may come.
    Ended,
}

/// What the first message and its answer have settled.
#[derive(Debug)]
struct Opened {
    owner: String,
    keys: ScramKeys,
    /// The client's message without the GS2 header, and that header.
    bare: String,
    gs2_header: String,
    nonce: String,
    answer: String,
}

macro_rules! with_hash {
    ($hash:expr, $name:ident => $body:expr) => {
        match $hash {
            ScramHash::Sha256 => {
                type $name = Sha256;
                $body
            }
            ScramHash::Sha512 => {
                type $name = Sha512;
                $body
            }
        }
    };
}

impl ScramHash {
    /// The mechanism that goes by it.
    pub(crate) fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// What a mechanism goes by, if it is one of SCRAM.
    pub(super) fn of_mechanism(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|hash| hash.mechanism() == name)
    }

    /// The keys of a password.
    pub(crate) fn keys(self, password: &[u8], salt: &[u8], iterations: u32) -> ScramKeys {
        let mut salted = Zeroizing::new(vec![0; self.len()]);
        with_hash!(self, Hash => {
            pbkdf2::pbkdf2_hmac::<Hash>(password, salt, iterations, &mut salted);
        });
        self.keys_of_salted(&salted, salt, iterations)
    }

    /// The keys of a password that was salted elsewhere, which has the length of a digest.
    pub(crate) fn keys_of_salted(self, salted: &[u8], salt: &[u8], iterations: u32) -> ScramKeys {
        let client_key = self.mac(salted, b"Client Key");
        ScramKeys {
            salt: salt.to_vec(),
            iterations,
            stored_key: self.digest(&client_key),
            server_key: self.mac(salted, b"Server Key"),
        }
    }

    pub(crate) fn len(self) -> usize {
        with_hash!(self, Hash => <Hash as Digest>::output_size())
    }

    fn digest(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        with_hash!(self, Hash => Zeroizing::new(Hash::digest(bytes).to_vec()))
    }

    /// An HMAC under a key that has the length of a digest.
    fn mac(self, key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
        with_hash!(self, Hash => {
            // Shorter keys are filled up with zeros: that is how HMAC is defined.
            let mut block = hmac::digest::Key::<Hmac<Hash>>::default();
            block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
            let mut mac = <Hmac<Hash> as KeyInit>::new(&block);
            mac.update(message);
            Zeroizing::new(mac.finalize().into_bytes().to_vec())
        })
    }
}

impl ScramKeys {
    /// What a file has of them.
    pub(super) fn from_parts(
        iterations: u32,
        salt: Vec<u8>,
        stored_key: Vec<u8>,
        server_key: Vec<u8>,
    ) -> Self {
        Self { salt, iterations, stored_key: stored_key.into(), server_key: server_key.into() }
    }

    pub(crate) fn stored_key(&self) -> &[u8] {
        &self.stored_key
    }

    pub(super) fn server_key(&self) -> &[u8] {
        &self.server_key
    }
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(hash: ScramHash) -> Self {
        Self { hash, state: State::First }
    }

    /// Takes the client's next message.
    pub(super) fn step(&mut self, message: &[u8], users: &Users) -> Step {
        let Ok(message) = std::str::from_utf8(message) else {
            return Step::Invalid("the message is not UTF-8");
        };
        match std::mem::replace(&mut self.state, State::Ended) {
            State::First => match nonce().map(|nonce| self.open(message, &nonce, users)) {
                Ok(Ok(opened)) => {
                    let answer = opened.answer.clone().into_bytes();
                    self.state = State::Final(Box::new(opened));
                    Step::Challenge(answer)
                }
                Ok(Err(refused)) => refused,
                Err(_) => Step::Invalid("there is no randomness for a nonce"),
            },
            State::Final(opened) => match self.prove(message, &opened) {
                Ok(answer) => Step::Proven { name: opened.owner, answer, expires_unix_ms: None },
                Err(reason) => Step::Invalid(reason),
            },
            State::Ended => Step::Invalid("the exchange has ended"),
        }
    }

    fn open(&self, message: &str, nonce: &str, users: &Users) -> Result<Opened, Step> {
        let first = ClientFirst::parse(message).map_err(Step::Invalid)?;
        let credential = match first.extensions.contains(&TOKEN_AUTH) {
            true => users.token(&first.name),
            false => users.by_name(&first.name),
        };
        let Some(credential) = credential else {
            return Err(Step::Invalid("there is no such user"));
        };
        if first.authorization_id.as_ref().is_some_and(|id| *id != first.name) {
            return Err(Step::refused(
                "Authentication failed: Client requested an authorization id that is different \
                 from username",
            ));
        }
        let Some(keys) = credential.scram_keys(self.hash).cloned() else {
            return Err(Step::Invalid("the user has no credential for this mechanism"));
        };
        let nonce = format!("{}{nonce}", first.nonce);
        let answer = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        Ok(Opened {
            owner: credential.owner.clone(),
            keys,
            bare: first.bare.to_owned(),
            gs2_header: first.gs2_header.to_owned(),
            nonce,
            answer,
        })
    }

    /// Checks the proof; the answer is ours, for the client to check.
    fn prove(&self, message: &str, opened: &Opened) -> Result<Vec<u8>, &'static str> {
        let (unproven, proof) = message.rsplit_once(",p=").ok_or("there is no proof")?;
        let mut fields = unproven.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c="));
        let binding = BASE64.decode(binding.ok_or("there is no channel binding")?);
        if binding.as_deref() != Ok(opened.gs2_header.as_bytes()) {
            return Err("the channel binding is not that of the first message");
        }
        let nonce = fields.next().and_then(|field| field.strip_prefix("r="));
        // The whole nonce, and nothing before or behind it: CVE-2024-56128.
        if nonce != Some(&opened.nonce) {
            return Err("the nonce is not the one that the server made");
        }
        let Opened { bare, answer, keys, .. } = opened;
        let signed = format!("{bare},{answer},{unproven}");
        let proof = BASE64.decode(proof).map_err(|_| "the proof is not base64")?;
        if proof.len() != self.hash.len() {
            return Err("the proof has another length than a digest");
        }
        let signature = self.hash.mac(&keys.stored_key, signed.as_bytes());
        let client_key: Zeroizing<Vec<u8>> =
            Zeroizing::new(signature.iter().zip(&proof).map(|(a, b)| a ^ b).collect());
        if !is_equal(&self.hash.digest(&client_key), &keys.stored_key) {
            return Err("the proof is wrong");
        }
        let answer = self.hash.mac(&keys.server_key, signed.as_bytes());
        Ok(format!("v={}", BASE64.encode(&*answer)).into_bytes())
    }
}

/// The first message of a client: `n,[a=id],n=name,r=nonce[,extensions]`.
struct ClientFirst<'a> {
    gs2_header: &'a str,
    bare: &'a str,
    authorization_id: Option<String>,
    name: String,
    nonce: &'a str,
    extensions: Vec<&'a str>,
}

impl<'a> ClientFirst<'a> {
    fn parse(message: &'a str) -> Result<Self, &'static str> {
        let rest = message.strip_prefix("n,").ok_or("channel binding is not offered")?;
        let (authorization_id, bare) = rest.split_once(',').ok_or("the message is cut short")?;
        let authorization_id = match authorization_id {
            "" => None,
            id => {
                let id = id.strip_prefix("a=").ok_or("the authorization id is malformed")?;
                Some(name_of(id)?)
            }
        };
        let mut fields = bare.split(',');
        let name = fields.next().and_then(|field| field.strip_prefix("n="));
        let name = name_of(name.ok_or("there is no name, or an extension that must be known")?)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r="));
        let nonce = nonce
            .filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic()));
        Ok(Self {
            gs2_header: &message[..message.len() - bare.len()],
            bare,
            authorization_id,
            name,
            nonce: nonce.ok_or("there is no nonce")?,
            extensions: fields.collect(),
        })
    }
}

/// A name without its escapes: `=2C` for a comma, `=3D` for an equals sign.
fn name_of(escaped: &str) -> Result<String, &'static str> {
    let mut parts = escaped.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match part.get(..2) {
            Some("2C") => (',', &part[2..]),
            Some("3D") => ('=', &part[2..]),
            _ => return Err("the name has an equals sign that is not escaped"),
        };
        name.push(sign);
        name.push_str(rest);
    }
    if name.is_empty() { Err("the name is empty") } else { Ok(name) }
}

/// The server's part of a nonce: printable, without commas.
fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64.encode(bytes))
}

/// Whether two digests are equal, in a time that does not depend on where they differ.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let difference =
        left.iter().zip(right).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    left.len() == right.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    /// The exchange of RFC 7677, section 3.
    fn opened(hash: ScramHash) -> (Exchange, Opened) {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let first = ClientFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        let keys = hash.keys(b"pencil", &salt, 4096);
        let nonce = format!("{}{NONCE}", first.nonce);
        let opened = Opened {
            owner: first.name.clone(),
            answer: format!("r={nonce},s={},i=4096", BASE64.encode(&keys.salt)),
            keys,
            bare: first.bare.to_owned(),
            gs2_header: first.gs2_header.to_owned(),
            nonce,
        };
        (Exchange::new(hash), opened)
    }

    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_rfc_7677_is_accepted_and_signed() {
        let (exchange, opened) = opened(ScramHash::Sha256);
        let answer = exchange.prove(CLIENT_FINAL, &opened).unwrap();
        assert_eq!(answer, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    /// Kafka once took any nonce that ended with the server's (CVE-2024-56128), and another client
    /// sent it twice.
    /// Laws: L11. Scenarios: bug-72.
    #[test]
    fn a_nonce_that_is_not_exactly_the_servers_is_refused_whatever_the_proof() {
        let (exchange, opened) = opened(ScramHash::Sha256);
        let whole = format!("rOprNGfwEbeRWgbNEkqO{NONCE}");
        let wrong = [
            format!("x{whole}"),
            format!("{whole}{whole}"),
            format!("{whole}x"),
            NONCE.to_owned(),
            "rOprNGfwEbeRWgbNEkqO".to_owned(),
            String::new(),
        ];
        for nonce in wrong {
            // With a proof that is right for this very message.
            let unproven = format!("c=biws,r={nonce}");
            let message = format!("{unproven},p={}", proof(&exchange, &opened, &unproven));
            let refused = exchange.prove(&message, &opened).unwrap_err();
            assert!(refused.contains("nonce"), "{nonce}: {refused}");
        }
        let unproven = format!("c=biws,r={whole}");
        let message = format!("{unproven},p={}", proof(&exchange, &opened, &unproven));
        assert!(exchange.prove(&message, &opened).is_ok());
    }

    fn proof(exchange: &Exchange, opened: &Opened, unproven: &str) -> String {
        let hash = exchange.hash;
        let mut salted = vec![0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"pencil", &opened.keys.salt, 4096, &mut salted);
        let client_key = hash.mac(&salted, b"Client Key");
        let signed = format!("{},{},{unproven}", opened.bare, opened.answer);
        let signature = hash.mac(&opened.keys.stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&*signature).map(|(a, b)| a ^ b).collect();
        BASE64.encode(proof)
    }

    #[test]
    fn a_last_message_that_is_not_of_the_exchange_is_refused() {
        let (exchange, opening) = opened(ScramHash::Sha256);
        for (from, to) in [
            ("biws", "eSws"),
            ("biws", "????"),
            ("p=dHzb", "p=dHzc"),
            (",p=", ",q="),
            ("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "p="),
            ("p=dHzb", "p=d$zb"),
            ("c=", "x="),
            (",r=", ",m=1,r="),
        ] {
            let message = CLIENT_FINAL.replacen(from, to, 1);
            assert_ne!(message, CLIENT_FINAL);
            assert!(exchange.prove(&message, &opening).is_err(), "{message}");
        }
        // The proof of one hash is none under another.
        let (exchange, opening) = opened(ScramHash::Sha512);
        assert!(exchange.prove(CLIENT_FINAL, &opening).is_err());
    }

    #[test]
    fn first_messages_are_read_strictly() {
        let first = ClientFirst::parse("n,a=a=2Cb,n=a=2Cb=3D,r=x,tokenauth=true").unwrap();
        assert_eq!((first.name.as_str(), first.nonce), ("a,b=", "x"));
        assert_eq!(first.authorization_id.as_deref(), Some("a,b"));
        assert_eq!((first.gs2_header, first.extensions), ("n,a=a=2Cb,", vec![TOKEN_AUTH]));
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "y,,n=a,r=x",
            "p=tls-unique,,n=a,r=x",
            "n,,m=1,n=a,r=x",
            "n,,n=,r=x",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,n=a=b,r=x",
            "n,,n==3,r=x",
            "n,,r=x,n=a",
            "n,x,n=a,r=x",
            "n,,n=a,r=x y",
        ] {
            assert!(ClientFirst::parse(message).is_err(), "{message}");
        }
    }
}
