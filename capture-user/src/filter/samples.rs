//! Frames of usual kinds, on which filters are measured.

use etherparse::PacketBuilder;

const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [203, 0, 113, 4];
const CLIENT_6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER_6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// Of Ethernet, without the frame check sequence.
const LEAST_FRAME: usize = 60;

/// Each with its name.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let ethernet = || PacketBuilder::ethernet2(MACS.0, MACS.1);
    let ipv4 = || ethernet().ipv4(CLIENT, SERVER, 64);
    let ipv6 = || ethernet().ipv6(CLIENT_6, SERVER_6, 64);
    let built = [
        (
            "TCP SYN to port 80, IPv4",
            frame(|out| ipv4().tcp(40_000, 80, 1, 65_535).syn().write(out, &[])),
        ),
        (
            "TCP data to port 443, IPv4",
            frame(|out| ipv4().tcp(40_000, 443, 1, 65_535).ack(1).write(out, &[0; 1_400])),
        ),
        ("UDP to port 53, IPv4", frame(|out| ipv4().udp(40_000, 53).write(out, &[0; 30]))),
        ("ICMP echo, IPv4", frame(|out| ipv4().icmpv4_echo_request(1, 1).write(out, &[0; 56]))),
        (
            "TCP SYN to port 80, IPv6",
            frame(|out| ipv6().tcp(40_000, 80, 1, 65_535).syn().write(out, &[])),
        ),
        (
            "UDP to port 53, VLAN 5, IPv4",
            frame(|out| {
                let id = etherparse::VlanId::try_new(5).unwrap_or_default();
                ethernet()
                    .single_vlan(id)
                    .ipv4(CLIENT, SERVER, 64)
                    .udp(40_000, 53)
                    .write(out, &[0; 30])
            }),
        ),
        ("ARP", arp()),
    ];
    built.into_iter().filter(|(_, frame)| !frame.is_empty()).collect()
}

/// Empty if it could not be built, which the tests would find.
fn frame<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut frame = Vec::new();
    match write(&mut frame) {
        Ok(()) => padded(frame),
        Err(_) => Vec::new(),
    }
}

fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(LEAST_FRAME), 0);
    frame
}

fn arp() -> Vec<u8> {
    let header = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1];
    padded([&[0xff; 6][..], &MACS.0, &header, &MACS.0, &CLIENT, &[0; 6], &SERVER].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Expression;

    #[test]
    fn samples_are_what_they_are_called() {
        let samples = all();
        assert_eq!(samples.len(), 7);
        for ((name, frame), text) in samples.iter().zip([
            "ip and tcp[13] = 2 and dst port 80 and len = 60",
            "ip and tcp dst port 443 and len = 1454",
            "ip and udp dst port 53",
            "ip and icmp[icmptype] = icmp-echo",
            "ip6 and tcp dst port 80",
            "vlan 5 and ip and udp dst port 53",
            "arp and arp[6:2] = 1",
        ]) {
            let program = text.parse::<Expression>().unwrap().compile(0).unwrap();
            assert!(program.matches(frame, frame.len() as u32), "{name}: {text}");
        }
    }
}
