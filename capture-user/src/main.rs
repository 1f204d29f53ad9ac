//! The `captured` binary.
fn main() {}
