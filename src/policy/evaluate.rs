//! The one evaluator: who asks, what is asked about and what they stand below are put together as Cedar entities, and the policies decide.
//!
//! An active role is a parent of the principal for this one question, and so is every group, however far up; policies were validated to look
//! no further than one step, so nothing else of the graph has to be there. Nothing is parsed here that could have been parsed at load.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::{Context, Entity, EntityUID, EntityUIDEntry, PartialValue, Request, Value};
use cedar_policy_core::authorizer::Decision;
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::EvaluationError;
use cedar_policy_core::extensions::Extensions;
use serde_json::{Map, Value as Json};

use super::ask::{Ask, Effect, PolicyError, Reason, Verdict};
use super::bundle::Bundle;
use super::catalog::{ActionInfo, Catalog};
use super::policies::Policies;
use super::problem::nearest;
use super::slice::{Sides, Slices};
use super::value;
use crate::domain::facts::Facts;
use crate::domain::settings::UnknownRule;
use crate::domain::standing::{self, Holding, Memberships, Moment, Presence, Standing, Via, WhyNot};
use crate::domain::{RoleName, Uid, Unavailable};

/// Most entities that a context may name.
const MAX_CONTEXT_ENTITIES: usize = 100;

/// Attributes as Cedar's values.
pub(super) type Attrs = Vec<(String, Value)>;

/// Why attributes could not be handed to the policies.
enum Trouble {
    /// What is stored is not what the schema wants: the schema changed since.
    Stored(String),
    /// What was sent is not.
    Sent(String),
}

/// What the policies are evaluated on. The principal's entity is made last: which roles it is in, conditions decide.
pub(super) struct Scene<'a> {
    pub(super) subject: &'a Uid,
    pub(super) principal: EntityUID,
    /// The principal's attributes.
    pub(super) attrs: Attrs,
    pub(super) action: Arc<ActionInfo>,
    pub(super) resource: EntityUID,
    pub(super) context: Attrs,
    /// Every other entity of the question; the resource is among them, unless it is the principal.
    pub(super) others: Vec<Arc<Entity>>,
}

/// What the policies said.
pub(super) struct Decided {
    pub(super) reason: Reason,
    pub(super) policies: Vec<String>,
    pub(super) errors: Vec<PolicyError>,
}

impl Bundle {
    /// Decides a question over the facts as they stand at a moment.
    ///
    /// # Errors
    /// The facts cannot be read.
    pub fn check(&self, facts: &dyn Facts, ask: &Ask, moment: Moment) -> Result<Verdict, Unavailable> {
        let path = standing::path(facts, &ask.resource)?;
        let stands = standing::standing(facts, &ask.subject, Some(&path), moment)?;
        let mut verdict = self.undecided(stands, self.resource_presence(facts, &ask.resource)?, moment);
        let action = match self.applicable(ask, &verdict) {
            Ok(action) => action,
            Err((reason, detail)) => return Ok(verdict.denied(reason, detail)),
        };
        let context = match build_context(&action, &ask.context, moment) {
            Ok((context, dropped)) => {
                verdict.context_dropped = dropped;
                context
            }
            Err((reason, detail)) => return Ok(verdict.denied(reason, Some(detail))),
        };
        let scene = match self.scene(facts, ask, &path, &mut verdict, (action, context))? {
            Ok(scene) => scene,
            Err(Trouble::Sent(detail)) => return Ok(verdict.denied(Reason::ContextInvalid, Some(detail))),
            Err(Trouble::Stored(detail)) => return Ok(verdict.unfit(detail)),
        };
        self.conclude(facts, verdict, scene, moment)
    }

    /// A verdict that is still to be reached.
    pub(super) fn undecided(&self, stands: Standing, resource_presence: Presence, moment: Moment) -> Verdict {
        let untrusted = stands.holdings.iter().any(fails_for_the_clock);
        Verdict {
            allowed: false,
            reason: Reason::NoPermit,
            policies: Vec::new(),
            errors: Vec::new(),
            presence: stands.presence,
            resource_presence,
            memberships: stands.memberships,
            holdings: stands.holdings,
            valid_until: if untrusted { Some(moment.now) } else { stands.next_change },
            context_dropped: Vec::new(),
            detail: None,
            revision: self.revision().clone(),
        }
    }

    /// The action, where the question is one that the schema and what is known of its two sides allow.
    fn applicable(&self, ask: &Ask, verdict: &Verdict) -> Result<Arc<ActionInfo>, (Reason, Option<String>)> {
        match verdict.presence {
            Presence::Known | Presence::Unknown(UnknownRule::Evaluate) => {}
            Presence::Disabled => return Err((Reason::PrincipalDisabled, None)),
            Presence::Unknown(UnknownRule::Deny) => return Err((Reason::UnknownPrincipal, None)),
        }
        let Some(action) = self.catalog().action(&ask.action) else {
            let names = self.catalog().action_names();
            let meant = nearest(&ask.action, names.iter().map(String::as_str)).map(|name| format!("; did you mean `{name}`?"));
            let detail = format!("the schema has no action `{}`{}", ask.action, meant.unwrap_or_default());
            return Err((Reason::UnknownAction, Some(detail)));
        };
        if !action.principals.contains(ask.subject.kind()) || !action.resources.contains(ask.resource.kind()) {
            let (subject, resource) = (ask.subject.kind(), ask.resource.kind());
            let detail = format!("the schema does not apply `{}` to a {subject} and a {resource}", ask.action);
            return Err((Reason::NotApplicable, Some(detail)));
        }
        match verdict.resource_presence {
            // what is disabled can do nothing; that something is done to it is for the policies to say
            Presence::Known | Presence::Disabled | Presence::Unknown(UnknownRule::Evaluate) => Ok(Arc::clone(action)),
            Presence::Unknown(UnknownRule::Deny) => Err((Reason::UnknownResource, None)),
        }
    }

    fn resource_presence(&self, facts: &dyn Facts, resource: &Uid) -> Result<Presence, Unavailable> {
        let definitions = facts.definitions();
        let known = |known: bool| if known { Presence::Known } else { Presence::Unknown(UnknownRule::Deny) };
        if resource.kind() == definitions.role_type {
            return Ok(known(definitions.roles.keys().any(|role| role.as_str() == resource.id())));
        }
        if Catalog::is_own(resource.kind()) {
            // grants and activations are made for Elevon's own questions only
            return Ok(known(resource.kind().ends_with("::SubjectKind") || resource.to_string() == "Elevon::Sidecar::\"self\""));
        }
        standing::presence(facts, resource)
    }

    fn scene<'a>(
        &self,
        facts: &dyn Facts,
        ask: &'a Ask,
        path: &[Uid],
        verdict: &mut Verdict,
        (action, context): (Arc<ActionInfo>, Attrs),
    ) -> Result<Result<Scene<'a>, Trouble>, Unavailable> {
        let (Some(principal), Some(resource)) = (self.catalog().entity(&ask.subject), self.catalog().entity(&ask.resource)) else {
            return Ok(Err(Trouble::Sent("the schema has no such type".to_owned())));
        };
        let mut others = Vec::with_capacity(2);
        let (subject_properties, resource_properties) = (&ask.subject_properties, &ask.resource_properties);
        let attrs = match self.attributes(facts, &ask.subject, subject_properties)? {
            Ok(attrs) => attrs,
            Err(trouble) => return Ok(Err(trouble)),
        };
        self.note_dropped("subject", &ask.subject, subject_properties, verdict);
        self.note_dropped("resource", &ask.resource, resource_properties, verdict);
        if ask.subject != ask.resource {
            let attrs = match self.attributes(facts, &ask.resource, resource_properties)? {
                Ok(attrs) => attrs,
                Err(trouble) => return Ok(Err(trouble)),
            };
            others.push(Arc::new(self.plain_entity(resource.clone(), attrs, path.get(1..).unwrap_or_default())));
        }
        if let Err(trouble) = self.add_context_entities(facts, &context, [&principal, &resource], &mut others)? {
            return Ok(Err(trouble));
        }
        Ok(Ok(Scene { subject: &ask.subject, principal, attrs, action, resource, context, others }))
    }

    fn note_dropped(&self, side: &str, uid: &Uid, properties: &Map<String, Json>, verdict: &mut Verdict) {
        let marked = self.catalog().types.get(uid.kind()).map(|info| &info.from_request);
        let dropped = properties.keys().filter(|name| !marked.is_some_and(|marked| marked.contains(name.as_str())));
        verdict.context_dropped.extend(dropped.map(|name| format!("{side}.{name}")));
        verdict.context_dropped.sort();
    }

    /// What is stored of an entity, and what the request may add to it. What is stored wins.
    fn attributes(&self, facts: &dyn Facts, uid: &Uid, properties: &Map<String, Json>) -> Result<Result<Attrs, Trouble>, Unavailable> {
        let Some(info) = self.catalog().types.get(uid.kind()) else { return Ok(Ok(Vec::new())) };
        let mut attrs: Attrs = Vec::new();
        if let Some(ready) = self.ready_entity(uid) {
            let known = |(name, value): (&_, &PartialValue)| match value {
                PartialValue::Value(value) => Some((ToString::to_string(name), value.clone())),
                PartialValue::Residual(_) => None,
            };
            attrs.extend(ready.attrs().filter_map(|(name, value)| known((name, value))));
        } else if let Some(def) = standing::definition(facts, uid)?.filter(|def| !def.attrs.is_empty()) {
            for (name, json) in def.attrs.to_map() {
                // no policy can read what the schema does not declare
                let Some(slot) = info.attrs.get(&name) else { continue };
                match value::from_json(json, &slot.ty) {
                    Ok(value) => attrs.push((name, value)),
                    Err(error) => {
                        let detail = format!("the stored attribute `{name}` of {uid} is not as the schema wants it: {error}");
                        return Ok(Err(Trouble::Stored(detail)));
                    }
                }
            }
        }
        for (name, json) in properties {
            let wanted = info.from_request.contains(name) && !attrs.iter().any(|(stored, _)| stored == name);
            let Some(slot) = info.attrs.get(name).filter(|_| wanted) else { continue };
            match value::from_json(json.clone(), &slot.ty) {
                Ok(value) => attrs.push((name.clone(), value)),
                Err(error) => {
                    return Ok(Err(Trouble::Sent(format!("the property `{name}` of {uid} is not as the schema wants it: {error}"))));
                }
            }
        }
        Ok(Ok(attrs))
    }

    /// The principal with its groups and the roles it holds, and with its holdings as tags where its type has them.
    fn principal_entity(
        &self,
        facts: &dyn Facts,
        uid: &Uid,
        name: EntityUID,
        attrs: Attrs,
        verdict: &Verdict,
    ) -> Result<Entity, Unavailable> {
        let in_force = verdict.holdings.iter().filter(|holding| holding.counts.is_ok());
        let roles: HashSet<&RoleName> = in_force.map(|holding| &holding.role).collect();
        let mut parents: HashSet<EntityUID> = self.groups_of(&verdict.memberships).iter().cloned().collect();
        parents.extend(roles.iter().filter_map(|role| self.role_entity(role)));
        let mut tags = Vec::new();
        if self.policies().reads_tags && self.catalog().types.get(uid.kind()).is_some_and(|info| info.tagged) {
            for role in roles {
                if let Some(holding) = standing::shown(&verdict.holdings, role) {
                    tags.push((role.as_str().into(), PartialValue::Value(holding_value(facts, holding)?)));
                }
            }
        }
        let attrs = attrs.into_iter().map(|(name, value)| (name.into(), PartialValue::Value(value)));
        Ok(Entity::new_with_attr_partial_value(name, attrs, HashSet::new(), parents, tags))
    }

    /// The groups of a principal that some policy or condition could tell it by, as Cedar's names: made once for as long as the memberships are kept.
    fn groups_of(&self, memberships: &Memberships) -> Arc<Vec<EntityUID>> {
        let make = || {
            let names = memberships.groups.iter().filter_map(|group| self.catalog().entity(group));
            let makes_a_difference = |name: &EntityUID| self.policies().may_name(name) || self.conditions().may_name(name);
            Arc::new(names.filter(makes_a_difference).collect::<Vec<_>>())
        };
        let prepared: &Arc<dyn Any + Send + Sync> = memberships.prepared.get_or_init(|| make());
        Arc::clone(prepared).downcast().unwrap_or_else(|_| make())
    }

    /// An entity below others.
    pub(super) fn plain_entity(&self, name: EntityUID, attrs: Attrs, above: &[Uid]) -> Entity {
        entity_below(name, attrs, above.iter().filter_map(|uid| self.catalog().entity(uid)).collect())
    }

    /// The entity of a stored resource or of one that nobody stored, for Elevon's own questions.
    pub(super) fn known_entity(&self, facts: &dyn Facts, uid: &Uid, above: &[Uid]) -> Result<Result<Entity, String>, Unavailable> {
        let Some(name) = self.catalog().entity(uid) else { return Ok(Err(format!("the schema has no type `{}`", uid.kind()))) };
        Ok(match self.attributes(facts, uid, &Map::new())? {
            Ok(attrs) => Ok(self.plain_entity(name, attrs, above)),
            Err(Trouble::Stored(detail) | Trouble::Sent(detail)) => Err(detail),
        })
    }

    fn add_context_entities(
        &self,
        facts: &dyn Facts,
        context: &Attrs,
        there: [&EntityUID; 2],
        others: &mut Vec<Arc<Entity>>,
    ) -> Result<Result<(), Trouble>, Unavailable> {
        let mut named = Vec::new();
        context.iter().for_each(|(_, value)| value::entities_in(value, &mut named));
        named.sort();
        named.dedup();
        if named.len() > MAX_CONTEXT_ENTITIES {
            return Ok(Err(Trouble::Sent(format!("the context names more than {MAX_CONTEXT_ENTITIES} entities"))));
        }
        for name in named.into_iter().filter(|name| !there.contains(&name)) {
            let Some(uid) = value::to_uid(&name) else { continue };
            if standing::definition(facts, &uid)?.is_none() {
                continue;
            }
            let above = standing::ancestors(facts, &uid)?;
            match self.attributes(facts, &uid, &Map::new())? {
                Ok(attrs) => others.push(Arc::new(self.plain_entity(name, attrs, &above))),
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        Ok(Ok(()))
    }

    /// Lets conditions say which holdings count and then the policies decide, and completes the verdict.
    pub(super) fn conclude(
        &self,
        facts: &dyn Facts,
        mut verdict: Verdict,
        scene: Scene<'_>,
        moment: Moment,
    ) -> Result<Verdict, Unavailable> {
        let Scene { subject, principal, attrs, action, resource, context, mut others } = scene;
        others.push(Arc::clone(&action.entity));
        let request = Request::new_unchecked(
            EntityUIDEntry::known(principal.clone(), None),
            EntityUIDEntry::known(action.uid.clone(), None),
            EntityUIDEntry::known(resource.clone(), None),
            Some(Context::Value(Arc::new(context.into_iter().map(|(name, value)| (name.into(), value)).collect()))),
        );
        let sides = Sides { principal: &principal, action: &action.entity, resource: &resource };
        let mut reads_now = action.reads_now;
        for role in self.conditioned(&verdict.holdings) {
            let Some((policies, slices)) = self.conditions().of(&role) else { continue };
            reads_now |= policies.read_now_for(&action.entity);
            // as if no role were held: with groups and attributes, without roles and tags
            let groups = self.groups_of(&verdict.memberships).iter().cloned().collect();
            let bare = Arc::new(entity_below(principal.clone(), attrs.clone(), groups));
            let decided = evaluate(policies, slices, &sides, request.clone(), others.iter().cloned().chain([bare]));
            let Some(because) = unmet(&decided) else { continue };
            for holding in verdict.holdings.iter_mut().filter(|holding| holding.counts.is_ok() && holding.role == role) {
                holding.counts = Err(WhyNot::ConditionsNotMet { role: role.clone(), because: because.clone() });
            }
        }
        if action.takes_now && reads_now {
            verdict.valid_until = Some(moment.now);
        }
        let whole = Arc::new(self.principal_entity(facts, subject, principal.clone(), attrs, &verdict)?);
        let decided = evaluate(self.policies(), self.slices(), &sides, request, others.into_iter().chain([whole]));
        verdict.allowed = decided.reason == Reason::Permitted;
        let waits_for_the_clock = decided.reason == Reason::NoPermit && verdict.holdings.iter().any(fails_for_the_clock);
        verdict.reason = if waits_for_the_clock { Reason::TimeUntrusted } else { decided.reason };
        verdict.policies = decided.policies;
        verdict.errors = decided.errors;
        Ok(verdict)
    }

    /// Whether a role decided: what is allowed is allowed by a policy that names it. Another policy may have allowed it, too.
    #[must_use]
    pub fn decided_by(&self, verdict: &Verdict, role: &RoleName) -> bool {
        let Some(name) = self.role_entity(role) else { return false };
        verdict.allowed && verdict.policies.iter().any(|policy| self.policies().permits_by(policy, &name))
    }

    /// The roles that are in force through some holding and have conditions, each once.
    fn conditioned(&self, holdings: &[Holding]) -> Vec<RoleName> {
        if self.conditions().is_empty() {
            return Vec::new();
        }
        let in_force = holdings.iter().filter(|holding| holding.counts.is_ok() && self.has_conditions(&holding.role));
        let mut roles: Vec<RoleName> = in_force.map(|holding| holding.role.clone()).collect();
        roles.sort();
        roles.dedup();
        roles
    }
}

fn entity_below(name: EntityUID, attrs: Attrs, parents: HashSet<EntityUID>) -> Entity {
    let attrs = attrs.into_iter().map(|(name, value)| (name.into(), PartialValue::Value(value)));
    Entity::new_with_attr_partial_value(name, attrs, HashSet::new(), parents, [])
}

/// Evaluates policies. All that is asked of Cedar at check time is asked here.
fn evaluate(
    policies: &Policies,
    slices: &Slices,
    sides: &Sides<'_>,
    request: Request,
    entities: impl Iterator<Item = Arc<Entity>>,
) -> Decided {
    let failed = |message: String| Decided {
        reason: Reason::PolicyError,
        policies: Vec::new(),
        errors: vec![PolicyError { policy: "the question".to_owned(), effect: Effect::Forbid, message }],
    };
    // every ancestor was put in as a parent, so there is no closure to compute
    let assumed = TCComputation::AssumeAlreadyComputed;
    let entities = match Entities::new().add_entities(entities, None::<&NoEntitiesSchema>, assumed, Extensions::all_available()) {
        Ok(entities) => entities,
        Err(error) => return failed(error.to_string()),
    };
    let found = slices.evaluate(sides, request, &entities);
    let error = |(policy, error): (&str, Box<EvaluationError>)| {
        let effect = policies.effect(policy);
        PolicyError { policy: policy.to_owned(), effect, message: error.to_string() }
    };
    let mut errors: Vec<PolicyError> = found.errors.into_iter().map(error).collect();
    errors.sort_by(|one, other| one.policy.cmp(&other.policy));
    let (decision, reasons) = decide(found.permits, found.forbids);
    let mut policies: Vec<String> = reasons.into_iter().map(str::to_owned).collect();
    policies.sort();
    let reason = combine(decision, !policies.is_empty(), &errors);
    if reason == Reason::PolicyError {
        // a permit that was satisfied did not decide this
        policies.clear();
    }
    Decided { reason, policies, errors }
}

/// How satisfied policies combine: any `forbid` denies, and else any `permit` allows. The policies that decided come with it.
pub(super) fn decide<'a>(permits: Vec<&'a str>, forbids: Vec<&'a str>) -> (Decision, Vec<&'a str>) {
    if !forbids.is_empty() {
        (Decision::Deny, forbids)
    } else if !permits.is_empty() {
        (Decision::Allow, permits)
    } else {
        (Decision::Deny, Vec::new())
    }
}

/// Why conditions do not hold, where they do not: they hold only where one permits, none forbids, and none that could have forbidden failed.
fn unmet(decided: &Decided) -> Option<String> {
    if decided.reason == Reason::Permitted {
        return None;
    }
    let mut causes = decided.policies.iter().map(|id| format!("`{id}` forbids it")).collect::<Vec<_>>();
    if causes.is_empty() && decided.errors.is_empty() {
        return Some("none of them permits it".to_owned());
    }
    causes.extend(decided.errors.iter().map(|error| format!("`{}` failed: {}", error.policy, error.message)));
    Some(causes.join("; "))
}

/// Whether a policy that forbids and fails to evaluate denies. Cedar skips it, which would turn a deny into an allow.
const AN_ERRING_FORBID_DENIES: bool = true;

/// What Cedar's answer comes to.
fn combine(decision: Decision, any_decided: bool, errors: &[PolicyError]) -> Reason {
    let erring_forbid = AN_ERRING_FORBID_DENIES && errors.iter().any(|error| error.effect == Effect::Forbid);
    match (decision, any_decided, erring_forbid) {
        // a forbid was satisfied: that decides, whatever else failed
        (Decision::Deny, true, _) => Reason::Forbidden,
        // a forbid that could not be evaluated might have been satisfied
        (Decision::Allow, _, true) | (Decision::Deny, false, true) => Reason::PolicyError,
        // a permit was satisfied and no forbid was
        (Decision::Allow, _, false) => Reason::Permitted,
        // nothing was satisfied
        (Decision::Deny, false, false) => Reason::NoPermit,
    }
}

impl Verdict {
    /// Denied before any policy was asked.
    pub(super) fn denied(mut self, reason: Reason, detail: Option<String>) -> Self {
        self.allowed = false;
        self.reason = reason;
        self.detail = detail;
        self
    }

    /// Denied because what is stored cannot be shown to the policies: leaving it out could hide what a policy forbids.
    pub(super) fn unfit(mut self, detail: String) -> Self {
        self.errors.push(PolicyError { policy: "the schema".to_owned(), effect: Effect::Forbid, message: detail.clone() });
        self.denied(Reason::PolicyError, Some(detail))
    }
}

fn fails_for_the_clock(holding: &Holding) -> bool {
    holding.counts == Err(WhyNot::TimeUntrusted)
}

/// A holding as a tag shows it.
fn holding_value(facts: &dyn Facts, holding: &Holding) -> Result<Value, Unavailable> {
    let (via, id) = match &holding.via {
        Via::Activation(id) => ("activation", id.as_str()),
        Via::Assignment(id) => ("assignment", id.as_str()),
    };
    let text = |digest| Ok::<_, Unavailable>(facts.text(digest)?.map(|text| value::text(&text.value)));
    let (ticket, system) = match &holding.ticket {
        Some(ticket) => (text(&ticket.number)?, text(&ticket.system)?),
        None => (None, None),
    };
    Ok(value::record([
        ("id", Some(value::text(id))),
        ("via", Some(value::text(via))),
        ("approvals", Some(Value::from(i64::from(holding.approvals)))),
        ("emergency", Some(Value::from(holding.emergency))),
        ("ticket", ticket),
        ("ticket_system", system),
        ("start", value::datetime(holding.start)),
        ("end", holding.end.and_then(value::datetime)),
        ("scope_type", holding.scope.as_ref().map(|scope| value::text(scope.kind()))),
        ("scope_id", holding.scope.as_ref().map(|scope| value::text(scope.id()))),
    ]))
}

/// The context as the action's schema wants it, and the names of what was dropped.
fn build_context(action: &ActionInfo, sent: &Map<String, Json>, moment: Moment) -> Result<(Attrs, Vec<String>), (Reason, String)> {
    let mut context: Attrs = Vec::with_capacity(action.context.len());
    let mut dropped: Vec<String> = Vec::new();
    for (name, json) in sent {
        match action.context.get(name).filter(|_| name != "now") {
            None => dropped.push(name.clone()),
            Some(slot) => match value::from_json(json.clone(), &slot.ty) {
                Ok(value) => context.push((name.clone(), value)),
                Err(error) => {
                    return Err((Reason::ContextInvalid, format!("the context's `{name}` is not as the schema wants it: {error}")));
                }
            },
        }
    }
    if action.takes_now {
        let now = value::datetime(moment.now).ok_or((Reason::ContextInvalid, format!("{} is no instant for Cedar", moment.now)))?;
        context.push(("now".to_owned(), now));
    }
    let required = action.context.iter().filter(|(_, slot)| slot.required).map(|(name, _)| name);
    let missing: Vec<&str> = required.filter(|name| !context.iter().any(|(there, _)| there == *name)).map(String::as_str).collect();
    if missing.is_empty() {
        dropped.sort();
        Ok((context, dropped))
    } else {
        Err((Reason::ContextMissing, format!("the action needs `{}` in its context", missing.join("`, `"))))
    }
}
