//! All destinations of a configuration, each with its worker; what can be asked of them, and another configuration in their place.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bell::Bell;
use super::destination::{Destination, Shared};
use super::digest::{DigestSettings, Digests};
use super::later::Later;
use super::links::Links;
use super::post::Roots;
use super::settings::NotifySettings;
use super::storm::Storm;
use super::worker::{Fares, Shown, Worker, locked};
use crate::domain::notice::Hearer;
use crate::domain::{Definitions, Unavailable};
use crate::engine::Engine;
use crate::engine::outbox::{DestinationCounts, DestinationState, DestinationStatus, Letter, LetterId, Outbox, Position};
use crate::engine::ports::{Listing, MAX_PAGE, Page};

/// How long stopping waits for workers. One that is about to send something may take longer, and is left to it.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// Most names of destinations that a warning lists.
const MAX_NAMED: usize = 20;

/// What destinations are told from, and where their positions are kept.
#[derive(Clone)]
pub struct Sources {
    /// Whose journal it is.
    pub engine: Arc<Engine>,
    /// Where positions and letters are kept.
    pub outbox: Arc<dyn Outbox>,
}

/// A configuration whose secrets were read.
pub struct Opened {
    destinations: Vec<Destination>,
    digest: Option<DigestSettings>,
}

impl Opened {
    /// Reads everything that settings name.
    ///
    /// # Errors
    /// Something of it cannot be used; which, and why.
    pub fn new(settings: &NotifySettings, links: Option<Arc<dyn Links>>, roots: &Roots) -> Result<Self, String> {
        let shared = Shared { templates: Arc::new(settings.templates.clone()), public_url: settings.public_url.clone(), links };
        let open = |destination: &super::settings::DestinationSettings| Destination::open(destination.clone(), shared.clone(), roots);
        let destinations: Vec<Destination> = settings.destinations.values().map(open).collect::<Result<_, _>>()?;
        one_key_for_each_name(&destinations)?;
        Ok(Self { destinations, digest: settings.digest.clone() })
    }
}

/// All keys are published in one set, in which a name has to lead to one key.
fn one_key_for_each_name(destinations: &[Destination]) -> Result<(), String> {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for destination in destinations {
        for key in destination.public_keys() {
            let kid = key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned();
            if known.insert(kid.clone(), key.clone()).is_some_and(|other| other != key) {
                let name = destination.name();
                return Err(format!(
                    "notify destination `{name}`: two keys have the `kid` `{kid}`, and receivers would take one for the other; give the new one another name"
                ));
            }
        }
    }
    Ok(())
}

/// A destination, and who tells it.
struct Desk {
    destination: Arc<Destination>,
    bell: Arc<Bell>,
    shown: Shown,
    testing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Tells destinations.
pub struct Office {
    sources: Sources,
    desks: Mutex<BTreeMap<String, Desk>>,
    digests: Arc<Digests>,
}

impl Office {
    /// With no destinations yet.
    #[must_use]
    pub fn new(sources: Sources) -> Arc<Self> {
        Arc::new(Self { sources, desks: Mutex::default(), digests: Arc::default() })
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Desk>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells these destinations from now on, and no others. One that is new begins at the end of the journal; one that was there goes on where it was,
    /// once what it is being told has been sent.
    ///
    /// # Errors
    /// What is stored cannot be read, or a thread cannot be started.
    pub fn take(&self, opened: Opened) -> Result<(), Unavailable> {
        let mut desks = self.locked();
        let mut before = std::mem::take(&mut *desks);
        before.values().for_each(|desk| desk.bell.stop());
        // those that are new begin at one place, whatever is recorded meanwhile
        let head = self.sources.engine.reader().head().seq;
        for destination in opened.destinations {
            let digest = opened.digest.clone().filter(|digest| digest.destinations.contains(destination.name()));
            let old = before.remove(destination.name());
            let desk = self.desk(destination, digest, old, head)?;
            desks.insert(desk.destination.name().to_owned(), desk);
        }
        drop(desks);
        self.warn_of_unknown(self.sources.engine.view().bundle.definitions());
        Ok(())
    }

    fn desk(&self, destination: Destination, digest: Option<DigestSettings>, old: Option<Desk>, head: u64) -> Result<Desk, Unavailable> {
        let Sources { engine, outbox } = self.sources.clone();
        let destination = Arc::new(destination);
        let name = destination.name().to_owned();
        let last = digest.as_ref().and_then(|digest| digest.last(engine.moment().now));
        if outbox.position(&name)?.is_none() {
            outbox.save_position(&name, &Position::after(head, last.unwrap_or_default()))?;
            tracing::info!(destination = name, after = head, "a new destination hears of what happens from now on");
        }
        let position = outbox.position(&name)?.unwrap_or_else(|| Position::after(0, last.unwrap_or_default()));
        // until whoever told it before has ended, it fares as it did
        let fared = match &old {
            Some(old) => Fares { position, ..locked(&old.shown).clone() },
            None => fares(position),
        };
        let (bell, shown): (_, Shown) = (Arc::new(Bell::default()), Arc::new(Mutex::new(fared)));
        let before = old.and_then(|mut old| old.thread.take());
        let digests = Arc::clone(&self.digests);
        let parts = (Arc::clone(&destination), Arc::clone(&bell), Arc::clone(&shown));
        let thread = std::thread::Builder::new().name(format!("notify-{name}")).spawn(move || {
            // whoever told it before may be in the middle of something, and has to note where it got to
            if let Some(before) = before {
                let _ = before.join();
            }
            let (destination, bell, shown) = parts;
            let position = match outbox.position(destination.name()) {
                Ok(position) => position.unwrap_or_else(|| locked(&shown).position.clone()),
                Err(unavailable) => {
                    tracing::error!(destination = destination.name(), %unavailable, "notifications stand still until the server is started again");
                    return;
                }
            };
            // one that got no digest before gets none of a time before that
            let no_digest_yet = position.digest == crate::domain::Timestamp::default();
            let position = Position { digest: last.filter(|_| no_digest_yet).unwrap_or(position.digest), ..position };
            let worker = Worker {
                engine,
                outbox,
                destination,
                digest,
                digests,
                bell,
                shown,
                position,
                waiting: VecDeque::new(),
                later: Later::default(),
                storm: Storm::default(),
                planned: None,
                moved: no_digest_yet,
            };
            worker.run();
        });
        let thread = thread.map_err(|error| Unavailable(format!("a thread cannot be started: {error}")))?;
        Ok(Desk { destination, bell, shown, testing: Arc::default(), thread: Some(thread) })
    }

    /// Wakes destinations whenever the journal grows, for as long as there is an office, and says which names a new bundle has that no destination has.
    pub async fn follow(office: std::sync::Weak<Self>) {
        let Some(mut feed) = office.upgrade().map(|office| office.sources.engine.feed()) else { return };
        let mut revision = None;
        while feed.changed().await.is_ok() {
            let Some(office) = office.upgrade() else { return };
            office.locked().values().for_each(|desk| desk.bell.grew());
            let view = office.sources.engine.view();
            if revision.replace(view.bundle.revision().clone()).is_some_and(|before| before != *view.bundle.revision()) {
                office.warn_of_unknown(view.bundle.definitions());
            }
        }
    }

    /// Says which destinations roles name that are not there. They are no reason to refuse a bundle: one bundle serves with many configurations.
    fn warn_of_unknown(&self, definitions: &Definitions) {
        let desks = self.locked();
        let named = definitions.roles.values().flat_map(|role| role.notify.values().flatten().map(|hearer| (&role.name, hearer)));
        let unknown: Vec<String> = named
            .filter_map(|(role, hearer)| match hearer {
                Hearer::Destination(name) if !desks.contains_key(name) => Some(format!("{role}: {name}")),
                Hearer::Destination(_) | Hearer::Approvers | Hearer::Requester | Hearer::Holder | Hearer::Entity(_) => None,
            })
            .take(MAX_NAMED)
            .collect();
        if !unknown.is_empty() {
            tracing::warn!(?unknown, "roles name destinations that the configuration does not have; nobody is told there");
        }
    }

    /// How each destination fares.
    ///
    /// # Errors
    /// What is stored cannot be read.
    pub fn destinations(&self) -> Result<Vec<DestinationStatus>, Unavailable> {
        let head = self.sources.engine.reader().head().seq;
        let seen: Vec<_> = self.locked().values().map(|desk| (Arc::clone(&desk.destination), locked(&desk.shown).clone())).collect();
        let status = |(destination, fares): (Arc<Destination>, Fares)| {
            let Position { after, attempts, failing_since, .. } = fares.position;
            Ok(DestinationStatus {
                name: destination.name().to_owned(),
                kind: destination.settings.kind.as_str(),
                state: fares.state,
                after,
                lag: head.saturating_sub(after),
                attempts,
                failing_since,
                next_attempt: fares.next_attempt,
                last_error: fares.last_error,
                last_delivered: fares.last_delivered,
                dead_letters: self.count_letters(destination.name())?,
                counts: fares.counts,
            })
        };
        seen.into_iter().map(status).collect()
    }

    fn count_letters(&self, destination: &str) -> Result<u64, Unavailable> {
        let (mut page, mut count) = (Page::first(MAX_PAGE), 0_u64);
        loop {
            let found = self.sources.outbox.letters(Some(destination), &page)?;
            count = count.saturating_add(found.items.len() as u64);
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(count),
            }
        }
    }

    /// What could not be delivered.
    ///
    /// # Errors
    /// It cannot be read, or the cursor is not one of this list's.
    pub fn letters(&self, destination: Option<&str>, page: &Page) -> Result<Listing<(LetterId, Letter)>, Unavailable> {
        self.sources.outbox.letters(destination, page)
    }

    /// Has a letter tried again, once. Nothing where there is none, or nobody who could; else as it stands now.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn retry(&self, id: &LetterId) -> Result<Option<Letter>, Unavailable> {
        let Some(bell) = self.locked().get(&id.destination).map(|desk| Arc::clone(&desk.bell)) else { return Ok(None) };
        let Some(letter) = self.sources.outbox.letter(id)? else { return Ok(None) };
        let letter = Letter { again: true, ..letter };
        if !self.sources.outbox.change_letter(id, Some(&letter))? {
            return Ok(None);
        }
        bell.again();
        Ok(Some(letter))
    }

    /// Takes a letter away. Whether there was one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn discard(&self, id: &LetterId) -> Result<bool, Unavailable> {
        self.sources.outbox.change_letter(id, None)
    }

    /// Sends something that says nothing but that the way is open, and waits for what comes of it. Nothing where there is no such destination.
    #[must_use]
    pub fn test(&self, name: &str) -> Option<Result<(), String>> {
        let (destination, testing) = self.locked().get(name).map(|desk| (Arc::clone(&desk.destination), Arc::clone(&desk.testing)))?;
        if testing.swap(true, Ordering::AcqRel) {
            return Some(Err("a test of it is under way".to_owned()));
        }
        let now = self.sources.engine.moment().now;
        let ready =
            destination.ready_test(now).ok_or_else(|| "it has no mailboxes of its own (`to`), and persons are not tested on".to_owned());
        let sent = ready.and_then(|ready| destination.send(&ready, now).map_err(|failure| failure.why));
        testing.store(false, Ordering::Release);
        Some(sent)
    }

    /// The keys by which Security Event Tokens are verified (RFC 7517).
    #[must_use]
    pub fn public_keys(&self) -> Vec<Value> {
        let mut keys: Vec<Value> = self.locked().values().flat_map(|desk| desk.destination.public_keys()).collect();
        keys.sort_by_key(Value::to_string);
        keys.dedup();
        keys
    }

    /// Stops telling. What is being sent just now is not waited for long.
    pub fn stop(&self) {
        let mut desks = std::mem::take(&mut *self.locked());
        desks.values().for_each(|desk| desk.bell.stop());
        let until = Instant::now() + STOP_WAIT;
        let mut threads: Vec<JoinHandle<()>> = desks.values_mut().filter_map(|desk| desk.thread.take()).collect();
        while Instant::now() < until && threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        threads.retain(|thread| !thread.is_finished());
        if !threads.is_empty() {
            tracing::warn!(left = threads.len(), "notifications that are being sent just now may be sent again");
        }
    }
}

fn fares(position: Position) -> Fares {
    let counts = DestinationCounts::default();
    Fares { state: DestinationState::Idle, position, next_attempt: None, last_error: None, last_delivered: None, counts }
}
