//! The sample in `policies/`: it is a bundle, it tells the story of the walk-through, and it answers as Cedar itself does.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr as _;
use std::sync::OnceLock;

use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression};
use serde_json::{Value, json};

use super::story::{NOW, Story, uid};
use crate::domain::standing::Moment;
use crate::domain::{Duration, RoleName, Uid};
use crate::policy::{Ask, Bundle, Reason};

/// The sample. Its tests are run once for all of these.
fn sample() -> Bundle {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    let load = || Bundle::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap_or_else(|error| panic!("{error}"));
    Bundle::from_archive(ARCHIVE.get_or_init(|| load().to_archive())).unwrap()
}

#[test]
fn the_walk_through() {
    let (alice, orders, prod) = ("User::\"alice\"", "Database::\"orders\"", Some("Environment::\"prod\""));
    assert_eq!(Story::of(sample()).says(alice, "write", orders), Reason::NoPermit);
    let elevated = Story::of(sample()).active(alice, "db-admin", prod, 1);
    let ask = Ask::new(uid(alice), "write", uid(orders));
    let verdict = elevated.check(&ask);
    assert_eq!((verdict.reason, verdict.valid_until), (Reason::Permitted, Some(NOW.plus(Duration::from_hours(1)))));
    assert_eq!(elevated.says(alice, "write", "Database::\"orders-staging\""), Reason::NoPermit);
    let late = Moment::trusted(NOW.plus(Duration::from_hours(1)));
    assert_eq!(elevated.bundle.check(&elevated.rows, &ask, late).unwrap().reason, Reason::NoPermit);
}

#[test]
fn what_it_promises() {
    let bundle = sample();
    assert!(bundle.definitions().roles.len() >= 5);
    assert!(bundle.definitions().roles.values().any(|role| role.stages.len() == 2));
    assert!(bundle.warnings().is_empty(), "{:?}", bundle.warnings());
    let role = |name: &str| &bundle.definitions().roles[&RoleName::new(name).unwrap()];
    assert!(role("cluster-admin").emergency.is_some() && role("global-admin").max_active_per_day.is_some());
    assert!(role("db-admin").stages[0].fallback.is_some() && role("db-admin").max_extensions == 2);
    assert!(role("data-steward").conditions && bundle.has_conditions(&role("data-steward").name));
    let persons = ["bob", "bob-admin"].map(|id| bundle.definitions().entities[&Uid::new("User", id).unwrap()].person());
    assert_eq!(persons[0], persons[1]);
}

/// What Cedar itself says, with every entity of the file put in and the roles added as parents by hand.
struct StockCedar {
    policies: PolicySet,
    entities: Vec<Entity>,
}

impl StockCedar {
    fn new() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
        let text = ["access.cedar", "guardrails.cedar", "elevon.cedar", "dev.cedar"].map(read).concat();
        let mut items: Vec<Value> = serde_json::from_str(&read("entities.json")).unwrap();
        for item in &mut items {
            let item = item.as_object_mut().unwrap();
            for (key, empty) in [("attrs", json!({})), ("parents", json!([]))] {
                item.entry(key).or_insert(empty);
            }
            if let Some(owner) = item["attrs"].as_object_mut().unwrap().get_mut("owner") {
                *owner = json!({ "__entity": owner.clone() });
            }
        }
        let entities = Entities::from_json_value(Value::Array(items), None).unwrap();
        Self { policies: text.parse().unwrap(), entities: entities.iter().cloned().collect() }
    }

    fn allows(&self, principal: &str, action: &str, resource: &str, role: Option<(&str, u32)>) -> bool {
        let name = |text: &str| EntityUid::from_str(text).unwrap();
        let mut entities: HashMap<_, _> = self.entities.iter().map(|entity| (entity.uid(), entity.clone())).collect();
        let (own, attrs, mut parents) = entities.remove(&name(principal)).unwrap().into_inner();
        let mut tags = Vec::new();
        if let Some((role, approvals)) = role {
            parents.insert(name(&format!("Role::\"{role}\"")));
            let approvals = RestrictedExpression::new_long(i64::from(approvals));
            let shown = [("approvals".to_owned(), approvals), ("emergency".to_owned(), RestrictedExpression::new_bool(false))];
            tags.push((role.to_owned(), RestrictedExpression::new_record(shown).unwrap()));
        }
        entities.insert(own.clone(), Entity::new_with_tags(own.clone(), attrs, parents, tags).unwrap());
        let action_name = name(&format!("Action::\"{action}\""));
        let observes = ["list", "read"].contains(&action);
        let above: HashSet<_> = observes.then(|| name("Action::\"observe\"")).into_iter().collect();
        entities.insert(action_name.clone(), Entity::new_no_attrs(action_name.clone(), above));
        let entities = Entities::from_entities(entities.into_values(), None).unwrap();
        let now = RestrictedExpression::new_datetime("2030-03-17T17:46:40.000Z");
        let context = Context::from_pairs([("now".to_owned(), now)]).unwrap();
        let request = Request::new(own, action_name, name(resource), context, None).unwrap();
        Authorizer::new().is_authorized(&request, &self.policies, &entities).decision() == Decision::Allow
    }
}

#[test]
fn it_answers_as_cedar_itself_does() {
    let stock = StockCedar::new();
    let principals = ["User::\"alice\"", "User::\"bob\"", "User::\"carol\"", "User::\"dave\"", "User::\"grace\"", "Service::\"deployer\""];
    let actions = ["list", "read", "backup", "write", "restore", "deploy", "restart", "scale", "exec", "create", "delete"];
    let resources = [
        ("Database::\"orders\"", true),
        ("Database::\"customers\"", true),
        ("Database::\"orders-staging\"", false),
        ("Database::\"orders-dev\"", false),
        ("Cluster::\"web-prod\"", true),
        ("Cluster::\"web-dev\"", false),
    ];
    let roles =
        [None, Some(("reader", 0)), Some(("db-admin", 1)), Some(("cluster-admin", 0)), Some(("global-admin", 2)), Some(("auditor", 0))];
    let (mut asked, mut allowed) = (0, 0);
    for (principal, role) in principals.into_iter().flat_map(|principal| roles.map(|role| (principal, role))) {
        let mut story = Story::of(sample());
        if let Some((role, approvals)) = role {
            story = story.active(principal, role, Some("Environment::\"prod\""), approvals);
        }
        for (action, (resource, in_prod)) in actions.into_iter().flat_map(|action| resources.map(|resource| (action, resource))) {
            let verdict = story.check(&Ask::new(uid(principal), action, uid(resource)));
            if verdict.reason == Reason::NotApplicable {
                continue;
            }
            let expected = stock.allows(principal, action, resource, role.filter(|_| in_prod));
            assert_eq!(verdict.allowed, expected, "{principal} {action} {resource} {role:?}: {verdict:?}");
            asked += 1;
            allowed += usize::from(expected);
        }
    }
    assert!(asked > 1000 && allowed > 100 && allowed < asked, "{allowed} of {asked}");
}
