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
    [servers.to_owned(), format!("{servers}\n{usual}"), every.join("\n")]
        .map(String::into_bytes)
        .to_vec()
}
