//! Expressions, what is wrong with them, and long ones.

mod errors;
mod long;
mod look_ups;
mod words;

use super::{Expression, ExpressionError};
use crate::filter::classic::Program;

fn compiled(text: &str) -> Program {
    text.parse::<Expression>().unwrap_or_else(|error| panic!("{error}")).compile(0).unwrap()
}

fn error(text: &str) -> ExpressionError {
    match text.parse::<Expression>() {
        Ok(_) => panic!("{text} compiles"),
        Err(error) => error,
    }
}

/// Ethernet, IPv4 and UDP; `destination` is the last byte of 10.1.2.x.
fn udp_frame(destination: u8, port: u16) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 1], [10, 1, 2, destination], 64)
        .udp(4000, port);
    let mut frame = Vec::new();
    builder.write(&mut frame, b"hello").unwrap();
    frame
}

fn matches(program: &Program, frame: &[u8]) -> bool {
    program.matches(frame, u32::try_from(frame.len()).unwrap())
}

#[test]
fn the_empty_expression_matches_everything() {
    for text in ["", " \n\t "] {
        let program = compiled(text);
        assert!(matches(&program, &[]));
        assert!(text.parse::<Expression>().unwrap().is_empty());
    }
}

#[test]
fn programs_match() {
    let frame = udp_frame(5, 53);
    for text in
        ["udp port 53", "dst host 10.1.2.5", "len = 47", "not tcp", "ip[8] / (udp[1] & 32) = 2"]
    {
        assert!(matches(&compiled(text), &frame), "{text}");
    }
    for text in ["tcp", "dst host 10.1.2.6", "len = 46", "ip[8] / (udp[1] & 1) = 2", "ip[1000] = 0"]
    {
        assert!(!matches(&compiled(text), &frame), "{text}");
    }
    // The length on the wire counts, not that of the bytes.
    assert!(compiled("len = 1500").matches(&frame, 1500));
}

#[test]
fn ip_broadcast_is_that_of_the_netmask() {
    let expression: Expression = "ip broadcast".parse().unwrap();
    let of_24 = expression.compile(0xffff_ff00).unwrap();
    let of_25 = expression.compile(0xffff_ff80).unwrap();
    let none = expression.compile(0).unwrap();
    for (last, in_24, in_25) in
        [(255, true, true), (127, false, true), (0, true, true), (1, false, false)]
    {
        let frame = udp_frame(last, 53);
        assert_eq!(matches(&of_24, &frame), in_24, "{last}");
        assert_eq!(matches(&of_25, &frame), in_25, "{last}");
        assert!(!matches(&none, &frame));
    }
    let error = expression.compile(u32::MAX).unwrap_err();
    assert_eq!(
        error.to_string(),
        "netmask not known, so 'ip broadcast' not supported at `broadcast` (character 4) in `ip \
         broadcast`"
    );
}

#[test]
fn serde_takes_the_text() {
    let expression: Expression = serde_json::from_str("\" tcp port 80 \"").unwrap();
    assert_eq!(expression.to_string(), "tcp port 80");
    assert_eq!(serde_json::to_string(&expression).unwrap(), "\"tcp port 80\"");
    let error = serde_json::from_str::<Expression>("\"tcp prot 80\"").unwrap_err().to_string();
    assert!(error.starts_with("syntax error at `prot` (character 5) in `tcp prot 80`"), "{error}");
}
