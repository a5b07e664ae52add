//! What a broker understands, and which release of Kafka speaks so.

use ottla_protocol::messages::api_versions::ApiVersionsResponse;
use ottla_protocol::{ApiKey, VersionRange};

/// The Produce request that first had today's record batches (KIP-98).
const PRODUCE_MIN: i16 = 3;

/// Releases of Apache Kafka, the newest first, each with a request that it was the first to
/// understand in this version.
const RELEASES: [(&str, ApiKey, i16); 15] = [
    ("4.1", ApiKey::PRODUCE, 13),
    ("4.0", ApiKey::PRODUCE, 12),
    ("3.8", ApiKey::PRODUCE, 11),
    ("3.7", ApiKey::PRODUCE, 10),
    ("3.5", ApiKey::FETCH, 15),
    ("3.1", ApiKey::FETCH, 13),
    ("3.0", ApiKey::LIST_OFFSETS, 7),
    ("2.8", ApiKey::DESCRIBE_CLUSTER, 0),
    ("2.7", ApiKey::FETCH, 12),
    ("2.4", ApiKey::PRODUCE, 8),
    ("2.3", ApiKey::FETCH, 11),
    ("2.1", ApiKey::PRODUCE, 7),
    ("2.0", ApiKey::PRODUCE, 6),
    ("1.0", ApiKey::PRODUCE, 5),
    ("0.11", ApiKey::PRODUCE, 3),
];

/// What a broker understands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerVersions {
    /// The oldest release of Apache Kafka that understands as much, such as `3.7`; `None` before
    /// 0.11. A guess: brokers do not tell, and other brokers than Kafka's have numbers of their
    /// own.
    pub release: Option<&'static str>,
    /// Requests by name, each with the oldest and the newest version.
    pub requests: Vec<(String, i16, i16)>,
    /// Features that are turned on in the cluster, such as `metadata.version`, with their level
    /// (KIP-584).
    pub features: Vec<(String, i16)>,
    /// Requests that a producer cannot do without, and that the broker lacks in any version that
    /// this client speaks.
    pub missing: Vec<String>,
    /// Whether the broker can tell a retry's records from others: it knows InitProducerId.
    pub is_idempotence_offered: bool,
}

impl BrokerVersions {
    pub(super) fn of(answer: &ApiVersionsResponse) -> Self {
        let range = |key: ApiKey| {
            let row = answer.api_keys.iter().find(|row| row.api_key == key.0)?;
            Some(VersionRange::new(row.min_version, row.max_version))
        };
        let speaks = |key: ApiKey, least: i16| {
            let ours = key.versions().map(|ours| VersionRange::new(ours.min.max(least), ours.max));
            ours.zip(range(key)).is_some_and(|(ours, theirs)| ours.negotiate(theirs).is_some())
        };
        let needed = [(ApiKey::METADATA, 0), (ApiKey::PRODUCE, PRODUCE_MIN)];
        let lacking = needed.into_iter().filter(|(key, least)| !speaks(*key, *least));
        let release = RELEASES
            .iter()
            .find(|(_, key, version)| range(*key).is_some_and(|theirs| theirs.max >= *version));
        let features = answer.finalized_features.iter();
        Self {
            release: release.map(|(release, ..)| *release),
            requests: (answer.api_keys.iter())
                .map(|row| (ApiKey(row.api_key).to_string(), row.min_version, row.max_version))
                .collect(),
            features: features.map(|it| (it.name.clone(), it.max_version_level)).collect(),
            missing: lacking.map(|(key, _)| key.to_string()).collect(),
            is_idempotence_offered: speaks(ApiKey::INIT_PRODUCER_ID, 0),
        }
    }
}
