//! Accepts connections and bounds what each can hold on to.

use std::{future::pending, io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};

use super::{
    filters::control_router,
    routes::{State, router},
};
use crate::control::Changes;

/// What clients can hold on to.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Open connections; more wait in the listener's queue.
    connections: u32,
    /// Time to send the header of a request, and to stay idle before the next.
    header: Duration,
    /// Bytes of the header of a request.
    header_bytes: usize,
    /// Life of a connection, so that a client that never reads its answer does not stay.
    life: Duration,
    /// Time to end what was begun, once a connection's life is over.
    end_of_life: Duration,
    /// The same when the server stops, which holds up the daemon.
    end_of_server: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    header: Duration::from_secs(10),
    header_bytes: 16 << 10,
    life: Duration::from_secs(300),
    end_of_life: Duration::from_secs(10),
    end_of_server: Duration::from_secs(2),
};

/// Pause after an accept that failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `shutdown` is done, then lets open requests end for up to two seconds.
pub async fn serve(listener: TcpListener, state: State, shutdown: impl Future<Output = ()>) {
    serve_within(LIMITS, listener, router(state), shutdown).await;
}

/// As [`serve`], at the control socket.
pub async fn serve_control(
    listener: UnixListener,
    state: State,
    changes: Changes,
    shutdown: impl Future<Output = ()>,
) {
    serve_within(LIMITS, listener, control_router(state, changes), shutdown).await;
}

/// Where connections come from.
trait Listen {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    async fn next(&self) -> io::Result<Self::Stream>;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

async fn serve_within<L: Listen>(
    limits: Limits,
    listener: L,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(limits.connections as usize));
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, permit) = accept(&listener, &permits) => {
                let connection = connection(limits, stream, router.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
        }
    }
    drop((listener, stop));
    // All permits are back when all connections have ended; each does so in bounded time.
    let _ = permits.acquire_many(limits.connections).await;
}

/// The next connection, once there is room for it.
async fn accept<L: Listen>(
    listener: &L,
    permits: &Arc<Semaphore>,
) -> (L::Stream, OwnedSemaphorePermit) {
    let Ok(permit) = permits.clone().acquire_owned().await else {
        // Only a closed semaphore refuses, and this one is never closed.
        return pending().await;
    };
    loop {
        match listener.next().await {
            Ok(stream) => return (stream, permit),
            Err(error) => {
                log::warn!("http: a connection could not be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    limits: Limits,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_header_size(limits.header_bytes);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let grace = tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                log::debug!("http: a connection ended early: {error}");
            }
            return;
        }
        () = sleep(limits.life) => limits.end_of_life,
        // Never sent to: it ends with its sender.
        _ = stopped.changed() => limits.end_of_server,
    };
    connection.as_mut().graceful_shutdown();
    let _ = timeout(grace, connection).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        time::Instant,
    };

    use super::*;

    const SHORT: Limits = Limits {
        connections: 2,
        header: Duration::from_millis(200),
        header_bytes: 1 << 10,
        life: Duration::from_secs(60),
        end_of_life: Duration::from_millis(200),
        end_of_server: Duration::from_millis(200),
    };
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Server {
        address: std::net::SocketAddr,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn start(limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        // More than the socket buffers hold.
        let big = get(|| async { vec![b'x'; 64 << 20] });
        let router = Router::new().route("/", get(|| async { "hello" })).route("/big", big);
        let shutdown = async move { drop(stopped.await) };
        let task = tokio::spawn(serve_within(limits, listener, router, shutdown));
        Server { address, stop, task }
    }

    impl Server {
        async fn connect(&self, request: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        }

        async fn stop(self) -> Duration {
            let start = Instant::now();
            self.stop.send(()).unwrap();
            timeout(PATIENCE, self.task).await.unwrap().unwrap();
            start.elapsed()
        }
    }

    /// All that comes until the server closes.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        // A reset is an end, too.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("server closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn answers_and_closes_idle_connections() {
        let server = start(SHORT).await;
        let answer = rest(server.connect(REQUEST).await).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        server.stop().await;
    }

    #[tokio::test]
    async fn unfinished_headers_are_given_up_and_make_room() {
        let server = start(SHORT).await;
        let slow = [server.connect("GET / HTTP/1.1\r\nx").await, server.connect("G").await];
        // Both places are taken; the third is served once the first two are given up.
        let answer = rest(server.connect(REQUEST).await).await;
        assert!(answer.ends_with("hello"), "{answer}");
        for stream in slow {
            rest(stream).await;
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn large_headers_are_refused() {
        let server = start(SHORT).await;
        let request = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(4 << 10));
        let answer = rest(server.connect(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        server.stop().await;
    }

    #[tokio::test]
    async fn clients_that_do_not_read_are_dropped_at_the_end_of_life() {
        let limits = Limits { life: Duration::from_millis(200), connections: 1, ..SHORT };
        let server = start(limits).await;
        let deaf = server.connect("GET /big HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let answer = rest(server.connect(REQUEST).await).await;
        assert!(answer.ends_with("hello"), "{answer}");
        drop(deaf);
        server.stop().await;
    }

    #[tokio::test]
    async fn stopping_is_not_held_up_by_clients() {
        let limits = Limits { header: PATIENCE, ..SHORT };
        let server = start(limits).await;
        let idle = server.connect("").await;
        let deaf = server.connect("GET /big HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sleep(Duration::from_millis(100)).await;
        let took = server.stop().await;
        assert!(took < Duration::from_secs(5), "{took:?}");
        drop((idle, deaf));
    }
}
