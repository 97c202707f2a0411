//! From a question straight to the few policies whose scope can match it.
//!
//! Cedar's own authorizer evaluates every policy of a set. Here the set is laid out once, when a bundle is loaded: by action, then by the
//! entity that a scope names for the principal, then by the one that it names for the resource. A question looks up its principal and its
//! resource with everything above them, and evaluates what it finds. A scope is compared and not evaluated, which gives the same, for a scope
//! cannot fail; what stands behind `when` and `unless` is evaluated by Cedar. That decision, reasons and errors are those of the whole set
//! is shown by the tests of this file, over random sets, and by the corpus.
//!
//! Lost: one key for principal, action and resource together, which has to be looked up for every combination of what stands above them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy_core::ast::{
    self, ActionConstraint, Entity, EntityReference, EntityUID, Expr, Literal, Policy, PrincipalOrResourceConstraint as Constraint,
    Request, SlotEnv, ValueKind,
};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::{EvaluationError, Evaluator};
use cedar_policy_core::extensions::Extensions;
use foldhash::fast::RandomState;

use super::ask::Effect;

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

/// Something by the entity that a scope names.
type ByName<T> = HashMap<EntityUID, T, RandomState>;

/// Policies by the resource that their scope names.
#[derive(Default)]
struct ByResource {
    any: Vec<usize>,
    named: ByName<Vec<usize>>,
}

/// The policies that can apply to an action, by the principal that their scope names.
#[derive(Default)]
struct Slice {
    any: ByResource,
    named: ByName<ByResource>,
}

/// All policies of a set, laid out.
pub(super) struct Slices {
    entries: Vec<Entry>,
    by_action: ByName<Slice>,
    nobody: SlotEnv,
}

/// A policy that failed to evaluate.
pub(super) struct Failed<'a> {
    pub(super) policy: &'a str,
    pub(super) effect: Effect,
    pub(super) error: Box<EvaluationError>,
}

/// What the policies came to: ids, and what failed.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) permits: Vec<&'a str>,
    pub(super) forbids: Vec<&'a str>,
    pub(super) errors: Vec<Failed<'a>>,
}

/// A principal or a resource, and everything above it, each once, in parts.
pub(super) struct Side<'a> {
    pub(super) uid: &'a EntityUID,
    pub(super) above: [&'a [EntityUID]; 2],
}

/// Who asks to do what to what.
pub(super) struct Sides<'a> {
    pub(super) principal: Side<'a>,
    pub(super) action: &'a Entity,
    pub(super) resource: Side<'a>,
}

impl Slices {
    /// Lays out policies for the actions there are. Policies from templates are not taken: bundles have none.
    pub(super) fn new<'p>(policies: impl Iterator<Item = &'p Policy>, actions: impl Iterator<Item = Arc<Entity>>) -> Self {
        let entries: Vec<Entry> = policies.map(Entry::of).collect();
        let by_action = actions.map(|action| (action.uid().clone(), Slice::of(&entries, &action))).collect();
        Self { entries, by_action, nobody: SlotEnv::new() }
    }

    /// Evaluates the policies that can match. What a condition is evaluated on is made when the first one is met: scopes need names only.
    ///
    /// # Errors
    /// Those of `scene`.
    pub(super) fn evaluate(&self, sides: &Sides<'_>, scene: impl Fn() -> Result<(Request, Entities), String>) -> Result<Found<'_>, String> {
        let (entities, evaluator) = (OnceCell::new(), OnceCell::new());
        let mut found = Found::default();
        let mut broken = None;
        let mut judge = |number: usize| {
            let Some(entry) = self.entries.get(number) else { return };
            if !meets(sides.principal.uid, &entry.principal) || !meets(sides.resource.uid, &entry.resource) {
                return;
            }
            let holds = match &entry.condition {
                None => Ok(true),
                Some(condition) => {
                    if evaluator.get().is_none() {
                        match scene() {
                            Ok((request, made)) => {
                                let made = entities.get_or_init(|| made);
                                drop(evaluator.set(Evaluator::new(request, made, Extensions::all_available())));
                            }
                            Err(error) => broken = Some(error),
                        }
                    }
                    let Some(evaluator) = evaluator.get() else { return };
                    self.holds(evaluator, condition)
                }
            };
            match holds {
                Ok(true) if entry.effect == Effect::Permit => found.permits.push(&entry.id),
                Ok(true) => found.forbids.push(&entry.id),
                Ok(false) => {}
                Err(error) => found.errors.push(Failed { policy: &entry.id, effect: entry.effect, error }),
            }
        };
        match self.by_action.get(sides.action.uid()) {
            Some(slice) => slice.visit(sides, &mut judge),
            // An action that nobody declared: it is laid out for this once.
            None => Slice::of(&self.entries, sides.action).visit(sides, &mut judge),
        }
        broken.map_or(Ok(found), Err)
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
            effect: match policy.effect() {
                ast::Effect::Permit => Effect::Permit,
                ast::Effect::Forbid => Effect::Forbid,
            },
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

/// Whether a scope matches, as far as finding its policy has not shown: whatever names an entity was found by that entity, which is the one
/// asked about or stands above it.
fn meets(uid: &EntityUID, constraint: &Constraint) -> bool {
    match constraint {
        Constraint::Any | Constraint::In(EntityReference::EUID(_)) => true,
        Constraint::Is(kind) | Constraint::IsIn(kind, EntityReference::EUID(_)) => *uid.entity_type() == **kind,
        Constraint::Eq(EntityReference::EUID(named)) => *uid == **named,
        Constraint::In(EntityReference::Slot(_))
        | Constraint::IsIn(_, EntityReference::Slot(_))
        | Constraint::Eq(EntityReference::Slot(_)) => false,
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

    fn visit(&self, sides: &Sides<'_>, judge: &mut impl FnMut(usize)) {
        self.any.visit(&sides.resource, judge);
        if self.named.is_empty() {
            return;
        }
        for uid in sides.principal.names() {
            if let Some(by_resource) = self.named.get(uid) {
                by_resource.visit(&sides.resource, judge);
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

impl<'a> Side<'a> {
    /// Itself and everything above it.
    fn names(&self) -> impl Iterator<Item = &'a EntityUID> {
        // An entity is not its own ancestor, whatever it was given as parents: it would be looked up twice.
        let (uid, above) = (self.uid, self.above);
        std::iter::once(uid).chain(above.into_iter().flatten().filter(move |above| *above != uid))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::str::FromStr as _;

    use cedar_policy_core::ast::{Context, EntityUIDEntry, PolicySet};
    use cedar_policy_core::authorizer::{AuthorizationError, Authorizer, Decision};
    use cedar_policy_core::entities::{Dereference, NoEntitiesSchema, TCComputation};
    use cedar_policy_core::parser::parse_policyset;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::super::ask::Reason;
    use super::super::judge::{ErringForbid, evaluate};
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

    fn by_slices(
        slices: &Slices,
        erring: ErringForbid,
        sides: &Sides<'_>,
        scene: impl Fn() -> Result<(Request, Entities), String>,
    ) -> (Answer, Reason) {
        let decided = evaluate(slices, erring, sides, scene);
        let mut errors: Vec<String> = decided.errors.iter().map(|error| format!("{}: {}", error.policy, error.message)).collect();
        errors.sort();
        let decision = if decided.reason == Reason::Permitted { Decision::Allow } else { Decision::Deny };
        ((decision, decided.policies, errors), decided.reason)
    }

    /// What Elevon makes of Cedar's answer: a forbid that failed might have been satisfied.
    fn stricter(set: &PolicySet, cedar: &Answer) -> (Answer, bool) {
        let (decision, reasons, errors) = cedar.clone();
        let forbids = |policy: &Policy| policy.effect() == ast::Effect::Forbid;
        let failed = |policy: &&Policy| errors.iter().any(|error| error.starts_with(&format!("{}: ", policy.id())));
        let forbidden = decision == Decision::Deny && !reasons.is_empty();
        if !forbidden && set.policies().filter(failed).any(forbids) {
            return ((Decision::Deny, Vec::new(), errors), true);
        }
        ((decision, reasons, errors), false)
    }

    fn compare(world: &World, met: &mut BTreeMap<&'static str, usize>) -> Result<(), TestCaseError> {
        let set = parse_policyset(&world.policies).unwrap();
        let entities = entities(world);
        let entity_of = |uid: &EntityUID| match entities.entity(uid) {
            Dereference::Data(entity) => Some(entity),
            Dereference::NoSuchEntity | Dereference::Residual(_) => None,
        };
        let above = |uid: &EntityUID| entity_of(uid).into_iter().flat_map(Entity::ancestors).cloned().collect::<Vec<_>>();
        let declared = actions().into_iter().map(|action| Arc::new(entity_of(action.uid()).unwrap().clone()));
        let slices = Slices::new(set.policies(), declared);
        for (principal, action, resource, flag) in &world.asked {
            let (principal, action, resource) = (uid(PRINCIPALS[*principal]), uid(ACTIONS[*action]), uid(RESOURCES[*resource]));
            let stranger = Entity::with_uid(action.clone());
            let (over_principal, over_resource) = (above(&principal), above(&resource));
            let (first, second) = over_principal.split_at(over_principal.len() / 2);
            let sides = Sides {
                principal: Side { uid: &principal, above: [first, second] },
                action: entity_of(&action).unwrap_or(&stranger),
                resource: Side { uid: &resource, above: [&over_resource, &[]] },
            };
            let ask = || request(&principal, &action, &resource, *flag);
            let cedar = by_cedar(&set, ask(), &entities);
            let scene = || Ok((ask(), entities.clone()));
            let (sliced, _) = by_slices(&slices, ErringForbid::IsSkipped, &sides, scene);
            prop_assert_eq!(&sliced, &cedar, "{} does {} to {} with {}", principal, action, resource, flag);
            let (strict, reason) = by_slices(&slices, ErringForbid::Denies, &sides, scene);
            let (expected, by_error) = stricter(&set, &cedar);
            prop_assert_eq!(&strict, &expected, "{} does {} to {} with {}", principal, action, resource, flag);
            prop_assert_eq!(reason == Reason::PolicyError, by_error);
            *met.entry(if cedar.0 == Decision::Allow { "allow" } else { "deny" }).or_default() += 1;
            *met.entry("reasons").or_default() += usize::from(!cedar.1.is_empty());
            *met.entry("errors").or_default() += usize::from(!cedar.2.is_empty());
            *met.entry("stricter").or_default() += usize::from(by_error);
            *met.entry("only stricter denies").or_default() += usize::from(by_error && cedar.0 == Decision::Allow);
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
        assert!(met.get("only stricter denies").copied().unwrap_or(0) > worlds as usize / 8, "{met:?}");
        for what in ["allow", "deny", "reasons", "errors", "stricter"] {
            assert!(met.get(what).copied().unwrap_or(0) > worlds as usize, "{what} in {met:?}");
        }
    }
}
