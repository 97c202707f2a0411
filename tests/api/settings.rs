//! Settings that the sample does not use, or not all of: break-glass, approvers who step in, a budget for the day, and conditions.

use std::fs;
use std::path::Path;

use elevon::domain::Duration;
use serde_json::{Value, json};

use crate::help::{Api, PROD, call, id, user};

const ORDERS: (&str, &str) = ("Database", "orders");

const PERMITS: &str = r#"
@id("settings-break-glass")
permit(principal in Group::"dba", action == Elevon::Action::"activateInEmergency", resource);
"#;

const GUARD: &str = r#"
[[test]]
name = "an administrator may manage the bundle"
guard = true
active = [{ principal = 'User::"dave"', role = "elevon-admin", approvals = 1 }]
ask = { principal = 'User::"dave"', action = "manageBundle" }
expect = "allow"
"#;

/// db-admin with everything, and db-operator with a budget and a condition.
fn stricter(policies: &Path) {
    let path = policies.join("roles.toml");
    let roles = fs::read_to_string(&path).unwrap();
    let changed = roles
        .replacen(
            "[[roles.\"db-admin\".approval.stages]]",
            "[roles.\"db-admin\".emergency]\nmax_duration = \"PT30M\"\nmax_per_day = 1\nreview_within = \"PT24H\"\n\n[[roles.\"db-admin\".approval.stages]]",
            1,
        )
        .replacen(
            "[roles.\"db-operator\"]\n",
            "[roles.\"db-operator\"]\nmax_active_per_day = \"PT3H\"\nconditions = true\n",
            1,
        );
    assert_ne!(roles, changed);
    fs::write(&path, changed).unwrap();
    fs::create_dir_all(policies.join("conditions")).unwrap();
    fs::write(
        policies.join("conditions/db-operator.cedar"),
        "@id(\"with-mfa\")\npermit(principal, action, resource) when { context has mfa && context.mfa };\n",
    )
    .unwrap();
    fs::write(policies.join("settings.cedar"), PERMITS).unwrap();
    // what the sample tests of its own roles is no longer so
    fs::remove_dir_all(policies.join("tests")).unwrap();
    fs::create_dir(policies.join("tests")).unwrap();
    fs::write(policies.join("tests/guard.toml"), GUARD).unwrap();
}

/// Waits for the morning of the next day (UTC): what is counted by the day is then all of one day.
fn morning(api: &Api) {
    let morning = api.now().day().next().start().plus(Duration::from_hours(6));
    api.later(morning.since(api.now()));
}

#[test]
fn breaking_the_glass_is_at_once_short_and_owed_a_review() {
    let api = Api::with(stricter);
    morning(&api);
    api.alice_is_eligible();
    let me = api.get("alice", "/v1/me");
    assert_eq!((&me["eligible"][0]["emergency"], &me["eligible"][0]["settings"]["emergency"]["max_per_day"]), (&json!(true), &json!(1)));
    let ask = |more: Value| {
        let mut body = json!({ "role": "db-admin", "scope": PROD(), "emergency": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api.send(&call("POST", "/v1/activations").by("alice").json(&body))
    };
    let bare = ask(json!({}));
    assert_eq!((bare.status, bare.rule().as_str()), (422, "requirements_missing"), "{}", bare.text);
    let long = ask(json!({ "justification": "outage", "duration": "PT1H" }));
    assert_eq!((long.status, long.rule().as_str()), (422, "duration_too_long"), "{}", long.text);
    let waiting = api.alice_asks();
    let broken = ask(json!({ "justification": "outage" })).json();
    for (member, value) in [
        ("status", json!("active")),
        ("emergency", json!(true)),
        ("duration", json!("PT30M")),
        ("review_by", json!(api.now().plus(Duration::from_hours(24)))),
        ("approval", Value::Null),
    ] {
        assert_eq!(broken[member], value, "{member} in {broken}");
    }
    assert!(api.decides("alice", "write", ORDERS).0);
    assert_eq!(api.get("alice", &format!("/v1/activations/{}", id(&waiting)))["status"], "pending");
    api.later(Duration::from_mins(20));
    let more =
        api.send(&call("POST", &format!("/v1/activations/{}/extend", id(&broken))).by("alice").json(&json!({ "justification": "x" })));
    assert_eq!((more.status, more.rule().as_str()), (409, "not_extendable"), "{}", more.text);
    api.post("alice", &format!("/v1/activations/{}/deactivate", id(&broken)), &json!({}), 200);
    let again = ask(json!({ "justification": "outage" }));
    assert_eq!((again.status, again.rule().as_str()), (409, "emergency_limit"), "{}", again.text);
    let events = api.get("carol", "/v1/audit/events?kind=emergency_used");
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
}

#[test]
fn those_who_step_in_see_the_request_once_they_may_vote() {
    let api = Api::with(stricter);
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let fallback = &asked["approval"]["stages"][0]["fallback"];
    let from = api.now().plus(Duration::from_hours(2));
    assert_eq!(*fallback, json!({ "approvers": [{ "type": "Group", "id": "platform-leads" }], "after": "PT2H", "from": from }), "{asked}");
    let waits = |who: &str| api.get(who, "/v1/approvals")["items"].as_array().unwrap().len();
    let approve = || {
        let vote = json!({ "request_hash": asked["request_hash"] });
        api.send(&call("POST", &format!("/v1/activations/{}/approve", id(&asked))).by("frank").json(&vote))
    };
    assert_eq!((waits("bob"), waits("frank")), (1, 0));
    assert_eq!(approve().rule(), "not_an_approver");
    api.later(Duration::from_hours(2));
    assert_eq!((waits("bob"), waits("frank")), (1, 1));
    assert_eq!(approve().json()["status"], "active");
    let role = api.get("alice", "/v1/roles/db-admin");
    assert_eq!(role["approval"]["stages"][0]["fallback"]["after"], "PT2H", "{role}");
    assert_eq!(role["emergency"], json!({ "max_duration": "PT30M", "max_per_day": 1, "review_within": "P1D" }));
    assert_eq!((&role["max_extensions"], &role["extendable_after"], &role["activate_within"]), (&json!(2), &json!(50), &json!("P1D")));
}

#[test]
fn a_budget_is_reserved_and_given_back() {
    let api = Api::with(stricter);
    let grant = json!({ "principal": user("alice"), "role": "db-operator", "justification": "x" });
    api.post("carol", "/v1/eligibilities", &grant, 201);
    morning(&api);
    let ask = |duration: &str, scope: &str| {
        let scope = json!({ "type": "Environment", "id": scope });
        let body = json!({ "role": "db-operator", "scope": scope, "duration": duration, "justification": "x" });
        api.send(&call("POST", "/v1/activations").by("alice").json(&body))
    };
    let first = ask("PT2H", "prod");
    assert_eq!(first.status, 201, "{}", first.text);
    let over = ask("PT2H", "staging");
    assert_eq!((over.status, over.rule().as_str()), (409, "budget_exhausted"), "{}", over.text);
    assert_eq!((over.json()["left"].clone(), over.json()["asked"].clone()), (json!("PT1H"), json!("PT2H")));
    api.later(Duration::from_mins(30));
    api.post("alice", &format!("/v1/activations/{}/deactivate", id(&first.json())), &json!({}), 200);
    let second = ask("PT2H", "staging");
    assert_eq!(second.status, 201, "{}", second.text);
}

#[test]
fn a_role_with_conditions_counts_where_they_hold() {
    let api = Api::with(stricter);
    let grant = json!({ "principal": user("alice"), "role": "db-operator", "scope": PROD(), "justification": "x" });
    api.post("carol", "/v1/eligibilities", &grant, 201);
    let body = json!({ "role": "db-operator", "scope": PROD(), "duration": "PT1H", "justification": "x" });
    api.post("alice", "/v1/activations", &body, 201);
    let ask = |mfa: bool| {
        let mut question = crate::help::question("alice", "backup", ORDERS);
        question["context"] = json!({ "mfa": mfa });
        api.post("carol", "/v1/explain", &question, 200)
    };
    let (with, without) = (ask(true), ask(false));
    assert_eq!((&with["decision"], &without["decision"]), (&json!(true), &json!(false)), "{with} {without}");
    assert_eq!(without["holdings"][0]["why_not"]["reason"], "conditions_not_met", "{without}");
    let me = api.get("alice", "/v1/me");
    assert_eq!((&me["active"][0]["conditions"], &me["active"][0]["role"]), (&json!(true), &json!("db-operator")), "{me}");
    let elevated = "/v1/elevated?principal_type=User&principal_id=alice&role=db-operator&resource_type=Database&resource_id=orders";
    let elevated = api.get("alice", elevated);
    assert_eq!((&elevated["elevated"], &elevated["needs_context"]), (&json!(false), &json!(true)), "{elevated}");
    let plain = api.get("alice", "/v1/elevated?principal_type=User&principal_id=alice&role=db-admin");
    assert_eq!(plain["needs_context"], json!(false), "{plain}");
}
