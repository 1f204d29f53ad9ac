//! The words of an expression, cut where libpcap's scanner cuts them.

/// What a word is to the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ether` and its like: what follows is an Ethernet address.
    Link,
    /// `tcp` and its like.
    Protocol,
    /// `src` and its like.
    Direction,
    /// `host`
    Host,
    /// `net`
    Net,
    /// `port`, `portrange`
    Port,
    /// `proto`, `protochain`
    Proto,
    /// `gateway`
    Gateway,
    And,
    Or,
    Not,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `=`, `<` and their like.
    Comparison,
    /// `+`, `/`, `:` and their like.
    Operator,
    /// `mask`, between two addresses.
    Mask,
    /// Any other keyword.
    Keyword,
    /// A number, or an address of any kind.
    Value,
    /// A name, or what libpcap takes for one; the named constants, too.
    Name,
    /// Nothing that the scanner takes.
    Other,
}

/// A word, with the bytes of the text at which it starts and before which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Word {
    /// How much libpcap has to do for it, beside others; the range of a `portrange` gives many
    /// blocks.
    pub(super) fn cost(self, text: &str) -> usize {
        let range = self.kind == Kind::Name && text[self.start..self.end].contains('-');
        if range { 4 } else { 1 }
    }
}

/// No word with a colon in it that the scanner takes is longer.
const LONGEST_ADDRESS: usize = 64;

/// All words of a text.
pub(super) fn words(text: &str) -> Vec<Word> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut start = 0;
    while let Some(&byte) = bytes.get(start) {
        if matches!(byte, b' ' | b'\r' | b'\n' | b'\t') {
            start += 1;
            continue;
        }
        let (kind, length) = word(&text[start..], byte);
        words.push(Word { kind, start, end: start + length });
        start += length;
    }
    words
}

/// The first word of a text, which begins with the byte.
fn word(text: &str, first: u8) -> (Kind, usize) {
    if first.is_ascii_alphanumeric() || text.starts_with("::") {
        let name = name_length(text.as_bytes());
        let address = address_length(text);
        if name > 0 && name >= address {
            return (kind_of_name(&text[..name]), name);
        }
        return (Kind::Value, address);
    }
    let operator = operator(text.as_bytes());
    let escaped = text.bytes().skip(1).take_while(|byte| !b" !()\n\t".contains(byte)).count();
    match first {
        b'\\' if escaped > 0 => (Kind::Name, 1 + escaped),
        b'$' => {
            let digits = text.bytes().skip(1).take(2).take_while(u8::is_ascii_hexdigit).count();
            (if digits > 0 { Kind::Value } else { Kind::Other }, 1 + digits)
        }
        _ => operator.unwrap_or((Kind::Other, text.chars().next().map_or(1, char::len_utf8))),
    }
}

fn operator(text: &[u8]) -> Option<(Kind, usize)> {
    Some(match text {
        [b'&', b'&', ..] => (Kind::And, 2),
        [b'|', b'|', ..] => (Kind::Or, 2),
        [b'>' | b'<' | b'!' | b'=', b'=', ..] => (Kind::Comparison, 2),
        [b'<', b'<', ..] | [b'>', b'>', ..] => (Kind::Operator, 2),
        [b'!', ..] => (Kind::Not, 1),
        [b'(', ..] => (Kind::Open, 1),
        [b')', ..] => (Kind::Close, 1),
        [b'[', ..] => (Kind::OpenBracket, 1),
        [b']', ..] => (Kind::CloseBracket, 1),
        [b'<' | b'>' | b'=', ..] => (Kind::Comparison, 1),
        [b'+' | b'-' | b'*' | b'/' | b'%' | b':' | b'&' | b'|' | b'^', ..] => (Kind::Operator, 1),
        _ => return None,
    })
}

/// Bytes of the name at the beginning: letters, digits, dots, hyphens and underscores, of which the
/// last is no hyphen or underscore.
fn name_length(text: &[u8]) -> usize {
    let inside = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let run = text.iter().take_while(inside).count();
    text[..run].iter().rposition(|byte| !b"-_".contains(byte)).map_or(0, |last| last + 1)
}

/// Bytes of the longest address with colons at the beginning.
fn address_length(text: &str) -> usize {
    let inside = |byte: &u8| byte.is_ascii_hexdigit() || b":.xX".contains(byte);
    let run = text.bytes().take(LONGEST_ADDRESS).take_while(inside).count();
    let colon = text[..run].find(':');
    if colon.is_none_or(|colon| colon > 4) {
        return 0;
    }
    let is_address = |length: &usize| {
        let text = &text[..*length];
        is_ipv6(text) || is_mac(text, ':') || is_cut_mac(text)
    };
    (2..=run).rev().find(is_address).unwrap_or(0)
}

fn is_ipv6(text: &str) -> bool {
    match text.split_once("::") {
        None => groups(text, true) == Some(8),
        Some((front, back)) => {
            let groups = groups(front, false).zip(groups(back, true));
            groups.is_some_and(|(front, back)| front + back <= 7)
        }
    }
}

/// How many 16-bit groups the colons separate; the last may be an IPv4 address, which is two.
fn groups(text: &str, ends_with_ipv4: bool) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let mut count = 0;
    let mut parts = text.split(':').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if (1..=4).contains(&part.len()) && is_hex(part) {
            count += 1;
        } else if last && ends_with_ipv4 && part.split('.').count() == 4 && is_dotted(part) {
            count += 2;
        } else {
            return None;
        }
    }
    Some(count)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_number(text: &str) -> bool {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match hex {
        Some(digits) => !digits.is_empty() && is_hex(digits),
        None => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Two to four numbers with dots between them.
fn is_dotted(text: &str) -> bool {
    (2..=4).contains(&text.split('.').count()) && text.split('.').all(is_number)
}

fn is_mac(text: &str, separator: char) -> bool {
    text.split(separator).count() == 6
        && text.split(separator).all(|part| (1..=2).contains(&part.len()) && is_hex(part))
}

/// Pairs of digits with colons behind them: the scanner takes it for an Ethernet address, and
/// refuses it.
fn is_cut_mac(text: &str) -> bool {
    let mut parts = text.split(':').filter(|part| !part.is_empty());
    let pairs = parts.clone().count() >= 2 && parts.all(|part| part.len() <= 2 && is_hex(part));
    pairs && text.ends_with(':') && !text.starts_with(':')
}

fn is_mac_without_colons(text: &str) -> bool {
    let three = text.split('.').count() == 3 && text.split('.').all(|part| part.len() == 4);
    let bare = text.len() == 12 && is_hex(text);
    bare || is_mac(text, '-') || is_mac(text, '.') || (three && text.split('.').all(is_hex))
}

fn kind_of_name(name: &str) -> Kind {
    match name {
        "link" | "ether" | "ppp" | "slip" | "fddi" | "tr" | "wlan" => Kind::Link,
        "arp" | "rarp" | "ip" | "sctp" | "tcp" | "udp" | "icmp" | "igmp" | "igrp" | "pim"
        | "vrrp" | "carp" | "radio" | "ip6" | "icmp6" | "ah" | "esp" | "atalk" | "aarp"
        | "decnet" | "lat" | "sca" | "moprc" | "mopdl" | "iso" | "esis" | "es-is" | "isis"
        | "is-is" | "l1" | "l2" | "iih" | "lsp" | "snp" | "csnp" | "psnp" | "clnp" | "stp"
        | "ipx" | "netbeui" => Kind::Protocol,
        "src" | "dst" | "addr1" | "addr2" | "addr3" | "addr4" | "address1" | "address2"
        | "address3" | "address4" | "ra" | "ta" => Kind::Direction,
        "host" => Kind::Host,
        "net" => Kind::Net,
        "port" | "portrange" => Kind::Port,
        "proto" | "protochain" => Kind::Proto,
        "gateway" => Kind::Gateway,
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        "mask" => Kind::Mask,
        "type" | "subtype" | "direction" | "dir" | "less" | "greater" | "byte" | "broadcast"
        | "multicast" | "len" | "length" | "inbound" | "outbound" | "ifindex" | "vlan" | "mpls"
        | "pppoed" | "pppoes" | "geneve" | "lane" | "llc" | "metac" | "bcc" | "oam" | "oamf4"
        | "oamf4ec" | "oamf4sc" | "sc" | "ilmic" | "vpi" | "vci" | "connectmsg" | "metaconnect"
        | "on" | "ifname" | "rset" | "ruleset" | "rnr" | "rulenum" | "srnr" | "subrulenum"
        | "reason" | "action" | "fisu" | "lssu" | "lsu" | "msu" | "hfisu" | "hlssu" | "hmsu"
        | "sio" | "opc" | "dpc" | "sls" | "hsio" | "hopc" | "hdpc" | "hsls" => Kind::Keyword,
        _ if is_number(name) || is_dotted(name) || is_mac_without_colons(name) => Kind::Value,
        _ => Kind::Name,
    }
}
