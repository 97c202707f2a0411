//! Wires the journal to those who are told of it.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::outbound;
use crate::config::Settings;
use crate::domain::text::Digest;
use crate::domain::{ActivationId, Duration, Uid, Unavailable};
use crate::engine::Engine;
use crate::engine::outbox::{DestinationStatus, Letter, LetterId};
use crate::engine::ports::{Listing, Page};
use crate::http::Notifications;
use crate::identity::{LINK_ID_BYTES, Link, LinkKey};
use crate::notify::{Links, Office, Opened, Roots, Verb};

/// The office, for those who answer questions about it.
pub(super) struct Notices(pub(super) Arc<Office>);

impl Notifications for Notices {
    fn destinations(&self) -> Result<Vec<DestinationStatus>, Unavailable> {
        self.0.destinations()
    }

    fn test(&self, destination: &str) -> Option<Result<(), String>> {
        self.0.test(destination)
    }

    fn letters(&self, destination: Option<&str>, page: &Page) -> Result<Listing<(LetterId, Letter)>, Unavailable> {
        self.0.letters(destination, page)
    }

    fn retry(&self, id: &LetterId) -> Result<Option<Letter>, Unavailable> {
        self.0.retry(id)
    }

    fn discard(&self, id: &LetterId) -> Result<bool, Unavailable> {
        self.0.discard(id)
    }

    fn public_keys(&self) -> Vec<Value> {
        self.0.public_keys()
    }
}

/// For how long a link in a message is good: while whoever it was sent to may get to it, and less than the time for which it is remembered that one
/// was used.
const LINK_TIME: Duration = Duration::from_hours(8);

/// Makes the links by which approvers answer from a message.
pub(super) struct ApprovalLinks {
    pub(super) key: Arc<LinkKey>,
    pub(super) engine: Arc<Engine>,
}

impl Links for ApprovalLinks {
    fn approval(&self, approver: &Uid, activation: &ActivationId, request_hash: &str, verb: Verb) -> Option<String> {
        let request_hash = Digest::parse(request_hash)?;
        // One and the same for all messages to an approver about a request as it reads, so that a vote uses all of them up.
        let fields = [approver.to_string(), activation.to_string(), request_hash.to_string()];
        let id = LinkKey::id(Digest::of_fields(fields.iter().map(String::as_bytes)).0.first_chunk::<LINK_ID_BYTES>()?);
        let expires_at = self.engine.moment().now.plus(LINK_TIME);
        let link = Link { id, approver: approver.clone(), activation: activation.clone(), request_hash, expires_at };
        let signed = self.key.sign(&link).ok()?;
        let preferred = match verb {
            Verb::Approve => "approve",
            Verb::Deny => "deny",
        };
        Some(format!("/approve#{signed}&{preferred}"))
    }
}

/// The office that a configuration's destinations are given to, once there is one; and what makes links in messages, where something does.
#[derive(Default)]
pub(super) struct Desk {
    office: OnceLock<Arc<Office>>,
    links: OnceLock<Arc<dyn Links>>,
}

impl Desk {
    /// From now on destinations are told by this office, and messages show the links that are made here, where something makes them.
    pub(super) fn open(&self, office: Arc<Office>, links: Option<Arc<dyn Links>>) {
        let _ = self.office.set(office);
        links.map(|links| self.links.set(links));
    }

    /// Reads what settings name of destinations.
    pub(super) fn read(&self, settings: &Settings) -> Result<Opened, String> {
        let roots: Roots = Arc::new(|ca| outbound::tls_config(ca).map_err(|bad| bad.to_string()));
        Opened::new(&settings.notify, self.links.get().cloned(), &roots)
    }

    /// Has these destinations told instead of those before.
    pub(super) fn take(&self, opened: Opened) {
        let Some(office) = self.office.get() else { return };
        if let Err(unavailable) = office.take(opened) {
            tracing::error!(%unavailable, "not every destination is told");
        }
    }
}
