//! Asking for a role, and ending what was asked for.

use super::kit::*;
use crate::domain::command::{Due, Term};
use crate::domain::decide::{self, MAX_PENDING, Outcome};
use crate::domain::facts::{Action, Object};
use crate::domain::settings::Requirement;
use crate::domain::*;

#[test]
fn a_request_meets_the_first_rule_that_it_breaks() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", Some("Db:prod"), None).unwrap();
    world.run("root", Command::SetDisabled { uid: user("dan"), disabled: true, reason: None }).unwrap();
    world.law.denied.insert((user("bob"), Action::ActivateRole));
    let rows = [
        ("ann", "ann", "free", Some("Db:orders"), Some(60), "accepted"),
        ("who", "ann", "free", None, Some(60), "unknown_principal"),
        ("dan", "ann", "free", None, Some(60), "principal_disabled"),
        ("ann", "ann", "fre", None, Some(60), "unknown_role"),
        ("ann", "ann", "strict", None, Some(60), "scope_required"),
        ("ann", "ann", "strict", Some("Group:ops"), Some(60), "scope_not_allowed"),
        ("ann", "ann", "free", Some("Db:none"), Some(60), "unknown_scope"),
        ("ann", "who", "free", None, Some(60), "unknown_principal"),
        ("ann", "dan", "free", None, Some(60), "principal_disabled"),
        ("bob", "bob", "free", None, Some(600), "not_permitted"),
        ("ann", "ann", "free", None, Some(0), "duration_zero"),
        ("ann", "ann", "free", None, Some(241), "duration_too_long"),
        ("ann", "ann", "strict", Some("Db:prod"), Some(60), "requirements_missing"),
        ("ann", "ann", "free", None, Some(60), "not_eligible"),
        ("ann", "ann", "free", Some("Db:test"), Some(60), "not_eligible"),
    ];
    for (number, (actor, principal, role, scope, minutes, expected)) in rows.into_iter().enumerate() {
        let command = ask(&format!("a{number}"), principal, role, scope, minutes);
        assert_eq!(rule(world.run(actor, command)), expected, "{actor} for {principal}: {role} on {scope:?}");
    }
    let unknown = world.request("x", "ann", "fre", None, 60).unwrap_err();
    assert!(unknown.to_string().contains("did you mean `free`?"), "{unknown}");
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let mut world = company();
    world.eligible("e1", "User:ann", "strict", Some("Db:prod"), None).unwrap();
    let ticket = |number: &str| Some(Ticket { system: text(""), number: text(number) });
    let at = |minutes| Some(Timestamp::from_millis(START).plus(mins(minutes)));
    world.wait(60);
    use Requirement::{Justification, Mfa, Ticket as Tick};
    let rows = [
        (None, None, vec!["pwd"], at(55), vec![Justification, Tick, Mfa]),
        (Some(" "), ticket(" "), vec!["pwd", "otp"], None, vec![Justification, Tick, Mfa]),
        (Some("why"), ticket("OPS-1x"), vec!["mfa"], at(49), vec![Tick, Mfa]),
        (Some("why"), ticket("OPS-1"), vec!["mfa"], at(49), vec![Mfa]),
        (Some("why"), ticket("OPS-1"), vec!["mfa"], at(50), vec![]),
    ];
    for (number, (why, ticket, amr, auth_time, missing)) in rows.into_iter().enumerate() {
        let mut caller = caller("ann");
        caller.amr = amr.into_iter().map(str::to_owned).collect();
        caller.auth_time = auth_time;
        let command = Command::RequestActivation {
            id: act(&number.to_string()),
            principal: user("ann"),
            role: role_name("strict"),
            scope: Some(uid("Db:prod")),
            term: Term::default(),
            justification: why.map(text),
            ticket,
            emergency: false,
        };
        match world.run_as(Actor::Caller(caller), command) {
            Err(Rejection::RequirementsMissing { missing: found, .. }) => {
                assert_eq!(found.iter().map(|missing| missing.requirement).collect::<Vec<_>>(), missing);
            }
            other => assert!(missing.is_empty() && other.is_ok(), "{other:?}"),
        }
    }
}

#[test]
fn the_authority_is_asked_about_the_grant_that_is_asked_for() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    for (actor, action) in [("ann", Action::ActivateRole), ("bob", Action::ActivateRoleFor)] {
        world.run(actor, ask(actor, "ann", "free", Some("Db:prod"), None)).ok();
        let asked = world.law.asked.borrow().last().cloned().unwrap();
        let (role, scope, beneficiary) = (role_name("free"), Some(uid("Db:prod")), user("ann"));
        assert_eq!((asked.action, asked.object), (action, Object::RoleGrant { role, scope, beneficiary, duration: Some(mins(60)) }));
    }
}

#[test]
fn without_stages_it_begins_at_once_and_ends_by_itself() {
    let mut world = company();
    world.eligible("e1", "Group:staff", "free", Some("Db:prod"), None).unwrap();
    world.request("a", "ann", "free", Some("Db:orders"), 60).unwrap();
    assert_eq!(world.last(), ["activation_requested", "activation_started"]);
    let row = world.row("User:ann");
    assert_eq!((row.grants.waiting.len(), row.grants.activations.len(), row.changed), (0, 1, 3));
    let due = || Command::Settle(Due::ActivationEnd(act("a")));
    world.wait(59);
    assert_eq!(world.roles("User:ann", Some("Db:orders")), ["free"]);
    assert!(world.roles("User:ann", Some("Db:prod")).is_empty());
    assert_eq!(world.run("elevon", due()), Ok(Outcome::Unchanged));
    world.wait(1);
    assert!(world.roles("User:ann", Some("Db:orders")).is_empty());
    assert_eq!(world.status("a"), "expired");
    assert_eq!(rule(world.run("ann", due())), "not_permitted");
    assert_eq!(world.run("elevon", due()), Ok(Outcome::Settled));
    assert_eq!(world.run("elevon", due()), Ok(Outcome::Unchanged));
    assert!(world.row("User:ann").grants.activations.is_empty());
}

#[test]
fn what_is_there_already_is_not_given_again() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    world.eligible("e2", "User:ann", "one", None, None).unwrap();
    world.request("a", "ann", "free", None, 60).unwrap();
    world.wait(10);
    let records = world.records.len();
    assert_eq!(world.request("b", "ann", "free", None, 50), Ok(Outcome::ActivationExists(act("a"))));
    assert_eq!(world.records.len(), records);
    assert_eq!(rule(world.request("b", "ann", "free", None, 51)), "already_active");
    assert_eq!(rule(world.request("b", "ann", "free", Some("Db:prod"), 51)), "accepted", "another scope is another thing");
    world.request("p", "ann", "one", None, 60).unwrap();
    assert_eq!(world.request("q", "ann", "one", None, 60), Ok(Outcome::ActivationExists(act("p"))));
    assert_eq!(world.run("bob", ask("r", "ann", "one", None, Some(60))), Ok(Outcome::ActivationExists(act("p"))), "whoever asks");
    assert_eq!(world.request("s", "ann", "one", None, 30), Ok(Outcome::ActivationExists(act("p"))), "it gives more than is asked");
    assert_eq!(world.request("s", "ann", "one", None, 61), Ok(Outcome::ActivationCreated(act("s"))), "nothing is active to be extended");
    world.wait(120);
    assert_eq!(world.request("t", "ann", "one", None, 60), Ok(Outcome::ActivationCreated(act("t"))), "the one that waits has timed out");
}

#[test]
fn requests_that_wait_are_bounded() {
    let mut world = company();
    world.eligible("e1", "User:ann", "one", None, None).unwrap();
    for number in 0..MAX_PENDING as u64 {
        // each longer than the one before, so that none gives what the next asks for
        let term = Term { duration: Some(Duration::from_secs(number + 1)), ..Term::default() };
        world.run("ann", ask_for(&format!("a{number:03}"), "ann", "one", None, term)).unwrap();
    }
    let longer = Term { duration: Some(mins(200)), ..Term::default() };
    assert_eq!(rule(world.run("ann", ask_for("b", "ann", "one", None, longer))), "too_many_pending");
    world.eligible("e2", "User:ann", "free", None, None).unwrap();
    assert_eq!(rule(world.request("f", "ann", "free", None, 60)), "accepted", "it waits for nobody");
    world.wait(120);
    assert_eq!(rule(world.request("b", "ann", "one", None, 60)), "accepted");
}

#[test]
fn each_ending_has_its_own_people() {
    let set_up = || {
        let mut world = company();
        world.eligible("e1", "User:ann", "one", None, None).unwrap();
        world.eligible("e2", "User:ann", "free", None, None).unwrap();
        world.run("dan", ask("p", "ann", "one", None, None)).unwrap();
        world.request("a", "ann", "free", None, 60).unwrap();
        for action in [Action::CancelActivation, Action::RevokeActivation] {
            world.law.denied.extend(["ann", "dan", "eve"].map(|id| (user(id), action)));
        }
        world
    };
    let cancel = |id: &str| Command::Cancel { id: act(id), reason: None };
    let deactivate = |id: &str| Command::Deactivate { id: act(id), reason: None };
    let revoke = |id: &str| Command::Revoke { id: act(id), reason: None };
    let rows = [
        ("ann", cancel("p"), "accepted", "cancelled"),
        ("dan", cancel("p"), "accepted", "cancelled"),
        ("eve", cancel("p"), "not_permitted", "pending"),
        ("bob", cancel("p"), "accepted", "cancelled"),
        ("ann", cancel("a"), "not_in_state", "active"),
        ("ann", deactivate("a"), "accepted", "deactivated"),
        ("bob", deactivate("a"), "not_the_holder", "active"),
        ("ann", deactivate("p"), "not_in_state", "pending"),
        ("eve", revoke("a"), "not_permitted", "active"),
        ("bob", revoke("a"), "accepted", "revoked"),
        ("bob", revoke("p"), "not_in_state", "pending"),
        ("bob", revoke("zz"), "not_found", "active"),
    ];
    for (actor, command, expected, status) in rows {
        let mut world = set_up();
        let id = if format!("{command:?}").contains("\"p\"") { "p" } else { "a" };
        let name = command.name();
        assert_eq!((rule(world.run(actor, command)), world.status(id)), (expected, status), "{actor} {name} {id}");
    }
}

#[test]
fn a_repeated_command_gets_what_the_first_got() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    let envelope = |actor: &str, id: &str, key| Envelope {
        id: id::CommandId::new("c").unwrap(),
        actor: by(actor),
        idempotency: key,
        dry_run: false,
        command: ask(id, "ann", "free", None, Some(60)),
    };
    assert_eq!(world.submit(&envelope("ann", "a", key("k", 1))), Ok(Outcome::ActivationCreated(act("a"))));
    let records = world.records.len();
    assert_eq!(world.submit(&envelope("ann", "b", key("k", 1))), Ok(Outcome::ActivationCreated(act("a"))));
    assert_eq!(world.records.len(), records, "a replay journals nothing");
    assert_eq!(rule(world.submit(&envelope("ann", "b", key("k", 2)))), "idempotency_key_reused");
    assert_eq!(decide::remembered(&world.rows, &envelope("bob", "b", key("k", 2)), world.now), Ok(None), "keys are per caller");
    world.wait(24 * 60 - 1);
    assert_eq!(world.submit(&envelope("ann", "b", key("k", 1))), Ok(Outcome::ActivationCreated(act("a"))));
    world.wait(1);
    assert_eq!(world.submit(&envelope("ann", "b", key("k", 1))), Ok(Outcome::ActivationCreated(act("b"))));
}

#[test]
fn while_the_clock_is_not_believed_nothing_is_decided() {
    let mut world = company();
    world.trusted = false;
    assert_eq!(rule(world.put("root", "User:new", &[])), "time_untrusted");
    assert_eq!(rule(world.swap(&company_bundle("two", |_| {}))), "time_untrusted");
    assert_eq!(decide::refusal_event(&Rejection::TimeUntrusted), None);
}
