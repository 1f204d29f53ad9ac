//! What the benchmarks tell the program that makes frames of many conversations out of one.

/// Value of the map [`VARY`](super::names::VARY).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vary {
    /// State of the pseudo-random numbers.
    pub seed: u64,
    /// Frames made so far.
    pub count: u64,
    /// Conversations to choose from at random; at least 1.
    pub flows: u32,
    /// Of so many frames, one belongs to a few conversations that come again and again; 0 for none.
    pub every: u32,
    /// How many these are: a power of two.
    pub known: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<Vary>() == 32);

impl Vary {
    /// Source addresses of the conversations that come again and again: 10.0.0.0 and on.
    pub const KNOWN: u32 = 10 << 24;
    /// Source addresses of all others: 16.0.0.0 and on.
    pub const OTHERS: u32 = 16 << 24;

    /// The source address of the next frame.
    #[inline(always)]
    pub fn next_source(&mut self) -> u32 {
        self.count += 1;
        let every = u64::from(self.every);
        if every != 0 && self.count.is_multiple_of(every) {
            let turn = (self.count / every) as u32;
            return Self::KNOWN + (turn & self.known.wrapping_sub(1));
        }
        // Knuth's constants for MMIX.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = self.seed >> 33;
        Self::OTHERS.wrapping_add((random % u64::from(self.flows).max(1)) as u32)
    }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the size above).
unsafe impl aya::Pod for Vary {}
