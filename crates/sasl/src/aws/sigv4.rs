//! AWS Signature Version 4, in the form that goes into a URL.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hmac::Mac;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::AwsCredentials;
use crate::hash::hmac;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A request `GET /` without a body, of which the host is signed.
pub(super) struct Presign<'a> {
    pub(super) credentials: &'a AwsCredentials<'a>,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) host: &'a str,
    pub(super) time: Time,
}

/// Names and values of a query. A session token is among them.
pub(super) type Query = Vec<(&'static str, Zeroizing<String>)>;

impl Presign<'_> {
    /// The whole query, with the signature at its end.
    pub(super) fn sign(&self, query: &[(&'static str, &str)], expires_s: u32) -> Query {
        let mut query = self.query(query, expires_s);
        let request = self.canonical_request(&query);
        let signature = self.signature(&self.string_to_sign(&request));
        query.push(("X-Amz-Signature", Zeroizing::new(signature)));
        query
    }

    /// What is signed, in the order in which it is.
    pub(super) fn query(&self, query: &[(&'static str, &str)], expires_s: u32) -> Query {
        let credential = format!("{}/{}", self.credentials.access_key_id, self.scope());
        let mut all: Query = [
            ("X-Amz-Algorithm", ALGORITHM.into()),
            ("X-Amz-Credential", credential),
            ("X-Amz-Date", self.time.text.clone()),
            ("X-Amz-Expires", format!("{expires_s}")),
            ("X-Amz-SignedHeaders", "host".into()),
        ]
        .into_iter()
        .map(|(name, value)| (name, Zeroizing::new(value)))
        .collect();
        if let Some(token) = self.credentials.session_token {
            all.push(("X-Amz-Security-Token", Zeroizing::new(token.into())));
        }
        all.extend(query.iter().map(|(name, value)| (*name, Zeroizing::new(String::from(*value)))));
        all.sort_by_key(|(name, _)| *name);
        all
    }

    pub(super) fn canonical_request(&self, query: &Query) -> Zeroizing<String> {
        let longest: usize = query.iter().map(|(name, value)| 3 * (name.len() + value.len())).sum();
        let mut request = Zeroizing::new(String::with_capacity(longest + self.host.len() + 200));
        request.push_str("GET\n/\n");
        for (index, (name, value)) in query.iter().enumerate() {
            if index > 0 {
                request.push('&');
            }
            push_encoded(&mut request, name);
            request.push('=');
            push_encoded(&mut request, value);
        }
        request.push_str("\nhost:");
        request.push_str(self.host);
        request.push_str("\n\nhost\n");
        push_hex(&mut request, &Sha256::digest(b""));
        request
    }

    pub(super) fn string_to_sign(&self, request: &str) -> String {
        let mut text = format!("{ALGORITHM}\n{}\n{}\n", self.time.text, self.scope());
        push_hex(&mut text, &Sha256::digest(request));
        text
    }

    pub(super) fn signature(&self, text: &str) -> String {
        let mut signature = String::with_capacity(64);
        push_hex(&mut signature, &sign(&self.signing_key()[..], text)[..]);
        signature
    }

    /// A key that is good for one day, region and service.
    pub(super) fn signing_key(&self) -> Zeroizing<[u8; 32]> {
        let secret = self.credentials.secret_access_key;
        let mut first = Zeroizing::new(String::with_capacity(4 + secret.len()));
        first.push_str("AWS4");
        first.push_str(secret);
        let day = sign(first.as_bytes(), self.time.day());
        let region = sign(&day[..], self.region);
        let service = sign(&region[..], self.service);
        sign(&service[..], "aws4_request")
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.time.day(), self.region, self.service)
    }
}

fn sign(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hmac::<Sha256>(key).chain_update(text).finalize().into_bytes().into())
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
}

/// Writes all but letters, digits and `-._~` as `%XX`.
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
}

/// A time as AWS writes it, `20150830T123600Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Time {
    text: String,
}

impl Time {
    /// A time in seconds since 1970, unless it is before that or after 9999.
    pub(super) fn from_unix(seconds: i64) -> Option<Self> {
        const LAST: i64 = 253_402_300_799;
        let seconds = u64::try_from(seconds).ok().filter(|_| seconds <= LAST)?;
        let (days, seconds) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let (year, month, day) = date(days);
        Some(Self { text: format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z") })
    }

    fn day(&self) -> &str {
        self.text.split('T').next().unwrap_or_default()
    }
}

/// Year, month and day of a day since 1970. Counted from the first of March of a year that is a
/// multiple of 400, so that leap days come last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    /// From the first of March of the year 0.
    const DAYS_TO_1970: u64 = 719_468;
    let days = days + DAYS_TO_1970;
    let (age, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / (DAYS_OF_400_YEARS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Of five months from March on, the days are 153.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * age + year + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<String> {
        Time::from_unix(seconds).map(|time| time.text)
    }

    #[test]
    fn times_are_written_as_aws_has_them() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            assert_eq!(at(seconds).as_deref(), Some(text), "{seconds}");
        }
        assert_eq!(
            (at(-1), at(253_402_300_800), at(i64::MIN), at(i64::MAX)),
            (None, None, None, None)
        );
    }

    #[test]
    fn every_day_of_eight_hundred_years_follows_the_one_before() {
        let is_leap = |year: u64| {
            year.is_multiple_of(400) || year.is_multiple_of(4) && !year.is_multiple_of(100)
        };
        let length = |year: u64, month: u64| match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap(year) => 29,
            2 => 28,
            _ => 31,
        };
        let mut expected = (1970, 1, 1);
        for days in 0..800 * 366 {
            assert_eq!(date(days), expected);
            let (year, month, day) = expected;
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == length(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn what_is_not_unreserved_is_written_in_percents() {
        let mut text = String::new();
        push_encoded(&mut text, "aZ9-._~/+=: é");
        assert_eq!(text, "aZ9-._~%2F%2B%3D%3A%20%C3%A9");
    }
}
