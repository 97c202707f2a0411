//! The only place where things are wired together: settings in, a running server out.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinError;

use crate::domain::command::BundleSource;
use crate::domain::{Actor, Outcome, Revision};
use crate::engine::ports::Clock;
use crate::engine::{Engine, EngineConfig, Observer, Parts, Reply, StartError, SubmitError, SystemClock};
use crate::http::{Bind, EdgeLimits, Listen, Metrics, Planes, PolicyFolder, ReloadError, Reloading, Server, limits};
use crate::identity::{Accepted, Accepts, Dev};
use crate::policy::{Bundle, BundleError, Watcher, digest_of};
use crate::store::{FolderDesk, Mode, OpenError, Opened, Store};
use crate::telemetry::{self, TelemetryError};

pub use crate::config::{BadConfig, ServeConfig};
pub use crate::telemetry::{LogConfig, LogFormat};

/// How long the folder has to hold still before it is read again.
const SETTLE: Duration = Duration::from_millis(500);
/// How often a folder that moves on while it is read is read again.
const READS: usize = 20;

/// Why a server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings do not go together.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// Logging could not begin.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder holds no valid bundle, and none was ever live here.
    #[error("there is nothing to decide with: `{}` holds no valid bundle, and none was live before\n\n{error}", folder.display())]
    NoBundle {
        /// The policy folder.
        folder: PathBuf,
        /// What is wrong with it.
        error: BundleError,
    },
    /// The engine did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {error}; give another address with `--listen`, or stop what listens there")]
    Listen {
        /// As it was given.
        listen: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The port could not be written.
    #[error("cannot write the port to `{}`: {error}", path.display())]
    PortFile {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The operating system denied something that serving takes: a thread, a signal, a watch.
    #[error("{what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why it was denied.
        error: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> AppError {
    move |error| AppError::System { what, error }
}

/// Serves until the process is told to stop (SIGINT or SIGTERM).
///
/// # Errors
/// It cannot start: see [`AppError`].
pub fn run(config: ServeConfig) -> Result<(), AppError> {
    config.check()?;
    telemetry::init(&config.log)?;
    let running = start(config)?;
    let told = running.runtime.block_on(until_told()).map_err(system("signals cannot be listened for"));
    running.stop();
    told
}

async fn until_told() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("told to stop by SIGINT"),
        _ = terminate.recv() => tracing::info!("told to stop by SIGTERM"),
    }
    Ok(())
}

/// A server that runs in this process, on threads of its own. It stops when it is dropped.
pub struct Running {
    runtime: Runtime,
    address: SocketAddr,
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    serving: Option<tokio::task::JoinHandle<()>>,
    stop: Arc<Notify>,
    watcher: Option<Watcher>,
    #[cfg(feature = "test-clock")]
    clock: Option<Arc<crate::engine::TestClock>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Its clock, where tests can move it.
    #[cfg(feature = "test-clock")]
    #[must_use]
    pub fn clock(&self) -> Option<&Arc<crate::engine::TestClock>> {
        self.clock.as_ref()
    }

    /// Takes no more connections, lets requests in flight finish, and closes the journal.
    pub fn stop(mut self) {
        self.shut();
    }

    fn shut(&mut self) {
        let Some(serving) = self.serving.take() else { return };
        drop(self.watcher.take());
        self.stop.notify_one();
        if let Err(error) = self.runtime.block_on(serving) {
            tracing::error!(%error, "serving broke off");
        }
        self.engine.stop();
        tracing::info!("stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Starts a server and returns at once.
///
/// # Errors
/// It cannot start: see [`AppError`].
pub fn start(config: ServeConfig) -> Result<Running, AppError> {
    config.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("elevon")
        .enable_all()
        .build()
        .map_err(system("threads cannot be started"))?;
    // Before anything is opened: where the address is taken, nothing is changed.
    let listener = std::net::TcpListener::bind(config.listen).map_err(|error| AppError::Listen { listen: config.listen, error })?;
    let address = listener.local_addr().map_err(|error| AppError::Listen { listen: config.listen, error })?;
    let metrics = Arc::new(Metrics::new());
    let clock = Clocks::of(&config);
    let known = digest_of(&config.policies).ok();
    let (engine, folder_error) = engine(&config, clock.shown(), Arc::clone(&metrics))?;
    if let Some(error) = folder_error {
        tracing::error!(problem = %error.summary(), "the policy folder holds no valid bundle; the last one that was live serves on");
        engine.set_bundle_error(Some(error.summary()));
    }
    let folder = Arc::new(Folder { dir: config.policies.clone(), engine: Arc::clone(&engine), reading: Semaphore::new(1) });
    let watcher = runtime.block_on(async { watch(&folder, known) })?;
    let server = Arc::new(Server {
        engine: Arc::clone(&engine),
        metrics: Arc::clone(&metrics),
        policies: folder,
        open_metrics: config.dev && config.listen.ip().is_loopback(),
        #[cfg(feature = "test-clock")]
        clock: clock.test.clone(),
        bundle_jobs: Semaphore::new(limits::MAX_BUNDLE_JOBS),
        subscribers: Arc::new(Semaphore::new(limits::MAX_SUBSCRIBERS)),
    });
    let accepts = Accepts::new(vec![Accepted::Dev(Dev)]).map_err(|bad| system("callers cannot be told")(io::Error::other(bad)))?;
    let listen = Listen {
        name: "dev".to_owned(),
        at: Bind::Tcp(listener),
        tls: None,
        accepts: Arc::new(ArcSwap::from_pointee(accepts)),
        planes: Planes::ALL,
        limits: EdgeLimits::dev(),
    };
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let serving = runtime.spawn(async move {
        if let Err(error) = crate::http::serve(vec![listen], server, async move { told.notified().await }).await {
            tracing::error!(%error, "serving broke off");
        }
    });
    runtime.block_on(warn_of_shadowed(&engine));
    announce(&config, address, &engine);
    let running = Running {
        runtime,
        address,
        engine,
        metrics,
        serving: Some(serving),
        stop,
        watcher: Some(watcher),
        #[cfg(feature = "test-clock")]
        clock: clock.test,
    };
    if let Some(path) = &config.port_file {
        write_port(path, address.port()).map_err(|error| AppError::PortFile { path: path.clone(), error })?;
    }
    Ok(running)
}

fn announce(config: &ServeConfig, address: SocketAddr, engine: &Engine) {
    if config.dev {
        tracing::warn!("DEVELOPMENT MODE: every caller is believed, whoever it says it is. Loopback only; never for real use");
    }
    if config.test_clock {
        tracing::warn!("the clock stands still until a test moves it");
    }
    let view = engine.view();
    tracing::info!(%address, revision = %view.bundle.revision(), seq = view.seq, policies = view.bundle.policy_count(), "elevon listens on http://{address}");
}

/// Written whole and then named, so that whoever waits for the file never reads half of it.
fn write_port(path: &Path, port: u16) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    std::fs::write(&unfinished, format!("{port}\n"))?;
    std::fs::rename(&unfinished, path)
}

/// The clock that the engine runs on.
struct Clocks {
    #[cfg(feature = "test-clock")]
    test: Option<Arc<crate::engine::TestClock>>,
}

impl Clocks {
    #[cfg(feature = "test-clock")]
    fn of(config: &ServeConfig) -> Self {
        Self { test: config.test_clock.then(|| Arc::new(crate::engine::TestClock::new(SystemClock::new().now()))) }
    }

    #[cfg(not(feature = "test-clock"))]
    fn of(_: &ServeConfig) -> Self {
        Self {}
    }

    fn shown(&self) -> Arc<dyn Clock> {
        #[cfg(feature = "test-clock")]
        if let Some(test) = &self.test {
            return Arc::clone(test) as Arc<dyn Clock>;
        }
        Arc::new(SystemClock::new())
    }
}

/// Opens the data folder, reads the policy folder and starts the engine. What is wrong with the policy folder, where the engine
/// started without it.
fn engine(config: &ServeConfig, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<(Arc<Engine>, Option<BundleError>), AppError> {
    let Opened { store, journal } = Store::open(&config.data, Mode::Dev)?;
    let (proposed, error) = match Bundle::load(&config.policies) {
        Ok(bundle) => (Some(bundle), None),
        Err(error) => (None, Some(error)),
    };
    let config_of_engine =
        EngineConfig { observer: metrics as Arc<dyn Observer>, timers: true, clock_desk: Some(Arc::new(FolderDesk::new(&config.data))) };
    let parts = Parts { journal: Box::new(journal), reader: store, clock, proposed, config: config_of_engine };
    match (Engine::start(parts), error) {
        (Ok(engine), error) => Ok((engine, error)),
        (Err(StartError::NoBundle), Some(error)) => Err(AppError::NoBundle { folder: config.policies.clone(), error }),
        (Err(error), _) => Err(error.into()),
    }
}

/// The policy folder and the engine that it proposes to. One bundle is read at a time.
struct Folder {
    dir: PathBuf,
    engine: Arc<Engine>,
    reading: Semaphore,
}

impl Folder {
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
async fn warn_of_shadowed(engine: &Arc<Engine>) {
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

/// Proposes the folder whenever it has become something else, and on SIGHUP. Both come from outside any caller, so Elevon itself acts.
/// The task holds the folder weakly: it ends with the server. `known` is the digest of what was read at the start.
fn watch(folder: &Arc<Folder>, known: Option<Revision>) -> Result<Watcher, AppError> {
    let (changed, mut changes) = watch::channel(known);
    let watched: Weak<Folder> = Arc::downgrade(folder);
    let mut hangup = signal(SignalKind::hangup()).map_err(system("SIGHUP cannot be listened for"))?;
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
            } else {
                let _ = folder.propose(source, Actor::System).await;
            }
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
