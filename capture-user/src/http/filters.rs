//! `/v1/filters`: the filters in force, and their change.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State as Extract, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::time::timeout;

use super::routes::{Failure, State, with_fallbacks};
use crate::{
    control::{ChangeError, Changes, FilterRequest, FilterView},
    filter::{ExpressionError, Filter, TroubleError},
};

/// Bytes of a request: twice the longest expression, since JSON makes some characters longer.
const MOST_BYTES: usize = 128 << 10;
/// How long a client waits for a change, which may be the compilation of a large expression for
/// many interfaces. Less than [`client`](crate::client)'s patience, so that it hears why.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(50);

/// The filters of all interfaces.
pub(super) async fn show(Extract(state): Extract<State>) -> Result<Json<Vec<FilterView>>, Failure> {
    let interfaces = state.blocking(|state| state.interfaces()).await?;
    let interfaces = interfaces.map_err(Failure::Internal)?;
    let views = interfaces.iter().map(|i| FilterView::new(&i.name, &i.filter));
    Ok(Json(views.collect()))
}

/// What the control socket serves. `show` and `change` have states of their own.
pub(super) fn control_router(state: State, changes: Changes) -> Router {
    let changing = Router::new()
        .route("/v1/filters", axum::routing::put(change))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(Arc::new(changes));
    let showing = Router::new().route("/v1/filters", get(show)).with_state(state);
    with_fallbacks(changing.merge(showing), "GET or PUT")
}

async fn change(
    Extract(changes): Extract<Arc<Changes>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<FilterView>>, Refusal> {
    let request: FilterRequest = serde_json::from_slice(&body?)?;
    let filter = Filter { expression: request.filter.parse()?, trouble: request.trouble.parse()? };
    let change = changes.ask(filter, request.interfaces);
    Ok(Json(timeout(CHANGE_TIMEOUT, change).await.map_err(|_| Refusal::Late)??))
}

/// Why there was no change.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request cannot be read: {0}")]
    Body(#[from] BytesRejection),
    #[error(
        "not understood: {0}; expected is {{\"filter\": \"EXPRESSION\", \"trouble\": \"LIST\", \
         \"interfaces\": [\"NAME\"]}}, the last two if need be"
    )]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Expression(#[from] ExpressionError),
    #[error(transparent)]
    Trouble(#[from] TroubleError),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("the change is not done within {CHANGE_TIMEOUT:?}; GET tells what is in force")]
    Late,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Body(rejection) => rejection.status(),
            Self::Json(_) | Self::Expression(_) | Self::Trouble(_) => StatusCode::BAD_REQUEST,
            Self::Change(ChangeError::UnknownInterface { .. }) => StatusCode::BAD_REQUEST,
            Self::Change(ChangeError::Refused { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Change(ChangeError::Partly { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Change(ChangeError::Stopping) | Self::Late => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut body = serde_json::json!({ "error": self.to_string() });
        match &self {
            Self::Expression(error) => {
                body["position"] = error.position.into();
                body["filter"] = error.text.as_str().into();
            }
            Self::Change(ChangeError::Refused { interface, .. }) => {
                body["interface"] = interface.as_str().into();
            }
            Self::Change(ChangeError::Partly { interface, changed, .. }) => {
                body["interface"] = interface.as_str().into();
                body["changed"] = changed.as_slice().into();
            }
            _ => {}
        }
        (status, Json(body)).into_response()
    }
}
