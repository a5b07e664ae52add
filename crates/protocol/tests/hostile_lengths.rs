//! Lengths that lie: each one in each version of each message, found by walking the schemas.
//!
//! The decoder must name the field and must not allocate what it was promised.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use ottla_protocol::{DecodeError, DecodeErrorKind, Message, Reader};

#[path = "support/list.rs"]
#[macro_use]
mod list;
#[path = "support/schemas.rs"]
mod schemas;
#[path = "support/walk.rs"]
mod walk;

use walk::{Length, Place, Schema};

/// The system's allocator, counting what each thread has asked for.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // A thread that is being torn down has nothing left to count in.
    let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it came; counting touches only a
// thread-local number that needs no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a decoder may allocate for a message that a test here makes: eight times its bytes, and
/// one struct for each of the few lists around the lie.
fn allowance(message_bytes: usize) -> usize {
    8 * message_bytes + 2048
}

/// What follows a lie: enough that the lists around it find room for their one element.
const REST: [u8; 100] = [0; 100];

/// Decodes and gives back how many bytes were allocated meanwhile.
fn decode<M: Message>(message: Vec<u8>, version: i16) -> (Result<M, DecodeError>, usize) {
    let frame = Bytes::from(message);
    let before = ALLOCATED.with(Cell::get);
    let result = M::decode(&mut Reader::new(&frame), version);
    (result, ALLOCATED.with(Cell::get) - before)
}

/// Decodes what must be refused and gives back why.
fn refused<M: Message>(place: &Place, version: i16, message: Vec<u8>) -> DecodeErrorKind {
    let allowance = allowance(message.len());
    let (result, allocated) = decode::<M>(message, version);
    let error = result.expect_err(&place.field);
    assert!(allocated <= allowance, "{place:?} v{version}: {allocated} bytes allocated, {error}");
    let named = error.field.unwrap_or_default();
    // What is wrong with the tags themselves is told of their struct.
    assert!(
        named == place.field || place.length == Length::TagSize && named.starts_with(&place.field),
        "{place:?} v{version}: {error}"
    );
    error.kind
}

/// Calls `test` with every length of a message in every version.
fn every_place<M: Message>(schema: &'static Schema, test: impl Fn(&Place, i16)) {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        walk::places(schema, version).iter().for_each(|place| test(place, version));
    }
}

fn is_cut_short(kind: DecodeErrorKind) -> bool {
    matches!(kind, DecodeErrorKind::Truncated { .. } | DecodeErrorKind::StringTooLong(_))
}

fn huge_lengths_are_refused<M: Message>(schema: &'static Schema) {
    every_place::<M>(schema, |place, version| {
        let greatest = place.greatest();
        for length in [greatest, greatest / 2, greatest.min(32_767), 1000] {
            let message = place.with(&place.written(length), &REST);
            let kind = refused::<M>(place, version, message);
            assert!(is_cut_short(kind), "{place:?} v{version}: {kind}");
        }
    });
}

fn null_is_refused_where_it_may_not_stand<M: Message>(schema: &'static Schema) {
    every_place::<M>(schema, |place, version| {
        if matches!(place.length, Length::TagCount | Length::TagSize) {
            return;
        }
        let message = place.with(&place.written(-1), &REST);
        if place.nullable {
            // Null is fine, though the zeros that follow may not be.
            let (result, _) = decode::<M>(message, version);
            let blames_it = |error: &DecodeError| error.field == Some(place.field.as_str());
            assert!(!result.is_err_and(|error| blames_it(&error)), "{place:?} v{version}");
        } else {
            let kind = refused::<M>(place, version, message);
            assert_eq!(kind, DecodeErrorKind::NegativeLength(-1), "{place:?} v{version}");
        }
    });
}

fn other_negative_lengths_are_refused<M: Message>(schema: &'static Schema) {
    every_place::<M>(schema, |place, version| {
        let lengths: &[i64] = match (place.length, place.flexible) {
            (Length::String, false) => &[-2, i16::MIN as i64],
            (Length::Bytes, false) => &[-2, i32::MIN as i64],
            _ => &[],
        };
        for &length in lengths {
            let kind = refused::<M>(place, version, place.with(&place.written(length), &REST));
            assert_eq!(kind, DecodeErrorKind::NegativeLength(length), "{place:?} v{version}");
        }
    });
}

fn overlong_lengths_are_refused<M: Message>(schema: &'static Schema) {
    const OVERLONG: [&[u8]; 3] =
        [&[0x80; 6], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x81, 0x80, 0x80, 0x80, 0x80, 0x00]];
    every_place::<M>(schema, |place, version| {
        for length in OVERLONG.iter().filter(|_| place.flexible) {
            let kind = refused::<M>(place, version, place.with(length, &REST));
            assert_eq!(kind, DecodeErrorKind::OverlongVarint, "{place:?} v{version}");
        }
    });
}

/// A count that the bytes behind it could just hold must not reserve memory for as many
/// structs, which are far larger in memory than on the wire.
fn plausible_counts_reserve_in_proportion<M: Message>(schema: &'static Schema) {
    // Garbage that ends most elements soon: lengths of -1 and overlong varints.
    const GARBAGE: [u8; 16 * 1024] = [0xff; 16 * 1024];
    every_place::<M>(schema, |place, version| {
        if place.length != Length::Bytes || place.in_tagged_field() {
            return;
        }
        for divisor in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32] {
            let count = (GARBAGE.len() / divisor - 1) as i64;
            let message = place.with(&place.written(count), &GARBAGE);
            let length = message.len();
            let (result, allocated) = decode::<M>(message, version);
            // What did decode before the garbage showed may be a few times its bytes.
            assert!(
                allocated <= 16 * length + 2048,
                "{place:?} v{version}: {allocated} bytes allocated for {length}, {:?}",
                result.err()
            );
        }
    });
}

macro_rules! tests {
    ($module:ident, $name:ident, $type:ident, $schema:ident) => {
        mod $name {
            use crate::schemas::$schema;
            use ottla_protocol::messages::$module::$type;

            /// Laws: L11. Scenarios: B-2, bug-58, bug-59.
            #[test]
            fn refuses_huge_lengths_without_allocating_them() {
                super::huge_lengths_are_refused::<$type>(&$schema);
            }

            /// Laws: L11. Scenarios: B-1, bug-54.
            #[test]
            fn refuses_null_where_it_may_not_stand() {
                super::null_is_refused_where_it_may_not_stand::<$type>(&$schema);
            }

            /// Laws: L11. Scenarios: B-1, bug-54.
            #[test]
            fn refuses_other_negative_lengths() {
                super::other_negative_lengths_are_refused::<$type>(&$schema);
            }

            #[test]
            fn reserves_in_proportion_for_plausible_counts() {
                super::plausible_counts_reserve_in_proportion::<$type>(&$schema);
            }

            /// Laws: L11. Scenarios: B-3.
            #[test]
            fn refuses_overlong_lengths() {
                super::overlong_lengths_are_refused::<$type>(&$schema);
            }
        }
    };
}

for_each_message!(tests);
