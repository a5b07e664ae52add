//! Gzip through libdeflate, which works on whole buffers.

use core::ffi::c_void;
use core::ptr::NonNull;

use libdeflate_sys as sys;
use libdeflater::CompressionLvl;
use ottla_protocol::record::CompressionType;

use crate::error::CodecError;
use crate::room;

/// The header and trailer of a member, with an empty body.
const LEAST_MEMBER_BYTES: usize = 18;

#[derive(Default)]
pub(crate) struct Encoder {
    /// The compressor of the level last used. A producer has one level, so one is kept.
    made: Option<(i32, libdeflater::Compressor)>,
    gathered: Vec<u8>,
}

impl Encoder {
    pub(crate) fn compress(
        &mut self,
        chunks: &[&[u8]],
        level: i32,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let Self { made, gathered } = self;
        let compressor = match made {
            Some((of, compressor)) if *of == level => compressor,
            _ => {
                let wanted = CompressionLvl::new(level)
                    .map_err(|_| CodecError::failed(CompressionType::Gzip, "no such level"))?;
                &mut made.insert((level, libdeflater::Compressor::new(wanted))).1
            }
        };
        let input = match chunks {
            [one] => *one,
            several => {
                gathered.clear();
                several.iter().for_each(|chunk| gathered.extend_from_slice(chunk));
                &gathered[..]
            }
        };
        let start = out.len();
        out.resize(start + compressor.gzip_compress_bound(input.len()), 0);
        let len = compressor
            .gzip_compress(input, &mut out[start..])
            .map_err(|_| CodecError::failed(CompressionType::Gzip, "no room for the output"))?;
        out.truncate(start + len);
        Ok(())
    }
}

/// A libdeflate decompressor that also tells where a member ended, which the safe bindings do not.
pub(crate) struct Decoder {
    raw: NonNull<sys::libdeflate_decompressor>,
}

// SAFETY: the decompressor is plain memory that only the methods of this type touch, and those
// that write to it take `&mut self`.
unsafe impl Send for Decoder {}
// SAFETY: there is no method that takes `&self`.
unsafe impl Sync for Decoder {}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `libdeflate_alloc_decompressor` and is freed only here.
        unsafe { sys::libdeflate_free_decompressor(self.raw.as_ptr()) }
    }
}

/// How reading one member went.
enum Member {
    /// It is the first `taken` bytes of the input.
    Read { taken: usize },
    /// There was not enough room for its content.
    NoRoom,
}

fn corrupt(reason: &'static str) -> CodecError {
    CodecError::corrupt(CompressionType::Gzip, reason)
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, CodecError> {
        // SAFETY: no preconditions; null means that there was no memory.
        NonNull::new(unsafe { sys::libdeflate_alloc_decompressor() })
            .map(|raw| Self { raw })
            .ok_or_else(|| CodecError::failed(CompressionType::Gzip, "no memory for a context"))
    }

    /// Reads one member and appends its content, at most `room` bytes, to `out`.
    fn read_member(
        &mut self,
        input: &[u8],
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<Member, CodecError> {
        out.reserve(room);
        let (mut taken, mut made) = (0, 0);
        // SAFETY: `input` is good for reads of its length, and the spare capacity of `out` for
        // writes of at least `room`, as was just reserved. They do not overlap: `out` is borrowed
        // mutably.
        let result = unsafe {
            sys::libdeflate_gzip_decompress_ex(
                self.raw.as_ptr(),
                input.as_ptr().cast::<c_void>(),
                input.len(),
                out.spare_capacity_mut().as_mut_ptr().cast::<c_void>(),
                room,
                &mut taken,
                &mut made,
            )
        };
        if result == sys::libdeflate_result_LIBDEFLATE_SUCCESS {
            // SAFETY: the library has written the first `made` bytes of the room, which were
            // reserved.
            unsafe { out.set_len(out.len() + made.min(room)) };
            Ok(Member::Read { taken })
        } else if result == sys::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE {
            Ok(Member::NoRoom)
        } else {
            Err(corrupt("a member cannot be decompressed or its checksum does not match"))
        }
    }

    /// Decompresses all members of `input`.
    pub(crate) fn decompress(
        &mut self,
        mut input: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let start = out.len();
        while !input.is_empty() {
            let left = limit_bytes - (out.len() - start);
            // What a member before this one has made room for costs nothing to use again.
            let spare = (out.capacity() - out.len()).min(left);
            let mut room = room::first(claimed_size(input), input.len(), left).max(spare);
            let taken = loop {
                match self.read_member(input, room, out)? {
                    Member::Read { taken } => break taken,
                    Member::NoRoom => {
                        room = room::next(room, left)
                            .ok_or_else(|| CodecError::limit(CompressionType::Gzip, limit_bytes))?;
                    }
                }
            };
            input = input.get(taken..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The size of the content, modulo 2^32, if `input` is one whole member; any number otherwise.
fn claimed_size(input: &[u8]) -> Option<usize> {
    let size = input.last_chunk::<4>()?;
    (input.len() >= LEAST_MEMBER_BYTES).then(|| u32::from_le_bytes(*size) as usize)
}
