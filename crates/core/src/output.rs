//! What the core asks of its driver.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use bytes::Bytes;
use ottla_protocol::Uuid;
use ottla_protocol::record::CompressionType;
use zeroize::{Zeroize, Zeroizing};

use crate::PartitionKey;
use crate::accumulator::Payload;
use crate::error::Failure;
use crate::host::{Chunk, Host};

/// Names a connection for as long as it lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Which records to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge<'a> {
    /// Those that wait to be sent.
    pub queued: bool,
    /// Those that were sent and are not answered.
    pub in_flight: bool,
    /// Of these partitions; of all of them where nothing is said.
    pub partitions: Option<&'a [PartitionKey]>,
}

/// Open a connection, then call `handle_connected` or `handle_disconnected`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The name to use for it from now on.
    pub connection: ConnectionId,
    /// `host:port`.
    pub server: String,
}

/// Say who we are: make the next message of the mechanism that is configured, then call
/// `handle_authenticated`. Every challenge belongs to the authentication that was begun last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticate {
    /// For which connection.
    pub connection: ConnectionId,
    /// `host:port`.
    pub server: String,
    /// What the broker said; absent when an authentication begins.
    pub challenge: Option<Bytes>,
}

/// What came of an [`Authenticate`].
pub enum AuthReply {
    /// The next message for the broker.
    Respond(Zeroizing<Vec<u8>>),
    /// Nothing more is to be said, and the broker is who it should be.
    Complete,
    /// It cannot go on, for this reason. A sentence without secrets.
    Failed(String),
}

/// Write a frame to a connection, whole and in the order of these outputs.
///
/// Bytes of a frame that was begun must be followed by the rest of it or by the connection's end
/// (law L7).
pub struct Transmit<H: Host> {
    /// Where to.
    pub connection: ConnectionId,
    /// What.
    pub frame: Frame<H::Chunk>,
    /// When set, call `handle_written` with it once the last byte is with the operating system.
    pub written_token: Option<u64>,
}

/// One request: small pieces of header with batch payloads between them.
pub struct Frame<C> {
    pub(crate) header: Vec<u8>,
    pub(crate) payloads: Vec<(usize, Payload<C>)>,
    /// Wiped when it is done with.
    pub(crate) is_secret: bool,
}

impl<C> Drop for Frame<C> {
    fn drop(&mut self) {
        if self.is_secret {
            self.header.zeroize();
        }
    }
}

impl<C: Chunk> Frame<C> {
    /// The frame's bytes in order, for a vectored write.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        let before = self.payloads.iter().flat_map(move |(until, payload)| {
            let head = &self.header[from..*until];
            from = *until;
            core::iter::once(head).chain(payload.chunks())
        });
        let tail = self.payloads.last().map_or(0, |(until, _)| *until);
        before.chain(core::iter::once(&self.header[tail..])).filter(|slice| !slice.is_empty())
    }

    /// Bytes in all.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.header.len() + self.payloads.iter().map(|(_, p)| p.size_bytes()).sum::<usize>()
    }
}

/// Compress a batch's records, then call `handle_compressed` with the same token. Jobs of one
/// partition may finish in any order: the core keeps theirs.
pub struct Compress<H: Host> {
    /// Names the job.
    pub token: CompressToken,
    /// What to compress.
    pub payload: Payload<H::Chunk>,
    /// With which codec.
    pub compression: CompressionType,
    /// At which level; the codec's default when absent.
    pub level: Option<i32>,
}

/// Names a compression job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressToken {
    pub(crate) partition: PartitionKey,
    pub(crate) serial: u64,
}

/// Make batches anew of records that a broker refused together, then call `handle_split` with the
/// same token (KIP-126, KIP-467). [`split_records`](crate::accumulator::split_records) says where
/// each record goes; what comes of it is compressed as the producer's batches are.
pub struct Split<H: Host> {
    /// Names the job.
    pub token: SplitToken,
    /// The records, under `compression`.
    pub payload: Payload<H::Chunk>,
    /// How they are compressed, and are to be again unless that makes them larger.
    pub compression: CompressionType,
    /// At which level; the codec's default when absent.
    pub level: Option<i32>,
    /// The time that the records' times are counted from.
    pub base_timestamp_ms: i64,
    /// Into what.
    pub cut: Cut,
}

/// Names a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitToken {
    pub(crate) partition: PartitionKey,
    pub(crate) serial: u64,
}

/// What becomes of a batch whose records were refused together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Two batches of about the same size: it was too large.
    InTwo,
    /// One batch without these records, which are told to be bad; in rising order.
    Without(Vec<u32>),
}

/// A batch that came of a [`Split`].
pub struct Part<C> {
    /// Its records.
    pub payload: Payload<C>,
    /// How they are compressed.
    pub compression: CompressionType,
    /// What is known of them.
    pub measure: Measure,
}

/// What is known of a part's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// How many they are.
    pub record_count: u32,
    /// The latest time of one of them.
    pub max_timestamp_ms: i64,
    /// Their bytes, uncompressed.
    pub size_bytes: usize,
    /// Bytes of the largest of them.
    pub largest_bytes: usize,
}

/// Where acknowledged records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The offset of the first of these records; unknown with `acks=0` and for some duplicates.
    pub base_offset: Option<i64>,
    /// The broker's time, on topics that use it instead of the record's own.
    pub log_append_time_ms: Option<i64>,
}

/// Why a server is out of reach, as far as programs decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// No connection could be made, or it broke.
    Network,
    /// One side did not accept the other by TLS: a certificate, a host name.
    Tls,
    /// One side did not accept the other by SASL: a mechanism, a password, a token.
    Sasl,
}

/// What happened, for the application.
pub enum Event<H: Host> {
    /// These records of a batch have their outcome. Each record is named exactly once (law L1).
    Settled {
        /// The batch.
        completion: H::Completion,
        /// The records' numbers in it. Later ones may be named before earlier ones.
        records: Range<u32>,
        /// How many records the batch has.
        record_count: u32,
        /// Their outcome.
        result: Result<Acknowledged, Arc<Failure>>,
    },
    /// A topic is known, or its partitions changed.
    TopicReady(TopicView),
    /// A topic cannot be used now.
    TopicFailed {
        /// Its name.
        topic: Arc<str>,
        /// Why.
        failure: Arc<Failure>,
    },
    /// What the acknowledgments of a topic are worth; told once it was asked for by
    /// [`examine_topic`](crate::Producer::examine_topic).
    TopicSettings {
        /// Its name.
        topic: Arc<str>,
        /// Copies of the partition that has the fewest.
        replicas: usize,
        /// `min.insync.replicas`; not asked for where there is one replica.
        min_in_sync_replicas: Option<u32>,
    },
    /// A server could not be reached or closed the connection. Told for the sake of whoever waits.
    ServerUnreachable {
        /// `host:port`.
        server: String,
        /// What happened.
        why: String,
        /// Of what kind it is.
        trouble: Trouble,
    },
    /// A broker asked for silence; it gets it (KIP-219).
    Throttled {
        /// The broker's node id.
        node: i32,
        /// How errors name it: `1 at host:port`.
        broker: Arc<str>,
        /// For how long.
        time: Duration,
    },
    /// A server answered as a Kafka broker should.
    ServerReachable {
        /// `host:port`.
        server: String,
    },
}

/// A topic as producers need to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; zero where the cluster has none.
    pub id: Uuid,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionView>,
}

/// A partition as producers need to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The core's name for it.
    pub key: PartitionKey,
    /// Node id of the leader.
    pub leader: Option<i32>,
}
