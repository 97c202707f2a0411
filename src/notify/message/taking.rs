//! What of each kind of event goes into a message: one table, an arm for each.

use serde_json::json;

use super::Making;
use crate::domain::Unavailable;
use crate::domain::alert::AlertEvent;
use crate::domain::command::Everything;
use crate::domain::event::Event;
use crate::domain::grant::GrantRef;

impl Making<'_> {
    pub(super) fn take(&mut self, event: &Event) -> Result<(), Unavailable> {
        match event {
            Event::ActivationRequested { activation } => {
                self.about(activation);
                let stored = self.facts.activation(&activation.id)?;
                self.asked(activation, 0, stored.as_deref());
            }
            Event::StageReached { id, stage, timeout_at } => {
                if let Some(found) = self.activation(id)? {
                    self.asked(&found, *stage, Some(&found));
                }
                self.put("timeout_at", timeout_at);
                self.detail(format!("stage {}, until {timeout_at}", stage.saturating_add(1)));
            }
            Event::ApprovalGiven { id, vote } => {
                self.activation(id)?;
                self.put("vote", json!({ "voter": vote.voter.principal(), "stage": vote.stage.saturating_add(1), "at": vote.at }));
                self.parts.stage = Some(vote.stage);
                self.because(vote.justification);
            }
            Event::VotesVoided { id, voters } => {
                self.activation(id)?;
                self.put("voters", voters);
            }
            Event::QuorumUnreachable { id, stage, needed, available } => {
                self.activation(id)?;
                self.parts.stage = Some(*stage);
                let stage = stage.saturating_add(1);
                [("stage", stage), ("needed", *needed), ("available", *available)].iter().for_each(|(name, value)| self.put(name, value));
                self.detail(format!("stage {stage} needs {needed}, and {available} could vote"));
            }
            Event::ActivationScheduled { id, start, begin_by } => {
                self.activation(id)?;
                self.put("start", start);
                self.put("begin_by", begin_by);
                self.say("start", start.to_string());
            }
            Event::ActivationStarted { id, window, clamped } => {
                self.activation(id)?;
                self.window(*window);
                self.put("clamped", clamped);
            }
            Event::ActivationExtended { id, by, end, clamped } => {
                self.activation(id)?;
                self.put("by", by);
                self.put("clamped", clamped);
                self.end(*end);
            }
            Event::ActivationClamped { id, end, cause } => {
                self.activation(id)?;
                self.end(*end);
                self.cause(cause);
            }
            Event::EmergencyUsed { id, review_by } => {
                self.activation(id)?;
                self.put("review_by", review_by);
                self.detail(format!("to be reviewed by {review_by}"));
            }
            Event::ActivationDenied { id, reason }
            | Event::ActivationCancelled { id, reason }
            | Event::ActivationDeactivated { id, reason } => {
                self.activation(id)?;
                self.because(*reason);
            }
            Event::ActivationRevoked { id, reason, cause } => {
                self.activation(id)?;
                self.because(*reason);
                cause.iter().for_each(|cause| self.cause(cause));
            }
            Event::ActivationFailed { id, cause } => {
                self.activation(id)?;
                self.cause(cause);
            }
            Event::ActivationTimedOut { id } | Event::ActivationExpired { id } => {
                self.activation(id)?;
            }
            Event::ActivationsVoided { of, reason } => {
                self.everything(of);
                self.because(*reason);
            }
            Event::EligibilityCreated { eligibility } => self.eligibility(eligibility),
            Event::EligibilityRemoved { id, reason } => {
                self.grant(&GrantRef::Eligibility(id.clone()))?;
                self.because(*reason);
            }
            Event::EligibilityExpired { id } => self.grant(&GrantRef::Eligibility(id.clone()))?,
            Event::EligibilityExtended { id, end } => {
                self.grant(&GrantRef::Eligibility(id.clone()))?;
                self.end(*end);
            }
            Event::AssignmentCreated { assignment } => self.assignment(assignment),
            Event::AssignmentRemoved { id, reason } => {
                self.grant(&GrantRef::Assignment(id.clone()))?;
                self.because(*reason);
            }
            Event::AssignmentExpired { id } => self.grant(&GrantRef::Assignment(id.clone()))?,
            Event::AssignmentExtended { id, end } => {
                self.grant(&GrantRef::Assignment(id.clone()))?;
                self.end(*end);
            }
            Event::GrantRequested { request } => self.prolong(request),
            Event::GrantRequestApproved { id, grant: _, reason }
            | Event::GrantRequestDenied { id, reason }
            | Event::GrantRequestCancelled { id, reason } => {
                self.grant_request(id)?;
                self.because(*reason);
            }
            Event::GrantRequestTimedOut { id } => self.grant_request(id)?,
            Event::EntityStored { entity } => self.entity(&entity.uid),
            Event::EntityDeleted { uid, reason } | Event::EntityDisabled { uid, reason } | Event::EntityEnabled { uid, reason } => {
                self.entity(uid);
                self.because(*reason);
            }
            Event::BundleActivated { revision, previous, source, roles_removed, .. } => {
                self.put("revision", revision);
                self.put("previous", previous);
                self.put("source", source);
                self.put("roles_removed", roles_removed);
                self.detail(format!("revision {revision}"));
            }
            Event::ReviewDefined { definition } => {
                self.put("definition", json!({ "id": definition.id, "name": definition.plan.name }));
                self.say("id", definition.id.as_str());
                self.detail(definition.plan.name.as_str());
            }
            Event::ReviewsEnded { id, reason } => {
                self.id("definition", id.as_str());
                self.because(*reason);
            }
            Event::ReviewOpened { review, next: _ } => self.about_review(review),
            Event::ReviewItemsTaken { id, items, .. } => {
                self.review(id)?;
                self.put("items", items.len());
            }
            Event::ReviewStageBegan { id, stage, ends_at, .. } => {
                self.review(id)?;
                self.review_stage(*stage);
                self.end(*ends_at);
            }
            Event::ReviewReminded { id, stage, open, ends_at, .. } => {
                self.review(id)?;
                self.review_stage(*stage);
                self.put("open", open);
                self.detail(format!("{open} items wait for an answer"));
                self.end(*ends_at);
            }
            Event::ReviewItemDecided { id, subject, stage, decided, reason } => {
                self.review(id)?;
                self.put("item", json!({ "kind": subject.kind(), "id": subject.id() }));
                self.put("stage", stage.saturating_add(1));
                self.put("decision", decided.as_str());
                self.because(Some(*reason));
            }
            Event::ReviewCompleted { id, items, undecided, removals, confirm, reason } => {
                self.review(id)?;
                for (name, value) in [("items", items), ("undecided", undecided), ("removals", removals)] {
                    self.put(name, value);
                }
                self.put("confirm", confirm);
                self.detail(format!("{items} items, {undecided} without a decision, {removals} to be taken away"));
                if *confirm {
                    self.detail("the removals have to be confirmed");
                }
                self.because(*reason);
            }
            Event::ReviewApplying { id, confirmed } => {
                self.review(id)?;
                self.put("confirmed", confirmed);
            }
            Event::ReviewItemApplied { id, subject, applied } => {
                self.review(id)?;
                self.put("item", json!({ "kind": subject.kind(), "id": subject.id() }));
                self.put("applied", applied);
            }
            Event::ReviewApplied { id, items, removed } => {
                self.review(id)?;
                self.put("items", items);
                self.put("removed", removed);
                self.detail(format!("{items} items, {removed} taken away"));
            }
            Event::CascadeContinues { cause } | Event::CascadeCompleted { cause } => self.cause(cause),
            // what the caller was told may repeat what the caller sent, and is left out
            Event::CommandRefused { rule, count, detail: _ } => {
                self.put("rule", rule);
                self.put("count", count);
                self.detail(format!("rule {rule}, {count} times"));
            }
            Event::Alert(said) => self.alert(said)?,
            Event::ClockAccepted {} => {}
        }
        Ok(())
    }

    fn everything(&mut self, of: &Everything) {
        match of {
            Everything::Principal(uid) => {
                self.put("principal", uid);
                self.say("principal", uid.to_string());
                self.say("role", "every role");
            }
            Everything::Role(role) => {
                self.put("role", role);
                self.say("role", role.as_str());
                self.parts.role = Some(role.clone());
                self.say("principal", "everybody");
            }
        }
    }

    fn alert(&mut self, said: &AlertEvent) -> Result<(), Unavailable> {
        let stored = self.facts.incident(said.incident())?;
        let (what, reason) = match said {
            AlertEvent::Raised { .. } => ("raised", None),
            AlertEvent::Cleared { remedied: true, .. } => ("remedied", None),
            AlertEvent::Cleared { .. } => ("over", None),
            AlertEvent::Dismissed { reason, .. } => ("put aside", Some(*reason)),
            AlertEvent::Rearmed { .. } => ("armed again", None),
        };
        self.put("what", what);
        self.because(reason);
        let incident = match (said, &stored) {
            (AlertEvent::Raised { incident }, _) => incident,
            (_, Some(stored)) => &**stored,
            (_, None) => {
                self.id("incident", said.incident().as_str());
                return Ok(());
            }
        };
        let finding = &incident.finding;
        self.severity = Some(finding.severity);
        let shown = json!({
            "id": incident.id, "kind": finding.kind, "severity": finding.severity, "subject": finding.subject, "principal": finding.principal,
            "role": finding.role, "scope": finding.scope, "numbers": finding.numbers, "began_at": finding.began_at,
        });
        self.put("incident", shown);
        self.say("id", incident.id.as_str());
        self.say("event", format!("{}, {what}", finding.kind.as_str().replace('_', " ")));
        self.say("principal", finding.principal.as_ref().map(ToString::to_string).unwrap_or_default());
        self.say("role", finding.role.as_ref().map(ToString::to_string).unwrap_or_default());
        self.say("scope", finding.scope.as_ref().map(ToString::to_string).unwrap_or_default());
        let numbers: Vec<String> = finding.numbers.iter().map(|(name, number)| format!("{}: {number}", name.replace('_', " "))).collect();
        self.detail(format!("severity {}; {}", finding.severity.as_str(), numbers.join(", ")));
        Ok(())
    }

    fn entity(&mut self, uid: &crate::domain::Uid) {
        self.put("entity", uid);
        self.say("id", uid.to_string());
    }

    fn review_stage(&mut self, stage: u32) {
        self.parts.stage = Some(stage);
        self.put("stage", stage.saturating_add(1));
    }
}
