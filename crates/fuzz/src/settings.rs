//! Settings from anywhere: a line is taken or refused with a reason, and so is their whole.

use ottla_core::config::{ConfigBuilder, KEYS};

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut builder = ConfigBuilder::default();
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if let Err(refused) = builder.set(key, value) {
            assert!(!refused.to_string().is_empty());
        }
    }
    if let Ok(config) = builder.build() {
        assert!(!config.bootstrap_servers.is_empty(), "nothing to connect to");
        assert!(config.batch_size_bytes > 0 && config.max_in_flight > 0);
        assert!(config.delivery_timeout >= config.request_timeout);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let servers = "bootstrap.servers=a:1,[::1]:9092,PLAINTEXT://b:65535";
    let usual = "acks=all\nlinger.ms=5\nretries=3\ncompression.type=zstd\ncompression.level=3";
    let every: Vec<String> = KEYS.iter().map(|key| format!("{}=1", key.name)).collect();
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
    let jaas = format!("{module} required username=\"a\\\"b\" password='\\101' tokenauth=true;");
    let sasl = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={jaas}"
    );
    let url = "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n\
               sasl.oauthbearer.token.endpoint.url=https://[::1]:8443/t?x\n\
               sasl.oauthbearer.client.id=a\nsasl.oauthbearer.client.secret=b";
    [
        servers.to_owned(),
        format!("{servers}\n{usual}"),
        format!("{servers}\n{sasl}"),
        format!("{servers}\n{url}"),
        every.join("\n"),
    ]
    .map(String::into_bytes)
    .to_vec()
}
