//! Conversations as people see them: a client and a server, and what went wrong between them.

mod collect;
mod join;
mod query;
mod record;
#[cfg(test)]
mod tests;
mod view;

pub use collect::{Collector, FlowList, read};
pub(crate) use query::each_once;
pub use query::{DEFAULT_LIMIT, FlowFilter, FlowQuery, MAX_LIMIT, QueryError, SortBy};
pub use record::{DirectionRecord, End, ErrorOrigin, FlowRecord, FlowState, IcmpRecord, TimeBase};
pub use view::{
    ClassCounts, DirectionView, EndpointView, FlowView, FlowsView, IcmpView, class_name, time_text,
};
