//! What is compressed comes back, however it was chunked and however hard the codec tried.

use ottla_codecs::{Codec, Compressor, decompress};
use ottla_protocol::record::CompressionType;
use proptest::prelude::*;

/// Content as batches have it: repetitive, random, empty, and in between.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(prop::sample::select(WORDS), 0..6_000)
        .prop_map(|words| words.concat().into_bytes());
    let random = (any::<u32>(), 0..200_000usize).prop_map(|(seed, len)| noise(seed, len));
    let plateau = (any::<u8>(), 0..400_000usize).prop_map(|(byte, len)| vec![byte; len]);
    let few = prop::collection::vec(any::<u8>(), 0..40);
    let mixed =
        (words.clone(), random.clone()).prop_map(|(words, random)| [words, random].concat());
    prop_oneof![3 => words, 1 => random, 1 => plateau, 1 => few, 1 => mixed]
}

const WORDS: &[&str] =
    &["{\"user\":", "\"id\":", "1234", "click", "page", ",", "}", "\u{e9}t\u{e9}", " "];

fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

fn codec() -> impl Strategy<Value = Codec> {
    use CompressionType::{Gzip, Lz4, None as Plain, Snappy, Zstd};
    let levels = |compression, levels: core::ops::RangeInclusive<i32>| {
        prop::option::of(levels).prop_map(move |level| Codec::new(compression, level).unwrap())
    };
    prop_oneof![
        Just(Codec::NONE),
        Just(Codec::from(Plain)),
        Just(Codec::from(Snappy)),
        levels(Gzip, 1..=9),
        levels(Lz4, 1..=17),
        // The highest levels take seconds on this much; the lowest are all alike.
        levels(Zstd, -7..=12),
    ]
}

/// `bytes` cut in pieces whose lengths repeat `sizes`.
fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(*size));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn content_survives_in_any_chunks(
        codec in codec(),
        content in content(),
        sizes in prop::collection::vec(prop_oneof![1..200usize, 1_000..90_000usize], 1..6),
    ) {
        // One long cut keeps a list of tiny ones from making a million chunks.
        let sizes: Vec<usize> = sizes.into_iter().chain([50_000]).collect();
        let mut packed = b"before".to_vec();
        let mut compressor = Compressor::new();
        compressor.compress(&codec, &cut(&content, &sizes), &mut packed).unwrap();
        prop_assert_eq!(&packed[..6], b"before", "what was in the buffer stays");

        let mut back = b"ahead".to_vec();
        decompress(codec.compression, &packed[6..], content.len(), &mut back).unwrap();
        prop_assert_eq!(&back[..5], b"ahead");
        prop_assert!(back[5..] == content, "content differs");
    }

    #[test]
    fn a_limit_one_byte_short_is_an_error_that_leaves_no_trace(
        codec in codec(),
        content in content(),
    ) {
        prop_assume!(!content.is_empty());
        let mut packed = Vec::new();
        Compressor::new().compress(&codec, &[&content], &mut packed).unwrap();
        let mut back = b"ahead".to_vec();
        let error = decompress(codec.compression, &packed, content.len() - 1, &mut back);
        prop_assert!(error.unwrap_err().to_string().contains("more than the limit"));
        prop_assert_eq!(back, b"ahead");
    }
}

#[test]
fn one_compressor_serves_many_batches_codecs_and_levels() {
    let mut compressor = Compressor::new();
    let first = "one record after the other, ".repeat(3_000).into_bytes();
    let second = noise(3, 100_000);
    for round in 0..3 {
        for compression in all() {
            for (content, level) in [(&first, Some(1)), (&second, Some(5)), (&first, None)] {
                let codec = Codec::new(compression, level).unwrap_or_else(|_| compression.into());
                let mut packed = Vec::new();
                compressor.compress(&codec, &[&content[..]], &mut packed).unwrap();
                let mut back = Vec::new();
                decompress(compression, &packed, content.len(), &mut back).unwrap();
                assert!(back == *content, "{compression} differs in round {round}");
            }
        }
    }
}

#[test]
fn levels_change_what_is_written_where_a_codec_has_them() {
    let content: Vec<u8> = (0..5_000u32)
        .flat_map(|i| format!("{}{:x};", WORDS[i as usize % 9], i * i).into_bytes())
        .collect();
    let size = |compression, level| {
        let mut packed = Vec::new();
        let codec = Codec::new(compression, Some(level)).unwrap();
        Compressor::new().compress(&codec, &[&content], &mut packed).unwrap();
        packed.len()
    };
    assert!(size(CompressionType::Gzip, 9) < size(CompressionType::Gzip, 1));
    assert!(size(CompressionType::Zstd, 19) < size(CompressionType::Zstd, -50));
    assert_eq!(size(CompressionType::Lz4, 17), size(CompressionType::Lz4, 1), "one compressor");
    assert_eq!(size(CompressionType::Gzip, -1), size(CompressionType::Gzip, 6));
}

/// Laws: L2. Scenarios: #122.
#[test]
fn the_highest_levels_work() {
    let content = WORDS.concat().repeat(100).into_bytes();
    for level in [22, -131_072] {
        let codec = Codec::new(CompressionType::Zstd, Some(level)).unwrap();
        let mut packed = Vec::new();
        Compressor::new().compress(&codec, &[&content], &mut packed).unwrap();
        let mut back = Vec::new();
        decompress(CompressionType::Zstd, &packed, content.len(), &mut back).unwrap();
        assert!(back == content);
    }
}

#[test]
fn an_empty_records_section_survives() {
    for compression in all() {
        for chunks in [&[][..], &[&[][..]], &[&[][..], &[][..]]] {
            let mut packed = Vec::new();
            Compressor::new().compress(&compression.into(), chunks, &mut packed).unwrap();
            let mut back = Vec::new();
            decompress(compression, &packed, 0, &mut back).unwrap();
            assert!(back.is_empty());
        }
    }
}

#[test]
fn compressors_and_errors_may_move_between_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<Compressor>();
    sendable::<ottla_codecs::Decompressor>();
    sendable::<ottla_codecs::CodecError>();
}

fn all() -> [CompressionType; 5] {
    use CompressionType::{Gzip, Lz4, None as Plain, Snappy, Zstd};
    [Plain, Gzip, Snappy, Lz4, Zstd]
}
