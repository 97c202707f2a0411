//! Policy tests, `tests/*.toml`: given who holds what, is something allowed, and by which policy?

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::ask::{Ask, Reason, Verdict};
use super::bundle::Bundle;
use super::generated::NAMESPACE;
use super::problem::{Problem, Problems, nearest};
use super::routes::{self, RouteTrial, Target};
use super::schema::Text;
use super::settings_file::{At, Reader, Section};
use crate::domain::facts::{Action, Object, Question};
use crate::domain::grant::{ActivationGrant, Basis, EligibilityGrant, TicketDigest, Under};
use crate::domain::settings::{EdgeSource, JsonObject, ParentEdge};
use crate::domain::standing::Moment;
use crate::domain::{
    ActivationId, Actor, Caller, CredentialKind, Definitions, EligibilityId, EntityDef, Incarnation, MemoryRows, RoleName, Text as Words,
    Timestamp, Uid, Window,
};

/// Most policy tests of a bundle.
pub const MAX_TESTS: usize = 10_000;

/// When policy tests take place, unless they say: noon of a Tuesday, 2030-01-01, UTC.
const NOW: Timestamp = Timestamp::from_millis(1_893_499_200_000);

/// What became of a policy test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestOutcome {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// Whether it guards against a bundle that locks everybody out.
    pub guard: bool,
    /// Whether it passed, or why not.
    #[serde(serialize_with = "as_failure", rename = "failure")]
    pub result: Result<(), String>,
}

fn as_failure<S: serde::Serializer>(result: &Result<(), String>, serializer: S) -> Result<S::Ok, S::Error> {
    result.as_ref().err().serialize(serializer)
}

/// Somebody who holds a role in a test.
struct Active {
    principal: Uid,
    role: RoleName,
    scope: Option<Uid>,
    approvals: u32,
    emergency: bool,
    ticket: Option<String>,
}

enum Asked {
    Check(Ask),
    Own(Question),
}

/// A policy test.
pub(super) struct Trial {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) span: Range<usize>,
    pub(super) guard: bool,
    line: u32,
    at: Timestamp,
    stored: Vec<EntityDef>,
    active: Vec<Active>,
    asked: Asked,
    expect: bool,
    by: Option<Vec<String>>,
    reason: Option<Reason>,
}

/// Reads a file of tests. What is wrong is among the problems.
pub(super) fn read(at: Text<'_>, bundle: &Bundle, problems: &mut Problems) -> (Vec<Trial>, Vec<RouteTrial>) {
    let reader = Reader::new(at.file, at.text);
    let table = reader.parse();
    let root = reader.root(&table);
    root.only(&["test", "route"], &[]);
    let tests = root.sections("test");
    let mut trials = Vec::new();
    if tests.len() > MAX_TESTS {
        root.reader.report(0..0, format!("there are {} tests; at most {MAX_TESTS} are taken", tests.len()), None);
    } else {
        trials.extend(tests.iter().filter_map(|test| read_test(test, bundle)));
    }
    let of_routes = routes::read_trials(&root);
    if of_routes.len() > MAX_TESTS {
        root.reader.report(0..0, format!("there are {} tests of routes; at most {MAX_TESTS} are taken", of_routes.len()), None);
    }
    problems.absorb(reader.into_problems());
    (trials, of_routes)
}

fn read_test(test: &Section<'_>, bundle: &Bundle) -> Option<Trial> {
    test.only(&["name", "guard", "at", "stored", "active", "ask", "expect", "by", "reason"], &[]);
    let name = test.needed("name")?;
    let at = match test.string("at").map(|text| (Timestamp::parse(text.value), text.span)) {
        None => NOW,
        Some((Ok(at), _)) => at,
        Some((Err(error), span)) => {
            test.reader.report(span, error.to_string(), None);
            return None;
        }
    };
    let stored: Vec<EntityDef> = test.sections("stored").iter().filter_map(|one| read_stored(one, bundle)).collect();
    let known = |uid: &Uid| bundle.definitions().entities.contains_key(uid) || stored.iter().any(|def| def.uid == *uid);
    let active = test.sections("active").iter().filter_map(|one| read_active(one, bundle.definitions(), &known)).collect();
    let Some(ask) = test.section("ask") else {
        test.reader.report(test.span.clone(), format!("the test `{}` has no `ask`", name.value), None);
        return None;
    };
    let asked = read_ask(&ask, bundle, at)?;
    let expect = test.needed("expect")?;
    let expect = match expect.value {
        "allow" => true,
        "deny" => false,
        other => {
            test.reader.report(expect.span, format!("`expect` is `{other}`, and has to be `allow` or `deny`"), None);
            return None;
        }
    };
    let guard = test.bool("guard").unwrap_or(false);
    let trial = Trial {
        name: name.value.to_owned(),
        file: test.reader.file.to_owned(),
        line: Problem::at(test.reader.file, test.reader.text, name.span.clone(), "").line.unwrap_or(1),
        span: name.span.clone(),
        guard,
        at,
        stored,
        active,
        asked,
        expect,
        by: read_by(test, bundle),
        reason: read_reason(test),
    };
    if guard && !trial.guards() {
        let help = format!("let it ask for `{}` and expect `allow`", Action::ManageBundle.as_str());
        test.reader.report(name.span, "a guard shows that somebody may still manage the bundle; this test does not", Some(help));
    }
    Some(trial)
}

fn read_stored(stored: &Section<'_>, bundle: &Bundle) -> Option<EntityDef> {
    stored.only(&["uid", "parents", "attrs"], &[]);
    stored.needed("uid")?;
    let uid = stored.uid("uid")?;
    let parents = stored.strings("parents").unwrap_or_default().into_iter().filter_map(|text| stored.as_uid(text));
    let edge = |parent: At<Uid>| ParentEdge { parent: parent.value, incarnation: Incarnation::default(), source: EdgeSource::Api };
    let attrs = stored.object("attrs").unwrap_or_default();
    let attrs = match JsonObject::new(&attrs) {
        Ok(attrs) => attrs,
        Err(error) => {
            stored.reader.report(stored.span_of("attrs"), error, None);
            return None;
        }
    };
    let def = EntityDef { uid: uid.value, parents: parents.map(edge).collect(), attrs };
    if let Err(error) = bundle.conform(&def) {
        stored.reader.report(uid.span, error, None);
        return None;
    }
    Some(def)
}

fn read_active(active: &Section<'_>, definitions: &Definitions, known: &dyn Fn(&Uid) -> bool) -> Option<Active> {
    active.only(&["principal", "role", "scope", "approvals", "emergency", "ticket"], &[]);
    active.needed("principal")?;
    let principal = active.uid("principal")?;
    let scope = active.uid("scope");
    for uid in [Some(&principal), scope.as_ref()].into_iter().flatten().filter(|uid| !known(&uid.value)) {
        let help = Some("define it in entities.json, or in the test's `stored`".to_owned());
        active.reader.report(uid.span.clone(), format!("{} is not known in this test", uid.value), help);
    }
    let role = read_role(active, definitions)?;
    let emergency = active.bool("emergency").unwrap_or(false);
    if emergency && definitions.roles.get(&role).is_some_and(|settings| settings.emergency.is_none()) {
        let help = Some(format!("write `[roles.{:?}.emergency]` in roles.toml, or leave `emergency` out", role.as_str()));
        active.reader.report(active.span_of("emergency"), format!("the role `{role}` cannot be taken in an emergency"), help);
    }
    Some(Active {
        principal: principal.value,
        role,
        emergency,
        scope: scope.map(|scope| scope.value),
        approvals: active.number("approvals").map_or(0, |number| number.value),
        ticket: active.string("ticket").map(|text| text.value.to_owned()),
    })
}

fn read_role(section: &Section<'_>, definitions: &Definitions) -> Option<RoleName> {
    let text = section.needed("role")?;
    let found = definitions.roles.keys().find(|role| role.as_str() == text.value).cloned();
    if found.is_none() {
        let help = nearest(text.value, definitions.roles.keys().map(RoleName::as_str)).map(|name| format!("did you mean `{name}`?"));
        section.reader.report(text.span, format!("there is no role `{}`", text.value), help);
    }
    found
}

fn read_by(test: &Section<'_>, bundle: &Bundle) -> Option<Vec<String>> {
    let by = test.strings("by")?;
    let ids = bundle.policies().ids();
    for id in by.iter().filter(|id| !ids.contains(id.value)) {
        let help = nearest(id.value, ids.iter().copied()).map(|id| format!("did you mean `{id}`?"));
        test.reader.report(id.span.clone(), format!("there is no policy `{}`", id.value), help);
    }
    let mut by: Vec<String> = by.into_iter().map(|id| id.value.to_owned()).collect();
    by.sort();
    Some(by)
}

fn read_reason(test: &Section<'_>) -> Option<Reason> {
    let word = test.string("reason")?;
    let reason = Reason::parse(word.value);
    if reason.is_none() {
        let help = format!("known here: {}", Reason::ALL.map(Reason::as_str).join(", "));
        test.reader.report(word.span, format!("unknown reason `{}`", word.value), Some(help));
    }
    reason
}

fn read_ask(ask: &Section<'_>, bundle: &Bundle, at: Timestamp) -> Option<Asked> {
    ask.needed("principal")?;
    let principal = ask.uid("principal")?.value;
    if ask.has("request") {
        return read_request(ask, bundle, principal);
    }
    let action = ask.needed("action")?;
    let prefix = format!("{NAMESPACE}::Action::\"");
    let bare = action.value.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('"')).unwrap_or(action.value);
    let own = Action::ALL.into_iter().find(|own| own.as_str() == bare);
    if let Some(own) = own.filter(|_| bare != action.value || bundle.catalog().action(&format!("Action::\"{bare}\"")).is_none()) {
        return read_own(ask, bundle.definitions(), principal, own, at).map(Asked::Own);
    }
    ask.only(&["principal", "action", "resource", "context", "subject_properties", "resource_properties"], &[]);
    ask.needed("resource")?;
    Some(Asked::Check(Ask {
        subject: principal,
        subject_properties: ask.object("subject_properties").unwrap_or_default(),
        action: action.value.to_owned(),
        resource: ask.uid("resource")?.value,
        resource_properties: ask.object("resource_properties").unwrap_or_default(),
        context: ask.object("context").unwrap_or_default(),
    }))
}

/// A question as a gateway would ask it, for a request that has a route.
fn read_request(ask: &Section<'_>, bundle: &Bundle, principal: Uid) -> Option<Asked> {
    ask.only(&["principal", "request", "context", "subject_properties", "resource_properties"], &[]);
    let (method, url) = routes::read_request(ask)?;
    let found = Target::of_url(method, url).map_err(|bad| bad.to_string());
    let found = found.and_then(|target| bundle.routes().find(&target).map_err(|none| none.to_string()));
    match found {
        Ok(found) => Some(Asked::Check(Ask {
            subject_properties: ask.object("subject_properties").unwrap_or_default(),
            resource_properties: ask.object("resource_properties").unwrap_or_default(),
            context: ask.object("context").unwrap_or_default(),
            ..found.ask(principal)
        })),
        Err(why) => {
            let help = Some("test that there is no route in a `[[route]]` of its own, with `expect = \"no route\"`".to_owned());
            ask.reader.report(ask.span_of("request"), why, help);
            None
        }
    }
}

/// A question about one of Elevon's own actions.
fn read_own(ask: &Section<'_>, definitions: &Definitions, principal: Uid, action: Action, at: Timestamp) -> Option<Question> {
    const CALLER: [&str; 4] = ["principal", "action", "mfa", "groups"];
    let only = |more: &[&str]| ask.only(&[CALLER.as_slice(), more].concat(), &[]);
    let needed = |key: &str| ask.needed(key).and_then(|_| ask.uid(key)).map(|uid| uid.value);
    let object = match action {
        Action::ActivateRole | Action::ActivateRoleFor | Action::ActivateInEmergency | Action::AssignRole | Action::ReviewAccess => {
            only(&["role", "scope", "beneficiary", "duration"]);
            let for_oneself = matches!(action, Action::ActivateRole | Action::ActivateInEmergency);
            let beneficiary = match for_oneself && !ask.has("beneficiary") {
                true => principal.clone(),
                false => needed("beneficiary")?,
            };
            let scope = ask.uid("scope").map(|uid| uid.value);
            Object::RoleGrant { role: read_role(ask, definitions)?, scope, beneficiary, duration: ask.duration("duration") }
        }
        Action::ApproveActivation
        | Action::DenyActivation
        | Action::CancelActivation
        | Action::RevokeActivation
        | Action::ExtendActivation
        | Action::ReadActivation => {
            only(&["role", "scope", "beneficiary", "requester"]);
            let beneficiary = needed("beneficiary")?;
            Object::RoleActivation {
                id: ActivationId::new("act_test").ok()?,
                role: read_role(ask, definitions)?,
                scope: ask.uid("scope").map(|uid| uid.value),
                requester: ask.uid("requester").map(|uid| uid.value).or_else(|| Some(beneficiary.clone())),
                beneficiary,
            }
        }
        Action::RevokeRole => {
            only(&["role"]);
            Object::Role(read_role(ask, definitions)?)
        }
        Action::CheckAccess | Action::ExplainAccess | Action::VouchIdentity => {
            only(&["resource"]);
            Object::SubjectKind(needed("resource")?.id().to_owned())
        }
        Action::ManageEntity | Action::ManageMembership | Action::RevokePrincipal => {
            only(&["resource"]);
            Object::Entity(needed("resource")?)
        }
        Action::ManageBundle
        | Action::ReadAudit
        | Action::ReadMetrics
        | Action::SubscribeEvents
        | Action::ManageReviews
        | Action::ManageAlerts
        | Action::ManageNotifications => {
            only(&["resource"]);
            Object::Sidecar
        }
    };
    let amr = if ask.bool("mfa").unwrap_or(false) { vec!["otp".to_owned(), "pwd".to_owned()] } else { vec!["pwd".to_owned()] };
    let groups = ask.strings("groups").unwrap_or_default().into_iter().map(|group| group.value.to_owned()).collect();
    let caller = Caller { principal, credential: CredentialKind::Dev, amr, auth_time: Some(at), groups };
    Some(Question { actor: Actor::Caller(caller), action, object, now: at })
}

impl Trial {
    /// Whether it shows that somebody may still manage the bundle.
    pub(super) fn guards(&self) -> bool {
        let manages = matches!(&self.asked, Asked::Own(question) if question.action == Action::ManageBundle);
        self.guard && self.expect && manages
    }

    /// Runs it, and says how it went.
    pub(super) fn outcome(&self, bundle: &Bundle) -> TestOutcome {
        let result = self.run(bundle);
        TestOutcome { name: self.name.clone(), file: self.file.clone(), line: self.line, guard: self.guard, result }
    }

    /// Runs it; why it failed, where it did.
    pub(super) fn run(&self, bundle: &Bundle) -> Result<(), String> {
        let facts = self.facts(bundle)?;
        let moment = Moment::trusted(self.at);
        let verdict = match &self.asked {
            Asked::Check(ask) => bundle.check(&facts, ask, moment),
            Asked::Own(question) => bundle.ask(&facts, question, moment),
        };
        let verdict = verdict.map_err(|error| error.to_string())?;
        if verdict.allowed != self.expect {
            let word = |allowed: bool| if allowed { "allow" } else { "deny" };
            return Err(format!("expected {}, got {}{}", word(self.expect), word(verdict.allowed), because(&verdict)));
        }
        if let Some(by) = self.by.as_ref().filter(|by| **by != verdict.policies) {
            return Err(format!("expected to be decided by {}{}", listed(by), because(&verdict)));
        }
        if let Some(reason) = self.reason.filter(|reason| *reason != verdict.reason) {
            return Err(format!("expected the reason `{reason}`{}", because(&verdict)));
        }
        Ok(())
    }

    /// What stands in this test: the bundle's entities, those it stores, and who holds what.
    fn facts(&self, bundle: &Bundle) -> Result<MemoryRows, String> {
        let mut rows = MemoryRows::new(bundle.definitions().clone());
        for def in &self.stored {
            Arc::make_mut(rows.all.rows.entry(def.uid.clone()).or_default()).stored = Some(Arc::new(def.clone()));
        }
        for (nth, active) in self.active.iter().enumerate() {
            let settings = bundle.definitions().roles.get(&active.role);
            let duration = settings.map(|settings| settings.default_duration).unwrap_or_default();
            let under = Under {
                holder: Incarnation::default(),
                role: Incarnation::default(),
                scope: active.scope.as_ref().map(|_| Incarnation::default()),
            };
            let eligibility = EligibilityId::new(&format!("elg_{nth}")).map_err(|error| error.to_string())?;
            let ticket = active.ticket.as_ref().map(|number| {
                let mut keep = |value: &str| {
                    let words = Words { salt: [0; 16], value: value.to_owned() };
                    let digest = words.digest();
                    rows.all.texts.insert(digest, words);
                    digest
                };
                TicketDigest { system: keep("test"), number: keep(number) }
            });
            let grants = &mut Arc::make_mut(rows.all.rows.entry(active.principal.clone()).or_default()).grants;
            grants.eligibilities.push(EligibilityGrant {
                id: eligibility.clone(),
                role: active.role.clone(),
                scope: active.scope.clone(),
                window: Window { start: self.at, end: None },
                under,
            });
            grants.activations.push(ActivationGrant {
                id: ActivationId::new(&format!("act_{nth}")).map_err(|error| error.to_string())?,
                role: active.role.clone(),
                scope: active.scope.clone(),
                window: Window::lasting(self.at, duration),
                under,
                basis: Basis { eligibility, holder: active.principal.clone() },
                basis_incarnation: Incarnation::default(),
                approvals: active.approvals,
                extensions: 0,
                emergency: active.emergency,
                ticket,
                seq: 1,
            });
            // as they are kept: by id
            grants.eligibilities.sort_by(|one, other| one.id.cmp(&other.id));
        }
        Ok(rows)
    }
}

fn listed(policies: &[String]) -> String {
    if policies.is_empty() { "no policy".to_owned() } else { policies.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ") }
}

/// What a verdict rests on, in one line.
fn because(verdict: &Verdict) -> String {
    let mut text = format!(" (reason `{}`, decided by {}", verdict.reason, listed(&verdict.policies));
    if let Some(detail) = &verdict.detail {
        text.push_str(&format!("; {detail}"));
    }
    for error in &verdict.errors {
        text.push_str(&format!("; `{}` failed: {}", error.policy, error.message));
    }
    for holding in &verdict.holdings {
        let place = holding.scope.as_ref().map(|scope| format!(" on {scope}")).unwrap_or_default();
        match &holding.counts {
            Ok(()) => text.push_str(&format!("; holds `{}`{place}", holding.role)),
            Err(why) => text.push_str(&format!("; `{}`{place} did not count: {why}", holding.role)),
        }
    }
    text.push(')');
    text
}
