//! The settings of a topic: their names, types and defaults, and what the log makes of them.

use std::collections::BTreeMap;

use ottla_protocol::record::{CompressionType, TimestampType};

use crate::log::LogConfig;

/// The type of a setting, with the number that DescribeConfigs has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

impl Kind {
    /// A value as it is told: without spaces and repetitions, numbers with as many digits as Kafka
    /// gives them. One that is wrong stays as it is.
    pub(crate) fn plain(self, value: &str) -> String {
        let trimmed = value.trim();
        match self {
            Self::Boolean | Self::String => value.to_owned(),
            Self::Int | Self::Long => trimmed
                .parse::<i64>()
                .map_or_else(|_| value.to_owned(), |number| number.to_string()),
            Self::Double => trimmed
                .parse::<f64>()
                .map_or_else(|_| value.to_owned(), |number| format!("{number:?}")),
            Self::List => {
                let mut parts: Vec<&str> = Vec::new();
                for part in trimmed.split(',').map(str::trim) {
                    if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
                parts.join(",")
            }
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    /// The least value of a number.
    min: i64,
    /// The values that it may have or be made of, any when empty.
    allowed: &'static [&'static str],
    pub(crate) documentation: &'static str,
}

pub(crate) const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    min: i64,
    allowed: &'static [&'static str],
    documentation: &'static str,
) -> Setting {
    Setting { name, kind, default, min, allowed, documentation }
}

pub(crate) const NO_EFFECT: &str = "Accepted for the sake of tools; has no effect on this broker.";
const NOT_TIERED: &str = "Has its default always: there is no tiered storage.";

/// Every setting that a topic may have, in order of name.
///
/// One default differs from Kafka's: records are kept for ever, since an embedded broker's data is
/// usually a test's or a person's own, and a record with an old timestamp would be gone in minutes.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        "cleanup.policy",
        Kind::List,
        "delete",
        0,
        &["delete", "compact"],
        "What happens to old records: delete by age and size, compact to the last of each key.",
    ),
    setting(
        "compression.type",
        Kind::String,
        "producer",
        0,
        &["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"],
        "What batches are stored with; with producer as they were sent.",
    ),
    setting(
        "delete.retention.ms",
        Kind::Long,
        "86400000",
        0,
        &[],
        "How long compaction leaves a tombstone for readers to see.",
    ),
    setting("file.delete.delay.ms", Kind::Long, "60000", 0, &[], NO_EFFECT),
    setting("flush.messages", Kind::Long, "9223372036854775807", 1, &[], NO_EFFECT),
    setting("flush.ms", Kind::Long, "9223372036854775807", 0, &[], NO_EFFECT),
    setting(
        "index.interval.bytes",
        Kind::Int,
        "4096",
        0,
        &[],
        "About one index entry is written for so many bytes of log.",
    ),
    setting("local.retention.bytes", Kind::Long, "-2", -2, &["-2"], NOT_TIERED),
    setting("local.retention.ms", Kind::Long, "-2", -2, &["-2"], NOT_TIERED),
    setting(
        "max.compaction.lag.ms",
        Kind::Long,
        "9223372036854775807",
        1,
        &[],
        "After so long a record is compacted, however little of the log is dirty.",
    ),
    setting(
        "max.message.bytes",
        Kind::Int,
        "1048588",
        0,
        &[],
        "The largest record batch, as the producer sends it.",
    ),
    setting(
        "message.timestamp.after.max.ms",
        Kind::Long,
        "3600000",
        0,
        &[],
        "How far a record's timestamp may lie in the future.",
    ),
    setting(
        "message.timestamp.before.max.ms",
        Kind::Long,
        "9223372036854775807",
        0,
        &[],
        "How far a record's timestamp may lie in the past.",
    ),
    setting(
        "message.timestamp.type",
        Kind::String,
        "CreateTime",
        0,
        &["CreateTime", "LogAppendTime"],
        "Whether a record keeps the producer's timestamp or gets the broker's.",
    ),
    setting(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        "0.5",
        0,
        &[],
        "The part of a log that has to be dirty, from 0 to 1, before it is compacted.",
    ),
    setting(
        "min.compaction.lag.ms",
        Kind::Long,
        "0",
        0,
        &[],
        "How long a record is left alone by compaction.",
    ),
    setting(
        "min.insync.replicas",
        Kind::Int,
        "1",
        1,
        &[],
        "How many replicas must be in sync for a write with acks=all.",
    ),
    setting("preallocate", Kind::Boolean, "false", 0, &[], NO_EFFECT),
    setting("remote.log.copy.disable", Kind::Boolean, "false", 0, &["false"], NOT_TIERED),
    setting("remote.log.delete.on.disable", Kind::Boolean, "false", 0, &["false"], NOT_TIERED),
    setting("remote.storage.enable", Kind::Boolean, "false", 0, &["false"], NOT_TIERED),
    setting(
        "retention.bytes",
        Kind::Long,
        "-1",
        -1,
        &[],
        "The oldest segments of a partition are removed when it is larger; -1 for never.",
    ),
    setting(
        "retention.ms",
        Kind::Long,
        "-1",
        -1,
        &[],
        "Segments whose newest record is older are removed; -1 for never.",
    ),
    setting(
        "segment.bytes",
        Kind::Int,
        "1073741824",
        14,
        &[],
        "A segment that would grow larger is closed and a new one begun.",
    ),
    setting("segment.index.bytes", Kind::Int, "10485760", 4, &[], NO_EFFECT),
    setting("segment.jitter.ms", Kind::Long, "0", 0, &[], NO_EFFECT),
    setting(
        "segment.ms",
        Kind::Long,
        "604800000",
        1,
        &[],
        "A segment whose first record is so much older than the next is closed.",
    ),
    setting(
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        0,
        &[],
        "Whether a replica that is not in sync may lead when no other can; what it lacks is lost.",
    ),
];

/// Settings that a topic has been given, by name; the rest have their defaults.
pub(crate) type Overrides = BTreeMap<String, String>;

/// What the controller and the leaders use of a topic's settings; its logs go by a [`LogConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicConfig {
    /// `None` for the broker's default.
    pub(crate) min_insync_replicas: Option<i32>,
    /// `None` for the broker's default.
    pub(crate) unclean_leader_election: Option<bool>,
}

/// The setting of a name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

impl Setting {
    /// The same under another name, as the broker has it for topics without it.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Says why a value is not one of this setting.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let invalid = |expected: &str| Err(format!("{}={value}: {expected}", self.name));
        let in_range = |number: Option<i64>, max: i64| match number {
            Some(number) if number >= self.min && number <= max => Ok(()),
            Some(_) => invalid(&format!("it must lie between {} and {max}", self.min)),
            None => invalid("it must be a whole number"),
        };
        match self.kind {
            Kind::Boolean if !matches!(value, "true" | "false") => {
                invalid("it must be true or false")
            }
            Kind::Boolean | Kind::Int | Kind::Long if !self.may_be(value.trim()) => {
                invalid(&format!("it can only be {} here", self.allowed.join(", ")))
            }
            Kind::Int => in_range(value.trim().parse().ok(), i64::from(i32::MAX)),
            Kind::Long => in_range(value.trim().parse().ok(), i64::MAX),
            Kind::Double => match value.trim().parse::<f64>() {
                // All that there are of these are parts of something.
                Ok(number) if number >= self.min as f64 && number <= 1.0 => Ok(()),
                _ => invalid("it must be a number from 0 to 1"),
            },
            Kind::String if !self.may_be(value) => {
                invalid(&format!("it must be one of {}", self.allowed.join(", ")))
            }
            Kind::List => {
                let known = |part: &str| self.may_be(part.trim());
                if value.split(',').all(known) {
                    Ok(())
                } else {
                    invalid(&format!("its parts must be of {}", self.allowed.join(", ")))
                }
            }
            Kind::Boolean | Kind::String => Ok(()),
        }
    }

    fn may_be(&self, value: &str) -> bool {
        self.allowed.is_empty() || self.allowed.contains(&value)
    }
}

/// Says why a set of overrides cannot be a topic's.
///
/// # Errors
/// The reason in words.
pub(crate) fn check(overrides: &Overrides) -> Result<(), String> {
    for (name, value) in overrides {
        match find(name) {
            Some(setting) => setting.check(value)?,
            None => return Err(format!("a topic has no setting {name}")),
        }
    }
    let log = log_config(overrides);
    if log.min_compaction_lag_ms > log.max_compaction_lag_ms {
        let (min, max) = (log.min_compaction_lag_ms, log.max_compaction_lag_ms);
        return Err(format!(
            "min.compaction.lag.ms={min} is more than max.compaction.lag.ms={max}"
        ));
    }
    Ok(())
}

/// What logs go by with these settings. Values that were not checked fall back to their defaults.
pub(crate) fn log_config(overrides: &Overrides) -> LogConfig {
    let text = |name: &str| {
        let default = find(name).map_or("", |setting| setting.default);
        overrides.get(name).map_or(default, String::as_str).trim()
    };
    let number = |name: &str| text(name).parse::<i64>().unwrap_or_default();
    let size = |name: &str| u64::try_from(number(name)).ok();
    let is_append_time = text("message.timestamp.type") == "LogAppendTime";
    let policies: Vec<&str> = text("cleanup.policy").split(',').map(str::trim).collect();
    let is_compacted = policies.contains(&"compact");
    let (retention_ms, max_compaction_lag_ms) =
        (number("retention.ms"), number("max.compaction.lag.ms"));
    // What is in the active segment is not compacted, so that must not be active for longer.
    let max_segment_ms = if is_compacted { max_compaction_lag_ms } else { i64::MAX };
    LogConfig {
        segment_bytes: size("segment.bytes").unwrap_or(u64::MAX),
        segment_ms: number("segment.ms").min(max_segment_ms),
        index_interval_bytes: size("index.interval.bytes").unwrap_or_default(),
        max_message_bytes: size("max.message.bytes").unwrap_or_default() as usize,
        compression: match text("compression.type") {
            "uncompressed" => Some(CompressionType::None),
            name => name.parse().ok(),
        },
        timestamp_type: if is_append_time {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
        is_compacted,
        is_deleted: policies.contains(&"delete"),
        min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
        min_compaction_lag_ms: number("min.compaction.lag.ms"),
        max_compaction_lag_ms,
        delete_retention_ms: number("delete.retention.ms"),
        retention_ms: (retention_ms >= 0).then_some(retention_ms),
        retention_bytes: size("retention.bytes"),
        ..LogConfig::default()
    }
}

impl TopicConfig {
    /// What the overrides come to.
    pub(crate) fn of(overrides: &Overrides) -> Self {
        let own = |name: &str| overrides.get(name).map(|value| value.trim());
        Self {
            min_insync_replicas: own("min.insync.replicas").and_then(|text| text.parse().ok()),
            unclean_leader_election: own("unclean.leader.election.enable")
                .and_then(|text| text.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_default_is_a_valid_value_and_the_names_are_sorted() {
        for setting in SETTINGS {
            assert_eq!(setting.check(setting.default), Ok(()), "{}", setting.name);
        }
        assert!(SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn the_defaults_are_those_of_the_log_but_for_retention() {
        let log = log_config(&Overrides::new());
        assert_eq!(log, LogConfig { retention_ms: None, ..LogConfig::default() });
    }

    #[test]
    fn overrides_reach_the_log() {
        let overrides = overrides(&[
            ("cleanup.policy", "compact,delete"),
            ("compression.type", "uncompressed"),
            ("max.message.bytes", "1000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("min.insync.replicas", "2"),
            ("max.compaction.lag.ms", "4000"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("min.compaction.lag.ms", "300"),
            ("delete.retention.ms", "20"),
            ("retention.bytes", "500"),
            ("retention.ms", "60000"),
            ("segment.bytes", "100"),
            ("segment.ms", "5000"),
        ]);
        assert_eq!(TopicConfig::of(&overrides).min_insync_replicas, Some(2));
        let log = log_config(&overrides);
        assert_eq!(log.compression, Some(CompressionType::None));
        assert_eq!(log.max_message_bytes, 1000);
        assert_eq!(log.segment_bytes, 100);
        assert_eq!(log.retention_bytes, Some(500));
        assert_eq!(log.retention_ms, Some(60_000));
        assert!(log.is_compacted && log.is_deleted);
        assert_eq!((log.min_cleanable_dirty_ratio, log.delete_retention_ms), (0.25, 20));
        assert_eq!((log.min_compaction_lag_ms, log.max_compaction_lag_ms), (300, 4000));
        assert_eq!(log.segment_ms, 4000);
        assert_eq!(log.timestamp_type, TimestampType::LogAppendTime);
    }

    #[test]
    fn a_value_is_told_without_what_it_does_not_need() {
        for (kind, given, told) in [
            (Kind::List, " compact ,delete,compact", "compact,delete"),
            (Kind::Double, "1", "1.0"),
            (Kind::Double, " 0.010 ", "0.01"),
            (Kind::Long, " +5", "5"),
            (Kind::String, "lz4", "lz4"),
            (Kind::Int, "many", "many"),
        ] {
            assert_eq!(kind.plain(given), told);
        }
    }

    #[test]
    fn compaction_cannot_be_due_later_than_it_must_be() {
        let lags = |min: &str, max: &str| {
            check(&overrides(&[("min.compaction.lag.ms", min), ("max.compaction.lag.ms", max)]))
        };
        assert_eq!(lags("5", "5"), Ok(()));
        assert!(lags("6", "5").is_err());
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_name_and_the_reason() {
        for (name, value, reason) in [
            ("retention.ms", "soon", "whole number"),
            ("retention.ms", "-2", "between -1"),
            ("segment.bytes", "3000000000", "between 14"),
            ("compression.type", "brotli", "zstd, producer"),
            ("cleanup.policy", "delete,burn", "delete, compact"),
            ("min.cleanable.dirty.ratio", "1.5", "from 0 to 1"),
            ("min.cleanable.dirty.ratio", "NaN", "from 0 to 1"),
            ("preallocate", "yes", "true or false"),
            ("remote.storage.enable", "true", "only be false"),
            ("local.retention.ms", "1000", "only be -2"),
            ("no.such.name", "1", "no setting"),
        ] {
            let error = check(&overrides(&[(name, value)])).unwrap_err();
            assert!(error.contains(name) && error.contains(reason), "{error}");
        }
    }
}
