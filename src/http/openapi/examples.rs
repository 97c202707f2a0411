//! Examples of what is sent and answered. Tests read each against its schema, send each request, and hold each answer against a real one.

use serde_json::{Value, json};

use super::schemas;

const ACTIVATION: &str = "act_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b11";
const ELIGIBILITY: &str = "elg_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b12";
const ASSIGNMENT: &str = "asg_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b13";
const REQUEST: &str = "grq_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b14";
const REVISION: &str = "6c1f0f3a5f0f4c7e9d1b2a3948576a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5";
const HASH: &str = "9b2d4c6e8f0a1b3c5d7e9f1a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d0e2f3a5b7c";
const LINK: &str =
    "eyJpZCI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQnciLCJhcHByb3ZlciI6IlVzZXI6OlwiYm9iXCIifQ.fkCNvlNjNhQ1-eDDdVr3a6TVSdw1dHMzE2vuQ4mVs9A";
const NINE: &str = "2030-01-31T09:00:00.000Z";
const TEN: &str = "2030-01-31T10:00:00.000Z";
const APRIL: &str = "2030-04-30T09:00:00.000Z";

/// An id as an endpoint's path has it.
pub(super) fn id_below(path: &str) -> &'static str {
    if path.starts_with("/v1/eligibilities") {
        ELIGIBILITY
    } else if path.starts_with("/v1/assignments") {
        ASSIGNMENT
    } else if path.starts_with("/v1/grant-requests") {
        REQUEST
    } else if path.starts_with("/v1/alerts") {
        super::alerts::id_below()
    } else if path.starts_with("/v1/reviews") {
        super::reviews::id_below(path)
    } else if path.starts_with("/v1/notifications") {
        super::notifications::id_below(path)
    } else {
        ACTIVATION
    }
}

fn user(id: &str) -> Value {
    json!({ "type": "User", "id": id })
}

fn prod() -> Value {
    json!({ "type": "Environment", "id": "prod" })
}

/// What is sent to an operation.
pub(super) fn request(operation: &str) -> Option<Value> {
    let ask = json!({ "role": "db-admin", "scope": prod(), "duration": "PT1H", "justification": "restore the orders table" });
    let grant = json!({ "principal": user("alice"), "role": "db-admin", "scope": prod(), "end": APRIL, "justification": "on call" });
    let ending = json!({ "reason": "done" });
    Some(match operation {
        "evaluate" | "explain" => json!({
            "subject": user("alice"),
            "action": { "name": "write" },
            "resource": { "type": "Database", "id": "orders" },
            "context": { "channel": "vpn" },
        }),
        "requestActivation" => ask,
        "requestActivations" => json!({ "items": [ask] }),
        "extendActivation" => json!({ "duration": "PT30M", "justification": "the restore still runs" }),
        "approveActivation" => json!({ "request_hash": HASH, "justification": "agreed", "duration": "PT30M" }),
        "openApprovalLink" => json!({ "link": LINK }),
        "useApprovalLink" => json!({ "link": LINK, "decision": "approve", "justification": "agreed" }),
        "denyActivation" => json!({ "request_hash": HASH, "justification": "not during the freeze" }),
        "revokeEverything" => json!({ "principal": user("alice"), "reason": "the laptop was stolen" }),
        "createEligibility" | "createAssignment" => grant,
        "extendEligibility" | "renewEligibility" | "extendAssignment" | "renewAssignment" => {
            json!({ "duration": "P90D", "justification": "still on call" })
        }
        "approveGrantRequest" => json!({ "end": APRIL, "reason": "agreed" }),
        "cancelActivation"
        | "deactivateActivation"
        | "revokeActivation"
        | "removeEligibility"
        | "removeAssignment"
        | "denyGrantRequest"
        | "cancelGrantRequest"
        | "deleteEntity" => ending,
        "putEntity" => json!({
            "uid": user("heidi"),
            "parents": [{ "type": "Group", "id": "dbas" }],
            "attrs": { "person": "h.hansen" },
        }),
        "disableEntity" | "enableEntity" => json!({ "type": "User", "id": "frank", "reason": "on leave" }),
        "reloadPolicies" => json!({}),
        "validatePolicies" => json!({ "files": { "access.cedar": "permit(principal, action, resource);" } }),
        "moveClock" => json!({ "advance": "PT1H" }),
        _ => {
            return super::reviews::request(operation)
                .or_else(|| super::alerts::request(operation))
                .or_else(|| super::notifications::request(operation));
        }
    })
}

/// What an operation answers.
pub(super) fn answer(operation: &str, status: u16) -> Option<Value> {
    let with_seq = |mut shown: Value| {
        super::put(&mut shown, "seq", 42.into());
        shown
    };
    let page = |item: Value| json!({ "items": [item], "next": null, "seq": 42 });
    Some(match (operation, status) {
        ("evaluate", 200) => {
            json!({ "decision": true, "context": { "reason": "permitted", "revision": REVISION, "seq": 42, "valid_until": TEN } })
        }
        ("elevated", 200) => json!({
            "elevated": true, "needs_context": false, "until": TEN, "revision": REVISION, "seq": 42,
            "holdings": [{ "id": ACTIVATION, "via": "activation", "scope": prod(), "end": TEN }],
        }),
        ("metadata", 200) => json!({
            "policy_decision_point": "http://127.0.0.1:8181",
            "access_evaluation_endpoint": "http://127.0.0.1:8181/access/v1/evaluation",
        }),
        ("explain", 200) => json!({
            "decision": true, "reason": "permitted", "detail": null, "policies": ["db-admin-write"], "errors": [], "subject": "known",
            "resource": "known", "groups": [{ "type": "Group", "id": "dbas" }], "holdings": [holding()], "context_dropped": [],
            "valid_until": TEN, "revision": REVISION, "now": NINE, "seq": 42,
        }),
        ("requestActivation", 201) | ("extendActivation", 201) => with_seq(pending()),
        ("requestActivation" | "readActivation" | "approveActivation", 200) => with_seq(active()),
        ("useApprovalLink", 200) => with_seq(active()),
        ("openApprovalLink", 200) => {
            json!({ "approver": user("bob"), "expires_at": TEN, "unchanged": true, "activation": pending(), "seq": 42 })
        }
        ("extendActivation" | "denyActivation" | "cancelActivation" | "deactivateActivation" | "revokeActivation", 200) => {
            with_seq(ended(operation))
        }
        ("requestActivations", 200) => json!({ "items": [{ "status": 201, "activation": pending(), "repeated": false }], "seq": 42 }),
        ("listActivations", 200) => page(active()),
        ("revokeEverything", 200) => json!({ "principal": user("alice"), "outcome": "revoked", "seq": 42 }),
        ("listApprovals", 200) => json!({ "items": [pending()], "next": null, "now": NINE, "seq": 42 }),
        ("me", 200) => me(),
        ("listRoles", 200) => json!({ "items": [role()], "next": null, "revision": REVISION, "seq": 42 }),
        ("readRole", 200) => {
            let mut role = role();
            super::put(&mut role, "revision", REVISION.into());
            with_seq(role)
        }
        ("createEligibility", 201) | ("readEligibility", 200) => with_seq(granted(ELIGIBILITY)),
        ("createAssignment", 201) | ("readAssignment", 200) => with_seq(granted(ASSIGNMENT)),
        ("removeEligibility", 200) => with_seq(removed(ELIGIBILITY)),
        ("removeAssignment", 200) => with_seq(removed(ASSIGNMENT)),
        ("listEligibilities", 200) => page(granted(ELIGIBILITY)),
        ("listAssignments", 200) => page(granted(ASSIGNMENT)),
        ("extendEligibility" | "renewEligibility", 201) => with_seq(asked("eligibility", ELIGIBILITY)),
        ("extendAssignment" | "renewAssignment", 201) => with_seq(asked("assignment", ASSIGNMENT)),
        ("listGrantRequests", 200) => page(asked("eligibility", ELIGIBILITY)),
        ("readGrantRequest", 200) => with_seq(asked("eligibility", ELIGIBILITY)),
        ("approveGrantRequest", 200) => with_seq(decided("approved")),
        ("denyGrantRequest", 200) => with_seq(decided("denied")),
        ("cancelGrantRequest", 200) => with_seq(decided("cancelled")),
        ("readEntities" | "disableEntity" | "enableEntity", 200) | ("putEntity", 200 | 201) => with_seq(entity()),
        ("deleteEntity", 200) => json!({ "uid": user("heidi"), "deleted": true, "seq": 42 }),
        _ => return operating(operation, status),
    })
}

fn operating(operation: &str, status: u16) -> Option<Value> {
    Some(match (operation, status) {
        ("policies", 200) => json!({
            "revision": REVISION, "activated_at": NINE, "age": "PT1H", "policies": 24, "roles": 6,
            "files": [{ "path": "access.cedar", "bytes": 3070, "sha256": HASH }], "warnings": [],
            "shadowed": { "count": 0, "entities": [] }, "folder": "/etc/elevon/policies", "degraded": false, "last_error": null, "seq": 42,
        }),
        ("reloadPolicies", 200) => json!({ "outcome": "activated", "revision": REVISION, "seq": 42 }),
        ("validatePolicies", 200) => json!({
            "valid": false,
            "problems": [{ "file": "access.cedar", "line": 1, "column": 19, "source_line": "permit(principal, action resource);",
                           "message": "unexpected token `resource`", "help": null }],
            "more": 0, "text": "access.cedar:1:19: unexpected token `resource`", "seq": 42,
        }),
        ("auditEvents", 200) => json!({
            "items": [{
                "seq": 42, "hash": HASH, "texts": { HASH: "restore the orders table" },
                "record": { "v": 1, "seq": 42, "prev": HASH, "at": NINE, "actor": { "caller": { "principal": user("alice"), "credential": "dev" } },
                            "revision": REVISION, "command_id": "0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b15", "command": "cancel",
                            "events": [{ "kind": "activation_cancelled", "id": ACTIVATION, "reason": HASH }], "idempotency": null },
            }],
            "next": null, "seq": 42,
        }),
        ("auditTip", 200) => json!({ "seq": 42, "hash": HASH, "at": NINE }),
        ("health", 200) => json!({ "status": "ok", "seq": 42 }),
        ("readiness", 200) => json!({
            "ready": true, "journal": true, "time_trusted": true, "revision": REVISION, "bundle_age_seconds": 3600, "degraded": false, "seq": 42,
        }),
        ("moveClock", 200) => json!({ "now": TEN, "seq": 42 }),
        ("openapi", 200) => json!({ "openapi": "3.1.0", "paths": { "/healthz": schemas::described(json!({}), "and so on") } }),
        _ => {
            return super::reviews::answer(operation, status)
                .or_else(|| super::alerts::answer(operation, status))
                .or_else(|| super::notifications::answer(operation, status));
        }
    })
}

fn holding() -> Value {
    json!({
        "id": ACTIVATION, "via": "activation", "principal": user("alice"), "role": "db-admin", "scope": prod(), "start": NINE, "end": TEN,
        "approvals": 1, "counts": true, "why_not": null,
    })
}

fn approval(votes: Value, asked: bool) -> Value {
    json!({
        "stage": if asked { json!(1) } else { Value::Null },
        "expires_at": if asked { json!("2030-01-31T17:00:00.000Z") } else { Value::Null },
        "stages": [{ "quorum": 1, "approvers": [{ "type": "Group", "id": "dba-leads" }], "timeout": "PT8H", "votes": votes, "fallback": null }],
    })
}

fn pending() -> Value {
    json!({
        "id": ACTIVATION, "status": "pending", "role": "db-admin", "scope": prod(), "principal": user("alice"), "requester": user("alice"),
        "requested_at": NINE, "duration": "PT1H", "start": null, "end": null, "not_before": null, "fixed_end": null, "emergency": false,
        "review_by": null, "extends": null, "extensions": 0, "extension": null, "justification": "restore the orders table", "ticket": null,
        "eligibility": { "id": ELIGIBILITY, "principal": user("alice") }, "approval": approval(json!([]), true), "request_hash": HASH,
        "ended": null, "revision": REVISION,
    })
}

fn active() -> Value {
    let mut active = pending();
    if let Value::Object(members) = &mut active {
        members.remove("request_hash");
    }
    let vote = json!([{ "principal": user("bob"), "at": NINE, "justification": "agreed" }]);
    let more = [
        ("status", json!("active")),
        ("start", json!(NINE)),
        ("end", json!(TEN)),
        ("approval", approval(vote, false)),
        ("counts", json!(true)),
        ("why_not", Value::Null),
    ];
    more.into_iter().for_each(|(name, value)| super::put(&mut active, name, value));
    active
}

fn ended(operation: &str) -> Value {
    let (status, by) = match operation {
        "denyActivation" => ("denied", "bob"),
        "cancelActivation" => ("cancelled", "alice"),
        "deactivateActivation" => ("deactivated", "alice"),
        "revokeActivation" => ("revoked", "carol"),
        _ => return pending(),
    };
    let mut ended = pending();
    if let Value::Object(members) = &mut ended {
        members.remove("request_hash");
    }
    super::put(&mut ended, "status", status.into());
    super::put(&mut ended, "approval", approval(json!([]), false));
    super::put(&mut ended, "ended", json!({ "by": user(by), "at": NINE, "reason": "done", "cause": null }));
    ended
}

fn me() -> Value {
    let mut own = holding();
    super::put(&mut own, "conditions", false.into());
    let settings = json!({
        "description": "Administers databases", "scopes": ["Environment", "Database"], "scope_required": true, "max_duration": "PT4H",
        "default_duration": "PT1H", "require": ["justification"], "approval_stages": 1, "max_extensions": 1, "max_active_per_day": null,
        "activate_within": "P1D", "emergency": null, "conditions": false,
    });
    json!({
        "principal": user("alice"), "presence": "known", "groups": [{ "type": "Group", "id": "dbas" }],
        "eligible": [{ "id": ELIGIBILITY, "role": "db-admin", "scope": prod(), "principal": user("alice"), "start": NINE, "end": APRIL,
                       "emergency": false, "settings": settings }],
        "active": [own], "pending": [], "scheduled": [], "revision": REVISION, "now": NINE, "time_trusted": true, "seq": 42,
    })
}

fn role() -> Value {
    json!({
        "role": "db-admin", "description": "Administers databases", "scopes": ["Environment", "Database"], "scope_required": true,
        "max_duration": "PT4H", "default_duration": "PT1H", "require": ["justification"], "ticket_pattern": null, "mfa_max_age": null,
        "approval": { "stages": [{ "quorum": 1, "approvers": [{ "type": "Group", "id": "dba-leads" }], "timeout": "PT8H",
                                   "fallback": { "approvers": [{ "type": "Group", "id": "platform-leads" }], "after": "PT2H" } }] },
        "max_extensions": 1, "extendable_after": 50, "max_active_per_day": null, "activate_within": "P1D", "emergency": null,
        "conditions": false, "privileged": true, "eligibility": { "max_duration": "P365D", "allow_permanent": true },
        "assignment": { "max_duration": "P180D", "allow_permanent": false }, "digest": HASH,
    })
}

fn granted(id: &str) -> Value {
    json!({
        "id": id, "status": "active", "in_force": true, "principal": user("alice"), "role": "db-admin", "scope": prod(), "start": NINE,
        "end": APRIL, "granted_by": user("carol"), "granted_at": NINE, "justification": "on call", "renews": null, "ended": null,
    })
}

fn removed(id: &str) -> Value {
    let mut removed = granted(id);
    super::put(&mut removed, "status", "removed".into());
    super::put(&mut removed, "in_force", false.into());
    super::put(&mut removed, "ended", json!({ "by": user("carol"), "at": TEN, "reason": "done" }));
    removed
}

fn asked(kind: &str, grant: &str) -> Value {
    json!({
        "id": REQUEST, "status": "pending", "kind": kind, "grant": grant, "principal": user("alice"), "role": "db-admin", "scope": prod(),
        "requester": user("alice"), "requested_at": NINE, "end": APRIL, "expires_at": "2030-03-02T09:00:00.000Z",
        "justification": "still on call", "decided": null, "revision": REVISION,
    })
}

fn decided(status: &str) -> Value {
    let (by, grant) = match status {
        "approved" => ("carol", json!(ELIGIBILITY)),
        "denied" => ("carol", Value::Null),
        _ => ("alice", Value::Null),
    };
    let mut decided = asked("eligibility", ELIGIBILITY);
    super::put(&mut decided, "status", status.into());
    super::put(&mut decided, "decided", json!({ "by": user(by), "at": NINE, "reason": "agreed", "grant": grant }));
    decided
}

fn entity() -> Value {
    json!({
        "uid": user("heidi"), "attrs": { "person": "h.hansen" }, "parents": [{ "type": "Group", "id": "dbas" }],
        "edges": [{ "parent": { "type": "Group", "id": "dbas" }, "source": "api" }], "owner": "api", "disabled": false,
    })
}
