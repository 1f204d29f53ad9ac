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

/// What the programs know of an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Dense number of the interface, below [`MAX_INTERFACES`]: it indexes the other maps.
    pub slot: u32,
    /// Bits of [`interface_flags`].
    pub flags: u32,
    /// Most bytes of a frame that are copied in tap mode.
    pub snap_length: u32,
    /// A [`Mode`].
    pub mode: u8,
    /// Zero.
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<InterfaceConfig>() == 16);

/// Value of the map [`INTERFACES`](super::names::INTERFACES), an open-addressed table by the
/// interface's index: an array look-up is inlined into the program, a hash look-up is a call, and
/// every frame needs one to three.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceEntry {
    /// Kernel's index of the interface; 0 for an empty place.
    pub ifindex: u32,
    /// How its frames are treated.
    pub config: InterfaceConfig,
}

const _: () = assert!(size_of::<InterfaceEntry>() == 20);

/// Places in the table.
pub const INTERFACE_PLACES: u32 = 1024;
/// An interface is in one of so many places in a row.
pub const INTERFACE_PROBES: u32 = 4;

/// The place of an interface in its `probe`th try.
#[inline(always)]
#[must_use]
pub const fn interface_place(ifindex: u32, probe: u32) -> u32 {
    (ifindex.wrapping_add(probe)) % INTERFACE_PLACES
}

/// Index of the socket of a queue in the map [`SOCKETS`](super::names::SOCKETS).
#[must_use]
pub const fn socket_index(slot: u32, queue: u32) -> u32 {
    slot * MAX_QUEUES + queue
}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, padding explicit.
unsafe impl aya::Pod for InterfaceConfig {}

#[cfg(feature = "user")]
// SAFETY: repr(C), only integers, no implicit padding (asserted by the size above).
unsafe impl aya::Pod for InterfaceEntry {}
