//! Which records of the journal a filter means.
//!
//! Most events name a grant by its id only. Whose it is and for which role never changes once it was granted, so the kept row tells; a search
//! for a role or a principal finds the whole story of a grant and not only its first record.

use serde::Deserialize;
use serde_json::Value as Json;

use super::family::{ACTIVATIONS, ASSIGNMENTS, At, ELIGIBILITIES, GRANT_REQUESTS, INCIDENTS};
use crate::domain::alert::AlertEvent;
use crate::domain::command::Everything;
use crate::domain::event::Record;
use crate::domain::grant::Cause;
use crate::domain::review::Subject as Reviewed;
use crate::domain::{ActivationId, AssignmentId, EligibilityId, Event, GrantRequestId, Incident, RoleName, Timestamp, Uid, Unavailable};
use crate::engine::ports::AuditFilter;

/// A filter, and the rows that it looks names up in.
pub(super) struct Matcher<'a> {
    at: &'a At<'a>,
    filter: &'a AuditFilter,
}

/// The grant that an event is about, where it is about one.
enum Grant<'e> {
    Activation(&'e ActivationId),
    Eligibility(&'e EligibilityId),
    Assignment(&'e AssignmentId),
    Request(&'e GrantRequestId),
}

/// A grant's lasting facts.
struct Subject {
    holder: Uid,
    role: RoleName,
}

/// When a record was decided, where that can be read.
pub(super) fn decided_at(bytes: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Stamp {
        at: Timestamp,
    }
    serde_json::from_slice(bytes).ok().map(|Stamp { at }| at)
}

impl<'a> Matcher<'a> {
    pub(super) fn new(at: &'a At<'a>, filter: &'a AuditFilter) -> Self {
        Self { at, filter }
    }

    /// Whether the filter means a record that was decided at an instant. One that cannot be read is meant, whatever it is that is looked for: nobody
    /// can say that it is not about that.
    pub(super) fn matches(&self, at: Timestamp, bytes: &[u8]) -> Result<bool, Unavailable> {
        if self.filter.from.is_some_and(|from| at < from) || self.filter.to.is_some_and(|to| at >= to) {
            return Ok(false);
        }
        let AuditFilter { principal, role, activation, kind, from: _, to: _ } = self.filter;
        if principal.is_none() && role.is_none() && activation.is_none() && kind.is_none() {
            return Ok(true);
        }
        serde_json::from_slice::<Record>(bytes).map_or(Ok(true), |record| self.means(&record))
    }

    fn means(&self, record: &Record) -> Result<bool, Unavailable> {
        let AuditFilter { principal, role, activation, kind, from: _, to: _ } = self.filter;
        if kind.as_ref().is_some_and(|kind| !record.events.iter().any(|event| event.kind() == kind)) {
            return Ok(false);
        }
        if let Some(id) = activation {
            let named = |event: &Event| {
                matches!(grant(event), Some(Grant::Activation(named)) if named == id)
                    || matches!(event, Event::ActivationExtended { by, .. } if by == id)
                    || matches!(event, Event::ActivationRequested { activation } if activation.extends.as_ref() == Some(id))
            };
            if !record.events.iter().any(named) {
                return Ok(false);
            }
        }
        if let Some(role) = role
            && !any(&record.events, |event| self.is_about_role(event, role))?
        {
            return Ok(false);
        }
        match principal {
            Some(uid) if record.actor.principal() != Some(uid) => any(&record.events, |event| self.is_about_uid(event, uid)),
            _ => Ok(true),
        }
    }

    fn is_about_role(&self, event: &Event, role: &RoleName) -> Result<bool, Unavailable> {
        let by_name = match event {
            Event::BundleActivated { roles_removed, .. } => roles_removed.contains(role),
            Event::CascadeContinues { cause } | Event::CascadeCompleted { cause } => {
                matches!(cause, Cause::RoleRemoved(of) | Cause::CapLowered(of) | Cause::RoleRevoked(of) if of == role)
            }
            Event::ActivationsVoided { of: Everything::Role(of), .. } => of == role,
            Event::GrantRequested { request } => request.role == *role,
            Event::ActivationRequested { activation } => activation.role == *role,
            Event::EligibilityCreated { eligibility } => eligibility.role == *role,
            Event::AssignmentCreated { assignment } => assignment.role == *role,
            Event::ReviewDefined { definition } => definition.plan.roles.contains(role),
            Event::ReviewOpened { review, .. } => review.plan.roles.contains(role),
            Event::ReviewItemsTaken { items, .. } => items.iter().any(|item| item.role == *role),
            Event::Alert(event) => self.incident(event)?.is_some_and(|incident| incident.finding.role.as_ref() == Some(role)),
            Event::ReviewsEnded { .. }
            | Event::ReviewStageBegan { .. }
            | Event::ReviewReminded { .. }
            | Event::ReviewItemDecided { .. }
            | Event::ReviewCompleted { .. }
            | Event::ReviewApplying { .. }
            | Event::ReviewItemApplied { .. }
            | Event::ReviewApplied { .. }
            | Event::ApprovalGiven { .. }
            | Event::VotesVoided { .. }
            | Event::StageReached { .. }
            | Event::QuorumUnreachable { .. }
            | Event::ActivationScheduled { .. }
            | Event::ActivationExtended { .. }
            | Event::ActivationClamped { .. }
            | Event::EmergencyUsed { .. }
            | Event::ActivationsVoided { of: Everything::Principal(_), .. }
            | Event::ClockAccepted {}
            | Event::EligibilityExtended { .. }
            | Event::AssignmentExtended { .. }
            | Event::GrantRequestApproved { .. }
            | Event::GrantRequestDenied { .. }
            | Event::GrantRequestCancelled { .. }
            | Event::GrantRequestTimedOut { .. }
            | Event::ActivationStarted { .. }
            | Event::ActivationDenied { .. }
            | Event::ActivationCancelled { .. }
            | Event::ActivationTimedOut { .. }
            | Event::ActivationFailed { .. }
            | Event::ActivationDeactivated { .. }
            | Event::ActivationRevoked { .. }
            | Event::ActivationExpired { .. }
            | Event::EligibilityRemoved { .. }
            | Event::EligibilityExpired { .. }
            | Event::AssignmentRemoved { .. }
            | Event::AssignmentExpired { .. }
            | Event::EntityStored { .. }
            | Event::EntityDeleted { .. }
            | Event::EntityDisabled { .. }
            | Event::EntityEnabled { .. }
            | Event::CommandRefused { .. } => false,
        };
        Ok(by_name || self.subject(event)?.is_some_and(|subject| subject.role == *role))
    }

    fn is_about_uid(&self, event: &Event, uid: &Uid) -> Result<bool, Unavailable> {
        let json = serde_json::to_value(event).map_err(|error| Unavailable(format!("an event has no form in JSON: {error}")))?;
        if let Event::Alert(event) = event
            && self.incident(event)?.is_some_and(|incident| incident.finding.principal.as_ref() == Some(uid))
        {
            return Ok(true);
        }
        Ok(names(&json, uid) || self.subject(event)?.is_some_and(|subject| subject.holder == *uid))
    }

    /// The incident that an event is about: whom it concerns never changes.
    fn incident(&self, event: &AlertEvent) -> Result<Option<Incident>, Unavailable> {
        INCIDENTS.get(self.at, event.incident())
    }

    fn subject(&self, event: &Event) -> Result<Option<Subject>, Unavailable> {
        Ok(match grant(event) {
            None => None,
            Some(Grant::Activation(id)) => ACTIVATIONS.get(self.at, id)?.map(|found| Subject { holder: found.principal, role: found.role }),
            Some(Grant::Eligibility(id)) => ELIGIBILITIES.get(self.at, id)?.map(|found| Subject { holder: found.holder, role: found.role }),
            Some(Grant::Request(id)) => GRANT_REQUESTS.get(self.at, id)?.map(|found| Subject { holder: found.holder, role: found.role }),
            Some(Grant::Assignment(id)) => ASSIGNMENTS.get(self.at, id)?.map(|found| Subject { holder: found.holder, role: found.role }),
        })
    }
}

fn any(events: &[Event], mut test: impl FnMut(&Event) -> Result<bool, Unavailable>) -> Result<bool, Unavailable> {
    for event in events {
        if test(event)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an entity is named anywhere in a value, as `{"type", "id"}`.
fn names(json: &Json, uid: &Uid) -> bool {
    match json {
        Json::Object(members) => {
            let is = |name: &str, text: &str| members.get(name).and_then(Json::as_str) == Some(text);
            (is("type", uid.kind()) && is("id", uid.id())) || members.values().any(|value| names(value, uid))
        }
        Json::Array(items) => items.iter().any(|item| names(item, uid)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn grant(event: &Event) -> Option<Grant<'_>> {
    Some(match event {
        Event::ActivationRequested { activation } => Grant::Activation(&activation.id),
        Event::ApprovalGiven { id, .. }
        | Event::VotesVoided { id, .. }
        | Event::StageReached { id, .. }
        | Event::QuorumUnreachable { id, .. }
        | Event::ActivationScheduled { id, .. }
        | Event::ActivationExtended { id, .. }
        | Event::ActivationClamped { id, .. }
        | Event::EmergencyUsed { id, .. }
        | Event::ActivationStarted { id, .. }
        | Event::ActivationDenied { id, .. }
        | Event::ActivationCancelled { id, .. }
        | Event::ActivationTimedOut { id }
        | Event::ActivationFailed { id, .. }
        | Event::ActivationDeactivated { id, .. }
        | Event::ActivationRevoked { id, .. }
        | Event::ActivationExpired { id } => Grant::Activation(id),
        Event::EligibilityCreated { eligibility } => Grant::Eligibility(&eligibility.id),
        Event::EligibilityRemoved { id, .. } | Event::EligibilityExtended { id, .. } | Event::EligibilityExpired { id } => {
            Grant::Eligibility(id)
        }
        Event::AssignmentCreated { assignment } => Grant::Assignment(&assignment.id),
        Event::AssignmentRemoved { id, .. } | Event::AssignmentExtended { id, .. } | Event::AssignmentExpired { id } => {
            Grant::Assignment(id)
        }
        Event::ReviewItemDecided { subject, .. } | Event::ReviewItemApplied { subject, .. } => match subject {
            Reviewed::Eligibility(id) => Grant::Eligibility(id),
            Reviewed::Assignment(id) => Grant::Assignment(id),
            Reviewed::Activation(id) => Grant::Activation(id),
        },
        Event::EntityStored { .. }
        | Event::ReviewDefined { .. }
        | Event::ReviewsEnded { .. }
        | Event::ReviewOpened { .. }
        | Event::ReviewItemsTaken { .. }
        | Event::ReviewStageBegan { .. }
        | Event::ReviewReminded { .. }
        | Event::ReviewCompleted { .. }
        | Event::ReviewApplying { .. }
        | Event::ReviewApplied { .. }
        | Event::EntityDeleted { .. }
        | Event::EntityDisabled { .. }
        | Event::EntityEnabled { .. }
        | Event::BundleActivated { .. }
        | Event::ActivationsVoided { .. }
        | Event::ClockAccepted {}
        | Event::CascadeContinues { .. }
        | Event::CascadeCompleted { .. }
        | Event::Alert(_)
        | Event::CommandRefused { .. } => return None,
        Event::GrantRequested { request } => Grant::Request(&request.id),
        Event::GrantRequestApproved { id, .. }
        | Event::GrantRequestDenied { id, .. }
        | Event::GrantRequestCancelled { id, .. }
        | Event::GrantRequestTimedOut { id } => Grant::Request(id),
    })
}
