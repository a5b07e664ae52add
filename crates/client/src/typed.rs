//! A producer of typed keys and values.

use std::marker::PhantomData;

use ottla_core::error::ErrorKind;
use ottla_core::record::{Header, Record};

use crate::delivery::Delivery;
use crate::error::SendError;
use crate::producer::Producer;
use crate::serializer::Serializer;

/// Serializes keys and values on their way into [`Producer::send`].
///
/// ```no_run
/// use ottla::{Json, Producer, Utf8};
///
/// #[derive(serde::Serialize)]
/// struct SignedIn { device: String }
///
/// # async fn run(producer: Producer) -> Result<(), ottla::SendError> {
/// let sign_ins = producer.typed::<str, SignedIn, _, _>(Utf8, Json);
/// let event = SignedIn { device: "phone".into() };
/// let delivery = sign_ins.send("user-events", Some("amara-1000"), Some(&event)).await?;
/// # drop(delivery);
/// # Ok(())
/// # }
/// ```
pub struct TypedProducer<K: ?Sized, V: ?Sized, KS, VS> {
    producer: Producer,
    key: KS,
    value: VS,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized, V: ?Sized, KS, VS> TypedProducer<K, V, KS, VS> {
    pub(crate) fn new(producer: Producer, key: KS, value: VS) -> Self {
        Self { producer, key, value, types: PhantomData }
    }
}

impl<K, V, KS, VS> TypedProducer<K, V, KS, VS>
where
    K: ?Sized,
    V: ?Sized,
    KS: Serializer<K>,
    VS: Serializer<V>,
{
    /// Sends a record; without a value, a tombstone.
    ///
    /// # Errors
    /// As [`Producer::send`], and when a key or value cannot be serialized
    /// ([`ErrorKind::InvalidRecord`]).
    pub async fn send(
        &self,
        topic: &str,
        key: Option<&K>,
        value: Option<&V>,
    ) -> Result<Delivery, SendError> {
        self.send_with_headers(topic, key, value, &[]).await
    }

    /// As [`TypedProducer::send`], with headers.
    ///
    /// # Errors
    /// As [`TypedProducer::send`].
    pub async fn send_with_headers(
        &self,
        topic: &str,
        key: Option<&K>,
        value: Option<&V>,
        headers: &[Header<'_>],
    ) -> Result<Delivery, SendError> {
        let mut bytes = Vec::new();
        if let Some(key) = key {
            self.key.serialize(topic, key, &mut bytes).map_err(|e| unserializable("key", &e))?;
        }
        let key_len = bytes.len();
        if let Some(value) = value {
            self.value
                .serialize(topic, value, &mut bytes)
                .map_err(|e| unserializable("value", &e))?;
        }
        let (key_bytes, value_bytes) = bytes.split_at(key_len);
        let mut record = Record::new(topic).headers(headers);
        record.key = key.map(|_| key_bytes);
        record.value = value.map(|_| value_bytes);
        self.producer.send(record).await
    }
}

fn unserializable(what: &str, error: &dyn std::error::Error) -> SendError {
    SendError::of(ErrorKind::InvalidRecord, format!("the {what}: {error}"))
}
