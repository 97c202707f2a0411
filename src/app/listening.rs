//! Binds the listeners, and hands them to the HTTP room.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::AppError;
use super::callers::Callers;
use super::folder::Folder;
use crate::config::{ListenerSettings, Place};
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::http::{Metrics, Server, limits};
use crate::identity::{Accepts, Authenticator, BadCredential, Identified, Presented};

/// Listeners that are bound, in the order of the settings.
pub(super) struct Bound {
    listeners: Vec<std::net::TcpListener>,
    address: SocketAddr,
}

impl Bound {
    /// Where the first of them on TCP listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds every listener, or none.
pub(super) fn bind(listeners: &[ListenerSettings]) -> Result<Bound, AppError> {
    let mut bound = Vec::new();
    for listener in listeners {
        let refused = |error: io::Error| AppError::Listen { listen: listener.at.clone(), error };
        match &listener.at {
            Place::Tcp(address) => {
                let socket = std::net::TcpListener::bind(address).map_err(refused)?;
                socket.set_nonblocking(true).map_err(refused)?;
                bound.push(socket);
            }
            Place::Unix { .. } => return Err(refused(io::Error::other("not served yet"))),
        }
    }
    let address = bound.first().map_or_else(|| Err(io::Error::other("no TCP")), std::net::TcpListener::local_addr);
    let address = address.map_err(|error| AppError::System { what: "an address cannot be told", error })?;
    Ok(Bound { listeners: bound, address })
}

/// What answering takes, whichever listener it is for.
pub(super) struct Answering {
    pub(super) engine: Arc<Engine>,
    pub(super) callers: Arc<Callers>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) policies: Arc<Folder>,
    pub(super) open_metrics: bool,
    pub(super) subscribers: Arc<Semaphore>,
    #[cfg(feature = "test-clock")]
    pub(super) clock: Option<Arc<crate::engine::TestClock>>,
}

/// What a listener accepts now.
struct Now(Arc<ArcSwap<Accepts>>);

impl Authenticator for Now {
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        self.0.load().identify(presented, now)
    }

    fn challenge(&self) -> &'static str {
        self.0.load().challenge()
    }

    fn loopback_only(&self) -> bool {
        self.0.load().loopback_only()
    }
}

/// Serves on every listener until it is told to stop.
pub(super) fn serve(runtime: &Runtime, bound: Bound, parts: Answering, stop: &Arc<Notify>) -> Result<JoinHandle<()>, AppError> {
    let _in = runtime.enter();
    let (tell, told) = tokio::sync::watch::channel(false);
    let mut serving = Vec::new();
    for (socket, accepts) in bound.listeners.into_iter().zip(parts.callers.listeners()) {
        let listener = TcpListener::from_std(socket).map_err(|error| AppError::System { what: "a listener cannot be used", error })?;
        let server = Arc::new(Server {
            engine: Arc::clone(&parts.engine),
            authenticator: Arc::new(Now(Arc::clone(accepts))),
            upkeep: Arc::clone(&parts.callers) as _,
            metrics: Arc::clone(&parts.metrics),
            policies: Arc::clone(&parts.policies) as _,
            open_metrics: parts.open_metrics,
            #[cfg(feature = "test-clock")]
            clock: parts.clock.clone(),
            bundle_jobs: Semaphore::new(limits::MAX_BUNDLE_JOBS),
            subscribers: Arc::clone(&parts.subscribers),
        });
        let mut told = told.clone();
        serving.push(tokio::spawn(async move {
            let shutdown = async move { drop(told.wait_for(|told| *told).await) };
            if let Err(error) = crate::http::serve(listener, server, shutdown).await {
                tracing::error!(%error, "serving broke off");
            }
        }));
    }
    let stop = Arc::clone(stop);
    Ok(runtime.spawn(async move {
        stop.notified().await;
        tell.send_replace(true);
        for one in serving {
            if let Err(error) = one.await {
                tracing::error!(%error, "serving broke off");
            }
        }
    }))
}
