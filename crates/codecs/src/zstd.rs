//! Zstandard through its C library, with one compression context kept for all batches.

use ottla_protocol::record::CompressionType;
use zstd_safe::zstd_sys::{ZSTD_EndDirective, ZSTD_ErrorCode};
use zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective};

use crate::error::CodecError;
use crate::room;

pub(crate) struct Encoder {
    context: CCtx<'static>,
}

fn failed(code: usize) -> CodecError {
    CodecError::failed(CompressionType::Zstd, zstd_safe::get_error_name(code))
}

impl Encoder {
    pub(crate) fn new() -> Result<Self, CodecError> {
        let context = CCtx::try_create()
            .ok_or_else(|| CodecError::failed(CompressionType::Zstd, "no memory for a context"))?;
        Ok(Self { context })
    }

    /// Writes one frame. Its size is told to the library beforehand, so the frame carries it and
    /// no more memory is used than a batch of that size needs, at any level.
    pub(crate) fn compress(
        &mut self,
        chunks: &[&[u8]],
        level: i32,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let total: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let context = &mut self.context;
        context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        context.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
        context.set_pledged_src_size(Some(total as u64)).map_err(failed)?;
        out.reserve(zstd_safe::compress_bound(total));
        let (last, leading): (&[u8], _) = match chunks.split_last() {
            Some((last, leading)) => (last, leading),
            None => (&[], &[][..]),
        };
        for chunk in leading {
            let mut input = InBuffer::around(chunk);
            while input.pos() < chunk.len() {
                step(context, &mut input, ZSTD_EndDirective::ZSTD_e_continue, out)?;
            }
        }
        let mut input = InBuffer::around(last);
        while step(context, &mut input, ZSTD_EndDirective::ZSTD_e_end, out)? != 0 {}
        Ok(())
    }
}

/// One call into the library; gives what it still has to write.
fn step(
    context: &mut CCtx<'static>,
    input: &mut InBuffer<'_>,
    directive: ZSTD_EndDirective,
    out: &mut Vec<u8>,
) -> Result<usize, CodecError> {
    if out.len() == out.capacity() {
        out.reserve(CCtx::out_size());
    }
    let position = out.len();
    let mut output = OutBuffer::around_pos(out, position);
    context.compress_stream2(&mut output, input, directive).map_err(failed)
}

pub(crate) struct Decoder {
    context: DCtx<'static>,
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, CodecError> {
        let context = DCtx::try_create()
            .ok_or_else(|| CodecError::failed(CompressionType::Zstd, "no memory for a context"))?;
        Ok(Self { context })
    }

    /// Decompresses all frames in one go, so that the output is the window and a frame cannot
    /// make the library allocate the window that it asks for.
    pub(crate) fn decompress(
        &mut self,
        input: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let over_limit = || CodecError::limit(CompressionType::Zstd, limit_bytes);
        let claimed = match zstd_safe::get_frame_content_size(input) {
            Ok(Some(size)) => Some(usize::try_from(size).unwrap_or(usize::MAX)),
            // A skippable frame counts as one of unknown size; what is no frame at all is found
            // out by the decoder, which knows why.
            Ok(None) | Err(_) => None,
        };
        if claimed.is_some_and(|size| size > limit_bytes) {
            return Err(over_limit());
        }
        let start = out.len();
        let mut room = room::first(claimed, input.len(), limit_bytes);
        loop {
            out.resize(start + room, 0);
            match self.context.decompress(&mut out[start..], input) {
                Ok(len) => {
                    out.truncate(start + len);
                    return Ok(());
                }
                Err(code) => {
                    let small = ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall;
                    if !zstd_safe::is_error_kind(code, small) {
                        let reason = zstd_safe::get_error_name(code);
                        return Err(CodecError::corrupt(CompressionType::Zstd, reason));
                    }
                    room = room::next(room, limit_bytes).ok_or_else(over_limit)?;
                }
            }
        }
    }
}
