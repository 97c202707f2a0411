//! What can be typed, and what it means; the help texts are part of the teaching.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::domain::id::{ActivationId, BadName, RoleName, Uid};
use crate::domain::text::Digest;
use crate::domain::time::{BadTime, Duration, Timestamp};

const EXAMPLES: &str = r#"Examples:
  elevon serve --policies policies --data data --dev
  export ELEVON_TOKEN='Dev User::"alice"'
  elevon status
  elevon activate db-admin --scope 'Environment::"prod"' --for PT30M --reason "restore orders"
  elevon check 'User::"alice"' 'Action::"write"' 'Database::"orders"'

Exit codes: 0 done or allowed, 1 refused or denied, 2 wrong usage or no server."#;

/// Elevon answers one question: may this principal do this, given what it has activated right now?
///
/// Cedar policies over time-bound role activations. `elevon serve` is the server; everything else asks one, or works on a policy folder.
#[derive(Debug, Parser)]
#[command(name = "elevon", version, after_help = EXAMPLES, propagate_version = true, max_term_width = 120)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct Shared {
    /// How to print: tables for people, JSON for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(super) output: Format,
    /// The server that is asked
    #[arg(long, global = true, env = "ELEVON_URL", default_value = "http://127.0.0.1:8181", value_name = "URL")]
    pub(super) url: String,
    /// Who asks, as the server's credential text, such as: Dev User::"alice"
    #[arg(long, global = true, env = "ELEVON_TOKEN", hide_env_values = true, value_name = "CREDENTIAL")]
    pub(super) token: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server
    Serve(Serve),
    /// Ask for a role for a while
    Activate(Activate),
    /// What you may activate, what is active and what waits
    Status,
    /// Requests that wait for your vote
    Approvals,
    /// Vote for a request
    Approve(Vote),
    /// Vote against a request, which ends it
    Deny(Vote),
    /// Take back a request before it begins
    Cancel(Ending),
    /// Give up an activation of your own
    Deactivate(Ending),
    /// End somebody else's activation
    Revoke(Ending),
    /// Ask for a decision: exit 0 if it is allowed, 1 if it is denied
    Check(Check),
    /// Ask for a decision with its reasons: policies, activations that counted, and why others did not
    Explain(Check),
    /// Who may activate what
    #[command(subcommand)]
    Eligibility(Eligibility),
    /// Look at a policy folder, without a server
    #[command(subcommand)]
    Policy(Policy),
    /// What happened
    #[command(subcommand)]
    Audit(Audit),
    /// Replay the journal from empty and prove that what is stored is the same
    Rebuild(Rebuild),
    /// The machine's clock
    #[command(subcommand)]
    Clock(Clock),
    /// Print a completion script
    #[command(after_help = "Example:\n  elevon completion bash > ~/.local/share/bash-completion/completions/elevon")]
    Completion {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon serve --policies policies --data data --dev --log-format json\n\n\
    Without --dev there is no way to authenticate callers yet, and the server says so and does not start.")]
pub(super) struct Serve {
    /// The policy folder; it is watched
    #[arg(long, value_name = "DIR")]
    pub(super) policies: PathBuf,
    /// The data folder; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    pub(super) listen: SocketAddr,
    /// Believe whoever a caller says it is. For trying out: loopback only, and the data folder is marked
    #[arg(long)]
    pub(super) dev: bool,
    /// How to write the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    /// What to log, such as `info` or `elevon=debug,info`
    #[arg(long, env = "ELEVON_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
    /// Write the port to this file once the server listens
    #[arg(long, value_name = "FILE")]
    pub(super) port_file: Option<PathBuf>,
    /// Let tests move the clock (`POST /dev/clock`); needs --dev
    #[cfg(feature = "test-clock")]
    #[arg(long, requires = "dev")]
    pub(super) test_clock: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// For programs, one JSON object a line.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  elevon activate db-admin --scope 'Environment::"prod"' --for PT30M --reason "restore the orders table"
  elevon activate reader --reason "look around" --ticket jira:OPS-7

Where the role needs approval, the request waits; `elevon status` shows it."#)]
pub(super) struct Activate {
    /// The role
    #[arg(value_parser = role)]
    pub(super) role: RoleName,
    /// Where the role is to hold, there and below; everywhere, if nothing is said
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) scope: Option<Uid>,
    /// How long, as an ISO 8601 duration; the role's default, if nothing is said
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    pub(super) duration: Option<Duration>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// For which ticket, as system and number
    #[arg(long, value_parser = ticket, value_name = "SYSTEM:ID")]
    pub(super) ticket: Option<(String, String)>,
    /// For somebody else
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) principal: Option<Uid>,
}

#[derive(Debug, Args)]
#[command(after_help = "The request is shown before the vote. To vote on exactly what you saw earlier (in `elevon approvals`), \
    give its hash with --hash: if the request changed since, the vote is refused.")]
pub(super) struct Vote {
    /// The request
    #[arg(value_parser = activation)]
    pub(super) id: ActivationId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// The hash of the request as you saw it
    #[arg(long, value_parser = digest, value_name = "HASH")]
    pub(super) hash: Option<Digest>,
}

#[derive(Debug, Args)]
pub(super) struct Ending {
    /// The request or activation
    #[arg(value_parser = activation)]
    pub(super) id: ActivationId,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  elevon check 'User::"alice"' 'Action::"write"' 'Database::"orders"'
  elevon check 'User::"alice"' write 'Database::"orders"' --context '{"channel": "vpn"}'"#)]
pub(super) struct Check {
    /// Who
    #[arg(value_parser = entity)]
    pub(super) principal: Uid,
    /// Does what: the action, or its name alone
    pub(super) action: String,
    /// To what
    #[arg(value_parser = entity)]
    pub(super) resource: Uid,
    /// The request's context, a JSON object
    #[arg(long, value_parser = object, value_name = "JSON")]
    pub(super) context: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Eligibility {
    /// Make a principal or a group eligible for a role
    #[command(after_help = r#"Example:
  elevon eligibility add 'User::"alice"' db-admin --scope 'Environment::"prod"' --for P30D --reason "on call in November""#)]
    Add(EligibilityAdd),
    /// List who may activate what
    List(EligibilityList),
    /// End an eligibility; what rests on it ends with it
    Remove {
        /// The eligibility
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct EligibilityAdd {
    /// The principal or group
    #[arg(value_parser = entity)]
    pub(super) holder: Uid,
    /// The role
    #[arg(value_parser = role)]
    pub(super) role: RoleName,
    /// Where the role may be activated, there and below; everywhere, if nothing is said
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) scope: Option<Uid>,
    /// For how long from now
    #[arg(long = "for", value_parser = duration, value_name = "DURATION", conflicts_with = "until")]
    pub(super) duration: Option<Duration>,
    /// Until when (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(super) until: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct EligibilityList {
    /// Of this principal or group only
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) principal: Option<Uid>,
    /// For this role only
    #[arg(long, value_parser = role)]
    pub(super) role: Option<RoleName>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Read, validate and test a policy folder: exactly what a server does before a bundle goes live
    Validate {
        /// The policy folder
        dir: PathBuf,
    },
    /// Run the policy tests and list each
    Test {
        /// The policy folder
        dir: PathBuf,
    },
    /// Print the whole schema, the author's part and Elevon's, for other Cedar tools
    Schema {
        /// The policy folder
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List what happened: who, what, when and why
    #[command(after_help = r#"Examples:
  elevon audit list --principal 'User::"alice"' --from 2030-01-31T09:00:00Z
  elevon audit list --activation act_0198c0de-... --output json"#)]
    List(AuditList),
}

#[derive(Debug, Args)]
pub(super) struct AuditList {
    /// What this principal did, or what was done about it
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) principal: Option<Uid>,
    /// About this role
    #[arg(long, value_parser = role)]
    pub(super) role: Option<RoleName>,
    /// About this activation
    #[arg(long, value_parser = activation, value_name = "ID")]
    pub(super) activation: Option<ActivationId>,
    /// Of this kind, such as `activation_started`
    #[arg(long)]
    pub(super) kind: Option<String>,
    /// Not before this (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(super) from: Option<Timestamp>,
    /// Before this (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(super) to: Option<Timestamp>,
    /// At most so many records
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
    /// Go on after a list that was cut, with the cursor it ended with
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Clock {
    /// Say that the clock is right although it jumped ahead. Every activation, and every assignment with an end, is over then
    #[command(after_help = "\
A server does not believe a clock that is more than five minutes ahead of the machine's running time: what is bound to time does not count \
meanwhile, and commands are refused. Where the clock is wrong, set it right; that is all. Where it is right, say so here, on the machine \
itself. Permanent assignments are not touched.\n\nExample:\n  elevon clock accept --data data")]
    Accept {
        /// The data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// How long to wait for a running server to take it
        #[arg(long, value_parser = wait, value_name = "DURATION", default_value = "PT15S")]
        wait: Duration,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "The server must not be running: two processes cannot hold one data folder. Nothing in the folder is changed.")]
pub(super) struct Rebuild {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
}

fn entity(text: &str) -> Result<Uid, BadName> {
    Uid::parse(text)
}

fn role(text: &str) -> Result<RoleName, BadName> {
    RoleName::new(text)
}

fn activation(text: &str) -> Result<ActivationId, BadName> {
    ActivationId::new(text)
}

fn duration(text: &str) -> Result<Duration, BadTime> {
    Duration::parse(text)
}

fn wait(text: &str) -> Result<Duration, String> {
    let most = Duration::from_mins(5);
    let asked = Duration::parse(text).map_err(|error| error.to_string())?;
    if asked <= most { Ok(asked) } else { Err(format!("{most} is the longest wait")) }
}

fn instant(text: &str) -> Result<Timestamp, BadTime> {
    Timestamp::parse(text)
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| "a request hash is 64 hexadecimal digits; `elevon approvals --output json` shows it".to_owned())
}

fn ticket(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((system, number)) if !system.is_empty() && !number.is_empty() => Ok((system.to_owned(), number.to_owned())),
        _ => Err("write it as SYSTEM:ID, such as `jira:OPS-7`".to_owned()),
    }
}

fn object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_are_parsed_at_the_edge() {
        let rows: &[(&[&str], bool)] = &[
            (&["activate", "db-admin", "--scope", "Environment::\"prod\"", "--for", "PT5M", "--reason", "x"], true),
            (&["activate", "db-admin", "--for", "5m"], false),
            (&["activate", "db-admin", "--scope", "prod"], false),
            (&["activate", "db-admin", "--ticket", "OPS-7"], false),
            (&["activate", "db-admin", "--ticket", "jira:OPS-7"], true),
            (&["approve", "act_1", "--hash", "abc"], false),
            (&["check", "User::\"alice\"", "write", "Database::\"orders\""], true),
            (&["check", "alice", "write", "Database::\"orders\""], false),
            (&["check", "User::\"a\"", "write", "Database::\"o\"", "--context", "[1]"], false),
            (&["check", "User::\"a\"", "write", "Database::\"o\"", "--context", "{\"a\":1}", "--output", "json"], true),
            (&["eligibility", "add", "User::\"a\"", "r", "--for", "P1D", "--until", "2030-01-01T00:00:00Z"], false),
            (&["audit", "list", "--from", "yesterday"], false),
            (&["audit", "list", "--limit", "0"], false),
            (&["serve", "--policies", "p"], false),
            (&["serve", "--policies", "p", "--data", "d", "--listen", "localhost"], false),
            (&["serve", "--policies", "p", "--data", "d"], true),
            (&["clock", "accept", "--data", "d"], true),
            (&["clock", "accept", "--data", "d", "--wait", "PT6M"], false),
            (&["clock", "accept"], false),
            (&["frobnicate"], false),
            (&[], false),
        ];
        for (line, fine) in rows {
            let parsed = Arguments::try_parse_from(std::iter::once(&"elevon").chain(line.iter()));
            assert_eq!(parsed.is_ok(), *fine, "{line:?}: {parsed:?}");
        }
    }
}
