//! Parsers for single words of the command line.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// A header given with `-H`: a name, and a value unless there was no `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderArg {
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
}

/// Parses `name=value`; without `=` the header's value is null.
pub(crate) fn header(text: &str) -> Result<HeaderArg, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.as_bytes().to_vec())),
        None => (text, None),
    };
    if key.is_empty() {
        return Err("expected NAME=VALUE, or NAME for a null value".to_owned());
    }
    Ok(HeaderArg { key: key.to_owned(), value })
}

/// Parses `name=value` where both must be there.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Parses `HOST:PORT`; the port may be 0.
pub(crate) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let parsed = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parsed.ok_or_else(|| "expected HOST:PORT, as in 127.0.0.1:9092".to_owned())
}

/// A setting as typed. It may hold a secret, so that its text is not for showing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Assignment(String);

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Assignment {
    /// Name and value.
    ///
    /// # Errors
    /// It is not of this form. The error does not quote it.
    pub(crate) fn split(&self) -> Result<(&str, &str), String> {
        let expected = "expected NAME=VALUE, as in -X linger.ms=20";
        let (name, value) = self.0.split_once('=').ok_or(expected)?;
        let name = name.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("{expected}: there is no setting's name before the ="));
        }
        Ok((name, value))
    }
}

/// Takes a setting. What is wrong with it is told later: clap would quote all of it.
pub(crate) fn setting(text: &str) -> Result<Assignment, std::convert::Infallible> {
    Ok(Assignment(text.to_owned()))
}

/// Parses a delimiter: text with `\n`, `\r`, `\t`, `\0`, `\\` and `\xNN` resolved.
pub(crate) fn delimiter(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'0') => out.push(0),
            Some(b'\\') => out.push(b'\\'),
            Some(b'x') => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let code = std::str::from_utf8(&digits)
                    .ok()
                    .filter(|digits| digits.len() == 2)
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(code.ok_or("expected two hexadecimal digits after \\x")?);
            }
            _ => return Err("known escapes are \\n \\r \\t \\0 \\\\ and \\xNN".to_owned()),
        }
    }
    if out.is_empty() {
        return Err("a delimiter has at least one byte".to_owned());
    }
    Ok(out)
}

/// Parses a number of seconds, fractions allowed, more than zero.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if !(seconds > 0.0 && seconds <= 1e9) {
        return Err("expected more than 0 seconds, and at most 1000000000".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a partition number; -1, as kcat has it, leaves the choice to the partitioner.
pub(crate) fn partition(text: &str) -> Result<i32, String> {
    match text.parse::<i32>() {
        Ok(number) if number >= -1 => Ok(number),
        _ => Err("expected a partition number: 0, 1, 2 …".to_owned()),
    }
}

/// A topic to create: `NAME:PARTITIONS` or `NAME:PARTITIONS:REPLICAS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicSpec {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    /// `None`: as many as the broker takes by itself.
    pub(crate) replicas: Option<i32>,
}

/// Parses a [`TopicSpec`]; a bare `NAME` has one partition.
pub(crate) fn topic_spec(text: &str) -> Result<TopicSpec, String> {
    let mut parts = text.split(':');
    let name = topic_name(parts.next().unwrap_or_default())?;
    let partitions = match parts.next() {
        Some(number) => number.parse().ok().filter(|number| *number > 0),
        None => Some(1),
    };
    let replicas = match parts.next() {
        Some(number) => number.parse().ok().filter(|number| (1..=100).contains(number)).map(Some),
        None => Some(None),
    };
    match (partitions, replicas, parts.next()) {
        (Some(partitions), Some(replicas), None) => Ok(TopicSpec { name, partitions, replicas }),
        _ => Err("expected NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS, as in clicks:6".to_owned()),
    }
}

/// Checks a topic's name by Kafka's rule.
pub(crate) fn topic_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() {
        return Err("a topic's name cannot be empty".to_owned());
    }
    if text == "." || text == ".." {
        return Err(format!("a topic cannot be called {text:?}"));
    }
    if text.len() > 249 {
        return Err(format!("a topic's name has at most 249 bytes, this one has {}", text.len()));
    }
    match text.chars().find(|c| !c.is_ascii() || !allowed(*c as u8)) {
        Some(c) => {
            Err(format!("a topic's name has only letters, digits, '.', '_', '-'; not {c:?}"))
        }
        None => Ok(text.to_owned()),
    }
}

/// One place records are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl Input {
    /// The name shown in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// `-` is standard input, anything else a file.
impl From<&OsStr> for Input {
    fn from(word: &OsStr) -> Self {
        if word == "-" { Self::Stdin } else { Self::File(PathBuf::from(word)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_an_equals_sign_has_a_null_value() {
        assert_eq!(header("a"), Ok(HeaderArg { key: "a".to_owned(), value: None }));
        assert_eq!(header("a=").unwrap().value.as_deref(), Some(&b""[..]));
        assert_eq!(header("a=b=c").unwrap().value.as_deref(), Some(&b"b=c"[..]));
        assert!(header("=b").is_err());
    }

    #[test]
    fn a_setting_that_is_none_is_refused_without_being_quoted() {
        assert_eq!(setting(" acks =all=").unwrap().split(), Ok(("acks", "all=")));
        for wrong in ["sasl.password:hush", "=hush", "sasl.password hush=", "hush"] {
            let assignment = setting(wrong).unwrap();
            assert!(!assignment.split().unwrap_err().contains("hush"));
            assert!(!format!("{assignment:?}").contains("hush"));
        }
    }

    #[test]
    fn delimiters_know_escapes() {
        assert_eq!(delimiter(r"\t").unwrap(), b"\t");
        assert_eq!(delimiter(r"\x1f|\\\0").unwrap(), b"\x1f|\\\0");
        for wrong in ["", r"\", r"\q", r"\x", r"\x1", r"\xzz"] {
            assert!(delimiter(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("1.5").unwrap(), Duration::from_millis(1500));
        for wrong in ["0", "-1", "nan", "inf", "1e300", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_topic_spec_has_a_name_partitions_and_replicas() {
        let spec = |name: &str, partitions, replicas| TopicSpec {
            name: name.to_owned(),
            partitions,
            replicas,
        };
        assert_eq!(topic_spec("a:6"), Ok(spec("a", 6, None)));
        assert_eq!(topic_spec("a:6:3"), Ok(spec("a", 6, Some(3))));
        assert_eq!(topic_spec("a"), Ok(spec("a", 1, None)));
        for wrong in ["", ":3", "a:0", "a:x", "a:1:0", "a:1:1:1", "a b:1", "..", "ü"] {
            assert!(topic_spec(wrong).is_err(), "{wrong:?}");
        }
    }
}
