//! Who may call what: every endpoint, asked by callers of every kind, as one table that an auditor can read.
//!
//! `ELEVON_BLESS=1 cargo test` writes the table anew; what changed then shows in review.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use elevon::http::endpoints;
use serde_json::{Value, json};

use crate::help::{Api, Call, PROD, call, question, user};

/// Nobody, somebody with a bad credential, a name that nobody stored, and people of the sample. The last two are dave as well: eligible to
/// administer Elevon, and doing it.
const CALLERS: [(&str, &str, Administers); 11] = [
    ("none", "", Administers::Not),
    ("bad", "Bearer x", Administers::Not),
    ("nobody", "Dev User::\"nobody\"", Administers::Not),
    ("alice", "Dev User::\"alice\"", Administers::Not),
    ("bob", "Dev User::\"bob\"", Administers::Not),
    ("carol", "Dev User::\"carol\"", Administers::Not),
    ("dave", "Dev User::\"dave\"", Administers::Not),
    ("grace", "Dev User::\"grace\"", Administers::Not),
    ("gateway", "Dev Service::\"gateway\"", Administers::Not),
    ("eligible", "Dev User::\"dave\"", Administers::Eligible),
    ("active", "Dev User::\"dave\"", Administers::Active),
];

/// Whether dave administers Elevon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Administers {
    Not,
    Eligible,
    Active,
}

/// What stands when each endpoint is asked: made anew for each caller, so that no caller sees what another one changed.
struct Scene {
    api: Api,
    activation: String,
    eligibility: String,
    assignment: String,
    request: String,
    definition: String,
    review: String,
    incident: String,
    hash: Value,
    /// bob's.
    link: String,
}

impl Scene {
    fn set(administers: Administers) -> Self {
        // so that the assignment below is one that alerts are about
        let api = Api::with(|policies| {
            let (file, role) = (policies.join("roles.toml"), "[roles.\"auditor\"]\n");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(file, text.replace(role, &format!("{role}privileged = true\n"))).unwrap();
        });
        if administers != Administers::Not {
            let grant = json!({ "principal": user("dave"), "role": "elevon-admin", "justification": "administers" });
            api.post("erin", "/v1/eligibilities", &grant, 201);
        }
        if administers == Administers::Active {
            let asked = api.post("dave", "/v1/activations", &json!({ "role": "elevon-admin", "justification": "a new team" }), 201);
            let vote = json!({ "request_hash": asked["request_hash"] });
            api.post("erin", &format!("/v1/activations/{}/approve", asked["id"].as_str().unwrap()), &vote, 200);
        }
        let eligibility = api.alice_is_eligible()["id"].as_str().unwrap().to_owned();
        let asked = api.alice_asks();
        let end = chrono_free_tomorrow(&asked["requested_at"]);
        let grant = json!({ "principal": user("alice"), "role": "reader", "end": end, "justification": "audit" });
        let path = format!("/v1/eligibilities/{}/extend", api.post("carol", "/v1/eligibilities", &grant, 201)["id"].as_str().unwrap());
        let request = api.post("alice", &path, &json!({ "duration": "P1D" }), 201)["id"].as_str().unwrap().to_owned();
        let grant = json!({ "principal": user("dave"), "role": "auditor", "end": end, "justification": "audit" });
        let assignment = api.post("carol", "/v1/assignments", &grant, 201)["id"].as_str().unwrap().to_owned();
        let plan = json!({
            "name": "Who may", "roles": ["db-admin"], "stages": [{ "reviewers": [user("bob")], "days": 7 }],
            "recurrence": { "every": "once", "first": "9999-01-31" },
        });
        let definition = api.post("carol", "/v1/reviews/definitions", &plan, 201)["id"].as_str().unwrap().to_owned();
        let review = api.begun_review(&definition);
        Self {
            definition,
            incident: api.incident("role_held_outside")["id"].as_str().unwrap().to_owned(),
            review: review["id"].as_str().unwrap().to_owned(),
            activation: asked["id"].as_str().unwrap().to_owned(),
            hash: asked["request_hash"].clone(),
            link: api.link("bob", &asked, elevon::domain::Duration::from_mins(15)),
            api,
            eligibility,
            assignment,
            request,
        }
    }

    fn call(&self, method: &str, template: &str) -> Call {
        let id = match template {
            path if path.starts_with("/v1/eligibilities") => &self.eligibility,
            path if path.starts_with("/v1/assignments") => &self.assignment,
            path if path.starts_with("/v1/grant-requests") => &self.request,
            path if path.starts_with("/v1/reviews/definitions") => &self.definition,
            path if path.starts_with("/v1/reviews") => &self.review,
            path if path.starts_with("/v1/alerts") => &self.incident,
            _ => &self.activation,
        };
        let mut path = template.replace("{id}", id).replace("{role}", "db-admin");
        let grant = json!({ "principal": user("frank"), "role": "reader", "justification": "x" });
        let body = match (method, template) {
            ("POST", "/access/v1/evaluation" | "/v1/explain") => Some(question("alice", "list", ("Database", "orders"))),
            ("GET", "/v1/elevated") => {
                path.push_str("?principal_type=User&principal_id=alice&role=db-admin");
                None
            }
            ("POST", "/v1/activations") => Some(json!({ "role": "db-admin", "scope": PROD(), "duration": "PT9M", "justification": "x" })),
            ("POST", "/v1/activations/bulk") => {
                Some(json!({ "items": [{ "role": "db-admin", "scope": PROD(), "duration": "PT9M", "justification": "x" }] }))
            }
            // of a role that nobody has activated, so that the rows below find what they need
            ("POST", "/v1/activations/revoke") => Some(json!({ "role": "reader" })),
            ("POST", path) if path.ends_with("/extend") && !path.starts_with("/v1/activations") => Some(json!({ "duration": "P1D" })),
            ("POST", path) if path.ends_with("/renew") => Some(json!({ "duration": "P1D" })),
            ("POST", "/v1/activations/{id}/approve" | "/v1/activations/{id}/deny") => Some(json!({ "request_hash": self.hash })),
            ("POST", "/v1/approval-links/open") => Some(json!({ "link": self.link })),
            ("POST", "/v1/approval-links/use") => Some(json!({ "link": self.link, "decision": "approve" })),
            ("POST", "/v1/eligibilities") => Some(grant),
            ("POST", "/v1/assignments") => {
                let end = chrono_free_tomorrow(&self.api.get("alice", "/v1/me")["now"]);
                Some(json!({ "principal": user("frank"), "role": "auditor", "end": end, "justification": "x" }))
            }
            ("GET", "/v1/entities") => {
                path.push_str("?type=User&id=alice");
                None
            }
            ("PUT", "/v1/entities") => Some(json!({ "uid": user("new") })),
            ("DELETE", "/v1/entities") => {
                path.push_str("?type=User&id=none");
                None
            }
            ("POST", "/v1/entities/disable" | "/v1/entities/enable") => Some(json!({ "type": "User", "id": "frank" })),
            ("POST", "/v1/reviews/definitions") | ("PUT", "/v1/reviews/definitions/{id}") => Some(json!({
                "name": "Who may", "stages": [{ "self": true, "days": 7 }], "recurrence": { "every": "once", "first": "9999-01-31" },
            })),
            ("POST", "/v1/reviews/{id}/decide") => {
                let item = json!({ "kind": "eligibility", "id": self.eligibility });
                Some(json!({ "items": [item], "decision": "approve", "reason": "x" }))
            }
            ("POST", "/v1/alerts/incidents/{id}/dismiss") => Some(json!({ "reason": "x" })),
            ("POST", "/v1/policies/validate") => Some(json!({ "files": {} })),
            _ => None,
        };
        let asked = call(method, &path);
        body.map_or(asked.clone(), |body| asked.json(&body))
    }
}

/// A day after an RFC 3339 time: the same time on a later day of the month, or of the next one.
fn chrono_free_tomorrow(time: &Value) -> String {
    let time = elevon::domain::Timestamp::parse(time.as_str().unwrap()).unwrap();
    time.plus(elevon::domain::Duration::from_days(1)).to_string()
}

#[test]
fn who_may_call_what() {
    let listed: Vec<_> = endpoints().into_iter().filter(|endpoint| !endpoint.path.starts_with("/dev/")).collect();
    let mut columns: Vec<Vec<u16>> = vec![Vec::new(); listed.len()];
    let scenes: Vec<(&str, Scene)> = CALLERS.iter().map(|(_, credential, administers)| (*credential, Scene::set(*administers))).collect();
    for (endpoint, column) in listed.iter().zip(&mut columns) {
        for (credential, scene) in &scenes {
            let asked = scene.call(endpoint.method.as_str(), endpoint.path);
            let asked = if credential.is_empty() { asked } else { asked.header("authorization", credential) };
            // a stream that is let in has no end to wait for
            let asked = if endpoint.path == "/v1/events" { Call { method: "HEAD".into(), ..asked } } else { asked };
            let answer = scene.api.send(&asked);
            // what a call for several says of each of them stands inside
            let status = answer.json().pointer("/items/0/status").and_then(Value::as_u64).map_or(answer.status, |status| status as u16);
            assert!(status < 500, "{} {} by {credential}: {status}", endpoint.method, endpoint.path);
            assert!(
                credential != &"Bearer x" || status == 401 || endpoint.asks.starts_with("nothing"),
                "{} took a bad credential",
                endpoint.path
            );
            assert!(
                !credential.is_empty() || status == 401 || endpoint.asks.starts_with("nothing"),
                "{} took no credential",
                endpoint.path
            );
            column.push(status);
        }
    }
    let mut table = format!("{:<48}", "# endpoint");
    CALLERS.iter().for_each(|(name, ..)| write!(table, "{name:<9}").unwrap());
    table.push_str("asked of\n");
    for (endpoint, column) in listed.iter().zip(&columns) {
        write!(table, "{:<48}", format!("{} {}", endpoint.method, endpoint.path)).unwrap();
        column.iter().for_each(|status| write!(table, "{status:<9}").unwrap());
        writeln!(table, "{}", endpoint.asks).unwrap();
    }
    golden("matrix.txt", &table);
    // Being eligible allows nothing that is not allowed anyway, and administering Elevon takes nothing away.
    let column = |name: &str| CALLERS.iter().position(|(known, ..)| *known == name).unwrap();
    for (endpoint, statuses) in listed.iter().zip(&columns) {
        let [not, eligible, active] = ["dave", "eligible", "active"].map(|name| statuses[column(name)]);
        assert_eq!(not, eligible, "{} {}", endpoint.method, endpoint.path);
        assert!(not >= 400 || active < 400, "{} {}", endpoint.method, endpoint.path);
    }
}

fn golden(name: &str, table: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api").join(name);
    if std::env::var_os("ELEVON_BLESS").is_some() {
        fs::write(&golden, table).unwrap();
    }
    assert_eq!(table, fs::read_to_string(&golden).unwrap_or_default(), "who may call what has changed; see the top of this file");
}

/// Whom somebody may check for goes by the kind of the subject: users, services, kinds that are in the schema and nobody may be asked about,
/// and one that is not.
#[test]
fn who_may_check_for_whom() {
    let subjects =
        [("User", "alice"), ("User", "nobody"), ("Service", "deployer"), ("Group", "dba"), ("Database", "orders"), ("Thing", "x")];
    let scenes: Vec<(&str, Scene)> = CALLERS.iter().map(|(_, credential, administers)| (*credential, Scene::set(*administers))).collect();
    let mut table = format!("{:<48}", "# asked about whom");
    CALLERS.iter().for_each(|(name, ..)| write!(table, "{name:<9}").unwrap());
    table.push('\n');
    for path in ["/access/v1/evaluation", "/v1/elevated", "/v1/explain"] {
        for (kind, id) in subjects {
            write!(table, "{:<48}", format!("{path} {kind} {id}")).unwrap();
            let asked = if path == "/v1/elevated" {
                call("GET", &format!("{path}?principal_type={kind}&principal_id={id}&role=reader"))
            } else {
                let mut question = question(id, "list", ("Database", "orders"));
                question["subject"]["type"] = json!(kind);
                call("POST", path).json(&question)
            };
            for (credential, scene) in &scenes {
                let asked = if credential.is_empty() { asked.clone() } else { asked.clone().header("authorization", credential) };
                let status = scene.api.send(&asked).status;
                assert!(status < 500 && (status == 401) == (credential.is_empty() || credential == &"Bearer x"), "{path} {kind}: {status}");
                write!(table, "{status:<9}").unwrap();
            }
            table.push('\n');
        }
    }
    golden("checks.txt", &table);
}
