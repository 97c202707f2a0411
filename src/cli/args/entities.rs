//! What can be typed about entities and roles.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::read::{entity, object, role};
use crate::domain::id::{RoleName, Uid};

pub(super) const ENTITY_EXAMPLES: &str = r#"Examples:
  elevon entity disable 'User::"mallory"' --reason "her laptop was stolen"
  elevon entity put 'User::"zoe"' --parent 'Group::"dba"' --attrs '{"name": "Zoe Zhang"}'
  elevon entity put --from zoe.json
  elevon entity list --type Group

Of a disabled principal nothing counts from the very next check on, whether the policy folder or the API defines it."#;

pub(super) const ROLE_EXAMPLES: &str = "Examples:
  elevon roles
  elevon roles db-admin";

#[derive(Debug, Args)]
pub(in crate::cli) struct Roles {
    /// Role to show in full; by default all are listed
    #[arg(value_parser = role)]
    pub(in crate::cli) role: Option<RoleName>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Entities {
    /// Show an entity
    Get {
        /// Entity, such as 'User::"alice"'
        #[arg(value_parser = entity)]
        entity: Uid,
    },
    /// List entities
    List {
        /// Only entities of this type, such as `User`
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Store an entity, or replace its attributes and parents
    Put(EntityPut),
    /// Disable a principal at once: nothing that it holds counts any more
    Disable(EntityChange),
    /// Enable a disabled principal
    Enable(EntityChange),
    /// Delete an entity; whatever it was granted ends, and does not come back with its name
    Delete(EntityChange),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The file is the body of `PUT /v1/entities`: {\"uid\": {\"type\", \"id\"}, \"parents\": [], \"attrs\": {}}, as in docs/api.md."
)]
#[command(group = ArgGroup::new("what").required(true).args(["entity", "from"]))]
pub(in crate::cli) struct EntityPut {
    /// Entity
    #[arg(value_parser = entity)]
    pub(in crate::cli) entity: Option<Uid>,
    /// The whole entity, as a JSON file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["parents", "attrs"])]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Parent: a group, or a resource that contains it. May be repeated
    #[arg(long = "parent", value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) parents: Vec<Uid>,
    /// Attributes, a JSON object
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(in crate::cli) attrs: Option<serde_json::Map<String, serde_json::Value>>,
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct EntityChange {
    /// Entity
    #[arg(value_parser = entity)]
    pub(in crate::cli) entity: Uid,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}
