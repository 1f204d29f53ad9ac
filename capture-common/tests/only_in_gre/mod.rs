//! What only GRE carries: mirrored frames (ERSPAN), and 802.11.

use capture_common::{flow::tunnel, reason::Reason};

use crate::{
    TCP, UDP, mirrored, parsed, result, tcp,
    tunnel_frames::{ARUBA, ERSPAN, ERSPAN_III, GRE, VXLAN, ethernet, gre, ip, udp},
    v4,
};

#[test]
fn erspan_is_followed_as_its_header_says() {
    let frame = ethernet(0x0800, &ip(4, TCP, &tcp()));
    let two = [0x1f, 0xff, 0xfb, 0xff, 0, 0, 0, 7];
    let three = [0x2f, 0xff, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0x80, 0];
    let (_, inner, followed) = parsed(&mirrored(ERSPAN, &two, &frame));
    assert_eq!((followed, inner.tunnel), (Ok(()), tunnel::erspan(1023)));
    // The types are told apart by their version.
    assert_eq!(result(&mirrored(ERSPAN_III, &three, &frame)), Ok(()));
    assert_eq!(result(&mirrored(ERSPAN, &three, &frame)), Ok(()));
    assert_eq!(result(&mirrored(ERSPAN_III, &two, &frame)), Ok(()));
    for version in [0, 3, 15] {
        let other = [version << 4, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(result(&mirrored(ERSPAN, &other, &frame)), Err(Reason::BadErspanHeader));
    }
    let mut ip_only = three;
    ip_only[10] |= 2 << 2;
    assert_eq!(result(&mirrored(ERSPAN_III, &ip_only, &frame)), Err(Reason::TunnelNotIp));
    let mut with_subheader = three;
    with_subheader[11] |= 1;
    let subheader_missing = mirrored(ERSPAN_III, &with_subheader, &[0; 7]);
    assert_eq!(result(&subheader_missing), Err(Reason::TruncatedErspan));
    let arp = ethernet(0x0806, &[0; 28]);
    assert_eq!(result(&mirrored(ERSPAN, &two, &arp)), Err(Reason::NotIp));
    // Type I has no sequence number and no header.
    let one = v4(GRE, &[&gre(ERSPAN, false, Some(7), false), &frame[..]].concat());
    let (_, inner, followed) = parsed(&one);
    assert_eq!((followed, inner.tunnel), (Ok(()), tunnel::ERSPAN));
}

/// Mirrors may cut what they mirror, and say so; then the lengths of the cut frame are believed.
#[test]
fn what_a_mirror_cut_keeps_its_length() {
    let segment = [&tcp()[..20], &[0; 1000]].concat();
    let full = ethernet(0x0800, &ip(4, TCP, &segment));
    let in_vxlan = v4(UDP, &udp(VXLAN, &[&[8, 0, 0, 0, 0, 0, 42, 0][..], &full].concat()));
    for (frame, kept) in [(&full, 64), (&in_vxlan, 114)] {
        for (flag, length) in [(4, 1000), (0, kept as u32 - (frame.len() as u32 - 1000))] {
            let cut = mirrored(ERSPAN, &[0x10, 0, flag, 1, 0, 0, 0, 0], &frame[..kept]);
            let (_, inner, result) = parsed(&cut);
            assert_eq!((result, inner.segment.length), (Ok(()), length));
        }
    }
    // What lies behind the mirror's packet is none of it nevertheless.
    let mut padded = mirrored(ERSPAN, &[0x10, 0, 4, 1, 0, 0, 0, 0], &full[..50]);
    padded.extend(&full[50..]);
    assert_eq!(result(&padded), Err(Reason::TruncatedTcp));
    // A length of 0 is that of a frame that is not cut.
    let mut unknown = full;
    unknown[16..18].fill(0);
    let cut = mirrored(ERSPAN, &[0x10, 0, 4, 1, 0, 0, 0, 0], &unknown[..64]);
    assert!(parsed(&cut).1.segment.length <= 0xffff);
}

#[test]
fn wlan_is_followed_where_its_data_is_plain() {
    let packet = ip(4, TCP, &tcp());
    let llc = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let frame = |protocol: u16, control: [u8; 2], fragment: u8, qos: u8, llc: &[u8; 8]| {
        let header = [&control[..], &[0; 20], &[fragment, 0, qos, 0]].concat();
        v4(GRE, &[&gre(protocol, false, None, false), &header, &llc[..], &packet].concat())
    };
    let wlan = |kind, flags| result(&frame(ARUBA, [kind, flags], 0, 0, &llc));
    for (kind, flags) in [(0x88, 1), (0x98, 2), (0x88, 0x38)] {
        assert_eq!(wlan(kind, flags), Ok(()));
    }
    // Another version, management, control, an extension, no data, encrypted data.
    for (kind, flags) in [(0x89, 1), (0x80, 0), (0xd4, 0), (0x0c, 0), (0xc8, 1), (0x88, 0x41)] {
        assert_eq!(wlan(kind, flags), Err(Reason::WlanNotIp), "{kind:#x} {flags:#x}");
    }
    assert_eq!(wlan(0x88, 5), Err(Reason::FragmentedTunnel));
    let data = [0x88, 1];
    assert_eq!(result(&frame(ARUBA, data, 0xf0, 0x7f, &llc)), Ok(()));
    assert_eq!(result(&frame(ARUBA, data, 1, 0, &llc)), Err(Reason::FragmentedTunnel));
    assert_eq!(result(&frame(ARUBA, data, 0, 0x80, &llc)), Err(Reason::WlanNotIp));
    let (other_sap, other_organisation) =
        ([0x42, 0x42, 3, 0, 0, 0, 8, 0], [0xaa, 0xaa, 3, 0, 0, 12, 8, 0]);
    for llc in [other_sap, other_organisation] {
        assert_eq!(result(&frame(ARUBA, data, 0, 0, &llc)), Err(Reason::WlanNotIp));
    }
    let arp = [0xaa, 0xaa, 3, 0, 0, 0, 8, 6];
    assert_eq!(result(&frame(ARUBA, data, 0, 0, &arp)), Err(Reason::NotIp));
    assert_eq!(result(&frame(0x8370, data, 0, 0, &llc)), Ok(()));
    for protocol in [0x8201, 0x81f0, 0x8380, 0x9000] {
        assert_eq!(result(&frame(protocol, data, 0, 0, &llc)), Err(Reason::TunnelNotIp));
    }
}
