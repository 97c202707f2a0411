//! What can be typed about alerts.

use clap::Subcommand;

use super::read::{entity, role};
use crate::domain::id::{RoleName, Uid};

pub(super) const EXAMPLES: &str = r#"Examples:
  elevon alerts
  elevon alerts kinds
  elevon alerts list --severity high --status open
  elevon alerts show inc_7c4e7d1b9a550c2f6f1e8b160198f3a2
  elevon alerts dismiss inc_7c4e... --reason "she is new in the team and was told to try it"
  elevon alerts remedy inc_7c4e... --reason "nobody needed it for a quarter of a year"

Without a subcommand, it lists the open incidents."#;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Alerts {
    /// List incidents, newest first
    List {
        /// Only incidents of this kind, such as `never_used`
        #[arg(long)]
        kind: Option<String>,
        /// Only incidents of this severity: low, medium or high
        #[arg(long)]
        severity: Option<String>,
        /// Only with this status: open, dismissed, cleared or all
        #[arg(long, default_value = "open")]
        status: String,
        /// Only incidents that concern this principal, such as 'User::"alice"'
        #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
        principal: Option<Uid>,
        /// Only incidents about this role
        #[arg(long, value_parser = role)]
        role: Option<RoleName>,
    },
    /// List the kinds of alerts, the numbers of their rules, and how many incidents are open
    Kinds,
    /// Show an incident, the numbers behind it, and what to do about it
    Show {
        /// Incident
        id: String,
    },
    /// Dismiss an incident: it is not raised again while it lasts
    Dismiss {
        /// Incident
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Reopen a dismissed incident
    Rearm {
        /// Incident
        id: String,
    },
    /// Make the one change that ends an incident
    Remedy {
        /// Incident
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Show what would happen, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}
