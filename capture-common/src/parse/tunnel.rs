//! Tunnels: packets that carry others. Which they are is found by the transport parser; here is what
//! lies between their header and the packet in them.

use super::{
    Load, Packet, be16, layers, link, recall,
    transport::{GRE, IP_IN_IP, IPV6_IN_IP},
};
use crate::{flow::tunnel, reason::Reason};

/// Most tunnels in one another that are followed.
pub const MAX_TUNNELS: usize = 2;

/// Transparent Ethernet bridging: an Ethernet frame without its frame check sequence (RFC 1701).
pub(super) const ETHERNET: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

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
    tunnel: u32,
}

impl Carrier {
    /// Through memory: the verifier needs not know how the packet was parsed.
    #[inline(always)]
    pub(super) fn of(packet: &Packet, end: u32) -> Self {
        Self {
            protocol: recall(&packet.protocol),
            is_fragment: recall(&packet.layers) & layers::FRAGMENT != 0,
            destination_port: recall(&packet.destination_port),
            offset: usize::from(recall(&packet.transport_offset)),
            end: end.min(recall(&packet.network_end)),
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
    /// Identifier of the tunnel.
    pub tunnel: u32,
}

/// Reads the header of the tunnel.
#[inline(always)]
pub(super) fn open<L: Load + ?Sized>(frame: &L, carrier: &Carrier) -> Result<Payload, Reason> {
    if carrier.is_fragment {
        return Err(Reason::FragmentedTunnel);
    }
    let (offset, mut end) = (carrier.offset, carrier.end);
    let ip = |ethertype| Ok((ethertype, offset, tunnel::IP_IN_IP));
    let (ethertype, offset, id) = match carrier.protocol {
        IP_IN_IP => ip(link::ETHERTYPE_IPV4),
        IPV6_IN_IP => ip(link::ETHERTYPE_IPV6),
        GRE => gre(&Within { frame, end }, offset),
        _ => {
            end = end.min(datagram_end(frame, offset)?);
            let within = Within { frame, end };
            match carrier.destination_port {
                VXLAN_PORT => vxlan(&within, offset + UDP_LENGTH),
                _ => geneve(&within, offset + UDP_LENGTH),
            }
        }
    }?;
    Ok(Payload { ethertype, offset, end, tunnel: tunnel::nested(carrier.tunnel, id) })
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

/// An EtherType, where what it announces starts, and the identifier of the tunnel.
type Opened = Result<(u16, usize, u32), Reason>;

/// GRE (RFC 2784) with key and sequence number (RFC 2890).
#[inline(always)]
fn gre<L: Load + ?Sized>(frame: &L, offset: usize) -> Opened {
    const CHECKSUM: u16 = 0x8000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    /// RFC 2784, section 2.2: of the bits that only RFC 1701 knew, a receiver that does not know
    /// it must refuse bits 1, 4 and 5 (bits 2 and 3 are those of RFC 2890).
    const ROUTING: u16 = 0x4c00;
    const VERSION: u16 = 0x0007;

    let header: [u8; 4] = frame.load(offset).ok_or(Reason::TruncatedGre)?;
    let flags = be16([header[0], header[1]]);
    if flags & (ROUTING | VERSION) != 0 {
        return Err(Reason::BadGreHeader);
    }
    let field = |flag| if flags & flag != 0 { 4 } else { 0 };
    let key_at = offset + 4 + field(CHECKSUM);
    let end = key_at + field(KEY) + field(SEQUENCE);
    let _last: [u8; 1] = frame.load(end - 1).ok_or(Reason::TruncatedGre)?;
    let id = if flags & KEY == 0 {
        tunnel::GRE
    } else {
        let key = frame.load(key_at).ok_or(Reason::TruncatedGre)?;
        tunnel::gre_key(u32::from_be_bytes(key))
    };
    match be16([header[2], header[3]]) {
        ERSPAN | ERSPAN_III => Err(Reason::Erspan),
        ethertype if is_followed(ethertype) => Ok((ethertype, end, id)),
        _ => Err(Reason::TunnelNotIp),
    }
}

/// What may lie directly in GRE and GENEVE.
#[inline(always)]
const fn is_followed(ethertype: u16) -> bool {
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
fn vxlan<L: Load + ?Sized>(frame: &L, offset: usize) -> Opened {
    const HAS_VNI: u8 = 0x08;
    const LENGTH: usize = 8;

    let header: [u8; LENGTH] = frame.load(offset).ok_or(Reason::TruncatedVxlan)?;
    if header[0] & HAS_VNI == 0 {
        return Err(Reason::BadVxlanHeader);
    }
    let id = tunnel::vxlan(vni([header[4], header[5], header[6], header[7]]));
    Ok((ETHERNET, offset + LENGTH, id))
}

/// GENEVE (RFC 8926, section 3.4), whose options are skipped.
#[inline(always)]
fn geneve<L: Load + ?Sized>(frame: &L, offset: usize) -> Opened {
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
    Ok((ethertype, end, id))
}
