//! Framings written by others are read, and others read ours.

use std::io::{Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use ottla_codecs::{CodecError, Compressor, decompress};
use ottla_protocol::record::CompressionType;

const LIMIT_BYTES: usize = 16 << 20;

fn content() -> Vec<u8> {
    (0..40_000u32).flat_map(|i| format!("{{\"n\":{},\"m\":{}}}", i, i % 97).into_bytes()).collect()
}

fn read(compression: CompressionType, packed: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    decompress(compression, packed, LIMIT_BYTES, &mut out).map(|()| out)
}

fn write(compression: CompressionType, content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    Compressor::new().compress(&compression.into(), &[content], &mut packed).unwrap();
    packed
}

/// Twenty times a sentence of 37 bytes, as the compressors of the Java client 4.3.1 wrote it.
const WRITTEN_BY_JAVA: [(CompressionType, &str); 4] = [
    (
        CompressionType::Gzip,
        "1f8b08000000000000fff34e4ccb4e54282fca2c492d5628c9c82cd653f0060b15a526a6a08a8c2a1a5534\
         24150100fd24151ee4020000",
    ),
    (
        CompressionType::Snappy,
        "82534e4150505900000000010000000100000041e405484b61666b612077726974657320746869732e2009\
         130c72656164361200fe2500fe2500fe2500fe2500fe2500fe2500fe2500fe2500fe2500fe2500e22500",
    ),
    (
        CompressionType::Lz4,
        "04224d186040822a000000f2044b61666b612077726974657320746869732e2013004a7265616412000f25\
         00ffffa3506869732e2000000000",
    ),
    (
        CompressionType::Zstd,
        "28b52ffd00581c0100b84b61666b612077726974657320746869732e20726561640300b690aa404d491a36\
         c3010000",
    ),
];

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn what_the_java_client_writes_is_read() {
    let sentence = "Kafka writes this. Kafka reads this. ".repeat(20);
    for (compression, hex) in WRITTEN_BY_JAVA {
        assert_eq!(read(compression, &from_hex(hex)).unwrap(), sentence.as_bytes());
    }
}

#[test]
fn lz4_and_snappy_begin_with_the_same_bytes_as_from_the_java_client() {
    for (compression, len) in [(CompressionType::Lz4, 7), (CompressionType::Snappy, 16)] {
        let (_, hex) = WRITTEN_BY_JAVA.iter().find(|(of, _)| *of == compression).unwrap();
        assert_eq!(write(compression, b"any")[..len], from_hex(hex)[..len]);
    }
}

#[test]
fn lz4_frames_of_every_shape_are_read() {
    let content = content();
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        for flags in 0..8 {
            let info = FrameInfo::new()
                .block_mode(BlockMode::Independent)
                .block_size(size)
                .block_checksums(flags & 1 != 0)
                .content_checksum(flags & 2 != 0)
                .content_size((flags & 4 != 0).then_some(content.len() as u64));
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&content).unwrap();
            let packed = encoder.finish().unwrap();
            assert!(read(CompressionType::Lz4, &packed).unwrap() == content, "flags {flags}");
        }
    }
}

#[test]
fn damage_is_seen_by_each_lz4_checksum() {
    let content = content();
    let info = FrameInfo::new().block_checksums(true).content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&content).unwrap();
    let packed = encoder.finish().unwrap();
    for (place, told) in [
        (4, "version"),
        (6, "header's checksum"),
        (1_000, "block's checksum"),
        (packed.len() - 1, "content's checksum"),
    ] {
        let mut damaged = packed.clone();
        damaged[place] ^= 0x40;
        let error = read(CompressionType::Lz4, &damaged).unwrap_err().to_string();
        assert!(error.contains(told), "{error} for byte {place}");
    }
}

#[test]
fn dependent_lz4_blocks_are_refused_as_kafka_refuses_them() {
    let mut encoder =
        FrameEncoder::with_frame_info(FrameInfo::new().block_mode(BlockMode::Linked), Vec::new());
    encoder.write_all(&content()).unwrap();
    let error = read(CompressionType::Lz4, &encoder.finish().unwrap()).unwrap_err();
    assert!(error.to_string().contains("depend on each other"), "{error}");
}

#[test]
fn others_read_our_lz4_and_gzip() {
    let content = content();
    let mut back = Vec::new();
    FrameDecoder::new(&write(CompressionType::Lz4, &content)[..]).read_to_end(&mut back).unwrap();
    assert!(back == content);
    back.clear();
    let packed = write(CompressionType::Gzip, &content);
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
    assert!(back == content);
}

#[test]
fn gzip_members_in_a_row_are_one_content() {
    let content = content();
    let mut packed = Vec::new();
    for part in content.chunks(content.len() / 3) {
        // The builder fills in the optional header fields that plain writers leave out.
        let mut encoder = flate2::GzBuilder::new()
            .filename("part")
            .comment("a comment")
            .extra(*b"extra")
            .write(&mut packed, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    assert!(read(CompressionType::Gzip, &packed).unwrap() == content);
}

#[test]
fn raw_snappy_and_xerial_streams_in_a_row_are_read() {
    let content = content();
    let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    assert!(read(CompressionType::Snappy, &raw).unwrap() == content);

    let (front, rear) = content.split_at(100_000);
    let packed =
        [write(CompressionType::Snappy, front), write(CompressionType::Snappy, rear)].concat();
    assert!(read(CompressionType::Snappy, &packed).unwrap() == content);
}

#[test]
fn zstd_frames_in_a_row_and_frames_without_a_size_are_read() {
    let content = content();
    let (front, rear) = content.split_at(100_000);
    // A skippable frame between the two: its magic, its length, its bytes.
    let skippable = *b"\x50\x2A\x4D\x18\x03\x00\x00\x00abc";
    let packed =
        [&write(CompressionType::Zstd, front)[..], &skippable, &write(CompressionType::Zstd, rear)]
            .concat();
    assert!(read(CompressionType::Zstd, &packed).unwrap() == content);

    let mut context = zstd_safe::CCtx::create();
    let mut unsized_frame = vec![0; content.len()];
    let mut output = zstd_safe::OutBuffer::around(&mut unsized_frame[..]);
    context.compress_stream(&mut output, &mut zstd_safe::InBuffer::around(&content)).unwrap();
    while context.end_stream(&mut output).unwrap() != 0 {}
    let len = output.pos();
    unsized_frame.truncate(len);
    assert_eq!(zstd_safe::get_frame_content_size(&unsized_frame).ok(), Some(None));
    assert!(read(CompressionType::Zstd, &unsized_frame).unwrap() == content);
}

#[test]
fn bytes_after_the_end_are_an_error() {
    for (compression, _) in WRITTEN_BY_JAVA {
        let mut packed = write(compression, b"some content");
        packed.extend_from_slice(b"and more");
        assert!(read(compression, &packed).is_err(), "{compression}");
    }
}
