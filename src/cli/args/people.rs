//! What can be typed about activations: ask, look, vote, end; and about decisions.

use clap::{ArgGroup, Args};

use super::read::{activation, digest, duration, entity, instant, object, role, ticket};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::text::Digest;
use crate::domain::time::{Duration, Timestamp};

#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  elevon activate db-admin --scope 'Environment::"prod"' --for PT30M --reason "restore the orders table"
  elevon activate reader --reason "look around" --ticket jira:OPS-7
  elevon activate db-admin cluster-admin --scope 'Environment::"prod"' --reason "move to the new cluster"
  elevon activate db-admin --scope 'Environment::"prod"' --start 2030-01-31T22:00:00Z --until 2030-02-01T02:00:00Z --reason "upgrade"
  elevon activate db-admin --scope 'Environment::"prod"' --emergency --reason "orders are down, nobody answers"

Where the role needs approval, the request waits; `elevon status` shows it. Several roles, or several scopes, are one request
for each of them: each has its own outcome, and the exit code is 1 if any was refused."#)]
pub(in crate::cli) struct Activate {
    /// The role, or several
    #[arg(value_parser = role, required = true, value_name = "ROLE")]
    pub(in crate::cli) roles: Vec<RoleName>,
    /// Where the role is to hold, there and below; everywhere, if nothing is said. May be said several times
    #[arg(long = "scope", value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) scopes: Vec<Uid>,
    /// How long, as an ISO 8601 duration; the role's default, if nothing is said
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "until")]
    pub(in crate::cli) duration: Option<Duration>,
    /// From when (RFC 3339); at once, if nothing is said
    #[arg(long, value_parser = instant, value_name = "TIME", conflicts_with = "emergency")]
    pub(in crate::cli) start: Option<Timestamp>,
    /// Until when (RFC 3339), whenever it begins
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// For which ticket, as system and number
    #[arg(long, value_parser = ticket, value_name = "SYSTEM:ID")]
    pub(in crate::cli) ticket: Option<(String, String)>,
    /// Break the glass: at once and without approval, where the role offers it. It is short, an alert is raised, and a review is owed
    #[arg(long)]
    pub(in crate::cli) emergency: bool,
    /// Say what would become of it, and change nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// For somebody else
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) principal: Option<Uid>,
}

#[derive(Debug, Args)]
#[command(after_help = r#"Example:
  elevon extend act_0198c0de-... --for PT30M --reason "the restore is not done yet"

The activation runs on while the request waits, and its end moves once it is granted. How often, and how early, the role says."#)]
pub(in crate::cli) struct Extend {
    /// The activation
    #[arg(value_parser = activation)]
    pub(in crate::cli) id: ActivationId,
    /// How much longer, as an ISO 8601 duration; the role's default, if nothing is said
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// For which ticket, as system and number
    #[arg(long, value_parser = ticket, value_name = "SYSTEM:ID")]
    pub(in crate::cli) ticket: Option<(String, String)>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// Stay, and show it again whenever something changes; Ctrl-C ends it
    #[arg(long)]
    pub(in crate::cli) watch: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon events --after 1200 --output json\n\n\
    Each event comes once, in the order of the journal; what you may not see is left out. Where the connection is lost, \
    it goes on where it was. Ctrl-C ends it.")]
pub(in crate::cli) struct Events {
    /// Begin after this record of the journal; with what happens from now on, if nothing is said
    #[arg(long, value_name = "SEQ")]
    pub(in crate::cli) after: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "The request is shown before the vote. To vote on exactly what you saw earlier (in `elevon approvals`), \
    give its hash with --hash: if the request changed since, the vote is refused.")]
#[command(group = ArgGroup::new("which").required(true).args(["id", "link"]))]
pub(in crate::cli) struct Vote {
    /// The request
    #[arg(value_parser = activation)]
    pub(in crate::cli) id: Option<ActivationId>,
    /// The link from a message to you, or its whole address, in place of the request
    #[arg(long, value_name = "LINK", conflicts_with = "hash")]
    pub(in crate::cli) link: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// The hash of the request as you saw it
    #[arg(long, value_parser = digest, value_name = "HASH")]
    pub(in crate::cli) hash: Option<Digest>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Approve {
    #[command(flatten)]
    pub(in crate::cli) vote: Vote,
    /// Give it for this long only
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "link")]
    pub(in crate::cli) duration: Option<Duration>,
    /// Give it on this scope only, below the one that was asked for
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"", conflicts_with = "link")]
    pub(in crate::cli) scope: Option<Uid>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Ending {
    /// The request or activation
    #[arg(value_parser = activation)]
    pub(in crate::cli) id: ActivationId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["ids", "principal", "role"]))]
#[command(after_help = r#"Examples:
  elevon revoke act_0198c0de-... --reason "left the project"
  elevon revoke --principal 'User::"alice"' --reason "her laptop was stolen"
  elevon revoke --role db-admin --reason "leaked credentials" --yes

The very next check denies. Everything of a principal or of a role is asked about once more, unless --yes says so already."#)]
pub(in crate::cli) struct Revoke {
    /// The activations
    #[arg(value_parser = activation, value_name = "ID")]
    pub(in crate::cli) ids: Vec<ActivationId>,
    /// Everything that this principal has active or has asked for
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"", requires = "reason")]
    pub(in crate::cli) principal: Option<Uid>,
    /// Everything that is active or asked for of this role
    #[arg(long, value_parser = role, requires = "reason")]
    pub(in crate::cli) role: Option<RoleName>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Do not ask once more
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  elevon check 'User::"alice"' 'Action::"write"' 'Database::"orders"'
  elevon check 'User::"alice"' write 'Database::"orders"' --context '{"channel": "vpn"}'"#)]
pub(in crate::cli) struct Check {
    /// Who
    #[arg(value_parser = entity)]
    pub(in crate::cli) principal: Uid,
    /// Does what: the action, or its name alone
    pub(in crate::cli) action: String,
    /// To what
    #[arg(value_parser = entity)]
    pub(in crate::cli) resource: Uid,
    /// The request's context, a JSON object
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(in crate::cli) context: Option<serde_json::Map<String, serde_json::Value>>,
}
