//! Recovers what was live, and brings the first bundle to life.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc;

use crate::domain::command::BundleSource;
use crate::domain::{Actor, Command, Definitions, Envelope, Revision, Timestamp, Unavailable};
use crate::policy::Bundle;

use super::answer::{StartError, SubmitError};
use super::bounds::QUEUE;
use super::clock::Judge;
use super::group::{Answer, Live, Proposal};
use super::handle::{EngineConfig, Parts};
use super::ports::Reader;
use super::sentry::Sentry;
use super::shared::Shared;
use super::timer::Timer;
use super::view::View;
use super::writer::{Job, Message, Writer};

/// The revision under which the first bundle is decided on.
const NO_REVISION: &str = "none";

/// An engine's inside, running.
pub(super) struct Started {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: mpsc::Sender<Message>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

/// Starts the threads over what the journal says is live, or what was proposed.
///
/// # Errors
/// There is nothing to start with, or it cannot be read.
pub(super) fn start(parts: Parts) -> Result<Started, StartError> {
    let Parts { journal, reader, clock, proposed, config } = parts;
    let head = journal.head();
    let judge = Judge::new(reader.mark().max(head.at), &*clock, reader.anchor()?);
    // from here on a restart is no way to have a jump believed
    reader.save_mark(judge.mark(), &judge.anchor())?;
    let proposed = proposed.map(Arc::new);
    let (live, proposed, born) = match head.revision {
        Some(revision) => {
            let since = reader.live_since()?.unwrap_or(head.at);
            let live = Live::new(Arc::new(stored_bundle(&*reader, &revision)?), since);
            (live, proposed.filter(|proposed| *proposed.revision() != revision), true)
        }
        None => {
            let first = proposed.ok_or(StartError::NoBundle)?;
            (unborn(&first)?, Some(first), false)
        }
    };
    let view = View::load(&*reader, Arc::clone(&live.bundle), live.since)?;
    // who does not record what time has done does not look for alerts, and holds no records for whoever would
    let config = EngineConfig { alerts: config.timers && config.alerts, ..config };
    let (timers, alerts) = (config.timers, config.alerts);
    let shared = Arc::new(Shared::new(view, reader, clock, judge, config));
    let mut writer = Writer::new(journal, Arc::clone(&shared), live);
    if let Some(bundle) = proposed {
        let answer = propose(&mut writer, &shared, bundle)?;
        match answer {
            // a bundle that cannot go live leaves the one that is; the writer has noted why
            Err(SubmitError::Rejected { .. }) if born => {}
            Err(SubmitError::Rejected { rejection, .. }) => return Err(StartError::Refused(rejection)),
            Err(error @ (SubmitError::Busy | SubmitError::Poisoned(_) | SubmitError::Unknown(_))) => {
                return Err(StartError::NotCommitted(error.to_string()));
            }
            Ok(_) => {}
        }
    }
    run(writer, shared, timers, alerts)
}

fn stored_bundle(reader: &dyn Reader, revision: &Revision) -> Result<Bundle, StartError> {
    let archive = reader.bundle(revision)?.ok_or_else(|| StartError::BundleMissing { revision: revision.clone() })?;
    Bundle::from_archive(&archive).map_err(|error| StartError::BundleUnreadable { revision: revision.clone(), error })
}

/// What stands before the first bundle: its policies, to ask, and nothing that they define.
fn unborn(first: &Arc<Bundle>) -> Result<Live, StartError> {
    let nothing = Revision::new(NO_REVISION).map_err(|error| Unavailable(error.to_string()))?;
    Ok(Live { bundle: Arc::clone(first), definitions: Arc::new(Definitions::none(nothing)), since: Timestamp::default() })
}

fn propose(writer: &mut Writer, shared: &Shared, bundle: Arc<Bundle>) -> Result<Answer, StartError> {
    let command = Command::ActivateBundle { definitions: Arc::clone(bundle.definitions()), source: BundleSource::Start };
    let envelope = Envelope { id: shared.command_id()?, actor: Actor::System, idempotency: None, dry_run: false, command };
    let archive = bundle.to_archive();
    let (job, mut answer) = Job::new(envelope, Some(Proposal { bundle, archive }));
    // what the writer comes to is in the answer
    let _ = writer.do_now(job);
    answer.try_recv().map_err(|error| StartError::NotCommitted(error.to_string()))
}

fn run(writer: Writer, shared: Arc<Shared>, timers: bool, alerts: bool) -> Result<Started, StartError> {
    let (queue, messages) = mpsc::channel(QUEUE);
    let bell = Arc::downgrade(&shared);
    shared.clock.on_move(Box::new(move || {
        if let Some(shared) = bell.upgrade() {
            shared.ring();
        }
    }));
    let timer = Timer::new(Arc::clone(&shared), queue.clone(), timers);
    let warm = Arc::clone(&shared);
    let sentry = alerts.then(|| Sentry::new(Arc::clone(&shared), queue.clone()));
    let mut threads = vec![
        Builder::new().name("elevon-writer".to_owned()).spawn(move || writer.run(messages))?,
        Builder::new().name("elevon-timer".to_owned()).spawn(move || timer.run())?,
        Builder::new().name("elevon-warm".to_owned()).spawn(move || warm.reader.warm(&|| warm.stopping()))?,
    ];
    if let Some(sentry) = sentry {
        threads.push(Builder::new().name("elevon-sentry".to_owned()).spawn(move || sentry.run())?);
    }
    Ok(Started { shared, queue, threads })
}
