//! What histories are made of: a small universe, the ways in which they begin, and random steps.

use std::sync::Arc;

use proptest::prelude::*;

use super::kit::*;
use super::model::{Op, Shown, Span, Timer, users};
use crate::domain::command::Everything;
use crate::domain::facts::Action;
use crate::domain::settings::Requirement;
use crate::domain::*;

/// One step of a history: wait so many minutes, then somebody does something, by a clock that is believed or not.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) wait: u64,
    pub(super) actor: Uid,
    pub(super) trusted: bool,
    pub(super) op: Op,
    pub(super) aim: Aim,
}

/// Whether a step is as it was drawn, or bent to what there is: random commands alone hardly get past the first refusal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aim {
    AsDrawn,
    /// A request is for the actor, under one of the eligibilities of the beginning; a vote, or the end of something, is on what is open.
    Open(usize),
    /// A request is for the same as an earlier one.
    Again(usize),
}

pub(super) fn bundles() -> Vec<Arc<Definitions>> {
    let first = || with_fallback(stage(&["User:u2", "Group:g0"], 1, 120), &["User:u3"], 30);
    let free = |change: fn(&mut RoleSettings)| {
        role("r0", |role| {
            role.emergency = emergency(1);
            role.max_active_per_day = Some(mins(300));
            role.activate_within = mins(240);
            change(role);
        })
    };
    let asked = |change: fn(&mut RoleSettings)| {
        role("r1", |role| {
            role.stages = vec![first()];
            role.require = [Requirement::Justification].into();
            role.assignment.allow_permanent = true;
            role.emergency = emergency(2);
            role.max_extensions = 2;
            role.extendable_after = 25;
            change(role);
        })
    };
    let staged = |change: fn(&mut RoleSettings)| {
        role("r2", |role| {
            role.stages = vec![stage(&["Group:g1"], 2, 120), stage(&["User:u3", "User:u0"], 1, 60)];
            role.scope_required = true;
            role.scopes = Some(["Db".to_owned()].into());
            role.max_active_per_day = Some(mins(400));
            role.activate_within = mins(100);
            change(role);
        })
    };
    let roles = || vec![free(|_| {}), asked(|_| {}), staged(|_| {})];
    let entities = || vec![entity("User:u0", &["Group:g1"], None), entity("Group:g1", &[], None), entity("Db:s0", &[], None)];
    let lowered = vec![
        free(|role| {
            role.max_duration = mins(30);
            role.max_active_per_day = Some(mins(100));
        }),
        asked(|role| {
            role.max_duration = mins(60);
            role.emergency.as_mut().unwrap().max_duration = mins(20);
        }),
        staged(|role| role.max_duration = mins(90)),
    ];
    let stricter = vec![
        free(|role| role.stages = vec![stage(&["Group:g1"], 1, 60)]),
        asked(|role| {
            role.stages = vec![stage(&["User:u2"], 1, 120)];
            role.emergency = None;
            role.max_extensions = 0;
        }),
        staged(|role| role.stages = vec![stage(&["Group:g1"], 1, 120)]),
    ];
    let without = vec![free(|_| {}), staged(|_| {})];
    let open = vec![
        free(|_| {}),
        asked(|role| role.stages.clear()),
        staged(|role| role.stages = vec![stage(&["Group:g1"], 1, 120), stage(&["User:u3"], 1, 60), stage(&["Group:g0"], 1, 60)]),
    ];
    let others = vec![
        free(|role| role.max_active_per_day = Some(mins(60))),
        asked(|role| role.stages = vec![with_fallback(stage(&["User:u2"], 1, 120), &["User:u4"], 60)]),
        staged(|role| role.stages = vec![stage(&["User:u1", "User:u2"], 2, 120), stage(&["User:u2", "User:u0"], 1, 60)]),
    ];
    let one_alone = vec![free(|_| {}), asked(|role| role.stages = vec![stage(&["User:u3"], 1, 120)]), staged(|_| {})];
    let claims = vec![entity("User:u0", &[], None), entity("User:u1", &[], None), entity("Db:s0", &[], None)];
    let moved = vec![entity("User:u0", &[], Some("p")), entity("Group:g1", &[], None), entity("Db:s0", &[], None)];
    vec![
        bundle("b0", roles(), entities()),
        bundle("b1", lowered, entities()),
        bundle("b2", without, entities()),
        bundle("b3", stricter, entities()),
        bundle("b4", roles(), claims),
        bundle("b5", open, moved.clone()),
        bundle("b6", others, entities()),
        bundle("b7", one_alone, moved),
    ]
}

fn groups() -> Vec<Uid> {
    vec![uid("Group:g0"), uid("Group:g1")]
}

pub(super) fn scopes() -> Vec<Uid> {
    vec![uid("Db:s0"), uid("Db:s1"), uid("Db:s2")]
}

pub(super) fn names() -> Vec<Uid> {
    users().into_iter().chain(groups()).chain(scopes()).collect()
}

/// What every history begins with: the stored names, and somebody eligible for everything.
pub(super) fn prelude() -> Vec<(&'static str, Op)> {
    let put = |name: &str, parents: &[&str], person| {
        let parents = parents.iter().map(|name| uid(name)).collect();
        ("u0", Op::Put { uid: uid(name), parents, person, synced: false })
    };
    let eligible = |by, holder: &str, role, scope: Option<&str>, end| {
        (by, Op::Grant { eligible: true, holder: uid(holder), role, scope: scope.map(uid), start: 0, end })
    };
    vec![
        put("Group:g0", &["Group:g1"], None),
        put("User:u1", &["Group:g0"], None),
        put("User:u2", &["Group:g0"], None),
        put("User:u3", &[], Some("p")),
        put("User:u4", &["Group:g1"], Some("p")),
        put("Db:s1", &["Db:s0"], None),
        put("Db:s2", &["Db:s1"], None),
        eligible("u2", "User:u1", "r0", None, None),
        eligible("u0", "Group:g0", "r1", Some("Db:s0"), Some(150)),
        eligible("u0", "User:u3", "r1", None, None),
        eligible("u0", "User:u4", "r2", Some("Db:s1"), Some(200)),
        eligible("u2", "User:u1", "r2", Some("Db:s0"), None),
        eligible("u0", "User:u3", "r0", None, None),
    ]
}

/// Ways for a history to begin that chance seldom finds: each with how long to wait before.
pub(super) fn openings() -> Vec<Vec<(u64, &'static str, Op)>> {
    let span = |start, end, minutes| Span { start, end, minutes };
    let ask_for = |who: &'static str, role, scope: Option<&str>, span| {
        (who, Op::Request { principal: user(who), role, scope: scope.map(uid), span, reason: true, emergency: false })
    };
    let request = |who: &'static str, role| ask_for(who, role, Some("Db:s2"), span(None, None, Some(180)));
    let glass = |who: &'static str, role| {
        let span = span(None, None, Some(30));
        (who, Op::Request { principal: user(who), role, scope: None, span, reason: true, emergency: true })
    };
    let vote = |target, scope: Option<&str>, minutes| Op::Vote { target, yes: true, hash: Shown::Now, scope: scope.map(uid), minutes };
    let yes = |target| vote(target, None, None);
    let extend = |target| Op::Extend { target, minutes: Some(60), reason: true };
    let assigned = |end| Op::Grant { eligible: false, holder: user("u2"), role: "r1", scope: Some(uid("Db:s1")), start: 0, end };
    let prolong = |target, renew| Op::Prolong { eligible: true, target, renew, end: 600 };
    let at = |wait, (who, op): (&'static str, Op)| (wait, who, op);
    let start = |target| Op::SettleActivation { target, what: Timer::Start };
    vec![
        vec![],
        vec![at(0, request("u4", "r2")), (0, "u0", yes(0))],
        vec![at(0, request("u4", "r2")), (0, "u1", yes(0))],
        vec![at(0, request("u1", "r1")), (0, "u0", Op::Swap(1))],
        vec![(0, "u0", assigned(None)), (0, "u0", Op::AcceptClock)],
        vec![(0, "u0", assigned(Some(240))), at(0, request("u1", "r1"))],
        vec![at(0, request("u1", "r1")), at(0, request("u3", "r1"))],
        // an active one, and a request to extend it
        vec![at(0, request("u3", "r1")), (0, "u2", yes(0)), (60, "u3", extend(0))],
        vec![at(0, request("u3", "r1")), (0, "u2", yes(0)), (60, "u3", extend(0)), (100, "u1", yes(1))],
        vec![at(0, request("u1", "r0")), (90, "u1", extend(0))],
        // a request to extend that waits while a bundle comes to allow none
        vec![at(0, request("u3", "r1")), (0, "u2", yes(0)), (60, "u3", extend(0)), (0, "u0", Op::Swap(3)), (0, "u2", yes(1))],
        // one for later, approved; its start has come, or is past
        vec![at(0, ask_for("u1", "r0", None, span(Some(60), None, Some(60))))],
        vec![at(0, ask_for("u1", "r0", None, span(Some(60), None, Some(60)))), (60, "u0", start(0))],
        vec![at(0, ask_for("u3", "r1", None, span(Some(90), Some(150), None))), (10, "u2", yes(0)), (90, "u0", Op::Swap(6))],
        vec![
            at(0, ask_for("u3", "r1", None, span(None, Some(90), None))),
            (60, "u0", Op::Right { uid: user("u3"), action: Action::ActivateRole, denied: true }),
        ],
        vec![at(0, ask_for("u3", "r1", None, span(None, Some(90), None))), (90, "u2", yes(0))],
        // late for its day: the last hour before midnight
        vec![at(300, ask_for("u1", "r0", None, span(Some(10), None, Some(120)))), (80, "u0", start(0))],
        vec![at(280, request("u1", "r0")), (60, "u1", Op::Deactivate(0))],
        vec![at(0, request("u1", "r0")), at(0, ask_for("u1", "r0", Some("Db:s1"), span(None, None, Some(90))))],
        vec![at(0, request("u1", "r2")), at(0, ask_for("u1", "r2", Some("Db:s0"), span(None, None, Some(240))))],
        // one for later that waits while the cap falls, and is more than a day's time without it
        vec![
            at(0, ask_for("u1", "r2", Some("Db:s1"), span(Some(60), None, Some(200)))),
            at(0, ask_for("u1", "r2", Some("Db:s1"), span(Some(60), None, Some(240)))),
            (0, "u0", Op::Swap(1)),
            (0, "u0", yes(1)),
            (0, "u2", yes(1)),
            (0, "u3", yes(1)),
        ],
        // so late that it would take the time of the next day, which is given away
        vec![
            (0, "u0", Op::Swap(6)),
            at(350, ask_for("u1", "r0", None, span(Some(10), None, Some(10)))),
            at(0, ask_for("u1", "r0", None, span(Some(30), None, Some(60)))),
            (20, "u0", start(0)),
        ],
        // two that wait for the same minutes
        vec![
            (0, "u0", Op::Swap(3)),
            at(0, ask_for("u1", "r0", None, span(None, None, Some(180)))),
            at(0, ask_for("u1", "r0", Some("Db:s1"), span(None, None, Some(180)))),
            (0, "u2", yes(0)),
        ],
        // a vote whose voter may not vote any more, of a stage that needs two
        vec![
            at(0, request("u4", "r2")),
            (0, "u0", yes(0)),
            (0, "u0", Op::Right { uid: user("u0"), action: Action::ApproveActivation, denied: true }),
        ],
        // a bundle that makes who asked one person with the only approver
        vec![(0, "u0", ask_for("u1", "r1", Some("Db:s1"), span(None, None, Some(60))).1), (0, "u0", Op::Swap(7))],
        // an extension of what somebody else asked for, who then votes
        vec![
            (0, "u2", ask_for("u3", "r1", None, span(None, None, Some(120))).1),
            (0, "u1", yes(0)),
            (30, "u3", extend(0)),
            (0, "u2", yes(1)),
        ],
        // an extension that waits, and is asked for again, and longer
        vec![
            at(0, request("u3", "r1")),
            (0, "u2", yes(0)),
            (60, "u3", extend(0)),
            (0, "u3", Op::Extend { target: 0, minutes: Some(120), reason: true }),
        ],
        // an extension that waits while the cap falls
        vec![
            at(0, ask_for("u3", "r1", None, span(None, None, Some(60)))),
            (0, "u2", yes(0)),
            (30, "u3", Op::Extend { target: 0, minutes: Some(120), reason: true }),
            (0, "u0", Op::Swap(1)),
        ],
        // break-glass, once and again
        vec![at(0, glass("u1", "r0")), at(40, glass("u1", "r0"))],
        vec![at(0, glass("u3", "r1")), (10, "u0", Op::Swap(1))],
        // less than was asked for
        vec![at(0, ask_for("u3", "r1", None, span(None, None, Some(180)))), (0, "u2", vote(0, Some("Db:s1"), Some(60)))],
        vec![at(0, ask_for("u1", "r2", Some("Db:s0"), span(None, None, Some(180)))), (0, "u0", vote(0, Some("Db:s1"), Some(60)))],
        // less, and that a place which was deleted and came back
        vec![
            (0, "u0", Op::Delete(uid("Db:s2"))),
            (0, "u0", Op::Put { uid: uid("Db:s2"), parents: vec![uid("Db:s1")], person: None, synced: false }),
            at(0, ask_for("u3", "r1", Some("Db:s1"), span(None, None, Some(180)))),
            (0, "u2", vote(0, Some("Db:s2"), None)),
        ],
        // somebody steps in, and then may not
        vec![at(0, request("u1", "r1")), (40, "u3", yes(0))],
        // a request to extend, and one to renew
        vec![(60, "u1", prolong(8, false))],
        vec![at(0, request("u1", "r1")), (60, "u1", prolong(8, false)), (0, "u0", Op::Decide { target: 0, yes: true, end: None })],
        vec![(160, "u1", prolong(8, true)), (0, "u0", Op::Decide { target: 0, yes: true, end: None })],
        vec![(160, "u1", prolong(8, true)), (43_200, "u0", Op::SettleWish(0))],
        vec![
            (0, "u0", assigned(Some(240))),
            (100, "u2", Op::Prolong { eligible: false, target: 13, renew: false, end: 600 }),
            (0, "u0", Op::Decide { target: 0, yes: true, end: None }),
        ],
    ]
}

fn any_of<T: Clone + std::fmt::Debug + 'static>(list: Vec<T>) -> impl Strategy<Value = T> + Clone {
    prop::sample::select(list)
}

fn any_span() -> impl Strategy<Value = Span> {
    let minutes = any_of(vec![None, Some(0), Some(30), Some(60), Some(60), Some(90), Some(180), Some(180), Some(600)]);
    let start = any_of(vec![None, None, None, None, None, Some(0), Some(10), Some(60), Some(60), Some(120), Some(300)]);
    let end = any_of(vec![None, None, None, None, None, Some(0), Some(60), Some(90), Some(180), Some(600)]);
    (start, end, minutes).prop_map(|(start, end, minutes)| Span { start, end, minutes: minutes.filter(|_| end.is_none()) })
}

fn any_op() -> impl Strategy<Value = Op> {
    let anybody = any_of(users());
    let anyone = any_of(users().into_iter().chain(groups()).collect());
    let anything = any_of(names());
    let anywhere = prop_oneof![1 => Just(None), 4 => any_of(scopes()).prop_map(Some), 1 => Just(Some(uid("Db:nowhere")))];
    let anyrole = any_of(vec!["r0", "r1", "r2", "r1", "r2", "r0", "r1", "r2", "r9"]);
    let target = 0_usize..64;
    let hash = any_of(vec![Shown::Now, Shown::Now, Shown::Now, Shown::Now, Shown::Now, Shown::Now, Shown::AtFirst, Shown::Never]);
    let beneficiary = prop_oneof![9 => anybody.clone(), 1 => anything.clone()];
    let request = (beneficiary, anyrole.clone(), anywhere.clone(), any_span(), prop::bool::weighted(0.9), prop::bool::weighted(0.15));
    let grant = (
        any::<bool>(),
        anyone.clone(),
        anyrole,
        anywhere,
        any_of(vec![0_u64, 0, 0, 60]),
        any_of(vec![None, Some(0), Some(60), Some(240), Some(600), Some(5000)]),
    );
    let holder_parents =
        prop::collection::vec(prop_oneof![9 => any_of(groups()), 1 => Just(uid("Group:none")), 1 => Just(uid("Role:r0"))], 0..3);
    let scope_parents = prop::collection::vec(any_of(scopes()), 0..2);
    let synced = prop::bool::weighted(0.3);
    let put_user = (anybody.clone(), holder_parents.clone(), any_of(vec![None, None, Some("p"), Some("q")]), synced);
    let put_group = (any_of(groups()), holder_parents, synced);
    let put_scope = (any_of(scopes()), scope_parents, synced);
    let less = (
        any_of(vec![None, None, None, None, Some(uid("Db:s1")), Some(uid("Db:s2")), Some(uid("Db:s0"))]),
        any_of(vec![None, None, None, None, None, Some(30), Some(60), Some(300), Some(0)]),
    );
    let narrowed = prop_oneof![4 => Just((None, None)), 1 => less];
    let lengths = any_of(vec![None, Some(30), Some(60), Some(60), Some(120), Some(0), Some(600)]);
    let of_all = prop_oneof![
        3 => anything.prop_map(Everything::Principal),
        2 => any_of(vec!["r0", "r1", "r2", "r9"]).prop_map(|role| Everything::Role(role_name(role))),
    ];
    let ends = any_of(vec![30_u64, 300, 400, 600, 900, 1400, 1500]);
    let actions = vec![
        Action::ActivateRole,
        Action::ActivateRole,
        Action::ActivateRoleFor,
        Action::ActivateInEmergency,
        Action::ExtendActivation,
        Action::ApproveActivation,
        Action::ApproveActivation,
        Action::DenyActivation,
        Action::CancelActivation,
        Action::AssignRole,
        Action::ManageEntity,
        Action::RevokeActivation,
        Action::RevokeRole,
        Action::RevokePrincipal,
    ];
    let timers = any_of(vec![Timer::Start, Timer::Timeout, Timer::End, Timer::Start]);
    let deleted = ["User:u1", "User:u4", "Db:s1", "Db:s2", "Db:s2", "Group:g0", "User:u0"].map(uid).to_vec();
    prop_oneof![
        40 => request.prop_map(|(principal, role, scope, span, reason, emergency)| Op::Request { principal, role, scope, span, reason, emergency }),
        14 => (target.clone(), lengths, prop::bool::weighted(0.9)).prop_map(|(target, minutes, reason)| Op::Extend { target, minutes, reason }),
        70 => (target.clone(), prop::bool::weighted(0.95), hash, narrowed).prop_map(|(target, yes, hash, (scope, minutes))| Op::Vote { target, yes, hash, scope, minutes }),
        4 => target.clone().prop_map(Op::Cancel),
        4 => target.clone().prop_map(Op::Deactivate),
        4 => target.clone().prop_map(Op::Revoke),
        3 => of_all.prop_map(Op::RevokeAll),
        14 => grant.prop_map(|(eligible, holder, role, scope, start, end)| Op::Grant { eligible, holder, role, scope, start, end }),
        5 => (any::<bool>(), target.clone()).prop_map(|(eligible, target)| Op::Take { eligible, target }),
        8 => (any::<bool>(), target.clone(), any::<bool>(), ends.clone()).prop_map(|(eligible, target, renew, end)| Op::Prolong { eligible, target, renew, end }),
        8 => (target.clone(), prop::bool::weighted(0.8), prop::option::weighted(0.3, ends)).prop_map(|(target, yes, end)| Op::Decide { target, yes, end }),
        2 => target.clone().prop_map(Op::Withdraw),
        9 => put_user.prop_map(|(uid, parents, person, synced)| Op::Put { uid, parents, person, synced }),
        2 => put_group.prop_map(|(uid, parents, synced)| Op::Put { uid, parents, person: None, synced }),
        3 => put_scope.prop_map(|(uid, parents, synced)| Op::Put { uid, parents, person: None, synced }),
        3 => any_of(deleted).prop_map(Op::Delete),
        6 => (anyone, prop::bool::weighted(0.4)).prop_map(|(uid, disabled)| Op::Disable { uid, disabled }),
        5 => any_of(vec![0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 6, 7]).prop_map(Op::Swap),
        1 => Just(Op::AcceptClock),
        14 => (target.clone(), timers).prop_map(|(target, what)| Op::SettleActivation { target, what }),
        8 => (any::<bool>(), target.clone()).prop_map(|(eligible, target)| Op::SettleGrant { eligible, target }),
        2 => target.prop_map(Op::SettleWish),
        16 => (anybody, any_of(actions), prop::bool::weighted(0.6)).prop_map(|(uid, action, denied)| Op::Right { uid, action, denied }),
    ]
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![60 => any_of(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 10, 30, 59, 60, 120, 240]), 1 => any_of(vec![400, 43_200])];
    let actor = prop_oneof![24 => any_of(users()), 1 => Just(user("nobody"))];
    let aim = prop_oneof![2 => Just(Aim::AsDrawn), 7 => (0_usize..64).prop_map(Aim::Open), 1 => (0_usize..64).prop_map(Aim::Again)];
    let trusted = prop::bool::weighted(0.98);
    (wait, actor, trusted, any_op(), aim).prop_map(|(wait, actor, trusted, op, aim)| Step { wait, actor, trusted, op, aim })
}
