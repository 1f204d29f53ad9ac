//! `/v1/diagnosis`: which side and which direction is at fault, as JSON.

use std::net::IpAddr;

use axum::{Json, extract::State as Extract};
use nix::ifaddrs::getifaddrs;

use super::{
    flows::{Parameters, pairs},
    routes::{Failure, State},
};
use crate::{
    diagnosis::{Diagnosis, DiagnosisQuery, Question, diagnose},
    flows::{FlowQuery, MAX_LIMIT},
    snapshot::SnapshotSource,
};

pub(super) async fn answer(
    Extract(state): Extract<State>,
    parameters: Parameters,
) -> Result<Json<Diagnosis>, Failure> {
    let query = DiagnosisQuery::from_pairs(pairs(parameters, "host, port, last")?)?;
    let (diagnosis, _permit) = state.walk(move |source| read(source, &query)).await?;
    diagnosis.map(Json).map_err(|error| {
        log::warn!("diagnosis: {error}");
        Failure::Internal(error)
    })
}

/// Not only the conversations that are asked about: the others are evidence. Those in trouble come
/// first, so of a table with more than the limit only healthy ones are left out.
fn read(source: &dyn SnapshotSource, query: &DiagnosisQuery) -> Result<Diagnosis, String> {
    let all = FlowQuery { limit: MAX_LIMIT, ..FlowQuery::default() };
    let flows = source.flow_records(&all)?.flows;
    let now = jiff::Timestamp::now().as_nanosecond();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let since = query
        .last
        .map(|last| now.saturating_sub(i64::try_from(last.as_nanos()).unwrap_or(i64::MAX)));
    let interfaces = source.interfaces()?;
    let counters = interfaces.iter().flat_map(|interface| &interface.counters);
    let question = Question {
        host: query.host,
        port: query.port,
        since,
        now,
        own_addresses: own_addresses()?,
        syns_left_unknown: counters.map(|counters| counters.syns_left_unknown).sum(),
    };
    Ok(diagnose(&flows, &question))
}

/// The addresses of this host, in the network namespace of the daemon.
fn own_addresses() -> Result<Vec<IpAddr>, String> {
    let all =
        getifaddrs().map_err(|error| format!("cannot list this host's addresses: {error}"))?;
    let addresses = all.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Ok(addresses.collect())
}
