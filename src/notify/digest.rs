//! What happened in a week, and what is open: told by the calendar. It stands in the same line as everything else that a destination is told, after
//! all that happened before its time, and its id is the time itself, so that however often a server is started there is one for a week.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::message::{PAYLOAD_VERSION, mark};
use crate::domain::calendar::{Date, Every, Schedule, TimeOfDay, Zone};
use crate::domain::event::Event;
use crate::domain::notice::Notice;
use crate::domain::review::ReviewStatus;
use crate::domain::{Duration, Record, Timestamp, Unavailable};
use crate::engine::ports::{AuditFilter, MAX_PAGE, Page, Reader, ReviewFilter};

/// Requests and reviews that are named; of more there is a number.
const MAX_SHOWN: usize = 20;
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
        let (number, at) = self.schedule.from(0, now)?;
        if at == now { Some(at) } else { self.schedule.occurrence(number.checked_sub(1)?) }
    }

    /// The next time after an instant.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.schedule.from(0, Timestamp::from_millis(now.millis().saturating_add(1))).map(|(_, at)| at)
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
    pub pending: (usize, Vec<Value>),
    /// Reviews that are asked or wait to be carried out: how many, and the newest.
    pub reviews: (usize, Vec<Value>),
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
                let record: Record = serde_json::from_slice(&sealed.bytes)
                    .map_err(|error| Unavailable(format!("record {} cannot be read: {error}", sealed.seq)))?;
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
        let waits = reader.pending(&Page::first(MAX_PAGE))?;
        let waiting: Vec<_> = waits.items.iter().filter(|request| request.status(now).as_str() == "pending").collect();
        let shown = waiting.iter().take(MAX_SHOWN).map(|request| {
            json!({ "id": request.id, "role": request.role, "principal": request.principal, "requested_at": request.requested_at })
        });
        let pending = (waiting.len(), shown.collect());
        let mut reviews = (0, Vec::new());
        for status in [ReviewStatus::InProgress, ReviewStatus::Completed] {
            let found = reader.reviews(&ReviewFilter { definition: None, status: Some(status) }, &Page::first(MAX_PAGE))?;
            reviews.0 += found.items.len();
            let room = MAX_SHOWN.saturating_sub(reviews.1.len());
            reviews.1.extend(found.items.iter().take(room).map(|review| {
                json!({ "id": review.id, "name": review.plan.name, "status": review.status().as_str(), "open": review.tally.open })
            }));
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
                "pending": { "count": self.pending.0, "requests": self.pending.1 },
                "reviews": { "count": self.reviews.0, "open": self.reviews.1 },
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
        lines.extend([String::new(), format!("Requests that wait for votes: {}", self.pending.0)]);
        let request = |one: &Value| format!("  {}: {} for {}", at(one, "/id"), at(one, "/role"), at(one, "/principal/id"));
        lines.extend(self.pending.1.iter().map(request));
        lines.push(format!("Reviews that are open: {}", self.reviews.0));
        let review = |one: &Value| {
            format!("  {}: {}, {}, {} items without an answer", at(one, "/id"), at(one, "/name"), at(one, "/status"), at(one, "/open"))
        };
        lines.extend(self.reviews.1.iter().map(review));
        (subject, lines.join("\n"))
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
}
