//! The document that the server gives of itself, held against what it takes and answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::help::{Api, Call, PROD, call, id, question, user};
use crate::schema::Document;

fn each(document: &Document) -> Vec<(String, String, Value)> {
    let paths = document.0["paths"].as_object().unwrap();
    let of = |path: &String, methods: &Value| {
        let methods = methods.as_object().unwrap().clone();
        methods.into_iter().map(|(method, operation)| (method.to_uppercase(), path.clone(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(|(path, methods)| of(path, methods)).collect()
}

/// An operation's path with ids that are there to be read.
fn at(path: &str) -> String {
    path.replace("{id}", "act_none").replace("{role}", "db-admin")
}

/// What an endpoint says it takes, in its refusal of something that it does not take.
fn takes(answer: &crate::help::Answer, what: &str) -> BTreeSet<String> {
    let told = answer.json();
    let detail = told["detail"].as_str().unwrap_or_default();
    let (_, names) = detail.split_once("it takes ").unwrap_or_else(|| panic!("{what}: {}", answer.text));
    names.split(", ").filter(|name| *name != "none").map(str::to_owned).collect()
}

#[test]
fn anybody_may_read_it() {
    let api = Api::start();
    let answer = api.send(&call("GET", "/openapi.json"));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/activations"]["post"]["description"].as_str().unwrap().contains("activateRole on the grant"));
    for scheme in ["dev", "bearer", "mutualTLS"] {
        assert!(document["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
    }
}

#[test]
fn a_body_takes_the_members_that_its_schema_has_and_no_others() {
    let api = Api::start();
    let document = Document::of(&api);
    let mut seen = 0;
    for (method, path, operation) in each(&document) {
        let Some(content) = operation.pointer("/requestBody/content/application~1json") else { continue };
        let schema = document.resolved(&content["schema"]);
        if schema["additionalProperties"] != json!(false) {
            assert!(path == "/access/v1/evaluation" || path == "/v1/explain", "{path} is open");
            continue;
        }
        let documented: BTreeSet<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let example = content["examples"]["request"]["value"].clone();
        document.check(&content["schema"], &example).unwrap_or_else(|why| panic!("{method} {path}: {why}"));
        let mut more = example.clone();
        more["unheard_of"] = json!(1);
        let query = if method == "DELETE" && path == "/v1/entities" { "?type=User&id=none" } else { "" };
        let answer = api.send(&call(&method, &format!("{}{query}", at(&path))).by("carol").json(&more));
        assert_eq!((answer.status, answer.rule().as_str()), (400, "unknown_member"), "{method} {path}: {}", answer.text);
        assert_eq!(takes(&answer, &path), documented, "{method} {path}");
        assert!(document.check(&content["schema"], &more).is_err(), "{method} {path}");
        // what stands there as an example is read
        let answer = api.send(&call(&method, &format!("{}{query}", at(&path))).by("carol").json(&example));
        assert_ne!(answer.status, 400, "{method} {path}: {}", answer.text);
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn what_stands_inside_of_a_body_is_closed_too() {
    let api = Api::start();
    let document = Document::of(&api);
    let members = |schema: &str| {
        document.0["components"]["schemas"][schema]["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>()
    };
    let asked = |body: Value| api.send(&call("POST", "/v1/activations").by("carol").json(&body));
    let ticket = asked(json!({ "role": "db-admin", "ticket": { "system": "jira", "number": "1", "x": 1 } }));
    assert_eq!(takes(&ticket, "ticket"), members("Ticket"));
    let entity = asked(json!({ "role": "db-admin", "scope": { "type": "A", "id": "b", "x": 1 } }));
    assert_eq!(entity.rule(), "malformed_member");
    let bulk = api.post("carol", "/v1/activations/bulk", &json!({ "items": [{ "role": "db-admin", "x": 1 }] }), 200);
    let detail = bulk["items"][0]["problem"]["detail"].as_str().unwrap();
    let listed: BTreeSet<String> = detail.split_once("it takes ").unwrap().1.split(", ").map(str::to_owned).collect();
    assert_eq!(listed, members("ActivationItem"));
}

#[test]
fn a_query_takes_the_parameters_that_are_described_and_no_others() {
    let api = Api::start();
    let document = Document::of(&api);
    for (method, path, operation) in each(&document) {
        let parameters: Vec<&Value> = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "query").collect();
        let documented: BTreeSet<String> = parameters.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        // health and what is found by a well-known name answer whatever is asked of them; AuthZEN says nothing of a query
        if operation["security"] == json!([]) || path == "/access/v1/evaluation" {
            assert!(documented.is_empty(), "{path}");
            continue;
        }
        let mut query = String::from("?unheard_of=1");
        for one in parameters.iter().filter(|one| one["required"] == json!(true)) {
            query.push_str(&format!("&{}=reader", one["name"].as_str().unwrap()));
        }
        let mut asked = call(&method, &format!("{}{query}", at(&path))).by("carol");
        if let Some(example) = operation.pointer("/requestBody/content/application~1json/examples/request/value") {
            asked = asked.json(example);
        }
        let answer = api.send(&asked);
        assert_eq!((answer.status, answer.rule().as_str()), (400, "bad_parameter"), "{method} {path}: {}", answer.text);
        assert_eq!(takes(&answer, &path), documented, "{method} {path}");
    }
}

#[test]
fn every_example_reads_as_its_schema_says() {
    let api = Api::start();
    let document = Document::of(&api);
    let mut seen = 0;
    for (method, path, operation) in each(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (kind, content) in response["content"].as_object().unwrap() {
                for (name, example) in content["examples"].as_object().into_iter().flatten() {
                    let read = document.check(&content["schema"], &example["value"]);
                    read.unwrap_or_else(|why| panic!("{method} {path} {status} {kind} {name}: {why}"));
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 300, "{seen}");
}

/// Whether two values have the same members, item by item of what both have.
fn same_members(example: &Value, real: &Value, place: &str) {
    match (example, real) {
        (Value::Object(example), Value::Object(real)) => {
            let names = |of: &serde_json::Map<String, Value>| of.keys().cloned().collect::<BTreeSet<_>>();
            // free: what the policies' authors name, and what the journal says of each kind of command
            if place.ends_with("/attrs") || place.ends_with("/texts") || place.contains("/record") {
                return;
            }
            assert_eq!(names(example), names(real), "at {place}");
            for (name, value) in example {
                same_members(value, &real[name], &format!("{place}/{name}"));
            }
        }
        (Value::Array(example), Value::Array(real)) => {
            for (one, other) in example.iter().zip(real) {
                same_members(one, other, &format!("{place}/0"));
            }
        }
        _ => {}
    }
}

#[test]
fn examples_have_the_members_of_real_answers() {
    let api = Api::start();
    let document = Document::of(&api);
    let mut told = BTreeSet::new();
    let mut held = |method: &str, template: &str, asked: Call| -> Value {
        let answer = api.send(&asked);
        let place = format!("{method} {template} {}", answer.status);
        let pointer = format!("/paths/{}/{}/responses/{}/content", template.replace('/', "~1"), method.to_lowercase(), answer.status);
        let content = document.0.pointer(&pointer).unwrap_or_else(|| panic!("{place} is not described: {}", answer.text));
        let example = &content["application/json"]["examples"]["answer"]["value"];
        same_members(example, &answer.json(), &place);
        told.insert(place);
        answer.json()
    };
    let post = |who: &str, path: &str, body: Value| call("POST", path).by(who).json(&body);
    let get = |who: &str, path: &str| call("GET", path).by(who);
    let eligible = json!({ "principal": user("alice"), "role": "db-admin", "scope": PROD(), "justification": "on call" });
    let eligibility = held("POST", "/v1/eligibilities", post("carol", "/v1/eligibilities", eligible));
    held("GET", "/v1/eligibilities", get("alice", "/v1/eligibilities"));
    held("GET", "/v1/eligibilities/{id}", get("alice", &format!("/v1/eligibilities/{}", id(&eligibility))));
    let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT5M", "justification": "restore" });
    let cancelled = api.post("alice", "/v1/activations", &ask, 201);
    held("POST", "/v1/activations/{id}/cancel", post("alice", &format!("/v1/activations/{}/cancel", id(&cancelled)), json!({})));
    let asked = api.post("alice", "/v1/activations", &ask, 201);
    held("GET", "/v1/approvals", get("bob", "/v1/approvals"));
    let path = format!("/v1/activations/{}", id(&asked));
    held(
        "POST",
        "/v1/activations/{id}/approve",
        post("bob", &format!("{path}/approve"), json!({ "request_hash": asked["request_hash"], "justification": "agreed" })),
    );
    held("GET", "/v1/activations/{id}", get("alice", &path));
    held("GET", "/v1/activations", get("alice", "/v1/activations?status=active"));
    held("GET", "/v1/me", get("alice", "/v1/me"));
    held("GET", "/v1/elevated", get("alice", "/v1/elevated?principal_type=User&principal_id=alice&role=db-admin"));
    held("POST", "/access/v1/evaluation", post("carol", "/access/v1/evaluation", question("alice", "write", ("Database", "orders"))));
    held("POST", "/v1/explain", post("carol", "/v1/explain", question("alice", "write", ("Database", "orders"))));
    held("POST", "/v1/activations/{id}/deactivate", post("alice", &format!("{path}/deactivate"), json!({ "reason": "done" })));
    held("POST", "/v1/activations/revoke", post("carol", "/v1/activations/revoke", json!({ "principal": user("alice") })));
    held("DELETE", "/v1/eligibilities/{id}", call("DELETE", &format!("/v1/eligibilities/{}", id(&eligibility))).by("carol"));
    held("GET", "/v1/roles/{role}", get("alice", "/v1/roles/db-admin"));
    held("PUT", "/v1/entities", call("PUT", "/v1/entities").by("carol").json(&json!({ "uid": user("heidi"), "parents": [] })));
    held("POST", "/v1/entities/disable", post("carol", "/v1/entities/disable", json!({ "type": "User", "id": "heidi" })));
    held("DELETE", "/v1/entities", call("DELETE", "/v1/entities?type=User&id=heidi").by("carol"));
    held("GET", "/v1/policies", get("carol", "/v1/policies"));
    held("POST", "/v1/policies/reload", call("POST", "/v1/policies/reload").by("carol"));
    let bad = json!({ "files": { "access.cedar": "permit(principal, action resource);" } });
    held("POST", "/v1/policies/validate", post("carol", "/v1/policies/validate", bad));
    held("GET", "/v1/audit/events", get("grace", "/v1/audit/events"));
    held("GET", "/v1/audit/events", get("grace", "/v1/audit/events?order=desc&limit=1"));
    held("GET", "/v1/audit/tip", get("grace", "/v1/audit/tip"));
    held("GET", "/healthz", call("GET", "/healthz"));
    held("GET", "/readyz", call("GET", "/readyz"));
    held("GET", "/.well-known/authzen-configuration", call("GET", "/.well-known/authzen-configuration"));
    assert_eq!(told.len(), 27, "{told:?}");
}
