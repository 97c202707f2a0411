//! The command line: arguments in, one command done, an exit code out.
//!
//! Exit codes are a promise to scripts: 0 done or allowed, 1 refused or denied, 2 wrong usage or no server.

mod alerts;
mod args;
mod audit;
mod check;
mod client;
mod clock;
mod describe;
mod ending;
mod evidence;
mod export;
mod feed;
mod grants;
mod local;
mod notifications;
mod output;
mod pages;
mod people;
mod reply;
mod reviews;
mod route;
mod setup;
mod socket;
mod watch;
mod words;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Arguments, Audit, Clock, Command, Config, Format, Shared};
use client::{Client, Failure};
use grants::Kind;
use output::Output;

/// Whether what was asked for came out as yes or as no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Yes,
    No,
}

type Outcome = Result<Done, Failure>;

const DONE: u8 = 0;
const REFUSED: u8 = 1;
const NOT_DONE: u8 = 2;

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let out = Output::new(arguments.shared.output == Format::Json);
    match dispatch(&arguments.shared, &arguments.command, &out) {
        Ok(Done::Yes) => ExitCode::from(DONE),
        Ok(Done::No) => ExitCode::from(REFUSED),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(DONE),
        Err(failure) => {
            // Where even the complaint cannot be written, the exit code still says it.
            let _ = if out.json { out.complaint_value(&failure.value()) } else { out.complaint(&failure.to_string()) };
            ExitCode::from(exit_code(&failure))
        }
    }
}

fn exit_code(failure: &Failure) -> u8 {
    match failure {
        Failure::Refused(problem) if problem.is_fault() => NOT_DONE,
        Failure::Refused(_) | Failure::Local(_) => REFUSED,
        Failure::Unreachable { .. } | Failure::NotElevon { .. } | Failure::Usage(_) | Failure::NotStarted(_) | Failure::Output(_) => {
            NOT_DONE
        }
    }
}

fn dispatch(shared: &Shared, command: &Command, out: &Output) -> Outcome {
    let client = || Client::new(&shared.url, credential(shared)?.as_deref(), shared.ca.as_deref());
    match command {
        Command::Activate(asked) => people::activate(&client()?, out, asked),
        Command::Extend(asked) => people::extend(&client()?, out, asked),
        Command::Status(asked) if asked.watch => watch::status(&client()?, out),
        Command::Status(_) => people::status_of_me(&client()?, out),
        Command::Approvals => people::approvals(&client()?, out),
        Command::Approve(asked) => people::approve(&client()?, out, asked),
        Command::Deny(vote) => people::deny(&client()?, out, vote),
        Command::Cancel(what) => ending::end(&client()?, out, "cancel", what),
        Command::Deactivate(what) => ending::end(&client()?, out, "deactivate", what),
        Command::Revoke(asked) => ending::revoke(&client()?, out, asked),
        Command::Check(asked) => check::check(&client()?, out, asked),
        Command::Explain(asked) => check::explain(&client()?, out, asked),
        Command::Route(asked) => route::route(out, asked),
        Command::Eligibility(what) => grants::grants(&client()?, out, Kind::Eligibility, what),
        Command::Assignment(what) => grants::grants(&client()?, out, Kind::Assignment, what),
        Command::GrantRequests { what } => grants::requests(&client()?, out, what.as_ref()),
        Command::Review(what) => reviews::reviews(&client()?, out, what),
        Command::Alerts { what } => alerts::alerts(&client()?, out, what.as_ref()),
        Command::Notifications { what } => notifications::notifications(&client()?, out, what.as_ref()),
        Command::Audit(Audit::List(filter)) => audit::listed(&client()?, out, filter),
        Command::Audit(Audit::Tip) => evidence::tip(&client()?, out),
        Command::Audit(Audit::Verify(asked)) => evidence::verify(out, asked),
        Command::Audit(Audit::Export(asked)) => export::export(client, out, asked),
        Command::Events(asked) => watch::events(&client()?, out, asked),
        Command::Completion { shell } => completion(*shell, out),
        Command::Init(asked) => setup::init(out, asked),
        Command::Config(Config::Check { file }) => setup::check(out, file),
        Command::Token(asked) => setup::token(out, asked),
        Command::Serve(serve) => local::serve(serve),
        Command::Policy(what) => local::policy(out, what),
        Command::Rebuild(what) => local::rebuild(out, what),
        Command::Clock(Clock::Accept { data, wait }) => clock::accept(out, data, *wait),
    }
}

/// The credential to send: as given, or from a file.
fn credential(shared: &Shared) -> Result<Option<String>, Failure> {
    let given = shared.token.as_ref().filter(|token| !token.is_empty());
    match (given, &shared.token_file) {
        (Some(_), Some(_)) => Err(Failure::Usage("two credentials are given, as a text and as a file; give one".to_owned())),
        (Some(token), None) => Ok(Some(token.clone())),
        (None, Some(file)) => client::token_of(file).map(Some),
        (None, None) => Ok(None),
    }
}

fn completion(shell: clap_complete::Shell, out: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "elevon", &mut script);
    out.raw(&script)?;
    Ok(Done::Yes)
}
