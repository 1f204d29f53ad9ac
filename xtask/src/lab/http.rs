//! A real web server and a real client.

use std::{
    fs::File,
    io::{BufWriter, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Namespace, Process, command, wait_until};

/// The small page of a site.
pub const PAGE: &str = "index.html";
/// The big file of a site.
pub const BIG_FILE: &str = "big.bin";
const PAGE_TEXT: &str =
    "<!doctype html>\n<title>captured</title>\n<p>This page came through the gateway.</p>\n";

/// Fills a directory with [`PAGE`] and a [`BIG_FILE`] of so many MiB, whose every 8 bytes hold
/// their own position, so that no piece of it can stand for another.
///
/// # Errors
/// The directory cannot be written.
pub fn write_site(directory: &Path, big_mib: u64) -> Result<()> {
    let page = directory.join(PAGE);
    std::fs::write(&page, PAGE_TEXT).with_context(|| format!("cannot write {}", page.display()))?;
    let path = directory.join(BIG_FILE);
    let fill = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        for position in 0..big_mib * (1 << 20) / 8 {
            file.write_all(&(position * 8).to_be_bytes())?;
        }
        file.flush()
    };
    fill().with_context(|| format!("cannot write {}", path.display()))
}

/// Python's `http.server` in a namespace, on all its IPv4 and IPv6 addresses.
pub struct HttpServer {
    process: Process,
    port: u16,
}

impl HttpServer {
    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// It could not be started, ended, or does not accept within 20 s; with what it said.
    pub fn start(namespace: &Namespace, directory: &Path, port: u16) -> Result<Self> {
        let mut command = namespace.command("python3");
        command.args(["-m", "http.server", "--bind", "::", "--directory"]);
        command.arg(directory).arg(port.to_string());
        let mut process = Process::start(&mut command)?;
        // Over the loopback, so that the wire shows none of it.
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        wait_until(Duration::from_secs(20), "the web server", || {
            if let Some(status) = process.ended()? {
                bail!("the web server: {status}: {}", process.stderr().trim());
            }
            let connected = namespace.enter(|| TcpStream::connect(address).is_ok())?;
            Ok(connected.then_some(()))
        })?;
        Ok(Self { process, port })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its log so far: one line for each request.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr()
    }
}

/// Several ports of one site, for a lab that needs many servers at once: one Python process, as
/// [`HttpServer`] is, that can take its time.
pub struct HttpServers {
    _process: Process,
}

/// A port of [`HttpServers`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Listener {
    /// TCP port, on all IPv4 and IPv6 addresses.
    pub port: u16,
    /// What passes between a request and the first byte of the answer.
    pub thinking: Duration,
}

impl HttpServers {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It could not be started, ended, or does not listen within 20 s; with what it said.
    pub fn start(namespace: &Namespace, directory: &Path, ports: &[Listener]) -> Result<Self> {
        let mut command = namespace.command("python3");
        command.args(["-c", include_str!("servers.py")]).arg(directory);
        for Listener { port, thinking } in ports {
            command.arg(format!("{port}:{}", thinking.as_secs_f64()));
        }
        let mut process = Process::start(&mut command)?;
        process.wait_for_stderr("listening", Duration::from_secs(20))?;
        Ok(Self { _process: process })
    }
}

/// How long a client is patient.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until all is done.
    pub total: Duration,
}

impl Patience {
    /// So long for the connection, and a minute for the rest.
    #[must_use]
    pub fn to_connect(connect: Duration) -> Self {
        Self { connect, ..Self::default() }
    }

    /// So long for all.
    #[must_use]
    pub fn in_all(total: Duration) -> Self {
        Self { connect: total, total }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(60) }
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// curl's exit code: 0 done, 7 could not connect (refused), 28 timed out, 18 cut short.
    pub exit_code: i64,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// How long it all took.
    pub seconds: f64,
    /// What curl says of an error.
    pub error: Option<String>,
}

/// What `curl --write-out '%{json}'` writes, as far as we want to know.
#[derive(Deserialize)]
struct Written {
    exitcode: i64,
    errormsg: Option<String>,
    http_code: u16,
    time_total: f64,
}

/// Asks for `url` with curl. A request that fails is a result too, not an error.
///
/// # Errors
/// curl could not be run, or did not take the request for one.
pub fn get(namespace: &Namespace, url: &str, patience: Patience) -> Result<Transfer> {
    get_from(namespace, None, url, patience)
}

/// As [`get`], from an address of the client's own choice.
///
/// # Errors
/// As [`get`].
pub fn get_from(
    namespace: &Namespace,
    source: Option<IpAddr>,
    url: &str,
    patience: Patience,
) -> Result<Transfer> {
    let mut curl = namespace.command("curl");
    // -q first: no configuration file. No proxy, whatever the environment says.
    curl.args(["-q", "--silent", "--globoff", "--noproxy", "*"]);
    curl.args(["--connect-timeout", &patience.connect.as_secs_f64().to_string()]);
    curl.args(["--max-time", &patience.total.as_secs_f64().to_string()]);
    if let Some(source) = source {
        curl.args(["--interface", &source.to_string()]);
    }
    curl.args(["--write-out", "%{stderr}%{json}", url]);
    let output = command::output(&mut curl, b"")?;
    let written: Written = serde_json::from_slice(&output.stderr).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("`{}`: {}: {}", command::line(&curl), output.status, said.trim())
    })?;
    Ok(Transfer {
        exit_code: written.exitcode,
        status: written.http_code,
        body: output.stdout,
        seconds: written.time_total,
        error: written.errormsg,
    })
}

/// Does an answer, from its first byte on, begin as one with status 200 does?
#[must_use]
pub fn is_ok(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.0 200 ") || answer.starts_with(b"HTTP/1.1 200 ")
}
