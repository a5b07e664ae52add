//! Tokens: when they are fetched and from where. `refreshing` has a clock that stands still,
//! `providers` and `assertions` have identity providers that are servers with TLS.

#[cfg(feature = "oidc")]
mod assertions;
#[cfg(feature = "oidc")]
mod provider;
#[cfg(feature = "oidc")]
mod providers;
mod refreshing;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_core::config::{ConfigBuilder, ConfigError, SaslConfig};

use super::{Clock, OauthToken, PATIENCE, TokenFunction, Tokens};
use parking_lot::Mutex;

/// What must be nowhere.
const CANARY: &str = "hunter2-canary";

/// The time when every test begins, in seconds since 1970.
const START_S: u64 = 1_800_000_000;

/// A clock that goes on when it is told to.
#[derive(Clone, Default)]
struct Still(Arc<Mutex<Duration>>);

impl Still {
    fn go_on(&self, seconds: u64) {
        *self.0.lock() += Duration::from_secs(seconds);
    }
}

impl Clock for Still {
    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(START_S) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock()
    }
}

/// Settings for OAUTHBEARER, besides those that are always there.
fn settings(more: &[(&str, &str)]) -> SaslConfig {
    let mut builder = ConfigBuilder::default();
    let base = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "OAUTHBEARER")];
    for (key, value) in base.iter().chain(more) {
        builder.set(key, value).expect("a setting");
    }
    builder.build_security().expect("a configuration").sasl
}

fn tokens_with(
    config: &SaslConfig,
    function: Option<TokenFunction>,
    clock: &Still,
) -> Result<Tokens, ConfigError> {
    Tokens::with_clock(config, function, Box::new(clock.clone()), PATIENCE)
}

/// A token that is good for so long from a clock's time on.
fn token(value: &str, clock: &Still, life_s: u64) -> OauthToken {
    OauthToken::new(value, clock.wall() + Duration::from_secs(life_s))
}
