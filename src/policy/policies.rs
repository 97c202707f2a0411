//! `*.cedar`: parsed file by file, named, and strictly validated as one set.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning, Validator};
use cedar_policy_core::ast::{self, BinaryOp, Expr, ExprKind, Literal, Var};
use cedar_policy_core::parser::Loc;
use miette::Diagnostic as _;

use super::ask::Effect;
use super::problem::{Problem, Problems};
use super::value::Shared;

/// How far policies may follow attributes of entities: with one step, only the entities of the question itself have to be there.
const MAX_LEVEL: u32 = 1;

/// A policy and where it stands.
struct Placed {
    file: String,
    span: Range<usize>,
}

/// What a policy writes out.
#[derive(Default)]
struct Names {
    entities: HashSet<ast::EntityUID>,
    tags: HashSet<String>,
}

/// All policies of a bundle.
pub(super) struct Policies {
    pub(super) set: PolicySet,
    effects: HashMap<String, Effect>,
    places: HashMap<String, Placed>,
    /// Tags that policies look at by name, and whether some policy looks at one whose name it makes.
    tags: HashSet<String>,
    reads_any_tag: bool,
    /// Policies that read `context.now`, and those that read `context.beneficiary`.
    time_readers: Vec<Policy>,
    beneficiary_readers: Vec<Policy>,
    /// Every entity that a policy writes out.
    named: HashSet<ast::EntityUID>,
    /// The same for each policy that permits, with the texts that it may ask for as tags.
    permits_name: HashMap<String, Names>,
    /// Whether some policy asks `in` of an entity that it does not write out, so that any could be meant.
    asks_in_any: bool,
}

impl Policies {
    /// Whether a policy that permits names a role: by its entity, or by its tag.
    pub(super) fn permits_by(&self, id: &str, role: &ast::EntityUID) -> bool {
        let tag: &str = role.eid().as_ref();
        self.permits_name.get(id).is_some_and(|names| names.entities.contains(role) || names.tags.contains(tag))
    }

    /// Whether it can make a difference to some policy that something stands below this entity.
    pub(super) fn may_name(&self, uid: &ast::EntityUID) -> bool {
        self.asks_in_any || self.named.contains(uid)
    }

    /// Whether some policy may look at a tag.
    pub(super) fn read_tag(&self, name: &str) -> bool {
        self.reads_any_tag || self.tags.contains(name)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.effects.len()
    }

    /// The ids of all policies, sorted.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.effects.keys().map(String::as_str).collect()
    }

    /// Whether any policy permits.
    pub(super) fn permits(&self) -> bool {
        self.effects.values().any(|effect| *effect == Effect::Permit)
    }

    /// Where policies name an entity type, or an entity of it.
    pub(super) fn mentions_of(&self, kind: &str) -> Vec<Range<usize>> {
        let is_one = |ty: &ast::EntityType| ty.to_string() == kind;
        self.where_some(|expr| {
            matches!(expr.expr_kind(), ExprKind::Lit(Literal::EntityUID(uid)) if is_one(uid.entity_type()))
                || matches!(expr.expr_kind(), ExprKind::Is { entity_type, .. } if is_one(entity_type))
        })
    }

    /// Where policies look at tags.
    pub(super) fn uses_of_tags(&self) -> Vec<Range<usize>> {
        self.where_some(looks_at_tags)
    }

    /// The places of expressions of a kind, the scopes of policies included; the policy itself, where an expression has no place.
    fn where_some(&self, is_one: impl Fn(&Expr) -> bool) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for policy in self.set.policies() {
            let inner: &ast::Policy = policy.as_ref();
            let whole = inner.condition();
            let places = whole.subexpressions().filter(|expr| is_one(expr)).map(|expr| match (expr.source_loc(), expr.expr_kind()) {
                (Some(loc), _) => span_of(Some(loc)),
                (None, ExprKind::Lit(Literal::EntityUID(uid))) if uid.loc().is_some() => span_of(uid.loc()),
                (None, _) => place_of(policy),
            });
            found.extend(places);
        }
        found.sort_by_key(|span| (span.start, span.end));
        found.dedup();
        found
    }

    /// Forgets the places of policies in their files, once problems have been shown. Every evaluation would count references to them, and
    /// threads on one bundle would wait for each other's counts.
    pub(super) fn strip_places(&mut self) {
        if let Some(set) = without_places(&self.set) {
            self.set = set;
        }
    }

    /// Whether a policy that could apply to this action reads `context.now`.
    pub(super) fn read_now_for(&self, action: &ast::Entity) -> bool {
        any_for(&self.time_readers, action)
    }

    /// Whether a policy that could apply to this action reads `context.beneficiary`.
    pub(super) fn read_beneficiary_for(&self, action: &ast::Entity) -> bool {
        any_for(&self.beneficiary_readers, action)
    }
}

/// Whether one of these policies could apply to an action.
fn any_for(policies: &[Policy], action: &ast::Entity) -> bool {
    policies.iter().any(|policy| {
        let inner: &ast::Policy = policy.as_ref();
        let is_or_in = |uid: &ast::EntityUID| uid == action.uid() || action.is_descendant_of(uid);
        match inner.action_constraint() {
            ast::ActionConstraint::Any => true,
            ast::ActionConstraint::In(uids) => uids.iter().any(|uid| is_or_in(uid)),
            ast::ActionConstraint::Eq(uid) => **uid == *action.uid(),
        }
    })
}

/// The same policies without their places in files; nothing, where they have no other form than their text.
pub(super) fn without_places(set: &PolicySet) -> Option<PolicySet> {
    set.clone().to_json().and_then(PolicySet::from_json_value).ok()
}

/// Parses all files. What cannot be parsed is among the problems, and missing from the set.
pub(super) fn parse<'a>(files: impl Iterator<Item = (&'a String, &'a Shared)>, problems: &mut Problems) -> Policies {
    let mut policies = Policies {
        set: PolicySet::new(),
        effects: HashMap::new(),
        places: HashMap::new(),
        tags: HashSet::new(),
        reads_any_tag: false,
        time_readers: Vec::new(),
        beneficiary_readers: Vec::new(),
        named: HashSet::new(),
        permits_name: HashMap::new(),
        asks_in_any: false,
    };
    let mut texts: BTreeMap<&str, &Shared> = BTreeMap::new();
    for (file, text) in files {
        texts.insert(file, text);
        match PolicySet::from_str(text) {
            Err(errors) => errors.iter().for_each(|error| problems.push_cedar(file, text, error)),
            Ok(set) => {
                for template in set.templates() {
                    let inner: &ast::Template = template.as_ref();
                    let message = "templates are not taken: roles that are active take their place";
                    let problem = Problem::at(file, text, span_of(inner.loc()), message);
                    problems.push(problem.help("write the principal or resource out, or `principal in Role::\"…\"`"));
                }
                let mut found: Vec<&Policy> = set.policies().collect();
                found.sort_by_key(|policy| place_of(policy).start);
                for (nth, policy) in found.into_iter().enumerate() {
                    add(&mut policies, &texts, file, nth + 1, policy, problems);
                }
            }
        }
    }
    policies
}

fn span_of(loc: Option<&Loc>) -> Range<usize> {
    loc.map_or(0..0, |loc| loc.start()..loc.end())
}

fn place_of(policy: &Policy) -> Range<usize> {
    let inner: &ast::Policy = policy.as_ref();
    span_of(inner.loc())
}

fn add(policies: &mut Policies, texts: &BTreeMap<&str, &Shared>, file: &str, number: usize, policy: &Policy, problems: &mut Problems) {
    let text = texts.get(file).map(|text| text.as_ref()).unwrap_or_default();
    let span = place_of(policy);
    let id = match policy.annotation("id") {
        Some("") => {
            problems.push(Problem::at(file, text, span, "the policy's `@id` is empty").help("write `@id(\"…\")`, or leave it out"));
            return;
        }
        Some(id) => id.to_owned(),
        None => format!("{file}#{number}"),
    };
    if let Some(first) = policies.places.get(&id) {
        let first_text = texts.get(first.file.as_str()).map(|text| text.as_ref()).unwrap_or_default();
        let at = Problem::at(&first.file, first_text, first.span.clone(), "");
        let place = format!("{}:{}:{}", first.file, at.line.unwrap_or(1), at.column.unwrap_or(1));
        let problem = Problem::at(file, text, span, format!("there are two policies with the id `{id}`"));
        problems.push(problem.help(format!("the other one is at {place}; rename one of them")));
        return;
    }
    let policy = policy.new_id(PolicyId::new(&id));
    let effect = match policy.effect() {
        cedar_policy::Effect::Permit => Effect::Permit,
        cedar_policy::Effect::Forbid => Effect::Forbid,
    };
    let inner: &ast::Policy = policy.as_ref();
    if let Some(condition) = inner.non_scope_constraints() {
        for part in condition.subexpressions().filter(|part| looks_at_tags(part)) {
            if let ExprKind::BinaryApp { arg2, .. } = part.expr_kind()
                && let ExprKind::Lit(Literal::String(name)) = arg2.expr_kind()
            {
                policies.tags.insert(name.to_string());
            } else {
                policies.reads_any_tag = true;
            }
        }
        if reads(condition, "now") {
            policies.time_readers.push(policy.clone());
        }
        if reads(condition, "beneficiary") {
            policies.beneficiary_readers.push(policy.clone());
        }
    }
    let (whole, mut names) = (inner.condition(), Names::default());
    let tagged = whole.subexpressions().any(looks_at_tags);
    for part in whole.subexpressions() {
        if let ExprKind::Lit(Literal::EntityUID(uid)) = part.expr_kind() {
            policies.named.insert((**uid).clone());
            names.entities.insert((**uid).clone());
        } else if let ExprKind::Lit(Literal::String(text)) = part.expr_kind() {
            if tagged {
                names.tags.insert(text.to_string());
            }
        } else if let ExprKind::BinaryApp { op: BinaryOp::In, arg2, .. } = part.expr_kind() {
            policies.asks_in_any |= !is_written_out(arg2);
        }
    }
    if effect == Effect::Permit {
        policies.permits_name.insert(id.clone(), names);
    }
    if let Err(error) = policies.set.add(policy) {
        problems.push(Problem::at(file, text, span, error.to_string()));
        return;
    }
    policies.effects.insert(id.clone(), effect);
    policies.places.insert(id, Placed { file: file.to_owned(), span });
}

/// Whether an expression is an entity, or a set of entities, that stands there itself.
fn is_written_out(expr: &Expr) -> bool {
    let entity = |expr: &Expr| matches!(expr.expr_kind(), ExprKind::Lit(Literal::EntityUID(_)));
    if let ExprKind::Set(items) = expr.expr_kind() { items.iter().all(entity) } else { entity(expr) }
}

fn looks_at_tags(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::BinaryApp { op: BinaryOp::GetTag | BinaryOp::HasTag, .. })
}

/// Whether a condition reads this member of the context, or the context as a whole.
fn reads(condition: &Expr, member: &str) -> bool {
    let is_context = |expr: &Expr| matches!(expr.expr_kind(), ExprKind::Var(Var::Context));
    let mentions = condition.subexpressions().filter(|expr| is_context(expr)).count();
    let harmless = condition.subexpressions().filter(|expr| {
        matches!(expr.expr_kind(), ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } if is_context(expr) && attr != member)
    });
    mentions > harmless.count()
}

/// An error of Cedar's: whether it comes without help, its text, and itself.
type Found<'a> = (bool, String, &'a ValidationError);

/// Most errors that are shown for one place: an attribute can be missing on every type that an open scope lets in.
const SHOWN_AT_ONE_PLACE: usize = 2;

/// Validates strictly. Policies that can never apply are errors, too; lesser warnings are handed back.
pub(super) fn validate(policies: &Policies, schema: &Schema, texts: &BTreeMap<String, Shared>, problems: &mut Problems) -> Vec<String> {
    let result = Validator::new(schema.clone()).validate_with_level(&policies.set, ValidationMode::Strict, MAX_LEVEL);
    let place = |id: &PolicyId| {
        let id: &str = id.as_ref();
        let placed = policies.places.get(id)?;
        Some((placed, texts.get(&placed.file).map(Arc::as_ref).unwrap_or_default()))
    };
    // Cedar goes through types in no order; people want to read from top to bottom, and the same thing every time
    let mut found: BTreeMap<(&str, usize), Vec<Found<'_>>> = BTreeMap::new();
    for error in result.validation_errors() {
        let Some((placed, _)) = place(error.policy_id()) else {
            problems.push(Problem::general(error.to_string()));
            continue;
        };
        let at = error.labels().and_then(|mut labels| labels.next()).map_or(placed.span.start, |label| label.offset());
        found.entry((&placed.file, at)).or_default().push((error.help().is_none(), error.to_string(), error));
    }
    let mut wrong: BTreeSet<&PolicyId> = BTreeSet::new();
    for mut here in found.into_values() {
        here.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        for (_, _, error) in here.into_iter().take(SHOWN_AT_ONE_PLACE) {
            wrong.insert(error.policy_id());
            if let Some((placed, text)) = place(error.policy_id()) {
                problems.push_cedar(&placed.file, text, error);
            }
        }
    }
    let mut warnings = Vec::new();
    for warning in result.validation_warnings() {
        let Some((placed, text)) = place(warning.policy_id()) else { continue };
        let span = warning.labels().and_then(|mut labels| labels.next());
        let span = span.map_or_else(|| placed.span.clone(), |label| label.offset()..label.offset() + label.len());
        match warning {
            // one reason why a policy is wrong is enough
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                if wrong.insert(warning.policy_id()) {
                    let help = "no question that the schema allows can match it; check the types of its principal, action and resource";
                    let message = format!("the policy can never apply: {warning}");
                    problems.push(Problem::at(&placed.file, text, span, message).help(help));
                }
            }
            ValidationWarning::MixedScriptString(_)
            | ValidationWarning::BidiCharsInString(_)
            | ValidationWarning::BidiCharsInIdentifier(_)
            | ValidationWarning::MixedScriptIdentifier(_)
            | ValidationWarning::ConfusableIdentifier(_) => warnings.push(one_line(&placed.file, text, span, warning)),
            // Cedar may add kinds of warnings; a new one is shown and stops nothing
            _ => warnings.push(one_line(&placed.file, text, span, warning)),
        }
    }
    warnings.sort();
    warnings
}

fn one_line(file: &str, text: &str, span: Range<usize>, warning: &ValidationWarning) -> String {
    let at = Problem::at(file, text, span, "");
    format!("{file}:{}:{}: {warning}", at.line.unwrap_or(1), at.column.unwrap_or(1))
}
