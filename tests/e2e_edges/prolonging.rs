//! Eligibilities and assignments: who may give them, and asking for more of them.

use serde_json::{Value, json};

use crate::common::edges::{DAVE, ERIN, Edges, GRACE, HOLDERS, id_of, merged, rule, rule_of, time};
use crate::common::names::{ALICE, CAROL};
use crate::common::{eventually, uid};

#[test]
fn who_may_grant() {
    let edges = Edges::start();
    let give = |who: &str, path: &str, holder: (&str, &str), more: Value| {
        let body = merged(json!({"principal": uid(holder), "role": "assigned", "justification": "x"}), more);
        rule_of(edges.server.call(who, "POST", path, body))
    };
    let end = edges.later(60);
    for (path, more) in [("/v1/eligibilities", json!({})), ("/v1/assignments", json!({"end": end}))] {
        // not to oneself, nor to a group one is in
        assert_eq!(give(CAROL, path, ("User", CAROL), more.clone()), rule(403, "self_grant"), "{path}");
        assert_eq!(give(CAROL, path, ("Group", "security"), more.clone()), rule(403, "self_grant"), "{path}");
        // a lead is in it through another group
        assert_eq!(give(ERIN, path, ("Group", "security"), more.clone()), rule(403, "self_grant"), "{path}");
        assert_eq!(give(ALICE, path, ("User", DAVE), more.clone()), rule(403, "not_permitted"), "{path}");
    }

    // nobody adds oneself to a group that holds anything; to one that holds nothing one may
    assert_eq!(edges.store(ERIN, "zed", &[("Group", "security")], json!({})).0, 201);
    let join = |group: (&str, &str)| edges.store("zed", "zed", &[("Group", "security"), group], json!({}));
    assert_eq!(join(HOLDERS).0, 200);
    assert_eq!(edges.store("zed", "zed", &[("Group", "security")], json!({})).0, 200);
    edges.grant("/v1/eligibilities", HOLDERS, "plain", json!({}));
    assert_eq!(rule_of(join(HOLDERS)), rule(403, "self_grant"));
    assert_eq!(edges.store(CAROL, "zed", &[("Group", "security"), HOLDERS], json!({})).0, 200);
    assert_eq!(edges.ask("zed", "plain", json!({})).0, 201);

    // nor extends or renews for oneself, whoever asked for it
    let eligibility = {
        let body = json!({"principal": uid(("User", CAROL)), "role": "plain", "end": edges.later(60), "justification": "x"});
        id_of(&edges.server.post(ERIN, "/v1/eligibilities", body, 201))
    };
    let asked = edges.server.post(CAROL, &format!("/v1/eligibilities/{eligibility}/extend"), json!({"end": edges.later(120)}), 201);
    let request = format!("/v1/grant-requests/{}", id_of(&asked));
    for verb in ["approve", "deny"] {
        assert_eq!(rule_of(edges.server.call(CAROL, "POST", &format!("{request}/{verb}"), json!({}))), rule(403, "self_grant"));
    }
    let approved = edges.server.post(ERIN, &format!("{request}/approve"), json!({"reason": "fine"}), 200);
    assert_eq!(approved["status"], json!("approved"), "{approved}");
}

#[test]
fn extended_before_its_end_what_rests_on_it_runs_on() {
    let edges = Edges::start();
    let end = edges.later(60);
    let eligibility = edges.grant("/v1/eligibilities", ("User", ALICE), "plain", json!({"end": end}));
    let id = id_of(&edges.asked(ALICE, "plain", json!({"duration": "PT2H"})));
    assert_eq!(time(&edges.shown(&id)["end"]), time(&json!(end)));

    let path = format!("/v1/eligibilities/{eligibility}");
    let ask = |who: &str, verb: &str, body: Value| edges.server.call(who, "POST", &format!("{path}/{verb}"), body);
    // its holder asks, and whoever may grant it; nobody else
    assert_eq!(rule_of(ask(DAVE, "extend", json!({"end": edges.later(600)}))), rule(403, "not_permitted"));
    assert_eq!(rule_of(ask(ALICE, "renew", json!({"end": edges.later(600)}))), rule(409, "not_prolongable"));
    assert_eq!(rule_of(ask(ALICE, "extend", json!({"end": edges.later(30)}))), rule(422, "window_empty"));
    let (status, asked) = ask(ALICE, "extend", json!({"end": edges.later(600), "justification": "on call goes on"}));
    assert_eq!((status, &asked["status"], &asked["grant"]), (201, &json!("pending"), &json!(eligibility)), "{asked}");
    let (status, again) = ask(ALICE, "extend", json!({"end": edges.later(700)}));
    assert_eq!((status, &again["rule"], &again["pending"]), (409, &json!("grant_request_waits"), &asked["id"]), "{again}");

    // until it is decided, nothing is longer
    let request = format!("/v1/grant-requests/{}", id_of(&asked));
    assert_eq!(edges.server.get(ALICE, &request)["status"], json!("pending"));
    let listed = edges.server.get(CAROL, "/v1/grant-requests");
    assert_eq!(listed["items"][0]["id"], asked["id"], "{listed}");
    let hidden = edges.server.get(GRACE, "/v1/grant-requests?status=denied");
    assert_eq!(hidden["items"], json!([]), "{hidden}");
    assert_eq!(rule_of(edges.server.call(ALICE, "POST", &format!("{request}/approve"), json!({}))), rule(403, "self_grant"));
    let longer = json!({"end": edges.later(601)});
    assert_eq!(rule_of(edges.server.call(CAROL, "POST", &format!("{request}/approve"), longer)), rule(422, "wider_than_asked"));
    let less = json!({"end": edges.later(300), "reason": "for five hours"});
    let approved = edges.server.post(CAROL, &format!("{request}/approve"), less, 200);
    assert_eq!((&approved["status"], &approved["decided"]["by"]), (&json!("approved"), &uid(("User", CAROL))), "{approved}");
    let (status, late) = edges.server.call(CAROL, "POST", &format!("{request}/deny"), json!({}));
    assert_eq!((status, &late["outcome"]), (409, &json!("approved")), "{late}");

    // past its first end the activation that rests on it is what it was asked to be
    edges.server.advance("PT1H30M");
    assert!(edges.writes(ALICE));
    edges.server.advance("PT30M");
    assert!(!edges.writes(ALICE));
    edges.one_event(&id, "activation_expired");
    assert_eq!(edges.ask(ALICE, "plain", json!({"duration": "PT1H"})).0, 201);
}

#[test]
fn renewed_after_its_end_nothing_old_comes_back() {
    let edges = Edges::start();
    let assignment = edges.grant("/v1/assignments", ("User", ALICE), "assigned", json!({"end": edges.later(60)}));
    let path = format!("/v1/assignments/{assignment}");
    assert!(edges.writes(ALICE));
    edges.server.advance("PT1H");
    assert!(!edges.writes(ALICE));
    let ask = |verb: &str| edges.server.call(ALICE, "POST", &format!("{path}/{verb}"), json!({"duration": "P1D", "justification": "more"}));
    assert_eq!(rule_of(ask("extend")), rule(409, "not_prolongable"));
    let (status, asked) = ask("renew");
    assert_eq!(status, 201, "{asked}");
    let request = format!("/v1/grant-requests/{}", id_of(&asked));
    let denied = edges.server.post(CAROL, &format!("{request}/deny"), json!({"reason": "not yet"}), 200);
    assert_eq!((&denied["status"], &denied["decided"]["reason"]), (&json!("denied"), &json!("not yet")), "{denied}");
    assert!(!edges.writes(ALICE));
    let asked = ask("renew").1;
    let request = format!("/v1/grant-requests/{}", id_of(&asked));
    edges.server.post(CAROL, &format!("{request}/approve"), json!({}), 200);
    assert!(edges.writes(ALICE));
    let grants = edges.server.get(CAROL, "/v1/assignments?principal_type=User&principal_id=alice");
    let new = grants["items"].as_array().unwrap().iter().find(|one| one["renews"] == json!(assignment)).unwrap().clone();
    assert_eq!(new["status"], json!("active"), "{grants}");

    // taken back by whoever asked; after thirty days it is too late to ask
    edges.server.advance("P1D");
    let again = |verb: &str| {
        let path = format!("/v1/assignments/{}/{verb}", new["id"].as_str().unwrap());
        edges.server.call(ALICE, "POST", &path, json!({"duration": "P1D", "justification": "more"}))
    };
    let request = format!("/v1/grant-requests/{}", id_of(&again("renew").1));
    assert_eq!(edges.server.post(ALICE, &format!("{request}/cancel"), json!({}), 200)["status"], json!("cancelled"));
    let waits = format!("/v1/grant-requests/{}", id_of(&again("renew").1));
    edges.server.advance("P31D");
    assert_eq!(rule_of(again("renew")), rule(409, "not_prolongable"));
    let (status, late) = edges.server.call(CAROL, "POST", &format!("{waits}/approve"), json!({}));
    assert_eq!((status, &late["outcome"]), (409, &json!("timed_out")), "{late}");
    eventually("it is written down", || !edges.all_of_kind("grant_request_timed_out").is_empty());
    assert!(!edges.writes(ALICE));
}
