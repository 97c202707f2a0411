//! Every bound of the engine, in one place.

use std::time::Duration;

/// Commands that wait for the writer. One more is told that the engine is busy.
pub const QUEUE: usize = 1024;
/// Most commands that share one commit.
pub const BATCH: usize = 256;
/// A group takes no further command once its records are this large, in bytes.
pub const BATCH_BYTES: usize = 256 * 1024;
/// Largest record, in canonical bytes. A command that would need a larger one is refused.
pub const RECORD_BYTES: usize = 256 * 1024;
/// How often a group is decided again after a conflict before the writer gives up.
pub const CONFLICTS: usize = 8;
/// How long a read that met a row newer than its view waits for the newer view.
pub const STALE_WAIT: Duration = Duration::from_millis(50);
/// How long [`super::Engine::reached`] waits.
pub const MIN_SEQ_WAIT: Duration = Duration::from_secs(2);
/// How many (caller, rule) pairs are counted at a time. Refusals beyond them are journaled one by one.
pub const REFUSALS: usize = 4096;
/// Longest explanation of a refusal that the journal keeps, in bytes.
pub const DETAIL_BYTES: usize = 1024;
/// For how long refusals of one caller by one rule are counted instead of journaled.
pub const COALESCE: crate::domain::Duration = crate::domain::Duration::from_mins(1);
/// The pause of timers before they look again: what comes meanwhile is looked at together.
pub const TIMER_BREATH: Duration = Duration::from_millis(10);
/// Records that are held for detectors after they were committed. One more is read from the journal.
pub const FRESH_RECORDS: usize = 4096;
/// The same in bytes of the journal.
pub const FRESH_BYTES: usize = 8 << 20;
/// How many due timers are settled at a time.
pub const DUE: usize = 128;
/// How many steps of a review are asked for at a time: each is a record of its own, and they share a commit.
pub const STEPS: usize = 16;
/// Commands that timers have in the queue at a time: the rest of it is for those who call.
pub const ASKED: usize = QUEUE / 2;
/// Marks of use that wait to be written. One more is not noted.
pub const USES: usize = 4096;
/// Holdings of which it is remembered that their use was noted within the hour, at most.
pub const USE_SLOTS: usize = 16 * 1024;
/// How many records detectors look at in one go.
pub const SENTRY_RECORDS: usize = 500;
/// The pause after each look: what comes meanwhile is looked at together. Short, for what was committed a moment ago is at hand in the processor's
/// caches; a pause six times as long costs commands some 5 % more.
pub const SENTRY_BREATH: Duration = Duration::from_millis(8);
/// How often what detectors know is saved at most.
pub const DETECTION_SAVED_EVERY: Duration = Duration::from_secs(5);
/// And never sooner than so many times what the last saving took.
pub const DETECTION_SHARE: u32 = 200;
/// For how long an alert that cannot be recorded for a fault that may pass is tried again before others go first.
pub const SENTRY_PATIENCE: Duration = Duration::from_mins(1);
/// After which time what was left out like that is looked for among what is recorded, and said again.
pub const SENTRY_SAID_AGAIN: Duration = Duration::from_mins(10);
/// How many due timers that could not be recorded are passed over at a time.
pub const STUCK: usize = 4096;
/// After which time one of them is tried again.
pub const STUCK_RETRY: Duration = Duration::from_mins(1);
/// The longest that the timer thread sleeps.
pub const TIMER_SLEEP: Duration = Duration::from_secs(1);
/// How often the high-water mark of time is saved, where no commit did it.
pub const MARK_EVERY: Duration = Duration::from_secs(5);
/// How far the clock may be ahead of the machine's running time before it is said to have jumped, in milliseconds.
pub const MAX_LEAD: i64 = 5 * 60 * 1000;
/// The fastest that a clock is slewed, in millionths.
pub const SLEW_PPM: i64 = 500;
/// For how long, by the clock, somebody's word stands that it is to be believed.
pub const CLOCK_WORD: crate::domain::Duration = crate::domain::Duration::from_hours(1);
/// How many rows one read remembers. Beyond them it reads again, which gives the same.
pub const MEMO: usize = 32;
/// Parts of the in-memory graph, each copied when something in it changes.
pub const SHARDS: usize = 256;
/// Names, and lists of edges, of which a view keeps what stands above them, at most.
pub const KEPT: usize = 16 * 1024;
/// Parts that they are kept in.
pub const KEPT_SHARDS: usize = 64;
/// From how many edges on what stands above a name is kept by its name; below that, by its edges.
pub const KEPT_FROM: usize = 4;
/// How long stopping waits for room in the queue.
pub const STOP_WAIT: Duration = Duration::from_secs(10);
