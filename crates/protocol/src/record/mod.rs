//! Record batches, version 2 of Kafka's record format.
//!
//! A batch on the wire and in the log, all numbers big-endian:
//!
//! ```text
//!  0 base offset        i64   offset of the first record
//!  8 batch length       i32   bytes from the next field to the end of the batch
//! 12 partition leader epoch i32
//! 16 magic              i8    2
//! 17 crc                u32   CRC-32C of everything from the attributes to the end
//! 21 attributes         i16   bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control
//! 23 last offset delta  i32
//! 27 base timestamp     i64
//! 35 max timestamp      i64
//! 43 producer id        i64
//! 51 producer epoch     i16
//! 53 base sequence      i32
//! 57 record count       i32
//! 61 records                  compressed as a whole when the attributes say so
//! ```
//!
//! A record, the numbers zigzag variable-length integers: body length, attributes (one byte,
//! 0), timestamp delta, offset delta, key length (-1 null) and key, value length (-1 null) and
//! value, header count, and for each header key length, key, value length (-1 null) and value.

mod batch;
mod checksum;
mod compression;
mod parts;
mod reader;
pub mod varint;

pub use batch::{BatchHeader, TimestampType, validate_batch};
pub use checksum::{crc32c, crc32c_append};
pub use compression::{CompressionType, ParseCompressionError, UnknownCompression};
pub use parts::{Header, RecordParts};
pub use reader::{HeaderView, Headers, RecordReader, RecordView};

/// Why bytes are not a record batch or not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end before the value does.
    #[error("{what} needs {needed} bytes, {remaining} remain")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that are there.
        remaining: usize,
    },
    /// The length in a batch header is too small for the header itself.
    #[error("batch length {0} is too small for a batch header")]
    BatchLength(i32),
    /// A record format other than version 2.
    #[error("record format (magic) {0}, not 2")]
    Magic(i8),
    /// The checksum does not fit the content.
    #[error("checksum {computed:#010x}, but the batch says {stored:#010x}")]
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The attributes name a compression that does not exist.
    #[error(transparent)]
    Compression(#[from] UnknownCompression),
    /// A length or count that is not possible.
    #[error("{what} is {value}")]
    Length {
        /// What was being read.
        what: &'static str,
        /// The value that was found.
        value: i32,
    },
    /// A variable-length integer with more bytes or bits than its type has.
    #[error("variable-length integer of {what} is too long")]
    OverlongVarint {
        /// What was being read.
        what: &'static str,
    },
    /// A record that does not fill the length it announced.
    #[error("record leaves {0} of its bytes unread")]
    RecordSize(usize),
}
