//! Tells others of what happened: webhooks, chat, e-mail, and receivers of security events; fed by the journal.
//!
//! The journal is the queue. Each destination has a position in it that outlives the process, a worker of its own, and a list of what it would not take;
//! so each is told of everything at least once, in the journal's order, and one that hangs holds up nobody. What is told is made by pure functions of an
//! event and of the facts ([`message`]), and who hears of it likewise ([`hearing`]).
//!
//! Lost: telling at the commit, where a receiver that is down holds up the writer, or is forgotten.

pub mod digest;
pub mod guard;
pub mod hearing;
mod later;
pub mod links;
pub mod message;
pub mod office;
pub mod settings;
pub mod template;

mod addresses;
mod bell;
mod destination;
mod email;
mod post;
mod set;
mod sign;
mod slack;
mod smtp;
mod storm;
mod worker;

#[cfg(test)]
mod tests;

pub use email::is_mailbox;
pub use links::{Links, Verb};
pub use office::{Office, Opened, Sources};
pub use post::{Roots, Trust};
pub use settings::NotifySettings;
