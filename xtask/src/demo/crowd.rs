//! Many healthy requests beside the scenes: they must not disturb what is said of the others, and
//! nothing must be said against them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::Result;
use serde::Serialize;

use super::verdict::{Expected, Said, Verdict};
use crate::lab::{
    Routed,
    http::{self, Listener, PAGE},
    routed::SERVER_V4,
};

/// The server's port for the crowd; no scene has it.
pub const PORT: u16 = 8099;
/// Clients that ask at the same time.
const CLIENTS: u32 = 8;
/// Between two requests of a client, so that the crowd is there as long as the scenes are.
const PACE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of the crowd.
#[derive(Clone, Debug, Serialize)]
pub struct Crowd {
    /// Requests.
    pub requests: u32,
    /// Those that were answered with 200.
    pub answered: u32,
    /// What the daemon says of the crowd's service; `None` if it was not asked.
    pub said: Option<Said>,
}

/// The service that the crowd asks.
#[must_use]
pub fn service() -> SocketAddr {
    SocketAddr::new(SERVER_V4.into(), PORT)
}

/// What must listen for the crowd.
#[must_use]
pub fn listener() -> Listener {
    Listener { port: PORT, thinking: Duration::ZERO }
}

/// The client sends so many requests, a few at a time, each over a connection of its own.
///
/// # Errors
/// The client could not be run; that requests fail is no error.
pub fn gather(lab: &Routed, requests: u32) -> Result<Crowd> {
    let (left, answered) = (AtomicU32::new(requests), AtomicU32::new(0));
    let client = || {
        while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            answered.fetch_add(ask().unwrap_or(false).into(), Relaxed);
            thread::sleep(PACE);
        }
    };
    // Threads are in the network namespace of the one that starts them.
    lab.client.enter(|| {
        thread::scope(|scope| (0..CLIENTS).for_each(|_| drop(scope.spawn(client))));
    })?;
    Ok(Crowd { requests, answered: answered.into_inner(), said: None })
}

fn ask() -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&service(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /{PAGE} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(http::is_ok(&answer))
}

impl Crowd {
    /// What is not as it is with healthy requests, in words.
    #[must_use]
    pub fn disappointments(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.answered != self.requests {
            found.push(format!("{} of {} requests were answered", self.answered, self.requests));
        }
        let expected = Expected::only(Verdict::Healthy, &[]);
        found.extend(self.said.iter().flat_map(|said| said.disappointments(&expected)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_must_be_answered_and_called_healthy() {
        let said = Said { verdict: Verdict::Healthy, side: None, sentence: None, also: Vec::new() };
        let good = Crowd { requests: 10, answered: 10, said: Some(said.clone()) };
        assert!(good.disappointments().is_empty());
        let said = Some(Said { verdict: Verdict::ServerSlow, ..said });
        let bad = Crowd { answered: 9, said, ..good };
        let found = bad.disappointments();
        assert_eq!(
            found,
            ["9 of 10 requests were answered", "verdict: server-slow, expected healthy"]
        );
    }
}
