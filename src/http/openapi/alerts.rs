//! Alerts: their operations, what is sent and answered, and examples of both.

use serde_json::{Value, json};

use crate::domain::alert::{AlertKind, AlertRule, AlertTally, IncidentStatus, Limit, Severity, Unit};
use crate::http::views;

use super::paths::{Operation, from_to, get, page, parameter, post, principal};
use super::schemas::{answered, boolean, count, described, list, nullable, object, page_of, reference, seq, string, whole, words};

const TAG: &str = "Alerts";
const INCIDENT: &str = "inc_7c4e7d1b9a550c2f6f1e8b160198f3a2";
const ELIGIBILITY: &str = "elg_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b12";

/// An id as the path of one of these endpoints has it.
pub(super) fn id_below() -> &'static str {
    INCIDENT
}

/// Every operation.
pub(super) fn operations() -> Vec<Operation> {
    let act = |path, id, summary| {
        let asked = post(path, id, TAG, summary).command().answer(200, "As it stands now.", answered("Incident"));
        asked.refused(&["not_found", "not_permitted", "not_in_state"])
    };
    let role = parameter("role", reference("Name"), "about this role");
    let words_of = [
        parameter("kind", kinds(), "of this kind of alert"),
        parameter("severity", severities(), "that matter so much"),
        parameter("status", status(), "where it stands"),
    ];
    vec![
        get("/v1/alerts", "listAlerts", TAG, "Every kind of alert, its rule, and how many incidents of it last")
            .answer(200, "All of them.", answered("Alerts"))
            .refused(&["not_permitted"]),
        get("/v1/alerts/incidents", "listIncidents", TAG, "Incidents, newest first")
            .query(page())
            .query(words_of)
            .query(principal())
            .query([role])
            .query(from_to())
            .answer(200, "A page.", page_of("Incident"))
            .refused(&["not_permitted"]),
        get("/v1/alerts/incidents/{id}", "readIncident", TAG, "One of them")
            .answer(200, "It.", answered("Incident"))
            .refused(&["not_found", "not_permitted"]),
        act("/v1/alerts/incidents/{id}/dismiss", "dismissIncident", "Put it aside, for as long as what it is about lasts")
            .body("Dismissal"),
        act("/v1/alerts/incidents/{id}/rearm", "rearmIncident", "Hear of it again").body_or_none("Only"),
        act("/v1/alerts/incidents/{id}/remedy", "remedyIncident", "Make the one change that ends what it is about")
            .body_or_none("Ending")
            .refused(&["no_remedy", "self_grant", "already_granted", "not_a_holder"]),
    ]
}

fn kinds() -> Value {
    words(&AlertKind::ALL.map(AlertKind::as_str))
}

fn severities() -> Value {
    words(&Severity::ALL.map(Severity::as_str))
}

fn status() -> Value {
    words(&IncidentStatus::ALL.map(IncidentStatus::as_str))
}

/// What is sent.
pub(super) fn commands() -> Vec<(&'static str, Value)> {
    let dry_run = || described(nullable(boolean()), "only say what would become of it; nothing changes and nothing is journaled");
    let reason = json!({ "allOf": [reference("Text"), { "pattern": r"\S" }] });
    vec![("Dismissal", object(&["reason"], &[("reason", reason), ("dry_run", dry_run())]))]
}

/// The numbers of all rules, of which each kind has some.
fn thresholds() -> Value {
    let mut members: Vec<(&str, Value)> = Vec::new();
    for threshold in AlertKind::ALL.iter().flat_map(|kind| kind.thresholds()) {
        let schema = match threshold.unit {
            Unit::Flag => boolean(),
            Unit::Time => reference("Duration"),
            Unit::Count | Unit::Percent | Unit::Days | Unit::Hours => count(),
        };
        if !members.iter().any(|(name, _)| *name == threshold.limit.as_str()) {
            members.push((threshold.limit.as_str(), schema));
        }
    }
    object(&[], &members)
}

/// What is answered.
pub(super) fn answers() -> Vec<(&'static str, Value)> {
    let (uid, time) = (|| reference("Entity"), || reference("Time"));
    let alert = whole(&[
        ("kind", kinds()),
        ("enabled", described(boolean(), "whether it is looked for at all")),
        ("severity", severities()),
        ("thresholds", described(thresholds(), "the numbers of its rule, as `alerts.toml` sets them")),
        ("means", string()),
        ("advice", described(string(), "what to do about it")),
        ("open", described(count(), "incidents that wait for somebody")),
        ("dismissed", described(count(), "incidents that last and were put aside")),
    ]);
    let detected = whole(&[
        ("seq", described(count(), "the last record of the journal that was looked at")),
        ("now", described(time(), "the instant up to which time was let go on")),
    ]);
    let trouble = whole(&[
        ("clock", described(boolean(), "the clock is not believed")),
        ("journal", described(boolean(), "the journal takes nothing")),
    ]);
    let subject_kinds = words(&["principal", "role", "holding", "eligibility", "assignment", "activation", "record"]);
    let subject = whole(&[
        ("kind", subject_kinds),
        ("id", described(nullable(string()), "null for a principal or a holding: `principal` and `role` say which")),
    ]);
    let actions = words(&["remove_eligibility", "remove_assignment", "revoke_activation", "revoke_principal", "disable_principal"]);
    let remedy = whole(&[("action", actions), ("id", nullable(string())), ("principal", nullable(uid()))]);
    let numbers = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
    let incident = [
        ("id", string()),
        ("kind", kinds()),
        ("severity", severities()),
        ("status", status()),
        ("subject", subject),
        ("principal", nullable(uid())),
        ("role", nullable(reference("Name"))),
        ("scope", nullable(uid())),
        ("numbers", described(numbers, "the numbers that made it an incident, by name")),
        ("began_at", described(time(), "since when it is so")),
        ("record", described(nullable(count()), "the record of the journal with which it began; null, where time alone made it so")),
        ("raised_at", described(time(), "when it was recorded")),
        ("means", string()),
        ("advice", described(string(), "what to do about it")),
        ("remedy", described(nullable(remedy), "the one change that ends it, where there is one")),
        ("dismissed", nullable(whole(&[("by", nullable(uid())), ("at", time()), ("reason", nullable(string()))]))),
        ("cleared", nullable(whole(&[("at", time()), ("by", described(nullable(uid()), "who remedied it"))]))),
    ];
    let alerts = [
        ("items", list(alert)),
        ("detected", described(detected, "how far was looked, with all that was found recorded")),
        ("trouble", described(trouble, "what cannot be recorded while it lasts")),
    ];
    let names = |members: &[(&'static str, Value)]| members.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let (stands, tried) = (("seq", seq()), ("dry_run", json!({ "const": true })));
    vec![
        ("Alerts", object(&names(&alerts), &[&alerts[..], std::slice::from_ref(&stands)].concat())),
        ("Incident", object(&names(&incident), &[&incident[..], &[stands, tried]].concat())),
    ]
}

fn user(id: &str) -> Value {
    json!({ "type": "User", "id": id })
}

/// An example of what is sent.
pub(super) fn request(operation: &str) -> Option<Value> {
    Some(match operation {
        "dismissIncident" => json!({ "reason": "she is new in the team and was told to try it" }),
        "rearmIncident" => json!({}),
        "remedyIncident" => json!({ "reason": "nobody needed it for a quarter of a year" }),
        _ => return None,
    })
}

/// An example of what is answered.
pub(super) fn answer(operation: &str, status: u16) -> Option<Value> {
    Some(match (operation, status) {
        ("listAlerts", 200) => {
            let kind = AlertKind::NeverUsed;
            let mut rule = AlertRule::standard(kind);
            rule.limits.insert(Limit::Days, 60);
            let shown = views::alert(kind, &rule, AlertTally { open: 1, dismissed: 0 });
            json!({
                "items": [shown], "detected": { "seq": 42, "now": "2030-04-01T09:00:00.000Z" },
                "trouble": { "clock": false, "journal": false }, "seq": 42,
            })
        }
        ("listIncidents", 200) => json!({ "items": [incident("open")], "next": null, "seq": 42 }),
        ("readIncident" | "rearmIncident", 200) => with_seq(incident("open")),
        ("dismissIncident", 200) => with_seq(incident("dismissed")),
        ("remedyIncident", 200) => with_seq(incident("cleared")),
        _ => return None,
    })
}

fn with_seq(mut shown: Value) -> Value {
    super::put(&mut shown, "seq", json!(42));
    shown
}

fn incident(status: &str) -> Value {
    let (kind, at) = (AlertKind::NeverUsed, "2030-04-01T09:00:00.000Z");
    let dismissed = json!({ "by": user("carol"), "at": at, "reason": "she is new in the team and was told to try it" });
    json!({
        "id": INCIDENT, "kind": kind, "severity": "low", "status": status,
        "subject": { "kind": "eligibility", "id": ELIGIBILITY }, "principal": user("alice"), "role": "db-admin",
        "scope": { "type": "Environment", "id": "prod" }, "numbers": { "days": 60, "limit_days": 60 },
        "began_at": at, "record": null, "raised_at": at, "means": kind.meaning(), "advice": kind.advice(),
        "remedy": { "action": "remove_eligibility", "id": ELIGIBILITY, "principal": null },
        "dismissed": if status == "dismissed" { dismissed } else { Value::Null },
        "cleared": if status == "cleared" { json!({ "at": at, "by": user("carol") }) } else { Value::Null },
    })
}
