//! Tokens for OAUTHBEARER: where they come from, how long one is kept, and when the next is
//! fetched.
//!
//! A [`Tokens`] is shared by all connections. It asks its source for one token at a time, whoever
//! waits; a token that is still good is handed out while the next cannot be had.

mod clock;
#[cfg(feature = "oidc")]
mod oidc;
mod refresh;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ottla_core::config::{ConfigError, RefreshConfig, SaslConfig};
use ottla_core::rng::{Rng, backoff};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::sync::Mutex;
use clock::Clock;
use source::{Failure, Source};

/// How long a connection waits for a new token while the old one is still good.
const PATIENCE: Duration = Duration::from_secs(3);

/// A token for OAUTHBEARER, and what belongs to it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ottla::OauthToken;
///
/// let expires_at = SystemTime::now() + Duration::from_secs(3600);
/// let token = OauthToken::new("eyJhbGciOi", expires_at).extension("logicalCluster", "lkc-1");
/// assert!(!format!("{token:?}").contains("eyJ"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OauthToken {
    value: Zeroizing<String>,
    expires_at: SystemTime,
    principal: Option<String>,
    extensions: Vec<(String, String)>,
}

impl OauthToken {
    /// A token as it is sent to brokers, and the time from which on it is worth nothing. It is
    /// wiped from memory with its last copy.
    #[must_use]
    pub fn new(value: impl Into<String>, expires_at: SystemTime) -> Self {
        let value = Zeroizing::new(value.into());
        Self { value, expires_at, principal: None, extensions: Vec::new() }
    }

    /// Whom the token is about, for logs. Brokers are not told: they read it in the token.
    #[must_use]
    pub fn principal(mut self, name: impl Into<String>) -> Self {
        self.principal = Some(name.into());
        self
    }

    /// Tells brokers something beside the token (KIP-342).
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }

    /// As it is sent.
    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    /// What is told beside it.
    pub(crate) fn extensions(&self) -> &[(String, String)] {
        &self.extensions
    }
}

impl fmt::Debug for OauthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthToken")
            .field("value", &"[hidden]")
            .field("expires_at", &self.expires_at)
            .field("principal", &self.principal)
            .field("extensions", &self.extensions)
            .finish()
    }
}

/// The program's own way to tokens. It is called on a thread that may block.
pub(crate) type TokenFunction =
    Arc<dyn Fn() -> Result<OauthToken, Box<dyn Error + Send + Sync>> + Send + Sync>;

/// As a [`TokenFunction`], whatever its errors are.
pub(crate) fn token_function<E: Into<Box<dyn Error + Send + Sync>>>(
    function: impl Fn() -> Result<OauthToken, E> + Send + Sync + 'static,
) -> TokenFunction {
    Arc::new(move || function().map_err(Into::into))
}

/// Why there is no token: a sentence without secrets, that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TokenError(Arc<str>);

impl TokenError {
    fn new(why: impl AsRef<str>) -> Self {
        Self(why.as_ref().into())
    }
}

type Outcome = Result<Arc<OauthToken>, TokenError>;
/// What those see who wait for a fetch: nothing, and then what came of it.
type Fetching = watch::Receiver<Option<Outcome>>;

/// The tokens of one client.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Inner>);

struct Inner {
    source: Source,
    /// Told with tokens that bring no extensions of their own.
    extensions: Vec<(String, String)>,
    refresh: RefreshConfig,
    clock: Box<dyn Clock>,
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    kept: Option<Kept>,
    fetching: Option<Fetching>,
    /// Of the last fetches, without a good one between them.
    failures: u32,
    /// The last failure, and until when the source is left alone because of it.
    failed: Option<(TokenError, Duration)>,
    rng: Rng,
}

struct Kept {
    token: Arc<OauthToken>,
    refresh_at: SystemTime,
    /// By the clock that nobody can set back.
    since: Duration,
}

/// What is to be done for somebody who wants a token.
enum Plan {
    Take(Arc<OauthToken>),
    GiveUp(TokenError),
    /// Wait for a fetch; there may be a token that is still good.
    Wait(Fetching, Option<Arc<OauthToken>>),
}

impl Tokens {
    /// Tokens from where the settings say, or from the program's own function.
    ///
    /// # Errors
    /// There is no source, more than one, or one that cannot be used as it is set.
    pub(crate) fn new(
        config: &SaslConfig,
        function: Option<TokenFunction>,
    ) -> Result<Self, ConfigError> {
        Self::with_clock(config, function, Box::new(clock::System::new()), PATIENCE)
    }

    fn with_clock(
        config: &SaslConfig,
        function: Option<TokenFunction>,
        clock: Box<dyn Clock>,
        patience: Duration,
    ) -> Result<Self, ConfigError> {
        let state = State {
            kept: None,
            fetching: None,
            failures: 0,
            failed: None,
            rng: Rng::new(getrandom::u64().unwrap_or_default()),
        };
        Ok(Self(Arc::new(Inner {
            source: Source::new(config, function, clock.wall())?,
            extensions: config.oauth.extensions.clone(),
            refresh: config.refresh.clone(),
            clock,
            patience,
            state: Mutex::new(state),
        })))
    }

    /// A token with life left: the one that is kept, or another when it is time for that. While no
    /// other can be had, the one that is kept is handed out for as long as it is good.
    ///
    /// A fetch goes on when nobody waits for it any more, so that the next finds its token.
    ///
    /// # Errors
    /// There is none: what the source said.
    pub(crate) async fn get(&self) -> Outcome {
        loop {
            let (mut fetching, kept) = match self.plan() {
                Plan::Take(token) => return Ok(token),
                Plan::GiveUp(error) => return Err(error),
                Plan::Wait(fetching, kept) => (fetching, kept),
            };
            let told = fetching.wait_for(Option::is_some);
            let told = match &kept {
                None => told.await,
                Some(kept) => match tokio::time::timeout(self.0.patience, told).await {
                    Ok(told) => told,
                    Err(_) => {
                        tracing::warn!("a new token takes long; the one from before is used");
                        return Ok(Arc::clone(kept));
                    }
                },
            };
            let outcome = match told {
                Ok(outcome) => outcome.clone(),
                // Who fetched is gone, with the runtime that it was on. The next does it.
                Err(_) => continue,
            };
            match (outcome, kept) {
                (Some(Ok(token)), _) => return Ok(token),
                (Some(Err(_)), Some(kept)) => return Ok(kept),
                (Some(Err(error)), None) => return Err(error),
                (None, _) => {}
            }
        }
    }

    /// A broker did not take a token, so the next is fetched: unless another is there already, or
    /// this one is so new that the source would hardly have a better one.
    pub(crate) fn forget(&self, token: &Arc<OauthToken>) {
        let elapsed = self.0.clock.elapsed();
        let mut state = self.0.state.lock();
        state.kept.take_if(|kept| {
            let is_new = elapsed < kept.since + self.0.refresh.retry_backoff_max;
            Arc::ptr_eq(&kept.token, token) && !is_new
        });
    }

    fn plan(&self) -> Plan {
        let mut state = self.0.state.lock();
        let wall = self.0.clock.wall();
        let kept = state.kept.as_ref().filter(|kept| kept.token.expires_at > wall);
        let good = kept.map(|kept| Arc::clone(&kept.token));
        if let (Some(kept), Some(token)) = (kept, &good)
            && wall < kept.refresh_at
        {
            return Plan::Take(Arc::clone(token));
        }
        if let Some(fetching) = &state.fetching
            && (fetching.borrow().is_some() || fetching.has_changed().is_ok())
        {
            return Plan::Wait(fetching.clone(), good);
        }
        if let Some((error, until)) = &state.failed
            && self.0.clock.elapsed() < *until
        {
            return match good {
                Some(token) => Plan::Take(token),
                None => Plan::GiveUp(error.clone()),
            };
        }
        let (sender, fetching) = watch::channel(None);
        state.fetching = Some(fetching.clone());
        tokio::spawn(Arc::clone(&self.0).fetch(sender));
        Plan::Wait(fetching, good)
    }
}

impl Inner {
    async fn fetch(self: Arc<Self>, sender: watch::Sender<Option<Outcome>>) {
        let result = self.ask().await;
        let outcome = self.settle(result);
        sender.send_replace(Some(outcome));
    }

    /// Asks the source, and again where that may help, for as long as a connection may wait.
    async fn ask(&self) -> Result<OauthToken, TokenError> {
        let RefreshConfig { retry_backoff, retry_backoff_max, .. } = self.refresh;
        let end = self.clock.elapsed() + retry_backoff_max;
        for attempt in 1.. {
            let failure = match self.source.fetch(self.clock.wall()).await {
                Ok(token) => return self.check(token),
                Err(failure) => failure,
            };
            let Failure { error, is_retriable, wait_at_least } = failure;
            let wait =
                backoff(&mut self.state.lock().rng, retry_backoff, retry_backoff_max, attempt);
            let wait = wait.max(wait_at_least);
            if !is_retriable || self.clock.elapsed() + wait > end {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "no token yet");
            tokio::time::sleep(wait).await;
        }
        Err(TokenError::new("there is no token"))
    }

    /// Whether a token can be used at all.
    fn check(&self, mut token: OauthToken) -> Result<OauthToken, TokenError> {
        let source = &self.source;
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.value.is_empty() || !token.value.bytes().all(belongs) {
            return Err(TokenError::new(format!(
                "the token from {source} is empty or has a character that no bearer token has \
                 (RFC 6750)"
            )));
        }
        if let Ok(late) = self.clock.wall().duration_since(token.expires_at) {
            return Err(TokenError::new(format!(
                "the token from {source} has expired {} s ago by the clock of this machine: is the \
                 clock right?",
                late.as_secs()
            )));
        }
        if token.extensions.is_empty() {
            token.extensions.clone_from(&self.extensions);
        }
        Ok(token)
    }

    fn settle(&self, result: Result<OauthToken, TokenError>) -> Outcome {
        let mut state = self.state.lock();
        let wall = self.clock.wall();
        state.fetching = None;
        match result {
            Ok(token) => {
                let life = token.expires_at.duration_since(wall).unwrap_or_default();
                let after = refresh::refresh_after(life, &self.refresh, &mut state.rng);
                tracing::debug!(principal = token.principal, ?life, ?after, "a token was fetched");
                let token = Arc::new(token);
                let (refresh_at, since) = (wall + after, self.clock.elapsed());
                state.kept = Some(Kept { token: Arc::clone(&token), refresh_at, since });
                (state.failures, state.failed) = (0, None);
                Ok(token)
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let (failures, refresh) = (state.failures, &self.refresh);
                let (base, max) = (refresh.retry_backoff, refresh.retry_backoff_max);
                let quiet = backoff(&mut state.rng, base, max, failures);
                state.failed = Some((error.clone(), self.clock.elapsed() + quiet));
                if state.kept.as_ref().is_some_and(|kept| kept.token.expires_at > wall) {
                    tracing::warn!(%error, "no new token; the one from before is used");
                }
                Err(error)
            }
        }
    }
}
