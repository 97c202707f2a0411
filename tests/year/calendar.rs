//! The oracle's own calendar: days by counting, clocks by the rules of three places. It shares nothing with the server's.

/// Seconds since 1970, by universal time.
pub type At = i64;

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 86_400;

/// A day: year, month and day of the month.
pub type Date = (i64, i64, i64);

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a year.
fn days_before(year: i64) -> i64 {
    let leaps = |to: i64| to / 4 - to / 100 + to / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

pub fn day_number((year, month, day): Date) -> i64 {
    days_before(year) + (1..month).map(|month| length(year, month)).sum::<i64>() + day - 1
}

pub fn date_of(at: At) -> Date {
    let mut left = at.div_euclid(DAY);
    let mut year = 1970 + left / 366;
    while days_before(year + 1) <= left {
        year += 1;
    }
    left -= days_before(year);
    let mut month = 1;
    while left >= length(year, month) {
        left -= length(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

/// 0 is Monday.
pub fn weekday(at: At) -> i64 {
    (at.div_euclid(DAY) + 3).rem_euclid(7)
}

pub fn midnight(date: Date) -> At {
    day_number(date) * DAY
}

pub fn show(at: At) -> String {
    let (year, month, day) = date_of(at);
    let time = at.rem_euclid(DAY);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z", time / HOUR, time / MINUTE % 60, time % 60)
}

pub fn show_date((year, month, day): Date) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// Reads what [`show`] writes.
pub fn read(text: &str) -> At {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    assert_eq!(&text[19..], ".000Z", "not a whole second: {text}");
    midnight((number(0, 4), number(5, 7), number(8, 10))) + number(11, 13) * HOUR + number(14, 16) * MINUTE + number(17, 19)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Utc,
    Berlin,
    NewYork,
    Kolkata,
}

impl Zone {
    pub fn name(self) -> &'static str {
        match self {
            Self::Utc => "UTC",
            Self::Berlin => "Europe/Berlin",
            Self::NewYork => "America/New_York",
            Self::Kolkata => "Asia/Kolkata",
        }
    }

    fn winter(self) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Berlin => HOUR,
            Self::NewYork => -5 * HOUR,
            Self::Kolkata => 5 * HOUR + 30 * MINUTE,
        }
    }

    /// From when to when clocks are an hour ahead in a year.
    fn summer(self, year: i64) -> Option<(At, At)> {
        let sunday_from = |date: Date| {
            let at = midnight(date);
            at + (6 - weekday(at)) * DAY
        };
        match self {
            Self::Utc | Self::Kolkata => None,
            // the last Sundays of March and October, at one by universal time
            Self::Berlin => Some((sunday_from((year, 3, 25)) + HOUR, sunday_from((year, 10, 25)) + HOUR)),
            // the second Sunday of March and the first of November, at two by the clocks there
            Self::NewYork => Some((sunday_from((year, 3, 8)) + 7 * HOUR, sunday_from((year, 11, 1)) + 6 * HOUR)),
        }
    }

    /// The first instant at which clocks show a time, or one after it where it is left out.
    fn instant(self, local: i64) -> At {
        let (year, ..) = date_of(local);
        let in_winter = local - self.winter();
        let Some((from, to)) = self.summer(year) else { return in_winter };
        let in_summer = in_winter - HOUR;
        if (from..to).contains(&in_summer) {
            in_summer
        } else if (from..from + HOUR).contains(&in_winter) {
            from
        } else {
            in_winter
        }
    }
}

/// How often a review comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Once,
    Week,
    Months(i64),
}

impl Every {
    pub fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Week => "weekly",
            Self::Months(1) => "monthly",
            Self::Months(3) => "quarterly",
            Self::Months(6) => "half_yearly",
            Self::Months(_) => "yearly",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Recurrence {
    pub every: Every,
    pub first: Date,
    /// Minutes after midnight.
    pub at: i64,
    pub zone: Zone,
}

impl Recurrence {
    /// When it comes for the time after so many others.
    fn occurrence(&self, number: i64) -> Option<At> {
        let (year, month, day) = self.first;
        let date = match self.every {
            Every::Once if number > 0 => return None,
            Every::Once => self.first,
            Every::Week => date_of(midnight(self.first) + 7 * number * DAY),
            Every::Months(step) => {
                let months = month - 1 + step * number;
                let (year, month) = (year + months.div_euclid(12), months.rem_euclid(12) + 1);
                (year, month, day.min(length(year, month)))
            }
        };
        Some(self.zone.instant(midnight(date) + self.at * MINUTE))
    }

    /// The first time that it comes at an instant or later.
    pub fn from(&self, at: At) -> Option<At> {
        (0..).map_while(|number| self.occurrence(number)).find(|occurrence| *occurrence >= at)
    }
}
