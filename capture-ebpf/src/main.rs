//! The kernel programs of captured.
//!
//! `ingress` (XDP) and `egress` (tc) parse and account every frame, run the TCP step, and hand the
//! frame to the later stages by tail calls: filter, then deliver. A frame is never dropped here
//! but in mirror mode: every way out of a program that is not a delivery lets the frame go on.
#![no_std]
#![no_main]
#![warn(unused)]
#![allow(
    clippy::needless_borrows_for_generic_args,
    reason = "a key or value handed to a map by value is copied onto the 512-byte stack first"
)]

mod access;
mod account;
mod clock;
mod entry;
mod flows;
mod interfaces;
mod mirror;
mod stages;
mod tap;
mod vary;

use aya_ebpf::{
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::access::{Egress, Ingress};

/// Entry of every frame that comes in.
#[xdp(frags)]
pub fn ingress(ctx: XdpContext) -> u32 {
    entry::frame(&Ingress(ctx))
}

/// Copies or redirects a frame that the filter wants.
#[xdp(frags)]
pub fn deliver_xdp(ctx: XdpContext) -> u32 {
    stages::deliver(&Ingress(ctx))
}

/// As `deliver_xdp`, if the conversation has shown what the filter asks for.
#[xdp(frags)]
pub fn deliver_troubled_xdp(ctx: XdpContext) -> u32 {
    stages::deliver_troubled(&Ingress(ctx))
}

/// For benchmarks: calls `ingress` with frames of many conversations.
#[xdp(frags)]
pub fn vary_flows(ctx: XdpContext) -> u32 {
    vary::frame(&ctx)
}

/// Entry of every frame that goes out.
#[classifier]
pub fn egress(ctx: TcContext) -> i32 {
    entry::frame(&Egress(ctx)) as i32
}

/// As `deliver_xdp`, for what goes out.
#[classifier]
pub fn deliver_tc(ctx: TcContext) -> i32 {
    stages::deliver(&Egress(ctx)) as i32
}

/// As `deliver_troubled_xdp`, for what goes out.
#[classifier]
pub fn deliver_troubled_tc(ctx: TcContext) -> i32 {
    stages::deliver_troubled(&Egress(ctx)) as i32
}

/// The verifier refuses an endless loop, and so a program in which a panic can be reached.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Helpers such as `bpf_ktime_get_ns` and the ring buffer's are for GPL-compatible programs only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
