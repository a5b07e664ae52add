//! The header of a record batch.

use super::{CompressionType, RecordError, UnknownCompression, crc32c, crc32c_append};

const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;

/// Who gave a batch its timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer: each record has its own.
    CreateTime,
    /// The broker on append: the batch's max timestamp holds for each record.
    LogAppendTime,
}

/// The 61 bytes that open a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; producers write 0.
    pub base_offset: i64,
    /// Bytes from [`BatchHeader::LENGTH_END`] to the end of the batch.
    pub batch_length: i32,
    /// The leader epoch at append; producers write -1.
    pub partition_leader_epoch: i32,
    /// The record format, 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes to the end of the batch.
    pub crc: u32,
    /// Compression (bits 0-2), timestamp type (3), transactional (4), control (5), whether the base
    /// timestamp is a delete horizon (6).
    pub attributes: i16,
    /// Offset of the last record, counted from the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, in milliseconds since the Unix epoch.
    pub base_timestamp: i64,
    /// The greatest timestamp in the batch, in milliseconds since the Unix epoch.
    pub max_timestamp: i64,
    /// The producer id, -1 without idempotence.
    pub producer_id: i64,
    /// The producer epoch, -1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 without idempotence.
    pub base_sequence: i32,
    /// How many records follow.
    pub record_count: i32,
}

impl BatchHeader {
    /// Bytes of the header.
    pub const SIZE: usize = 61;
    /// The record format that this crate reads and writes.
    pub const MAGIC: i8 = 2;
    /// Where the field `batch_length` ends and what it counts begins.
    pub const LENGTH_END: usize = 12;
    /// Where the field `crc` stands.
    pub const CRC_OFFSET: usize = 17;
    /// Where the field `attributes` stands and what the checksum covers begins.
    pub const ATTRIBUTES_OFFSET: usize = 21;

    /// Reads a header; nothing but the presence of its bytes is checked.
    ///
    /// # Errors
    /// When fewer than [`BatchHeader::SIZE`] bytes are there.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let header = bytes.first_chunk::<{ Self::SIZE }>().ok_or(RecordError::Truncated {
            what: "batch header",
            needed: Self::SIZE,
            remaining: bytes.len(),
        })?;
        Ok(Self {
            base_offset: i64::from_be_bytes(part(header, 0)),
            batch_length: i32::from_be_bytes(part(header, 8)),
            partition_leader_epoch: i32::from_be_bytes(part(header, 12)),
            magic: i8::from_be_bytes(part(header, 16)),
            crc: u32::from_be_bytes(part(header, Self::CRC_OFFSET)),
            attributes: i16::from_be_bytes(part(header, Self::ATTRIBUTES_OFFSET)),
            last_offset_delta: i32::from_be_bytes(part(header, 23)),
            base_timestamp: i64::from_be_bytes(part(header, 27)),
            max_timestamp: i64::from_be_bytes(part(header, 35)),
            producer_id: i64::from_be_bytes(part(header, 43)),
            producer_epoch: i16::from_be_bytes(part(header, 51)),
            base_sequence: i32::from_be_bytes(part(header, 53)),
            record_count: i32::from_be_bytes(part(header, 57)),
        })
    }

    /// Writes the header as it stands, the checksum included.
    pub fn write(&self, out: &mut [u8; Self::SIZE]) {
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// Sets [`BatchHeader::batch_length`] and [`BatchHeader::crc`] for a records section in these
    /// chunks and gives back the bytes of the header.
    ///
    /// # Errors
    /// When the batch would be longer than its length field can say.
    pub fn seal<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Result<[u8; Self::SIZE], RecordError> {
        let records_bytes: usize = records.clone().into_iter().map(<[u8]>::len).sum();
        self.batch_length = i32::try_from(records_bytes + Self::SIZE - Self::LENGTH_END)
            .map_err(|_| RecordError::Length { what: "batch length", value: i32::MAX })?;
        let mut out = [0; Self::SIZE];
        self.write(&mut out);
        let start = crc32c(&out[Self::ATTRIBUTES_OFFSET..]);
        self.crc = records.into_iter().fold(start, crc32c_append);
        out[Self::CRC_OFFSET..Self::ATTRIBUTES_OFFSET].copy_from_slice(&self.crc.to_be_bytes());
        Ok(out)
    }

    /// Bytes of the whole batch, header included, when the length field makes sense.
    pub fn size_bytes(&self) -> Option<usize> {
        let length = usize::try_from(self.batch_length).ok()?;
        (length >= Self::SIZE - Self::LENGTH_END).then_some(length + Self::LENGTH_END)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// When the attributes name a type that does not exist.
    pub fn compression(&self) -> Result<CompressionType, UnknownCompression> {
        CompressionType::from_attributes(self.attributes)
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds a commit or abort marker rather than records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// From when on compaction may remove the batch's tombstones, or its marker, in milliseconds
    /// since the Unix epoch; `None` until compaction has come across them (KIP-534).
    ///
    /// It stands where the base timestamp does, and the records' timestamp deltas count from it.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// Sets the delete horizon, and with it the base timestamp: the deltas of all records have to
    /// be written anew.
    pub fn set_delete_horizon_ms(&mut self, horizon_ms: i64) {
        self.attributes |= DELETE_HORIZON_BIT;
        self.base_timestamp = horizon_ms;
    }

    /// Takes the delete horizon back from a batch without records.
    pub fn clear_delete_horizon(&mut self) {
        self.attributes &= !DELETE_HORIZON_BIT;
    }

    /// Who gave the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// The attributes for a batch of these properties.
    pub fn attributes_of(
        compression: CompressionType,
        timestamp_type: TimestampType,
        transactional: bool,
        control: bool,
    ) -> i16 {
        let bit = |set: bool, bit: i16| if set { bit } else { 0 };
        compression as i16
            | bit(timestamp_type == TimestampType::LogAppendTime, TIMESTAMP_TYPE_BIT)
            | bit(transactional, TRANSACTIONAL_BIT)
            | bit(control, CONTROL_BIT)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }
}

/// `N` bytes at a constant place; the header's size makes every place valid.
fn part<const N: usize>(header: &[u8; BatchHeader::SIZE], at: usize) -> [u8; N] {
    core::array::from_fn(|index| header[at + index])
}

/// Checks the batch at the start of `bytes`: its length, its format and its checksum.
///
/// More bytes may follow; [`BatchHeader::size_bytes`] says where they begin. The records
/// themselves are not looked at.
///
/// # Errors
/// When the batch is cut short, of another format, or not what its checksum says.
pub fn validate_batch(bytes: &[u8]) -> Result<BatchHeader, RecordError> {
    let header = BatchHeader::read(bytes)?;
    if header.magic != BatchHeader::MAGIC {
        return Err(RecordError::Magic(header.magic));
    }
    let size = header.size_bytes().ok_or(RecordError::BatchLength(header.batch_length))?;
    let batch = bytes.get(..size).ok_or(RecordError::Truncated {
        what: "batch",
        needed: size,
        remaining: bytes.len(),
    })?;
    let computed = crc32c(&batch[BatchHeader::ATTRIBUTES_OFFSET..]);
    if computed != header.crc {
        return Err(RecordError::Crc { stored: header.crc, computed });
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn batch() -> (BatchHeader, Vec<u8>) {
        let mut header = BatchHeader {
            base_offset: 0x0102_0304_0506_0708,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0x13,
            last_offset_delta: 6,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_009,
            producer_id: 1000,
            producer_epoch: 3,
            base_sequence: 42,
            record_count: 7,
        };
        let mut bytes = header.seal([&b"rec"[..], b"ords"]).unwrap().to_vec();
        bytes.extend_from_slice(b"records");
        (header, bytes)
    }

    #[test]
    fn a_sealed_header_is_valid_and_reads_back() {
        let (header, bytes) = batch();
        assert_eq!(validate_batch(&bytes), Ok(header));
        assert_eq!(header.size_bytes(), Some(68));
        assert_eq!(header.compression(), Ok(CompressionType::Lz4));
        assert!(header.is_transactional() && !header.is_control());
        assert_eq!(header.last_offset(), 0x0102_0304_0506_070e);
    }

    #[test]
    fn bytes_after_the_batch_are_not_its_concern() {
        let (header, mut bytes) = batch();
        bytes.extend_from_slice(b"the next batch");
        assert_eq!(validate_batch(&bytes), Ok(header));
    }

    #[test]
    fn every_flipped_byte_that_the_checksum_covers_is_noticed() {
        let (_, bytes) = batch();
        for index in BatchHeader::CRC_OFFSET..bytes.len() {
            let mut broken = bytes.clone();
            broken[index] ^= 0x40;
            assert!(matches!(validate_batch(&broken), Err(RecordError::Crc { .. })), "{index}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (_, bytes) = batch();
        for length in 0..bytes.len() {
            assert!(
                matches!(validate_batch(&bytes[..length]), Err(RecordError::Truncated { .. })),
                "{length}"
            );
        }
    }

    #[test]
    fn older_formats_and_impossible_lengths_are_named() {
        let (_, mut bytes) = batch();
        bytes[16] = 1;
        assert_eq!(validate_batch(&bytes), Err(RecordError::Magic(1)));
        bytes[16] = 2;
        for length in [-1, 0, 48, i32::MIN] {
            bytes[8..12].copy_from_slice(&i32::to_be_bytes(length));
            assert_eq!(validate_batch(&bytes), Err(RecordError::BatchLength(length)));
        }
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(matches!(validate_batch(&bytes), Err(RecordError::Truncated { .. })));
    }

    #[test]
    fn a_delete_horizon_stands_in_the_place_of_the_base_timestamp() {
        let (mut header, _) = batch();
        assert_eq!(header.delete_horizon_ms(), None);
        header.set_delete_horizon_ms(5);
        assert_eq!((header.attributes, header.base_timestamp), (0x53, 5));
        assert_eq!(header.delete_horizon_ms(), Some(5));
        header.clear_delete_horizon();
        assert_eq!((header.delete_horizon_ms(), header.attributes), (None, 0x13));
    }

    #[test]
    fn attributes_say_what_they_were_made_of() {
        let attributes = BatchHeader::attributes_of(
            CompressionType::Zstd,
            TimestampType::LogAppendTime,
            false,
            true,
        );
        assert_eq!(attributes, 0x2c);
        let header = BatchHeader { attributes, ..batch().0 };
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert!(header.is_control() && !header.is_transactional());
    }
}
