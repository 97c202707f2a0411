//! Cedar's own corpus through the evaluator that serves: each request's decision, reasons and errors are those that Cedar recorded.
//!
//! The archive is that of `tests/corpus`, or the one that `CEDAR_CORPUS` names. Where `CEDAR_CORPUS_REPORT` names a file, what it came to is
//! written there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::{Entities, PolicySet, Request, Schema};
use cedar_policy_core::ast::{self, Entity, EntityUID};
use cedar_policy_core::entities::{self, Dereference, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use serde::Deserialize;
use serde_json::Value;

use crate::policy::ask::{Effect, Reason};
use crate::policy::judge::{Decided, ErringForbid, evaluate};
use crate::policy::policies::without_places;
use crate::policy::slice::{Side, Sides, Slices};

/// Failures that are described; the rest are counted.
const SHOWN: usize = 20;

#[derive(Deserialize)]
struct Case {
    policies: String,
    entities: String,
    schema: String,
    requests: Vec<Recorded>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    description: String,
    principal: Value,
    action: Value,
    resource: Value,
    context: Value,
    #[serde(default = "yes")]
    validate_request: bool,
    decision: String,
    reason: BTreeSet<String>,
    errors: BTreeSet<String>,
}

fn yes() -> bool {
    true
}

/// What all of an archive came to.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Requests that Elevon alone denies, and those for which a forbid failed.
    erring_forbids: usize,
    shown: String,
}

impl Tally {
    fn fail(&mut self, count: usize, what: &str) {
        self.failed += count;
        if self.shown.lines().count() < SHOWN {
            let _ = writeln!(self.shown, "{what}");
        }
    }
}

/// A case, laid out as a bundle lays out its policies.
struct Laid {
    schema: Schema,
    slices: Slices,
    entities: entities::Entities,
}

fn text(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

impl Laid {
    fn new(root: &Path, case: &Case) -> Result<Self, String> {
        // the paths are those of the repository that the archive comes from
        let file = |path: &str| text(&root.join(Path::new(path).file_name().unwrap_or_default()));
        let (schema, _) = Schema::from_cedarschema_str(&file(&case.schema)?).map_err(|error| format!("the schema: {error}"))?;
        let policies = PolicySet::from_str(&file(&case.policies)?).map_err(|error| format!("the policies: {error}"))?;
        let policies = without_places(&policies).ok_or("the policies have no JSON form")?;
        let read = Entities::from_json_str(&file(&case.entities)?, Some(&schema)).map_err(|error| format!("the entities: {error:?}"))?;
        let entities: &entities::Entities = read.as_ref();
        let set: &ast::PolicySet = policies.as_ref();
        let is_action = |entity: &&Entity| entity.uid().entity_type().is_action();
        let actions = entities.iter().filter(is_action).map(|entity| Arc::new(entity.clone()));
        Ok(Self { slices: Slices::new(set.policies(), actions), entities: entities.clone(), schema })
    }

    fn entity(&self, uid: &EntityUID) -> Option<&Entity> {
        match self.entities.entity(uid) {
            Dereference::Data(entity) => Some(entity),
            Dereference::NoSuchEntity | Dereference::Residual(_) => None,
        }
    }

    fn above(&self, uid: &EntityUID) -> Vec<EntityUID> {
        self.entity(uid).into_iter().flat_map(Entity::ancestors).cloned().collect()
    }

    fn ask(&self, asked: &Recorded, erring: ErringForbid) -> Result<Decided, String> {
        let uid = |value: &Value| cedar_policy::EntityUid::from_json(value.clone()).map_err(|error| format!("a name: {error:?}"));
        let (principal, action, resource) = (uid(&asked.principal)?, uid(&asked.action)?, uid(&asked.resource)?);
        let context = cedar_policy::Context::from_json_value(asked.context.clone(), Some((&self.schema, &action)))
            .map_err(|error| format!("the context: {error:?}"))?;
        let schema = asked.validate_request.then_some(&self.schema);
        let request = Request::new(principal.clone(), action.clone(), resource.clone(), context, schema)
            .map_err(|error| format!("the request: {error}"))?;
        let (principal, action, resource): (&EntityUID, &EntityUID, &EntityUID) = (principal.as_ref(), action.as_ref(), resource.as_ref());
        let (over_principal, over_resource) = (self.above(principal), self.above(resource));
        let stranger = Entity::with_uid(action.clone());
        let sides = Sides {
            principal: Side { uid: principal, above: [&over_principal, &[]] },
            action: self.entity(action).unwrap_or(&stranger),
            resource: Side { uid: resource, above: [&over_resource, &[]] },
        };
        let scene = || {
            let all = self.entities.iter().map(|entity| Arc::new(entity.clone()));
            let assumed = TCComputation::AssumeAlreadyComputed;
            let entities = entities::Entities::new().add_entities(all, None::<&NoEntitiesSchema>, assumed, Extensions::all_available());
            let request: &ast::Request = request.as_ref();
            Ok((request.clone(), entities.map_err(|error| error.to_string())?))
        };
        Ok(evaluate(&self.slices, erring, &sides, scene))
    }
}

/// Whether Cedar's answer is the recorded one, and Elevon's the same but for a forbid that failed.
fn compare(case: &Laid, asked: &Recorded, tally: &mut Tally) -> Result<(), String> {
    let cedar = case.ask(asked, ErringForbid::IsSkipped)?;
    let decision = |decided: &Decided| if decided.reason == Reason::Permitted { "allow" } else { "deny" };
    let set = |decided: &Decided| decided.policies.iter().cloned().collect::<BTreeSet<_>>();
    let errors: BTreeSet<String> = cedar.errors.iter().map(|error| error.policy.clone()).collect();
    if decision(&cedar) != asked.decision.to_lowercase() || set(&cedar) != asked.reason || errors != asked.errors {
        return Err(format!(
            "recorded {} {:?} {:?}, answered {} {:?} {:?}",
            asked.decision,
            asked.reason,
            asked.errors,
            decision(&cedar),
            cedar.policies,
            cedar.errors
        ));
    }
    let elevon = case.ask(asked, ErringForbid::Denies)?;
    let forbidden = cedar.reason == Reason::Forbidden;
    if !forbidden && cedar.errors.iter().any(|error| error.effect == Effect::Forbid) {
        tally.erring_forbids += 1;
        if elevon.reason != Reason::PolicyError || !elevon.policies.is_empty() || elevon.errors != cedar.errors {
            return Err(format!("a forbid failed, and Elevon answered {elevon:?}"));
        }
    } else if (elevon.reason, &elevon.policies, &elevon.errors) != (cedar.reason, &cedar.policies, &cedar.errors) {
        return Err(format!("no forbid failed, and Elevon answered {elevon:?} where Cedar does {cedar:?}"));
    }
    Ok(())
}

fn unpacked(archive: &Path, into: &Path) -> Vec<PathBuf> {
    let done = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into).output();
    let done = done.unwrap_or_else(|error| panic!("`tar`, which unpacks {}, cannot be run: {error}", archive.display()));
    assert!(done.status.success(), "{}: {}", archive.display(), String::from_utf8_lossy(&done.stderr));
    let mut folders = vec![into.to_owned()];
    let mut cases = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".json") && !name.ends_with(".entities.json") && !name.starts_with('.') {
                cases.push(path);
            }
        }
    }
    cases.sort();
    cases
}

#[test]
fn what_cedar_recorded_is_what_is_answered() {
    let given = std::env::var_os("CEDAR_CORPUS").filter(|given| !given.is_empty());
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/corpus-quarter.tar.gz");
    let archive = given.clone().map_or_else(own, PathBuf::from);
    let folder = tempfile::tempdir().unwrap();
    let mut tally = Tally::default();
    let cases = unpacked(&archive, folder.path());
    for file in &cases {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let case: Case = match text(file).and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string())) {
            Ok(case) => case,
            Err(error) => {
                tally.fail(1, &format!("{name}: {error}"));
                continue;
            }
        };
        let laid = match Laid::new(file.parent().unwrap_or(folder.path()), &case) {
            Ok(laid) => laid,
            Err(error) => {
                tally.fail(case.requests.len().max(1), &format!("{name}: {error}"));
                continue;
            }
        };
        for asked in &case.requests {
            match compare(&laid, asked, &mut tally) {
                Ok(()) => tally.passed += 1,
                Err(error) => tally.fail(1, &format!("{name}, {}: {error}", asked.description)),
            }
        }
    }
    let Tally { passed, failed, erring_forbids, shown } = tally;
    let mut report = format!("{shown}{}: {} cases, a forbid failed in {erring_forbids} requests\n", archive.display(), cases.len());
    let _ = writeln!(report, "{passed} passed, {failed} failed");
    if let Some(file) = std::env::var_os("CEDAR_CORPUS_REPORT") {
        fs::write(file, &report).unwrap();
    }
    assert!(failed == 0 && passed > 0, "{report}");
    if given.is_none() {
        assert_eq!((cases.len(), passed), (1968, 15_744), "{report}");
        assert!(erring_forbids > 0, "{report}");
    }
}
