//! The thread that makes complete segments durable and visible.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
};

use super::{
    error::Error,
    name::SegmentName,
    open::{Closed, NAME_TRIES},
    retain::{StoreStatus, retain},
    settings::Live,
};

/// How often the directory is looked at when no segment comes: for limits that were changed, for
/// segments that others deleted, and for those that could not be published.
const LOOK_EVERY: Duration = Duration::from_secs(5);

enum Message {
    Segment(Closed),
    Stop,
}

/// Takes complete segments from the capture threads; sending never blocks.
#[derive(Clone)]
pub struct PublishQueue(Sender<Message>);

impl PublishQueue {
    pub(super) fn send(&self, closed: Closed) {
        if let Err(mpsc::SendError(Message::Segment(closed))) =
            self.0.send(Message::Segment(closed))
        {
            log::warn!(
                "{}: came after the publisher had stopped; the next start publishes it",
                closed.path.display()
            );
        }
    }
}

/// The publisher's thread. Dropping it publishes what was handed over before and ends the thread.
pub struct Publisher {
    queue: PublishQueue,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts the thread. It applies the retention limits at once, and then after each segment.
    ///
    /// # Errors
    /// The system refused the thread.
    pub fn start(
        directory: &Path,
        live: Arc<Live>,
        status: Arc<StoreStatus>,
    ) -> Result<Self, Error> {
        retain(directory, live.limits(), &status);
        let (sender, receiver) = mpsc::channel();
        let worker = Worker { directory: directory.into(), live, status, waiting: Vec::new() };
        let thread = thread::Builder::new()
            .name("publisher".into())
            .spawn(move || worker.run(&receiver))
            .map_err(|source| Error::StartThread { source })?;
        Ok(Self { queue: PublishQueue(sender), thread: Some(thread) })
    }

    /// Where writers hand over their segments.
    #[must_use]
    pub fn queue(&self) -> PublishQueue {
        self.queue.clone()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Both fail only when the thread is gone already.
        let _ = self.queue.0.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A segment that is durable but not yet renamed.
struct Waiting {
    path: PathBuf,
    name: SegmentName,
    /// Has it been said that it cannot be renamed?
    reported: bool,
}

struct Worker {
    directory: PathBuf,
    live: Arc<Live>,
    status: Arc<StoreStatus>,
    waiting: Vec<Waiting>,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut running = true;
        while running {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(Message::Segment(closed)) => self.take(closed),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => running = false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.publish_waiting();
            retain(&self.directory, self.live.limits(), &self.status);
        }
    }

    fn take(&mut self, closed: Closed) {
        let Closed { file, path, name, length } = closed;
        if let Err(error) = make_durable(&file, length) {
            log::error!("{}: cannot make the segment durable: {error}", path.display());
        }
        self.waiting.push(Waiting { path, name, reported: false });
    }

    /// Publishes what is durable; what fails is tried again the next time.
    fn publish_waiting(&mut self) {
        let directory = &self.directory;
        self.waiting.retain_mut(|Waiting { path, name, reported }| {
            let Err(error) = rename(directory, path, name) else { return false };
            if error.kind() == io::ErrorKind::NotFound {
                log::error!("{}: gone before it was published", path.display());
                return false;
            }
            if !std::mem::replace(reported, true) {
                log::error!("{}: cannot publish, will try again: {error}", path.display());
            }
            true
        });
    }
}

/// Cuts off what is no whole record and waits until the rest is on the disk.
pub(super) fn make_durable(file: &File, length: u64) -> io::Result<()> {
    if file.metadata()?.len() != length {
        file.set_len(length)?;
    }
    file.sync_all()
}

/// Gives a segment its name, or the next that is free: never overwrites a file.
pub(super) fn rename(
    directory: &Path,
    partial: &Path,
    name: &SegmentName,
) -> io::Result<SegmentName> {
    let mut name = name.clone();
    for _ in 0..NAME_TRIES {
        match rename_to_new(partial, &directory.join(name.to_string())) {
            Ok(()) => {
                if let Err(error) = File::open(directory).and_then(|directory| directory.sync_all())
                {
                    log::error!("{}: cannot make {name} durable: {error}", directory.display());
                }
                return Ok(name);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name = name.bumped(),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "all names for this moment are taken"))
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // File systems without the flag. Nobody else makes such names here: the directory is ours.
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            if to.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        result => Ok(result?),
    }
}
