//! Access reviews: definitions, reviews, and their items.

use serde_json::{Value, json};

use crate::domain::calendar::Schedule;
use crate::domain::review::{Review, ReviewDefinition, ReviewEntry, ReviewOf, ReviewPlan, ReviewStage, ReviewState, Reviewers, Subject};
use crate::domain::{Facts, Unavailable};

use super::{put, text, who};

fn stage(stage: &ReviewStage) -> Value {
    let listed: &[_] = match &stage.reviewers {
        Reviewers::Selected(list) => list,
        Reviewers::Holder | Reviewers::Permitted => &[],
    };
    let mut shown = json!({
        "reviewers": listed,
        "self": stage.reviewers == Reviewers::Holder,
        "fallback": stage.fallback,
        "days": stage.days,
    });
    // of emergencies only, which nobody defines: what a definition shows can be sent back as it is
    if stage.reviewers == Reviewers::Permitted {
        put(&mut shown, "permitted", Value::Bool(true));
    }
    shown
}

fn plan(plan: &ReviewPlan) -> Value {
    json!({
        "name": plan.name,
        "roles": plan.roles,
        "scopes": plan.scopes,
        "covers": plan.covers,
        "inactive_days": plan.inactive_days,
        "stages": plan.stages.iter().map(stage).collect::<Vec<_>>(),
        "no_answer": plan.no_answer,
        "auto_apply": plan.auto_apply,
        "confirm_above": plan.confirm_above,
        "reminders": plan.reminders,
    })
}

fn recurrence(schedule: &Schedule) -> Value {
    json!({ "every": schedule.every, "first": schedule.first, "at": schedule.at, "time_zone": schedule.zone })
}

/// A definition, and when its next review begins.
pub(in crate::http) fn review_definition(facts: &dyn Facts, definition: &ReviewDefinition) -> Result<Value, Unavailable> {
    let ended = match &definition.ended {
        Some(ended) => json!({ "by": who(&ended.by), "at": ended.at, "reason": text(facts, ended.reason.as_ref())? }),
        None => Value::Null,
    };
    let mut shown = plan(&definition.plan);
    let more = [
        ("id", json!(definition.id)),
        ("recurrence", recurrence(&definition.schedule)),
        ("defined_by", who(&definition.defined_by)),
        ("defined_at", json!(definition.defined_at)),
        ("opened", definition.opened.into()),
        ("next", json!(definition.next.map(|next| next.at))),
        ("ended", ended),
    ];
    more.into_iter().for_each(|(name, value)| put(&mut shown, name, value));
    Ok(shown)
}

/// A review, and how many of its items stand where.
pub(in crate::http) fn review(review: &Review) -> Value {
    let of = match &review.of {
        ReviewOf::Definition(id) => json!({ "kind": "definition", "id": id }),
        ReviewOf::Emergency(id) => json!({ "kind": "emergency", "id": id }),
    };
    let (stage, ends_at) = match review.state {
        ReviewState::InProgress { stage, ends_at, .. } => (json!(stage.saturating_add(1)), json!(ends_at)),
        ReviewState::NotStarted { .. } | ReviewState::Completed { .. } | ReviewState::Applying { .. } | ReviewState::Applied { .. } => {
            (Value::Null, Value::Null)
        }
    };
    let applied_at = if let ReviewState::Applied { at } = review.state { json!(at) } else { Value::Null };
    let completed = matches!(review.state, ReviewState::Completed { .. });
    let (tally, removals) = (review.tally, review.removals());
    let mut shown = plan(&review.plan);
    let more = [
        ("id", json!(review.id)),
        ("of", of),
        ("number", review.number.into()),
        ("status", review.status().as_str().into()),
        ("stage", stage),
        ("opened_at", json!(review.opened_at)),
        ("ends_at", ends_at),
        ("completed_at", json!(review.completed_at)),
        ("applied_at", applied_at),
        ("truncated", review.truncated.into()),
        ("confirm", if completed && review.is_mass() { removals.into() } else { Value::Null }),
        (
            "items",
            json!({
                "total": tally.items, "approved": tally.approved, "denied": tally.denied, "undecided": tally.undecided(), "open": tally.open,
                "removals": removals, "applied": tally.applied, "removed": tally.removed,
            }),
        ),
    ];
    more.into_iter().for_each(|(name, value)| put(&mut shown, name, value));
    shown
}

/// What an item is about, as commands name it.
fn subject(subject: &Subject) -> Value {
    json!({ "kind": subject.kind(), "id": subject.id() })
}

/// An item, what was said about it, and what becomes of it as things stand.
pub(in crate::http) fn review_item(facts: &dyn Facts, review: &Review, entry: &ReviewEntry) -> Result<Value, Unavailable> {
    let decisions = entry.decisions.iter().map(|decision| {
        Ok(json!({
            "stage": decision.stage.saturating_add(1),
            "by": who(&decision.by),
            "at": decision.at,
            "decision": decision.decided,
            "reason": text(facts, Some(&decision.reason))?,
        }))
    });
    let item = &entry.item;
    Ok(json!({
        "subject": subject(&item.subject),
        "principal": item.holder,
        "role": item.role,
        "scope": item.scope,
        "start": item.window.start,
        "end": item.window.end,
        "granted_at": item.granted_at,
        "last_activation": item.last_activation,
        "last_check": item.last_check,
        "recommendation": item.recommendation,
        "decisions": decisions.collect::<Result<Vec<_>, Unavailable>>()?,
        "decision": entry.standing().map(|decision| decision.decided),
        "outcome": if entry.is_removed(review.plan.no_answer) { "remove" } else { "keep" },
        "applied": entry.applied.map(|(at, applied)| json!({ "at": at, "result": applied })),
    }))
}
