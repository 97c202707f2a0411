//! What is said of access reviews.

use std::sync::Arc;

use super::Applying;
use crate::domain::event::Event;
use crate::domain::facts::{Tables as _, Unavailable};
use crate::domain::id::ReviewId;
use crate::domain::review::{
    Applied, DefinitionEnd, Review, ReviewDecision, ReviewDefinition, ReviewEntry, ReviewItem, ReviewOf, ReviewState, Subject, Upcoming,
};

impl Applying<'_, '_, '_> {
    /// An event about reviews; any other changes nothing here.
    pub(super) fn review_event(&mut self, event: &Event) -> Result<(), Unavailable> {
        match event {
            Event::ReviewDefined { definition } => {
                self.state.changes.review_definitions.insert(definition.id.clone(), (**definition).clone());
                Ok(())
            }
            Event::ReviewsEnded { id, reason } => {
                let Some(found) = self.state.review_definition(id)?.filter(|found| found.ended.is_none()) else { return Ok(()) };
                let (by, at, reason) = self.ending(*reason);
                let ended = ReviewDefinition { ended: Some(DefinitionEnd { by, at, reason }), next: None, ..(*found).clone() };
                self.state.changes.review_definitions.insert(id.clone(), ended);
                Ok(())
            }
            Event::ReviewOpened { review, next } => self.opened(review, *next),
            Event::ReviewItemsTaken { id, items, after, truncated } => {
                for item in items {
                    self.taken(id, item);
                }
                self.review(id, |review| {
                    for item in items {
                        review.tally.items = review.tally.items.saturating_add(1);
                        review.tally.open = review.tally.open.saturating_add(1);
                        review.tally.count(&entry_of(id, item), true);
                    }
                    review.truncated |= truncated;
                    if let ReviewState::NotStarted { after: last } = &mut review.state {
                        last.clone_from(after);
                    }
                })
            }
            Event::ReviewStageBegan { id, stage, ends_at, remind_at } => self.review(id, |review| {
                review.state = ReviewState::InProgress { stage: *stage, ends_at: *ends_at, remind_at: *remind_at };
                review.tally.open = review.tally.items;
            }),
            Event::ReviewReminded { id, stage, ends_at, remind_at, open: _ } => self.review(id, |review| {
                review.state = ReviewState::InProgress { stage: *stage, ends_at: *ends_at, remind_at: *remind_at };
            }),
            Event::ReviewItemDecided { id, subject, stage, decided, reason } => {
                let decision = ReviewDecision { stage: *stage, by: self.actor.clone(), at: self.at, decided: *decided, reason: *reason };
                self.decided(id, subject, decision)
            }
            Event::ReviewCompleted { id, .. } => {
                let at = self.at;
                self.review(id, |review| {
                    review.state = ReviewState::Completed { at };
                    review.completed_at = Some(at);
                })
            }
            Event::ReviewApplying { id, confirmed: _ } => {
                let at = self.at;
                self.review(id, |review| review.state = ReviewState::Applying { at, after: None })
            }
            Event::ReviewItemApplied { id, subject, applied } => self.done_about(id, subject, *applied),
            Event::ReviewApplied { id, .. } => {
                let at = self.at;
                self.review(id, |review| review.state = ReviewState::Applied { at })
            }
            Event::ActivationRequested { .. }
            | Event::ApprovalGiven { .. }
            | Event::VotesVoided { .. }
            | Event::StageReached { .. }
            | Event::QuorumUnreachable { .. }
            | Event::ActivationScheduled { .. }
            | Event::ActivationStarted { .. }
            | Event::ActivationExtended { .. }
            | Event::ActivationClamped { .. }
            | Event::EmergencyUsed { .. }
            | Event::ActivationsVoided { .. }
            | Event::ClockAccepted {}
            | Event::ActivationDenied { .. }
            | Event::ActivationCancelled { .. }
            | Event::ActivationTimedOut { .. }
            | Event::ActivationFailed { .. }
            | Event::ActivationDeactivated { .. }
            | Event::ActivationRevoked { .. }
            | Event::ActivationExpired { .. }
            | Event::EligibilityCreated { .. }
            | Event::EligibilityRemoved { .. }
            | Event::EligibilityExpired { .. }
            | Event::EligibilityExtended { .. }
            | Event::AssignmentExtended { .. }
            | Event::GrantRequested { .. }
            | Event::GrantRequestApproved { .. }
            | Event::GrantRequestDenied { .. }
            | Event::GrantRequestCancelled { .. }
            | Event::GrantRequestTimedOut { .. }
            | Event::AssignmentCreated { .. }
            | Event::AssignmentRemoved { .. }
            | Event::AssignmentExpired { .. }
            | Event::EntityStored { .. }
            | Event::EntityDeleted { .. }
            | Event::EntityDisabled { .. }
            | Event::EntityEnabled { .. }
            | Event::BundleActivated { .. }
            | Event::CascadeContinues { .. }
            | Event::CascadeCompleted { .. }
            | Event::Alert(_)
            | Event::CommandRefused { .. } => Ok(()),
        }
    }

    fn opened(&mut self, review: &Review, next: Option<Upcoming>) -> Result<(), Unavailable> {
        self.state.changes.reviews.insert(review.id.clone(), review.clone());
        let ReviewOf::Definition(id) = &review.of else { return Ok(()) };
        let Some(found) = self.state.review_definition(id)? else { return Ok(()) };
        let definition = ReviewDefinition { opened: review.number, next, ..(*found).clone() };
        self.state.changes.review_definitions.insert(id.clone(), definition);
        Ok(())
    }

    fn review(&mut self, id: &ReviewId, change: impl FnOnce(&mut Review)) -> Result<(), Unavailable> {
        let Some(found) = self.state.review(id)? else { return Ok(()) };
        let mut review = Arc::unwrap_or_clone(found);
        change(&mut review);
        self.state.changes.reviews.insert(id.clone(), review);
        Ok(())
    }

    fn keep(&mut self, entry: ReviewEntry) {
        let of = self.state.changes.review_entries.entry(entry.review.clone()).or_default();
        of.insert(entry.item.subject.clone(), entry);
    }

    fn taken(&mut self, id: &ReviewId, item: &ReviewItem) {
        self.keep(entry_of(id, item));
    }

    /// One decision a stage stands; the counts follow.
    fn decided(&mut self, id: &ReviewId, subject: &Subject, decision: ReviewDecision) -> Result<(), Unavailable> {
        let Some(found) = self.state.review_entry(id, subject)? else { return Ok(()) };
        let before = Arc::unwrap_or_clone(found);
        let mut entry = before.clone();
        let stage = decision.stage;
        entry.decisions.retain(|earlier| earlier.stage != stage);
        entry.decisions.push(decision);
        entry.decisions.sort_by_key(|decision| decision.stage);
        self.review(id, |review| {
            review.tally.count(&before, false);
            review.tally.count(&entry, true);
            if !before.is_answered_in(stage) {
                review.tally.open = review.tally.open.saturating_sub(1);
            }
        })?;
        self.keep(entry);
        Ok(())
    }

    fn done_about(&mut self, id: &ReviewId, subject: &Subject, applied: Applied) -> Result<(), Unavailable> {
        let Some(found) = self.state.review_entry(id, subject)?.filter(|found| found.applied.is_none()) else { return Ok(()) };
        let entry = ReviewEntry { applied: Some((self.at, applied)), ..Arc::unwrap_or_clone(found) };
        self.review(id, |review| {
            review.tally.applied = review.tally.applied.saturating_add(1);
            review.tally.removed = review.tally.removed.saturating_add(u32::from(applied == Applied::Removed));
            if let ReviewState::Applying { after, .. } = &mut review.state {
                *after = Some(subject.clone());
            }
        })?;
        self.keep(entry);
        Ok(())
    }
}

fn entry_of(id: &ReviewId, item: &ReviewItem) -> ReviewEntry {
    ReviewEntry { review: id.clone(), item: item.clone(), decisions: Vec::new(), applied: None }
}
