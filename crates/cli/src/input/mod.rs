//! From files and standard input to pieces of whole lines.
//!
//! A thread reads, so that a slow pipe or a person at a terminal never keeps the rest from
//! noticing deliveries or Ctrl-C. What it hands over is bounded: a few pieces of some hundred KiB,
//! and a line that is longer than any record can be comes in parts.

mod lines;
mod split;
mod thread;

pub(crate) use lines::Lines;
pub(crate) use split::Piece;
pub(crate) use thread::{Arrival, Reading, read_in_thread};
