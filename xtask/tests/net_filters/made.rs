//! Frames made by hand, of kinds that no program of the lab sends.

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, PacketBuilder,
};

/// The gateway's interface towards the ISP.
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];
/// Its neighbour.
pub const ISP_MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];
/// Whoever gets most of these frames is not there: nobody answers.
const NOBODY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
const BROADCAST: [u8; 6] = [0xff; 6];

const CLIENT: [u8; 4] = [198, 51, 100, 2];
const SERVER: [u8; 4] = [203, 0, 113, 2];
const CLIENT_V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SERVER_V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// Behind Ethernet, in the IPv6 header.
const NEXT_HEADER_AT: usize = 20;
/// Behind Ethernet and IPv4, in the TCP header.
const TCP_FLAGS_AT: usize = 47;
/// The least that Ethernet sends, without the check sequence.
const LEAST_FRAME: usize = 60;

/// Frames that the neighbour sends to the gateway.
pub fn inbound() -> Vec<Vec<u8>> {
    let from_isp = |to| untagged(ISP_MAC, to);
    let mut frames = vec![
        from_isp(BROADCAST).udp([192, 0, 2, 1], [192, 0, 2, 255], [138, 138]),
        from_isp(BROADCAST).udp([192, 0, 2, 1], [255; 4], [68, 67]),
        from_isp([1, 0, 0x5e, 0, 0, 5]).ip(IpNumber(89), [224, 0, 0, 5], &[2, 1, 0, 44]),
        from_isp([1, 0, 0x5e, 0, 0, 0xfb]).udp(CLIENT, [224, 0, 0, 251], [5353, 5353]),
        from_isp([1, 0x80, 0xc2, 0, 0, 0]).bytes(&[0, 38, 0x42, 0x42, 3, 0, 0, 0, 0, 0]),
        from_isp(BROADCAST).ether(0x88b5, b"local experimental"),
        from_isp(BROADCAST).ether(0x0806, &request(ISP_MAC, [192, 0, 2, 1])),
        solicitation(ISP_MAC),
        from_isp(NOBODY_MAC).ip(IpNumber::GRE, SERVER, &[0, 0, 8, 0, 0x45]),
        from_isp(NOBODY_MAC).ip(IpNumber::ENCAPSULATING_SECURITY_PAYLOAD, SERVER, &[7; 40]),
        from_isp(NOBODY_MAC).ip(IpNumber::SCTP, SERVER, &[0x0b, 0x59, 0x0b, 0x59, 0, 0, 0, 1]),
        get_behind_options(),
        later_fragment(),
        extended_v6(),
    ];
    frames.extend([[1, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 0, 1]].map(strange_flags));
    frames.extend([labelled(&[5]), labelled(&[16, 5]), labelled(&[17])]);
    frames.extend([discovery(), session(3), session(4)]);
    frames
}

/// Frames that the gateway sends.
pub fn outbound() -> Vec<Vec<u8>> {
    let from_gateway = |to| untagged(GATEWAY_MAC, to);
    vec![
        from_gateway(BROADCAST).udp([192, 0, 2, 2], [192, 0, 2, 255], [137, 137]),
        from_gateway([1, 0, 0x5e, 0, 0, 1]).udp([192, 0, 2, 2], [224, 0, 0, 1], [9, 9]),
        from_gateway(NOBODY_MAC).ip(IpNumber::GRE, CLIENT, &[0, 0, 8, 0, 0x45]),
        from_gateway(NOBODY_MAC).ether(0x88b5, &[9; 200]),
        from_gateway(BROADCAST).ether(0x0806, &request(GATEWAY_MAC, [192, 0, 2, 2])),
        solicitation(GATEWAY_MAC),
    ]
}

/// Frames from this address with VLAN tags among their bytes.
pub fn tagged(from: [u8; 6]) -> Vec<Vec<u8>> {
    let tags: [&[(u16, u16)]; 5] = [
        &[(0x8100, 10)],
        &[(0x8100, 0x6000 | 20)],
        &[(0x88a8, 20), (0x8100, 30)],
        &[(0x8100, 20), (0x8100, 30)],
        &[(0x8100, 20), (0x8100, 31)],
    ];
    let udp = untagged(from, NOBODY_MAC).udp(CLIENT, SERVER, [1000, 53]);
    let with_tags = |tags: &&[(u16, u16)]| {
        let mut frame = udp[..12].to_vec();
        for (kind, control) in *tags {
            frame.extend([kind.to_be_bytes(), control.to_be_bytes()].concat());
        }
        frame.extend_from_slice(&udp[12..]);
        frame
    };
    tags.iter().map(with_tags).collect()
}

/// A conversation of which only the client's side passes, and in which a RST is in the middle.
/// Returns how many of the frames come before it.
pub fn reset_in_the_middle(port: u16) -> (Vec<Vec<u8>>, usize) {
    let segment = |number: u32, reset: bool| {
        let builder = PacketBuilder::ethernet2(ISP_MAC, NOBODY_MAC).ipv4(CLIENT, SERVER, 64);
        let builder = builder.tcp(port, 80, 1 + 10 * number, 1000).ack(1);
        let builder = if reset { builder.rst() } else { builder };
        built(|out| builder.write(out, &[number as u8; 10]))
    };
    ((0..8).map(|number| segment(number, number == 4)).collect(), 4)
}

/// The start of a frame.
struct Start {
    from: [u8; 6],
    to: [u8; 6],
}

fn untagged(from: [u8; 6], to: [u8; 6]) -> Start {
    Start { from, to }
}

impl Start {
    fn udp(&self, source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(self.from, self.to).ipv4(source, destination, 64);
        built(|out| builder.udp(ports[0], ports[1]).write(out, &[0x5a; 24]))
    }

    fn ip(&self, protocol: IpNumber, destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(self.from, self.to).ipv4(CLIENT, destination, 1);
        built(|out| builder.write(out, protocol, payload))
    }

    fn ether(&self, kind: u16, payload: &[u8]) -> Vec<u8> {
        self.bytes(&[&kind.to_be_bytes(), payload].concat())
    }

    /// Everything behind the addresses.
    fn bytes(&self, rest: &[u8]) -> Vec<u8> {
        padded([&self.to[..], &self.from, rest].concat())
    }
}

fn built<E: std::fmt::Debug>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame).unwrap();
    padded(frame)
}

fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(LEAST_FRAME), 0);
    frame
}

/// ARP: who has an address that nobody has?
fn request(from: [u8; 6], address: [u8; 4]) -> Vec<u8> {
    let start = [0, 1, 8, 0, 6, 4, 0, 1];
    [&start[..], &from, &address, &[0; 6], &[192, 0, 2, 77]].concat()
}

/// The same in IPv6.
fn solicitation(from: [u8; 6]) -> Vec<u8> {
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x77];
    let to = [0x33, 0x33, 0xff, 0, 0, 0x77];
    let address = [0x20, 1, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77];
    let builder = PacketBuilder::ethernet2(from, to).ipv6([0; 16], group, 255);
    built(|out| builder.icmpv6_raw(135, 0, [0; 4]).write(out, &address))
}

/// A request whose place in the frame depends on the length of the IP header.
fn get_behind_options() -> Vec<u8> {
    let mut header = Ipv4Header { time_to_live: 64, protocol: IpNumber::TCP, ..Default::default() };
    (header.source, header.destination) = (CLIENT, SERVER);
    header.options = Ipv4Options::from([1; 8]);
    let ip = IpHeaders::Ipv4(header, Ipv4Extensions::default());
    let builder = PacketBuilder::ethernet2(ISP_MAC, NOBODY_MAC).ip(ip);
    built(|out| builder.tcp(4000, 8080, 1, 1000).ack(1).psh().write(out, b"GET / HTTP/1.1\r\n\r\n"))
}

/// Looks like a datagram to port 53 to whoever does not see that it is no first fragment.
fn later_fragment() -> Vec<u8> {
    let mut header = Ipv4Header { time_to_live: 64, protocol: IpNumber::UDP, ..Default::default() };
    (header.source, header.destination) = (CLIENT, SERVER);
    header.fragment_offset = IpFragOffset::try_new(185).unwrap();
    let ip = IpHeaders::Ipv4(header, Ipv4Extensions::default());
    let builder = PacketBuilder::ethernet2(ISP_MAC, NOBODY_MAC).ip(ip);
    built(|out| builder.write(out, IpNumber::UDP, &[0, 53, 0, 53, 0, 40, 0, 0]))
}

/// A datagram behind a hop-by-hop header, which only `protochain` looks behind.
fn extended_v6() -> Vec<u8> {
    let hop_by_hop = [17, 0, 1, 4, 0, 0, 0, 0];
    let udp = [0x10, 0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let builder = PacketBuilder::ethernet2(ISP_MAC, NOBODY_MAC).ipv6(CLIENT_V6, SERVER_V6, 64);
    let mut frame =
        built(|out| builder.write(out, IpNumber::UDP, &[&hop_by_hop[..], &udp].concat()));
    frame[NEXT_HEADER_AT] = 0;
    frame
}

/// A segment with flags that no TCP sends together: of FIN to CWR, those that are not 0.
fn strange_flags(flags: [u8; 8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(ISP_MAC, NOBODY_MAC).ipv4(CLIENT, SERVER, 64);
    let mut frame = built(|out| builder.tcp(5000, 5001, 1, 1000).write(out, &[]));
    let bits = flags.iter().rev().fold(0, |bits, flag| bits << 1 | flag);
    frame[TCP_FLAGS_AT] = bits;
    frame
}

/// A datagram behind a stack of MPLS labels.
fn labelled(labels: &[u32]) -> Vec<u8> {
    let udp = untagged(ISP_MAC, NOBODY_MAC).udp(CLIENT, SERVER, [1000, 53]);
    let mut stack = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        let is_last = u32::from(number + 1 == labels.len());
        stack.extend((label << 12 | is_last << 8 | 64).to_be_bytes());
    }
    untagged(ISP_MAC, NOBODY_MAC).ether(0x8847, &[&stack[..], &udp[14..]].concat())
}

/// PPPoE: an initiation.
fn discovery() -> Vec<u8> {
    untagged(ISP_MAC, BROADCAST).ether(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0])
}

/// PPPoE: a datagram in a session.
fn session(number: u8) -> Vec<u8> {
    let udp = untagged(ISP_MAC, NOBODY_MAC).udp(CLIENT, SERVER, [1000, 53]);
    let length = (udp.len() - 14 + 2) as u8;
    let header = [0x11, 0, 0, number, 0, length, 0, 0x21];
    untagged(ISP_MAC, NOBODY_MAC).ether(0x8864, &[&header[..], &udp[14..]].concat())
}
