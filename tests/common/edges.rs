//! The sample bundle with a few roles of its own for the edges of the rules, and the words in which the tests speak of them. The roles do
//! not touch those of the sample, so that neither gets in the other's way.

use std::fs;

use serde_json::{Map, Value, json};

use super::names::{ALICE, BOB, CAROL, PROD, PROD_DB};
use super::{Home, Server, uid};

/// Another account of bob's: the same person.
pub const BOB_ADMIN: &str = "bob-admin";
pub const DAVE: &str = "dave";
/// Leads security: decides who is in its groups.
pub const ERIN: &str = "erin";
pub const FRANK: &str = "frank";
/// Of the auditors.
pub const GRACE: &str = "grace";
/// A group of approvers that nobody is in at first.
pub const VOTERS: (&str, &str) = ("Group", "voters");
/// A group that gets eligibilities.
pub const HOLDERS: (&str, &str) = ("Group", "holders");

const ROLES: &str = r#"

[roles."plain"]
description = "Needs no approval"
max_duration = "PT4H"
default_duration = "PT1H"

[roles."scoped"]
description = "Needs no approval, and is given on something only"
scopes = ["Organization", "Environment", "ResourceGroup", "Database"]
scope_required = true
max_duration = "PT4H"

[roles."voted"]
description = "Needs one vote"
max_duration = "PT4H"
default_duration = "PT1H"
activate_within = "PT2H"
emergency = { max_duration = "PT30M", max_per_day = 2, review_within = "PT72H" }
[[roles."voted".approval.stages]]
approvers = ['User::"alice"', 'User::"bob"', 'User::"bob-admin"', 'User::"dave"', 'User::"erin"', 'Group::"voters"']
timeout = "PT8H"

[roles."paired"]
description = "Needs two votes"
max_duration = "PT4H"
[[roles."paired".approval.stages]]
approvers = ['User::"bob"', 'User::"dave"', 'User::"erin"', 'Group::"voters"']
quorum = 2
timeout = "PT8H"

[roles."staged"]
description = "Needs a vote in each of two stages"
max_duration = "PT4H"
[[roles."staged".approval.stages]]
approvers = ['User::"bob"', 'User::"dave"']
timeout = "PT2H"
[[roles."staged".approval.stages]]
approvers = ['User::"bob"', 'User::"bob-admin"', 'User::"erin"']
timeout = "PT2H"

[roles."stand-in"]
description = "Somebody else may vote after a while"
max_duration = "PT4H"
[[roles."stand-in".approval.stages]]
approvers = ['User::"dave"']
timeout = "PT8H"
fallback = { approvers = ['User::"erin"'], after = "PT1H" }

[roles."few"]
description = "Has as many approvers as it needs, and alice is one of them"
max_duration = "PT4H"
emergency = { max_duration = "PT30M", max_per_day = 2, review_within = "PT72H" }
[[roles."few".approval.stages]]
approvers = ['User::"alice"', 'User::"bob"']
quorum = 2

[roles."metered"]
description = "An hour a day, without approval"
max_duration = "PT4H"
default_duration = "PT40M"
max_active_per_day = "PT1H"
extendable_after = 0

[roles."metered-voted"]
description = "An hour a day, with a vote"
max_duration = "PT4H"
default_duration = "PT40M"
max_active_per_day = "PT1H"
[[roles."metered-voted".approval.stages]]
approvers = ['User::"bob"', 'User::"dave"']

[roles."longer"]
description = "Can be extended once, after half of its time, with a vote"
max_duration = "PT4H"
default_duration = "PT1H"
max_extensions = 1
extendable_after = 50
[[roles."longer".approval.stages]]
approvers = ['User::"bob"', 'User::"dave"']

[roles."guarded"]
description = "Counts from a managed device only"
max_duration = "PT4H"
conditions = true

[roles."assigned"]
description = "Can be assigned"
max_duration = "PT4H"
assignment.max_duration = "P180D"
"#;

const POLICIES: &str = r#"
@id("edges-write")
permit (
  principal,
  action == Action::"write",
  resource is Database
)
when
{
  principal in Role::"plain" ||
  principal in Role::"scoped" ||
  principal in Role::"voted" ||
  principal in Role::"paired" ||
  principal in Role::"staged" ||
  principal in Role::"stand-in" ||
  principal in Role::"few" ||
  principal in Role::"metered" ||
  principal in Role::"metered-voted" ||
  principal in Role::"longer" ||
  principal in Role::"guarded" ||
  principal in Role::"assigned"
};

@id("edges-emergency")
permit (
  principal,
  action == Elevon::Action::"activateInEmergency",
  resource
)
when { resource in Role::"voted" || resource in Role::"few" || resource in Role::"plain" };

@id("edges-extend")
permit (
  principal,
  action == Elevon::Action::"extendActivation",
  resource
)
when { resource in Role::"longer" || resource in Role::"metered" || resource in Role::"voted" || resource in Role::"few" };

@id("edges-for-others")
permit (
  principal == User::"dave",
  action == Elevon::Action::"activateRoleFor",
  resource
);

@id("edges-revoke-role")
permit (
  principal == User::"carol",
  action in [Elevon::Action::"revokeRole", Elevon::Action::"manageBundle", Elevon::Action::"subscribeEvents"],
  resource
);
"#;

/// The one policy test that a bundle has to have. Those of the sample say which policies decide, and would keep these from being added.
const GUARD: &str = r#"
[[test]]
name = "carol manages the bundle"
guard = true
ask = { principal = 'User::"carol"', action = "manageBundle" }
expect = "allow"
"#;

const CONDITION: &str = r#"
@id("managed-device")
permit (
  principal is User,
  action,
  resource
)
when { principal has device_managed && principal.device_managed };
"#;

/// A home with the roles, and nothing running.
pub fn home() -> Home {
    with_roles(Home::new())
}

/// Puts the roles into a home.
pub fn with_roles(home: Home) -> Home {
    home.edit("roles.toml", |text| format!("{text}{ROLES}"));
    fs::write(home.policies().join("edges.cedar"), POLICIES).unwrap();
    fs::remove_dir_all(home.policies().join("tests")).unwrap();
    fs::create_dir(home.policies().join("tests")).unwrap();
    fs::write(home.policies().join("tests/guard.toml"), GUARD).unwrap();
    fs::create_dir_all(home.policies().join("conditions")).unwrap();
    fs::write(home.policies().join("conditions/guarded.cedar"), CONDITION).unwrap();
    home.edit("entities.json", |text| {
        let mut entities: Vec<Value> = serde_json::from_str(&text).unwrap();
        entities.extend([json!({"uid": uid(VOTERS)}), json!({"uid": uid(HOLDERS)})]);
        serde_json::to_string(&entities).unwrap()
    });
    home
}

impl Home {
    /// Changes a file of the policy folder.
    pub fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.policies().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(text)).unwrap();
    }

    /// Changes what is said of a role: one text in its part of `roles.toml` for another.
    pub fn edit_role(&self, role: &str, from: &str, to: &str) {
        self.edit("roles.toml", |text| {
            let at = text.find(&format!("[roles.\"{role}\"]")).unwrap();
            let (before, part) = text.split_at(at);
            assert!(part.contains(from), "{role} has no {from}");
            format!("{before}{}", part.replacen(from, to, 1))
        });
    }
}

impl Server {
    /// Calls the server with headers of its own, and so without a credential unless one is among them.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let reply = match body {
            Some(body) => self.agent.run(request.header("content-type", "application/json").body(body.to_string()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut reply = reply.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()));
        let text = reply.body_mut().read_to_string().unwrap();
        (reply.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// A server with the roles, and the folders it runs on.
pub struct Edges {
    pub home: Home,
    pub server: Server,
}

impl Edges {
    pub fn start() -> Self {
        Self::on(home())
    }

    pub fn on(home: Home) -> Self {
        let server = home.serve();
        Self { home, server }
    }

    /// Stops the server as a power cut would, and starts another on the same folders.
    pub fn restart(self) -> Self {
        let Self { home, server } = self;
        server.kill();
        let server = home.serve();
        Self { home, server }
    }

    /// Makes the policy folder as it is now the live bundle.
    pub fn reload(&self) {
        let (status, reply) = self.server.call(CAROL, "POST", "/v1/policies/reload", Value::Null);
        assert_eq!(status, 200, "{reply}");
    }

    /// Makes somebody eligible for a role everywhere; the id.
    pub fn eligible(&self, who: &str, role: &str) -> String {
        self.grant("/v1/eligibilities", ("User", who), role, json!({}))
    }

    /// Gives an eligibility or an assignment, with more members; the id.
    pub fn grant(&self, path: &str, holder: (&str, &str), role: &str, more: Value) -> String {
        let body = merged(json!({"principal": uid(holder), "role": role, "justification": "on call"}), more);
        id_of(&self.server.post(CAROL, path, body, 201))
    }

    /// Asks for a role.
    pub fn ask(&self, who: &str, role: &str, more: Value) -> (u16, Value) {
        let body = merged(json!({"role": role, "justification": "restore the orders table"}), more);
        self.server.call(who, "POST", "/v1/activations", body)
    }

    /// Asks for a role, and gets the request or the activation.
    pub fn asked(&self, who: &str, role: &str, more: Value) -> Value {
        let (status, reply) = self.ask(who, role, more);
        assert_eq!(status, 201, "{reply}");
        reply
    }

    /// Makes somebody eligible, lets it ask, and says the id of what came of it.
    pub fn begun(&self, who: &str, role: &str, more: Value) -> String {
        self.eligible(who, role);
        id_of(&self.asked(who, role, more))
    }

    /// Asks for a role and is refused: the status and the rule.
    pub fn refused(&self, who: &str, role: &str, more: Value) -> (u16, String) {
        rule_of(self.ask(who, role, more))
    }

    /// Something done about an activation: cancel, deactivate, revoke, extend.
    pub fn act(&self, who: &str, id: &str, verb: &str, body: Value) -> (u16, Value) {
        self.server.call(who, "POST", &format!("/v1/activations/{id}/{verb}"), body)
    }

    /// A vote on what the request says now.
    pub fn vote(&self, who: &str, id: &str, verb: &str, more: Value) -> (u16, Value) {
        let hash = self.shown(id)["request_hash"].clone();
        let hash = if hash.is_null() { json!("0".repeat(64)) } else { hash };
        self.act(who, id, verb, merged(json!({"request_hash": hash}), more))
    }

    /// A vote for a request that comes to a status.
    pub fn approve(&self, who: &str, id: &str, status: &str) -> Value {
        let (code, reply) = self.vote(who, id, "approve", json!({}));
        assert_eq!((code, &reply["status"]), (200, &json!(status)), "{reply}");
        reply
    }

    /// A request or an activation as it stands.
    pub fn shown(&self, id: &str) -> Value {
        self.server.get(CAROL, &format!("/v1/activations/{id}"))
    }

    pub fn status(&self, id: &str) -> String {
        self.shown(id)["status"].as_str().unwrap().to_owned()
    }

    /// Whether somebody may write to a database in prod, by the very next check.
    pub fn writes(&self, who: &str) -> bool {
        self.server.check(who, "write", PROD_DB).0
    }

    /// Stores a user with groups.
    pub fn store(&self, by: &str, who: &str, groups: &[(&str, &str)], attrs: Value) -> (u16, Value) {
        let parents: Vec<Value> = groups.iter().map(|group| uid(*group)).collect();
        self.server.call(by, "PUT", "/v1/entities", json!({"uid": uid(("User", who)), "parents": parents, "attrs": attrs}))
    }

    pub fn set_disabled(&self, who: &str, disabled: bool) {
        let verb = if disabled { "disable" } else { "enable" };
        self.server.post(CAROL, &format!("/v1/entities/{verb}"), json!({"type": "User", "id": who, "reason": "left"}), 200);
    }

    /// What the journal has about an activation: each event, with who did it.
    pub fn events(&self, id: &str) -> Vec<(String, Value)> {
        let reply = self.server.get(CAROL, &format!("/v1/audit/events?activation={id}&limit=1000"));
        let mut found = Vec::new();
        for item in reply["items"].as_array().unwrap() {
            let actor = item.pointer("/record/actor/caller/principal/id").and_then(Value::as_str).unwrap_or("elevon");
            for event in item["record"]["events"].as_array().unwrap() {
                let about = [event["id"].as_str(), event["activation"]["id"].as_str()];
                if about.contains(&Some(id)) {
                    found.push((actor.to_owned(), event.clone()));
                }
            }
        }
        found
    }

    /// The same in short: `alice activation_requested`.
    pub fn history(&self, id: &str) -> Vec<String> {
        self.events(id).iter().map(|(actor, event)| format!("{actor} {}", event["kind"].as_str().unwrap())).collect()
    }

    /// The one event of a kind about an activation, once it is there.
    pub fn one_event(&self, id: &str, kind: &str) -> Value {
        let found = || self.events(id).into_iter().map(|(_, event)| event).filter(|event| event["kind"] == kind).collect::<Vec<_>>();
        super::eventually(&format!("{kind} about {id}"), || !found().is_empty());
        let found = found();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    /// Everything of a kind that the journal has.
    pub fn all_of_kind(&self, kind: &str) -> Vec<Value> {
        let reply = self.server.get(CAROL, &format!("/v1/audit/events?kind={kind}&limit=1000"));
        let records = reply["items"].as_array().unwrap().iter();
        let events = records.flat_map(|item| item["record"]["events"].as_array().unwrap().clone());
        events.filter(|event| event["kind"] == kind).collect()
    }

    /// The server's time.
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        time(&self.server.get(ALICE, "/v1/me")["now"])
    }

    /// Moves the clock to an hour after the next midnight, so that a day is not over while it is counted.
    pub fn at_one_in_the_morning(&self) {
        let now = self.now();
        let next = (now.date_naive() + chrono::Days::new(1)).and_hms_opt(1, 0, 0).unwrap().and_utc();
        let ahead = format!("PT{}S", (next - now).num_seconds() + 1);
        let (status, reply) = self.server.call(ALICE, "POST", "/dev/clock", json!({ "advance": ahead }));
        assert_eq!(status, 200, "{reply}");
    }

    /// The server's time, so much later.
    pub fn later(&self, minutes: i64) -> String {
        text(self.now() + chrono::Duration::minutes(minutes))
    }
}

/// The scope prod, as a member.
pub fn on_prod() -> Value {
    json!({"scope": uid(PROD)})
}

pub fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap_or_else(|| panic!("{value} is no time"))).unwrap().to_utc()
}

/// A time as it is written in requests.
pub fn text(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// How many minutes lie between two times, rounded.
pub fn minutes(from: &Value, to: &Value) -> i64 {
    ((time(to) - time(from)).num_seconds() as f64 / 60.0).round() as i64
}

pub fn id_of(reply: &Value) -> String {
    reply["id"].as_str().unwrap_or_else(|| panic!("no id in {reply}")).to_owned()
}

/// The status and the rule of an answer.
pub fn rule_of((status, reply): (u16, Value)) -> (u16, String) {
    (status, reply["rule"].as_str().unwrap_or_else(|| panic!("{status}, and no rule in {reply}")).to_owned())
}

/// A refusal, for comparing with [`rule_of`].
pub fn rule(status: u16, rule: &str) -> (u16, String) {
    (status, rule.to_owned())
}

/// Two objects as one; the second has the last word.
pub fn merged(one: Value, other: Value) -> Value {
    let mut members: Map<String, Value> = one.as_object().unwrap().clone();
    members.extend(other.as_object().unwrap().clone());
    Value::Object(members)
}

/// Whom most tests ask to vote.
pub const VOTER: &str = BOB;
