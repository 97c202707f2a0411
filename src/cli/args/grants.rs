//! What can be typed about eligibilities and assignments, which are alike, and about requests to prolong them.

use clap::{ArgGroup, Args, Subcommand};

use super::read::{duration, entity, instant, role};
use crate::domain::id::{RoleName, Uid};
use crate::domain::time::{Duration, Timestamp};

pub(super) const ELIGIBILITY_EXAMPLES: &str = r#"Examples:
  elevon eligibility add 'User::"alice"' db-admin --scope 'Environment::"prod"' --for P30D --reason "on call in November"
  elevon eligibility extend elg_0198c0de-... --for P30D --reason "and in December"
  elevon eligibility remove elg_0198c0de-... --reason "left the team""#;

pub(super) const ASSIGNMENT_EXAMPLES: &str = r#"Examples:
  elevon assignment add 'Group::"auditors"' auditor --for P180D --reason "the yearly audit"
  elevon assignment renew asg_0198c0de-... --until 2031-01-31T00:00:00Z --reason "it goes on"

An assigned role holds at once and all the time: prefer an eligibility wherever that will do."#;

pub(super) const REQUEST_EXAMPLES: &str = r#"Examples:
  elevon grant-requests
  elevon grant-requests approve grq_0198c0de-... --until 2030-12-31T00:00:00Z --reason "until the end of the year"

Nobody decides on a request for themselves, or for a group they are in. Without a subcommand, it lists the requests that you may see."#;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Grants {
    /// Grant one to a principal or a group
    Add(GrantAdd),
    /// List them
    List(GrantList),
    /// Remove one; whatever rests on it ends with it
    Remove {
        /// Eligibility or assignment
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Request more time for one, before its end
    Extend(GrantProlong),
    /// Request one again, up to 30 days after its end
    Renew(GrantProlong),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GrantAdd {
    /// Principal or group
    #[arg(value_parser = entity)]
    pub(in crate::cli) holder: Uid,
    /// Role
    #[arg(value_parser = role)]
    pub(in crate::cli) role: RoleName,
    /// Scope: the role holds on it and below; by default everywhere
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) scope: Option<Uid>,
    /// Duration from now, as ISO 8601
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "until")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Start (RFC 3339); by default now
    #[arg(long, value_parser = instant, value_name = "TIME", conflicts_with = "duration")]
    pub(in crate::cli) start: Option<Timestamp>,
    /// End (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GrantList {
    /// Only those of this principal or group
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) principal: Option<Uid>,
    /// Only those for this role
    #[arg(long, value_parser = role)]
    pub(in crate::cli) role: Option<RoleName>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("until when").required(true).args(["duration", "until"]))]
pub(in crate::cli) struct GrantProlong {
    /// Eligibility or assignment
    pub(in crate::cli) id: String,
    /// Additional time, as an ISO 8601 duration: from its end, or from now when renewing
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    pub(in crate::cli) duration: Option<Duration>,
    /// End (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GrantRequests {
    /// List those that you may see
    List {
        /// Only with this status, such as `pending`
        #[arg(long)]
        status: Option<String>,
    },
    /// Approve one, or less than it asks for
    Approve {
        /// Request
        id: String,
        /// An earlier end than the one requested (RFC 3339)
        #[arg(long, value_parser = instant, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Deny one
    Deny {
        /// Request
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Cancel one
    Cancel {
        /// Request
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}
