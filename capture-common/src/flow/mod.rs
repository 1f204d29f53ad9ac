//! TCP conversations: their key, their state, and the step that classifies a segment.

mod conversation;
mod key;
mod segment;
pub mod shown;
mod step;
mod trouble;
pub mod tunnel;

pub use conversation::{Conversation, DirectionState, SIGHTING_TIMEOUT, Seen, Sight, opener};
pub use key::{FlowKey, Side};
pub use segment::{Segment, tcp_flags};
pub use step::step;
pub use trouble::{DirectionTrouble, Hole, IcmpError, Trouble, TroubleKey};
