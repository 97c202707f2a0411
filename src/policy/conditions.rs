//! `conditions/<role>.cedar`: for each role that wants them, a set of policies of its own, asked at every check in which the role would count.
//!
//! They are never part of the policy set, so nothing in them can permit or forbid what a request is about. They are asked as if no role were
//! held: a role whose conditions looked at roles would rest on other roles' conditions, and these perhaps on its own.

use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::ops::Range;

use cedar_policy::Schema;
use cedar_policy_core::ast::{Entity, EntityUID, PolicySet};

use super::catalog::Catalog;
use super::files::{Files, Kind, condition_of, condition_path};
use super::policies::{self, Policies};
use super::problem::{Problem, Problems, nearest};
use super::roles::RolesFile;
use super::schema::Text;
use super::slice::Slices;
use crate::domain::RoleName;

/// The conditions of all roles that have some, as they were read.
#[derive(Default)]
pub(super) struct Draft {
    sets: BTreeMap<RoleName, Policies>,
}

impl Draft {
    /// Validates each set as strictly as the policies. Lesser warnings are handed back.
    pub(super) fn validate(&self, schema: &Schema, files: &Files, problems: &mut Problems) -> Vec<String> {
        self.sets.values().flat_map(|set| policies::validate(set, schema, &files.texts, problems)).collect()
    }

    /// Lays them out to be asked.
    pub(super) fn laid_out(self, catalog: &Catalog) -> Conditions {
        let lay_out = |mut policies: Policies| {
            policies.strip_places();
            let set: &PolicySet = policies.set.as_ref();
            let slices = Slices::new(set.policies(), catalog.action_entities());
            (policies, slices)
        };
        Conditions { sets: self.sets.into_iter().map(|(role, policies)| (role, lay_out(policies))).collect() }
    }
}

/// The conditions of all roles that have some.
pub(super) struct Conditions {
    sets: BTreeMap<RoleName, (Policies, Slices)>,
}

impl Conditions {
    /// Whether no role has any.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Those of a role.
    pub(super) fn of(&self, role: &RoleName) -> Option<&(Policies, Slices)> {
        self.sets.get(role)
    }

    /// Whether some of them could apply to this action and read `context.beneficiary`.
    pub(super) fn read_beneficiary_for(&self, action: &Entity) -> bool {
        self.sets.values().any(|(policies, _)| policies.read_beneficiary_for(action))
    }

    /// Whether it can make a difference to some of them that something stands below this entity.
    pub(super) fn may_name(&self, uid: &EntityUID) -> bool {
        self.sets.values().any(|(policies, _)| policies.may_name(uid))
    }
}

/// Parses the files of conditions and holds them against the roles. A role that wants conditions and has none, and conditions that no role
/// wants, are both refused: a checkout that is half written must not lift a condition.
pub(super) fn read(files: &Files, roles_at: Text<'_>, roles: &RolesFile, problems: &mut Problems) -> Draft {
    let mut draft = Draft::default();
    let mut wanted: HashMap<String, &RoleName> = HashMap::new();
    for (name, role) in roles.roles.iter().filter(|(_, role)| role.settings.conditions) {
        let at = |message: String| Problem::at(roles_at.file, roles_at.text, role.conditions.clone(), message);
        match condition_path(name) {
            None => {
                let problem = at(format!("the role `{name}` cannot have conditions: its name is not that of a file"));
                problems.push(problem.help("rename the role; without `/`, `\\`, a leading `.` or `README`, and shorter than 250 bytes"));
            }
            Some(path) if !files.texts.contains_key(&path) => {
                let problem = at(format!("the role `{name}` has conditions, and there is no file `{path}`"));
                problems.push(problem.help("write that file, with at least one `permit`; or leave `conditions` out"));
            }
            Some(path) => drop(wanted.insert(path, name)),
        }
    }
    for (path, text) in files.of_kind(Kind::Conditions) {
        let Some(role) = wanted.get(path) else {
            problems.push(unwanted(path, roles));
            continue;
        };
        let before = problems.len();
        let set = policies::parse(iter::once((path, text)), problems);
        refuse_roles(Text { file: path, text }, &set, &roles.role_type.value, problems);
        if problems.len() == before && !set.permits() {
            let problem = Problem::in_file(path, format!("the conditions permit nothing, so the role `{role}` would never count"));
            problems.push(problem.help("write at least one `permit`: for whom, and under which circumstances, the role counts"));
        }
        draft.sets.insert((*role).clone(), set);
    }
    draft
}

fn unwanted(path: &str, roles: &RolesFile) -> Problem {
    let name = condition_of(path).unwrap_or_default();
    if roles.roles.keys().any(|role| role.as_str() == name) {
        let problem = Problem::in_file(path, format!("the role `{name}` does not say that it has conditions"));
        return problem.help("write `conditions = true` below the role in roles.toml, or delete the file");
    }
    let problem = Problem::in_file(path, format!("there is no role `{name}` that could have these conditions"));
    match nearest(name, roles.roles.keys().map(RoleName::as_str)) {
        Some(nearest) => problem.help(format!("did you mean `conditions/{nearest}.cedar`?")),
        None => problem.help("name the file after the role, or delete it"),
    }
}

fn refuse_roles(at: Text<'_>, set: &Policies, role_type: &str, problems: &mut Problems) {
    let mut refuse = |span: Range<usize>, message: &str, help: &str| {
        problems.push(Problem::at(at.file, at.text, span, message).help(help));
    };
    for span in set.mentions_of(role_type) {
        let help = "ask for attributes and groups of the principal, for the resource and for the context; \
                    which role a grant is for stands in `resource.role`";
        refuse(span, "conditions are asked as if no role were held, so they cannot ask for roles", help);
    }
    for span in set.uses_of_tags() {
        let help = "ask for attributes and groups of the principal, for the resource and for the context";
        refuse(span, "conditions are asked as if no role were held, so they cannot ask for tags", help);
    }
}
