//! How many receive queues an interface has: one AF_XDP socket is needed for each.

use std::{fs, path::Path};

use super::ethtool;

/// Receive queues of an interface, at least 1.
pub(super) fn receive_queues(name: &str, index: u32) -> u32 {
    ethtool::receive_queues(name).ok().or_else(|| from_sysfs(name, index)).unwrap_or(1).max(1)
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
            assert_eq!(ethtool::receive_queues("v0").unwrap(), 3);
            assert_eq!(receive_queues("v0", ifindex("v0")), 3);
            assert_eq!(receive_queues("v1", ifindex("v1")), 2);
        });
    }

    #[test]
    fn sysfs_stands_in_for_a_driver_that_does_not_tell() {
        run(|| async {
            ip("link add b0 numrxqueues 4 type ifb");
            let index = ifindex("b0");
            let error = ethtool::receive_queues("b0").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
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
