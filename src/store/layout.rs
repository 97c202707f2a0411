//! Every layout on disk, byte for byte, against `layout.txt`. A line that changes is a change of format: raise the version of that value and
//! [`super::FORMAT`], say in its history what changed, and keep reading the older form. A line that is added is not.

use std::fmt::Write as _;
use std::sync::Arc;

use super::family::{self, Family, hex};
use super::key::{Key, Label, MetaKey, Seq};
use super::value::{AnchorRow, HeadRow, Raw, Value};
use crate::domain::alert::{AlertKind, AlertSubject, AlertTally, Dismissal, Finding, Incident, IncidentEnd, Remedy, Severity};
use crate::domain::calendar::{Date, Every, Schedule, TimeOfDay, Zone};
use crate::domain::command::Due;
use crate::domain::event::Remembered;
use crate::domain::grant::{
    ActivationGrant, ActivationState, Asked, AssignmentGrant, Basis, Cause, DayUse, EligibilityGrant, EntityRow, GrantEnd, GrantRef,
    GrantRequestState, Grants, Narrowed, RoleRow, TicketDigest, Under, Vote,
};
use crate::domain::id::{IdempotencyKey, ReviewName};
use crate::domain::review::{
    Applied, Covers, Decided, DefinitionEnd, NoAnswer, Recommendation, ReviewDecision, ReviewItem, ReviewOf, ReviewPlan, ReviewStage,
    ReviewState, Reviewers, Subject, Taken, Tally, Upcoming,
};
use crate::domain::settings::{EdgeSource, JsonObject, ParentEdge};
use crate::domain::text::Digest;
use crate::domain::{
    Activation, ActivationId, Actor, Assignment, AssignmentId, Caller, CredentialKind, Day, Detectors, Duration, Eligibility,
    EligibilityId, EntityDef, GrantRequest, GrantRequestId, Incarnation, IncidentId, Outcome, Rejection, Review, ReviewDefinition,
    ReviewDefinitionId, ReviewEntry, ReviewId, Revision, RoleName, Text, TextDigest, Timestamp, Uid, Window,
};
use crate::engine::outbox::{Letter, Matter, Position};
use crate::engine::ports::{Anchor, Head};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn alice() -> Uid {
    Uid::new("User", "alice").unwrap()
}

fn prod() -> Uid {
    Uid::new("Env", "prod").unwrap()
}

fn dba() -> RoleName {
    RoleName::new("dba").unwrap()
}

fn act() -> ActivationId {
    ActivationId::new("act_1").unwrap()
}

fn elg() -> EligibilityId {
    EligibilityId::new("elg_1").unwrap()
}

fn asg() -> AssignmentId {
    AssignmentId::new("asg_1").unwrap()
}

fn grq() -> GrantRequestId {
    GrantRequestId::new("grq_1").unwrap()
}

fn grants() -> [GrantRef; 2] {
    [GrantRef::Eligibility(elg()), GrantRef::Assignment(asg())]
}

fn grant_request(grant: GrantRef, state: GrantRequestState) -> GrantRequest {
    GrantRequest {
        id: grq(),
        grant,
        holder: alice(),
        role: dba(),
        scope: Some(prod()),
        requester: actor(),
        requested_at: at(7),
        end: at(20),
        expires_at: at(10),
        justification: Some(digest(3)),
        state,
    }
}

fn request_states() -> Vec<GrantRequestState> {
    let (by, reason) = (Actor::System, Some(digest(9)));
    vec![
        GrantRequestState::Pending,
        GrantRequestState::Approved { by: by.clone(), at: at(9), reason, grant: GrantRef::Assignment(asg()) },
        GrantRequestState::Denied { by: by.clone(), at: at(9), reason },
        GrantRequestState::Cancelled { by, at: at(9), reason },
        GrantRequestState::TimedOut { at: at(9) },
    ]
}

fn digest(byte: u8) -> TextDigest {
    TextDigest(Digest([byte; 32]))
}

fn actor() -> Actor {
    Actor::Caller(Caller {
        principal: alice(),
        credential: CredentialKind::Dev,
        amr: vec!["otp".to_owned(), "pwd".to_owned()],
        auth_time: Some(at(1)),
        groups: vec!["g".to_owned()],
    })
}

fn window() -> Window {
    Window { start: at(1000), end: Some(at(2000)) }
}

fn under() -> Under {
    Under { holder: Incarnation(1), role: Incarnation(2), scope: Some(Incarnation(3)) }
}

fn ticket() -> TicketDigest {
    TicketDigest { system: digest(1), number: digest(2) }
}

fn basis() -> Basis {
    Basis { eligibility: elg(), holder: alice() }
}

fn activation(state: ActivationState) -> Activation {
    let narrowed = Narrowed { scope: Some((prod(), Incarnation(5))), duration: Some(Duration::from_secs(300)) };
    let waited = Duration::from_secs(60);
    let vote = Vote { voter: actor(), person: "p".to_owned(), stage: 1, at: at(5), waited, narrowed, justification: None };
    Activation {
        id: act(),
        principal: alice(),
        requester: Actor::System,
        role: dba(),
        scope: Some(prod()),
        requested_at: at(7),
        duration: Duration::from_secs(300),
        start: Some(at(10)),
        end: Some(at(20)),
        emergency: true,
        extends: Some(ActivationId::new("act_0").unwrap()),
        asked: Some(Asked { scope: None, duration: Duration::from_secs(600) }),
        extensions: 1,
        extension: Some(ActivationId::new("act_2").unwrap()),
        review_by: Some(at(30)),
        seq: 300,
        justification: Some(digest(3)),
        ticket: Some(ticket()),
        basis: basis(),
        under: under(),
        basis_incarnation: Incarnation(4),
        votes: vec![vote],
        state,
    }
}

fn row() -> EntityRow {
    let edge = |source| ParentEdge { parent: prod(), incarnation: Incarnation(5), source };
    let (role, scope, window, under) = (dba(), Some(prod()), window(), under());
    let eligibility = EligibilityGrant { id: elg(), role: role.clone(), scope: scope.clone(), window, under };
    let assignment = AssignmentGrant { id: asg(), role: role.clone(), scope: None, window: Window { end: None, ..window }, under, seq: 5 };
    let activation = ActivationGrant {
        id: act(),
        role,
        scope,
        window,
        under,
        basis: basis(),
        basis_incarnation: Incarnation(6),
        approvals: 2,
        extensions: 1,
        emergency: true,
        ticket: Some(ticket()),
        seq: 300,
    };
    let attrs = serde_json::json!({"a": 1}).as_object().cloned().unwrap();
    EntityRow {
        changed: 300,
        incarnation: Incarnation(7),
        disabled: true,
        void_before: 300,
        stored: Some(Arc::new(EntityDef {
            uid: alice(),
            parents: vec![edge(EdgeSource::Bundle), edge(EdgeSource::Api)],
            attrs: JsonObject::new(&attrs).unwrap(),
        })),
        grants: Grants {
            eligibilities: vec![eligibility],
            assignments: vec![assignment],
            activations: vec![activation],
            waiting: vec![act()],
            starts: vec![(act(), at(10))],
        },
    }
}

fn states() -> Vec<ActivationState> {
    let (by, reason) = (Actor::System, Some(digest(9)));
    vec![
        ActivationState::Pending { stage: 1, timeout_at: at(9), since: at(8) },
        ActivationState::Scheduled { start: at(10), approved_at: at(9), begin_by: at(20) },
        ActivationState::Approved { at: at(9), end: at(20) },
        ActivationState::Active { window: window() },
        ActivationState::Denied { by: by.clone(), at: at(9), reason },
        ActivationState::Cancelled { by: by.clone(), at: at(9), reason },
        ActivationState::TimedOut { at: at(9) },
        ActivationState::Failed { at: at(9), cause: Cause::EligibilityRemoved(elg()) },
        ActivationState::Deactivated { window: window(), by: by.clone(), at: at(9), reason },
        ActivationState::Revoked { window: window(), by, at: at(9), reason, cause: Some(Cause::RoleRemoved(dba())) },
        ActivationState::Expired { window: window() },
    ]
}

fn causes() -> Vec<Cause> {
    vec![
        Cause::EligibilityRemoved(elg()),
        Cause::EligibilityEnded(elg()),
        Cause::PrincipalDisabled(alice()),
        Cause::PrincipalDeleted(alice()),
        Cause::GroupLeft(alice()),
        Cause::ScopeDeleted(prod()),
        Cause::RoleRemoved(dba()),
        Cause::CapLowered(dba()),
        Cause::PrincipalRevoked(alice()),
        Cause::RoleRevoked(dba()),
        Cause::ClockAccepted,
        Cause::NotPermitted(alice()),
        Cause::WindowPast(at(9)),
        Cause::StartMissed(at(9)),
        Cause::BudgetExhausted(dba()),
        Cause::ParentEnded(act()),
    ]
}

fn dues() -> Vec<Due> {
    vec![
        Due::ActivationEnd(act()),
        Due::StageTimeout(act()),
        Due::EligibilityEnd(elg()),
        Due::AssignmentEnd(asg()),
        Due::Cascade(Cause::ScopeDeleted(prod())),
        Due::ActivationStart(act()),
        Due::GrantRequestTimeout(grq()),
        Due::ReviewOpening(rvd()),
        Due::ReviewStep(rev()),
    ]
}

fn rvd() -> ReviewDefinitionId {
    ReviewDefinitionId::new("rvd_1").unwrap()
}

fn rev() -> ReviewId {
    ReviewId::new("rev_1_1").unwrap()
}

fn subjects() -> [Subject; 3] {
    [Subject::Eligibility(elg()), Subject::Assignment(asg()), Subject::Activation(act())]
}

fn plan() -> ReviewPlan {
    let stage = |reviewers| ReviewStage { reviewers, fallback: vec![alice()], days: 300 };
    ReviewPlan {
        name: ReviewName::new("n").unwrap(),
        roles: vec![dba()],
        scopes: vec![prod()],
        covers: Covers::Both,
        inactive_days: Some(301),
        stages: vec![stage(Reviewers::Selected(vec![alice()])), stage(Reviewers::Holder), stage(Reviewers::Permitted)],
        no_answer: NoAnswer::TakeRecommendation,
        auto_apply: true,
        confirm_above: 20,
        reminders: true,
    }
}

fn review_definition(every: Every, ended: Option<DefinitionEnd>) -> ReviewDefinition {
    let first = Date::try_from("2030-01-31".to_owned()).unwrap();
    let schedule = Schedule { every, first, at: TimeOfDay::try_from("09:30".to_owned()).unwrap(), zone: Zone::new("Europe/Berlin") };
    let next = Some(Upcoming { number: 300, at: at(10) });
    ReviewDefinition { id: rvd(), plan: plan(), schedule, defined_by: actor(), defined_at: at(9), opened: 301, next, ended }
}

fn review_states() -> Vec<ReviewState> {
    vec![
        ReviewState::NotStarted { after: Some(Taken { role: dba(), grant: GrantRef::Assignment(asg()) }) },
        ReviewState::InProgress { stage: 1, ends_at: at(20), remind_at: Some(at(15)) },
        ReviewState::Completed { at: at(20) },
        ReviewState::Applying { at: at(20), after: Some(Subject::Eligibility(elg())) },
        ReviewState::Applied { at: at(30) },
    ]
}

fn review(of: ReviewOf, state: ReviewState) -> Review {
    let tally = Tally { items: 300, approved: 301, denied: 302, advised: 303, open: 304, applied: 305, removed: 306 };
    Review { id: rev(), of, number: 2, plan: plan(), opened_at: at(10), tally, truncated: true, completed_at: Some(at(20)), state }
}

fn review_entry(subject: Subject, decided: Decided, applied: Applied) -> ReviewEntry {
    let item = ReviewItem {
        subject,
        holder: alice(),
        role: dba(),
        scope: Some(prod()),
        window: window(),
        granted_at: at(8),
        last_activation: Some(at(300)),
        last_check: Some(at(301)),
        recommendation: Some(Recommendation::Deny),
    };
    let decisions = vec![ReviewDecision { stage: 1, by: actor(), at: at(12), decided, reason: digest(9) }];
    ReviewEntry { review: rev(), item, decisions, applied: Some((at(30), applied)) }
}

/// One line for each row of each family, as its table would write it, read back on the way.
struct Sheet(String);

impl Sheet {
    fn row<K, V>(&mut self, family: &Family<K, V>, key: &K, value: &V)
    where
        K: Key + PartialEq + std::fmt::Debug,
        V: Value + PartialEq + std::fmt::Debug,
    {
        let (key_bytes, value_bytes) = (key.bytes(), value.encode().unwrap());
        assert_eq!(<K as Key>::parse(&key_bytes).as_ref(), Some(key));
        assert_eq!(&V::decode(&value_bytes).unwrap(), value);
        let value = if value_bytes.is_empty() { "-".to_owned() } else { hex(&value_bytes) };
        writeln!(self.0, "{} {} {value}", family.name, hex(&key_bytes)).unwrap();
    }
}

fn sheet() -> String {
    let mut sheet = Sheet(String::new());
    sheet.row(&family::JOURNAL, &Seq(258), &Raw(b"{}".to_vec()));
    sheet.row(&family::ROWS, &alice(), &EntityRow::default());
    sheet.row(&family::ROWS, &alice(), &row());
    sheet.row(&family::ROLES, &dba(), &RoleRow { incarnation: Incarnation(300), void_before: 301 });
    sheet.row(&family::DAY_USES, &(alice(), dba(), Day(20_000)), &DayUse { millis: 300, emergencies: 2 });
    for (state, grant) in request_states().into_iter().zip(grants().into_iter().cycle()) {
        sheet.row(&family::GRANT_REQUESTS, &grq(), &grant_request(grant, state));
    }
    for state in states() {
        sheet.row(&family::ACTIVATIONS, &act(), &activation(state));
    }
    let ends = [None, Some(GrantEnd::Expired { at: at(9) }), Some(GrantEnd::Removed { by: actor(), at: at(9), reason: Some(digest(9)) })];
    for ended in ends {
        let (holder, role, scope, window, under, granted_by, granted_at) =
            (alice(), dba(), Some(prod()), window(), under(), actor(), at(8));
        let (justification, renews) = (Some(digest(8)), Some(EligibilityId::new("elg_0").unwrap()));
        let eligibility = Eligibility {
            id: elg(),
            holder,
            role,
            scope,
            window,
            under,
            granted_by,
            granted_at,
            justification,
            renews,
            ended: ended.clone(),
        };
        sheet.row(&family::ELIGIBILITIES, &elg(), &eligibility);
        let Eligibility { holder, role, scope, window, under, granted_by, granted_at, justification, .. } = eligibility;
        let renews = Some(AssignmentId::new("asg_0").unwrap());
        let assignment =
            Assignment { id: asg(), holder, role, scope, window, under, granted_by, granted_at, justification, renews, seq: 300, ended };
        sheet.row(&family::ASSIGNMENTS, &asg(), &assignment);
    }
    for cause in causes() {
        sheet.row(&family::CASCADES, &cause, &at(-1));
    }
    let results = [Ok(Outcome::ActivationCreated(act())), Ok(Outcome::Unchanged), Err(Rejection::UnknownPrincipal { principal: alice() })];
    let key = || IdempotencyKey::new("k").unwrap();
    for result in results {
        sheet.row(&family::REMEMBERED, &(alice(), key()), &(at(9), Remembered { key: key(), body: Digest([4; 32]), result }));
    }
    sheet.row(&family::TEXTS, &digest(5), &Text { salt: [6; 16], value: "why".to_owned() });
    sheet.row(&family::BUNDLES, &Revision::new("ab12").unwrap(), &Raw(b"{}".to_vec()));
    for due in dues() {
        sheet.row(&family::TIMERS, &(at(1), due), &());
    }
    meta(&mut sheet);
    indexes(&mut sheet);
    reviews(&mut sheet);
    alerts(&mut sheet);
    notifications(&mut sheet);
    sheet.0
}

fn notifications(sheet: &mut Sheet) {
    let position = Position { after: 300, events: 2, told: Some(alice()), attempts: 3, failing_since: Some(at(9)), digest: at(8) };
    let label = || Label("ops".to_owned());
    sheet.row(&family::POSITIONS, &label(), &position);
    let matters = [Matter::Event { seq: 301, event: 1, person: Some(alice()) }, Matter::Digest { until: at(7) }];
    for matter in matters {
        let (kind, error) = ("activation_started".to_owned(), "it answered 500".to_owned());
        let letter = Letter { matter, kind, at: at(6), given_up: at(9), attempts: 20, error, again: true };
        sheet.row(&family::LETTERS, &(label(), Seq(258)), &letter);
    }
}

fn meta(sheet: &mut Sheet) {
    let head = Head { seq: 258, hash: Digest([1; 32]), at: at(1), revision: Some(Revision::new("ab12").unwrap()) };
    let anchor = Anchor { machine_start: "m".to_owned(), running: 300, wall: at(301) };
    for (key, value) in [
        (MetaKey::Magic, b"elevon".to_vec()),
        (MetaKey::Format, super::FORMAT.to_be_bytes().to_vec()),
        (MetaKey::Mode, super::Mode::Dev.as_str().as_bytes().to_vec()),
        (MetaKey::Head, HeadRow::from(&head).encode().unwrap()),
        (MetaKey::Mark, at(300).encode().unwrap()),
        (MetaKey::Active, 300_u64.encode().unwrap()),
        (MetaKey::LiveSince, at(300).encode().unwrap()),
        (MetaKey::TimeVoid, 300_u64.encode().unwrap()),
        (MetaKey::Anchor, AnchorRow::from(&anchor).encode().unwrap()),
    ] {
        sheet.row(&family::META, &key, &Raw(value));
    }
}

fn reviews(sheet: &mut Sheet) {
    sheet.row(&family::LAST_ACTIVATIONS, &elg(), &at(300));
    for grant in grants() {
        sheet.row(&family::LAST_CHECKS, &grant, &at(300));
        sheet.row(&family::GRANTS_BY_ROLE, &(dba(), grant), &());
    }
    let ended = || Some(DefinitionEnd { by: actor(), at: at(9), reason: Some(digest(9)) });
    for (place, every) in Every::ALL.into_iter().enumerate() {
        sheet.row(&family::REVIEW_DEFINITIONS, &rvd(), &review_definition(every, if place == 0 { ended() } else { None }));
    }
    let of = [ReviewOf::Definition(rvd()), ReviewOf::Emergency(act())];
    for (state, of) in review_states().into_iter().zip(of.into_iter().cycle()) {
        sheet.row(&family::REVIEWS, &rev(), &review(of, state));
    }
    let applied = [Applied::Kept, Applied::Removed, Applied::Gone];
    for ((subject, decided), applied) in subjects().into_iter().zip(Decided::ALL).zip(applied) {
        sheet.row(&family::REVIEW_ENTRIES, &(rev(), subject.clone()), &review_entry(subject.clone(), decided, applied));
        sheet.row(&family::REVIEW_ENTRIES_BY_HOLDER, &(rev(), alice(), subject), &());
    }
    sheet.row(&family::REVIEWS_BY_TIME, &(at(1), rev()), &());
}

fn inc() -> IncidentId {
    IncidentId::new("inc_1").unwrap()
}

fn alert_subjects() -> [AlertSubject; 7] {
    [
        AlertSubject::Principal(alice()),
        AlertSubject::Role(dba()),
        AlertSubject::Holding { principal: alice(), role: dba() },
        AlertSubject::Eligibility(elg()),
        AlertSubject::Assignment(asg()),
        AlertSubject::Activation(act()),
        AlertSubject::Record(300),
    ]
}

fn incident(kind: AlertKind, severity: Severity, subject: AlertSubject, remedy: Option<Remedy>) -> Incident {
    let numbers = [("n".to_owned(), 300)].into();
    let (principal, role, scope, began_at) = (Some(alice()), Some(dba()), Some(prod()), at(300));
    let finding = Finding { kind, severity, subject, principal, role, scope, numbers, began_at, record: 301, remedy };
    let dismissed = Some(Dismissal { by: actor(), at: at(302), reason: digest(9) });
    Incident { id: inc(), finding, raised_at: at(303), dismissed, cleared: Some(IncidentEnd { at: at(304), by: Some(actor()) }) }
}

fn alerts(sheet: &mut Sheet) {
    let remedies = [
        Remedy::RemoveEligibility(elg()),
        Remedy::RemoveAssignment(asg()),
        Remedy::RevokeActivation(act()),
        Remedy::RevokePrincipal(alice()),
        Remedy::DisablePrincipal(alice()),
    ];
    let mut remedies = remedies.into_iter();
    let places = alert_subjects().into_iter().cycle().zip(Severity::ALL.into_iter().cycle());
    for (kind, (subject, severity)) in AlertKind::ALL.into_iter().zip(places) {
        sheet.row(&family::INCIDENTS, &inc(), &incident(kind, severity, subject.clone(), remedies.next()));
        sheet.row(&family::LATEST_INCIDENTS, &(kind, subject), &inc());
        sheet.row(&family::ALERT_TALLIES, &(kind, severity), &AlertTally { open: 300, dismissed: 301 });
    }
    sheet.row(&family::INCIDENTS_BY_TIME, &(at(1), inc()), &());
    sheet.row(&family::INCIDENTS_LASTING, &(at(1), inc()), &());
    sheet.row(&family::DETECTION, &Label("state".to_owned()), &Detectors::filled());
}

fn indexes(sheet: &mut Sheet) {
    sheet.row(&family::OPEN_BY_ELIGIBILITY, &(elg(), act()), &());
    sheet.row(&family::OPEN_BY_ROLE, &(dba(), act()), &());
    sheet.row(&family::OPEN_BY_SCOPE, &(prod(), act()), &());
    sheet.row(&family::OPEN_BY_HOLDER, &(alice(), act()), &());
    sheet.row(&family::OPEN_BY_TIME, &(at(-1), act()), &());
    sheet.row(&family::PENDING, &(at(0), act()), &());
    sheet.row(&family::ACTIVATIONS_BY_TIME, &(at(1), act()), &());
    sheet.row(&family::ACTIVATIONS_BY_PRINCIPAL, &(alice(), at(1), act()), &());
    sheet.row(&family::ELIGIBILITIES_BY_HOLDER, &(alice(), elg()), &());
    sheet.row(&family::ASSIGNMENTS_BY_HOLDER, &(alice(), asg()), &());
    sheet.row(&family::GRANT_REQUESTS_BY_TIME, &(at(1), grq()), &());
    for grant in grants() {
        sheet.row(&family::GRANT_REQUESTS_PENDING, &(grant, grq()), &());
    }
    sheet.row(&family::CHILDREN, &(prod(), alice()), &());
    sheet.row(&family::FOLDS, &(Label("User".to_owned()), Label("alice".to_owned()), alice()), &());
    sheet.row(&family::REMEMBERED_BY_TIME, &(at(1), alice(), IdempotencyKey::new("k").unwrap()), &());
}

#[test]
fn every_layout_on_disk_is_as_it_was() {
    let (sheet, kept) = (sheet(), include_str!("layout.txt"));
    for (now, then) in sheet.lines().zip(kept.lines()) {
        assert_eq!(now, then, "the layout of `{}` changed", now.split(' ').next().unwrap_or_default());
    }
    assert_eq!(sheet.lines().count(), kept.lines().count(), "the sheet as it is now:\n{sheet}");
    let missing: Vec<_> = family::ALL.iter().filter(|(name, _)| !sheet.lines().any(|line| line.split(' ').next() == Some(name))).collect();
    assert!(missing.is_empty(), "no layout of {missing:?} is kept");
}
