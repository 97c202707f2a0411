//! JSON and the domain's values as Cedar's.

use std::sync::Arc;

use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Literal, Value, ValueKind};
use cedar_policy_core::entities::SchemaType;
use cedar_policy_core::entities::conformance::typecheck_restricted_expr_against_schematype;
use cedar_policy_core::entities::json::ValueParser;
use cedar_policy_core::entities::json::err::JsonDeserializationErrorContext;
use cedar_policy_core::evaluator::RestrictedEvaluator;
use cedar_policy_core::extensions::Extensions;

use crate::domain::Uid;

pub(super) use super::instant::datetime;

/// A JSON value as the schema's type wants it.
pub(super) fn from_json(json: serde_json::Value, ty: &SchemaType) -> Result<Value, String> {
    let extensions = Extensions::all_available();
    let place = || JsonDeserializationErrorContext::Context;
    let expr = ValueParser::new(extensions).val_into_restricted_expr(json, Some(ty), &place).map_err(|error| error.to_string())?;
    typecheck_restricted_expr_against_schematype(expr.as_borrowed(), ty, extensions).map_err(|error| error.to_string())?;
    // an `unknown` that a caller smuggles in is no value, and ends here
    RestrictedEvaluator::new(extensions).interpret(expr.as_borrowed()).map_err(|error| error.to_string())
}

/// A text.
pub(super) fn text(text: &str) -> Value {
    Value::from(text)
}

/// A record; members without a value are left out.
pub(super) fn record<'a>(members: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    Value::record(members.into_iter().filter_map(|(name, value)| Some((name, value?))), None)
}

/// A set of texts.
pub(super) fn texts(items: &[String]) -> Value {
    Value::set(items.iter().map(|item| text(item)), None)
}

/// An entity of a type that is known already.
pub(super) fn entity(ty: &EntityType, id: &str) -> EntityUID {
    EntityUID::from_components(ty.clone(), Eid::new(id), None)
}

/// The entities that a value names, anywhere inside.
pub(super) fn entities_in(value: &Value, found: &mut Vec<EntityUID>) {
    match value.value_kind() {
        ValueKind::Lit(Literal::EntityUID(uid)) => found.push(uid.as_ref().clone()),
        ValueKind::Lit(Literal::Bool(_) | Literal::Long(_) | Literal::String(_)) | ValueKind::ExtensionValue(_) => {}
        ValueKind::Set(set) => set.iter().for_each(|item| entities_in(item, found)),
        ValueKind::Record(members) => members.values().for_each(|item| entities_in(item, found)),
    }
}

/// Cedar's name for an entity as Elevon's; nothing for one that Elevon would refuse to store.
pub(super) fn to_uid(uid: &EntityUID) -> Option<Uid> {
    let id: &str = uid.eid().as_ref();
    Uid::new(&uid.entity_type().to_string(), id).ok()
}

/// Text shared by many.
pub(super) type Shared = Arc<str>;
