//! Alerts over HTTP and the command line's view of them: kinds, incidents by filter, and what people do about one.

use serde_json::{Value, json};

use crate::help::{Api, call, id, user};

/// A server in which dave is an auditor without activating it, and auditors are privileged.
fn held() -> (Api, Value) {
    let api = Api::with(|policies| {
        let (file, role) = (policies.join("roles.toml"), "[roles.\"auditor\"]\n");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace(role, &format!("{role}privileged = true\n"))).unwrap();
        let rules = "[role_held_outside]\nlonger_than = \"P1D\"\n[activated_often]\nenabled = false\n";
        std::fs::write(policies.join("alerts.toml"), rules).unwrap();
    });
    let end = api.get("alice", "/v1/me")["now"].as_str().unwrap().to_owned();
    let end = elevon::domain::Timestamp::parse(&end).unwrap().plus(elevon::domain::Duration::from_days(9)).to_string();
    let grant = json!({ "principal": user("dave"), "role": "auditor", "end": end, "justification": "audit" });
    api.post("carol", "/v1/assignments", &grant, 201);
    let incident = api.incident("role_held_outside");
    (api, incident)
}

fn path(incident: &Value, what: &str) -> String {
    format!("/v1/alerts/incidents/{}{what}", id(incident))
}

#[test]
fn every_kind_tells_its_rule_and_how_many_wait() {
    let (api, _) = held();
    let alerts = api.get("grace", "/v1/alerts");
    let kinds = alerts["items"].as_array().unwrap();
    assert_eq!(kinds.len(), elevon::domain::AlertKind::ALL.len());
    let kind = |word: &str| kinds.iter().find(|kind| kind["kind"] == word).unwrap();
    assert_eq!(kind("role_held_outside")["thresholds"], json!({ "longer_than": "P1D" }));
    assert_eq!((&kind("role_held_outside")["open"], &kind("never_used")["open"]), (&json!(1), &json!(0)));
    assert_eq!((&kind("activated_often")["enabled"], &kind("request_burst")["enabled"]), (&json!(false), &json!(true)));
    assert_eq!(alerts["trouble"], json!({ "clock": false, "journal": false }));
    assert!(kinds.iter().all(|kind| kind["advice"].as_str().is_some_and(|advice| !advice.is_empty())));
    assert_eq!(api.send(&call("GET", "/v1/alerts").by("alice")).rule(), "not_permitted");
}

#[test]
fn incidents_are_found_by_what_is_asked_for() {
    let (api, incident) = held();
    let rows = [
        ("", 1),
        ("&kind=role_held_outside", 1),
        ("&kind=never_used", 0),
        ("&severity=high", 1),
        ("&severity=low", 0),
        ("&status=open", 1),
        ("&status=cleared", 0),
        ("&principal_type=User&principal_id=dave", 1),
        ("&principal_type=User&principal_id=alice", 0),
        ("&role=auditor", 1),
        ("&role=reader", 0),
        ("&from=2020-01-01T00:00:00Z", 1),
        ("&to=2020-01-01T00:00:00Z", 0),
    ];
    for (filter, wanted) in rows {
        let found = api.get(
            "grace",
            &format!("/v1/alerts/incidents?kind=role_held_outside&limit=9{filter}")
                .replace("?kind=role_held_outside&limit=9&kind", "?limit=9&kind"),
        );
        assert_eq!(found["items"].as_array().unwrap().len(), wanted, "{filter}");
    }
    for wrong in ["kind=x", "severity=urgent", "status=closed", "principal_id=dave", "from=yesterday", "cursor=x", "limit=0"] {
        assert_eq!(api.send(&call("GET", &format!("/v1/alerts/incidents?{wrong}")).by("grace")).rule(), "bad_parameter", "{wrong}");
    }
    assert_eq!(api.send(&call("GET", "/v1/alerts/incidents").by("alice")).rule(), "not_permitted");
    assert_eq!(api.send(&call("GET", &path(&incident, "")).by("alice")).rule(), "not_permitted");
    assert_eq!(api.send(&call("GET", "/v1/alerts/incidents/inc_0").by("grace")).rule(), "not_found");
    let shown = api.get("grace", &path(&incident, ""));
    assert_eq!((&shown["principal"], &shown["numbers"]["permanent"]), (&user("dave"), &json!(0)), "{shown}");
    assert_eq!(shown["remedy"]["action"], "remove_assignment");
}

#[test]
fn what_is_done_about_one_is_tried_done_once_and_told() {
    let (api, incident) = held();
    let post = |who: &str, what: &str, body: Value, status| api.post(who, &path(&incident, what), &body, status);
    assert_eq!(post("carol", "/dismiss", json!({}), 400)["rule"], "missing_member");
    assert_eq!(post("carol", "/dismiss", json!({ "reason": " " }), 400)["rule"], "missing_member");
    assert_eq!(post("carol", "/dismiss", json!({ "reason": "x", "why": "y" }), 400)["rule"], "unknown_member");
    assert_eq!(post("grace", "/dismiss", json!({ "reason": "x" }), 403)["rule"], "not_permitted");
    assert_eq!(post("carol", "/rearm", json!({}), 409)["outcome"], "open");
    let tried = post("carol", "/dismiss", json!({ "reason": "he audits", "dry_run": true }), 200);
    assert_eq!((&tried["status"], &tried["dismissed"]["reason"]), (&json!("dismissed"), &json!("he audits")), "{tried}");
    assert_eq!(api.get("grace", &path(&incident, ""))["status"], "open");

    let asked =
        call("POST", &path(&incident, "/dismiss")).by("carol").header("idempotency-key", "k1").json(&json!({ "reason": "he audits" }));
    let (first, again) = (api.send(&asked), api.send(&asked));
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.seq(), again.json()["seq"].as_u64().unwrap());
    assert_eq!(post("carol", "/rearm", json!({}), 200)["dismissed"], Value::Null);

    // a watcher who may not read the audit sees nothing of it; the audit tells whose it is
    let told = api.get("grace", "/v1/audit/events?kind=alert&principal_type=User&principal_id=dave");
    let said: Vec<&Value> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item["record"]["events"].as_array().unwrap())
        .map(|event| &event["what"])
        .collect();
    assert_eq!(said, ["raised", "dismissed", "rearmed"]);
    let done = post("carol", "/remedy", json!({ "reason": "no longer" }), 200);
    assert_eq!(done["cleared"]["by"], user("carol"));
    assert_eq!(api.get("carol", "/v1/assignments?principal_type=User&principal_id=dave")["items"], json!([]));
    assert_eq!(post("carol", "/remedy", json!({}), 409)["outcome"], "cleared");
}
