//! The kernel programs' header in front of a frame in the UMEM.

use std::ptr;

use capture_common::abi::FrameHeader;
use xsk_rs::{FrameDesc, Umem};

/// Takes the header out of the bytes in front of a frame's first part; `None` if there is none.
///
/// The header is erased, so that it cannot be mistaken for that of a later frame which comes in
/// the same buffer without one (a driver that does not carry XDP metadata).
///
/// # Safety
/// `first` was received from the receive ring of a socket on `umem`, whose buffers are
/// `buffer_size` bytes (a power of two), and has not been given back to the fill ring since.
pub(super) unsafe fn take(
    umem: &Umem,
    first: &FrameDesc,
    buffer_size: usize,
) -> Option<FrameHeader> {
    let room = first.addr() & (buffer_size - 1);
    if room < FrameHeader::SIZE {
        return None;
    }
    // SAFETY: per this function's contract the buffer is ours; the slice is not kept.
    let data = unsafe { umem.data(first) }.contents().as_ptr();
    // The UMEM's mapping was exposed when it was registered with the kernel, so the address may
    // be turned into a pointer to it; a pointer derived from the slice could only reach the slice.
    let at = ptr::with_exposed_provenance_mut::<[u8; FrameHeader::SIZE]>(
        data.expose_provenance() - FrameHeader::SIZE,
    );
    // SAFETY: `room` bytes of the same buffer lie in front of the data, at least as many as are
    // read here, and buffers are always initialised (anonymous memory). The buffer belongs to us
    // until it is given back, so neither the kernel nor another thread accesses it meanwhile, and
    // no reference to these bytes exists: xsk-rs's slices begin at the data or end at the reserved
    // headroom, of which there is none. The type has alignment 1.
    let bytes = unsafe { at.replace([0; FrameHeader::SIZE]) };
    FrameHeader::from_bytes(&bytes)
}
