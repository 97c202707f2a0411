//! The one evaluator: who asks, what is asked about and what they stand below are put together as Cedar entities, and the policies decide.
//!
//! An active role is a parent of the principal for this one question, and so is every group, however far up; policies were validated to look
//! no further than one step, so nothing else of the graph has to be there. Nothing is parsed here that could have been parsed at load.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::{Context, Entity, EntityUID, EntityUIDEntry, Request, Value};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use serde_json::{Map, Value as Json};

use super::ask::{Ask, Effect, PolicyError, Reason, Verdict};
use super::bundle::Bundle;
use super::catalog::{ActionInfo, Catalog};
use super::judge::{Decided, ErringForbid, evaluate};
use super::prepared::Attrs;
use super::problem::nearest;
use super::slice::{Side, Sides};
use super::value;
use crate::domain::facts::Facts;
use crate::domain::settings::UnknownRule;
use crate::domain::standing::{self, Holding, Memberships, Moment, Presence, Standing, Via, WhyNot};
use crate::domain::{Revision, RoleName, Timestamp, Uid, Unavailable};

/// Most entities that a context may name.
const MAX_CONTEXT_ENTITIES: usize = 100;

/// Why attributes could not be handed to the policies.
enum Trouble {
    /// What is stored is not what the schema wants: the schema changed since.
    Stored(String),
    /// What was sent is not.
    Sent(String),
}

/// The context as Cedar's values.
#[derive(Default)]
pub(super) struct Told {
    pub(super) members: Vec<(String, Value)>,
    /// What `now` is, where the action takes it.
    pub(super) now: Option<Timestamp>,
}

/// What the policies are evaluated on. Which roles the principal is in is not said yet: conditions decide that.
pub(super) struct Scene<'a> {
    pub(super) subject: &'a Uid,
    pub(super) principal: EntityUID,
    pub(super) attrs: Attrs,
    pub(super) action: Arc<ActionInfo>,
    pub(super) resource: Thing<'a>,
    pub(super) context: Told,
    /// The entities that the context names.
    pub(super) others: Vec<Arc<Entity>>,
}

/// What would be acted on.
pub(super) enum Thing<'a> {
    /// The principal itself.
    Principal,
    /// Something else, with everything above it.
    Other { name: EntityUID, attrs: Attrs, above: Cow<'a, [EntityUID]> },
}

impl Bundle {
    /// Decides a question over the facts as they stand at a moment.
    ///
    /// # Errors
    /// The facts cannot be read.
    pub fn check(&self, facts: &dyn Facts, ask: &Ask, moment: Moment) -> Result<Verdict, Unavailable> {
        let above = standing::memberships(facts, &ask.resource)?;
        let path = standing::path_through(&ask.resource, &above);
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
        let scene = match self.scene(facts, ask, &above, &mut verdict, (action, context))? {
            Ok(scene) => scene,
            Err(Trouble::Sent(detail)) => return Ok(verdict.denied(Reason::ContextInvalid, Some(detail))),
            Err(Trouble::Stored(detail)) => return Ok(verdict.unfit(detail)),
        };
        self.conclude(facts, verdict, &scene, moment)
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
        above: &'a Memberships,
        verdict: &mut Verdict,
        (action, context): (Arc<ActionInfo>, Told),
    ) -> Result<Result<Scene<'a>, Trouble>, Unavailable> {
        let (Some(principal), Some(name)) = (self.catalog().entity(&ask.subject), self.catalog().entity(&ask.resource)) else {
            return Ok(Err(Trouble::Sent("the schema has no such type".to_owned())));
        };
        let (subject_properties, resource_properties) = (&ask.subject_properties, &ask.resource_properties);
        let attrs = match self.attributes(facts, &ask.subject, subject_properties)? {
            Ok(attrs) => attrs,
            Err(trouble) => return Ok(Err(trouble)),
        };
        self.note_dropped("subject", &ask.subject, subject_properties, verdict);
        self.note_dropped("resource", &ask.resource, resource_properties, verdict);
        let others = match self.context_entities(facts, &context, [&principal, &name])? {
            Ok(others) => others,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let resource = if ask.subject == ask.resource {
            Thing::Principal
        } else {
            match self.attributes(facts, &ask.resource, resource_properties)? {
                Ok(attrs) => Thing::Other { name, attrs, above: self.names_of(above) },
                Err(trouble) => return Ok(Err(trouble)),
            }
        };
        Ok(Ok(Scene { subject: &ask.subject, principal, attrs, action, resource, context, others }))
    }

    fn note_dropped(&self, side: &str, uid: &Uid, properties: &Map<String, Json>, verdict: &mut Verdict) {
        if properties.is_empty() {
            return;
        }
        let marked = self.catalog().types.get(uid.kind()).map(|info| &info.from_request);
        let dropped = properties.keys().filter(|name| !marked.is_some_and(|marked| marked.contains(name.as_str())));
        verdict.context_dropped.extend(dropped.map(|name| format!("{side}.{name}")));
        verdict.context_dropped.sort();
    }

    /// What is stored of an entity, and what the request may add to it. What is stored wins.
    fn attributes(&self, facts: &dyn Facts, uid: &Uid, properties: &Map<String, Json>) -> Result<Result<Attrs, Trouble>, Unavailable> {
        let Some(info) = self.catalog().types.get(uid.kind()) else { return Ok(Ok(Attrs::default())) };
        let stored = if let Some(ready) = self.ready_entity(uid) {
            Some(Arc::clone(ready))
        } else if let Some(def) = standing::definition(facts, uid)?.filter(|def| !def.attrs.is_empty()) {
            match self.prepared().attributes(info, &def) {
                Ok(made) => Some(made),
                Err(detail) => return Ok(Err(Trouble::Stored(detail))),
            }
        } else {
            None
        };
        let mut attrs = Attrs::stored(stored);
        for (name, json) in properties {
            let wanted = info.from_request.contains(name) && !attrs.has(name);
            let Some(slot) = info.attrs.get(name).filter(|_| wanted) else { continue };
            match value::from_json(json.clone(), &slot.ty) {
                Ok(value) => attrs.add(name, value),
                Err(error) => {
                    return Ok(Err(Trouble::Sent(format!("the property `{name}` of {uid} is not as the schema wants it: {error}"))));
                }
            }
        }
        Ok(Ok(attrs))
    }

    /// What stands above something and could make a difference to some policy or condition, as Cedar's names: made once for as long as that is
    /// kept.
    fn names_of<'a>(&self, above: &'a Memberships) -> Cow<'a, [EntityUID]> {
        let make = || {
            let names = above.groups.iter().filter_map(|group| self.catalog().entity(group));
            let makes_a_difference = |name: &EntityUID| self.policies().may_name(name) || self.conditions().may_name(name);
            names.filter(makes_a_difference).collect::<Vec<_>>()
        };
        let prepared = above.prepared.get_or_init(|| Arc::new(Names { revision: self.revision().clone(), names: make() }));
        match prepared.downcast_ref::<Names>().filter(|names| names.revision == *self.revision()) {
            Some(names) => Cow::Borrowed(&names.names),
            // what another bundle made of them is not what this one does
            None => Cow::Owned(make()),
        }
    }

    /// The attributes of a stored entity or of one that nobody stored, for Elevon's own questions.
    pub(super) fn known_attributes(&self, facts: &dyn Facts, uid: &Uid) -> Result<Result<Attrs, String>, Unavailable> {
        if self.catalog().entity(uid).is_none() {
            return Ok(Err(format!("the schema has no type `{}`", uid.kind())));
        }
        Ok(self.attributes(facts, uid, &Map::new())?.map_err(|trouble| match trouble {
            Trouble::Stored(detail) | Trouble::Sent(detail) => detail,
        }))
    }

    fn context_entities(
        &self,
        facts: &dyn Facts,
        context: &Told,
        there: [&EntityUID; 2],
    ) -> Result<Result<Vec<Arc<Entity>>, Trouble>, Unavailable> {
        let mut others = Vec::new();
        let mut named = Vec::new();
        context.members.iter().for_each(|(_, value)| value::entities_in(value, &mut named));
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
            let parents = above.iter().filter_map(|uid| self.catalog().entity(uid)).collect();
            match self.attributes(facts, &uid, &Map::new())? {
                Ok(attrs) => others.push(Arc::new(attrs.entity(name, parents, Vec::new()))),
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        Ok(Ok(others))
    }

    /// Lets conditions say which holdings count and then the policies decide, and completes the verdict.
    pub(super) fn conclude(
        &self,
        facts: &dyn Facts,
        mut verdict: Verdict,
        scene: &Scene<'_>,
        moment: Moment,
    ) -> Result<Verdict, Unavailable> {
        let memberships = Arc::clone(&verdict.memberships);
        let groups = self.names_of(&memberships);
        let mut reads_now = scene.action.reads_now;
        for role in self.conditioned(&verdict.holdings) {
            let Some((policies, slices)) = self.conditions().of(&role) else { continue };
            reads_now |= policies.read_now_for(&scene.action.entity);
            // as if no role were held: with groups and attributes, without roles and tags
            let bare = Above { groups: &groups, roles: &[] };
            let decided = evaluate(slices, ErringForbid::Denies, &scene.sides(bare), || scene.laid_out(bare, Vec::new()));
            let Some(because) = unmet(&decided) else { continue };
            for holding in verdict.holdings.iter_mut().filter(|holding| holding.counts.is_ok() && holding.role == role) {
                holding.counts = Err(WhyNot::ConditionsNotMet { role: role.clone(), because: because.clone() });
            }
        }
        if scene.action.takes_now && reads_now {
            verdict.valid_until = Some(moment.now);
        }
        let in_force = verdict.holdings.iter().filter(|holding| holding.counts.is_ok());
        let mut held: Vec<&RoleName> = in_force.map(|holding| &holding.role).collect();
        held.sort_unstable();
        held.dedup();
        let roles: Vec<EntityUID> = held.iter().filter_map(|role| self.role_entity(role)).collect();
        let whole = Above { groups: &groups, roles: &roles };
        let unread = RefCell::new(None);
        let laid_out = || {
            let tags = self.tags(facts, scene.subject, &verdict.holdings, &held);
            match tags {
                Ok(tags) => scene.laid_out(whole, tags),
                Err(unavailable) => {
                    let why = unavailable.0.clone();
                    unread.replace(Some(unavailable));
                    Err(why)
                }
            }
        };
        let decided = evaluate(self.slices(), ErringForbid::Denies, &scene.sides(whole), laid_out);
        if let Some(unavailable) = unread.into_inner() {
            return Err(unavailable);
        }
        verdict.allowed = decided.reason == Reason::Permitted;
        let waits_for_the_clock = decided.reason == Reason::NoPermit && verdict.holdings.iter().any(fails_for_the_clock);
        verdict.reason = if waits_for_the_clock { Reason::TimeUntrusted } else { decided.reason };
        verdict.policies = decided.policies;
        verdict.errors = decided.errors;
        Ok(verdict)
    }

    /// The holdings of a principal that count, as tags, where its type has them and some policy looks at that very one.
    fn tags(
        &self,
        facts: &dyn Facts,
        subject: &Uid,
        holdings: &[Holding],
        held: &[&RoleName],
    ) -> Result<Vec<(String, Value)>, Unavailable> {
        let mut tags = Vec::new();
        if !self.catalog().types.get(subject.kind()).is_some_and(|info| info.tagged) {
            return Ok(tags);
        }
        for role in held.iter().filter(|role| self.policies().read_tag(role.as_str())) {
            if let Some(holding) = standing::shown(holdings, role) {
                tags.push((role.as_str().to_owned(), holding_value(facts, holding)?));
            }
        }
        Ok(tags)
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

/// What a bundle made of the names above something.
struct Names {
    revision: Revision,
    names: Vec<EntityUID>,
}

/// What the principal stands below for one evaluation.
#[derive(Clone, Copy)]
struct Above<'a> {
    groups: &'a [EntityUID],
    roles: &'a [EntityUID],
}

impl Scene<'_> {
    /// The names of both sides, with what stands above them.
    fn sides<'a>(&'a self, above: Above<'a>) -> Sides<'a> {
        let of_principal = [above.groups, above.roles];
        let resource = match &self.resource {
            Thing::Principal => Side { uid: &self.principal, above: of_principal },
            Thing::Other { name, above, .. } => Side { uid: name, above: [above, &[]] },
        };
        Sides { principal: Side { uid: &self.principal, above: of_principal }, action: &self.action.entity, resource }
    }

    /// The request and its entities, for conditions to be evaluated on. An active role is a parent, and so is every group, however far up.
    fn laid_out(&self, above: Above<'_>, tags: Vec<(String, Value)>) -> Result<(Request, Entities), String> {
        let parents: HashSet<EntityUID> = above.groups.iter().chain(above.roles).cloned().collect();
        let mut entities = self.others.clone();
        entities.push(Arc::clone(&self.action.entity));
        entities.push(Arc::new(self.attrs.entity(self.principal.clone(), parents, tags)));
        let resource = match &self.resource {
            Thing::Principal => &self.principal,
            Thing::Other { name, attrs, above } => {
                entities.push(Arc::new(attrs.entity(name.clone(), above.iter().cloned().collect(), Vec::new())));
                name
            }
        };
        let mut context = self.context.members.clone();
        if let Some(now) = self.context.now {
            context.push(("now".to_owned(), value::datetime(now).ok_or_else(|| format!("{now} is no instant for Cedar"))?));
        }
        let request = Request::new_unchecked(
            EntityUIDEntry::known(self.principal.clone(), None),
            self.action.entry.clone(),
            EntityUIDEntry::known(resource.clone(), None),
            Some(Context::Value(Arc::new(context.into_iter().map(|(name, value)| (name.into(), value)).collect()))),
        );
        // every ancestor was put in as a parent, so there is no closure to compute
        let assumed = TCComputation::AssumeAlreadyComputed;
        let entities = Entities::new().add_entities(entities, None::<&NoEntitiesSchema>, assumed, Extensions::all_available());
        Ok((request, entities.map_err(|error| error.to_string())?))
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
fn build_context(action: &ActionInfo, sent: &Map<String, Json>, moment: Moment) -> Result<(Told, Vec<String>), (Reason, String)> {
    let mut context = Told::default();
    let mut dropped: Vec<String> = Vec::new();
    for (name, json) in sent {
        match action.context.get(name).filter(|_| name != "now") {
            None => dropped.push(name.clone()),
            Some(slot) => match value::from_json(json.clone(), &slot.ty) {
                Ok(value) => context.members.push((name.clone(), value)),
                Err(error) => {
                    return Err((Reason::ContextInvalid, format!("the context's `{name}` is not as the schema wants it: {error}")));
                }
            },
        }
    }
    if action.takes_now {
        context.now = Some(moment.now);
    }
    let there = |name: &str| (name == "now" && context.now.is_some()) || context.members.iter().any(|(there, _)| there == name);
    let required = action.context.iter().filter(|(_, slot)| slot.required).map(|(name, _)| name.as_str());
    let missing: Vec<&str> = required.filter(|name| !there(name)).collect();
    if missing.is_empty() {
        dropped.sort();
        Ok((context, dropped))
    } else {
        Err((Reason::ContextMissing, format!("the action needs `{}` in its context", missing.join("`, `"))))
    }
}
