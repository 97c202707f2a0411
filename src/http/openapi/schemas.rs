//! The schemas of what is sent and answered (JSON Schema 2020-12, as OpenAPI 3.1 has it), each by its name.
//!
//! Every object is closed: what an answer has that does not stand here is a fault of one of them, and a test says so.

use serde_json::{Map, Value, json};

use crate::domain::grant::ActivationStatus;
use crate::domain::id::{MAX_ID_BYTES, MAX_TYPE_BYTES};
use crate::domain::text::MAX_TEXT_BYTES;
use crate::http::limits::MAX_BULK_ITEMS;

/// The pattern of an entity type.
const TYPE: &str = "^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$";
/// The pattern of a name: no control characters.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
/// The pattern of a free text: no control characters but line breaks and tabs.
const TEXT: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";
/// The pattern of a free text that is not blank.
const TEXT_NOT_BLANK: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";
/// The pattern of a duration: weeks, days, hours, minutes and seconds, in that order and at least one of them.
const DURATION: &str = "^P(?:[0-9]{1,4}W(?:[0-9]{1,5}D)?|[0-9]{1,5}D|(?:[0-9]{1,4}W)?(?:[0-9]{1,5}D)?T(?:[0-9]{1,6}H(?:[0-9]{1,7}M)?(?:[0-9]{1,9}S)?|[0-9]{1,7}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))$";
/// The greatest number that JSON readers of every kind read exactly, and that is kept.
const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// A schema by its name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object with these members and no others.
pub(super) fn object(required: &[&str], members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// An object with these members, all of them always there, and no others.
fn whole(members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    object(&names, members)
}

/// Or null.
pub(super) fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn list(schema: Value) -> Value {
    json!({ "type": "array", "items": schema })
}

/// A page of a list.
pub(super) fn page_of(name: &str) -> Value {
    whole(&[("items", list(reference(name))), ("next", nullable(string())), ("seq", seq())])
}

/// What an answer shows, with where the journal stood.
pub(super) fn answered(name: &str) -> Value {
    json!({ "allOf": [reference(name), { "type": "object", "required": ["seq"] }] })
}

/// With a description.
pub(super) fn described(mut schema: Value, text: &str) -> Value {
    super::put(&mut schema, "description", text.into());
    schema
}

pub(super) fn string() -> Value {
    json!({ "type": "string" })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn seq() -> Value {
    described(count(), "the journal sequence as of which it was answered")
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn uid() -> Value {
    reference("Entity")
}

fn time() -> Value {
    reference("Time")
}

fn duration() -> Value {
    reference("Duration")
}

fn name() -> Value {
    reference("Name")
}

fn text() -> Value {
    reference("Text")
}

fn dry_run() -> Value {
    described(nullable(boolean()), "only say what would become of it; nothing changes and nothing is journaled")
}

/// Where activations can stand.
pub(super) fn activation_status() -> Value {
    words(&ActivationStatus::ALL.map(ActivationStatus::as_str))
}

/// Where requests about grants can stand.
pub(super) fn grant_request_status() -> Value {
    words(&["pending", "approved", "denied", "cancelled", "timed_out"])
}

/// All of them.
pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    for (name, schema) in basics().into_iter().chain(commands()).chain(activations()).chain(standings()).chain(grants()).chain(operations())
    {
        all.insert(name.to_owned(), schema);
    }
    all.insert("Problem".to_owned(), super::problems::schema());
    #[cfg(feature = "test-clock")]
    {
        let members = [("advance", nullable(duration())), ("set", nullable(time())), ("jump", nullable(duration()))];
        all.insert("Clock".to_owned(), described(object(&[], &members), "One of them."));
        all.insert("ClockShown".to_owned(), whole(&[("now", time()), ("seq", seq())]));
    }
    all
}

fn basics() -> Vec<(&'static str, Value)> {
    let entity_type = json!({ "type": "string", "pattern": TYPE, "maxLength": MAX_TYPE_BYTES, "examples": ["User", "Acme::User"] });
    let attribute = json!({ "anyOf": [
        { "type": "boolean" },
        { "type": "integer", "minimum": -MAX_SAFE, "maximum": MAX_SAFE },
        { "type": "string" },
        { "type": "array", "items": reference("Attribute") },
        { "type": "object", "additionalProperties": reference("Attribute") },
    ] });
    vec![
        ("EntityType", described(entity_type, "A Cedar entity type.")),
        (
            "Name",
            json!({
                "type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES, "pattern": NAME, "format": "elevon-name",
                "description": format!("A name: at most {MAX_ID_BYTES} bytes of UTF-8 in Unicode normalisation form C, without control characters. Compared byte for byte."),
            }),
        ),
        (
            "Text",
            json!({
                "type": "string", "maxLength": MAX_TEXT_BYTES, "pattern": TEXT,
                "description": format!("A free text: at most {MAX_TEXT_BYTES} bytes of UTF-8, no control characters but line breaks and tabs. A blank one counts as none."),
            }),
        ),
        (
            "Time",
            described(
                json!({ "type": "string", "format": "date-time", "examples": ["2030-01-31T09:00:00Z"] }),
                "An instant (RFC 3339); answered in UTC.",
            ),
        ),
        (
            "Duration",
            described(
                json!({ "type": "string", "pattern": DURATION, "examples": ["PT1H", "P30D"] }),
                "A length of time (ISO 8601) in weeks, days of 24 hours, hours, minutes and seconds; no years or months.",
            ),
        ),
        ("Digest", described(json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" }), "SHA-256 in hexadecimal.")),
        (
            "Entity",
            described(
                whole(&[("type", reference("EntityType")), ("id", name())]),
                "An entity: a principal, a group, a resource or a scope.",
            ),
        ),
        ("Attribute", described(attribute, "A value of Cedar's entity JSON; `{\"__entity\": …}` and `{\"__extn\": …}` are objects.")),
        ("Attributes", json!({ "type": "object", "additionalProperties": reference("Attribute") })),
    ]
}

/// The bodies of commands. Optional members may be null, which leaves them out.
fn commands() -> Vec<(&'static str, Value)> {
    let not_blank = json!({ "type": "string", "maxLength": MAX_TEXT_BYTES, "pattern": TEXT_NOT_BLANK });
    let ticket = object(&["system", "number"], &[("system", not_blank.clone()), ("number", not_blank)]);
    let asked = [
        ("role", name()),
        ("scope", described(nullable(uid()), "where: there and below; everywhere, where left out")),
        (
            "duration",
            described(
                nullable(duration()),
                "how long, from when it begins; the role's `default_duration` where neither it nor `end` is given",
            ),
        ),
        ("end", described(nullable(time()), "a fixed end instead of `duration`")),
        ("start", described(nullable(time()), "not before this instant; at most the role's `activate_within` ahead")),
        ("justification", nullable(text())),
        ("ticket", nullable(reference("Ticket"))),
        ("emergency", described(nullable(boolean()), "break-glass: at once, without approval, for oneself only; a review is owed")),
        ("principal", described(nullable(uid()), "for whom; the caller, where left out")),
    ];
    let exclusive = json!([
        { "not": { "required": ["duration", "end"], "properties": { "duration": { "type": "string" }, "end": { "type": "string" } } } },
        { "not": { "required": ["emergency", "start"], "properties": { "emergency": { "const": true }, "start": { "type": "string" } } } },
    ]);
    let mut item = object(&["role"], &asked);
    super::put(&mut item, "allOf", exclusive.clone());
    let mut request = object(&["role"], &[&asked[..], &[("dry_run", dry_run())]].concat());
    super::put(&mut request, "allOf", exclusive);
    let bulk_items = json!({ "type": "array", "minItems": 1, "maxItems": MAX_BULK_ITEMS, "items": reference("ActivationItem"),
        "description": "one that is malformed is that item's problem and does not stop the others" });
    let one_of = |one: &str, other: &str, kind: &str| {
        json!([
            { "required": [one], "properties": { one: { "type": kind }, other: { "type": "null" } } },
            { "required": [other], "properties": { other: { "type": "string" }, one: { "type": "null" } } },
        ])
    };
    let mut everything =
        object(&[], &[("principal", nullable(uid())), ("role", nullable(name())), ("reason", nullable(text())), ("dry_run", dry_run())]);
    super::put(&mut everything, "oneOf", one_of("principal", "role", "object"));
    let mut prolong = object(
        &[],
        &[("end", nullable(time())), ("duration", nullable(duration())), ("justification", nullable(text())), ("dry_run", dry_run())],
    );
    super::put(&mut prolong, "oneOf", one_of("end", "duration", "string"));
    let vote = [
        ("request_hash", described(reference("Digest"), "the hash that was shown")),
        ("justification", nullable(text())),
        ("dry_run", dry_run()),
    ];
    let less = [
        ("scope", described(nullable(uid()), "at or below the scope that was asked for, to give less")),
        ("duration", described(nullable(duration()), "at most the duration that was asked for, to give less")),
    ];
    vec![
        ("Ticket", ticket),
        ("ActivationRequest", request),
        ("ActivationItem", item),
        ("ActivationBulk", object(&["items"], &[("items", bulk_items), ("dry_run", dry_run())])),
        (
            "Extension",
            object(
                &[],
                &[
                    ("duration", nullable(duration())),
                    ("justification", nullable(text())),
                    ("ticket", nullable(reference("Ticket"))),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        ("Approve", object(&["request_hash"], &[&vote[..], &less[..]].concat())),
        ("Deny", object(&["request_hash"], &vote)),
        ("Ending", object(&[], &[("reason", nullable(text())), ("dry_run", dry_run())])),
        ("RevokeEverything", everything),
        (
            "Grant",
            object(
                &["principal", "role"],
                &[
                    ("principal", described(uid(), "a principal or a group")),
                    ("role", name()),
                    ("scope", nullable(uid())),
                    ("start", nullable(time())),
                    ("end", described(nullable(time()), "none: permanent, where the role's settings allow that")),
                    ("justification", nullable(text())),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        ("Prolong", prolong),
        (
            "GrantApproval",
            object(
                &[],
                &[
                    ("end", described(nullable(time()), "an earlier end than was asked for")),
                    ("reason", nullable(text())),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        (
            "EntityDefinition",
            object(
                &["uid"],
                &[
                    ("uid", uid()),
                    ("parents", described(nullable(list(uid())), "of the parents, those that the same source wrote are replaced")),
                    ("attrs", described(nullable(reference("Attributes")), "all of them are replaced")),
                    (
                        "source",
                        described(
                            json!({ "type": ["string", "null"], "enum": ["api", "scim", null] }),
                            "who says so; `api` where left out",
                        ),
                    ),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        (
            "EntitySwitch",
            object(
                &["type", "id"],
                &[("type", reference("EntityType")), ("id", name()), ("reason", nullable(text())), ("dry_run", dry_run())],
            ),
        ),
        ("Nothing", described(object(&[], &[]), "No members.")),
        (
            "BundleFiles",
            object(
                &["files"],
                &[(
                    "files",
                    described(
                        json!({ "type": "object", "additionalProperties": string() }),
                        "the text of each file by its path in the bundle",
                    ),
                )],
            ),
        ),
        ("Evaluation", evaluation()),
    ]
}

/// AuthZEN: members that it does not name are ignored.
fn evaluation() -> Value {
    let open = |required: &[&str], members: &[(&str, Value)]| {
        let mut schema = object(required, members);
        super::put(&mut schema, "additionalProperties", json!(true));
        schema
    };
    let properties = json!({ "type": ["object", "null"] });
    let entity = open(&["type", "id"], &[("type", reference("EntityType")), ("id", name()), ("properties", properties.clone())]);
    let action = open(&["name"], &[("name", json!({ "type": "string", "minLength": 1 })), ("properties", properties.clone())]);
    let schema = open(
        &["subject", "action", "resource"],
        &[("subject", entity.clone()), ("action", action), ("resource", entity), ("context", properties)],
    );
    described(schema, "The AuthZEN Authorization API 1.0 evaluation request. Members that it does not name are ignored.")
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
    let mut item_problem = super::problems::schema();
    super::put(&mut item_problem, "required", json!(["type", "rule", "title", "status", "detail"]));
    vec![
        ("Activation", object(&required, &[&always[..], &sometimes[..]].concat())),
        ("ActivationBrief", described(brief, "What is told to whoever may carry a command out and may not read the activation.")),
        ("ActivationOrBrief", json!({ "anyOf": [reference("Activation"), reference("ActivationBrief")] })),
        (
            "ActivationOutcomes",
            object(&["items", "seq"], &[("items", list(outcome)), ("seq", seq()), ("dry_run", json!({ "const": true }))]),
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
const CAUSES: [&str; 16] = [
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
const REASONS: [&str; 13] = [
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
                ("record", reference("Record")),
                (
                    "texts",
                    described(
                        json!({ "type": "object", "additionalProperties": nullable(string()) }),
                        "free texts by their digest; null: erased",
                    ),
                ),
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
