//! The steps at one server: name, TCP, TLS, versions, SASL.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla::admin::{BrokerVersions, ProbeStep, ServerReport};
use ottla::config::TlsVersion;
use ottla::{Certificate, Security, TlsSession};
use serde_json::{Value, json};

use super::report::{Status, Step};
use crate::command::exit_of;
use crate::exit::Exit;

/// From so few days on, it is time to renew a certificate.
const SOON_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;

/// The steps by their places on the way, with their names in reports.
const WAY: [(ProbeStep, &str); 5] = [
    (ProbeStep::Resolve, "resolve"),
    (ProbeStep::Connect, "connect"),
    (ProbeStep::Tls, "tls"),
    (ProbeStep::Versions, "versions"),
    (ProbeStep::Sasl, "sasl"),
];

/// What each step at a server came to.
pub(super) fn steps(report: &ServerReport, security: &Security, timeout: Duration) -> Vec<Step> {
    let server = &report.server;
    let failed_at = report.failure.as_ref().map(|(step, _)| *step);
    let step = |(place, name): (ProbeStep, &'static str)| match &report.failure {
        Some((at, error)) if *at == place => {
            let step = Step::failed(name, server, error.to_string(), exit_of(error));
            with_cure(step.data(addresses(report)), place)
        }
        _ if failed_at.is_some_and(|at| at < place) => {
            Step::skipped(name, server, "an earlier step failed")
        }
        _ => went_well(report, place, name, security, timeout),
    };
    WAY.into_iter().map(step).collect()
}

fn with_cure(step: Step, place: ProbeStep) -> Step {
    match place {
        ProbeStep::Resolve => {
            step.cure("check the name's spelling, and whether this machine's DNS knows it")
        }
        ProbeStep::Connect => step.cure(
            "check the port, whether the broker runs, and firewalls between it and this machine",
        ),
        // What TLS, the broker and SASL say has the cure in it.
        _ => step,
    }
}

fn went_well(
    report: &ServerReport,
    place: ProbeStep,
    name: &'static str,
    security: &Security,
    timeout: Duration,
) -> Step {
    let server = &report.server;
    let protocol = security.protocol();
    let not_asked =
        || Step::skipped(name, server, format!("security.protocol={}", protocol.name()));
    match place {
        ProbeStep::Resolve => {
            let shown: Vec<String> =
                report.addresses.iter().map(|it| it.address.ip().to_string()).collect();
            let ms = milliseconds(report.resolved_in);
            let data = json!({ "addresses": shown, "ms": ms });
            Step::ok(name, server, format!("{} in {ms} ms", shown.join(", "))).data(data)
        }
        ProbeStep::Connect => connected(report, name, timeout),
        ProbeStep::Tls => match &report.tls {
            Some(session) => tls(server, session, SystemTime::now()),
            None => not_asked(),
        },
        ProbeStep::Versions => match &report.versions {
            Some(found) => versions(server, found),
            None => not_asked(),
        },
        _ => match &report.session {
            Some(session) => {
                let end = session.lifetime.map_or_else(
                    || "for as long as the connection".to_owned(),
                    |life| format!("for {} s, then renewed", life.as_secs()),
                );
                let data = json!({
                    "mechanism": session.mechanism,
                    "session_lifetime_ms": session.lifetime.map(milliseconds),
                });
                Step::ok(name, server, format!("accepted by {} {end}", session.mechanism))
                    .data(data)
            }
            None => not_asked(),
        },
    }
}

fn connected(report: &ServerReport, name: &'static str, timeout: Duration) -> Step {
    let seen = report.addresses.iter().map(|it| match &it.error {
        None => format!("{} in {} ms", it.address, milliseconds(it.time)),
        Some(why) => format!("{}: {why}", it.address),
    });
    let seen = seen.collect::<Vec<_>>().join("; ");
    // One that refuses costs nothing: the next is tried at once.
    let swallows = report.addresses.iter().any(|it| it.error.is_some() && it.time >= timeout);
    let step = match swallows {
        false => Step::ok(name, &report.server, seen),
        true => Step::warning(name, &report.server, seen).cure(
            "an address that never answers costs each new connection \
             socket.connection.setup.timeout.ms: have it answer, or take it out of the name",
        ),
    };
    step.data(addresses(report))
}

fn addresses(report: &ServerReport) -> Value {
    let row = |it: &ottla::admin::AddressReport| json!({ "address": it.address.to_string(), "ms": milliseconds(it.time), "error": it.error });
    json!({ "addresses": report.addresses.iter().map(row).collect::<Value>() })
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

fn versions(server: &str, found: &BrokerVersions) -> Step {
    let release = match found.release {
        Some(release) => format!("understands what Kafka {release} does, or a later one"),
        None => "older than Kafka 0.11".to_owned(),
    };
    // The one that follows the cluster's own release; the others are in the data.
    let level = found.features.iter().find(|(name, _)| name == "metadata.version");
    let level = level.map_or_else(String::new, |(name, level)| format!(", {name} {level}"));
    let seen = format!("{release}{level}");
    let step = if !found.missing.is_empty() {
        let seen = format!("{seen}; this client needs {} of it", found.missing.join(" and "));
        Step::failed("versions", server, seen, Exit::Usage)
            .cure("use brokers of Kafka 0.11 or later")
    } else if !found.is_idempotence_offered {
        Step::warning("versions", server, format!("{seen}; it has no producer ids to give"))
            .cure("set enable.idempotence=false; a retry may then write records twice")
    } else {
        Step::ok("versions", server, seen)
    };
    let requests = found.requests.iter();
    let requests: serde_json::Map<String, Value> =
        requests.map(|(name, min, max)| (name.clone(), json!([min, max]))).collect();
    let features = found.features.iter().map(|(name, level)| (name.clone(), json!(level)));
    step.data(json!({
        "release": found.release,
        "features": features.collect::<serde_json::Map<_, _>>(),
        "requests": requests,
        "missing": found.missing,
    }))
}

/// What TLS agreed on, and the chain with the days that each certificate has left.
fn tls(server: &str, session: &TlsSession, now: SystemTime) -> Step {
    let version = match session.version {
        TlsVersion::V1_2 => "TLSv1.2",
        TlsVersion::V1_3 => "TLSv1.3",
    };
    let mut seen = format!("{version}, {}", session.cipher_suite);
    let mut worst = Status::Ok;
    for (place, certificate) in session.certificates.iter().enumerate() {
        let (status, left) = days_left(certificate, now);
        worst = worse(worst, status);
        seen.push_str(&format!("; {}, {left}", certificate.subject));
        if place == 0 && !certificate.names.is_empty() {
            seen.push_str(&format!(", for {}", certificate.names.join(", ")));
        }
    }
    let chain: Value = session.certificates.iter().map(|it| certificate_json(it, now)).collect();
    judged("tls", server, seen, worst, "have the broker's certificate renewed").data(json!({
        "version": version,
        "cipher_suite": session.cipher_suite,
        "certificates": chain,
    }))
}

/// Our own certificate, which the broker wants to be good as well.
pub(super) fn own_certificate(security: &Security) -> Option<Step> {
    let own = security.own_certificate()?;
    let now = SystemTime::now();
    let (status, left) = days_left(&own, now);
    let seen = format!("{own}, {left}");
    let data = json!({ "certificate": certificate_json(&own, now) });
    let cure = "renew it: the files are read again for each connection";
    Some(judged("client-certificate", "", seen, status, cure).data(data))
}

fn judged(name: &'static str, about: &str, seen: String, status: Status, cure: &str) -> Step {
    match status {
        Status::Failed => Step::failed(name, about, seen, Exit::Usage).cure(cure),
        Status::Warning => Step::warning(name, about, seen).cure(cure),
        _ => Step::ok(name, about, seen),
    }
}

fn worse(one: Status, other: Status) -> Status {
    let rank = |status: Status| match status {
        Status::Failed => 2,
        Status::Warning => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

fn days_left(certificate: &Certificate, now: SystemTime) -> (Status, String) {
    let (start, end) = (seconds(certificate.not_before), seconds(certificate.not_after));
    let (now, until) = (seconds(now), date(end));
    if start > now {
        return (Status::Failed, format!("not valid before {}", date(start)));
    }
    if end <= now {
        return (Status::Failed, format!("run out on {until}"));
    }
    let days = (end - now) / DAY_SECONDS;
    // Certificates that live for days are renewed late as a matter of course.
    let is_short_lived = end - start < 2 * SOON_DAYS * DAY_SECONDS;
    let soon = if is_short_lived { (end - start) / DAY_SECONDS / 4 } else { SOON_DAYS };
    let status = if days < soon { Status::Warning } else { Status::Ok };
    let left = crate::talk::count(days as u64, "day");
    (status, format!("{left} left (until {until})"))
}

fn certificate_json(certificate: &Certificate, now: SystemTime) -> Value {
    let (start, end) = (seconds(certificate.not_before), seconds(certificate.not_after));
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "names": certificate.names,
        "not_before": date(start),
        "not_after": date(end),
        "days_left": (end - seconds(now)).div_euclid(DAY_SECONDS),
    })
}

fn seconds(time: SystemTime) -> i64 {
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => -whole(before.duration()),
    }
}

/// The day of the Gregorian calendar in UTC, `2026-11-26`.
fn date(seconds: i64) -> String {
    // Days are counted from a 1 March, so that leap days come last in their year, and in eras of
    // 400 years, which all have as many days.
    let days = seconds.div_euclid(DAY_SECONDS) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_795_651_200), "2026-11-26");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(4_107_542_400), "2100-03-01");
    }
}
