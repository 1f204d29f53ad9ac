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
}

impl State {
    /// Answers from `source`.
    #[must_use]
    pub fn new(source: Arc<dyn SnapshotSource>) -> Self {
        let metrics = Arc::new(Metrics::new(source.clone()));
        Self { source, metrics, scrapes: Arc::new(Semaphore::new(SCRAPES)) }
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
        timeout(ANSWER_TIMEOUT, answer).await.unwrap_or(Err(Failure::Busy))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("there is nothing at {0}; / lists what there is")]
    NotFound(String),
    #[error("{method} is not allowed for {path}: use GET")]
    MethodNotAllowed { method: Method, path: String },
    #[error("the counters could not be read within {} s", ANSWER_TIMEOUT.as_secs())]
    Busy,
    #[error("{0}")]
    Internal(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
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
