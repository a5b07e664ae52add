//! Words of others, made fit to be shown.

use ottla_core::words::is_obeyed;

/// What is printable of `text`, in one line of at most `max` characters.
pub(super) fn shown(text: &str, max: usize) -> String {
    let is_shown = |c: &char| !is_obeyed(*c);
    let mut words: String = text.chars().filter(is_shown).take(max).collect();
    if text.chars().filter(is_shown).nth(max).is_some() {
        words.push('…');
    }
    words
}

/// Takes secrets out of words in which somebody repeats them.
#[cfg(any(test, feature = "oidc"))]
pub(super) fn without<'a>(mut text: String, secrets: impl IntoIterator<Item = &'a str>) -> String {
    for secret in secrets {
        if !secret.is_empty() && text.contains(secret) {
            text = text.replace(secret, "[hidden]");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_and_cannot_write_elsewhere_on_a_terminal() {
        assert_eq!(shown("a\u{1b}[31m\r\nb\u{202e}c", 20), "a[31mbc");
        assert_eq!(shown("ééé", 2), "éé…");
        assert_eq!(shown("éé", 2), "éé");
    }

    #[test]
    fn a_secret_that_is_repeated_is_not_shown() {
        let told = without("bad secret hunter2: hunter2!".into(), ["hunter2", ""]);
        assert_eq!(told, "bad secret [hidden]: [hidden]!");
    }
}
