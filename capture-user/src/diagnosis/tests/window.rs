use super::{expect, fixture::*};
use crate::{
    diagnosis::{
        Confidence::Certain,
        Direction::{ClientToServer, ServerToClient},
        Side,
        Verdict::ReceiverSlow,
    },
    flows::End::{self, Client, Server},
};

fn slow_receiver(end: End, times: u32) -> Script {
    let mut script = Script::usual();
    script.open().request(3).ack(Server);
    for _ in 0..times {
        script.after(1).data(end.other(), 1_400).after(1).window(end, 0).ack(end);
        script.after(300).window(end, 500).same_ack(end);
    }
    script
}

#[test]
fn receivers_that_close_their_windows() {
    for (end, side, direction) in
        [(Client, Side::Client, ServerToClient), (Server, Side::Server, ClientToServer)]
    {
        let report = report(&[&slow_receiver(end, 4)]);
        expect(&report, &[(ReceiverSlow, side, direction, Certain)]);
        assert_eq!(report.findings[0].counts["zero_windows"], 4);
        expect(&super::fixture::report(&[&slow_receiver(end, 1)]), &[]);
    }
}

#[test]
fn a_window_that_stays_closed() {
    let mut script = Script::usual();
    script.open().request(3).after(1).data(Server, 1_400).after(1).window(Client, 0).ack(Client);
    let report = report(&[&script]);
    expect(&report, &[(ReceiverSlow, Side::Client, ServerToClient, Certain)]);
    assert_eq!(report.findings[0].counts["closed_now"], 1);
}

#[test]
fn a_probe_tells_of_a_sender_that_waits() {
    let mut script = Script::usual();
    script.open().request(3).after(1).data(Server, 1_400).after(1).window(Client, 0).ack(Client);
    script.after(300).data(Server, 1).after(1).window(Client, 500).same_ack(Client);
    let report = report(&[&script]);
    expect(&report, &[(ReceiverSlow, Side::Client, ServerToClient, Certain)]);
    assert_eq!(report.findings[0].counts["zero_window_probes"], 1);
}
