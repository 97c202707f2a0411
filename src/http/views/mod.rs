//! How what is kept reads on the wire. One function a thing, so that a list, a single answer and `/v1/me` cannot differ.

mod activation;
mod alert;
mod entity;
mod grant;
mod holding;
mod review;
mod role;

pub(super) use activation::{activation, not_held};
pub(super) use alert::{alert, incident};
pub(super) use entity::entity;
pub(super) use grant::{assignment, eligibility, grant_request};
pub(super) use holding::{holding, holding_at_home};
pub(super) use review::{review, review_definition, review_item};
pub(super) use role::{role, role_summary};

use serde_json::{Value, json};

use crate::domain::grant::Cause;
use crate::domain::{Actor, Facts, TextDigest, Unavailable};

/// The principal of an actor; nothing for Elevon itself.
fn who(actor: &Actor) -> Value {
    json!(actor.principal())
}

/// An erasable text: nothing where none was given or it was erased.
fn text(facts: &dyn Facts, digest: Option<&TextDigest>) -> Result<Value, Unavailable> {
    let Some(digest) = digest else { return Ok(Value::Null) };
    Ok(facts.text(digest)?.map_or(Value::Null, |text| Value::String(text.value)))
}

/// Puts a member into what is shown.
pub(super) fn put(shown: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = shown {
        members.insert(name.to_owned(), value);
    }
}

/// A change that another change followed from, as a word and what it was about.
fn cause(cause: &Cause) -> Value {
    match cause {
        Cause::EligibilityRemoved(id) => json!({ "kind": "eligibility_removed", "eligibility": id }),
        Cause::EligibilityEnded(id) => json!({ "kind": "eligibility_ended", "eligibility": id }),
        Cause::PrincipalDisabled(uid) => json!({ "kind": "principal_disabled", "entity": uid }),
        Cause::PrincipalDeleted(uid) => json!({ "kind": "principal_deleted", "entity": uid }),
        Cause::GroupLeft(uid) => json!({ "kind": "group_left", "entity": uid }),
        Cause::ScopeDeleted(uid) => json!({ "kind": "scope_deleted", "entity": uid }),
        Cause::RoleRemoved(role) => json!({ "kind": "role_removed", "role": role }),
        Cause::CapLowered(role) => json!({ "kind": "cap_lowered", "role": role }),
        Cause::PrincipalRevoked(uid) => json!({ "kind": "principal_revoked", "entity": uid }),
        Cause::RoleRevoked(role) => json!({ "kind": "role_revoked", "role": role }),
        Cause::ClockAccepted => json!({ "kind": "clock_accepted" }),
        Cause::NotPermitted(uid) => json!({ "kind": "not_permitted", "entity": uid }),
        Cause::WindowPast(at) => json!({ "kind": "window_past", "end": at }),
        Cause::StartMissed(at) => json!({ "kind": "start_missed", "begin_by": at }),
        Cause::BudgetExhausted(role) => json!({ "kind": "budget_exhausted", "role": role }),
        Cause::ParentEnded(id) => json!({ "kind": "parent_ended", "activation": id }),
    }
}
