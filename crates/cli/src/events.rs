//! What the library and the embedded broker tell of themselves, in the voice of the command.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::talk::Talk;

/// Has events told from now on: warnings and errors, with `-v` more, with `-vv` all.
pub(crate) fn tell(talk: &Talk) {
    // Only a second call could fail, and there is none.
    let _ = tracing::subscriber::set_global_default(Teller {
        talk: talk.clone(),
        said: Mutex::default(),
    });
}

/// Who speaks of settings.
const SETTINGS: [&str; 2] = ["ottla::security", "ottla::tls"];

/// A subscriber without spans: nobody here opens one.
struct Teller {
    talk: Talk,
    /// What was said of settings: a command that looks for its cluster before it produces reads
    /// them twice.
    said: Mutex<HashSet<String>>,
}

impl Subscriber for Teller {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_told(metadata.target(), metadata.level(), self.talk.level())
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        let words = format!("{}{}", words.message, words.fields);
        if SETTINGS.iter().any(|target| event.metadata().target().starts_with(target)) {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if !said.insert(words.clone()) {
                return;
            }
        }
        self.talk.error(words);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn is_told(target: &str, level: &Level, talk_level: i8) -> bool {
    let most = match talk_level {
        ..=0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // The command says the same in its own words; of servers out of reach -v shows each.
    let is_repeated = match target {
        "ottla::builder" => true,
        // Advice, and not what went wrong.
        "ottla::durability" => talk_level < 0,
        "ottla::driver" => *level == Level::WARN && talk_level <= 0,
        _ => false,
    };
    target.starts_with("ottla") && *level <= most && !is_repeated
}

/// An event's message, and its fields after it: `: topic t, partition 0`.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = printable(&format!("{value:?}"));
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let mark = if self.fields.is_empty() { ": " } else { ", " };
        let name = field.name().replace('_', " ");
        let _ = write!(self.fields, "{mark}{name} {value}");
    }
}

/// The text with its control characters escaped: a peer may have chosen it, and a terminal would
/// obey it.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_and_more_with_each_v() {
        let told = |level: Level| {
            [-1, 0, 1, 2].map(|talk_level| is_told("ottla_broker::node", &level, talk_level))
        };
        assert_eq!(told(Level::ERROR), [true; 4]);
        assert_eq!(told(Level::WARN), [true; 4]);
        assert_eq!(told(Level::INFO), [false, false, true, true]);
        assert_eq!(told(Level::DEBUG), [false, false, false, true]);
        assert_eq!(told(Level::TRACE), [false; 4]);
    }

    #[test]
    fn what_the_command_says_itself_is_not_told_twice() {
        assert!(!is_told("ottla::driver", &Level::WARN, 0));
        assert!(is_told("ottla::driver", &Level::WARN, 1));
        assert!(!is_told("ottla::builder", &Level::WARN, 1));
        assert!(is_told("ottla::durability", &Level::WARN, 0));
        assert!(!is_told("ottla::durability", &Level::WARN, -1));
        assert!(is_told("ottla::callbacks", &Level::ERROR, 0));
        assert!(!is_told("mio::poll", &Level::WARN, 2));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jß\n"), "a\\u{1b}[2Jß\\n");
    }
}
