//! File systems that have no room, and directories that go away.

use std::process;

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::*;

/// Runs `test` in a thread that has a small tmpfs of its own, which goes away with the thread.
fn on_small_tmpfs(options: &'static str, test: impl FnOnce(&Path) + Send + 'static) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_owned();
    let thread = std::thread::spawn(move || {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        test(&path);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

struct Fixture {
    store: Store,
    writer: SegmentWriter,
    ledger: Arc<Ledger>,
    next: u64,
}

impl Fixture {
    fn new(settings: Settings) -> Self {
        let ledger = Arc::new(Ledger::default());
        let store = Store::open(settings).unwrap();
        let writer = store.writer("tap", interfaces(), ledger.clone());
        Self { store, writer, ledger, next: 0 }
    }

    fn write(&mut self, frames: u64) {
        for _ in 0..frames {
            let info = FrameInfo {
                slot: SLOTS[self.next as usize % 2],
                direction: Direction::ALL[self.next as usize / 2 % 2],
                ..info(START + self.next, 100)
            };
            self.writer.frame(&info, &[&numbered(self.next)]);
            self.next += 1;
        }
        self.writer.tick(START + self.next + SECOND);
    }

    /// Closes everything and checks that the ledger knows of each frame and that the files hold
    /// what it says, each frame once and in order. Returns how many were written.
    fn check(self, directory: &Path, stage: Loss) -> u64 {
        drop(self.writer);
        drop(self.store);
        let (written, lost) = totals(&self.ledger, stage);
        assert_eq!(written + lost, self.next);
        let numbers: Vec<u64> =
            published(directory).iter().flat_map(|file| read(file)).map(|s| number(&s)).collect();
        assert_eq!(numbers.len() as u64, written);
        assert!(numbers.is_sorted_by(|one, other| one < other));
        for (slot, direction) in (0..4).map(|at| (SLOTS[at % 2], Direction::ALL[at / 2])) {
            let line = self.ledger.line(slot, direction);
            assert_eq!(line.written_frames() + line.lost_frames(stage), self.next / 4);
        }
        written
    }
}

#[test]
fn a_full_disk_costs_what_the_ledger_says_and_no_more() {
    for format in Format::ALL {
        on_small_tmpfs("size=2m", move |directory| {
            let ballast = directory.join("ballast");
            fs::write(&ballast, vec![0; 1 << 20]).unwrap();
            let mut fixture = Fixture::new(settings(directory, format));
            fixture.write(20_000);
            let (written, lost) = totals(&fixture.ledger, Loss::DiskFull);
            assert!(written > 5000 && lost > 5000, "{written} {lost}");
            // The partial file is whole all the time.
            assert_eq!(read(&partial(directory)[0]).len() as u64, written);
            fixture.write(1000);
            assert!(totals(&fixture.ledger, Loss::DiskFull).1 >= lost + 900);

            fs::remove_file(&ballast).unwrap();
            fixture.write(1000);
            let (again, _) = totals(&fixture.ledger, Loss::DiskFull);
            assert!(again >= written + 1000, "{again}");
            fixture.check(directory, Loss::DiskFull);
        });
    }
}

#[test]
fn a_disk_full_from_the_start_gets_its_file_later() {
    // Room for the lock file and the ballast, not for a third file.
    on_small_tmpfs("size=2m,nr_inodes=3", |directory| {
        let ballast = directory.join("ballast");
        fs::write(&ballast, [0; 1]).unwrap();
        let mut fixture = Fixture::new(settings(directory, Format::Pcapng));
        fixture.write(4000);
        assert_eq!(totals(&fixture.ledger, Loss::DiskFull), (0, 4000));
        assert!(partial(directory).is_empty());
        fs::remove_file(&ballast).unwrap();
        fixture.write(4000);
        assert_eq!(fixture.check(directory, Loss::DiskFull), 4000);
    });
    // Room for the file, not for a single frame.
    on_small_tmpfs("size=64k", |directory| {
        let ballast = directory.join("ballast");
        assert!(fs::write(&ballast, vec![0; 1 << 20]).is_err());
        let mut fixture = Fixture::new(settings(directory, Format::Pcapng));
        fixture.write(40);
        fixture.write(40);
        assert_eq!(totals(&fixture.ledger, Loss::DiskFull), (0, 80));
        assert!(partial(directory).is_empty());
        fs::remove_file(&ballast).unwrap();
        fixture.write(40);
        assert_eq!(fixture.check(directory, Loss::DiskFull), 40);
    });
}

#[test]
fn rotation_goes_on_over_a_full_disk() {
    on_small_tmpfs("size=1m", |directory| {
        let settings = Settings {
            rotate_bytes: Some(100_000),
            retain_bytes: Some(300_000),
            ..settings(directory, Format::Pcapng)
        };
        let mut fixture = Fixture::new(settings);
        fixture.write(100_000);
        let status = fixture.store.status();
        drop(fixture.writer);
        drop(fixture.store);
        let (written, lost) = totals(&fixture.ledger, Loss::DiskFull);
        assert_eq!(written + lost, 100_000);
        let now = status.snapshot();
        assert!(now.bytes <= 300_000 && now.count > 0 && now.deleted_by_bytes > 0, "{now:?}");
        assert!(partial(directory).is_empty());
        for file in published(directory) {
            assert!(!read(&file).is_empty());
        }
    });
}

#[test]
fn a_deleted_directory_costs_frames_until_it_is_back() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join(format!("segments-{}", process::id()));
    let mut fixture = Fixture::new(settings(&directory, Format::Pcapng));
    fixture.write(4000);
    assert_eq!(totals(&fixture.ledger, Loss::WriteError), (4000, 0));
    fs::remove_dir_all(&directory).unwrap();
    fixture.write(4000);
    assert_eq!(totals(&fixture.ledger, Loss::WriteError), (4000, 4000));
    fs::create_dir(&directory).unwrap();
    fixture.write(4000);
    assert_eq!(totals(&fixture.ledger, Loss::WriteError), (8000, 4000));
    drop(fixture.writer);
    drop(fixture.store);
    let files = published(&directory);
    assert_eq!(files.len(), 1);
    assert!(read(&files[0]).iter().map(number).eq(8000..12_000));
}

#[test]
fn a_deleted_file_is_followed_by_another() {
    let directory = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(settings(directory.path(), Format::Pcapng));
    fixture.write(4);
    fs::remove_file(&partial(directory.path())[0]).unwrap();
    fixture.write(4);
    drop(fixture.writer);
    drop(fixture.store);
    let files = published(directory.path());
    assert!(read(&files[0]).iter().map(number).eq(4..8));
}
