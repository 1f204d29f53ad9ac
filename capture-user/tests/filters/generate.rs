//! Expressions of pcap-filter(7) by chance. Almost all compile for Ethernet; what libpcap refuses of
//! them contradicts itself, for example `tcp and udp`.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};

/// Levels of `and`, `or`, `not` and parentheses, and again of arithmetic.
const DEPTH: u32 = 4;
/// Primitives, or operands, at which an expression stops to grow.
const SIZE: u32 = 10;

/// An expression, at times of what a tag, a label or a tunnel carries.
pub fn expression() -> impl Strategy<Value = String> {
    let plain = || combined(of_frame().boxed());
    let carried = || {
        prop_oneof![
            2 => within(tags(), of_frame()),
            1 => within(tunnel(), of_packet()),
            1 => within(session(), of_packet()),
        ]
    };
    prop_oneof![
        16 => plain(),
        2 => carried(),
        2 => (plain(), carried()).prop_map(|(plain, carried)| format!("({plain}) or ({carried})")),
        1 => within(labels(), of_labelled()),
    ]
}

fn within(
    outer: impl Strategy<Value = String>,
    leaf: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = String> {
    (outer, combined(leaf.boxed())).prop_map(|(outer, inner)| format!("{outer} and ({inner})"))
}

fn combined(leaf: BoxedStrategy<String>) -> BoxedStrategy<String> {
    // More of `or`: of many primitives that all hold libpcap sees that they cannot.
    let operator = select(vec!["and", "or", "or", "&&", "||", "||"]);
    leaf.prop_recursive(DEPTH, SIZE, 2, move |inner| {
        let two = (inner.clone(), operator.clone(), inner.clone());
        let lower = (inner.clone(), operator.clone(), inner.clone());
        prop_oneof![
            3 => two.prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            3 => lower.prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
            1 => inner.clone().prop_map(|inner| format!("not ({inner})")),
            1 => inner.clone().prop_map(|inner| format!("! ({inner})")),
            1 => inner.prop_map(|inner| format!("({inner})")),
        ]
    })
    .boxed()
}

fn tags() -> impl Strategy<Value = String> {
    prop_oneof![2 => tag(), 1 => (tag(), tag()).prop_map(|(outer, inner)| format!("{outer} and {inner}"))]
}

fn tag() -> impl Strategy<Value = String> {
    prop_oneof![2 => word(&["vlan", "vlan 5"]), 1 => shown("vlan ", 0..4096_u32)]
}

fn tunnel() -> impl Strategy<Value = String> {
    prop_oneof![2 => word(&["geneve", "geneve 7"]), 1 => shown("geneve ", 0..1_u32 << 24)]
}

fn session() -> impl Strategy<Value = String> {
    let known = word(&["pppoes", "pppoes 1", "vlan 5 and pppoes 1"]);
    prop_oneof![2 => known, 1 => shown("pppoes ", any::<u16>())]
}

fn labels() -> impl Strategy<Value = String> {
    let known = word(&["mpls", "mpls 5", "mpls 5 and mpls", "vlan and mpls"]);
    prop_oneof![2 => known, 1 => shown("mpls ", 0..1_u32 << 20)]
}

/// What can be asked of a frame of Ethernet.
fn of_frame() -> impl Strategy<Value = String> {
    let of_ethernet = prop_oneof![ether_host(), word(ETHERNET_KINDS)];
    prop_oneof![4 => of_ethernet, 1 => protocol_chain(), 25 => of_packet()]
}

/// What can be asked of a packet in PPP too, which has no addresses of Ethernet, and in a tunnel.
fn of_packet() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => host(),
        3 => net(),
        4 => port(),
        2 => protocol(),
        2 => word(KINDS),
        2 => flags(),
        1 => length(),
        8 => relation(),
    ]
}

/// What can be asked behind a label of MPLS, which does not say what it carries.
fn of_labelled() -> impl Strategy<Value = String> {
    prop_oneof![
        word(&["ip", "ip6", "ip multicast"]),
        address().prop_map(|address| format!("ip host {address}")),
        address6().prop_map(|address| format!("ip6 host {address}")),
        length(),
        (word(&["ip", "tcp", "udp", "ether"]), 0..24_u32, size(), constant())
            .prop_map(|(layer, offset, size, value)| format!("{layer}[{offset}{size}] >= {value}")),
    ]
}

/// Primitives of one or two fixed words.
#[rustfmt::skip]
const KINDS: &[&str] = &[
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "pim", "vrrp", "ah",
    "esp", "iso", "clnp", "isis", "ip broadcast", "ip multicast", "ip6 multicast",
];

/// The same, of those that only Ethernet has.
#[rustfmt::skip]
const ETHERNET_KINDS: &[&str] = &[
    "atalk", "aarp", "decnet", "ipx", "netbeui", "lat", "stp", "l1", "iih", "lsp", "llc", "llc u",
    "llc ui", "llc xid", "pppoed", "ether broadcast", "ether multicast",
];

fn host() -> impl Strategy<Value = String> {
    let four = (word(&["", "ip ", "arp ", "rarp "]), direction(), word(&["host ", ""]), address())
        .prop_map(|(protocol, direction, kind, address)| {
            // Only a direction can stand right before an address.
            let kind = if direction.is_empty() { "host " } else { &kind };
            format!("{protocol}{direction}{kind}{address}")
        });
    let six = (word(&["", "ip6 "]), direction(), address6())
        .prop_map(|(protocol, direction, address)| format!("{protocol}{direction}host {address}"));
    let list = (direction(), address(), address())
        .prop_map(|(direction, one, other)| format!("{direction}host ({one} or {other})"));
    prop_oneof![3 => four, 2 => six, 1 => list]
}

fn ether_host() -> impl Strategy<Value = String> {
    let known = word(&["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"]);
    let any = any::<[u8; 6]>().prop_map(|bytes| bytes.map(|byte| format!("{byte:02x}")).join(":"));
    (direction(), prop_oneof![3 => known, 1 => any])
        .prop_map(|(direction, address)| format!("ether {direction}host {address}"))
}

fn net() -> impl Strategy<Value = String> {
    let four = (word(&["", "ip ", "arp "]), direction(), address(), 0..=32_u32, any::<bool>())
        .prop_map(|(protocol, direction, address, length, slash)| {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let network = Ipv4Addr::from_bits(address.to_bits() & mask);
            let mask = Ipv4Addr::from_bits(mask);
            let mask = if slash { format!("/{length}") } else { format!(" mask {mask}") };
            format!("{protocol}{direction}net {network}{mask}")
        });
    let six = (word(&["", "ip6 "]), direction(), address6(), 0..=128_u32).prop_map(
        |(protocol, direction, address, length)| {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            let network = Ipv6Addr::from_bits(address.to_bits() & mask);
            format!("{protocol}{direction}net {network}/{length}")
        },
    );
    prop_oneof![four, six]
}

fn port() -> impl Strategy<Value = String> {
    let number = || prop_oneof![3 => select(vec![80_u16, 53, 40_000]), 1 => any::<u16>()];
    let which = prop_oneof![
        3 => shown("port ", number()),
        1 => (number(), number()).prop_map(|(one, other)| format!("port ({one} or {other})")),
        2 => (number(), number()).prop_map(|(from, to)| format!("portrange {from}-{to}")),
    ];
    (word(&["", "tcp ", "udp ", "sctp "]), direction(), which)
        .prop_map(|(protocol, direction, which)| format!("{protocol}{direction}{which}"))
}

fn protocol() -> impl Strategy<Value = String> {
    let number = || prop_oneof![select(vec![1_u8, 2, 6, 17, 44, 50, 51, 58, 132]), any::<u8>()];
    prop_oneof![
        3 => (word(&["ip proto ", "ip6 proto ", "proto "]), number())
            .prop_map(|(of, number)| format!("{of}{number}")),
        2 => word(&[r"ip proto \tcp", r"ip6 proto \udp", r"proto \icmp", r"ether proto \arp"]),
        2 => any::<u16>().prop_map(|number| format!("ether proto {number:#06x}")),
        2 => select(vec![0x0800, 0x86dd, 0x8847, 0x88cc, 0x42]).prop_map(|number: u16| {
            format!("ether proto {number:#06x}")
        }),
    ]
}

/// Not for what a tunnel carries: libpcap follows a chain only behind headers of a fixed length.
fn protocol_chain() -> impl Strategy<Value = String> {
    let number = prop_oneof![select(vec![1_u8, 6, 17, 43, 44, 51, 58, 60]), any::<u8>()];
    (word(&["ip protochain ", "ip6 protochain ", "protochain "]), number)
        .prop_map(|(of, number)| format!("{of}{number}"))
}

fn flags() -> impl Strategy<Value = String> {
    let names =
        ["fin", "syn", "rst", "push", "ack", "urg", "ece", "cwr"].map(|n| format!("tcp-{n}"));
    let some = proptest::sample::subsequence(names.to_vec(), 1..=3).prop_map(|some| some.join("|"));
    let icmp = word(&["icmp-echo", "icmp-echoreply", "icmp-unreach", "icmp-timxceed"]);
    let icmp6 = word(&["icmp6-echo", "icmp6-neighborsolicit", "icmp6-packettoobig"]);
    prop_oneof![
        2 => some.clone().prop_map(|some| format!("tcp[tcpflags] & ({some}) != 0")),
        1 => some.prop_map(|some| format!("tcp[tcpflags] = {some}")),
        1 => icmp.prop_map(|kind| format!("icmp[icmptype] = {kind}")),
        1 => icmp6.prop_map(|kind| format!("icmp6[icmp6type] = {kind}")),
    ]
}

fn length() -> impl Strategy<Value = String> {
    (word(&["less ", "greater ", "len <= ", "len > ", "len = "]), 14..1600_u32)
        .prop_map(|(relation, length)| format!("{relation}{length}"))
}

fn relation() -> impl Strategy<Value = String> {
    let relation = || select(vec![">", "<", ">=", "<=", "=", "==", "!="]);
    let one = (accessed(), relation(), constant());
    let both = (accessed(), relation(), accessed());
    prop_oneof![
        2 => one.prop_map(|(left, relation, right)| format!("{left} {relation} {right}")),
        1 => both.prop_map(|(left, relation, right)| format!("{left} {relation} {right}")),
    ]
}

/// Arithmetic with at least one operand of the packet.
fn accessed() -> BoxedStrategy<String> {
    let leaf = prop_oneof![6 => bytes(), 1 => word(&["len"])].boxed();
    leaf.prop_recursive(DEPTH, SIZE, 3, |inner| {
        let operand = prop_oneof![3 => inner.clone(), 2 => constant()];
        let operator = select(vec!["+", "-", "*", "&", "|", "^"]);
        let joined = (inner.clone(), operator, operand)
            .prop_map(|(left, operator, right)| format!("({left} {operator} {right})"));
        let divided = (inner.clone(), select(vec!["/", "%"]), divisor(inner.clone()))
            .prop_map(|(left, operator, right)| format!("({left} {operator} {right})"));
        let shifted = (inner.clone(), select(vec!["<<", ">>"]), shift(inner.clone()))
            .prop_map(|(left, operator, right)| format!("({left} {operator} {right})"));
        prop_oneof![4 => joined, 2 => divided, 2 => shifted, 2 => computed(inner)]
    })
    .boxed()
}

fn constant() -> BoxedStrategy<String> {
    prop_oneof![
        4 => (0..256_u32).prop_map(|number| number.to_string()),
        1 => any::<u16>().prop_map(|number| format!("{number:#x}")),
        1 => any::<u32>().prop_map(|number| format!("{number:#x}")),
        1 => word(&["0xc0000201", "0x20010db8", "0x80000000", "0xffffffff", "40000"]),
    ]
    .boxed()
}

fn divisor(inner: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    prop_oneof![(1..300_u32).prop_map(|number| number.to_string()), small(inner)]
}

fn shift(inner: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    prop_oneof![(0..32_u32).prop_map(|number| number.to_string()), small(inner)]
}

/// An operand that begins with a byte at an offset of 1 to 31: of a divisor and of a shift libpcap
/// checks the first constant, even if that is only the offset of an access. It can be zero, and it
/// can be more than 31.
fn small(inner: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let byte = || {
        (word(&["ip", "tcp", "ether", "udp"]), 1..32_u32)
            .prop_map(|(layer, offset)| format!("{layer}[{offset}]"))
    };
    let masked = (byte(), select(vec![1_u32, 3, 7, 0xf, 0x1f]))
        .prop_map(|(byte, mask)| format!("({byte} & {mask})"));
    let joined = (byte(), select(vec!["+", "-", "^", "&"]), inner)
        .prop_map(|(byte, operator, inner)| format!("({byte} {operator} {inner})"));
    prop_oneof![2 => byte(), 3 => masked, 1 => joined]
}

/// An access at a fixed offset.
fn bytes() -> impl Strategy<Value = String> {
    let offset = prop_oneof![8 => 0..24_u32, 2 => 24..120_u32, 1 => 120..2000_u32];
    (layer(), offset, size()).prop_map(|(layer, offset, size)| format!("{layer}[{offset}{size}]"))
}

/// An access at an offset that is calculated from the packet.
fn computed(inner: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let offset = prop_oneof![
        3 => word(&["(ip[0] & 0xf) * 4", "(tcp[12] >> 4) * 4", "(tcp[12] & 0xf0) >> 2", "len - 1"]),
        3 => (inner.clone(), select(vec![3_u32, 7, 0x3f])).prop_map(|(of, mask)| {
            format!("{of} & {mask}")
        }),
        1 => inner,
    ];
    (layer(), offset, size()).prop_map(|(layer, offset, size)| format!("{layer}[{offset}{size}]"))
}

fn layer() -> impl Strategy<Value = String> {
    let rare = word(&["ip6", "udp", "icmp", "sctp", "arp", "icmp6", "igmp", "link"]);
    prop_oneof![3 => word(&["ip"]), 3 => word(&["tcp"]), 2 => word(&["ether"]), 2 => rare]
}

fn size() -> impl Strategy<Value = String> {
    word(&["", "", "", ":1", ":2", ":2", ":4"])
}

fn direction() -> impl Strategy<Value = String> {
    word(&["", "", "src ", "dst ", "src or dst ", "src and dst "])
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    let known = [[192, 0, 2, 1], [203, 0, 113, 4], [198, 51, 100, 7]].map(Ipv4Addr::from);
    prop_oneof![3 => select(known.to_vec()), 1 => any::<u32>().prop_map(Ipv4Addr::from_bits)]
}

fn address6() -> impl Strategy<Value = Ipv6Addr> {
    let known = [1, 2].map(|last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    prop_oneof![3 => select(known.to_vec()), 1 => any::<u128>().prop_map(Ipv6Addr::from_bits)]
}

fn word(words: &[&str]) -> impl Strategy<Value = String> + Clone + use<> {
    select(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn shown<T: std::fmt::Display>(
    before: &'static str,
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = String> {
    value.prop_map(move |value| format!("{before}{value}"))
}
