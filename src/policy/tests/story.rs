//! Facts over a bundle, told in the order of a story.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::load;
use crate::domain::facts::{Action, Authority, Object, Question, Refusal};
use crate::domain::grant::{ActivationGrant, AssignmentGrant, Basis, EligibilityGrant, EntityRow, Under};
use crate::domain::settings::JsonObject;
use crate::domain::standing::Moment;
use crate::domain::{
    ActivationId, Actor, AssignmentId, Caller, CredentialKind, Duration, EligibilityId, EntityDef, Incarnation, MemoryRows, RoleName,
    Timestamp, Uid, Window,
};
use crate::policy::{Ask, Bundle, Reason, Verdict};

/// 2030-03-17T17:46:40Z.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

pub(super) fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

pub(super) fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(super) struct Story {
    pub(super) bundle: Bundle,
    pub(super) rows: MemoryRows,
    pub(super) moment: Moment,
}

impl Story {
    pub(super) fn of(bundle: Bundle) -> Self {
        let rows = MemoryRows::new(Arc::clone(bundle.definitions()));
        Self { bundle, rows, moment: Moment::trusted(NOW) }
    }

    pub(super) fn plain() -> Self {
        Self::of(load(&[]).unwrap())
    }

    pub(super) fn with_policy(policy: &str) -> Self {
        Self::of(load(&[("more.cedar", Some(policy))]).unwrap_or_else(|error| panic!("{error}")))
    }

    pub(super) fn stored(mut self, name: &str, attrs: &Value) -> Self {
        let def = EntityDef { uid: uid(name), parents: Vec::new(), attrs: JsonObject::new(&object(attrs)).unwrap() };
        row_of(&mut self.rows, name).stored = Some(Arc::new(def));
        self
    }

    pub(super) fn disabled(mut self, name: &str) -> Self {
        row_of(&mut self.rows, name).disabled = true;
        self
    }

    pub(super) fn assigned(mut self, name: &str, role: &str, scope: Option<&str>, end: Option<Timestamp>) -> Self {
        let under = Under { holder: Incarnation(0), role: Incarnation(0), scope: scope.map(|_| Incarnation(0)) };
        let id = AssignmentId::new(&format!("asg_{role}")).unwrap();
        let window = Window { start: Timestamp::from_millis(0), end };
        let grant = AssignmentGrant { id, role: RoleName::new(role).unwrap(), scope: scope.map(uid), window, under, seq: 1 };
        row_of(&mut self.rows, name).grants.assignments.push(grant);
        self
    }

    /// Without an end.
    pub(super) fn eligible(mut self, name: &str, role: &str, scope: Option<&str>) -> Self {
        let under = Under { holder: Incarnation(0), role: Incarnation(0), scope: scope.map(|_| Incarnation(0)) };
        let id = EligibilityId::new(&format!("elg_{role}")).unwrap();
        let window = Window { start: Timestamp::from_millis(0), end: None };
        let grant = EligibilityGrant { id, role: RoleName::new(role).unwrap(), scope: scope.map(uid), window, under };
        let eligibilities = &mut row_of(&mut self.rows, name).grants.eligibilities;
        eligibilities.push(grant);
        eligibilities.sort_by(|one, other| one.id.cmp(&other.id));
        self
    }

    /// For an hour from now.
    pub(super) fn active(mut self, name: &str, role: &str, scope: Option<&str>, approvals: u32) -> Self {
        let under = Under { holder: Incarnation(0), role: Incarnation(0), scope: None };
        let (role, scope) = (RoleName::new(role).unwrap(), scope.map(uid));
        let eligibility = EligibilityId::new("elg_1").unwrap();
        let grants = &mut row_of(&mut self.rows, name).grants;
        let window = Window { start: Timestamp::from_millis(0), end: None };
        grants.eligibilities.push(EligibilityGrant { id: eligibility.clone(), role: role.clone(), scope: None, window, under });
        grants.activations.push(ActivationGrant {
            id: ActivationId::new("act_1").unwrap(),
            role,
            window: Window::lasting(NOW, Duration::from_hours(1)),
            under: Under { scope: scope.as_ref().map(|_| Incarnation(0)), ..under },
            scope,
            basis: Basis { eligibility, holder: uid(name) },
            basis_incarnation: Incarnation(0),
            approvals,
            extensions: 0,
            emergency: false,
            ticket: None,
            seq: 1,
        });
        self
    }

    /// Makes the activations of a principal emergencies.
    pub(super) fn in_emergency(mut self, name: &str) -> Self {
        let grants = &mut row_of(&mut self.rows, name).grants;
        grants.activations.iter_mut().for_each(|grant| grant.emergency = true);
        self
    }

    pub(super) fn untrusted(mut self) -> Self {
        self.moment.trusted = false;
        self
    }

    pub(super) fn check(&self, ask: &Ask) -> Verdict {
        self.bundle.check(&self.rows, ask, self.moment).unwrap()
    }

    pub(super) fn says(&self, subject: &str, action: &str, resource: &str) -> Reason {
        self.check(&Ask::new(uid(subject), action, uid(resource))).reason
    }

    /// Asks about one of Elevon's own actions, both ways there are.
    pub(super) fn asks(&self, actor: &str, action: Action, object: Object) -> Reason {
        self.asks_with(actor, &["pwd"], action, object).reason
    }

    /// The same, with all that the answer rests on, of a caller who showed these factors.
    pub(super) fn asks_with(&self, actor: &str, amr: &[&str], action: Action, object: Object) -> Verdict {
        let (amr, groups) = (amr.iter().map(|word| (*word).to_owned()).collect(), vec!["g".to_owned()]);
        let caller = Caller { principal: uid(actor), credential: CredentialKind::Dev, amr, auth_time: None, groups };
        let question = Question { actor: Actor::Caller(caller), action, object, now: NOW };
        let verdict = self.bundle.ask(&self.rows, &question, self.moment).unwrap();
        if self.moment.trusted {
            let expected = if verdict.allowed { Ok(()) } else { Err(Refusal::Denied(verdict.policies.clone())) };
            assert_eq!(self.bundle.permits(&self.rows, &question), expected);
        }
        verdict
    }
}

/// What is stored about a name, to be changed.
fn row_of<'a>(rows: &'a mut MemoryRows, name: &str) -> &'a mut EntityRow {
    Arc::make_mut(rows.all.rows.entry(uid(name)).or_default())
}
