//! Settings as the pages of providers have them, for Java and for librdkafka: each pair is one and
//! the same configuration here.

use alloc::string::String;

use super::super::security::{SaslMechanism, SecurityConfig, SecurityProtocol, StoreType};
use super::super::{ConfigBuilder, ProducerConfig};

/// Reads lines of a file of properties, with a line that goes on in the next.
fn read(block: &str) -> ProducerConfig {
    let mut builder = ConfigBuilder::default();
    let joined = block.replace("\\\n", "");
    for line in joined.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').expect("name=value");
        builder.set(key, value).unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(builder.warnings(), []);
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

fn alike(java: &str, librdkafka: &str) -> SecurityConfig {
    let (java, librdkafka) = (read(java), read(librdkafka));
    assert_eq!(java.bootstrap_servers, librdkafka.bootstrap_servers);
    assert_eq!(java.security, librdkafka.security);
    java.security
}

fn password(security: &SecurityConfig) -> String {
    security.sasl.password.as_ref().map_or_else(String::new, |it| it.expose().into())
}

#[test]
fn settings_for_confluent_cloud() {
    let security = alike(
        "bootstrap.servers=pkc-4r087.us-west2.gcp.confluent.cloud:9092
         security.protocol=SASL_SSL
         sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             username='KEY'   password='sec/ret+';
         sasl.mechanism=PLAIN
         # Required for correctness in old clients
         client.dns.lookup=use_all_dns_ips
         session.timeout.ms=45000
         acks=all
         client.id=ccloud-java-client",
        "bootstrap.servers=pkc-4r087.us-west2.gcp.confluent.cloud:9092
         security.protocol=SASL_SSL
         sasl.mechanisms=PLAIN
         sasl.username=KEY
         sasl.password=sec/ret+
         session.timeout.ms=45000
         client.id=ccloud-c-client",
    );
    assert_eq!(security.protocol, SecurityProtocol::SaslSsl);
    assert_eq!(security.sasl.username.as_deref(), Some("KEY"));
    assert_eq!(password(&security), "sec/ret+");
    assert!(security.tls.verify_certificate && security.tls.verify_host_name);
}

#[test]
fn settings_for_tokens_of_confluent_cloud() {
    let security = alike(
        "bootstrap.servers=pkc-4r087.us-west2.gcp.confluent.cloud:9092
         security.protocol=SASL_SSL
         sasl.mechanism=OAUTHBEARER
         sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.\
OAuthBearerLoginCallbackHandler
         sasl.login.connect.timeout.ms=15000
         sasl.oauthbearer.token.endpoint.url=https://myidp.example.com/oauth2/default/v1/token
         sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule \
             required clientId='id' scope='kafka' clientSecret='secret' \
             extension_logicalCluster='lkc-abc' extension_identityPoolId='pool-xyz';",
        "bootstrap.servers=pkc-4r087.us-west2.gcp.confluent.cloud:9092
         security.protocol=sasl_ssl
         sasl.mechanisms=OAUTHBEARER
         sasl.login.connect.timeout.ms=15000
         sasl.oauthbearer.method=OIDC
         sasl.oauthbearer.client.id=id
         sasl.oauthbearer.client.secret=secret
         sasl.oauthbearer.scope=kafka
         sasl.oauthbearer.token.endpoint.url=https://myidp.example.com/oauth2/default/v1/token
         sasl.oauthbearer.extensions=logicalCluster=lkc-abc,identityPoolId=pool-xyz",
    );
    assert_eq!(security.sasl.oauth.client_id.as_deref(), Some("id"));
    assert_eq!(security.sasl.oauth.extensions.len(), 2);
}

#[test]
fn settings_for_scram_on_msk() {
    let security = alike(
        "bootstrap.servers=b-1.test.abc.c2.kafka.us-east-1.amazonaws.com:9096,\
b-2.test.abc.c2.kafka.us-east-1.amazonaws.com:9096
         security.protocol=SASL_SSL
         sasl.mechanism=SCRAM-SHA-512
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
            username=\"alice\" password=\"alice-secret\";",
        "metadata.broker.list=b-1.test.abc.c2.kafka.us-east-1.amazonaws.com:9096,\
b-2.test.abc.c2.kafka.us-east-1.amazonaws.com:9096
         security.protocol=SASL_SSL
         sasl.mechanisms=SCRAM-SHA-512
         sasl.username=alice
         sasl.password=alice-secret",
    );
    assert_eq!(security.sasl.mechanism, Some(SaslMechanism::ScramSha512));
}

/// Librdkafka has no such mechanism.
#[test]
fn settings_for_iam_on_msk() {
    let security = read(
        "bootstrap.servers=boot-x.c1.kafka-serverless.eu-west-1.amazonaws.com:9098
         security.protocol=SASL_SSL
         sasl.mechanism=AWS_MSK_IAM
         sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;
         sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    )
    .security;
    assert_eq!(security.sasl.mechanism, Some(SaslMechanism::AwsMskIam));
    assert_eq!(security.sasl.aws, Default::default());
}

#[test]
fn settings_for_azure_event_hubs() {
    let security = alike(
        "bootstrap.servers=mynamespace.servicebus.windows.net:9093
         security.protocol=SASL_SSL
         sasl.mechanism=PLAIN
         sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
username=\"$ConnectionString\" password=\"Endpoint=sb://mynamespace.servicebus.windows.net/;\
SharedAccessKeyName=Root;SharedAccessKey=abc+/1=\";",
        "bootstrap.servers=mynamespace.servicebus.windows.net:9093
         security.protocol=SASL_SSL
         sasl.mechanism=PLAIN
         sasl.username=$ConnectionString
         sasl.password=Endpoint=sb://mynamespace.servicebus.windows.net/;\
SharedAccessKeyName=Root;SharedAccessKey=abc+/1=
         ssl.ca.location=probe",
    );
    assert_eq!(security.sasl.username.as_deref(), Some("$ConnectionString"));
    assert!(password(&security).ends_with(";SharedAccessKey=abc+/1="));
}

#[test]
fn settings_for_client_certificates_on_aiven() {
    let mut java = read(
        "bootstrap.servers=kafka-demo.aivencloud.com:12691
         security.protocol=SSL
         ssl.truststore.type=PEM
         ssl.truststore.location=ca.pem
         ssl.keystore.type=PKCS12
         ssl.keystore.location=client.keystore.p12
         ssl.keystore.password=changeit
         ssl.key.password=changeit
         key.serializer=org.apache.kafka.common.serialization.StringSerializer",
    );
    let librdkafka = read(
        "bootstrap.servers=kafka-demo.aivencloud.com:12691
         security.protocol=SSL
         ssl.ca.location=ca.pem
         ssl.keystore.location=client.keystore.p12
         ssl.keystore.password=changeit
         ssl.key.password=changeit",
    );
    // Librdkafka has no types: what a file is, is told from its content.
    let tls = &mut java.security.tls;
    assert_eq!(tls.truststore_type.take(), Some(StoreType::Pem));
    assert_eq!(tls.keystore_type.take(), Some(StoreType::Pkcs12));
    assert_eq!(java.security, librdkafka.security);
    assert_eq!(java.security.protocol, SecurityProtocol::Ssl);
}

#[test]
fn settings_for_scram_on_strimzi() {
    let mut java = read(
        "bootstrap.servers=my-cluster-kafka-bootstrap.apps.example.com:443
         security.protocol=SASL_SSL
         sasl.mechanism=SCRAM-SHA-512
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=\"my-user\" password=\"jx0q\";
         ssl.truststore.location=/opt/ca.p12
         ssl.truststore.password=pass
         ssl.truststore.type=PKCS12",
    );
    let librdkafka = read(
        "bootstrap.servers=my-cluster-kafka-bootstrap.apps.example.com:443
         security.protocol=sasl_ssl
         sasl.mechanism=SCRAM-SHA-512
         sasl.username=my-user
         sasl.password=jx0q
         ssl.ca.location=/opt/ca.crt",
    );
    let tls = &mut java.security.tls;
    assert_eq!(tls.truststore_type.take(), Some(StoreType::Pkcs12));
    assert_eq!(tls.truststore_password.take().unwrap().expose(), "pass");
    assert_eq!(tls.truststore_location.replace("/opt/ca.crt".into()).unwrap(), "/opt/ca.p12");
    assert_eq!(java.security, librdkafka.security);
}

#[test]
fn settings_for_redpanda() {
    let security = alike(
        "bootstrap.servers=seed-0.byoc.prd.cloud.redpanda.com:9092
         security.protocol=SASL_SSL
         sasl.mechanism=SCRAM-SHA-256
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
             username=\"redpanda\" password=\"p@ss, word\";",
        "bootstrap.servers=seed-0.byoc.prd.cloud.redpanda.com:9092
         security.protocol=sasl_ssl
         sasl.mechanisms=SCRAM-SHA-256
         sasl.username=redpanda
         sasl.password=p@ss, word",
    );
    assert_eq!(password(&security), "p@ss, word");
}

#[test]
fn settings_for_pem_in_the_settings_themselves() {
    let security = alike(
        "bootstrap.servers=kafka.example:9093
         security.protocol=SSL
         ssl.keystore.certificate.chain=-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----
         ssl.keystore.key=-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----
         ssl.truststore.certificates=-----BEGIN CERTIFICATE-----y-----END CERTIFICATE-----
         ssl.endpoint.identification.algorithm=",
        "bootstrap.servers=kafka.example:9093
         security.protocol=ssl
         ssl.certificate.pem=-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----
         ssl.key.pem=-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----
         ssl.ca.pem=-----BEGIN CERTIFICATE-----y-----END CERTIFICATE-----
         ssl.endpoint.identification.algorithm=none",
    );
    assert!(!security.tls.verify_host_name && security.tls.verify_certificate);
}

#[test]
fn settings_for_kerberos() {
    let security = alike(
        "bootstrap.servers=kafka.example:9093
         security.protocol=SASL_SSL
         sasl.mechanism=GSSAPI
         sasl.kerberos.service.name=kafka
         sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true \
             storeKey=true keyTab=\"/etc/me.keytab\" principal=\"me@EXAMPLE.COM\";",
        "bootstrap.servers=kafka.example:9093
         security.protocol=sasl_ssl
         sasl.mechanisms=GSSAPI
         sasl.kerberos.service.name=kafka
         sasl.kerberos.principal=me@EXAMPLE.COM
         sasl.kerberos.keytab=/etc/me.keytab",
    );
    assert_eq!(security.sasl.kerberos.keytab.as_deref(), Some("/etc/me.keytab"));
}
