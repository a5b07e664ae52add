//! The record: what a program hands to the producer.

pub use ottla_protocol::record::Header;

/// A record on its way in: borrowed bytes, copied once, straight into the batch.
///
/// A record without a value is a tombstone. One without a timestamp gets the time of `send`.
/// A record that joins an open batch may get that of a moment before, by a system tick at most.
///
/// ```
/// use ottla_core::record::{Header, Record};
///
/// let headers = [Header::new("trace", Some(b"7f3a")), Header::new("empty", None)];
/// let record = Record::new("user-events").key("amara-1000").value("signed_in").headers(&headers);
/// assert_eq!(record.key, Some(&b"amara-1000"[..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition, when the caller chooses it; otherwise the partitioner does.
    pub partition: Option<i32>,
    /// The key: records with equal keys go to the same partition.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in order; keys may repeat and values may be null.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
}

impl<'a> Record<'a> {
    /// A record for `topic` with nothing in it yet: as it stands, a tombstone without a key.
    #[must_use]
    pub const fn new(topic: &'a str) -> Self {
        Self { topic, partition: None, key: None, value: None, headers: &[], timestamp_ms: None }
    }

    /// Sets the value.
    #[must_use]
    pub fn value<V: AsRef<[u8]> + ?Sized>(mut self, value: &'a V) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn key<K: AsRef<[u8]> + ?Sized>(mut self, key: &'a K) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Sends to this partition, whatever the partitioner would say.
    #[must_use]
    pub const fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the headers.
    #[must_use]
    pub const fn headers(mut self, headers: &'a [Header<'a>]) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the event time, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Bytes of key, value and headers: what `max.request.size` is held against.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len) + 10).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}
