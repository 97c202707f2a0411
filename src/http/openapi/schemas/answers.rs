//! What is answered.

use serde_json::{Value, json};

use crate::http::openapi::{problems, put};

use super::{
    activation_status, boolean, count, described, duration, grant_request_status, list, name, nullable, object, reference, seq, string,
    time, uid, whole, words,
};

/// All of them.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    activations().into_iter().chain(standings()).chain(grants()).chain(operations()).collect()
}

fn activations() -> Vec<(&'static str, Value)> {
    let fallback = whole(&[
        ("approvers", list(uid())),
        ("after", duration()),
        ("from", described(nullable(time()), "from when they may vote, of the stage that is asked now")),
    ]);
    let gave = object(&[], &[("scope", uid()), ("duration", duration())]);
    let vote = object(
        &["principal", "at", "justification"],
        &[("principal", nullable(uid())), ("at", time()), ("justification", nullable(string())), ("gave", gave)],
    );
    let stage = whole(&[
        ("quorum", nullable(count())),
        ("approvers", list(uid())),
        ("timeout", nullable(duration())),
        ("fallback", nullable(fallback)),
        ("votes", list(vote)),
    ]);
    let approval = whole(&[
        ("stages", list(stage)),
        ("stage", described(nullable(count()), "the stage that is asked now, from 1")),
        ("expires_at", nullable(time())),
    ]);
    let ticket = whole(&[("system", nullable(string())), ("number", nullable(string()))]);
    let always = [
        ("id", described(nullable(string()), "null of something new that was only tried")),
        ("status", activation_status()),
        ("role", name()),
        ("scope", nullable(uid())),
        ("principal", uid()),
        ("requester", nullable(uid())),
        ("requested_at", time()),
        ("duration", duration()),
        ("start", nullable(time())),
        ("end", described(nullable(time()), "as far as it is known; of an active one the end in effect")),
        ("not_before", described(nullable(time()), "the `start` that was asked for")),
        ("fixed_end", described(nullable(time()), "the `end` that was asked for")),
        ("emergency", boolean()),
        ("review_by", nullable(time())),
        ("extends", described(nullable(string()), "the activation that it is to extend")),
        ("extensions", count()),
        ("extension", described(nullable(string()), "the latest request to extend it")),
        ("justification", described(nullable(string()), "null where none was given, or it was erased")),
        ("ticket", nullable(ticket)),
        ("eligibility", whole(&[("id", string()), ("principal", uid())])),
        ("approval", described(nullable(approval), "null where nobody is asked")),
        ("ended", nullable(reference("Ended"))),
        ("revision", string()),
    ];
    let sometimes = [
        (
            "requested",
            described(whole(&[("scope", nullable(uid())), ("duration", duration())]), "as first asked for, where an approver gave less"),
        ),
        ("begin_by", described(time(), "of a scheduled one: when it is too late to begin")),
        ("request_hash", described(nullable(reference("Digest")), "of a pending one: what a vote has to carry")),
        ("counts", described(boolean(), "of an active one")),
        ("why_not", nullable(reference("WhyNot"))),
        ("seq", seq()),
        ("dry_run", json!({ "const": true })),
    ];
    let required: Vec<&str> = always.iter().map(|(name, _)| *name).collect();
    let brief = object(
        &["id", "status"],
        &[("id", nullable(string())), ("status", activation_status()), ("seq", seq()), ("dry_run", json!({ "const": true }))],
    );
    let outcome = json!({ "anyOf": [
        whole(&[("status", json!({ "enum": [200, 201] })), ("activation", reference("ActivationOrBrief")), ("repeated", boolean())]),
        whole(&[("status", json!({ "type": "integer", "minimum": 400, "maximum": 599 })), ("problem", reference("ItemProblem"))]),
    ] });
    let mut item_problem = problems::schema();
    put(&mut item_problem, "required", json!(["type", "rule", "title", "status", "detail"]));
    vec![
        ("Activation", object(&required, &[&always[..], &sometimes[..]].concat())),
        ("ActivationBrief", described(brief, "What is told to whoever may carry a command out and may not read the activation.")),
        ("ActivationOrBrief", json!({ "anyOf": [reference("Activation"), reference("ActivationBrief")] })),
        (
            "ActivationOutcomes",
            object(&["items", "seq"], &[("items", list(outcome)), ("seq", seq()), ("dry_run", json!({ "const": true }))]),
        ),
        (
            "OpenedLink",
            whole(&[
                ("approver", described(uid(), "for whom the link was made")),
                ("expires_at", time()),
                ("unchanged", described(boolean(), "whether the request still reads as it did in the message")),
                ("activation", reference("Activation")),
                ("seq", seq()),
            ]),
        ),
        ("ItemProblem", item_problem),
        ("Approvals", whole(&[("items", list(reference("Activation"))), ("next", nullable(string())), ("now", time()), ("seq", seq())])),
        (
            "Revoked",
            object(
                &["outcome", "seq"],
                &[
                    ("principal", uid()),
                    ("role", name()),
                    ("outcome", words(&["revoked", "unchanged"])),
                    ("seq", seq()),
                    ("dry_run", json!({ "const": true })),
                ],
            ),
        ),
        (
            "Ended",
            whole(&[
                ("by", described(nullable(uid()), "null: Elevon itself")),
                ("at", time()),
                ("reason", nullable(string())),
                ("cause", nullable(reference("Cause"))),
            ]),
        ),
        (
            "Cause",
            object(
                &["kind"],
                &[
                    ("kind", words(&CAUSES)),
                    ("eligibility", string()),
                    ("entity", uid()),
                    ("role", name()),
                    ("activation", string()),
                    ("end", time()),
                    ("begin_by", time()),
                ],
            ),
        ),
    ]
}

/// What an ending can follow from.
pub(in crate::http::openapi) const CAUSES: [&str; 16] = [
    "eligibility_removed",
    "eligibility_ended",
    "principal_disabled",
    "principal_deleted",
    "group_left",
    "scope_deleted",
    "role_removed",
    "cap_lowered",
    "principal_revoked",
    "role_revoked",
    "clock_accepted",
    "not_permitted",
    "window_past",
    "start_missed",
    "budget_exhausted",
    "parent_ended",
];

fn standings() -> Vec<(&'static str, Value)> {
    let held = [
        ("id", string()),
        ("via", words(&["activation", "assignment"])),
        ("principal", uid()),
        ("role", name()),
        ("scope", nullable(uid())),
        ("start", nullable(time())),
        ("end", nullable(time())),
        ("approvals", count()),
        ("counts", boolean()),
        ("why_not", nullable(reference("WhyNot"))),
    ];
    let own = [&held[..], &[("conditions", described(boolean(), "whether it counts is asked at every check"))]].concat();
    let presence = words(&["known", "disabled", "unknown"]);
    let eligible = whole(&[
        ("id", string()),
        ("role", name()),
        ("scope", nullable(uid())),
        ("principal", described(uid(), "who holds it: the caller, or a group")),
        ("start", time()),
        ("end", nullable(time())),
        ("emergency", described(boolean(), "whether the role offers break-glass")),
        ("settings", nullable(reference("RoleSummary"))),
    ]);
    let explain_error = whole(&[("policy", string()), ("effect", words(&["permit", "forbid"])), ("message", string())]);
    let elevated_holding =
        whole(&[("id", string()), ("via", words(&["activation", "assignment"])), ("scope", nullable(uid())), ("end", nullable(time()))]);
    vec![
        (
            "WhyNot",
            described(
                object(
                    &["reason", "detail"],
                    &[
                        ("reason", string()),
                        ("detail", string()),
                        ("start", time()),
                        ("end", time()),
                        ("eligibility", string()),
                        ("group", uid()),
                        ("scope", uid()),
                        ("role", name()),
                        ("holder", uid()),
                        ("because", string()),
                    ],
                ),
                "Why a holding does not count.",
            ),
        ),
        ("Holding", whole(&held)),
        ("OwnHolding", whole(&own)),
        ("Eligible", eligible),
        (
            "Me",
            whole(&[
                ("principal", uid()),
                ("presence", presence.clone()),
                ("groups", list(uid())),
                ("eligible", list(reference("Eligible"))),
                ("active", list(reference("OwnHolding"))),
                ("pending", list(reference("Activation"))),
                ("scheduled", list(reference("Activation"))),
                ("revision", string()),
                ("now", time()),
                ("time_trusted", boolean()),
                ("seq", seq()),
            ]),
        ),
        (
            "Explanation",
            whole(&[
                ("decision", boolean()),
                ("reason", reference("Reason")),
                ("detail", nullable(string())),
                ("policies", list(string())),
                ("errors", list(explain_error)),
                ("subject", presence.clone()),
                ("resource", presence),
                ("groups", list(uid())),
                ("holdings", list(reference("Holding"))),
                ("context_dropped", list(string())),
                ("valid_until", nullable(time())),
                ("revision", string()),
                ("now", time()),
                ("seq", seq()),
            ]),
        ),
        ("Reason", words(&REASONS)),
        (
            "Decision",
            whole(&[
                ("decision", boolean()),
                (
                    "context",
                    object(
                        &["reason", "revision", "seq"],
                        &[
                            ("reason", reference("Reason")),
                            ("revision", string()),
                            ("seq", seq()),
                            (
                                "valid_until",
                                described(
                                    time(),
                                    "the next moment at which time alone could change the answer; it promises nothing about revocation",
                                ),
                            ),
                        ],
                    ),
                ),
            ]),
        ),
        (
            "Elevated",
            whole(&[
                ("elevated", boolean()),
                ("needs_context", described(boolean(), "the role has conditions: ask for an evaluation instead")),
                ("until", nullable(time())),
                ("holdings", list(elevated_holding)),
                ("revision", string()),
                ("seq", seq()),
            ]),
        ),
        ("Metadata", whole(&[("policy_decision_point", string()), ("access_evaluation_endpoint", string())])),
    ]
}

/// Why a check came out as it did.
pub(in crate::http::openapi) const REASONS: [&str; 13] = [
    "permitted",
    "no_permit",
    "forbidden",
    "policy_error",
    "unknown_principal",
    "principal_disabled",
    "unknown_resource",
    "unknown_action",
    "not_applicable",
    "context_missing",
    "context_invalid",
    "time_untrusted",
    "stale",
];

fn grants() -> Vec<(&'static str, Value)> {
    let ended = whole(&[("by", nullable(uid())), ("at", time()), ("reason", nullable(string()))]);
    let always = [
        ("id", nullable(string())),
        ("status", words(&["scheduled", "active", "expired", "removed"])),
        ("in_force", described(boolean(), "false where a name that it was given under is gone or came back")),
        ("principal", uid()),
        ("role", name()),
        ("scope", nullable(uid())),
        ("start", time()),
        ("end", nullable(time())),
        ("granted_by", nullable(uid())),
        ("granted_at", time()),
        ("justification", nullable(string())),
        ("renews", described(nullable(string()), "the grant that it follows on")),
        ("ended", nullable(ended)),
    ];
    let tail = [("seq", seq()), ("dry_run", json!({ "const": true }))];
    let granted: Vec<&str> = always.iter().map(|(name, _)| *name).collect();
    let decided = whole(&[
        ("by", nullable(uid())),
        ("at", time()),
        ("reason", nullable(string())),
        ("grant", described(nullable(string()), "the one that runs on, or the new one")),
    ]);
    let asked = [
        ("id", nullable(string())),
        ("status", grant_request_status()),
        ("kind", words(&["eligibility", "assignment"])),
        ("grant", string()),
        ("principal", uid()),
        ("role", name()),
        ("scope", nullable(uid())),
        ("requester", nullable(uid())),
        ("requested_at", time()),
        ("end", time()),
        ("expires_at", time()),
        ("justification", nullable(string())),
        ("decided", nullable(decided)),
        ("revision", string()),
    ];
    let requested: Vec<&str> = asked.iter().map(|(name, _)| *name).collect();
    vec![
        ("Granted", object(&granted, &[&always[..], &tail[..]].concat())),
        ("GrantRequest", object(&requested, &[&asked[..], &tail[..]].concat())),
    ]
}

fn role(more: &[(&str, Value)]) -> Value {
    let stage = whole(&[
        ("quorum", count()),
        ("approvers", list(uid())),
        ("timeout", duration()),
        ("fallback", nullable(whole(&[("approvers", list(uid())), ("after", duration())]))),
    ]);
    let limits = whole(&[("max_duration", duration()), ("allow_permanent", boolean())]);
    let settings = [
        ("role", name()),
        ("ticket_pattern", nullable(string())),
        ("mfa_max_age", nullable(duration())),
        ("approval", whole(&[("stages", list(stage))])),
        ("extendable_after", described(count(), "percent")),
        ("privileged", described(boolean(), "whether alerts look at it as one that can do much")),
        ("eligibility", limits.clone()),
        ("assignment", limits),
        ("digest", reference("Digest")),
    ];
    let all = [&summary()[..], &settings[..]].concat();
    let required: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    object(&required, &[&all[..], more].concat())
}

fn summary() -> [(&'static str, Value); 11] {
    let emergency = whole(&[("max_duration", duration()), ("max_per_day", count()), ("review_within", duration())]);
    [
        ("description", string()),
        ("scopes", described(nullable(list(string())), "entity types that it can be scoped to; null: any")),
        ("scope_required", boolean()),
        ("max_duration", duration()),
        ("default_duration", duration()),
        ("require", list(words(&["justification", "ticket", "mfa"]))),
        ("max_extensions", count()),
        ("max_active_per_day", nullable(duration())),
        ("activate_within", duration()),
        ("emergency", nullable(emergency)),
        ("conditions", boolean()),
    ]
}

fn operations() -> Vec<(&'static str, Value)> {
    let edge = whole(&[("parent", uid()), ("source", words(&["bundle", "api", "scim"]))]);
    let entity = [
        ("uid", uid()),
        ("attrs", json!({ "type": "object" })),
        ("parents", list(uid())),
        ("edges", list(edge)),
        ("owner", words(&["bundle", "api"])),
        ("disabled", boolean()),
    ];
    let shown: Vec<&str> = entity.iter().map(|(name, _)| *name).collect();
    let tail = [("seq", seq()), ("dry_run", json!({ "const": true }))];
    let bundle_problem = whole(&[
        ("file", nullable(string())),
        ("line", nullable(count())),
        ("column", nullable(count())),
        ("source_line", nullable(string())),
        ("message", string()),
        ("help", nullable(string())),
    ]);
    let test = whole(&[
        ("name", string()),
        ("file", string()),
        ("line", count()),
        ("guard", boolean()),
        ("passed", boolean()),
        ("explanation", nullable(string())),
    ]);
    let record = json!({ "type": "object", "required": ["seq", "at", "actor", "command", "revision", "events"], "properties": {
        "seq": count(), "at": time(), "command": string(), "revision": string(),
        "events": { "type": "array", "items": { "type": "object", "required": ["kind"], "properties": { "kind": string() } } },
    } });
    vec![
        ("Role", role(&[("revision", string()), ("seq", seq())])),
        (
            "Roles",
            whole(&[("items", list(reference("Role"))), ("next", json!({ "type": "null" })), ("revision", string()), ("seq", seq())]),
        ),
        ("RoleSummary", whole(&[&summary()[..], &[("approval_stages", count())]].concat())),
        ("EntityShown", object(&shown, &[&entity[..], &tail[..]].concat())),
        (
            "EntityChanged",
            json!({ "anyOf": [
            reference("EntityShown"),
            object(&["uid", "seq"], &[("uid", uid()), ("deleted", json!({ "const": true })), ("seq", seq()), ("dry_run", json!({ "const": true }))]),
        ] }),
        ),
        (
            "PolicyStatus",
            whole(&[
                ("revision", string()),
                ("activated_at", time()),
                ("age", duration()),
                ("policies", count()),
                ("roles", count()),
                ("files", list(whole(&[("path", string()), ("bytes", count()), ("sha256", reference("Digest"))]))),
                ("warnings", list(string())),
                ("shadowed", whole(&[("count", count()), ("entities", list(uid()))])),
                ("folder", string()),
                ("degraded", boolean()),
                ("last_error", nullable(whole(&[("message", string()), ("at", time())]))),
                ("seq", seq()),
            ]),
        ),
        ("Reloaded", whole(&[("outcome", words(&["activated", "unchanged"])), ("revision", string()), ("seq", seq())])),
        ("BundleProblem", bundle_problem),
        (
            "Tried",
            json!({ "anyOf": [
            whole(&[
                ("valid", json!({ "const": true })), ("revision", string()), ("policies", count()), ("warnings", list(string())),
                ("tests", list(test)), ("problems", json!({ "type": "array", "maxItems": 0 })), ("seq", seq()),
            ]),
            whole(&[
                ("valid", json!({ "const": false })), ("problems", list(reference("BundleProblem"))), ("more", described(count(), "problems beyond those listed")),
                ("text", string()), ("seq", seq()),
            ]),
        ] }),
        ),
        ("Record", described(record, "A record of the journal, as it was written.")),
        (
            "AuditItem",
            whole(&[
                ("seq", count()),
                ("hash", described(reference("Digest"), "of the record's canonical bytes (RFC 8785)")),
                ("record", described(nullable(reference("Record")), "null: what stands there cannot be read")),
                (
                    "texts",
                    described(
                        json!({ "type": "object", "additionalProperties": nullable(string()) }),
                        "free texts by their digest; null: erased",
                    ),
                ),
            ]),
        ),
        (
            "AuditTip",
            whole(&[
                ("seq", described(count(), "the newest record's number")),
                ("hash", described(reference("Digest"), "of its canonical bytes (RFC 8785)")),
                ("at", described(reference("Time"), "when it was decided")),
            ]),
        ),
        ("Health", whole(&[("status", json!({ "const": "ok" })), ("seq", seq())])),
        (
            "Readiness",
            whole(&[
                ("ready", boolean()),
                ("journal", boolean()),
                ("time_trusted", boolean()),
                ("revision", string()),
                ("bundle_age_seconds", count()),
                ("degraded", boolean()),
                ("seq", seq()),
            ]),
        ),
    ]
}
