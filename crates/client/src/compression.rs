//! Where batches are compressed: on the I/O thread, or on threads of their own where cores are
//! free.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::available_parallelism;

use ottla_codecs::{Codec, Compressor, decompress};
use ottla_core::accumulator::{Payload, SplitRecords, split_records};
use ottla_core::config::ProducerConfig;
use ottla_core::output::{Compress, CompressToken, Cut, Part, Split, SplitToken};
use ottla_protocol::record::CompressionType;
use tokio::sync::mpsc;

use crate::memory::{Chunk, Memory};
use crate::net::Incoming;
use crate::shared::ClientHost;
use crate::sync::{Condvar, Mutex, thread};

/// A smaller batch is compressed sooner than handed over.
const WORTH_HANDING_OVER_BYTES: usize = 16 << 10;
/// More threads than this are started only when they are asked for.
const MOST_UNASKED: usize = 4;

/// The compressed form of a batch; `None` when it would be no smaller.
pub(crate) type Compressed = Option<Payload<Chunk>>;

/// Compresses batches here, or has it done.
pub(crate) struct Compression {
    own: Compressor,
    memory: Arc<Memory>,
    /// No batch is larger, uncompressed.
    batch_limit_bytes: usize,
    results: mpsc::UnboundedSender<Incoming>,
    most_threads: usize,
    threads: usize,
    line: Arc<Line>,
}

/// The jobs that wait for a thread.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Compress<ClientHost>>,
    idle_threads: usize,
    ended: bool,
}

impl Compression {
    /// No thread is started before there is work for it.
    pub(crate) fn new(
        config: &ProducerConfig,
        memory: Arc<Memory>,
        results: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        let spare = || spare_cores(config.compression);
        Self {
            own: Compressor::new(),
            memory,
            batch_limit_bytes: config.batch_size_bytes.max(config.max_request_size_bytes),
            results,
            most_threads: config.compression_threads.unwrap_or_else(spare),
            threads: 0,
            line: Arc::default(),
        }
    }

    /// Compresses the batch now and gives the result, or gives the job to a thread, whose result
    /// comes as [`Incoming::Compressed`].
    pub(crate) fn run(&mut self, job: Compress<ClientHost>) -> Option<(CompressToken, Compressed)> {
        if self.most_threads > 0 && job.payload.size_bytes() >= WORTH_HANDING_OVER_BYTES {
            return match self.hand_over(job) {
                Ok(()) => None,
                Err(job) => Some(compress(&mut self.own, &self.memory, job)),
            };
        }
        Some(compress(&mut self.own, &self.memory, job))
    }

    /// Makes batches anew of one that was refused. That is rare, and done here at once.
    pub(crate) fn split(
        &mut self,
        job: Split<ClientHost>,
    ) -> (SplitToken, Option<Vec<Part<Chunk>>>) {
        if job.cut == Cut::InTwo {
            tracing::warn!(
                size_bytes = job.payload.size_bytes(),
                "a broker refused a batch as too large; its records go in smaller ones. Is \
                 batch.size above the topic's max.message.bytes?"
            );
        }
        (job.token, split(&mut self.own, &self.memory, self.batch_limit_bytes, &job))
    }

    /// Gives a job to a thread; gives it back when all of them have enough to do: this thread is
    /// then one of them.
    fn hand_over(&mut self, job: Compress<ClientHost>) -> Result<(), Compress<ClientHost>> {
        let mut state = self.line.state.lock();
        let all_busy = state.jobs.len() >= state.idle_threads;
        if all_busy && self.threads < self.most_threads && self.start() {
            self.threads += 1;
        } else if state.jobs.len() >= state.idle_threads + self.threads {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.line.changed.notify_one();
        Ok(())
    }

    fn start(&self) -> bool {
        let (line, memory) = (Arc::clone(&self.line), Arc::clone(&self.memory));
        let results = self.results.clone();
        let builder = thread::Builder::new().name("ottla-compress".into());
        let started = builder.spawn(move || {
            let mut compressor = Compressor::new();
            while let Some(job) = line.next() {
                let (token, compressed) = compress(&mut compressor, &memory, job);
                if results.send(Incoming::Compressed(token, compressed)).is_err() {
                    break;
                }
            }
        });
        started.is_ok()
    }
}

/// Threads that are free for compression, where nobody said how many.
fn spare_cores(compression: CompressionType) -> usize {
    // The producing thread and the I/O thread want a core each. Next to gzip, which takes several
    // times as long as all the rest, the I/O thread wants little.
    let spoken_for = if compression == CompressionType::Gzip { 1 } else { 2 };
    let cores = available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(spoken_for).min(MOST_UNASKED)
}

impl Drop for Compression {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        state.ended = true;
        state.jobs.clear();
        drop(state);
        self.line.changed.notify_all();
    }
}

impl Line {
    fn next(&self) -> Option<Compress<ClientHost>> {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle_threads += 1;
            self.changed.wait(&mut state);
            state.idle_threads -= 1;
        }
    }
}

fn compress(
    compressor: &mut Compressor,
    memory: &Arc<Memory>,
    job: Compress<ClientHost>,
) -> (CompressToken, Compressed) {
    let Compress { token, payload, compression, level } = job;
    let chunks: Vec<&[u8]> = payload.chunks().collect();
    let compressed = smaller(compressor, (compression, level), &chunks);
    drop(payload);
    (token, compressed.map(|out| stored(memory, out)))
}

/// The bytes under this compression; nothing when that makes them no smaller.
fn smaller(
    compressor: &mut Compressor,
    (compression, level): (CompressionType, Option<i32>),
    chunks: &[&[u8]],
) -> Option<Vec<u8>> {
    let size_bytes: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let codec = Codec::new(compression, level).ok()?;
    let mut out = Vec::with_capacity(size_bytes / 2);
    compressor.compress(&codec, chunks, &mut out).ok()?;
    (out.len() < size_bytes).then_some(out)
}

fn stored(memory: &Arc<Memory>, bytes: Vec<u8>) -> Payload<Chunk> {
    let size_bytes = bytes.len();
    Payload::new(vec![memory.replacement(bytes)], size_bytes)
}

/// Reads the records of a batch and writes those of the batches that it becomes.
fn split(
    compressor: &mut Compressor,
    memory: &Arc<Memory>,
    limit_bytes: usize,
    job: &Split<ClientHost>,
) -> Option<Vec<Part<Chunk>>> {
    let content: Vec<u8> = job.payload.chunks().flatten().copied().collect();
    let records = match job.compression {
        CompressionType::None => content,
        compression => {
            let mut records = Vec::new();
            decompress(compression, &content, limit_bytes, &mut records).ok()?;
            records
        }
    };
    let parts = split_records(&records, job.base_timestamp_ms, &job.cut).ok()?;
    let again = (job.compression, job.level);
    let part = |part: SplitRecords| {
        let compressed = match job.compression {
            CompressionType::None => None,
            _ => smaller(compressor, again, &[&part.bytes]),
        };
        let (compression, bytes) = match compressed {
            Some(bytes) => (job.compression, bytes),
            None => (CompressionType::None, part.bytes),
        };
        Part { payload: stored(memory, bytes), compression, measure: part.measure }
    };
    Some(parts.into_iter().map(part).collect())
}
