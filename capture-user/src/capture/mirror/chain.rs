//! Which descriptors make up a frame.
//!
//! A frame larger than a buffer comes as a chain of descriptors, all but the last with the
//! continuation bit. The end of what was read from the ring may lie within a chain.

use xsk_rs::FrameDesc;

/// Most parts of one frame. The kernel cuts what the driver gave it, at most 17 pages and the
/// linear part of about as much, into buffers of 1,792 usable bytes or more.
pub(super) const MAX_PARTS: usize = 64;

/// What to do with the first descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many are a whole frame.
    Frame(usize),
    /// So many are the beginning of a frame with too many parts.
    Overlong(usize),
    /// So many more of that frame.
    Remainder(usize),
    /// Nothing yet: the end of the frame has not been read.
    Wait,
}

/// Splits a stream of descriptors into frames.
#[derive(Debug, Default)]
pub(super) struct Chains {
    in_overlong: bool,
}

impl Chains {
    /// What to do with the first of these descriptors, which are all that have been read and not
    /// been dealt with.
    pub(super) fn step(&mut self, descriptors: &[FrameDesc]) -> Step {
        let end = descriptors.iter().take(MAX_PARTS).position(|part| !part.has_more_frames());
        let parts = end.map_or(descriptors.len().min(MAX_PARTS), |end| end + 1);
        if self.in_overlong {
            self.in_overlong = end.is_none();
            return if parts == 0 { Step::Wait } else { Step::Remainder(parts) };
        }
        match end {
            Some(_) => Step::Frame(parts),
            None if parts == MAX_PARTS => {
                self.in_overlong = true;
                Step::Overlong(parts)
            }
            None => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Descriptors of frames with so many parts each.
    fn descriptors(frames: &[usize]) -> Vec<FrameDesc> {
        let mut all = Vec::new();
        for &parts in frames {
            for part in 1..=parts {
                let mut descriptor = FrameDesc::default();
                descriptor.set_options(u32::from(part < parts));
                all.push(descriptor);
            }
        }
        all
    }

    /// Reads the stream in pieces of the given sizes, as the receive loop does; the parts of each
    /// frame in order, 0 for one that was overlong.
    fn split(stream: &[FrameDesc], pieces: &[usize]) -> Vec<usize> {
        let (mut chains, mut frames) = (Chains::default(), Vec::new());
        let (mut start, mut end) = (0, 0);
        for piece in pieces.iter().copied().chain([stream.len()]) {
            end = (end + piece).min(stream.len());
            loop {
                match chains.step(&stream[start..end]) {
                    Step::Frame(parts) => {
                        frames.push(parts);
                        start += parts;
                    }
                    Step::Overlong(parts) => {
                        frames.push(0);
                        start += parts;
                    }
                    Step::Remainder(parts) => start += parts,
                    Step::Wait => break,
                }
            }
            assert!(end - start < MAX_PARTS, "more is held back than one frame can have");
        }
        assert_eq!(start, stream.len(), "descriptors were left over");
        frames
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_they_are_read(
            frames in vec(1..=2 * MAX_PARTS + 2, 0..40),
            pieces in vec(0usize..100, 0..60),
        ) {
            let expected: Vec<_> =
                frames.iter().map(|&parts| if parts <= MAX_PARTS { parts } else { 0 }).collect();
            prop_assert_eq!(split(&descriptors(&frames), &pieces), expected);
        }
    }

    #[test]
    fn the_longest_frame_is_a_frame() {
        let mut chains = Chains::default();
        assert_eq!(chains.step(&descriptors(&[MAX_PARTS])), Step::Frame(MAX_PARTS));
        assert_eq!(chains.step(&descriptors(&[MAX_PARTS + 1])), Step::Overlong(MAX_PARTS));
        assert_eq!(chains.step(&descriptors(&[1])), Step::Remainder(1));
        assert_eq!(chains.step(&descriptors(&[2])), Step::Frame(2));
        assert_eq!(chains.step(&[]), Step::Wait);
    }
}
