//! What a subscriber sees of a record of the journal. Who watches everything and may read the audit sees it whole; everybody else sees what is
//! their own, and what they may read, event by event. Asked anew for each record, when it is sent.
//!
//! Lost: asking once, at the start of a stream, after which a right that was taken away would still be used.

use serde_json::{Value, json};

use crate::domain::event::Event;
use crate::domain::facts::{Action, Object};
use crate::domain::review::Subject;
use crate::domain::{ActivationId, AssignmentId, EligibilityId, Record, Topic, Uid, Unavailable};
use crate::http::asker::Asker;
use crate::http::problem::Problem;
use crate::http::views;

use super::audit::texts;

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
    let may_read = |id: &ActivationId| reader.activation(id)?.map_or(Ok(false), |found| asker.may_read(&found));
    let is_of_the_eligible = |id: &EligibilityId| Ok(reader.eligibility(id)?.is_some_and(|found| selves.contains(&found.holder)));
    let is_of_the_assigned = |id: &AssignmentId| Ok(reader.assignment(id)?.is_some_and(|found| selves.contains(&found.holder)));
    match event.topic() {
        Topic::Activation(id) => may_read(id),
        Topic::Eligibility(id) => is_of_the_eligible(id),
        Topic::Assignment(id) => is_of_the_assigned(id),
        Topic::GrantRequest(id) => Ok(reader.grant_request(id)?.is_some_and(|found| asker.owns_request(&found, selves))),
        Topic::Entity(uid) => Ok(asker.is(uid)),
        // What became of a grant is its holder's to see; who decided so, and why, is not.
        Topic::ReviewItem(_, subject) if matches!(event, Event::ReviewItemApplied { .. }) => match subject {
            Subject::Activation(id) => may_read(id),
            Subject::Eligibility(id) => is_of_the_eligible(id),
            Subject::Assignment(id) => is_of_the_assigned(id),
        },
        // that somebody is found odd is for those who look after alerts
        Topic::Incident(_)
        | Topic::ReviewItem(..)
        | Topic::Review(_)
        | Topic::ReviewDefinition(_)
        | Topic::Role(_)
        | Topic::Cascade(_)
        | Topic::Bundle
        | Topic::Clock
        | Topic::Refusal => Ok(false),
    }
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
