//! Who hears of a message: pure functions of what it is about, of role settings and of the facts.
//!
//! A destination hears of what its settings say, and of what a role's `notify` names it for. Persons that a role's `notify` names, or who are asked
//! in a review, are told by every destination that reaches persons, which is e-mail.

use std::collections::BTreeSet;

use super::message::Message;
use crate::domain::activation::ActivationState;
use crate::domain::decide::{asked_stage, is_among, members, person};
use crate::domain::event::Event;
use crate::domain::notice::{Hearer, Notice};
use crate::domain::review::{Review, ReviewStage, Reviewers};
use crate::domain::settings::{RoleSettings, Stage};
use crate::domain::standing::{Presence, presence};
use crate::domain::{Record, Records, Uid, Unavailable};

/// Most persons who are told of one event.
pub const MAX_PERSONS: usize = 1000;
/// Items of a review that are looked at together.
const ITEMS: usize = 1000;

/// Who hears of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// Persons, in order of names.
    pub persons: BTreeSet<Uid>,
    /// Destinations that the role names.
    pub destinations: BTreeSet<String>,
    /// Whether more persons than [`MAX_PERSONS`] were to be told, and some are not.
    pub cut: bool,
}

/// Who hears of an event of a record.
///
/// # Errors
/// The store cannot be read.
pub fn heard(facts: &dyn Records, record: &Record, message: &Message) -> Result<Heard, Unavailable> {
    let mut heard = Heard::default();
    let mut named = Vec::new();
    let settings = message.parts.role.as_ref().and_then(|role| facts.definitions().roles.get(role).cloned());
    if let Some(settings) = &settings {
        for hearer in settings.notify.get(&message.notice).into_iter().flatten() {
            match hearer {
                Hearer::Requester => named.extend(message.parts.requester.clone()),
                Hearer::Holder => named.extend(message.parts.holder.clone()),
                Hearer::Entity(uid) => named.push(uid.clone()),
                Hearer::Destination(name) => drop(heard.destinations.insert(name.clone())),
                Hearer::Approvers => heard.take(facts, &approvers(settings, message), &involved(facts, message)?)?,
            }
        }
    }
    heard.take(facts, &named, &BTreeSet::new())?;
    if message.notice == Notice::Review {
        let event = usize::try_from(message.event).ok().and_then(|place| record.events.get(place));
        let review = message.parts.review.as_ref().map(|id| facts.review(id)).transpose()?.flatten();
        if let (Some(event), Some(review)) = (event, review) {
            let asked = reviewers(facts, event, &review)?;
            heard.take(facts, &asked, &BTreeSet::new())?;
        }
    }
    Ok(heard)
}

impl Heard {
    /// Adds known and enabled principals, and those in groups, but nobody who is one person with `less`.
    fn take(&mut self, facts: &dyn Records, listed: &[Uid], less: &BTreeSet<String>) -> Result<(), Unavailable> {
        let (found, cut) = members(facts, listed, MAX_PERSONS)?;
        self.cut |= cut;
        for uid in found {
            if !facts.definitions().is_principal(&uid) || presence(facts, &uid)? != Presence::Known {
                continue;
            }
            if !less.is_empty() && less.contains(&person(facts, &uid)?) {
                continue;
            }
            if self.persons.len() >= MAX_PERSONS && !self.persons.contains(&uid) {
                self.cut = true;
            } else {
                self.persons.insert(uid);
            }
        }
        Ok(())
    }
}

/// Whether a message still says what is so: one that asks for votes does until the request is decided, or another stage is asked. People are not
/// asked for what is over, so that whoever asks and takes back in a loop writes to nobody.
///
/// # Errors
/// The store cannot be read.
pub fn stands(facts: &dyn Records, record: &Record, message: &Message) -> Result<bool, Unavailable> {
    let (Notice::Requested, Some(stage)) = (message.notice, message.parts.stage) else { return Ok(true) };
    let event = usize::try_from(message.event).ok().and_then(|place| record.events.get(place));
    let id = if let Some(Event::ActivationRequested { activation }) = event {
        &activation.id
    } else if let Some(Event::StageReached { id, .. }) = event {
        id
    } else {
        return Ok(true);
    };
    let found = facts.activation(id)?;
    Ok(found.is_some_and(|found| matches!(found.state, ActivationState::Pending { stage: asked, .. } if asked == stage)))
}

/// Whether somebody is asked for the vote that a message waits for: whoever else is told gets no link to vote by.
///
/// # Errors
/// The store cannot be read.
pub fn is_asked(facts: &dyn Records, message: &Message, uid: &Uid) -> Result<bool, Unavailable> {
    let settings = message.parts.role.as_ref().and_then(|role| facts.definitions().roles.get(role));
    let Some(settings) = settings.filter(|_| message.asks.is_some()) else { return Ok(false) };
    Ok(presence(facts, uid)? == Presence::Known
        && is_among(facts, uid, &approvers(settings, message))?
        && !involved(facts, message)?.contains(&person(facts, uid)?))
}

/// Those who may vote in the stage that a message is about, and those who step in later: nothing else would tell them.
fn approvers(settings: &RoleSettings, message: &Message) -> Vec<Uid> {
    let of =
        |stage: &Stage| stage.approvers.iter().chain(stage.fallback.iter().flat_map(|fallback| &fallback.approvers)).cloned().collect();
    match message.parts.stage {
        Some(stage) => asked_stage(settings, stage).map(|(_, stage)| of(stage)).unwrap_or_default(),
        // an emergency asks nobody
        None if message.notice == Notice::Requested => Vec::new(),
        // whoever may have been asked hears of what became of it
        None => settings.stages.iter().flat_map(|stage| -> Vec<Uid> { of(stage) }).collect(),
    }
}

/// Persons who are no approvers of what they asked for or benefit from.
fn involved(facts: &dyn Records, message: &Message) -> Result<BTreeSet<String>, Unavailable> {
    message.parts.requester.iter().chain(&message.parts.holder).map(|uid| person(facts, uid)).collect()
}

/// Those who are asked in a review, or were.
fn reviewers(facts: &dyn Records, event: &Event, review: &Review) -> Result<Vec<Uid>, Unavailable> {
    if matches!(event, Event::ReviewCompleted { .. } | Event::ReviewApplied { .. }) {
        let selected = review.plan.stages.iter().flat_map(|stage| match &stage.reviewers {
            Reviewers::Selected(selected) => selected.clone(),
            Reviewers::Holder | Reviewers::Permitted => Vec::new(),
        });
        return Ok(selected.collect());
    }
    let (stage, again) = if let Event::ReviewStageBegan { stage, .. } = event {
        (*stage, None)
    } else if let Event::ReviewReminded { stage, .. } = event {
        (*stage, Some(*stage))
    } else {
        return Ok(Vec::new());
    };
    let asked = usize::try_from(stage).ok().and_then(|place| review.plan.stages.get(place));
    asked.map_or(Ok(Vec::new()), |asked| of_stage(facts, review, asked, again))
}

/// Those who are asked in a stage; of holders, where they are asked for an answer again, those who gave none in it.
fn of_stage(facts: &dyn Records, review: &Review, stage: &ReviewStage, again: Option<u32>) -> Result<Vec<Uid>, Unavailable> {
    let mut asked = stage.fallback.clone();
    match &stage.reviewers {
        Reviewers::Selected(selected) => asked.extend(selected.iter().cloned()),
        Reviewers::Permitted => {}
        Reviewers::Holder => {
            let (mut holders, mut after) = (BTreeSet::new(), None);
            loop {
                let entries = facts.review_entries(&review.id, after.as_ref(), ITEMS)?;
                let waits = entries.iter().filter(|entry| again.is_none_or(|stage| !entry.is_answered_in(stage)));
                holders.extend(waits.map(|entry| entry.item.holder.clone()));
                after = entries.last().map(|entry| entry.item.subject.clone());
                if entries.len() < ITEMS {
                    break;
                }
            }
            asked.extend(holders);
        }
    }
    Ok(asked)
}
