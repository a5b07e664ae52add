//! Values out of a string of bytes.
//!
//! proptest makes up the bytes and shortens them when a test fails; fewer and smaller bytes
//! make simpler values, so a failing message shrinks too.

use bytes::Bytes;
use ottla_protocol::Uuid;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A message or struct that can be made up.
pub(crate) trait Generate: Sized {
    /// A value that `version` can carry.
    fn generate(source: &mut Source<'_>, version: i16) -> Self;
}

/// Where made-up values come from. At its end it gives zeros and empty lists.
pub(crate) struct Source<'a>(pub(crate) &'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number of `bytes` bytes, the edges more often than chance has them.
    fn number(&mut self, bytes: u32) -> i64 {
        let bits = bytes * 8;
        match self.byte() % 8 {
            0 => i64::from(self.byte()),
            1 => -1,
            2 => i64::MIN >> (64 - bits),
            3 => i64::MAX >> (64 - bits),
            _ => {
                let raw = (0..bytes).fold(0, |raw, _| (raw << 8) | i64::from(self.byte()));
                raw << (64 - bits) >> (64 - bits)
            }
        }
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    pub(crate) fn i8(&mut self) -> i8 {
        self.number(1) as i8
    }

    pub(crate) fn i16(&mut self) -> i16 {
        self.number(2) as i16
    }

    pub(crate) fn u16(&mut self) -> u16 {
        self.number(2) as u16
    }

    pub(crate) fn i32(&mut self) -> i32 {
        self.number(4) as i32
    }

    pub(crate) fn i64(&mut self) -> i64 {
        self.number(8)
    }

    /// One that equals itself, which is not so of what is not a number.
    pub(crate) fn f64(&mut self) -> f64 {
        let value = f64::from_bits(self.i64() as u64);
        if value.is_nan() { 0.0 } else { value }
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_halves(self.i64() as u64, self.i64() as u64)
    }

    /// Mostly a few bytes, now and then enough for a length of two bytes.
    fn length(&mut self) -> usize {
        match self.byte() {
            200..=255 => 100 + usize::from(self.byte()),
            few => usize::from(few % 12),
        }
    }

    pub(crate) fn string(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', 'Z', '-', '0', ' ', '\0', 'ö', '日'];
        let length = self.length();
        (0..length).map(|_| LETTERS[usize::from(self.byte() % 8)]).collect()
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let length = self.length();
        (0..length).map(|_| self.byte()).collect::<Vec<_>>().into()
    }

    pub(crate) fn option<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.bool() { Some(value(self)) } else { None }
    }

    pub(crate) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.byte() % 4;
        (0..count).map(|_| element(self)).collect()
    }
}

/// Runs `test` with made-up bytes, the same ones each time.
pub(crate) fn run(cases: u32, test: impl Fn(&[u8]) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = proptest::collection::vec(any::<u8>(), 0..600);
    if let Err(error) = runner.run(&strategy, |bytes| test(&bytes)) {
        panic!("{error}");
    }
}
