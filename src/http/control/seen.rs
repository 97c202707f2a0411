//! What a subscriber sees of a record of the journal. Who watches everything and may read the audit sees it whole; everybody else sees what is
//! their own, and what they may read, event by event. Asked anew for each record, when it is sent.
//!
//! Lost: asking once, at the start of a stream, after which a right that was taken away would still be used.

use serde_json::{Value, json};

use crate::domain::command::Everything;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object};
use crate::domain::review::Subject;
use crate::domain::{Activation, ActivationId, AssignmentId, EligibilityId, GrantRequest, GrantRequestId, Record, Uid, Unavailable};
use crate::http::asker::Asker;
use crate::http::problem::Problem;
use crate::http::views;

use super::audit::texts;

/// What an event is about, as far as somebody may have a part in it.
enum About<'a> {
    /// A request or an activation as it was asked for.
    Asked(&'a Activation),
    Activation(&'a ActivationId),
    /// A grant of this holder.
    Holder(&'a Uid),
    Eligibility(&'a EligibilityId),
    Assignment(&'a AssignmentId),
    /// A request to prolong a grant as it was made.
    Prolong(&'a GrantRequest),
    GrantRequest(&'a GrantRequestId),
    Entity(&'a Uid),
    /// Nobody in particular: the bundle, the clock, or what somebody was refused.
    Nobody,
}

fn about(event: &Event) -> About<'_> {
    match event {
        Event::ActivationRequested { activation } => About::Asked(activation),
        Event::ApprovalGiven { id, .. }
        | Event::VotesVoided { id, .. }
        | Event::StageReached { id, .. }
        | Event::QuorumUnreachable { id, .. }
        | Event::ActivationScheduled { id, .. }
        | Event::ActivationStarted { id, .. }
        | Event::ActivationExtended { id, .. }
        | Event::ActivationClamped { id, .. }
        | Event::EmergencyUsed { id, .. }
        | Event::ActivationDenied { id, .. }
        | Event::ActivationCancelled { id, .. }
        | Event::ActivationTimedOut { id }
        | Event::ActivationFailed { id, .. }
        | Event::ActivationDeactivated { id, .. }
        | Event::ActivationRevoked { id, .. }
        | Event::ActivationExpired { id } => About::Activation(id),
        Event::EligibilityCreated { eligibility } => About::Holder(&eligibility.holder),
        Event::EligibilityRemoved { id, .. } | Event::EligibilityExpired { id } | Event::EligibilityExtended { id, .. } => {
            About::Eligibility(id)
        }
        Event::AssignmentCreated { assignment } => About::Holder(&assignment.holder),
        Event::AssignmentRemoved { id, .. } | Event::AssignmentExpired { id } | Event::AssignmentExtended { id, .. } => {
            About::Assignment(id)
        }
        Event::GrantRequested { request } => About::Prolong(request),
        Event::GrantRequestApproved { id, .. }
        | Event::GrantRequestDenied { id, .. }
        | Event::GrantRequestCancelled { id, .. }
        | Event::GrantRequestTimedOut { id } => About::GrantRequest(id),
        // What became of a grant is its holder's to see; who decided so, and why, is not.
        Event::ReviewItemApplied { subject, .. } => match subject {
            Subject::Eligibility(id) => About::Eligibility(id),
            Subject::Assignment(id) => About::Assignment(id),
            Subject::Activation(id) => About::Activation(id),
        },
        Event::EntityStored { entity } => About::Entity(&entity.uid),
        Event::EntityDeleted { uid, .. } | Event::EntityDisabled { uid, .. } | Event::EntityEnabled { uid, .. } => About::Entity(uid),
        Event::ActivationsVoided { of: Everything::Principal(uid), .. } => About::Entity(uid),
        Event::ActivationsVoided { of: Everything::Role(_), .. }
        | Event::ClockAccepted {}
        | Event::BundleActivated { .. }
        | Event::ReviewDefined { .. }
        | Event::ReviewsEnded { .. }
        | Event::ReviewOpened { .. }
        | Event::ReviewItemsTaken { .. }
        | Event::ReviewStageBegan { .. }
        | Event::ReviewReminded { .. }
        | Event::ReviewItemDecided { .. }
        | Event::ReviewCompleted { .. }
        | Event::ReviewApplying { .. }
        | Event::ReviewApplied { .. }
        // that somebody is found odd is for those who look after alerts
        | Event::Alert(_)
        | Event::CascadeContinues { .. }
        | Event::CascadeCompleted { .. }
        | Event::CommandRefused { .. } => About::Nobody,
    }
}

/// What the caller sees of a record; nothing, where nothing in it is the caller's to see.
pub(super) fn seen(asker: &Asker, record: &Record) -> Result<Option<Value>, Problem> {
    let whole = asker.may(Action::SubscribeEvents, Object::Sidecar)? && asker.may_audit()?;
    let mut shown = json!({
        "seq": record.seq,
        "at": record.at,
        "actor": record.actor,
        "command": record.command,
        "revision": record.revision,
        "events": record.events,
    });
    if !whole {
        let selves = asker.selves()?;
        let mut events = Vec::new();
        for event in &record.events {
            if is_seen(asker, event, &selves)? {
                events.push(json!(event));
            }
        }
        if events.is_empty() {
            return Ok(None);
        }
        views::put(&mut shown, "events", events.into());
        reduce(&mut shown);
    }
    let texts = texts(asker, &shown)?;
    views::put(&mut shown, "texts", texts.into());
    Ok(Some(shown))
}

fn is_seen(asker: &Asker, event: &Event, selves: &[Uid]) -> Result<bool, Unavailable> {
    let reader = asker.server.engine.reader();
    Ok(match about(event) {
        About::Asked(asked) => match reader.activation(&asked.id)? {
            // Its scope may be narrower by now; who may read it is asked as it is.
            Some(found) => asker.may_read(&found)?,
            None => asker.owns(asked),
        },
        About::Activation(id) => match reader.activation(id)? {
            Some(found) => asker.may_read(&found)?,
            None => false,
        },
        About::Holder(holder) => selves.contains(holder),
        About::Eligibility(id) => reader.eligibility(id)?.is_some_and(|found| selves.contains(&found.holder)),
        About::Assignment(id) => reader.assignment(id)?.is_some_and(|found| selves.contains(&found.holder)),
        About::Prolong(request) => asker.owns_request(request, selves),
        About::GrantRequest(id) => reader.grant_request(id)?.is_some_and(|found| asker.owns_request(&found, selves)),
        About::Entity(uid) => asker.is(uid),
        About::Nobody => false,
    })
}

/// Takes away what is said of people beyond who they are: how they signed in, and whom an account belongs to.
fn reduce(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Object(caller)) = members.get_mut("caller") {
                caller.retain(|name, _| name == "principal");
            }
            if members.contains_key("voter") {
                members.remove("person");
            }
            members.values_mut().for_each(reduce);
        }
        Value::Array(items) => items.iter_mut().for_each(reduce),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_named_and_nothing_more_is_said_of_them() {
        let alice = json!({ "type": "User", "id": "alice" });
        let mut shown = json!({
            "actor": { "caller": { "principal": alice, "credential": "dev", "amr": ["otp"], "groups": ["x"] } },
            "events": [{ "vote": { "voter": { "caller": { "principal": alice, "auth_time": 1 } }, "person": "a.adams", "stage": 0 } },
                       { "entity": { "attrs": { "person": "mine" } } }],
        });
        reduce(&mut shown);
        let expected = json!({
            "actor": { "caller": { "principal": alice } },
            "events": [{ "vote": { "voter": { "caller": { "principal": alice } }, "stage": 0 } }, { "entity": { "attrs": { "person": "mine" } } }],
        });
        assert_eq!(shown, expected);
    }
}
