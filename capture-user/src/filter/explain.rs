//! Frames of a file, and what a filter says of them.

use std::{io, path::Path};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap::{Capture, Linktype};

use crate::kernel::Probe;

/// A frame of a file.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// What was kept of it.
    pub bytes: &'a [u8],
    /// Its length on the wire, in bytes.
    pub wire_length: u32,
}

/// A file that cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// It cannot be read, or only in part.
    #[error("{file}: {reason}")]
    Read {
        /// The file.
        file: String,
        /// libpcap's words.
        reason: String,
    },
    /// Its frames are not of Ethernet.
    #[error(
        "{file}: its frames are of the link type {link_type}; filters here are for Ethernet (EN10MB)"
    )]
    LinkType {
        /// The file.
        file: String,
        /// libpcap's name for it.
        link_type: String,
    },
    /// What was found could not be said.
    #[error("cannot write to the standard output: {0}")]
    Output(#[from] io::Error),
}

/// Visits all frames of a file that libpcap can read.
///
/// # Errors
/// See [`ExplainError`].
pub fn each_frame(
    file: &Path,
    mut visit: impl FnMut(&Recorded<'_>) -> io::Result<()>,
) -> Result<(), ExplainError> {
    let name = file.display().to_string();
    // libpcap takes `-` for the standard input, in which there is nothing.
    let failed =
        |error: pcap::Error| ExplainError::Read { file: name.clone(), reason: error.to_string() };
    let mut capture = Capture::from_file(file).map_err(failed)?;
    let link_type = capture.get_datalink();
    if link_type != Linktype::ETHERNET {
        let link_type = link_type.get_name().unwrap_or_else(|_| link_type.0.to_string());
        return Err(ExplainError::LinkType { file: name, link_type });
    }
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                visit(&Recorded { bytes: packet.data, wire_length: packet.header.len })?;
            }
            Err(pcap::Error::NoMorePackets) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// What the kernel's program says of a frame; `None` if it cannot be asked, since the frame was cut,
/// or is shorter or longer than the kernel takes without a network.
#[must_use]
pub fn ask_kernel(probe: &Probe, recorded: &Recorded<'_>) -> Option<bool> {
    let is_whole = recorded.bytes.len() == recorded.wire_length as usize;
    is_whole.then(|| probe.run(recorded.bytes, 1).ok()).flatten().map(|run| run.value != 0)
}

/// A line about a frame: who to whom, what, how long.
#[must_use]
pub fn summary(recorded: &Recorded<'_>) -> String {
    let length = recorded.wire_length;
    let Ok(packet) = LaxSlicedPacket::from_ethernet(recorded.bytes) else {
        return format!("{length} bytes");
    };
    let (from, to) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string())
        }
        Some(LaxNetSlice::Arp(_)) => return format!("ARP, {length} bytes"),
        None => return format!("not IP, {length} bytes"),
    };
    let (ports, what) = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            (Some((tcp.source_port(), tcp.destination_port())), "TCP")
        }
        Some(TransportSlice::Udp(udp)) => {
            (Some((udp.source_port(), udp.destination_port())), "UDP")
        }
        Some(TransportSlice::Icmpv4(_)) => (None, "ICMP"),
        Some(TransportSlice::Icmpv6(_)) => (None, "ICMPv6"),
        Some(TransportSlice::Igmp(_)) => (None, "IGMP"),
        None => (None, "IP"),
    };
    match ports {
        Some((source, destination)) => {
            format!("{from}.{source} > {to}.{destination}: {what}, {length} bytes")
        }
        None => format!("{from} > {to}: {what}, {length} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::samples;

    #[test]
    fn frames_are_summed_up() {
        let lines: Vec<String> = samples::all()
            .iter()
            .map(|(_, frame)| summary(&Recorded { bytes: frame, wire_length: frame.len() as u32 }))
            .collect();
        assert_eq!(lines[0], "192.0.2.1.40000 > 203.0.113.4.80: TCP, 60 bytes");
        assert_eq!(lines[3], "192.0.2.1 > 203.0.113.4: ICMP, 98 bytes");
        assert_eq!(lines[4], "2001:db8::1.40000 > 2001:db8::2.80: TCP, 74 bytes");
        assert_eq!(lines[5], "192.0.2.1.40000 > 203.0.113.4.53: UDP, 76 bytes");
        assert_eq!(lines[6], "ARP, 60 bytes");
        assert_eq!(summary(&Recorded { bytes: &[0; 5], wire_length: 60 }), "60 bytes");
    }

    #[test]
    fn files_that_are_none_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.pcap");
        let error = each_frame(&file, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("x.pcap") && error.contains("No such file"), "{error}");
        std::fs::write(&file, "no capture at all, but long enough for a header").unwrap();
        assert!(each_frame(&file, |_| Ok(())).is_err());
        // The header of a file of raw IP.
        let header =
            [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
        std::fs::write(&file, header).unwrap();
        let error = each_frame(&file, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("RAW") && error.contains("Ethernet"), "{error}");
    }
}
