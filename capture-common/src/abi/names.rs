//! Names of maps and programs in the eBPF object, and slots of the tail-call tables.

/// Array of [`InterfaceEntry`](super::InterfaceEntry), searched from
/// [`interface_place`](super::interface_place) on.
pub const INTERFACES: &str = "INTERFACES";
/// Per-CPU array of [`Counters`](super::Counters), indexed by
/// [`counters_index`](super::counters_index).
pub const COUNTERS: &str = "COUNTERS";
/// LRU hash: flow key → conversation state.
pub const FLOWS: &str = "FLOWS";
/// LRU hash: [`TroubleKey`](crate::flow::TroubleKey) → [`Trouble`](crate::flow::Trouble).
pub const TROUBLE: &str = "TROUBLE";
/// The ring buffer that carries frames in tap mode.
pub const FRAMES: &str = "FRAMES";
/// The AF_XDP sockets, indexed by [`socket_index`](super::socket_index).
pub const SOCKETS: &str = "SOCKETS";
/// Program array of the XDP programs' stages.
pub const XDP_STAGES: &str = "XDP_STAGES";
/// Program array of the tc programs' stages.
pub const TC_STAGES: &str = "TC_STAGES";
/// Per-CPU array of one element: what the XDP entry program hands to the later stages.
pub const XDP_SCRATCH: &str = "XDP_SCRATCH";
/// Per-CPU array of one element: what the tc entry program hands to the later stages.
pub const TC_SCRATCH: &str = "TC_SCRATCH";
/// Read-only variable (`u64`): not 0 if the TCP step takes its time from [`TEST_TIME`].
pub const TEST_CLOCK: &str = "TEST_CLOCK";
/// Array of one `u64`: the time that a test sets.
pub const TEST_TIME: &str = "TEST_TIME";

/// Array of one [`Vary`](super::Vary); for benchmarks.
pub const VARY: &str = "VARY";
/// Program array of one element, the program that gets the varied frames; for benchmarks.
pub const VARIED: &str = "VARIED";
/// XDP program that makes frames of many conversations out of one; for benchmarks.
pub const XDP_VARY: &str = "vary_flows";

/// XDP entry program: parse, account, TCP step.
pub const XDP_INGRESS: &str = "ingress";
/// XDP program that delivers a frame that its filter wants.
pub const XDP_DELIVER: &str = "deliver_xdp";
/// XDP program that delivers such a frame if its conversation has shown the wanted trouble.
pub const XDP_DELIVER_TROUBLED: &str = "deliver_troubled_xdp";
/// tc entry program: what leaves.
pub const TC_EGRESS: &str = "egress";
/// tc program that delivers a frame that its filter wants.
pub const TC_DELIVER: &str = "deliver_tc";
/// tc program that delivers such a frame if its conversation has shown the wanted trouble.
pub const TC_DELIVER_TROUBLED: &str = "deliver_troubled_tc";

/// Slot of the deliver program in both stage tables.
pub const STAGE_DELIVER: u32 = 0;
/// Slot of the program that delivers frames of troubled conversations only: a filter sets
/// [`Scratch::wanted_trouble`](super::Scratch::wanted_trouble) and calls it.
pub const STAGE_DELIVER_TROUBLED: u32 = 1;
/// First filter slot; the slot of an interface is this plus its interface slot. An empty filter
/// slot means that every frame matches.
pub const STAGE_FILTER_BASE: u32 = 2;
