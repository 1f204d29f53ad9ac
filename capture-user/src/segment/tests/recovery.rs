//! Files as a crash or a bad disk leaves them.

use proptest::{collection::vec, prelude::*};

use super::{super::walk::walk, *};

/// A complete segment in each format, with its frames.
fn segment(format: Format, frames: u64) -> (Vec<u8>, Vec<Stored>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(settings(directory.path(), format)).unwrap();
    let mut writer = store.writer("tap", interfaces(), Arc::default());
    for number in 0..frames {
        let data = &numbered(number)[..8 + number as usize % 50];
        let classes = Classes((number % 4) as u32);
        writer.frame(&FrameInfo { classes, ..info(START + number, data.len()) }, &[data]);
    }
    writer.close();
    drop(store);
    let path = &published(directory.path())[0];
    (fs::read(path).unwrap(), read(path))
}

fn name(format: Format) -> SegmentName {
    SegmentName::new(START, "tap", format)
}

/// Recovers a file with this content; its frames, `None` if it was dropped.
fn recover_bytes(format: Format, bytes: &[u8]) -> Option<Vec<Stored>> {
    let directory = tempfile::tempdir().unwrap();
    let partial_path = directory.path().join(name(format).partial());
    fs::write(&partial_path, bytes).unwrap();
    let report = recover(directory.path()).unwrap();
    assert!(!partial_path.exists());
    assert_eq!(report.segments.len(), 1);
    match &report.segments[0] {
        Recovered::Published { name: published, frames, cut } => {
            let path = directory.path().join(published.to_string());
            assert_eq!(*published, name(format));
            assert_eq!(path.metadata().unwrap().len() + cut, bytes.len() as u64);
            let stored = read(&path);
            assert_eq!(stored.len() as u64, *frames);
            Some(stored)
        }
        Recovered::Dropped { .. } => {
            assert!(published(directory.path()).is_empty());
            None
        }
        Recovered::Failed { error, .. } => panic!("{error}"),
    }
}

#[test]
fn every_truncation_leaves_the_frames_before_it() {
    for format in Format::ALL {
        let (bytes, frames) = segment(format, 12);
        let mut most = 0;
        for length in 0..=bytes.len() {
            let recovered = recover_bytes(format, &bytes[..length]).unwrap_or_default();
            assert_eq!(recovered, frames[..recovered.len()]);
            assert!(recovered.len() >= most && recovered.len() <= most + 1);
            most = recovered.len();
        }
        assert_eq!(most, frames.len());
    }
}

#[test]
fn a_tail_of_zeros_is_no_frame() {
    for format in Format::ALL {
        let (mut bytes, frames) = segment(format, 12);
        bytes.resize(bytes.len() + 4096, 0);
        assert_eq!(recover_bytes(format, &bytes).unwrap(), frames);
        assert_eq!(recover_bytes(format, &[0; 4096]), None);
    }
}

#[test]
fn existing_files_stay_and_other_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = |file_name: &str| directory.path().join(file_name);
    let (bytes, frames) = segment(Format::Pcapng, 3);
    let name = name(Format::Pcapng);
    fs::write(path(&name.to_string()), "theirs").unwrap();
    fs::write(path(&name.partial()), &bytes).unwrap();
    fs::write(path(".other.partial"), "x").unwrap();
    fs::create_dir(path(&name.bumped().partial())).unwrap();
    let report = recover(directory.path()).unwrap();
    assert_eq!(report.segments.len(), 1);
    assert_eq!(fs::read(path(&name.to_string())).unwrap(), b"theirs");
    assert_eq!(read(&path(&name.bumped().to_string())), frames);
    assert!(path(".other.partial").exists() && path(&name.bumped().partial()).exists());
}

/// Where the first frame's record begins.
fn first_frame(format: Format, bytes: &[u8]) -> usize {
    if format == Format::Pcap {
        return 24;
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 0;
    while word(at) != 6 {
        at += word(at + 4) as usize;
    }
    at
}

proptest! {
    /// A damaged byte may change the frame it is in, and ends the file at the latest there or
    /// does no harm; all frames before it are kept as they were.
    #[test]
    fn damage_spares_the_frames_before_it(
        pcap: bool,
        at in any::<prop::sample::Index>(),
        values in vec(any::<u8>(), 1..40),
    ) {
        let format = if pcap { Format::Pcap } else { Format::Pcapng };
        let (mut bytes, frames) = segment(format, 12);
        // Damage in the headers before is another matter: readers differ in what they forgive.
        let headers = first_frame(format, &bytes);
        let at = headers + at.index(bytes.len() - headers);
        let before = recover_bytes(format, &bytes[..at]).unwrap_or_default().len();
        for (byte, value) in bytes[at..].iter_mut().zip(values) {
            *byte = value;
        }
        let recovered = recover_bytes(format, &bytes).unwrap_or_default();
        prop_assert!(recovered.len() >= before);
        prop_assert_eq!(&recovered[..before], &frames[..before]);
    }

    #[test]
    fn any_bytes_are_walked_within_their_length(
        pcap: bool,
        header: bool,
        bytes in vec(prop_oneof![Just(0_u8), 0..8_u8, any::<u8>()], 0..2000),
    ) {
        let format = if pcap { Format::Pcap } else { Format::Pcapng };
        let mut content = if header { segment(format, 1).0 } else { Vec::new() };
        content.extend(bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &content).unwrap();
        let whole = walk(file.as_file(), format).unwrap();
        prop_assert!(whole.length <= content.len() as u64);
        prop_assert!(whole.frames >= u64::from(header));
    }
}
