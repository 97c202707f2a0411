//! Alerts: recording what detectors found, and what people do about it.
//!
//! Of a kind and a subject at most one incident lasts, and one episode has one incident: what was found before a crash and is found again after it
//! changes nothing. A remedy is the ordinary change, decided by its own rules and asked of its own right; the record says for which incident.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Case, Decision, Outcome, ending, entities, grants, not_found};
use crate::domain::alert::{AlertChange, AlertEvent, AlertKind, AlertSubject, Finding, Incident, IncidentStatus, Remedy};
use crate::domain::command::Everything;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Permitted, Unavailable};
use crate::domain::id::IncidentId;
use crate::domain::rejection::Rejection;
use crate::domain::text::Text;

/// Most changes that one command records: as many as fit a record, however long the names in them are.
pub const MAX_NOTED: usize = 50;

fn managed(case: &Case<'_>) -> Result<Permitted, Rejection> {
    case.ask(Action::ManageAlerts, Object::Sidecar)
}

/// Records what detectors found, and what of it is over.
pub(super) fn note(case: &Case<'_>, changes: &[AlertChange]) -> Result<Decision, Rejection> {
    if let Some(principal) = case.actor.principal() {
        return Err(Rejection::NotPermitted { principal: principal.clone(), action: "noteAlerts".to_owned(), policies: Vec::new() });
    }
    let mut noting = Noting { case, latest: BTreeMap::new(), events: Vec::new() };
    for change in changes.iter().take(MAX_NOTED) {
        match change {
            AlertChange::Raise(finding) => noting.raise(finding)?,
            AlertChange::Clear { kind, subject, began } => {
                let lasting = noting.latest(*kind, subject)?.filter(|latest| latest.lasts() && latest.finding.began() <= *began);
                if let Some(lasting) = lasting {
                    noting.clear(lasting);
                }
            }
        }
    }
    let outcome = if noting.events.is_empty() { Outcome::Unchanged } else { Outcome::Settled };
    Ok(Decision::unasked(noting.events, outcome))
}

/// Changes being recorded, each on what the ones before it left.
struct Noting<'a> {
    case: &'a Case<'a>,
    latest: BTreeMap<(AlertKind, AlertSubject), Incident>,
    events: Vec<Event>,
}

impl Noting<'_> {
    fn latest(&self, kind: AlertKind, subject: &AlertSubject) -> Result<Option<Incident>, Unavailable> {
        if let Some(known) = self.latest.get(&(kind, subject.clone())) {
            return Ok(Some(known.clone()));
        }
        let Some(id) = self.case.facts.latest_incident(kind, subject)? else { return Ok(None) };
        Ok(self.case.facts.incident(&id)?.map(Arc::unwrap_or_clone))
    }

    fn raise(&mut self, finding: &Finding) -> Result<(), Unavailable> {
        let latest = self.latest(finding.kind, &finding.subject)?;
        let known = |latest: &Incident| latest.lasts() || latest.finding.began() >= finding.began();
        if latest.as_ref().is_some_and(known) {
            return Ok(());
        }
        let Some(id) = finding.incident_id() else { return Ok(()) };
        let raised_at = self.case.now();
        let incident = Incident { id, finding: finding.clone(), raised_at, dismissed: None, cleared: None };
        self.latest.insert((finding.kind, finding.subject.clone()), incident.clone());
        self.events.push(Event::Alert(AlertEvent::Raised { incident: Box::new(incident) }));
        Ok(())
    }

    fn clear(&mut self, mut incident: Incident) {
        let id = incident.id.clone();
        incident.cleared = Some(crate::domain::alert::IncidentEnd { at: self.case.now(), by: None });
        self.latest.insert((incident.finding.kind, incident.finding.subject.clone()), incident);
        self.events.push(Event::Alert(AlertEvent::Cleared { id, remedied: false }));
    }
}

fn found(case: &Case<'_>, id: &IncidentId) -> Result<Arc<Incident>, Rejection> {
    case.facts.incident(id)?.ok_or_else(|| not_found("incident", id))
}

/// That an incident stands where the command does not take it, and since when.
fn stands(incident: &Incident) -> Rejection {
    let at = match (&incident.cleared, &incident.dismissed) {
        (Some(end), _) => end.at,
        (None, Some(dismissed)) => dismissed.at,
        (None, None) => incident.raised_at,
    };
    Rejection::NotInState { id: incident.id.to_string(), status: incident.status().as_str().to_owned(), at: Some(at) }
}

/// Puts an incident aside, for as long as what it is about lasts.
pub(super) fn dismiss(case: &Case<'_>, id: &IncidentId, reason: &Text) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let incident = found(case, id)?;
    if incident.status() != IncidentStatus::Open {
        return Err(stands(&incident));
    }
    let events = vec![Event::Alert(AlertEvent::Dismissed { id: id.clone(), reason: reason.digest() })];
    Ok(Decision::permitted(permitted, events, Outcome::AlertChanged(id.clone())))
}

/// Wants to hear again of an incident that was put aside.
pub(super) fn rearm(case: &Case<'_>, id: &IncidentId) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let incident = found(case, id)?;
    if incident.status() != IncidentStatus::Dismissed {
        return Err(stands(&incident));
    }
    let events = vec![Event::Alert(AlertEvent::Rearmed { id: id.clone() })];
    Ok(Decision::permitted(permitted, events, Outcome::AlertChanged(id.clone())))
}

/// Makes the change that ends what an incident is about.
pub(super) fn remedy(case: &Case<'_>, id: &IncidentId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let incident = found(case, id)?;
    if !incident.lasts() {
        return Err(stands(&incident));
    }
    let kind = incident.finding.kind;
    let change = match &incident.finding.remedy {
        None => return Err(Rejection::NoRemedy { id: id.clone(), kind, instead: kind.advice().to_owned() }),
        Some(Remedy::RemoveEligibility(of)) => grants::remove_eligibility(case, of, reason)?,
        Some(Remedy::RemoveAssignment(of)) => grants::remove_assignment(case, of, reason)?,
        Some(Remedy::RevokeActivation(of)) => ending::revoke(case, of, reason)?,
        Some(Remedy::RevokePrincipal(uid)) => ending::revoke_all(case, &Everything::Principal(uid.clone()), reason)?,
        Some(Remedy::DisablePrincipal(uid)) => entities::set_disabled(case, uid, true, reason)?,
    };
    let mut events = vec![Event::Alert(AlertEvent::Cleared { id: id.clone(), remedied: true })];
    events.extend(change.events);
    Ok(Decision::permitted(permitted, events, Outcome::AlertChanged(id.clone())))
}
