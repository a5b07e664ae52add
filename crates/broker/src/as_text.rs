//! How ids, partitions and bytes are written into files of text, for `#[serde(with = …)]`.

/// Partitions by topic id and index.
pub(crate) mod partitions {
    use std::collections::BTreeSet;

    use ottla_protocol::Uuid;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        partitions: &BTreeSet<(Uuid, i32)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(partitions.iter().map(|(topic, index)| (topic.to_string(), *index)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<(Uuid, i32)>, D::Error> {
        let texts: Vec<(String, i32)> = Vec::deserialize(deserializer)?;
        let parse = |(topic, index): (String, i32)| match Uuid::parse(&topic) {
            Some(topic) => Ok((topic, index)),
            None => Err(D::Error::custom(format!("{topic:?} is not a topic id"))),
        };
        texts.into_iter().map(parse).collect()
    }
}

/// Bytes in base64.
pub(crate) mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map(Bytes::from).map_err(D::Error::custom)
    }
}
