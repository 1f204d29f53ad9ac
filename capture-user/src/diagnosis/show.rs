//! Commands that show what a finding rests on.

use super::{finding::Show, services::Service};

pub(super) fn commands(service: &Service, filter: &str) -> Show {
    let address = service.address;
    Show {
        captured: format!("captured flows {address}"),
        tshark: format!("tshark -r SEGMENT -Y '{}'", display_filter(service, filter)),
    }
}

/// Of what belongs to the service, and of that what the rule looks at. tshark also finds addresses
/// and ports in the packet that an ICMP error quotes.
fn display_filter(service: &Service, filter: &str) -> String {
    let (ip, port) = (service.address.ip(), service.address.port());
    let field = if ip.is_ipv6() { "ipv6.addr" } else { "ip.addr" };
    let mut parts = vec![format!("{field} == {ip}")];
    let name = service.protocol_name();
    if port != 0 && matches!(name.as_str(), "tcp" | "udp" | "sctp") {
        parts.push(format!("{name}.port == {port}"));
    }
    if !filter.is_empty() {
        parts.push(filter.into());
    }
    parts.join(" && ")
}
