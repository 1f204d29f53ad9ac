//! A line that says what is going on: a spinner on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

/// What is going on. Dropped, the line goes.
pub struct Progress {
    /// `None` when nobody watches.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts on standard error, so that standard output holds the report only.
    #[must_use]
    pub fn start() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar }
    }

    /// A new step has begun.
    pub fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("{text}"),
        }
    }

    /// Clears the line while `other` writes.
    pub fn pause<T>(&self, other: impl FnOnce() -> T) -> T {
        let Some(bar) = &self.bar else { return other() };
        bar.disable_steady_tick();
        let value = bar.suspend(other);
        bar.enable_steady_tick(TICK);
        value
    }

    /// How far the step is; shown to watchers only.
    pub fn detail(&self, step: &str, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{step}: {}", text.trim()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
