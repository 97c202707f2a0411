//! Security Event Tokens (RFC 8417) with the events of CAEP, so that other systems drop access too: a role that is held from now on, or no longer,
//! changes what a token of that principal may claim; and when one is over, sessions that rest on it are. Pushed by RFC 8935.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::addresses::Addresses;
use super::destination::short;
use super::guard::one_line;
use super::message::Message;
use super::settings::{SetSettings, SubjectFormat};
use crate::domain::event::Event;
use crate::domain::standing::{self, Moment, Presence, presence};
use crate::domain::{Facts, Record, Uid, Unavailable};
use crate::engine::ports::Reader;

/// A session is over (OpenID CAEP 1.0, section 3.1).
const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
/// What tokens claim has changed (section 3.2).
const TOKEN_CLAIMS_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";

/// What an event means for tokens and sessions of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// What is claimed has changed.
    Claims,
    /// And what rests on it is over.
    Over,
}

/// What an event means, and who is behind it, as CAEP has words for that.
fn meaning(event: &Event, by_somebody: bool) -> Option<(Meaning, &'static str)> {
    let changed_by = if by_somebody { "admin" } else { "policy" };
    match event {
        Event::ActivationStarted { .. } | Event::ActivationExtended { .. } => Some((Meaning::Claims, "user")),
        Event::ActivationClamped { .. } => Some((Meaning::Claims, "policy")),
        Event::ActivationExpired { .. } => Some((Meaning::Over, "system")),
        Event::ActivationDeactivated { .. } => Some((Meaning::Over, "user")),
        Event::ActivationRevoked { .. } => Some((Meaning::Over, changed_by)),
        Event::AssignmentCreated { .. } | Event::AssignmentExtended { .. } => Some((Meaning::Claims, changed_by)),
        Event::AssignmentRemoved { .. } => Some((Meaning::Over, changed_by)),
        Event::AssignmentExpired { .. } => Some((Meaning::Over, "system")),
        Event::EntityDisabled { .. } | Event::EntityDeleted { .. } => Some((Meaning::Over, changed_by)),
        Event::BundleActivated { .. } => Some((Meaning::Over, "policy")),
        // what was held before is held again
        Event::EntityEnabled { .. } => Some((Meaning::Claims, changed_by)),
        Event::ActivationRequested { .. }
        | Event::ApprovalGiven { .. }
        | Event::VotesVoided { .. }
        | Event::StageReached { .. }
        | Event::QuorumUnreachable { .. }
        | Event::ActivationScheduled { .. }
        | Event::EmergencyUsed { .. }
        | Event::ActivationsVoided { .. }
        | Event::ClockAccepted {}
        | Event::ActivationDenied { .. }
        | Event::ActivationCancelled { .. }
        | Event::ActivationTimedOut { .. }
        | Event::ActivationFailed { .. }
        | Event::EligibilityCreated { .. }
        | Event::EligibilityRemoved { .. }
        | Event::EligibilityExpired { .. }
        | Event::EligibilityExtended { .. }
        | Event::GrantRequested { .. }
        | Event::GrantRequestApproved { .. }
        | Event::GrantRequestDenied { .. }
        | Event::GrantRequestCancelled { .. }
        | Event::GrantRequestTimedOut { .. }
        | Event::EntityStored { .. }
        | Event::Alert(_)
        | Event::CascadeContinues { .. }
        | Event::CascadeCompleted { .. }
        | Event::ReviewDefined { .. }
        | Event::ReviewsEnded { .. }
        | Event::ReviewOpened { .. }
        | Event::ReviewItemsTaken { .. }
        | Event::ReviewStageBegan { .. }
        | Event::ReviewReminded { .. }
        | Event::ReviewItemDecided { .. }
        | Event::ReviewCompleted { .. }
        | Event::ReviewApplying { .. }
        | Event::ReviewItemApplied { .. }
        | Event::ReviewApplied { .. }
        | Event::CommandRefused { .. } => None,
    }
}

/// For whom tokens are made of an event: principals, and those whose type the receiver knows; first those that a bundle leaves out, in order of
/// names, and then whom the event as such is about.
///
/// # Errors
/// The store cannot be read.
pub(super) fn told(facts: &dyn Facts, settings: &SetSettings, record: &Record, message: &Message) -> Result<Vec<Option<Uid>>, Unavailable> {
    let event = usize::try_from(message.event).ok().and_then(|place| record.events.get(place));
    let Some(Event::BundleActivated { entities_removed, .. }) = event else {
        return Ok(subject(facts, settings, record, message).map(|_| None).into_iter().collect());
    };
    let mut gone = BTreeSet::new();
    for uid in entities_removed.iter().filter(|uid| is_known_there(facts, settings, uid)) {
        // one that the API had stored is there again
        if presence(facts, uid)? != Presence::Known {
            gone.insert(uid.clone());
        }
    }
    Ok(gone.into_iter().map(Some).collect())
}

fn is_known_there(facts: &dyn Facts, settings: &SetSettings, uid: &Uid) -> bool {
    facts.definitions().is_principal(uid) && settings.subject.means(uid.kind())
}

/// Whom an event as such is about, where tokens are made of it.
fn subject(facts: &dyn Facts, settings: &SetSettings, record: &Record, message: &Message) -> Option<Uid> {
    let event = usize::try_from(message.event).ok().and_then(|place| record.events.get(place))?;
    meaning(event, false)?;
    let uid = if let Event::EntityDisabled { uid, .. } | Event::EntityEnabled { uid, .. } | Event::EntityDeleted { uid, .. } = event {
        Some(uid)
    } else {
        message.parts.holder.as_ref()
    };
    uid.filter(|uid| is_known_there(facts, settings, uid)).cloned()
}

/// What tokens are made from, besides the event.
pub(super) struct Sources<'a> {
    pub(super) facts: &'a dyn Facts,
    pub(super) moment: Moment,
    pub(super) journal: &'a dyn Reader,
    pub(super) addresses: &'a Addresses,
}

/// The claims of the tokens for an event, in the order in which they are pushed; or why there are none. `iat` is written when they are pushed.
///
/// # Errors
/// The store cannot be read.
pub(super) fn claims(
    sources: &Sources<'_>,
    settings: &SetSettings,
    record: &Record,
    message: &Message,
    person: Option<&Uid>,
) -> Result<Result<Vec<Value>, String>, Unavailable> {
    let Sources { facts, moment, .. } = *sources;
    let event = usize::try_from(message.event).ok().and_then(|place| record.events.get(place));
    let found = event.and_then(|event| meaning(event, record.actor.principal().is_some()));
    let subject = person.cloned().or_else(|| subject(facts, settings, record, message));
    let (Some((meaning, initiated_by)), Some(subject)) = (found, subject) else {
        return Ok(Ok(Vec::new()));
    };
    let sub_id = match sub_id(sources, &settings.subject, record.seq, &subject)? {
        Ok(sub_id) => sub_id,
        Err(why) => return Ok(Err(why)),
    };
    let said = |more: (&str, Value)| {
        let mut members = json!({
            "event_timestamp": record.at.millis() / 1000,
            "initiating_entity": initiated_by,
            "reason_admin": { "en": message.kind.replace('_', " ") },
        });
        if let Some(members) = members.as_object_mut() {
            members.insert(more.0.to_owned(), more.1);
        }
        members
    };
    let about = json!({ "role": message.parts.role, "seq": record.seq });
    let mut changed = serde_json::Map::new();
    changed.insert(settings.claim.clone(), held(facts, moment, &subject)?);
    let mut events = Vec::new();
    if meaning == Meaning::Over {
        events.push((SESSION_REVOKED, said(("elevon", about.clone()))));
    }
    events.push((TOKEN_CLAIMS_CHANGE, said(("claims", changed.into()))));
    let id = format!("set_{}", message.id.trim_start_matches("msg_"));
    let id = person.map_or_else(|| id.clone(), |person| format!("{id}_{}", short(&person.to_string())));
    let token = |(number, (kind, members)): (usize, (&str, Value))| {
        json!({
            "iss": settings.issuer,
            "aud": settings.audience,
            "jti": format!("{id}_{number}"),
            "txn": record.command_id,
            "sub_id": sub_id,
            "events": { kind: members },
        })
    };
    Ok(Ok(events.into_iter().enumerate().map(token).collect()))
}

/// A token that says nothing of anybody, to see whether the way is open (OpenID Shared Signals Framework 1.0, *verification*).
pub(super) fn verification(settings: &SetSettings, id: &str) -> Value {
    json!({
        "iss": settings.issuer,
        "aud": settings.audience,
        "jti": format!("set_{id}"),
        "sub_id": { "format": "opaque", "id": settings.issuer },
        "events": { "https://schemas.openid.net/secevent/ssf/event-type/verification": {} },
    })
}

/// The roles that a principal holds itself now, each with its scope and until when. Those of its groups are left out: when one of them ends,
/// there is no event of this principal's, and a claim that nobody takes back would stand for ever.
fn held(facts: &dyn Facts, moment: Moment, principal: &Uid) -> Result<Value, Unavailable> {
    // each is asked on its own scope, as a question without a resource leaves those out that have one
    let all = standing::standing(facts, principal, None, moment)?;
    let scopes: Vec<Uid> = all.holdings.iter().filter_map(|holding| holding.scope.clone()).collect();
    let there = standing::standing(facts, principal, Some(&scopes), moment)?;
    let mut held: Vec<Value> = there
        .in_force()
        .filter(|holding| holding.holder == *principal)
        .map(|holding| json!({ "role": holding.role, "scope": holding.scope, "until": holding.end }))
        .collect();
    held.sort_by_key(Value::to_string);
    held.dedup();
    Ok(held.into())
}

/// How a principal is named (RFC 9493); or why it cannot be.
fn sub_id(sources: &Sources<'_>, format: &SubjectFormat, seq: u64, principal: &Uid) -> Result<Result<Value, String>, Unavailable> {
    Ok(match format {
        SubjectFormat::Opaque => Ok(json!({ "format": "opaque", "id": principal.to_string() })),
        SubjectFormat::IssSub { issuer, of: _ } => Ok(json!({ "format": "iss_sub", "iss": issuer, "sub": principal.id() })),
        SubjectFormat::Email { attribute, of: _ } => {
            let found = sources.addresses.find(sources.facts, sources.journal, seq, principal, attribute)?;
            let found = found.map(|address| json!({ "format": "email", "email": address }));
            found.ok_or_else(|| {
                format!("{} has no address in `{attribute}`, and none is known that it had", one_line(&principal.to_string()))
            })
        }
    })
}
