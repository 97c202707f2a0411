//! Storing, deleting and disabling.

use super::kit::*;
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::settings::EdgeSource;
use crate::domain::*;

#[test]
fn an_entity_is_stored_by_the_rules_of_names() {
    let mut world = company();
    world.put("root", "Group:new", &["Group:ops"]).unwrap();
    world.put("root", "Group:sub", &["Group:new"]).unwrap();
    world.law.misfits.insert(uid("User:odd"), "no such attribute".to_owned());
    let rows: [(&str, &[&str], &str); 11] = [
        ("User:x", &["Group:ops"], "accepted"),
        ("Role:free", &[], "type_not_storable"),
        ("Car:x", &[], "type_not_storable"),
        ("User:ann", &[], "owned_by_bundle"),
        ("User:y", &["Role:free", "Group:nowhere"], "role_as_parent"),
        ("User:y", &["Group:nowhere"], "unknown_parent"),
        ("Group:new", &["Group:new"], "cycle"),
        ("Group:new", &["Group:sub"], "cycle"),
        ("Group:NEW", &[], "fold_exists"),
        ("Group:OPS", &[], "fold_exists"),
        ("User:odd", &[], "entity_invalid"),
    ];
    for (name, parents, expected) in rows {
        assert_eq!(rule(world.put("root", name, parents)), expected, "{name} in {parents:?}");
    }
    assert_eq!(world.put("root", "User:x", &["Group:ops", "Group:ops"]), Ok(Outcome::Unchanged));
    assert_eq!(world.put("root", "User:x", &[]), Ok(Outcome::EntityChanged(uid("User:x"))));
}

#[test]
fn membership_is_asked_of_each_parent_that_changes() {
    let mut world = company();
    world.put("root", "User:x", &["Group:ops"]).unwrap();
    world.law.denied.insert((user("eve"), Action::ManageMembership));
    assert_eq!(rule(world.put_person("eve", "User:x", &["Group:ops"], Some("x"))), "accepted");
    assert_eq!(rule(world.put("eve", "User:x", &["Group:ops", "Group:staff"])), "not_permitted");
    assert_eq!(rule(world.put("eve", "User:x", &[])), "not_permitted");
    assert_eq!(rule(world.run("eve", Command::DeleteEntity { uid: uid("User:x"), reason: None })), "not_permitted");
}

#[test]
fn nobody_joins_what_holds_something() {
    let mut world = company();
    world.put("root", "Group:rich", &[]).unwrap();
    world.put("root", "Group:inner", &["Group:rich"]).unwrap();
    world.put("root", "Group:poor", &[]).unwrap();
    world.put("root", "Group:mine", &[]).unwrap();
    world.put("root", "User:x", &["Group:mine"]).unwrap();
    world.put_person("root", "User:y", &[], Some("cat")).unwrap();
    world.eligible("e1", "Group:rich", "free", None, Some(60)).unwrap();
    let rows: [(&str, &str, &[&str], &str); 7] = [
        ("x", "User:x", &["Group:mine", "Group:rich"], "self_grant"),
        ("x", "User:x", &["Group:mine", "Group:inner"], "self_grant"),
        ("x", "Group:mine", &["Group:inner"], "self_grant"),
        ("cat", "User:y", &["Group:rich"], "self_grant"),
        ("cat", "User:z", &["Group:rich"], "accepted"),
        ("x", "User:x", &["Group:mine", "Group:poor"], "accepted"),
        ("root", "User:x", &["Group:rich"], "accepted"),
    ];
    for (actor, name, parents, expected) in rows {
        assert_eq!(rule(world.put(actor, name, parents)), expected, "{actor} puts {name} in {parents:?}");
    }
    let fresh = |world: &mut World| rule(world.put_person("cat", "User:w", &["Group:rich"], Some("cat")));
    assert_eq!(fresh(&mut world), "self_grant", "a new account of the same person");
    world.wait(60);
    assert_eq!(fresh(&mut world), "accepted", "it holds nothing any more");
}

#[test]
fn leaving_a_group_ends_what_was_activated_through_it() {
    let mut world = company();
    world.put("root", "Group:g", &["Group:staff"]).unwrap();
    world.put("root", "User:x", &["Group:g"]).unwrap();
    world.eligible("e1", "Group:staff", "free", None, None).unwrap();
    for (name, parents) in [("User:x", "Group:g"), ("Group:g", "Group:staff")] {
        let id = format!("a-{}", uid(name).id());
        world.request(&id, "x", "free", None, 60).unwrap();
        world.put("root", name, &[]).unwrap();
        assert_eq!((world.last(), world.status(&id)), (vec!["entity_stored", "activation_revoked"], "revoked"));
        world.put("root", name, &[parents]).unwrap();
        assert!(world.roles("User:x", None).is_empty(), "coming back revives nothing");
    }
}

#[test]
fn a_name_that_comes_back_revives_nothing() {
    let mut world = company();
    world.put("root", "User:x", &[]).unwrap();
    world.put("root", "Db:x", &["Db:prod"]).unwrap();
    world.put("root", "Group:g", &[]).unwrap();
    world.put("root", "User:m", &["Group:g"]).unwrap();
    world.eligible("e1", "User:x", "free", None, None).unwrap();
    world.eligible("e2", "User:ann", "free", Some("Db:x"), None).unwrap();
    world.eligible("e3", "Group:g", "free", None, None).unwrap();
    world.request("a", "x", "free", None, 60).unwrap();
    world.request("b", "ann", "free", Some("Db:x"), 60).unwrap();
    world.request("c", "m", "free", None, 60).unwrap();
    for (name, parents, who, id) in [("User:x", None, "x", "a"), ("Db:x", Some("Db:prod"), "ann", "b"), ("Group:g", None, "m", "c")] {
        world.run("root", Command::DeleteEntity { uid: uid(name), reason: None }).unwrap();
        assert_eq!((world.last(), world.status(id)), (vec!["entity_deleted", "activation_revoked"], "revoked"), "{name}");
        assert_eq!(rule(world.run("root", Command::DeleteEntity { uid: uid(name), reason: None })), "not_found");
        world.put("root", name, parents.as_slice()).unwrap();
        let scope = (name == "Db:x").then_some(name);
        assert_eq!(rule(world.request("again", who, "free", scope, 60)), "not_eligible", "{name}");
    }
    assert_eq!(world.put("root", "User:m", &["Group:g"]), Ok(Outcome::EntityChanged(uid("User:m"))), "the old edge was void");
    assert_eq!(rule(world.run("root", Command::DeleteEntity { uid: uid("User:ann"), reason: None })), "owned_by_bundle");
}

#[test]
fn a_disabled_principal_loses_what_it_has_for_good() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    world.eligible("e2", "User:ann", "one", None, None).unwrap();
    world.request("a", "ann", "free", None, 60).unwrap();
    world.request("p", "ann", "one", None, 60).unwrap();
    let set = |disabled| Command::SetDisabled { uid: user("ann"), disabled, reason: None };
    world.run("root", set(true)).unwrap();
    assert_eq!(world.last(), ["entity_disabled", "activation_revoked", "activation_failed"]);
    assert_eq!(world.run("root", set(true)), Ok(Outcome::Unchanged));
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "principal_disabled");
    world.run("root", set(false)).unwrap();
    assert!(world.roles("User:ann", None).is_empty());
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "accepted");
    let group = Command::SetDisabled { uid: uid("Group:ops"), disabled: true, reason: None };
    assert_eq!(rule(world.run("root", group)), "not_a_holder");
}

#[test]
fn a_source_takes_back_its_own_edges_only() {
    let mut world = company();
    for group in ["Group:a", "Group:b", "Group:c"] {
        world.put("root", group, &[]).unwrap();
    }
    let put = |world: &mut World, source, parents: &[&str]| {
        let parents = parents.iter().map(|name| uid(name)).collect();
        world.run("root", Command::PutEntity { uid: uid("User:x"), parents, attrs: attrs(None), source }).unwrap()
    };
    let groups = |world: &World| standing::ancestors(&world.rows, &uid("User:x")).unwrap();
    let all = |names: &[&str]| names.iter().map(|name| uid(name)).collect::<Vec<_>>();
    put(&mut world, EdgeSource::Api, &["Group:a", "Group:b"]);
    put(&mut world, EdgeSource::Scim, &["Group:b", "Group:c"]);
    assert_eq!(groups(&world), all(&["Group:a", "Group:b", "Group:c"]));
    assert_eq!(put(&mut world, EdgeSource::Scim, &["Group:b", "Group:c"]), Outcome::Unchanged);
    // what both named stays until neither names it
    world.eligible("e1", "Group:b", "free", None, None).unwrap();
    world.request("a", "x", "free", None, 60).unwrap();
    put(&mut world, EdgeSource::Scim, &[]);
    assert_eq!((groups(&world), world.status("a")), (all(&["Group:a", "Group:b"]), "active"));
    put(&mut world, EdgeSource::Api, &["Group:a"]);
    assert_eq!((groups(&world), world.status("a")), (all(&["Group:a"]), "revoked"));
    assert_eq!(world.last(), ["entity_stored", "activation_revoked"]);
}
