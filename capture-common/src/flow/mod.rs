//! TCP conversations: their key, their state, and the step that classifies a segment.

mod conversation;
mod key;
mod segment;
mod step;
pub mod tunnel;

pub use conversation::{Conversation, DirectionState, SIGHTING_TIMEOUT};
pub use key::{FlowKey, Side};
pub use segment::{Segment, tcp_flags};
pub use step::step;
