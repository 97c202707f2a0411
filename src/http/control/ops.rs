//! Health, readiness and metrics: for those who keep Elevon running, and without what only callers with a right may know.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::domain::facts::{Action, Object};
use crate::http::Server;
use crate::http::conn::Door;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;

/// The media type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /healthz`: the process answers.
pub(super) async fn healthz(State(server): State<Arc<Server>>) -> Answer {
    Answer::ok(server.engine.view().seq, json!({ "status": "ok" }))
}

/// `GET /readyz`: a bundle is live, the journal writes, time is trusted. What is wrong with a bundle in the folder is not told here.
pub(super) async fn readyz(State(server): State<Arc<Server>>) -> Result<Answer, Problem> {
    let health = server.engine.health();
    let body = json!({
        "ready": health.ready(),
        "journal": health.writer_ok,
        "time_trusted": health.time_trusted,
        "revision": health.revision,
        "bundle_age_seconds": health.bundle_age.secs(),
        "degraded": health.degraded || server.upkeep.degraded(),
    });
    if health.ready() { Ok(Answer::ok(server.engine.view().seq, body)) } else { Err(problem::not_ready(health.writer_ok, body)) }
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(server): State<Arc<Server>>,
    Extension(door): Extension<Arc<Door>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !server.open_metrics {
        let caller = server.authenticate(&door, &headers).await?;
        server.demand(&caller, Action::ReadMetrics, Object::Sidecar)?;
    }
    let told = Arc::clone(&server);
    let destinations = match tokio::task::spawn_blocking(move || told.notifications.destinations()).await {
        Ok(Ok(all)) => all,
        Ok(Err(error)) => {
            tracing::warn!(%error, "how destinations fare is not shown");
            Vec::new()
        }
        Err(error) => {
            tracing::error!(%error, "reading how destinations fare broke off");
            Vec::new()
        }
    };
    let text = server.metrics.text_with(&server.engine, &destinations);
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
    Ok(response)
}

/// `POST /dev/clock`: `{"advance": "PT1H"}` or `{"set": "2030-01-31T09:00:00Z"}`, as if so much time had passed; `{"jump": "PT10M"}` sets
/// the clock ahead while none passes.
#[cfg(feature = "test-clock")]
pub(super) async fn clock(State(server): State<Arc<Server>>, sent: crate::http::asker::Sent) -> Result<Answer, Problem> {
    use crate::domain::{Duration, Timestamp};
    use crate::engine::ports::Clock as _;
    let Some(clock) = &server.clock else { return Err(crate::http::problem::no_such_endpoint("/dev/clock")) };
    let mut members = sent.members()?;
    let (advance, jump): (Option<Duration>, Option<Duration>) = (members.optional("advance")?, members.optional("jump")?);
    let set: Option<Timestamp> = members.optional("set")?;
    members.finish(&[])?;
    match (advance, set, jump) {
        (Some(by), None, None) => drop(clock.advance(by)),
        (None, Some(to), None) => clock.set(to),
        (None, None, Some(by)) => drop(clock.jump(by)),
        _ => return Err(crate::http::problem::bad_parameter("body", "give `advance`, `set` or `jump`, one of them")),
    }
    Ok(Answer::ok(server.engine.view().seq, json!({ "now": clock.now() })))
}
