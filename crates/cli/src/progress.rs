//! A bar that shows how far a long input has come, when somebody is looking.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::talk::{Talk, grouped};

/// Work that is done sooner needs no bar.
const SHOWN_AFTER: Duration = Duration::from_millis(500);

/// Redraws at most so often.
const REDRAW: Duration = Duration::from_millis(100);

/// A bar over the bytes of the input.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    start: Instant,
    redrawn: Instant,
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// A bar for `total_bytes` of input, where that is known. It shows itself once the work
    /// takes a while, and only when `wanted`.
    pub(crate) fn new(total_bytes: Option<u64>, wanted: bool) -> Self {
        let bar = match total_bytes {
            Some(bytes) => ProgressBar::new(bytes),
            None => ProgressBar::no_length(),
        };
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let template = match total_bytes {
            Some(_) => {
                "{bar:30} {percent}% of {total_bytes}, {binary_bytes_per_sec}, {msg}, {eta} left"
            }
            None => "{spinner} {bytes}, {binary_bytes_per_sec}, {msg}, {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let now = Instant::now();
        Self { bar, start: now, redrawn: now, wanted, shown: false }
    }

    /// Has the voice speak above the bar.
    pub(crate) fn stay_below(&self, talk: &Talk) {
        talk.speak_above(self.bar.clone());
    }

    /// Time since the bar was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Tells how many bytes were read and how many records delivered.
    pub(crate) fn update(&mut self, bytes: u64, records: u64) {
        let now = Instant::now();
        if !self.wanted || now - self.redrawn < REDRAW || now - self.start < SHOWN_AFTER {
            return;
        }
        self.redrawn = now;
        if !self.shown {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let rate = records as f64 / (now - self.start).as_secs_f64();
        let message = format!("{} records, {}/s", grouped(records), grouped(rate as u64));
        self.bar.set_position(bytes);
        self.bar.set_message(message);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
