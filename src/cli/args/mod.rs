//! What can be typed, and what it means; the help texts are part of the teaching.

mod alerts;
mod audit;
mod grants;
mod notifications;
mod people;
mod read;
mod reviews;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use alerts::Alerts;
pub(super) use audit::{Audit, AuditExport, AuditList, AuditVerify};
pub(super) use grants::{GrantAdd, GrantList, GrantProlong, GrantRequests, Grants};
pub(super) use notifications::{DeadLetters, Notifications};
pub(super) use people::{Activate, Approve, Check, Ending, Events, Extend, Revoke, Status, Vote};
pub(super) use reviews::{ReportFormat, ReviewDecide, ReviewPlan, ReviewReport, Reviews};

use crate::domain::id::Uid;
use crate::domain::time::{Duration, Timestamp};

use read::{entity, instant, wait};

const EXAMPLES: &str = r#"Examples:
  elevon init company && elevon serve --config company/elevon.toml
  elevon serve --policies policies --data data --dev
  export ELEVON_TOKEN='Dev User::"alice"'
  elevon status --watch
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
    /// The server that is asked: `http://…`, `https://…`, or `unix:/path` for a UNIX socket
    #[arg(long, global = true, env = "ELEVON_URL", default_value = "http://127.0.0.1:8181", value_name = "URL")]
    pub(super) url: String,
    /// Who asks: a token, or with a server started with --dev: Dev User::"alice"
    #[arg(long, global = true, env = "ELEVON_TOKEN", hide_env_values = true, value_name = "CREDENTIAL")]
    pub(super) token: Option<String>,
    /// A file with the token, which then is in no list of processes
    #[arg(long, global = true, env = "ELEVON_TOKEN_FILE", value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The authorities (PEM) that an https:// server's certificate is held against; those that this machine trusts, unless said
    #[arg(long, global = true, env = "ELEVON_CA", value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
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
    /// Write a configuration, policies and data to begin with, and a first administrator's token
    Init(Init),
    /// Run the server
    Serve(Serve),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
    /// Make a token, and the entry for it in the configuration
    Token(NewToken),
    /// Ask for one role or several for a while
    Activate(Activate),
    /// Ask for more time for an activation that runs
    Extend(Extend),
    /// What you may activate, what is active and what waits
    Status(Status),
    /// Requests that wait for your vote
    Approvals,
    /// Vote for a request, or for less than it asks
    Approve(Approve),
    /// Vote against a request, which ends it
    Deny(Vote),
    /// Take back a request before it begins
    Cancel(Ending),
    /// Give up an activation of your own
    Deactivate(Ending),
    /// End activations of others, or everything of a principal or of a role at once
    Revoke(Revoke),
    /// Ask for a decision: exit 0 if it is allowed, 1 if it is denied
    Check(Check),
    /// Ask for a decision with its reasons: policies, activations that counted, and why others did not
    Explain(Check),
    /// Say what an HTTP request asks for, by the routes of a policy folder: exit 0 if there is a route, 1 if not
    Route(Route),
    /// Who may activate what
    #[command(subcommand, after_help = grants::ELIGIBILITY_EXAMPLES)]
    Eligibility(Grants),
    /// Who holds what without activating it
    #[command(subcommand, after_help = grants::ASSIGNMENT_EXAMPLES)]
    Assignment(Grants),
    /// Requests to extend or renew an eligibility or an assignment
    #[command(after_help = grants::REQUEST_EXAMPLES)]
    GrantRequests {
        /// What to do; list those that you may see, if nothing is said
        #[command(subcommand)]
        what: Option<GrantRequests>,
    },
    /// Who still needs what: access reviews
    #[command(subcommand, after_help = reviews::EXAMPLES)]
    Review(Reviews),
    /// What is odd: incidents that wait for somebody, and what to do about them
    #[command(after_help = alerts::EXAMPLES)]
    Alerts {
        /// What to do; list those that wait, if nothing is said
        #[command(subcommand)]
        what: Option<Alerts>,
    },
    /// Who is told of what happened, and what could not be delivered
    #[command(after_help = notifications::EXAMPLES)]
    Notifications {
        /// What to do; list the destinations, if nothing is said
        #[command(subcommand)]
        what: Option<Notifications>,
    },
    /// Look at a policy folder, without a server
    #[command(subcommand)]
    Policy(Policy),
    /// What happened, and the proof that nothing of it was changed
    #[command(subcommand, after_help = audit::EXAMPLES)]
    Audit(Audit),
    /// What happens, as it happens
    Events(Events),
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
#[command(after_help = "Example:\n  elevon init company\n  elevon serve --config company/elevon.toml\n\n\
    The folder has to be new or empty. The token is shown once; the configuration keeps its digest only.")]
pub(super) struct Init {
    /// The folder
    pub(super) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Read a configuration and all that it names, as a start would: what would be served, or everything that is wrong (exit 2)
    Check {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon token --id alice-laptop --principal 'User::\"alice\"' --expires 2031-01-31T00:00:00Z")]
pub(super) struct NewToken {
    /// By which people and logs know it; no secret
    #[arg(long)]
    pub(super) id: String,
    /// Whom it shows
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) principal: Uid,
    /// Until when it counts (RFC 3339); for ever, unless said
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(super) expires: Option<Timestamp>,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "elevon serve --config <FILE>\n       elevon serve --policies <DIR> --data <DIR> --dev [OPTIONS]",
    after_help = "Examples:\n  elevon serve --config elevon.toml\n  elevon serve --policies policies --data data --dev --log-format json\n\n\
    SIGHUP has the configuration's credentials, keys and certificates read again, and the policies. SIGTERM ends it."
)]
pub(super) struct Serve {
    /// The configuration; `elevon init` writes one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dev", "policies", "data", "listen"])]
    pub(super) config: Option<PathBuf>,
    /// The policy folder; it is watched
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(super) policies: Option<PathBuf>,
    /// The data folder; it is made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(super) data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    pub(super) listen: SocketAddr,
    /// Believe whoever a caller says it is. For trying out: loopback only, and the data folder is marked
    #[arg(long)]
    pub(super) dev: bool,
    /// How to write the log; as the configuration says, or text
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
    /// What to log, such as `info` or `elevon=debug,info`; as the configuration says, or info
    #[arg(long, env = "ELEVON_LOG", value_name = "FILTER")]
    pub(super) log: Option<String>,
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
#[command(after_help = "Examples:\n  elevon route GET https://db.example/databases/orders --policies policies")]
pub(super) struct Route {
    /// The method, in capital letters
    pub(super) method: String,
    /// The URL, as the client asks for it
    pub(super) url: String,
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub(super) policies: PathBuf,
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
            (&["activate"], false),
            (&["activate", "reader", "db-admin", "--scope", "Environment::\"prod\"", "--scope", "Environment::\"dev\""], true),
            (&["activate", "reader", "--for", "PT1H", "--until", "2030-01-01T00:00:00Z"], false),
            (&["activate", "reader", "--start", "2030-01-01T00:00:00Z", "--until", "2030-01-01T01:00:00Z", "--dry-run"], true),
            (&["activate", "reader", "--emergency", "--reason", "x", "--principal", "User::\"b\""], true),
            (&["activate", "reader", "--emergency", "--start", "2030-01-01T00:00:00Z", "--reason", "x"], false),
            (&["extend", "act_1", "--for", "PT30M", "--reason", "not done yet"], true),
            (&["extend"], false),
            (&["approve", "act_1", "--for", "PT5M", "--scope", "Database::\"orders\""], true),
            (&["deny", "act_1", "--for", "PT5M"], false),
            (&["approve", "--link", "https://elevon.example/approve#abc.def", "--reason", "x"], true),
            (&["deny", "--link", "abc.def"], true),
            (&["approve"], false),
            (&["approve", "act_1", "--link", "abc.def"], false),
            (&["approve", "--link", "abc.def", "--for", "PT5M"], false),
            (&["revoke"], false),
            (&["revoke", "act_1", "act_2"], true),
            (&["revoke", "--principal", "User::\"a\"", "--reason", "x"], true),
            (&["revoke", "--principal", "User::\"a\""], false),
            (&["revoke", "--role", "reader", "--reason", "x", "--yes"], true),
            (&["revoke", "--role", "reader", "--principal", "User::\"a\"", "--reason", "x"], false),
            (&["revoke", "act_1", "--role", "reader", "--reason", "x"], false),
            (&["eligibility", "add", "User::\"a\"", "r", "--for", "P1D", "--until", "2030-01-01T00:00:00Z"], false),
            (&["eligibility", "extend", "elg_1"], false),
            (&["eligibility", "extend", "elg_1", "--for", "P30D", "--reason", "x"], true),
            (&["eligibility", "renew", "elg_1", "--for", "P30D", "--until", "2030-01-01T00:00:00Z"], false),
            (&["assignment", "renew", "asg_1", "--until", "2030-01-01T00:00:00Z"], true),
            (&["grant-requests"], true),
            (&["grant-requests", "list", "--status", "pending"], true),
            (&["grant-requests", "approve", "grq_1", "--until", "2030-01-01T00:00:00Z", "--reason", "x"], true),
            (&["grant-requests", "approve"], false),
            (&["grant-requests", "cancel", "grq_1"], true),
            (&["alerts"], true),
            (&["alerts", "list", "--kind", "never_used", "--principal", "User::\"a\"", "--status", "all"], true),
            (&["alerts", "list", "--principal", "alice"], false),
            (&["alerts", "dismiss", "inc_1"], false),
            (&["alerts", "dismiss", "inc_1", "--reason", "x"], true),
            (&["alerts", "remedy", "inc_1", "--dry-run"], true),
            (&["status", "--watch"], true),
            (&["events", "--after", "17"], true),
            (&["events", "--after", "-1"], false),
            (&["audit", "list", "--from", "yesterday"], false),
            (&["audit", "list", "--limit", "0"], false),
            (&["audit", "list", "--newest-first"], true),
            (&["audit", "tip"], true),
            (&["audit", "verify"], false),
            (&["audit", "verify", "--data", "d"], true),
            (&["audit", "verify", "--file", "-", "--expect", &format!("17:{}", "ab".repeat(32))], true),
            (&["audit", "verify", "--file", "f", "--expect", "17"], false),
            (&["audit", "verify", "--file", "f", "--data", "d"], false),
            (&["audit", "export"], true),
            (&["audit", "export", "--from", "17", "--file", "f", "--data", "d"], true),
            (&["audit", "export", "--from", "0"], false),
            (&["serve", "--policies", "p"], false),
            (&["serve", "--policies", "p", "--data", "d", "--listen", "localhost"], false),
            (&["serve", "--policies", "p", "--data", "d"], true),
            (&["serve"], false),
            (&["serve", "--config", "f"], true),
            (&["serve", "--config", "f", "--log", "debug", "--port-file", "p"], true),
            (&["serve", "--config", "f", "--dev"], false),
            (&["serve", "--config", "f", "--policies", "p"], false),
            (&["serve", "--config", "f", "--listen", "127.0.0.1:1"], false),
            (&["init", "d"], true),
            (&["init"], false),
            (&["config", "check", "f"], true),
            (&["token", "--id", "a", "--principal", "User::\"a\""], true),
            (&["token", "--id", "a"], false),
            (&["token", "--id", "a", "--principal", "alice"], false),
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
