//! Conversations as people see them: a client and a server, and what went wrong between them.

mod record;

pub use record::{DirectionRecord, End, ErrorOrigin, FlowRecord, FlowState, IcmpRecord, TimeBase};
