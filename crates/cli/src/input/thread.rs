//! The thread that reads.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use tokio::sync::mpsc;

use super::split::Splitter;
use super::{Lines, Piece};
use crate::args::produce::Source;
use crate::args::words::Input;

/// How many pieces may wait to be taken.
const PIECES_AHEAD: usize = 4;

/// What the thread hands over, in order.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Bytes of the source with this number.
    Piece { source: usize, piece: Piece },
    /// The source with this number could not be read further; the next one follows.
    Broken { source: usize, error: io::Error },
}

/// What is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) sources: Vec<Source>,
    pub(crate) lines: Lines,
    /// Lines above this length come in parts.
    pub(crate) limit_bytes: usize,
    /// Set to how many bytes were read that wait for the end of their line.
    pub(crate) held_back: Arc<AtomicUsize>,
}

/// Starts to read. The channel ends after the last source; dropping it ends the thread at its
/// next piece.
pub(crate) fn read_in_thread(reading: Reading) -> io::Result<mpsc::Receiver<Arrival>> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    thread::Builder::new().name("ottla-input".to_owned()).spawn(move || {
        let Reading { sources, lines, limit_bytes, held_back } = reading;
        for (number, source) in sources.iter().enumerate() {
            let reader: io::Result<Box<dyn Read>> = match &source.input {
                Input::Stdin => Ok(Box::new(io::stdin())),
                Input::File(path) => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
            };
            let read = reader.map(|reader| {
                Splitter::new(reader, lines.clone(), limit_bytes, Arc::clone(&held_back))
            });
            if !hand_over(number, read, &sender) {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Reads one source to its end; false when nobody listens any more.
fn hand_over(
    source: usize,
    splitter: io::Result<Splitter<Box<dyn Read>>>,
    sender: &mpsc::Sender<Arrival>,
) -> bool {
    let mut splitter = match splitter {
        Ok(splitter) => splitter,
        Err(error) => return sender.blocking_send(Arrival::Broken { source, error }).is_ok(),
    };
    loop {
        let arrival = match splitter.next() {
            Ok(Some(piece)) => Arrival::Piece { source, piece },
            Ok(None) => return true,
            Err(error) => return sender.blocking_send(Arrival::Broken { source, error }).is_ok(),
        };
        if sender.blocking_send(arrival).is_err() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::produce::Format;

    #[test]
    fn sources_are_read_in_order_and_a_missing_one_does_not_stop_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "1\n2").unwrap();
        std::fs::write(path("c"), "3\n").unwrap();
        let source = |name| Source { input: Input::File(path(name)), format: Format::Lines };
        let reading = Reading {
            sources: vec![source("a"), source("b"), source("c")],
            lines: Lines::new(b"\n"),
            limit_bytes: 100,
            held_back: Arc::default(),
        };
        let mut receiver = read_in_thread(reading).unwrap();
        let mut seen = Vec::new();
        while let Some(arrival) = receiver.blocking_recv() {
            match arrival {
                Arrival::Piece { source, piece: Piece::Lines(bytes) } => {
                    seen.push(format!("{source} {}", String::from_utf8(bytes).unwrap()));
                }
                Arrival::Broken { source, .. } => seen.push(format!("{source} broken")),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, ["0 1\n", "0 2", "1 broken", "2 3\n"]);
    }
}
