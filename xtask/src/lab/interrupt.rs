//! Ctrl-C and SIGTERM: the namespaces go before the process does.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::cleanup;

/// What an interrupt means now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Remove everything and exit.
    Exit,
    /// Somebody waits for it.
    Awaited,
    /// It came while somebody waited.
    Came,
}

static MEANING: Mutex<Meaning> = Mutex::new(Meaning::Exit);
static CAME: Condvar = Condvar::new();

/// Starts the thread that waits for signals. Programs that are started keep their own handling.
pub(super) fn watch() {
    let watching = Signals::new([SIGINT, SIGTERM, SIGHUP]).and_then(|mut signals| {
        let watcher = thread::Builder::new().name("interrupt".to_owned());
        watcher.spawn(move || signals.forever().for_each(handle))
    });
    if let Err(error) = watching {
        eprintln!("warning: Ctrl-C will leave network namespaces behind: {error}");
    }
}

/// Blocks until Ctrl-C, SIGTERM or SIGHUP, which then end this wait and not the process. A second
/// one ends the process as ever.
pub fn wait() {
    cleanup::prepare();
    let mut meaning = MEANING.lock().unwrap_or_else(PoisonError::into_inner);
    *meaning = Meaning::Awaited;
    while *meaning != Meaning::Came {
        meaning = CAME.wait(meaning).unwrap_or_else(PoisonError::into_inner);
    }
    *meaning = Meaning::Exit;
}

fn handle(signal: i32) {
    let mut meaning = MEANING.lock().unwrap_or_else(PoisonError::into_inner);
    if *meaning == Meaning::Awaited {
        *meaning = Meaning::Came;
        CAME.notify_all();
        return;
    }
    drop(meaning);
    eprintln!("\ninterrupted: removing the lab");
    cleanup::exit(128 + signal);
}
