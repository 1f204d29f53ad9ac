//! Programs are listed as `tcpdump -d` lists them.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

#[allow(dead_code, reason = "shared with the tests of filters in the kernel")]
mod filters;

use std::process::Command;

use capture_user::filter::Expression;

/// What tcpdump prints; its snap length is another one.
fn tcpdump(text: &str) -> String {
    let output = Command::new("tcpdump")
        .args(["-s", "65535", "-y", "EN10MB", "-d", "--", text])
        .output()
        .unwrap();
    assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn listings_are_those_of_tcpdump() {
    for text in filters::corpus().step_by(5) {
        let program = text.parse::<Expression>().unwrap().compile(0).unwrap();
        assert_eq!(program.listing(), tcpdump(text), "{text}");
    }
}
