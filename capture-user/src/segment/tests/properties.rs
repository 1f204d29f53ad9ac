//! Whatever frames go in come back out of the files.

use capture_common::class::Class;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

#[derive(Clone, Debug)]
struct Frame {
    info: FrameInfo,
    parts: Vec<Vec<u8>>,
}

fn frame() -> impl Strategy<Value = Frame> {
    let parts = prop_oneof![
        8 => vec(vec(any::<u8>(), 0..100), 0..4),
        1 => vec(vec(any::<u8>(), 0..9000), 0..3),
    ];
    let timestamp = prop_oneof![START..START + 100 * SECOND, any::<u64>()];
    let classes = prop_oneof![Just(0_u32), any::<u32>()];
    (timestamp, any::<u16>(), select(&SLOTS[..]), any::<bool>(), classes, parts).prop_map(
        |(timestamp, beyond, slot, egress, classes, parts)| {
            let length: usize = parts.iter().map(Vec::len).sum();
            let info = FrameInfo {
                timestamp,
                original_length: length as u32 + u32::from(beyond),
                slot,
                direction: Direction::ALL[usize::from(egress)],
                queue: 0,
                classes: Classes(classes),
            };
            Frame { info, parts }
        },
    )
}

/// What a file must hold of a frame; `None` for a frame without length.
fn expected(frame: &Frame, format: Format, snap_length: usize) -> Option<Stored> {
    let info = &frame.info;
    if info.original_length == 0 {
        return None;
    }
    let mut data = frame.parts.concat();
    data.truncate(snap_length);
    let names: Vec<&str> = info.classes.iter().map(Class::name).collect();
    let comment =
        if names.is_empty() { String::new() } else { format!("captured: {}", names.join(", ")) };
    let interface = u32::from(info.slot != SLOTS[0]);
    let flags = if info.direction == Direction::Ingress { 1 } else { 2 };
    let timestamp = match format {
        Format::Pcapng => info.timestamp,
        Format::Pcap => {
            (info.timestamp / SECOND).min(u32::MAX.into()) * SECOND + info.timestamp % SECOND
        }
    };
    let more = (format == Format::Pcapng).then_some((interface, flags, comment));
    Some(Stored { timestamp, original: info.original_length, data, more })
}

fn feed(writer: &mut SegmentWriter, frame: &Frame) {
    let parts: Vec<&[u8]> = frame.parts.iter().map(Vec::as_slice).collect();
    writer.frame(&frame.info, &parts);
}

fn check_ledger(ledger: &Ledger, stored: &[Stored], frames: u64) {
    let (written, refused) = totals(ledger, Loss::BadHeader);
    assert_eq!(written, stored.len() as u64);
    assert_eq!(written + refused, frames);
    for (slot, interface) in SLOTS.into_iter().zip(0..) {
        for (direction, flags) in Direction::ALL.into_iter().zip(1..) {
            let line = ledger.line(slot, direction);
            let on_line = stored.iter().filter(|stored| {
                stored.more.as_ref().is_none_or(|more| (more.0, more.1) == (interface, flags))
            });
            if stored.iter().all(|stored| stored.more.is_some()) {
                let bytes: u64 = on_line.clone().map(|stored| stored.data.len() as u64).sum();
                assert_eq!(line.written_frames(), on_line.count() as u64);
                assert_eq!(line.written_bytes(), bytes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_goes_in_comes_out(
        frames in vec(frame(), 1..60),
        pcap: bool,
        snap_length in prop_oneof![Just(0_u32), 1..2000_u32],
        rotate_bytes in proptest::option::of(0..20_000_u64),
        ticks: u8,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let format = if pcap { Format::Pcap } else { Format::Pcapng };
        let ledger = Arc::new(Ledger::default());
        let settings = Settings { snap_length, rotate_bytes, ..settings(directory.path(), format) };
        let store = Store::open(settings).unwrap();
        let mut writer = store.writer("tap", interfaces(), ledger.clone());
        for (number, frame) in frames.iter().enumerate() {
            feed(&mut writer, frame);
            if ticks & 1 << (number % 8) != 0 {
                writer.tick(START + SECOND);
            }
        }
        writer.close();
        drop(store);

        let files = published(directory.path());
        prop_assert!(partial(directory.path()).is_empty());
        let mut stored = Vec::new();
        for file in &files {
            let frames = read(file);
            prop_assert!(!frames.is_empty());
            if let Some(limit) = rotate_bytes {
                prop_assert!(frames.len() == 1 || file.metadata().unwrap().len() <= limit);
            } else {
                prop_assert_eq!(files.len(), 1);
            }
            stored.extend(frames);
        }
        let snap_length = if snap_length == 0 { usize::MAX } else { snap_length as usize };
        let mut all: Vec<Stored> =
            frames.iter().filter_map(|frame| expected(frame, format, snap_length)).collect();
        if files.len() > 1 {
            // Random times: files sort by theirs.
            let key = |stored: &Stored| (stored.timestamp, stored.data.clone(), stored.original);
            all.sort_by_key(key);
            stored.sort_by_key(key);
        }
        prop_assert_eq!(&stored, &all);
        check_ledger(&ledger, &stored, frames.len() as u64);
    }
}

#[test]
fn frames_larger_than_the_buffer_and_in_many_parts() {
    for format in Format::ALL {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::default());
        let store = Store::open(settings(directory.path(), format)).unwrap();
        let mut writer = store.writer("tap", interfaces(), ledger.clone());
        let data: Vec<u8> = (0..400_000_u32).map(|at| at as u8 ^ (at >> 8) as u8).collect();
        let sizes = [262_143, 64, 262_144, 300_000, 1, 400_000];
        for size in sizes {
            let parts: Vec<&[u8]> = data[..size].chunks(3000).collect();
            let classes = Classes(u32::MAX);
            writer.frame(&FrameInfo { classes, ..info(START, size) }, &parts);
        }
        writer.close();
        drop(store);
        let frames = read(&published(directory.path())[0]);
        assert_eq!(frames.len(), sizes.len());
        for (frame, size) in frames.iter().zip(sizes) {
            assert_eq!(frame.original, size as u32);
            assert!(frame.data == data[..size.min(MAX_SNAP_LENGTH as usize)]);
        }
        assert_eq!(totals(&ledger, Loss::WriteError), (6, 0));
    }
}

#[test]
fn frames_of_no_known_interface_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    let store = Store::open(settings(directory.path(), Format::Pcapng)).unwrap();
    let mut writer = store.writer("tap", interfaces(), ledger.clone());
    for slot in 0..=255 {
        writer.frame(&FrameInfo { slot, ..info(START, 60) }, &[&[0; 60]]);
    }
    drop(writer);
    assert_eq!(totals(&ledger, Loss::BadHeader), (2, 254));
}
