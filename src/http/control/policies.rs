//! `/v1/policies`: which bundle is live, taking another from the folder, and trying one out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::Outcome;
use crate::domain::facts::{Action, Object};
use crate::http::ReloadError;
use crate::http::asker::{Asker, Params, Sent, SentBundle};
use crate::http::limits::MAX_SHADOWED_SHOWN;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::policy::{Bundle, BundleError, TestOutcome};

/// `GET /v1/policies`.
pub(super) async fn get(asker: Asker, params: Params) -> Result<Answer, Problem> {
    asker.demand(Action::ManageBundle, Object::Sidecar)?;
    params.finish()?;
    let (view, health) = (asker.server.engine.view(), asker.server.engine.health());
    let shadowed = asker.clone().read(|asker| Ok(asker.server.engine.shadowed(MAX_SHADOWED_SHOWN)?)).await?;
    let files: Vec<Value> =
        view.bundle.files().iter().map(|file| json!({ "path": file.path, "bytes": file.bytes, "sha256": file.sha256 })).collect();
    let body = json!({
        "revision": view.bundle.revision(),
        "activated_at": view.activated_at,
        "age": health.bundle_age,
        "policies": view.bundle.policy_count(),
        "roles": view.bundle.definitions().roles.len(),
        "files": files,
        "warnings": view.bundle.warnings(),
        "shadowed": { "count": shadowed.count, "entities": shadowed.entities },
        "folder": asker.server.policies.path().display().to_string(),
        "degraded": health.degraded,
        "last_error": health.last_error.map(|error| json!({ "message": error.message, "at": error.at })),
    });
    Ok(Answer::ok(asker.seq, body))
}

/// `POST /v1/policies/reload`: asked before any file is read.
pub(super) async fn reload(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    asker.demand(Action::ManageBundle, Object::Sidecar)?;
    params.finish()?;
    sent.members_or_none()?.finish(&["dry_run"])?;
    let _hand = asker.server.bundle_jobs.try_acquire().map_err(|_| problem::busy("another bundle is being read"))?;
    let reply = asker.server.policies.reload(asker.actor()).await.map_err(|error| match error {
        ReloadError::Bundle(error) => problem::bundle_invalid(&problems(&error), error.to_string()),
        ReloadError::Submit(error) => error.into(),
    })?;
    let outcome = if matches!(reply.outcome, Outcome::BundleActivated(_)) { "activated" } else { "unchanged" };
    let body = json!({ "outcome": outcome, "revision": asker.server.engine.view().bundle.revision() });
    Ok(Answer::ok(reply.seq, body).repeated(reply.repeated))
}

/// `POST /v1/policies/validate`: nothing is kept of what was sent.
pub(super) async fn validate(asker: Asker, params: Params, SentBundle(sent): SentBundle) -> Result<Answer, Problem> {
    asker.demand(Action::ManageBundle, Object::Sidecar)?;
    params.finish()?;
    let mut members = sent.members()?;
    let files: BTreeMap<String, String> = members.required("files")?;
    members.finish(&[])?;
    let server = std::sync::Arc::clone(&asker.server);
    let _hand = server.bundle_jobs.try_acquire().map_err(|_| problem::busy("another bundle is being read"))?;
    let seq = asker.seq;
    let body = asker.read(move |_| Ok(tried(files))).await?;
    Ok(Answer::ok(seq, body))
}

fn tried(files: BTreeMap<String, String>) -> Value {
    let files = files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    match Bundle::from_files(files) {
        Ok(bundle) => json!({
            "valid": true,
            "revision": bundle.revision(),
            "policies": bundle.policy_count(),
            "warnings": bundle.warnings(),
            "tests": bundle.run_tests().iter().map(test).collect::<Vec<_>>(),
            "problems": [],
        }),
        Err(error) => json!({ "valid": false, "problems": problems(&error), "more": error.more(), "text": error.to_string() }),
    }
}

fn test(test: &TestOutcome) -> Value {
    json!({
        "name": test.name,
        "file": test.file,
        "line": test.line,
        "guard": test.guard,
        "passed": test.result.is_ok(),
        "explanation": test.result.as_ref().err(),
    })
}

fn problems(error: &BundleError) -> Value {
    json!(error.problems())
}
