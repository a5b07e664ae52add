//! What cannot be saved: one thread that encodes records, checksums and compresses batches, and
//! writes them to a socket that somebody empties. No client, no locks, no answers.

use std::error::Error;
use std::io::{IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use bench_workload::{Item, Latencies, Meter, Source, Whose, Workload};
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Ottla's own default.
const BATCH_BYTES: usize = 128 * 1024;
/// The header of a record batch, and about as much of a request round it.
const HEADER_BYTES: usize = 61 + 40;
/// Where in the batch's header the part begins that its checksum covers.
const CHECKED_FROM: usize = 21;
/// Kafka's lz4 frames are made of blocks of this size.
const BLOCK_BYTES: usize = 64 * 1024;

struct Batch {
    bytes: Vec<u8>,
    records: i64,
}

struct Limit {
    batches: Vec<Batch>,
    batch_bytes: usize,
    /// The partition that records without a key go to, until its batch is full.
    sticky: usize,
    table: Option<CompressTable>,
    compressed: Vec<u8>,
    socket: TcpStream,
}

fn main() -> Result<(), Box<dyn Error>> {
    let workload = Workload::from_args()?;
    let table = match workload.codec.as_str() {
        "none" => None,
        "lz4" => Some(CompressTable::default()),
        other => return Err(format!("limit knows the codecs none and lz4, not {other}").into()),
    };
    if workload.rate > 0 || workload.threads > 1 {
        return Err("limit is one thread that goes as fast as it can".into());
    }
    let batch_bytes = workload.batch_bytes.unwrap_or(BATCH_BYTES);
    let with_room = || Batch { bytes: Vec::with_capacity(batch_bytes * 2), records: 0 };
    let mut limit = Limit {
        batches: (0..workload.partitions).map(|_| with_room()).collect(),
        batch_bytes,
        sticky: 0,
        table,
        compressed: Vec::with_capacity(batch_bytes * 2),
        socket: drained()?,
    };
    let source = Source::new(&workload);
    limit.run(&source, workload.warmup)?;
    let meter = Meter::begin(Whose::Thread)?;
    limit.run(&source, workload.records)?;
    let outcome = meter.end("limit", &workload)?;
    outcome.print(0, 0, &Latencies::new()?, None)?;
    Ok(())
}

/// A socket whose other end is read and forgotten.
fn drained() -> std::io::Result<TcpStream> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    std::thread::spawn(move || {
        let mut space = vec![0; 1024 * 1024];
        while other.read(&mut space).is_ok_and(|len| len > 0) {}
    });
    Ok(socket)
}

impl Limit {
    fn run(&mut self, source: &Source, records: u64) -> std::io::Result<()> {
        for number in 0..records {
            let item = source.item(number);
            let partition = match item.key {
                Some(key) => (murmur2(key.as_bytes()) & 0x7FFF_FFFF) as usize % self.batches.len(),
                None => self.sticky,
            };
            let batch = &mut self.batches[partition];
            encode(batch, &item);
            if batch.bytes.len() >= self.batch_bytes {
                self.send(partition)?;
                self.sticky = (partition + 1) % self.batches.len();
            }
        }
        (0..self.batches.len()).try_for_each(|partition| self.send(partition))
    }

    fn send(&mut self, partition: usize) -> std::io::Result<()> {
        let batch = &mut self.batches[partition];
        let bytes = match &mut self.table {
            None => &batch.bytes,
            Some(table) => {
                compress(&batch.bytes, table, &mut self.compressed);
                &self.compressed
            }
        };
        let mut header = [0; HEADER_BYTES];
        header[57..61].copy_from_slice(&(batch.records as i32).to_be_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&header[CHECKED_FROM..61]), bytes);
        header[17..21].copy_from_slice(&sum.to_be_bytes());
        let mut pieces = [IoSlice::new(&header), IoSlice::new(bytes)];
        let mut rest = &mut pieces[..];
        while !rest.is_empty() {
            let written = self.socket.write_vectored(rest)?;
            IoSlice::advance_slices(&mut rest, written);
        }
        batch.bytes.clear();
        batch.records = 0;
        Ok(())
    }
}

/// A record as it is in a batch of version 2. All have the batch's timestamp.
fn encode(batch: &mut Batch, item: &Item<'_>) {
    let (out, number) = (&mut batch.bytes, batch.records);
    batch.records += 1;
    let key_len = item.key.map_or(-1, |key| key.len() as i64);
    let value_len = item.value.len() as i64;
    let lens = varint_len(number) + varint_len(key_len) + varint_len(value_len);
    // Attributes, timestamp and header count take a byte each.
    let len = 3 + lens + item.key.map_or(0, str::len) + item.value.len();
    put_varint(out, len as i64);
    out.extend_from_slice(&[0, 0]);
    put_varint(out, number);
    put_varint(out, key_len);
    out.extend_from_slice(item.key.unwrap_or_default().as_bytes());
    put_varint(out, value_len);
    out.extend_from_slice(item.value);
    out.push(0);
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn varint_len(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Blocks with their lengths, which is what an lz4 frame has but for a few bytes.
fn compress(bytes: &[u8], table: &mut CompressTable, out: &mut Vec<u8>) {
    out.clear();
    for block in bytes.chunks(BLOCK_BYTES) {
        let start = out.len();
        out.resize(start + 4 + get_maximum_output_size(block.len()), 0);
        // There is room for the worst case, so that it cannot fail.
        let len = compress_into_with_table(block, &mut out[start + 4..], table).unwrap_or(0);
        out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
        out.truncate(start + 4 + len);
    }
}

/// Kafka's hash of a key (MurmurHash2 with Kafka's seed).
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let mut hash = 0x9747_B28C ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_kafkas() {
        // From Kafka's own unit test of its hash.
        assert_eq!(murmur2(b"21") as i32, -973_932_308);
        assert_eq!(murmur2(b"foobar") as i32, -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string") as i32, -985_981_536);
    }
}
