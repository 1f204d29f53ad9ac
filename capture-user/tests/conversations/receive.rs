//! What an end makes of a segment that arrives.

use capture_common::flow::tcp_flags::{ACK, FIN, RST, SYN};
use rand::Rng as _;

use super::{
    End, SECOND,
    connection::{Act, Connection, Sent},
    endpoint::Phase,
};

/// Duplicate ACKs that make an end resend.
const DUPLICATES: u32 = 3;

impl Connection {
    pub fn arrival(&mut self, end: End, sent: &Sent) {
        let now = self.now;
        let endpoint = self.end(end);
        endpoint.active = now;
        if sent.flags & RST != 0 {
            endpoint.phase = Phase::Gone;
            return;
        }
        if endpoint.phase == Phase::Gone {
            if sent.flags & ACK != 0 && self.random.random_bool(0.7) {
                self.send(end, sent.acknowledgment, 0, RST);
            }
            return;
        }
        if sent.flags & SYN != 0 {
            return self.opening(end, sent);
        }
        if endpoint.received == 0 {
            return; // The SYN-ACK was lost, or came later.
        }
        if endpoint.phase == Phase::Opening {
            self.open(end, sent);
        }
        self.acknowledged(end, sent);
        self.data(end, sent);
    }

    /// A SYN, or the answer to one.
    fn opening(&mut self, end: End, sent: &Sent) {
        let scale = self.manner.scale.unwrap_or(0);
        let endpoint = self.end(end);
        let is_first = endpoint.received == 0;
        if is_first {
            (endpoint.received, endpoint.scale) = (1, scale);
        }
        match end {
            End::Server if endpoint.phase == Phase::Opening => {
                endpoint.next = 1;
                if is_first && self.random.random_bool(0.04) {
                    self.send(end, 0, 0, RST | ACK); // Nothing listens.
                    self.end(end).phase = Phase::Gone;
                    return;
                }
                self.send(end, 0, 0, SYN | ACK);
                self.arm(end);
            }
            End::Client if is_first => {
                self.open(end, sent);
                self.acknowledge(end);
                self.transmit(end);
            }
            _ => self.acknowledge(end),
        }
    }

    fn open(&mut self, end: End, sent: &Sent) {
        let endpoint = self.end(end);
        endpoint.phase = Phase::Open;
        (endpoint.unacknowledged, endpoint.tries) = (1, 0);
        endpoint.offered = sent.offer;
        endpoint.timer += 1;
        self.wait_idle(end);
        self.transmit(end);
    }

    /// What the other end has received, and how much more it offers.
    fn acknowledged(&mut self, end: End, sent: &Sent) {
        let segment = self.manner.segment;
        let endpoint = self.end(end);
        let same_offer = endpoint.offered == sent.offer;
        let is_bare = sent.length == 0 && sent.flags & FIN == 0;
        if sent.acknowledgment > endpoint.unacknowledged {
            endpoint.unacknowledged = sent.acknowledgment;
            endpoint.next = endpoint.next.max(sent.acknowledgment); // A probe's byte was taken.
            (endpoint.duplicates, endpoint.tries) = (0, 0);
            endpoint.congestion += segment;
            endpoint.offered = sent.offer;
            endpoint.timer += 1;
            if endpoint.unacknowledged < endpoint.recover {
                self.resend(end);
            }
            self.transmit(end);
        } else if sent.acknowledgment == endpoint.unacknowledged {
            let is_waiting = endpoint.next > endpoint.unacknowledged;
            endpoint.offered = sent.offer;
            if is_bare && same_offer && is_waiting && sent.offer > 0 {
                endpoint.duplicates += 1;
                if endpoint.duplicates == DUPLICATES {
                    self.resend(end);
                    self.arm(end);
                }
            } else if !same_offer {
                self.end(end).tries = 0;
                self.transmit(end);
            }
        }
    }

    /// Payload and FIN.
    fn data(&mut self, end: End, sent: &Sent) {
        let manner = self.manner;
        let endpoint = self.end(end);
        let has_fin = sent.flags & FIN != 0;
        let last = sent.sequence + sent.length;
        if sent.length == 0 && !has_fin {
            if sent.sequence < endpoint.received {
                self.acknowledge(end); // A keep-alive, or something old.
            }
            return;
        }
        if last > endpoint.received + endpoint.free(&manner) {
            return self.acknowledge(end); // It does not fit.
        }
        if has_fin {
            endpoint.fin = Some(last);
        }
        let is_next = sent.length > 0 && endpoint.take(sent.sequence, last);
        let ends_here = endpoint.fin == Some(endpoint.received);
        if ends_here {
            endpoint.received += 1;
            let pause = self.random.random_range(0..SECOND);
            self.later(pause, end, Act::Close);
        }
        let endpoint = self.end(end);
        let has_hole = !endpoint.islands.is_empty();
        if is_next && !ends_here && !has_hole && !endpoint.owes_ack {
            self.owe(end);
        } else {
            self.acknowledge(end);
        }
    }
}
