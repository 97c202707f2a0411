//! JSON as security needs it read: a member that is there twice is an error, at any depth. Two readers that pick different ones would
//! see two different tokens (RFC 7515, section 4; RFC 7519, section 4).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON object without a repeated member.
#[derive(Debug)]
pub(super) struct Object(pub(super) Map<String, Value>);

impl Object {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice::<Strict>(bytes) {
            Ok(Strict(Value::Object(members))) => Ok(Self(members)),
            Ok(Strict(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
                Err("it is not a JSON object".to_owned())
            }
            Err(bad) => Err(format!("it is not JSON as it is taken: {bad}")),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON without repeated members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if found.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Value::Object(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_reading_of_an_object_is_taken() {
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        let rows = [
            ("{}", None),
            (r#"{"a":1,"b":[1.5,"x",null,true,{"a":-2}]}"#, None),
            (r#"{"a":1,"a":1}"#, Some("twice")),
            (r#"{"a":1,"\u0061":2}"#, Some("twice")),
            (r#"{"b":{"a":1,"a":2}}"#, Some("twice")),
            (r#"{"b":[{"a":1,"a":2}]}"#, Some("twice")),
            ("[]", Some("not a JSON object")),
            ("1", Some("not a JSON object")),
            ("", Some("not JSON")),
            ("{} {}", Some("trailing")),
            ("{\"a\":1}x", Some("trailing")),
            ("\u{feff}{}", Some("not JSON")),
            ("{\"a\":NaN}", Some("not JSON")),
            ("{\"a\":1e999}", Some("not JSON")),
            ("{\"a\":01}", Some("not JSON")),
            ("{\"a\":\"\\ud800\"}", Some("not JSON")),
            ("{\"a\":1,}", Some("not JSON")),
            (deep.as_str(), Some("recursion")),
        ];
        for (text, why) in rows {
            match (Object::read(text.as_bytes()), why) {
                (Ok(_), None) => {}
                (Err(bad), Some(why)) => assert!(bad.contains(why), "{text}: {bad}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        assert!(Object::read(b"{\"a\":\"\xff\"}").is_err());
    }
}
