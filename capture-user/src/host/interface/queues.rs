//! How many receive queues an interface has: one AF_XDP socket is needed for each.

use std::{fs, io, os::fd::AsRawFd as _, path::Path};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `ETHTOOL_GCHANNELS` of `linux/ethtool.h`.
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of `linux/ethtool.h`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// Receive queues of an interface, at least 1.
pub(super) fn receive_queues(name: &str, index: u32) -> u32 {
    from_driver(name).ok().or_else(|| from_sysfs(name, index)).unwrap_or(1).max(1)
}

/// What the driver says: queues that serve both directions and queues that only receive.
fn from_driver(name: &str) -> io::Result<u32> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    // SAFETY: ifreq consists of integers and pointers, for all of which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0, as the kernel wants it; a name that is too long names no interface.
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: SIOCETHTOOL reads the ifreq and, for this command, reads and writes one
    // ethtool_channels behind ifru_data; both live until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(channels.combined.saturating_add(channels.rx))
}

/// What the kernel's device model says, if `/sys` shows our network namespace: it may be a mount
/// of another one, where the same name is another interface.
fn from_sysfs(name: &str, index: u32) -> Option<u32> {
    let directory = Path::new("/sys/class/net").join(name);
    let shown = fs::read_to_string(directory.join("ifindex")).ok()?;
    if shown.trim().parse() != Ok(index) {
        return None;
    }
    let queues = fs::read_dir(directory.join("queues")).ok()?;
    let receive = queues
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"))
        .count();
    u32::try_from(receive).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::namespace::{ifindex, ip, run};

    #[test]
    fn driver_tells_its_channels() {
        run(|| async {
            ip("link add v0 numrxqueues 3 numtxqueues 3 type veth peer name v1 numrxqueues 2");
            assert_eq!(from_driver("v0").unwrap(), 3);
            assert_eq!(receive_queues("v0", ifindex("v0")), 3);
            assert_eq!(receive_queues("v1", ifindex("v1")), 2);
        });
    }

    #[test]
    fn sysfs_stands_in_for_a_driver_that_does_not_tell() {
        run(|| async {
            ip("link add b0 numrxqueues 4 type ifb");
            let index = ifindex("b0");
            assert_eq!(from_driver("b0").unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
            assert_eq!(receive_queues("b0", index), 4);
            assert_eq!(receive_queues("b0", index + 1), 1, "another namespace's /sys");
        });
    }

    #[test]
    fn no_interface_is_one_queue() {
        run(|| async {
            assert_eq!(receive_queues("nothing", 77), 1);
            assert_eq!(receive_queues("a-name-that-is-far-too-long", 77), 1);
        });
    }
}
