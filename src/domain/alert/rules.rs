//! What there are alerts about: the kinds, and the rule of each with its numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Worth a look this week.
    Medium,
    /// Worth a look now.
    High,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What there are alerts about. Keys on disk hold a kind by its place in this list: a new one goes to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A privileged role is held without activating it.
    RoleHeldOutside,
    /// Too many principals hold a privileged role, or may.
    TooManyHolders,
    /// Too many principals hold a privileged role for ever.
    TooManyPermanent,
    /// Somebody activates a role again and again.
    ActivatedOften,
    /// Nobody ever activated by an eligibility.
    NeverUsed,
    /// Somebody who holds or may hold roles shows no sign of life.
    StalePrincipal,
    /// A privileged role can be had too easily.
    WeakSettings,
    /// Somebody was given a role twice.
    DuplicateHoldings,
    /// Somebody broke the glass.
    EmergencyUsed,
    /// Hardly anybody can approve requests for a role, or nobody.
    SmallCircle,
    /// Somebody activates what they never did before.
    FirstActivation,
    /// Somebody activates at an hour of the week at which they do not.
    UnusualHour,
    /// Somebody asks for much at once.
    RequestBurst,
    /// Somebody is refused again and again.
    DenialBurst,
    /// Somebody activates much at once.
    ActivationBurst,
    /// The clock was not to be believed.
    ClockTrouble,
    /// The journal does not hold together.
    JournalTrouble,
}

/// What a number of a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Parts of a hundred.
    Percent,
    /// Days of 24 hours.
    Days,
    /// Hours.
    Hours,
    /// A duration; kept in seconds.
    Time,
    /// Yes (1) or no (0).
    Flag,
}

/// A number of a rule, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Only where it is given for longer than this.
    LongerThan,
    /// More than so many are too many.
    Count,
    /// More than this share are too many.
    Share,
    /// So few are never too many.
    Few,
    /// So many times are too many.
    Times,
    /// Within this time.
    Within,
    /// For so many days.
    Days,
    /// Whether a second factor is wanted.
    Mfa,
    /// Whether an approval is wanted.
    Approval,
    /// Whether a reason is wanted.
    Justification,
    /// So many persons at least.
    Persons,
    /// So many activations have to be known before anything is unusual.
    Known,
    /// So many hours before and after count as the same.
    Hours,
    /// Whether only privileged roles count.
    Privileged,
    /// Whether the first activation of a principal counts.
    Principal,
    /// Whether the first activation of a role counts.
    Role,
    /// Whether the first activation on a scope counts.
    Scope,
    /// For how long an incident is open that has no end of its own.
    OpenFor,
}

impl Limit {
    /// The word for it, in the bundle and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LongerThan => "longer_than",
            Self::Count => "count",
            Self::Share => "share",
            Self::Few => "few",
            Self::Times => "times",
            Self::Within => "within",
            Self::Days => "days",
            Self::Mfa => "mfa",
            Self::Approval => "approval",
            Self::Justification => "justification",
            Self::Persons => "persons",
            Self::Known => "known",
            Self::Hours => "hours",
            Self::Privileged => "privileged",
            Self::Principal => "principal",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::OpenFor => "open_for",
        }
    }
}

/// A number that a kind's rule has: its bounds, and what it is where the bundle says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Which.
    pub limit: Limit,
    /// What it counts.
    pub unit: Unit,
    /// What it is where nothing is said.
    pub default: u64,
    /// The least that is taken.
    pub least: u64,
    /// The most that is taken.
    pub most: u64,
}

/// Most times that a rule can count to: so many instants are kept for each that it counts.
pub const MAX_TIMES: u64 = 1_000;
/// Most days of a rule.
pub const MAX_DAYS: u64 = 3_650;
const DAY: u64 = 86_400;

const fn number(limit: Limit, unit: Unit, default: u64, least: u64, most: u64) -> Threshold {
    Threshold { limit, unit, default, least, most }
}

const fn flag(limit: Limit, default: bool) -> Threshold {
    number(limit, Unit::Flag, default as u64, 0, 1)
}

const fn times(default: u64) -> Threshold {
    number(Limit::Times, Unit::Count, default, 1, MAX_TIMES)
}

const fn within(secs: u64) -> Threshold {
    number(Limit::Within, Unit::Time, secs, 1, MAX_DAYS * DAY)
}

const fn days(default: u64) -> Threshold {
    number(Limit::Days, Unit::Days, default, 1, MAX_DAYS)
}

const OPEN_FOR: Threshold = number(Limit::OpenFor, Unit::Time, 30 * DAY, 1, MAX_DAYS * DAY);
const FEW: u64 = 1_000_000;

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::RoleHeldOutside,
        Self::TooManyHolders,
        Self::TooManyPermanent,
        Self::ActivatedOften,
        Self::NeverUsed,
        Self::StalePrincipal,
        Self::WeakSettings,
        Self::DuplicateHoldings,
        Self::EmergencyUsed,
        Self::SmallCircle,
        Self::FirstActivation,
        Self::UnusualHour,
        Self::RequestBurst,
        Self::DenialBurst,
        Self::ActivationBurst,
        Self::ClockTrouble,
        Self::JournalTrouble,
    ];

    /// The word as it stands in JSON and in the bundle.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoleHeldOutside => "role_held_outside",
            Self::TooManyHolders => "too_many_holders",
            Self::TooManyPermanent => "too_many_permanent",
            Self::ActivatedOften => "activated_often",
            Self::NeverUsed => "never_used",
            Self::StalePrincipal => "stale_principal",
            Self::WeakSettings => "weak_settings",
            Self::DuplicateHoldings => "duplicate_holdings",
            Self::EmergencyUsed => "emergency_used",
            Self::SmallCircle => "small_circle",
            Self::FirstActivation => "first_activation",
            Self::UnusualHour => "unusual_hour",
            Self::RequestBurst => "request_burst",
            Self::DenialBurst => "denial_burst",
            Self::ActivationBurst => "activation_burst",
            Self::ClockTrouble => "clock_trouble",
            Self::JournalTrouble => "journal_trouble",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// How much it matters where the bundle says nothing.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::RoleHeldOutside | Self::EmergencyUsed | Self::ClockTrouble | Self::JournalTrouble => Severity::High,
            Self::TooManyHolders
            | Self::TooManyPermanent
            | Self::WeakSettings
            | Self::SmallCircle
            | Self::FirstActivation
            | Self::UnusualHour
            | Self::DenialBurst
            | Self::ActivationBurst => Severity::Medium,
            Self::ActivatedOften | Self::NeverUsed | Self::StalePrincipal | Self::DuplicateHoldings | Self::RequestBurst => Severity::Low,
        }
    }

    /// The numbers of its rule.
    #[must_use]
    pub fn thresholds(self) -> &'static [Threshold] {
        const HELD: [Threshold; 1] = [number(Limit::LongerThan, Unit::Time, 0, 0, MAX_DAYS * DAY)];
        const HOLDERS: [Threshold; 3] = [
            number(Limit::Count, Unit::Count, 20, 0, FEW),
            number(Limit::Share, Unit::Percent, 10, 0, 100),
            number(Limit::Few, Unit::Count, 5, 0, FEW),
        ];
        const PERMANENT: [Threshold; 3] = [
            number(Limit::Count, Unit::Count, 5, 0, FEW),
            number(Limit::Share, Unit::Percent, 5, 0, 100),
            number(Limit::Few, Unit::Count, 2, 0, FEW),
        ];
        const OFTEN: [Threshold; 2] = [times(20), within(7 * DAY)];
        const UNUSED: [Threshold; 1] = [days(90)];
        const STALE: [Threshold; 1] = [days(120)];
        const WEAK: [Threshold; 3] = [flag(Limit::Mfa, true), flag(Limit::Approval, true), flag(Limit::Justification, true)];
        const CIRCLE: [Threshold; 1] = [number(Limit::Persons, Unit::Count, 2, 1, 100)];
        const FIRST: [Threshold; 7] = [
            number(Limit::Known, Unit::Count, 10, 1, MAX_TIMES),
            days(30),
            flag(Limit::Principal, true),
            flag(Limit::Role, true),
            flag(Limit::Scope, true),
            flag(Limit::Privileged, true),
            OPEN_FOR,
        ];
        const HOUR: [Threshold; 5] = [
            number(Limit::Known, Unit::Count, 20, 1, MAX_TIMES),
            number(Limit::Hours, Unit::Hours, 2, 0, 11),
            number(Limit::Share, Unit::Percent, 2, 0, 100),
            flag(Limit::Privileged, false),
            OPEN_FOR,
        ];
        const REQUESTS: [Threshold; 2] = [times(20), within(600)];
        const DENIALS: [Threshold; 2] = [times(10), within(600)];
        const ACTIVATIONS: [Threshold; 2] = [times(10), within(600)];
        const ONCE: [Threshold; 1] = [OPEN_FOR];
        match self {
            Self::RoleHeldOutside => &HELD,
            Self::TooManyHolders => &HOLDERS,
            Self::TooManyPermanent => &PERMANENT,
            Self::ActivatedOften => &OFTEN,
            Self::NeverUsed => &UNUSED,
            Self::StalePrincipal => &STALE,
            Self::WeakSettings => &WEAK,
            Self::DuplicateHoldings | Self::EmergencyUsed => &[],
            Self::SmallCircle => &CIRCLE,
            Self::FirstActivation => &FIRST,
            Self::UnusualHour => &HOUR,
            Self::RequestBurst => &REQUESTS,
            Self::DenialBurst => &DENIALS,
            Self::ActivationBurst => &ACTIVATIONS,
            Self::ClockTrouble | Self::JournalTrouble => &ONCE,
        }
    }

    /// What it means, in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::RoleHeldOutside => {
                "a privileged role was assigned, so that it holds without an activation, an approval or an end of the day"
            }
            Self::TooManyHolders => "more principals hold a privileged role, or may activate it, than a role of that kind should have",
            Self::TooManyPermanent => "more principals have a privileged role assigned without an end than there should be",
            Self::ActivatedOften => {
                "somebody activates the same role so often that its window, or its being activated at all, does not fit"
            }
            Self::NeverUsed => "somebody is eligible, and nobody ever activated by it",
            Self::StalePrincipal => "somebody holds roles or may activate them, and neither activated anything nor was checked for long",
            Self::WeakSettings => "a privileged role can be activated without a second factor, an approval or a reason",
            Self::DuplicateHoldings => "somebody was given the same role twice, so that taking one away takes nothing away",
            Self::EmergencyUsed => "somebody took a role in an emergency, and that was not reviewed yet",
            Self::SmallCircle => "so few persons can approve requests for a role that one who is away, or is the requester, blocks all",
            Self::FirstActivation => {
                "somebody whose habits are known activated a role or a scope for the first time, or woke up after long"
            }
            Self::UnusualHour => "somebody activated at an hour of the week at which they hardly ever do",
            Self::RequestBurst => "somebody asked for many activations within a short time",
            Self::DenialBurst => "somebody was refused, or denied by approvers, many times within a short time",
            Self::ActivationBurst => "somebody activated many times within a short time",
            Self::ClockTrouble => "the clock jumped, or stood before what was already seen, and was not believed",
            Self::JournalTrouble => "a record of the journal does not belong to the one before it, or cannot be read",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::RoleHeldOutside => "remove the assignment, and make its holder eligible instead",
            Self::TooManyHolders => "start an access review of the role, and remove those who do not need it",
            Self::TooManyPermanent => "give the assignments an end, or make their holders eligible instead",
            Self::ActivatedOften => {
                "look at what it is activated for; give the role a longer `max_duration`, or the work a role of its own"
            }
            Self::NeverUsed => "remove the eligibility; whoever needs it after all asks again",
            Self::StalePrincipal => "disable the principal, or remove what it was given",
            Self::WeakSettings => "add `mfa` and `justification` to the role's `require`, and stages to its `approval`, in `roles.toml`",
            Self::DuplicateHoldings => "remove the narrower of the two grants",
            Self::EmergencyUsed => "decide on it in the access review that it opened; revoke it, if it was none",
            Self::SmallCircle => "add approvers to the stage, or a fallback, in `roles.toml`, or members to its groups",
            Self::FirstActivation | Self::UnusualHour => "ask the principal whether it was them; revoke the activation, if not",
            Self::RequestBurst | Self::DenialBurst => "ask the principal what they are trying; disable it, if nobody knows",
            Self::ActivationBurst => "ask the principal whether it was them; revoke everything they activated, if not",
            Self::ClockTrouble => "look at who set the clock, and at what was done meanwhile: `elevon audit list`",
            Self::JournalTrouble => {
                "stop the server, look at the disk and at the log, read the journal once through with `elevon rebuild`, and restore a backup if it does not hold together"
            }
        }
    }
}

/// A kind's rule, as the bundle sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRule {
    /// Whether it is looked for at all.
    pub enabled: bool,
    /// How much it matters.
    pub severity: Severity,
    /// Its numbers, all of them.
    pub limits: BTreeMap<Limit, u64>,
}

impl AlertRule {
    /// The rule of a kind of which the bundle says nothing.
    #[must_use]
    pub fn standard(kind: AlertKind) -> Self {
        let limits = kind.thresholds().iter().map(|threshold| (threshold.limit, threshold.default)).collect();
        Self { enabled: true, severity: kind.severity(), limits }
    }

    /// One of its numbers; 0, where it has no such.
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        self.limits.get(&limit).copied().unwrap_or(0)
    }

    /// Whether one of its flags is set.
    #[must_use]
    pub fn is(&self, limit: Limit) -> bool {
        self.of(limit) != 0
    }
}

/// Every kind's rule, as the bundle sets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRules {
    rules: BTreeMap<AlertKind, AlertRule>,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { rules: AlertKind::ALL.into_iter().map(|kind| (kind, AlertRule::standard(kind))).collect() }
    }
}

impl AlertRules {
    /// Sets a kind's rule.
    pub fn set(&mut self, kind: AlertKind, rule: AlertRule) {
        self.rules.insert(kind, rule);
    }

    /// A kind's rule.
    #[must_use]
    pub fn of(&self, kind: AlertKind) -> AlertRule {
        self.rules.get(&kind).cloned().unwrap_or_else(|| AlertRule::standard(kind))
    }
}
