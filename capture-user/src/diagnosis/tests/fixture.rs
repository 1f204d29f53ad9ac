//! Scripted conversations, which go through what the kernel runs (`Conversation`, `Trouble`), so
//! that the rules see what is really kept.

use std::net::{IpAddr, SocketAddr};

use capture_common::{
    flow::{
        Conversation, FlowKey, Seen, Segment, Side, Sight, Trouble, TroubleKey,
        tcp_flags::{ACK, FIN, RST, SYN},
    },
    parse::{Packet, Quote},
};

use crate::{
    diagnosis::{Diagnosis, Question, ServiceReport, diagnose},
    flows::{End, FlowRecord, TimeBase},
};

const MILLISECOND: u64 = 1_000_000;
/// The monotonic clock at the script's 0.
const START: u64 = 5_000_000 * MILLISECOND;
/// The wall clock at the script's 0: 2026-03-01T12:00:00Z.
pub const WALL: i64 = 1_772_366_400_000_000_000;
/// Bytes of Ethernet, IP and TCP headers.
const HEADERS: u32 = 54;
pub const GATEWAY: &str = "198.51.100.1";
pub const ROUTER: &str = "198.51.100.77";
pub const CLIENT: &str = "192.0.2.7:40000";
pub const SERVER: &str = "203.0.113.2:8002";

/// What is sent by one end, and how it is seen.
struct Wire {
    /// Next new sequence number.
    next: u32,
    /// What this end acknowledges.
    heard: u32,
    window: u16,
    ttl: u8,
    interface: u32,
    /// It is this host itself.
    is_own: bool,
    /// Its SYNs and SYN-ACKs are seen leaving.
    leaves: bool,
}

pub struct Script {
    client: SocketAddr,
    server: SocketAddr,
    protocol: u8,
    key: FlowKey,
    client_side: Side,
    conversation: Conversation,
    is_known: bool,
    trouble: Trouble,
    is_troubled: bool,
    time: u64,
    from_client: Wire,
    from_server: Wire,
}

fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Milliseconds of the script as nanoseconds since 1970.
pub fn wall(milliseconds: u64) -> i64 {
    WALL + (milliseconds * MILLISECOND) as i64
}

impl Script {
    /// A connection whose SYNs pass this gateway.
    pub fn tcp(client: &str, server: &str) -> Self {
        Self::new(client, server, 6, 0)
    }

    /// The usual one.
    pub fn usual() -> Self {
        Self::tcp(CLIENT, SERVER)
    }

    pub fn udp(client: &str, server: &str) -> Self {
        Self::new(client, server, 17, 0)
    }

    pub fn new(client: &str, server: &str, protocol: u8, tunnel: u32) -> Self {
        let (client, server): (SocketAddr, SocketAddr) =
            (client.parse().unwrap(), server.parse().unwrap());
        let (key, client_side) = FlowKey::of(&Packet {
            source: bytes(client.ip()),
            destination: bytes(server.ip()),
            source_port: client.port(),
            destination_port: server.port(),
            tunnel,
            ..Packet::default()
        });
        let wire = |next, ttl, interface| Wire {
            next,
            heard: 0,
            window: 512,
            ttl,
            interface,
            is_own: false,
            leaves: true,
        };
        Self {
            client,
            server,
            protocol,
            key,
            client_side,
            conversation: Conversation::NEW,
            is_known: false,
            trouble: Trouble::NEW,
            is_troubled: false,
            time: START,
            from_client: wire(1_000, 62, 2),
            from_server: wire(900_000, 63, 3),
        }
    }

    fn wire(&mut self, end: End) -> &mut Wire {
        match end {
            End::Client => &mut self.from_client,
            End::Server => &mut self.from_server,
        }
    }

    fn side(&self, end: End) -> Side {
        match (end, self.client_side) {
            (End::Client, side) => side,
            (End::Server, Side::Low) => Side::High,
            (End::Server, Side::High) => Side::Low,
        }
    }

    /// Goes on at this time, in milliseconds from the script's 0.
    pub fn at(&mut self, milliseconds: u64) -> &mut Self {
        self.time = START + milliseconds * MILLISECOND;
        self
    }

    /// Goes on so many milliseconds later.
    pub fn after(&mut self, milliseconds: u64) -> &mut Self {
        self.time += milliseconds * MILLISECOND;
        self
    }

    pub fn ttl(&mut self, end: End, ttl: u8) -> &mut Self {
        self.wire(end).ttl = ttl;
        self
    }

    pub fn window(&mut self, end: End, window: u16) -> &mut Self {
        self.wire(end).window = window;
        self
    }

    /// SYNs or SYN-ACKs of this end do not leave, as far as is seen.
    pub fn stays(&mut self, end: End) -> &mut Self {
        self.wire(end).leaves = false;
        self
    }

    /// This end is this host itself.
    pub fn own(&mut self, end: End) -> &mut Self {
        self.wire(end).is_own = true;
        let other = self.wire(end.other()).interface;
        self.wire(end).interface = other;
        self
    }

    pub fn interface(&mut self, end: End, interface: u32) -> &mut Self {
        self.wire(end).interface = interface;
        self
    }

    fn sight(&self, end: End) -> Sight {
        let wire = match end {
            End::Client => &self.from_client,
            End::Server => &self.from_server,
        };
        Sight {
            now: self.time,
            ifindex: wire.interface,
            frames: 1,
            bytes: HEADERS,
            ttl: wire.ttl,
            leaves: wire.is_own.into(),
            padding: [0; 2],
        }
    }

    /// A segment as it is seen; what the eBPF programs do with it.
    pub fn segment(&mut self, end: End, flags: u8, sequence: u32, length: u32) -> &mut Self {
        let (side, mut sight) = (self.side(end), self.sight(end));
        sight.bytes += length;
        let wire = self.wire(end);
        let segment = Segment {
            sequence,
            acknowledgment: if flags & ACK == 0 { 0 } else { wire.heard },
            length,
            window: wire.window,
            flags,
            padding: 0,
        };
        let is_forwarded = wire.leaves && !wire.is_own;
        let mut seen = Seen::default();
        self.is_known = true;
        self.conversation.observe(side, &segment, &sight, &mut seen);
        if seen.classes.is_trouble() {
            self.is_troubled = true;
            self.trouble.observe(side, &segment, &sight, &mut seen);
        }
        if segment.has(SYN) && is_forwarded {
            self.conversation.syn_left(side);
        }
        self
    }

    pub fn syn(&mut self) -> &mut Self {
        let first = 1_000;
        self.from_client.next = first + 1;
        self.segment(End::Client, SYN, first, 0)
    }

    pub fn syn_ack(&mut self) -> &mut Self {
        let first = 900_000;
        self.from_server.next = first + 1;
        self.from_server.heard = 1_001;
        self.segment(End::Server, SYN | ACK, first, 0)
    }

    /// SYNs at these times, in milliseconds.
    pub fn syns(&mut self, times: &[u64]) -> &mut Self {
        for time in times {
            self.at(*time).syn();
        }
        self
    }

    /// The handshake: 20 ms to the server, 10 ms to the client.
    pub fn open(&mut self) -> &mut Self {
        self.syn().after(20).syn_ack().after(10).ack(End::Client)
    }

    /// Acknowledges all that the other end has sent.
    pub fn ack(&mut self, end: End) -> &mut Self {
        let heard = self.wire(end.other()).next;
        self.wire(end).heard = heard;
        self.same_ack(end)
    }

    /// Acknowledges what it did before.
    pub fn same_ack(&mut self, end: End) -> &mut Self {
        let next = self.wire(end).next;
        self.segment(end, ACK, next, 0)
    }

    /// New data.
    pub fn data(&mut self, end: End, length: u32) -> &mut Self {
        let sequence = self.wire(end).next;
        self.wire(end).next = sequence + length;
        self.segment(end, ACK, sequence, length)
    }

    /// New data that was lost before this host.
    pub fn unseen(&mut self, end: End, length: u32) -> &mut Self {
        self.wire(end).next += length;
        self
    }

    /// The server's SYN-ACK takes another way.
    pub fn syn_ack_unseen(&mut self) -> &mut Self {
        self.from_server.next = 900_001;
        self
    }

    /// Data that ends so many bytes before the last new one.
    pub fn again(&mut self, end: End, back: u32, length: u32) -> &mut Self {
        let sequence = self.wire(end).next - back - length;
        self.segment(end, ACK, sequence, length)
    }

    pub fn fin(&mut self, end: End) -> &mut Self {
        let sequence = self.wire(end).next;
        self.wire(end).next += 1;
        self.segment(end, FIN | ACK, sequence, 0)
    }

    pub fn rst(&mut self, end: End) -> &mut Self {
        let next = self.wire(end).next;
        self.segment(end, RST | ACK, next, 0)
    }

    /// A request and its answer, in segments of 1,400 bytes, without loss.
    pub fn request(&mut self, segments: u32) -> &mut Self {
        self.after(1).data(End::Client, 200).after(20).ack(End::Server);
        for _ in 0..segments {
            self.after(1).data(End::Server, 1_400).after(10).ack(End::Client);
        }
        self
    }

    /// Both ends close.
    pub fn close(&mut self) -> &mut Self {
        self.after(1).fin(End::Client).after(20).ack(End::Server).fin(End::Server);
        self.after(10).ack(End::Client)
    }

    /// An ICMP error about what `about` sent, which comes in and leaves again.
    pub fn icmp(&mut self, about: End, sender: &str, (kind, code): (u8, u8)) -> &mut Self {
        self.icmp_came(about, sender, (kind, code), 0);
        self.trouble.icmp_left();
        self
    }

    /// An ICMP error that this host makes itself.
    pub fn icmp_made(&mut self, about: End, sender: &str, what: (u8, u8), mtu: u16) -> &mut Self {
        self.icmp_came(about, sender, what, mtu);
        self.trouble.icmp_left();
        self
    }

    /// An ICMP error that comes in and is not seen leaving.
    pub fn icmp_came(
        &mut self,
        about: End,
        sender: &str,
        (kind, code): (u8, u8),
        mtu: u16,
    ) -> &mut Self {
        let sender: IpAddr = sender.parse().unwrap();
        let message = Packet {
            source: bytes(sender),
            ip_version: if sender.is_ipv6() { 6 } else { 4 },
            icmp_type: kind,
            icmp_code: code,
            ttl: 63,
            quote: Quote { mtu, ..Quote::default() },
            ..Packet::default()
        };
        let sight = self.sight(about.other());
        self.is_troubled = true;
        self.trouble.icmp_error(self.side(about), &message, &sight);
        self
    }

    pub fn record(&self) -> FlowRecord {
        FlowRecord::new(
            &TroubleKey { flow: self.key, protocol: self.protocol.into() },
            self.is_known.then_some(&self.conversation),
            self.is_troubled.then_some(&self.trouble),
            TimeBase { offset: WALL - START as i64 },
        )
    }

    /// The addresses, to see that the record has them the right way round.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.client, self.server)
    }
}

/// Half a minute later, of everything.
pub fn question() -> Question {
    Question {
        now: wall(30_000),
        own_addresses: vec![GATEWAY.parse().unwrap(), "2001:db8:99::1".parse().unwrap()],
        ..Question::default()
    }
}

/// The diagnosis of these conversations.
pub fn ask(scripts: &[&Script], question: &Question) -> Diagnosis {
    let flows: Vec<_> = scripts.iter().map(|script| script.record()).collect();
    diagnose(&flows, question)
}

/// The report on the first script's service, of these conversations.
pub fn report(scripts: &[&Script]) -> ServiceReport {
    report_to(scripts, &question())
}

pub fn report_to(scripts: &[&Script], question: &Question) -> ServiceReport {
    let service = scripts[0].record().server.to_string();
    let diagnosis = ask(scripts, question);
    diagnosis.services.into_iter().find(|report| report.service == service).unwrap()
}

/// A conversation with another port of the usual server that is fine.
pub fn neighbour() -> Script {
    let mut script = Script::tcp("192.0.2.7:40001", "203.0.113.2:80");
    script.open().request(3).close();
    script
}
