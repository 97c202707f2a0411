//! How an activation ends other than by a vote: what it rests on goes, its holder goes, its role goes. The next check denies, and the journal says
//! what it followed from.

use serde_json::{Value, json};

use crate::common::edges::{DAVE, Edges, FRANK, HOLDERS, id_of, merged, minutes, on_prod, rule, rule_of, time};
use crate::common::names::{ALICE, BOB, CAROL, OTHER_DB, PROD, PROD_DB};
use crate::common::{Server, eventually, uid};

#[test]
fn eligibility_ends_or_is_removed() {
    let edges = Edges::start();

    // it ends before the activation does: so does the activation
    let end = edges.later(30);
    let eligibility = edges.grant("/v1/eligibilities", ("User", ALICE), "plain", json!({"end": end}));
    let active = edges.asked(ALICE, "plain", json!({"duration": "PT1H"}));
    let id = id_of(&active);
    assert_eq!(time(&active["end"]), time(&json!(end)), "{active}");
    let verdict = edges.server.post(CAROL, "/access/v1/evaluation", Server::question(ALICE, "write", PROD_DB), 200);
    assert_eq!(time(&verdict["context"]["valid_until"]), time(&json!(end)), "{verdict}");
    edges.server.advance("PT29M59S");
    assert!(edges.writes(ALICE));
    edges.server.advance("PT1S");
    assert!(!edges.writes(ALICE));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"eligibility_ended": eligibility}));
    assert_eq!(edges.history(&id).len(), 3, "{:?}", edges.history(&id));
    assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(403, "not_eligible"));

    // it is removed, and what waits for votes or for its start goes with what is active
    let eligibility = edges.eligible(DAVE, "voted");
    let active = id_of(&edges.asked(DAVE, "voted", json!({})));
    edges.approve(BOB, &active, "active");
    let later = edges.later(90);
    let scheduled = id_of(&edges.asked(DAVE, "voted", json!({"start": later, "duration": "PT10M"})));
    edges.approve(BOB, &scheduled, "scheduled");
    let pending = id_of(&edges.asked(DAVE, "voted", json!({"scope": uid(PROD)})));
    assert!(edges.writes(DAVE));
    let (status, removed) = edges.server.call(CAROL, "DELETE", &format!("/v1/eligibilities/{eligibility}?reason=left"), Value::Null);
    assert_eq!(status, 200, "{removed}");
    assert!(!edges.writes(DAVE));
    let cause = json!({"eligibility_removed": eligibility});
    assert_eq!(edges.one_event(&active, "activation_revoked")["cause"], cause);
    assert_eq!(edges.one_event(&scheduled, "activation_failed")["cause"], cause);
    assert_eq!(edges.one_event(&pending, "activation_failed")["cause"], cause);
    assert_eq!(rule_of(edges.vote(BOB, &pending, "approve", json!({}))), rule(409, "not_in_state"));
    assert_eq!(edges.shown(&active)["ended"]["cause"], json!({"kind": "eligibility_removed", "eligibility": eligibility}));
}

#[test]
fn principal_disabled_role_gone_from_the_bundle() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "plain", json!({}));
    let pending = edges.begun(ALICE, "voted", json!({}));
    assert!(edges.writes(ALICE));

    edges.set_disabled(ALICE, true);
    assert_eq!(edges.server.check(ALICE, "write", PROD_DB), (false, "principal_disabled".to_owned()));
    let cause = json!({"principal_disabled": uid(("User", ALICE))});
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], cause);
    assert_eq!(edges.one_event(&pending, "activation_failed")["cause"], cause);
    assert_eq!(edges.server.call(ALICE, "GET", "/v1/me", Value::Null).1["presence"], json!("disabled"));
    assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(403, "principal_disabled"));

    // enabled again: nothing of it comes back, and it can be asked for anew
    edges.set_disabled(ALICE, false);
    assert!(!edges.writes(ALICE));
    let id = id_of(&edges.asked(ALICE, "plain", json!({})));
    let pending = id_of(&edges.asked(ALICE, "voted", json!({})));
    assert!(edges.writes(ALICE));

    // the role leaves the bundle
    let (roles, policies) = ("roles.toml", "edges.cedar");
    let (old_roles, old_policies) = [roles, policies].map(|file| std::fs::read_to_string(edges.home.policies().join(file)).unwrap()).into();
    edges.home.edit(roles, |text| text.replace("[roles.\"plain\"]", "[roles.\"other\"]"));
    edges.home.edit(policies, |text| text.replace("Role::\"plain\"", "Role::\"other\""));
    edges.reload();
    assert!(!edges.writes(ALICE));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"role_removed": "plain"}));
    assert_eq!(edges.status(&pending), "pending");
    assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(422, "unknown_role"));

    // and comes back: it is another role of the same name
    edges.home.edit(roles, |_| old_roles);
    edges.home.edit(policies, |_| old_policies);
    edges.reload();
    assert!(!edges.writes(ALICE));
    assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(403, "not_eligible"));
}

#[test]
fn two_activations_overlap() {
    let edges = Edges::start();
    // a policy that sees which one the tag shows
    edges.home.edit("edges.cedar", |text| {
        let tag = "principal.hasTag(\"plain\") && principal.getTag(\"plain\").approvals == 0 && \
                   (principal.getTag(\"plain\") has scope_id && principal.getTag(\"plain\").scope_id == \"orders\")";
        format!("{text}@id(\"by-tag\")\npermit(principal is User, action == Action::\"backup\", resource is Database) when {{ {tag} }};\n")
    });
    edges.reload();
    edges.eligible(ALICE, "plain");
    let everywhere = id_of(&edges.asked(ALICE, "plain", json!({"duration": "PT1H"})));
    let prod = id_of(&edges.asked(ALICE, "plain", merged(on_prod(), json!({"duration": "PT2H"}))));
    assert!(edges.writes(ALICE));
    assert!(edges.server.check(ALICE, "write", OTHER_DB).0);
    assert!(!edges.server.check(ALICE, "backup", PROD_DB).0);
    let database = id_of(&edges.asked(ALICE, "plain", json!({"scope": uid(PROD_DB), "duration": "PT3H"})));
    assert!(edges.server.check(ALICE, "backup", PROD_DB).0, "the tag shows the one with the latest end");

    // of two that end together, it shows the one that was asked for first
    let orders = json!({"scope": uid(PROD_DB)});
    for (who, asks, shown) in [(DAVE, [orders.clone(), json!({})], true), (FRANK, [json!({}), orders], false)] {
        edges.eligible(who, "plain");
        let ends = asks.map(|more| edges.asked(who, "plain", more)["end"].clone());
        assert_eq!(ends[0], ends[1]);
        assert_eq!(edges.server.check(who, "backup", PROD_DB).0, shown, "{who}");
    }

    // ending one leaves the others
    assert_eq!(edges.act(ALICE, &everywhere, "deactivate", json!({})).0, 200);
    assert!(edges.writes(ALICE));
    assert!(!edges.server.check(ALICE, "write", OTHER_DB).0);
    assert_eq!(edges.act(CAROL, &database, "revoke", json!({"reason": "enough"})).0, 200);
    assert!(edges.writes(ALICE));
    assert!(!edges.server.check(ALICE, "backup", PROD_DB).0);
    edges.server.advance("PT2H");
    assert!(!edges.writes(ALICE));
    edges.one_event(&prod, "activation_expired");
    assert_eq!(edges.history(&everywhere), ["alice activation_requested", "alice activation_started", "alice activation_deactivated"]);
    assert_eq!(edges.history(&database), ["alice activation_requested", "alice activation_started", "carol activation_revoked"]);
}

#[test]
fn an_end_is_an_end_at_once() {
    let edges = Edges::start();
    // deactivated in the very moment it began: there is no minimum time
    let id = edges.begun(ALICE, "plain", json!({}));
    let (status, ended) = edges.act(ALICE, &id, "deactivate", json!({"reason": "done"}));
    assert_eq!((status, &ended["status"], &ended["ended"]["reason"]), (200, &json!("deactivated"), &json!("done")), "{ended}");
    assert!(!edges.writes(ALICE));
    // nobody else's to deactivate, nor one's own to revoke without the right
    let id = id_of(&edges.asked(ALICE, "plain", json!({})));
    assert_eq!(rule_of(edges.act(BOB, &id, "deactivate", json!({}))), rule(403, "not_the_holder"));
    assert_eq!(rule_of(edges.act(BOB, &id, "revoke", json!({}))), rule(403, "not_permitted"));
    assert!(edges.writes(ALICE));
    let (status, ended) = edges.act(CAROL, &id, "revoke", json!({"reason": "an incident"}));
    assert_eq!((status, &ended["status"], &ended["ended"]["by"]), (200, &json!("revoked"), &uid(("User", CAROL))), "{ended}");
    assert!(!edges.writes(ALICE));
    for (who, verb) in [(ALICE, "deactivate"), (CAROL, "revoke"), (ALICE, "cancel")] {
        let (status, again) = edges.act(who, &id, verb, json!({}));
        assert_eq!((status, &again["outcome"]), (409, &json!("revoked")), "{verb}: {again}");
    }
}

#[test]
fn a_group_that_is_left_takes_what_was_activated_from_it() {
    let edges = Edges::start();
    assert_eq!(edges.store(CAROL, "zoe", &[HOLDERS], json!({})).0, 201);
    edges.grant("/v1/eligibilities", HOLDERS, "plain", json!({}));
    let id = id_of(&edges.asked("zoe", "plain", json!({})));
    assert!(edges.writes("zoe"));
    assert_eq!(edges.shown(&id)["eligibility"]["principal"], uid(HOLDERS));
    assert_eq!(edges.store(CAROL, "zoe", &[], json!({})).0, 200);
    assert!(!edges.writes("zoe"));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"group_left": uid(HOLDERS)}));
    // back in the group: eligible again, and nothing that ended comes back
    assert_eq!(edges.store(CAROL, "zoe", &[HOLDERS], json!({})).0, 200);
    assert!(!edges.writes("zoe"));
    assert_eq!(edges.ask("zoe", "plain", json!({})).0, 201);
    assert!(edges.writes("zoe"));
}

#[test]
fn a_scope_or_a_principal_that_is_deleted_takes_what_was_given_on_it() {
    let edges = Edges::start();
    // carol may store users and groups; databases are an administrator's
    edges.home.edit("edges.cedar", |text| {
        let manage = "action in [Elevon::Action::\"manageEntity\", Elevon::Action::\"manageMembership\"]";
        format!("{text}@id(\"carol-stores\")\npermit(principal == User::\"carol\", {manage}, resource);\n")
    });
    edges.reload();
    let database = ("Database", "spare");
    let put = json!({"uid": uid(database), "parents": [uid(("ResourceGroup", "prod-data"))], "attrs": {"personal_data": false}});
    let (status, stored) = edges.server.call(CAROL, "PUT", "/v1/entities", put.clone());
    assert_eq!(status, 201, "{stored}");
    let id = edges.begun(ALICE, "plain", json!({"scope": uid(database)}));
    let writes = || edges.server.check(ALICE, "write", database).0;
    assert!(writes());
    let (status, gone) = edges.server.call(CAROL, "DELETE", "/v1/entities?type=Database&id=spare", Value::Null);
    assert_eq!(status, 200, "{gone}");
    assert_eq!(edges.server.check(ALICE, "write", database), (false, "unknown_resource".to_owned()));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"scope_deleted": uid(database)}));
    assert_eq!(edges.server.call(CAROL, "PUT", "/v1/entities", put).0, 201);
    assert!(!writes());
}

#[test]
fn start() {
    let edges = Edges::start();
    edges.eligible(ALICE, "voted");

    // the window starts when it becomes active, and not when it was asked for
    let id = id_of(&edges.asked(ALICE, "voted", json!({"duration": "PT1H"})));
    edges.server.advance("PT30M");
    let active = edges.approve(BOB, &id, "active");
    assert_eq!(time(&active["start"]), edges.now(), "{active}");
    assert_eq!(minutes(&active["start"], &active["end"]), 60, "{active}");
    assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);

    // one that is to start later waits for it, and begins by itself
    let begin = edges.later(60);
    let id = id_of(&edges.asked(ALICE, "voted", json!({"start": begin, "duration": "PT1H"})));
    let scheduled = edges.approve(BOB, &id, "scheduled");
    assert_eq!(time(&scheduled["start"]), time(&json!(begin)), "{scheduled}");
    assert!(!edges.writes(ALICE));
    edges.server.advance("PT59M59S");
    assert!(!edges.writes(ALICE));
    edges.server.advance("PT1S");
    eventually("it begins", || edges.writes(ALICE));
    let active = edges.shown(&id);
    assert_eq!(minutes(&active["start"], &active["end"]), 60, "{active}");
    let expected = ["alice activation_requested", "bob approval_given", "bob activation_scheduled", "elevon activation_started"];
    assert_eq!(edges.history(&id), expected);
    assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);

    // a start that passed while it waited is the approval
    let id = id_of(&edges.asked(ALICE, "voted", json!({"start": edges.later(10), "duration": "PT1H"})));
    edges.server.advance("PT20M");
    let active = edges.approve(BOB, &id, "active");
    assert_eq!(time(&active["start"]), edges.now(), "{active}");
    assert_eq!(minutes(&active["start"], &active["end"]), 60, "{active}");
    assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);

    // a fixed end stays where it is, and one that passed while it waited fails
    let end = edges.later(60);
    let id = id_of(&edges.asked(ALICE, "voted", json!({"end": end})));
    edges.server.advance("PT45M");
    let active = edges.approve(BOB, &id, "active");
    assert_eq!(time(&active["end"]), time(&json!(end)), "{active}");
    assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);
    let end = edges.later(10);
    let id = id_of(&edges.asked(ALICE, "voted", json!({"end": end})));
    edges.server.advance("PT10M");
    edges.approve(BOB, &id, "failed");
    assert!(!edges.writes(ALICE));
    assert!(edges.one_event(&id, "activation_failed")["cause"]["window_past"].is_string());

    // what cannot be asked for
    let rows = [
        (json!({"start": edges.later(121)}), rule(422, "start_too_far")),
        (json!({"end": edges.later(0)}), rule(422, "window_empty")),
        (json!({"start": edges.later(20), "end": edges.later(10)}), rule(422, "window_empty")),
        (json!({"end": edges.later(300)}), rule(422, "duration_too_long")),
        (json!({"duration": "PT0S"}), rule(422, "duration_zero")),
    ];
    for (more, expected) in rows {
        assert_eq!(edges.refused(ALICE, "voted", more.clone()), expected, "{more}");
    }
    let both = edges.ask(ALICE, "voted", json!({"end": edges.later(10), "duration": "PT5M"}));
    assert_eq!(both.0, 400, "{}", both.1);
}

#[test]
fn what_is_scheduled_is_asked_again_when_it_begins() {
    let edges = Edges::start();
    edges.eligible(FRANK, "voted");
    let id = id_of(&edges.asked(FRANK, "voted", json!({"start": edges.later(60)})));
    edges.approve(BOB, &id, "scheduled");
    edges.home.edit("edges.cedar", |text| {
        format!("{text}@id(\"not-now\")\nforbid(principal == User::\"frank\", action == Elevon::Action::\"activateRole\", resource);\n")
    });
    edges.reload();
    assert_eq!(edges.status(&id), "scheduled");
    edges.server.advance("PT1H");
    let failed = edges.one_event(&id, "activation_failed");
    assert_eq!(failed["cause"], json!({"not_permitted": uid(("User", FRANK))}));
    assert!(!edges.writes(FRANK));

    // taken back, or revoked, before it begins
    edges.eligible(DAVE, "voted");
    for (who, verb, expected) in [(DAVE, "cancel", "cancelled"), (CAROL, "revoke", "revoked")] {
        let id = id_of(&edges.asked(DAVE, "voted", json!({"start": edges.later(60)})));
        edges.approve(BOB, &id, "scheduled");
        let (status, ended) = edges.act(who, &id, verb, json!({"reason": "not needed"}));
        assert_eq!((status, &ended["status"]), (200, &json!(expected)), "{ended}");
    }
    edges.server.advance("PT2H");
    assert!(!edges.writes(DAVE));
}
