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

A role that is assigned holds at once and all the time: give an eligibility instead, wherever that will do."#;

pub(super) const REQUEST_EXAMPLES: &str = r#"Examples:
  elevon grant-requests
  elevon grant-requests approve grq_0198c0de-... --until 2030-12-31T00:00:00Z --reason "until the end of the year"

Nobody decides for oneself, nor for a group one is in."#;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Grants {
    /// Give one to a principal or a group
    Add(GrantAdd),
    /// List them
    List(GrantList),
    /// End one; what rests on it ends with it
    Remove {
        /// Which
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Ask an administrator to let one run longer, before its end
    Extend(GrantProlong),
    /// Ask an administrator for one anew, up to 30 days after its end
    Renew(GrantProlong),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GrantAdd {
    /// The principal or group
    #[arg(value_parser = entity)]
    pub(in crate::cli) holder: Uid,
    /// The role
    #[arg(value_parser = role)]
    pub(in crate::cli) role: RoleName,
    /// On what, there and below; everywhere, if nothing is said
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) scope: Option<Uid>,
    /// For how long from now
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "until")]
    pub(in crate::cli) duration: Option<Duration>,
    /// From when (RFC 3339); from now, if nothing is said
    #[arg(long, value_parser = instant, value_name = "TIME", conflicts_with = "duration")]
    pub(in crate::cli) start: Option<Timestamp>,
    /// Until when (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GrantList {
    /// Of this principal or group only
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) principal: Option<Uid>,
    /// For this role only
    #[arg(long, value_parser = role)]
    pub(in crate::cli) role: Option<RoleName>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("until when").required(true).args(["duration", "until"]))]
pub(in crate::cli) struct GrantProlong {
    /// Which
    pub(in crate::cli) id: String,
    /// How much longer, as an ISO 8601 duration: from its end, or from now where it is renewed
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Until when (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GrantRequests {
    /// List those that you may see
    List {
        /// In this state only, such as `pending`
        #[arg(long)]
        status: Option<String>,
    },
    /// Grant one, or less of it
    Approve {
        /// Which
        id: String,
        /// Until when instead (RFC 3339), earlier than what was asked for
        #[arg(long, value_parser = instant, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Refuse one
    Deny {
        /// Which
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Take one back
    Cancel {
        /// Which
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}
