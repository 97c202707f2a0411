//! The schemas of what is sent and answered (JSON Schema 2020-12, as OpenAPI 3.1 has it), each by its name.
//!
//! Every object is closed: what an answer has that does not stand here is a fault of one of them, and a test says so.

pub(super) mod answers;
mod commands;

use serde_json::{Map, Value, json};

use super::{alerts, notifications, reviews};
use crate::domain::grant::ActivationStatus;
use crate::domain::id::{MAX_ID_BYTES, MAX_TYPE_BYTES};
use crate::domain::text::MAX_TEXT_BYTES;

/// The pattern of an entity type.
const TYPE: &str = "^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$";
/// What is not seen, or makes one name look like another, as a part of a pattern: control characters, white space but the blank, and the letters
/// of [`crate::domain::text::misleads`].
macro_rules! unseen {
    () => {
        concat!(
            r"\x00-\x1f\x7f-\x9f\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufeff\uffa0",
            "\u{e0000}-\u{e0fff}"
        )
    };
}
/// The pattern of a name: visible letters, with blanks between them.
const NAME: &str = concat!("^[^ ", unseen!(), "](?:[^", unseen!(), "]*[^ ", unseen!(), "])?$");
/// The pattern of a text of one line that names something: visible letters and blanks, not blank as a whole.
pub(super) const LINE: &str = concat!("^[^", unseen!(), "]*[^ ", unseen!(), "][^", unseen!(), "]*$");
/// The pattern of a free text: no control characters but line breaks and tabs.
const TEXT: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";
/// The pattern of a duration: weeks, days, hours, minutes and seconds, in that order and at least one of them.
const DURATION: &str = "^P(?:[0-9]{1,4}W(?:[0-9]{1,5}D)?|[0-9]{1,5}D|(?:[0-9]{1,4}W)?(?:[0-9]{1,5}D)?T(?:[0-9]{1,6}H(?:[0-9]{1,7}M)?(?:[0-9]{1,9}S)?|[0-9]{1,7}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))$";
/// The greatest number that JSON readers of every kind read exactly, and that is kept.
const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// A schema by its name.
pub(in crate::http::openapi) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object with these members and no others.
pub(in crate::http::openapi) fn object(required: &[&str], members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

/// An object with these members, all of them always there, and no others.
pub(in crate::http::openapi) fn whole(members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    object(&names, members)
}

/// Or null.
pub(in crate::http::openapi) fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

pub(in crate::http::openapi) fn list(schema: Value) -> Value {
    json!({ "type": "array", "items": schema })
}

/// A page of a list.
pub(in crate::http::openapi) fn page_of(name: &str) -> Value {
    whole(&[("items", list(reference(name))), ("next", nullable(string())), ("seq", seq())])
}

/// What an answer shows, with where the journal stood.
pub(in crate::http::openapi) fn answered(name: &str) -> Value {
    json!({ "allOf": [reference(name), { "type": "object", "required": ["seq"] }] })
}

/// With a description.
pub(in crate::http::openapi) fn described(mut schema: Value, text: &str) -> Value {
    super::put(&mut schema, "description", text.into());
    schema
}

pub(in crate::http::openapi) fn string() -> Value {
    json!({ "type": "string" })
}

pub(in crate::http::openapi) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(in crate::http::openapi) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(in crate::http::openapi) fn seq() -> Value {
    described(count(), "the journal sequence as of which it was answered")
}

pub(in crate::http::openapi) fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn uid() -> Value {
    reference("Entity")
}

pub(in crate::http::openapi) fn time() -> Value {
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
pub(in crate::http::openapi) fn activation_status() -> Value {
    words(&ActivationStatus::ALL.map(ActivationStatus::as_str))
}

/// Where requests about grants can stand.
pub(in crate::http::openapi) fn grant_request_status() -> Value {
    words(&["pending", "approved", "denied", "cancelled", "timed_out"])
}

/// All of them.
pub(in crate::http::openapi) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    let of_parts = [
        commands::all(),
        answers::all(),
        reviews::commands(),
        reviews::answers(),
        alerts::commands(),
        alerts::answers(),
        notifications::answers(),
    ];
    for (name, schema) in basics().into_iter().chain(of_parts.into_iter().flatten()) {
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
                "description": format!("A name: at most {MAX_ID_BYTES} bytes of UTF-8 in Unicode normalisation form C: visible letters (no control, format or tag characters), with blanks between them. Compared byte for byte."),
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
