//! Expressions of pcap-filter(7): written ones for each of its sections, and generated ones.

pub mod generate;

const EXPRESSIONS: &str = include_str!("expressions.txt");

/// The written ones, in the order of the file. All compile for Ethernet with libpcap 1.10.
pub fn corpus() -> impl Iterator<Item = &'static str> {
    EXPRESSIONS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}
