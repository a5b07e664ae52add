//! Warnings of settings under which records that were delivered may be lost.
//!
//! What a producer is set to is known when it is built. What a topic is set to is asked when the
//! topic becomes known, by the core, and only if somebody listens.

use ottla_core::config::{Acks, ProducerConfig};

/// Warns of what the producer itself is set to.
pub(crate) fn warn_of_config(config: &ProducerConfig) {
    if !config.durability_warnings {
        return;
    }
    match config.acks {
        Acks::All => {}
        Acks::Leader => tracing::warn!(
            "acks=1: a record is told to be delivered when only the leader has it, and is lost if \
             the leader dies before a replica has it too; acks=all avoids that \
             (durability.warnings=false ends this warning)"
        ),
        Acks::None => tracing::warn!(
            "acks=0: a record is told to be delivered once it is written to the connection, and \
             may be lost without a word; acks=all avoids that (durability.warnings=false ends this \
             warning)"
        ),
    }
}

/// Whether the settings of topics are worth a request: with fewer acknowledgments the warning was
/// given when the producer was built, and a warning that nobody hears needs no question.
pub(crate) fn wants_settings(config: &ProducerConfig) -> bool {
    let is_heard = || tracing::enabled!(tracing::Level::WARN);
    config.durability_warnings && config.acks == Acks::All && is_heard()
}

/// Warns of what a topic is set to, for a producer with `acks=all`.
pub(crate) fn warn_of_topic(topic: &str, replicas: usize, min_in_sync_replicas: Option<u32>) {
    match min_in_sync_replicas {
        _ if replicas == 1 => tracing::warn!(
            topic,
            "acks=all on a topic with one replica: its records are lost with the disk of one broker \
             (durability.warnings=false ends this warning)"
        ),
        Some(..=1) if replicas > 1 => tracing::warn!(
            topic,
            replicas,
            "acks=all with min.insync.replicas=1: when the other replicas are behind, a record is \
             told to be delivered when only the leader has it, and is lost if the leader dies; \
             min.insync.replicas=2 on the topic avoids that (durability.warnings=false ends this \
             warning)"
        ),
        _ => {}
    }
}
