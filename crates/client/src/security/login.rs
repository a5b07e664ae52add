//! One authentication: the messages of the mechanism that is configured.

use std::sync::Arc;

use ottla_core::config::{SaslMechanism, Secret};
use ottla_core::output::AuthReply;
#[cfg(feature = "gssapi")]
use ottla_gssapi::Exchange;
use ottla_sasl::{Mechanism, OauthBearer, Plain, SaslError, Scram, ScramHash, Step};
use zeroize::Zeroizing;

use super::{OauthToken, Security, Tokens};

/// What makes the messages.
enum Talk {
    Mechanism(Box<dyn Mechanism>),
    #[cfg(feature = "gssapi")]
    Kerberos(Exchange),
}

/// An authentication that was begun.
pub(crate) struct Login {
    /// Absent while it computes, and when that was cut short.
    talk: Option<Talk>,
    /// A step may take a second of a processor's time, or wait for another service.
    is_slow: bool,
    /// The token that the broker is shown, and where it came from.
    shown: Option<(Tokens, Arc<OauthToken>)>,
}

impl Login {
    /// Takes the credentials as they are now; that may mean to fetch a token first.
    ///
    /// # Errors
    /// There are none, or they cannot be used. The sentence holds no secret.
    pub(super) async fn begin(security: &Security, server: &str) -> Result<Self, String> {
        let mechanism = security.sasl().mechanism.ok_or("sasl.mechanism is not set")?;
        let told = |error: SaslError| error.to_string();
        let made: Box<dyn Mechanism> = match mechanism {
            SaslMechanism::Plain => {
                let (user, password) = security.credentials()?;
                Box::new(Plain::new(None, &user, password.expose()).map_err(told)?)
            }
            SaslMechanism::ScramSha256 => scram(security, ScramHash::Sha256)?,
            SaslMechanism::ScramSha512 => scram(security, ScramHash::Sha512)?,
            SaslMechanism::OauthBearer => return by_token(security).await,
            SaslMechanism::AwsMskIam => super::aws::mechanism(&security.sasl().aws, server)?,
            SaslMechanism::Gssapi => return kerberos(security, server).await,
        };
        let is_slow = matches!(mechanism, SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512);
        Ok(Self { talk: Some(Talk::Mechanism(made)), is_slow, shown: None })
    }

    /// The answer to what the broker said; without bytes, the first message.
    pub(crate) async fn step(&mut self, challenge: &[u8]) -> AuthReply {
        let Some(mut talk) = self.talk.take() else {
            return AuthReply::Failed("an earlier step was cut short".to_owned());
        };
        if let Some((tokens, token)) = &self.shown
            && !challenge.is_empty()
        {
            // The broker says why it does not believe it (RFC 7628 §3.2.2).
            tokens.forget(token);
        }
        let (talk, reply) = if self.is_slow {
            let challenge = challenge.to_vec();
            let work = tokio::task::spawn_blocking(move || {
                let reply = talk.step(&challenge);
                (talk, reply)
            });
            match work.await {
                Ok(done) => done,
                Err(_) => return AuthReply::Failed("a step was cut short".to_owned()),
            }
        } else {
            let reply = talk.step(challenge);
            (talk, reply)
        };
        self.talk = Some(talk);
        reply
    }
}

impl Talk {
    fn step(&mut self, challenge: &[u8]) -> AuthReply {
        match self {
            Self::Mechanism(mechanism) => {
                let result = mechanism.step(challenge);
                reply(result)
            }
            #[cfg(feature = "gssapi")]
            Self::Kerberos(exchange) => match exchange.step(challenge) {
                Ok(ottla_gssapi::Step::Respond(message)) => AuthReply::Respond(message.into()),
                Ok(ottla_gssapi::Step::Complete) => AuthReply::Complete,
                Err(error) => AuthReply::Failed(error.to_string()),
            },
        }
    }
}

async fn by_token(security: &Security) -> Result<Login, String> {
    let tokens = security.tokens().ok_or("there is no source of tokens")?.clone();
    let token = tokens.get().await.map_err(|error| error.to_string())?;
    let mechanism = OauthBearer::new(token.value(), token.extensions(), None);
    let mechanism: Box<dyn Mechanism> = Box::new(mechanism.map_err(|error| error.to_string())?);
    let talk = Some(Talk::Mechanism(mechanism));
    Ok(Login { talk, is_slow: false, shown: Some((tokens, token)) })
}

#[cfg(feature = "gssapi")]
async fn kerberos(security: &Security, server: &str) -> Result<Login, String> {
    let config = security.sasl().kerberos.clone();
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host).to_owned();
    let begun = tokio::task::spawn_blocking(move || {
        let (principal, keytab) = (config.principal.as_deref(), config.keytab.as_deref());
        Exchange::begin(&config.service_name, &host, principal, keytab)
    });
    let exchange = begun.await.map_err(|_| "the step was cut short".to_owned())?;
    let exchange = exchange.map_err(|error| error.to_string())?;
    Ok(Login { talk: Some(Talk::Kerberos(exchange)), is_slow: true, shown: None })
}

#[cfg(not(feature = "gssapi"))]
async fn kerberos(_: &Security, _: &str) -> Result<Login, String> {
    Err("this program was built without Kerberos: enable the feature gssapi of the crate ottla"
        .to_owned())
}

fn scram(security: &Security, hash: ScramHash) -> Result<Box<dyn Mechanism>, String> {
    let (user, password) = security.credentials()?;
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce).map_err(|error| format!("the system gives no chance: {error}"))?;
    let is_token = security.sasl().delegation_token;
    let scram = Scram::new(hash, &user, password.expose(), nonce, is_token);
    Ok(Box::new(scram.map_err(|error| error.to_string())?))
}

fn reply(result: Result<Step, SaslError>) -> AuthReply {
    match result {
        Ok(Step::Respond(message)) => AuthReply::Respond(Zeroizing::new(message.to_vec())),
        Ok(Step::Complete) => AuthReply::Complete,
        Err(error) => AuthReply::Failed(error.to_string()),
    }
}

impl Security {
    fn credentials(&self) -> Result<(String, Secret), String> {
        let credentials = self.0.credentials.lock().clone();
        let missing = "sasl.username and sasl.password are not set";
        credentials.map(|it| (it.user, it.password)).ok_or_else(|| missing.to_owned())
    }
}
