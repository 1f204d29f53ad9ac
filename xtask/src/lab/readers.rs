//! Other people's programs that read what captured wrote: tshark, tcpdump, capinfos.
//!
//! A reader that complains (cut short, malformed block, unknown option) has failed, even when it
//! read on and ended with status 0.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::command;

/// What readers say on their standard error when all is well.
const GREETINGS: [&str; 2] = ["Running as user \"root\"", "reading from file "];

/// Configuration directory for Wireshark's programs. It doesn't exist: all preferences keep their
/// defaults, whatever the user's are.
const NO_PREFERENCES: &str = "/nonexistent/wireshark";

/// What capinfos says of a file.
#[derive(Clone, Debug)]
pub struct FileInfo {
    entries: BTreeMap<String, String>,
}

impl FileInfo {
    /// Number of packets.
    ///
    /// # Errors
    /// capinfos did not say.
    pub fn packets(&self) -> Result<u64> {
        let packets = self.entry("Number of packets")?;
        packets.parse().with_context(|| format!("capinfos: {packets} packets"))
    }

    /// An entry by capinfos's name for it, such as `File type` or `Capture duration`.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn entry(&self, name: &str) -> Result<&str> {
        let entry = self.entries.get(name).map(String::as_str);
        entry.with_context(|| format!("capinfos did not say \"{name}\""))
    }
}

/// Fields of the frames that match a display filter (all, if it is empty), one row a frame. A
/// field that occurs several times in a frame has its values joined by commas. Several files are
/// read as one, in the order of their timestamps.
///
/// # Errors
/// A reader could not be run, failed or complained.
pub fn tshark<P: AsRef<Path>>(
    files: &[P],
    filter: &str,
    fields: &[&str],
) -> Result<Vec<Vec<String>>> {
    let merged;
    let file = match files {
        [] => return Ok(Vec::new()),
        [file] => file.as_ref(),
        several => {
            merged = merge(several)?;
            merged.path()
        }
    };
    let mut tshark = wireshark("tshark");
    tshark.args(["-n", "-T", "fields", "-r"]).arg(file);
    if !filter.is_empty() {
        tshark.args(["-Y", filter]);
    }
    for field in fields {
        tshark.args(["-e", field]);
    }
    let rows = read(&mut tshark)?;
    Ok(rows.lines().map(|row| row.split('\t').map(str::to_owned).collect()).collect())
}

/// One line for each frame that matches a pcap filter expression (all, if it is empty).
///
/// # Errors
/// As [`tshark`].
pub fn tcpdump(file: &Path, expression: &str) -> Result<Vec<String>> {
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.args(["-nn", "-tt", "-r"]).arg(file);
    if !expression.is_empty() {
        tcpdump.arg(expression);
    }
    Ok(read(&mut tcpdump)?.lines().map(str::to_owned).collect())
}

/// What capinfos says of a file.
///
/// # Errors
/// As [`tshark`].
pub fn capinfos(file: &Path) -> Result<FileInfo> {
    let text = read(wireshark("capinfos").arg("-M").arg(file))?;
    let entries = text.lines().filter_map(|line| line.split_once(':'));
    let entries = entries.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    Ok(FileInfo { entries: entries.collect() })
}

/// Reads a file with all three; they must agree on the number of packets, and tshark must find
/// nothing malformed. Returns that number.
///
/// # Errors
/// A reader could not be run, failed or complained, or they disagree.
pub fn check(file: &Path) -> Result<u64> {
    let counted = capinfos(file)?.packets()?;
    let printed = tcpdump(file, "")?.len() as u64;
    let dissected = tshark(&[file], "", &["frame.number"])?.len() as u64;
    let shown = file.display();
    ensure!(
        counted == printed && counted == dissected,
        "{shown}: capinfos counts {counted} packets, tcpdump {printed}, tshark {dissected}"
    );
    let malformed = malformed(file)?;
    ensure!(malformed.is_empty(), "{shown}: tshark finds malformed frames: {malformed:?}");
    Ok(counted)
}

/// Numbers of the frames that tshark calls malformed. Not of those that it only cannot put together
/// with others: its reassembly stumbles over retransmissions, which are no fault of the frame. And the
/// lab's web servers speak HTTP whatever protocol the client's ephemeral port is registered for.
fn malformed(file: &Path) -> Result<Vec<String>> {
    let mut tshark = wireshark("tshark");
    tshark.args(["-d", "tcp.port==8000-8099,http"]);
    tshark.args(["-n", "-o", "tcp.desegment_tcp_streams:FALSE", "-Y", "_ws.malformed"]);
    tshark.args(["-T", "fields", "-e", "frame.number", "-r"]).arg(file);
    Ok(read(&mut tshark)?.lines().map(str::to_owned).collect())
}

fn merge<P: AsRef<Path>>(files: &[P]) -> Result<tempfile::NamedTempFile> {
    let merged = tempfile::Builder::new().suffix(".pcapng").tempfile();
    let merged = merged.context("cannot make a temporary file")?;
    read(wireshark("mergecap").arg("-w").arg(merged.path()).args(files.iter().map(AsRef::as_ref)))?;
    Ok(merged)
}

fn wireshark(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("WIRESHARK_CONFIG_DIR", NO_PREFERENCES);
    command
}

/// Standard output of a reader that has nothing to complain about.
fn read(reader: &mut Command) -> Result<String> {
    let output = command::output(reader, b"")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = said
        .lines()
        .filter(|line| !line.is_empty() && !GREETINGS.iter().any(|usual| line.starts_with(usual)))
        .collect();
    if !output.status.success() || !complaints.is_empty() {
        bail!("`{}`: {}: {}", command::line(reader), output.status, complaints.join("; "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// A pcap file with ARP requests, 60 bytes each.
    fn pcap(directory: &Path, frames: u32) -> PathBuf {
        let mut bytes = Vec::new();
        let mut words = |words: &[u32]| words.iter().for_each(|w| bytes.extend(w.to_le_bytes()));
        words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]);
        for second in 0..frames {
            words(&[second, 0, 60, 60]);
            words(&[u32::MAX, 0x0002_ffff, 0, 0x0100_0608, 0x0406_0008, 0x0200_0100]);
            words(&[0; 9]);
        }
        let path = directory.join(format!("{frames}.pcap"));
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn readers_agree_on_a_good_file() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(check(&pcap(directory.path(), 3)).unwrap(), 3);
    }

    #[test]
    fn several_files_are_read_as_one() {
        let directory = tempfile::tempdir().unwrap();
        let files = [pcap(directory.path(), 2), pcap(directory.path(), 3)];
        let rows = tshark(&files, "arp", &["frame.time_epoch", "frame.len"]).unwrap();
        assert_eq!(rows.len(), 5);
        assert!(rows.iter().all(|row| row[1] == "60"));
        assert!(rows.is_sorted());
    }

    #[test]
    fn a_file_cut_short_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = pcap(directory.path(), 3);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
        assert!(tshark(&[&path], "", &["frame.number"]).is_err());
        assert!(tcpdump(&path, "").is_err());
        assert!(capinfos(&path).is_err());
    }
}
