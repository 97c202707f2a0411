//! A server in this process on a free loopback port, with the sample bundle, and calls to it.

use std::fs;
use std::path::{Path, PathBuf};

use elevon::app::{self, LogConfig, Running, ServeConfig};
use elevon::domain::text::Digest;
use elevon::domain::{ActivationId, Duration, Timestamp, Uid};
use elevon::engine::ports::Clock as _;
use elevon::identity::{LINK_ID_BYTES, Link, LinkKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::schema::Document;

/// What the tests add to the sample: carol may do with entities and the bundle what an administrator may.
const MORE: &str = r#"
@id("api-carol")
permit(principal == User::"carol", action in [Elevon::Action::"manageBundle", Elevon::Action::"manageEntity", Elevon::Action::"manageMembership"], resource);
"#;

/// Replaces the sample's conveniences for trying out, so that what is asked of callers is seen.
const WITHOUT: [&str; 2] = ["dev.cedar", "tests/dev.toml"];

pub(crate) struct Api {
    running: Option<Running>,
    home: TempDir,
    agent: ureq::Agent,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The rule of a problem; empty where it is none.
    pub(crate) fn rule(&self) -> String {
        let body = self.json();
        let kind = body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:elevon:problem:").unwrap_or_default().to_owned()
    }

    pub(crate) fn seq(&self) -> u64 {
        self.header("elevon-seq").parse().unwrap()
    }
}

pub(crate) fn call(method: &str, path: &str) -> Call {
    Call { method: method.into(), path: path.into(), headers: Vec::new(), body: None }
}

impl Call {
    pub(crate) fn by(self, user: &str) -> Self {
        self.header("authorization", &format!("Dev User::\"{user}\""))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").raw(body.to_string().as_bytes())
    }

    pub(crate) fn raw(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }
}

/// A byte that is another one each time, as far as a test can tell.
fn rand_byte() -> u8 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8) as u8
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts with the sample as `prepare` changes it.
    pub(crate) fn with(prepare: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let policies = home.path().join("policies");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &policies);
        WITHOUT.iter().for_each(|name| fs::remove_file(policies.join(name)).unwrap());
        fs::write(policies.join("api.cedar"), MORE).unwrap();
        prepare(&policies);
        Self::at(home)
    }

    pub(crate) fn at(home: TempDir) -> Self {
        let config = ServeConfig {
            policies: home.path().join("policies"),
            data: home.path().join("data"),
            listen: "127.0.0.1:0".parse().unwrap(),
            dev: true,
            log: LogConfig::default(),
            test_clock: cfg!(feature = "test-clock"),
            port_file: None,
        };
        let running = app::start(config).unwrap_or_else(|error| panic!("{error}"));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0).allow_non_standard_methods(true);
        Self { running: Some(running), home, agent: agent.build().into() }
    }

    /// Stops it and starts it again on the same folders.
    pub(crate) fn again(mut self) -> Self {
        self.running.take().unwrap().stop();
        Self::at(self.home)
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.home.path().join("policies")
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.running().address().port()
    }

    pub(crate) fn send(&self, call: &Call) -> Answer {
        let uri = format!("http://127.0.0.1:{}{}", self.port(), call.path);
        let mut request = ureq::http::Request::builder().method(call.method.as_str()).uri(uri);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let reply = match &call.body {
            Some(body) => self.agent.run(request.body(body.as_slice()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut reply = reply.unwrap_or_else(|error| panic!("{} {}: {error}", call.method, call.path));
        let text = reply.body_mut().read_to_string().unwrap();
        let answer = Answer { status: reply.status().as_u16(), headers: reply.headers().clone(), text };
        // whatever a test asks, the answer is one that the server's own document knows
        Document::shared().knows(call, &answer).unwrap_or_else(|why| panic!("{} {}: {why}\n{}", call.method, call.path, answer.text));
        answer
    }

    pub(crate) fn get(&self, user: &str, path: &str) -> Value {
        let answer = self.send(&call("GET", path).by(user));
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json()
    }

    /// Posts and expects a status.
    pub(crate) fn post(&self, user: &str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.send(&call("POST", path).by(user).json(body));
        assert_eq!(answer.status, status, "POST {path}: {}", answer.text);
        answer.json()
    }

    pub(crate) fn seq(&self) -> u64 {
        self.send(&call("GET", "/healthz")).seq()
    }

    pub(crate) fn decides(&self, user: &str, action: &str, resource: (&str, &str)) -> (bool, String) {
        let gateway = call("POST", "/access/v1/evaluation").header("authorization", "Dev Service::\"gateway\"");
        let answer = self.send(&gateway.json(&question(user, action, resource)));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        (body["decision"] == json!(true), body["context"]["reason"].as_str().unwrap().to_owned())
    }

    /// Makes alice eligible for db-admin on prod.
    pub(crate) fn alice_is_eligible(&self) -> Value {
        let grant = json!({ "principal": user("alice"), "role": "db-admin", "scope": PROD(), "justification": "on call" });
        self.post("carol", "/v1/eligibilities", &grant, 201)
    }

    /// Waits until there is an incident of a kind, and gives the newest.
    pub(crate) fn incident(&self, kind: &str) -> Value {
        let began = std::time::Instant::now();
        loop {
            let shown = self.get("carol", &format!("/v1/alerts/incidents?kind={kind}"));
            if let Some(first) = shown["items"].as_array().unwrap().first() {
                return first.clone();
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "no {kind} within 20 seconds");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Opens a review of a definition, and waits until its items are taken.
    pub(crate) fn begun_review(&self, definition: &str) -> Value {
        let opened = self.post("carol", &format!("/v1/reviews/definitions/{definition}/start"), &json!({}), 201);
        self.reaches(id(&opened), "in_progress")
    }

    /// Waits until a review stands somewhere.
    pub(crate) fn reaches(&self, review: &str, status: &str) -> Value {
        let began = std::time::Instant::now();
        loop {
            let shown = self.get("carol", &format!("/v1/reviews/{review}"));
            if shown["status"] == status {
                return shown;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "not {status}: {shown}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Moves the clock on.
    pub(crate) fn later(&self, by: Duration) {
        self.running().clock().unwrap().advance(by);
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        self.running().clock().unwrap().now()
    }

    /// A link for an approver to a request as it was shown, as a message has it.
    pub(crate) fn link(&self, approver: &str, asked: &Value, good_for: Duration) -> String {
        let secret = fs::read(self.home.path().join("data/link.key")).unwrap();
        let random: [u8; LINK_ID_BYTES] = std::array::from_fn(|_| rand_byte());
        let link = Link {
            id: LinkKey::id(&random),
            approver: Uid::parse(&format!("User::\"{approver}\"")).unwrap(),
            activation: ActivationId::new(id(asked)).unwrap(),
            request_hash: Digest::parse(asked["request_hash"].as_str().unwrap()).unwrap(),
            expires_at: self.now().plus(good_for),
        };
        LinkKey::new(&secret.try_into().unwrap()).sign(&link).unwrap()
    }

    /// bob approves, with more members in the vote.
    pub(crate) fn bob_approves(&self, asked: &Value, more: Value) -> Value {
        let mut vote = json!({ "request_hash": asked["request_hash"] });
        vote.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("bob", &format!("/v1/activations/{}/approve", id(asked)), &vote, 200)
    }

    /// A pending request of alice's for db-admin on prod.
    pub(crate) fn alice_asks(&self) -> Value {
        let asked = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT5M", "justification": "restore the orders table" });
        self.post("alice", "/v1/activations", &asked, 201)
    }
}

/// The id of something that was answered.
pub(crate) fn id(shown: &Value) -> &str {
    shown["id"].as_str().unwrap_or_else(|| panic!("no id in {shown}"))
}

pub(crate) fn user(id: &str) -> Value {
    json!({ "type": "User", "id": id })
}

#[allow(non_snake_case)]
pub(crate) fn PROD() -> Value {
    json!({ "type": "Environment", "id": "prod" })
}

pub(crate) fn question(user: &str, action: &str, resource: (&str, &str)) -> Value {
    json!({
        "subject": { "type": "User", "id": user },
        "action": { "name": action },
        "resource": { "type": resource.0, "id": resource.1 },
    })
}
