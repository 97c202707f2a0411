//! Instants, durations and windows. All in UTC, to the millisecond; a day is 24 hours and there are no months.
//!
//! An instant has a year of four digits, by its type: what RFC 3339 can write and Cedar can read. What is reckoned past that stands still at the
//! last one. So whatever is written to the journal can be read back from it; a sum that nobody can read would make it unreadable for good.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::{self, Deserializer};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since the Unix epoch, UTC. RFC 3339 in JSON, a number on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant of the year 0000.
    pub const FIRST: Self = Self(-62_167_219_200_000);
    /// The last instant of the year 9999.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// The instant so many milliseconds after the Unix epoch; the first or the last one, where it would lie outside of them.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < Self::FIRST.0 {
            Self::FIRST
        } else if millis > Self::LAST.0 {
            Self::LAST
        } else {
            Self(millis)
        }
    }

    /// The same, or nothing where it would lie outside of what there is.
    #[must_use]
    pub const fn checked(millis: i64) -> Option<Self> {
        if millis < Self::FIRST.0 || millis > Self::LAST.0 { None } else { Some(Self(millis)) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// This instant and a duration; the last instant there is, where it would lie past it.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(duration.millis()))
    }

    /// From `earlier` to this instant; nothing, where that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0) / 1000)
    }

    /// From `earlier` to this instant, a second that has begun counted in full.
    #[must_use]
    pub fn since_in_full(self, earlier: Self) -> Duration {
        Duration(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0).div_ceil(1000))
    }

    /// The UTC day that it lies in.
    #[must_use]
    pub fn day(self) -> Day {
        Day(i32::try_from(self.0.div_euclid(Day::MILLIS)).unwrap_or(i32::MAX))
    }

    /// Reads RFC 3339, such as `2030-01-31T09:00:00Z`.
    ///
    /// # Errors
    /// The text is not RFC 3339, or lies outside the years 0000 to 9999 in UTC.
    pub fn parse(text: &str) -> Result<Self, BadTime> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| BadTime::NotAnInstant { text: text.to_owned() })?;
        Self::checked(time.timestamp_millis()).ok_or_else(|| BadTime::OutOfRange { text: text.to_owned() })
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self::from_millis(time.timestamp_millis())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(time) => out.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(out, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self::from_millis)
        }
    }
}

/// A day of UTC: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    const MILLIS: i64 = 86_400_000;

    /// Its first instant.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.0).saturating_mul(Self::MILLIS))
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.start().0) {
            Some(time) => write!(out, "{}", time.format("%Y-%m-%d")),
            None => write!(out, "day {}", self.0),
        }
    }
}

/// A length of time in whole seconds, never negative, and none longer than the time that there is. ISO 8601 in text (`PT8H`, `P365D`, `P2W`), a
/// number of seconds on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Duration(u64);

impl Duration {
    /// From the first instant to the last, a second that has begun counted in full: no two instants are farther apart.
    pub const LONGEST: Self = Self((Timestamp::LAST.0 - Timestamp::FIRST.0).unsigned_abs().div_ceil(1000));

    /// So many seconds; the longest duration, where that would be longer.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        if seconds > Self::LONGEST.0 { Self::LONGEST } else { Self(seconds) }
    }

    /// So many minutes.
    #[must_use]
    pub const fn from_mins(minutes: u64) -> Self {
        Self::from_secs(minutes.saturating_mul(60))
    }

    /// So many hours.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_secs(hours.saturating_mul(3600))
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn from_days(days: u64) -> Self {
        Self::from_secs(days.saturating_mul(86_400))
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// Its length in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX).saturating_mul(1000)
    }

    /// Reads ISO 8601: weeks, days, hours, minutes and whole seconds. Years and months are refused, for they have no fixed length.
    ///
    /// # Errors
    /// The text is not of that form, uses years or months, or is longer than the ten thousand years that there are.
    pub fn parse(text: &str) -> Result<Self, BadTime> {
        let bad = || BadTime::NotADuration { text: text.to_owned() };
        let body = text.strip_prefix('P').ok_or_else(bad)?;
        let (date, time) = match body.split_once('T') {
            Some((_, "")) => return Err(bad()),
            Some((date, time)) => (date, time),
            None => (body, ""),
        };
        if date.is_empty() && time.is_empty() {
            return Err(bad());
        }
        if date.contains(['Y', 'M']) {
            return Err(BadTime::YearOrMonth { text: text.to_owned() });
        }
        let days = units(date, &[('W', 7 * 86_400), ('D', 86_400)]).ok_or_else(bad)?;
        let rest = units(time, &[('H', 3600), ('M', 60), ('S', 1)]).ok_or_else(bad)?;
        days.checked_add(rest)
            .map(Self)
            .filter(|duration| *duration <= Self::LONGEST)
            .ok_or_else(|| BadTime::TooLong { text: text.to_owned() })
    }
}

/// Sums `12H30M` by the seconds of its units, each at most once and in that order.
fn units(mut text: &str, known: &[(char, u64)]) -> Option<u64> {
    let mut sum = 0_u64;
    for (letter, seconds) in known {
        let Some((number, rest)) = text.split_once(*letter) else { continue };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
        text = rest;
    }
    text.is_empty().then_some(sum)
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("PT0S");
        }
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        out.write_str("P")?;
        if days > 0 {
            write!(out, "{days}D")?;
        }
        if rest > 0 {
            out.write_str("T")?;
            for (amount, unit) in [(rest / 3600, 'H'), (rest % 3600 / 60, 'M'), (rest % 60, 'S')] {
                if amount > 0 {
                    write!(out, "{amount}{unit}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Self::parse(&text).map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self::from_secs)
        }
    }
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not RFC 3339.
    #[error("`{text}` is not an RFC 3339 time; write one such as `2030-01-31T09:00:00Z`")]
    NotAnInstant {
        /// The text as given.
        text: String,
    },
    /// A year of more than four digits, or one before 0000.
    #[error("`{text}` is not within the years 0000 to 9999 in UTC; leave it out for something without an end")]
    OutOfRange {
        /// The text as given.
        text: String,
    },
    /// Not ISO 8601.
    #[error("`{text}` is not an ISO 8601 duration; write one such as `PT1H30M` or `P7D`")]
    NotADuration {
        /// The text as given.
        text: String,
    },
    /// Years and months have no fixed length.
    #[error("`{text}` uses years or months, which have no fixed length; write it in weeks, days, hours, minutes and seconds")]
    YearOrMonth {
        /// The text as given.
        text: String,
    },
    /// Longer than from the first instant to the last.
    #[error("`{text}` is longer than ten thousand years")]
    TooLong {
        /// The text as given.
        text: String,
    },
}

/// From `start` up to, and not including, `end`; for ever where there is no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first instant that is inside.
    pub start: Timestamp,
    /// The first instant that is no longer inside.
    pub end: Option<Timestamp>,
}

impl Window {
    /// From `start` for as long as `duration`.
    #[must_use]
    pub fn lasting(start: Timestamp, duration: Duration) -> Self {
        Self { start, end: Some(start.plus(duration)) }
    }

    /// Whether it holds this instant.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.start <= now && !self.ended(now)
    }

    /// Whether it is over at this instant.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> bool {
        self.end.is_some_and(|end| end <= now)
    }

    /// The milliseconds of each UTC day that it covers; nothing for a window without an end.
    pub fn by_day(self) -> impl Iterator<Item = (Day, u64)> {
        let end = self.end.unwrap_or(self.start);
        let days = std::iter::successors(Some(self.start.day()), |day| Some(day.next())).take_while(move |day| day.start() < end);
        days.filter_map(move |day| {
            let (from, to) = (self.start.max(day.start()), end.min(day.next().start()));
            u64::try_from(to.0.saturating_sub(from.0)).ok().filter(|millis| *millis > 0).map(|millis| (day, millis))
        })
    }

    /// Whether the two share an instant.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.end.is_none_or(|end| other.start < end) && other.end.is_none_or(|end| self.start < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_iso_8601() {
        let rows: [(&str, Option<u64>); 14] = [
            ("PT1H", Some(3600)),
            ("PT90M", Some(5400)),
            ("PT1H30M5S", Some(5405)),
            ("P7D", Some(604_800)),
            ("P2W", Some(1_209_600)),
            ("P1DT12H", Some(129_600)),
            ("PT0S", Some(0)),
            ("P", None),
            ("PT", None),
            ("1H", None),
            ("P1M", None),
            ("PT1.5H", None),
            ("PT5M1H", None),
            ("PT-5M", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(Duration::parse(text).ok().map(Duration::secs), seconds, "{text}");
        }
        assert!(matches!(Duration::parse("P1Y"), Err(BadTime::YearOrMonth { .. })));
        assert!(matches!(Duration::parse("PT99999999999999H"), Err(BadTime::TooLong { .. })));
    }

    #[test]
    fn durations_print_what_they_read() {
        for text in ["PT1H", "P365D", "P1DT12H", "PT30M", "PT1H30M5S", "PT0S"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_reckoned_or_read_can_be_written_and_read_back() {
        for millis in [i64::MIN, Timestamp::FIRST.0 - 1, Timestamp::FIRST.0, -1, 0, 1, Timestamp::LAST.0, Timestamp::LAST.0 + 1, i64::MAX] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&at.to_string()), Ok(at), "{millis}");
            for seconds in [0, 1, 31_536_000_000, Duration::LONGEST.0, u64::MAX] {
                let later = at.plus(Duration::from_secs(seconds));
                assert_eq!(Timestamp::parse(&later.to_string()), Ok(later), "{millis} and {seconds} s");
                for apart in [later.since(at), later.since_in_full(at), at.since(later), Duration::from_days(seconds)] {
                    assert_eq!(Duration::parse(&apart.to_string()), Ok(apart), "{millis} and {seconds} s");
                }
            }
        }
        assert_eq!(Timestamp::LAST.since_in_full(Timestamp::FIRST), Duration::LONGEST);
        assert_eq!(
            (Timestamp::FIRST.to_string(), Timestamp::LAST.to_string()),
            ("0000-01-01T00:00:00.000Z".into(), "9999-12-31T23:59:59.999Z".into())
        );
        for text in ["9999-12-31T23:00:00-05:00", "0000-01-01T00:00:00+05:00", "9999-12-31T23:59:60Z"] {
            assert_eq!(Timestamp::parse(text), Err(BadTime::OutOfRange { text: text.to_owned() }));
            assert!(serde_json::from_value::<Timestamp>(text.into()).is_err(), "{text}");
        }
        assert!(matches!(Timestamp::parse("+10000-01-01T00:00:00Z"), Err(BadTime::NotAnInstant { .. })));
    }

    #[test]
    fn a_window_up_to_the_last_instant_is_split_to_its_end() {
        let window = Window { start: Timestamp::from_millis(Timestamp::LAST.0 - 90_000_000), end: Some(Timestamp::LAST) };
        assert_eq!(window.by_day().map(|(_, millis)| millis).sum::<u64>(), 90_000_000);
    }

    #[test]
    fn a_window_is_split_at_midnight() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let split = |start: &str, end: &str| {
            let window = Window { start: at(start), end: Some(at(end)) };
            window.by_day().map(|(day, millis)| (day.to_string(), millis / 60_000)).collect::<Vec<_>>()
        };
        let day = |name: &str, minutes| (name.to_owned(), minutes);
        assert_eq!(split("2030-01-31T22:30:00Z", "2030-02-01T00:15:00Z"), [day("2030-01-31", 90), day("2030-02-01", 15)]);
        assert_eq!(split("2030-01-31T00:00:00Z", "2030-02-01T00:00:00Z"), [day("2030-01-31", 1440)]);
        assert_eq!(split("1969-12-31T23:00:00Z", "1970-01-01T01:00:00Z"), [day("1969-12-31", 60), day("1970-01-01", 60)]);
        assert_eq!(split("2030-01-31T10:00:00Z", "2030-01-31T09:00:00Z"), []);
    }

    #[test]
    fn a_window_is_half_open() {
        let at = Timestamp::from_millis;
        let window = Window { start: at(10), end: Some(at(20)) };
        assert_eq!([9, 10, 19, 20].map(|now| window.holds(at(now))), [false, true, true, false]);
        assert!(!window.overlaps(&Window { start: at(20), end: None }));
        assert!(window.overlaps(&Window { start: at(19), end: None }));
    }
}
