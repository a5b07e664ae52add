//! The four codecs: what is no compressed content is an error, what unpacks to more than it may
//! stops there, and what we pack unpacks to the same.

use ottla_codecs::{Compressor, decompress};
use ottla_protocol::record::CompressionType;

use crate::memory::with_peak;

const LIMIT_BYTES: usize = 64 << 10;

fn unpack(compression: CompressionType, data: &[u8]) {
    let (out, peak) = with_peak(|| {
        let mut out = Vec::new();
        let result = decompress(compression, data, LIMIT_BYTES, &mut out);
        assert!(out.len() <= LIMIT_BYTES, "{} bytes", out.len());
        assert!(result.is_ok() || out.is_empty(), "an error leaves nothing behind");
        result.ok().map(|()| out)
    });
    // A vector that grows holds its old and its new place for a moment.
    let allowed = 3 * LIMIT_BYTES + 8 * data.len() + (64 << 10);
    assert!(peak <= allowed, "{peak} bytes for {}", data.len());
    drop(out);
    let mut packed = Vec::new();
    let mut compressor = Compressor::new();
    compressor.compress(&compression.into(), &[data], &mut packed).expect("anything can be packed");
    let mut again = Vec::new();
    decompress(compression, &packed, data.len(), &mut again).expect("what we packed");
    assert!(again == data, "it came back as another");
}

fn seed(compression: CompressionType) -> Vec<Vec<u8>> {
    let contents: [&[u8]; 4] =
        [b"", b"content", &[b'x'; 5000], b"{\"event\":1}{\"event\":2}{\"e\":3}"];
    contents
        .map(|content| {
            let mut packed = Vec::new();
            let packing = Compressor::new().compress(&compression.into(), &[content], &mut packed);
            packing.expect("anything can be packed");
            packed
        })
        .to_vec()
}

macro_rules! codec {
    ($run:ident, $seeds:ident, $compression:expr) => {
        pub(crate) fn $run(data: &[u8]) {
            unpack($compression, data);
        }
        pub(crate) fn $seeds() -> Vec<Vec<u8>> {
            seed($compression)
        }
    };
}

codec!(gzip, gzip_seeds, CompressionType::Gzip);
codec!(snappy, snappy_seeds, CompressionType::Snappy);
codec!(lz4, lz4_seeds, CompressionType::Lz4);
codec!(zstd, zstd_seeds, CompressionType::Zstd);
