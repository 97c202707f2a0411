//! Access reviews: saying what is reviewed, deciding on items, and ending and carrying out what was decided.
//!
//! A definition and a review are two things: what is changed about a definition holds from its next review on. What time does to a review stands
//! in [`run`], who decides on what in [`who`].

pub(super) mod run;
mod snapshot;
pub mod who;

use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::calendar::{Date, Schedule};
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Permitted};
use crate::domain::id::{ReviewDefinitionId, ReviewId, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::review::{
    Decided, MAX_DECIDED, MAX_NAMED, MAX_REVIEW_STAGES, MAX_STAGE_DAYS, Review, ReviewDefinition, ReviewOf, ReviewPlan, ReviewState,
    ReviewStatus, Reviewers, Subject, Upcoming,
};
use crate::domain::standing::{Presence, presence};
use crate::domain::text::Text;
use crate::domain::time::{Duration, Timestamp};

use who::{Part, part_in};

/// A plan is shorter than this, as JSON.
const MAX_PLAN_BYTES: usize = 64 * 1024;
/// How far back a first occurrence may lie, in days.
const OLDEST_FIRST_DAYS: u64 = 366;

fn managed(case: &Case<'_>) -> Result<Permitted, Rejection> {
    case.ask(Action::ManageReviews, Object::Sidecar)
}

fn wrong(what: impl Into<String>) -> Rejection {
    Rejection::ReviewInvalid { what: what.into() }
}

/// Says what is reviewed, how and when.
pub(super) fn define(
    case: &Case<'_>,
    id: &ReviewDefinitionId,
    change: bool,
    plan: &ReviewPlan,
    schedule: &Schedule,
) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let before = if change { Some(standing_definition(case, id)?) } else { None };
    plan_in_order(case, plan)?;
    fits(plan, schedule)?;
    // what only changes otherwise does not bring a review that was had already, however long ago it first came
    let next = match before.as_ref().filter(|before| before.schedule == *schedule) {
        Some(before) => before.next,
        None => Some(first_of(schedule, case.now())?),
    };
    let definition = ReviewDefinition {
        id: id.clone(),
        plan: plan.clone(),
        schedule: schedule.clone(),
        defined_by: case.actor.clone(),
        defined_at: case.now(),
        opened: before.as_ref().map_or(0, |before| before.opened),
        next,
        ended: None,
    };
    let outcome = if change { Outcome::ReviewsChanged(id.clone()) } else { Outcome::ReviewsDefined(id.clone()) };
    Ok(Decision::permitted(permitted, vec![Event::ReviewDefined { definition: Box::new(definition) }], outcome))
}

/// Opens no more reviews of a definition.
pub(super) fn end(case: &Case<'_>, id: &ReviewDefinitionId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    standing_definition(case, id)?;
    let events = vec![Event::ReviewsEnded { id: id.clone(), reason: reason.map(Text::digest) }];
    Ok(Decision::permitted(permitted, events, Outcome::ReviewsChanged(id.clone())))
}

/// Opens a review now; the schedule goes on as it was.
pub(super) fn open(case: &Case<'_>, id: &ReviewDefinitionId) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let definition = standing_definition(case, id)?;
    let (review, event) = opening(case, &definition, definition.next)?;
    Ok(Decision::permitted(permitted, vec![event], Outcome::ReviewOpened(review)))
}

fn standing_definition(case: &Case<'_>, id: &ReviewDefinitionId) -> Result<ReviewDefinition, Rejection> {
    let found = case.facts.review_definition(id)?.ok_or_else(|| not_found("review definition", id))?;
    match &found.ended {
        None => Ok((*found).clone()),
        Some(ended) => Err(Rejection::NotInState { id: id.to_string(), status: "ended".to_owned(), at: Some(ended.at) }),
    }
}

/// The next review of a definition, without items.
fn opening(case: &Case<'_>, definition: &ReviewDefinition, next: Option<Upcoming>) -> Result<(ReviewId, Event), Rejection> {
    let number = definition.opened.saturating_add(1);
    let name = definition.id.as_str();
    let id = ReviewId::new(&format!("rev_{}_{number}", name.strip_prefix("rvd_").unwrap_or(name)));
    let id = id.map_err(|bad| Rejection::Unavailable(bad.to_string()))?;
    let review = Review {
        id: id.clone(),
        of: ReviewOf::Definition(definition.id.clone()),
        number,
        plan: definition.plan.clone(),
        opened_at: case.now(),
        tally: Default::default(),
        truncated: false,
        completed_at: None,
        state: ReviewState::NotStarted { after: None },
    };
    Ok((id, Event::ReviewOpened { review: Box::new(review), next }))
}

/// Opens the review that a definition's schedule brings. Of several that were missed while nobody looked at the clock, there is one.
pub(super) fn due(case: &Case<'_>, id: &ReviewDefinitionId) -> Result<Vec<Event>, Rejection> {
    let Some(found) = case.facts.review_definition(id)?.filter(|found| found.ended.is_none()) else { return Ok(Vec::new()) };
    let Some(next) = found.next.filter(|next| next.at <= case.now()) else { return Ok(Vec::new()) };
    let after = case.now().plus(Duration::from_secs(1));
    let next = found.schedule.from(next.number.saturating_add(1), after).map(|(number, at)| Upcoming { number, at });
    Ok(vec![opening(case, &found, next)?.1])
}

/// Refuses a schedule by no clock, and a plan that takes longer than until its next time.
fn fits(plan: &ReviewPlan, schedule: &Schedule) -> Result<(), Rejection> {
    if !schedule.zone.is_known() {
        return Err(wrong(format!("`{}` is no time zone; write one such as `Europe/Berlin`, or `UTC`", schedule.zone)));
    }
    if let Some(least) = schedule.every.least_days().filter(|least| plan.days() > *least) {
        let (every, days) = (schedule.every.as_str(), plan.days());
        return Err(wrong(format!(
            "all stages take {days} days together, and one that comes {every} may take {least}; give the stages fewer"
        )));
    }
    Ok(())
}

/// When a schedule that is new comes first.
fn first_of(schedule: &Schedule, now: Timestamp) -> Result<Upcoming, Rejection> {
    let oldest = Timestamp::from_millis(now.millis().saturating_sub(Duration::from_days(OLDEST_FIRST_DAYS).millis()));
    if schedule.first < Date::of(oldest) {
        return Err(wrong(format!("its first day, {}, lies more than a year back; give a later one", schedule.first)));
    }
    // one that comes once and whose time is past is due at once
    let found = match schedule.every.least_days() {
        None => schedule.occurrence(0).map(|at| (0, at)),
        Some(_) => schedule.from(0, now),
    };
    found.map(|(number, at)| Upcoming { number, at }).ok_or_else(|| wrong("its first day lies past the last year that is reckoned with"))
}

fn plan_in_order(case: &Case<'_>, plan: &ReviewPlan) -> Result<(), Rejection> {
    for role in &plan.roles {
        terms::role(case.facts.definitions(), role)?;
    }
    for scope in &plan.scopes {
        if presence(case.facts, scope)? != Presence::Known {
            return Err(Rejection::UnknownScope { scope: scope.clone() });
        }
    }
    if plan.stages.is_empty() || plan.stages.len() > MAX_REVIEW_STAGES {
        return Err(wrong(format!("it has {} stages; give it one to {MAX_REVIEW_STAGES}", plan.stages.len())));
    }
    if plan.inactive_days == Some(0) {
        return Err(wrong("`inactive_days` is 0; give it at least one day, or leave it out"));
    }
    if !(1..=100).contains(&plan.confirm_above) {
        return Err(wrong("`confirm_above` is a share in percent, from 1 to 100"));
    }
    if plan.roles.len().max(plan.scopes.len()) > MAX_NAMED {
        return Err(wrong(format!("at most {MAX_NAMED} roles and as many scopes can be named; leave them out to mean all")));
    }
    // it stands in the record that opens each of its reviews
    if serde_json::to_string(plan).map_or(MAX_PLAN_BYTES, |text| text.len()) >= MAX_PLAN_BYTES {
        return Err(wrong(format!("it names so much that it is longer than {MAX_PLAN_BYTES} bytes; name groups, or containers of scopes")));
    }
    for (number, stage) in (1..).zip(&plan.stages) {
        if !(1..=MAX_STAGE_DAYS).contains(&stage.days) {
            return Err(wrong(format!("stage {number} takes {} days; give it 1 to {MAX_STAGE_DAYS}", stage.days)));
        }
        let named: &[Uid] = match &stage.reviewers {
            Reviewers::Selected(list) if list.is_empty() => {
                return Err(wrong(format!("stage {number} names no reviewers; name at least one principal or group, or `self`")));
            }
            Reviewers::Selected(list) => list,
            Reviewers::Holder => &[],
            Reviewers::Permitted => return Err(wrong(format!("stage {number} has to name its reviewers"))),
        };
        if named.len().max(stage.fallback.len()) > MAX_NAMED {
            return Err(wrong(format!("stage {number} names more than {MAX_NAMED} reviewers; name a group")));
        }
        for uid in named.iter().chain(&stage.fallback) {
            let definitions = case.facts.definitions();
            if !definitions.is_principal(uid) && !definitions.is_group(uid) {
                return Err(Rejection::NotAHolder { uid: uid.clone() });
            }
            case.known(uid)?;
        }
    }
    Ok(())
}

/// Decides on items: all of them, or none.
pub(super) fn decide_on(
    case: &Case<'_>,
    id: &ReviewId,
    subjects: &[Subject],
    decided: Decided,
    reason: &Text,
) -> Result<Decision, Rejection> {
    let review = found(case, id)?;
    let caller = case.caller()?.principal.clone();
    if subjects.is_empty() || subjects.len() > MAX_DECIDED {
        return Err(wrong(format!("one command decides on 1 to {MAX_DECIDED} items, and this names {}", subjects.len())));
    }
    let mut permitted = None;
    let mut events = Vec::with_capacity(subjects.len());
    let asked = review.asked(case.now());
    for subject in subjects {
        let entry = case.facts.review_entry(id, subject)?.ok_or_else(|| not_found("item of this review", &subject.id()))?;
        let (stage, asked) = asked.ok_or_else(|| over(&review))?;
        match part_in(case.facts, asked, &entry.item, &caller)? {
            Part::Reviewer => {}
            Part::Own => return Err(Rejection::SeparationOfDuties { voter: caller }),
            Part::None => {
                return Err(Rejection::NotAReviewer { who: caller, subject: subject.id().to_owned(), stage: stage.saturating_add(1) });
            }
        }
        permitted = Some(case.ask(Action::ReviewAccess, who::object(&entry.item))?);
        let (id, subject, reason) = (id.clone(), subject.clone(), reason.digest());
        events.push(Event::ReviewItemDecided { id, subject, stage, decided, reason });
    }
    let outcome = Outcome::ReviewChanged(id.clone());
    Ok(match permitted {
        Some(permitted) => Decision::permitted(permitted, events, outcome),
        None => Decision::nothing(Outcome::Unchanged),
    })
}

fn found(case: &Case<'_>, id: &ReviewId) -> Result<Review, Rejection> {
    let found = case.facts.review(id)?.ok_or_else(|| not_found("review", id))?;
    Ok((*found).clone())
}

/// That a review stands where the command does not take it, and since when.
fn stands(review: &Review) -> Rejection {
    let at = match review.state {
        ReviewState::Completed { at } | ReviewState::Applying { at, .. } | ReviewState::Applied { at } => at,
        ReviewState::NotStarted { .. } | ReviewState::InProgress { .. } => review.opened_at,
    };
    Rejection::NotInState { id: review.id.to_string(), status: review.status().as_str().to_owned(), at: Some(at) }
}

/// That a review takes no decisions any more, or not yet. One whose time is over has ended, whether or not that is recorded.
fn over(review: &Review) -> Rejection {
    let ReviewState::InProgress { ends_at, .. } = review.state else { return stands(review) };
    Rejection::NotInState { id: review.id.to_string(), status: ReviewStatus::Completed.as_str().to_owned(), at: Some(ends_at) }
}

/// Ends the asking before its time. What was decided stands; the rest goes by the rule for want of an answer.
pub(super) fn complete(case: &Case<'_>, id: &ReviewId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let review = found(case, id)?;
    if !matches!(review.state, ReviewState::InProgress { .. }) {
        return Err(stands(&review));
    }
    let events = run::completed(&review, reason.map(Text::digest));
    Ok(Decision::permitted(permitted, events, Outcome::ReviewChanged(id.clone())))
}

/// Carries a complete review out. What takes much away is asked about once more: the number of removals has to be said.
pub(super) fn apply(case: &Case<'_>, id: &ReviewId, confirm: Option<u32>) -> Result<Decision, Rejection> {
    let permitted = managed(case)?;
    let review = found(case, id)?;
    if !matches!(review.state, ReviewState::Completed { .. }) {
        return Err(stands(&review));
    }
    let removals = review.removals();
    if (review.is_mass() || confirm.is_some()) && confirm != Some(removals) {
        return Err(Rejection::ConfirmationNeeded { id: id.clone(), removals, items: review.tally.items });
    }
    let events = vec![Event::ReviewApplying { id: id.clone(), confirmed: confirm }];
    Ok(Decision::permitted(permitted, events, Outcome::ReviewChanged(id.clone())))
}
