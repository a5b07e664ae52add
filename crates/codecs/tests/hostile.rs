//! Damaged and malicious input: an error or other bytes, never a panic, never more than the limit,
//! and no memory for content that is only claimed. (Scenarios Z1 to Z5 of the threat list: zstd
//! and gzip bombs, lz4 with false sizes, snappy with false sizes, stale bytes.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ottla_codecs::{CodecError, Compressor, Decompressor, decompress};
use ottla_protocol::record::CompressionType;
use proptest::prelude::*;

/// Counts what each thread holds, so that tests can run side by side.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `work` gives, and the most memory in bytes that this thread held more during it.
fn with_peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before).max(0) as usize)
}

fn read(
    compression: CompressionType,
    packed: &[u8],
    limit_bytes: usize,
) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let result = decompress(compression, packed, limit_bytes, &mut out);
    assert!(out.len() <= limit_bytes, "{} bytes over a limit of {limit_bytes}", out.len());
    assert!(result.is_ok() || out.is_empty(), "an error leaves nothing behind");
    result.map(|()| out)
}

fn write(compression: CompressionType, content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    Compressor::new().compress(&compression.into(), &[content], &mut packed).unwrap();
    packed
}

fn is_over_limit(result: &Result<Vec<u8>, CodecError>) -> bool {
    matches!(result, Err(CodecError::LimitExceeded { .. }))
}

fn is_corrupt(result: &Result<Vec<u8>, CodecError>) -> bool {
    matches!(result, Err(CodecError::Corrupt { .. }))
}

const CODECS: [CompressionType; 4] =
    [CompressionType::Gzip, CompressionType::Snappy, CompressionType::Lz4, CompressionType::Zstd];
const MIB: usize = 1 << 20;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic_or_pass_the_limit(
        compression in prop::sample::select(&CODECS[..]),
        begins_well in any::<bool>(),
        tail in prop::collection::vec(any::<u8>(), 0..600),
        limit in 0..5_000usize,
    ) {
        let mut packed = Vec::new();
        if begins_well {
            // As much of a real header as there is before the content begins.
            let len = match compression {
                CompressionType::Gzip => 10,
                CompressionType::Snappy => 16,
                CompressionType::Lz4 => 7,
                _ => 4,
            };
            packed.extend_from_slice(&write(compression, b"content")[..len]);
        }
        packed.extend_from_slice(&tail);
        let (result, peak) = with_peak(|| read(compression, &packed, limit));
        prop_assert!(peak <= limit * 2 + 16 * 1024, "{peak} bytes for {result:?}");
    }

    #[test]
    fn flipped_bits_never_panic_or_pass_the_limit(
        compression in prop::sample::select(&CODECS[..]),
        content in prop::collection::vec(prop::sample::select(&b"abcde{}\":,"[..]), 1..3_000),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..5),
    ) {
        let mut packed = write(compression, &content);
        for (place, bit) in flips {
            let place = place.index(packed.len());
            packed[place] ^= 1 << bit;
        }
        let _ = read(compression, &packed, content.len());
    }

    #[test]
    fn cut_input_never_panics_and_never_gives_the_whole(
        compression in prop::sample::select(&CODECS[..]),
        content in prop::collection::vec(any::<u8>(), 1..3_000),
        cut in any::<prop::sample::Index>(),
    ) {
        let packed = write(compression, &content);
        let kept = cut.index(packed.len());
        let result = read(compression, &packed[..kept], content.len());
        prop_assert!(result != Ok(content), "cut to {kept} of {}", packed.len());
    }

    #[test]
    fn damage_in_one_batch_does_not_reach_the_next(
        compression in prop::sample::select(&CODECS[..]),
        noise in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let mut decompressor = Decompressor::new();
        let mut out = Vec::new();
        let mut damaged = write(compression, b"the first batch of the two");
        let middle = damaged.len() / 2;
        damaged.splice(middle.., noise);
        let _ = decompressor.decompress(compression, &damaged, 1_000, &mut out);
        out.clear();
        let whole = write(compression, b"the second batch");
        decompressor.decompress(compression, &whole, 1_000, &mut out).unwrap();
        prop_assert_eq!(out, b"the second batch");
    }
}

#[test]
fn no_bytes_at_all_are_damage() {
    for compression in CODECS {
        assert!(is_corrupt(&read(compression, &[], 100)), "{compression}");
    }
}

/// Laws: L11. Scenarios: Z1, Z2, bug-61.
#[test]
fn bombs_stop_at_the_limit_and_take_no_more_memory_than_it() {
    let content = vec![0; 64 * MIB];
    for compression in CODECS {
        let packed = write(compression, &content);
        let (result, peak) = with_peak(|| read(compression, &packed, MIB));
        assert!(is_over_limit(&result), "{compression}");
        // A vector that grows holds its old and its new place for a moment.
        assert!(peak <= 2 * MIB + 64 * 1024, "{compression} held {peak} bytes");
    }
}

/// Laws: L11. Scenarios: Z2, bug-61.
#[test]
fn bombs_in_many_small_gzip_members_stop_at_the_limit() {
    let member = write(CompressionType::Gzip, &[0; 10_000]);
    let packed = member.repeat(1_000);
    let (result, peak) = with_peak(|| read(CompressionType::Gzip, &packed, MIB));
    assert!(is_over_limit(&result));
    assert!(peak <= 2 * MIB + 64 * 1024, "{peak} bytes");
    assert_eq!(read(CompressionType::Gzip, &packed, 10_000_000).unwrap().len(), 10_000_000);
}

#[test]
fn a_gzip_member_that_lies_about_its_size_is_damage() {
    let mut packed = write(CompressionType::Gzip, &[7; 100]);
    let len = packed.len();
    packed[len - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    let (result, peak) = with_peak(|| read(CompressionType::Gzip, &packed, 64 * MIB));
    assert!(is_corrupt(&result));
    assert!(peak <= 256 * 1024, "{peak} bytes for a claim of four gigabytes");
}

/// Laws: L11. Scenarios: Z1, bug-61.
#[test]
fn a_zstd_frame_that_claims_64_gib_is_refused_at_once() {
    // Magic, a descriptor that says "size in 8 bytes, one segment", the size, one last empty block.
    let mut packed = b"\x28\xB5\x2F\xFD\xE0".to_vec();
    packed.extend_from_slice(&(64u64 << 30).to_le_bytes());
    packed.extend_from_slice(&[1, 0, 0]);
    let (result, peak) = with_peak(|| read(CompressionType::Zstd, &packed, 64 * MIB));
    assert!(is_over_limit(&result));
    assert!(peak <= 64 * 1024, "{peak} bytes");
}

#[test]
fn a_zstd_frame_with_a_claim_under_the_limit_gets_memory_only_as_it_fills_it() {
    let mut packed = b"\x28\xB5\x2F\xFD\xE0".to_vec();
    packed.extend_from_slice(&(60u64 << 20).to_le_bytes());
    packed.extend_from_slice(&[1, 0, 0]);
    let (result, peak) = with_peak(|| read(CompressionType::Zstd, &packed, 64 * MIB));
    assert!(is_corrupt(&result), "{result:?}");
    assert!(peak <= 256 * 1024, "{peak} bytes for a claim of 60 MiB");
}

#[test]
fn a_zstd_frame_that_asks_for_a_huge_window_gets_none() {
    // No single segment: the window descriptor 0x88 asks for 2^27 bytes; one stored block.
    let packed = b"\x28\xB5\x2F\xFD\x00\x88\x19\x00\x00abc";
    assert_eq!(read(CompressionType::Zstd, packed, 100).unwrap(), b"abc");
}

/// Laws: L11. Scenarios: Z4, bug-60.
#[test]
fn snappy_that_claims_more_than_its_bytes_can_hold_is_refused() {
    // The length 2^32-1 as a varint, then one literal byte.
    let raw = b"\xFF\xFF\xFF\xFF\x0F\x00a";
    assert!(is_over_limit(&read(CompressionType::Snappy, raw, 64 * MIB)));
    let (result, peak) = with_peak(|| read(CompressionType::Snappy, raw, usize::MAX));
    assert!(is_corrupt(&result));
    assert!(peak <= 16 * 1024, "{peak} bytes for a claim of four gigabytes");
}

/// Laws: L11. Scenarios: Z4.
#[test]
fn xerial_blocks_with_false_lengths_are_damage() {
    let whole = write(CompressionType::Snappy, b"content");
    for length in [0u32, 1, 5, 0x7FFF_FFFF, 0xFFFF_FFFF] {
        let mut packed = whole.clone();
        packed[16..20].copy_from_slice(&length.to_be_bytes());
        assert!(is_corrupt(&read(CompressionType::Snappy, &packed, 1_000)), "length {length}");
    }
    let mut unknown_version = whole;
    unknown_version[15] = 0;
    assert!(is_corrupt(&read(CompressionType::Snappy, &unknown_version, 1_000)));
}

/// Laws: L11. Scenarios: Z3.
#[test]
fn lz4_blocks_with_false_lengths_are_damage() {
    let whole = write(CompressionType::Lz4, &[b'x'; 1_000]);
    for length in [1u32, 5, 65_537, 0x7FFF_FFFF, 0xFFFF_FFFF] {
        let mut packed = whole.clone();
        packed[7..11].copy_from_slice(&length.to_le_bytes());
        assert!(is_corrupt(&read(CompressionType::Lz4, &packed, 10_000)), "length {length}");
    }
}

/// Laws: L11. Scenarios: Z3.
#[test]
fn an_lz4_block_that_fills_more_than_its_frame_allows_is_damage() {
    // One literal, then a match of 100,000 bytes in a frame of 64 KiB blocks.
    let mut block = vec![0x1F, b'x', 1, 0];
    block.extend_from_slice(&[255; 392]);
    block.extend_from_slice(&[0, 0x50, b'y', b'y', b'y', b'y', b'y']);
    let mut packed = write(CompressionType::Lz4, b"")[..7].to_vec();
    packed.extend_from_slice(&(block.len() as u32).to_le_bytes());
    packed.extend_from_slice(&block);
    packed.extend_from_slice(&[0; 4]);
    let result = read(CompressionType::Lz4, &packed, MIB);
    assert!(is_corrupt(&result), "{result:?}");
    assert!(is_over_limit(&read(CompressionType::Lz4, &packed, 50_000)));
}

/// Laws: L11. Scenarios: Z5, bug-60.
#[test]
fn bytes_of_an_earlier_batch_never_show() {
    let mut decompressor = Decompressor::new();
    for compression in CODECS {
        let mut out = vec![b'S'; MIB];
        out.clear();
        let packed = write(compression, &[b'x'; 500]);
        decompressor.decompress(compression, &packed, 10_000, &mut out).unwrap();
        assert_eq!(out, [b'x'; 500]);
        // A match that reaches behind the beginning of the content must not find the old bytes.
        if compression == CompressionType::Lz4 {
            let mut reaching = packed[..7].to_vec();
            reaching.extend_from_slice(&6u32.to_le_bytes());
            reaching.extend_from_slice(&[0x11, b'a', 200, 0, 0x10, b'b']);
            reaching.extend_from_slice(&[0; 4]);
            let result = decompressor.decompress(compression, &reaching, 10_000, &mut out);
            assert!(result.is_err());
            assert_eq!(out, [b'x'; 500]);
        }
    }
}
