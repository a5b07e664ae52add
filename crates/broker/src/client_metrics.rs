//! The settings of subscriptions of client metrics (KIP-714). They are kept and told, and nobody
//! is asked for metrics by them.

use ottla_protocol::ErrorCode;

use crate::pattern::Pattern;
use crate::topic_config::{Kind, Overrides, Setting, setting};

const METRICS: &str = "metrics";
const INTERVAL: &str = "interval.ms";
const MATCH: &str = "match";

const INTERVALS_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

const NO_EFFECT: &str = "Kept for the sake of tools; this broker asks no client for metrics.";

/// In order of name.
pub(crate) const METRICS_SETTINGS: [Setting; 3] = [
    setting(INTERVAL, Kind::Int, "300000", i32::MIN as i64, &[], NO_EFFECT),
    setting(MATCH, Kind::List, "", 0, &[], NO_EFFECT),
    setting(METRICS, Kind::List, "", 0, &[], NO_EFFECT),
];

/// What clients are told apart by.
const CLIENT: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Says why settings cannot be a subscription's.
///
/// # Errors
/// Kafka's code, and the reason in words.
pub(crate) fn check(settings: &Overrides) -> Result<(), (ErrorCode, String)> {
    for (name, value) in settings {
        let Some(setting) = METRICS_SETTINGS.iter().find(|setting| setting.name == name) else {
            let message = format!("a subscription of client metrics has no setting {name}");
            return Err((ErrorCode::INVALID_REQUEST, message));
        };
        let wrong = |message| (ErrorCode::INVALID_CONFIG, message);
        match setting.name {
            INTERVAL => {
                setting.check(value).map_err(wrong)?;
                if !value.trim().parse().is_ok_and(|ms| INTERVALS_MS.contains(&ms)) {
                    let (least, most) = (INTERVALS_MS.start(), INTERVALS_MS.end());
                    let message = format!("{name}={value}: it must lie between {least} and {most}");
                    return Err((ErrorCode::INVALID_REQUEST, message));
                }
            }
            MATCH => check_match(value).map_err(wrong)?,
            _ => {}
        }
    }
    Ok(())
}

/// A list of `KEY=PATTERN`.
fn check_match(value: &str) -> Result<(), String> {
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let is_good = part.split_once('=').is_some_and(|(key, pattern)| {
            let is_one = !pattern.contains('=');
            CLIENT.contains(&key.trim()) && is_one && Pattern::new(pattern.trim()).is_ok()
        });
        if !is_good {
            return Err(format!("{MATCH}: {part:?} is not KEY=PATTERN, by {}", CLIENT.join(", ")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, value: &str) -> ErrorCode {
        let settings = Overrides::from([(name.to_owned(), value.to_owned())]);
        check(&settings).map_or_else(|(code, _)| code, |()| ErrorCode::NONE)
    }

    #[test]
    fn what_kafka_refuses_of_a_subscription_is_refused_with_its_codes() {
        let (none, request, config) =
            (ErrorCode::NONE, ErrorCode::INVALID_REQUEST, ErrorCode::INVALID_CONFIG);
        for (name, value, expected) in [
            (INTERVAL, "100", none),
            (INTERVAL, " 3600000", none),
            (INTERVAL, "99", request),
            (INTERVAL, "-1", request),
            (INTERVAL, "3600001", request),
            (INTERVAL, "soon", config),
            (METRICS, "*", none),
            (MATCH, "", none),
            (MATCH, "client_id=a.*,client_software_name=x", none),
            (MATCH, "client_id", config),
            (MATCH, "client_id=a=b", config),
            (MATCH, "client_id=[", config),
            (MATCH, "colour=blue", config),
            ("no.such", "1", request),
        ] {
            assert_eq!(code(name, value), expected, "{name}={value}");
        }
    }
}
