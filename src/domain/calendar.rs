//! Recurrence by calendar: dates as people count them, in a time zone of theirs. What came out of it is an instant, which is journaled, so that
//! a replay does not hang on which edition of the time zones it is done with.

use std::fmt;
use std::sync::Arc;

use chrono::{Datelike as _, Days, LocalResult, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The last year that is reckoned with.
const LAST_YEAR: i32 = 9999;
/// The longest gap that a change of clocks has ever left, in minutes, and more: some islands once had no Friday.
const LONGEST_GAP: i64 = 48 * 60;

/// How often something comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Not at all.
    Once,
    /// On the same day of the week.
    Weekly,
    /// On the same day of the month, or its last day where it has no such day; likewise the rest.
    Monthly,
    /// Every third month.
    Quarterly,
    /// Every sixth month.
    HalfYearly,
    /// Every twelfth month.
    Yearly,
}

impl Every {
    /// Every word.
    pub const ALL: [Self; 6] = [Self::Once, Self::Weekly, Self::Monthly, Self::Quarterly, Self::HalfYearly, Self::Yearly];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::HalfYearly => "half_yearly",
            Self::Yearly => "yearly",
        }
    }

    /// The fewest days that lie between two occurrences; nothing where there is one only.
    #[must_use]
    pub fn least_days(self) -> Option<u32> {
        match self {
            Self::Once => None,
            Self::Weekly => Some(7),
            Self::Monthly => Some(28),
            Self::Quarterly => Some(89),
            Self::HalfYearly => Some(181),
            Self::Yearly => Some(365),
        }
    }

    fn months(self) -> Option<u32> {
        match self {
            Self::Once | Self::Weekly => None,
            Self::Monthly => Some(1),
            Self::Quarterly => Some(3),
            Self::HalfYearly => Some(6),
            Self::Yearly => Some(12),
        }
    }
}

/// The name of a time zone, as in the IANA database: `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zone(Arc<str>);

impl Zone {
    /// A zone by its name. Whether it is known is asked by [`Zone::is_known`]: a journal is read even where it no longer is.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self::new("UTC")
    }

    /// Whether there is such a zone.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.parse::<chrono_tz::Tz>().is_ok()
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first instant at which a clock there shows this time or a later one. Where clocks are put back it is shown twice, and the first of
    /// them is meant; where they are put forward over it, the first instant after.
    fn instant(&self, local: NaiveDateTime) -> Option<Timestamp> {
        let zone = self.0.parse::<chrono_tz::Tz>().ok()?;
        (0..=LONGEST_GAP).find_map(|minutes| {
            let local = local.checked_add_signed(TimeDelta::minutes(minutes))?;
            match zone.from_local_datetime(&local) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Timestamp::checked(time.timestamp_millis()),
                LocalResult::None => None,
            }
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

/// A time of day, to the minute: `09:00`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay {
    minutes: u32,
}

impl TimeOfDay {
    /// Midnight.
    pub const MIDNIGHT: Self = Self { minutes: 0 };

    fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| (text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse::<u32>().ok());
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (digits(hour)??, digits(minute)??);
        (hour < 24 && minute < 60).then_some(Self { minutes: hour * 60 + minute })
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not a time of day; write one such as `09:00`"))
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A day of the calendar: `2030-01-31`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(NaiveDate);

impl Date {
    /// The day that it is at an instant, by universal time.
    #[must_use]
    pub fn of(instant: Timestamp) -> Self {
        let time = chrono::DateTime::<Utc>::from_timestamp_millis(instant.millis()).unwrap_or_default();
        Self(time.date_naive())
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // as it is printed, and in no other way that chrono would read, too
        let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().filter(|date| (1..=LAST_YEAR).contains(&date.year()));
        let date = date.filter(|date| date.to_string() == text);
        date.map(Self).ok_or_else(|| format!("`{text}` is not a date; write one such as `2030-01-31`"))
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// When something comes, and comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// How often.
    pub every: Every,
    /// The first day.
    pub first: Date,
    /// At which time of each day.
    pub at: TimeOfDay,
    /// By the clocks of which zone.
    pub zone: Zone,
}

impl Schedule {
    /// The instant of an occurrence, counted from 0. Each is reckoned from the first one, so that a month without a 31st does not pull those
    /// after it to the 30th. Nothing past the last, or where the zone is not known.
    #[must_use]
    pub fn occurrence(&self, number: u32) -> Option<Timestamp> {
        let Date(first) = self.first;
        let date = match (self.every, self.every.months()) {
            (_, Some(months)) => first.checked_add_months(Months::new(months.checked_mul(number)?))?,
            (Every::Weekly, None) => first.checked_add_days(Days::new(7 * u64::from(number)))?,
            (_, None) => (number == 0).then_some(first)?,
        };
        if date.year() > LAST_YEAR {
            return None;
        }
        let midnight = date.and_hms_opt(0, 0, 0)?;
        self.zone.instant(midnight.checked_add_signed(TimeDelta::minutes(i64::from(self.at.minutes)))?)
    }

    /// The first occurrence of at least this number that does not lie before an instant.
    #[must_use]
    pub fn from(&self, number: u32, instant: Timestamp) -> Option<(u32, Timestamp)> {
        let mut all = (number..).map_while(|number| Some((number, self.occurrence(number)?)));
        all.find(|(_, at)| *at >= instant)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(every: Every, first: &str, at: &str, zone: &str) -> Schedule {
        let (first, at) = (Date::try_from(first.to_owned()).unwrap(), TimeOfDay::try_from(at.to_owned()).unwrap());
        Schedule { every, first, at, zone: Zone::new(zone) }
    }

    #[test]
    fn the_last_day_of_a_month_stays_the_last_one_and_the_zone_its_own() {
        let rows: [(Every, &str, &str, &str, &[&str]); 9] = [
            (Every::Once, "2030-01-31", "09:00", "UTC", &["2030-01-31T09:00:00.000Z"]),
            (Every::Weekly, "2030-03-25", "09:00", "Europe/Berlin", &["2030-03-25T08:00:00.000Z", "2030-04-01T07:00:00.000Z"]),
            (
                Every::Monthly,
                "2031-12-31",
                "00:00",
                "UTC",
                &["2031-12-31T00:00:00.000Z", "2032-01-31T00:00:00.000Z", "2032-02-29T00:00:00.000Z", "2032-03-31T00:00:00.000Z"],
            ),
            (
                Every::Quarterly,
                "2030-11-30",
                "00:00",
                "UTC",
                &["2030-11-30T00:00:00.000Z", "2031-02-28T00:00:00.000Z", "2031-05-30T00:00:00.000Z"],
            ),
            (
                Every::HalfYearly,
                "2030-08-31",
                "00:00",
                "UTC",
                &["2030-08-31T00:00:00.000Z", "2031-02-28T00:00:00.000Z", "2031-08-31T00:00:00.000Z"],
            ),
            (
                Every::Yearly,
                "2032-02-29",
                "12:00",
                "UTC",
                &[
                    "2032-02-29T12:00:00.000Z",
                    "2033-02-28T12:00:00.000Z",
                    "2034-02-28T12:00:00.000Z",
                    "2035-02-28T12:00:00.000Z",
                    "2036-02-29T12:00:00.000Z",
                ],
            ),
            // 02:30 is not there on the day that clocks are put forward, and twice on the day that they are put back
            (Every::Once, "2026-03-29", "02:30", "Europe/Berlin", &["2026-03-29T01:00:00.000Z"]),
            (Every::Once, "2026-10-25", "02:30", "Europe/Berlin", &["2026-10-25T00:30:00.000Z"]),
            // a day that was left out as a whole
            (Every::Once, "2011-12-30", "12:00", "Pacific/Apia", &["2011-12-30T10:00:00.000Z"]),
        ];
        for (every, first, at, zone, expected) in rows {
            let schedule = schedule(every, first, at, zone);
            let found: Vec<_> =
                (0..).map_while(|number| schedule.occurrence(number)).take(expected.len()).map(|at| at.to_string()).collect();
            assert_eq!(found, expected, "{every:?} {first} {at} {zone}");
        }
        assert_eq!(schedule(Every::Once, "2030-01-31", "09:00", "UTC").occurrence(1), None);
        assert_eq!(schedule(Every::Monthly, "2030-01-31", "09:00", "Europe/Atlantis").occurrence(0), None);
        assert_eq!(schedule(Every::Yearly, "9990-01-31", "09:00", "UTC").occurrence(10), None);
        // in the year 9999 there, and past it in UTC
        assert_eq!(schedule(Every::Once, "9999-12-31", "23:00", "America/New_York").occurrence(0), None);
    }

    /// Days by going from one to the next, with a table of months and the rule of Gregory: no other calendar is asked.
    fn days_from(first: (i64, u32, u32)) -> impl Iterator<Item = (i64, u32, u32)> {
        std::iter::successors(Some(first), |(year, month, day)| {
            let length = length(*year, *month);
            Some(match (*month, *day) {
                (12, 31) => (year + 1, 1, 1),
                (month, day) if day == length => (*year, month + 1, 1),
                (month, day) => (*year, month, day + 1),
            })
        })
    }

    fn length(year: i64, month: u32) -> u32 {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
    }

    /// Whether a day is one on which it comes again: so many days or months after the first.
    fn comes(every: Every, first: (i64, u32, u32), day: (i64, u32, u32), walked: usize) -> bool {
        let step = match every {
            Every::Once => return walked == 0,
            Every::Weekly => return walked.is_multiple_of(7),
            Every::Monthly => 1,
            Every::Quarterly => 3,
            Every::HalfYearly => 6,
            Every::Yearly => 12,
        };
        let months = (day.0 - first.0) * 12 + i64::from(day.1) - i64::from(first.1);
        months % step == 0 && day.2 == first.2.min(length(day.0, day.1))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn occurrences_are_the_days_that_a_walk_finds(
            every in 0..6_usize, year in 1970..2400_i64, month in 1..=12_u32, day in 1..=31_u32, hour in 0..24_u32,
        ) {
            let first = (year, month, day.min(length(year, month)));
            let every = Every::ALL[every];
            let name = |(year, month, day): (i64, u32, u32)| format!("{year:04}-{month:02}-{day:02}");
            let schedule = schedule(every, &name(first), &format!("{hour:02}:00"), "UTC");
            let walked: Vec<String> = days_from(first).take(9 * 366).enumerate()
                .filter(|(walked, day)| comes(every, first, *day, *walked))
                .map(|(_, day)| format!("{}T{hour:02}:00:00.000Z", name(day)))
                .collect();
            let found: Vec<_> = (0..).map_while(|number| schedule.occurrence(number)).take(walked.len()).map(|at| at.to_string()).collect();
            prop_assert_eq!(&found, &walked);
            let at: Vec<_> = (0..).map_while(|number| schedule.occurrence(number)).take(walked.len()).collect();
            for pair in at.windows(2) {
                prop_assert!(pair[1].since(pair[0]).secs() >= u64::from(every.least_days().unwrap()) * 86_400);
            }
            if let Some(third) = at.get(2) {
                prop_assert_eq!(schedule.from(0, *third), Some((2, *third)));
                prop_assert_eq!(schedule.from(1, third.plus(crate::domain::Duration::from_secs(1))).map(|(number, _)| number), Some(3));
            }
        }

        #[test]
        fn a_clock_in_the_zone_shows_the_time_that_was_asked_for(days in 0..40_000_i64, minutes in 0..1440_u32, zone in 0..6_usize) {
            let zone = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"][zone];
            let first = Date(NaiveDate::from_ymd_opt(1975, 1, 1).unwrap() + TimeDelta::days(days));
            let schedule = Schedule { every: Every::Once, first, at: TimeOfDay { minutes }, zone: Zone::new(zone) };
            let wanted = first.0.and_hms_opt(minutes / 60, minutes % 60, 0).unwrap();
            let found = schedule.occurrence(0).unwrap();
            let shown = |at: Timestamp| {
                let utc = chrono::DateTime::<Utc>::from_timestamp_millis(at.millis()).unwrap();
                utc.with_timezone(&zone.parse::<chrono_tz::Tz>().unwrap()).naive_local()
            };
            // the first minute at which that time, or a later one where it is left out, is shown
            prop_assert!(shown(found) >= wanted);
            prop_assert!(shown(found) - wanted < TimeDelta::hours(25));
            prop_assert!(shown(Timestamp::from_millis(found.millis() - 60_000)) < wanted || shown(found) == wanted);
        }
    }

    #[test]
    fn what_is_no_date_or_time_is_refused() {
        for text in ["2030-02-29", "2030-1-31", "+2030-01-31", "20300131", "10000-01-01", ""] {
            assert!(Date::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["9:00", "24:00", "09:60", "0900", "+9:00", ""] {
            assert!(TimeOfDay::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert!(Zone::new("Europe/Berlin").is_known() && Zone::utc().is_known() && !Zone::new("Berlin").is_known());
    }
}
