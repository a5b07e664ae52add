//! Regular expressions that come from outside: RE2's, as Kafka takes them, for a whole name.

use regex_lite::{Regex, RegexBuilder};

/// A compiled expression may take so much memory.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// An expression that a whole name must match.
///
/// The engine is one for ASCII: what it leaves out is not missed in names of topics, which are
/// ASCII.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// # Errors
    /// Why the text is no expression, in words.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
        // By itself first: brackets that close what they have not opened are not for us to open.
        let whole = compile(text).and_then(|_| compile(&format!("^(?:{text})$")));
        match whole {
            Ok(regex) => Ok(Self { text: text.to_owned(), regex }),
            Err(error) => Err(format!("{text:?} is not a regular expression: {error}")),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
