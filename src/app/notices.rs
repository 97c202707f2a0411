//! Wires the journal to those who are told of it.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::links::Maker;
use super::outbound;
use crate::config::Settings;
use crate::domain::Unavailable;
use crate::engine::outbox::{DestinationStatus, Letter, LetterId};
use crate::engine::ports::{Listing, Page};
use crate::http::Notifications;
use crate::notify::{Office, Opened, Roots};

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

/// The office that a configuration's destinations are given to, once there is one; and what makes links in messages.
#[derive(Default)]
pub(super) struct Desk {
    office: OnceLock<Arc<Office>>,
    links: OnceLock<Arc<Maker>>,
}

impl Desk {
    /// From now on destinations are told by this office, and messages show the links that are made here.
    pub(super) fn open(&self, office: Arc<Office>, links: Maker) {
        let _ = self.office.set(office);
        let _ = self.links.set(Arc::new(links));
    }

    /// Reads what settings name of destinations.
    pub(super) fn read(&self, settings: &Settings) -> Result<Opened, String> {
        let roots: Roots = Arc::new(|ca| outbound::trust(ca).map_err(|bad| bad.to_string()));
        Opened::new(&settings.notify, self.links.get().and_then(|maker| maker.links(settings)), &roots)
    }

    /// Has these destinations told instead of those before.
    pub(super) fn take(&self, opened: Opened) {
        let Some(office) = self.office.get() else { return };
        if let Err(unavailable) = office.take(opened) {
            tracing::error!(%unavailable, "not every destination is told");
        }
    }
}
