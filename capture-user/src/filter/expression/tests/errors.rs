//! What is wrong, and where.

use proptest::prelude::*;

use super::{compiled, error};
use crate::filter::{Expression, MAX_LENGTH};

/// The position and the word at it.
fn place(text: &str) -> (usize, String) {
    let error = error(text);
    (error.position, error.text[error.position..error.position + error.length].to_owned())
}

#[test]
fn syntax_errors_have_their_place() {
    for (text, position, word) in [
        ("tcp prot 80", 4, "prot"),
        ("tcp port", 8, ""),
        ("tcp and", 7, ""),
        ("tcp and and udp", 8, "and"),
        ("and tcp", 0, "and"),
        ("tcp udp", 4, "udp"),
        ("host 192.0.2.1 192.0.2.2", 15, "192.0.2.2"),
        ("ip[0 = 5", 5, "="),
        ("ip[0] = ", 7, ""),
        ("ip[0] == = 5", 9, "="),
        ("ip[0:1 : 3] = 5", 7, ":"),
        ("tcp port 80 or ; rm", 15, ";"),
        ("tcp port 80 or \u{201c}x\u{201d}", 15, "\u{201c}"),
        ("(tcp and prot 80) or udp", 9, "prot"),
        ("not", 3, ""),
        ("tcp port 80 and\n(udp prot 53\n or icmp)", 21, "prot"),
        ("host fe80::1%eth0", 12, "%"),
        ("vlan 5 6", 7, "6"),
        ("less than 5", 5, "than"),
        ("foo", 0, "foo"),
        ("5", 1, ""),
    ] {
        assert_eq!(place(text), (position, word.to_owned()), "{text}");
        assert!(error(text).message.contains("syntax error"), "{text}");
    }
}

#[test]
fn parentheses_are_told() {
    for (text, message, position) in [
        ("(tcp and udp port 5", "`(` is not closed", 0),
        ("tcp and (udp or (icmp and ip)", "`(` is not closed", 8),
        ("ip[0", "`[` is not closed", 2),
        ("tcp) or udp", "`)` closes nothing", 3),
        ("tcp or (udp)) and ip", "`)` closes nothing", 12),
        ("ip proto tcp", "`tcp` is a keyword, as a protocol's name it is `\\tcp`", 9),
    ] {
        let error = error(text);
        assert_eq!((error.message.as_str(), error.position), (message, position), "{text}");
        assert_eq!(
            error.to_string(),
            format!("{message} (character {}) in `{text}`", position + 1)
        );
    }
}

#[test]
fn what_libpcap_says_gets_a_place() {
    for (text, message, position, word) in [
        ("ip and port 99999", "illegal port number 99999 > 65535", 12, "99999"),
        ("port 99999 and ip", "illegal port number 99999 > 65535", 5, "99999"),
        ("(ip or port 99999) and ip", "illegal port number 99999 > 65535", 12, "99999"),
        ("udp or tcp host 192.0.2.1 or ip", "'tcp' modifier applied to host", 16, "192.0.2.1"),
        ("ip and port nosuchport", "unknown port 'nosuchport'", 12, "nosuchport"),
        ("ip proto nosuch or ip", "unknown ip proto 'nosuch'", 9, "nosuch"),
        ("host 10.0.0.256 or tcp", "invalid IPv4 address '10.0.0.256'", 5, "10.0.0.256"),
        ("net 10.0.0.1/8", "non-network bits set in \"10.0.0.1/8\"", 13, "8"),
        ("ip or net 10.0.0.0/33", "mask length must be <= 32", 19, "33"),
        ("vlan 5000 and ip", "VLAN tag 5000 greater than maximum 4095", 5, "5000"),
        ("tcp and ip[0] / 0 = 1", "division by zero", 16, "0"),
        ("ip[0:3] = 1", "data size must be 1, 2, or 4", 6, "]"),
        ("port 80 or 90000000000", "number 90000000000 overflows 32 bits", 11, "90000000000"),
        ("ip or type mgt", "802.11 link-layer types supported only on 802.11", 11, "mgt"),
        ("tcp or lane", "'lane' supported only on raw ATM", 7, "lane"),
        ("gateway 192.0.2.1", "'gateway' requires a name", 8, "192.0.2.1"),
    ] {
        let error = error(text);
        assert_eq!((error.message.as_str(), error.position), (message, position), "{text}");
        assert_eq!(&text[position..position + error.length], word);
    }
    for text in ["tcp and udp", "ip and ip6", "1 = 2"] {
        let error = error(text);
        assert_eq!(error.to_string(), format!("the expression matches no frame at all: `{text}`"));
    }
}

#[test]
fn places_in_long_expressions_are_found() {
    let ports: Vec<String> = (1..3000).map(|port| format!("tcp port {port}")).collect();
    let good = ports.join(" or ");
    assert!(good.len() < MAX_LENGTH);
    let bad = good.replacen("tcp port 2500", "tcp prot 2500", 1);
    let error = error(&bad);
    assert_eq!(&bad[error.position..], &bad[bad.find("prot").unwrap()..]);
    let line = error.to_string();
    assert!(line.starts_with("syntax error at `prot` (character 41"), "{line}");
    assert!(line.contains("or tcp prot 2500 or") && line.len() < 140, "{line}");
    let shown = error.explain(80);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1].chars().count(), 80);
    let before = lines[1].chars().take_while(|c| *c != 'x').collect::<String>();
    let column = before[..before.find("prot").unwrap()].chars().count();
    assert_eq!(lines[2], format!("{}^^^^", " ".repeat(column)));
}

#[test]
fn terminals_get_carets() {
    assert_eq!(error("tcp prot 80").explain(100), "syntax error\ntcp prot 80\n    ^^^^");
    assert_eq!(error("tcp and").explain(100), "syntax error\ntcp and\n       ^");
    assert_eq!(
        error("tcp and udp").explain(100),
        "the expression matches no frame at all\ntcp and udp"
    );
    // Blanks and control characters take one column each.
    let shown = error("\u{e9}\ttcp\u{1b}[0m").explain(100);
    assert_eq!(shown, "syntax error\n\u{e9} tcp?[0m\n^");
}

#[test]
fn what_is_no_text_is_told() {
    let error = |bytes: &[u8]| Expression::from_bytes(bytes).unwrap_err().to_string();
    assert_eq!(error(b"tcp \xff"), "byte 5 is not part of UTF-8 text at the end of `tcp `");
    assert_eq!(
        error(b"tcp\0udp"),
        "a NUL byte is no part of an expression at `?` (character 4) in `tcp?udp`"
    );
    let long = error("x".repeat(MAX_LENGTH + 1).as_bytes());
    assert!(long.starts_with("the expression is too long: 65537 bytes of at most 65536: `xx"));
    assert!(long.len() < 140, "{long}");
    assert_eq!(Expression::from_bytes(b" ip ").unwrap().as_str(), "ip");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any text gives an expression or an error that can be shown.
    #[test]
    fn any_text_is_answered(text in "[ -~]{0,40}|\\PC{0,20}", columns in 0..60_usize) {
        if let Err(error) = text.parse::<Expression>() {
            prop_assert!(error.text.is_char_boundary(error.position));
            prop_assert!(error.text.is_char_boundary(error.position + error.length));
            prop_assert!(error.to_string().lines().count() <= 1 || error.message.contains('\n'));
            let shown = error.explain(columns);
            for line in shown.lines().skip(1) {
                prop_assert!(line.chars().count() <= columns.max(20));
            }
        }
    }

    /// A word too many is found wherever it is.
    #[test]
    fn a_word_too_many_is_found(count in 1..400_usize, at in 0..400_usize) {
        let mut words: Vec<String> = (0..count).map(|port| format!("port {port}")).collect();
        let good = words.join(" or ");
        compiled(&good);
        let at = at % count;
        words[at] += " prot";
        let bad = words.join(" or ");
        prop_assert_eq!(error(&bad).position, bad.find("prot").unwrap());
    }
}
