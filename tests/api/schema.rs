//! Reads values against the document's schemas: as much of JSON Schema as the document uses, and a panic for what it does not know.

use std::sync::OnceLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::help::{Answer, Api, Call, call};

pub(crate) struct Document(pub(crate) Value);

impl Document {
    pub(crate) fn of(api: &Api) -> Self {
        Self(api.send(&call("GET", "/openapi.json")).json())
    }

    /// The one of this build: it is the same for every server.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Document> = OnceLock::new();
        SHARED.get_or_init(|| Self(elevon::http::openapi::document()))
    }

    /// What a reference leads to.
    pub(crate) fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}")),
            None => schema,
        }
    }

    /// Whether a value is as a schema says; where it is not, and why.
    pub(crate) fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        self.check_at(schema, value, "")
    }

    fn check_at(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        let schema = self.resolved(schema);
        for (word, says) in schema.as_object().unwrap_or_else(|| panic!("no schema at {place}")) {
            let fine = match word.as_str() {
                "type" => is_of(says, value),
                "const" => says == value,
                "enum" => says.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
                "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= says.as_u64().unwrap()),
                "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= says.as_u64().unwrap()),
                "pattern" => value.as_str().is_none_or(|text| Regex::new(says.as_str().unwrap()).unwrap().is_match(text)),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
                "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().unwrap()),
                "required" => {
                    says.as_array().unwrap().iter().all(|name| value.as_object().is_none_or(|it| it.contains_key(name.as_str().unwrap())))
                }
                "not" => self.check_at(says, value, place).is_err(),
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check_at(says, item, &format!("{place}/{number}"))?;
                    }
                    true
                }
                "properties" => {
                    for (name, schema) in says.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            self.check_at(schema, member, &format!("{place}/{name}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    for (name, member) in
                        value.as_object().into_iter().flatten().filter(|(name, _)| schema["properties"].get(name).is_none())
                    {
                        match says {
                            Value::Bool(true) => {}
                            Value::Bool(false) => return Err(format!("{place}/{name} is not described")),
                            says => self.check_at(says, member, &format!("{place}/{name}"))?,
                        }
                    }
                    true
                }
                "allOf" => {
                    for one in says.as_array().unwrap() {
                        self.check_at(one, value, place)?;
                    }
                    true
                }
                "anyOf" | "oneOf" => {
                    let read: Vec<_> = says.as_array().unwrap().iter().map(|one| self.check_at(one, value, place)).collect();
                    let fits = read.iter().filter(|one| one.is_ok()).count();
                    if fits == 0 || (word == "oneOf" && fits > 1) {
                        let why: Vec<String> = read.into_iter().filter_map(Result::err).collect();
                        return Err(format!("{place} fits {fits} of {word}: {}", why.join("; ")));
                    }
                    true
                }
                "format" | "description" | "examples" | "default" => true,
                unknown => panic!("{unknown} is not read here"),
            };
            if !fine {
                return Err(format!("{place}: {value} is not {word} {says}"));
            }
        }
        Ok(())
    }

    /// Whether an answer is one that the document knows.
    pub(crate) fn knows(&self, asked: &Call, answer: &Answer) -> Result<(), String> {
        if answer.header("content-type") == "application/problem+json" && asked.method != "HEAD" {
            is_listed(&answer.json())?;
        }
        let path = asked.path.split('?').next().unwrap_or_default();
        let paths = self.0["paths"].as_object().unwrap();
        let Some(template) = template_of(paths.keys().map(String::as_str), path) else {
            return problem_alone(asked, answer, &[404]);
        };
        let method = asked.method.to_lowercase();
        let method = if method == "head" { "get" } else { method.as_str() };
        let Some(operation) = paths[template].get(method) else { return problem_alone(asked, answer, &[405]) };
        let response = operation["responses"].get(answer.status.to_string());
        let response = response.ok_or_else(|| format!("{} is no answer of {method} {template}", answer.status))?;
        if asked.method == "HEAD" {
            return Ok(());
        }
        let kind = answer.header("content-type").split(';').next().unwrap_or_default();
        let content =
            response["content"].get(kind).ok_or_else(|| format!("`{kind}` is no content of {method} {template} {}", answer.status))?;
        let value = if kind.ends_with("json") { answer.json() } else { json!(answer.text) };
        self.check(&content["schema"], &value).map_err(|why| format!("{method} {template} {}: {why}", answer.status))
    }
}

/// Whether a problem has what all of them have, and `docs/problems.md` tells of its type with its status.
fn is_listed(problem: &Value) -> Result<(), String> {
    static PAGE: &str = include_str!("../../docs/problems.md");
    for member in ["type", "title", "status", "detail", "rule", "seq", "request_id"] {
        if problem[member].is_null() {
            return Err(format!("the problem has no {member}"));
        }
    }
    let row = format!("| {} | `{}` |", problem["status"], problem["type"].as_str().unwrap_or_default());
    if PAGE.contains(&row) { Ok(()) } else { Err(format!("docs/problems.md has no row {row}")) }
}

/// What is refused before there is an operation.
fn problem_alone(asked: &Call, answer: &Answer, statuses: &[u16]) -> Result<(), String> {
    let known = statuses.contains(&answer.status) || answer.status == 421 || answer.status == 400;
    let kind = answer.header("content-type");
    let told = kind == "application/problem+json" && (asked.method == "HEAD") == answer.text.is_empty();
    if known && told { Ok(()) } else { Err(format!("{} {kind}", answer.status)) }
}

fn template_of<'a>(templates: impl Iterator<Item = &'a str>, path: &str) -> Option<&'a str> {
    let fits = |template: &&str| {
        let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        wanted.len() == given.len()
            && wanted.iter().zip(&given).all(|(one, other)| one == other || (one.starts_with('{') && !other.is_empty()))
    };
    // a path that is spelt out stands before one that varies
    templates.filter(fits).min_by_key(|template| template.matches('{').count())
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("{unknown} is no type"),
    };
    kinds.as_str().map_or_else(|| kinds.as_array().unwrap().iter().any(|kind| is(kind.as_str().unwrap())), is)
}

#[test]
fn a_value_that_is_not_as_its_schema_says_is_found() {
    let document = Document::shared();
    let entity = json!({ "$ref": "#/components/schemas/Entity" });
    let rows = [
        (json!({ "type": "User", "id": "alice" }), true),
        (json!({ "type": "User" }), false),
        (json!({ "type": "User", "id": "alice", "x": 1 }), false),
        (json!({ "type": "U ser", "id": "alice" }), false),
        (json!({ "type": "User", "id": "a\nb" }), false),
        (json!(["User", "alice"]), false),
    ];
    for (value, fine) in rows {
        assert_eq!(document.check(&entity, &value).is_ok(), fine, "{value}");
    }
}
