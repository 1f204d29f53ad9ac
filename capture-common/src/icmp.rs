//! The ICMP and ICMPv6 messages that have a counter of their own.
//!
//! Assigned types and codes: IANA "ICMP Parameters" and "ICMPv6 Parameters" (RFC 792, 1122,
//! 1812, 4443, 4861, 2710, 3810). Everything else is counted in one slot per version, so that the
//! number of series is bounded whatever a sender puts into the two bytes.

/// Counted messages of one type: codes 0 to `codes - 1`.
struct Counted {
    kind: u8,
    codes: u8,
}

const fn counted(kind: u8, codes: u8) -> Counted {
    Counted { kind, codes }
}

/// Echo reply, unreachable (RFC 792, 1122, 1812: codes 0–15), source quench, redirect, echo,
/// router advertisement and solicitation, time exceeded, parameter problem, timestamp, extended
/// echo (RFC 8335).
const V4: [Counted; 13] = [
    counted(0, 1),
    counted(3, 16),
    counted(4, 1),
    counted(5, 4),
    counted(8, 1),
    counted(9, 1),
    counted(10, 1),
    counted(11, 2),
    counted(12, 3),
    counted(13, 1),
    counted(14, 1),
    counted(42, 1),
    counted(43, 5),
];

/// Unreachable (RFC 4443, 6550, 8883: codes 0–8), packet too big, time exceeded, parameter
/// problem (codes 0–10), echo, MLD, neighbour discovery, redirect, MLDv2.
const V6: [Counted; 15] = [
    counted(1, 9),
    counted(2, 1),
    counted(3, 2),
    counted(4, 11),
    counted(128, 1),
    counted(129, 1),
    counted(130, 1),
    counted(131, 1),
    counted(132, 1),
    counted(133, 1),
    counted(134, 1),
    counted(135, 1),
    counted(136, 1),
    counted(137, 1),
    counted(143, 1),
];

const fn total(list: &[Counted]) -> usize {
    let mut sum = 0;
    let mut at = 0;
    while at < list.len() {
        sum += list[at].codes as usize;
        at += 1;
    }
    sum
}

const V4_COUNT: usize = total(&V4);
const V6_COUNT: usize = total(&V6);

/// Number of counters: one for each counted message and one per version for all others.
pub const COUNT: usize = V4_COUNT + 1 + V6_COUNT + 1;

/// For each type: the index of its code 0 and how many codes follow. Two bytes per type.
const fn table(list: &[Counted], first: usize) -> [[u8; 2]; 256] {
    let mut table = [[0; 2]; 256];
    let mut at = 0;
    let mut next = first;
    while at < list.len() {
        table[list[at].kind as usize] = [next as u8, list[at].codes];
        next += list[at].codes as usize;
        at += 1;
    }
    table
}

const _: () = assert!(COUNT < 256, "indices must fit the u8 of the tables");

static V4_TABLE: [[u8; 2]; 256] = table(&V4, 0);
static V6_TABLE: [[u8; 2]; 256] = table(&V6, V4_COUNT + 1);

/// Index of the counter of a message, below [`COUNT`].
#[inline(always)]
#[must_use]
pub fn index(ip_version: u8, kind: u8, code: u8) -> usize {
    let (table, other) =
        if ip_version == 6 { (&V6_TABLE, V4_COUNT + 1 + V6_COUNT) } else { (&V4_TABLE, V4_COUNT) };
    let [first, codes] = table[kind as usize];
    if code < codes { first as usize + code as usize } else { other }
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// 4 for ICMP, 6 for ICMPv6.
    pub ip_version: u8,
    /// Type and code; `None` for the counter of all other messages.
    pub type_and_code: Option<(u8, u8)>,
}

/// What the counters count, in the order of their indices.
pub fn messages() -> impl Iterator<Item = Message> {
    fn of(ip_version: u8, list: &'static [Counted]) -> impl Iterator<Item = Message> {
        list.iter()
            .flat_map(|counted| (0..counted.codes).map(move |code| Some((counted.kind, code))))
            .chain([None])
            .map(move |type_and_code| Message { ip_version, type_and_code })
    }
    of(4, &V4).chain(of(6, &V6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_indices_agree() {
        assert_eq!(messages().count(), COUNT);
        for (number, message) in messages().enumerate() {
            if let Some((kind, code)) = message.type_and_code {
                assert_eq!(index(message.ip_version, kind, code), number);
            }
        }
    }

    #[test]
    fn everything_else_is_other() {
        let other = |version| {
            messages().position(|m| m.ip_version == version && m.type_and_code.is_none()).unwrap()
        };
        for version in [4, 6] {
            for kind in 0..=255 {
                for code in 0..=255 {
                    let at = index(version, kind, code);
                    assert!(at < COUNT);
                    let known = messages()
                        .any(|m| m.ip_version == version && m.type_and_code == Some((kind, code)));
                    assert!(known || at == other(version));
                }
            }
        }
    }
}
