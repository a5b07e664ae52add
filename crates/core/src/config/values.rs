//! Reading values: each function says what it expected when it cannot.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use core::str::FromStr;
use core::time::Duration;

use ottla_protocol::record::CompressionType;

use super::Acks;

pub(super) fn boolean(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("expected true or false, not {value:?}")),
    }
}

pub(super) fn integer<T>(value: &str, least: T, most: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    match value.parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("expected a whole number from {least} to {most}, not {value:?}")),
    }
}

/// Milliseconds; librdkafka allows fractions (`linger.ms=0.5`), so everything here does.
pub(super) fn millis(value: &str, least_ms: u64, most_ms: u64) -> Result<Duration, String> {
    let wrong = || format!("expected milliseconds from {least_ms} to {most_ms}, not {value:?}");
    let ms: f64 = value.parse().map_err(|_| wrong())?;
    if !(ms >= least_ms as f64 && ms <= most_ms as f64) {
        return Err(wrong());
    }
    Ok(Duration::from_nanos((ms * 1e6) as u64))
}

/// A share such as 0.85, in thousandths.
pub(super) fn thousandths(value: &str, least: u32, most: u32) -> Result<u32, String> {
    let (from, to) = (f64::from(least) / 1000.0, f64::from(most) / 1000.0);
    match value.parse::<f64>() {
        Ok(share) if share >= from && share <= to => Ok((share * 1000.0) as u32),
        _ => Err(format!("expected a share from {from} to {to}, not {value:?}")),
    }
}

pub(super) fn acks(value: &str) -> Result<Acks, String> {
    match value.to_ascii_lowercase().as_str() {
        "0" | "none" => Ok(Acks::None),
        "1" | "leader" => Ok(Acks::Leader),
        "all" | "-1" => Ok(Acks::All),
        _ => Err(format!("expected 0, 1 or all, not {value:?}")),
    }
}

pub(super) fn compression(value: &str) -> Result<CompressionType, String> {
    value
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| format!("expected none, gzip, snappy, lz4 or zstd, not {value:?}"))
}

/// The ranges of KIP-390.
pub(super) fn check_level(compression: CompressionType, level: i32) -> Result<(), String> {
    let (least, most) = match compression {
        CompressionType::Gzip => (-1, 9),
        CompressionType::Lz4 => (1, 17),
        CompressionType::Zstd => (-131_072, 22),
        CompressionType::None | CompressionType::Snappy => {
            return Err(format!("compression.type={compression} has no levels"));
        }
    };
    let gzip_zero = compression == CompressionType::Gzip && level == 0;
    if level < least || level > most || gzip_zero {
        return Err(format!("{compression} has levels {least} to {most}, not {level}"));
    }
    Ok(())
}

/// `host:port,[v6]:port,…`; a scheme such as `PLAINTEXT://` is dropped, as librdkafka does.
pub(super) fn servers(value: &str) -> Result<Vec<String>, String> {
    let mut servers = Vec::new();
    for entry in value.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let entry = entry.split_once("://").map_or(entry, |(_, rest)| rest);
        servers.push(server(entry)?);
    }
    if servers.is_empty() {
        return Err("expected host:port, or several of them separated by commas".to_string());
    }
    Ok(servers)
}

fn server(entry: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("{entry:?} is not host:port: {why}"));
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => (host, port),
        Some(_) => return wrong("an IPv6 address goes in brackets, such as [::1]:9092"),
        None => return wrong("the port is missing (Kafka's is usually 9092)"),
    };
    if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
        return wrong("the host is missing or has a character that no host name has");
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(format!("{host}:{port}")),
        _ => wrong("the port is a number from 1 to 65535"),
    }
}

/// The host of an `https` URL, without the dot at its end if it has one.
///
/// What is unusual in a URL is refused, so that nobody can take another part of it for the host.
///
/// # Errors
/// It is no such URL. The sentence shows nothing of it.
pub fn https_host(url: &str) -> Result<&str, String> {
    const HTTPS: &str = "https://";
    let wrong = |why: &str| Err(format!("expected an https URL: {why}"));
    let Some((scheme, rest)) = url.split_at_checked(HTTPS.len()) else {
        return wrong("it begins with https://");
    };
    if !scheme.eq_ignore_ascii_case(HTTPS) {
        return wrong(
            "it begins with https://. Over http anybody on the way could read secret and token",
        );
    }
    if rest.contains(|c: char| !c.is_ascii_graphic() || "\\#\"<>".contains(c)) {
        return wrong("it has a character that no URL of a token endpoint has");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    if authority.contains('@') {
        return wrong("a user or a password has no place in it");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return wrong("the port is a number from 1 to 65535");
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = bare.is_some_and(|bare| bare.parse::<core::net::Ipv6Addr>().is_ok());
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_name =
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if is_address || is_name { Ok(host) } else { wrong("its host is missing or not one") }
}
