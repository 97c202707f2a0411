//! The only place where things are wired together: settings in, a running server out.

mod callers;
mod first;
mod folder;
mod keys;
mod links;
mod listening;
mod notices;
mod outbound;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, Semaphore};

use crate::config::{Place, Settings};
use crate::engine::outbox::Outbox;
use crate::engine::ports::Clock;
use crate::engine::{Engine, EngineConfig, Observer, Parts, StartError, SystemClock};
use crate::http::{Metrics, Server, limits};
use crate::notify::{Office, Sources};
use crate::policy::{Bundle, BundleError, Watcher, digest_of};
use crate::store::{FolderDesk, Mode, OpenError, Opened, Store};
use crate::telemetry::{self, TelemetryError};

use callers::Callers;
use folder::Folder;
use notices::Notices;

pub use crate::config::{BadConfig, ServeConfig};
pub use crate::telemetry::{LogConfig, LogFormat};
pub use callers::BadCallers;
pub use first::{FirstError, Made, init};
pub use outbound::{BadRoots, tls_config};

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
    /// What the settings name for credentials cannot be used.
    #[error(transparent)]
    Callers(#[from] BadCallers),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {error}; give another address, or stop what listens there")]
    Listen {
        /// As it was given.
        listen: Place,
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

/// Serves until the process is told to stop (SIGINT or SIGTERM). Told a second time, it cuts off what is in flight.
///
/// # Errors
/// It cannot start: see [`AppError`].
pub fn run(settings: Settings) -> Result<(), AppError> {
    telemetry::init(&settings.log)?;
    let running = start_with(settings)?;
    let mut told = running.runtime.block_on(async { Told::new() }).map_err(system("signals cannot be listened for"))?;
    running.runtime.block_on(told.again());
    running.stop_unless(async {
        told.again().await;
        tracing::warn!("told to stop once more: requests in flight are cut off");
    });
    Ok(())
}

/// The signals that tell a server to stop. The second one is for whoever does not want to wait.
struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn again(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => tracing::info!("told to stop by SIGINT"),
            _ = self.terminate.recv() => tracing::info!("told to stop by SIGTERM"),
        }
    }
}

/// Looks at what settings name for credentials and TLS, as a start would.
///
/// # Errors
/// It cannot be used.
pub fn check(settings: &Settings) -> Result<(), AppError> {
    Callers::new(settings).map(drop).map_err(AppError::from)
}

/// A server that runs in this process, on threads of its own. It stops when it is dropped.
pub struct Running {
    runtime: Runtime,
    /// Threads of connections that have settled on asking checks.
    _checkers: Runtime,
    address: Option<SocketAddr>,
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    office: Arc<Office>,
    serving: Option<tokio::task::JoinHandle<()>>,
    stop: Arc<Notify>,
    watcher: Option<Watcher>,
    #[cfg(feature = "test-clock")]
    clock: Option<Arc<crate::engine::TestClock>>,
}

impl Running {
    /// Where it listens: the first of its listeners on TCP, or the loopback address without a port where there is none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
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
        self.shut(std::future::pending());
    }

    /// The same, but waits for requests in flight no longer than `hurry` takes.
    fn stop_unless(mut self, hurry: impl Future<Output = ()>) {
        self.shut(hurry);
    }

    fn shut(&mut self, hurry: impl Future<Output = ()>) {
        let Some(mut serving) = self.serving.take() else { return };
        drop(self.watcher.take());
        self.stop.notify_one();
        let ended = self.runtime.block_on(async {
            tokio::select! {
                ended = &mut serving => ended,
                () = hurry => {
                    serving.abort();
                    Ok(())
                }
            }
        });
        if let Err(error) = ended {
            tracing::error!(%error, "serving broke off");
        }
        self.office.stop();
        self.engine.stop();
        tracing::info!("stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut(std::future::pending());
    }
}

fn threads(name: &str, count: usize) -> Result<Runtime, AppError> {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build();
    threads.map_err(system("threads cannot be started"))
}

/// Starts a server and returns at once.
///
/// # Errors
/// It cannot start: see [`AppError`].
pub fn start(config: ServeConfig) -> Result<Running, AppError> {
    start_with(config.settings()?)
}

/// The same, of settings that were read from a file.
///
/// # Errors
/// It cannot start: see [`AppError`].
pub fn start_with(settings: Settings) -> Result<Running, AppError> {
    // What asks checks and nothing else waits apart from all that is new, slow or long (see `http::conn`), which never takes the last processor.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = threads("elevon", processors.saturating_sub(1).max(1))?;
    let checkers = threads("elevon-check", processors)?;
    // From here on a SIGHUP ends nothing, however long the start takes; one that comes before the server serves is heeded then.
    let hangup = runtime.block_on(async { signal(SignalKind::hangup()) }).map_err(system("SIGHUP cannot be listened for"))?;
    let callers = Arc::new(Callers::new(&settings)?);
    // Before anything is opened: where an address is taken, nothing is changed.
    let bound = listening::bind(&settings.listeners)?;
    let address = bound.address;
    let metrics = Arc::new(Metrics::new());
    let clock = Clocks::of(&settings);
    let known = digest_of(&settings.policies).ok();
    let (engine, outbox, folder_error) = engine(&settings, clock.shown(), Arc::clone(&metrics))?;
    if let Some(error) = folder_error {
        tracing::error!(problem = %error.summary(), "the policy folder holds no valid bundle; the last one that was live serves on");
        engine.set_bundle_error(Some(error.summary()));
    }
    let key = links::key(&settings.data).map_err(system("the key of links in messages cannot be used"))?;
    let key = Arc::new(key);
    let folder = Arc::new(Folder::new(settings.policies.clone(), Arc::clone(&engine)));
    let watcher = runtime.block_on(async { folder::watch(&folder, &callers, known, hangup) })?;
    runtime.block_on(callers.first_keys());
    let office = Office::new(Sources { engine: Arc::clone(&engine), outbox });
    callers.desk.open(Arc::clone(&office), links::Maker { key: Arc::clone(&key), engine: Arc::clone(&engine) });
    // read again, for what messages link to is known only now
    callers.desk.take(callers.desk.read(&settings).map_err(BadCallers::Named)?);
    runtime.spawn(Office::follow(Arc::downgrade(&office)));
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let listens = listening::listens(&settings.listeners, bound, &callers, &settings.limits);
    let server = Arc::new(Server {
        engine: Arc::clone(&engine),
        upkeep: callers,
        metrics: Arc::clone(&metrics),
        checkers: checkers.handle().clone(),
        links: key,
        policies: folder,
        notifications: Arc::new(Notices(Arc::clone(&office))),
        open_metrics: settings.open_metrics,
        #[cfg(feature = "test-clock")]
        clock: clock.test.clone(),
        bundle_jobs: Semaphore::new(limits::MAX_BUNDLE_JOBS),
        subscribers: Arc::new(Semaphore::new(limits::MAX_SUBSCRIBERS)),
    });
    let serving = runtime.spawn(async move {
        if let Err(error) = crate::http::serve(listens, server, async move { told.notified().await }).await {
            tracing::error!(%error, "serving broke off");
        }
    });
    runtime.block_on(folder::warn_of_shadowed(&engine));
    announce(&settings, address, &engine);
    let running = Running {
        runtime,
        _checkers: checkers,
        address,
        engine,
        metrics,
        office,
        serving: Some(serving),
        stop,
        watcher: Some(watcher),
        #[cfg(feature = "test-clock")]
        clock: clock.test,
    };
    if let Some(path) = &settings.port_file {
        write_port(path, running.address().port()).map_err(|error| AppError::PortFile { path: path.clone(), error })?;
    }
    Ok(running)
}

fn announce(settings: &Settings, address: Option<SocketAddr>, engine: &Engine) {
    if settings.dev {
        tracing::warn!("DEVELOPMENT MODE: every caller is believed, whoever it says it is. Loopback only; never for real use");
    }
    if settings.test_clock {
        tracing::warn!("the clock stands still until a test moves it");
    }
    for listener in &settings.listeners {
        let accept: Vec<&str> = listener.accept.iter().map(|kind| kind.as_str()).collect();
        let at = match (&listener.at, address) {
            (Place::Tcp(given), Some(address)) if given.port() == 0 => address.to_string(),
            (at, _) => at.to_string(),
        };
        tracing::info!(
            listener = listener.name,
            at,
            tls = listener.tls.is_some(),
            check = listener.check,
            control = listener.control,
            ?accept,
            "elevon listens"
        );
    }
    let view = engine.view();
    tracing::info!(revision = %view.bundle.revision(), seq = view.seq, policies = view.bundle.policy_count(), "elevon serves");
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
    fn of(config: &Settings) -> Self {
        Self { test: config.test_clock.then(|| Arc::new(crate::engine::TestClock::new(SystemClock::new().now()))) }
    }

    #[cfg(not(feature = "test-clock"))]
    fn of(_: &Settings) -> Self {
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

/// An engine, where positions of destinations are kept, and what is wrong with the policy folder.
type Started = (Arc<Engine>, Arc<dyn Outbox>, Option<BundleError>);

/// Opens the data folder, reads the policy folder and starts the engine. What is wrong with the policy folder, where the engine
/// started without it.
fn engine(settings: &Settings, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Started, AppError> {
    let Opened { store, journal } = Store::open(&settings.data, if settings.dev { Mode::Dev } else { Mode::Normal })?;
    let (proposed, error) = match Bundle::load(&settings.policies) {
        Ok(bundle) => (Some(bundle), None),
        Err(error) => (None, Some(error)),
    };
    let config_of_engine = EngineConfig {
        observer: metrics as Arc<dyn Observer>,
        timers: true,
        alerts: true,
        clock_desk: Some(Arc::new(FolderDesk::new(&settings.data))),
    };
    let outbox: Arc<dyn Outbox> = Arc::clone(&store) as _;
    let parts = Parts { journal: Box::new(journal), reader: store, clock, proposed, config: config_of_engine };
    match (Engine::start(parts), error) {
        (Ok(engine), error) => Ok((engine, outbox, error)),
        (Err(StartError::NoBundle), Some(error)) => Err(AppError::NoBundle { folder: settings.policies.clone(), error }),
        (Err(error), _) => Err(error.into()),
    }
}
