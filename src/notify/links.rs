//! Where a message leads to.

use super::message::Message;
use crate::domain::{ActivationId, Uid};

/// What somebody is asked to do about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Vote for it.
    Approve,
    /// Vote against it.
    Deny,
}

/// Makes links by which an approver can answer from a message. Whoever wires the server may have some to give.
pub trait Links: Send + Sync {
    /// The address at which an approver answers a request as it stood when the message was made; nothing where there is none.
    fn approval(&self, approver: &Uid, activation: &ActivationId, request_hash: &str, verb: Verb) -> Option<String>;
}

/// The addresses that a message shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shown {
    /// Where it is approved.
    pub(super) approve: Option<String>,
    /// Where it is denied.
    pub(super) deny: Option<String>,
    /// Where it is read.
    pub(super) open: Option<String>,
}

impl Shown {
    /// The addresses for a message, for whom it is told, where that is one person. Without links that are made for somebody, what it is about is
    /// looked at where `public_url` says.
    pub(super) fn of(message: &Message, person: Option<&Uid>, links: Option<&dyn Links>, public_url: Option<&str>) -> Self {
        let mut shown = Self::default();
        if let (Some(asks), Some(person), Some(links)) = (&message.asks, person, links) {
            let link = |verb| links.approval(person, &asks.activation, &asks.request_hash, verb);
            (shown.approve, shown.deny) = (link(Verb::Approve), link(Verb::Deny));
        }
        if shown.approve.is_none() && shown.deny.is_none() {
            let id = |what: &str| message.data.get(what)?.get("id")?.as_str();
            let path = match (id("activation"), id("review")) {
                (Some(id), _) => Some(format!("/v1/activations/{id}")),
                (None, Some(id)) => Some(format!("/v1/reviews/{id}")),
                (None, None) => None,
            };
            shown.open = public_url.zip(path).map(|(url, path)| format!("{url}{path}"));
        }
        shown
    }

    /// The addresses as lines.
    pub(super) fn lines(&self) -> String {
        let line = |label: &str, url: &Option<String>| url.as_ref().map(|url| format!("{label}: {url}"));
        let lines = [line("approve", &self.approve), line("deny", &self.deny), line("open", &self.open)];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
