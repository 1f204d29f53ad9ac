//! Starting: everything is checked before anything is touched, and the traffic last.

use std::{net::TcpListener as StdListener, sync::Arc, time::Duration};

use aya_log::EbpfLogger;
use capture_common::abi::{Mode, names};
use tokio::net::{TcpListener, UnixListener};

use super::{
    Daemon, RunError,
    port::{Parts, Port},
    shared::{InterfaceState, Shared},
    workers::Worker,
};
use crate::{
    capture::{clock::Clock, mirror::QueueConfig, tap},
    config::{self, Config},
    control::ControlSocket,
    host::{
        interface::{Facts, Watch},
        requirements::{self, Task},
    },
    kernel::{self, Object, Tables},
    ledger::Ledger,
    segment::{self, InterfaceDescription, Store},
    snapshot::Attach,
};

/// How often the log of the kernel programs is read: they log what should not happen at all.
const KERNEL_LOG_PAUSE: Duration = Duration::from_millis(500);

/// Checks everything that can be checked without attaching, and says what would be done.
pub(super) async fn dry_run(config: &Config) -> Result<(), RunError> {
    let facts = examine(config).await?;
    let (_object, tables) = load(config, &facts)?;
    let loader = tables.filter_loader();
    for (slot, (interface, facts)) in config.interfaces.iter().zip(&facts).enumerate() {
        let mut port = Port::new(slot as u8, interface, config);
        port.learn(facts);
        port.program(&interface.filter()).load(&loader).map_err(port.filter_error())?;
        println!("{}", interface.summary());
    }
    println!("nothing was attached (--dry-run)");
    Ok(())
}

/// Where the daemon is asked.
pub(super) struct Endpoints {
    /// By anybody who reaches the address.
    pub http: TcpListener,
    /// By its own user only.
    pub control: UnixListener,
    /// Its file, which lasts as long as this.
    pub socket: ControlSocket,
}

impl Endpoints {
    fn open(config: &Config) -> Result<Self, RunError> {
        let http = listen(config)?;
        let (socket, control) = ControlSocket::listen(&config.control.socket)?;
        let control = UnixListener::from_std(control).map_err(RunError::Runtime)?;
        Ok(Self { http, control, socket })
    }
}

/// Starts everything; the HTTP servers are left to the caller.
pub(super) async fn start(config: Config) -> Result<(Daemon, Endpoints), RunError> {
    let facts = examine(&config).await?;
    let endpoints = Endpoints::open(&config)?;
    let store = Store::open(segment_settings(&config))?;
    let (mut object, tables) = load(&config, &facts)?;
    let ledger = Arc::new(Ledger::default());
    let clock = Arc::new(Clock::new());
    let (states, status) = (states(&config), store.status());
    let shared = Arc::new(Shared::new(tables, states, status, Arc::clone(&clock), ledger));
    read_kernel_log(&mut object);
    let tap = start_tap(&mut object, &config, &store, &shared, &clock)?;
    let mut ports = Vec::new();
    for (slot, (interface, facts)) in config.interfaces.iter().zip(&facts).enumerate() {
        let mut port = Port::new(slot as u8, interface, &config);
        let parts = Parts { object: &mut object, shared: &shared, store: &store, clock: &clock };
        port.attach(facts, parts)?;
        ports.push(port);
    }
    let watch = Watch::start(facts.iter().map(Facts::known))?;
    let daemon = Daemon { config, shared, clock, ports, watch, tap: Some(tap), store, object };
    Ok((daemon, endpoints))
}

/// Permissions, kernel, interfaces.
async fn examine(config: &Config) -> Result<Vec<Facts>, RunError> {
    let mut facts = Vec::new();
    for interface in &config.interfaces {
        let known = Facts::read(&interface.name).await?;
        if interface.mode == Mode::Mirror
            && !interface.force
            && let Some(refusal) = known.refuse_mirror()
        {
            return Err(RunError::Mirror(refusal));
        }
        facts.push(known);
    }
    requirements::check(task(config, &facts))?;
    Ok(facts)
}

fn task(config: &Config, facts: &[Facts]) -> Task {
    let umem = config
        .interfaces
        .iter()
        .zip(facts)
        .filter(|(interface, _)| interface.mode == Mode::Mirror)
        .map(|(_, facts)| {
            let frames =
                config.mirror.frames().unwrap_or_else(|| QueueConfig::default_frames(facts.queues));
            u64::from(frames) * u64::from(QueueConfig::DEFAULT_FRAME_SIZE)
        })
        .max();
    Task::new(config.interfaces.iter().map(|interface| interface.mode), umem.unwrap_or(0))
}

/// Loads the programs. A refusal gets its probable cause.
fn load(config: &Config, facts: &[Facts]) -> Result<(Object, Tables), RunError> {
    let settings = kernel::Settings {
        flows: config.flows.max,
        ring_bytes: u32::try_from(config.tap.ring_size.0).unwrap_or(u32::MAX),
    };
    Object::load(&settings).map_err(|source| {
        let hint = if source.is_permission() {
            format!("; probable cause: {}", requirements::diagnose_eperm(task(config, facts)))
        } else {
            String::new()
        };
        RunError::Load { source: Box::new(source), hint }
    })
}

fn listen(config: &Config) -> Result<TcpListener, RunError> {
    let address = config.http.listen;
    let listener = StdListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| RunError::Listen { address, source })?;
    TcpListener::from_std(listener).map_err(RunError::Runtime)
}

fn states(config: &Config) -> Vec<InterfaceState> {
    let state = |(slot, interface): (usize, &config::Interface)| InterfaceState {
        name: interface.name.clone(),
        slot: slot as u8,
        mode: interface.mode,
        attach: Attach::Detached,
        copy: None,
        filter: interface.filter(),
        problem: "not attached yet".to_owned(),
    };
    config.interfaces.iter().enumerate().map(state).collect()
}

fn start_tap(
    object: &mut Object,
    config: &Config,
    store: &Store,
    shared: &Arc<Shared>,
    clock: &Arc<Clock>,
) -> Result<Worker, RunError> {
    let ring = object
        .take_frames()
        .map_err(|source| RunError::Load { source: Box::new(source), hint: String::new() })?;
    let interfaces = config
        .interfaces
        .iter()
        .enumerate()
        .map(|(slot, interface)| describe(slot as u8, interface))
        .collect();
    let writer = store.writer("tap", interfaces, Arc::clone(&shared.ledger));
    let (clock, ledger) = (Arc::clone(clock), Arc::clone(&shared.ledger));
    Worker::start("captured-tap", move |stop| tap::run(ring, writer, &clock, stop, &ledger))
        .map_err(RunError::Runtime)
}

/// An interface as its segments describe it.
pub(super) fn describe(slot: u8, interface: &config::Interface) -> InterfaceDescription {
    let mode = match interface.mode {
        Mode::Tap => "tap",
        Mode::Mirror => "mirror",
    };
    InterfaceDescription {
        slot,
        name: interface.name.clone(),
        description: format!("captured, {mode} mode"),
        filter: interface.filter().to_string(),
        snap_length: 0,
    }
}

/// The store's part of the configuration; 0 there means "no limit".
pub(super) fn segment_settings(config: &Config) -> segment::Settings {
    let segments = &config.segments;
    let limit = |value: u64| (value != 0).then_some(value);
    segment::Settings {
        directory: segments.directory.clone(),
        format: match segments.format {
            config::Format::Pcapng => segment::Format::Pcapng,
            config::Format::Pcap => segment::Format::Pcap,
        },
        rotate_bytes: limit(segments.rotate_size.0),
        rotate_after: (!segments.rotate_after.is_zero()).then_some(segments.rotate_after),
        retain_bytes: limit(segments.retain_size.0),
        retain_count: limit(segments.retain_count),
        snap_length: segments.snap_length,
    }
}

/// Carries what the programs log over to the daemon's log.
fn read_kernel_log(object: &mut Object) {
    let mut logger = match EbpfLogger::init(object.ebpf()) {
        Ok(logger) => logger,
        Err(error) => return log::warn!("no log of the kernel programs: {error}"),
    };
    tokio::spawn(async move {
        let mut pause = tokio::time::interval(KERNEL_LOG_PAUSE);
        loop {
            pause.tick().await;
            logger.flush();
        }
    });
    log::debug!("programs {} and {} loaded", names::XDP_INGRESS, names::TC_EGRESS);
}
