//! What is written down: repeated commands once, and refusals without end in a line.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::edges::{DAVE, Edges, id_of, merged, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL};
use crate::common::{elevon, eventually, uid};

/// Asks with an idempotency key.
fn keyed(edges: &Edges, who: &str, key: &str, body: &Value) -> (u16, Value) {
    let credential = format!("Dev User::\"{who}\"");
    edges.server.send("POST", "/v1/activations", &[("authorization", &credential), ("idempotency-key", key)], Some(body))
}

#[test]
fn idempotency() {
    let mut edges = Edges::start();
    edges.eligible(ALICE, "plain");
    edges.eligible(DAVE, "plain");
    let body = json!({"role": "plain", "justification": "restore", "duration": "PT1H"});
    let (status, first) = keyed(&edges, ALICE, "k1", &body);
    assert_eq!(status, 201, "{first}");
    let id = id_of(&first);

    // the same again is the same, even when it is over by now
    let (_, again) = keyed(&edges, ALICE, "k1", &body);
    assert_eq!(again["id"], json!(id), "{again}");
    assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);
    let (_, again) = keyed(&edges, ALICE, "k1", &body);
    assert_eq!(again["id"], json!(id), "{again}");
    assert!(!edges.writes(ALICE));

    // another body, and another caller
    let other = json!({"role": "plain", "justification": "something else", "duration": "PT1H"});
    assert_eq!(rule_of(keyed(&edges, ALICE, "k1", &other)), rule(409, "idempotency_key_reused"));
    let (status, of_dave) = keyed(&edges, DAVE, "k1", &body);
    assert_eq!((status, &of_dave["principal"]), (201, &uid(("User", DAVE))), "{of_dave}");

    // a refusal is kept, too; it is not asked anew under the key
    let wrong = json!({"role": "paired", "justification": "restore"});
    assert_eq!(rule_of(keyed(&edges, ALICE, "k2", &wrong)), rule(403, "not_eligible"));
    edges.eligible(ALICE, "paired");
    assert_eq!(rule_of(keyed(&edges, ALICE, "k2", &wrong)), rule(403, "not_eligible"));
    assert_eq!(keyed(&edges, ALICE, "k3", &wrong).0, 201);

    // it is in the journal, and so survives the server; without a credential nothing is kept
    let nobody = edges.server.send("POST", "/v1/activations", &[("idempotency-key", "k4")], Some(&body));
    assert_eq!(nobody.0, 401, "{}", nobody.1);
    edges = edges.restart();
    let (_, again) = keyed(&edges, ALICE, "k1", &body);
    assert_eq!(again["id"], json!(id), "{again}");
    assert_eq!(rule_of(keyed(&edges, ALICE, "k1", &other)), rule(409, "idempotency_key_reused"));
    assert_eq!(keyed(&edges, ALICE, "k4", &body).0, 201);

    // kept for a day
    edges.server.advance("PT24H");
    let (status, anew) = keyed(&edges, ALICE, "k1", &body);
    assert_eq!(status, 201, "{anew}");
    assert_ne!(anew["id"], json!(id), "{anew}");
}

#[test]
fn refusals() {
    let edges = Edges::start();
    let refused = |edges: &Edges| edges.all_of_kind("command_refused");
    for _ in 0..7 {
        assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(403, "not_eligible"));
    }
    assert_eq!(edges.refused(DAVE, "plain", json!({})), rule(403, "not_eligible"));
    assert_eq!(edges.refused(ALICE, "plane", json!({})), rule(422, "unknown_role"));
    // the first of each caller and rule at once, the others as a number when the minute is over
    let counts = |edges: &Edges, rule: &str| -> Vec<u64> {
        refused(edges).iter().filter(|event| event["rule"] == rule).map(|event| event["count"].as_u64().unwrap()).collect()
    };
    assert_eq!(counts(&edges, "not_eligible"), [1, 1]);
    assert_eq!(counts(&edges, "unknown_role"), [1]);
    edges.server.advance("PT61S");
    eventually("the others are counted", || counts(&edges, "not_eligible").iter().sum::<u64>() == 8);
    let mut found = counts(&edges, "not_eligible");
    found.sort_unstable();
    assert_eq!(found, [1, 1, 6]);
    assert!(refused(&edges)[0]["detail"].as_str().unwrap().contains("not eligible"));

    // of those who did not say who they are, nothing but a number
    let before = edges.server.get(CAROL, "/v1/me")["seq"].clone();
    for _ in 0..5 {
        let (status, reply) = edges.server.send("POST", "/v1/activations", &[], Some(&json!({"role": "plain"})));
        assert_eq!(status, 401, "{reply}");
    }
    assert_eq!(edges.server.get(CAROL, "/v1/me")["seq"], before);
}

/// Instants and durations at the ends of what can be written, and past them.
const INSTANTS: [&str; 8] = [
    "0000-01-01T00:00:00Z",
    "0000-01-01T00:00:00+05:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:60Z",
    "9999-12-31T23:00:00-05:00",
    "+10000-01-01T00:00:00Z",
];
const DURATIONS: [&str; 5] = ["PT0S", "P365000D", "P3000000D", "P3652425D", "P99999999999999D"];

#[test]
fn whatever_is_taken_or_refused_can_be_read_back() {
    let edges = Edges::start();
    edges.eligible(ALICE, "plain");
    let mut commands: Vec<(&str, &str, Value)> = Vec::new();
    let asked = |more: Value| merged(json!({"role": "plain", "justification": "x"}), more);
    let granted = |more: Value| merged(json!({"principal": uid(("User", DAVE)), "role": "plain", "justification": "x"}), more);
    for at in INSTANTS {
        for other in INSTANTS {
            commands.push((CAROL, "/v1/eligibilities", granted(json!({"start": at, "end": other}))));
            commands.push((ALICE, "/v1/activations", asked(json!({"start": at, "end": other}))));
        }
        commands.push((ALICE, "/v1/activations", asked(json!({"end": at}))));
        commands.push((BOB, "/v1/activations", asked(json!({"end": at}))));
        commands.push((CAROL, "/v1/assignments", granted(json!({"end": at}))));
        commands.push((CAROL, "/v1/assignments", granted(json!({"start": at}))));
    }
    for duration in DURATIONS {
        commands.push((ALICE, "/v1/activations", asked(json!({"duration": duration}))));
        commands.push((ALICE, "/v1/activations", asked(json!({"start": "9999-12-31T00:00:00Z", "duration": duration}))));
    }
    for (first, zone) in [("9999-12-31", "America/New_York"), ("9999-12-31", "Pacific/Kiritimati"), ("0001-01-01", "Pacific/Kiritimati")] {
        let plan = json!({
            "name": "far", "roles": ["plain"], "stages": [{"reviewers": [uid(("User", BOB))], "days": 7}],
            "recurrence": {"every": "once", "first": first, "at": "23:00", "time_zone": zone}, "no_answer": "no_change",
        });
        commands.push((CAROL, "/v1/reviews/definitions", plan));
    }
    let send = |(number, (who, path, body)): (usize, &(&str, &str, Value))| {
        let (credential, key) = (format!("Dev User::\"{who}\""), format!("far-{number}"));
        edges.server.send("POST", path, &[("authorization", &credential), ("idempotency-key", &key)], Some(body))
    };
    let mut taken = BTreeSet::new();
    for sent in commands.iter().enumerate() {
        let (first, again) = (send(sent), send(sent));
        assert!(first.0 < 500, "{sent:?}: {first:?}");
        // a refusal that is coalesced says so; what it is and by which rule stays
        assert_eq!((again.0, &again.1["rule"]), (first.0, &first.1["rule"]), "{sent:?}: {again:?}");
        taken.extend((first.0 == 201).then_some(sent.1.1));
    }
    assert_eq!(Vec::from_iter(taken), ["/v1/eligibilities", "/v1/reviews/definitions"]);

    // every record is parsed for a filter, and by whoever replays them
    let mut path = "/v1/audit/events?kind=command_refused&limit=1000".to_owned();
    loop {
        let page = edges.server.get(CAROL, &path);
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/audit/events?kind=command_refused&limit=1000&cursor={next}");
    }
    let Edges { home, server } = edges;
    server.kill();
    let rebuilt = elevon(&["rebuild", "--data", home.data().to_str().unwrap()]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
}
