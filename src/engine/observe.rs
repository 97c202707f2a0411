//! Where the engine says how it is doing: what metrics are made of.

use std::time::Duration;

use crate::policy::Reason;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Allowed.
    Allow,
    /// Denied, and why.
    Deny(Reason),
    /// The facts could not be read.
    Error,
}

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// Something changed.
    Done,
    /// Nothing had to change, or it was only tried.
    Unchanged,
    /// It was asked before, with the same key.
    Repeated,
    /// Refused, by this rule.
    Refused(&'static str),
    /// The queue was full.
    Busy,
    /// The writer has stopped, or its commit failed.
    Failed,
}

impl CommandResult {
    /// The word for it in metrics; the rule is a word of its own.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Repeated => "repeated",
            Self::Refused(_) => "refused",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// Is told what the engine does. Called on the threads that do it, so it has to return at once.
pub trait Observer: Send + Sync {
    /// A check was answered.
    fn check(&self, outcome: CheckOutcome, took: Duration) {
        let _ = (outcome, took);
    }

    /// A command was answered; `command` is its name.
    fn command(&self, command: &'static str, result: CommandResult) {
        let _ = (command, result);
    }

    /// A group of commands was committed: how long the journal took for it, and how many records it had.
    fn commit(&self, took: Duration, records: usize) {
        let _ = (took, records);
    }

    /// A bundle was proposed; whether it is the live one now.
    fn swap(&self, ok: bool) {
        let _ = ok;
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
