//! What can be typed about notifications.

use clap::{Args, Subcommand};

pub(super) const EXAMPLES: &str = "Examples:
  elevon notifications
  elevon notifications test ops
  elevon notifications dead --destination ops
  elevon notifications retry ops.2752512";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Notifications {
    /// Destinations, and how they fare
    List,
    /// What could not be delivered
    Dead(DeadLetters),
    /// Have something tried once more that could not be delivered
    Retry {
        /// Which
        id: String,
    },
    /// Take something away that could not be delivered
    Discard {
        /// Which
        id: String,
    },
    /// Tell a destination that nothing happened: exit 0 if it takes that, 1 if not
    Test {
        /// Its name in the configuration
        destination: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeadLetters {
    /// Of this destination only
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) destination: Option<String>,
}
