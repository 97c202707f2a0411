//! `entities.json`: the principals, groups and resources that the bundle owns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use cedar_policy::Schema;
use cedar_policy_core::ast::{Entity, PartialValue};
use serde_json::{Map, Value};

use super::problem::{Problem, Problems, nearest};
use super::schema::{Composed, Text};
use crate::domain::id::fold;
use crate::domain::settings::{EdgeSource, EntityDef, JsonObject, ParentEdge};
use crate::domain::{Incarnation, Uid};

/// Most entities of a bundle.
const MAX_ENTITIES: usize = 100_000;
/// Most direct parents of one entity.
const MAX_PARENTS: usize = 1_000;

/// An entity as it was read, and where it stands.
struct Read {
    def: EntityDef,
    span: Range<usize>,
}

/// Reads the file. What is wrong is among the problems. With each entity come its attributes as Cedar's.
pub(super) fn read(at: Text<'_>, composed: &Composed, role_type: &str, problems: &mut Problems) -> Vec<(EntityDef, Arc<Entity>)> {
    let items: Vec<Value> = match serde_json::from_str(at.text) {
        Ok(items) => items,
        Err(error) => {
            let offset = offset_of(at.text, error.line(), error.column());
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            problems.push(
                Problem::at(at.file, at.text, offset..offset + 1, message).help("the file is a list of entities, as Cedar writes them"),
            );
            return Vec::new();
        }
    };
    if items.len() > MAX_ENTITIES {
        problems.push(Problem::in_file(at.file, format!("there are {} entities; at most {MAX_ENTITIES} are taken", items.len())));
        return Vec::new();
    }
    let mut read: BTreeMap<Uid, Read> = BTreeMap::new();
    let mut values = HashMap::new();
    for (item, span) in items.into_iter().zip(spans(at.text)) {
        let result = entity(item, composed, role_type).and_then(|def| Ok((conform(&composed.schema, &def)?, def)));
        match result {
            Err(message) => problems.push(Problem::at(at.file, at.text, span, message)),
            Ok((value, def)) => {
                if let Some(first) = read.get(&def.uid) {
                    let line = Problem::at(at.file, at.text, first.span.clone(), "").line.unwrap_or(1);
                    let problem = Problem::at(at.file, at.text, span, format!("{} is defined twice", def.uid));
                    problems.push(problem.help(format!("the first one is in line {line}")));
                } else {
                    values.insert(def.uid.clone(), value);
                    read.insert(def.uid.clone(), Read { def, span });
                }
            }
        }
    }
    refuse_strangers(at, &read, problems);
    refuse_circles(at, &read, problems);
    refuse_twin_folds(at, &read, composed, problems);
    read.into_values().filter_map(|read| values.get(&read.def.uid).map(|value| (read.def, Arc::clone(value)))).collect()
}

fn entity(item: Value, composed: &Composed, role_type: &str) -> Result<EntityDef, String> {
    let Value::Object(mut item) = item else { return Err("an entity is an object with `uid`, `attrs` and `parents`".to_owned()) };
    if let Some(key) = item.keys().find(|key| !["uid", "attrs", "parents", "tags"].contains(&key.as_str())) {
        return Err(format!("unknown member `{key}` of an entity; known: uid, attrs, parents"));
    }
    let uid = uid(item.remove("uid").unwrap_or_default())?;
    if item.get("tags").is_some_and(|tags| tags.as_object().is_none_or(|tags| !tags.is_empty())) {
        return Err(format!("{uid} has tags, which Elevon makes from what a principal holds; leave them out"));
    }
    let attrs = match item.remove("attrs") {
        None => Map::new(),
        Some(Value::Object(attrs)) => attrs,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(format!("the attributes of {uid} are not an object"));
        }
    };
    let parents = match item.remove("parents") {
        None => Vec::new(),
        Some(Value::Array(parents)) => parents,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(format!("the parents of {uid} are not a list"));
        }
    };
    if parents.len() > MAX_PARENTS {
        return Err(format!("{uid} has {} parents; at most {MAX_PARENTS} are taken", parents.len()));
    }
    if uid.kind() == role_type {
        return Err(format!("{uid} is a role; roles are defined in roles.toml"));
    }
    if !composed.types.contains_key(uid.kind()) {
        let known = nearest(uid.kind(), composed.types.keys().map(String::as_str));
        let meant = known.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
        return Err(format!("{uid} is of type `{}`, which is not in the schema{meant}", uid.kind()));
    }
    let mut edges: Vec<ParentEdge> = Vec::new();
    for parent in parents {
        let parent = self::uid(parent)?;
        if parent.kind() == role_type {
            return Err(format!(
                "{uid} has {parent} as a parent: a role is held by activation or assignment, never by an entity's parents"
            ));
        }
        if edges.iter().any(|edge| edge.parent == parent) {
            return Err(format!("{uid} lists {parent} twice"));
        }
        edges.push(ParentEdge { parent, incarnation: Incarnation::default(), source: EdgeSource::Bundle });
    }
    let attrs = JsonObject::new(&attrs).map_err(|error| format!("the attributes of {uid} cannot be kept: {error}"))?;
    Ok(EntityDef { uid, parents: edges, attrs })
}

/// An entity with its attributes as Cedar's, where it is as the schema wants it.
pub(super) fn conform(schema: &Schema, def: &EntityDef) -> Result<Arc<Entity>, String> {
    let name = |uid: &Uid| serde_json::json!({ "type": uid.kind(), "id": uid.id() });
    let parents: Vec<Value> = def.parents.iter().map(|edge| name(&edge.parent)).collect();
    let json = serde_json::json!({ "uid": name(&def.uid), "attrs": def.attrs.to_map(), "parents": parents });
    let entity = cedar_policy::Entity::from_json_value(json, Some(schema)).map_err(|error| {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            if !message.contains(&inner.to_string()) {
                message = format!("{message}: {inner}");
            }
            cause = inner.source();
        }
        message
    })?;
    let inner: &Entity = entity.as_ref();
    if inner.attrs().any(|(_, value)| matches!(value, PartialValue::Residual(_))) {
        return Err(format!("an attribute of {} has no value", def.uid));
    }
    Ok(Arc::new(inner.clone()))
}

/// `{"type", "id"}`, or the same below `__entity`.
fn uid(value: Value) -> Result<Uid, String> {
    let inner = value.get("__entity").cloned().unwrap_or(value);
    serde_json::from_value(inner).map_err(|error| format!("an entity is named by {{\"type\", \"id\"}}: {error}"))
}

fn refuse_strangers(at: Text<'_>, read: &BTreeMap<Uid, Read>, problems: &mut Problems) {
    for one in read.values() {
        for edge in one.def.parents.iter().filter(|edge| !read.contains_key(&edge.parent)) {
            let message = format!("{} has {} as a parent, which the bundle does not define", one.def.uid, edge.parent);
            let problem = Problem::at(at.file, at.text, one.span.clone(), message);
            problems.push(problem.help("define the parent in this file, too"));
        }
    }
}

/// Every entity that is its own ancestor is on a circle; one problem for each circle.
fn refuse_circles(at: Text<'_>, read: &BTreeMap<Uid, Read>, problems: &mut Problems) {
    let mut done: HashSet<&Uid> = HashSet::new();
    for start in read.keys() {
        // depth first, without recursion: a chain may be as long as the file
        let mut trail: Vec<(&Uid, usize)> = vec![(start, 0)];
        let mut on_trail: HashSet<&Uid> = HashSet::from([start]);
        if done.contains(start) {
            continue;
        }
        while let Some((uid, next)) = trail.pop() {
            let Some(one) = read.get(uid) else { continue };
            let Some(edge) = one.def.parents.get(next) else {
                on_trail.remove(uid);
                done.insert(uid);
                continue;
            };
            trail.push((uid, next + 1));
            let Some((parent, _)) = read.get_key_value(&edge.parent) else { continue };
            if on_trail.contains(parent) {
                let message = format!("{uid} is below {parent} and above it: parents run in a circle");
                problems.push(Problem::at(at.file, at.text, one.span.clone(), message));
            } else if !done.contains(parent) {
                on_trail.insert(parent);
                trail.push((parent, 0));
            }
        }
    }
}

fn refuse_twin_folds(at: Text<'_>, read: &BTreeMap<Uid, Read>, composed: &Composed, problems: &mut Problems) {
    let mut seen: HashMap<(&str, String), &Uid> = HashMap::new();
    for (uid, one) in read {
        if !composed.types.get(uid.kind()).is_some_and(|settings| settings.case_insensitive) {
            continue;
        }
        if let Some(first) = seen.insert((uid.kind(), fold(uid.id())), uid) {
            let message = format!("{uid} and {first} differ by case only, and ids of type `{}` may not", uid.kind());
            problems.push(Problem::at(at.file, at.text, one.span.clone(), message));
        }
    }
}

/// The byte at a line and a column (in bytes) as `serde_json` counts them.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    start + column.saturating_sub(1)
}

/// Where each item of a JSON list stands, by its first line. The text is known to be such a list.
fn spans(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut start = None;
    for (at, byte) in text.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        if depth == 1 && start.is_none() && !byte.is_ascii_whitespace() && !matches!(byte, b',' | b']') {
            start = Some(at);
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = (depth == 1 && byte == b',') || (depth == 0 && byte == b']');
        if let Some(from) = start.filter(|_| ends) {
            found.push(from..at);
            start = None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_of_a_list_is_found() {
        let text = "[\n  {\"a\": [1, \"],\\\"\"]},\n  {}, 3 ,\"x\"\n]\n";
        let found: Vec<&str> = spans(text).into_iter().map(|span| text[span].trim()).collect();
        assert_eq!(found, ["{\"a\": [1, \"],\\\"\"]}", "{}", "3", "\"x\""]);
        assert!(spans("[]").is_empty());
    }
}
