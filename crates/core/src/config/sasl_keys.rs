//! The rows of the table that are about SASL, and about where tokens come from.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::keys::ValueKind::{Boolean, Choice, Integer, Millis, Text};
use super::keys::{Effect, KeySpec, other, sets};
use super::security::{OauthConfig, RefreshConfig, SaslConfig};
use super::tls_keys::{FILE, NONE, PEM, row, secret, text};
use super::values::{boolean, integer, millis, thousandths};
use super::{ProducerConfig, jaas};

const HOUR_MS: u64 = 3_600_000;

fn sasl(config: &mut ProducerConfig) -> &mut SaslConfig {
    &mut config.security.sasl
}

fn oauth(config: &mut ProducerConfig) -> &mut OauthConfig {
    &mut config.security.sasl.oauth
}

fn refresh(config: &mut ProducerConfig) -> &mut RefreshConfig {
    &mut config.security.sasl.refresh
}

fn seconds(value: &str, least: u64, most: u64) -> Result<Duration, String> {
    integer(value, least, most).map(Duration::from_secs)
}

/// `name=value`, separated by commas.
fn pairs(value: &str) -> Result<Vec<(String, String)>, String> {
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_string(), value.trim().to_string())),
            None => Err("expected name=value, or several of them separated by commas".to_string()),
        })
        .collect()
}

/// How the client proves who it is.
pub(super) const SASL_KEYS: &[KeySpec] = &[
    sets(
        ("sasl.mechanism", &["sasl.mechanisms"]),
        (Choice, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM, GSSAPI", NONE),
        "How the client proves who it is. Required with SASL: no mechanism is fallen back to.",
        |c, v| v.parse().map(|m| sasl(c).mechanism = Some(m)),
    ),
    row!("sasl.username", &[], "any text", "The user, for PLAIN and SCRAM.", sasl.username = text),
    row!(
        "sasl.password",
        &[],
        "any text",
        "The password, for PLAIN and SCRAM.",
        sasl.password = secret
    ),
    sets(
        ("sasl.jaas.config", &[]),
        (Text, "a login module of Kafka's with its options", NONE),
        "Java's way to give user, password or client secret. Nothing is loaded that it names.",
        |c, v| jaas::apply(sasl(c), v),
    ),
    sets(
        ("sasl.allow.plaintext.credentials", &[]),
        (Boolean, "true, false", "true, with a warning"),
        "Whether a password or a token may go over a connection that is not encrypted.",
        |c, v| boolean(v).map(|b| sasl(c).allow_plaintext_credentials = Some(b)),
    ),
    sets(
        ("sasl.oauthbearer.method", &[]),
        (Choice, "default, oidc", "default"),
        "Where tokens come from: the program's own function, or an identity provider (oidc). With a URL and no word, it is oidc.",
        |c, v| v.parse().map(|m| oauth(c).method = m),
    ),
    row!(
        "sasl.oauthbearer.token.endpoint.url",
        &[],
        "an https URL",
        "Where the identity provider hands out tokens.",
        oauth.token_endpoint_url = text
    ),
    sets(
        ("sasl.oauthbearer.allowed.hosts", &[]),
        (Text, "host names, separated by commas", NONE),
        "Hosts that may be asked for tokens; that of the URL when absent. For programs that let others set the URL.",
        |c, v| {
            let hosts = v.split(',').map(str::trim).filter(|host| !host.is_empty());
            oauth(c).allowed_hosts = hosts.map(Into::into).collect();
            Ok(())
        },
    ),
    sets(
        ("sasl.oauthbearer.grant.type", &[]),
        (
            Choice,
            "client_credentials, urn:ietf:params:oauth:grant-type:jwt-bearer",
            "client_credentials",
        ),
        "What the identity provider is shown: an id with its secret, or a signed assertion.",
        |c, v| v.parse().map(|g| oauth(c).grant_type = g),
    ),
    row!(
        "sasl.oauthbearer.client.credentials.client.id",
        &["sasl.oauthbearer.client.id"],
        "any text",
        "The client's id at the identity provider.",
        oauth.client_id = text
    ),
    row!(
        "sasl.oauthbearer.client.credentials.client.secret",
        &["sasl.oauthbearer.client.secret"],
        "any text",
        "The client's secret at the identity provider.",
        oauth.client_secret = secret
    ),
    row!(
        "sasl.oauthbearer.scope",
        &[],
        "any text",
        "What the token shall be good for.",
        oauth.scope = text
    ),
    sets(
        ("sasl.oauthbearer.extensions", &[]),
        (Text, "name=value, separated by commas", NONE),
        "What the broker is told beside the token (KIP-342).",
        |c, v| pairs(v).map(|pairs| oauth(c).extensions = pairs),
    ),
    sets(
        ("sasl.oauthbearer.header.urlencode", &[]),
        (Boolean, "true, false", "false"),
        "Encode id and secret as RFC 6749 has it before they go into the header (KIP-1025).",
        |c, v| boolean(v).map(|b| oauth(c).header_urlencode = b),
    ),
    sets(
        ("sasl.oauthbearer.assertion.algorithm", &[]),
        (Choice, "RS256, ES256", "RS256"),
        "How the assertion is signed (KIP-1139).",
        |c, v| v.parse().map(|a| oauth(c).assertion.algorithm = a),
    ),
    row!(
        "sasl.oauthbearer.assertion.private.key.file",
        &[],
        FILE,
        "A PEM file with the key that signs the assertion.",
        oauth.assertion.private_key_file = text
    ),
    row!(
        "sasl.oauthbearer.assertion.private.key.pem",
        &[],
        PEM,
        "That key, in the setting itself.",
        oauth.assertion.private_key_pem = secret
    ),
    row!(
        "sasl.oauthbearer.assertion.private.key.passphrase",
        &[],
        "any text",
        "The password of that key, if it has one.",
        oauth.assertion.private_key_passphrase = secret
    ),
    row!(
        "sasl.oauthbearer.assertion.file",
        &[],
        FILE,
        "A file with an assertion that somebody else keeps fresh; read for each token.",
        oauth.assertion.file = text
    ),
    row!(
        "sasl.oauthbearer.assertion.jwt.template.file",
        &["sasl.oauthbearer.assertion.template.file"],
        FILE,
        "A JSON file with header and claims that the assertion begins with.",
        oauth.assertion.template_file = text
    ),
    row!(
        "sasl.oauthbearer.assertion.claim.aud",
        &[],
        "any text",
        "For whom the assertion is meant.",
        oauth.assertion.audience = text
    ),
    row!(
        "sasl.oauthbearer.assertion.claim.iss",
        &[],
        "any text",
        "Who makes the assertion.",
        oauth.assertion.issuer = text
    ),
    row!(
        "sasl.oauthbearer.assertion.claim.sub",
        &[],
        "any text",
        "Whom the assertion is about.",
        oauth.assertion.subject = text
    ),
    sets(
        ("sasl.oauthbearer.assertion.claim.exp.seconds", &[]),
        (Integer, "1 to 86400 s", "300"),
        "For how long the assertion is good.",
        |c, v| seconds(v, 1, 86_400).map(|d| oauth(c).assertion.valid_for = d),
    ),
    sets(
        ("sasl.oauthbearer.assertion.claim.nbf.seconds", &[]),
        (Integer, "0 to 3600 s", "60"),
        "Since how long it is good already, for clocks that differ.",
        |c, v| seconds(v, 0, 3600).map(|d| oauth(c).assertion.valid_since = d),
    ),
    sets(
        ("sasl.oauthbearer.assertion.claim.jti.include", &[]),
        (Boolean, "true, false", "false"),
        "Give each assertion an id of its own.",
        |c, v| boolean(v).map(|b| oauth(c).assertion.has_id = b),
    ),
    row!(
        "https.ca.location",
        &[],
        FILE,
        "A PEM file with the authorities to trust for the token's endpoint; the system's own when absent.",
        oauth.ca_location = text
    ),
    row!(
        "https.ca.pem",
        &[],
        PEM,
        "Those authorities, in the setting itself.",
        oauth.ca_pem = text
    ),
    sets(
        ("enable.sasl.oauthbearer.unsecure.jwt", &[]),
        (Boolean, "true, false", "false"),
        "Make tokens without a signature. For tests: whoever believes them believes anything.",
        |c, v| boolean(v).map(|b| oauth(c).unsecured = b),
    ),
    row!(
        "sasl.oauthbearer.config",
        &[],
        "name=value, separated by spaces",
        "What is in such a token, as librdkafka writes it: principal, scope, lifeSeconds, extension_…",
        oauth.unsecured_config = text
    ),
    sets(
        ("sasl.aws.region", &[]),
        (Text, "such as eu-central-1", NONE),
        "The region of the brokers, for AWS_MSK_IAM; their names tell it when absent.",
        |c, v| {
            sasl(c).aws.region = text(v);
            Ok(())
        },
    ),
    row!(
        "sasl.aws.access.key.id",
        &[],
        "any text",
        "For AWS_MSK_IAM; AWS_ACCESS_KEY_ID of the environment when absent.",
        sasl.aws.access_key_id = text
    ),
    row!(
        "sasl.aws.secret.access.key",
        &[],
        "any text",
        "For AWS_MSK_IAM; AWS_SECRET_ACCESS_KEY of the environment when absent.",
        sasl.aws.secret_access_key = secret
    ),
    row!(
        "sasl.aws.session.token",
        &[],
        "any text",
        "For AWS_MSK_IAM; AWS_SESSION_TOKEN of the environment when absent.",
        sasl.aws.session_token = secret
    ),
    sets(
        ("sasl.kerberos.service.name", &[]),
        (Text, "any text", "kafka"),
        "The first part of the brokers' principal, for GSSAPI.",
        |c, v| {
            sasl(c).kerberos.service_name = v.to_string();
            Ok(())
        },
    ),
    row!(
        "sasl.kerberos.principal",
        &[],
        "name@REALM",
        "Our principal; that of the credential cache when absent.",
        sasl.kerberos.principal = text
    ),
    row!(
        "sasl.kerberos.keytab",
        &[],
        FILE,
        "A file with our key; the credential cache is used when absent.",
        sasl.kerberos.keytab = text
    ),
    sets(
        ("sasl.login.refresh.window.factor", &[]),
        (Text, "0.5 to 1", "0.8"),
        "The share of a token's life after which another is fetched.",
        |c, v| thousandths(v, 500, 1000).map(|n| refresh(c).window_permille = n),
    ),
    sets(
        ("sasl.login.refresh.window.jitter", &[]),
        (Text, "0 to 0.25", "0.05"),
        "By how much that share varies, so that not all clients ask at once.",
        |c, v| thousandths(v, 0, 250).map(|n| refresh(c).jitter_permille = n),
    ),
    sets(
        ("sasl.login.refresh.min.period.seconds", &[]),
        (Integer, "0 to 900 s", "60"),
        "The least time between two tokens, unless one runs out.",
        |c, v| seconds(v, 0, 900).map(|d| refresh(c).min_period = d),
    ),
    sets(
        ("sasl.login.refresh.buffer.seconds", &[]),
        (Integer, "0 to 3600 s", "300"),
        "The life that a token shall still have when another is fetched.",
        |c, v| seconds(v, 0, 3600).map(|d| refresh(c).buffer = d),
    ),
    sets(
        ("sasl.login.retry.backoff.ms", &[]),
        (Millis, "1 to 3600000", "100"),
        "The wait before an identity provider is asked again; it doubles with each failure.",
        |c, v| millis(v, 1, HOUR_MS).map(|d| refresh(c).retry_backoff = d),
    ),
    sets(
        ("sasl.login.retry.backoff.max.ms", &[]),
        (Millis, "1 to 3600000", "10000"),
        "The longest such wait.",
        |c, v| millis(v, 1, HOUR_MS).map(|d| refresh(c).retry_backoff_max = d),
    ),
    sets(
        ("sasl.login.connect.timeout.ms", &[]),
        (Millis, "1 to 3600000", "10000"),
        "How long connecting to an identity provider may take.",
        |c, v| millis(v, 1, HOUR_MS).map(|d| refresh(c).connect_timeout = d),
    ),
    sets(
        ("sasl.login.read.timeout.ms", &[]),
        (Millis, "1 to 3600000", "10000"),
        "How long its answer may take.",
        |c, v| millis(v, 1, HOUR_MS).map(|d| refresh(c).read_timeout = d),
    ),
    other("sasl.login.class", Effect::Only(&["", "null"], CODE)),
    other("sasl.login.callback.handler.class", Effect::Nothing(HANDLER)),
    other("sasl.client.callback.handler.class", Effect::Nothing(HANDLER)),
    other("sasl.oauthbearer.jwt.retriever.class", Effect::Nothing(HANDLER)),
    other("sasl.oauthbearer.jwt.validator.class", Effect::Nothing(HANDLER)),
    other("sasl.oauthbearer.scope.claim.name", Effect::Nothing(CLAIMS)),
    other("sasl.oauthbearer.sub.claim.name", Effect::Nothing(CLAIMS)),
    other("sasl.oauthbearer.clock.skew.seconds", Effect::Nothing(CLAIMS)),
    other("sasl.oauthbearer.expected.audience", Effect::Nothing(CLAIMS)),
    other("sasl.oauthbearer.expected.issuer", Effect::Nothing(CLAIMS)),
    other("sasl.oauthbearer.jwks.endpoint.url", Effect::Nothing(CLAIMS)),
    other("sasl.oauthbearer.jwks.endpoint.refresh.ms", Effect::Nothing(CLAIMS)),
    other("sasl.kerberos.kinit.cmd", Effect::Nothing("no program that a setting names is run")),
    other("sasl.kerberos.min.time.before.relogin", Effect::Nothing(TICKETS)),
    other("sasl.kerberos.ticket.renew.jitter", Effect::Nothing(TICKETS)),
    other("sasl.kerberos.ticket.renew.window.factor", Effect::Nothing(TICKETS)),
];

const CODE: &str = "no code that a setting names is loaded";
const HANDLER: &str = "no code that a setting names is loaded; sasl.oauthbearer.method=oidc, or a \
                       function given in code, is where tokens come from";
const CLAIMS: &str = "brokers judge tokens, this client only passes them on";
const TICKETS: &str = "tickets are asked for when a connection is made";
