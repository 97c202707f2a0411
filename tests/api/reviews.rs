//! Access reviews over HTTP: from what is to be reviewed to what became of it.

use elevon::domain::Duration;
use serde_json::{Value, json};

use crate::help::{Api, PROD, call, id, user};

/// The grants of db-admin, by bob, who leads those who hold it.
fn plan(more: Value) -> Value {
    let mut plan = json!({
        "name": "Who administers databases", "roles": ["db-admin"], "stages": [{ "reviewers": [user("bob")], "days": 14 }],
        "recurrence": { "every": "once", "first": "9999-01-31" },
    });
    plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plan
}

fn defined(api: &Api, more: Value) -> String {
    id(&api.post("carol", "/v1/reviews/definitions", &plan(more), 201)).to_owned()
}

fn decide(api: &Api, who: &str, review: &Value, item: &Value, decision: &str, status: u16) -> Value {
    let body = json!({ "items": [item], "decision": decision, "reason": "looked at it" });
    api.post(who, &format!("/v1/reviews/{}/decide", id(review)), &body, status)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "not within 20 seconds: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_review_from_its_definition_to_its_report() {
    let api = Api::start();
    let grant = api.alice_is_eligible();
    let dave = json!({ "principal": user("dave"), "role": "db-admin", "scope": PROD(), "justification": "x" });
    let kept = api.post("carol", "/v1/eligibilities", &dave, 201);
    let definition = defined(&api, json!({}));
    let shown = api.get("grace", &format!("/v1/reviews/definitions/{definition}"));
    assert_eq!(
        (&shown["next"], &shown["opened"], &shown["covers"]),
        (&json!("9999-01-31T00:00:00.000Z"), &json!(0), &json!("both")),
        "{shown}"
    );
    let review = api.begun_review(&definition);
    assert_eq!((&review["items"]["total"], &review["stage"], &review["of"]["id"]), (&json!(2), &json!(1), &json!(definition)), "{review}");

    // bob sees what waits for him; alice, about whom it is, sees nothing of it
    let path = format!("/v1/reviews/{}", id(&review));
    let waiting = api.get("bob", &format!("{path}/items"))["items"].as_array().unwrap().clone();
    assert_eq!(waiting.len(), 2);
    assert_eq!(api.get("bob", "/v1/reviews")["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("alice", "/v1/reviews")["items"], json!([]));
    for hidden in [path.clone(), format!("{path}/items"), format!("{path}/report"), format!("{path}/report.html")] {
        assert_eq!(api.send(&call("GET", &hidden).by("alice")).rule(), "not_permitted", "{hidden}");
    }
    let about = |who: &str| waiting.iter().find(|item| item["principal"] == user(who)).unwrap()["subject"].clone();
    assert_eq!(about("alice"), json!({ "kind": "eligibility", "id": grant["id"] }));

    assert_eq!(decide(&api, "dave", &review, &about("alice"), "approve", 403)["rule"], "not_a_reviewer");
    let tried = json!({ "items": [about("alice")], "decision": "deny", "reason": "x", "dry_run": true });
    let told = api.post("bob", &format!("{path}/decide"), &tried, 200);
    assert_eq!((&told["items"]["denied"], &told["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(api.get("carol", &path)["items"]["denied"], 0);
    decide(&api, "bob", &review, &about("alice"), "approve", 200);
    decide(&api, "bob", &review, &about("alice"), "deny", 200);
    let told = decide(&api, "bob", &review, &about("dave"), "dont_know", 200);
    assert_eq!(
        (&told["items"]["open"], &told["items"]["undecided"], &told["items"]["removals"]),
        (&json!(0), &json!(1), &json!(1)),
        "{told}"
    );

    let early = api.post("carol", &format!("{path}/apply"), &json!({}), 409);
    assert_eq!((&early["rule"], &early["outcome"]), (&json!("not_in_state"), &json!("in_progress")));
    assert_eq!(api.post("bob", &format!("{path}/complete"), &json!({}), 403)["rule"], "not_permitted");
    let complete = api.post("carol", &format!("{path}/complete"), &json!({ "reason": "all said" }), 200);
    assert_eq!((&complete["status"], &complete["confirm"]), (&json!("completed"), &json!(null)), "{complete}");
    assert_eq!(decide(&api, "bob", &review, &about("alice"), "approve", 409)["rule"], "not_in_state");
    let wrong = api.post("carol", &format!("{path}/apply"), &json!({ "confirm": 2 }), 409);
    assert_eq!((&wrong["rule"], &wrong["removals"]), (&json!("confirmation_needed"), &json!(1)), "{wrong}");
    api.post("carol", &format!("{path}/apply"), &json!({}), 200);
    api.reaches(id(&review), "applied");

    let of = |id: &Value| api.get("carol", &format!("/v1/eligibilities/{}", id.as_str().unwrap()));
    let gone = of(&grant["id"]);
    assert_eq!(
        (&gone["status"], &gone["ended"]["by"], &gone["ended"]["reason"]),
        (&json!("removed"), &json!(null), &json!("looked at it"))
    );
    assert_eq!(of(&kept["id"])["status"], "active");
    let report = api.get("grace", &format!("{path}/report"));
    let results: Vec<_> = report["items"].as_array().unwrap().iter().map(|item| item["applied"]["result"].as_str().unwrap()).collect();
    assert_eq!((results.len(), results.contains(&"removed"), results.contains(&"kept")), (2, true, true), "{report}");
    // the holder sees what became of the grant, and not who said so
    let alices = api.get("carol", "/v1/audit/events?kind=review_item_applied");
    assert_eq!(alices["items"].as_array().unwrap().len(), 2, "{alices}");
}

#[test]
fn a_report_is_a_table_and_a_page_that_what_was_sent_cannot_break() {
    let api = Api::start();
    let bad = "=HYPERLINK(<script>alert(1)</script>)";
    let stored = json!({ "uid": user(bad) });
    let answer = api.send(&call("PUT", "/v1/entities").by("carol").json(&stored));
    assert_eq!(answer.status, 201, "{}", answer.text);
    let grant = json!({ "principal": user(bad), "role": "db-admin", "scope": PROD(), "justification": "x" });
    api.post("carol", "/v1/eligibilities", &grant, 201);
    let review = api.begun_review(&defined(&api, json!({ "name": "</title><script>alert(2)</script>" })));
    let path = format!("/v1/reviews/{}", id(&review));
    let subject = api.get("bob", &format!("{path}/items"))["items"][0]["subject"].clone();
    let body = json!({ "items": [subject], "decision": "deny", "reason": "=1+1\n<img src=x onerror=alert(3)>" });
    api.post("bob", &format!("{path}/decide"), &body, 200);
    let table = api.send(&call("GET", &format!("{path}/report.csv")).by("carol"));
    assert_eq!((table.status, table.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert!(table.header("content-disposition").starts_with("attachment"));
    assert!(
        table.text.contains("\"'=1+1\n<img") && table.text.contains("\r\n") && !table.text.contains(",=") && !table.text.contains(",\"="),
        "{}",
        table.text
    );
    let page = api.send(&call("GET", &format!("{path}/report.html")).by("carol"));
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"), "its own style counts: {policy}");
    assert!(!page.text.contains("<script") && !page.text.contains("<img") && page.text.contains("&lt;script&gt;alert(2)"), "{}", page.text);
}

#[test]
fn reviews_come_by_themselves_and_go_to_their_end() {
    let api = Api::start();
    api.alice_is_eligible();
    let today = &api.now().to_string()[..10];
    let recurrence = json!({ "every": "monthly", "first": today, "at": "00:00" });
    let definition = defined(&api, json!({ "recurrence": recurrence, "no_answer": "remove", "auto_apply": true }));
    let of = format!("/v1/reviews?definition={definition}");
    assert_eq!(api.get("carol", &of)["items"], json!([]));
    let first = api.get("carol", &format!("/v1/reviews/definitions/{definition}"))["next"].clone();
    api.later(Duration::from_days(31));
    eventually("a review was opened", || api.get("carol", &of)["items"] != json!([]));
    let review = api.get("carol", &of)["items"][0].clone();
    api.reaches(id(&review), "in_progress");
    assert!(review["opened_at"].as_str() >= first.as_str());
    api.later(Duration::from_days(7));
    eventually("bob was reminded", || api.get("carol", "/v1/audit/events?kind=review_reminded")["items"] != json!([]));
    api.later(Duration::from_days(7));
    let applied = api.reaches(id(&review), "applied");
    assert_eq!((&applied["items"]["removed"], &applied["items"]["undecided"]), (&json!(1), &json!(1)), "{applied}");
    assert_eq!(api.get("alice", "/v1/me")["eligible"], json!([]));
}

#[test]
fn what_a_recommendation_rests_on_was_noted_beside_the_checks() {
    let api = Api::start();
    let grant = api.alice_is_eligible();
    let asked = api.alice_asks();
    api.bob_approves(&asked, json!({}));
    assert!(api.decides("alice", "write", ("Database", "orders")).0);
    // what her groups let her do anyway is no use of the role
    let items = |review: &Value| api.get("carol", &format!("/v1/reviews/{}/items", id(review)))["items"].clone();
    let definition = defined(&api, json!({}));
    eventually("the check was noted", || items(&api.begun_review(&definition))[0]["last_check"] != json!(null));
    api.later(Duration::from_days(20));
    let item = items(&api.begun_review(&definition))[0].clone();
    assert_eq!((&item["subject"]["id"], &item["recommendation"]), (&grant["id"], &json!("approve")), "{item}");
    assert!(item["last_activation"].as_str().unwrap() <= item["last_check"].as_str().unwrap(), "{item}");
    api.later(Duration::from_days(20));
    let later = items(&api.begun_review(&definition))[0].clone();
    assert_eq!((&later["recommendation"], &later["last_check"]), (&json!("deny"), &item["last_check"]), "{later}");
}

#[test]
fn an_emergency_waits_for_security_to_look_at_it() {
    let api = Api::start();
    let scope = json!({ "type": "ResourceGroup", "id": "prod-web" });
    let grant = json!({ "principal": user("dave"), "role": "cluster-admin", "scope": scope, "justification": "on call" });
    api.post("carol", "/v1/eligibilities", &grant, 201);
    let ask = json!({ "role": "cluster-admin", "scope": scope, "justification": "fire", "emergency": true });
    let dave = call("POST", "/v1/activations").header("authorization", "Dev User::\"dave\"; mfa=pwd,otp").json(&ask);
    let glass = api.send(&dave).json();
    let reviews = api.get("carol", "/v1/reviews")["items"].clone();
    assert_eq!(
        (&reviews[0]["of"], &reviews[0]["ends_at"]),
        (&json!({ "kind": "emergency", "id": glass["id"] }), &glass["review_by"]),
        "{reviews}"
    );
    let item = json!({ "kind": "activation", "id": glass["id"] });
    assert_eq!(decide(&api, "dave", &reviews[0], &item, "approve", 403)["rule"], "separation_of_duties");
    assert_eq!(decide(&api, "bob", &reviews[0], &item, "deny", 403)["rule"], "not_permitted");
    assert_eq!(api.get("bob", "/v1/reviews")["items"], json!([]));
    decide(&api, "carol", &reviews[0], &item, "deny", 200);
    api.post("carol", &format!("/v1/reviews/{}/complete", id(&reviews[0])), &json!({}), 200);
    api.reaches(id(&reviews[0]), "applied");
    let revoked = api.get("carol", &format!("/v1/activations/{}", id(&glass)));
    assert_eq!((&revoked["status"], &revoked["ended"]["reason"]), (&json!("revoked"), &json!("looked at it")), "{revoked}");
}

#[test]
fn what_is_wrong_with_a_definition_or_a_decision_is_named() {
    let api = Api::start();
    let stage = |stage: Value| json!({ "stages": [stage] });
    let rows: [(Value, u16, &str, &str); 16] = [
        (json!({ "stages": [] }), 422, "review_invalid", "one to 3"),
        (stage(json!({ "reviewers": [user("bob")] })), 400, "missing_member", "`days`"),
        (stage(json!({ "days": 3.0 })), 422, "review_invalid", "names no reviewers"),
        (stage(json!({ "self": true, "days": 3.5 })), 400, "malformed_member", "a whole number"),
        (stage(json!({ "self": true, "days": -1 })), 400, "malformed_member", "a whole number"),
        (stage(json!({ "reviewers": [user("bob")], "self": true, "days": 3 })), 400, "conflicting_members", "`self`"),
        (stage(json!({ "reviewers": [user("nobody")], "days": 3 })), 422, "unknown_principal", "nobody"),
        (stage(json!({ "reviewers": [user("bob")], "days": 3, "x": 1 })), 400, "unknown_member", "`x`"),
        (stage(json!(7)), 400, "malformed_member", "a stage is an object"),
        (json!({ "recurrence": { "every": "daily", "first": "2030-01-31" } }), 400, "malformed_member", "half_yearly"),
        (json!({ "recurrence": { "every": "weekly", "first": "2030-02-30" } }), 400, "malformed_member", "is not a date"),
        (json!({ "recurrence": { "every": "weekly", "first": "9999-01-31" } }), 422, "review_invalid", "may take 7"),
        (
            json!({ "recurrence": { "every": "once", "first": "9999-01-31", "time_zone": "Mars/Base" } }),
            422,
            "review_invalid",
            "Europe/Berlin",
        ),
        (json!({ "recurrence": { "every": "once", "first": "9999-01-31", "at": "9:00" } }), 400, "malformed_member", "09:00"),
        (json!({ "no_answer": "guess" }), 400, "malformed_member", "take_recommendation"),
        (json!({ "roles": ["db-admim"] }), 422, "unknown_role", "did you mean `db-admin`?"),
    ];
    let before = api.seq();
    for (more, status, rule, says) in rows {
        let told = api.post("carol", "/v1/reviews/definitions", &plan(more.clone()), status);
        assert_eq!(told["rule"], rule, "{more}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(says), "{more}: {told}");
    }
    let grant = api.alice_is_eligible();
    let review = api.begun_review(&defined(&api, json!({})));
    let path = format!("/v1/reviews/{}/decide", id(&review));
    let item = json!({ "kind": "eligibility", "id": grant["id"] });
    let rows = [
        (json!({ "items": [item], "decision": "approve" }), 400, "missing_member"),
        (json!({ "items": [item], "decision": "approve", "reason": " " }), 400, "missing_member"),
        (json!({ "items": [item], "decision": "maybe", "reason": "x" }), 400, "malformed_member"),
        (json!({ "items": [], "decision": "deny", "reason": "x" }), 400, "malformed_member"),
        (json!({ "items": vec![item.clone(); 101], "decision": "deny", "reason": "x" }), 400, "malformed_member"),
        (json!({ "items": [{ "kind": "group", "id": "x" }], "decision": "deny", "reason": "x" }), 400, "malformed_member"),
        (json!({ "items": [{ "kind": "assignment", "id": grant["id"] }], "decision": "deny", "reason": "x" }), 404, "not_found"),
        (json!({ "items": [item, { "kind": "eligibility", "id": "elg_none" }], "decision": "deny", "reason": "x" }), 404, "not_found"),
    ];
    for (body, status, rule) in rows {
        assert_eq!(api.post("bob", &path, &body, status)["rule"], rule, "{body}");
    }
    assert!(api.seq() > before);
    assert_eq!(api.get("carol", &format!("/v1/reviews/{}", id(&review)))["items"]["denied"], 0);
}
