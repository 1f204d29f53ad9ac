//! What the kernel programs and the daemon share.
//!
//! Everything that can be decided without a map or a socket is here, so that it runs on the host
//! under tests exactly as it runs in the kernel: the ABI ([`abi`]), the frame parser ([`parse`]),
//! the flow key and the TCP state machine ([`flow`]), and the names of what is counted
//! ([`reason`], [`class`], [`icmp`]).
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

pub mod abi;
pub mod class;
pub mod flow;
pub mod icmp;
pub mod parse;
pub mod reason;
