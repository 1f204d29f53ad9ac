//! A network namespace with a veth pair, and numbered frames to send through it.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::Command,
};

use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
};

/// The sending end of the pair.
pub const SENDER: &str = "sender";
/// The receiving end of the pair.
pub const MIRROR: &str = "mirror";
/// Length of the headers and the number in front of a numbered frame's filling.
pub const SMALLEST: usize = 60;
/// Flows that the numbered frames belong to; enough for each queue to get some.
const FLOWS: u64 = 16;

/// Moves the calling thread, and the threads that it starts, into a new network namespace. The
/// namespace has no name: it ends with them, whatever happens.
pub fn enter_new_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).expect("needs root");
}

/// Makes the veth pair.
pub fn make_pair(queues: u32, mtu: u32) {
    let queues = format!("numrxqueues {queues} numtxqueues {queues} mtu {mtu}");
    ip(&format!("link add {SENDER} {queues} type veth peer name {MIRROR} {queues}"));
    for end in [SENDER, MIRROR] {
        // No IPv6 address, so that the kernel itself sends nothing.
        ip(&format!("link set {end} addrgenmode none"));
        ip(&format!("link set {end} up"));
    }
}

/// Runs `ip` with these arguments.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

/// The kernel's index of an interface.
pub fn index_of(interface: &str) -> u32 {
    if_nametoindex(interface).expect("the interface exists")
}

/// A valid UDP over IPv4 frame of the given length whose every byte follows from its number.
pub fn numbered_frame(number: u64, length: usize, frame: &mut Vec<u8>) {
    assert!(length >= SMALLEST);
    let port = 10_000 + (number % FLOWS) as u16;
    frame.clear();
    frame.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&((length - 14) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend_from_slice(&port.to_be_bytes());
    frame.extend_from_slice(&9u16.to_be_bytes());
    frame.extend_from_slice(&((length - 34) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&number.to_be_bytes());
    let mut word = number;
    while frame.len() < length {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        frame.extend_from_slice(&word.to_be_bytes());
    }
    frame.truncate(length);
}

/// The number of a numbered frame.
pub fn number_of(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[42..50].try_into().expect("eight bytes"))
}

/// The length that a frame with this number has in the tests: from 60 to 9,014 bytes, each length
/// equally often.
pub fn mixed_length(number: u64) -> usize {
    SMALLEST + (number.wrapping_mul(4_793) % (9_014 - SMALLEST as u64 + 1)) as usize
}

/// Sends frames out of an interface.
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    /// Opens a packet socket that sends out of the interface.
    pub fn new(interface: &str) -> Self {
        // SAFETY: takes integers only.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(fd >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all zero is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index_of(interface) as i32;
        // SAFETY: the address is a valid sockaddr_ll of the length given.
        let result = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        assert_eq!(result, 0, "bind: {}", io::Error::last_os_error());
        Self { socket }
    }

    /// Sends a frame; `false` if the interface did not take it.
    pub fn send(&self, frame: &[u8]) -> bool {
        // SAFETY: the buffer is valid for reads of its length.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        sent == frame.len() as isize
    }
}
