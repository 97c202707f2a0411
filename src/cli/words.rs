//! Lengths of time in words, as people say them.

use crate::domain::time::{Duration, Timestamp};

/// A length of time in its two largest units: `47 min`, `2 h 5 min`, `3 days 4 h`.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60);
    let both = |large: String, small: u64, unit: &str| if small == 0 { large } else { format!("{large} {small} {unit}") };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => both(format!("{hours} h"), minutes, "min"),
        (1, hours, _) => both("1 day".to_owned(), hours, "h"),
        (days, hours, _) => both(format!("{days} days"), hours, "h"),
    }
}

/// What is left until an end: `47 min left`, `ended 5 min ago`, `no end`.
pub(super) fn left(end: Option<Timestamp>, now: Timestamp) -> String {
    match end {
        None => "no end".to_owned(),
        Some(end) if end <= now => format!("ended {} ago", span(now.since(end))),
        Some(end) if end.since(now).secs() == 0 => "less than 1 s left".to_owned(),
        Some(end) => format!("{} left", span(end.since(now))),
    }
}

/// How long it is until something begins: `in 47 min`.
pub(super) fn until(start: Timestamp, now: Timestamp) -> String {
    match start.since(now) {
        none if none.secs() == 0 => "now".to_owned(),
        length => format!("in {}", span(length)),
    }
}

/// How long ago something was: `5 min ago`.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.since(then) {
        none if none.secs() == 0 => "just now".to_owned(),
        length => format!("{} ago", span(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_people_say_them() {
        let rows = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (47 * 60 + 59, "47 min"),
            (3600, "1 h"),
            (2 * 3600 + 5 * 60, "2 h 5 min"),
            (86_400, "1 day"),
            (86_400 + 3600, "1 day 1 h"),
            (3 * 86_400 + 59, "3 days"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn what_is_left_says_so_on_both_sides_of_the_end() {
        let now = Timestamp::from_millis(1_000_000_000);
        let at = |seconds: i64| Some(Timestamp::from_millis(1_000_000_000 + seconds * 1000));
        let rows = [(None, "no end"), (at(47 * 60), "47 min left"), (at(0), "ended 0 s ago"), (at(-300), "ended 5 min ago")];
        for (end, expected) in rows {
            assert_eq!(left(end, now), expected);
        }
        assert_eq!(left(Some(Timestamp::from_millis(1_000_000_500)), now), "less than 1 s left");
        assert_eq!(ago(Timestamp::from_millis(1_000_000_000 - 60_000), now), "1 min ago");
        assert_eq!(until(Timestamp::from_millis(1_000_000_000 + 60_000), now), "in 1 min");
        assert_eq!(until(now, now), "now");
    }
}
