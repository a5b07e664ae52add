//! The broker's words, fit to be shown.

use alloc::string::String;

/// How many characters of a broker's words are shown.
pub(crate) const MAX_WORDS: usize = 500;

/// Text out of any bytes: so many characters at most, none of which a terminal obeys.
pub(crate) fn fit(bytes: &[u8], max_chars: usize) -> String {
    let bytes = &bytes[..bytes.len().min(max_chars.saturating_mul(4))];
    let mut fit = String::new();
    for (index, char) in String::from_utf8_lossy(bytes).trim().chars().enumerate() {
        if index == max_chars {
            fit.push('…');
            break;
        }
        fit.push(if is_obeyed(char) { '\u{fffd}' } else { char });
    }
    fit
}

/// Control characters, and those that turn or hide the text around them.
fn is_obeyed(char: char) -> bool {
    let turns = matches!(
        char,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    );
    turns || char.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_obeyed_by_no_terminal() {
        assert_eq!(fit(b" no such user\n", MAX_WORDS), "no such user");
        assert_eq!(fit("a\x1b[2Jb\u{202e}c".as_bytes(), MAX_WORDS), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(fit(b"a\xff", MAX_WORDS), "a\u{fffd}");
        assert_eq!(fit("ééééé".as_bytes(), 3), "ééé…");
        assert_eq!(fit(&[b'x'; 1 << 20], 500).chars().count(), 501);
    }
}
