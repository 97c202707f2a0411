//! Asking for a role: twice, in bulk, on trial, for somebody else, with what it requires.

use serde_json::{Value, json};

use crate::common::edges::{DAVE, Edges, GRACE, id_of, merged, on_prod, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL, OTHER_DB, PROD, PROD_DB};
use crate::common::uid;

#[test]
fn asked_twice_ensure() {
    let edges = Edges::start();
    edges.eligible(ALICE, "plain");
    let first = id_of(&edges.asked(ALICE, "plain", json!({"duration": "PT2H"})));

    // what is active already lasts as long as is asked: that one
    for more in [json!({"duration": "PT2H"}), json!({"duration": "PT30M"}), json!({"start": edges.later(30), "duration": "PT1H"})] {
        let (status, same) = edges.ask(ALICE, "plain", more.clone());
        assert_eq!((status, &same["id"]), (200, &json!(first)), "{more}: {same}");
    }
    // it does not: the way to extend it
    let (status, refused) = edges.ask(ALICE, "plain", json!({"duration": "PT3H"}));
    assert_eq!((status, &refused["rule"], &refused["id"]), (409, &json!("already_active"), &json!(first)), "{refused}");
    assert_eq!(refused["extend"], json!(format!("/v1/activations/{first}/extend")), "{refused}");
    // another scope, and a time that does not overlap, are something else
    let scoped = id_of(&edges.asked(ALICE, "plain", on_prod()));
    let later = id_of(&edges.asked(ALICE, "plain", json!({"start": edges.later(121), "duration": "PT1H"})));
    assert_eq!(edges.status(&later), "scheduled");
    assert!(scoped != first && later != first);
    assert_eq!(edges.history(&first), ["alice activation_requested", "alice activation_started"]);

    // the same of what waits for votes
    edges.eligible(ALICE, "voted");
    let pending = id_of(&edges.asked(ALICE, "voted", json!({})));
    let (status, same) = edges.ask(ALICE, "voted", json!({}));
    assert_eq!((status, &same["id"], &same["status"]), (200, &json!(pending), &json!("pending")), "{same}");
    // and it never keeps an emergency waiting
    let (status, glass) = edges.ask(ALICE, "voted", json!({"emergency": true}));
    assert_eq!((status, &glass["status"]), (201, &json!("active")), "{glass}");
    let (status, same) = edges.ask(ALICE, "voted", json!({"emergency": true, "duration": "PT10M"}));
    assert_eq!((status, &same["id"]), (200, &glass["id"]), "{same}");
    // nor does the emergency stand for the request
    edges.approve(BOB, &pending, "active");
}

#[test]
fn what_a_role_requires() {
    let edges = Edges::start();
    edges.home.edit_role(
        "plain",
        "max_duration",
        "require = [\"justification\", \"ticket\"]\nticket_pattern = \"OPS-[0-9]+\"\nmax_duration",
    );
    edges.reload();
    edges.eligible(ALICE, "plain");
    edges.grant("/v1/eligibilities", ("User", ALICE), "scoped", json!({"scope": uid(("Organization", "acme"))}));
    let rows = [
        ("plain", json!({}), rule(422, "requirements_missing")),
        ("plain", json!({"ticket": {"system": "jira", "number": "OPS"}}), rule(422, "requirements_missing")),
        ("plain", json!({"justification": " ", "ticket": {"system": "jira", "number": "OPS-7"}}), rule(422, "requirements_missing")),
        ("scoped", json!({}), rule(422, "scope_required")),
        ("scoped", json!({"scope": uid(("Cluster", "web-prod"))}), rule(422, "scope_not_allowed")),
        ("scoped", json!({"scope": uid(("Database", "nowhere"))}), rule(422, "unknown_scope")),
        ("scoped", merged(on_prod(), json!({"duration": "PT5H"})), rule(422, "duration_too_long")),
        ("plane", json!({}), rule(422, "unknown_role")),
    ];
    for (role, more, expected) in rows {
        assert_eq!(edges.refused(ALICE, role, more.clone()), expected, "{role} {more}");
    }
    edges.asked(ALICE, "plain", json!({"ticket": {"system": "jira", "number": "OPS-7"}}));
    assert!(edges.writes(ALICE));
}

#[test]
fn a_second_factor_that_is_recent() {
    let edges = Edges::start();
    edges.home.edit_role("plain", "max_duration", "require = [\"justification\", \"mfa\"]\nmfa_max_age = \"PT1H\"\nmax_duration");
    edges.reload();
    edges.eligible(ALICE, "plain");
    let body = json!({"role": "plain", "justification": "restore"});
    let at = |minutes: i64| edges.later(minutes);
    let rows = [
        ("Dev User::\"alice\"".to_owned(), 422),
        ("Dev User::\"alice\"; mfa=pwd".to_owned(), 422),
        (format!("Dev User::\"alice\"; mfa=pwd,otp; auth_time={}", at(-61)), 422),
        (format!("Dev User::\"alice\"; mfa=pwd,otp; auth_time={}", at(-59)), 201),
    ];
    for (credential, expected) in rows {
        let headers = [("authorization", credential.as_str())];
        let (status, reply) = edges.server.send("POST", "/v1/activations", &headers, Some(&body));
        assert_eq!(status, expected, "{credential}: {reply}");
    }
}

#[test]
fn narrower_than_the_eligibility_and_never_wider() {
    let edges = Edges::start();
    edges.grant("/v1/eligibilities", ("User", ALICE), "scoped", on_prod());
    assert_eq!(edges.refused(ALICE, "scoped", json!({"scope": uid(("Organization", "acme"))})), rule(403, "not_eligible"));
    assert_eq!(edges.refused(ALICE, "scoped", json!({"scope": uid(OTHER_DB)})), rule(403, "not_eligible"));
    edges.asked(ALICE, "scoped", json!({"scope": uid(PROD_DB)}));
    assert!(edges.writes(ALICE));
    assert!(!edges.server.check(ALICE, "write", ("Database", "customers")).0);
    edges.grant("/v1/eligibilities", ("User", DAVE), "plain", on_prod());
    assert_eq!(edges.refused(DAVE, "plain", json!({})), rule(403, "not_eligible"));
}

#[test]
fn for_somebody_else() {
    let edges = Edges::start();
    edges.eligible(ALICE, "plain");
    let for_alice = json!({"principal": uid(("User", ALICE))});
    // only where a policy lets one
    assert_eq!(edges.refused(GRACE, "plain", for_alice.clone()), rule(403, "not_permitted"));
    let id = id_of(&edges.asked(DAVE, "plain", for_alice));
    assert!(edges.writes(ALICE));
    assert!(!edges.writes(DAVE));
    assert_eq!(edges.history(&id), ["dave activation_requested", "dave activation_started"]);
    // it is alice's to give up, and dave's no more
    assert_eq!(rule_of(edges.act(DAVE, &id, "deactivate", json!({}))), rule(403, "not_the_holder"));
    assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);
    assert!(!edges.writes(ALICE));
    // whoever is not eligible does not become so by being asked for
    assert_eq!(edges.refused(DAVE, "plain", json!({"principal": uid(("User", BOB))})), rule(403, "not_eligible"));
    assert_eq!(edges.refused(DAVE, "plain", json!({"principal": uid(("User", "nobody"))})), rule(422, "unknown_principal"));
}

#[test]
fn on_trial() {
    let edges = Edges::start();
    edges.eligible(ALICE, "plain");
    edges.eligible(ALICE, "voted");
    let before = edges.server.get(CAROL, "/v1/me")["seq"].clone();
    // what would be granted, what would wait, and what would be refused, as the real request would be
    for (role, expected) in [("plain", "active"), ("voted", "pending")] {
        let (status, tried) = edges.ask(ALICE, role, json!({"dry_run": true}));
        assert!(status == 200 || status == 201, "{status} {tried}");
        assert_eq!((&tried["status"], &tried["dry_run"]), (&json!(expected), &json!(true)), "{tried}");
    }
    for (role, more, expected) in [
        ("plain", json!({"duration": "PT5H"}), rule(422, "duration_too_long")),
        ("scoped", on_prod(), rule(403, "not_eligible")),
        ("plane", json!({}), rule(422, "unknown_role")),
    ] {
        assert_eq!(edges.refused(ALICE, role, merged(more, json!({"dry_run": true}))), expected, "{role}");
    }
    // and nothing of it happened, nor was anything written down
    assert!(!edges.writes(ALICE));
    assert_eq!(edges.server.get(CAROL, "/v1/me")["seq"], before);
    assert_eq!(edges.server.get(ALICE, "/v1/me")["pending"], json!([]));
}

#[test]
fn in_bulk_each_has_its_own_outcome() {
    let edges = Edges::start();
    edges.eligible(ALICE, "plain");
    edges.eligible(ALICE, "voted");
    let item = |role: &str, more: Value| merged(json!({"role": role, "justification": "move the cluster"}), more);
    let items = [item("plain", on_prod()), item("paired", json!({})), item("voted", json!({})), item("plain", json!({"duration": "PT9H"}))];
    let reply = edges.server.post(ALICE, "/v1/activations/bulk", json!({"items": items, "dry_run": true}), 200);
    let tried: Vec<u64> = reply["items"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert!(!edges.writes(ALICE));
    let reply = edges.server.post(ALICE, "/v1/activations/bulk", json!({"items": items}), 200);
    let found: Vec<u64> = reply["items"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(found, [201, 403, 201, 422], "{reply}");
    assert_eq!(tried.iter().map(|code| code / 100).collect::<Vec<_>>(), [2, 4, 2, 4]);
    assert_eq!(reply["items"][0]["activation"]["status"], json!("active"), "{reply}");
    assert_eq!(reply["items"][1]["problem"]["rule"], json!("not_eligible"), "{reply}");
    assert_eq!(reply["items"][2]["activation"]["status"], json!("pending"), "{reply}");
    assert_eq!(reply["items"][3]["problem"]["rule"], json!("duration_too_long"), "{reply}");
    assert!(edges.writes(ALICE));
    assert!(!edges.server.check(ALICE, "write", OTHER_DB).0);
    // not none, and not without end
    for items in [json!([]), json!(vec![item("plain", json!({})); 10_000]), json!("plain")] {
        let (status, reply) = edges.server.call(ALICE, "POST", "/v1/activations/bulk", json!({"items": items}));
        assert!(status == 400 || status == 413, "{status} {reply}");
    }
}

#[test]
fn the_same_by_the_command_line() {
    let edges = Edges::start();
    let server = &edges.server;
    edges.eligible(ALICE, "plain");
    edges.eligible(ALICE, "voted");
    let (prod, staging) = ("Environment::\"prod\"", "Environment::\"staging\"");

    let tried = server.cli(ALICE, &["activate", "plain", "--reason", "look", "--dry-run"]);
    assert!(tried.code == 0 && tried.stdout.contains("dry run") && !edges.writes(ALICE), "{tried:?}");
    let mixed =
        server.cli(ALICE, &["activate", "plain", "paired", "--scope", prod, "--scope", staging, "--reason", "move", "--for", "PT5M"]);
    assert_eq!(mixed.code, 1, "{mixed:?}");
    let lines: Vec<&str> = mixed.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{mixed:?}");
    assert!(lines[0].contains("active") && lines[2].starts_with("refused") && lines[2].contains("not_eligible"), "{mixed:?}");
    assert!(edges.writes(ALICE));
    let two = server.cli(ALICE, &["activate", "plain", "voted", "--reason", "move"]);
    assert_eq!(two.code, 0, "{two:?}");

    let later = edges.later(100);
    let (code, scheduled) = server.cli_json(ALICE, &["activate", "voted", "--start", &later, "--for", "PT10M", "--reason", "tonight"]);
    assert_eq!((code, &scheduled["status"]), (0, &json!("pending")), "{scheduled}");
    let id = id_of(&scheduled);
    let (code, narrowed) = server.cli_json(BOB, &["approve", &id, "--for", "PT5M", "--scope", prod, "--reason", "only that"]);
    assert_eq!((code, &narrowed["status"], &narrowed["scope"]), (0, &json!("scheduled"), &uid(PROD)), "{narrowed}");
    let status = server.cli(ALICE, &["status"]);
    assert!(status.stdout.contains("its start") && status.stdout.contains("in 1 h 40 min"), "{status:?}");

    let (code, glass) = server.cli_json(ALICE, &["activate", "voted", "--emergency", "--reason", "all is down"]);
    assert_eq!((code, &glass["emergency"], &glass["status"]), (0, &json!(true), &json!("active")), "{glass}");
    let refused = server.cli(CAROL, &["revoke", "--principal", "User::\"alice\"", "--reason", "an incident"]);
    assert!(refused.code == 2 && refused.stderr.contains("--yes"), "{refused:?}");
    assert!(edges.writes(ALICE));
    let revoked = server.cli(CAROL, &["revoke", "--principal", "User::\"alice\"", "--reason", "an incident", "--yes"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert!(!edges.writes(ALICE));
    let again = server.cli(CAROL, &["revoke", &id, &id_of(&glass)]);
    assert!(again.code == 1 && again.stdout.lines().count() == 2, "{again:?}");

    let added = server.cli(CAROL, &["assignment", "add", "User::\"dave\"", "assigned", "--for", "P30D", "--reason", "an audit"]);
    assert_eq!(added.code, 0, "{added:?}");
    assert!(edges.writes(DAVE));
    let (_, listed) = server.cli_json(CAROL, &["assignment", "list", "--principal", "User::\"dave\""]);
    let assignment = id_of(&listed["items"][0]);
    let (code, asked) = server.cli_json(DAVE, &["assignment", "extend", &assignment, "--for", "P60D", "--reason", "it takes longer"]);
    assert_eq!((code, &asked["status"]), (0, &json!("pending")), "{asked}");
    let waiting = server.cli(CAROL, &["grant-requests"]);
    assert!(waiting.stdout.contains(&id_of(&asked)) && waiting.stdout.contains("it takes longer"), "{waiting:?}");
    let approved = server.cli(CAROL, &["grant-requests", "approve", &id_of(&asked), "--reason", "fine"]);
    assert!(approved.code == 0 && approved.stdout.contains("approved"), "{approved:?}");
    let removed = server.cli(CAROL, &["assignment", "remove", &assignment, "--reason", "done"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert!(!edges.writes(DAVE));
}
