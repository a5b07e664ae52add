use alloc::format;
use alloc::string::{String, ToString};

use super::super::security::OauthMethod;
use super::super::{ConfigBuilder, ProducerConfig};
use super::{built, refusal};

const SASL_SSL: (&str, &str) = ("security.protocol", "SASL_SSL");
const OAUTH: [(&str, &str); 3] = [
    SASL_SSL,
    ("sasl.mechanism", "OAUTHBEARER"),
    ("sasl.oauthbearer.token.endpoint.url", "https://idp.example:8443/token"),
];
const ID: (&str, &str) = ("sasl.oauthbearer.client.id", "id");
const SECRET: (&str, &str) = ("sasl.oauthbearer.client.secret", "hunter2");

fn oauth(more: &[(&str, &str)]) -> Result<ProducerConfig, super::ConfigError> {
    built(&[&OAUTH, more].concat())
}

fn refused_oauth(more: &[(&str, &str)]) -> String {
    oauth(more).expect_err("the settings should be refused").to_string()
}

/// Laws: none. Scenarios: S4.
#[test]
fn no_mechanism_is_chosen_for_who_did_not_choose_one() {
    let why = refusal(&[SASL_SSL, ("sasl.username", "me"), ("sasl.password", "x")]);
    assert!(why.starts_with("sasl.mechanism: is required with security.protocol=SASL_SSL"));
}

#[test]
fn user_and_password_are_required_where_they_are_used() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let base = [SASL_SSL, ("sasl.mechanism", mechanism)];
        let why = refusal(&base);
        assert_eq!(why, format!("sasl.username: is required with sasl.mechanism={mechanism}"));
        let why = refusal(&[base[0], base[1], ("sasl.username", "me"), ("sasl.password", "")]);
        assert_eq!(why, format!("sasl.password: is required with sasl.mechanism={mechanism}"));
    }
}

#[test]
fn credentials_that_the_protocol_makes_no_use_of_are_refused_with_the_protocol_to_set() {
    let why = refusal(&[("sasl.username", "me"), ("sasl.mechanism", "PLAIN")]);
    assert!(why.starts_with("sasl.username: it has no effect"), "{why}");
    assert!(why.contains("PLAINTEXT, its default: set security.protocol=SASL_SSL"), "{why}");
    let why = refusal(&[("security.protocol", "SSL"), ("sasl.password", "hunter2")]);
    assert!(why.contains("because security.protocol=SSL: set security.protocol=SASL_SSL"));
    assert!(!why.contains("hunter2"), "{why}");
    let why = refusal(&[("sasl.mechanism", "GSSAPI")]);
    assert!(why.starts_with("sasl.mechanism: it has no effect"), "{why}");
    // Somebody who chooses PLAINTEXT by name has no use for a mechanism, and says so.
    assert!(built(&[("security.protocol", "PLAINTEXT"), ("sasl.mechanism", "GSSAPI")]).is_ok());
}

/// A configuration that asks for encryption is never used without it.
#[test]
fn certificates_without_tls_are_refused_with_the_protocol_to_set() {
    let why = refusal(&[("ssl.ca.location", "ca.pem")]);
    assert!(why.starts_with("ssl.truststore.location: it has no effect"), "{why}");
    assert!(why.contains("set security.protocol=SSL,"), "{why}");
    let plain = [("sasl.mechanism", "PLAIN"), ("sasl.username", "a"), ("sasl.password", "b")];
    let protocol = ("security.protocol", "SASL_PLAINTEXT");
    let key = ("ssl.keystore.location", "me.p12");
    let why = refusal(&[plain[0], plain[1], plain[2], protocol, key]);
    assert!(why.contains("set security.protocol=SASL_SSL,"), "{why}");
    // What only says how TLS would be spoken asks for nothing, nor does librdkafka's default.
    assert!(built(&[("ssl.endpoint.identification.algorithm", "https")]).is_ok());
    assert!(built(&[("ssl.ca.location", "probe")]).is_ok());
}

#[test]
fn a_key_and_its_certificate_come_together_and_from_one_place() {
    let ssl = ("security.protocol", "SSL");
    let file = [("ssl.certificate.location", "c.pem"), ("ssl.key.location", "k.pem")];
    let inline = [("ssl.certificate.pem", "C"), ("ssl.key.pem", "hunter2")];
    assert!(built(&[ssl, file[0], file[1]]).is_ok());
    assert!(built(&[ssl, inline[0], inline[1]]).is_ok());
    assert!(built(&[ssl, file[0], inline[1]]).is_ok(), "a key from somewhere else than its file");
    for (one, other) in [(file[0], "ssl.key.location"), (file[1], "ssl.certificate.location")] {
        let why = refusal(&[ssl, one]);
        assert!(why.starts_with(one.0) && why.contains(other), "{why}");
    }
    let store = ("ssl.keystore.location", "me.p12");
    for both in [
        [file[0], inline[0], file[1]],
        [file[1], inline[1], file[0]],
        [store, file[0], file[1]],
        [store, inline[0], inline[1]],
        [("ssl.ca.location", "ca"), ("ssl.ca.pem", "CA"), store],
    ] {
        let why = refusal(&[ssl, both[0], both[1], both[2]]);
        assert!(why.contains("leave one out") && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn a_login_module_for_another_mechanism_is_refused() {
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                username=\"a\" password=\"hunter2\";";
    let settings = [SASL_SSL, ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", jaas)];
    assert_eq!(
        refusal(&settings),
        "sasl.jaas.config: PlainLoginModule is for PLAIN, and sasl.mechanism=SCRAM-SHA-512 wants \
         ScramLoginModule: change one of the two"
    );
    let why = refusal(&[settings[0], settings[2]]);
    assert_eq!(why, "sasl.mechanism: is required: PLAIN, for PlainLoginModule");
    let why = refusal(&[settings[2]]);
    assert!(why.starts_with("sasl.jaas.config: it has no effect, because"), "{why}");
}

/// Java has no `sasl.oauthbearer.method`; the URL is enough there.
#[test]
fn a_url_of_a_token_endpoint_says_that_tokens_come_from_there() {
    let config = oauth(&[ID, SECRET]).unwrap();
    assert_eq!(config.security.sasl.oauth.method, OauthMethod::Oidc);
    let config = oauth(&[("sasl.oauthbearer.method", "default")]).unwrap();
    assert_eq!(config.security.sasl.oauth.method, OauthMethod::Default);
}

#[test]
fn what_an_identity_provider_asks_for_is_required() {
    let method = ("sasl.oauthbearer.method", "oidc");
    let why = refusal(&[OAUTH[0], OAUTH[1], method, ID, SECRET]);
    assert!(why.starts_with("sasl.oauthbearer.token.endpoint.url: is required"), "{why}");
    assert!(refused_oauth(&[SECRET]).contains("client.id: is required"));
    assert!(refused_oauth(&[ID]).contains("client.secret: is required"));
    let unsecured = ("enable.sasl.oauthbearer.unsecure.jwt", "true");
    assert!(refused_oauth(&[ID, SECRET, unsecured]).starts_with("sasl.oauthbearer.method: "));
}

#[test]
fn an_assertion_stands_for_a_secret_and_names_who_makes_it() {
    let key = ("sasl.oauthbearer.assertion.private.key.file", "k.pem");
    let file = ("sasl.oauthbearer.assertion.file", "a.jwt");
    let bearer = ("sasl.oauthbearer.grant.type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert!(oauth(&[ID, key]).is_ok());
    assert!(oauth(&[file]).is_ok());
    assert!(oauth(&[bearer, file]).is_ok());
    assert!(oauth(&[bearer, key, ID]).is_ok());
    let (issuer, subject) = (
        ("sasl.oauthbearer.assertion.claim.iss", "i"),
        ("sasl.oauthbearer.assertion.claim.sub", "s"),
    );
    assert!(oauth(&[bearer, key, issuer, subject]).is_ok());
    assert!(refused_oauth(&[bearer, key, issuer]).contains("claim.sub: is required"));
    assert!(refused_oauth(&[bearer]).contains("private.key.file: is required"));
    assert!(refused_oauth(&[ID, SECRET, key]).contains("leave one out"));
    assert!(refused_oauth(&[ID, file, key]).contains("leave one out"));
    let inline = ("sasl.oauthbearer.assertion.private.key.pem", "hunter2");
    let why = refused_oauth(&[ID, key, inline]);
    assert!(why.contains("leave one out") && !why.contains("hunter2"), "{why}");
}

/// CVE-2025-27817: in Java a URL could name a file of the machine, or a server inside its network.
/// Laws: none. Scenarios: S8, S14.
#[test]
fn a_token_endpoint_is_https_and_on_a_host_that_is_allowed() {
    let url = "sasl.oauthbearer.token.endpoint.url";
    let with = |value: &str| built(&[OAUTH[0], OAUTH[1], ID, SECRET, (url, value)]);
    for wrong in [
        "file:///etc/passwd",
        "http://idp.example/token",
        "HTTP://169.254.169.254/latest/meta-data",
        "https://",
        "https:///token",
        "https://user:hunter2@idp.example/",
        "https://idp.example:0/",
        "https://idp.example:65536/",
        "https://idp.example:x/",
        "https://idp.example\\@evil.example/",
        "https://idp.example#@evil.example/",
        "https://idp.example/a b",
        "https://idp.exämple/",
        "https://[::1/token",
        "https://[x]/token",
        "idp.example/token",
        "ftp://idp.example/token",
        "https",
    ] {
        let why = with(wrong).expect_err(wrong).to_string();
        assert!(why.contains("expected an https URL") && !why.contains("hunter2"), "{why}");
    }
    for right in [
        "https://idp.example",
        "HTTPS://idp.example./token",
        "https://127.0.0.1:8443/realms/x?y=z",
        "https://[::1]:8443/token",
    ] {
        assert!(with(right).is_ok(), "{right}");
    }
    let allowed = |hosts: &str| oauth(&[ID, SECRET, ("sasl.oauthbearer.allowed.hosts", hosts)]);
    assert!(allowed("login.example, IDP.example.").is_ok());
    let why = allowed("login.example,xidp.example,example").expect_err("not it").to_string();
    assert!(why.contains("idp.example is not among sasl.oauthbearer.allowed.hosts"), "{why}");
}

/// Laws: none. Scenarios: S4.
#[test]
fn a_password_in_the_clear_is_warned_of_unless_it_is_allowed_and_can_be_forbidden() {
    let build = |server: &str, mechanism: &str, allowed: Option<&str>| {
        let mut builder = ConfigBuilder::default();
        let settings = [
            ("bootstrap.servers", server),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "me"),
            ("sasl.password", "hunter2"),
        ];
        for (key, value) in settings {
            builder.set(key, value).unwrap();
        }
        if let Some(value) = allowed {
            builder.set("sasl.allow.plaintext.credentials", value).unwrap();
        }
        (builder.build(), builder.warnings())
    };
    for mechanism in ["PLAIN", "OAUTHBEARER", "AWS_MSK_IAM"] {
        let (config, warnings) = build("broker.example:9092", mechanism, None);
        assert!(config.is_ok() && warnings.len() == 1, "{mechanism}: {config:?} {warnings:?}");
        assert_eq!(warnings[0].0, "security.protocol");
        assert!(warnings[0].1.contains("SASL_SSL"), "{warnings:?}");
        let (config, warnings) = build("broker.example:9092", mechanism, Some("true"));
        assert!(config.is_ok() && warnings.is_empty());
        let (config, _) = build("localhost:9092", mechanism, Some("false"));
        let why = config.unwrap_err().to_string();
        assert!(why.starts_with("sasl.allow.plaintext.credentials: it is false"), "{why}");
        let (_, warnings) = build("localhost:1,127.0.0.1:1,[::1]:1", mechanism, None);
        assert_eq!(warnings, []);
        let (_, warnings) = build("localhost:1,10.0.0.1:1", mechanism, None);
        assert_eq!(warnings.len(), 1);
    }
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] {
        let (config, warnings) = build("broker.example:9092", mechanism, Some("false"));
        assert!(config.is_ok() && warnings.is_empty(), "{mechanism}: {config:?}");
    }
}

#[test]
fn keys_of_aws_come_in_pairs() {
    let base = [SASL_SSL, ("sasl.mechanism", "AWS_MSK_IAM")];
    let (id, secret) = (("sasl.aws.access.key.id", "a"), ("sasl.aws.secret.access.key", "hunter2"));
    assert!(built(&base).is_ok());
    assert!(built(&[base[0], base[1], id, secret]).is_ok());
    for one in [id, secret, ("sasl.aws.session.token", "t")] {
        let why = refusal(&[base[0], base[1], one]);
        assert!(why.contains("is required beside") && !why.contains("hunter2"), "{why}");
    }
}

/// Laws: none. Scenarios: S13.
#[test]
fn a_configuration_that_is_printed_shows_no_secret() {
    let jaas = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                clientId=\"id\" clientSecret=\"hunter2\";";
    let secrets = [
        "ssl.truststore.password",
        "ssl.keystore.password",
        "ssl.key.password",
        "ssl.key.pem",
        "sasl.password",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.aws.secret.access.key",
        "sasl.aws.session.token",
    ];
    let mut builder = ConfigBuilder::default();
    builder.set("sasl.jaas.config", jaas).unwrap();
    assert!(!format!("{builder:?}").contains("hunter2"));
    for key in secrets {
        builder.set(key, "hunter2").unwrap();
    }
    assert!(!format!("{builder:?} {builder:#?}").contains("hunter2"));
}
