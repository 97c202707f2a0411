//! Elevon's own actions, asked of the same policies.

use std::borrow::Cow;
use std::sync::Arc;

use cedar_policy_core::ast::{EntityUID, Value};

use super::ask::{Reason, Verdict};
use super::bundle::Bundle;
use super::evaluate::{Scene, Thing, Told};
use super::generated::NAMESPACE;
use super::prepared::Attrs;
use super::value;
use crate::domain::facts::{Action, Authority, Facts, Object, Question, Refusal};
use crate::domain::settings::{JsonObject, ParentEdge};
use crate::domain::standing::{self, Moment, Presence};
use crate::domain::{Actor, Caller, Duration, EntityDef, RoleName, Uid, Unavailable};

/// What a question is about, as Cedar sees it.
struct Subject {
    name: EntityUID,
    attrs: Attrs,
    above: Vec<EntityUID>,
    /// Where a role has to be scoped to count.
    path: Vec<Uid>,
    beneficiary: Option<Uid>,
}

impl Bundle {
    /// Decides over one of Elevon's own actions at a moment, with everything that the answer rests on.
    ///
    /// # Errors
    /// The facts cannot be read.
    pub fn ask(&self, facts: &dyn Facts, question: &Question, moment: Moment) -> Result<Verdict, Unavailable> {
        let Actor::Caller(caller) = &question.actor else {
            let nobody =
                standing::Standing { presence: Presence::Known, memberships: Arc::default(), holdings: Vec::new(), next_change: None };
            let detail = Some("Elevon itself is never asked about".to_owned());
            return Ok(self.undecided(nobody, Presence::Known, moment).denied(Reason::NoPermit, detail));
        };
        let subject = self.object(facts, &question.object)?;
        let path = subject.as_ref().map_or(&[][..], |subject| &subject.path);
        let stands = standing::standing(facts, &caller.principal, Some(path), moment)?;
        let verdict = self.undecided(stands, Presence::Known, moment);
        match verdict.presence {
            Presence::Known => {}
            Presence::Disabled => return Ok(verdict.denied(Reason::PrincipalDisabled, None)),
            // whoever changes something has to be known, whatever its type says about checks
            Presence::Unknown(_) => return Ok(verdict.denied(Reason::UnknownPrincipal, None)),
        }
        let subject = match subject {
            Ok(subject) => subject,
            Err(detail) => return Ok(verdict.denied(Reason::UnknownResource, Some(detail))),
        };
        let whole = format!("{NAMESPACE}::Action::\"{}\"", question.action.as_str());
        let Some(action) = self.catalog().action(&whole) else { return Ok(verdict.denied(Reason::UnknownAction, None)) };
        let applies = action.principals.contains(caller.principal.kind());
        if !applies || !action.resources.contains(&subject.name.entity_type().to_string()) {
            return Ok(verdict.denied(Reason::NotApplicable, None));
        }
        let Some(principal) = self.catalog().entity(&caller.principal) else {
            return Ok(verdict.denied(Reason::NotApplicable, None));
        };
        let attrs = match self.known_attributes(facts, &caller.principal)? {
            Ok(attrs) => attrs,
            Err(detail) => return Ok(verdict.unfit(detail)),
        };
        let resource = if subject.name == principal {
            Thing::Principal
        } else {
            Thing::Other { name: subject.name, attrs: subject.attrs, above: Cow::Owned(subject.above) }
        };
        let scene = Scene {
            subject: &caller.principal,
            principal,
            attrs,
            action: Arc::clone(action),
            resource,
            context: context_of(caller, subject.beneficiary.as_ref(), moment),
            others: Vec::new(),
        };
        self.conclude(facts, verdict, &scene, moment)
    }

    /// Whether it makes a difference to the answer who it is about, beyond of which type that is.
    #[must_use]
    pub fn looks_at_beneficiary(&self, action: Action) -> bool {
        let action = self.catalog().action(&format!("{NAMESPACE}::Action::\"{}\"", action.as_str()));
        // an action that is not there permits nothing to anybody
        action.is_none_or(|action| {
            self.policies().read_beneficiary_for(&action.entity) || self.conditions().read_beneficiary_for(&action.entity)
        })
    }

    fn object(&self, facts: &dyn Facts, object: &Object) -> Result<Result<Subject, String>, Unavailable> {
        match object {
            Object::RoleGrant { role, scope, beneficiary, duration } => {
                let seconds = duration.map(|duration: Duration| Value::from(i64::try_from(duration.secs()).unwrap_or(i64::MAX)));
                let made =
                    Made { kind: "RoleGrant", id: "asked", role, scope: scope.as_ref(), beneficiary, more: vec![("seconds", seconds)] };
                self.made(facts, made)
            }
            Object::RoleActivation { id, role, scope, beneficiary, requester } => {
                let more = vec![
                    ("requester_type", requester.as_ref().map(|uid| value::text(uid.kind()))),
                    ("requester_id", requester.as_ref().map(|uid| value::text(uid.id()))),
                ];
                let made = Made { kind: "RoleActivation", id: id.as_str(), role, scope: scope.as_ref(), beneficiary, more };
                self.made(facts, made)
            }
            Object::Role(role) => {
                let name = self.role_entity(role).ok_or_else(|| format!("the bundle has no role `{role}`"));
                Ok(name.map(Subject::bare))
            }
            Object::Entity(uid) => {
                let path = standing::path(facts, uid)?;
                let attrs = self.known_attributes(facts, uid)?;
                let name = self.catalog().entity(uid).ok_or_else(|| format!("the schema has no type `{}`", uid.kind()));
                let above = path.get(1..).unwrap_or_default().iter().filter_map(|uid| self.catalog().entity(uid)).collect();
                Ok(attrs.and_then(|attrs| Ok(Subject { name: name?, attrs, above, path, beneficiary: None })))
            }
            Object::SubjectKind(kind) => Ok(self.own("SubjectKind", kind)),
            Object::Subject(uid) => {
                let own = self.own("SubjectKind", uid.kind());
                Ok(own.map(|own| Subject { beneficiary: Some(uid.clone()), ..own }))
            }
            Object::Sidecar => Ok(self.own("Sidecar", "self")),
        }
    }

    fn own_name(&self, kind: &str, id: &str) -> Result<EntityUID, String> {
        let info = self.catalog().types.get(&format!("{NAMESPACE}::{kind}")).ok_or_else(|| format!("the schema has no `{kind}`"))?;
        Ok(value::entity(&info.name, id))
    }

    fn own(&self, kind: &str, id: &str) -> Result<Subject, String> {
        self.own_name(kind, id).map(Subject::bare)
    }

    /// A grant or an activation, made for the question: below its role and its scope.
    fn made(&self, facts: &dyn Facts, made: Made<'_>) -> Result<Result<Subject, String>, Unavailable> {
        let path = made.scope.map(|scope| standing::path(facts, scope)).transpose()?.unwrap_or_default();
        let name = match self.own_name(made.kind, made.id) {
            Ok(name) => name,
            Err(detail) => return Ok(Err(detail)),
        };
        let mut above: Vec<EntityUID> = path.iter().filter_map(|uid| self.catalog().entity(uid)).collect();
        above.extend(self.role_entity(made.role));
        let text = |text: &str| Some(value::text(text));
        let mut members = vec![
            ("role", text(made.role.as_str())),
            ("scope_type", made.scope.and_then(|scope| text(scope.kind()))),
            ("scope_id", made.scope.and_then(|scope| text(scope.id()))),
            ("beneficiary_type", text(made.beneficiary.kind())),
            ("beneficiary_id", text(made.beneficiary.id())),
        ];
        members.extend(made.more);
        let mut attrs = Attrs::default();
        members.into_iter().filter_map(|(name, value)| Some((name, value?))).for_each(|(name, value)| attrs.add(name, value));
        Ok(Ok(Subject { name, attrs, above, path, beneficiary: Some(made.beneficiary.clone()) }))
    }
}

impl Subject {
    /// Something with a name and nothing else.
    fn bare(name: EntityUID) -> Self {
        Self { name, attrs: Attrs::default(), above: Vec::new(), path: Vec::new(), beneficiary: None }
    }
}

struct Made<'a> {
    kind: &'static str,
    id: &'a str,
    role: &'a RoleName,
    scope: Option<&'a Uid>,
    beneficiary: &'a Uid,
    more: Vec<(&'static str, Option<Value>)>,
}

/// The context of each of Elevon's own actions.
fn context_of(caller: &Caller, beneficiary: Option<&Uid>, moment: Moment) -> Told {
    let beneficiary = beneficiary.map(|uid| {
        value::record([
            ("type", Some(value::text(uid.kind()))),
            ("id", Some(value::text(uid.id()))),
            ("self", Some(Value::from(*uid == caller.principal))),
        ])
    });
    let members = [
        ("beneficiary", beneficiary),
        ("mfa", Some(Value::from(caller.has_mfa()))),
        ("auth_time", caller.auth_time.and_then(value::datetime)),
        ("credential", Some(value::text(caller.credential.as_str()))),
        ("claims", Some(value::record([("groups", Some(value::texts(&caller.groups)))]))),
    ];
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Told { members, now: Some(moment.now) }
}

impl Authority for Bundle {
    fn permits(&self, facts: &dyn Facts, question: &Question) -> Result<(), Refusal> {
        // whoever decides commands refuses them while the clock cannot be believed
        let verdict = self.ask(facts, question, Moment::trusted(question.now)).map_err(Refusal::Unavailable)?;
        if verdict.allowed { Ok(()) } else { Err(Refusal::Denied(verdict.policies)) }
    }

    fn conforms(&self, uid: &Uid, parents: &[Uid], attrs: &JsonObject) -> Result<(), String> {
        let edge = |parent: &Uid| ParentEdge {
            parent: parent.clone(),
            incarnation: crate::domain::Incarnation::default(),
            source: crate::domain::settings::EdgeSource::Api,
        };
        let def = EntityDef { uid: uid.clone(), parents: parents.iter().map(edge).collect(), attrs: attrs.clone() };
        self.conform(&def).map(drop)
    }
}
