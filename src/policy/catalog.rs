//! The composed schema as tables that a check can look things up in: no parsing of names, no walk of Cedar's own structures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::Schema;
use cedar_policy_core::ast::{Entity, EntityType, EntityUID, EntityUIDEntry};
use cedar_policy_core::entities::{Schema as _, SchemaType};
use cedar_policy_core::validator::types::Attributes;
use cedar_policy_core::validator::{CoreSchema, ValidatorActionId, ValidatorSchema};
use foldhash::fast::RandomState;

use super::generated::NAMESPACE;
use super::value;
use crate::domain::Uid;

/// An attribute as the schema declares it.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) ty: SchemaType,
    pub(super) required: bool,
}

/// An entity type as the schema declares it.
#[derive(Debug, Clone)]
pub(super) struct TypeInfo {
    pub(super) name: EntityType,
    pub(super) attrs: BTreeMap<String, Slot>,
    /// Attributes that properties of a request may fill.
    pub(super) from_request: BTreeSet<String>,
    /// Whether holdings are shown as tags.
    pub(super) tagged: bool,
}

/// An action as the schema declares it.
#[derive(Debug, Clone)]
pub(super) struct ActionInfo {
    pub(super) uid: EntityUID,
    /// As requests name it.
    pub(super) entry: EntityUIDEntry,
    /// With the actions that it is in.
    pub(super) entity: Arc<Entity>,
    pub(super) principals: BTreeSet<String>,
    pub(super) resources: BTreeSet<String>,
    pub(super) context: BTreeMap<String, Slot>,
    /// Whether its context declares `now`.
    pub(super) takes_now: bool,
    /// Whether a policy for it reads `context.now`.
    pub(super) reads_now: bool,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    pub(super) types: HashMap<String, TypeInfo, RandomState>,
    /// By the whole name, and by the bare id where only one action has it.
    actions: HashMap<String, Arc<ActionInfo>, RandomState>,
}

impl Catalog {
    /// Reads a composed schema. `from_request` and `tagged` come from the author's text, which the composed form does not keep.
    pub(super) fn new(schema: &Schema) -> Self {
        let inner: &ValidatorSchema = schema.as_ref();
        let mut catalog = Self::default();
        for ty in inner.entity_types() {
            let name = ty.name().clone();
            let info = TypeInfo { name: name.clone(), attrs: slots(ty.attributes()), from_request: BTreeSet::new(), tagged: false };
            catalog.types.insert(name.to_string(), info);
        }
        let entities: HashMap<EntityUID, Arc<Entity>> =
            CoreSchema::new(inner).action_entities().map(|entity| (entity.uid().clone(), entity)).collect();
        let infos = inner.action_ids().map(|action| Arc::new(action_info(action, &entities)));
        catalog.index_actions(infos.collect());
        catalog
    }

    fn index_actions(&mut self, infos: Vec<Arc<ActionInfo>>) {
        let mut bare: BTreeMap<String, Vec<Arc<ActionInfo>>> = BTreeMap::new();
        for info in infos {
            let id: &str = info.uid.eid().as_ref();
            bare.entry(id.to_owned()).or_default().push(Arc::clone(&info));
            self.actions.insert(whole_name(&info.uid), info);
        }
        for (id, mut candidates) in bare {
            // an action without a namespace is the one that is meant; otherwise the name has to be the only one
            candidates.sort_by_key(|info| info.uid.entity_type().to_string() != "Action");
            let plain = candidates.first().is_some_and(|info| info.uid.entity_type().to_string() == "Action");
            if plain || candidates.len() == 1 {
                self.actions.extend(candidates.into_iter().next().map(|info| (id, info)));
            }
        }
    }

    /// An action by its id (`write`) or whole (`Action::"write"`).
    pub(super) fn action(&self, name: &str) -> Option<&Arc<ActionInfo>> {
        self.actions.get(name)
    }

    /// Every action as an entity, with the groups that it is in.
    pub(super) fn action_entities(&self) -> impl Iterator<Item = Arc<Entity>> {
        self.actions.values().map(|info| Arc::clone(&info.entity))
    }

    /// The whole names of all actions, sorted.
    pub(super) fn action_names(&self) -> BTreeSet<String> {
        self.actions.values().map(|info| whole_name(&info.uid)).collect()
    }

    /// Changes every action.
    pub(super) fn map_actions(&mut self, mut change: impl FnMut(&mut ActionInfo)) {
        let mut changed: HashMap<String, Arc<ActionInfo>> = HashMap::new();
        for info in self.actions.values_mut() {
            let shared = changed.entry(whole_name(&info.uid)).or_insert_with(|| {
                let mut own = (**info).clone();
                change(&mut own);
                Arc::new(own)
            });
            *info = Arc::clone(shared);
        }
    }

    /// Cedar's name for an entity; nothing, where the schema has no such type.
    pub(super) fn entity(&self, uid: &Uid) -> Option<EntityUID> {
        self.types.get(uid.kind()).map(|info| value::entity(&info.name, uid.id()))
    }

    /// Whether a type is one of Elevon's own.
    pub(super) fn is_own(kind: &str) -> bool {
        kind.strip_prefix(NAMESPACE).is_some_and(|rest| rest.starts_with("::"))
    }
}

/// `Action::"write"`.
fn whole_name(uid: &EntityUID) -> String {
    let id: &str = uid.eid().as_ref();
    format!("{}::\"{}\"", uid.entity_type(), id.replace('\\', "\\\\").replace('"', "\\\""))
}

fn action_info(action: &ValidatorActionId, entities: &HashMap<EntityUID, Arc<Entity>>) -> ActionInfo {
    let uid = action.name().clone();
    let context = match action.context_type() {
        Some(cedar_policy_core::validator::types::Type::Record { attrs, .. }) => slots(attrs),
        Some(_) | None => BTreeMap::new(),
    };
    ActionInfo {
        entity: entities.get(&uid).cloned().unwrap_or_else(|| Arc::new(Entity::with_uid(uid.clone()))),
        principals: action.applies_to_principals().map(ToString::to_string).collect(),
        resources: action.applies_to_resources().map(ToString::to_string).collect(),
        takes_now: context.contains_key("now"),
        context,
        reads_now: false,
        entry: EntityUIDEntry::known(uid.clone(), None),
        uid,
    }
}

fn slots(attrs: &Attributes) -> BTreeMap<String, Slot> {
    let slot = |ty: &cedar_policy_core::validator::types::AttributeType| {
        let required = ty.is_required;
        SchemaType::try_from((*ty.attr_type).clone()).ok().map(|ty| Slot { ty, required })
    };
    attrs.iter().filter_map(|(name, ty)| Some((name.to_string(), slot(ty)?))).collect()
}

/// Whether a type is Cedar's `datetime`.
pub(super) fn is_datetime(ty: &SchemaType) -> bool {
    matches!(ty, SchemaType::Extension { name } if name.to_string() == "datetime")
}
