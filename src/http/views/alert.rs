//! Alerts: the rule of each kind, and incidents.

use serde_json::{Map, Value, json};

use crate::domain::alert::{AlertKind, AlertRule, AlertSubject, AlertTally, Incident, Remedy, Threshold, Unit};
use crate::domain::{Duration, Facts, Unavailable};

use super::{text, who};

fn threshold(threshold: &Threshold, rule: &AlertRule) -> Value {
    let value = rule.of(threshold.limit);
    match threshold.unit {
        Unit::Flag => Value::Bool(value != 0),
        Unit::Time => json!(Duration::from_secs(value)),
        Unit::Count | Unit::Percent | Unit::Days | Unit::Hours => value.into(),
    }
}

/// A kind of alert as the bundle sets its rule, and how many incidents of it last.
pub(in crate::http) fn alert(kind: AlertKind, rule: &AlertRule, tally: AlertTally) -> Value {
    let thresholds: Map<String, Value> =
        kind.thresholds().iter().map(|found| (found.limit.as_str().to_owned(), threshold(found, rule))).collect();
    json!({
        "kind": kind,
        "enabled": rule.enabled,
        "severity": rule.severity,
        "thresholds": thresholds,
        "means": kind.meaning(),
        "advice": kind.advice(),
        "open": tally.open,
        "dismissed": tally.dismissed,
    })
}

/// What an incident is about. Of principals and holdings, the members beside it say whose and of what.
fn subject(subject: &AlertSubject) -> Value {
    let id = match subject {
        AlertSubject::Principal(_) | AlertSubject::Holding { .. } => Value::Null,
        AlertSubject::Role(role) => json!(role),
        AlertSubject::Eligibility(id) => json!(id),
        AlertSubject::Assignment(id) => json!(id),
        AlertSubject::Activation(id) => json!(id),
        AlertSubject::Record(seq) => seq.to_string().into(),
    };
    json!({ "kind": subject.kind(), "id": id })
}

fn remedy(remedy: &Remedy) -> Value {
    let (id, principal) = match remedy {
        Remedy::RemoveEligibility(id) => (json!(id), Value::Null),
        Remedy::RemoveAssignment(id) => (json!(id), Value::Null),
        Remedy::RevokeActivation(id) => (json!(id), Value::Null),
        Remedy::RevokePrincipal(uid) | Remedy::DisablePrincipal(uid) => (Value::Null, json!(uid)),
    };
    json!({ "action": remedy.as_str(), "id": id, "principal": principal })
}

/// An incident, with the numbers that made it one and what can be done about it.
pub(in crate::http) fn incident(facts: &dyn Facts, incident: &Incident) -> Result<Value, Unavailable> {
    let found = &incident.finding;
    let dismissed = match &incident.dismissed {
        Some(dismissed) => {
            json!({ "by": who(&dismissed.by), "at": dismissed.at, "reason": text(facts, Some(&dismissed.reason))? })
        }
        None => Value::Null,
    };
    let cleared = incident.cleared.as_ref().map(|end| json!({ "at": end.at, "by": end.by.as_ref().map(who) }));
    Ok(json!({
        "id": incident.id,
        "kind": found.kind,
        "severity": found.severity,
        "status": incident.status(),
        "subject": subject(&found.subject),
        "principal": found.principal,
        "role": found.role,
        "scope": found.scope,
        "numbers": found.numbers,
        "began_at": found.began_at,
        "record": (found.record > 0).then_some(found.record),
        "raised_at": incident.raised_at,
        "means": found.kind.meaning(),
        "advice": found.kind.advice(),
        "remedy": found.remedy.as_ref().map(remedy),
        "dismissed": dismissed,
        "cleared": cleared,
    }))
}
