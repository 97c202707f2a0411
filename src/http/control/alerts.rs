//! `/v1/alerts`: which alerts there are, the incidents that they found, and what people do about these.

use std::sync::Arc;

use axum::extract::Path;
use serde_json::{Value, json};

use crate::domain::alert::{AlertKind, AlertTally, Incident, IncidentStatus, Severity};
use crate::domain::facts::{Action, Object};
use crate::domain::id::IncidentId;
use crate::domain::{Command, Outcome, RoleName, Text};
use crate::engine::ports::{IncidentFilter, Page};
use crate::http::asker::{Asker, Done, Params, Sent};
use crate::http::ids::take_text;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::missing;
use crate::http::views;

use super::activations::one_of;
use super::endings::ending;
use super::grants::not_found;
use super::paging::{listed, through};

impl Asker {
    /// Refuses who may not see alerts.
    fn demand_alerts(&self) -> Result<(), Problem> {
        if self.may_audit()? { Ok(()) } else { self.demand(Action::ManageAlerts, Object::Sidecar) }
    }
}

fn incident_id(text: &str) -> Result<IncidentId, Problem> {
    IncidentId::new(text).map_err(|bad| problem::bad_parameter("id", bad))
}

/// Reads one of a few words.
fn known<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let found = all.iter().copied().find(|case| word(*case) == text);
    found.ok_or_else(|| format!("write {}", one_of(&all.iter().map(|case| word(*case)).collect::<Vec<_>>())))
}

/// `GET /v1/alerts`: every kind, its rule, and how many incidents of it last.
pub(super) async fn kinds(asker: Asker, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            asker.demand_alerts()?;
            let engine = &asker.server.engine;
            let view = engine.view();
            let rules = &view.bundle.definitions().alerts;
            let mut items = Vec::with_capacity(AlertKind::ALL.len());
            for kind in AlertKind::ALL {
                let mut sum = AlertTally::default();
                for severity in Severity::ALL {
                    let tally = engine.reader().alert_tally(kind, severity)?;
                    sum.open = sum.open.saturating_add(tally.open);
                    sum.dismissed = sum.dismissed.saturating_add(tally.dismissed);
                }
                items.push(views::alert(kind, &rules.of(kind), sum));
            }
            let (detected, health) = (engine.detected(), engine.health());
            Ok(json!({
                "items": items,
                "detected": { "seq": detected.seq, "now": detected.now },
                // while this is so nothing can be recorded, an incident neither
                "trouble": { "clock": !health.time_trusted, "journal": !health.writer_ok },
            }))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/alerts/incidents`.
pub(super) async fn list(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    let filter = IncidentFilter {
        kind: params.read("kind", |text| known(&AlertKind::ALL, AlertKind::as_str, text))?,
        severity: params.read("severity", |text| known(&Severity::ALL, Severity::as_str, text))?,
        status: params.read("status", |text| known(&IncidentStatus::ALL, IncidentStatus::as_str, text))?,
        principal: params.entity("principal_type", "principal_id")?,
        role: params.read("role", RoleName::new)?,
        from: params.instant("from")?,
        to: params.instant("to")?,
    };
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            asker.demand_alerts()?;
            let engine = &asker.server.engine;
            let read = |page: &Page| engine.reader().incidents(&filter, page);
            let show = |found: &Arc<Incident>| Ok(Some(engine.facts(|facts, _, _| views::incident(facts, found))?));
            Ok(listed(through(&page, read, show)?))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/alerts/incidents/{id}`.
pub(super) async fn one(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let id = incident_id(&id)?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            asker.demand_alerts()?;
            let found = asker.server.engine.reader().incident(&id)?.ok_or_else(|| not_found("incident", &id))?;
            Ok(asker.server.engine.facts(|facts, _, _| views::incident(facts, &found))?)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// What became of a command about an incident.
async fn changed(asker: Asker, done: Done) -> Result<Answer, Problem> {
    let outcome = &done.reply.outcome;
    let Outcome::AlertChanged(id) = outcome else { return Err(problem::unforeseen(outcome)) };
    let id = id.clone();
    let (body, done): (Value, Done) = asker
        .read(move |asker| {
            let found = asker.after(&done, |_, tables, _| tables.incident(&id))?.ok_or_else(|| not_found("incident", &id))?;
            Ok((asker.after(&done, |facts, _, _| views::incident(facts, &found))?, done))
        })
        .await?;
    Ok(done.answer(body))
}

/// Why an incident is put aside, and whether that is only tried.
pub(super) fn dismissal(sent: &Sent) -> Result<(Text, bool), Problem> {
    let mut members = sent.members()?;
    let (reason, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    let reason = reason.ok_or_else(|| missing("reason", "`reason` is missing or blank; whoever reads the incident wants to know why"))?;
    Ok((reason, dry_run))
}

/// `POST /v1/alerts/incidents/{id}/dismiss`.
pub(super) async fn dismiss(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (incident_id(&id)?, dismissal(&sent)?);
    let done = asker.submit(&sent, Command::DismissAlert { id, reason }, dry_run).await?;
    changed(asker, done).await
}

/// `POST /v1/alerts/incidents/{id}/rearm`.
pub(super) async fn rearm(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let id = incident_id(&id)?;
    let mut members = sent.members_or_none()?;
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    let done = asker.submit(&sent, Command::RearmAlert { id }, dry_run).await?;
    changed(asker, done).await
}

/// `POST /v1/alerts/incidents/{id}/remedy`.
pub(super) async fn remedy(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (incident_id(&id)?, ending(&sent)?);
    let done = asker.submit(&sent, Command::RemedyAlert { id, reason }, dry_run).await?;
    changed(asker, done).await
}
