//! Whatever happens, in whatever order: every table of the store answers as the plain picture in memory does, before and after reopening, and
//! a rebuild agrees.

use proptest::prelude::*;

use super::*;
use crate::domain::command::Everything;
use crate::domain::grant::{Cause, GrantEnd, GrantRef, GrantRequest, GrantRequestState};
use crate::domain::id::GrantRequestId;
use crate::domain::{Rows as _, Tables as _};
use crate::engine::ports::{ActivationFilter, GrantFilter, GrantRequestFilter};

const PEOPLE: [&str; 4] = ["User alice", "User Alice", "User bob", "Robot alice"];
const GROUPS: [&str; 3] = ["Group a", "Group ab", "Group b"];
const SCOPES: [&str; 3] = ["Env prod", "Env test", "Db orders"];
const ROLES: [&str; 3] = ["admin", "reader", "adm"];
const GRANTS: usize = 6;

/// What happens next; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
struct Step {
    what: u8,
    a: usize,
    b: usize,
    c: usize,
    joins: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (0_u8..33 + reviews::KINDS + alerts::KINDS, 0_usize..64, 0_usize..64, 0_usize..64, any::<bool>())
        .prop_map(|(what, a, b, c, joins)| Step { what, a, b, c, joins })
}

fn pick<'a>(from: &[&'a str], number: usize) -> &'a str {
    from[number % from.len()]
}

fn anybody(number: usize) -> &'static str {
    if number.is_multiple_of(2) { pick(&PEOPLE, number / 2) } else { pick(&GROUPS, number / 2) }
}

fn activation_id(number: usize) -> ActivationId {
    ActivationId::new(&format!("act_{}", number % GRANTS)).unwrap()
}

fn eligibility_id(number: usize) -> EligibilityId {
    EligibilityId::new(&format!("elg_{}", number % GRANTS)).unwrap()
}

fn assignment_id(number: usize) -> AssignmentId {
    AssignmentId::new(&format!("asg_{}", number % GRANTS)).unwrap()
}

fn grant_request_id(number: usize) -> GrantRequestId {
    GrantRequestId::new(&format!("grq_{}", number % GRANTS)).unwrap()
}

fn grant_ref(number: usize) -> GrantRef {
    if number.is_multiple_of(2) { GrantRef::Eligibility(eligibility_id(number)) } else { GrantRef::Assignment(assignment_id(number)) }
}

fn grant_request(a: usize, b: usize, moment: i64) -> GrantRequest {
    GrantRequest {
        id: grant_request_id(a),
        grant: grant_ref(b),
        holder: uid(anybody(b)),
        role: role(pick(&ROLES, a)),
        scope: None,
        requester: caller(pick(&PEOPLE, b)),
        requested_at: at(moment),
        end: at(moment + 3_600_000),
        expires_at: at(moment + 60_000),
        justification: None,
        state: GrantRequestState::Pending,
    }
}

fn cause(number: usize) -> Cause {
    match number % 5 {
        3 => Cause::ClockAccepted,
        4 => Cause::PrincipalRevoked(uid(pick(&PEOPLE, number))),
        0 => Cause::PrincipalDisabled(uid(pick(&PEOPLE, number))),
        1 => Cause::RoleRemoved(role(pick(&ROLES, number))),
        _ => Cause::EligibilityRemoved(eligibility_id(number)),
    }
}

fn event(step: &Step) -> Event {
    let Step { what, a, b, c, .. } = *step;
    let id = activation_id(a);
    let moment = START + i64::try_from(c).unwrap() * 1000;
    match what {
        0 | 1 => {
            let scope = (!c.is_multiple_of(3)).then(|| pick(&SCOPES, c));
            let mut made = activation(id.as_str(), pick(&PEOPLE, b), pick(&ROLES, c), scope, moment);
            made.basis = Basis { eligibility: eligibility_id(b), holder: uid(anybody(c)) };
            requested(made)
        }
        2 | 3 => started(id.as_str(), moment, moment + 1000 * i64::try_from(b + 1).unwrap()),
        4 => Event::ActivationDenied { id, reason: None },
        5 => Event::ActivationCancelled { id, reason: None },
        6 => Event::ActivationTimedOut { id },
        7 => Event::ActivationFailed { id, cause: cause(b) },
        8 => Event::ActivationDeactivated { id, reason: Some(text("done").digest()) },
        9 => Event::ActivationRevoked { id, reason: None, cause: Some(cause(b)) },
        10 => Event::ActivationExpired { id },
        11 => Event::StageReached { id, stage: 1, timeout_at: at(moment) },
        12 => Event::EligibilityCreated {
            eligibility: eligibility(eligibility_id(a).as_str(), anybody(b), pick(&ROLES, c), c.is_multiple_of(2).then_some(moment)),
        },
        13 => Event::EligibilityRemoved { id: eligibility_id(a), reason: None },
        14 => Event::AssignmentCreated {
            assignment: assignment(assignment_id(a).as_str(), anybody(b), pick(&ROLES, c), c.is_multiple_of(2).then_some(moment)),
        },
        15 => Event::AssignmentExpired { id: assignment_id(a) },
        16 | 17 => stored(anybody(a), &[GROUPS[b % 3], GROUPS[c % 3], SCOPES[c % 2]][..c % 4]),
        18 => Event::EntityDeleted { uid: uid(anybody(a)), reason: None },
        19 => Event::CascadeContinues { cause: cause(a) },
        20 => Event::CascadeCompleted { cause: cause(a) },
        21 => Event::ActivationScheduled { id, start: at(moment), begin_by: at(moment + 60_000) },
        22 => Event::ActivationExtended { id, by: activation_id(b), end: at(moment + 90_000), clamped: false },
        23 => Event::ActivationClamped { id, end: at(moment), cause: cause(b) },
        24 => Event::EmergencyUsed { id, review_by: at(moment) },
        25 => Event::ActivationsVoided {
            of: if b.is_multiple_of(2) { Everything::Principal(uid(pick(&PEOPLE, c))) } else { Everything::Role(role(pick(&ROLES, c))) },
            reason: None,
        },
        26 => Event::ClockAccepted {},
        27 => Event::EligibilityExtended { id: eligibility_id(a), end: at(moment + 90_000) },
        28 => Event::AssignmentExtended { id: assignment_id(a), end: at(moment + 90_000) },
        29 => Event::GrantRequested { request: grant_request(a, b, moment) },
        30 => Event::GrantRequestApproved { id: grant_request_id(a), grant: grant_ref(b), reason: None },
        31 => Event::GrantRequestDenied { id: grant_request_id(a), reason: Some(text("no").digest()) },
        32 if c.is_multiple_of(2) => Event::GrantRequestCancelled { id: grant_request_id(a), reason: None },
        what if what >= 33 + reviews::KINDS => alerts::event(what - 33 - reviews::KINDS, a, pick(&PEOPLE, b), moment),
        33.. => reviews::event(what - 33, (a, b, c), [pick(&PEOPLE, a), pick(&GROUPS, b)], moment),
        _ => Event::GrantRequestTimedOut { id: grant_request_id(a) },
    }
}

/// Asks both every question that can be asked.
fn compare(desk: &Desk) -> Result<(), TestCaseError> {
    let (store, memory) = (&**desk.store(), &desk.memory);
    for name in PEOPLE.iter().chain(&GROUPS).chain(&SCOPES) {
        let name = uid(name);
        prop_assert_eq!(store.row(&name), memory.row(&name));
        prop_assert_eq!(store.stored_by_fold(name.kind(), &name.fold()), memory.stored_by_fold(name.kind(), &name.fold()));
        for limit in [0, 1, 2, 100] {
            prop_assert_eq!(store.open_at_scope(&name, limit), memory.open_at_scope(&name, limit));
            prop_assert_eq!(store.open_through(&name, limit), memory.open_through(&name, limit));
            for after in [None, Some(uid("Group ab")), Some(uid("User Alice")), Some(uid("A nobody"))] {
                prop_assert_eq!(store.stored_children(&name, after.as_ref(), limit), memory.stored_children(&name, after.as_ref(), limit));
            }
        }
        let key = IdempotencyKey::new("key").unwrap();
        prop_assert_eq!(store.remembered(&name, &key), memory.remembered(&name, &key));
    }
    for number in 0..GRANTS {
        prop_assert_eq!(store.activation(&activation_id(number)), memory.activation(&activation_id(number)));
        prop_assert_eq!(store.eligibility(&eligibility_id(number)), memory.eligibility(&eligibility_id(number)));
        prop_assert_eq!(store.assignment(&assignment_id(number)), memory.assignment(&assignment_id(number)));
        let resting =
            |limit| (store.open_resting_on(&eligibility_id(number), limit), memory.open_resting_on(&eligibility_id(number), limit));
        for (ours, theirs) in [resting(1), resting(100)] {
            prop_assert_eq!(ours, theirs);
        }
        prop_assert_eq!(store.grant_request(&grant_request_id(number)), memory.grant_request(&grant_request_id(number)));
        for limit in [0, 1, 100] {
            prop_assert_eq!(store.pending_about(&grant_ref(number), limit), memory.pending_about(&grant_ref(number), limit));
        }
    }
    for limit in [0, 1, 3, 100] {
        prop_assert_eq!(store.timed_assignments(limit), memory.timed_assignments(limit));
    }
    // where there are more than fit, the store gives the oldest and the picture the first by id: both give all, where all fit
    prop_assert_eq!(store.open_at_all(100), memory.open_at_all(100));
    prop_assert_eq!(store.pending_requests(100), memory.pending_requests(100));
    prop_assert_eq!(store.time_void_before(), memory.time_void_before());
    for name in ROLES.map(role) {
        prop_assert_eq!(store.open_for_role(&name, 100), memory.open_for_role(&name, 100));
        prop_assert_eq!(store.role_row(&name), memory.role_row(&name));
        for principal in PEOPLE.map(uid) {
            prop_assert_eq!(store.day_use(&principal, &name, at(START).day()), memory.day_use(&principal, &name, at(START).day()));
        }
    }
    let role_rows: std::collections::HashMap<_, _> = memory.all.roles.clone().into_iter().collect();
    prop_assert_eq!(store.role_rows().unwrap(), role_rows);
    for number in 0..12 {
        prop_assert_eq!(store.cascade_waits(&cause(number)), memory.cascade_waits(&cause(number)));
    }
    let holders: Vec<&str> = PEOPLE.into_iter().chain(GROUPS).collect();
    reviews::compare(store, memory, &holders, &ROLES)?;
    alerts::compare(store, memory, &PEOPLE)?;
    compare_lists(store, memory)
}

fn compare_lists(store: &Store, memory: &MemoryRows) -> Result<(), TestCaseError> {
    let page = Page::first(1000);
    let newest_first = |keep: &dyn Fn(&Activation) -> bool| {
        let mut found: Vec<_> = memory.all.activations.values().filter(|found| keep(found)).collect();
        found.sort_by_key(|found| std::cmp::Reverse((found.requested_at, found.id.clone())));
        found.into_iter().cloned().map(Arc::new).collect::<Vec<_>>()
    };
    let pending = |found: &Activation| matches!(found.state, ActivationState::Pending { .. });
    let active = |found: &Activation| matches!(found.state, ActivationState::Active { .. });
    let filter = ActivationFilter::default();
    prop_assert_eq!(store.activations(&filter, &page).unwrap().items, newest_first(&|_| true));
    for name in PEOPLE.map(uid) {
        let filter = ActivationFilter { principal: Some(name.clone()), ..filter.clone() };
        prop_assert_eq!(store.activations(&filter, &page).unwrap().items, newest_first(&|found| found.principal == name));
        let filter = GrantFilter { holder: Some(name.clone()), ..GrantFilter::default() };
        let mine = memory.all.eligibilities.values().filter(|found| found.holder == name && found.ended.is_none()).cloned().map(Arc::new);
        prop_assert_eq!(store.eligibilities(&filter, &page).unwrap().items, mine.collect::<Vec<_>>());
        let mine = memory.all.assignments.values().filter(|found| found.holder == name && found.ended.is_none()).cloned().map(Arc::new);
        prop_assert_eq!(store.assignments(&filter, &page).unwrap().items, mine.collect::<Vec<_>>());
    }
    let mut requests: Vec<_> = memory.all.grant_requests.values().cloned().map(Arc::new).collect();
    requests.sort_by_key(|found| std::cmp::Reverse((found.requested_at, found.id.clone())));
    prop_assert_eq!(&store.grant_requests(&GrantRequestFilter::default(), &page).unwrap().items, &requests);
    for name in PEOPLE.map(uid) {
        let filter = GrantRequestFilter { holder: Some(name.clone()), ..GrantRequestFilter::default() };
        let mine: Vec<_> = requests.iter().filter(|found| found.holder == name).cloned().collect();
        prop_assert_eq!(store.grant_requests(&filter, &page).unwrap().items, mine);
    }
    let mut oldest_first = newest_first(&pending);
    oldest_first.reverse();
    prop_assert_eq!(store.pending(&page).unwrap().items, oldest_first);
    prop_assert_eq!(store.active_count(), newest_first(&active).len() as u64);
    let timers = memory.all.activations.values().filter_map(crate::domain::overlay::activation_timer);
    let timers = timers.chain(memory.all.eligibilities.values().filter_map(crate::domain::overlay::eligibility_timer));
    let timers = timers.chain(memory.all.assignments.values().filter_map(crate::domain::overlay::assignment_timer));
    let timers = timers.chain(memory.all.grant_requests.values().filter_map(crate::domain::overlay::grant_request_timer));
    let timers = timers.chain(memory.all.review_definitions.values().filter_map(crate::domain::overlay::review_definition_timer));
    let timers = timers.chain(memory.all.reviews.values().filter_map(crate::domain::overlay::review_timer));
    let mut due: Vec<_> = timers.map(|timer| (timer.at, timer.due)).collect();
    let waiting = memory.all.cascades.iter().filter_map(|(cause, since)| since.map(|since| (since, cause)));
    due.extend(waiting.map(|(since, cause)| (since, crate::domain::command::Due::Cascade(cause.clone()))));
    due.sort();
    prop_assert_eq!(store.next_due().unwrap(), due.first().map(|(at, _)| *at));
    prop_assert_eq!(store.due(at(i64::MAX), 1000).unwrap(), due.into_iter().map(|(_, due)| due).collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_store_answers_as_the_plain_picture_does(steps in prop::collection::vec(step(), 1..80)) {
        let mut desk = Desk::new();
        let mut group = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let idempotency = step.joins.then(|| remembered("key"));
            group.push(Said { events: vec![event(step)], actor: caller(pick(&PEOPLE, step.b)), idempotency });
            if group.len() > step.a % 4 || number + 1 == steps.len() {
                desk.commit(std::mem::take(&mut group));
            }
            if number % 16 == 15 {
                compare(&desk)?;
            }
        }
        compare(&desk)?;
        desk.reopen();
        compare(&desk)?;
        desk.opened = None;
        let report = crate::store::rebuild(desk.path()).unwrap();
        prop_assert!(report.equal, "{:?}", report.differences);
    }
}

#[test]
fn an_ended_grant_keeps_how_it_ended() {
    let mut desk = Desk::new();
    desk.say(vec![Event::EligibilityCreated { eligibility: eligibility("elg_1", "User alice", "admin", None) }]);
    desk.say(vec![Event::EligibilityRemoved { id: eligibility_id(1), reason: None }]);
    desk.reopen();
    let found = desk.store().eligibility(&eligibility_id(1)).unwrap().unwrap();
    assert!(matches!(found.ended, Some(GrantEnd::Removed { .. })));
}
