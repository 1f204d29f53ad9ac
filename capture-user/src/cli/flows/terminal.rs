//! The size of the terminal.

use std::os::fd::AsRawFd as _;

nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);

fn size() -> Option<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` (ioctl_tty(2)), to which the pointer is valid, and keeps
    // nothing. On what is no terminal it fails.
    let result = unsafe { window_size(std::io::stdout().as_raw_fd(), &raw mut size) };
    result.ok().map(|_| size)
}

/// How many lines it shows; `None` if it does not say.
pub(super) fn rows() -> Option<usize> {
    size().map(|size| size.ws_row.into()).filter(|rows| *rows != 0)
}

/// How many characters fit a line; `None` if it does not say.
pub(super) fn columns() -> Option<usize> {
    size().map(|size| size.ws_col.into()).filter(|columns| *columns != 0)
}
