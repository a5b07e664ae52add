//! What a producer does, as seen from outside: each file a behaviour, each test a sentence. The
//! engines take these files in and say what they run against.

mod acks;
mod backpressure;
mod bad_input;
mod batching;
mod callbacks;
pub(crate) mod cancellation;
mod compression;
mod console_consumer;
mod contents;
mod executors;
mod flush_close;
mod headers;
mod metrics;
mod ordering;
mod outcomes;
mod partitioning;
mod probe;
mod serializers;
mod splitting;
mod timestamps;
mod topics;
