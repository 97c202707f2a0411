//! Listeners: where connections come from, how many there may be, and letting them go at the end.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::identity::{self, UnixPeer};

use super::conn;
use super::limits::{ACCEPT_PAUSE, BACKLOG, EdgeLimits, MAX_COUNTED_CALLERS, MIN_HEADER_BYTES, ROOM_TIMEOUT};
use super::rate::Rates;
use super::shed::{Kind, Newcomer, Newcomers, Peer, PeerPlace, Peers, Places};
use super::socket::Socket;
use super::{Server, control};

/// A listener: where it is, whom it takes, and what it serves.
#[derive(Debug)]
pub struct Listen {
    /// What it is called in the log.
    pub name: String,
    /// Where it is.
    pub at: Bind,
    /// What it shows itself with, where it speaks TLS. A new one counts from the next connection.
    pub tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    /// Whom it takes. What is new counts from the next request.
    pub accepts: Arc<ArcSwap<identity::Accepts>>,
    /// What it serves.
    pub planes: Planes,
    /// Whether it says what it serves over gRPC.
    pub grpc_reflection: bool,
    /// Its bounds.
    pub limits: EdgeLimits,
}

/// An address that is taken already.
#[derive(Debug)]
pub enum Bind {
    /// A TCP port.
    Tcp(std::net::TcpListener),
    /// A UNIX socket.
    Unix(std::os::unix::net::UnixListener),
}

/// What a listener serves. Health is served by each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// The data plane: checks.
    pub check: bool,
    /// The control plane: everything else.
    pub control: bool,
}

impl Planes {
    /// Both.
    pub const ALL: Self = Self { check: true, control: true };

    pub(super) fn serve(self, kind: Kind) -> bool {
        match kind {
            Kind::Check => self.check,
            Kind::Control => self.control,
            Kind::Health => true,
        }
    }
}

/// What the connections of a listener share.
pub(super) struct Gate {
    pub(super) name: String,
    pub(super) tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    pub(super) accepts: Arc<ArcSwap<identity::Accepts>>,
    pub(super) planes: Planes,
    pub(super) grpc_reflection: bool,
    pub(super) limits: EdgeLimits,
    pub(super) places: Places,
    rates: Rates,
    began: Instant,
    connections: Arc<Semaphore>,
    /// Of those, for connections that come while the ones that make room for them are on their way out.
    leaving: usize,
    peers: Arc<Peers>,
    newcomers: Arc<Newcomers>,
}

impl Gate {
    fn new(listen: Listen) -> (Arc<Self>, Bind) {
        let Listen { name, at, tls, accepts, planes, grpc_reflection, mut limits } = listen;
        limits.header_bytes = limits.header_bytes.max(MIN_HEADER_BYTES);
        limits.connections = limits.connections.clamp(1, u32::MAX as usize >> 4);
        let leaving = limits.connections / 8 + 8;
        let gate = Self {
            name,
            tls,
            accepts,
            planes,
            grpc_reflection,
            places: Places::new(limits.checks_in_flight, limits.control_in_flight),
            rates: Rates::new(limits.commands_per_second, limits.command_burst, MAX_COUNTED_CALLERS),
            began: Instant::now(),
            connections: Arc::new(Semaphore::new(limits.connections + leaving)),
            leaving,
            peers: Peers::new(limits.connections_per_peer),
            newcomers: Arc::default(),
            limits,
        };
        (Arc::new(gate), at)
    }

    /// Takes so many commands out of what a caller may give.
    pub(super) fn spend(&self, caller: &crate::domain::Uid, commands: u32) -> Result<(), std::time::Duration> {
        self.rates.take(caller, commands, self.began.elapsed())
    }
}

/// What a connection takes up until it ends.
pub(super) struct Taken {
    pub(super) newcomer: Arc<Newcomer>,
    _connection: OwnedSemaphorePermit,
    _peer: PeerPlace,
}

impl Gate {
    /// A place for a connection of a peer. Where all are taken, one on which nothing was asked yet makes room.
    ///
    /// # Errors
    /// There is none; the word for why.
    async fn admit(&self, peer: Peer) -> Result<Taken, &'static str> {
        let place = self.peers.take(peer).ok_or("peer")?;
        if self.connections.available_permits() <= self.leaving && !self.newcomers.send_away() {
            return Err("full");
        }
        let connection = match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(connection) => connection,
            Err(_) => {
                let leaves = tokio::time::timeout(ROOM_TIMEOUT, Arc::clone(&self.connections).acquire_owned());
                leaves.await.ok().and_then(Result::ok).ok_or("full")?
            }
        };
        Ok(Taken { newcomer: Arc::new(self.newcomers.add()), _connection: connection, _peer: place })
    }
}

/// Serves until `shutdown` completes; then takes no more connections, and lets requests in flight finish within a bounded time.
///
/// # Errors
/// A listener cannot be used at all.
pub async fn serve(listens: Vec<Listen>, server: Arc<Server>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let router = control::router(Arc::clone(&server));
    let mut accepting = Vec::new();
    let mut gates = Vec::new();
    for listen in listens {
        let (gate, at) = Gate::new(listen);
        let doors = Doors::new(at)?;
        gates.push(Arc::clone(&gate));
        accepting.push((gate, doors));
    }
    let accepting: Vec<_> = accepting
        .into_iter()
        .map(|(gate, doors)| tokio::spawn(accept(doors, gate, Arc::clone(&server), router.clone(), stopping.clone())))
        .collect();
    shutdown.await;
    let _ = stop.send(true);
    for task in accepting {
        if let Err(error) = task.await {
            tracing::error!(%error, "accepting connections broke off");
        }
    }
    if !drained(&gates).await {
        tracing::warn!("some requests did not finish in time and are cut off");
    }
    Ok(())
}

/// Waits for the connections of all listeners, each for as long as it may take; whether all of them ended.
async fn drained(gates: &[Arc<Gate>]) -> bool {
    let waiting: Vec<_> = gates
        .iter()
        .map(|gate| {
            let gate = Arc::clone(gate);
            tokio::spawn(async move {
                let all = u32::try_from(gate.limits.connections + gate.leaving).unwrap_or(u32::MAX);
                tokio::time::timeout(gate.limits.drain_timeout, gate.connections.acquire_many(all)).await.is_ok()
            })
        })
        .collect();
    let mut all = true;
    for one in waiting {
        all &= one.await.unwrap_or(false);
    }
    all
}

/// A listener that the runtime waits on.
enum Doors {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Doors {
    fn new(at: Bind) -> io::Result<Self> {
        match at {
            Bind::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                // The standard library lets few connections wait to be taken.
                socket2::SockRef::from(&listener).listen(BACKLOG)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Bind::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// The next connection, whom it is counted for, and who is at its other end, where the kernel tells.
    async fn next(&self) -> io::Result<(Socket, Peer, Option<UnixPeer>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), Peer::from(address), None))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let user = stream.peer_cred().ok().map(|user| UnixPeer { uid: user.uid(), gid: user.gid() });
                Ok((Socket::Unix(stream), user.map_or(Peer::Unknown, |user| Peer::User(user.uid)), user))
            }
        }
    }
}

/// Takes connections until the server is to stop. One that finds no place is closed at once: whoever opened it can go elsewhere, and those
/// that are served do not share what there is with it.
async fn accept(doors: Doors, gate: Arc<Gate>, server: Arc<Server>, router: Router, stopping: watch::Receiver<bool>) {
    let mut stop = stopping.clone();
    loop {
        let arrived = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            arrived = doors.next() => arrived,
        };
        let (socket, peer, user) = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                tracing::warn!(%error, listener = gate.name, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let taken = match gate.admit(peer).await {
            Ok(taken) => taken,
            Err(why) => {
                server.metrics.refused(why);
                continue;
            }
        };
        let (gate, server) = (Arc::clone(&gate), Arc::clone(&server));
        tokio::spawn(conn::connection(socket, user, gate, server, router.clone(), stopping.clone(), taken));
    }
}
