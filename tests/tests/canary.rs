//! No secret is in anything that is told: logs of every level, errors, `Debug`, panics. It has a
//! process of its own, since it hears everything that is told in it.

use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ottla::config::ConfigBuilder;
use ottla::{OauthToken, Record, Security};
use ottla_tests::cast::{SUBJECT, USERS};
use ottla_tests::secured::{Secured, Settings, Watched, builder, with};
use ottla_tests::token_endpoint::{CLIENT, SECRET, Say, Signer, TokenEndpoint};
use ottla_tests::{listener, needs};

const WRONG: &str = "canary-wrong-password-5Jd3";
const OF_AWS: &str = "canary-secret-of-aws-6Gk2";
const OF_A_KEY: &str = "canary-password-of-a-key-8Uf4";

/// What panics have said.
static PANICS: Mutex<String> = Mutex::new(String::new());

/// Everything that was said about one cluster, and what must not be in it.
struct Canary {
    secured: Secured,
    said: Vec<String>,
    secrets: Vec<String>,
}

impl Canary {
    fn new(secured: Secured) -> Self {
        static BEGIN: Once = Once::new();
        BEGIN.call_once(|| {
            listener::begin();
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
                *panics += &format!("{panic}\n");
                usual(panic);
            }));
        });
        let mut secrets: Vec<String> =
            [WRONG, OF_AWS, OF_A_KEY, SECRET].map(str::to_owned).to_vec();
        secrets.extend(USERS.iter().map(|(_, password)| (*password).to_owned()));
        for key in ["client.key", "token-rsa.key", "token-ec.key"] {
            // The first line is the same in every key of a kind.
            let text = secured.text(key);
            secrets.push(text.lines().nth(2).expect("a line of a key").to_owned());
        }
        Self { secured, said: Vec::new(), secrets }
    }

    /// Sends a record by these settings, and keeps whatever is said of it.
    fn send(&mut self, settings: &Settings) {
        let mut config = ConfigBuilder::default();
        for (key, value) in settings {
            if let Err(error) = config.set(key, value) {
                self.said.push(format!("{error} {error:?}"));
            }
        }
        self.said.push(format!("{config:?} {:?} {:?}", config.build(), config.warnings()));
        let security = settings.iter().filter(|(key, _)| key != "bootstrap.servers");
        let security =
            security.fold(Security::builder(), |builder, (key, value)| builder.set(key, value));
        self.said.push(format!("{:?}", security.build()));
        let quick = with(settings.clone(), &[("delivery.timeout.ms", "40000")]);
        let watched = match builder(&quick).build() {
            Ok(_) => Watched::start(&quick),
            Err(error) => return self.said.push(format!("{error} {error:?}")),
        };
        self.run(&watched);
    }

    fn run(&mut self, watched: &Watched) {
        let topic = self.secured.engine.topic("canary", 1);
        let producer = watched.producer.blocking();
        match producer.send(Record::new(&topic).value("v")).map(|it| it.wait()) {
            Ok(Ok(_)) => self.said.push("delivered".to_owned()),
            Ok(Err(error)) => self.said.push(format!("{error} {error:?}")),
            Err(error) => self.said.push(format!("{error} {error:?}")),
        }
        self.said.push(format!("{:?} {:?}", watched.producer, producer.metrics()));
        self.said.extend(watched.troubles());
        self.said.push(format!("{:?}", producer.close(Duration::from_secs(20))));
    }

    /// Good and bad authentications by each mechanism.
    fn passwords(&mut self) {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            for door in ["sasl_plaintext", "sasl_ssl"] {
                let good = self.secured.settings_of(door, mechanism, "alice");
                let bad = with(good.clone(), &[("sasl.password", WRONG)]);
                self.send(&good);
                self.send(&bad);
            }
        }
        for (_, password) in USERS {
            let message = format!("\0alice\0{password}");
            self.secrets.push(BASE64_STANDARD.encode(message));
        }
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        for text in [
            format!("{module} username=\"alice\" password=\"{WRONG}\";"),
            format!("{module} username=\"alice\" password=\"{WRONG}\""),
            format!("{module} username=\"alice\" password=\"{WRONG};"),
            format!("{module} username=\"alice\" pass{WRONG};"),
            format!("no.such.Module required password=\"{WRONG}\";"),
        ] {
            let more = [("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &text[..])];
            let settings = with(self.secured.settings("sasl_plaintext"), &more);
            self.send(&settings);
        }
    }

    /// Keys that are good, and such as cannot be opened or read.
    fn keys(&mut self) {
        let secured = &self.secured;
        let (chain, key) = (secured.text("client.crt"), secured.text("client.key"));
        let inline = with(
            secured.settings("mutual"),
            &[("ssl.keystore.certificate.chain", &chain), ("ssl.keystore.key", &key)],
        );
        let half = &key[..key.len() / 2];
        let store = secured.file("client.crt");
        let broken = with(inline.clone(), &[("ssl.keystore.key", half)]);
        let locked = with(inline.clone(), &[("ssl.key.password", OF_A_KEY)]);
        let store = with(
            secured.settings("mutual"),
            &[
                ("ssl.keystore.location", &store),
                ("ssl.keystore.type", "PKCS12"),
                ("ssl.keystore.password", OF_A_KEY),
            ],
        );
        for settings in [inline, broken, locked, store] {
            self.send(&settings);
        }
    }

    fn aws(&mut self) {
        let settings = with(
            self.secured.settings("sasl_ssl"),
            &[
                ("sasl.mechanism", "AWS_MSK_IAM"),
                ("sasl.aws.region", "nowhere-1"),
                ("sasl.aws.access.key.id", "AKIDEXAMPLE"),
                ("sasl.aws.secret.access.key", OF_AWS),
            ],
        );
        self.send(&settings);
    }

    fn tokens(&mut self) {
        let pem = self.secured.text("server-rsa.pem");
        let signer = Signer::new("rsa", &self.secured.text("token-rsa.key"));
        let endpoint = TokenEndpoint::start(&pem, signer.clone(), &self.secured.text("jwks.json"));
        let good = with(
            self.secured.settings("sasl_ssl"),
            &[
                ("sasl.mechanism", "OAUTHBEARER"),
                ("sasl.oauthbearer.method", "oidc"),
                ("sasl.oauthbearer.token.endpoint.url", &endpoint.url()),
                ("sasl.oauthbearer.client.id", CLIENT),
                ("sasl.oauthbearer.client.secret", SECRET),
                ("https.ca.location", &self.secured.file("ca.pem")),
            ],
        );
        self.send(&good);
        let hour = Duration::from_secs(3600);
        let bad = signer.token("canary-of-a-subject", hour);
        // Errors of a provider may have in them what it was told.
        let echo = format!("{{\"error\":\"no {SECRET}\",\"access_token\":\"{bad}\"}}");
        endpoint.say(std::iter::repeat_n(Say::Status(400, echo), 20));
        self.send(&good);
        endpoint.say_no_more();
        self.secrets.push(BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}")));

        let function =
            with(self.secured.settings("sasl_ssl"), &[("sasl.mechanism", "OAUTHBEARER")]);
        let stranger = Signer::new("stranger", &self.secured.text("token-stranger.key"));
        for signer in [signer, stranger] {
            let token = signer.token(SUBJECT, hour);
            self.secrets.push(token.clone());
            let made = OauthToken::new(token.clone(), SystemTime::now() + hour);
            self.said.push(format!("{made:?}"));
            let built = builder(&function)
                .oauth_token(move || {
                    let until = SystemTime::now() + hour;
                    Ok::<_, String>(OauthToken::new(token.clone(), until))
                })
                .build();
            let producer = built.expect("the settings are fine").blocking();
            let sent = producer.send(Record::new("canary-of-tokens").value("v"));
            self.said.push(format!("{:?}", sent.map(|it| it.wait())));
        }
        let panics = builder(&function)
            .oauth_token(|| -> Result<OauthToken, String> { panic!("the function panics") })
            .build();
        let producer = panics.expect("the settings are fine").blocking();
        let sent = producer.send(Record::new("canary-of-tokens").value("v"));
        self.said.push(format!("{:?}", sent.map(|it| it.wait())));
    }

    fn assert_silent(mut self) {
        self.said.push(listener::heard());
        self.said.push(PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone());
        for secret in &self.secrets {
            for said in &self.said {
                let Some(at) = said.find(secret.as_str()) else { continue };
                let near = &said.as_bytes()[at.saturating_sub(200)..said.len().min(at + 300)];
                panic!("a secret, {secret:?}, is in: {}", String::from_utf8_lossy(near));
            }
        }
    }
}

fn no_secret_is_told(secured: Secured) {
    let mut canary = Canary::new(secured);
    canary.passwords();
    canary.keys();
    canary.aws();
    canary.tokens();
    // Somebody listens, and to the finest of words.
    tracing::trace!("the finest of words");
    let heard = listener::heard();
    assert!(heard.contains("TRACE canary message=the finest of words"));
    assert!(heard.contains("rustls"), "what TLS tells is heard, too");
    let delivered = canary.said.iter().filter(|said| *said == "delivered").count();
    assert!(delivered >= 8, "{delivered} of the good ones were delivered: {:#?}", canary.said);
    canary.assert_silent();
}

/// Laws: none. Scenarios: S13.
#[test]
fn no_secret_is_told_beside_the_embedded_broker() {
    no_secret_is_told(Secured::embedded());
}

/// Laws: none. Scenarios: S13.
#[test]
fn no_secret_is_told_beside_real_kafka() {
    no_secret_is_told(needs!(Secured::kafka()));
}
