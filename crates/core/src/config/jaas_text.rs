//! How the value of `sasl.jaas.config` is written: `module flag name=value … ;`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use zeroize::Zeroizing;

/// What is written, taken apart.
pub(super) struct Entry {
    /// The full name of the login module. Letters, digits and `._$-` only.
    pub(super) module: Zeroizing<String>,
    /// Its options in their order.
    pub(super) options: Vec<(Zeroizing<String>, Zeroizing<String>)>,
}

impl Entry {
    /// The value of an option.
    pub(super) fn get(&self, option: &str) -> Option<&Zeroizing<String>> {
        self.options.iter().find(|(name, _)| name.as_str() == option).map(|(_, value)| value)
    }
}

/// No name of a class or an option is longer.
const NAME_BYTES_MAX: usize = 200;

/// Takes a value apart.
///
/// # Errors
/// It is not one entry. What is told shows nothing of it: places only.
pub(super) fn read(value: &str) -> Result<Entry, String> {
    let mut text = Text { rest: value };
    text.skip_blanks();
    let module = text.name().ok_or("it begins with the full name of a login module")?;
    text.skip_blanks();
    if text.rest.starts_with('{') {
        let why = "give the login module alone, without the section KafkaClient { … } round it";
        return Err(why.to_string());
    }
    let flags = ["required", "requisite", "sufficient", "optional"];
    let flag = text.name().unwrap_or_default();
    if !flags.iter().any(|it| flag.eq_ignore_ascii_case(it)) {
        return Err("after the login module comes the word required".to_string());
    }
    let mut options = Vec::new();
    loop {
        text.skip_blanks();
        if text.take(';') {
            break;
        }
        if text.rest.is_empty() {
            return Err("the semicolon at its end is missing".to_string());
        }
        let option = text.option().map_err(|why| format!("option {}: {why}", options.len() + 1))?;
        options.push(option);
    }
    text.skip_blanks();
    if text.rest.is_empty() {
        Ok(Entry { module, options })
    } else {
        let why = "only one login module is possible, and nothing behind its semicolon; a value \
                   with a semicolon goes in quotes";
        Err(why.to_string())
    }
}

/// What is still to be read.
struct Text<'a> {
    rest: &'a str,
}

impl Text<'_> {
    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Spaces, line ends, and the backslash that continues a line in a file of properties.
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let after = self.rest.strip_prefix('\\').map(|after| after.trim_start_matches(' '));
            match after.filter(|after| after.starts_with(['\n', '\r'])) {
                Some(after) => self.rest = after,
                None => return,
            }
        }
    }

    /// A name as Java writes it. None if there is none, or one of improbable length.
    fn name(&mut self) -> Option<Zeroizing<String>> {
        let belongs = |c: char| c.is_ascii_alphanumeric() || "._$-".contains(c);
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        self.rest = rest;
        Some(Zeroizing::new(name.to_string()))
    }

    fn option(&mut self) -> Result<(Zeroizing<String>, Zeroizing<String>), &'static str> {
        const SHAPE: &str = "expected name=\"value\"; the value before may lack its quotes";
        let name = self.name().ok_or(SHAPE)?;
        self.skip_blanks();
        if !self.take('=') {
            return Err(SHAPE);
        }
        self.skip_blanks();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                self.next();
                self.quoted(quote)?
            }
            _ => self.bare()?,
        };
        Ok((name, value))
    }

    /// What stands between quotes. As in Java it ends with its line.
    fn quoted(&mut self, quote: char) -> Result<Zeroizing<String>, &'static str> {
        // It cannot grow out of this, which would leave a copy behind.
        let mut value = Zeroizing::new(String::with_capacity(self.rest.len()));
        loop {
            match self.next() {
                Some(c) if c == quote => return Ok(value),
                None | Some('\n' | '\r') => {
                    return Err("its closing quote is missing; \\\" stands for a quote inside");
                }
                Some('\\') => {
                    let c = self.escaped().ok_or("its closing quote is missing")?;
                    value.push(c);
                }
                Some(c) => value.push(c),
            }
        }
    }

    /// What a backslash makes of what follows it, by the rules of Java's tokenizer.
    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            digit @ '0'..='7' => self.octal(digit),
            // A line that goes on, in a value that was not read from a file.
            '\n' | '\r' => return None,
            other => other,
        })
    }

    /// Up to three octal digits, 377 at most.
    fn octal(&mut self, first: char) -> char {
        let mut code = first as u32 - '0' as u32;
        let more = if first <= '3' { 2 } else { 1 };
        for _ in 0..more {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
            self.next();
            code = code * 8 + digit;
        }
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// A value without quotes, up to the next space or semicolon.
    fn bare(&mut self) -> Result<Zeroizing<String>, &'static str> {
        let ends = |c: char| c.is_whitespace() || c == ';';
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (value, rest) = self.rest.split_at(end);
        if value.is_empty() {
            return Err("its value is missing; an empty one is written \"\"");
        }
        if value.contains(['"', '\'', '=', '\\']) {
            return Err("a value with special characters goes in quotes");
        }
        self.rest = rest;
        Ok(Zeroizing::new(value.to_string()))
    }
}
