//! What must hold between the settings of TLS and SASL.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use super::jaas::LoginModule;
use super::security::{
    AssertionConfig, GrantType, OauthConfig, OauthMethod, SaslConfig, SaslMechanism,
    SecurityConfig, SecurityProtocol, TlsConfig,
};
use super::values::https_host;
use super::{ConfigError, ProducerConfig};

/// Compares the settings with each other, and draws the conclusions that other clients draw.
pub(super) fn settle(
    security: &mut SecurityConfig,
    is_explicit: impl Fn(&str) -> bool,
) -> Result<(), ConfigError> {
    // Librdkafka's word for looking for the system's own authorities.
    for place in [&mut security.tls.truststore_location, &mut security.sasl.oauth.ca_location] {
        place.take_if(|location| location == "probe");
    }
    // Java has no sasl.oauthbearer.method. There the URL alone says where tokens come from.
    let oauth = &mut security.sasl.oauth;
    if oauth.token_endpoint_url.is_some() && !is_explicit("sasl.oauthbearer.method") {
        oauth.method = OauthMethod::Oidc;
    }
    check_used(security, is_explicit("security.protocol"))?;
    check_tls(&security.tls)?;
    // Its options are settings like others by now.
    let module = security.sasl.login_module.take();
    check_module(&security.sasl, module)?;
    if security.protocol.uses_sasl() {
        check_sasl(security)?;
    }
    Ok(())
}

/// What deserves a word although it is allowed: the setting, and why.
pub(super) fn warnings(config: &ProducerConfig) -> Vec<(&'static str, &'static str)> {
    let mut warnings = Vec::new();
    let SecurityConfig { protocol, sasl, .. } = &config.security;
    let servers = &config.bootstrap_servers;
    let is_local = !servers.is_empty() && servers.iter().all(|server| is_loopback(server));
    if !protocol.uses_sasl() || is_local {
        return warnings;
    }
    let is_allowed = sasl.allow_plaintext_credentials;
    if *protocol == SecurityProtocol::SaslPlaintext && is_allowed.is_none() {
        warnings.extend(told_in_clear(sasl).map(|why| ("security.protocol", why)));
    }
    if sasl.mechanism == Some(SaslMechanism::OauthBearer) && sasl.oauth.unsecured {
        let why = "tokens without a signature are for tests: a broker that takes them lets \
                   anybody be anybody";
        warnings.push(("enable.sasl.oauthbearer.unsecure.jwt", why));
    }
    warnings
}

/// What a mechanism tells everybody on the way, unless there is TLS.
fn told_in_clear(sasl: &SaslConfig) -> Option<&'static str> {
    match sasl.mechanism? {
        SaslMechanism::Plain => Some(
            "SASL_PLAINTEXT with PLAIN shows the password to everybody on the way: use SASL_SSL, \
             or a SCRAM mechanism; where the network is trusted, \
             sasl.allow.plaintext.credentials=true ends this warning",
        ),
        SaslMechanism::OauthBearer => Some(
            "SASL_PLAINTEXT with OAUTHBEARER shows the token to everybody on the way: use \
             SASL_SSL; where the network is trusted, sasl.allow.plaintext.credentials=true ends \
             this warning",
        ),
        SaslMechanism::AwsMskIam => Some(
            "SASL_PLAINTEXT with AWS_MSK_IAM shows a signed request, which anybody can use for a \
             quarter of an hour, to everybody on the way: use SASL_SSL",
        ),
        SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 | SaslMechanism::Gssapi => None,
    }
}

/// Whether a server is on this machine, as far as its name tells.
fn is_loopback(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn refused(key: &str, why: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::new(key, why))
}

/// The commonest mistake: credentials are there, and `security.protocol` makes no use of them.
fn check_used(security: &SecurityConfig, is_chosen: bool) -> Result<(), ConfigError> {
    let protocol = security.protocol;
    let now = match is_chosen {
        true => format!("security.protocol={}", protocol.name()),
        false => "security.protocol is PLAINTEXT, its default".to_string(),
    };
    if !protocol.uses_sasl() {
        let mechanism = security.sasl.mechanism.filter(|_| !is_chosen).map(|_| "sasl.mechanism");
        if let Some(key) = credential(&security.sasl).or(mechanism) {
            let why = format!(
                "it has no effect, because {now}: set security.protocol=SASL_SSL (or \
                 SASL_PLAINTEXT, if the brokers do not speak TLS), or leave {key} out"
            );
            return refused(key, why);
        }
    }
    if let (false, Some(key)) = (protocol.uses_tls(), material(&security.tls)) {
        let has_sasl = protocol.uses_sasl() || security.sasl.mechanism.is_some();
        let wanted = if has_sasl { "SASL_SSL" } else { "SSL" };
        let why = format!(
            "it has no effect, because {now}, and nothing would be encrypted: set \
             security.protocol={wanted}, or leave {key} out"
        );
        return refused(key, why);
    }
    Ok(())
}

/// The first of some settings that is there.
fn first<const N: usize>(settings: [(bool, &'static str); N]) -> Option<&'static str> {
    settings.into_iter().find(|(is_set, _)| *is_set).map(|(_, key)| key)
}

/// A setting that says who the client is.
fn credential(sasl: &SaslConfig) -> Option<&'static str> {
    let SaslConfig { oauth, aws, kerberos, .. } = sasl;
    first([
        (sasl.login_module.is_some(), "sasl.jaas.config"),
        (sasl.username.is_some(), "sasl.username"),
        (sasl.password.is_some(), "sasl.password"),
        (oauth.client_id.is_some(), "sasl.oauthbearer.client.credentials.client.id"),
        (oauth.client_secret.is_some(), "sasl.oauthbearer.client.credentials.client.secret"),
        (oauth.token_endpoint_url.is_some(), "sasl.oauthbearer.token.endpoint.url"),
        (oauth.unsecured, "enable.sasl.oauthbearer.unsecure.jwt"),
        (aws.access_key_id.is_some(), "sasl.aws.access.key.id"),
        (aws.secret_access_key.is_some(), "sasl.aws.secret.access.key"),
        (kerberos.principal.is_some(), "sasl.kerberos.principal"),
        (kerberos.keytab.is_some(), "sasl.kerberos.keytab"),
    ])
}

/// A setting that nobody makes who does not want TLS.
fn material(tls: &TlsConfig) -> Option<&'static str> {
    first([
        (tls.truststore_location.is_some(), "ssl.truststore.location"),
        (tls.truststore_certificates.is_some(), "ssl.truststore.certificates"),
        (tls.keystore_location.is_some(), "ssl.keystore.location"),
        (tls.certificate_location.is_some(), "ssl.certificate.location"),
        (tls.certificate_chain.is_some(), "ssl.keystore.certificate.chain"),
        (tls.key_location.is_some(), "ssl.key.location"),
        (tls.key.is_some(), "ssl.keystore.key"),
        (tls.crl_location.is_some(), "ssl.crl.location"),
    ])
}

/// Two ways to say the same thing.
fn check_either(a: (bool, &str), b: (bool, &str)) -> Result<(), ConfigError> {
    if a.0 && b.0 {
        let why = format!("{} is set as well, and both say the same thing: leave one out", b.1);
        return refused(a.1, why);
    }
    Ok(())
}

fn check_tls(tls: &TlsConfig) -> Result<(), ConfigError> {
    let keystore = (tls.keystore_location.is_some(), "ssl.keystore.location");
    let chain_file = (tls.certificate_location.is_some(), "ssl.certificate.location");
    let chain = (tls.certificate_chain.is_some(), "ssl.keystore.certificate.chain");
    let key_file = (tls.key_location.is_some(), "ssl.key.location");
    let key = (tls.key.is_some(), "ssl.keystore.key");
    for other in [chain_file, chain, key_file, key] {
        check_either(keystore, other)?;
    }
    check_either(chain_file, chain)?;
    check_either(key_file, key)?;
    check_either(
        (tls.truststore_location.is_some(), "ssl.truststore.location"),
        (tls.truststore_certificates.is_some(), "ssl.truststore.certificates"),
    )?;
    match (first([chain_file, chain]), first([key_file, key])) {
        (Some(chain), None) => refused(
            chain,
            "a certificate needs its key: set ssl.key.location, or ssl.keystore.key for one in \
             the setting itself",
        ),
        (None, Some(key)) => refused(
            key,
            "a key needs its certificate: set ssl.certificate.location, or \
             ssl.keystore.certificate.chain for one in the setting itself",
        ),
        _ => Ok(()),
    }
}

fn check_module(sasl: &SaslConfig, module: Option<LoginModule>) -> Result<(), ConfigError> {
    match (module, sasl.mechanism) {
        (Some(module), Some(mechanism)) if module != LoginModule::of(mechanism) => refused(
            "sasl.jaas.config",
            format!(
                "{} is for {}, and sasl.mechanism={} wants {}: change one of the two",
                module.name(),
                module.mechanism(),
                mechanism.name(),
                LoginModule::of(mechanism).name()
            ),
        ),
        (Some(module), None) => refused(
            "sasl.mechanism",
            format!("is required: {}, for {}", module.mechanism(), module.name()),
        ),
        _ => Ok(()),
    }
}

fn check_sasl(security: &SecurityConfig) -> Result<(), ConfigError> {
    let sasl = &security.sasl;
    let Some(mechanism) = sasl.mechanism else {
        let why = format!(
            "is required with security.protocol={}: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, \
             OAUTHBEARER, AWS_MSK_IAM or GSSAPI, whichever the brokers offer",
            security.protocol.name()
        );
        return refused("sasl.mechanism", why);
    };
    if security.protocol == SecurityProtocol::SaslPlaintext
        && sasl.allow_plaintext_credentials == Some(false)
        && told_in_clear(sasl).is_some()
    {
        let why = format!(
            "it is false, and SASL_PLAINTEXT with {} shows to everybody on the way what the client \
             is known by: set security.protocol=SASL_SSL",
            mechanism.name()
        );
        return refused("sasl.allow.plaintext.credentials", why);
    }
    match mechanism {
        SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
            let missing = first([
                (sasl.username.is_none(), "sasl.username"),
                (sasl.password.is_none(), "sasl.password"),
            ]);
            missing.map_or(Ok(()), |key| required(key, mechanism))
        }
        SaslMechanism::OauthBearer => check_oauth(&sasl.oauth),
        SaslMechanism::AwsMskIam => check_aws(sasl),
        SaslMechanism::Gssapi => Ok(()),
    }
}

fn required(key: &str, mechanism: SaslMechanism) -> Result<(), ConfigError> {
    refused(key, format!("is required with sasl.mechanism={}", mechanism.name()))
}

fn check_aws(sasl: &SaslConfig) -> Result<(), ConfigError> {
    let (id, secret) = ("sasl.aws.access.key.id", "sasl.aws.secret.access.key");
    let has = (sasl.aws.access_key_id.is_some(), sasl.aws.secret_access_key.is_some());
    match has {
        (true, false) => refused(secret, format!("is required beside {id}")),
        (false, true) => refused(id, format!("is required beside {secret}")),
        (false, false) if sasl.aws.session_token.is_some() => {
            refused(id, "is required beside sasl.aws.session.token".to_string())
        }
        _ => Ok(()),
    }
}

fn check_oauth(oauth: &OauthConfig) -> Result<(), ConfigError> {
    const METHOD: &str = "sasl.oauthbearer.method";
    const URL: &str = "sasl.oauthbearer.token.endpoint.url";
    if oauth.method == OauthMethod::Default {
        return Ok(());
    }
    if oauth.unsecured {
        let why = "enable.sasl.oauthbearer.unsecure.jwt=true makes tokens here, and oidc fetches \
                   them: leave one out";
        return refused(METHOD, why);
    }
    let Some(url) = &oauth.token_endpoint_url else {
        return refused(URL, format!("is required with {METHOD}=oidc"));
    };
    let host = https_host(url).map_err(|why| ConfigError::new(URL, why))?;
    let same = |allowed: &String| allowed.trim_end_matches('.').eq_ignore_ascii_case(host);
    if !oauth.allowed_hosts.is_empty() && !oauth.allowed_hosts.iter().any(same) {
        let why = format!(
            "the host {host} is not among sasl.oauthbearer.allowed.hosts: add it there, if it is \
             the identity provider's"
        );
        return refused(URL, why);
    }
    check_grant(oauth)
}

fn check_grant(oauth: &OauthConfig) -> Result<(), ConfigError> {
    const ID: &str = "sasl.oauthbearer.client.credentials.client.id";
    const SECRET: &str = "sasl.oauthbearer.client.credentials.client.secret";
    const FILE: &str = "sasl.oauthbearer.assertion.file";
    const KEY_FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
    const KEY: &str = "sasl.oauthbearer.assertion.private.key.pem";
    let AssertionConfig { file, private_key_file, private_key_pem, .. } = &oauth.assertion;
    let file = (file.is_some(), FILE);
    let key_file = (private_key_file.is_some(), KEY_FILE);
    let key = (private_key_pem.is_some(), KEY);
    check_either(key_file, key)?;
    check_either(file, key_file)?;
    check_either(file, key)?;
    let has_secret = oauth.client_secret.is_some();
    match (oauth.grant_type, first([file, key_file, key])) {
        (GrantType::ClientCredentials, Some(assertion)) => {
            check_either((has_secret, SECRET), (true, assertion))?;
        }
        (GrantType::ClientCredentials, None) => {
            let missing = first([(oauth.client_id.is_none(), ID), (!has_secret, SECRET)]);
            if let Some(key) = missing {
                let why = format!(
                    "is required with sasl.oauthbearer.method=oidc, unless an assertion vouches \
                     for the client ({FILE} or {KEY_FILE})"
                );
                return refused(key, why);
            }
        }
        (GrantType::JwtBearer, None) => {
            let why = format!(
                "is required with sasl.oauthbearer.grant.type=jwt-bearer: the key that signs the \
                 assertion, or a finished one by {FILE}"
            );
            return refused(KEY_FILE, why);
        }
        (GrantType::JwtBearer, Some(_)) => {}
    }
    check_claims(oauth, file.0 || !(key_file.0 || key.0))
}

/// An assertion says who makes it and whom it is about (RFC 7523 §3). The client's id will do.
fn check_claims(oauth: &OauthConfig, is_made_elsewhere: bool) -> Result<(), ConfigError> {
    let AssertionConfig { issuer, subject, template_file, .. } = &oauth.assertion;
    if is_made_elsewhere || template_file.is_some() || oauth.client_id.is_some() {
        return Ok(());
    }
    let missing = first([
        (issuer.is_none(), "sasl.oauthbearer.assertion.claim.iss"),
        (subject.is_none(), "sasl.oauthbearer.assertion.claim.sub"),
    ]);
    missing.map_or(Ok(()), |key| {
        refused(key, "is required for an assertion, unless there is a client id to take instead")
    })
}
