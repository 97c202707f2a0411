//! Attributes as Cedar's values, made once and shared.
//!
//! What the bundle defines was made when it was loaded. What the API stored is made when it is first asked about and kept by its text: the same
//! type with the same text gives the same values under one schema, and each bundle keeps its own. So nothing has to be told that it is stale.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value};
use foldhash::fast::RandomState;

use super::catalog::TypeInfo;
use super::value;
use crate::domain::EntityDef;
use crate::domain::settings::JsonObject;

/// Texts that are kept at most, and the parts that they are kept in.
const KEPT: usize = 16 * 1024;
const SHARDS: usize = 64;
/// The longest text that is kept, in bytes.
const LONGEST: usize = 4 * 1024;

/// Attributes of an entity: those that are stored, and what a request adds.
#[derive(Clone, Default)]
pub(super) struct Attrs {
    /// An entity that has them; its name and parents mean nothing.
    stored: Option<Arc<Entity>>,
    more: Vec<(String, Value)>,
}

impl Attrs {
    pub(super) fn stored(stored: Option<Arc<Entity>>) -> Self {
        Self { stored, more: Vec::new() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.get(name).is_some()) || self.more.iter().any(|(there, _)| there == name)
    }

    pub(super) fn add(&mut self, name: &str, value: Value) {
        self.more.push((name.to_owned(), value));
    }

    /// The entity that has them.
    pub(super) fn entity(&self, name: EntityUID, parents: HashSet<EntityUID>, tags: Vec<(String, Value)>) -> Entity {
        let stored = self.stored.iter().flat_map(|stored| stored.attrs()).map(|(name, value)| (name.clone(), value.clone()));
        let more = self.more.iter().map(|(name, value)| (name.as_str().into(), PartialValue::Value(value.clone())));
        let tags = tags.into_iter().map(|(name, value)| (name.into(), PartialValue::Value(value)));
        Entity::new_with_attr_partial_value(name, stored.chain(more), HashSet::new(), parents, tags)
    }
}

type Shard = Mutex<HashMap<(Arc<str>, JsonObject), Arc<Entity>, RandomState>>;

/// What a bundle has made of stored attributes.
pub(super) struct Prepared {
    hasher: RandomState,
    shards: Vec<Shard>,
}

impl Default for Prepared {
    fn default() -> Self {
        Self { hasher: RandomState::default(), shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

impl Prepared {
    /// The stored attributes of an entity, as the schema has its type.
    ///
    /// # Errors
    /// They are not as the schema wants them.
    pub(super) fn attributes(&self, info: &TypeInfo, def: &EntityDef) -> Result<Arc<Entity>, String> {
        let key = (def.uid.shared_kind(), def.attrs.clone());
        let shard = self.shards.get(usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0));
        let held = || shard.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(made) = held().and_then(|held| held.get(&key).cloned()) {
            return Ok(made);
        }
        let made = Arc::new(make(info, def)?);
        if let Some(mut held) = held().filter(|_| def.attrs.as_str().len() <= LONGEST) {
            if held.len() >= KEPT / SHARDS && !held.contains_key(&key) {
                held.clear();
            }
            held.insert(key, Arc::clone(&made));
        }
        Ok(made)
    }
}

fn make(info: &TypeInfo, def: &EntityDef) -> Result<Entity, String> {
    let mut attrs = Vec::new();
    for (name, json) in def.attrs.to_map() {
        // no policy can read what the schema does not declare
        let Some(slot) = info.attrs.get(&name) else { continue };
        let value = value::from_json(json, &slot.ty)
            .map_err(|error| format!("the stored attribute `{name}` of {} is not as the schema wants it: {error}", def.uid))?;
        attrs.push((name.into(), PartialValue::Value(value)));
    }
    let name = value::entity(&info.name, def.uid.id());
    Ok(Entity::new_with_attr_partial_value(name, attrs, HashSet::new(), HashSet::new(), []))
}
