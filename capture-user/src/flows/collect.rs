//! Puts the entries of the two tables together, and keeps those that are asked for.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::SocketAddr,
};

use capture_common::flow::{Conversation, FlowKey, Trouble, TroubleKey};

use super::{FlowQuery, FlowRecord, TimeBase};
use crate::kernel::{Batches, TableError};

const TCP: u32 = 6;

/// The answer to a [`FlowQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowList {
    /// How many conversations the filter lets through.
    pub matched: u64,
    /// The first of them, in the order that was asked for.
    pub flows: Vec<FlowRecord>,
}

/// Walks both tables.
///
/// A conversation that comes or goes during the walk may be in the answer or not, with or without
/// what goes wrong in it at this moment.
///
/// # Errors
/// A map could not be read.
pub fn read(
    troubles: Batches<TroubleKey, Trouble>,
    conversations: Batches<FlowKey, Conversation>,
    query: &FlowQuery,
    base: TimeBase,
) -> Result<FlowList, TableError> {
    let mut collector = Collector::new(*query, base);
    troubles.for_each(|key, trouble| collector.trouble(key, trouble))?;
    conversations.for_each(|key, conversation| collector.conversation(key, conversation))?;
    Ok(collector.finish())
}

/// Where a record stands in the order. What differs in nothing else is ordered by its ends, so that
/// the answer to a question does not depend on hashes.
type Rank = (u64, i64, Reverse<(SocketAddr, SocketAddr, u8, u32)>);

/// Takes the entries of the tables one by one, first all troubles, then all conversations.
///
/// It holds what went wrong (a table of a sixteenth of the size) and as many records as are asked for,
/// however large the table of conversations is.
pub struct Collector {
    query: FlowQuery,
    base: TimeBase,
    troubles: HashMap<TroubleKey, Trouble>,
    matched: u64,
    /// Of the records kept so far: the last in the order on top, with its place.
    order: BinaryHeap<Reverse<(Rank, usize)>>,
    records: Vec<FlowRecord>,
}

impl Collector {
    /// Nothing yet.
    #[must_use]
    pub fn new(query: FlowQuery, base: TimeBase) -> Self {
        Self {
            query,
            base,
            troubles: HashMap::new(),
            matched: 0,
            order: BinaryHeap::new(),
            records: Vec::new(),
        }
    }

    /// An entry of the table of what went wrong.
    pub fn trouble(&mut self, key: &TroubleKey, trouble: &Trouble) {
        if self.query.filter.matches(&key.flow) {
            self.troubles.insert(*key, *trouble);
        }
    }

    /// An entry of the flow table. All that went wrong has come before.
    pub fn conversation(&mut self, key: &FlowKey, conversation: &Conversation) {
        if self.query.filter.matches(key) {
            let key = TroubleKey { flow: *key, protocol: TCP };
            let trouble = self.troubles.remove(&key);
            self.keep(FlowRecord::new(&key, Some(conversation), trouble.as_ref(), self.base));
        }
    }

    /// All entries of both tables have come.
    #[must_use]
    pub fn finish(mut self) -> FlowList {
        // What is not TCP has no conversation, nor has TCP that was forgotten.
        for (key, trouble) in std::mem::take(&mut self.troubles) {
            self.keep(FlowRecord::new(&key, None, Some(&trouble), self.base));
        }
        // Ascending, so that of what is wrapped in `Reverse` the greatest comes first.
        let order = self.order.into_sorted_vec();
        let flows = order.into_iter().filter_map(|Reverse((_, place))| {
            // Each place is there, and once.
            self.records.get(place).copied()
        });
        FlowList { matched: self.matched, flows: flows.collect() }
    }

    fn keep(&mut self, record: FlowRecord) {
        self.matched += 1;
        let ends = (record.client, record.server, record.protocol, record.tunnel);
        let rank = (self.query.sort.measure(&record), record.last, Reverse(ends));
        if self.records.len() < self.query.limit {
            self.order.push(Reverse((rank, self.records.len())));
            self.records.push(record);
            return;
        }
        let Some(mut last) = self.order.peek_mut() else { return };
        let Reverse((lowest, place)) = *last;
        if rank > lowest
            && let Some(kept) = self.records.get_mut(place)
        {
            *kept = record;
            *last = Reverse((rank, place));
        }
    }
}
