//! Receivers that cannot keep up.

use capture_common::class::Class;

use super::{Cause, Group, Words, many};
use crate::{
    diagnosis::{
        case::{Case, Counts, Kind},
        context::Context,
        verdict::{Confidence, Direction, Side, Verdict},
    },
    flows::{End, FlowRecord, FlowState},
};

/// One zero window that opens again is a receiver that was busy for a moment.
const LEAST: u64 = 2;
/// A window that is closed for so long, in nanoseconds, is no moment.
const STUCK: i64 = 1_000_000_000;

/// Who closes its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    by: End,
}

pub fn examine(flow: &FlowRecord, context: &Context<'_>, cases: &mut Vec<Case>) {
    for end in [End::Client, End::Server] {
        let (receiver, sender) = (flow.from(end), flow.from(end.other()));
        let closed = receiver.count(Class::ZeroWindow);
        let probes = sender.count(Class::ZeroWindowProbe);
        let is_over = matches!(flow.state, FlowState::Finished | FlowState::Reset);
        let closed_for = context.question.now.saturating_sub(receiver.last_packet().unwrap_or(0));
        let is_stuck = receiver.is_window_closed() && !is_over && closed_for > STUCK;
        if closed == 0 || closed < LEAST && probes == 0 && !is_stuck {
            continue;
        }
        let kind = Kind {
            verdict: Verdict::ReceiverSlow,
            side: Side::host(end),
            direction: Direction::from(end.other()),
            cause: Cause::Window(Window { by: end }),
        };
        let counts = Counts::default()
            .sum("zero_windows", closed)
            .sum("zero_window_probes", probes)
            .sum("closed_now", u64::from(is_stuck));
        cases.push(Case::new(flow, context, kind, Confidence::Certain, counts));
    }
}

pub fn words(group: &Group<'_>, window: Window) -> Words {
    let counts = group.counts;
    let (receiver, sender, host) = match window.by {
        End::Client => ("client", "server", "the client's host".to_string()),
        End::Server => ("server", "client", group.service.ip().to_string()),
    };
    let mut why = vec![format!(
        "the {receiver} itself said {} that its buffer is full",
        match counts.get("zero_windows") {
            1 => "once (zero window)".into(),
            count => format!("{} times (zero window)", super::grouped(count)),
        }
    )];
    let probes = counts.get("zero_window_probes");
    if probes > 0 {
        why.push(format!("the {sender} had to ask {} whether it may go on", many(probes, "time")));
    }
    let closed = counts.get("closed_now");
    if closed > 0 {
        why.push(format!("the window of {} is closed now", many(closed, "conversation")));
    }
    Words {
        sentence: format!(
            "The {receiver} does not read as fast as the {sender} sends: the {receiver}'s \
             application is slow, not the network"
        ),
        why,
        next: vec![format!("the application on {host}: CPU, disk, what it waits for")],
        filter: "(tcp.analysis.zero_window || tcp.analysis.zero_window_probe || \
                 tcp.analysis.window_update)"
            .into(),
    }
}
