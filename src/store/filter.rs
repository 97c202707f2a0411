//! Which records of the journal a filter means.
//!
//! Most events name a grant by its id only. Whose it is and for which role never changes once it was granted, so the kept row tells; a search
//! for a role or a principal finds the whole story of a grant and not only its first record.

use serde::Deserialize;
use serde_json::Value as Json;

use super::family::{ACTIVATIONS, ASSIGNMENTS, At, ELIGIBILITIES, GRANT_REQUESTS, INCIDENTS};
use crate::domain::event::Record;
use crate::domain::grant::Cause;
use crate::domain::review::Subject as Reviewed;
use crate::domain::{ActivationId, AssignmentId, EligibilityId, Event, Incident, IncidentId, RoleName, Timestamp, Topic, Uid, Unavailable};
use crate::engine::ports::AuditFilter;

/// A filter, and the rows that it looks names up in.
pub(super) struct Matcher<'a> {
    at: &'a At<'a>,
    filter: &'a AuditFilter,
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
        let AuditFilter { principal, role, activation, kind, from: _, to: _, newest_first: _ } = self.filter;
        if principal.is_none() && role.is_none() && activation.is_none() && kind.is_none() {
            return Ok(true);
        }
        serde_json::from_slice::<Record>(bytes).map_or(Ok(true), |record| self.means(&record))
    }

    fn means(&self, record: &Record) -> Result<bool, Unavailable> {
        let AuditFilter { principal, role, activation, kind, from: _, to: _, newest_first: _ } = self.filter;
        if kind.as_ref().is_some_and(|kind| !record.events.iter().any(|event| event.kind() == kind)) {
            return Ok(false);
        }
        if let Some(id) = activation {
            let named = |event: &Event| {
                event.topic() == Topic::Activation(id)
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
        Ok(match event.topic() {
            Topic::Role(of) => of == role,
            Topic::Bundle => matches!(event, Event::BundleActivated { roles_removed, .. } if roles_removed.contains(role)),
            Topic::Cascade(Cause::RoleRemoved(of) | Cause::CapLowered(of) | Cause::RoleRevoked(of)) => of == role,
            Topic::Incident(id) => self.incident(id)?.is_some_and(|incident| incident.finding.role.as_ref() == Some(role)),
            Topic::ReviewDefinition(_) => matches!(event, Event::ReviewDefined { definition } if definition.plan.roles.contains(role)),
            Topic::Review(_) => {
                matches!(event, Event::ReviewOpened { review, .. } if review.plan.roles.contains(role))
                    || matches!(event, Event::ReviewItemsTaken { items, .. } if items.iter().any(|item| item.role == *role))
            }
            Topic::Activation(_)
            | Topic::Eligibility(_)
            | Topic::Assignment(_)
            | Topic::GrantRequest(_)
            | Topic::ReviewItem(..)
            | Topic::Entity(_)
            | Topic::Cascade(_)
            | Topic::Clock
            | Topic::Refusal => self.subject(event)?.is_some_and(|subject| subject.role == *role),
        })
    }

    fn is_about_uid(&self, event: &Event, uid: &Uid) -> Result<bool, Unavailable> {
        let json = serde_json::to_value(event).map_err(|error| Unavailable(format!("an event has no form in JSON: {error}")))?;
        if let Topic::Incident(id) = event.topic()
            && self.incident(id)?.is_some_and(|incident| incident.finding.principal.as_ref() == Some(uid))
        {
            return Ok(true);
        }
        Ok(names(&json, uid) || self.subject(event)?.is_some_and(|subject| subject.holder == *uid))
    }

    /// The incident of that id: whom it concerns never changes.
    fn incident(&self, id: &IncidentId) -> Result<Option<Incident>, Unavailable> {
        INCIDENTS.get(self.at, id)
    }

    /// The grant that an event is about, where it is about one.
    fn subject(&self, event: &Event) -> Result<Option<Subject>, Unavailable> {
        let of = |holder, role| Subject { holder, role };
        let activation =
            |id: &ActivationId| Ok::<_, Unavailable>(ACTIVATIONS.get(self.at, id)?.map(|found| of(found.principal, found.role)));
        let eligibility = |id: &EligibilityId| Ok(ELIGIBILITIES.get(self.at, id)?.map(|found| of(found.holder, found.role)));
        let assignment = |id: &AssignmentId| Ok(ASSIGNMENTS.get(self.at, id)?.map(|found| of(found.holder, found.role)));
        match event.topic() {
            Topic::Activation(id) | Topic::ReviewItem(_, Reviewed::Activation(id)) => activation(id),
            Topic::Eligibility(id) | Topic::ReviewItem(_, Reviewed::Eligibility(id)) => eligibility(id),
            Topic::Assignment(id) | Topic::ReviewItem(_, Reviewed::Assignment(id)) => assignment(id),
            Topic::GrantRequest(id) => Ok(GRANT_REQUESTS.get(self.at, id)?.map(|found| of(found.holder, found.role))),
            Topic::Entity(_)
            | Topic::Role(_)
            | Topic::ReviewDefinition(_)
            | Topic::Review(_)
            | Topic::Incident(_)
            | Topic::Cascade(_)
            | Topic::Bundle
            | Topic::Clock
            | Topic::Refusal => Ok(None),
        }
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
