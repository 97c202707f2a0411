//! What happened in a week, and what is open: told by the calendar. It stands in the same line as everything else that a destination is told, after
//! all that happened before its time, and its id is the time itself, so that however often a server is started there is one for a week.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::message::{PAYLOAD_VERSION, mark};
use crate::domain::calendar::{Date, Every, Schedule, TimeOfDay, Zone};
use crate::domain::event::Event;
use crate::domain::notice::Notice;
use crate::domain::review::ReviewStatus;
use crate::domain::{Duration, Record, Timestamp, Unavailable};
use crate::engine::ports::{AuditFilter, Listing, MAX_PAGE, Page, Reader, ReviewFilter};

/// Requests and reviews that are named; of more there is a number.
const MAX_SHOWN: usize = 20;
/// Pages of a list that are counted at most; past them it is said that there are more.
const MAX_PAGES: usize = 100;
/// A week, in seconds.
const WEEK: u64 = 7 * 86_400;
/// The Monday from which weeks are counted.
const FIRST_MONDAY: u32 = 1;

/// The days of a week, in the order of the calendar.
pub const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// When a digest is made, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestSettings {
    /// When.
    pub schedule: Schedule,
    /// Which destinations get it.
    pub destinations: BTreeSet<String>,
}

impl DigestSettings {
    /// Each week on a day (from 0, Monday), at a time, by the clocks of a zone.
    #[must_use]
    pub fn weekly(day: u32, at: TimeOfDay, zone: Zone, destinations: BTreeSet<String>) -> Option<Self> {
        // the first of January 2024 was a Monday
        let first = Date::try_from(format!("2024-01-{:02}", FIRST_MONDAY + day.min(6))).ok()?;
        Some(Self { schedule: Schedule { every: Every::Weekly, first, at, zone }, destinations })
    }

    /// The last time that it was to be made, up to an instant.
    #[must_use]
    pub fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let (number, at) = self.from(now)?;
        if at == now { Some(at) } else { self.schedule.occurrence(number.checked_sub(1)?) }
    }

    /// The next time after an instant.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.from(Timestamp::from_millis(now.millis().saturating_add(1))).map(|(_, at)| at)
    }

    /// The first time that does not lie before an instant. Weeks are long alike but for what clocks are put forward or back, so that it is looked for
    /// right before it, and not from the first of all on.
    fn from(&self, instant: Timestamp) -> Option<(u32, Timestamp)> {
        let weeks = instant.since(self.schedule.occurrence(0)?).secs() / WEEK;
        let near = u32::try_from(weeks.saturating_sub(2)).ok()?;
        self.schedule.from(if self.schedule.every == Every::Weekly { near } else { 0 }, instant)
    }
}

/// How much of something is open, and the first of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Open {
    /// How much was counted.
    pub count: usize,
    /// Whether there is more.
    pub more: bool,
    /// The first of it, as it is shown.
    pub shown: Vec<Value>,
}

impl Open {
    /// Counts what is open in a list, page by page.
    fn count<T>(
        &mut self,
        read: impl Fn(&Page) -> Result<Listing<T>, Unavailable>,
        is_open: impl Fn(&T) -> bool,
        show: impl Fn(&T) -> Value,
    ) -> Result<(), Unavailable> {
        let mut page = Page::first(MAX_PAGE);
        for _ in 0..MAX_PAGES {
            let found = read(&page)?;
            for item in found.items.iter().filter(|item| is_open(item)) {
                self.count = self.count.saturating_add(1);
                if self.shown.len() < MAX_SHOWN {
                    self.shown.push(show(item));
                }
            }
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
        self.more = true;
        Ok(())
    }

    /// For programs, with what is shown under a name.
    fn payload(&self, name: &str) -> Value {
        let mut payload = json!({ "count": self.count, name: self.shown });
        if let (true, Some(members)) = (self.more, payload.as_object_mut()) {
            members.insert("more".to_owned(), true.into());
        }
        payload
    }

    fn written(&self) -> String {
        if self.more { format!("{} or more", self.count) } else { self.count.to_string() }
    }
}

/// What a digest says.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Whose it is: a part of the hash of the journal's first record, so that those of two Elevons have two ids.
    pub mark: String,
    /// From when.
    pub since: Timestamp,
    /// Up to, and not including, when.
    pub until: Timestamp,
    /// How much happened of each kind.
    pub happened: BTreeMap<Notice, u64>,
    /// Roles that were held most often, with how often.
    pub roles: Vec<(String, u64)>,
    /// Requests that wait for votes: how many, and the oldest.
    pub pending: Open,
    /// Reviews that are asked or wait to be carried out: how many, and the newest.
    pub reviews: Open,
}

impl Digest {
    /// Its id: the same each time that it is made.
    #[must_use]
    pub fn id(&self) -> String {
        format!("digest_{}_{}", self.until.millis(), self.mark)
    }

    /// Reads the journal of the week before `until`, and what is open.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(reader: &dyn Reader, until: Timestamp, now: Timestamp) -> Result<Self, Unavailable> {
        let since = Timestamp::from_millis(until.millis().saturating_sub(Duration::from_days(7).millis()));
        let (mut happened, mut roles) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
        let filter = AuditFilter { from: Some(since), to: Some(until), ..AuditFilter::default() };
        let mut page = Page::first(MAX_PAGE);
        loop {
            let found = reader.journal(&filter, &page)?;
            for sealed in &found.items {
                let Ok(record) = serde_json::from_slice::<Record>(&sealed.bytes) else {
                    tracing::error!(seq = sealed.seq, "this record of the journal cannot be read, and is in no digest");
                    continue;
                };
                for event in &record.events {
                    let notice = Notice::of(event);
                    if notice != Notice::Upkeep {
                        *happened.entry(notice).or_default() += 1;
                    }
                    if let Event::ActivationStarted { id, .. } = event
                        && let Some(activation) = reader.activation(id)?
                    {
                        *roles.entry(activation.role.to_string()).or_default() += 1;
                    }
                }
            }
            match found.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let mut roles: Vec<_> = roles.into_iter().collect();
        roles.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        roles.truncate(MAX_SHOWN);
        let mut pending = Open::default();
        pending.count(
            |page| reader.pending(page),
            |request| request.status(now).as_str() == "pending",
            |request| {
                json!({ "id": request.id, "role": request.role, "principal": request.principal, "requested_at": request.requested_at })
            },
        )?;
        let mut reviews = Open::default();
        for status in [ReviewStatus::InProgress, ReviewStatus::Completed] {
            reviews.count(
                |page| reader.reviews(&ReviewFilter { definition: None, status: Some(status) }, page),
                |_| true,
                |review| json!({ "id": review.id, "name": review.plan.name, "status": review.status().as_str(), "open": review.tally.open }),
            )?;
        }
        let first = reader.journal(&AuditFilter::default(), &Page::first(1))?;
        let mark = first.items.first().map(|sealed| mark(&sealed.hash)).unwrap_or_default();
        Ok(Self { mark, since, until, happened, roles, pending, reviews })
    }

    /// What programs are sent.
    #[must_use]
    pub fn payload(&self) -> Value {
        let happened: serde_json::Map<String, Value> =
            self.happened.iter().map(|(notice, count)| (notice.as_str().to_owned(), (*count).into())).collect();
        let roles: Vec<Value> = self.roles.iter().map(|(role, count)| json!({ "role": role, "activations": count })).collect();
        json!({
            "version": PAYLOAD_VERSION,
            "type": "digest",
            "timestamp": self.until,
            "data": {
                "id": self.id(),
                "since": self.since,
                "until": self.until,
                "happened": happened,
                "roles": roles,
                "pending": self.pending.payload("requests"),
                "reviews": self.reviews.payload("open"),
            },
        })
    }

    /// Its subject, and its text.
    #[must_use]
    pub fn written(&self) -> (String, String) {
        let subject = format!("Elevon: the week up to {}", self.until);
        let mut lines = vec![format!("From {} up to {}.", self.since, self.until), String::new(), "What happened:".to_owned()];
        lines.extend(self.happened.iter().map(|(notice, count)| format!("  {}: {count}", notice.as_str().replace('_', " "))));
        if self.happened.is_empty() {
            lines.push("  nothing".to_owned());
        }
        if !self.roles.is_empty() {
            lines.extend([String::new(), "Roles that were activated:".to_owned()]);
            lines.extend(self.roles.iter().map(|(role, count)| format!("  {}: {count}", super::guard::one_line(role))));
        }
        let at = |value: &Value, place: &str| match value.pointer(place) {
            Some(Value::String(text)) => super::guard::one_line(text),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        lines.extend([String::new(), format!("Requests that wait for votes: {}", self.pending.written())]);
        let request = |one: &Value| format!("  {}: {} for {}", at(one, "/id"), at(one, "/role"), at(one, "/principal/id"));
        lines.extend(self.pending.shown.iter().map(request));
        lines.push(format!("Reviews that are open: {}", self.reviews.written()));
        let review = |one: &Value| {
            format!("  {}: {}, {}, {} items without an answer", at(one, "/id"), at(one, "/name"), at(one, "/status"), at(one, "/open"))
        };
        lines.extend(self.reviews.shown.iter().map(review));
        (subject, lines.join("\n"))
    }
}

/// The newest digest that was made: read once, for all destinations and however often each of them is tried.
#[derive(Default)]
pub(super) struct Digests {
    newest: Mutex<Option<Arc<Digest>>>,
}

impl Digests {
    /// The digest of the week before `until`, which is made where it is not the newest one.
    pub(super) fn of(&self, until: Timestamp, make: impl FnOnce() -> Result<Digest, Unavailable>) -> Result<Arc<Digest>, Unavailable> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = newest.as_ref().filter(|known| known.until == until) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(make()?);
        if newest.as_ref().is_none_or(|known| known.until < until) {
            *newest = Some(Arc::clone(&made));
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_week_ends_by_the_clocks_of_its_zone() {
        let monday =
            |zone| DigestSettings::weekly(0, TimeOfDay::try_from("08:00".to_owned()).unwrap(), Zone::new(zone), BTreeSet::new()).unwrap();
        let rows = [
            ("UTC", "2030-01-28T08:00:00Z", "2030-01-28T08:00:00Z", "2030-02-04T08:00:00Z"),
            ("UTC", "2030-01-28T07:59:59Z", "2030-01-21T08:00:00Z", "2030-01-28T08:00:00Z"),
            ("Europe/Berlin", "2030-01-28T07:00:00Z", "2030-01-28T07:00:00Z", "2030-02-04T07:00:00Z"),
            // clocks are put forward on 31 March 2030
            ("Europe/Berlin", "2030-03-30T00:00:00Z", "2030-03-25T07:00:00Z", "2030-04-01T06:00:00Z"),
        ];
        for (zone, now, last, next) in rows {
            let settings = monday(zone);
            assert_eq!((settings.last(at(now)), settings.next(at(now))), (Some(at(last)), Some(at(next))), "{zone} {now}");
        }
        let sunday = DigestSettings::weekly(6, TimeOfDay::MIDNIGHT, Zone::utc(), BTreeSet::new()).unwrap();
        assert_eq!(sunday.next(at("2030-01-28T00:00:00Z")), Some(at("2030-02-03T00:00:00Z")));
        let unknown = DigestSettings::weekly(6, TimeOfDay::MIDNIGHT, Zone::new("Mars/North"), BTreeSet::new()).unwrap();
        assert_eq!(unknown.next(at("2030-01-28T00:00:00Z")), None);
    }

    #[test]
    fn the_last_time_is_the_one_that_counting_from_the_first_finds() {
        for (zone, day) in [("UTC", 0), ("Europe/Berlin", 6), ("Pacific/Apia", 4), ("America/Sao_Paulo", 6)] {
            let at = TimeOfDay::try_from("00:30".to_owned()).unwrap();
            let settings = DigestSettings::weekly(day, at, Zone::new(zone), BTreeSet::new()).unwrap();
            let all: Vec<Timestamp> = (0..400).filter_map(|number| settings.schedule.occurrence(number)).collect();
            let near = all.iter().flat_map(|at| [-1, 0, 1, 3_600_000, 259_200_000].map(|by| Timestamp::from_millis(at.millis() + by)));
            for now in near.filter(|now| *now < all[399]) {
                assert_eq!(settings.last(now), all.iter().copied().rfind(|at| *at <= now), "{zone} {now}");
                assert_eq!(settings.next(now), all.iter().copied().find(|at| *at > now), "{zone} {now}");
            }
        }
    }

    #[test]
    fn what_is_open_is_counted_over_pages_and_past_the_bound_it_is_said_that_there_is_more() {
        let list = |pages: usize| {
            move |page: &Page| -> Result<Listing<usize>, Unavailable> {
                let number = page.after.as_ref().map_or(0, |after| after.parse().unwrap());
                Ok(Listing { items: vec![1, 2, 3], next: (number + 1 < pages).then(|| (number + 1).to_string()) })
            }
        };
        for (pages, count, more, written) in
            [(1, 2, false, "2"), (MAX_PAGES, 2 * MAX_PAGES, false, "200"), (MAX_PAGES + 1, 2 * MAX_PAGES, true, "200 or more")]
        {
            let mut open = Open::default();
            open.count(list(pages), |number| *number != 2, |number| json!(number)).unwrap();
            assert_eq!((open.count, open.more, open.written().as_str()), (count, more, written));
            assert_eq!(open.shown.len(), count.min(MAX_SHOWN));
            assert_eq!(open.payload("requests")["more"], if more { json!(true) } else { Value::Null });
        }
    }

    #[test]
    fn a_digest_is_read_once_for_all_who_get_it() {
        let (digests, read) = (Digests::default(), std::cell::Cell::new(0));
        let of = |until: i64| {
            let until = Timestamp::from_millis(until);
            let made = digests.of(until, || {
                read.set(read.get() + 1);
                if read.get() == 1 {
                    return Err(Unavailable("not now".to_owned()));
                }
                let (happened, roles) = (BTreeMap::new(), vec![(read.get().to_string(), 1)]);
                Ok(Digest { mark: String::new(), since: until, until, happened, roles, pending: Open::default(), reviews: Open::default() })
            });
            made.map(|digest| (digest.until, digest.roles[0].0.clone()))
        };
        let made = |until: i64, reading: &str| Ok((Timestamp::from_millis(until), reading.to_owned()));
        assert!(of(7).is_err(), "what could not be read is read again");
        assert_eq!([of(7), of(7)], [made(7, "2"), made(7, "2")]);
        // one of another week is read anew, and the newest one stays
        assert_eq!([of(14), of(7), of(14)], [made(14, "3"), made(7, "4"), made(14, "3")]);
    }
}
