//! What can be typed about notifications.

use clap::{Args, Subcommand};

pub(super) const EXAMPLES: &str = "Examples:
  elevon notifications
  elevon notifications test ops
  elevon notifications dead --destination ops
  elevon notifications retry ops.2752512

Without a subcommand, it lists the destinations.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Notifications {
    /// List the destinations and their state
    List,
    /// List dead letters: what could not be delivered
    Dead(DeadLetters),
    /// Retry a dead letter
    Retry {
        /// Dead letter
        id: String,
    },
    /// Discard a dead letter
    Discard {
        /// Dead letter
        id: String,
    },
    /// Send a test message: exit code 0 if the destination takes it, 1 if not
    Test {
        /// Name of the destination in the configuration
        destination: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeadLetters {
    /// Only those of this destination
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) destination: Option<String>,
}
