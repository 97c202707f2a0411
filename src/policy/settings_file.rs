//! TOML read with its places, so that whatever is wrong can be pointed at.

use std::cell::RefCell;
use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, nearest};
use crate::domain::{Duration, Uid};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// A file being read. What is wrong is collected; what is read goes on with a default.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    problems: RefCell<Problems>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::default() }
    }

    /// Parses the file.
    pub(crate) fn parse(&self) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.report(error.span().unwrap_or(0..0), error.message().to_owned(), None);
        }
        table
    }

    /// The file as one section.
    pub(crate) fn root<'t>(&'t self, table: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        Section { reader: self, name: String::new(), table: table.get_ref(), span: 0..0 }
    }

    /// Says what is wrong at a place.
    pub(crate) fn report(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let mut problem = Problem::at(self.file, self.text, span, message);
        problem.help = help;
        self.problems.borrow_mut().push(problem);
    }

    /// What was found wrong.
    pub(crate) fn into_problems(self) -> Problems {
        self.problems.into_inner()
    }
}

/// A table of the file.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    pub(crate) reader: &'a Reader<'a>,
    /// Its name as it stands in the file, for messages.
    pub(crate) name: String,
    table: &'a DeTable<'a>,
    pub(crate) span: Range<usize>,
}

impl<'a> Section<'a> {
    fn child(&self, key: &str, table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        Self { reader: self.reader, name, table, span }
    }

    /// Refuses every key but these; of `later` keys it says that they are not available yet.
    pub(crate) fn only(&self, known: &[&str], later: &[&str]) {
        for key in self.table.keys() {
            let word: &str = key.get_ref();
            if later.contains(&word) {
                self.reader.report(key.span(), format!("`{word}` is not available yet"), Some("leave it out for now".to_owned()));
            } else if !known.contains(&word) {
                let help = match nearest(word, known.iter().copied()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                let place = if self.name.is_empty() { "the file".to_owned() } else { format!("`{}`", self.name) };
                self.reader.report(key.span(), format!("unknown key `{word}` in {place}"), Some(help));
            }
        }
    }

    /// Its keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = At<&'a str>> + use<'a> {
        self.table.keys().map(|key| At { value: key.get_ref().as_ref(), span: key.span() })
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where the value of a key stands; the section itself, where the key is not there.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    fn wrong<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Option<T> {
        self.reader.report(value.span(), format!("`{key}` is {}, and has to be {wanted}", article(value.get_ref().type_str())), None);
        None
    }

    /// A text.
    pub(crate) fn string(&self, key: &str) -> Option<At<&'a str>> {
        let value = self.get(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(At { value: text, span: value.span() }),
            None => self.wrong(key, value, "a string"),
        }
    }

    /// A text that has to be there.
    pub(crate) fn needed(&self, key: &str) -> Option<At<&'a str>> {
        if !self.has(key) {
            let place = if self.name.is_empty() { "the file".to_owned() } else { format!("`{}`", self.name) };
            self.reader.report(self.span.clone(), format!("{place} has no `{key}`"), None);
        }
        self.string(key)
    }

    /// Yes or no.
    pub(crate) fn bool(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        value.get_ref().as_bool().or_else(|| self.wrong(key, value, "`true` or `false`"))
    }

    /// A whole number.
    pub(crate) fn number(&self, key: &str) -> Option<At<u32>> {
        let value = self.get(key)?;
        let number = value.get_ref().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        match number {
            Some(number) => Some(At { value: number, span: value.span() }),
            None => self.wrong(key, value, "a whole number from 0 to 4294967295"),
        }
    }

    /// A duration, as ISO 8601.
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        let text = self.string(key)?;
        match Duration::parse(text.value) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.reader.report(text.span, error.to_string(), None);
                None
            }
        }
    }

    /// A duration, as ISO 8601 or as a whole number of minutes.
    pub(crate) fn duration_or_minutes(&self, key: &str) -> Option<Duration> {
        let value = self.get(key)?.get_ref();
        if value.as_integer().is_some() {
            return self.number(key).map(|minutes| Duration::from_mins(u64::from(minutes.value)));
        }
        if value.as_str().is_none() {
            return self.wrong(key, self.get(key)?, "a duration (`\"PT4H\"`) or a whole number of minutes");
        }
        self.duration(key)
    }

    /// A share from 0 to 100, as `"50%"`, as `"50 %"` or as a whole number.
    pub(crate) fn percent(&self, key: &str) -> Option<u32> {
        let value = self.get(key)?;
        let share = match value.get_ref().as_str() {
            Some(text) => text.strip_suffix('%').and_then(|number| whole(number.trim_end_matches(' '))),
            None => value.get_ref().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok()),
        };
        let share = share.filter(|share| *share <= 100);
        if share.is_none() {
            let message = format!("`{key}` has to be a share from 0 to 100, such as `\"50%\"` or `50`");
            self.reader.report(value.span(), message, None);
        }
        share
    }

    /// A list of texts.
    pub(crate) fn strings(&self, key: &str) -> Option<Vec<At<&'a str>>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else { return self.wrong(key, value, "a list of strings") };
        let mut found = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => found.push(At { value: text, span: item.span() }),
                None => self.wrong(key, item, "a list of strings")?,
            }
        }
        Some(found)
    }

    /// An entity, as `Type::"id"`.
    pub(crate) fn uid(&self, key: &str) -> Option<At<Uid>> {
        let text = self.string(key)?;
        self.as_uid(text)
    }

    /// Reads a text as an entity.
    pub(crate) fn as_uid(&self, text: At<&str>) -> Option<At<Uid>> {
        match Uid::parse(text.value) {
            Ok(uid) => Some(At { value: uid, span: text.span }),
            Err(error) => {
                self.reader.report(text.span, error.to_string(), None);
                None
            }
        }
    }

    /// A table below this one.
    pub(crate) fn section(&self, key: &str) -> Option<Self> {
        let value = self.get(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.child(&quoted(key), table, self.key_span(key).unwrap_or_else(|| value.span()))),
            None => self.wrong(key, value, "a table"),
        }
    }

    fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// A list of tables below this one.
    pub(crate) fn sections(&self, key: &str) -> Vec<Self> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(key, value, "a list of tables").unwrap_or_default();
        };
        let mut found = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_table() {
                Some(table) => found.push(self.child(key, table, item.span())),
                None => return self.wrong(key, item, "a list of tables").unwrap_or_default(),
            }
        }
        found
    }

    /// The table as a type that reads itself, of these keys of it: others were refused by [`Section::only`] before, or are read one by one.
    pub(crate) fn typed<T: DeserializeOwned>(&self, keys: &[&str]) -> Option<T> {
        let mut table = self.table.clone();
        for key in self.table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
            drop(table.remove(key.get_ref().as_ref()));
        }
        match T::deserialize(toml::de::Deserializer::from(Spanned::new(self.span.clone(), table))) {
            Ok(read) => Some(read),
            Err(error) => {
                let (message, help) = said(error.message(), &self.name);
                self.reader.report(error.span().unwrap_or_else(|| self.span.clone()), message, help);
                None
            }
        }
    }

    /// A table as JSON.
    pub(crate) fn object(&self, key: &str) -> Option<Map<String, Value>> {
        let value = self.get(key)?;
        match self.json(key, value)? {
            Value::Object(object) => Some(object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => self.wrong(key, value, "a table"),
        }
    }

    fn json(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        match value.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(yes) => Some(Value::from(*yes)),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Some(Value::from(number)),
                Err(_) => self.wrong(key, value, "a number of 64 bits"),
            },
            DeValue::Float(_) | DeValue::Datetime(_) => {
                self.wrong(key, value, "a string, a whole number, `true`, `false`, a list or a table")
            }
            DeValue::Array(items) => items.iter().map(|item| self.json(key, item)).collect::<Option<_>>().map(Value::Array),
            DeValue::Table(table) => {
                let members = table.iter().map(|(name, item)| Some((name.get_ref().to_string(), self.json(name.get_ref(), item)?)));
                members.collect::<Option<_>>().map(Value::Object)
            }
        }
    }
}

/// What serde says of a key, as it is said here.
fn said(message: &str, place: &str) -> (String, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [word, known @ ..] if message.starts_with("unknown field") => {
            let help = match nearest(word, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            (format!("unknown key `{word}` in `{place}`"), Some(help))
        }
        [word] if message.starts_with("missing field") => (format!("`{place}` has no `{word}`"), None),
        _ => (message.to_owned(), None),
    }
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// A key as it has to be written in TOML.
fn quoted(key: &str) -> String {
    let bare = key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
    if bare && !key.is_empty() { key.to_owned() } else { format!("{key:?}") }
}
