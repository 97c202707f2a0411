//! What can be typed about activations: ask, look, vote, end; and about decisions.

use clap::{ArgGroup, Args};

use super::read::{activation, digest, duration, entity, instant, object, role, ticket};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::text::Digest;
use crate::domain::time::{Duration, Timestamp};

pub(super) const VOTING: &str = "\
The request is shown before you vote. To vote on exactly what you saw earlier (`elevon approvals --output json` shows its hash), give that hash with --hash: \
if the request changed since, the vote is refused.";

pub(super) const CHECK_EXAMPLES: &str = r#"Examples:
  elevon check 'User::"alice"' 'Action::"write"' 'Database::"orders"'
  elevon check 'User::"alice"' write 'Database::"orders"' --context '{"channel": "vpn"}'"#;

pub(super) const EXPLAIN_EXAMPLES: &str = r#"Examples:
  elevon explain 'User::"alice"' 'Action::"write"' 'Database::"orders"'
  elevon explain 'User::"alice"' write 'Database::"orders"' --context '{"channel": "vpn"}'"#;

#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  elevon activate db-admin --scope 'Environment::"prod"' --for PT30M --reason "restore the orders table"
  elevon activate reader --reason "look around" --ticket jira:OPS-7
  elevon activate db-admin cluster-admin --scope 'Environment::"prod"' --reason "move to the new cluster"
  elevon activate db-admin --scope 'Environment::"prod"' --start 2030-01-31T22:00:00Z --until 2030-02-01T02:00:00Z \
      --reason "upgrade"
  elevon activate db-admin --scope 'Environment::"prod"' --emergency --reason "orders are down, nobody answers"

Where the role needs approval, the request waits; `elevon status` shows it. Several roles, or several scopes, make one request for each of them: each has its own outcome, and the exit code is 1 if any was refused."#)]
pub(in crate::cli) struct Activate {
    /// Role, or several
    #[arg(value_parser = role, required = true, value_name = "ROLE")]
    pub(in crate::cli) roles: Vec<RoleName>,
    /// Scope: the role holds on it and below; by default everywhere. May be repeated
    #[arg(long = "scope", value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) scopes: Vec<Uid>,
    /// Duration, as ISO 8601; by default the role's own
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "until")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Start (RFC 3339); by default at once
    #[arg(long, value_parser = instant, value_name = "TIME", conflicts_with = "emergency")]
    pub(in crate::cli) start: Option<Timestamp>,
    /// End (RFC 3339), whenever it begins
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Ticket, as system and number
    #[arg(long, value_parser = ticket, value_name = "SYSTEM:ID")]
    pub(in crate::cli) ticket: Option<(String, String)>,
    /// Break the glass: at once and without approval, where the role allows it. It is short, raises an alert, and is reviewed
    #[arg(long)]
    pub(in crate::cli) emergency: bool,
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Principal to request it for, if not yourself
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) principal: Option<Uid>,
}

#[derive(Debug, Args)]
#[command(after_help = r#"Example:
  elevon extend act_0198c0de-... --for PT30M --reason "the restore is not done yet"

The activation stays active while the request waits, and its end moves once it is approved. `elevon roles ROLE` shows how often a role may be extended."#)]
pub(in crate::cli) struct Extend {
    /// Activation
    #[arg(value_parser = activation)]
    pub(in crate::cli) id: ActivationId,
    /// Additional time, as an ISO 8601 duration; by default the role's own
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Ticket, as system and number
    #[arg(long, value_parser = ticket, value_name = "SYSTEM:ID")]
    pub(in crate::cli) ticket: Option<(String, String)>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// Keep watching, and show it again whenever something changes; Ctrl-C ends it
    #[arg(long)]
    pub(in crate::cli) watch: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon events --after 1200 --output json\n\n\
    Each event comes once, in the order of the journal; what you may not see is left out. After a lost connection it continues \
    where it was. Ctrl-C ends it.")]
pub(in crate::cli) struct Events {
    /// Start after this record of the journal; by default with what happens from now on
    #[arg(long, value_name = "SEQ")]
    pub(in crate::cli) after: Option<u64>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["id", "link"]))]
pub(in crate::cli) struct Vote {
    /// Request
    #[arg(value_parser = activation)]
    pub(in crate::cli) id: Option<ActivationId>,
    /// Link from a message to you, or its whole address, instead of the request
    #[arg(long, value_name = "LINK", conflicts_with = "hash")]
    pub(in crate::cli) link: Option<String>,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Hash of the request as you saw it
    #[arg(long, value_parser = digest, value_name = "HASH")]
    pub(in crate::cli) hash: Option<Digest>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Approve {
    #[command(flatten)]
    pub(in crate::cli) vote: Vote,
    /// Approve it only for this duration
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "link")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Approve it only on this scope, below the one requested
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"", conflicts_with = "link")]
    pub(in crate::cli) scope: Option<Uid>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Ending {
    /// Request or activation
    #[arg(value_parser = activation)]
    pub(in crate::cli) id: ActivationId,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["ids", "principal", "role"]))]
#[command(after_help = r#"Examples:
  elevon revoke act_0198c0de-... --reason "left the project"
  elevon revoke --principal 'User::"alice"' --reason "her laptop was stolen"
  elevon revoke --role db-admin --reason "leaked credentials" --yes

The very next check is denied. Before everything of a principal or a role is revoked, you are asked to confirm, unless you give --yes."#)]
pub(in crate::cli) struct Revoke {
    /// Activations
    #[arg(value_parser = activation, value_name = "ID")]
    pub(in crate::cli) ids: Vec<ActivationId>,
    /// Everything this principal has active or has requested
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"", requires = "reason")]
    pub(in crate::cli) principal: Option<Uid>,
    /// Everything of this role that is active or requested, whoever's it is
    #[arg(long, value_parser = role, requires = "reason")]
    pub(in crate::cli) role: Option<RoleName>,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// Principal
    #[arg(value_parser = entity)]
    pub(in crate::cli) principal: Uid,
    /// Action, or its name alone
    pub(in crate::cli) action: String,
    /// Resource
    #[arg(value_parser = entity)]
    pub(in crate::cli) resource: Uid,
    /// Context of the request, a JSON object
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(in crate::cli) context: Option<serde_json::Map<String, serde_json::Value>>,
}
