//! What is sent.

use serde_json::{Value, json};

use crate::domain::text::MAX_TEXT_BYTES;
use crate::http::limits::MAX_BULK_ITEMS;
use crate::http::openapi::put;
use crate::identity::MAX_LINK_BYTES;

use super::{LINE, boolean, described, dry_run, duration, list, name, nullable, object, reference, string, text, time, uid, words};

fn link() -> Value {
    described(json!({ "type": "string", "maxLength": MAX_LINK_BYTES }), "what stands behind the `#` of the address, up to a `&`")
}

/// The bodies of commands. Optional members may be null, which leaves them out.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let line = json!({ "type": "string", "maxLength": MAX_TEXT_BYTES, "pattern": LINE });
    let ticket = object(&["system", "number"], &[("system", line.clone()), ("number", line)]);
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
    put(&mut item, "allOf", exclusive.clone());
    let mut request = object(&["role"], &[&asked[..], &[("dry_run", dry_run())]].concat());
    put(&mut request, "allOf", exclusive);
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
    put(&mut everything, "oneOf", one_of("principal", "role", "object"));
    let mut prolong = object(
        &[],
        &[("end", nullable(time())), ("duration", nullable(duration())), ("justification", nullable(text())), ("dry_run", dry_run())],
    );
    put(&mut prolong, "oneOf", one_of("end", "duration", "string"));
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
        ("OpenLink", object(&["link"], &[("link", link())])),
        (
            "UseLink",
            object(
                &["link", "decision"],
                &[("link", link()), ("decision", words(&["approve", "deny"])), ("justification", nullable(text())), ("dry_run", dry_run())],
            ),
        ),
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
        put(&mut schema, "additionalProperties", json!(true));
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
