//! From a question straight to the few policies whose scope can match it.
//!
//! Cedar's own authorizer evaluates every policy of a set. Here the set is laid out once, when a bundle is loaded: by action, then by the
//! entity that a scope names for the principal, then by the one that it names for the resource. A question looks up its principal and its
//! resource with everything above them, and evaluates what it finds. A scope is compared and not evaluated, which gives the same, for a scope
//! cannot fail; what stands behind `when` and `unless` is evaluated by Cedar. That decision, reasons and errors are those of the whole set
//! is shown by the tests of this file, over random sets, and by the corpus.
//!
//! Lost: one key for principal, action and resource together, which has to be looked up for every combination of what stands above them.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy_core::ast::{
    ActionConstraint, Effect, Entity, EntityReference, EntityUID, Expr, Literal, Policy, PrincipalOrResourceConstraint as Constraint,
    Request, SlotEnv, ValueKind,
};
use cedar_policy_core::entities::{Dereference, Entities};
use cedar_policy_core::evaluator::{EvaluationError, Evaluator};
use cedar_policy_core::extensions::Extensions;

/// A policy, taken apart.
struct Entry {
    id: String,
    effect: Effect,
    principal: Constraint,
    action: ActionConstraint,
    resource: Constraint,
    /// `true && …` of what stands behind `when` and `unless`: evaluating it fails where that is no boolean, as Cedar's whole policy does.
    /// Nothing, where the scope is all there is.
    condition: Option<Expr>,
}

/// Policies by the resource that their scope names.
#[derive(Default)]
struct ByResource {
    any: Vec<usize>,
    named: HashMap<EntityUID, Vec<usize>>,
}

/// The policies that can apply to an action, by the principal that their scope names.
#[derive(Default)]
struct Slice {
    any: ByResource,
    named: HashMap<EntityUID, ByResource>,
}

/// All policies of a set, laid out.
pub(super) struct Slices {
    entries: Vec<Entry>,
    by_action: HashMap<EntityUID, Slice>,
    nobody: SlotEnv,
}

/// What the policies came to: ids, and what failed.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) permits: Vec<&'a str>,
    pub(super) forbids: Vec<&'a str>,
    pub(super) errors: Vec<(&'a str, Box<EvaluationError>)>,
}

/// Who asks to do what to what. The entities of a question hold each with everything above it.
pub(super) struct Sides<'a> {
    pub(super) principal: &'a EntityUID,
    pub(super) action: &'a Entity,
    pub(super) resource: &'a EntityUID,
}

impl Slices {
    /// Lays out policies for the actions there are. Policies from templates are not taken: bundles have none.
    pub(super) fn new<'p>(policies: impl Iterator<Item = &'p Policy>, actions: impl Iterator<Item = Arc<Entity>>) -> Self {
        let entries: Vec<Entry> = policies.map(Entry::of).collect();
        let by_action = actions.map(|action| (action.uid().clone(), Slice::of(&entries, &action))).collect();
        Self { entries, by_action, nobody: SlotEnv::new() }
    }

    /// Evaluates the policies that can match.
    pub(super) fn evaluate(&self, sides: &Sides<'_>, request: Request, entities: &Entities) -> Found<'_> {
        let above = |uid: &EntityUID| match entities.entity(uid) {
            Dereference::Data(entity) => Some(entity),
            Dereference::NoSuchEntity | Dereference::Residual(_) => None,
        };
        let (principal, resource) = (Side::new(sides.principal, above(sides.principal)), Side::new(sides.resource, above(sides.resource)));
        let evaluator = Evaluator::new(request, entities, Extensions::all_available());
        let mut found = Found::default();
        let mut judge = |number: usize| {
            let Some(entry) = self.entries.get(number) else { return };
            if !principal.meets(&entry.principal) || !resource.meets(&entry.resource) {
                return;
            }
            match entry.condition.as_ref().map_or(Ok(true), |condition| self.holds(&evaluator, condition)) {
                Ok(true) if entry.effect == Effect::Permit => found.permits.push(&entry.id),
                Ok(true) => found.forbids.push(&entry.id),
                Ok(false) => {}
                Err(error) => found.errors.push((&entry.id, error)),
            }
        };
        match self.by_action.get(sides.action.uid()) {
            Some(slice) => slice.visit(&principal, &resource, &mut judge),
            // An action that nobody declared: it is laid out for this once.
            None => Slice::of(&self.entries, sides.action).visit(&principal, &resource, &mut judge),
        }
        found
    }

    fn holds(&self, evaluator: &Evaluator<'_>, condition: &Expr) -> Result<bool, Box<EvaluationError>> {
        let value = evaluator.interpret(condition, &self.nobody)?;
        Ok(matches!(value.value_kind(), ValueKind::Lit(Literal::Bool(true))))
    }
}

impl Entry {
    fn of(policy: &Policy) -> Self {
        Self {
            id: policy.id().to_string(),
            effect: policy.effect(),
            principal: policy.principal_constraint().into_inner(),
            action: policy.action_constraint().clone(),
            resource: policy.resource_constraint().into_inner(),
            condition: policy.non_scope_constraints().map(|condition| Expr::and(Expr::val(true), condition.clone())),
        }
    }

    fn is_for(&self, action: &Entity) -> bool {
        let meets = |uid: &EntityUID| uid == action.uid() || action.is_descendant_of(uid);
        match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::In(uids) => uids.iter().any(|uid| meets(uid)),
            ActionConstraint::Eq(uid) => **uid == *action.uid(),
        }
    }
}

/// The entity that a scope names; nothing, where it names none.
fn named(constraint: &Constraint) -> Option<&EntityUID> {
    match constraint {
        Constraint::Any | Constraint::Is(_) => None,
        Constraint::In(entity) | Constraint::Eq(entity) | Constraint::IsIn(_, entity) => match entity {
            EntityReference::EUID(uid) => Some(uid),
            EntityReference::Slot(_) => None,
        },
    }
}

impl Slice {
    fn of(entries: &[Entry], action: &Entity) -> Self {
        let mut slice = Self::default();
        for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.is_for(action)) {
            let by_resource = match named(&entry.principal) {
                Some(uid) => slice.named.entry(uid.clone()).or_default(),
                None => &mut slice.any,
            };
            match named(&entry.resource) {
                Some(uid) => by_resource.named.entry(uid.clone()).or_default().push(number),
                None => by_resource.any.push(number),
            }
        }
        slice
    }

    fn visit(&self, principal: &Side<'_>, resource: &Side<'_>, judge: &mut impl FnMut(usize)) {
        self.any.visit(resource, judge);
        if self.named.is_empty() {
            return;
        }
        for uid in principal.names() {
            if let Some(by_resource) = self.named.get(uid) {
                by_resource.visit(resource, judge);
            }
        }
    }
}

impl ByResource {
    fn visit(&self, resource: &Side<'_>, judge: &mut impl FnMut(usize)) {
        self.any.iter().for_each(|number| judge(*number));
        if self.named.is_empty() {
            return;
        }
        for uid in resource.names() {
            self.named.get(uid).into_iter().flatten().for_each(|number| judge(*number));
        }
    }
}

/// A principal or a resource, and what stands above it.
struct Side<'a> {
    uid: &'a EntityUID,
    entity: Option<&'a Entity>,
}

impl<'a> Side<'a> {
    fn new(uid: &'a EntityUID, entity: Option<&'a Entity>) -> Self {
        Self { uid, entity }
    }

    /// Itself and everything above it.
    fn names(&self) -> impl Iterator<Item = &'a EntityUID> {
        // An entity is not its own ancestor, whatever it was given as parents: it would be looked up twice.
        let uid = self.uid;
        std::iter::once(uid).chain(self.entity.into_iter().flat_map(Entity::ancestors).filter(move |above| *above != uid))
    }

    fn is_in(&self, other: &EntityUID) -> bool {
        self.uid == other || self.entity.is_some_and(|entity| entity.is_descendant_of(other))
    }

    fn meets(&self, constraint: &Constraint) -> bool {
        let is_in = |entity: &EntityReference| match entity {
            EntityReference::EUID(uid) => self.is_in(uid),
            EntityReference::Slot(_) => false,
        };
        match constraint {
            Constraint::Any => true,
            Constraint::Is(kind) => *self.uid.entity_type() == **kind,
            Constraint::In(entity) => is_in(entity),
            Constraint::IsIn(kind, entity) => *self.uid.entity_type() == **kind && is_in(entity),
            Constraint::Eq(EntityReference::EUID(uid)) => *self.uid == **uid,
            Constraint::Eq(EntityReference::Slot(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::str::FromStr as _;

    use cedar_policy_core::ast::{Context, EntityUIDEntry, PolicySet};
    use cedar_policy_core::authorizer::{AuthorizationError, Authorizer, Decision};
    use cedar_policy_core::entities::{NoEntitiesSchema, TCComputation};
    use cedar_policy_core::parser::parse_policyset;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::super::evaluate::decide;
    use super::*;

    /// How many random worlds are compared, with [`ASKED`] questions each; `ELEVON_SLICES` sets another number.
    const WORLDS: u32 = 400;
    const ASKED: usize = 50;

    const PRINCIPALS: [&str; 7] =
        ["User::\"u0\"", "User::\"u1\"", "Bot::\"u0\"", "Group::\"g0\"", "Group::\"g1\"", "Group::\"g2\"", "Role::\"r0\""];
    const RESOURCES: [&str; 6] = ["Db::\"d0\"", "Db::\"d1\"", "Site::\"s0\"", "Site::\"s1\"", "Site::\"s2\"", "User::\"u0\""];
    const ACTIONS: [&str; 4] = ["Action::\"a0\"", "Action::\"a1\"", "Action::\"all\"", "Action::\"stranger\""];

    /// Scopes of a side, with `@` for its name and the number of an entity.
    const SCOPES: [&str; 6] = ["@", "@ == #", "@ in #", "@ is ~", "@ is ~ in #", "@ in #"];
    const ACTION_SCOPES: [&str; 5] = [
        "action",
        "action == Action::\"a0\"",
        "action in Action::\"all\"",
        "action in [Action::\"a1\", Action::\"all\"]",
        "action == Action::\"stranger\"",
    ];
    /// Some are true, some false, some fail, some fail only if they are reached.
    const CONDITIONS: [&str; 14] = [
        "",
        "",
        "when { context.flag }",
        "unless { context.flag }",
        "when { context.missing == 1 }",
        "when { context has missing && context.missing == 1 }",
        "when { context.number }",
        "when { context.number + 9223372036854775807 > 0 }",
        "when { principal.age > 3 }",
        "unless { resource has owner && resource.owner == principal }",
        "when { principal in Group::\"g1\" || context.missing }",
        "when { resource in Site::\"s1\" } unless { principal in Role::\"r0\" }",
        "when { principal == resource }",
        "when { [User::\"u0\", Group::\"g2\"].contains(principal) }",
    ];

    #[derive(Debug, Clone)]
    struct World {
        policies: String,
        /// For each name of a side, what stands right above it.
        above: BTreeMap<usize, Vec<usize>>,
        asked: Vec<(usize, usize, usize, bool)>,
    }

    fn uid(text: &str) -> EntityUID {
        EntityUID::from_str(text).unwrap()
    }

    fn side(name: &str, scope: usize, entity: &str) -> String {
        let kind = entity.split("::").next().unwrap();
        SCOPES[scope].replace('@', name).replace('#', entity).replace('~', kind)
    }

    fn world() -> impl Strategy<Value = World> {
        let policy = (any::<bool>(), 0..6_usize, 0..PRINCIPALS.len(), 0..5_usize, 0..6_usize, 0..RESOURCES.len(), 0..CONDITIONS.len());
        let policies = prop::collection::vec(policy, 0..25);
        let above = prop::collection::btree_map(0..13_usize, prop::collection::vec(0..13_usize, 0..3), 0..13);
        let asked = prop::collection::vec((0..PRINCIPALS.len(), 0..4_usize, 0..RESOURCES.len(), any::<bool>()), ASKED);
        (policies, above, asked).prop_map(|(policies, above, asked)| {
            let text = policies.into_iter().enumerate().map(|(number, (permit, p, principal, action, r, resource, condition))| {
                let effect = if permit { "permit" } else { "forbid" };
                let (p, r) = (side("principal", p, PRINCIPALS[principal]), side("resource", r, RESOURCES[resource]));
                format!("@number(\"{number}\") {effect}({p}, {}, {r}) {};\n", ACTION_SCOPES[action], CONDITIONS[condition])
            });
            World { policies: text.collect(), above, asked }
        })
    }

    fn names() -> Vec<&'static str> {
        PRINCIPALS.into_iter().chain(RESOURCES).collect()
    }

    /// The entities of a world. Edges only go up by number, so that there are no circles; some names have no entity.
    fn entities(world: &World) -> Entities {
        let names = names();
        let mut all: Vec<Arc<Entity>> = Vec::new();
        let mut seen: HashSet<EntityUID> = HashSet::new();
        for (number, above) in &world.above {
            let name = uid(names[*number]);
            // `User::"u0"` stands among both sides, and so has nothing below it: there could be a circle
            let above =
                above.iter().filter(|other| *other > number).map(|other| uid(names[*other])).filter(|other| *other != uid(names[0]));
            let above: HashSet<EntityUID> = above.filter(|other| *other != name).collect();
            if seen.insert(name.clone()) {
                all.push(Arc::new(Entity::new_with_attr_partial_value(name, [], HashSet::new(), above, [])));
            }
        }
        all.extend(actions().into_iter().map(Arc::new));
        Entities::new().add_entities(all, None::<&NoEntitiesSchema>, TCComputation::ComputeNow, Extensions::all_available()).unwrap()
    }

    fn actions() -> Vec<Entity> {
        let action = |name: &str, above: &[&str]| {
            let above = above.iter().map(|name| uid(name)).collect();
            Entity::new_with_attr_partial_value(uid(name), [], HashSet::new(), above, [])
        };
        vec![action(ACTIONS[0], &[ACTIONS[2]]), action(ACTIONS[1], &[]), action(ACTIONS[2], &[])]
    }

    fn request(principal: &EntityUID, action: &EntityUID, resource: &EntityUID, flag: bool) -> Request {
        let context = Context::from_pairs(
            [
                ("flag".into(), cedar_policy_core::ast::RestrictedExpr::val(flag)),
                ("number".into(), cedar_policy_core::ast::RestrictedExpr::val(7)),
            ],
            Extensions::all_available(),
        );
        let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
        Request::new_unchecked(known(principal), known(action), known(resource), Some(context.unwrap()))
    }

    type Answer = (Decision, Vec<String>, Vec<String>);

    fn by_cedar(set: &PolicySet, request: Request, entities: &Entities) -> Answer {
        let response = Authorizer::new().is_authorized(request, set, entities);
        let mut reasons: Vec<String> = response.diagnostics.reason.iter().map(ToString::to_string).collect();
        let error = |AuthorizationError::PolicyEvaluationError { id, error }: &AuthorizationError| format!("{id}: {error}");
        let mut errors: Vec<String> = response.diagnostics.errors.iter().map(error).collect();
        reasons.sort();
        errors.sort();
        (response.decision, reasons, errors)
    }

    fn by_slices(slices: &Slices, sides: &Sides<'_>, request: Request, entities: &Entities) -> Answer {
        let found = slices.evaluate(sides, request, entities);
        let mut errors: Vec<String> = found.errors.iter().map(|(id, error)| format!("{id}: {error}")).collect();
        let (decision, reasons) = decide(found.permits, found.forbids);
        let mut reasons: Vec<String> = reasons.into_iter().map(str::to_owned).collect();
        reasons.sort();
        errors.sort();
        (decision, reasons, errors)
    }

    fn compare(world: &World, met: &mut BTreeMap<&'static str, usize>) -> Result<(), TestCaseError> {
        let set = parse_policyset(&world.policies).unwrap();
        let entities = entities(world);
        let declared = actions().into_iter().map(|action| match entities.entity(action.uid()) {
            Dereference::Data(entity) => Arc::new(entity.clone()),
            Dereference::NoSuchEntity | Dereference::Residual(_) => unreachable!(),
        });
        let slices = Slices::new(set.policies(), declared);
        for (principal, action, resource, flag) in &world.asked {
            let (principal, action, resource) = (uid(PRINCIPALS[*principal]), uid(ACTIONS[*action]), uid(RESOURCES[*resource]));
            let stranger = Entity::with_uid(action.clone());
            let entity = match entities.entity(&action) {
                Dereference::Data(entity) => entity,
                Dereference::NoSuchEntity | Dereference::Residual(_) => &stranger,
            };
            let sides = Sides { principal: &principal, action: entity, resource: &resource };
            let ask = || request(&principal, &action, &resource, *flag);
            let (cedar, sliced) = (by_cedar(&set, ask(), &entities), by_slices(&slices, &sides, ask(), &entities));
            prop_assert_eq!(&sliced, &cedar, "{} does {} to {} with {}", principal, action, resource, flag);
            *met.entry(if cedar.0 == Decision::Allow { "allow" } else { "deny" }).or_default() += 1;
            *met.entry("reasons").or_default() += usize::from(!cedar.1.is_empty());
            *met.entry("errors").or_default() += usize::from(!cedar.2.is_empty());
        }
        Ok(())
    }

    #[test]
    fn slices_answer_as_the_whole_set_does() {
        let worlds = std::env::var("ELEVON_SLICES").ok().and_then(|count| count.parse().ok()).unwrap_or(WORLDS);
        let mut runner = TestRunner::new(Config { cases: worlds, failure_persistence: None, ..Config::default() });
        let met = std::cell::RefCell::new(BTreeMap::new());
        runner.run(&world(), |world| compare(&world, &mut met.borrow_mut())).unwrap_or_else(|failure| panic!("{failure}"));
        // a comparison of denials without a reason would show little
        let met = met.into_inner();
        for what in ["allow", "deny", "reasons", "errors"] {
            assert!(met.get(what).copied().unwrap_or(0) > worlds as usize, "{what} in {met:?}");
        }
    }
}
