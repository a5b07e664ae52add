//! Finding the ends of lines.

use memchr::memmem::Finder;

/// Cuts bytes at a delimiter.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    finder: Finder<'static>,
}

impl Lines {
    /// Cuts at `delimiter`, which has at least one byte.
    pub(crate) fn new(delimiter: &[u8]) -> Self {
        Self { finder: Finder::new(delimiter).into_owned() }
    }

    /// The delimiter.
    pub(crate) fn delimiter(&self) -> &[u8] {
        self.finder.needle()
    }

    /// The first delimiter in `bytes`.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self.delimiter() {
            [byte] => memchr::memchr(*byte, bytes),
            _ => self.finder.find(bytes),
        }
    }

    /// Where the last delimiter in `bytes` ends, when they are cut from the front.
    pub(crate) fn end_of_last(&self, bytes: &[u8]) -> Option<usize> {
        match self.delimiter() {
            [byte] => memchr::memrchr(*byte, bytes).map(|at| at + 1),
            // Delimiters may overlap, as in "aaa" cut at "aa", so a search from the back could
            // see other ones than a search from the front.
            delimiter => self.finder.find_iter(bytes).last().map(|at| at + delimiter.len()),
        }
    }

    /// The line at `from`: where it ends, and where the next one begins. `None` at the end.
    #[inline]
    pub(crate) fn line_at(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        let rest = bytes.get(from..).filter(|rest| !rest.is_empty())?;
        match self.find(rest) {
            Some(length) => Some((from + length, from + length + self.delimiter().len())),
            None => Some((bytes.len(), bytes.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(delimiter: &str, text: &str) -> Vec<String> {
        let lines = Lines::new(delimiter.as_bytes());
        let mut out = Vec::new();
        let mut from = 0;
        while let Some((end, next)) = lines.line_at(text.as_bytes(), from) {
            out.push(text[from..end].to_owned());
            from = next;
        }
        out
    }

    #[test]
    fn a_last_line_needs_no_end() {
        assert_eq!(cut("\n", "a\nb"), ["a", "b"]);
        assert_eq!(cut("\n", "a\nb\n"), ["a", "b"]);
        assert_eq!(cut("\n", "\n\n"), ["", ""]);
        assert_eq!(cut("\n", ""), Vec::<String>::new());
    }

    #[test]
    fn a_delimiter_may_have_several_bytes_and_overlap_itself() {
        assert_eq!(cut("--", "a--b-c--"), ["a", "b-c"]);
        assert_eq!(cut("aa", "xaaay"), ["x", "ay"]);
        let lines = Lines::new(b"aa");
        assert_eq!(lines.end_of_last(b"xaaay"), Some(3));
        assert_eq!(lines.end_of_last(b"x"), None);
        assert_eq!(Lines::new(b"\n").end_of_last(b"a\nb\nc"), Some(4));
    }
}
