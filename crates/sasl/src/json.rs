//! As much of JSON as the mechanisms need: objects of texts.

use alloc::string::String;
use alloc::vec::Vec;

/// Writes an object of texts, into a buffer that is large enough from the start.
pub(crate) fn object(fields: &[(&str, &str)]) -> Vec<u8> {
    let longest = |text: &str| 6 * text.len() + 2;
    let sizes = fields.iter().map(|(name, value)| longest(name) + longest(value) + 2);
    let mut json = Vec::with_capacity(sizes.sum::<usize>() + 2);
    for (index, (name, value)) in fields.iter().enumerate() {
        json.push(if index == 0 { b'{' } else { b',' });
        push_text(&mut json, name);
        json.push(b':');
        push_text(&mut json, value);
    }
    json.push(b'}');
    json
}

/// Writes a text in quotes.
pub(crate) fn push_text(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend([b'\\', byte]),
            0..0x20 => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                json.extend([b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            }
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}

/// The fields of an object whose values are texts. Other values are passed over, however deep
/// they are. `None` if it is no object.
pub(crate) fn fields(json: &[u8]) -> Option<Vec<(String, String)>> {
    let mut reader = Reader(core::str::from_utf8(json).ok()?);
    let mut fields = Vec::new();
    reader.token('{')?;
    if reader.token('}').is_none() {
        loop {
            let name = reader.text()?;
            reader.token(':')?;
            if reader.peek()? == '"' {
                let value = reader.text()?;
                fields.push((name, value));
            } else {
                reader.skip()?;
            }
            if reader.token(',').is_none() {
                break;
            }
        }
        reader.token('}')?;
    }
    reader.0.trim_ascii().is_empty().then_some(fields)
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.0 = self.0.trim_ascii_start();
        self.0.chars().next()
    }

    fn token(&mut self, wanted: char) -> Option<()> {
        self.peek();
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    fn char(&mut self) -> Option<char> {
        let char = self.0.chars().next()?;
        self.0 = &self.0[char.len_utf8()..];
        Some(char)
    }

    fn text(&mut self) -> Option<String> {
        self.token('"')?;
        let mut text = String::new();
        loop {
            match self.char()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                '\0'..='\u{1f}' => return None,
                char => text.push(char),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.char()? {
            char @ ('"' | '\\' | '/') => char,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.unit()?;
                if (0xd800..0xdc00).contains(&unit) {
                    self.0 = self.0.strip_prefix("\\u")?;
                    let pair = [unit, self.unit()?];
                    return char::decode_utf16(pair).next()?.ok();
                }
                char::from_u32(u32::from(unit))?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.0.get(..4).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))?;
        self.0 = &self.0[4..];
        u16::from_str_radix(digits, 16).ok()
    }

    /// Passes over a value that is no text. Depth is counted, so that it costs no stack.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                '"' => drop(self.text()?),
                '{' | '[' => {
                    self.char();
                    depth += 1;
                }
                '}' | ']' | ',' if depth == 0 => return Some(()),
                '}' | ']' => {
                    self.char();
                    depth -= 1;
                }
                _ => drop(self.char()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let pairs = [("a", "b"), ("q\"\\", "\u{1}\n\u{1f}ö😀/"), ("", "")];
        let json = object(&pairs);
        assert!(json.starts_with(br#"{"a":"b","q\"\\":"\u0001\u000a\u001f"#));
        let expected: Vec<_> = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        assert_eq!(fields(&json), Some(expected));
    }

    #[test]
    fn fields_that_are_no_texts_are_passed_over() {
        let json =
            br#" { "n": -1.5e3, "o": {"a": ["}", {}], "b": null}, "t" : "x\u00e9\ud83d\ude00",
            "l": [1, "]"], "f": false } "#;
        assert_eq!(fields(json), Some(vec![("t".to_owned(), "xé😀".to_owned())]));
        assert_eq!(fields(b"{}"), Some(vec![]));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let broken: [&[u8]; 14] = [
            b"",
            b"null",
            b"[]",
            b"{",
            b"{\"a\"}",
            b"{\"a\":\"b\"",
            b"{\"a\":\"b\"}x",
            b"{\"a\":\"b\",}",
            b"{\"a\":\"\\x\"}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\\ud800\\u0041\"}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\\u00\xc3\xa9\"}",
            b"\xff",
        ];
        for json in broken {
            assert_eq!(fields(json), None, "{:?}", String::from_utf8_lossy(json));
        }
    }

    /// Laws: L11. Scenarios: bug-54.
    #[test]
    fn depth_costs_no_stack() {
        let deep = [&b"{\"a\":"[..], &b"[".repeat(1 << 20), &b"]".repeat(1 << 20), b"}"].concat();
        assert_eq!(fields(&deep), Some(vec![]));
        assert_eq!(fields(&deep[..1 << 20]), None);
    }
}
