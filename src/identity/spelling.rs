//! Credentials of a type whose ids may not differ by case only are mapped to the spelling that is known.

use crate::domain::{Definitions, Tables, Uid, Unavailable};

/// The known spelling of a principal that a credential names. A type that tells upper from lower case is left as it came, and so
/// is a name that nobody knows. Only credentials are mapped: checks compare byte for byte.
///
/// # Errors
/// The store cannot be read.
pub fn known_spelling(definitions: &Definitions, tables: &dyn Tables, named: Uid) -> Result<Uid, Unavailable> {
    if !definitions.type_settings(named.kind()).case_insensitive || definitions.entities.contains_key(&named) {
        return Ok(named);
    }
    let fold = named.fold();
    let of_bundle = definitions.entities.keys().find(|uid| uid.kind() == named.kind() && uid.fold() == fold);
    if let Some(uid) = of_bundle {
        return Ok(uid.clone());
    }
    Ok(tables.stored_by_fold(named.kind(), &fold)?.unwrap_or(named))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::grant::EntityRow;
    use crate::domain::settings::{JsonObject, TypeSettings};
    use crate::domain::{EntityDef, MemoryRows, Revision};

    fn entity(text: &str) -> EntityDef {
        EntityDef { uid: Uid::parse(text).unwrap(), parents: Vec::new(), attrs: JsonObject::empty() }
    }

    #[test]
    fn only_types_that_fold_are_mapped() {
        let mut definitions = Definitions::none(Revision::new("r").unwrap());
        definitions.types.insert("User".into(), TypeSettings { case_insensitive: true, ..TypeSettings::default() });
        let definitions = Arc::new(definitions.with_entities([entity("User::\"alice\""), entity("Bot::\"ci\"")]));
        let mut rows = MemoryRows::new(Arc::clone(&definitions));
        let stored = entity("User::\"Straße\"");
        rows.all.rows.insert(stored.uid.clone(), Arc::new(EntityRow { stored: Some(Arc::new(stored)), ..EntityRow::default() }));
        let table = [
            ("User::\"alice\"", "User::\"alice\""),
            ("User::\"ALICE\"", "User::\"alice\""),
            ("User::\"STRASSE\"", "User::\"Straße\""),
            ("User::\"Nobody\"", "User::\"Nobody\""),
            ("Bot::\"CI\"", "Bot::\"CI\""),
        ];
        for (named, known) in table {
            let found = known_spelling(&definitions, &rows, Uid::parse(named).unwrap()).unwrap();
            assert_eq!(found.to_string(), known, "{named}");
        }
    }
}
