//! The four codecs of Kafka's record batches (gzip, snappy, lz4, zstd), with the framings that
//! Kafka's own clients and brokers write and read.
//!
//! [`Compressor`] turns the records section of one batch into its compressed form; it keeps its
//! tables and contexts, so a thread that compresses many batches allocates once. [`Decompressor`]
//! and the function [`decompress`] go the other way and treat their input as hostile: the output
//! never grows past the caller's limit, memory is taken in steps that follow the bytes really
//! present and not the size that the input claims, and no input can make them panic.
//!
//! | codec | written | also read |
//! |---|---|---|
//! | gzip | one member (RFC 1952) | several members in a row |
//! | snappy | xerial stream, blocks of 32 KiB | raw snappy, xerial streams in a row |
//! | lz4 | LZ4 frame, independent blocks of 64 KiB, no checksum but the header's | other block sizes, block and content checksums, content size |
//! | zstd | one frame with its content size | several frames, skippable frames, no content size |
//!
//! ```
//! use ottla_codecs::{Codec, Compressor, decompress};
//! use ottla_protocol::record::CompressionType;
//!
//! let codec = Codec::new(CompressionType::Zstd, Some(1))?;
//! let mut compressed = Vec::new();
//! Compressor::new().compress(&codec, &[b"some chunks ", b"of a batch"], &mut compressed)?;
//!
//! let mut records = Vec::new();
//! decompress(CompressionType::Zstd, &compressed, 1024 * 1024, &mut records)?;
//! assert_eq!(records, b"some chunks of a batch");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A frame of *dependent* lz4 blocks and an lz4 dictionary are refused, as Kafka refuses them.
#![warn(missing_docs)]

mod blocks;
mod codec;
mod compressor;
mod decompressor;
mod error;
mod gzip;
mod lz4;
mod room;
mod snappy;
mod xxh32;
mod zstd;

pub use codec::{Codec, LevelError};
pub use compressor::Compressor;
pub use decompressor::{Decompressor, decompress};
pub use error::CodecError;
