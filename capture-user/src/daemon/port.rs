//! One configured interface: attached while it exists, attached again when it comes back.

use std::sync::Arc;

use capture_common::abi::{Direction, InterfaceConfig, Mode, interface_flags};

use super::{RunError, shared::Shared, start::describe, workers::Worker};
use crate::{
    capture::{
        clock::Clock,
        mirror::{Progress, Queue, QueueConfig},
    },
    config::{self, Config},
    filter::{Filter, Unmatched},
    host::interface::Facts,
    kernel::{
        AttachedInterface, EgressHook, FilterError, FilterLoader, LoadedFilter, Object, TableError,
    },
    ledger::Loss,
    segment::Store,
    snapshot::Attach,
};

/// What attaching needs besides the port.
pub struct Parts<'a> {
    /// The loaded programs.
    pub object: &'a mut Object,
    /// Maps and states.
    pub shared: &'a Arc<Shared>,
    /// Where frames go.
    pub store: &'a Store,
    /// For their times.
    pub clock: &'a Arc<Clock>,
}

/// A configured interface.
pub struct Port {
    slot: u8,
    interface: config::Interface,
    snap_length: u32,
    unmatched: Unmatched,
    frames_per_queue: Option<u32>,
    /// Of the interface as it was last seen.
    netmask: u32,
    strips_vlan_tags: bool,
    attached: Option<Attached>,
    /// Mirror mode: redirected frames that sockets of earlier attachments accounted for, or that
    /// were found lost.
    settled: u64,
    /// The interface exists, but attaching failed: try again.
    wants_retry: bool,
}

struct Attached {
    ifindex: u32,
    queues: Vec<MirrorQueue>,
    // Dropped first of all in `Port::detach`.
    programs: AttachedInterface,
}

/// A filter, with what its program is made from besides.
pub struct FilterProgram {
    filter: Filter,
    netmask: u32,
    unmatched: Unmatched,
}

impl FilterProgram {
    /// Compiles and loads it; it comes into force by [`Port::put`]. May take a second or so.
    ///
    /// # Errors
    /// It is no program that the kernel takes.
    pub fn load(&self, loader: &FilterLoader) -> Result<LoadedFilter, FilterError> {
        loader.load(&self.filter, self.netmask, self.unmatched)
    }
}

struct MirrorQueue {
    number: u32,
    progress: Arc<Progress>,
    worker: Worker,
}

impl Port {
    /// Not attached yet.
    pub fn new(slot: u8, interface: &config::Interface, config: &Config) -> Self {
        Self {
            slot,
            interface: interface.clone(),
            snap_length: config.segments.snap_length,
            unmatched: config.mirror.unmatched,
            frames_per_queue: config.mirror.frames(),
            netmask: 0,
            strips_vlan_tags: false,
            attached: None,
            settled: 0,
            wants_retry: false,
        }
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.interface.name
    }

    /// The filter in force, or to be so when the interface is there.
    pub fn filter(&self) -> Filter {
        self.interface.filter()
    }

    /// Takes note of what filters depend on.
    pub fn learn(&mut self, facts: &Facts) {
        self.netmask = facts.netmask();
        self.strips_vlan_tags = facts.strips_vlan_tags;
    }

    /// A filter for this port.
    pub fn program(&self, filter: &Filter) -> FilterProgram {
        FilterProgram { filter: filter.clone(), netmask: self.netmask, unmatched: self.unmatched() }
    }

    /// What a filter that does not load is to the start of the daemon.
    pub fn filter_error(&self) -> impl Fn(FilterError) -> RunError + use<> {
        let interface = self.interface.name.clone();
        move |source| RunError::Filter { interface: interface.clone(), source: Box::new(source) }
    }

    /// Puts a loaded filter into force, from one frame to the next.
    ///
    /// # Errors
    /// The kernel refuses; the old one stays.
    pub fn put(&self, filter: &LoadedFilter, shared: &Shared) -> Result<(), FilterError> {
        shared.tables().put_filter(self.slot.into(), filter)
    }

    /// The kernel has this filter now: tells the metrics and the segments.
    pub fn took_filter(&mut self, filter: &Filter, shared: &Shared, store: &Store) {
        self.interface.filter.clone_from(&filter.expression);
        self.interface.trouble = filter.trouble;
        store.set_filter(self.slot, filter.to_string());
        shared.update(self.slot, |state| state.filter.clone_from(filter));
        self.warn_of_vlan_tags(filter);
    }

    fn warn_of_vlan_tags(&self, filter: &Filter) {
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        let mut words = filter.expression.as_str().split(|c| !is_letter(c));
        if self.strips_vlan_tags && words.any(|word| word == "vlan") {
            log::warn!(
                "{name}: the filter asks for VLAN tags, but the interface takes them out of the \
                 frames before they are seen: `ethtool -K {name} rxvlan off` leaves them in",
                name = self.name()
            );
        }
    }

    /// Tells the programs of the interface, attaches them, and in mirror mode opens a socket for
    /// each queue.
    ///
    /// # Errors
    /// What could not be done; nothing of it stays.
    pub fn attach(&mut self, facts: &Facts, parts: Parts<'_>) -> Result<(), RunError> {
        self.learn(facts);
        let loader = parts.shared.tables().filter_loader();
        let filter = self.program(&self.filter()).load(&loader).map_err(self.filter_error())?;
        self.put(&filter, parts.shared).map_err(self.filter_error())?;
        self.warn_of_vlan_tags(&self.filter());
        parts.shared.tables().set_interface(facts.index, &self.kernel_config())?;
        let programs = AttachedInterface::attach(
            parts.object,
            self.name(),
            facts.index,
            EgressHook::of_this_kernel(),
        )
        .inspect_err(|_| self.forget(facts.index, parts.shared))?;
        let attach = programs.attach;
        let mut attached = Attached { ifindex: facts.index, queues: Vec::new(), programs };
        let mut zero_copy = true;
        // Also when it is only counted for now: a reload may switch capture on.
        if self.interface.mode == Mode::Mirror {
            for number in 0..facts.queues {
                match self.open_queue(facts, number, &parts) {
                    Ok((queue, is_zero_copy)) => {
                        zero_copy &= is_zero_copy;
                        attached.queues.push(queue);
                    }
                    Err(error) => {
                        self.attached = Some(attached);
                        self.detach(parts.shared, "a queue could not be opened");
                        return Err(error);
                    }
                }
            }
        }
        let copy = (!attached.queues.is_empty()).then_some(!zero_copy);
        log::info!(
            "{}: attached, {} XDP, {}",
            self.name(),
            attach.label(),
            self.describe(&attached)
        );
        self.attached = Some(attached);
        self.wants_retry = false;
        parts.shared.update(self.slot, |state| {
            state.attach = attach;
            state.copy = copy;
            state.problem.clear();
        });
        Ok(())
    }

    /// The order of AF_XDP: bind, fill, start to read, and only then publish.
    fn open_queue(
        &self,
        facts: &Facts,
        number: u32,
        parts: &Parts<'_>,
    ) -> Result<(MirrorQueue, bool), RunError> {
        let queue = Queue::open(&QueueConfig {
            interface: self.interface.name.clone(),
            ifindex: facts.index,
            queue: number,
            slot: self.slot,
            frames: self
                .frames_per_queue
                .unwrap_or_else(|| QueueConfig::default_frames(facts.queues)),
            frame_size: QueueConfig::DEFAULT_FRAME_SIZE,
        })?;
        let zero_copy = queue.zero_copy();
        let progress = queue.progress();
        let socket = queue.fd().try_clone_to_owned().map_err(RunError::Runtime)?;
        let stream = format!("{}-q{number}", self.interface.name);
        let ledger = Arc::clone(&parts.shared.ledger);
        let writer =
            parts.store.writer(&stream, vec![describe(self.slot, &self.interface)], ledger.clone());
        let clock = Arc::clone(parts.clock);
        let worker = Worker::start(&format!("captured-{stream}"), move |stop| {
            let (mut sink, _ended) = queue.run(writer, &clock, stop, &ledger);
            crate::frame::FrameSink::close(&mut sink);
        })
        .map_err(RunError::Runtime)?;
        parts.shared.tables().publish_socket(self.slot.into(), number, socket)?;
        Ok((MirrorQueue { number, progress, worker }, zero_copy))
    }

    /// Takes the frames away from the daemon first, then the daemon from the interface.
    pub fn detach(&mut self, shared: &Shared, why: &str) {
        let Some(attached) = self.attached.take() else { return };
        log::info!("{}: detaching: {why}", self.name());
        {
            let mut tables = shared.tables();
            for queue in &attached.queues {
                if let Err(error) = tables.withdraw_socket(self.slot.into(), queue.number) {
                    log::warn!("{}: {}", self.name(), crate::chain(&error));
                }
            }
        }
        drop(attached.programs);
        self.forget(attached.ifindex, shared);
        let mut accounted = 0;
        for queue in attached.queues {
            queue.worker.stop();
            accounted += queue.progress.accounted();
        }
        self.settle(accounted, shared);
        shared.update(self.slot, |state| {
            state.attach = Attach::Detached;
            state.copy = None;
            state.problem.clear();
        });
    }

    /// Mirror mode: what was redirected, but reached no socket, is lost.
    fn settle(&mut self, accounted: u64, shared: &Shared) {
        if self.interface.mode != Mode::Mirror {
            return;
        }
        self.settled += accounted;
        let delivered = match shared.tables().counters(self.slot.into(), Direction::Ingress) {
            Ok(counters) => counters.delivered_frames,
            Err(error) => return log::warn!("{}: {}", self.name(), crate::chain(&error)),
        };
        let missing = delivered.saturating_sub(self.settled);
        self.settled += missing;
        shared.ledger.line(self.slot, Direction::Ingress).add_lost(Loss::RedirectFailed, missing);
    }

    fn forget(&self, ifindex: u32, shared: &Shared) {
        if let Err(error) = shared.tables().remove_interface(ifindex) {
            log::warn!("{}: {}", self.name(), crate::chain(&error));
        }
    }

    /// The interface was made anew, under another index perhaps.
    pub async fn follow_to(&mut self, ifindex: u32, parts: Parts<'_>) {
        if self.attached.as_ref().is_some_and(|attached| attached.ifindex == ifindex) {
            return;
        }
        self.detach(parts.shared, "another interface has its name now");
        self.wants_retry = true;
        self.retry(parts).await;
    }

    /// Attaches if that failed before; logs a failure only when it is not the one known already.
    pub async fn retry(&mut self, parts: Parts<'_>) {
        if !self.wants_retry {
            return;
        }
        let shared = Arc::clone(parts.shared);
        let problem = match Facts::read(self.name()).await {
            Ok(facts) => match self.refusal(&facts) {
                Some(refusal) => refusal,
                None => match self.attach(&facts, parts) {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                },
            },
            Err(error) => error.to_string(),
        };
        let name = self.name().to_owned();
        shared.update(self.slot, |state| {
            if state.problem != problem {
                log::error!("{name}: cannot attach, will try again: {problem}");
                state.problem = problem;
            }
        });
    }

    fn refusal(&self, facts: &Facts) -> Option<String> {
        let is_mirror = self.interface.mode == Mode::Mirror && !self.interface.force;
        is_mirror.then(|| facts.refuse_mirror()).flatten()
    }

    /// Switches capture on or off, from one frame to the next.
    ///
    /// # Errors
    /// A map could not be written; it stays as it was.
    pub fn set_capture(&mut self, capture: bool, shared: &Shared) -> Result<(), TableError> {
        if let Some(attached) = &self.attached {
            let config = InterfaceConfig { flags: self.flags(capture), ..self.kernel_config() };
            shared.tables().set_interface(attached.ifindex, &config)?;
        }
        self.interface.capture = capture;
        Ok(())
    }

    fn unmatched(&self) -> Unmatched {
        match self.interface.mode {
            Mode::Tap => Unmatched::Pass,
            Mode::Mirror => self.unmatched,
        }
    }

    fn flags(&self, capture: bool) -> u32 {
        let mut flags = 0;
        if capture {
            flags |= interface_flags::CAPTURE;
        }
        if self.unmatched() == Unmatched::Drop {
            flags |= interface_flags::DROP_UNMATCHED;
        }
        flags
    }

    fn kernel_config(&self) -> InterfaceConfig {
        InterfaceConfig {
            slot: self.slot.into(),
            flags: self.flags(self.interface.capture),
            snap_length: self.snap_length,
            mode: self.interface.mode as u8,
            padding: [0; 3],
        }
    }

    fn describe(&self, attached: &Attached) -> String {
        match self.interface.mode {
            _ if !self.interface.capture => "counting only".to_owned(),
            Mode::Tap => "tap: the traffic is untouched".to_owned(),
            Mode::Mirror => format!(
                "mirror: frames of {} queue(s) are taken away from the host",
                attached.queues.len()
            ),
        }
    }
}
