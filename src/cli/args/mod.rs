//! What can be typed, and what it means; the help texts are part of the teaching.

mod alerts;
mod audit;
mod entities;
mod grants;
mod notifications;
mod people;
mod read;
mod reviews;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use alerts::Alerts;
pub(super) use audit::{Audit, AuditExport, AuditList, AuditVerify};
pub(super) use entities::{Entities, EntityChange, EntityPut, Roles};
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

Exit codes: 0 done or allowed; 1 refused or denied; 2 wrong usage, no server, or a server that cannot act."#;

/// Elevon answers one question: may this principal do this, given what it has activated right now?
///
/// Cedar policies over time-bound role activations. `elevon serve` runs the server; most other commands talk to one.
#[derive(Debug, Parser)]
#[command(name = "elevon", version, after_help = EXAMPLES, propagate_version = true, max_term_width = 120)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Ids of the options of [`Shared`] that name a server and who asks it.
const CONNECTION: [&str; 4] = ["url", "token", "token_file", "ca"];
/// The heading under which they are shown.
const CONNECTION_HEADING: &str = "Connection";
/// The commands that ask no server.
const LOCAL: [&str; 9] = ["init", "serve", "config", "token", "route", "policy", "rebuild", "clock", "completion"];
/// Those of which a part asks none.
const LOCAL_PARTS: [(&str, &str); 1] = [("audit", "verify")];

/// What every command takes. What stands in the environment is read where it is used, so that a complaint about an argument does not show
/// a variable as if it had been typed.
#[derive(Debug, Args)]
pub(super) struct Shared {
    /// Print tables for people, or JSON for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT", help_heading = "Output")]
    pub(super) output: Format,
    /// Server: `http://…`, `https://…`, or `unix:/path` for a UNIX socket [env: ELEVON_URL] [default: http://127.0.0.1:8181]
    #[arg(long, global = true, value_name = "URL", help_heading = CONNECTION_HEADING)]
    pub(super) url: Option<String>,
    /// Token; for a server started with --dev: 'Dev User::"alice"' [env: ELEVON_TOKEN]
    #[arg(long, global = true, value_name = "CREDENTIAL", help_heading = CONNECTION_HEADING)]
    pub(super) token: Option<String>,
    /// File with the token, which keeps it out of process lists [env: ELEVON_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE", help_heading = CONNECTION_HEADING)]
    pub(super) token_file: Option<PathBuf>,
    /// CA certificates (PEM) for an https:// server; by default those that this machine trusts [env: ELEVON_CA]
    #[arg(long, global = true, value_name = "FILE", help_heading = CONNECTION_HEADING)]
    pub(super) ca: Option<PathBuf>,
}

impl Arguments {
    /// What the process was started with. Wrong usage and `--help` end the process.
    pub(super) fn given() -> Self {
        let mut command = Self::whole();
        let read = command.try_get_matches_from_mut(std::env::args_os()).and_then(|mut matches| Self::from_arg_matches_mut(&mut matches));
        read.unwrap_or_else(|error| error.format(&mut command).exit())
    }

    /// All commands. Those that ask no server do not offer to name one.
    pub(super) fn whole() -> clap::Command {
        let mut command = Self::command();
        command.build();
        command.mut_subcommands(|command| {
            let under = command.get_name().to_owned();
            if LOCAL.contains(&under.as_str()) {
                return without_connection(command);
            }
            command.mut_subcommands(
                |part| {
                    if LOCAL_PARTS.contains(&(under.as_str(), part.get_name())) { without_connection(part) } else { part }
                },
            )
        })
    }
}

fn without_connection(command: clap::Command) -> clap::Command {
    let hidden = command.mut_args(|arg| {
        let connects = CONNECTION.contains(&arg.get_id().as_str()) && arg.get_help_heading() == Some(CONNECTION_HEADING);
        arg.hide(connects)
    });
    hidden.mut_subcommands(without_connection)
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a configuration, policies and data to start with, and the first administrator's token
    Init(Init),
    /// Run the server
    Serve(Serve),
    /// Check a configuration
    #[command(subcommand)]
    Config(Config),
    /// Create a token, and its entry for the configuration
    Token(NewToken),
    /// Request one or more roles for a limited time
    Activate(Activate),
    /// Request more time for an active role
    Extend(Extend),
    /// Show what you may activate, what is active and what is waiting
    Status(Status),
    /// List the requests that wait for your vote
    Approvals,
    /// Approve a request, or less than it asks for
    #[command(after_help = people::VOTING)]
    Approve(Approve),
    /// Deny a request, which ends it
    #[command(after_help = people::VOTING)]
    Deny(Vote),
    /// Cancel a request before it starts
    Cancel(Ending),
    /// End one of your own activations early
    Deactivate(Ending),
    /// End activations of others: single ones, or everything of a principal or a role
    Revoke(Revoke),
    /// Ask whether something is allowed: exit code 0 if it is, 1 if it is denied
    #[command(after_help = people::CHECK_EXAMPLES)]
    Check(Check),
    /// Explain a decision: the policies, the activations that counted, and why others did not
    #[command(after_help = people::EXPLAIN_EXAMPLES)]
    Explain(Check),
    /// Show what an HTTP request asks for, by the routes of a policy folder: exit code 0 if there is a route, 1 if not
    Route(Route),
    /// Manage who may activate which role
    #[command(subcommand, after_help = grants::ELIGIBILITY_EXAMPLES)]
    Eligibility(Grants),
    /// Manage who holds which role without activating it
    #[command(subcommand, after_help = grants::ASSIGNMENT_EXAMPLES)]
    Assignment(Grants),
    /// List the roles, what each requires, and who approves it
    #[command(after_help = entities::ROLE_EXAMPLES)]
    Roles(Roles),
    /// Manage principals, groups and resources, and disable a principal at once
    #[command(subcommand, after_help = entities::ENTITY_EXAMPLES)]
    Entity(Entities),
    /// List and decide requests to extend or renew eligibilities and assignments
    #[command(after_help = grants::REQUEST_EXAMPLES)]
    GrantRequests {
        #[command(subcommand)]
        what: Option<GrantRequests>,
    },
    /// Review who still needs which role
    #[command(subcommand, after_help = reviews::EXAMPLES)]
    Review(Reviews),
    /// List incidents that need attention, and act on them
    #[command(after_help = alerts::EXAMPLES)]
    Alerts {
        #[command(subcommand)]
        what: Option<Alerts>,
    },
    /// Show where notifications go, and what could not be delivered
    #[command(after_help = notifications::EXAMPLES)]
    Notifications {
        #[command(subcommand)]
        what: Option<Notifications>,
    },
    /// Validate and test a policy folder, without a server
    #[command(subcommand)]
    Policy(Policy),
    /// Search the journal, export it, and verify that nothing in it was changed
    #[command(subcommand, after_help = audit::EXAMPLES)]
    Audit(Audit),
    /// Follow events as they happen
    Events(Events),
    /// Replay the journal from the start, and verify that what is stored is the same
    Rebuild(Rebuild),
    /// Confirm the machine's clock after it jumped ahead
    #[command(subcommand)]
    Clock(Clock),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  elevon completion bash > ~/.local/share/bash-completion/completions/elevon")]
    Completion {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon init company\n  elevon serve --config company/elevon.toml\n\n\
    The folder has to be new or empty. The token is shown once; the configuration keeps only its digest.")]
pub(super) struct Init {
    /// Folder
    pub(super) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Read a configuration and everything it names, as a start would: what would be served, or everything that is wrong (exit code 2)
    Check {
        /// Configuration
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon token --id alice-laptop --principal 'User::\"alice\"' --expires 2031-01-31T00:00:00Z")]
pub(super) struct NewToken {
    /// Name of the token in the configuration and in logs; not a secret
    #[arg(long)]
    pub(super) id: String,
    /// Principal whose token it is
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(super) principal: Uid,
    /// End of its validity (RFC 3339); by default it does not expire
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(super) expires: Option<Timestamp>,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "elevon serve --config <FILE> [OPTIONS]\n       elevon serve --policies <DIR> --data <DIR> --dev [OPTIONS]",
    after_help = "Examples:\n  elevon serve --config elevon.toml\n  elevon serve --policies policies --data data --dev --log-format json\n\n\
    On SIGHUP the server reads the configuration's credentials, keys and certificates again, and the policies. SIGTERM ends it."
)]
pub(super) struct Serve {
    /// Configuration; `elevon init` creates one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dev", "policies", "data", "listen"])]
    pub(super) config: Option<PathBuf>,
    /// Policy folder, which is watched for changes
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(super) policies: Option<PathBuf>,
    /// Data folder, which is created if it is missing
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(super) data: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    pub(super) listen: SocketAddr,
    /// Believe whoever a caller claims to be. For trying things out: loopback only, and the data folder is marked
    #[arg(long)]
    pub(super) dev: bool,
    /// Format of the log; by default as configured, else text
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
    /// What to log, such as `info` or `elevon=debug,info`; by default as configured, else info
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

/// How the log is written: for people, or for programs one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  elevon route GET https://db.example/databases/orders --policies examples/gateways/policies")]
pub(super) struct Route {
    /// Method, in capital letters
    pub(super) method: String,
    /// URL, as the client requests it
    pub(super) url: String,
    /// Policy folder with a `routes.toml`
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub(super) policies: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Read, validate and test a policy folder, exactly as a server does before a bundle goes live
    Validate {
        /// Policy folder
        dir: PathBuf,
    },
    /// Run the policy tests and list each
    Test {
        /// Policy folder
        dir: PathBuf,
    },
    /// Print the whole schema, the author's part and Elevon's, for other Cedar tools
    Schema {
        /// Policy folder
        dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Clock {
    /// Confirm that the clock is right although it jumped ahead; ends every activation, and every assignment that has an end
    #[command(after_help = "\
A server does not trust a clock that is more than five minutes ahead of the machine's running time: meanwhile, whatever is bound to time does not \
count, and commands are refused. If the clock is wrong, set it right; nothing else is needed. If it is right, confirm it here, on the machine \
itself. Permanent assignments are not affected.\n\n\
The confirmation is left in the data folder, and a running server takes it within seconds. If none does within --wait, the exit code is 1, and the \
confirmation stays there: a server that starts within the hour takes it.\n\nExample:\n  elevon clock accept --data data")]
    Accept {
        /// Data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Longest wait for a running server to take it; PT0S does not wait
        #[arg(long, value_parser = wait, value_name = "DURATION", default_value = "PT15S")]
        wait: Duration,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "The server must not be running: two processes cannot open one data folder. Nothing in the folder is changed.")]
pub(super) struct Rebuild {
    /// Data folder
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

    /// Every command, by the words that call it, and its help.
    fn helps() -> Vec<(String, String)> {
        let (mut found, mut todo) = (Vec::new(), vec![(String::new(), Arguments::whole())]);
        while let Some((path, mut command)) = todo.pop() {
            let below = command.get_subcommands().filter(|sub| sub.get_name() != "help");
            todo.extend(below.map(|sub| (format!("{path} {}", sub.get_name()), sub.clone())));
            // as it is written: lines are not broken
            command = command.term_width(0).max_term_width(0);
            found.push((path, command.render_long_help().to_string()));
        }
        assert!(found.len() > 60, "{found:?}");
        found
    }

    /// The words of a line as a shell would cut it.
    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for letter in line.chars() {
            match (quote, letter) {
                (Some(open), letter) if letter == open => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(letter);
                    word.get_or_insert_default();
                }
                (None, ' ') => words.extend(word.take()),
                (_, letter) => word.get_or_insert_default().push(letter),
            }
        }
        words.into_iter().chain(word).collect()
    }

    #[test]
    fn every_example_of_a_help_is_a_command() {
        let mut seen = 0;
        for (path, help) in helps() {
            let whole = help.replace("\\\n", "");
            for line in whole.lines().filter(|line| line.starts_with("  elevon ") && !line.contains('<')) {
                let typed = line.split(" #").next().unwrap_or(line).split(['>', '|']).next().unwrap_or(line);
                for command in typed.split(" && ") {
                    let parsed = Arguments::whole().try_get_matches_from(shell_words(command.trim()));
                    assert!(parsed.is_ok(), "`elevon{path} --help` shows `{command}`: {parsed:?}");
                    seen += 1;
                }
                if let Some(first) = path.split(' ').nth(1) {
                    assert!(line.contains(&format!("elevon {first}")) || first == "init", "`elevon{path} --help` shows `{line}`");
                }
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn commands_that_ask_no_server_offer_none() {
        let whole = Arguments::whole();
        for name in LOCAL {
            assert!(whole.find_subcommand(name).is_some(), "{name}");
        }
        for (under, name) in LOCAL_PARTS {
            assert!(whole.find_subcommand(under).and_then(|one| one.find_subcommand(name)).is_some(), "{under} {name}");
        }
        for (path, help) in helps() {
            let words: Vec<&str> = path.split(' ').skip(1).collect();
            let local = words.first().is_some_and(|first| LOCAL.contains(first)) || LOCAL_PARTS.iter().any(|(a, b)| words == [*a, *b]);
            let offers = help.contains(CONNECTION_HEADING) || help.contains("--url");
            assert_eq!(offers, !local, "`elevon{path}`: {help}");
        }
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
            (&["roles"], true),
            (&["roles", "db-admin"], true),
            (&["entity", "get", "User::\"a\""], true),
            (&["entity", "get", "alice"], false),
            (&["entity", "list", "--type", "User"], true),
            (&["entity", "put"], false),
            (&["entity", "put", "--from", "f"], true),
            (&["entity", "put", "User::\"a\"", "--from", "f"], false),
            (&["entity", "put", "--from", "f", "--parent", "Group::\"g\""], false),
            (&["entity", "put", "User::\"a\"", "--parent", "Group::\"g\"", "--attrs", "{\"name\":\"A\"}", "--dry-run"], true),
            (&["entity", "put", "User::\"a\"", "--attrs", "[]"], false),
            (&["entity", "disable", "User::\"a\"", "--reason", "x"], true),
            (&["entity", "enable"], false),
            (&["entity", "delete", "User::\"a\""], true),
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
