//! When segments end, what they are called and how many stay.

use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;

use super::*;

fn open(settings: Settings) -> (Store, SegmentWriter, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let store = Store::open(settings).unwrap();
    let writer = store.writer("tap", interfaces(), ledger.clone());
    (store, writer, ledger)
}

#[test]
fn no_frame_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer, _) = open(settings(directory.path(), Format::Pcapng));
    writer.tick(START);
    writer.tick(START + SECOND);
    writer.close();
    drop(store);
    assert!(published(directory.path()).is_empty() && partial(directory.path()).is_empty());
}

#[test]
fn a_frame_is_on_disk_within_a_second_and_hidden_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer, ledger) = open(settings(directory.path(), Format::Pcapng));
    writer.frame(&info(START, 100), &[&numbered(0)]);
    writer.tick(START + SECOND / 4);
    assert!(partial(directory.path()).is_empty());
    assert_eq!(totals(&ledger, Loss::WriteError), (0, 0), "not before it is written");
    writer.tick(START + SECOND / 2);
    assert_eq!(totals(&ledger, Loss::WriteError), (1, 0));
    assert_eq!(read(&partial(directory.path())[0]).len(), 1);
    assert!(published(directory.path()).is_empty());
    writer.close();
    drop(store);
    let name = published(directory.path())[0].file_name().unwrap().to_owned();
    assert_eq!(name, "captured_20260101T000000.000000000Z_tap.pcapng");
    assert!(partial(directory.path()).is_empty());
}

#[test]
fn a_clock_set_back_does_not_hold_frames() {
    let directory = tempfile::tempdir().unwrap();
    let after = Some(Duration::from_secs(60));
    let settings = Settings { rotate_after: after, ..settings(directory.path(), Format::Pcapng) };
    let (store, mut writer, ledger) = open(settings);
    writer.frame(&info(START, 100), &[&numbered(0)]);
    writer.tick(START - SECOND);
    assert_eq!(totals(&ledger, Loss::WriteError), (1, 0));
    writer.tick(START - 61 * SECOND);
    drop(store);
    assert_eq!(published(directory.path()).len(), 1);
}

#[test]
fn time_ends_a_segment_with_and_without_traffic() {
    let directory = tempfile::tempdir().unwrap();
    let after = Some(Duration::from_secs(10));
    let (store, mut writer, _) =
        open(Settings { rotate_after: after, ..settings(directory.path(), Format::Pcap) });
    // By the frames' own times: 0–9, 10–19, 20–24; and the last one by the clock.
    for second in 0..25 {
        writer.frame(&info(START + second * SECOND, 100), &[&numbered(second)]);
    }
    writer.tick(START + 29 * SECOND);
    wait_for_partials(directory.path(), 1);
    writer.tick(START + 30 * SECOND);
    drop(store);
    let files = published(directory.path());
    let frames: Vec<usize> = files.iter().map(|file| read(file).len()).collect();
    assert_eq!(frames, [10, 10, 5]);
}

#[test]
fn size_ends_a_segment() {
    for format in Format::ALL {
        let directory = tempfile::tempdir().unwrap();
        let limit = 100_000;
        let (store, mut writer, ledger) =
            open(Settings { rotate_bytes: Some(limit), ..settings(directory.path(), format) });
        for number in 0..10_000 {
            writer.frame(&info(START + number, 100), &[&numbered(number)]);
        }
        writer.close();
        drop(store);
        let mut next = 0;
        let files = published(directory.path());
        for (number, file) in files.iter().enumerate() {
            let length = file.metadata().unwrap().len();
            assert!(length <= limit);
            assert!(length > limit - 400 || number == files.len() - 1, "{length}: room left");
            for frame in read(file) {
                assert_eq!(super::number(&frame), next);
                next += 1;
            }
        }
        assert_eq!(next, 10_000);
        assert_eq!(totals(&ledger, Loss::WriteError), (10_000, 0));
    }
}

#[test]
fn segments_of_the_same_nanosecond_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer, _) =
        open(Settings { rotate_bytes: Some(0), ..settings(directory.path(), Format::Pcapng) });
    for number in 0..20 {
        writer.frame(&info(START, 100), &[&numbered(number)]);
    }
    writer.close();
    drop(store);
    let files = published(directory.path());
    assert_eq!(files.len(), 20);
    let mut numbers: Vec<u64> = files.iter().map(|file| number(&read(file)[0])).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..20));
}

#[test]
fn the_end_of_a_segment_says_what_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer, ledger) = open(settings(directory.path(), Format::Pcapng));
    for round in 1..=2_u64 {
        for number in 0..5 {
            writer.frame(&info(START + round, 100), &[&numbered(number)]);
        }
        writer.frame(&FrameInfo { slot: SLOTS[1], ..info(START + round, 100) }, &[&numbered(9)]);
        ledger.line(SLOTS[1], Direction::Egress).add_lost(Loss::RxRingFull, 7 * round);
        writer.close();
    }
    drop(store);
    let published = published(directory.path());
    let statistics = published.iter().map(|path| read_pcapng(File::open(path).unwrap()).1);
    let expected = [vec![[5, 0, 5], [8, 7, 1]], vec![[5, 0, 5], [15, 14, 1]]];
    assert!(statistics.eq(expected));
}

#[test]
fn retention_deletes_the_oldest_of_ours_only() {
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("captured_notes.pcapng");
    fs::write(&other, [0; 100_000]).unwrap();
    let (store, mut writer, _) =
        open(Settings { retain_count: Some(3), ..settings(directory.path(), Format::Pcapng) });
    for number in 0..5 {
        writer.frame(&info(START + number, 100), &[&numbered(number)]);
        writer.close();
    }
    // One that is open.
    writer.frame(&info(START, 100), &[&numbered(9)]);
    writer.tick(START + SECOND);
    let status = store.status();
    drop(store);
    let (files, now) = (published(directory.path()), status.snapshot());
    assert!(files.iter().map(|file| number(&read(file)[0])).eq(2..5));
    assert!(other.exists());
    wait_for_partials(directory.path(), 1);
    assert_eq!((now.count, now.deleted_by_count, now.deleted_by_bytes), (3, 2, 0));
    assert_eq!(now.oldest_frame, Some(START + 2));
    assert_eq!(now.bytes, files.iter().map(|file| file.metadata().unwrap().len()).sum::<u64>());
}

/// Name of each interface and its filter.
fn described(path: &Path) -> Vec<(String, String)> {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let mut interfaces = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::InterfaceDescription(block) = block.unwrap() else { continue };
        let mut interface = (String::new(), String::new());
        for option in &block.options {
            match option {
                InterfaceDescriptionOption::IfName(name) => interface.0 = name.to_string(),
                InterfaceDescriptionOption::IfFilter(filter) => {
                    assert_eq!(filter[0], 0, "the filter is text");
                    interface.1 = String::from_utf8(filter[1..].to_vec()).unwrap();
                }
                _ => {}
            }
        }
        interfaces.push(interface);
    }
    interfaces
}

#[test]
fn a_new_filter_begins_a_segment_that_names_it() {
    // More than other texts may have.
    let long = format!("port {}", vec!["65535"; 6000].join(" or "));
    for format in Format::ALL {
        let directory = tempfile::tempdir().unwrap();
        let (store, mut writer, ledger) = open(settings(directory.path(), format));
        let mut frame = |number| writer.frame(&info(START + number, 100), &[&numbered(number)]);
        frame(0);
        frame(1);
        store.set_filter(SLOTS[0], "udp port 53".into());
        frame(2);
        store.set_filter(SLOTS[0], "udp port 53".into());
        store.set_filter(7, "not of this writer".into());
        frame(3);
        store.set_filter(SLOTS[1], long.clone());
        writer.tick(START + 4);
        writer.frame(&info(START + 4, 100), &[&numbered(4)]);
        writer.close();
        drop(store);
        let files = published(directory.path());
        let frames: Vec<Vec<u64>> =
            files.iter().map(|file| read(file).iter().map(number).collect()).collect();
        assert_eq!(totals(&ledger, Loss::WriteError), (5, 0));
        if format == Format::Pcap {
            assert_eq!(frames, [[0, 1, 2, 3, 4]], "pcap names no filter");
            continue;
        }
        assert_eq!(frames, [vec![0, 1], vec![2, 3], vec![4]]);
        let expected = [
            ["tcp or icmp", "tcp or icmp"],
            ["udp port 53", "tcp or icmp"],
            ["udp port 53", &long],
        ];
        for (file, expected) in files.iter().zip(expected) {
            let expected = [("eth0", expected[0]), ("eth63", expected[1])];
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert!(described(file) == expected, "{file:?}");
        }
    }
}

#[test]
fn new_limits_come_into_force() {
    let directory = tempfile::tempdir().unwrap();
    let (store, mut writer, _) = open(settings(directory.path(), Format::Pcapng));
    let mut write = |frames| {
        for number in 0..frames {
            writer.frame(&info(START + number, 100), &[&numbered(number)]);
        }
        writer.tick(START + SECOND);
    };
    write(1000);
    store.set_limits(Limits { rotate_bytes: Some(50_000), ..Limits::default() });
    write(0);
    write(1000);
    store.set_limits(Limits {
        rotate_after: Some(Duration::ZERO),
        retain_bytes: Some(60_000),
        ..Limits::default()
    });
    write(0);
    let status = store.status();
    drop(store);
    let files = published(directory.path());
    assert_eq!(files.len(), 1, "1000 frames, 3 times about 340 and the rest: one fits");
    assert_eq!(status.snapshot().deleted_by_bytes, 3);
}
