//! Files of properties: Java's `.properties` syntax, of which librdkafka's and kcat's
//! `name=value` files are a part.

use std::fmt;
use std::path::Path;

use ottla::config::{KeySpec, find_key};

use crate::exit::Failure;

/// One setting, with the place it came from for error messages. Its value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Property {
    /// The key as written.
    pub(crate) name: String,
    /// The value as written, escapes resolved.
    pub(crate) value: String,
    /// The file and the line, for a setting from a file.
    pub(crate) place: Option<String>,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Property").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Settings by name; a later one takes the place of an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) list: Vec<Property>,
}

impl Settings {
    /// Adds a setting in place of an earlier one of the same name.
    pub(crate) fn set(&mut self, mut property: Property) {
        // kcat's mark for settings that librdkafka has for each topic; some names begin so anyway.
        if let Some(name) = property.name.strip_prefix("topic.")
            && find_key(&property.name).is_none()
        {
            property.name = name.to_owned();
        }
        self.list.retain(|known| known.name != property.name);
        self.list.push(property);
    }

    /// Takes out the servers under both of their names.
    pub(crate) fn take_servers(&mut self) -> Option<Property> {
        let is_servers =
            |p: &Property| matches!(p.name.as_str(), "bootstrap.servers" | "metadata.broker.list");
        let servers = self.list.iter().rev().find(|p| is_servers(p)).cloned();
        self.list.retain(|property| !is_servers(property));
        servers
    }

    /// Takes out what is about TLS and SASL.
    pub(crate) fn drop_security(&mut self) {
        self.list.retain(|it| !find_key(&it.name).is_some_and(KeySpec::is_about_security));
    }
}

/// Reads a file of properties.
pub(crate) fn read(path: &Path) -> Result<Vec<Property>, Failure> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read the settings in {shown}: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("the settings in {shown} are not UTF-8 text")))?;
    let place = |line: usize| format!("{shown}, line {line}");
    let properties = parse(&text)
        .map_err(|(line, reason)| Failure::usage(reason).at(Some(&place(line))))?
        .into_iter()
        .map(|(line, property)| Property { place: Some(place(line)), ..property });
    Ok(properties.collect())
}

/// Parses the text of a file of properties; each setting, or the error, carries its line number.
fn parse(text: &str) -> Result<Vec<(usize, Property)>, (usize, String)> {
    let mut properties = Vec::new();
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let property = split(&logical).map_err(|reason| (index + 1, reason))?;
        properties.push((index + 1, property));
    }
    Ok(properties)
}

/// Whether the line ends in an odd number of backslashes.
fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Splits `name=value`, `name: value` or `name value`.
fn split(line: &str) -> Result<Property, String> {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
            escaped = *c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(index, _)| index);
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    if name.is_empty() {
        return Err("expected name=value, found no name".to_owned());
    }
    // Java keeps blanks at the end of a value, librdkafka does not; no setting wants them.
    Ok(Property { name: unescape(name)?, value: unescape(rest.trim_end())?, place: None })
}

/// Resolves `\t`, `\n`, `\r`, `\f`, `\uXXXX`, and takes any other escaped character as itself.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                let c = code.and_then(char::from_u32);
                // The digits are not quoted: they may be those of a password.
                out.push(c.ok_or("expected four hexadecimal digits of a character after \\u")?);
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|(_, p)| (p.name, p.value)).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn both_syntaxes_are_read() {
        let text = "# Java\nacks = all\n! also a comment\nlinger.ms: 7\nclient.id me\n\n\
                    bootstrap.servers=a:9092,b:9092\r\nempty=\n";
        let expected = [
            ("acks", "all"),
            ("linger.ms", "7"),
            ("client.id", "me"),
            ("bootstrap.servers", "a:9092,b:9092"),
            ("empty", ""),
        ];
        assert_eq!(pairs(text), owned(&expected));
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        assert_eq!(
            pairs("servers=a,\\\n   b\nacks=1"),
            owned(&[("servers", "a,b"), ("acks", "1")])
        );
    }

    #[test]
    fn a_setting_knows_the_line_it_begins_in() {
        let lines: Vec<usize> =
            parse("# none\na=1\\\n 2\n\nb=3").unwrap().into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 5]);
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(pairs("a\\=b=c\\td\\u0041\\:e"), owned(&[("a=b", "c\tdA:e")]));
    }

    #[test]
    fn only_the_first_equals_sign_splits() {
        assert_eq!(
            pairs("jaas=module required user=\"u\";"),
            owned(&[("jaas", "module required user=\"u\";")])
        );
    }

    #[test]
    fn a_line_without_a_name_is_an_error_with_its_number() {
        assert_eq!(parse("a=b\n=c\n").unwrap_err().0, 2);
    }

    #[test]
    fn a_value_is_shown_by_no_error_and_no_debug_output() {
        let (_, error) = parse("sasl.password=\\uhush\n").unwrap_err();
        assert!(!error.contains("hush"), "{error}");
        let property = parse("sasl.password=hush").unwrap().remove(0).1;
        let shown = format!("{property:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_broken_unicode_escape_is_an_error_and_no_panic() {
        assert!(parse("a=\\u12").is_err());
        assert!(parse("a=\\ud800").is_err());
        assert_eq!(pairs("a=\\"), owned(&[("a", "")]));
    }
}
