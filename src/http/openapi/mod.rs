//! `GET /openapi.json`: the document of everything that is served, as OpenAPI 3.1, made from the endpoints' own rows.
//!
//! An endpoint that is not described, or a description without an endpoint, fails a test; so does a member that a command takes and its
//! schema does not (`tests/api/openapi.rs`). Lost: a derive on handler types, for the handlers read members one by one and strictly, and
//! there are no such types; and a file written by hand, which is right on the day it is written.

mod alerts;
mod examples;
mod notifications;
mod paths;
mod problems;
mod reviews;
mod schemas;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::control::{Endpoint, endpoints};
use crate::domain::id::MAX_ID_BYTES;
use paths::{Content, Operation};
use problems::{At, RULES, Rule};
use schemas::{count, described, reference, string};

/// The document's text. It is the same for every server of a build.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// `GET /openapi.json`.
pub(super) async fn openapi() -> Response {
    let mut response = DOCUMENT.as_str().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Puts a member into an object.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let operations = paths::operations();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints() {
        let described = operations.iter().find(|operation| operation.method == endpoint.method && operation.path == endpoint.path);
        if let Some(operation) = described {
            let methods = paths.entry(endpoint.path).or_default();
            methods.insert(endpoint.method.as_str().to_ascii_lowercase(), shown(operation, &endpoint));
        }
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Elevon",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Who may do what, given what they have activated right now",
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "parameters": parameters(),
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

const INTRODUCTION: &str = "Commands are read strictly: a member that is unknown, repeated or not built yet is refused and named. `null` leaves an \
optional member out. What is refused by a rule changes nothing. Everything but the AuthZEN evaluation answers problems (RFC 9457), each with a stable \
`type`. A `GET` can be sent as `HEAD`.";

/// How callers say who they are. A listener takes what its configuration names; a UNIX socket's peer needs nothing in the request.
fn security_schemes() -> Value {
    json!({
        "dev": {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "`Dev User::\"alice\"`, with `; mfa=pwd,otp` and `; auth_time=2030-01-31T09:00:00Z` where wanted; believed by a server started with `--dev` only",
        },
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "a static token of the server's configuration, or an access token (JWT, RFC 9068) of an OIDC provider that it names",
        },
        "mutualTLS": { "type": "mutualTLS", "description": "a client certificate with a SPIFFE ID or a subject that the configuration maps" },
    })
}

fn parameters() -> Value {
    let header = |name: &str, schema: Value, says: &str| json!({ "name": name, "in": "header", "required": false, "description": says, "schema": schema });
    json!({
        "MinSeq": header("Elevon-Min-Seq", count(), "answer only as of this journal sequence or later; waits a bounded time, then 503"),
        "IdempotencyKey": header(
            "Idempotency-Key",
            json!({ "type": "string", "maxLength": MAX_ID_BYTES, "pattern": "^[!-~]+( +[!-~]+)*$" }),
            "repeated within 24 hours by the same caller, the command does nothing again and gets the same result",
        ),
        "RequestId": header("X-Request-ID", string(), "echoed; made where it is missing"),
        "LastEventId": header("Last-Event-ID", count(), "the sequence of the last event that was seen"),
    })
}

fn headers() -> Value {
    json!({
        "Seq": { "description": "where the journal stood: what was read is at least that new", "required": true, "schema": count() },
        "RequestId": { "description": "the request's id", "required": true, "schema": string() },
        "Repeated": { "description": "the command was carried out before, under the same `Idempotency-Key`", "schema": { "const": "true" } },
        "Location": { "description": "where the new thing is; not where it was only tried", "schema": string() },
        "RetryAfter": { "description": "seconds to wait", "schema": string() },
        "Authenticate": { "description": "the kinds of credential that are taken", "required": true, "schema": string() },
    })
}

fn shown(operation: &Operation, endpoint: &Endpoint) -> Value {
    let mut shown = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": format!("Asked first: {}.", endpoint.asks),
        "parameters": parameters_of(operation),
        "responses": responses(operation),
        "security": [],
    });
    if operation.credential {
        put(&mut shown, "security", json!([{ "dev": [] }, { "bearer": [] }, { "mutualTLS": [] }]));
    }
    if let Some((schema, required)) = operation.body {
        let mut content = json!({ "schema": reference(schema) });
        if let Some(example) = examples::request(operation.id) {
            put(&mut content, "examples", json!({ "request": { "value": example } }));
        }
        put(&mut shown, "requestBody", json!({ "required": required, "content": { "application/json": content } }));
    }
    shown
}

fn parameters_of(operation: &Operation) -> Vec<Value> {
    let named = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = named.map(|name| in_path(name, operation.path)).collect();
    all.extend(operation.query.iter().cloned());
    let mut headers = vec!["RequestId"];
    if operation.credential {
        headers.push("MinSeq");
    }
    if operation.command {
        headers.push("IdempotencyKey");
    }
    if operation.path == "/v1/events" {
        headers.push("LastEventId");
    }
    all.extend(headers.into_iter().map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })));
    all
}

fn in_path(name: &str, path: &str) -> Value {
    let (schema, example) = match name {
        "role" => (reference("Name"), "db-admin"),
        _ => (described(reference("Name"), "as it was answered"), examples::id_below(path)),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
}

fn responses(operation: &Operation) -> Value {
    let mut all = Map::new();
    for answered in &operation.answers {
        let mut headers =
            json!({ "Elevon-Seq": { "$ref": "#/components/headers/Seq" }, "X-Request-ID": { "$ref": "#/components/headers/RequestId" } });
        if operation.command {
            put(&mut headers, "Elevon-Repeated", json!({ "$ref": "#/components/headers/Repeated" }));
        }
        if answered.located {
            put(&mut headers, "Location", json!({ "$ref": "#/components/headers/Location" }));
        }
        let content = match &answered.content {
            Content::Json(schema) => {
                let mut content = json!({ "schema": schema });
                if let Some(example) = examples::answer(operation.id, answered.status) {
                    put(&mut content, "examples", json!({ "answer": { "value": example } }));
                }
                json!({ "application/json": content })
            }
            Content::Text(kind) => json!({ *kind: { "schema": string() } }),
        };
        all.insert(answered.status.to_string(), json!({ "description": answered.says, "headers": headers, "content": content }));
    }
    for (status, rules) in refusals(operation) {
        let told = refusal(operation, &rules);
        match all.get_mut(&status.to_string()).and_then(|shared| shared.pointer_mut("/content")) {
            Some(content) => {
                put(content, "application/problem+json", told.pointer("/content/application~1problem+json").cloned().unwrap_or_default())
            }
            None => drop(all.insert(status.to_string(), told)),
        }
    }
    Value::Object(all)
}

/// The rules that an operation refuses by, by status.
fn refusals(operation: &Operation) -> BTreeMap<u16, Vec<&'static Rule>> {
    let mut by_status: BTreeMap<u16, Vec<&'static Rule>> = BTreeMap::new();
    for rule in RULES.iter().filter(|rule| refuses(operation, rule)) {
        // AuthZEN knows no 415: what is not JSON is a bad request.
        let status = if operation.plain && rule.status == 415 { 400 } else { rule.status };
        by_status.entry(status).or_default().push(rule);
    }
    by_status
}

fn refuses(operation: &Operation, rule: &Rule) -> bool {
    // Of a word with two rules, one is about the caller, and one about whom a command names.
    let about_others = rule.at == At::Own && RULES.iter().any(|other| other.word == rule.word && other.at != At::Own);
    let named = operation.rules.contains(&rule.word) && (operation.command || !about_others);
    let by_place = match rule.at {
        At::Everywhere => true,
        At::Nowhere | At::Own => false,
        At::Credential => operation.credential,
        At::Body => operation.body.is_some(),
        At::Members => operation.body.is_some_and(|(schema, _)| schema != "Evaluation"),
        At::Counted => operation.credential && !operation.plain && !operation.method.is_safe(),
        At::Command => operation.command,
    };
    named || by_place
}

/// A rule's word, and the members of its problems.
fn named(rule: &Rule) -> String {
    if rule.members.is_empty() { format!("`{}`", rule.word) } else { format!("`{}` ({})", rule.word, rule.members.join(", ")) }
}

fn refusal(operation: &Operation, rules: &[&'static Rule]) -> Value {
    let words: Vec<String> = rules.iter().map(|rule| named(rule)).collect();
    let mut headers =
        json!({ "Elevon-Seq": { "$ref": "#/components/headers/Seq" }, "X-Request-ID": { "$ref": "#/components/headers/RequestId" } });
    if rules.iter().any(|rule| rule.status == 401) {
        put(&mut headers, "WWW-Authenticate", json!({ "$ref": "#/components/headers/Authenticate" }));
    }
    if rules.iter().any(|rule| matches!(rule.status, 429 | 503)) {
        put(&mut headers, "Retry-After", json!({ "$ref": "#/components/headers/RetryAfter" }));
    }
    let content = if operation.plain {
        json!({ "text/plain": { "schema": string() } })
    } else {
        let examples: Map<String, Value> =
            rules.iter().map(|rule| (rule.word.to_owned(), json!({ "summary": rule.title, "value": problems::example(rule) }))).collect();
        json!({ "application/problem+json": { "schema": problems::schema_of(rules), "examples": examples } })
    };
    json!({ "description": words.join(", "), "headers": headers, "content": content })
}
