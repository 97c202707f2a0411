//! What is turned away: connections beyond their bound, and requests beyond theirs. Nothing waits in a queue that only grows.
//!
//! The planes are counted apart. However many commands and reports are asked for, a check finds its place; and as so few of the others run
//! at once, it finds the processor, too. Lost: one count for both, which hands the checks of a whole system to whoever opens a
//! dashboard.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::data;
use super::gateway::Hook;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The data plane: checks.
    Check,
    /// The control plane: commands, and reading who holds what.
    Control,
    /// Whether the server lives and is ready. Served by every listener and never turned away: an answer that does not come ends the process.
    Health,
}

impl Kind {
    /// What a path is for, whether anything is there or not.
    pub(super) fn of(path: &str) -> Self {
        if data::ENDPOINTS.iter().any(|(_, known, _)| *known == path) || Hook::of(path).is_some() {
            Self::Check
        } else if ["/healthz", "/readyz"].contains(&path) {
            Self::Health
        } else {
            Self::Control
        }
    }

    /// Its name, for metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Control => "control",
            Self::Health => "health",
        }
    }
}

/// Places for requests.
#[derive(Debug)]
pub(super) struct Places {
    checks: Arc<Semaphore>,
    control: Arc<Semaphore>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(checks: usize, control: usize) -> Self {
        let places = |most: usize| Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Self { checks: places(checks), control: places(control) }
    }

    /// A place for a check that is answered at once, or nothing where all are taken.
    pub(super) fn check(&self) -> Option<SemaphorePermit<'_>> {
        self.checks.try_acquire().ok()
    }

    /// A place for a request, or nothing where all are taken.
    pub(super) fn take(&self, kind: Kind) -> Option<Place> {
        let of = match kind {
            Kind::Check => &self.checks,
            Kind::Control => &self.control,
            Kind::Health => return Some(Place { _permit: None }),
        };
        Arc::clone(of).try_acquire_owned().ok().map(|permit| Place { _permit: Some(permit) })
    }
}

/// Who is at the other end, as far as connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    /// An IPv4 address, or one that came as IPv6.
    V4([u8; 4]),
    /// The first half of an IPv6 address: what one customer is given.
    V6([u8; 8]),
    /// A user of this machine.
    User(u32),
    /// Somebody whom the kernel does not tell.
    Unknown,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// How many connections each peer has. Holds no more peers than there are connections.
#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    open: Mutex<HashMap<Peer, usize>>,
}

/// A connection of a peer, which counts until this is dropped.
#[derive(Debug)]
pub(super) struct PeerPlace {
    peers: Arc<Peers>,
    peer: Peer,
}

impl Peers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), open: Mutex::new(HashMap::new()) })
    }

    /// Counts a connection, or says nothing where the peer has as many as it may.
    pub(super) fn take(self: &Arc<Self>, peer: Peer) -> Option<PeerPlace> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(PeerPlace { peers: Arc::clone(self), peer })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

/// Connections on which nothing was asked yet, oldest first. Where every place is taken, the oldest of them goes: who fills a server by opening
/// connections and saying nothing fills it with these, and whoever has something to ask has long asked it when its turn would come.
#[derive(Debug, Default)]
pub(super) struct Newcomers(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, Arc<Notify>>,
}

/// A connection on which nothing was asked yet. Once something was, or it is dropped, it has nothing to fear.
#[derive(Debug)]
pub(super) struct Newcomer {
    of: Arc<Newcomers>,
    number: u64,
    asked: AtomicBool,
    out: Arc<Notify>,
}

impl Newcomers {
    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(self: &Arc<Self>) -> Newcomer {
        let mut waiting = self.locked();
        let (number, out) = (waiting.next, Arc::new(Notify::new()));
        waiting.next += 1;
        waiting.connections.insert(number, Arc::clone(&out));
        Newcomer { of: Arc::clone(self), number, asked: AtomicBool::new(false), out }
    }

    /// Sends the oldest away; whether there is one.
    pub(super) fn send_away(&self) -> bool {
        let oldest = self.locked().connections.pop_first();
        if let Some((_, out)) = &oldest {
            out.notify_one();
        }
        oldest.is_some()
    }
}

impl Newcomer {
    /// Something was asked. Only the first time takes the lock.
    pub(super) fn asked(&self) {
        if !self.asked.load(Ordering::Relaxed) && !self.asked.swap(true, Ordering::Relaxed) {
            self.of.locked().connections.remove(&self.number);
        }
    }

    /// Completes when it is to go.
    pub(super) async fn is_sent_away(&self) {
        self.out.notified().await;
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.asked();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_of_one_kind() {
        let rows = [
            ("/access/v1/evaluation", Kind::Check),
            ("/v1/elevated", Kind::Check),
            ("/.well-known/authzen-configuration", Kind::Check),
            ("/gateway/nginx", Kind::Check),
            ("/envoy.service.auth.v3.Authorization/Check", Kind::Check),
            ("/healthz", Kind::Health),
            ("/readyz", Kind::Health),
            ("/metrics", Kind::Control),
            ("/v1/activations", Kind::Control),
            ("/access/v1/evaluation/", Kind::Control),
            ("/nothing", Kind::Control),
        ];
        for (path, kind) in rows {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn planes_are_counted_apart_and_health_is_not() {
        let places = Places::new(2, 1);
        let control = places.take(Kind::Control);
        assert!(control.is_some() && places.take(Kind::Control).is_none());
        let checks = [places.take(Kind::Check), places.take(Kind::Check)];
        assert!(checks.iter().all(Option::is_some) && places.take(Kind::Check).is_none());
        assert!(places.take(Kind::Health).is_some());
        drop(control);
        assert!(places.take(Kind::Control).is_some());
    }

    #[test]
    fn peers_are_counted_and_forgotten() {
        let peer = |text: &str| Peer::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(peer("[2001:db8:1:2::1]:1"), peer("[2001:db8:1:2:ffff::2]:9"));
        assert_ne!(peer("[2001:db8:1:2::1]:1"), peer("[2001:db8:1:3::1]:1"));
        assert_eq!(peer("[::ffff:10.0.0.1]:1"), peer("10.0.0.1:7"));
        let peers = Peers::new(2);
        let taken = [peers.take(peer("10.0.0.1:1")), peers.take(peer("10.0.0.1:2"))];
        assert!(taken.iter().all(Option::is_some) && peers.take(peer("10.0.0.1:3")).is_none());
        assert!(peers.take(Peer::User(7)).is_some() && peers.take(Peer::Unknown).is_some());
        drop(taken);
        assert!(peers.open.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_oldest_that_asked_nothing_goes_first() {
        let newcomers = Arc::new(Newcomers::default());
        let [asked, first, second] = [newcomers.add(), newcomers.add(), newcomers.add()];
        asked.asked();
        assert!(newcomers.send_away());
        first.is_sent_away().await;
        drop(second);
        assert!(!newcomers.send_away(), "nobody is left who asked nothing");
    }
}
