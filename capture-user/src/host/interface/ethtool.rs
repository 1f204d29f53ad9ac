//! Questions to an interface's driver, by the ioctl of ethtool.

use std::{io, os::fd::AsRawFd as _};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `ETHTOOL_GFLAGS` of `linux/ethtool.h`.
const GET_FLAGS: u32 = 0x25;
/// `ETH_FLAG_RXVLAN` there.
const RX_VLAN: u32 = 1 << 8;
/// `ETHTOOL_GCHANNELS` there.
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

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Queues that serve both directions and queues that only receive.
pub(super) fn receive_queues(name: &str) -> io::Result<u32> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    // SAFETY: for this command, the kernel reads and writes one ethtool_channels.
    unsafe { ask(name, &mut channels)? };
    Ok(channels.combined.saturating_add(channels.rx))
}

/// Does it take VLAN tags out of the frames that it receives (`rx-vlan-offload`)?
pub(super) fn strips_vlan_tags(name: &str) -> io::Result<bool> {
    let mut flags = Value { command: GET_FLAGS, data: 0 };
    // SAFETY: for this command, the kernel reads and writes one ethtool_value.
    unsafe { ask(name, &mut flags)? };
    Ok(flags.data & RX_VLAN != 0)
}

/// Hands `question` to the driver, which answers in it.
///
/// # Safety
/// `T` is the structure that the kernel reads and writes for the command in its first field.
unsafe fn ask<T>(name: &str, question: &mut T) -> io::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq consists of integers and pointers, for all of which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0, as the kernel wants it; a name that is too long names no interface.
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(question).cast();
    // SAFETY: SIOCETHTOOL reads the ifreq and what the command says behind ifru_data, which is a T by
    // this function's contract; both live until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::namespace::{ip, run};

    #[test]
    fn driver_tells_what_it_does_with_vlan_tags() {
        run(|| async {
            ip("link add v0 type veth peer name v1");
            ip("link add b0 type ifb");
            assert!(strips_vlan_tags("v0").unwrap());
            assert!(!strips_vlan_tags("b0").unwrap());
            let error = strips_vlan_tags("a-name-that-is-far-too-long").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        });
    }
}
