//! As much understanding of Rust source as the rules need: what is code and what is comment or
//! text, which items are for tests only, and where functions begin and end.

use std::ops::Range;

/// Stands for each character of a string or character literal, so that no word in it is found and
/// its lines still count as code.
const FILLER: char = '"';

/// A source file without its comments and texts.
pub(crate) struct Source {
    /// The source, character by character, with blanks for comments.
    code: Vec<char>,
    /// For each line, whether it has code and whether that is for tests only.
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Default)]
struct Line {
    has_code: bool,
    test_only: bool,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where it begins, counted from one.
    pub(crate) line: usize,
    /// How many of its lines have code on them.
    pub(crate) code_lines: usize,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let code = without_comments(text);
        let mut lines = vec![Line::default()];
        for c in &code {
            match c {
                '\n' => lines.push(Line::default()),
                c if c.is_whitespace() => {}
                _ => lines[..].last_mut().into_iter().for_each(|line| line.has_code = true),
            }
        }
        let mut source = Self { code, lines };
        for range in source.test_items() {
            for line in source.line_of(range.start)..=source.line_of(range.end) {
                source.lines[line - 1].test_only = true;
            }
        }
        source
    }

    /// Lines with code on them that is not for tests only.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.has_code && !line.test_only).count()
    }

    /// Whether a text stands at or near the given column of a line. Long texts may run over the
    /// edge: in one piece they can be searched for.
    pub(crate) fn has_text_at(&self, line: usize, column: usize) -> bool {
        let mut lines = self.code.split(|c| *c == '\n');
        let line = lines.nth(line - 1).unwrap_or_default();
        line.iter().skip(column.saturating_sub(5)).any(|c| *c == FILLER)
    }

    /// The lines on which `words` appears with nothing on either side that would make it part of a
    /// longer name, and whether each is for tests only.
    pub(crate) fn find(&self, words: &str) -> Vec<(usize, bool)> {
        let words: Vec<char> = words.chars().collect();
        let mut found = Vec::new();
        for (at, window) in self.code.windows(words.len()).enumerate() {
            if window == words && !self.is_inside_name(at, words.len()) {
                let line = self.line_of(at);
                found.push((line, self.lines[line - 1].test_only));
            }
        }
        found
    }

    fn is_inside_name(&self, at: usize, len: usize) -> bool {
        let joins = |one: Option<&char>, other: Option<&char>| {
            one.is_some_and(|c| is_name(*c)) && other.is_some_and(|c| is_name(*c))
        };
        let before = at.checked_sub(1).and_then(|before| self.code.get(before));
        joins(before, self.code.get(at))
            || joins(self.code.get(at + len - 1), self.code.get(at + len))
    }

    /// All functions that have a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in 0..self.code.len() {
            if !self.code[at..].starts_with(&['f', 'n', ' ']) || self.is_inside_name(at, 2) {
                continue;
            }
            let name: String = self.code[at + 3..].iter().take_while(|c| is_name(**c)).collect();
            let Some(end) = self.end_of_item(at).filter(|end| self.code[*end] == '}') else {
                continue;
            };
            if name.is_empty() {
                continue;
            }
            let (line, last) = (self.line_of(at), self.line_of(end));
            let code_lines = self.lines[line - 1..last].iter().filter(|line| line.has_code).count();
            functions.push(Function { name, line, code_lines });
        }
        functions
    }

    /// The items under `#[cfg(test)]`, from their attribute to their end.
    fn test_items(&self) -> Vec<Range<usize>> {
        let attribute: Vec<char> = "#[cfg(test)]".chars().collect();
        let mut items: Vec<Range<usize>> = Vec::new();
        for at in 0..self.code.len() {
            if self.code[at..].starts_with(&attribute)
                && let Some(end) = self.end_of_item(at + attribute.len())
            {
                items.push(at..end);
            }
        }
        items
    }

    /// The place of the `;` or `}` that ends the item that begins at `from`.
    fn end_of_item(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        let mut in_body = false;
        for (at, c) in self.code.iter().enumerate().skip(from) {
            match c {
                '(' | '[' | '{' => {
                    in_body |= *c == '{' && depth == 0;
                    depth += 1;
                }
                ')' | ']' | '}' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 && in_body {
                        return Some(at);
                    }
                }
                ';' if depth == 0 => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// The line of a character, counted from one.
    fn line_of(&self, at: usize) -> usize {
        1 + self.code[..at].iter().filter(|c| **c == '\n').count()
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The characters of `text` with blanks for comments and fillers for texts.
fn without_comments(text: &str) -> Vec<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut code = Vec::with_capacity(chars.len());
    while code.len() < chars.len() {
        let at = code.len();
        let (len, mask) = match chars[at..] {
            ['/', '/', ..] => (line_len(&chars[at..]), Some(' ')),
            ['/', '*', ..] => (block_comment_len(&chars[at..]), Some(' ')),
            ['"', ..] => (text_len(&chars[at..]), Some(FILLER)),
            ['r', ..]
                if !at.checked_sub(1).is_some_and(|i| is_name(chars[i]) && chars[i] != 'b') =>
            {
                match raw_text_len(&chars[at..]) {
                    Some(len) => (len, Some(FILLER)),
                    None => (1, None),
                }
            }
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => (char_len(&chars[at..]), Some(FILLER)),
            _ => (1, None),
        };
        for c in &chars[at..(at + len).min(chars.len())] {
            code.push(if *c == '\n' { '\n' } else { mask.unwrap_or(*c) });
        }
    }
    code
}

fn line_len(chars: &[char]) -> usize {
    chars.iter().take_while(|c| **c != '\n').count()
}

/// Block comments nest.
fn block_comment_len(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

/// The length of a text with its quotes.
fn text_len(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The length of `r"…"` or `r#"…"#`, if that is what begins here.
fn raw_text_len(chars: &[char]) -> Option<usize> {
    let hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    if chars.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(vec!['#'; hashes]).collect();
    let begin = hashes + 2;
    let inside = chars[begin..].windows(end.len()).position(|window| window == end);
    Some(inside.map_or(chars.len(), |inside| begin + inside + end.len()))
}

/// The length of a character literal. Its second character may be the quote or the backslash
/// itself, after a backslash.
fn char_len(chars: &[char]) -> usize {
    let begin = if chars.get(1) == Some(&'\\') { 3 } else { 2 };
    let rest = chars.get(begin..).unwrap_or_default();
    rest.iter().position(|c| *c == '\'').map_or(chars.len(), |end| begin + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_and_texts_are_not_found() {
        let source = Source::read(
            "// here! in a comment\n/* here! /* here! */ here! */ let a = \"here! \\\" here!\";\n\
             let b = r#\"here! \" here!\"#; let c = ('\"', 'x', '\\'', b'\"'); here!();\n",
        );
        assert_eq!(source.find("here!"), [(3, false)]);
    }

    #[test]
    fn a_text_that_runs_over_an_edge_is_seen() {
        let source = Source::read("f();\nlet a = \"0123456789\";\n// a comment of some length\n");
        assert!(!source.has_text_at(1, 2));
        assert!(source.has_text_at(2, 15));
        assert!(!source.has_text_at(3, 15));
    }

    #[test]
    fn a_lifetime_is_no_character() {
        let source = Source::read("fn f<'a>(x: &'a str) -> &'a str { here!() }");
        assert_eq!(source.find("here!"), [(1, false)]);
    }

    #[test]
    fn words_are_found_whole() {
        let source = Source::read("let no_std = my_std::x;\nuse std::time;\n");
        assert_eq!(source.find("std::"), [(2, false)]);
    }

    #[test]
    fn what_is_for_tests_is_known() {
        let source = Source::read(
            "fn a() {}\n#[cfg(test)]\nuse std::x;\nfn b() {}\n\n#[cfg(test)]\nmod tests {\n    \
             use std::y;\n    fn c() {}\n}\nfn d() {}\n",
        );
        assert_eq!(source.find("std::"), [(3, true), (8, true)]);
        assert_eq!(source.code_lines(), 3);
    }

    #[test]
    fn functions_are_measured_by_their_lines_of_code() {
        let source = Source::read(
            "trait T {\n    fn without_body(&self);\n}\nfn long(\n    a: [u8; { 1 }],\n) -> u8 {\n    \
             // a comment\n\n    a[0]\n}\ntype F = fn (u8);\nfn short() {}\n",
        );
        let found: Vec<(String, usize, usize)> = source
            .functions()
            .into_iter()
            .map(|function| (function.name, function.line, function.code_lines))
            .collect();
        assert_eq!(found, [("long".to_owned(), 4, 5), ("short".to_owned(), 12, 1)]);
    }
}
