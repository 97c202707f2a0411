//! What can be typed about alerts.

use clap::Subcommand;

use super::read::{entity, role};
use crate::domain::id::{RoleName, Uid};

pub(super) const EXAMPLES: &str = r#"Examples:
  elevon alerts                                      what waits
  elevon alerts kinds                                what is looked for, and the numbers of each rule
  elevon alerts list --severity high --status open
  elevon alerts show inc_7c4e7d1b9a550c2f6f1e8b160198f3a2
  elevon alerts dismiss inc_7c4e... --reason "she is new in the team and was told to try it"
  elevon alerts remedy inc_7c4e... --reason "nobody needed it for a quarter of a year""#;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Alerts {
    /// Incidents, newest first; those that wait for somebody, where nothing else is said
    List {
        /// Of this kind, such as `never_used`
        #[arg(long)]
        kind: Option<String>,
        /// That matter so much: low, medium or high
        #[arg(long)]
        severity: Option<String>,
        /// Standing there: open, dismissed, cleared or all
        #[arg(long, default_value = "open")]
        status: String,
        /// That concern somebody, such as 'User::"alice"'
        #[arg(long, value_parser = entity)]
        principal: Option<Uid>,
        /// About a role
        #[arg(long, value_parser = role)]
        role: Option<RoleName>,
    },
    /// Every kind of alert, the numbers of its rule, and how many incidents wait
    Kinds,
    /// One incident, the numbers that made it one, and what to do about it
    Show {
        /// Which
        id: String,
    },
    /// Put an incident aside: it does not come up again as long as it lasts
    Dismiss {
        /// Which
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Hear again of an incident that was put aside
    Rearm {
        /// Which
        id: String,
    },
    /// Make the one change that ends what an incident is about
    Remedy {
        /// Which
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Only say what would become of it
        #[arg(long)]
        dry_run: bool,
    },
}
