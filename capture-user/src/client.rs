//! Asks the running daemon over HTTP, for the commands that show what it knows.
//!
//! Plain HTTP to the address or the Unix socket that is named, and nothing between: proxies of the
//! environment are not asked, and redirects are not followed.

mod target;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use axum::body::{Body, to_bytes};
use hyper::{Method, Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

pub use target::{Target, TargetError};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9411";

/// For the connection to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// For the whole answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes of an answer: several times what the most flows take.
const MOST_BYTES: usize = 1 << 30;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nobody listens there, or it cannot be reached.
    #[error(
        "no daemon answers at {url}: {source}\n\
         Is `captured run` running on this host? If it listens elsewhere (`listen` in its \
         configuration, or --listen), name the address: --url http://ADDRESS:PORT"
    )]
    Unreachable {
        /// What was tried.
        url: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no socket, nobody listens at it, or this user may not connect.
    #[error(
        "no daemon answers at {}: {source}\n\
         Is `captured run` running on this host, and are you the user that it runs as (root)? If its \
         control socket is elsewhere (`control.socket` in its configuration, or --control), name it: \
         --control PATH",
        path.display()
    )]
    NoSocket {
        /// What was tried.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody listens there who does not speak HTTP, or who stopped in the middle.
    #[error("{place} did not give a whole answer: {reason}\nIs it captured that listens there?")]
    Broken {
        /// The address or socket that was asked.
        place: String,
        /// How it ended.
        reason: String,
    },
    /// The daemon refused.
    #[error("the daemon at {place} refused: {message} (HTTP {status})")]
    Refused {
        /// The address or socket that was asked.
        place: String,
        /// Its code.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// This host could not do its part.
    #[error("cannot ask the daemon: {0}")]
    Here(#[from] io::Error),
}

/// An address that is none of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address of a daemon: {reason}; expected is http://ADDRESS:PORT")]
pub struct UrlError {
    text: String,
    reason: &'static str,
}

/// The address of a daemon, such as `http://127.0.0.1:9411`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonUrl {
    host: String,
    port: u16,
}

impl FromStr for DaemonUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let error = |reason| UrlError { text: text.to_owned(), reason };
        let uri: Uri = text.parse().map_err(|_| error("not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(error("the daemon does not speak TLS")),
            _ => return Err(error("it does not begin with http://")),
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(error("there must be nothing behind the port"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(error("the daemon knows no users"));
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(error("no host"));
        }
        let port = match authority.strip_prefix(host) {
            Some("") => 80,
            _ => uri.port_u16().filter(|port| *port != 0).ok_or_else(|| error("not a port"))?,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for DaemonUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}:{}", self.host, self.port)
    }
}

/// The answer's body to a GET of a path on a daemon (`http://127.0.0.1:9411` and
/// `/v1/flows?limit=5`). Blocks, for at most about a minute; not for async threads.
///
/// # Errors
/// The daemon does not answer, or with another status than 200.
pub fn get(url: &str, path_and_query: &str) -> Result<String, ClientError> {
    let place = Place::Url(url.parse()?);
    exchange(&place, Method::GET, path_and_query, String::new())
}

/// As [`get`], through the daemon's control socket.
///
/// # Errors
/// As there.
pub fn get_control(socket: &Path, path: &str) -> Result<String, ClientError> {
    exchange(&Place::Socket(socket.to_owned()), Method::GET, path, String::new())
}

/// The answer's body to a PUT of JSON, through the daemon's control socket. Blocks as [`get`].
///
/// # Errors
/// As there.
pub fn put(socket: &Path, path: &str, json: String) -> Result<String, ClientError> {
    exchange(&Place::Socket(socket.to_owned()), Method::PUT, path, json)
}

/// Where a daemon is asked.
enum Place {
    Url(DaemonUrl),
    Socket(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(out),
            Self::Socket(path) => path.display().fmt(out),
        }
    }
}

impl Place {
    /// The value of the header `Host`.
    fn host(&self) -> String {
        match self {
            Self::Url(url) => format!("{}:{}", url.host, url.port),
            Self::Socket(_) => "localhost".to_owned(),
        }
    }

    fn broken(&self, reason: impl ToString) -> ClientError {
        ClientError::Broken { place: self.to_string(), reason: reason.to_string() }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        match self {
            Self::Url(url) => ClientError::Unreachable { url: url.to_string(), source },
            Self::Socket(path) => ClientError::NoSocket { path: path.clone(), source },
        }
    }
}

fn exchange(
    place: &Place,
    method: Method,
    path: &str,
    body: String,
) -> Result<String, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let question = async {
            match place {
                Place::Url(url) => ask(place, connect(url).await?, method, path, body).await,
                Place::Socket(socket) => {
                    let stream = UnixStream::connect(socket).await;
                    let stream = stream.map_err(|source| place.unreachable(source))?;
                    ask(place, stream, method, path, body).await
                }
            }
        };
        let late = |_| place.broken(format!("nothing more came within {ANSWER:?}"));
        timeout(ANSWER, question).await.map_err(late)?
    });
    // Looking up a name may hang in a thread of its own.
    runtime.shutdown_background();
    answer
}

async fn connect(url: &DaemonUrl) -> Result<TcpStream, ClientError> {
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let late = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {CONNECT:?}"));
    timeout(CONNECT, TcpStream::connect((host, url.port)))
        .await
        .unwrap_or(Err(late))
        .map_err(|source| ClientError::Unreachable { url: url.to_string(), source })
}

async fn ask(
    place: &Place,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    path: &str,
    body: String,
) -> Result<String, ClientError> {
    let error = |error: hyper::Error| place.broken(crate::chain(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(error)?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, place.host())
        .header(header::USER_AGENT, concat!("captured/", env!("CARGO_PKG_VERSION")));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Body::from(body)).map_err(|cause| place.broken(cause))?;
    let answer = sender.send_request(request).await.map_err(error)?;
    let status = answer.status();
    let body = to_bytes(Body::new(answer.into_body()), MOST_BYTES).await;
    let body = body.map_err(|cause| place.broken(crate::chain(&cause)))?;
    let text = String::from_utf8(body.into()).map_err(|_| place.broken("it is not UTF-8"))?;
    if status == StatusCode::OK {
        return Ok(text);
    }
    let place = match place {
        Place::Url(_) => format!("{place}{path}"),
        Place::Socket(_) => place.to_string(),
    };
    Err(ClientError::Refused { place, status: status.as_u16(), message: refusal(&text) })
}

/// The daemon's reason, which is JSON, or whatever else answered.
fn refusal(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: String,
    }
    match serde_json::from_str(text) {
        Ok(Refusal { error }) => error,
        Err(_) => text.trim().chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Says the same to whoever asks first; returns where, and what was asked.
    fn server(address: &str, answer: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                asked.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    #[test]
    fn the_body_comes_back() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                          2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
            let (url, asked) = server(address, answer);
            assert_eq!(get(&url, "/v1/flows?limit=5").unwrap(), "hello");
            let asked = asked.join().unwrap();
            assert!(asked.starts_with("GET /v1/flows?limit=5 HTTP/1.1\r\n"), "{asked}");
            let host = format!("host: {}\r\n", url.trim_start_matches("http://"));
            assert!(asked.contains(&host), "{asked}");
        }
    }

    #[test]
    fn the_daemons_reason_is_passed_on() {
        let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 23\r\n\r\n\
                      {\"error\":\"limit: is 0\"}\n";
        let (url, asked) = server("127.0.0.1:0", answer);
        let text = get(&url, "/x").unwrap_err().to_string();
        assert_eq!(text, format!("the daemon at {url}/x refused: limit: is 0 (HTTP 400)"));
        asked.join().unwrap();
    }

    #[test]
    fn who_is_not_there_or_is_not_http_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let text = get(&url, "/").unwrap_err().to_string();
        assert!(text.contains(&url) && text.contains("refused"), "{text}");
        assert!(text.contains("captured run") && text.contains("--url"), "{text}");

        for answer in ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal"] {
            let (url, asked) = server("127.0.0.1:0", answer);
            let error = get(&url, "/").unwrap_err();
            assert!(matches!(error, ClientError::Broken { .. }), "{error}");
            asked.join().unwrap();
        }
    }

    #[test]
    fn urls_are_plain() {
        for (text, shown) in [
            ("http://127.0.0.1:9411", "http://127.0.0.1:9411"),
            ("http://gateway", "http://gateway:80"),
            ("http://[::1]:80/", "http://[::1]:80"),
            (DEFAULT_URL, DEFAULT_URL),
        ] {
            assert_eq!(text.parse::<DaemonUrl>().unwrap().to_string(), shown);
        }
        for (text, word) in [
            ("127.0.0.1:9411", "does not begin with http://"),
            ("gateway:80", "does not begin with http://"),
            ("https://gateway", "TLS"),
            ("http://gateway:80/metrics", "behind the port"),
            ("http://gateway?x", "behind the port"),
            ("http://gateway:0", "not a port"),
            ("http://gateway:99999", "not a"),
            ("http://me@gateway", "users"),
            ("", "not a URL"),
        ] {
            let error = text.parse::<DaemonUrl>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
