//! Access reviews as they are kept: what is looked at, by whom and how often; each time that it is; and what was decided on each grant.

use serde::{Deserialize, Serialize};

use super::calendar::Schedule;
use super::command::Actor;
use super::grant::GrantRef;
use super::id::{ActivationId, AssignmentId, EligibilityId, ReviewDefinitionId, ReviewId, ReviewName, RoleName, Uid};
use super::text::TextDigest;
use super::time::{Duration, Timestamp, Window};

/// Most stages that a review can have.
pub const MAX_REVIEW_STAGES: usize = 3;
/// Most days that one stage can take.
pub const MAX_STAGE_DAYS: u32 = 180;
/// Most roles, scopes or reviewers that a definition can name.
pub const MAX_NAMED: usize = 100;
/// Most items of one review. What lies beyond is left out, and the review says so.
pub const MAX_ITEMS: u32 = 25_000;
/// Most items that one command decides on.
pub const MAX_DECIDED: usize = 100;
/// How many days without use make a grant one to take away, where the definition names no other number.
pub const UNUSED_DAYS: u32 = 30;
/// The share of removals, in percent, above which they have to be confirmed, where the definition names no other.
pub const CONFIRM_ABOVE: u32 = 20;
/// So few removals are never a mass removal.
pub const FEW_REMOVALS: u32 = 5;

/// Which kinds of grants are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// Who may activate.
    Eligibilities,
    /// Who holds without activating.
    Assignments,
    /// Both.
    Both,
}

impl Covers {
    /// Every word.
    pub const ALL: [Self; 3] = [Self::Eligibilities, Self::Assignments, Self::Both];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eligibilities => "eligibilities",
            Self::Assignments => "assignments",
            Self::Both => "both",
        }
    }

    /// Whether a grant is of such a kind.
    #[must_use]
    pub fn includes(self, grant: &GrantRef) -> bool {
        match (self, grant) {
            (Self::Both, _) | (Self::Eligibilities, GrantRef::Eligibility(_)) | (Self::Assignments, GrantRef::Assignment(_)) => true,
            (Self::Eligibilities, GrantRef::Assignment(_)) | (Self::Assignments, GrantRef::Eligibility(_)) => false,
        }
    }
}

/// Who decides in a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reviewers {
    /// These principals, and enabled members of these groups; nobody on their own access.
    Selected(Vec<Uid>),
    /// Whoever holds the grant, for themselves.
    Holder,
    /// Whoever the policies permit to review the grant; nobody on their own access. So are emergencies reviewed.
    Permitted,
}

/// One stage. Stages are asked in order, each about every item; what a later one decides stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewStage {
    /// Who decides.
    pub reviewers: Reviewers,
    /// Who decides on what nobody of those could: all of them disabled or gone, or the access their own.
    pub fallback: Vec<Uid>,
    /// How long it takes.
    pub days: u32,
}

/// What becomes of an item on which nobody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// It stays as it is.
    NoChange,
    /// It is taken away.
    Remove,
    /// It counts as approved.
    Approve,
    /// As was recommended.
    TakeRecommendation,
}

impl NoAnswer {
    /// Every word.
    pub const ALL: [Self; 4] = [Self::NoChange, Self::Remove, Self::Approve, Self::TakeRecommendation];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoChange => "no_change",
            Self::Remove => "remove",
            Self::Approve => "approve",
            Self::TakeRecommendation => "take_recommendation",
        }
    }
}

/// What a review looks at, by whom it is decided, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewPlan {
    /// Its name, for people.
    pub name: ReviewName,
    /// Grants of these roles; of any role, where none is named.
    pub roles: Vec<RoleName>,
    /// Grants on these scopes and below; on any and on none, where none is named.
    pub scopes: Vec<Uid>,
    /// Of which kinds.
    pub covers: Covers,
    /// Only what was not used for so many days.
    pub inactive_days: Option<u32>,
    /// The stages: one to [`MAX_REVIEW_STAGES`].
    pub stages: Vec<ReviewStage>,
    /// What becomes of an item on which nobody decided.
    pub no_answer: NoAnswer,
    /// Whether it is carried out as soon as it is complete.
    pub auto_apply: bool,
    /// The share of removals, in percent, above which they have to be confirmed.
    pub confirm_above: u32,
    /// Whether reviewers are reminded.
    pub reminders: bool,
}

impl ReviewPlan {
    /// For how many days without use a grant is one to take away.
    #[must_use]
    pub fn unused_days(&self) -> u32 {
        self.inactive_days.unwrap_or(UNUSED_DAYS)
    }

    /// How many days all stages take.
    #[must_use]
    pub fn days(&self) -> u32 {
        self.stages.iter().fold(0, |sum, stage| sum.saturating_add(stage.days))
    }

    /// Whether so many removals of so many items have to be confirmed.
    #[must_use]
    pub fn is_mass(&self, removals: u32, items: u32) -> bool {
        removals > FEW_REMOVALS && u64::from(removals) * 100 > u64::from(items) * u64::from(self.confirm_above)
    }
}

/// When a definition's next review begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upcoming {
    /// Its number among the occurrences of the schedule, from 0.
    pub number: u32,
    /// When.
    pub at: Timestamp,
}

/// Something to be reviewed, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDefinition {
    /// Its id.
    pub id: ReviewDefinitionId,
    /// What is reviewed, and how.
    pub plan: ReviewPlan,
    /// When.
    pub schedule: Schedule,
    /// Who defined it, or changed it last.
    pub defined_by: Actor,
    /// When that was.
    pub defined_at: Timestamp,
    /// How many reviews of it were opened.
    pub opened: u32,
    /// The next one; nothing after the last.
    pub next: Option<Upcoming>,
    /// Who ended it, where somebody did.
    pub ended: Option<DefinitionEnd>,
}

/// How a definition ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionEnd {
    /// Who ended it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The reason given.
    pub reason: Option<TextDigest>,
}

/// Why a review was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewOf {
    /// A definition says so.
    Definition(ReviewDefinitionId),
    /// Somebody broke the glass.
    Emergency(ActivationId),
}

/// What is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An eligibility.
    Eligibility(EligibilityId),
    /// An assignment.
    Assignment(AssignmentId),
    /// An emergency activation.
    Activation(ActivationId),
}

impl Subject {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Eligibility(id) => id.as_str(),
            Self::Assignment(id) => id.as_str(),
            Self::Activation(id) => id.as_str(),
        }
    }

    /// The word for its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Eligibility(_) => "eligibility",
            Self::Assignment(_) => "assignment",
            Self::Activation(_) => "activation",
        }
    }
}

impl From<GrantRef> for Subject {
    fn from(grant: GrantRef) -> Self {
        match grant {
            GrantRef::Eligibility(id) => Self::Eligibility(id),
            GrantRef::Assignment(id) => Self::Assignment(id),
        }
    }
}

/// What use says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recommendation {
    /// Let it be: it was used, or is new.
    Approve,
    /// Take it away: it was not used for long.
    Deny,
}

impl Recommendation {
    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// A grant as it stood when it was taken into a review, with the marks of use that the recommendation rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewItem {
    /// What is decided on.
    pub subject: Subject,
    /// Who holds it.
    pub holder: Uid,
    /// The role.
    pub role: RoleName,
    /// Where.
    pub scope: Option<Uid>,
    /// When.
    pub window: Window,
    /// When it was given.
    pub granted_at: Timestamp,
    /// When an activation that rests on it last began.
    pub last_activation: Option<Timestamp>,
    /// When the role, held by it, last decided a check; to the hour, and only as far as that was kept.
    pub last_check: Option<Timestamp>,
    /// What use says; nothing, where use has nothing to say.
    pub recommendation: Option<Recommendation>,
}

impl ReviewItem {
    /// When it was last used, as far as is known.
    #[must_use]
    pub fn last_use(&self) -> Option<Timestamp> {
        self.last_activation.max(self.last_check)
    }
}

/// What somebody says about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// It stays.
    Approve,
    /// It goes.
    Deny,
    /// Somebody else has to know, or the rule for want of an answer.
    DontKnow,
}

impl Decided {
    /// Every word.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Deny, Self::DontKnow];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::DontKnow => "dont_know",
        }
    }
}

/// A decision. A later one of the same stage takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewDecision {
    /// In which stage, from 0.
    pub stage: u32,
    /// By whom.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// What.
    pub decided: Decided,
    /// Why.
    pub reason: TextDigest,
}

/// What was done about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// It stays.
    Kept,
    /// It was taken away.
    Removed,
    /// It was to be taken away, and was gone already.
    Gone,
}

impl Applied {
    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Removed => "removed",
            Self::Gone => "gone",
        }
    }
}

/// An item and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewEntry {
    /// The review that it belongs to.
    pub review: ReviewId,
    /// As it was taken.
    pub item: ReviewItem,
    /// What was decided, at most once for each stage, in their order.
    pub decisions: Vec<ReviewDecision>,
    /// What was done about it, and when.
    pub applied: Option<(Timestamp, Applied)>,
}

impl ReviewEntry {
    /// The decision that stands: that of the latest stage in which somebody knew.
    #[must_use]
    pub fn standing(&self) -> Option<&ReviewDecision> {
        self.decisions.iter().rev().find(|decision| decision.decided != Decided::DontKnow)
    }

    /// Whether it is taken away when the review is carried out.
    #[must_use]
    pub fn is_removed(&self, no_answer: NoAnswer) -> bool {
        match (self.standing().map(|decision| decision.decided), no_answer) {
            (Some(Decided::Deny), _) | (None | Some(Decided::DontKnow), NoAnswer::Remove) => true,
            (Some(Decided::Approve), _) | (None | Some(Decided::DontKnow), NoAnswer::NoChange | NoAnswer::Approve) => false,
            (None | Some(Decided::DontKnow), NoAnswer::TakeRecommendation) => self.item.recommendation == Some(Recommendation::Deny),
        }
    }

    /// Whether somebody decided in a stage, if only that they do not know.
    #[must_use]
    pub fn is_answered_in(&self, stage: u32) -> bool {
        self.decisions.iter().any(|decision| decision.stage == stage)
    }
}

/// How many items stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All.
    pub items: u32,
    /// Those that stay by a decision.
    pub approved: u32,
    /// Those that go by a decision.
    pub denied: u32,
    /// Of the rest, those that are recommended to go.
    pub advised: u32,
    /// Those that nobody answered in the stage that is asked now.
    pub open: u32,
    /// Those that something was done about.
    pub applied: u32,
    /// Those of them that were taken away.
    pub removed: u32,
}

impl Tally {
    /// Those on which nobody decided who knew.
    #[must_use]
    pub fn undecided(&self) -> u32 {
        self.items.saturating_sub(self.approved).saturating_sub(self.denied)
    }

    /// How many would be taken away.
    #[must_use]
    pub fn removals(&self, no_answer: NoAnswer) -> u32 {
        self.denied.saturating_add(match no_answer {
            NoAnswer::Remove => self.undecided(),
            NoAnswer::TakeRecommendation => self.advised,
            NoAnswer::NoChange | NoAnswer::Approve => 0,
        })
    }

    /// Counts an item in or out, as it stands.
    pub fn count(&mut self, entry: &ReviewEntry, more: bool) {
        let change = |count: &mut u32| *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        match entry.standing().map(|decision| decision.decided) {
            Some(Decided::Approve) => change(&mut self.approved),
            Some(Decided::Deny) => change(&mut self.denied),
            Some(Decided::DontKnow) | None => {
                if entry.item.recommendation == Some(Recommendation::Deny) {
                    change(&mut self.advised);
                }
            }
        }
    }
}

/// How far a snapshot has come: the last grant that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its role.
    pub role: RoleName,
    /// The grant.
    pub grant: GrantRef,
}

/// Where a review stands, as far as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReviewState {
    /// Its items are being taken.
    NotStarted {
        /// How far that has come.
        after: Option<Taken>,
    },
    /// Reviewers are asked.
    InProgress {
        /// Which stage, from 0.
        stage: u32,
        /// Until when.
        ends_at: Timestamp,
        /// When those are reminded who have not answered.
        remind_at: Option<Timestamp>,
    },
    /// Nobody is asked any more; it waits to be carried out.
    Completed {
        /// Since when.
        at: Timestamp,
    },
    /// It is being carried out, item by item.
    Applying {
        /// Since when.
        at: Timestamp,
        /// The last item that something was done about.
        after: Option<Subject>,
    },
    /// All of it is carried out.
    Applied {
        /// Since when.
        at: Timestamp,
    },
}

/// One time that something is reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// Why it was opened.
    pub of: ReviewOf,
    /// Its number among those of its definition, from 1.
    pub number: u32,
    /// As its definition stood when it was opened.
    pub plan: ReviewPlan,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// How many items stand where.
    pub tally: Tally,
    /// Whether more grants matched than it takes.
    pub truncated: bool,
    /// When it was complete.
    pub completed_at: Option<Timestamp>,
    /// Where it stands.
    pub state: ReviewState,
}

/// The word for where a review stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    /// Its items are being taken.
    NotStarted,
    /// Reviewers are asked.
    InProgress,
    /// Nobody is asked any more.
    Completed,
    /// It is being carried out.
    Applying,
    /// It is carried out.
    Applied,
}

impl ReviewStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::NotStarted, Self::InProgress, Self::Completed, Self::Applying, Self::Applied];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Applying => "applying",
            Self::Applied => "applied",
        }
    }
}

impl Review {
    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> ReviewStatus {
        match self.state {
            ReviewState::NotStarted { .. } => ReviewStatus::NotStarted,
            ReviewState::InProgress { .. } => ReviewStatus::InProgress,
            ReviewState::Completed { .. } => ReviewStatus::Completed,
            ReviewState::Applying { .. } => ReviewStatus::Applying,
            ReviewState::Applied { .. } => ReviewStatus::Applied,
        }
    }

    /// The stage that is asked at an instant, with its number: one that is over takes no more decisions, whether or not that is recorded.
    #[must_use]
    pub fn asked(&self, now: Timestamp) -> Option<(u32, &ReviewStage)> {
        let ReviewState::InProgress { stage, ends_at, .. } = self.state else { return None };
        let place = usize::try_from(stage).ok().filter(|_| now < ends_at)?;
        self.plan.stages.get(place).map(|asked| (stage, asked))
    }

    /// How many items are taken away when it is carried out.
    #[must_use]
    pub fn removals(&self) -> u32 {
        self.tally.removals(self.plan.no_answer)
    }

    /// Whether these have to be confirmed.
    #[must_use]
    pub fn is_mass(&self) -> bool {
        self.plan.is_mass(self.removals(), self.tally.items)
    }
}

/// When those are reminded for the first time who have not answered in a stage: once half of it is over.
#[must_use]
pub fn first_reminder(began: Timestamp, ends_at: Timestamp) -> Timestamp {
    began.plus(Duration::from_secs(ends_at.since(began).secs() / 2))
}

/// When they are reminded once more: a day before its end, where that is still to come.
#[must_use]
pub fn next_reminder(now: Timestamp, ends_at: Timestamp) -> Option<Timestamp> {
    let day_before = Timestamp::from_millis(ends_at.millis().saturating_sub(Duration::from_days(1).millis()));
    (day_before > now).then_some(day_before)
}
