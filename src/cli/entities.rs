//! Entities: principals, groups and resources, and whether a principal is disabled.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Entities, EntityChange, EntityPut};
use super::client::{Client, Failure};
use super::describe::flag;
use super::ending::because;
use super::output::{Cell, Look, Output, looking, plain};
use super::pages::Listing;
use super::reply::{at, entity, list, text, wire};
use super::{Done, Outcome};
use crate::domain::id::Uid;

const ENTITIES: &str = "/v1/entities";

/// Longest file that is sent, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Everything about entities.
pub(super) fn entities(client: &Client, out: &Output, what: &Entities) -> Outcome {
    match what {
        Entities::Get { entity } => show(out, &client.get(ENTITIES, &named(entity))?),
        Entities::List { kind } => listed(client, out, kind.as_deref()),
        Entities::Put(asked) => show(out, &client.put(ENTITIES, &body(asked)?)?),
        Entities::Disable(asked) => switch(client, out, "disable", asked),
        Entities::Enable(asked) => switch(client, out, "enable", asked),
        Entities::Delete(asked) => delete(client, out, asked),
    }
}

fn named(uid: &Uid) -> Vec<(&'static str, String)> {
    vec![("type", uid.kind().to_owned()), ("id", uid.id().to_owned())]
}

/// The entity that was typed, or that stands in a file.
fn body(asked: &EntityPut) -> Result<Value, Failure> {
    let mut body = match (&asked.from, &asked.entity) {
        (Some(file), _) => json_of(file)?,
        (None, Some(uid)) => {
            let parents: Vec<Value> = asked.parents.iter().map(wire).collect();
            json!({ "uid": wire(uid), "parents": parents, "attrs": asked.attrs.clone().unwrap_or_default() })
        }
        (None, None) => return Err(Failure::Usage("name the entity, or give a file with --from".to_owned())),
    };
    if asked.dry_run {
        put(&mut body, "dry_run", true.into());
    }
    Ok(body)
}

fn put(body: &mut Value, name: &str, value: Value) {
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The JSON in a file.
pub(super) fn json_of(file: &Path) -> Result<Value, Failure> {
    let bad = |why: String| Failure::Usage(format!("`{}` {why}", file.display()));
    let mut read = Vec::new();
    let opened = File::open(file).map_err(|error| bad(format!("cannot be read: {error}")))?;
    opened.take(MAX_FILE + 1).read_to_end(&mut read).map_err(|error| bad(format!("cannot be read: {error}")))?;
    if read.len() as u64 > MAX_FILE {
        return Err(bad(format!("is longer than {MAX_FILE} bytes")));
    }
    serde_json::from_slice(&read).map_err(|error| bad(format!("is not JSON: {error}")))
}

fn switch(client: &Client, out: &Output, verb: &str, asked: &EntityChange) -> Outcome {
    let mut body = because(asked.reason.as_deref());
    put(&mut body, "type", asked.entity.kind().into());
    put(&mut body, "id", asked.entity.id().into());
    if asked.dry_run {
        put(&mut body, "dry_run", true.into());
    }
    show(out, &client.post(&format!("{ENTITIES}/{verb}"), &body)?)
}

fn delete(client: &Client, out: &Output, asked: &EntityChange) -> Outcome {
    let mut query = named(&asked.entity);
    query.extend(asked.reason.iter().map(|reason| ("reason", reason.clone())));
    query.extend(asked.dry_run.then(|| ("dry_run", "true".to_owned())));
    let reply = client.delete(ENTITIES, &query)?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    out.cells(&[plain(entity(&reply, "/uid")), plain("  "), looking(Look::Bad, "deleted")])?;
    tried(out, &reply)?;
    Ok(Done::Yes)
}

fn tried(out: &Output, reply: &Value) -> Result<(), Failure> {
    if flag(reply, "/dry_run") {
        out.remark("This is what would happen; nothing was changed.")?;
    }
    Ok(())
}

fn listed(client: &Client, out: &Output, kind: Option<&str>) -> Outcome {
    let row = |one: &Value, _| -> Vec<Cell> {
        let parents: Vec<String> = list(one, "/parents").iter().map(|parent| entity(parent, "")).collect();
        vec![plain(entity(one, "/uid")), plain(parents.join(", ")), plain(text(one, "/owner")), disabled(one)]
    };
    let entities = Listing {
        path: ENTITIES,
        query: kind.iter().map(|kind| ("type", (*kind).to_owned())).collect(),
        header: &["entity", "parents", "owner", ""],
        empty: "No entities that you may see.",
        rest: "Narrow it with --type.",
    };
    entities.show(client, out, row)?;
    Ok(Done::Yes)
}

fn disabled(one: &Value) -> Cell {
    if flag(one, "/disabled") { looking(Look::Bad, "disabled") } else { plain("") }
}

fn show(out: &Output, one: &Value) -> Outcome {
    if out.json {
        out.value(one)?;
        return Ok(Done::Yes);
    }
    let name = plain(entity(one, "/uid"));
    if flag(one, "/disabled") {
        out.cells(&[name, plain("  "), disabled(one)])?
    } else {
        out.cells(&[name])?
    }
    let mut rows = vec![("owner", plain(text(one, "/owner")))];
    for edge in list(one, "/edges") {
        rows.push(("parent", plain(format!("{} (by {})", entity(edge, "/parent"), text(edge, "/source")))));
    }
    if let Some(attrs) = at(one, "/attrs").and_then(Value::as_object) {
        rows.extend(attrs.iter().map(|(name, value)| ("attribute", plain(format!("{name} = {value}")))));
    }
    out.fields(&rows)?;
    tried(out, one)?;
    Ok(Done::Yes)
}
