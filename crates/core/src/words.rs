//! Words of others, made fit to be shown: a peer chose them, and a terminal would obey some.

use alloc::string::String;

/// How many characters of a peer's words are shown, where nothing speaks for fewer.
pub const SHOWN_MAX_CHARS: usize = 500;

/// The words in one line of at most so many characters. What a terminal obeys becomes a blank.
///
/// ```
/// use ottla_core::words::shown;
///
/// assert_eq!(shown(" no such user\u{1b}[2J\n", 500), "no such user [2J");
/// ```
#[must_use]
pub fn shown(words: &str, max_chars: usize) -> String {
    let fit = |c: char| if is_obeyed(c) { ' ' } else { c };
    words.trim().chars().take(max_chars).map(fit).collect()
}

/// Whether it is a control character, or one that turns or hides the text around it.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    );
    turns || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_and_obeyed_by_no_terminal() {
        assert_eq!(shown("a\r\nb\u{202e}c", 500), "a  b c");
        assert_eq!(shown("ééé", 2), "éé");
    }
}
