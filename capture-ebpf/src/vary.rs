//! For benchmarks and tests: frames of many conversations under one `BPF_PROG_RUN`.
//!
//! The kernel runs a program on one and the same frame again and again. This one makes another frame
//! of it each time and calls the ingress program. The daemon never loads it.

use aya_ebpf::{
    bindings::xdp_action,
    macros::map,
    maps::{Array, ProgramArray},
    programs::XdpContext,
};
use capture_common::abi::Vary;

/// One element: what to make of the frame.
#[map]
static VARY: Array<Vary> = Array::with_max_entries(1, 0);

/// The ingress program, or nothing: then only the cost of this program is measured.
#[map]
static VARIED: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Ethernet, IPv4 without options, TCP without options.
const HEADERS: usize = 54;
const SOURCE: usize = 26;
const WINDOW: usize = 48;

/// Gives the frame the source address and the window of the next conversation.
#[inline(always)]
pub fn frame(ctx: &XdpContext) -> u32 {
    let Some(vary) = VARY.get_ptr_mut(0) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: the element of an array, and only one benchmark runs at a time.
    let vary = unsafe { &mut *vary };
    let (start, end) = (ctx.data(), ctx.data_end());
    if start + HEADERS > end {
        return xdp_action::XDP_ABORTED;
    }
    let frame = start as *mut u8;
    let source = vary.next_source().to_be();
    // Never the same twice in a row, never closed: a window update, as healthy as a segment can be.
    let window = (vary.count as u16 | 1).to_be();
    // SAFETY: both fields lie in the headers, which are in the frame; alignment is not asked for.
    unsafe {
        frame.add(SOURCE).cast::<u32>().write_unaligned(source);
        frame.add(WINDOW).cast::<u16>().write_unaligned(window);
        VARIED.tail_call(ctx, 0);
    }
    xdp_action::XDP_PASS
}
