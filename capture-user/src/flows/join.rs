//! From the kernel's two entries of a conversation to its record.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use capture_common::flow::{
    Conversation, DirectionState, DirectionTrouble, FlowKey, IcmpError, Side, Trouble, TroubleKey,
    opener,
};

use super::record::{
    DirectionRecord, End, ErrorOrigin, FlowRecord, FlowState, IcmpRecord, TimeBase,
};

impl FlowRecord {
    /// Puts together what the two tables hold; `conversation` is `None` for what is not TCP.
    #[must_use]
    pub fn new(
        key: &TroubleKey,
        conversation: Option<&Conversation>,
        trouble: Option<&Trouble>,
        base: TimeBase,
    ) -> Self {
        let none = Conversation::NEW;
        let known = conversation.unwrap_or(&none);
        let calm = Trouble::NEW;
        let troubled = trouble.unwrap_or(&calm);
        let client = client_side(&key.flow, known, troubled);
        let low = direction(&known.low, &troubled.low, &known.high, base);
        let high = direction(&known.high, &troubled.high, &known.low, base);
        let (low_end, high_end) = endpoints(&key.flow);
        let (client_end, server_end, from_client, from_server) = match client {
            Side::Low => (low_end, high_end, low, high),
            Side::High => (high_end, low_end, high, low),
        };
        let times = [known.low.last_time, known.high.last_time, troubled.last_time];
        let first = if known.first_time == 0 { troubled.first_time } else { known.first_time };
        let time = |monotonic| base.unix(monotonic).unwrap_or(0);
        Self {
            protocol: key.protocol as u8,
            tunnel: key.flow.tunnel,
            client: client_end,
            server: server_end,
            state: state(conversation, &from_client, &from_server),
            from_client,
            from_server,
            server_rtt: rtt(known.server_rtt.into()),
            client_rtt: client_rtt(known),
            first: time(first),
            last: time(times.into_iter().max().unwrap_or(0)),
            trouble: trouble.map(|trouble| (time(trouble.first_time), time(trouble.last_time))),
            icmp: icmp(&troubled.icmp, client, client_end.ip(), server_end.ip(), base),
        }
    }
}

fn direction(
    state: &DirectionState,
    trouble: &DirectionTrouble,
    other: &DirectionState,
    base: TimeBase,
) -> DirectionRecord {
    let acknowledged = other.acknowledged(state);
    DirectionRecord { state: *state, trouble: *trouble, acknowledged, base }
}

/// Which side asked: the sender of the SYN; without one, the sender of the packet that was refused;
/// else the one with the higher port.
fn client_side(key: &FlowKey, conversation: &Conversation, trouble: &Trouble) -> Side {
    match conversation.opener {
        opener::LOW => return Side::Low,
        opener::HIGH => return Side::High,
        _ => {}
    }
    if conversation.first_time == 0 && trouble.icmp.ip_version != 0 {
        return if trouble.icmp.quoted_side == Side::Low as u8 { Side::Low } else { Side::High };
    }
    if key.low_port > key.high_port { Side::Low } else { Side::High }
}

fn state(
    conversation: Option<&Conversation>,
    client: &DirectionRecord,
    server: &DirectionRecord,
) -> FlowState {
    let Some(conversation) = conversation else {
        return FlowState::Quoted;
    };
    let answered = server.syns() > 0;
    if conversation.opener == opener::UNKNOWN {
        return if client.has_reset() || server.has_reset() {
            FlowState::Reset
        } else if client.is_finished() || server.is_finished() {
            FlowState::Finished
        } else {
            FlowState::MidStream
        };
    }
    match (answered, client.has_reset() || server.has_reset()) {
        (false, _) if server.has_reset() => FlowState::Refused,
        (false, _) => FlowState::Unanswered,
        (true, true) => FlowState::Reset,
        (true, false) if client.is_finished() || server.is_finished() => FlowState::Finished,
        (true, false) if conversation.initial_rtt == 0 => FlowState::HalfOpen,
        (true, false) => FlowState::Established,
    }
}

fn rtt(microseconds: u64) -> Option<Duration> {
    (microseconds != 0).then(|| Duration::from_micros(microseconds))
}

fn client_rtt(conversation: &Conversation) -> Option<Duration> {
    if conversation.server_rtt == 0 {
        return None;
    }
    let whole = conversation.initial_rtt / 1000;
    rtt(whole.saturating_sub(conversation.server_rtt.into()))
}

fn icmp(
    error: &IcmpError,
    client_side: Side,
    client: IpAddr,
    server: IpAddr,
    base: TimeBase,
) -> Option<IcmpRecord> {
    if error.ip_version == 0 {
        return None;
    }
    let sender = address(error.sender);
    let origin = match sender {
        sender if sender == server => ErrorOrigin::Server,
        sender if sender == client => ErrorOrigin::Client,
        _ => ErrorOrigin::Hop,
    };
    let about = if error.quoted_side == client_side as u8 { End::Client } else { End::Server };
    Some(IcmpRecord {
        sender,
        origin,
        about,
        ip_version: error.ip_version,
        kind: error.kind,
        code: error.code,
        mtu: error.mtu,
        ttl: error.ttl,
        count: error.count,
        left: error.left,
        time: base.unix(error.time).unwrap_or(0),
    })
}

fn endpoints(key: &FlowKey) -> (SocketAddr, SocketAddr) {
    (
        SocketAddr::new(address(key.low_address), key.low_port),
        SocketAddr::new(address(key.high_address), key.high_port),
    )
}

/// The programs keep IPv4 addresses as IPv4-mapped ones (RFC 4291, section 2.5.5.2).
fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}
