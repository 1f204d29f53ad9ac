//! An AF_XDP socket with its buffers, bound to a queue.

use std::{
    error::Error,
    io,
    num::NonZeroU32,
    os::fd::{AsRawFd, BorrowedFd},
};

use log::{debug, warn};
use nix::{
    errno::Errno,
    net::if_::if_nametoindex,
    sys::socket::{MsgFlags, recv},
};
use xsk_rs::{
    FillQueue, FrameDesc, RxQueue, Umem,
    config::{BindFlags, FrameSize, Interface, LibxdpFlags, QueueSize, SocketConfig, UmemConfig},
};

use super::{
    QueueConfig,
    error::{MirrorError, bind_hint, buffers_hint},
};

/// Size of the send and completion rings, which nobody uses but which libxdp makes.
const UNUSED_RING: u32 = 64;

/// An AF_XDP socket that receives from one queue. All its buffers are in the fill ring at first.
pub(super) struct Socket {
    pub(super) umem: Umem,
    pub(super) receive: RxQueue,
    pub(super) fill: FillQueue,
    pub(super) huge_pages: bool,
    pub(super) multi_buffer: bool,
}

impl Socket {
    /// Makes the buffers, binds to the queue and fills the fill ring.
    pub(super) fn open(config: &QueueConfig) -> Result<Self, MirrorError> {
        config.check()?;
        check_index(config)?;
        // Without XDP_COPY and XDP_ZEROCOPY the kernel takes zero-copy where the driver has it
        // for such a socket, and copies otherwise.
        let flags = BindFlags::XDP_USE_NEED_WAKEUP | BindFlags::XDP_USE_SG;
        let socket = match Self::bind(config, flags) {
            Err(MirrorError::Bind { source, .. })
                if source.raw_os_error() == Some(libc::EINVAL) =>
            {
                let socket = Self::bind(config, BindFlags::XDP_USE_NEED_WAKEUP)?;
                warn!(
                    "{} queue {}: the kernel refuses multi-buffer AF_XDP sockets (needs Linux \
                     6.6); frames over {} bytes will be lost and counted as rx_dropped",
                    config.interface,
                    config.queue,
                    config.largest_part()
                );
                socket
            }
            other => other?,
        };
        check_index(config)?;
        Ok(socket)
    }

    fn bind(config: &QueueConfig, flags: BindFlags) -> Result<Self, MirrorError> {
        let (umem, buffers, huge_pages) = make_buffers(config)?;
        let refused = |source: io::Error| MirrorError::Bind {
            interface: config.interface.clone(),
            queue: config.queue,
            hint: bind_hint(&source),
            source,
        };
        let interface: Interface = config
            .interface
            .parse()
            .map_err(|_| refused(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let socket_config = SocketConfig::builder()
            .rx_queue_size(ring_size(config, config.frames)?)
            .tx_queue_size(ring_size(config, UNUSED_RING)?)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .bind_flags(flags)
            .build();
        // SAFETY: the UMEM is shared with no other socket, and no program is loaded by libxdp.
        let made = unsafe { xsk_rs::Socket::new(socket_config, &umem, &interface, config.queue) };
        let (_, receive, rings) = made.map_err(|error| refused(os_error(&error)))?;
        let (mut fill, _) =
            rings.ok_or_else(|| refused(io::Error::other("libxdp gave no fill ring")))?;
        // SAFETY: the buffers belong to this UMEM and nothing else has them.
        let filled = unsafe { fill.produce(&buffers) };
        if filled != buffers.len() {
            return Err(refused(io::Error::other("the fill ring does not take all buffers")));
        }
        let multi_buffer = flags.contains(BindFlags::XDP_USE_SG);
        Ok(Self { umem, receive, fill, huge_pages, multi_buffer })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the receive queue keeps the socket open for as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.receive.fd().as_raw_fd()) }
    }

    /// Does the driver write right into the buffers?
    pub(super) fn zero_copy(&self) -> io::Result<bool> {
        let mut options = libc::xdp_options { flags: 0 };
        let mut length = size_of_val(&options) as libc::socklen_t;
        // SAFETY: `options` and `length` are valid for writes, and `length` is the size of
        // `options`.
        let result = unsafe {
            libc::getsockopt(
                self.fd().as_raw_fd(),
                libc::SOL_XDP,
                libc::XDP_OPTIONS,
                (&raw mut options).cast(),
                &raw mut length,
            )
        };
        Errno::result(result)?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// Lets the kernel go on receiving where it has to be told; [`Errno::ENXIO`] if the socket's
    /// interface is gone.
    pub(super) fn kick(&self) -> Result<(), Errno> {
        recv(self.fd().as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT).map(drop)
    }
}

/// The buffers, in huge pages where some are free.
fn make_buffers(config: &QueueConfig) -> Result<(Umem, Vec<FrameDesc>, bool), MirrorError> {
    let refused = |source: io::Error| MirrorError::Buffers {
        interface: config.interface.clone(),
        queue: config.queue,
        bytes: config.bytes(),
        hint: buffers_hint(&source),
        source,
    };
    let size =
        FrameSize::new(config.frame_size).map_err(|_| MirrorError::FrameSize(config.frame_size))?;
    let umem_config = UmemConfig::builder()
        .frame_size(size)
        .fill_queue_size(ring_size(config, config.frames)?)
        .comp_queue_size(ring_size(config, UNUSED_RING)?)
        .build()
        .map_err(|_| MirrorError::FrameSize(config.frame_size))?;
    let count = NonZeroU32::new(config.frames).ok_or(MirrorError::Frames(config.frames))?;
    match Umem::new(umem_config, count, true) {
        Ok((umem, buffers)) => return Ok((umem, buffers, true)),
        Err(error) => debug!("{}: no huge pages: {}", config.interface, os_error(&error)),
    }
    let (umem, buffers) =
        Umem::new(umem_config, count, false).map_err(|error| refused(os_error(&error)))?;
    Ok((umem, buffers, false))
}

fn ring_size(config: &QueueConfig, size: u32) -> Result<QueueSize, MirrorError> {
    QueueSize::new(size).map_err(|_| MirrorError::Frames(config.frames))
}

/// xsk-rs goes by name; the daemon by index.
fn check_index(config: &QueueConfig) -> Result<(), MirrorError> {
    if if_nametoindex(config.interface.as_str()) == Ok(config.ifindex) {
        return Ok(());
    }
    Err(MirrorError::InterfaceChanged {
        interface: config.interface.clone(),
        ifindex: config.ifindex,
    })
}

/// What the kernel said, out of an error of xsk-rs.
fn os_error(error: &dyn Error) -> io::Error {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => source
            .raw_os_error()
            .map_or_else(|| io::Error::other(source.to_string()), io::Error::from_raw_os_error),
        None => io::Error::other(error.to_string()),
    }
}
