//! Long expressions: what they match, and that none takes long.

use std::{
    ffi::CString,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    super::{pieces, words::words},
    compiled, error, matches, udp_frame,
};
use crate::filter::{Expression, MAX_LENGTH, classic::Program, libpcap::Compiler};

/// No expression may take longer, on a slow machine with a debug build.
const LONGEST: Duration = Duration::from_secs(20);

fn hosts(count: usize) -> String {
    let host = |index: usize| format!("host 10.1.{}.{}", index / 250, index % 250);
    (0..count).map(host).collect::<Vec<_>>().join(" or ")
}

/// A host of 10.1.x.y whose index is beyond the lists.
fn frame(index: u16) -> Vec<u8> {
    let mut frame = udp_frame(0, 53);
    frame[32] = u8::try_from(index / 250).unwrap();
    frame[33] = u8::try_from(index % 250).unwrap();
    frame
}

#[test]
fn lists_of_hosts_match_as_they_should() {
    for count in [500_u16, 2_000] {
        let list = hosts(count.into());
        let program = compiled(&list);
        let all_but = compiled(&format!("not ({list})"));
        let with_port = compiled(&format!("udp port 53 and ({list}) and not port 54"));
        let with_other_port = compiled(&format!("udp port 54 and ({list})"));
        for index in [0, 1, 63, 64, 65, 250, 499, 500, 1_999, 2_000, 2_500] {
            let frame = frame(index);
            let listed = index < count;
            assert_eq!(matches(&program, &frame), listed, "{index}");
            assert_eq!(matches(&all_but, &frame), !listed, "{index}");
            assert_eq!(matches(&with_port, &frame), listed, "{index}");
            assert!(!matches(&with_other_port, &frame));
        }
        // Ends before the addresses: no match, whatever the verdict would be.
        assert!(!matches(&program, &frame(0)[..20]));
        assert!(!matches(&all_but, &frame(0)[..20]));
    }
}

#[test]
fn qualifiers_go_along_into_the_pieces() {
    let numbers = |from: u16, to: u16| {
        (from..to).map(|number| number.to_string()).collect::<Vec<_>>().join(" or ")
    };
    for text in [
        format!("udp dst port {}", numbers(1, 900)),
        format!("udp dst port ({})", numbers(1, 900)),
        format!("tcp or (udp and dst port {} or 5000)", numbers(1, 900)),
        format!("not (tcp or not dst port ({}))", numbers(1, 900)),
        format!("dst port {} and (udp and not src or dst port 7 or 8)", numbers(1, 900)),
        format!("(ip[9] & 0xff) = 17 and (ip[8]) > 3 and dst port ({})", numbers(1, 900)),
    ] {
        let program = compiled(&text);
        assert!(matches(&program, &udp_frame(5, 53)), "{text}");
        assert!(matches(&program, &udp_frame(5, 899)), "{text}");
        assert!(!matches(&program, &udp_frame(5, 900)), "{text}");
    }
}

#[test]
fn a_piece_that_matches_nothing_is_no_error() {
    let program = compiled(&format!("(tcp and udp) or ({})", hosts(200)));
    assert!(matches(&program, &frame(199)));
    assert!(!matches(&program, &frame(200)));
    let program = compiled(&format!("not (ip and ip6 and not ({})) and {}", hosts(200), hosts(9)));
    assert!(matches(&program, &frame(8)));
}

/// As many repetitions as an expression may have bytes for, with something at both ends.
fn filled(before: &str, repeated: impl Fn(usize) -> String, behind: &str) -> String {
    let mut text = before.to_owned();
    for index in 0.. {
        let next = repeated(index);
        if text.len() + next.len() + behind.len() > MAX_LENGTH {
            break;
        }
        text += &next;
    }
    text + behind
}

fn of(repeated: &str) -> String {
    filled("", |_| repeated.to_owned(), "")
}

fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
    format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn hostile_expressions_are_answered_in_time() {
    let arithmetic = filled("ip[0]", |index| format!("+ip[{}]", index % 40), " > 3");
    let same_addresses = |index: usize| format!(" or 10.{}.{}", index >> 8 & 255, index & 255);
    for (text, message) in [
        (of("not "), "nested too deeply"),
        (of("!"), "nested too deeply"),
        (of("("), "nested too deeply"),
        (of(")"), "closes nothing"),
        (of("\\"), "too long a word"),
        (of(":"), "syntax error"),
        (of("1::"), "ethernet"),
        (of("9"), "number 99"),
        (of("90000000000 "), "overflows"),
        (of("x"), "too long a word"),
        (of("host x "), "host name"),
        (nested("(", "ip", ")", 32_000), "nested too deeply"),
        (nested("ip[", "0", "]", 10_000), "nested too deeply"),
        (format!("ip[0] = {}1", "-".repeat(60_000)), "nested too deeply"),
        (filled("vlan", |_| " and vlan".to_owned(), ""), "too complex"),
        (filled("geneve", |_| " and geneve".to_owned(), ""), "too"),
        (arithmetic, "too complex"),
        (filled("vlan and (ip", |i| format!(" or port {i}"), ")"), "too complex"),
        (filled("ip", |_| " or ip".to_owned(), ""), ""),
        (filled("ip", |_| " and ip6 or ip".to_owned(), ""), ""),
        (filled("host 10.0", same_addresses, ""), ""),
        (filled("host 1", |i| format!(" or {i}"), ""), ""),
        (filled("port 1", |i| format!(" or {i}"), ""), ""),
        (filled("portrange 1-2", |i| format!(" or {}-{}", i + 1, i + 9), ""), ""),
        (filled("host ::1", |i| format!(" or 2001:db8::{i:x}"), ""), ""),
        (filled("len > 1", |i| format!(" and len > {i}"), ""), ""),
        (filled("ip", |i| format!(" or ip6 protochain {}", i % 255), ""), ""),
        (
            filled(
                "ip",
                |i| format!(" or (tcp[{}] & {} = 0 and not port {i})", i % 20, i % 256),
                "",
            ),
            "",
        ),
        (nested("(ip or not (tcp and ", "ip", "))", 1_000), ""),
    ] {
        let start = Instant::now();
        let answer = text.parse::<Expression>();
        let beginning: String = text.chars().take(40).collect();
        println!("{:8.3} s for {beginning}", start.elapsed().as_secs_f64());
        match answer {
            Ok(_) => assert_eq!(message, "", "{beginning}"),
            Err(error) => {
                assert!(!message.is_empty() && error.message.contains(message), "{error}");
            }
        }
        assert!(start.elapsed() < LONGEST, "{beginning}: {:?}", start.elapsed());
    }
}

#[test]
fn what_cannot_be_divided_is_bounded() {
    let list = |count: usize| format!("vlan and ({})", hosts(count));
    compiled(&list(100));
    // Three seconds, here.
    let range = |count: usize| format!("{count}-{}", count + 9);
    let ranges = |count| (1..count).map(range).collect::<Vec<_>>().join(" or ");
    compiled(&format!("vlan and portrange {}", ranges(118)));
    assert!(error(&format!("vlan and portrange {}", ranges(121))).message.contains("602 words"));
    let error = error(&list(600));
    assert!(error.message.starts_with("too complex: 1803 words"), "{error}");
}

const CONDITIONS: [&str; 14] = [
    "udp",
    "tcp",
    "ip6",
    "dst port 53",
    "port 53 or 54",
    "udp port (54 or not 53)",
    "dst host 10.1.2.5",
    "host not 10.1.2.5",
    "src or dst net 10.1.2.0/24 or 10.9.0.0/16",
    "ip[8] = 64",
    "(udp[0:2] - 4000) / (ip[9] & 1) = 0",
    "not not tcp[13] & 2 != 0",
    "len > 60",
    "ether proto \\arp",
];

/// Conditions, which are inherited from and negated, in parentheses and without.
fn long_expression() -> impl Strategy<Value = String> {
    let joint = || prop::sample::select(vec![" and ", " or ", " or not ", " && "]);
    let condition = prop::sample::select(CONDITIONS.to_vec()).prop_map(str::to_owned);
    condition.prop_recursive(6, 120, 5, move |inside| {
        let more = prop::collection::vec((joint(), inside.clone()), 1..5);
        let list = (inside, more).prop_map(|(first, more)| {
            more.into_iter().fold(first, |text, (joint, next)| text + joint + &next)
        });
        (list, 0..3).prop_map(|(list, around)| match around {
            0 => list,
            1 => format!("({list})"),
            _ => format!("not ({list})"),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// In pieces an expression matches what it matches as a whole. Of frames that end within their
    /// headers that is not so: which loads are made at all is up to libpcap's optimiser.
    #[test]
    fn pieces_match_what_the_whole_matches(text in long_expression()) {
        let mut compiler = Compiler::new(0).unwrap();
        let whole = compiler.compile(&CString::new(text.as_str()).unwrap()).map(|instructions| Program::new(instructions).unwrap());
        let pieces = pieces::compile(&mut compiler, &text, &words(&text)).map(|instructions| Program::new(instructions).unwrap());
        for (last, port) in [(5, 53), (5, 54), (6, 53), (6, 55)] {
            let frame = udp_frame(last, port);
            let matched = whole.as_ref().is_ok_and(|program| matches(program, &frame));
            let in_pieces = pieces.as_ref().is_ok_and(|program| matches(program, &frame));
            prop_assert_eq!(matched, in_pieces, "to {}:{}", last, port);
        }
    }
}
