//! Runs what the domain decides: one writer, checks beside it, timers, and the ports through which it reaches the outside.
//!
//! A check pins one [`View`] (one bundle, one moment of what is stored) and takes no lock. A command goes through one queue to
//! one writer, which decides a group of them, commits it once, publishes the next view, and only then answers.

pub mod answer;
pub mod bounds;
pub mod clock;
pub mod handle;
mod kept;
pub mod observe;
pub mod outbox;
pub mod ports;
pub mod view;

mod fresh;
mod group;
mod refusals;
mod right;
mod sentry;
mod shadowed;
mod shared;
mod start;
mod timer;
mod uses;
mod writer;

#[cfg(test)]
mod tests;

pub use answer::{BundleFailure, Checked, Elevated, Health, Preview, Reply, StartError, SubmitError};
pub use clock::SystemClock;
#[cfg(any(test, feature = "test-clock"))]
pub use clock::TestClock;
pub use handle::{Engine, EngineConfig, Parts};
pub use observe::{CheckOutcome, CommandResult, NoObserver, Observer};
pub use right::Right;
pub use shadowed::Shadowed;
pub use shared::Detected;
pub use view::{Pinned, View};
