//! Whom each listener believes, as the configuration says it now. What of it can change while the server runs is swapped whole: a request is
//! held against one configuration and never against parts of two.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::keys::KeyRing;
use super::notices::Desk;
use super::outbound::bounded;
use crate::config::{BadFile, ClientCertificate, Credentials, ListenerSettings, Settings, TlsSettings};
use crate::domain::CredentialKind;
use crate::http::{self, Fetching, Upkeep};
use crate::identity::{Accepted, Accepts, BadSettings, Certificates, Dev, Issuer, Oidc, Peers, Tokens};
use crate::notify::Opened;

/// Why credentials cannot be taken as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum BadCallers {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] BadFile),
    /// What the file says does not go together.
    #[error("{}: {}", .0.at, .0.why)]
    Settings(BadSettings),
    /// What the file names cannot be used.
    #[error("{0}")]
    Named(String),
}

impl From<BadSettings> for BadCallers {
    fn from(bad: BadSettings) -> Self {
        Self::Settings(bad)
    }
}

impl BadCallers {
    /// One line, for a log.
    fn summary(&self) -> String {
        match self {
            Self::File(bad) => bad.summary(),
            Self::Settings(_) | Self::Named(_) => self.to_string(),
        }
    }
}

/// Largest file with a certificate, a key or authorities, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

type Rings = BTreeMap<String, Arc<KeyRing>>;

/// Whom the listeners of a server believe.
pub(super) struct Callers {
    started: Started,
    doors: Vec<Door>,
    rings: ArcSwap<Rings>,
    /// Who is told of what happens.
    pub(super) desk: Arc<Desk>,
    stale: AtomicBool,
    reloading: Mutex<()>,
}

/// What of a listener can change while it is open.
pub(super) struct Door {
    pub(super) accepts: Arc<ArcSwap<Accepts>>,
    pub(super) tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
}

/// What a server was started with, and keeps until it is started again.
struct Started {
    file: Option<PathBuf>,
    settings: Settings,
}

/// What a configuration comes to.
struct Read {
    doors: Vec<(Accepts, Option<rustls::ServerConfig>)>,
    rings: Rings,
    told: Opened,
}

impl Callers {
    pub(super) fn new(settings: &Settings) -> Result<Self, BadCallers> {
        let desk = Arc::new(Desk::default());
        let read = take(&settings.listeners, settings, &Rings::new(), &desk)?;
        Ok(Self {
            desk,
            started: Started { file: settings.file.clone(), settings: settings.clone() },
            doors: read
                .doors
                .into_iter()
                .map(|(accepts, tls)| Door {
                    accepts: Arc::new(ArcSwap::from_pointee(accepts)),
                    tls: tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls))),
                })
                .collect(),
            rings: ArcSwap::from_pointee(read.rings),
            stale: AtomicBool::new(false),
            reloading: Mutex::new(()),
        })
    }

    /// What each listener goes by, in their order.
    pub(super) fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// Fetches every issuer's keys for the first time, and goes on to do so. A provider that does not answer does not keep the server from
    /// its start: its tokens are refused until it does.
    pub(super) async fn first_keys(&self) {
        let rings = self.rings.load_full();
        let begun: Vec<_> = rings.values().filter_map(KeyRing::keep).collect();
        for mut first in begun {
            // that one broke off is in the log
            let _ = first.wait_for(|done| *done).await;
        }
    }

    /// Reads the configuration again. One that is not in order changes nothing.
    pub(super) async fn reload(&self) {
        let Some(file) = self.started.file.clone() else { return };
        let _turn = self.reloading.lock().await;
        let (started, before, desk) = (self.started.settings.clone(), self.rings.load_full(), Arc::clone(&self.desk));
        let read = tokio::task::spawn_blocking(move || again(&file, &started, &before, &desk)).await;
        let read = match read {
            Ok(Ok(read)) => read,
            Ok(Err(bad)) => return self.not_taken(&bad.summary()),
            Err(error) => return self.not_taken(&format!("reading it broke off: {error}")),
        };
        let before = self.rings.load_full();
        for (issuer, ring) in &read.rings {
            if !before.get(issuer).is_some_and(|known| Arc::ptr_eq(known, ring)) {
                ring.keep();
            }
        }
        self.rings.store(Arc::new(read.rings));
        self.desk.take(read.told);
        for (door, (accepts, tls)) in self.doors.iter().zip(read.doors) {
            if let (Some(shown), Some(tls)) = (&door.tls, tls) {
                shown.store(Arc::new(tls));
            }
            door.accepts.store(Arc::new(accepts));
        }
        self.stale.store(false, Ordering::Relaxed);
        tracing::info!("the configuration was read again: tokens, issuers, keys, certificates, peers and destinations are as it says");
    }

    fn not_taken(&self, problem: &str) {
        self.stale.store(true, Ordering::Relaxed);
        tracing::error!(problem, "the configuration is not in order and was not taken; what was in force before serves on");
    }
}

fn again(file: &Path, started: &Settings, before: &Rings, desk: &Desk) -> Result<Read, BadCallers> {
    let settings = Settings::load(file)?;
    for what in needs_restart(started, &settings) {
        tracing::warn!(what, "the configuration has changed in a way that takes effect only when the server is started again");
    }
    // A listener that is gone from the file, or was moved, serves where it is until then; whom it believes is as the file says now.
    let listeners: Vec<ListenerSettings> = started
        .listeners
        .iter()
        .map(|served| {
            let now = settings.listeners.iter().find(|listener| listener.name == served.name);
            let now = now.unwrap_or(served);
            // whether it speaks TLS at all is a matter of the start
            let tls = served.tls.as_ref().map(|tls| now.tls.as_ref().unwrap_or(tls).clone());
            ListenerSettings { accept: now.accept.clone(), tls, ..served.clone() }
        })
        .collect();
    take(&listeners, &settings, before, desk)
}

/// What is different and cannot change while the server runs.
fn needs_restart(started: &Settings, now: &Settings) -> Vec<&'static str> {
    let fixed = |listener: &ListenerSettings| {
        (listener.name.clone(), listener.at.clone(), listener.check, listener.control, listener.tls.is_some(), listener.grpc_reflection)
    };
    let listeners = |settings: &Settings| settings.listeners.iter().map(fixed).collect::<Vec<_>>();
    let rows = [
        ("policies", started.policies != now.policies),
        ("data", started.data != now.data),
        ("log", started.log != now.log),
        ("listeners", listeners(started) != listeners(now)),
        ("metrics", started.open_metrics != now.open_metrics),
        ("limits", started.limits != now.limits),
    ];
    rows.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

fn take(listeners: &[ListenerSettings], settings: &Settings, before: &Rings, desk: &Desk) -> Result<Read, BadCallers> {
    let credentials = &settings.credentials;
    let mut rings = Rings::new();
    for config in &credentials.issuers {
        let known = before.get(&config.settings.issuer);
        let ring = match known.filter(|ring| ring.serves(config)) {
            Some(ring) => Arc::clone(ring),
            None => KeyRing::new(config).map_err(BadCallers::Named)?,
        };
        if let Some(known) = known.filter(|known| !Arc::ptr_eq(known, &ring)) {
            ring.take_over(known);
        }
        rings.insert(config.settings.issuer.clone(), ring);
    }
    let doors = listeners.iter().map(|listener| {
        let tls = listener.tls.as_ref().map(|files| tls(listener, files)).transpose()?;
        Ok::<_, BadCallers>((accepts(listener, credentials, &rings)?, tls))
    });
    let doors = doors.collect::<Result<_, _>>()?;
    Ok(Read { doors, rings, told: desk.read(settings).map_err(BadCallers::Named)? })
}

fn tls(listener: &ListenerSettings, files: &TlsSettings) -> Result<rustls::ServerConfig, BadCallers> {
    let bad = |why: &dyn std::fmt::Display| BadCallers::Named(format!("TLS of listener `{}`: {why}", listener.name));
    let read = |path: &Path| bounded(path, MAX_PEM_BYTES).map_err(|why| bad(&format_args!("`{}`: {why}", path.display())));
    let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
    let authorities = files.client_ca.as_deref().map(read).transpose()?;
    let required = files.client_certificate == ClientCertificate::Required;
    http::tls_config(&certificate, &key, authorities.as_deref(), required).map_err(|why| bad(&why))
}

fn accepts(listener: &ListenerSettings, credentials: &Credentials, rings: &Rings) -> Result<Accepts, BadCallers> {
    let mut kinds = Vec::new();
    for kind in &listener.accept {
        kinds.push(match kind {
            CredentialKind::Dev => Accepted::Dev(Dev),
            CredentialKind::Token => Accepted::Token(Tokens::new(credentials.tokens.clone())?),
            CredentialKind::Oidc => {
                let issuers = credentials.issuers.iter().filter_map(|config| {
                    let ring = rings.get(&config.settings.issuer)?;
                    Some(Issuer::new(config.settings.clone(), Arc::clone(ring) as _))
                });
                Accepted::Oidc(Oidc::new(issuers.collect::<Result<_, _>>()?)?)
            }
            CredentialKind::Mtls => {
                let settings = credentials.mtls.clone();
                let settings = settings
                    .ok_or_else(|| BadCallers::Named(format!("listener `{}` accepts `mtls`, and there is no `[mtls]`", listener.name)))?;
                Accepted::Mtls(Certificates::new(settings)?)
            }
            CredentialKind::Unix => Accepted::Unix(Peers::new(credentials.peers.clone())?),
        });
    }
    Ok(Accepts::new(kinds)?)
}

impl Upkeep for Callers {
    fn fetch_keys<'a>(&'a self, issuer: &'a str) -> Fetching<'a> {
        let ring = self.rings.load().get(issuer).cloned();
        Box::pin(async move {
            match ring {
                Some(ring) => ring.fetch_for_unknown().await,
                None => false,
            }
        })
    }

    fn degraded(&self) -> bool {
        self.stale.load(Ordering::Relaxed) || self.rings.load().values().any(|ring| ring.failing())
    }
}
