//! Tunnels: packets that carry others. Which they are is found by the transport parser; here is what
//! lies between their header and the packet in them.

use super::{
    Load, Packet, be16, gre, layers, link, recall,
    transport::{GRE, IP_IN_IP, IPV6_IN_IP},
};
use crate::{flow::tunnel, reason::Reason};

/// Most tunnels in one another that are followed.
pub const MAX_TUNNELS: usize = 2;

/// Transparent Ethernet bridging: an Ethernet frame without its frame check sequence (RFC 1701).
pub(super) const ETHERNET: u16 = 0x6558;

/// RFC 7348, section 8.
const VXLAN_PORT: u16 = 4789;
/// RFC 8926, section 3.3.
const GENEVE_PORT: u16 = 6081;
const UDP_LENGTH: usize = 8;

/// Do packets to this UDP port belong to a tunnel? The source port says nothing: the tunnels
/// choose it by the flow in them.
#[inline(always)]
pub(super) const fn is_port(destination: u16) -> bool {
    matches!(destination, VXLAN_PORT | GENEVE_PORT)
}

/// A part of a frame that ends with the packet around it: what comes behind is not seen.
pub(super) struct Within<'a, L: ?Sized> {
    pub frame: &'a L,
    /// Bytes from the start of the frame.
    pub end: u32,
}

impl<L: Load + ?Sized> Load for Within<'_, L> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset + N > self.end as usize {
            return None;
        }
        self.frame.load(offset)
    }
}

/// What has to be known of the packet of a tunnel.
pub(super) struct Carrier {
    protocol: u8,
    is_fragment: bool,
    destination_port: u16,
    /// Bytes from the start of the frame to what the protocol number or the port announces.
    offset: usize,
    /// Bytes from the start of the frame to the end of the packet.
    end: u32,
    /// The same before it was cut by what mirrors it; otherwise equal to `end`.
    end_on_wire: u32,
    tunnel: u32,
}

impl Carrier {
    /// Through memory: the verifier needs not know how the packet was parsed.
    #[inline(always)]
    pub(super) fn of(packet: &Packet, end: u32, end_on_wire: u32) -> Self {
        let stated = recall(&packet.network_end);
        Self {
            protocol: recall(&packet.protocol),
            is_fragment: recall(&packet.layers) & layers::FRAGMENT != 0,
            destination_port: recall(&packet.destination_port),
            offset: usize::from(recall(&packet.transport_offset)),
            end: end.min(stated),
            end_on_wire: end_on_wire.min(stated),
            tunnel: recall(&packet.tunnel),
        }
    }
}

/// What a tunnel carries.
pub(super) struct Payload {
    /// Of its first header.
    pub ethertype: u16,
    /// Bytes from the start of the frame.
    pub offset: usize,
    /// Bytes from the start of the frame.
    pub end: u32,
    /// No less than `end`; more if it was cut by what mirrors it.
    pub end_on_wire: u32,
    /// Identifier of the tunnel.
    pub tunnel: u32,
}

/// What the header of a tunnel says.
pub(super) struct Opened {
    /// Of what it carries.
    pub ethertype: u16,
    /// Where that starts: bytes from the start of the frame.
    pub offset: usize,
    /// Identifier of the tunnel, without those around it.
    pub id: u32,
    /// 0; or [`link::MAX_LENGTH`] if what it carries was cut by what mirrors it, by nobody knows how
    /// much.
    pub cut: u32,
}

/// Reads the header of the tunnel.
#[inline(always)]
pub(super) fn open<L: Load + ?Sized>(frame: &L, carrier: &Carrier) -> Result<Payload, Reason> {
    if carrier.is_fragment {
        return Err(Reason::FragmentedTunnel);
    }
    let (offset, mut end, mut end_on_wire) = (carrier.offset, carrier.end, carrier.end_on_wire);
    let ip = |ethertype| Ok(Opened { ethertype, offset, id: tunnel::IP_IN_IP, cut: 0 });
    let opened = match carrier.protocol {
        IP_IN_IP => ip(link::ETHERTYPE_IPV4),
        IPV6_IN_IP => ip(link::ETHERTYPE_IPV6),
        GRE => gre::open(&Within { frame, end }, offset),
        _ => {
            let datagram_end = datagram_end(frame, offset)?;
            (end, end_on_wire) = (end.min(datagram_end), end_on_wire.min(datagram_end));
            let within = Within { frame, end };
            match carrier.destination_port {
                VXLAN_PORT => vxlan(&within, offset + UDP_LENGTH),
                _ => geneve(&within, offset + UDP_LENGTH),
            }
        }
    }?;
    let Opened { ethertype, offset, id, cut } = opened;
    let tunnel = tunnel::nested(carrier.tunnel, id);
    Ok(Payload { ethertype, offset, end, end_on_wire: end_on_wire | cut, tunnel })
}

/// Where the length field of a UDP header says that the datagram ends. 0 says nothing (RFC 2675,
/// section 4).
#[inline(always)]
fn datagram_end<L: Load + ?Sized>(frame: &L, offset: usize) -> Result<u32, Reason> {
    match be16(frame.load(offset + 4).ok_or(Reason::TruncatedUdp)?) {
        0 => Ok(u32::MAX),
        length => Ok(offset as u32 + u32::from(length)),
    }
}

/// What may lie directly in GRE and GENEVE.
#[inline(always)]
pub(super) const fn is_followed(ethertype: u16) -> bool {
    matches!(
        ethertype,
        ETHERNET
            | link::ETHERTYPE_IPV4
            | link::ETHERTYPE_IPV6
            | link::ETHERTYPE_MPLS
            | link::ETHERTYPE_MPLS_UPSTREAM
    )
}

/// The network identifier: the first three of four bytes, in VXLAN as in GENEVE.
#[inline(always)]
const fn vni(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) >> 8
}

/// VXLAN (RFC 7348, section 5). Other flags than the one that must be set are to be ignored.
#[inline(always)]
fn vxlan<L: Load + ?Sized>(frame: &L, offset: usize) -> Result<Opened, Reason> {
    const HAS_VNI: u8 = 0x08;
    const LENGTH: usize = 8;

    let header: [u8; LENGTH] = frame.load(offset).ok_or(Reason::TruncatedVxlan)?;
    if header[0] & HAS_VNI == 0 {
        return Err(Reason::BadVxlanHeader);
    }
    let id = tunnel::vxlan(vni([header[4], header[5], header[6], header[7]]));
    Ok(Opened { ethertype: ETHERNET, offset: offset + LENGTH, id, cut: 0 })
}

/// GENEVE (RFC 8926, section 3.4), whose options are skipped.
#[inline(always)]
fn geneve<L: Load + ?Sized>(frame: &L, offset: usize) -> Result<Opened, Reason> {
    const LENGTH: usize = 8;
    /// In units of 4 bytes.
    const OPTIONS: u8 = 0x3f;
    const CONTROL: u8 = 0x80;

    let header: [u8; LENGTH] = frame.load(offset).ok_or(Reason::TruncatedGeneve)?;
    if header[0] & !OPTIONS != 0 {
        return Err(Reason::BadGeneveHeader);
    }
    let end = offset + LENGTH + usize::from(header[0] & OPTIONS) * 4;
    let _last: [u8; 1] = frame.load(end - 1).ok_or(Reason::TruncatedGeneve)?;
    let ethertype = be16([header[2], header[3]]);
    if header[1] & CONTROL != 0 || !is_followed(ethertype) {
        return Err(Reason::TunnelNotIp);
    }
    let id = tunnel::geneve(vni([header[4], header[5], header[6], header[7]]));
    Ok(Opened { ethertype, offset: end, id, cut: 0 })
}
