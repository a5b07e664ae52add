//! The timestamp of a record: milliseconds since 1970, or a date and time as RFC 3339 writes it.

use serde_json::value::RawValue;

use super::raw;

const EXPECTED: &str = "expected milliseconds since 1970 or RFC 3339, \
                        as in \"2025-03-01T08:15:00Z\"";

/// Reads a timestamp; null and kcat's -1 are none.
pub(super) fn parse(value: &RawValue) -> Result<Option<i64>, String> {
    if raw::is_null(value) {
        return Ok(None);
    }
    let timestamp_ms = match raw::string(value) {
        Some(text) => {
            let text = text?;
            rfc3339(&text).ok_or_else(|| format!("{EXPECTED}, found {text:?}"))?
        }
        None => match value.get().parse::<i64>() {
            Ok(-1) => return Ok(None),
            Ok(number) => number,
            Err(_) if raw::kind(value) == "a number" => {
                return Err(format!("expected a whole number, found {}", value.get()));
            }
            Err(_) => return Err(format!("{EXPECTED}, found {}", raw::kind(value))),
        },
    };
    if timestamp_ms < 0 {
        return Err(format!("{} lies before 1970, which Kafka does not take", value.get()));
    }
    Ok(Some(timestamp_ms))
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)` as milliseconds since 1970; what is finer than a
/// millisecond is cut off.
fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let fixed = |at: usize, mark: &[u8]| bytes.get(at).is_some_and(|byte| mark.contains(byte));
    let marks = fixed(4, b"-") && fixed(7, b"-") && fixed(10, b"Tt ");
    if !(marks && fixed(13, b":") && fixed(16, b":")) {
        return None;
    }
    let year = number(bytes.get(0..4)?)?;
    let month = number(bytes.get(5..7)?).filter(|month| (1..=12).contains(month))?;
    let day = number(bytes.get(8..10)?).filter(|day| (1..=days_in(year, month)).contains(day))?;
    let hour = number(bytes.get(11..13)?).filter(|hour| *hour < 24)?;
    let minute = number(bytes.get(14..16)?).filter(|minute| *minute < 60)?;
    // A leap second is counted into the second before it, as Unix time has it.
    let second = number(bytes.get(17..19)?).filter(|second| *second <= 60)?.min(59);
    let rest = bytes.get(19..)?;
    let (millisecond, rest) = match rest.strip_prefix(b".") {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - zone(rest)?) * 1000 + millisecond)
}

/// The milliseconds of a fraction's digits, and what follows them.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let milliseconds = (0..3).fold(0, |sum, index| {
        let digit = if index < digits { bytes[index] - b'0' } else { 0 };
        sum * 10 + i64::from(digit)
    });
    Some((milliseconds, &bytes[digits..]))
}

/// How many seconds a zone is ahead of UTC.
fn zone(bytes: &[u8]) -> Option<i64> {
    match bytes {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = number(&[*h1, *h2]).filter(|hours| *hours < 24)?;
            let minutes = number(&[*m1, *m2]).filter(|minutes| *minutes < 60)?;
            let seconds = hours * 3600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, for years 0 to 9999.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day comes last.
    let shifted = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let leap_days = shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    shifted * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(text: &str) -> Result<Option<i64>, String> {
        parse(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn dates_are_counted_from_1970() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2025-03-01T08:15:00Z", 1_740_816_900_000),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2000-03-01t00:00:00.5z", 951_868_800_500),
            ("2025-03-01 10:15:00+02:00", 1_740_816_900_000),
            ("2025-03-01T02:45:00.1234567-05:30", 1_740_816_900_123),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ] {
            assert_eq!(timestamp(&format!("\"{text}\"")), Ok(Some(want)), "{text}");
        }
    }

    #[test]
    fn numbers_are_milliseconds_and_minus_one_is_none() {
        assert_eq!(timestamp("1740816900000"), Ok(Some(1_740_816_900_000)));
        assert_eq!(timestamp("-1"), Ok(None));
        assert_eq!(timestamp("null"), Ok(None));
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for wrong in [
            "\"yesterday\"",
            "\"2025-03-01\"",
            "\"2025-03-01T08:15:00\"",
            "\"2024-13-01T00:00:00Z\"",
            "\"2023-02-29T00:00:00Z\"",
            "\"2025-03-01T24:00:00Z\"",
            "\"2025-03-01T08:15:00.Z\"",
            "\"2025-03-01T08:15:00+2\"",
            "\"\"",
            "\"2025-03-01T08:15:0é\"",
            "1.5",
            "1e12",
            "true",
            "-2",
            "[]",
            "\"1969-12-31T23:59:59Z\"",
            "99999999999999999999",
        ] {
            assert!(timestamp(wrong).is_err(), "{wrong}");
        }
    }
}
