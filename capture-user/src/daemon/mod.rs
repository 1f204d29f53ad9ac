//! The running daemon: puts the parts together, follows the interfaces, answers signals, and takes
//! everything down in order.

mod error;
mod filters;
mod port;
mod shared;
mod signals;
mod start;
mod workers;

pub use error::RunError;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};

use crate::{
    capture::clock::Clock,
    cli::RunArgs,
    config::Config,
    control::{Change, Changes},
    host::interface::{LinkEvent, LinkEventKind, Watch},
    http,
    kernel::Object,
    segment::Store,
};
use port::Port;
use shared::Shared;
use signals::{Signal, Signals};
use workers::Worker;

/// How often the clock offset is sampled anew, and lost interfaces are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long a snapshot read that hangs may delay the end.
const RUNTIME_END: Duration = Duration::from_secs(2);

/// Runs `captured run` until a signal ends it.
///
/// # Errors
/// The daemon could not be started; nothing is left attached.
pub fn run(args: &RunArgs) -> Result<(), RunError> {
    let config = Config::from_run_args(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let result = runtime.block_on(async {
        if args.dry_run { start::dry_run(&config).await } else { serve(args, config).await }
    });
    runtime.shutdown_timeout(RUNTIME_END);
    result
}

async fn serve(args: &RunArgs, config: Config) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(RunError::Runtime)?;
    let (mut daemon, endpoints) = start::start(config).await?;
    let start::Endpoints { http, control, socket: _socket } = endpoints;
    let (end_http, ended) = watch::channel(());
    let end = |mut ended: watch::Receiver<()>| async move {
        let _closed = ended.changed().await;
    };
    let state = http::State::new(daemon.shared.clone());
    let (changes, mut asked) = Changes::channel();
    let servers = [
        tokio::spawn(http::serve(http, state.clone(), end(ended.clone()))),
        tokio::spawn(http::serve_control(control, state, changes, end(ended))),
    ];
    daemon.follow(args, &mut signals, &mut asked).await;
    // Whoever still asks is told.
    drop(asked);
    daemon.stop();
    drop(end_http);
    for server in servers {
        if let Err(error) = server.await {
            log::warn!("an HTTP server ended badly: {error}");
        }
    }
    Ok(())
}

/// All that runs. The fields are dropped in this order: programs last, when nothing uses them.
struct Daemon {
    /// What is in force: filters that were set while running included. `ports` have its order.
    config: Config,
    shared: Arc<Shared>,
    clock: Arc<Clock>,
    ports: Vec<Port>,
    watch: Watch,
    tap: Option<Worker>,
    store: Store,
    object: Object,
}

impl Daemon {
    /// Follows interfaces, signals and changes of filters until a signal says stop.
    async fn follow(
        &mut self,
        args: &RunArgs,
        signals: &mut Signals,
        changes: &mut mpsc::Receiver<Change>,
    ) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => return,
                    Signal::Reload => self.reload(args).await,
                },
                Some(change) = changes.recv() => self.change(change).await,
                event = self.watch.next() => self.link_changed(&event).await,
                _ = housekeeping.tick() => {
                    self.clock.resample();
                    self.retry().await;
                }
            }
        }
    }

    /// SIGHUP: takes over what can be taken over, the filters among it, also where others were set
    /// while running; the rest is named. A configuration with a mistake changes nothing.
    async fn reload(&mut self, args: &RunArgs) {
        let new = match Config::from_run_args(args) {
            Ok(new) => new,
            Err(error) => {
                log::error!("not reloaded, everything stays as it is: {error}");
                return;
            }
        };
        let mut reload = Config::reloadable_changes(&self.config, &new);
        self.store.set_limits(start::segment_settings(&reload.config).limits());
        for (index, wanted) in reload.config.interfaces.clone().iter().enumerate() {
            if let Err(reason) = self.reconfigure(index, wanted).await {
                log::error!("{}: not reloaded, what it had stays in force: {reason}", wanted.name);
                reload.give_up(&self.config.interfaces[index]);
            }
        }
        self.config = reload.config;
        log::info!("reloaded; changed: {}", list(&reload.applied));
        if !reload.restart.is_empty() {
            log::warn!("these changes need a restart: {}", list(&reload.restart));
        }
    }

    async fn link_changed(&mut self, event: &LinkEvent) {
        let Some(port) = self.ports.iter_mut().find(|port| port.name() == event.name) else {
            return;
        };
        match event.kind {
            LinkEventKind::Deleted => port.detach(&self.shared, "it is gone"),
            LinkEventKind::Appeared => {
                let parts = port::Parts {
                    object: &mut self.object,
                    shared: &self.shared,
                    store: &self.store,
                    clock: &self.clock,
                };
                port.follow_to(event.ifindex, parts).await;
            }
            LinkEventKind::Down => log::warn!("{}: interface is down", event.name),
            LinkEventKind::Up => log::info!("{}: interface is up", event.name),
        }
    }

    /// Attaches what could not be attached when its interface appeared.
    async fn retry(&mut self) {
        for port in &mut self.ports {
            let parts = port::Parts {
                object: &mut self.object,
                shared: &self.shared,
                store: &self.store,
                clock: &self.clock,
            };
            port.retry(parts).await;
        }
    }

    /// Stops taking frames, lets the threads write what they have, closes the segments.
    fn stop(mut self) {
        log::info!("stopping");
        for port in &mut self.ports {
            port.detach(&self.shared, "stopping");
        }
        if let Some(tap) = self.tap.take() {
            tap.stop();
        }
        drop(self.store);
        self.shared.log_totals();
    }
}

fn list(keys: &[String]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}
