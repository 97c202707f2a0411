//! What is kept of a caller's right to ask is what would be answered anew, after whatever happened.

use std::sync::Arc;

use crate::domain::command::BundleSource;
use crate::domain::facts::{Action, Object, Question, Refusal};
use crate::domain::{Actor, AssignmentId, Caller, Command, CredentialKind, Duration, Uid};
use crate::engine::Right;

use super::kept::{Dice, assignments};
use super::sample::{World, activate, assign, at, bundle, bundle_with, group, make_eligible, orders, put, user};

fn question(caller: &Uid, about: &Uid) -> Question {
    let principal = caller.clone();
    let caller = Caller { principal, credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    Question { actor: Actor::Caller(caller), action: Action::CheckAccess, object: Object::Subject(about.clone()), now: at(0) }
}

/// Asks through what is kept; whether it is permitted, and whether it was answered from that.
fn asks(world: &World, question: &Question, kept: &mut Option<Right>) -> (bool, bool) {
    let was = kept.as_ref().map(std::ptr::from_ref);
    let before = kept.as_ref().map(|right| format!("{right:?}"));
    let permitted = match world.engine.permits_kept(question, kept) {
        Ok(()) => true,
        Err(Refusal::Denied(_)) => false,
        Err(Refusal::Unavailable(unavailable)) => panic!("{unavailable}"),
    };
    assert_eq!(permitted, world.engine.permits(question).is_ok(), "{question:?} with {before:?}");
    assert!(permitted || kept.is_none(), "a denial is kept");
    (permitted, was.is_some() && before == kept.as_ref().map(|right| format!("{right:?}")))
}

fn disable(uid: &Uid, disabled: bool) -> Command {
    Command::SetDisabled { uid: uid.clone(), disabled, reason: None }
}

fn assignment(world: &World, holder: &Uid) -> AssignmentId {
    let stored = world.memory.stored.read().unwrap();
    let mut all = stored.rows.all.assignments.values();
    all.find(|assignment| assignment.ended.is_none() && assignment.holder == *holder).unwrap().id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_kept_ends_with_whatever_it_rests_on() {
    let world = World::new();
    let (root, bob, zoe, team) = (user("root"), user("bob"), user("zoe"), group("team"));
    for command in [put(&team, &[]), put(&zoe, &[]), assign(&team, "reader"), make_eligible(&bob, "reader")] {
        world.done(&root, command).await;
    }
    let mut kept = None;
    let about = question(&bob, &zoe);
    assert_eq!(asks(&world, &about, &mut kept), (false, false));
    // an activation, until it ends
    world.done(&bob, activate(&bob, "reader", 10)).await;
    assert_eq!(asks(&world, &about, &mut kept), (true, false));
    assert_eq!(asks(&world, &about, &mut kept), (true, true));
    assert_eq!(asks(&world, &question(&bob, &user("alice")), &mut kept), (true, true), "of the same type");
    assert_eq!(asks(&world, &question(&bob, &orders()), &mut kept), (false, false), "of another type");
    assert!(kept.is_none());
    assert_eq!(asks(&world, &about, &mut kept), (true, false));
    assert_eq!(asks(&world, &question(&zoe, &bob), &mut kept), (false, false), "another caller");
    assert_eq!(asks(&world, &about, &mut kept), (true, false));
    world.done(&root, put(&user("somebody"), &[])).await;
    assert!(asks(&world, &about, &mut kept).0);
    assert_eq!(asks(&world, &about, &mut kept), (true, true), "what concerns others changes nothing");
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(asks(&world, &about, &mut kept), (false, false));
    // through a group, until it is left
    world.done(&root, put(&zoe, std::slice::from_ref(&team))).await;
    let about = question(&zoe, &bob);
    for take_away in [put(&zoe, &[]), disable(&zoe, true), Command::RemoveAssignment { id: assignment(&world, &team), reason: None }] {
        world.done(&root, put(&zoe, std::slice::from_ref(&team))).await;
        assert_eq!(asks(&world, &about, &mut kept), (true, false));
        assert_eq!(asks(&world, &about, &mut kept), (true, true));
        world.done(&root, take_away).await;
        assert_eq!(asks(&world, &about, &mut kept), (false, false));
        let _ = world.submit(&root, disable(&zoe, false)).await;
    }
    world.done(&root, assign(&team, "reader")).await;
    assert_eq!(asks(&world, &about, &mut kept), (true, false));
    // a credential that says something else is another caller
    let mut stronger = about.clone();
    if let Actor::Caller(caller) = &mut stronger.actor {
        caller.amr = vec!["mfa".to_owned()];
    }
    assert_eq!(asks(&world, &stronger, &mut kept), (true, false));
    // a bundle that says otherwise
    let other = Arc::new(bundle("other"));
    world.engine.propose(other, BundleSource::Reload, Actor::System).await.unwrap();
    assert!(asks(&world, &about, &mut kept).0);
    // everything that is bound to time, while the clock is not believed
    world.clock.skew(3_600_000);
    assert!(asks(&world, &about, &mut kept).0, "what is not bound to time counts");
    assert!(kept.is_none(), "nothing is kept of a moment that is not believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_looks_at_its_subject_is_kept_for_that_one() {
    let world = World::new();
    let (root, alice, bob) = (user("root"), user("alice"), user("bob"));
    let about_oneself = "@id(\"self\") permit(principal, action == Elevon::Action::\"checkAccess\", resource)
        when { context has beneficiary && context.beneficiary.self };\n";
    let looks = Arc::new(bundle_with("one", about_oneself));
    world.engine.propose(looks, BundleSource::Reload, Actor::System).await.unwrap();
    let mut kept = None;
    assert_eq!(asks(&world, &question(&root, &bob), &mut kept), (true, false));
    assert_eq!(asks(&world, &question(&root, &bob), &mut kept), (true, true));
    assert_eq!(asks(&world, &question(&root, &alice), &mut kept), (true, false), "a policy looks at the subject");
    assert_eq!(asks(&world, &question(&alice, &alice), &mut kept), (true, false));
    assert_eq!(asks(&world, &question(&alice, &alice), &mut kept), (true, true));
    assert_eq!(asks(&world, &question(&alice, &bob), &mut kept), (false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_history_a_kept_right_is_what_would_be_answered_anew() {
    let world = World::new();
    let (root, bob, zoe) = (user("root"), user("bob"), user("zoe"));
    let groups: Vec<Uid> = (0..4).map(|number| group(&format!("g{number}"))).collect();
    for uid in groups.iter().chain([&zoe]) {
        world.done(&root, put(uid, &[])).await;
    }
    world.done(&root, make_eligible(&bob, "reader")).await;
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut kept: Vec<(Question, Option<Right>)> =
        [&root, &bob, &zoe].into_iter().flat_map(|caller| [&bob, &zoe].map(|about| (question(caller, about), None))).collect();
    let (mut permitted, mut from_kept) = (0, 0);
    for step in 0..500 {
        let place = dice.below(groups.len());
        let command = match dice.below(12) {
            0..=1 => put(&zoe, &dice.some(&groups)),
            2..=3 => put(&groups[place], &dice.some(&groups[place + 1..])),
            4..=5 => assign(&groups[place], "reader"),
            6 => {
                let Some((id, _)) = assignments(&world).get(place).cloned() else { continue };
                Command::RemoveAssignment { id, reason: None }
            }
            7 => Command::DeleteEntity { uid: groups[place].clone(), reason: None },
            8 => disable([&zoe, &bob][dice.below(2)], dice.below(3) == 0),
            9 => activate(&bob, "reader", 5),
            10 => {
                world.clock.advance(Duration::from_mins(dice.below(4) as u64));
                put(&user("somebody"), &[])
            }
            _ => {
                let name = ["one", "two"][dice.below(2)];
                let proposed = Arc::new(bundle(name));
                world.engine.propose(proposed, BundleSource::Reload, Actor::System).await.unwrap();
                put(&user("somebody"), &[])
            }
        };
        let who = if matches!(command, Command::RequestActivation { .. }) { &bob } else { &root };
        // some are refused (there already, or not there), and change nothing
        let _ = world.submit(who, command).await;
        for (question, right) in &mut kept {
            for _ in 0..2 {
                let (yes, was_kept) = asks(&world, question, right);
                permitted += usize::from(yes);
                from_kept += usize::from(was_kept);
            }
        }
        assert!(step < 100 || from_kept > 0);
    }
    assert!(permitted > 1500 && permitted < 5500 && from_kept > 1000, "{permitted} permitted, {from_kept} of them kept");
}
