//! What is served.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State as Extract,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{
    metrics::{CONTENT_TYPE, Metrics},
    snapshot::SnapshotSource,
};

/// Scrapes that run at the same time; others wait.
const SCRAPES: usize = 2;
/// How long a client waits for an answer, the wait for other scrapes included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);

const INDEX: &str = "captured\n\n\
    /metrics  Prometheus metrics\n\
    /healthz  200 while the process is alive\n\
    /readyz   200 when capturing, 503 with the reason otherwise\n";

/// What the server answers from.
#[derive(Clone)]
pub struct State {
    source: Arc<dyn SnapshotSource>,
    metrics: Arc<Metrics>,
    scrapes: Arc<Semaphore>,
    patience: Duration,
}

impl State {
    /// Answers from `source`.
    #[must_use]
    pub fn new(source: Arc<dyn SnapshotSource>) -> Self {
        let metrics = Arc::new(Metrics::new(source.clone()));
        let scrapes = Arc::new(Semaphore::new(SCRAPES));
        Self { source, metrics, scrapes, patience: ANSWER_TIMEOUT }
    }

    /// Runs what does system calls outside of the async threads, with a bound on how many run and
    /// on how long the client waits. A panic in it is the answer's error, not the daemon's end.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let state = self.clone();
        let answer = async move {
            let permit = state.scrapes.clone().acquire_owned().await;
            let task = spawn_blocking(move || {
                // Held until the work is done, even if the client is gone by then.
                let _permit = permit;
                work(&state)
            });
            task.await.map_err(|error| Failure::Internal(error.to_string()))
        };
        timeout(self.patience, answer).await.unwrap_or(Err(Failure::Busy(self.patience)))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is nothing at {0}; / lists what there is")]
    NotFound(String),
    #[error("{method} is not allowed for {path}: use GET")]
    MethodNotAllowed { method: Method, path: String },
    #[error("the state of the daemon could not be read within {0:?}")]
    Busy(Duration),
    #[error("{0}")]
    Internal(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}

/// The paths and their answers.
pub(super) fn router(state: State) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|uri: Uri| async move { Failure::NotFound(uri.path().to_owned()) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            Failure::MethodNotAllowed { method, path: uri.path().to_owned() }
        })
        .with_state(state)
}

async fn metrics(Extract(state): Extract<State>) -> Result<Response, Failure> {
    match state.blocking(|state| state.metrics.render()).await? {
        Ok(text) => Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()),
        Err(error) => {
            log::warn!("metrics: {error}");
            Err(Failure::Internal(error.to_string()))
        }
    }
}

async fn ready(Extract(state): Extract<State>) -> Result<(StatusCode, String), Failure> {
    Ok(match state.blocking(|state| state.source.ready()).await? {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    };

    use super::*;
    use crate::{
        ledger::Ledger,
        snapshot::{InterfaceSnapshot, SegmentsSnapshot},
    };

    #[derive(Default)]
    struct Nothing(Ledger);

    impl SnapshotSource for Nothing {
        fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
            Ok(Vec::new())
        }

        fn flows_limit(&self) -> Result<u64, String> {
            Ok(1024)
        }

        fn flows(&self) -> Result<u64, String> {
            Ok(0)
        }

        fn ledger(&self) -> &Ledger {
            &self.0
        }

        fn segments(&self) -> SegmentsSnapshot {
            SegmentsSnapshot::default()
        }

        fn ready(&self) -> Result<(), String> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn work_that_hangs_is_given_up_but_not_piled_up() {
        let patience = Duration::from_millis(50);
        let state = State { patience, ..State::new(Arc::new(Nothing::default())) };
        let mut held = Vec::new();
        for _ in 0..SCRAPES {
            let (release, released) = mpsc::channel::<()>();
            held.push(release);
            let answer = state.blocking(move |_| released.recv().is_ok()).await;
            assert!(matches!(answer, Err(Failure::Busy(_))));
        }
        // The places are taken for as long as the work hangs: nothing more is begun.
        let begun = Arc::new(AtomicBool::new(false));
        let work = begun.clone();
        let answer = state.blocking(move |_| work.swap(true, Relaxed));
        let failure = answer.await.unwrap_err();
        assert_eq!(failure.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!begun.load(Relaxed));

        drop(held);
        let patient = State { patience: Duration::from_secs(20), ..state };
        assert_eq!(patient.blocking(|_| 7).await.ok(), Some(7));
    }

    #[test]
    fn a_daemon_without_interfaces_still_has_metrics() {
        let text = Metrics::new(Arc::new(Nothing::default())).render().unwrap();
        assert!(text.contains("\ncapture_flows 0\n"), "{text}");
    }
}
