//! What clients do in a scene, and how it ends for them.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::scene::Scene;
use crate::lab::{
    Routed,
    http::{self, PAGE, Patience, Transfer},
};

/// The client's second address, behind a link with a small MTU.
pub const FAR_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);

/// How long a slow client does not read: within it the server probes the closed window several
/// times, and after it comes what a window update lets come.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a client waits for the next bytes.
const SILENCE: Duration = Duration::from_secs(10);

/// A query for the A record of `example.com` (RFC 1035, section 4.1), with recursion desired.
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";

/// Where a scene is played.
pub struct Stage<'a> {
    /// The network.
    pub lab: &'a Routed,
    /// What is played.
    pub scene: &'a Scene,
}

impl Stage<'_> {
    /// The client asks the server for its small page.
    ///
    /// # Errors
    /// curl could not be run; that the request fails is no error.
    pub fn page(&self, patience: Patience) -> Result<Asked> {
        self.fetch(PAGE, patience)
    }

    /// The client asks the server for a file.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub fn fetch(&self, file: &str, patience: Patience) -> Result<Asked> {
        Ok(http::get(&self.lab.client, &self.url(file), patience)?.into())
    }

    /// As [`Self::fetch`], from another address of the client.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub fn fetch_from(
        &self,
        source: impl Into<IpAddr>,
        file: &str,
        patience: Patience,
    ) -> Result<Asked> {
        let url = self.url(file);
        Ok(http::get_from(&self.lab.client, Some(source.into()), &url, patience)?.into())
    }

    /// The client asks for the small page, before the trouble begins.
    ///
    /// # Errors
    /// It does not get it.
    pub fn must_answer(&self) -> Result<()> {
        self.page(Patience::default())?.must(Outcome::Answered)
    }

    /// The client asks for a file, does not read the answer for a while, and then reads it to its
    /// end.
    ///
    /// # Errors
    /// The client could not be run; that the request fails is no error.
    pub fn read_late(&self, file: &str) -> Result<Asked> {
        let request = format!("GET /{file} HTTP/1.0\r\n\r\n");
        self.timed(|| {
            let mut stream = TcpStream::connect_timeout(&self.scene.service(), SILENCE)?;
            stream.set_read_timeout(Some(SILENCE))?;
            stream.write_all(request.as_bytes())?;
            thread::sleep(PAUSE);
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(if http::is_ok(&answer) { Outcome::Answered } else { Outcome::Other })
        })
    }

    /// The client sends a DNS query to the scene's port, and waits for what comes.
    ///
    /// # Errors
    /// The client could not be run; that nothing comes is no error.
    pub fn datagram(&self) -> Result<Asked> {
        self.timed(|| {
            let any = if self.scene.service().is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(self.scene.service())?;
            socket.set_read_timeout(Some(SILENCE))?;
            socket.send(QUERY)?;
            socket.recv(&mut [0; 512])?;
            Ok(Outcome::Answered)
        })
    }

    fn timed(&self, ask: impl FnOnce() -> std::io::Result<Outcome> + Send) -> Result<Asked> {
        let start = Instant::now();
        let result = self.lab.client.enter(ask)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(match result {
            Ok(outcome) => Asked { outcome, error: None, seconds },
            Err(error) => Asked {
                outcome: Outcome::of_error(&error),
                error: Some(error.to_string()),
                seconds,
            },
        })
    }

    fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.scene.service())
    }
}

/// What came of it for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// How it ended.
    pub outcome: Outcome,
    /// What the client says of an error.
    pub error: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Asked {
    /// It must have ended so.
    ///
    /// # Errors
    /// It has not.
    pub fn must(&self, outcome: Outcome) -> Result<()> {
        let said = || self.error.clone().unwrap_or_default();
        ensure!(
            self.outcome == outcome,
            "a request that must end with \"{outcome}\": {}: {}",
            self.outcome,
            said()
        );
        Ok(())
    }
}

impl From<Transfer> for Asked {
    fn from(transfer: Transfer) -> Self {
        let outcome = match (transfer.exit_code, transfer.status) {
            (0, 200) => Outcome::Answered,
            (28, _) => Outcome::TimedOut,
            (7, _) => Outcome::Refused,
            (56, _) => Outcome::Reset,
            _ => Outcome::Other,
        };
        Self { outcome, error: transfer.error, seconds: transfer.seconds }
    }
}

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server answered; with 200, if it is HTTP.
    Answered,
    /// Nothing came, or not all.
    TimedOut,
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// Anything else.
    Other,
}

impl Outcome {
    fn of_error(error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset => Self::Reset,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::TimedOut,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered => "answered",
            Self::TimedOut => "timed out",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Other => "failed",
        })
    }
}
