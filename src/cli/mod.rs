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
mod entities;
mod evidence;
mod export;
mod feed;
mod grants;
mod hints;
mod local;
mod notifications;
mod output;
mod pages;
mod people;
mod reply;
mod reviews;
mod roles;
mod route;
mod setup;
mod socket;
mod watch;
mod words;

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

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
    let arguments = Arguments::given();
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
    let client = || connect(shared);
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
        Command::Roles(asked) => roles::roles(&client()?, out, asked),
        Command::Entity(what) => entities::entities(&client()?, out, what),
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

/// The server where nothing else is said.
const HERE: &str = "http://127.0.0.1:8181";

/// The server that is meant and who asks it: by the arguments, else by the environment.
fn connect(shared: &Shared) -> Result<Client, Failure> {
    let url = shared.url.clone().or(variable("ELEVON_URL")?);
    let ca = shared.ca.clone().or_else(|| file_variable("ELEVON_CA"));
    Client::new(url.as_deref().unwrap_or(HERE), credential(shared)?.as_deref(), ca.as_deref())
}

/// A variable of the environment, where it holds something.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::Usage(format!("{name} is not UTF-8 text"))),
    }
}

/// A file that a variable of the environment names.
fn file_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The credential to send, as a text or from a file: by the arguments, else by the environment.
fn credential(shared: &Shared) -> Result<Option<String>, Failure> {
    let typed = (shared.token.clone().filter(|token| !token.is_empty()), shared.token_file.clone());
    let given = if typed == (None, None) { (variable("ELEVON_TOKEN")?, file_variable("ELEVON_TOKEN_FILE")) } else { typed };
    match given {
        (Some(_), Some(_)) => Err(Failure::Usage("two credentials are given, a token and a file with one; give one".to_owned())),
        (Some(token), None) => Ok(Some(token)),
        (None, Some(file)) => client::token_of(&file).map(Some),
        (None, None) => Ok(None),
    }
}

fn completion(shell: clap_complete::Shell, out: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::whole(), "elevon", &mut script);
    out.raw(&script)?;
    Ok(Done::Yes)
}
