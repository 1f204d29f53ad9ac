//! What is served.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State as Extract,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use super::{diagnosis, filters, flows};
use crate::{
    flows::QueryError,
    metrics::{CONTENT_TYPE, Metrics},
    snapshot::{InterfaceSnapshot, SnapshotSource},
};

/// Scrapes that run at the same time; others wait.
const SCRAPES: usize = 2;
/// Answers about flows that are being made or sent at the same time; others wait. Apart from the
/// scrapes, so that neither holds up the other.
const WALKS: usize = 4;
/// How long a client waits for an answer, the wait for other clients' included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);

const INDEX: &str = "captured\n\n\
    /metrics  Prometheus metrics\n\
    /healthz  200 while the process is alive\n\
    /readyz   200 when capturing, 503 with the reason otherwise\n\
    /v1/flows conversations as JSON: ?sort=trouble|retransmissions|bytes|packets|last|first|rtt\n          \
    &limit=1..100000 (default 100) &host=ADDRESS &port=PORT\n\
    /v1/filters the filters in force, as JSON\n\
    /v1/diagnosis which side is at fault, as JSON: ?host=ADDRESS &port=PORT &last=10m\n";

/// What the server answers from.
#[derive(Clone)]
pub struct State {
    source: Arc<dyn SnapshotSource>,
    metrics: Arc<Metrics>,
    scrapes: Arc<Semaphore>,
    walks: Arc<Semaphore>,
    patience: Duration,
}

impl State {
    /// Answers from `source`.
    #[must_use]
    pub fn new(source: Arc<dyn SnapshotSource>) -> Self {
        let metrics = Arc::new(Metrics::new(source.clone()));
        let scrapes = Arc::new(Semaphore::new(SCRAPES));
        let walks = Arc::new(Semaphore::new(WALKS));
        Self { source, metrics, scrapes, walks, patience: ANSWER_TIMEOUT }
    }

    /// Runs what does system calls outside of the async threads, with a bound on how many run and
    /// on how long the client waits. A panic in it is the answer's error, not the daemon's end.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, _permit) = self.within(&self.scrapes, work).await?;
        Ok(answer)
    }

    /// All interfaces; does system calls.
    pub(super) fn interfaces(&self) -> Result<Vec<InterfaceSnapshot>, String> {
        self.source.interfaces()
    }

    /// A walk over the flow table, and the place that it takes until it has been sent.
    pub(super) async fn walk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn SnapshotSource) -> T + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Failure> {
        self.within(&self.walks, move |state| work(&*state.source)).await
    }

    async fn within<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Failure> {
        let (state, places) = (self.clone(), places.clone());
        let answer = async move {
            let internal = |error: &dyn std::error::Error| Failure::Internal(error.to_string());
            let permit = places.acquire_owned().await.map_err(|error| internal(&error))?;
            // The place is held until the work is done, even if the client is gone by then.
            let task = spawn_blocking(move || (work(&state), permit));
            task.await.map_err(|error| internal(&error))
        };
        timeout(self.patience, answer).await.unwrap_or(Err(Failure::Busy(self.patience)))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Query(#[from] QueryError),
    #[error("there is nothing at {0}; / lists what there is")]
    NotFound(String),
    #[error("{method} is not allowed for {path}: use {allowed}")]
    MethodNotAllowed { method: Method, path: String, allowed: &'static str },
    #[error("the state of the daemon could not be read within {0:?}")]
    Busy(Duration),
    #[error("{0}")]
    Internal(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut body = serde_json::json!({ "error": self.to_string() });
        if let Self::Query(error) = &self {
            body["parameter"] = error.parameter.as_str().into();
            body["allowed"] = error.allowed.as_str().into();
        }
        (status, Json(body)).into_response()
    }
}

/// The paths and their answers.
pub(super) fn router(state: State) -> Router {
    let router = Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/v1/flows", get(flows::answer))
        .route("/v1/diagnosis", get(diagnosis::answer))
        .route("/v1/filters", get(filters::show))
        .with_state(state);
    with_fallbacks(router, "GET")
}

/// Answers for all other paths, and for other methods than `allowed`.
pub(super) fn with_fallbacks(router: Router, allowed: &'static str) -> Router {
    router
        .fallback(|uri: Uri| async move { Failure::NotFound(uri.path().to_owned()) })
        .method_not_allowed_fallback(move |method: Method, uri: Uri| async move {
            Failure::MethodNotAllowed { method, path: uri.path().to_owned(), allowed }
        })
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
        flows::{FlowList, FlowQuery},
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

        fn flow_records(&self, _: &FlowQuery) -> Result<FlowList, String> {
            Ok(FlowList::default())
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
