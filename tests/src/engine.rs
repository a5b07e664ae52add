//! What the behaviour tests run against.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla::admin::{Admin, NewTopic, TopicDescription};
use ottla::reader::{ReadOptions, Reader};
use ottla::{Producer, ProducerBuilder};
use ottla_broker::Cluster;

use crate::record::Seen;
use crate::wait::run;
use crate::{foreign, skip};

/// The variable that tells where real Kafka listens.
const KAFKA_VARIABLE: &str = "OTTLA_TEST_KAFKA";

/// A cluster to produce to.
pub enum Engine {
    /// The embedded broker, one for each test.
    Embedded {
        /// It ends with the test.
        cluster: Cluster,
        /// Where it listens.
        servers: String,
    },
    /// Real Kafka, shared by all tests: topics have names of their own.
    Kafka {
        /// Where it listens.
        servers: String,
    },
}

impl Engine {
    /// An embedded broker, set up as real Kafka is for the tests: topics are not created unasked.
    ///
    /// # Panics
    /// When it does not start: a broker of our own is no reason to skip.
    #[must_use]
    pub fn embedded() -> Self {
        let started = Cluster::builder().auto_create_topics(false).start();
        let cluster = started.expect("the embedded broker starts");
        let servers = cluster.bootstrap_servers();
        Self::Embedded { cluster, servers }
    }

    /// The real Kafka that `OTTLA_TEST_KAFKA` names.
    ///
    /// # Errors
    /// The variable is not set.
    pub fn kafka() -> Result<Self, String> {
        let servers = std::env::var(KAFKA_VARIABLE);
        let servers = servers.map_err(|_| format!("real Kafka is not here (set {KAFKA_VARIABLE})"));
        Ok(Self::Kafka { servers: servers? })
    }

    /// Where it listens.
    #[must_use]
    pub fn servers(&self) -> &str {
        match self {
            Self::Embedded { servers, .. } | Self::Kafka { servers } => servers,
        }
    }

    /// A new topic whose name begins with `hint`.
    ///
    /// # Panics
    /// When it cannot be created.
    #[must_use]
    pub fn topic(&self, hint: &str, partitions: i32) -> String {
        self.topic_with(hint, partitions, &[])
    }

    /// As [`Engine::topic`], with settings of the topic.
    ///
    /// # Panics
    /// When it cannot be created.
    #[must_use]
    pub fn topic_with(&self, hint: &str, partitions: i32, config: &[(&str, &str)]) -> String {
        let name = unique(hint);
        self.create(&name, partitions, config);
        name
    }

    /// Creates a topic of this name.
    ///
    /// # Panics
    /// When it cannot be created.
    pub fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name).partitions(partitions);
        for (key, value) in config {
            topic = topic.config(*key, *value);
        }
        run(async {
            let mut admin = Admin::connect(self.servers(), Duration::from_secs(30)).await?;
            admin.create_topic(&topic).await?;
            // Kafka tells of leaders before they are ready, and refuses records meanwhile: right,
            // and retried, but tests that count requests want a quiet beginning.
            while !is_ready(&admin.describe_topic(name).await?) {
                tokio::task::yield_now().await;
            }
            Ok::<(), ottla::admin::RequestError>(())
        })
        .expect("the topic is created");
    }

    /// Deletes a topic.
    ///
    /// # Panics
    /// When it cannot be deleted.
    pub fn delete(&self, name: &str) {
        run(async {
            let mut admin = Admin::connect(self.servers(), Duration::from_secs(30)).await?;
            admin.delete_topic(name).await
        })
        .expect("the topic is deleted");
    }

    /// The offset that the next record of a partition gets, 0 while nobody tells.
    ///
    /// # Panics
    /// When the cluster does not answer.
    #[must_use]
    pub fn end_offset(&self, topic: &str, partition: usize) -> i64 {
        let described = run(async {
            let mut admin = Admin::connect(self.servers(), Duration::from_secs(30)).await?;
            admin.describe_topic(topic).await
        });
        let described = described.expect("the topic is described");
        described.partitions[partition].latest_offset.unwrap_or(0)
    }

    /// A producer with these settings and otherwise the defaults.
    ///
    /// # Panics
    /// When a setting is refused.
    #[must_use]
    pub fn producer(&self, settings: &[(&str, &str)]) -> Producer {
        self.builder(settings).build().expect("the settings are fine")
    }

    /// As [`Engine::producer`], to be built by the test.
    pub fn builder(&self, settings: &[(&str, &str)]) -> ProducerBuilder {
        let builder = Producer::builder().set("bootstrap.servers", self.servers());
        settings.iter().fold(builder, |builder, (key, value)| builder.set(key, value))
    }

    /// What is in a topic, by partition and offset, as somebody else's client reads it: where
    /// there is none, as ours does, and a skip is counted.
    ///
    /// # Panics
    /// When reading fails.
    #[must_use]
    pub fn read(&self, topic: &str) -> Vec<Seen> {
        foreign::read(self.servers(), topic).unwrap_or_else(|why| {
            skip::skip(&format!("read back by no foreign client: {why}"));
            self.read_ours(topic)
        })
    }

    /// What our own reader finds in a topic, by partition and offset.
    ///
    /// # Panics
    /// When reading fails.
    #[must_use]
    pub fn read_ours(&self, topic: &str) -> Vec<Seen> {
        let mut seen = Vec::new();
        run(async {
            let options = ReadOptions::new().stop_at_end(true);
            let mut reader = Reader::open(self.servers(), topic, options).await?;
            while let Some(records) = reader.next().await? {
                for record in records {
                    seen.push(see(&record?));
                }
            }
            Ok::<(), ottla::reader::RequestError>(())
        })
        .expect("the topic is read");
        seen.sort_by_key(|record: &Seen| (record.partition, record.offset));
        seen
    }
}

fn is_ready(topic: &TopicDescription) -> bool {
    topic.partitions.iter().all(|partition| partition.latest_offset.is_some())
}

fn see(record: &ottla::reader::ReadRecord<'_>) -> Seen {
    let headers = record.headers();
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    Seen {
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        is_append_time: Some(record.is_append_time),
        key: owned(record.key),
        value: owned(record.value),
        headers: Some(headers.map(|header| (text(header.key), owned(header.value))).collect()),
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// A name that no other test, and no other run, has.
#[must_use]
pub fn unique(hint: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{hint}-{:x}-{:x}-{number}", now.as_micros(), std::process::id())
}
