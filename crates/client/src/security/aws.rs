//! AWS's credentials: as they are set, or as the environment has them.

use std::time::{SystemTime, UNIX_EPOCH};

use ottla_core::config::{AwsConfig, Secret};
use ottla_sasl::{AwsCredentials, AwsMskIam, Mechanism, region_of};

/// How AWS's logs name this client.
const USER_AGENT: &str = concat!("ottla/", env!("CARGO_PKG_VERSION"));

/// The mechanism, signed for the broker at `server`, which is `host:port`.
///
/// The environment is read anew for each authentication, so that credentials may be replaced there.
pub(super) fn mechanism(config: &AwsConfig, server: &str) -> Result<Box<dyn Mechanism>, String> {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let region = config
        .region
        .clone()
        .or_else(|| region_of(host).map(str::to_owned))
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .ok_or("the region is not known: set sasl.aws.region")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let own = credentials(config)?;
    let credentials = AwsCredentials {
        access_key_id: &own.id,
        secret_access_key: own.secret.expose(),
        session_token: own.token.as_ref().map(Secret::expose),
    };
    let made = AwsMskIam::new(&credentials, host, &region, now, USER_AGENT);
    Ok(Box::new(made.map_err(|error| error.to_string())?))
}

struct Credentials {
    id: String,
    secret: Secret,
    token: Option<Secret>,
}

/// Those of the settings if there are any: half of one pair and half of another are no pair.
fn credentials(config: &AwsConfig) -> Result<Credentials, String> {
    let is_set = config.access_key_id.is_some() || config.secret_access_key.is_some();
    let (id, secret, token) = if is_set {
        (
            config.access_key_id.clone(),
            config.secret_access_key.clone(),
            config.session_token.clone(),
        )
    } else {
        let secret = |name| variable(name).map(Secret::new);
        (
            variable("AWS_ACCESS_KEY_ID"),
            secret("AWS_SECRET_ACCESS_KEY"),
            secret("AWS_SESSION_TOKEN"),
        )
    };
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Credentials { id, secret, token }),
        _ => Err("there are no AWS credentials: set sasl.aws.access.key.id and \
                  sasl.aws.secret.access.key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in \
                  the environment"
            .to_owned()),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
