//! `sasl.jaas.config`, as it stands in Java clients' configurations.
//!
//! There it names a class that is loaded, which let whoever sets it run code (CVE-2023-25194). Here
//! the name is compared with those below and nothing is loaded. No error shows a value: it may be a
//! password, also where quotes are missing and it looks like something else.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::jaas_text::{self, Entry};
use super::nearest;
use super::security::{SaslConfig, SaslMechanism, Secret};
use super::values::boolean;

/// A login module that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginModule {
    Plain,
    Scram,
    OauthBearer,
    Kerberos,
    Aws,
}

/// Their names. Programs that carry Kafka's classes inside put a prefix before these.
const MODULES: &[(&str, LoginModule)] = &[
    ("org.apache.kafka.common.security.plain.PlainLoginModule", LoginModule::Plain),
    ("org.apache.kafka.common.security.scram.ScramLoginModule", LoginModule::Scram),
    (
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
        LoginModule::OauthBearer,
    ),
    ("com.sun.security.auth.module.Krb5LoginModule", LoginModule::Kerberos),
    ("software.amazon.msk.auth.iam.IAMLoginModule", LoginModule::Aws),
];

impl LoginModule {
    /// Its name without the package.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PlainLoginModule",
            Self::Scram => "ScramLoginModule",
            Self::OauthBearer => "OAuthBearerLoginModule",
            Self::Kerberos => "Krb5LoginModule",
            Self::Aws => "IAMLoginModule",
        }
    }

    /// The one that belongs to `mechanism`.
    pub(super) const fn of(mechanism: SaslMechanism) -> Self {
        match mechanism {
            SaslMechanism::Plain => Self::Plain,
            SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => Self::Scram,
            SaslMechanism::OauthBearer => Self::OauthBearer,
            SaslMechanism::AwsMskIam => Self::Aws,
            SaslMechanism::Gssapi => Self::Kerberos,
        }
    }

    /// The mechanism that it is for, in words.
    pub(super) const fn mechanism(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram => "SCRAM-SHA-256 or SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Kerberos => "GSSAPI",
            Self::Aws => "AWS_MSK_IAM",
        }
    }

    /// Options that are understood, those without effect included.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["username", "password"],
            Self::Scram => &["username", "password", "tokenauth"],
            Self::OauthBearer => &[
                "clientId",
                "clientSecret",
                "scope",
                "extension_",
                "ssl.truststore.location",
                "ssl.truststore.certificates",
                "ssl.truststore.type",
                "unsecuredLoginStringClaim_",
                "unsecuredLoginListClaim_",
                "unsecuredLoginLifetimeSeconds",
                "unsecuredLoginPrincipalClaimName",
                "unsecuredLoginScopeClaimName",
                "unsecuredLoginExtension_",
            ],
            Self::Kerberos => KERBEROS_OPTIONS,
            Self::Aws => &["awsDebugCreds", "awsMaxRetries", "awsMaxBackOffTimeMs"],
        }
    }
}

/// The first four count; the rest says how Java finds what the system's library finds by itself.
const KERBEROS_OPTIONS: &[&str] = &[
    "principal",
    "keyTab",
    "useKeyTab",
    "serviceName",
    "keytab",
    "storeKey",
    "useTicketCache",
    "renewTGT",
    "doNotPrompt",
    "debug",
    "refreshKrb5Config",
    "isInitiator",
    "useFirstPass",
    "tryFirstPass",
    "storePass",
    "clearPass",
];

/// Takes what the options of a login module say.
pub(super) fn apply(sasl: &mut SaslConfig, value: &str) -> Result<(), String> {
    let entry = jaas_text::read(value)?;
    let module = find(&entry)?;
    check_options(module, &entry)?;
    // All or nothing: an error leaves what was set before.
    let mut changed = sasl.clone();
    match module {
        LoginModule::Plain => credentials(&mut changed, &entry),
        LoginModule::Scram => {
            credentials(&mut changed, &entry);
            changed.delegation_token = flag(&entry, "tokenauth")?.unwrap_or(false);
        }
        LoginModule::OauthBearer => oauth(&mut changed, &entry)?,
        LoginModule::Kerberos => kerberos(&mut changed, &entry)?,
        LoginModule::Aws => {}
    }
    changed.login_module = Some(module);
    *sasl = changed;
    Ok(())
}

fn find(entry: &Entry) -> Result<LoginModule, String> {
    let class = entry.module.as_str();
    let is = |known: &str| {
        class.strip_suffix(known).is_some_and(|it| matches!(it, "") || it.ends_with('.'))
    };
    if let Some((_, module)) = MODULES.iter().find(|(known, _)| is(known)) {
        return Ok(*module);
    }
    let known = listed(&MODULES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    // Without dots it is no class. It may be a password then.
    let Some((_, simple)) = class.rsplit_once('.') else {
        return Err(format!("it begins with the full name of a login module, such as {known}"));
    };
    let near = MODULES.iter().find(|(_, module)| module.name().eq_ignore_ascii_case(simple));
    if let Some((near, _)) = near {
        return Err(format!("{class} is not known; did you mean {near}?"));
    }
    Err(format!(
        "{class} is refused: no class that a setting names is ever loaded (CVE-2023-25194). \
         Understood are the options of {known}"
    ))
}

/// An option that is not understood is told by its place: it may be a piece of a password.
fn check_options(module: LoginModule, entry: &Entry) -> Result<(), String> {
    for (at, (option, _)) in entry.options.iter().enumerate() {
        let option = option.as_str();
        if let Some(why) = refused(module, option) {
            return Err(why.to_string());
        }
        let is_known = module.options().iter().any(|known| match known.strip_suffix('_') {
            Some(_) => option.len() > known.len() && option.starts_with(known),
            None => option == *known,
        });
        if !is_known {
            let hint = nearest(option, module.options().iter().copied())
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(format!(
                "option {} is none of {}, which has {}{hint}",
                at + 1,
                module.name(),
                listed(module.options()),
            ));
        }
        if entry.options[..at].iter().any(|(other, _)| other.as_str() == option) {
            return Err(format!("option {} stands there twice", at + 1));
        }
    }
    Ok(())
}

/// Why an option that Java knows is not possible here.
fn refused(module: LoginModule, option: &str) -> Option<&'static str> {
    match module {
        LoginModule::Aws if option.starts_with("awsProfile") => Some(
            "awsProfileName is not possible: files with profiles are not read; set the keys by \
             sasl.aws.access.key.id and sasl.aws.secret.access.key, or in the environment by \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        LoginModule::Aws if option.starts_with("awsRole") || option.starts_with("awsSts") => Some(
            "roles (awsRoleArn and its siblings) are not possible: no role is taken on here; do \
             that before, and set its keys by sasl.aws.access.key.id, \
             sasl.aws.secret.access.key and sasl.aws.session.token, or in the environment",
        ),
        LoginModule::OauthBearer if option.starts_with("unsecuredLoginNumberClaim") => Some(
            "unsecuredLoginNumberClaim_… is not possible: a token without a signature has a \
             principal, a scope and a lifetime here",
        ),
        LoginModule::OauthBearer
            if option.starts_with("ssl.") && !option.starts_with("ssl.truststore.") =>
        {
            Some("of ssl.… only the truststore counts here; https.ca.location is its other name")
        }
        LoginModule::Kerberos if option == "ticketCache" => Some(
            "ticketCache is not possible: the environment variable KRB5CCNAME says where the \
             credential cache is",
        ),
        _ => None,
    }
}

fn listed(options: &[&str]) -> String {
    match options.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => options.concat(),
    }
}

/// An option's text; none where it is empty, as with every other setting.
fn text(entry: &Entry, option: &str) -> Option<String> {
    entry.get(option).filter(|text| !text.is_empty()).map(|text| text.as_str().to_string())
}

fn secret(entry: &Entry, option: &str) -> Option<Secret> {
    entry.get(option).filter(|text| !text.is_empty()).map(|text| Secret::new(text.as_str()))
}

fn flag(entry: &Entry, option: &str) -> Result<Option<bool>, String> {
    let Some(value) = entry.get(option) else { return Ok(None) };
    boolean(value).map(Some).map_err(|_| format!("{option} is true or false"))
}

/// Sets what is there, and leaves what is not.
fn put<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn credentials(sasl: &mut SaslConfig, entry: &Entry) {
    put(&mut sasl.username, text(entry, "username"));
    put(&mut sasl.password, secret(entry, "password"));
}

fn kerberos(sasl: &mut SaslConfig, entry: &Entry) -> Result<(), String> {
    put(&mut sasl.kerberos.principal, text(entry, "principal"));
    if let Some(name) = text(entry, "serviceName") {
        sasl.kerberos.service_name = name;
    }
    if flag(entry, "useKeyTab")?.unwrap_or(false) {
        let keytab = text(entry, "keyTab").or_else(|| text(entry, "keytab"));
        if keytab.is_none() {
            return Err("useKeyTab=true needs keyTab: the path of a file with the key".to_string());
        }
        sasl.kerberos.keytab = keytab;
    }
    Ok(())
}

fn oauth(sasl: &mut SaslConfig, entry: &Entry) -> Result<(), String> {
    let oauth = &mut sasl.oauth;
    put(&mut oauth.client_id, text(entry, "clientId"));
    put(&mut oauth.client_secret, secret(entry, "clientSecret"));
    put(&mut oauth.scope, text(entry, "scope"));
    put(&mut oauth.ca_location, text(entry, "ssl.truststore.location"));
    put(&mut oauth.ca_pem, text(entry, "ssl.truststore.certificates"));
    if entry.get("ssl.truststore.type").is_some_and(|it| !it.eq_ignore_ascii_case("pem")) {
        let why = "the truststore for the token's endpoint must be PEM: convert it, and set \
                   https.ca.location";
        return Err(why.to_string());
    }
    let extensions: Vec<_> = entry
        .options
        .iter()
        .filter_map(|(option, value)| {
            let name = option.strip_prefix("extension_")?;
            Some((name.to_string(), value.as_str().to_string()))
        })
        .collect();
    if !extensions.is_empty() {
        oauth.extensions = extensions;
    }
    if let Some(config) = unsecured(entry)? {
        oauth.unsecured = true;
        oauth.unsecured_config = Some(config);
    }
    Ok(())
}

/// What a token without a signature says, as librdkafka's `sasl.oauthbearer.config` has it. None
/// where no option speaks of one.
fn unsecured(entry: &Entry) -> Result<Option<String>, String> {
    let mut said: Vec<String> = Vec::new();
    let mut say = |name: &str, value: &str| {
        if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("what an unsecured token says must not be empty and has no spaces");
        }
        said.push(format!("{name}={value}"));
        Ok(())
    };
    let principal_claim =
        entry.get("unsecuredLoginPrincipalClaimName").map_or("sub", |name| name.as_str());
    let scope_claim =
        entry.get("unsecuredLoginScopeClaimName").map_or("scope", |name| name.as_str());
    for (option, value) in &entry.options {
        let value = value.as_str();
        match option.as_str() {
            "unsecuredLoginPrincipalClaimName" => say("principalClaimName", value)?,
            "unsecuredLoginScopeClaimName" => say("scopeClaimName", value)?,
            "unsecuredLoginLifetimeSeconds" => say("lifeSeconds", value)?,
            option => {
                if let Some(name) = option.strip_prefix("unsecuredLoginExtension_") {
                    say(&format!("extension_{name}"), value)?;
                } else if let Some(claim) = option.strip_prefix("unsecuredLoginStringClaim_") {
                    if claim == principal_claim {
                        say("principal", value)?;
                    } else if claim == scope_claim {
                        say("scope", value)?;
                    } else {
                        return Err(only_claims());
                    }
                } else if let Some(claim) = option.strip_prefix("unsecuredLoginListClaim_") {
                    if claim != scope_claim {
                        return Err(only_claims());
                    }
                    say("scope", &scopes(value))?;
                }
            }
        }
    }
    Ok(Some(said.join(" ")).filter(|config| !config.is_empty()))
}

fn only_claims() -> String {
    "a token without a signature has a principal (claim sub, or what \
     unsecuredLoginPrincipalClaimName says), a scope and a lifetime here, and no other claims"
        .to_string()
}

/// The first character of a list says what separates its elements.
fn scopes(list: &str) -> Zeroizing<String> {
    let mut letters = list.chars();
    let Some(separator) = letters.next() else { return Zeroizing::new(String::new()) };
    let elements: Vec<&str> =
        letters.as_str().split(separator).map(str::trim).filter(|it| !it.is_empty()).collect();
    Zeroizing::new(elements.join(","))
}
