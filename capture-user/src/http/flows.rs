//! `/v1/flows`: the conversations as JSON.

use std::{iter, vec};

use axum::{
    body::Body,
    extract::{Query, State as Extract, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::routes::{Failure, State};
use crate::flows::{FlowList, FlowQuery, FlowRecord, FlowView, QueryError, time_text};

/// Records that become JSON at a time: some hundreds of kilobytes, made in less than a millisecond or
/// two, since that is done on the async threads.
const CHUNK: usize = 256;

pub(super) type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) async fn answer(
    Extract(state): Extract<State>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let query = FlowQuery::from_pairs(pairs(parameters, "sort, limit, host, port")?)?;
    let (list, permit) = state.walk(move |source| source.flow_records(&query)).await?;
    let list = list.map_err(|error| {
        log::warn!("flows: {error}");
        Failure::Internal(error)
    })?;
    let json = Json::new(list, &query, Some(permit));
    let body = Body::from_stream(stream::iter(json));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The parameters of a URL, in their order.
pub(super) fn pairs(
    parameters: Parameters,
    allowed: &str,
) -> Result<Vec<(String, String)>, QueryError> {
    let Query(pairs) =
        parameters.map_err(|rejection| QueryError::new("query", rejection.to_string(), allowed))?;
    Ok(pairs)
}

/// A [`FlowsView`](crate::flows::FlowsView) in pieces: of the most that can be asked for, the whole
/// would take 200 MB.
struct Json {
    head: Option<String>,
    records: vec::IntoIter<FlowRecord>,
    is_first: bool,
    is_over: bool,
    /// The place of the walk, held until its records have been sent.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Json {
    fn new(list: FlowList, query: &FlowQuery, permit: Option<OwnedSemaphorePermit>) -> Self {
        let now = jiff::Timestamp::now().as_nanosecond();
        let time = time_text(i64::try_from(now).unwrap_or(i64::MAX));
        // None of these has anything to be escaped.
        let head = format!(
            r#"{{"time":"{time}","sort":"{}","matched":{},"flows":["#,
            query.sort.name(),
            list.matched
        );
        let records = list.flows.into_iter();
        Self { head: Some(head), records, is_first: true, is_over: false, _permit: permit }
    }

    fn piece(&mut self) -> serde_json::Result<Vec<u8>> {
        let mut piece = self.head.take().unwrap_or_default().into_bytes();
        for record in self.records.by_ref().take(CHUNK) {
            if !self.is_first {
                piece.push(b',');
            }
            self.is_first = false;
            serde_json::to_writer(&mut piece, &FlowView::from(&record))?;
        }
        if self.records.len() == 0 {
            self.is_over = true;
            piece.extend_from_slice(b"]}\n");
        }
        Ok(piece)
    }
}

impl iter::Iterator for Json {
    type Item = serde_json::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.is_over).then(|| {
            let piece = self.piece();
            self.is_over |= piece.is_err();
            piece
        })
    }
}

#[cfg(test)]
mod tests {
    use capture_common::flow::{Conversation, FlowKey};

    use super::*;
    use crate::flows::{Collector, FlowsView, TimeBase};

    fn list(count: u16) -> FlowList {
        let query = FlowQuery { limit: usize::MAX, ..FlowQuery::default() };
        let mut collector = Collector::new(query, TimeBase::default());
        for port in 1..=count {
            let key = FlowKey { low_port: port, high_port: 80, ..FlowKey::default() };
            collector.conversation(&key, &Conversation::NEW);
        }
        collector.finish()
    }

    #[test]
    fn pieces_are_one_document() {
        for count in [0, 1, 255, 256, 257, 1000] {
            let json = Json::new(list(count), &FlowQuery::default(), None);
            let pieces: Vec<Vec<u8>> = json.map(|piece| piece.unwrap()).collect();
            assert_eq!(pieces.len(), usize::from(count).div_ceil(CHUNK).max(1), "{count}");
            let view: FlowsView = serde_json::from_slice(&pieces.concat()).unwrap();
            assert_eq!((view.matched, view.flows.len()), (count.into(), count.into()));
            assert_eq!(view.sort, "trouble");
        }
    }
}
