//! What time does to a review, a step in each record: its items are taken, reviewers are reminded, one stage gives way to the next, and what was
//! decided is carried out. Each step begins where the journal says that the one before ended, so that it may be asked for again, and a crash
//! between two of them loses nothing and does nothing twice.

use super::snapshot::{self, Piece};
use crate::domain::decide::Case;
use crate::domain::decide::extend::left_behind;
use crate::domain::decide::grants::resting_on;
use crate::domain::event::Event;
use crate::domain::facts::Unavailable;
use crate::domain::grant::{Activation, ActivationStatus, Cause};
use crate::domain::id::{ReviewId, ReviewName};
use crate::domain::rejection::Rejection;
use crate::domain::review::{
    Applied, Covers, NoAnswer, Review, ReviewEntry, ReviewItem, ReviewOf, ReviewPlan, ReviewStage, ReviewState, Reviewers, Subject, Taken,
    Tally, first_reminder, next_reminder,
};
use crate::domain::text::TextDigest;
use crate::domain::time::{Duration, Timestamp};

/// About as many items that stay are recorded in one record, at most.
const MAX_KEPT: usize = 90;
/// Items that are read at a time.
const PAGE: usize = 10;

/// The next step, where there is one to take now.
pub(in crate::domain::decide) fn step(case: &Case<'_>, id: &ReviewId) -> Result<Vec<Event>, Rejection> {
    let Some(review) = case.facts.review(id)? else { return Ok(Vec::new()) };
    Ok(match &review.state {
        ReviewState::NotStarted { after } => take(case, &review, after.as_ref())?,
        ReviewState::InProgress { stage, ends_at, .. } if *ends_at <= case.now() => match stage.saturating_add(1) {
            next if usize::try_from(next).is_ok_and(|next| next < review.plan.stages.len()) => vec![began(case.now(), &review, next)],
            _ => completed(&review, None),
        },
        ReviewState::InProgress { stage, ends_at, remind_at: Some(at) } if *at <= case.now() => {
            let (id, remind_at) = (review.id.clone(), next_reminder(case.now(), *ends_at));
            vec![Event::ReviewReminded { id, stage: *stage, open: review.tally.open, ends_at: *ends_at, remind_at }]
        }
        ReviewState::Applying { after, .. } => carry_out(case, &review, after.as_ref())?,
        ReviewState::InProgress { .. } | ReviewState::Completed { .. } | ReviewState::Applied { .. } => Vec::new(),
    })
}

fn take(case: &Case<'_>, review: &Review, after: Option<&Taken>) -> Result<Vec<Event>, Unavailable> {
    let Piece { event, done } = snapshot::piece(case, review, after)?;
    let none = matches!(&event, Event::ReviewItemsTaken { items, .. } if items.is_empty()) && review.tally.items == 0;
    let mut events = vec![event];
    if done && none {
        // Nobody has to be asked about nothing.
        let (id, items) = (review.id.clone(), 0);
        events.push(Event::ReviewCompleted { id: id.clone(), items, undecided: 0, removals: 0, confirm: false, reason: None });
        events.push(Event::ReviewApplied { id, items, removed: 0 });
    } else if done {
        events.push(began(case.now(), review, 0));
    }
    Ok(events)
}

fn began(now: Timestamp, review: &Review, stage: u32) -> Event {
    let asked = usize::try_from(stage).ok().and_then(|place| review.plan.stages.get(place));
    let ends_at = now.plus(Duration::from_days(asked.map_or(0, |asked| u64::from(asked.days))));
    let remind_at = review.plan.reminders.then(|| first_reminder(now, ends_at));
    Event::ReviewStageBegan { id: review.id.clone(), stage, ends_at, remind_at }
}

/// Nobody is asked any more. What needs no confirmation, and is to be carried out by itself, is.
pub(super) fn completed(review: &Review, reason: Option<TextDigest>) -> Vec<Event> {
    let (id, confirm) = (review.id.clone(), review.is_mass());
    let done = Event::ReviewCompleted {
        id: id.clone(),
        items: review.tally.items,
        undecided: review.tally.undecided(),
        removals: review.removals(),
        confirm,
        reason,
    };
    let applying = (review.plan.auto_apply && !confirm).then_some(Event::ReviewApplying { id, confirmed: None });
    std::iter::once(done).chain(applying).collect()
}

/// Carries out what comes next: one item that goes, and those before it that stay.
fn carry_out(case: &Case<'_>, review: &Review, after: Option<&Subject>) -> Result<Vec<Event>, Unavailable> {
    let mut events = Vec::new();
    let mut last = after.cloned();
    while events.len() < MAX_KEPT {
        let entries = case.facts.review_entries(&review.id, last.as_ref(), PAGE)?;
        if entries.is_empty() {
            let Tally { items, removed, .. } = review.tally;
            events.push(Event::ReviewApplied { id: review.id.clone(), items, removed });
            return Ok(events);
        }
        last = entries.last().map(|entry| entry.item.subject.clone());
        for entry in entries.iter().filter(|entry| entry.applied.is_none()) {
            let goes = entry.is_removed(review.plan.no_answer);
            let taken = if goes { take_away(case, entry)? } else { Vec::new() };
            let applied = match (goes, taken.is_empty()) {
                (false, _) => Applied::Kept,
                (true, true) => Applied::Gone,
                (true, false) => Applied::Removed,
            };
            events.extend(taken);
            events.push(Event::ReviewItemApplied { id: review.id.clone(), subject: entry.item.subject.clone(), applied });
            if applied == Applied::Removed {
                return Ok(events);
            }
        }
    }
    Ok(events)
}

/// Ends what is reviewed, and what rests on it; nothing where it is over already.
fn take_away(case: &Case<'_>, entry: &ReviewEntry) -> Result<Vec<Event>, Unavailable> {
    let reason = entry.standing().map(|decision| decision.reason);
    match &entry.item.subject {
        Subject::Eligibility(id) => {
            let there = case.facts.eligibility(id)?.is_some_and(|found| found.ended.is_none() && !found.window.ended(case.now()));
            if !there {
                return Ok(Vec::new());
            }
            let mut events = vec![Event::EligibilityRemoved { id: id.clone(), reason }];
            events.extend(resting_on(case, Cause::EligibilityRemoved(id.clone()))?);
            Ok(events)
        }
        Subject::Assignment(id) => {
            let there = case.facts.assignment(id)?.is_some_and(|found| found.ended.is_none() && !found.window.ended(case.now()));
            Ok(there.then(|| Event::AssignmentRemoved { id: id.clone(), reason }).into_iter().collect())
        }
        Subject::Activation(id) => {
            let active = |found: &Activation| found.status(case.now()) == ActivationStatus::Active;
            let Some(found) = case.facts.activation(id)?.filter(|found| active(found)) else { return Ok(Vec::new()) };
            let mut events = vec![Event::ActivationRevoked { id: id.clone(), reason, cause: None }];
            events.extend(left_behind(case, &found)?);
            Ok(events)
        }
    }
}

/// The review that an emergency owes: of that one activation, by whoever the policies permit, until it has to be done. Carrying it out revokes
/// an activation that was denied and still runs; what it rests on is an administrator's to take away.
pub(in crate::domain::decide) fn of_emergency(
    now: Timestamp,
    activation: &Activation,
    begun: &[Event],
    ends_at: Timestamp,
) -> Result<Vec<Event>, Rejection> {
    let name = activation.id.as_str();
    let id = ReviewId::new(&format!("rev_{}", name.strip_prefix("act_").unwrap_or(name)));
    let id = id.map_err(|bad| Rejection::Unavailable(bad.to_string()))?;
    let window = begun.iter().find_map(|event| if let Event::ActivationStarted { window, .. } = event { Some(*window) } else { None });
    let item = ReviewItem {
        subject: Subject::Activation(activation.id.clone()),
        holder: activation.principal.clone(),
        role: activation.role.clone(),
        scope: activation.scope.clone(),
        window: window.unwrap_or_else(|| activation.window_from(now)),
        granted_at: now,
        last_activation: Some(now),
        last_check: None,
        recommendation: None,
    };
    let days = u32::try_from(ends_at.since_in_full(now).secs().div_ceil(86_400)).unwrap_or(u32::MAX);
    let plan = ReviewPlan {
        name: ReviewName::new("Emergency").map_err(|bad| Rejection::Unavailable(bad.to_string()))?,
        roles: vec![activation.role.clone()],
        scopes: activation.scope.iter().cloned().collect(),
        covers: Covers::Both,
        inactive_days: None,
        stages: vec![ReviewStage { reviewers: Reviewers::Permitted, fallback: Vec::new(), days }],
        no_answer: NoAnswer::NoChange,
        auto_apply: true,
        confirm_above: 100,
        reminders: true,
    };
    let review = Review {
        id: id.clone(),
        of: ReviewOf::Emergency(activation.id.clone()),
        number: 1,
        plan,
        opened_at: now,
        tally: Tally::default(),
        truncated: false,
        completed_at: None,
        state: ReviewState::NotStarted { after: None },
    };
    let remind_at = Some(first_reminder(now, ends_at));
    Ok(vec![
        Event::ReviewOpened { review: Box::new(review), next: None },
        Event::ReviewItemsTaken { id: id.clone(), items: vec![item], after: None, truncated: false },
        Event::ReviewStageBegan { id, stage: 0, ends_at, remind_at },
    ])
}
