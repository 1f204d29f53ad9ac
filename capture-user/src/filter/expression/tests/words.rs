//! Words are cut as libpcap cuts them.

use super::super::words::{Kind, words};

fn cut(text: &str) -> Vec<(Kind, &str)> {
    words(text).iter().map(|word| (word.kind, &text[word.start..word.end])).collect()
}

#[test]
fn words_are_cut() {
    use Kind::{
        And, Close, CloseBracket, Comparison, Name, Not, Open, OpenBracket, Operator, Or, Other,
        Port, Protocol, Value,
    };
    assert_eq!(
        cut("tcp port 80&&!(udp||x-y-)"),
        [
            (Protocol, "tcp"),
            (Port, "port"),
            (Value, "80"),
            (And, "&&"),
            (Not, "!"),
            (Open, "("),
            (Protocol, "udp"),
            (Or, "||"),
            (Name, "x-y"),
            (Operator, "-"),
            (Close, ")"),
        ]
    );
    assert_eq!(
        cut("ip[0]<<2!=0x1f\u{e9}"),
        [
            (Protocol, "ip"),
            (OpenBracket, "["),
            (Value, "0"),
            (CloseBracket, "]"),
            (Operator, "<<"),
            (Value, "2"),
            (Comparison, "!="),
            (Value, "0x1f"),
            (Other, "\u{e9}"),
        ]
    );
    assert_eq!(
        cut("\\tcp) $1f $x \\"),
        [(Name, "\\tcp"), (Close, ")"), (Value, "$1f"), (Other, "$"), (Name, "x"), (Other, "\\"),]
    );
}

#[test]
fn addresses_are_one_word() {
    for address in [
        "10",
        "10.1",
        "10.1.2",
        "10.1.2.3",
        "0x0a.1.2.3",
        "::",
        "::1",
        "fe80::1",
        "2001:db8:1:2:3:4:5:6",
        "1::2:3:4:5:6:7",
        "::ffff:192.0.2.1",
        "1:2:3:4:5:6:192.0.2.1",
        "1::",
        "00:11:22:33:44:55",
        "0:1:2:3:4:5",
        "00-11-22-33-44-55",
        "00.11.22.33.44.55",
        "0011.2233.4455",
        "00112233aabb",
        "aa:bb:cc:",
    ] {
        assert_eq!(cut(address), [(Kind::Value, address)]);
    }
    for name in ["10.1.2.3.4", "1a", "0x", "10.", "a.b", "00112233445g", "0011.2233.44g"] {
        assert_eq!(cut(name), [(Kind::Name, name)]);
    }
    assert_eq!(cut("1::2:333"), [(Kind::Value, "1::2:333")]);
    assert_eq!(
        cut("ip[1:2]")[2..5],
        [(Kind::Value, "1"), (Kind::Operator, ":"), (Kind::Value, "2")]
    );
}
