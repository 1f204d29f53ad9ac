//! What the programs know of an interface.

/// Most interfaces one daemon can watch.
pub const MAX_INTERFACES: u32 = 64;
/// Most receive queues of one interface in mirror mode.
pub const MAX_QUEUES: u32 = 64;

/// How frames of an interface are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Matched frames are copied; the traffic is untouched.
    Tap = 0,
    /// Matched frames are redirected to AF_XDP sockets and so taken away from the host.
    Mirror = 1,
}

/// Bits of [`InterfaceConfig::flags`].
pub mod interface_flags {
    /// Frames are captured; otherwise they are only counted.
    pub const CAPTURE: u32 = 1 << 0;
    /// Unmatched frames are dropped (mirror mode only); otherwise they are passed.
    pub const DROP_UNMATCHED: u32 = 1 << 1;
}

/// Value of the map [`INTERFACES`](super::names::INTERFACES).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Dense number of the interface, below [`MAX_INTERFACES`]: it indexes the other maps.
    pub slot: u32,
    /// Bits of [`interface_flags`].
    pub flags: u32,
    /// Most bytes of a frame that are copied in tap mode.
    pub snap_length: u32,
    /// Which of the two generations of filter rules is in force: 0 or 1.
    pub filter_generation: u32,
    /// A [`Mode`].
    pub mode: u8,
    /// Zero.
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<InterfaceConfig>() == 20);

/// Index of the socket of a queue in the map [`SOCKETS`](super::names::SOCKETS).
#[must_use]
pub const fn socket_index(slot: u32, queue: u32) -> u32 {
    slot * MAX_QUEUES + queue
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, padding explicit.
unsafe impl aya::Pod for InterfaceConfig {}
