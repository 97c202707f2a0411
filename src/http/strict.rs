//! Strict reading of JSON: nothing repeated, nothing unknown, nothing nested past a bound, and every complaint names the member.
//!
//! A command's members are taken out of a [`Members`] one by one and what is left over is refused. Lost: `serde(deny_unknown_fields)`
//! on a struct per command, whose messages name no path and which cannot say "not available yet".

use std::fmt;

use http::StatusCode;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::Uid;

use super::limits::MAX_JSON_DEPTH;
use super::problem::Problem;

/// Any JSON value in which no object names a member twice.
struct Unrepeated;

impl<'de> DeserializeSeed<'de> for Unrepeated {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unrepeated {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is too large"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!("the member `{name}` stands there twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// A JSON object that names no member twice, at any depth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(pub Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Unrepeated.deserialize(deserializer)? {
            Value::Object(members) => Ok(Self(members)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(de::Error::custom("expected an object"))
            }
        }
    }
}

/// Whether JSON text nests deeper than [`MAX_JSON_DEPTH`]. It does not have to be well-formed.
#[must_use]
pub fn too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the request is malformed", detail)
}

fn about(rule: &'static str, title: &'static str, member: &str, detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, rule, title, detail).with("member", member)
}

/// Members of which a command takes one, and that came together.
#[must_use]
pub fn conflicting(names: &[&str], why: &str) -> Problem {
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    Problem::new(StatusCode::BAD_REQUEST, "conflicting_members", "members exclude each other", format!("{listed}: {why}"))
        .with("members", names)
}

/// A member that is missing, and what to write.
#[must_use]
pub fn missing(name: &str, detail: impl Into<String>) -> Problem {
    about("missing_member", "a member is missing", name, detail.into())
}

/// A member that is not as it should be, and why.
#[must_use]
pub fn malformed_member(name: &str, why: impl fmt::Display) -> Problem {
    about("malformed_member", "a member is not as it should be", name, format!("`{name}`: {why}"))
}

/// An entity as `{"type", "id"}`. A list of two texts is not one, though serde would take it.
fn entity(name: &'static str, value: Value) -> Result<Uid, Problem> {
    let wrong = |detail: String| about("malformed_member", "a member is not as it should be", name, format!("`{name}`: {detail}"));
    if !value.is_object() {
        return Err(wrong("write an entity as `{\"type\": …, \"id\": …}`".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

/// The members of a command, to be taken out one by one.
#[derive(Debug, Default)]
pub struct Members {
    left: Map<String, Value>,
    taken: Vec<&'static str>,
}

impl Members {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// It is not JSON, not an object, nests too deep, or names a member twice.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if too_deep(bytes) {
            return Err(malformed(format!("the JSON nests deeper than {MAX_JSON_DEPTH} levels")));
        }
        match serde_json::from_slice::<Object>(bytes) {
            Ok(Object(left)) => Ok(Self { left, taken: Vec::new() }),
            Err(error) => Err(malformed(format!("the body is not a JSON object as it should be: {error}"))),
        }
    }

    /// Reads a JSON object, or takes an empty body for one without members.
    ///
    /// # Errors
    /// As [`Members::read`].
    pub fn read_or_empty(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.iter().all(u8::is_ascii_whitespace) { Ok(Self::default()) } else { Self::read(bytes) }
    }

    /// The members of one command among several.
    ///
    /// # Errors
    /// It is no object.
    pub fn of_item(item: Value) -> Result<Self, Problem> {
        match item {
            Value::Object(left) => Ok(Self { left, taken: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(malformed("an item is to be an object with the members of one command"))
            }
        }
    }

    /// Whether the caller only wants to know what would become of the command.
    ///
    /// # Errors
    /// It says neither yes nor no.
    pub fn dry_run(&mut self) -> Result<bool, Problem> {
        Ok(self.optional("dry_run")?.unwrap_or(false))
    }

    /// Takes a member that may be left out (`null` leaves it out too).
    ///
    /// # Errors
    /// It is there and is not as it should be.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        self.taken.push(name);
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| about("malformed_member", "a member is not as it should be", name, format!("`{name}`: {error}"))),
        }
    }

    /// Takes an entity that may be left out.
    ///
    /// # Errors
    /// It is there and is not `{"type", "id"}`.
    pub fn optional_entity(&mut self, name: &'static str) -> Result<Option<Uid>, Problem> {
        self.optional::<Value>(name)?.map(|value| entity(name, value)).transpose()
    }

    /// Takes an entity that has to be there.
    ///
    /// # Errors
    /// It is not there, or is not `{"type", "id"}`.
    pub fn entity(&mut self, name: &'static str) -> Result<Uid, Problem> {
        entity(name, self.required::<Value>(name)?)
    }

    /// Takes a list of entities that may be left out.
    ///
    /// # Errors
    /// It is there, and something in it is not `{"type", "id"}`.
    pub fn entities(&mut self, name: &'static str) -> Result<Vec<Uid>, Problem> {
        let values = self.optional::<Vec<Value>>(name)?.unwrap_or_default();
        values.into_iter().map(|value| entity(name, value)).collect()
    }

    /// Takes an object that may be left out, to be read member by member.
    ///
    /// # Errors
    /// It is there and is no object.
    pub fn optional_object(&mut self, name: &'static str) -> Result<Option<Self>, Problem> {
        Ok(self.optional::<Map<String, Value>>(name)?.map(|left| Self { left, taken: Vec::new() }))
    }

    /// Takes a member that has to be there.
    ///
    /// # Errors
    /// It is not there, or not as it should be.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Problem> {
        self.optional(name)?
            .ok_or_else(|| about("missing_member", "a member is missing", name, format!("`{name}` is missing; this command needs it")))
    }

    /// Refuses what is left over. Members of `later` belong to what Elevon will do and does not do yet: they are never ignored.
    ///
    /// # Errors
    /// Something is left over.
    pub fn finish(self, later: &[&str]) -> Result<(), Problem> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        if later.contains(&name.as_str()) {
            let detail = format!("`{name}` is not available yet; leave it out");
            return Err(about("not_available_yet", "a member is not available yet", name, detail));
        }
        let known = if self.taken.is_empty() { "none".to_owned() } else { self.taken.join(", ") };
        let detail = format!("`{name}` is not a member of this command; it takes {known}");
        Err(about("unknown_member", "a member is unknown", name, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_the_member() {
        let rows: [(&str, &str, Option<&str>); 9] = [
            (r#"{"role": "r", "more": 1}"#, "unknown_member", Some("more")),
            (r#"{"role": "r", "start": "x"}"#, "not_available_yet", Some("start")),
            (r#"{"role": 1}"#, "malformed_member", Some("role")),
            (r#"{"role": null}"#, "missing_member", Some("role")),
            (r#"{"role": "r", "role": "s"}"#, "malformed", None),
            (r#"{"role": "r", "count": {"a": 1, "a": 2}}"#, "malformed", None),
            (r#"[]"#, "malformed", None),
            (r#"{"role": "r"} x"#, "malformed", None),
            ("", "malformed", None),
        ];
        for (body, rule, member) in rows {
            let read = |body: &str| {
                let mut members = Members::read(body.as_bytes())?;
                let role: String = members.required("role")?;
                let count: Option<u32> = members.optional("count")?;
                members.finish(&["start"])?;
                Ok::<_, Problem>((role, count))
            };
            let problem = read(body).unwrap_err();
            assert_eq!(problem.rule(), rule, "{body}");
            assert_eq!(problem.member("member").and_then(Value::as_str), member, "{body}");
        }
    }

    #[test]
    fn depth_is_bounded_outside_of_texts_only() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!too_deep(nested(MAX_JSON_DEPTH).as_bytes()));
        assert!(too_deep(nested(MAX_JSON_DEPTH + 1).as_bytes()));
        assert!(!too_deep(format!("\"\\\"{}\"", "[".repeat(100)).as_bytes()));
        assert!(!too_deep("[]".repeat(100).as_bytes()));
    }
}
