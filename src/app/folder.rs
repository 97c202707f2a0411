//! The policy folder: what is in it is proposed to the engine, when it changes and when somebody asks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinError;

use super::callers::Callers;
use super::{AppError, system};
use crate::domain::command::BundleSource;
use crate::domain::{Actor, Outcome, Revision};
use crate::engine::{Engine, Reply, SubmitError};
use crate::http::{PolicyFolder, ReloadError, Reloading, limits};
use crate::policy::{Bundle, BundleError, Watcher, digest_of};

/// How long the folder has to hold still before it is read again.
const SETTLE: Duration = Duration::from_millis(500);
/// How often a folder that moves on while it is read is read again.
const READS: usize = 20;

/// The policy folder and the engine that it proposes to. One bundle is read at a time.
pub(super) struct Folder {
    dir: PathBuf,
    engine: Arc<Engine>,
    reading: Semaphore,
}

impl Folder {
    pub(super) fn new(dir: PathBuf, engine: Arc<Engine>) -> Self {
        Self { dir, engine, reading: Semaphore::new(1) }
    }

    /// Reads the folder on a thread that may take long, and proposes what is in it.
    async fn propose(&self, source: BundleSource, actor: Actor) -> Result<Reply, ReloadError> {
        let loaded = self.load().await;
        self.take(loaded, source, actor).await
    }

    async fn load(&self) -> Result<Result<Bundle, BundleError>, JoinError> {
        let _turn = self.reading.acquire().await;
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || Bundle::load(&dir)).await
    }

    async fn take(
        &self,
        loaded: Result<Result<Bundle, BundleError>, JoinError>,
        source: BundleSource,
        actor: Actor,
    ) -> Result<Reply, ReloadError> {
        let loaded = loaded.map_err(|error| ReloadError::Submit(SubmitError::Unknown(format!("reading the folder broke off: {error}"))))?;
        let bundle = match loaded {
            Ok(bundle) => bundle,
            Err(error) => {
                tracing::error!(problem = %error.summary(), ?source, "the policy folder holds no valid bundle; the live one serves on");
                self.engine.set_bundle_error(Some(error.summary()));
                self.engine.observe().swap(false);
                return Err(error.into());
            }
        };
        for warning in bundle.warnings() {
            tracing::warn!(warning, "the bundle has a warning");
        }
        let revision = bundle.revision().clone();
        let reply = self.engine.propose(Arc::new(bundle), source, actor).await;
        match &reply {
            Ok(reply) => {
                tracing::info!(%revision, ?source, outcome = ?reply.outcome, "the policy folder was taken");
                if matches!(reply.outcome, Outcome::BundleActivated(_)) {
                    warn_of_shadowed(&self.engine).await;
                }
            }
            Err(error) => tracing::error!(%revision, ?source, %error, "the policy folder was not taken"),
        }
        Ok(reply?)
    }
}

/// Says in the log which stored entities the bundle that went live hides.
pub(super) async fn warn_of_shadowed(engine: &Arc<Engine>) {
    let engine = Arc::clone(engine);
    let looked = tokio::task::spawn_blocking(move || engine.shadowed(limits::MAX_SHADOWED_SHOWN)).await;
    match looked {
        Ok(Ok(shadowed)) if shadowed.count == 0 => {}
        Ok(Ok(shadowed)) => {
            let entities: Vec<String> = shadowed.entities.iter().map(ToString::to_string).collect();
            tracing::warn!(
                count = shadowed.count,
                ?entities,
                "the bundle hides entities that were stored; what the bundle says of them counts"
            );
        }
        Ok(Err(error)) => tracing::warn!(%error, "which stored entities the bundle hides could not be read"),
        Err(error) => tracing::error!(%error, "looking for hidden entities broke off"),
    }
}

impl Folder {
    async fn digest(&self) -> Option<Revision> {
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || digest_of(&dir).ok()).await.ok().flatten()
    }

    /// Proposes what the watcher saw settle, and nothing else: what is read has to be what was seen, or a checkout half written could
    /// pass for a bundle. Where the folder moves on meanwhile, it is read again.
    async fn follow(&self, changes: &mut watch::Receiver<Option<Revision>>) {
        for _ in 0..READS {
            let settled = changes.borrow_and_update().clone();
            let loaded = self.load().await;
            let read = match &loaded {
                Ok(Ok(bundle)) => Some(bundle.revision().clone()),
                Ok(Err(_)) | Err(_) => self.digest().await,
            };
            if settled.is_some() && read == settled {
                let _ = self.take(loaded, BundleSource::Watch, Actor::System).await;
                return;
            }
            tokio::time::sleep(SETTLE).await;
        }
        tracing::warn!("the policy folder does not come to rest; it is looked at again when it changes");
    }
}

impl PolicyFolder for Folder {
    fn reload(&self, actor: Actor) -> Reloading<'_> {
        Box::pin(self.propose(BundleSource::Reload, actor))
    }

    fn path(&self) -> &Path {
        &self.dir
    }
}

/// Proposes the folder whenever it has become something else, and on SIGHUP, which has the configuration read again, too. Both come from
/// outside any caller, so Elevon itself acts. The task holds the folder weakly: it ends with the server. `known` is the digest of what was
/// read at the start.
pub(super) fn watch(
    folder: &Arc<Folder>,
    callers: &Arc<Callers>,
    known: Option<Revision>,
    mut hangup: Signal,
) -> Result<Watcher, AppError> {
    let (changed, mut changes) = watch::channel(known);
    let watched: Weak<Folder> = Arc::downgrade(folder);
    let callers: Weak<Callers> = Arc::downgrade(callers);
    let announce = changed.clone();
    let watcher = Watcher::spawn(folder.dir.clone(), move |revision| drop(announce.send_replace(Some(revision))))
        .map_err(system("the policy folder cannot be watched"))?;
    tokio::spawn(async move {
        if let Some(missed) = missed(&watched, &changes).await {
            changed.send_replace(Some(missed));
        }
        drop(changed);
        loop {
            let source = tokio::select! {
                change = changes.changed() => match change {
                    Ok(()) => BundleSource::Watch,
                    Err(_) => return,
                },
                _ = hangup.recv() => BundleSource::Signal,
            };
            let Some(folder) = watched.upgrade() else { return };
            // What went wrong is in the log and in the engine's health.
            if source == BundleSource::Watch {
                folder.follow(&mut changes).await;
                continue;
            }
            if let Some(callers) = callers.upgrade() {
                callers.reload().await;
            }
            let _ = folder.propose(source, Actor::System).await;
        }
    });
    Ok(watcher)
}

/// What the folder became between the moment it was read and the moment its watcher began to look.
async fn missed(folder: &Weak<Folder>, seen: &watch::Receiver<Option<Revision>>) -> Option<Revision> {
    tokio::time::sleep(SETTLE).await;
    let one = folder.upgrade()?.digest().await?;
    if seen.borrow().as_ref() == Some(&one) {
        return None;
    }
    tokio::time::sleep(SETTLE).await;
    folder.upgrade()?.digest().await.filter(|other| *other == one)
}
