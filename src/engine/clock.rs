//! The clocks that the engine can run on, and what they are held against: the latest instant ever seen, and the machine's own running time.
//!
//! A clock that goes back would revive what ended, and one that jumps ahead ends what was meant to last, and would take the mark of the latest
//! instant with it for good. So neither is believed: what is bound to time does not count meanwhile, and nothing is decided. One that went
//! back is believed again once it has caught up; one that jumped ahead, once it is set right, or somebody on the machine says that it is right.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use crate::domain::Timestamp;
use crate::domain::standing::Moment;

use super::bounds::{MAX_LEAD, SLEW_PPM};
use super::ports::{Anchor, Clock};

/// The clock of the machine.
///
/// Its running time is counted with the clock that a process reads for next to nothing, which stands still while the machine sleeps. Where
/// it matters, the kernel is asked for what that left out.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
    /// For how long the machine had been running at `began`, in milliseconds, with all sleep since; nothing known, where the kernel does not tell.
    before: AtomicI64,
}

impl SystemClock {
    /// The clock of this machine.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self { began: Instant::now(), before: AtomicI64::new(0) };
        clock.count_sleep();
        clock
    }

    fn awake(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }

    fn running(&self) -> i64 {
        self.before.load(Ordering::Acquire).saturating_add(self.awake())
    }

    fn count_sleep(&self) {
        if let Some(uptime) = uptime() {
            // the kernel tells hundredths of a second, so that this may be a little less than was counted before
            self.before.fetch_max(uptime.saturating_sub(self.awake()), Ordering::AcqRel);
        }
    }

    fn machine_start(&self) -> Option<String> {
        uptime()?;
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }
}

/// For how long the machine has been running, sleep included, in milliseconds; nothing where the kernel does not tell.
fn uptime() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(hundredths.get(..2)?.parse::<i64>().ok()?.checked_mul(10)?)
}

/// What a clock and the machine's running time showed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) wall: Timestamp,
    running: i64,
}

impl Reading {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), running: clock.running() }
    }

    /// With all the sleep that the machine has had: without, a clock would seem to have jumped after some.
    pub(super) fn exact(clock: &dyn Clock) -> Self {
        clock.count_sleep();
        Self::of(clock)
    }

    /// By how much the one is ahead of the other.
    fn offset(self) -> i64 {
        self.wall.millis().saturating_sub(self.running)
    }
}

/// Says of each reading whether it is to be believed.
#[derive(Debug)]
pub(super) struct Judge {
    /// The latest instant that was ever believed. It never falls, and it is saved, so that setting the clock back revives nothing.
    mark: AtomicI64,
    /// By how much the clock may be ahead of the machine's running time, without the tolerance. Written by one thread.
    base: AtomicI64,
    /// Until when, in running time, `base` has followed.
    followed: AtomicI64,
    machine_start: Option<String>,
}

impl Judge {
    /// Goes on where an earlier process of the same start of the machine left off; else the clock is believed as it stands.
    pub(super) fn new(mark: Timestamp, clock: &dyn Clock, kept: Option<Anchor>) -> Self {
        let reading = Reading::exact(clock);
        let machine_start = clock.machine_start();
        let kept = kept.filter(|kept| machine_start.as_ref() == Some(&kept.machine_start) && kept.running <= reading.running);
        let (base, followed) = match kept {
            Some(kept) => (kept.wall.millis().saturating_sub(kept.running), kept.running),
            None => (reading.offset(), reading.running),
        };
        let judge =
            Self { mark: AtomicI64::new(mark.millis()), base: AtomicI64::new(base), followed: AtomicI64::new(followed), machine_start };
        judge.follow(reading);
        judge
    }

    /// The latest instant that was ever believed.
    pub(super) fn mark(&self) -> Timestamp {
        Timestamp::from_millis(self.mark.load(Ordering::Acquire))
    }

    /// What a later process has to know to judge the clock as this one does.
    pub(super) fn anchor(&self) -> Anchor {
        let running = self.followed.load(Ordering::Acquire);
        let wall = Timestamp::from_millis(self.base.load(Ordering::Acquire).saturating_add(running));
        Anchor { machine_start: self.machine_start.clone().unwrap_or_default(), running, wall }
    }

    /// Reads the clock and judges it, without any tolerance for one that goes back.
    ///
    /// The mark is read *before* the clock: of two readings in two threads, the later one may raise the mark before the earlier
    /// one looks at it, and would make an honest clock look as if it had gone back.
    pub(super) fn read(&self, clock: &dyn Clock) -> Moment {
        let mark = self.mark.load(Ordering::Acquire);
        let reading = Reading::of(clock);
        if self.leads(reading) && self.leads(Reading::exact(clock)) {
            return Moment { now: reading.wall, trusted: false };
        }
        let now = reading.wall;
        // most checks of one millisecond find it raised already, and leave the cache line alone
        if now.millis() > mark {
            self.mark.fetch_max(now.millis(), Ordering::AcqRel);
        }
        Moment { now, trusted: now.millis() >= mark }
    }

    /// Whether the clock has jumped ahead of the machine's running time.
    pub(super) fn leads(&self, reading: Reading) -> bool {
        self.lead(reading) > MAX_LEAD
    }

    /// By how many milliseconds the clock is ahead of where it should be.
    pub(super) fn lead(&self, reading: Reading) -> i64 {
        reading.offset().saturating_sub(self.base.load(Ordering::Acquire))
    }

    /// Follows a clock that is slewed, at most as fast as slewing goes. One that jumped is not followed, for however long it stays there.
    pub(super) fn follow(&self, reading: Reading) {
        let elapsed = reading.running.saturating_sub(self.followed.load(Ordering::Acquire)).max(0);
        let (lead, slewed) = (self.lead(reading), elapsed.saturating_mul(SLEW_PPM) / 1_000_000);
        if lead <= MAX_LEAD.saturating_add(slewed) {
            self.base.fetch_add(lead.clamp(0, slewed), Ordering::AcqRel);
        }
        self.followed.fetch_add(elapsed, Ordering::AcqRel);
    }

    /// Believes the clock as it stands.
    pub(super) fn accept(&self, reading: Reading) {
        self.base.store(reading.offset(), Ordering::Release);
        self.followed.store(reading.running, Ordering::Release);
    }
}

/// A clock that stands still until it is moved.
#[cfg(any(test, feature = "test-clock"))]
pub struct TestClock {
    now: AtomicI64,
    /// What the machine's running time began at, by this clock: it moves with it.
    machine_start: AtomicI64,
    name: String,
    hooks: std::sync::Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

#[cfg(any(test, feature = "test-clock"))]
impl TestClock {
    /// A clock that shows `now`, of a machine that started long ago.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        const LONG: i64 = 400 * 86_400_000;
        let name = format!("test {} {}", std::process::id(), now.millis());
        let machine_start = AtomicI64::new(now.millis().saturating_sub(LONG));
        Self { now: AtomicI64::new(now.millis()), machine_start, name, hooks: std::sync::Mutex::default() }
    }

    /// Moves it to an instant, earlier or later, as if so much time had passed. Timers that are due then run at once.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.millis(), Ordering::SeqCst);
        self.moved();
    }

    /// Moves it on, as if so much time had passed. What it shows then.
    pub fn advance(&self, by: crate::domain::Duration) -> Timestamp {
        let before = self.now.fetch_add(by.millis(), Ordering::SeqCst);
        self.moved();
        Timestamp::from_millis(before).plus(by)
    }

    /// Sets it ahead while no time passes: the machine has been running for as long as before. What it shows then.
    pub fn jump(&self, by: crate::domain::Duration) -> Timestamp {
        self.skew(by.millis());
        Clock::now(self)
    }

    /// Sets it ahead or back while no time passes.
    pub fn skew(&self, millis: i64) {
        self.machine_start.fetch_add(millis, Ordering::SeqCst);
        self.now.fetch_add(millis, Ordering::SeqCst);
        self.moved();
    }

    fn moved(&self) {
        let hooks = self.hooks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hooks.iter().for_each(|hook| hook());
    }
}

#[cfg(any(test, feature = "test-clock"))]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn running(&self) -> i64 {
        self.now.load(Ordering::SeqCst).saturating_sub(self.machine_start.load(Ordering::SeqCst))
    }

    fn machine_start(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn on_move(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.hooks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(hook);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_running_time_runs_and_has_a_name() {
        let clock = SystemClock::new();
        let (before, now) = (clock.running(), clock.now());
        std::thread::sleep(std::time::Duration::from_millis(20));
        clock.count_sleep();
        assert!(clock.running() > before && clock.now() > now);
        assert_eq!(clock.machine_start(), SystemClock::new().machine_start());
        // two processes count alike
        assert!((SystemClock::new().running() - clock.running()).abs() < 1000 || uptime().is_none());
    }

    fn reading(wall: i64, running: i64) -> Reading {
        Reading { wall: Timestamp::from_millis(wall), running }
    }

    fn judge(mark: i64) -> Judge {
        Judge { mark: AtomicI64::new(mark), base: AtomicI64::new(1_000_000), followed: AtomicI64::new(0), machine_start: None }
    }

    #[test]
    fn a_clock_may_lead_by_five_minutes_and_what_slewing_gives() {
        let judge = judge(0);
        let rows = [(0, false), (300_000, false), (300_001, true), (-500_000, false)];
        for (ahead, leads) in rows {
            assert_eq!(judge.leads(reading(1_000_000 + ahead, 0)), leads, "{ahead}");
        }
        // slewed for a day at the fastest, and looked at every now and then
        for hour in 1..=24 {
            let running = hour * 3_600_000;
            judge.follow(reading(1_000_000 + running + running / 2000, running));
        }
        assert_eq!(judge.lead(reading(1_000_000 + 86_400_000 + 43_200, 86_400_000)), 0);
        // faster than that, it is not followed all the way
        judge.follow(reading(1_000_000 + 86_400_000 + 243_200, 86_400_000 + 2000));
        assert!(judge.lead(reading(1_000_000 + 86_400_000 + 243_200, 86_400_000)) >= 199_998);
    }

    #[test]
    fn a_jump_is_not_believed_for_having_lasted() {
        let judge = judge(0);
        for hour in 1..=100 {
            let running = hour * 3_600_000;
            judge.follow(reading(1_000_000 + running + 360_000, running));
            assert!(judge.leads(reading(1_000_000 + running + 360_000, running)), "{hour}");
        }
        assert!(!judge.leads(reading(1_000_000 + 360_000_000, 360_000_000)), "set right, it is believed");
    }
}
