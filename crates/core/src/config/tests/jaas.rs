use alloc::format;
use alloc::string::String;

use super::super::security::SaslConfig;
use super::{built, refusal};

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
const KERBEROS: &str = "com.sun.security.auth.module.Krb5LoginModule";
const AWS: &str = "software.amazon.msk.auth.iam.IAMLoginModule";

/// What becomes of a value beside a mechanism that it fits.
fn sasl(mechanism: &str, jaas: &str) -> SaslConfig {
    let settings = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", mechanism),
        ("sasl.jaas.config", jaas),
    ];
    built(&settings).unwrap_or_else(|error| panic!("{jaas}: {error}")).security.sasl
}

fn refused(jaas: &str) -> String {
    let why = refusal(&[("sasl.jaas.config", jaas)]);
    assert!(why.starts_with("sasl.jaas.config: "), "{why}");
    why
}

#[test]
fn a_user_and_a_password_are_taken_as_java_writes_them() {
    let forms = [
        format!("{PLAIN} required username=\"me\" password=\"s3;cret\";"),
        format!("{PLAIN} required username='me' password='s3;cret';"),
        format!("{PLAIN}   REQUIRED\n  username=me\n  password = \"s3;cret\" ;\n"),
        format!("{PLAIN} sufficient password=\"s\\63;c\\ret\" username=\"m\\e\";")
            .replace("\\r", "r"),
        format!("{PLAIN} required \\\n  username=\"me\" \\\r\n  password=\"s3;cret\";"),
        format!("kafkashaded.{PLAIN} optional username=\"me\" password=\"s3;cret\";"),
    ];
    for jaas in forms {
        let sasl = sasl("PLAIN", &jaas);
        assert_eq!(sasl.username.as_deref(), Some("me"), "{jaas}");
        assert_eq!(sasl.password.as_ref().map(|it| it.expose()), Some("s3;cret"), "{jaas}");
    }
}

#[test]
fn escapes_in_quotes_mean_what_they_mean_to_java() {
    let jaas = format!(r#"{PLAIN} required username="a\"b\\c\td" password="\101\0\3777'";"#);
    let sasl = sasl("PLAIN", &jaas);
    assert_eq!(sasl.username.as_deref(), Some("a\"b\\c\td"));
    assert_eq!(sasl.password.unwrap().expose(), "A\0\u{ff}7'");
}

#[test]
fn a_delegation_token_is_one_by_its_option() {
    let jaas = format!("{SCRAM} required username=\"id\" password=\"hmac\" tokenauth=\"true\";");
    assert!(sasl("SCRAM-SHA-256", &jaas).delegation_token);
    let jaas = format!("{SCRAM} required username=\"id\" password=\"hmac\";");
    assert!(!sasl("SCRAM-SHA-512", &jaas).delegation_token);
    let why = refused(&format!("{SCRAM} required tokenauth=maybe;"));
    assert!(why.ends_with("tokenauth is true or false"), "{why}");
}

#[test]
fn client_id_and_secret_for_tokens_are_taken() {
    let jaas = format!(
        "{OAUTH} required clientId=\"id\" clientSecret=\"sec\" scope=\"a b\" \
         extension_logicalCluster=\"lkc-1\" extension_pool='p' ssl.truststore.type=PEM \
         ssl.truststore.location=/etc/ca.pem;"
    );
    let settings = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.endpoint.url", "https://idp.example/token"),
        ("sasl.jaas.config", &*jaas),
    ];
    let sasl = built(&settings).unwrap().security.sasl;
    assert_eq!(sasl.oauth.client_id.as_deref(), Some("id"));
    assert_eq!(sasl.oauth.client_secret.unwrap().expose(), "sec");
    assert_eq!(sasl.oauth.scope.as_deref(), Some("a b"));
    assert_eq!(sasl.oauth.ca_location.as_deref(), Some("/etc/ca.pem"));
    let pairs = [("logicalCluster", "lkc-1"), ("pool", "p")].map(|(k, v)| (k.into(), v.into()));
    assert_eq!(sasl.oauth.extensions, pairs);
    assert!(!sasl.oauth.unsecured);
    let why = refused(&format!("{OAUTH} required ssl.truststore.type=JKS;"));
    assert!(why.contains("https.ca.location"), "{why}");
    assert!(refused(&format!("{OAUTH} required ssl.keystore.location=x;")).contains("truststore"));
}

#[test]
fn a_token_without_a_signature_is_described_as_librdkafka_does_it() {
    let jaas = format!(
        "{OAUTH} required unsecuredLoginStringClaim_azp=\"alice\" \
         unsecuredLoginPrincipalClaimName=azp unsecuredLoginListClaim_scope=\"|a|b\" \
         unsecuredLoginLifetimeSeconds=\"60\" unsecuredLoginExtension_traceId=\"7\";"
    );
    let oauth = sasl("OAUTHBEARER", &jaas).oauth;
    assert!(oauth.unsecured);
    assert_eq!(
        oauth.unsecured_config.as_deref(),
        Some("principal=alice principalClaimName=azp scope=a,b lifeSeconds=60 extension_traceId=7")
    );
    let none = sasl("OAUTHBEARER", &format!("{OAUTH} required;")).oauth;
    assert!(!none.unsecured && none.unsecured_config.is_none());
    for option in [
        "unsecuredLoginStringClaim_sub=\"a scope=b\"",
        "unsecuredLoginStringClaim_sub=\"\"",
        "unsecuredLoginStringClaim_other=x",
        "unsecuredLoginListClaim_groups=\",a\"",
        "unsecuredLoginNumberClaim_n=1",
    ] {
        refused(&format!("{OAUTH} required {option};"));
    }
}

#[test]
fn a_keytab_counts_only_where_java_uses_it() {
    let jaas = format!(
        "{KERBEROS} required useKeyTab=true storeKey=true keyTab=\"/etc/me.keytab\" \
         principal=\"me@EXAMPLE.COM\" serviceName=\"kfk\" useTicketCache=false;"
    );
    let kerberos = sasl("GSSAPI", &jaas).kerberos;
    assert_eq!(kerberos.keytab.as_deref(), Some("/etc/me.keytab"));
    assert_eq!(kerberos.principal.as_deref(), Some("me@EXAMPLE.COM"));
    assert_eq!(kerberos.service_name, "kfk");
    let cached = format!("{KERBEROS} required useTicketCache=true keyTab=\"/etc/me.keytab\";");
    let kerberos = sasl("GSSAPI", &cached).kerberos;
    assert_eq!((kerberos.keytab, &*kerberos.service_name), (None, "kafka"));
    assert!(refused(&format!("{KERBEROS} required useKeyTab=true;")).contains("keyTab"));
    let why = refused(&format!("{KERBEROS} required ticketCache=\"/tmp/x\";"));
    assert!(why.contains("KRB5CCNAME"), "{why}");
}

#[test]
fn awss_module_is_taken_and_its_profiles_and_roles_are_refused_with_what_to_do() {
    sasl("AWS_MSK_IAM", &format!("{AWS} required;"));
    sasl("AWS_MSK_IAM", &format!("{AWS} required awsDebugCreds=true;"));
    for option in ["awsProfileName=\"p\"", "awsRoleArn=\"arn\"", "awsStsRegion=x"] {
        let why = refused(&format!("{AWS} required {option};"));
        assert!(why.contains("sasl.aws.access.key.id"), "{why}");
    }
}

/// CVE-2023-25194: in Java, whoever could set this had an object of another server's loaded.
/// Laws: none. Scenarios: S14.
#[test]
fn a_login_module_that_is_not_known_is_refused_by_name_and_nothing_is_loaded() {
    for class in [
        "com.sun.security.auth.module.JndiLoginModule",
        "com.sun.security.auth.module.LdapLoginModule",
        "com.example.KrbLoginModule",
    ] {
        let jaas = format!("{class} required user.provider.url=\"ldap://evil/x\" useFirstPass=1;");
        let why = refused(&jaas);
        assert!(why.contains(class) && why.contains("CVE-2023-25194"), "{why}");
        assert!(!why.contains("evil"), "{why}");
    }
    let near = refused("org.apache.kafka.PlainLoginModule required username=a password=b;");
    assert!(near.contains(&format!("did you mean {PLAIN}?")), "{near}");
}

/// Where a quote is missing, a piece of a password may stand where a name should.
/// Laws: none. Scenarios: S13.
#[test]
fn no_error_shows_a_value_whatever_is_wrong_with_it() {
    for broken in [
        "hunter2".into(),
        "hunter2 required;".into(),
        format!("{PLAIN} hunter2;"),
        format!("{PLAIN} username=hunter2;"),
        format!("{PLAIN} required"),
        format!("{PLAIN} required username=\"me\" password=\"hunter2\""),
        format!("{PLAIN} required username=\"me\" password=\"hunter2;"),
        format!("{PLAIN} required username=\"me\" password=hunter2=;"),
        format!("{PLAIN} required username=\"me\" password=a hunter2;"),
        format!("{PLAIN} required username=\"me\" password=a hunter2=b;"),
        format!("{PLAIN} required username=\"me\" password=\"a\"hunter2\";"),
        format!("{PLAIN} required username=\"me\" password=\"hunt\ner2\";"),
        format!("{PLAIN} required password=hunter2 password=hunter2;"),
        format!("{PLAIN} required username=\"me\" password=a;hunter2;"),
        format!("{PLAIN} required username=a password=hunter2; {PLAIN} required;"),
        format!("KafkaClient {{ {PLAIN} required password=\"hunter2\"; }};"),
        format!("{SCRAM} required tokenauth=hunter2;"),
        format!("{OAUTH} required unsecuredLoginStringClaim_sub=\"hunter2 hunter2\";"),
        format!("{OAUTH} required ssl.truststore.type=hunter2;"),
        String::new(),
    ] {
        let why = refused(&broken);
        assert!(!why.contains("unt") && !why.contains("er2"), "{broken}: {why}");
    }
}

#[test]
fn what_is_wrong_is_told_by_its_place_with_what_would_be_right() {
    let why = refused(&format!("{PLAIN} required user=\"me\" password=\"x\";"));
    assert!(why.contains("option 1 is none of PlainLoginModule"), "{why}");
    assert!(why.contains("username and password"), "{why}");
    let why = refused(&format!("{PLAIN} required usernam=\"me\";"));
    assert!(why.ends_with("did you mean username?"), "{why}");
    assert!(refused(&format!("{PLAIN} required")).contains("semicolon"));
    assert!(refused(&format!("KafkaClient {{{PLAIN} required;}};")).contains("KafkaClient"));
    assert!(refused(&format!("{PLAIN} required; {SCRAM} required;")).contains("only one"));
}

#[test]
fn a_value_that_is_refused_changes_nothing() {
    let mut sasl = SaslConfig::default();
    let jaas = format!("{SCRAM} required username=\"me\" password=\"x\" tokenauth=perhaps;");
    assert!(super::super::jaas::apply(&mut sasl, &jaas).is_err());
    assert_eq!(sasl, SaslConfig::default());
}

#[test]
fn what_is_set_last_wins() {
    let jaas = format!("{PLAIN} required username=\"jaas\" password=\"x\";");
    let base = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAIN")];
    let user = |settings: [(&str, &str); 2]| {
        built(&[base[0], base[1], settings[0], settings[1]]).unwrap().security.sasl.username
    };
    let (jaas, own) = (("sasl.jaas.config", &*jaas), ("sasl.username", "own"));
    assert_eq!(user([jaas, own]).as_deref(), Some("own"));
    assert_eq!(user([own, jaas]).as_deref(), Some("jaas"));
}
