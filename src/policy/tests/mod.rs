//! Bundles, good and bad, as rows.

mod alerts;
mod checks;
mod conditions;
mod corpus;
mod page;
mod refused;
mod routes;
mod sample;
mod story;
mod whole;

use std::collections::BTreeMap;

use super::{Bundle, BundleError};

const SCHEMA: &str = "entity User in [Group, Role] = { level?: Long } tags Elevon::Holding;
entity Group in [Group];
entity Folder in [Folder];
entity Doc in [Folder] = { secret?: Bool, @from_request ip?: ipaddr };
entity Gauge;
action read appliesTo { principal: [User], resource: [Doc, Gauge], context: { reason?: String, now: datetime } };
action sign appliesTo { principal: [User], resource: [Doc], context: { level: Long } };
";
const ROLES: &str = "[elevon]
principal_types = [\"User\"]
group_types = [\"Group\"]

[roles.\"editor\"]
[roles.\"admin\"]
";
const POLICIES: &str = "permit (principal in Role::\"editor\", action == Action::\"read\", resource);

@id(\"admins\")
permit (principal in Role::\"admin\", action, resource);
";
const ENTITIES: &str = "[
  {\"uid\": {\"type\": \"Group\", \"id\": \"staff\"}},
  {\"uid\": {\"type\": \"User\", \"id\": \"ann\"}, \"attrs\": {\"level\": 3}, \"parents\": [{\"type\": \"Group\", \"id\": \"staff\"}]},
  {\"uid\": {\"type\": \"Folder\", \"id\": \"top\"}},
  {\"uid\": {\"type\": \"Doc\", \"id\": \"plan\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"top\"}]}
]
";
const TESTS: &str = "[[test]]
name = \"guard\"
guard = true
active = [{ principal = 'User::\"ann\"', role = \"admin\" }]
ask = { principal = 'User::\"ann\"', action = \"manageBundle\" }
expect = \"allow\"
";

/// A good bundle with some files replaced, added, or (without a text) left out.
fn files(changes: &[(&str, Option<&str>)]) -> BTreeMap<String, Vec<u8>> {
    let base = [
        ("schema.cedarschema", SCHEMA),
        ("roles.toml", ROLES),
        ("main.cedar", POLICIES),
        ("entities.json", ENTITIES),
        ("tests/guard.toml", TESTS),
    ];
    let mut files: BTreeMap<String, Vec<u8>> = base.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    for (path, text) in changes {
        match text {
            Some(text) => drop(files.insert((*path).to_owned(), text.as_bytes().to_vec())),
            None => drop(files.remove(*path)),
        }
    }
    files
}

fn load(changes: &[(&str, Option<&str>)]) -> Result<Bundle, BundleError> {
    Bundle::from_files(files(changes))
}
