//! The hot path: frames in, buffers out.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    buffer::Buffer,
    open::OpenSegment,
    pcap, pcapng,
    publish::PublishQueue,
    record::Record,
    settings::{Format, Limits, Live, Settings},
    slots::{InterfaceDescription, LedgerTotals, Slots},
};
use crate::{
    frame::{FrameInfo, FrameSink},
    ledger::{Ledger, Loss},
};

/// A frame waits in the buffer at most this long and the time between two ticks, in nanoseconds.
const FLUSH_AFTER: u64 = 500_000_000;
/// Least time between two messages about failing writes.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Writes the frames of one capture thread into segments.
///
/// Frames are encoded into a buffer that goes out with one `write(2)` when it is full, or in a
/// tick when its oldest frame has waited for half a second. A frame is entered into the ledger
/// when the write that held it has returned: as written, or, when the file system did not take it,
/// as lost. A failed write is not repeated; the next buffer tries again.
pub struct SegmentWriter {
    stream: String,
    settings: Settings,
    slots: Slots,
    header: Vec<u8>,
    live: Arc<Live>,
    generation: u64,
    limits: Limits,
    ledger: Arc<Ledger>,
    queue: PublishQueue,
    buffer: Buffer,
    /// Bytes that the segment may still take. 0 when no segment is begun.
    room: u64,
    /// Time of the segment's first frame; `None` when no segment is begun.
    begun: Option<u64>,
    /// A frame later than this begins a new segment.
    latest: u64,
    /// The ledger when the segment was begun.
    since: LedgerTotals,
    /// The segment's file; `None` until the first buffer goes out.
    segment: Option<OpenSegment>,
    trouble: Trouble,
}

impl SegmentWriter {
    /// A writer for the frames of a capture thread, whose name becomes part of the file names. No
    /// file is made before the first frame.
    #[must_use]
    pub fn new(
        stream: &str,
        interfaces: Vec<InterfaceDescription>,
        settings: Settings,
        live: Arc<Live>,
        ledger: Arc<Ledger>,
        queue: PublishQueue,
    ) -> Self {
        let slots = Slots::new(interfaces, settings.snap_length);
        Self {
            stream: stream.into(),
            header: slots.header(settings.format),
            generation: live.generation(),
            limits: live.limits(),
            buffer: Buffer::new(),
            room: 0,
            begun: None,
            latest: u64::MAX,
            since: LedgerTotals::new(&slots, &ledger),
            segment: None,
            trouble: Trouble::default(),
            slots,
            settings,
            live,
            ledger,
            queue,
        }
    }

    /// Takes over what was replaced. What is said of the interfaces holds for a whole segment.
    #[cold]
    fn renew(&mut self) {
        // Read before what it stands for: what is replaced meanwhile is seen the next time.
        self.generation = self.live.generation();
        self.limits = self.live.limits();
        if self.slots.renew(&self.live) && self.settings.format == Format::Pcapng {
            self.end_segment();
            self.header = self.slots.header(self.settings.format);
        }
        self.measure();
    }

    /// Begins a segment, after the one that is begun, for a frame whose record has `length` bytes.
    #[cold]
    fn begin(&mut self, timestamp: u64, length: u64) {
        self.end_segment();
        self.begun = Some(timestamp);
        self.since = LedgerTotals::new(&self.slots, &self.ledger);
        self.measure();
        self.room = self.room.max(length);
    }

    /// Works out the bounds of the segment that is begun.
    fn measure(&mut self) {
        let Some(begun) = self.begun else {
            self.room = 0;
            self.latest = u64::MAX;
            return;
        };
        let used = self.segment.as_ref().map_or(self.header.len() as u64, OpenSegment::length)
            + self.buffer.bytes().len() as u64
            + self.slots.trailer_length(self.settings.format) as u64;
        self.room = self.limits.rotate_bytes.unwrap_or(u64::MAX).saturating_sub(used);
        let end = self.limits.rotate_after.and_then(|after| begun.checked_add(nanoseconds(after)));
        self.latest = end.map_or(u64::MAX, |end| end.saturating_sub(1));
    }

    /// Writes the buffer out and enters its frames into the ledger.
    #[cold]
    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let (kept, error) = self.write_out();
        let stage = error.as_ref().map_or(Loss::WriteError, stage);
        let mut nowhere = [0; _];
        let last = self.buffer.last_timestamp();
        let delivered = match &mut self.segment {
            Some(segment) => &mut segment.delivered,
            None => &mut nowhere,
        };
        let settled = self.buffer.settle(kept, stage, &self.ledger, delivered);
        if let Some(segment) = &mut self.segment {
            segment.frames += settled.written;
            segment.last_timestamp = segment.last_timestamp.max(last);
        }
        self.trouble.note(&self.stream, &self.settings, error.as_ref(), settled.lost);
        self.after_write(error.is_some_and(|error| self::stage(&error) == Loss::WriteError));
    }

    /// Writes the buffer to the segment's file, which is created when there is none. Says how many
    /// bytes of whole records the file has kept, and why not all.
    fn write_out(&mut self) -> (usize, Option<io::Error>) {
        if self.segment.as_ref().is_some_and(OpenSegment::is_deleted)
            && let Some(segment) = self.segment.take()
        {
            log::warn!(
                "{}: somebody deleted this segment while it was written, {} frames are gone with it",
                segment.path().display(),
                segment.frames
            );
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            empty => match OpenSegment::create(
                &self.settings.directory,
                &self.stream,
                self.settings.format,
                self.buffer.first_timestamp(),
                &self.header,
            ) {
                Ok(segment) => empty.insert(segment),
                Err(error) => return (0, Some(error)),
            },
        };
        let (written, error) = segment.write(self.buffer.bytes());
        let kept = self.buffer.whole(written);
        segment.keep(kept, error.is_some());
        (kept, error)
    }

    /// Gives up a segment that got no frame, or that cannot be written to for another reason than
    /// room (`broken`); the next frame begins another.
    fn after_write(&mut self, broken: bool) {
        match self.segment.take() {
            Some(segment) if segment.frames == 0 => segment.discard(),
            Some(segment) if broken => self.queue.send(segment.close()),
            segment => self.segment = segment,
        }
        if self.segment.is_none() {
            self.begun = None;
        }
        self.measure();
    }

    /// Writes everything out and hands the segment, if there is one, to the publisher.
    fn end_segment(&mut self) {
        self.flush();
        if let Some(mut segment) = self.segment.take() {
            let format = self.settings.format;
            let times = (segment.first_frame(), segment.last_timestamp);
            let trailer =
                self.slots.trailer(format, times, &self.since, &self.ledger, &segment.delivered);
            // A segment is whole without its statistics.
            let (written, error) = segment.write(&trailer);
            segment.keep(if error.is_none() { written } else { 0 }, error.is_some());
            self.queue.send(segment.close());
        }
        self.begun = None;
        self.measure();
    }

    #[cold]
    fn refuse(&self, info: &FrameInfo) {
        self.ledger.line(info.slot, info.direction).add_lost(Loss::BadHeader, 1);
    }
}

impl FrameSink for SegmentWriter {
    #[inline]
    fn frame(&mut self, info: &FrameInfo, parts: &[&[u8]]) {
        let Some(slot) = self.slots.get(info.slot) else { return self.refuse(info) };
        if self.live.generation() != self.generation {
            self.renew();
        }
        let available = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let original = info.original_length.max(u32::try_from(available).unwrap_or(u32::MAX));
        if original == 0 {
            // No frame is empty, and a zeroed tail of a file must not look like one.
            return self.refuse(info);
        }
        let captured = available.min(slot.snap_length as usize);
        let length = match self.settings.format {
            Format::Pcapng => pcapng::record_length(captured, info.classes),
            Format::Pcap => pcap::record_length(captured),
        };
        if length as u64 > self.room || info.timestamp > self.latest {
            self.begin(info.timestamp, length as u64);
        }
        let record = Record { info, interface: slot.interface, captured, original, parts };
        match self.settings.format {
            Format::Pcapng => pcapng::put_record(self.buffer.room(length), &record),
            Format::Pcap => pcap::put_record(self.buffer.room(length), &record),
        }
        self.room -= length as u64;
        self.buffer.commit(length, info.slot, info.direction, captured as u32, info.timestamp);
        if self.buffer.is_full() {
            self.flush();
        }
    }

    fn tick(&mut self, now: u64) {
        if self.live.generation() != self.generation {
            self.renew();
        }
        // Either way around: the clock may have been set back.
        if !self.buffer.is_empty() && now.abs_diff(self.buffer.first_timestamp()) >= FLUSH_AFTER {
            self.flush();
        }
        if let (Some(begun), Some(after)) = (self.begun, self.limits.rotate_after)
            && now.abs_diff(begun) >= nanoseconds(after)
        {
            self.end_segment();
        }
    }

    fn close(&mut self) {
        self.end_segment();
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        self.end_segment();
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where the ledger counts the frames that a failed write held.
fn stage(error: &io::Error) -> Loss {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Loss::DiskFull,
        _ => Loss::WriteError,
    }
}

/// Says when writing fails and when it works again, without flooding the log.
#[derive(Default)]
struct Trouble {
    lost: u64,
    reported: Option<Instant>,
    /// Was a failure the last thing reported?
    failing: bool,
}

impl Trouble {
    fn note(&mut self, stream: &str, settings: &Settings, error: Option<&io::Error>, lost: u64) {
        self.lost += lost;
        if error.is_some() == self.failing
            || self.reported.is_some_and(|reported| reported.elapsed() < REPORT_EVERY)
        {
            return;
        }
        self.reported = Some(Instant::now());
        self.failing = error.is_some();
        let directory = settings.directory.display();
        match error {
            Some(error) => log::error!(
                "{stream}: cannot write to {directory}: {error}; frames are counted as lost until \
                 it works again, make room or lower the retention limits"
            ),
            None => log::info!(
                "{stream}: writing to {directory} again, {} frames were lost",
                std::mem::take(&mut self.lost)
            ),
        }
    }
}
