//! Delivery in tap mode: a copy in the ring buffer, and the frame goes on.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    macros::map,
    maps::RingBuf,
};
use capture_common::{
    abi::{Counters, FRAME_HEADER_MAGIC, FrameHeader, KernelLoss, Scratch},
    parse::recall,
};

use crate::{access::Hook, account};

/// The daemon sets the real size when it loads the programs.
#[map]
static FRAMES: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// Bytes that each CPU puts into the ring between two wake-ups of the reader; when less comes, it
/// comes by itself, every few milliseconds. The daemon sets it when it loads the programs.
#[unsafe(no_mangle)]
static WAKE_EVERY: u64 = 1 << 22;

/// A record of the ring: the space is reserved in a few sizes, since the verifier wants constants.
#[repr(C)]
struct Record<const N: usize> {
    header: FrameHeader,
    bytes: [u8; N],
}

/// Most bytes of a frame that are copied. Only super-packets at egress can be larger.
const MAX_BYTES: u32 = 65536;

/// Copies the frame, whatever its size, and lets it pass.
#[inline(always)]
pub fn deliver<H: Hook>(hook: &H, scratch: &mut Scratch, counters: &mut Counters) -> u32 {
    counters.matched_frames += 1;
    match copy(hook, scratch) {
        Ok(()) => counters.delivered_frames += 1,
        Err(stage) => _ = account::lost(counters, stage),
    }
    H::PASS
}

#[inline(always)]
fn copy<H: Hook>(hook: &H, scratch: &mut Scratch) -> Result<(), KernelLoss> {
    let length = scratch.sight.bytes.min(scratch.interface.snap_length).min(MAX_BYTES);
    match length {
        0 => Err(KernelLoss::CopyFailed),
        1..=88 => record::<H, 88>(hook, scratch, length),
        89..=216 => record::<H, 216>(hook, scratch, length),
        217..=600 => record::<H, 600>(hook, scratch, length),
        601..=1064 => record::<H, 1064>(hook, scratch, length),
        1065..=1528 => record::<H, 1528>(hook, scratch, length),
        1529..=4056 => record::<H, 4056>(hook, scratch, length),
        4057..=9048 => record::<H, 9048>(hook, scratch, length),
        9049..=16384 => record::<H, 16384>(hook, scratch, length),
        _ => record::<H, { MAX_BYTES as usize }>(hook, scratch, length),
    }
}

#[inline(always)]
fn record<H: Hook, const N: usize>(
    hook: &H,
    scratch: &mut Scratch,
    length: u32,
) -> Result<(), KernelLoss> {
    // In 64 bits and out of memory, so that the compiler makes these very comparisons of this very
    // register: they are what the verifier knows of the length.
    let bytes = recall(&u64::from(length));
    if bytes == 0 || bytes > N as u64 {
        return Err(KernelLoss::CopyFailed);
    }
    let Some(mut entry) = FRAMES.reserve_bytes(size_of::<Record<N>>(), 0) else {
        return Err(KernelLoss::RingFull);
    };
    let record = entry.as_mut_ptr().cast::<Record<N>>();
    // SAFETY: the record is ours until it is submitted, of the size of a Record<N> and aligned to
    // eight bytes as all records of a ring buffer are; the header is plain integers.
    unsafe { (&raw mut (*record).header).write(header::<H>(hook, scratch, length)) };
    // SAFETY: at most N bytes, checked above.
    let copied = unsafe { hook.copy(&raw mut (*record).bytes, bytes) };
    if copied.is_err() {
        entry.discard(BPF_RB_NO_WAKEUP.into());
        return Err(KernelLoss::CopyFailed);
    }
    entry.submit(wake_up(scratch, size_of::<Record<N>>() as u64));
    Ok(())
}

#[inline(always)]
fn header<H: Hook>(hook: &H, scratch: &Scratch, captured_length: u32) -> FrameHeader {
    FrameHeader {
        timestamp: scratch.sight.now,
        original_length: scratch.sight.bytes,
        captured_length,
        ifindex: scratch.sight.ifindex,
        classes: scratch.seen.classes.0,
        queue: hook.queue(),
        slot: scratch.interface.slot as u8,
        direction: H::DIRECTION as u8,
        magic: FRAME_HEADER_MAGIC,
        padding: [0; 3],
    }
}

/// Wakes the reader now and then: a wake-up for each record would cost more than the copy, and to ask
/// the ring how full it is a good part of that.
#[inline(always)]
fn wake_up(scratch: &mut Scratch, record: u64) -> u64 {
    // SAFETY: the static is initialised and only the loader changes it, before the program is
    // loaded; volatile, so that the compiler does not take the initial value for granted.
    let mark = unsafe { (&raw const WAKE_EVERY).read_volatile() };
    scratch.unannounced += record;
    if scratch.unannounced < mark {
        return BPF_RB_NO_WAKEUP.into();
    }
    scratch.unannounced = 0;
    BPF_RB_FORCE_WAKEUP.into()
}
