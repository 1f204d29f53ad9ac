//! Checks of values against their ranges and against each other.

use std::time::Duration;

use capture_common::abi::MAX_INTERFACES;

use super::{
    error::ValueError,
    location::KeyPath,
    sections::{Config, Control, Flows, Interface, MAX_SNAP_LENGTH, Mirror, Segments, Tap},
    values::Size,
};
use crate::control::check_socket_path;

/// What is wrong, and with which key.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) path: KeyPath,
    pub(super) message: String,
}

/// A key within a section and what is wrong with its value.
type InSection = (&'static str, String);

/// The smallest limit that makes sense: smaller segments would hold a frame each.
const MIN_ROTATE_SIZE: Size = Size(1 << 10);
/// The largest BPF ring buffer, whose size is a 32-bit number.
const MAX_RING_SIZE: u64 = 1 << 31;
const FLOWS: std::ops::RangeInclusive<u32> = 1024..=16_777_216;
const FRAMES_PER_QUEUE: std::ops::RangeInclusive<u32> = 64..=1_048_576;

impl Config {
    /// Checks all values; the first that is wrong is returned.
    pub(super) fn validate(&self) -> Result<(), Problem> {
        let in_section = |section: &'static str| {
            move |(key, message): InSection| Problem {
                path: KeyPath::default().to(section).to(key),
                message,
            }
        };
        self.segments.validate().map_err(in_section("segments"))?;
        self.control.validate().map_err(in_section("control"))?;
        self.flows.validate().map_err(in_section("flows"))?;
        self.tap.validate().map_err(in_section("tap"))?;
        self.mirror.validate().map_err(in_section("mirror"))?;
        self.validate_interfaces()
    }

    fn validate_interfaces(&self) -> Result<(), Problem> {
        let root = KeyPath::default().to("interface");
        if self.interfaces.len() > MAX_INTERFACES as usize {
            let message = format!(
                "{} interfaces are too many: allowed are {MAX_INTERFACES}",
                self.interfaces.len()
            );
            return Err(Problem { path: root.to(MAX_INTERFACES as usize), message });
        }
        for (index, interface) in self.interfaces.iter().enumerate() {
            let path = root.clone().to(index);
            interface.validate(&path)?;
            let twin = self.interfaces[..index].iter().position(|i| i.name == interface.name);
            if let Some(first) = twin {
                let message = format!(
                    "`{}` is already the name of interface[{first}]: leave one of them out",
                    interface.name
                );
                return Err(Problem { path: path.to("name"), message });
            }
        }
        Ok(())
    }
}

fn in_range(value: u32, range: &std::ops::RangeInclusive<u32>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("{value} is out of range: allowed are {} to {}", range.start(), range.end()))
}

impl Segments {
    fn validate(&self) -> Result<(), InSection> {
        if self.directory.as_os_str().is_empty() {
            return Err(("directory", "is empty: give the path of a directory".into()));
        }
        in_range(self.snap_length, &(1..=MAX_SNAP_LENGTH)).map_err(|e| ("snap_length", e))?;
        let (size, after) = (self.rotate_size, self.rotate_after);
        if size != Size(0) && size < MIN_ROTATE_SIZE {
            let message = format!("{size} is too small: give {MIN_ROTATE_SIZE} or more, or 0");
            return Err(("rotate_size", message));
        }
        if !after.is_zero() && after < Duration::from_secs(1) {
            return Err(("rotate_after", "is too short: give \"1s\" or more, or \"0s\"".into()));
        }
        if size == Size(0) && after.is_zero() {
            let message = "and rotate_after are both without a limit: no segment would ever be \
                           published; set one of them";
            return Err(("rotate_size", message.into()));
        }
        if self.retain_size != Size(0) && size > self.retain_size {
            let message = format!(
                "{} is less than one segment (segments.rotate_size is {size}): give more, or 0",
                self.retain_size
            );
            return Err(("retain_size", message));
        }
        Ok(())
    }
}

impl Control {
    fn validate(&self) -> Result<(), InSection> {
        check_socket_path(&self.socket).map_err(|message| ("socket", message))
    }
}

impl Flows {
    fn validate(&self) -> Result<(), InSection> {
        in_range(self.max, &FLOWS).map_err(|message| ("max", message))
    }
}

impl Tap {
    fn validate(&self) -> Result<(), InSection> {
        let page = page_size();
        let size = self.ring_size;
        if size.0.is_power_of_two() && (page..=MAX_RING_SIZE).contains(&size.0) {
            return Ok(());
        }
        let nearest = Size(nearest_power_of_two(size.0, page, MAX_RING_SIZE));
        let what =
            if size.0.is_power_of_two() { "is out of range" } else { "is not a power of two" };
        let message = format!(
            "{size} {what}: allowed are powers of two from {} to {}, the nearest is {nearest}",
            Size(page),
            Size(MAX_RING_SIZE)
        );
        Err(("ring_size", message))
    }
}

impl Mirror {
    fn validate(&self) -> Result<(), InSection> {
        let Some(frames) = self.frames() else { return Ok(()) };
        if frames.is_power_of_two() && FRAMES_PER_QUEUE.contains(&frames) {
            return Ok(());
        }
        let (low, high) = (*FRAMES_PER_QUEUE.start(), *FRAMES_PER_QUEUE.end());
        let nearest = nearest_power_of_two(frames.into(), low.into(), high.into());
        let message = format!(
            "{frames} is not allowed: 0 and powers of two from {low} to {high} are, the nearest is \
             {nearest}"
        );
        Err(("frames_per_queue", message))
    }
}

impl Interface {
    fn validate(&self, path: &KeyPath) -> Result<(), Problem> {
        check_interface_name(&self.name)
            .map_err(|error| Problem { path: path.clone().to("name"), message: error.to_string() })
    }
}

/// Could the kernel have an interface of this name?
pub(crate) fn check_interface_name(name: &str) -> Result<(), ValueError> {
    let allowed = |c: char| c != '/' && c != ':' && !c.is_whitespace() && !c.is_control();
    // IFNAMSIZ is 16, with the zero at the end.
    let fits = (1..=15).contains(&name.len());
    if fits && name != "." && name != ".." && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ValueError::InterfaceName(name.to_owned()))
}

/// The power of two within the limits, powers of two themselves, that is closest.
fn nearest_power_of_two(value: u64, low: u64, high: u64) -> u64 {
    let value = value.clamp(low, high);
    let above = value.next_power_of_two();
    let below = above / 2;
    if above == value || above - value <= value - below { above } else { below }
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    size.ok().flatten().and_then(|size| size.try_into().ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str) -> Interface {
        Interface { name: name.into(), ..Interface::default() }
    }

    fn refused(config: &Config) -> (String, String) {
        let problem = config.validate().unwrap_err();
        (problem.path.to_string(), problem.message)
    }

    fn changed(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    #[test]
    fn defaults_are_valid() {
        assert!(Config::default().validate().is_ok());
    }

    #[test]
    fn sizes_are_powers_of_two_in_range() {
        let page = page_size();
        for (size, nearest) in
            [(3 << 20, 4 << 20), (5 << 20, 4 << 20), (0, page), (1 << 40, 2 << 30)]
        {
            let (key, message) = refused(&changed(|c| c.tap.ring_size = Size(size)));
            assert_eq!(key, "tap.ring_size");
            assert!(message.ends_with(&format!("nearest is {}", Size(nearest))), "{message}");
        }
        let (key, message) = refused(&changed(|c| c.mirror.frames_per_queue = 1000));
        assert_eq!(key, "mirror.frames_per_queue");
        assert!(message.ends_with("nearest is 1024"), "{message}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (config, key) in [
            (changed(|c| c.segments.snap_length = 0), "segments.snap_length"),
            (changed(|c| c.flows.max = 1023), "flows.max"),
            (changed(|c| c.flows.max = 16_777_217), "flows.max"),
            (changed(|c| c.segments.rotate_size = Size(5)), "segments.rotate_size"),
            (
                changed(|c| c.segments.rotate_after = Duration::from_millis(5)),
                "segments.rotate_after",
            ),
            (changed(|c| c.segments.retain_size = Size(1 << 20)), "segments.retain_size"),
            (changed(|c| c.segments.directory = "".into()), "segments.directory"),
            (changed(|c| c.control.socket = "".into()), "control.socket"),
            (changed(|c| c.control.socket = "x".repeat(108).into()), "control.socket"),
        ] {
            assert_eq!(refused(&config).0, key);
        }
    }

    #[test]
    fn segments_must_end_some_time() {
        let mut config = changed(|c| c.segments.rotate_size = Size(0));
        assert!(config.validate().is_ok());
        config.segments.rotate_after = Duration::ZERO;
        assert_eq!(refused(&config).0, "segments.rotate_size");
    }

    #[test]
    fn interfaces_are_bounded() {
        let names = (0..65).map(|number| interface(&format!("eth{number}"))).collect();
        let (key, message) = refused(&changed(|c| c.interfaces = names));
        assert_eq!(key, "interface[64]");
        assert!(message.contains("allowed are 64"), "{message}");
    }

    #[test]
    fn names_are_those_the_kernel_allows() {
        for name in ["eth0", "wan", "br-lan.7", "abcdefghijklmno"] {
            assert_eq!(check_interface_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "eth0:1", "abcdefghijklmnop", "a\nb"] {
            assert!(check_interface_name(name).is_err(), "{name}");
        }
    }
}
