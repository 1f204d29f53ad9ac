//! The TCP step in the kernel says the same as on the host, of millions of segments.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod conversations;
mod replay;

use capture_common::class::{Class, Classes};

use crate::replay::{Frame, Kernel, agreed};

/// No less are compared by each test.
const LEAST_FRAMES: usize = 1_000_000;
/// Conversations, and segments by chance, that are made at a time.
const CONVERSATIONS: u32 = 1_000;
const DRAWS: u32 = 16;

/// Compares the frames that `more` makes, and returns which classes were met.
fn compare(mut more: impl FnMut(u32) -> Vec<Frame>) -> Classes {
    let mut kernel = Kernel::new();
    let (mut compared, mut met) = (0, Classes::NONE);
    for round in 0.. {
        let frames = more(round);
        compared += frames.len();
        agreed(&mut kernel, &frames).iter().for_each(|(_, classes)| met.0 |= classes.0);
        if compared >= LEAST_FRAMES {
            break;
        }
    }
    println!("{compared} frames");
    met
}

#[test]
fn conversations_as_on_the_host() {
    let met = compare(|round| conversations::frames(round * CONVERSATIONS, CONVERSATIONS));
    assert!(met.iter().eq(Class::ALL), "{met:?}");
}

#[test]
fn segments_by_chance_as_on_the_host() {
    let met = compare(|round| conversations::chance::frames(round * DRAWS, DRAWS));
    assert!(met.iter().eq(Class::ALL), "{met:?}");
}
