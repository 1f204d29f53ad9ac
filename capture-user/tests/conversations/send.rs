//! What an end sends of its own accord.

use capture_common::flow::tcp_flags::{ACK, FIN, RST, SYN};
use rand::Rng as _;

use super::{
    End,
    connection::{Act, Connection},
    endpoint::Phase,
};

const PUSH: u8 = 0x08;

impl Connection {
    pub fn application(&mut self, end: End, act: Act) {
        let endpoint = self.end(end);
        match act {
            Act::Connect => {
                endpoint.next = 1;
                self.send(end, 0, 0, SYN);
                self.arm(end);
            }
            Act::Stall => endpoint.is_stalled = true,
            Act::Write(_) | Act::Close if endpoint.is_closed => {}
            Act::Write(bytes) => {
                endpoint.written += bytes;
                self.transmit(end);
            }
            Act::Close => {
                endpoint.is_closed = true;
                self.transmit(end);
            }
            Act::Read => self.read(end),
            Act::Abort => self.abort(end),
        }
    }

    /// The application takes all that waits; a window that was too small is opened.
    fn read(&mut self, end: End) {
        let segment = self.manner.segment;
        let manner = self.manner;
        let endpoint = self.end(end);
        let was_small = endpoint.free(&manner) < 2 * segment;
        (endpoint.is_stalled, endpoint.unread) = (false, 0);
        if was_small && endpoint.phase == Phase::Open {
            self.acknowledge(end);
        }
    }

    pub fn abort(&mut self, end: End) {
        let endpoint = self.end(end);
        if endpoint.phase == Phase::Open {
            let next = endpoint.next;
            self.send(end, next, 0, RST | ACK);
        }
        self.end(end).phase = Phase::Gone;
    }

    pub fn acknowledge(&mut self, end: End) {
        let next = self.end(end).next;
        self.send(end, next, 0, ACK);
    }

    /// Sends what the windows let through.
    pub fn transmit(&mut self, end: End) {
        if self.end(end).phase != Phase::Open {
            return;
        }
        let manner = self.manner;
        loop {
            let endpoint = self.end(end);
            let window = endpoint.offered.min(endpoint.congestion);
            let room = window.saturating_sub(endpoint.next - endpoint.unacknowledged);
            let next = endpoint.next;
            let waiting = endpoint.written.saturating_sub(next);
            let length = waiting.min(room).min(manner.segment);
            let is_last = endpoint.is_closed && next + length == endpoint.written;
            let is_fin = is_last && (waiting == 0 || manner.is_joined_fin);
            if length == 0 && !is_fin {
                break;
            }
            endpoint.next += length + u64::from(is_fin);
            let push = if length == waiting && length > 0 { PUSH } else { 0 };
            self.send(end, next, length, ACK | push | if is_fin { FIN } else { 0 });
        }
        let endpoint = self.end(end);
        if endpoint.next > endpoint.unacknowledged || endpoint.is_shut_out() {
            self.arm(end);
        }
    }

    /// Sends again what the other end has not acknowledged: the first segment of it.
    pub fn resend(&mut self, end: End) {
        let manner = self.manner;
        let anew = if manner.cuts_anew { self.random.random_range(1..=manner.segment) } else { 0 };
        let endpoint = self.end(end);
        endpoint.recover = endpoint.next;
        let (first, next, written) = (endpoint.unacknowledged, endpoint.next, endpoint.written);
        if first == 0 {
            let is_answer = endpoint.received > 0;
            self.send(end, 0, 0, if is_answer { SYN | ACK } else { SYN });
            return;
        }
        let limit = if anew > 0 { anew } else { manner.segment };
        let length = next.min(written).saturating_sub(first).min(limit);
        let is_fin = next > written && first + length == written;
        self.send(end, first, length, ACK | if is_fin { FIN } else { 0 });
    }

    pub fn timeout(&mut self, end: End) {
        let manner = self.manner;
        let endpoint = self.end(end);
        let is_shut_out = endpoint.is_shut_out();
        let is_waiting = endpoint.next > endpoint.unacknowledged || is_shut_out;
        if endpoint.phase == Phase::Gone || !is_waiting {
            return;
        }
        endpoint.tries += 1;
        if endpoint.tries > manner.tries {
            return match self.random.random() {
                true => self.abort(end),
                false => self.end(end).phase = Phase::Gone,
            };
        }
        if is_shut_out {
            let next = endpoint.next;
            match manner.probes_with_a_byte {
                true => self.send(end, next, 1, ACK),
                false => self.send(end, next - 1, 0, ACK),
            }
        } else {
            endpoint.congestion = manner.segment;
            self.resend(end);
        }
        self.arm(end);
    }

    pub fn keep_alive(&mut self, end: End) {
        let Some((idle, has_byte)) = self.manner.keep_alive else { return };
        let now = self.now;
        let endpoint = self.end(end);
        if endpoint.phase != Phase::Open || endpoint.is_closed {
            return;
        }
        let is_quiet = endpoint.next == endpoint.unacknowledged;
        if is_quiet && endpoint.next > 1 && now - endpoint.active >= idle {
            let last = endpoint.next - 1;
            self.send(end, last, u64::from(has_byte), ACK);
        }
        self.wait_idle(end);
    }
}
