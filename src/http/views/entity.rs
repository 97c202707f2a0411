//! Entities, as Cedar's JSON and what stands beside it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::grant::EntityRow;
use crate::domain::settings::EdgeSource;
use crate::domain::{EntityDef, Facts, Unavailable, standing};

/// An entity in Cedar's JSON, with who owns it and whether it is disabled. Only parents that count are shown, and who says so of each.
pub(in crate::http) fn entity(facts: &dyn Facts, def: &Arc<EntityDef>, row: Option<&EntityRow>) -> Result<Value, Unavailable> {
    let owner = if facts.definitions().entities.contains_key(&def.uid) { EdgeSource::Bundle } else { EdgeSource::Api };
    let parents = standing::parents(facts, &def.uid)?;
    let mut edges = Vec::with_capacity(def.parents.len());
    for edge in def.parents.iter().filter(|edge| parents.contains(&edge.parent)) {
        let incarnation = facts.row(&edge.parent)?.map(|row| row.incarnation).unwrap_or_default();
        if edge.source == EdgeSource::Bundle || edge.incarnation == incarnation {
            edges.push(json!({ "parent": edge.parent, "source": edge.source }));
        }
    }
    Ok(json!({
        "uid": def.uid,
        "attrs": def.attrs,
        "parents": parents,
        "edges": edges,
        "owner": owner,
        "disabled": row.is_some_and(|row| row.disabled),
    }))
}
