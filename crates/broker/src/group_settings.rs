//! The settings that a group may have of its own (KIP-848), and what comes of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::BrokerConfig;
use crate::topic_config::{Kind, Overrides, Setting, setting};

/// A setting of groups of the consumer protocol.
pub(crate) struct GroupSetting {
    pub(crate) setting: Setting,
    /// The setting of the broker that holds for groups without this one.
    pub(crate) of_broker: &'static str,
    pub(crate) default: fn(&BrokerConfig) -> Duration,
    limits: fn(&BrokerConfig) -> RangeInclusive<Duration>,
}

const SESSION: GroupSetting = GroupSetting {
    setting: setting(
        "consumer.session.timeout.ms",
        Kind::Int,
        "45000",
        1,
        &[],
        "After so much silence a member is out.",
    ),
    of_broker: "group.consumer.session.timeout.ms",
    default: |config| config.group_consumer_session_timeout,
    limits: BrokerConfig::group_consumer_session_timeouts,
};

const HEARTBEAT: GroupSetting = GroupSetting {
    setting: setting(
        "consumer.heartbeat.interval.ms",
        Kind::Int,
        "5000",
        1,
        &[],
        "How often a member is asked to say something.",
    ),
    of_broker: "group.consumer.heartbeat.interval.ms",
    default: |config| config.group_consumer_heartbeat_interval,
    limits: BrokerConfig::group_consumer_heartbeat_intervals,
};

/// In order of name.
pub(crate) const GROUP_SETTINGS: [GroupSetting; 2] = [HEARTBEAT, SESSION];

/// What such settings begin with in Kafka: groups of other kinds, and what is done at once here.
const NO_EFFECT: [&str; 3] = ["share.", "streams.", "consumer.assignment.interval.ms"];

/// Says why settings cannot be a group's.
///
/// # Errors
/// The reason in words.
pub(crate) fn check(settings: &Overrides, config: &BrokerConfig) -> Result<(), String> {
    for (name, value) in settings {
        let Some(known) = GROUP_SETTINGS.iter().find(|known| known.setting.name == name) else {
            return Err(match NO_EFFECT.iter().any(|start| name.starts_with(start)) {
                true => format!("{name} has no effect on groups of this broker"),
                false => format!("a group has no setting {name}"),
            });
        };
        known.setting.check(value)?;
        let limits = (known.limits)(config);
        let (least, most) = (limits.start().as_millis(), limits.end().as_millis());
        if !limits.contains(&known.of(Some(settings), config)) {
            return Err(format!("{name}={value}: it must lie between {least} and {most}"));
        }
    }
    let (heartbeat, session) = timeouts(Some(settings), config);
    if !settings.is_empty() && heartbeat >= session {
        let (heartbeat, session) = (heartbeat.as_millis(), session.as_millis());
        return Err(format!(
            "a heartbeat each {heartbeat} ms does not keep a session of {session} ms"
        ));
    }
    Ok(())
}

/// How often members of a group with these settings are heard, and when they are given up.
pub(crate) fn timeouts(
    settings: Option<&Overrides>,
    config: &BrokerConfig,
) -> (Duration, Duration) {
    (HEARTBEAT.of(settings, config), SESSION.of(settings, config))
}

impl GroupSetting {
    fn of(&self, settings: Option<&Overrides>, config: &BrokerConfig) -> Duration {
        let given = settings.and_then(|settings| settings.get(self.setting.name));
        let given = given.and_then(|value| value.trim().parse().ok());
        given.map_or_else(|| (self.default)(config), Duration::from_millis)
    }
}
