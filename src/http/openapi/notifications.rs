//! Notifications: their operations, what is answered, and examples of it.

use http::Method;
use serde_json::{Value, json};

use super::paths::{Operation, get, operation, page, parameter, post};
use super::schemas::{answered, boolean, count, described, list, nullable, object, page_of, reference, seq, string, time, whole, words};

const TAG: &str = "Notifications";
const LETTER: &str = "ops.2752512";

/// A name or an id as the path of one of these endpoints has it.
pub(super) fn id_below(path: &str) -> &'static str {
    if path.starts_with("/v1/notifications/destinations") { "ops" } else { LETTER }
}

/// Every operation.
pub(super) fn operations() -> Vec<Operation> {
    let there = ["not_permitted", "not_found"];
    vec![
        get("/v1/notifications/destinations", "listDestinations", TAG, "Who is told of what happened, and how that goes")
            .answer(200, "All of them.", page_of("Destination"))
            .refused(&["not_permitted"]),
        post(
            "/v1/notifications/destinations/{name}/test",
            "testDestination",
            TAG,
            "Tell one that nothing happened, and wait for what comes of it",
        )
        .body_or_none("Nothing")
        .answer(200, "What came of it.", reference("DestinationTested"))
        .refused(&there),
        get("/v1/notifications/dead-letters", "listDeadLetters", TAG, "What could not be delivered, by destination, oldest first")
            .query(page().into_iter().chain([parameter("destination", destination_name(), "of this destination")]))
            .answer(200, "A page.", page_of("DeadLetter"))
            .refused(&["not_permitted"]),
        post("/v1/notifications/dead-letters/{id}/retry", "retryDeadLetter", TAG, "Have one tried once more; it goes when it is taken")
            .body_or_none("Nothing")
            .answer(200, "It, as it waits.", answered("DeadLetter"))
            .refused(&there),
        operation(Method::DELETE, "/v1/notifications/dead-letters/{id}", "discardDeadLetter", TAG, "Take one away")
            .answer(200, "It is gone.", reference("DeadLetterGone"))
            .refused(&there),
        get("/.well-known/jwks.json", "keys", TAG, "The keys of this server's Security Event Tokens (RFC 7517)").open().answer(
            200,
            "A JWK set; an empty one where none are made.",
            reference("KeySet"),
        ),
    ]
}

/// As `is_destination_name` wants it.
fn destination_name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9_-]{1,32}$" })
}

/// What is answered.
pub(super) fn answers() -> Vec<(&'static str, Value)> {
    let name = || reference("Name");
    let error = || nullable(whole(&[("at", time()), ("message", string())]));
    let letter = [
        ("id", name()),
        ("destination", destination_name()),
        ("kind", described(string(), "the event's kind, or `digest`")),
        ("record", described(nullable(count()), "the journal's record that it is about")),
        ("event", described(nullable(count()), "its place there, from 0")),
        ("person", described(nullable(reference("Entity")), "who was to be told, where it was one person")),
        ("at", time()),
        ("given_up", time()),
        ("attempts", count()),
        ("error", string()),
        ("waits", described(boolean(), "it is to be tried once more, and was not yet")),
    ];
    vec![
        (
            "Destination",
            whole(&[
                ("name", name()),
                ("kind", words(&["webhook", "slack", "email", "set"])),
                ("state", words(&["idle", "sending", "failing", "stopped"])),
                ("after", described(count(), "everything up to this record was delivered, or given up")),
                ("lag", described(count(), "how many records come after it")),
                ("attempts", described(count(), "how often what is next was tried in vain")),
                ("failing_since", nullable(time())),
                ("next_attempt", nullable(time())),
                ("last_error", described(error(), "since the server was started")),
                ("last_delivered", described(nullable(time()), "since the server was started")),
                ("dead_letters", count()),
                ("delivered", described(count(), "since the server was started")),
                ("failed", count()),
                ("given_up", count()),
                ("dropped", count()),
            ]),
        ),
        ("DestinationTested", whole(&[("delivered", boolean()), ("error", nullable(string())), ("seq", seq())])),
        ("DeadLetter", object(&letter.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &[&letter[..], &[("seq", seq())]].concat())),
        ("DeadLetterGone", whole(&[("id", name()), ("seq", seq())])),
        ("KeySet", whole(&[("keys", list(json!({ "type": "object" })))])),
    ]
}

fn destination() -> Value {
    json!({
        "name": "ops", "kind": "webhook", "state": "failing", "after": 41, "lag": 1, "attempts": 3,
        "failing_since": "2030-01-31T09:00:00.000Z", "next_attempt": "2030-01-31T09:00:08.000Z",
        "last_error": { "at": "2030-01-31T09:00:04.000Z", "message": "it answered 500" }, "last_delivered": null,
        "dead_letters": 1, "delivered": 0, "failed": 3, "given_up": 0, "dropped": 0,
    })
}

fn letter() -> Value {
    json!({
        "id": LETTER, "destination": "ops", "kind": "activation_started", "record": 42, "event": 1, "person": null,
        "at": "2030-01-30T09:00:00.000Z", "given_up": "2030-01-31T09:00:00.000Z", "attempts": 300, "error": "it answered 500", "waits": false,
    })
}

/// What is sent to an operation.
pub(super) fn request(operation: &str) -> Option<Value> {
    matches!(operation, "testDestination" | "retryDeadLetter").then(|| json!({}))
}

/// What an operation answers.
pub(super) fn answer(operation: &str, status: u16) -> Option<Value> {
    let page = |item: Value| json!({ "items": [item], "next": null, "seq": 42 });
    Some(match (operation, status) {
        ("listDestinations", 200) => page(destination()),
        ("testDestination", 200) => json!({ "delivered": false, "error": "it answered 500", "seq": 42 }),
        ("listDeadLetters", 200) => page(letter()),
        ("retryDeadLetter", 200) => {
            let mut waits = letter();
            [("waits", json!(true)), ("seq", json!(42))].into_iter().for_each(|(name, value)| super::put(&mut waits, name, value));
            waits
        }
        ("discardDeadLetter", 200) => json!({ "id": LETTER, "seq": 42 }),
        ("keys", 200) => json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "elevon-1",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }] }),
        _ => return None,
    })
}
