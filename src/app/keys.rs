//! Issuers' keys: read from a file, or fetched from an address, at the start, every so often, and when a token names one that is not known.
//! The last good keys are kept for as long as no others are had.
//!
//! Anybody can send a token with a key that nobody knows. So of each issuer at most one fetch is under way, at most one in
//! [`UNKNOWN_EVERY`] is begun for that reason, and whoever caused it waits [`UNKNOWN_WAIT`] at most.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::outbound;
use crate::config::IssuerConfig;
use crate::identity::{Algorithm, KeySet, KeySource, Keys};

/// Largest set of keys that is read, in bytes.
const MAX_SET_BYTES: u64 = 256 << 10;
/// Longest time that fetching takes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often keys are fetched at most because a token named one that is not known.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);
/// How long a request waits for such a fetch.
const UNKNOWN_WAIT: Duration = Duration::from_secs(2);
/// How soon a fetch that failed is tried again, where the next one would be later.
const RETRY: Duration = Duration::from_secs(30);

/// One issuer's keys.
pub(super) struct KeyRing {
    issuer: String,
    source: KeySource,
    algorithms: Vec<Algorithm>,
    ca: Option<PathBuf>,
    refresh: Duration,
    keys: ArcSwap<KeySet>,
    failing: AtomicBool,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    /// The fetch that is under way: turns true when it is done.
    under_way: Option<watch::Receiver<bool>>,
    /// When one was last begun for a key that was not known.
    unknown: Option<Instant>,
}

impl Keys for KeyRing {
    fn current(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }
}

impl KeyRing {
    /// The ring of an issuer: with its keys, where they are in a file.
    pub(super) fn new(config: &IssuerConfig) -> Result<Arc<Self>, String> {
        let settings = &config.settings;
        if let Some(ca) = &config.ca {
            // read again for every fetch; but one that was never there is a mistake, and is told when it can be put right
            outbound::tls_config(Some(ca)).map_err(|bad| format!("`ca` of issuer `{}`: {bad}", settings.issuer))?;
        }
        let keys = match &settings.keys {
            KeySource::File(path) => {
                let read = outbound::bounded(Path::new(path), MAX_SET_BYTES).and_then(|bytes| parse(&bytes, &settings.algorithms));
                read.map_err(|why| format!("the keys of issuer `{}` in `{path}`: {why}", settings.issuer))?
            }
            KeySource::Url(_) => KeySet::none(),
        };
        Ok(Arc::new(Self {
            issuer: settings.issuer.clone(),
            source: settings.keys.clone(),
            algorithms: settings.algorithms.clone(),
            ca: config.ca.clone(),
            refresh: Duration::from_secs(config.refresh.secs()),
            keys: ArcSwap::from_pointee(keys),
            failing: AtomicBool::new(false),
            turn: Mutex::default(),
        }))
    }

    /// Whether its keys come from an address, and by these very settings: then what it has is as good as what a new ring would fetch.
    pub(super) fn serves(&self, config: &IssuerConfig) -> bool {
        let settings = &config.settings;
        matches!(self.source, KeySource::Url(_))
            && self.issuer == settings.issuer
            && self.source == settings.keys
            && self.algorithms == settings.algorithms
            && self.ca == config.ca
            && self.refresh == Duration::from_secs(config.refresh.secs())
    }

    /// Takes over the keys of the ring that it replaces, where they are from the same place: how often they are fetched may change while the
    /// issuer cannot be reached.
    pub(super) fn take_over(&self, before: &Self) {
        let same = self.source == before.source && self.algorithms == before.algorithms && self.ca == before.ca;
        if same && matches!(self.source, KeySource::Url(_)) {
            self.keys.store(before.keys.load_full());
        }
    }

    /// Whether its keys could not be had when they were last asked for.
    pub(super) fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Fetches its keys now and then every so often, for as long as somebody holds it. The first fetch can be waited for.
    pub(super) fn keep(self: &Arc<Self>) -> Option<watch::Receiver<bool>> {
        if matches!(self.source, KeySource::File(_)) {
            return None;
        }
        let first = self.begin();
        let ring: Weak<Self> = Arc::downgrade(self);
        let mut done = first.clone();
        tokio::spawn(async move {
            loop {
                // a fetch that breaks off is over, too
                let _ = done.wait_for(|done| *done).await;
                let Some(pause) = ring.upgrade().map(|ring| if ring.failing() { RETRY.min(ring.refresh) } else { ring.refresh }) else {
                    return;
                };
                tokio::time::sleep(pause).await;
                let Some(ring) = ring.upgrade() else { return };
                done = ring.begin();
            }
        });
        Some(first)
    }

    /// Fetches its keys because a token names one that is not known. Whether that was done in time.
    pub(super) async fn fetch_for_unknown(self: &Arc<Self>) -> bool {
        let Some(mut under_way) = self.join_or_begin() else { return false };
        matches!(tokio::time::timeout(UNKNOWN_WAIT, under_way.wait_for(|done| *done)).await, Ok(Ok(_)))
    }

    fn join_or_begin(self: &Arc<Self>) -> Option<watch::Receiver<bool>> {
        if matches!(self.source, KeySource::File(_)) {
            return None;
        }
        {
            let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(under_way) = &turn.under_way {
                return Some(under_way.clone());
            }
            if turn.unknown.is_some_and(|last| last.elapsed() < UNKNOWN_EVERY) {
                return None;
            }
            turn.unknown = Some(Instant::now());
        }
        tracing::info!(issuer = self.issuer, "a token names a key that is not known; the issuer's keys are fetched");
        Some(self.begin())
    }

    /// Begins a fetch, or joins the one that is under way.
    fn begin(self: &Arc<Self>) -> watch::Receiver<bool> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = &turn.under_way {
            return under_way.clone();
        }
        let (done, under_way) = watch::channel(false);
        turn.under_way = Some(under_way.clone());
        let ring = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            ring.fetch();
            ring.turn.lock().unwrap_or_else(PoisonError::into_inner).under_way = None;
            done.send_replace(true);
        });
        under_way
    }

    fn fetch(&self) {
        let KeySource::Url(url) = &self.source else { return };
        match get(url, self.ca.as_deref()).and_then(|bytes| parse(&bytes, &self.algorithms)) {
            Ok(keys) => {
                for skipped in keys.skipped() {
                    tracing::debug!(issuer = self.issuer, kid = skipped.kid, why = skipped.why, "a key of the issuer is not used");
                }
                if self.failing.swap(false, Ordering::Relaxed) || self.keys.load().is_empty() {
                    tracing::info!(issuer = self.issuer, keys = keys.len(), "the issuer's keys are here");
                }
                self.keys.store(Arc::new(keys));
            }
            Err(why) => {
                self.failing.store(true, Ordering::Relaxed);
                let kept = self.keys.load().len();
                tracing::warn!(issuer = self.issuer, url, why, kept, "the issuer's keys cannot be had; the last good ones are kept");
            }
        }
    }
}

fn parse(bytes: &[u8], algorithms: &[Algorithm]) -> Result<KeySet, String> {
    KeySet::parse(bytes, algorithms).map_err(|bad| bad.why)
}

/// What is at an address. No proxy is used, no redirect followed, and no answer but 200 taken.
fn get(url: &str, ca: Option<&Path>) -> Result<Vec<u8>, String> {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(FETCH_TIMEOUT))
        .user_agent(concat!("elevon/", env!("CARGO_PKG_VERSION")));
    if url.starts_with("https://") {
        config = config.https_only(true).tls_config(outbound::tls_config(ca).map_err(|bad| bad.to_string())?);
    }
    let agent: ureq::Agent = config.build().into();
    let mut reply =
        agent.get(url).header("accept", "application/jwk-set+json, application/json").call().map_err(|error| error.to_string())?;
    if reply.status() != 200 {
        return Err(format!("it answered {}", reply.status()));
    }
    reply.body_mut().with_config().limit(MAX_SET_BYTES).read_to_vec().map_err(|error| error.to_string())
}
