//! A bundle: files in, validated definitions and policies out; never changed afterwards.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::Schema;
use cedar_policy_core::ast::{Entity, EntityUID, PolicySet};
use foldhash::fast::RandomState;

use super::alerts;
use super::catalog::Catalog;
use super::conditions::{self, Conditions};
use super::entities;
use super::files::{ENTITIES, FileInfo, Files, Kind, ROLES, SCHEMA};
use super::policies::{self, Policies};
use super::prepared::Prepared;
use super::problem::{BundleError, Problem, Problems};
use super::roles::{self, RolesFile};
use super::routes::{self, RouteTrial, Routes};
use super::schema::{self, Composed, Text};
use super::slice::Slices;
use super::trial::{self, TestOutcome, Trial};
use super::value;
use crate::domain::alert::AlertRules;
use crate::domain::facts::Action;
use crate::domain::settings::{Definitions, EntityDef};
use crate::domain::{Revision, RoleName, Uid};

/// An immutable, content-addressed, validated bundle.
pub struct Bundle {
    files: Files,
    revision: Revision,
    definitions: Arc<Definitions>,
    schema: Schema,
    generated: String,
    catalog: Catalog,
    policies: Policies,
    conditions: Conditions,
    /// The bundle's entities with their attributes as Cedar's.
    ready: HashMap<Uid, Arc<Entity>, RandomState>,
    roles: HashMap<RoleName, EntityUID, RandomState>,
    trials: Vec<Trial>,
    routes: Routes,
    route_trials: Vec<RouteTrial>,
    warnings: Vec<String>,
    slices: Slices,
    prepared: Prepared,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Bundle({})", self.revision)
    }
}

impl Bundle {
    /// Reads a folder, validates it strictly and runs its policy tests.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(dir: &Path) -> Result<Self, BundleError> {
        Self::build(Files::read(dir)?)?.tested()
    }

    /// The same, from files by their paths.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self, BundleError> {
        Self::build(Files::new(files)?)?.tested()
    }

    /// From what the store keeps by revision. Its tests passed before it went live, and are not run again.
    ///
    /// # Errors
    /// It is no archive, or not one that this version takes.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, BundleError> {
        Self::build(Files::from_archive(bytes)?)
    }

    /// What the store keeps. Equal bundles have equal archives.
    #[must_use]
    pub fn to_archive(&self) -> Vec<u8> {
        self.files.to_archive()
    }

    /// SHA-256 over the sorted (path, length, bytes) of its files, its tests included.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// What the domain has to know of it.
    #[must_use]
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// The author's schema and what Elevon generates, for stock Cedar tools.
    #[must_use]
    pub fn schema_text(&self) -> String {
        let author = self.files.texts.get(SCHEMA).map(AsRef::as_ref).unwrap_or_default();
        format!("{}\n\n{}", author.trim_end(), self.generated)
    }

    /// What is odd about it, and stops nothing.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many policies it has.
    #[must_use]
    pub fn policy_count(&self) -> usize {
        self.policies.len()
    }

    /// Whether a role counts only where its conditions hold for the check at hand.
    #[must_use]
    pub fn has_conditions(&self, role: &RoleName) -> bool {
        self.conditions.of(role).is_some()
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> Vec<FileInfo> {
        self.files.infos()
    }

    /// Runs its policy tests.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        let of_routes = self.route_trials.iter().map(|trial| trial.outcome(self));
        self.trials.iter().map(|trial| trial.outcome(self)).chain(of_routes).collect()
    }

    /// What requests ask for.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn policies(&self) -> &Policies {
        &self.policies
    }

    pub(super) fn slices(&self) -> &Slices {
        &self.slices
    }

    pub(super) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    pub(super) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub(super) fn role_entity(&self, role: &RoleName) -> Option<EntityUID> {
        self.roles.get(role).cloned()
    }

    /// An entity of the bundle's own, with its attributes.
    pub(super) fn ready_entity(&self, uid: &Uid) -> Option<&Arc<Entity>> {
        self.ready.get(uid)
    }

    /// Whether an entity is as the schema wants it.
    pub(super) fn conform(&self, def: &EntityDef) -> Result<Arc<Entity>, String> {
        if let Some(edge) = def.parents.iter().find(|edge| edge.parent.kind() == self.definitions.role_type) {
            return Err(format!("{} cannot be a parent: a role is held by activation or assignment", edge.parent));
        }
        if !self.definitions.types.contains_key(def.uid.kind()) {
            return Err(format!("the schema has no entity type `{}`", def.uid.kind()));
        }
        entities::conform(&self.schema, def)
    }

    fn build(files: Files) -> Result<Self, BundleError> {
        let mut problems = Problems::default();
        let revision = files.revision()?;
        let text = |file: &'static str| files.texts.get(file).map(|text| Text { file, text });
        for (file, what) in [(SCHEMA, "the schema of your entities and actions"), (ROLES, "the roles")] {
            if text(file).is_none() {
                problems.push(
                    Problem::general(format!("the bundle has no `{file}`")).help(format!("it holds {what}; see the sample in `policies/`")),
                );
            }
        }
        let (Some(author), Some(roles_at)) = (text(SCHEMA), text(ROLES)) else {
            return Err(problems.into_result().err().unwrap_or_else(|| Problem::general("the bundle is not whole").into()));
        };
        let roles_file = roles::read(roles_at.file, roles_at.text, &mut problems);
        let alerts = text(alerts::FILE).map(|at| alerts::read(at.file, at.text, &mut problems)).unwrap_or_default();
        let mut policies = policies::parse(files.of_kind(Kind::Policies), &mut problems);
        let conditions = conditions::read(&files, roles_at, &roles_file, &mut problems);
        let composed = schema::compose(author, roles_at, &roles_file, &mut problems);
        let Some(composed) = composed else {
            return Err(problems.into_result().err().unwrap_or_else(|| Problem::in_file(SCHEMA, "the schema cannot be composed").into()));
        };
        let read = match text(ENTITIES) {
            Some(at) => entities::read(at, &composed, &roles_file.role_type.value, &mut problems),
            None => Vec::new(),
        };
        let mut warnings = policies::validate(&policies, &composed.schema, &files.texts, &mut problems);
        warnings.extend(conditions.validate(&composed.schema, &files, &mut problems));
        let routes = text(routes::FILE).map(|at| routes::read(at, &composed.catalog, &mut problems)).unwrap_or_default();
        policies.strip_places();
        let bundle =
            Self { warnings, routes, ..Self::assemble(files, revision, composed, (roles_file, alerts), (policies, conditions), read) };
        bundle.with_trials(problems)
    }

    fn assemble(
        files: Files,
        revision: Revision,
        composed: Composed,
        (roles_file, alerts): (RolesFile, AlertRules),
        (policies, conditions): (Policies, conditions::Draft),
        read: Vec<(EntityDef, Arc<Entity>)>,
    ) -> Self {
        let mut catalog = composed.catalog;
        catalog.map_actions(|action| action.reads_now = policies.read_now_for(&action.entity));
        let set: &PolicySet = policies.set.as_ref();
        let slices = Slices::new(set.policies(), catalog.action_entities());
        let conditions = conditions.laid_out(&catalog);
        let role_type = roles_file.role_type.value;
        let role_name = catalog.types.get(&role_type).map(|info| info.name.clone());
        let uid = |role: &RoleName| role_name.as_ref().map(|name| (role.clone(), value::entity(name, role.as_str())));
        let roles = roles_file.roles.keys().filter_map(uid).collect();
        let ready = read.iter().map(|(def, entity)| (def.uid.clone(), Arc::clone(entity))).collect();
        let definitions = Definitions {
            revision: revision.clone(),
            role_type,
            principal_types: composed.principal_types,
            group_types: composed.group_types,
            types: composed.types,
            roles: roles_file.roles.into_iter().map(|(name, draft)| (name, Arc::new(draft.settings))).collect(),
            alerts,
            entities: HashMap::default(),
            children: HashMap::new(),
        };
        Self {
            files,
            revision,
            definitions: Arc::new(definitions.with_entities(read.into_iter().map(|(def, _)| def))),
            schema: composed.schema,
            generated: composed.generated,
            catalog,
            policies,
            conditions,
            ready,
            roles,
            trials: Vec::new(),
            routes: Routes::default(),
            route_trials: Vec::new(),
            warnings: Vec::new(),
            slices,
            prepared: Prepared::default(),
        }
    }

    fn with_trials(mut self, problems: Problems) -> Result<Self, BundleError> {
        // a test of a bundle that is not whole would only say the same again
        problems.into_result()?;
        let mut problems = Problems::default();
        let (mut trials, mut route_trials) = (Vec::new(), Vec::new());
        for (file, text) in self.files.of_kind(Kind::Tests) {
            let (of_policies, of_routes) = trial::read(Text { file, text }, &self, &mut problems);
            trials.extend(of_policies);
            route_trials.extend(of_routes);
        }
        if !trials.iter().any(Trial::guards) && problems.is_empty() {
            let problem = Problem::general("no policy test is a guard, so this bundle could lock everybody out");
            let help = format!(
                "write a test with `guard = true` and `expect = \"allow\"`, in which somebody may `{}`",
                Action::ManageBundle.as_str()
            );
            problems.push(problem.help(help));
        }
        problems.into_result()?;
        (self.trials, self.route_trials) = (trials, route_trials);
        Ok(self)
    }

    fn tested(self) -> Result<Self, BundleError> {
        let mut problems = Problems::default();
        for trial in &self.trials {
            if let Err(explanation) = trial.run(&self) {
                let text = self.files.texts.get(&trial.file).map(AsRef::as_ref).unwrap_or_default();
                let what = if trial.guard { "guard test" } else { "policy test" };
                let message = format!("the {what} `{}` failed: {explanation}", trial.name);
                problems.push(Problem::at(&trial.file, text, trial.span.clone(), message));
            }
        }
        for trial in &self.route_trials {
            if let Err(explanation) = trial.run(&self) {
                let text = self.files.texts.get(&trial.file).map(AsRef::as_ref).unwrap_or_default();
                let message = format!("the route test `{}` failed: {explanation}", trial.name);
                problems.push(Problem::at(&trial.file, text, trial.span.clone(), message));
            }
        }
        problems.into_result()?;
        Ok(self)
    }
}
