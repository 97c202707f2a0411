//! `[limits]`: the bounds of every listener. The one place where keys of the file and the HTTP room's bounds are brought together.

use std::time::Duration;

use super::file::File;
use super::keys;
use crate::http::EdgeLimits;
use crate::http::limits::MIN_HEADER_BYTES;
use crate::policy::Section;

/// Most that a number may be: no bound that is larger bounds anything.
const MOST: u32 = 1_000_000_000;
/// Longest time that may be waited for.
const LONGEST: Duration = Duration::from_hours(24);

pub(super) fn read(file: &File<'_>) -> EdgeLimits {
    let mut limits = EdgeLimits::default();
    let Some(section) = file.root.section("limits") else { return limits };
    section.only(&keys::LIMITS, &[]);
    let least = u32::try_from(MIN_HEADER_BYTES).unwrap_or(MOST);
    let counts: [(&str, u32, &mut usize); 9] = [
        ("connections", 1, &mut limits.connections),
        ("connections_per_peer", 1, &mut limits.connections_per_peer),
        ("checks_in_flight", 1, &mut limits.checks_in_flight),
        ("control_in_flight", 1, &mut limits.control_in_flight),
        ("header_bytes", least, &mut limits.header_bytes),
        ("headers", 8, &mut limits.headers),
        ("h2_pending_resets", 1, &mut limits.h2_pending_resets),
        ("h2_error_resets", 1, &mut limits.h2_error_resets),
        ("h2_given_up", 1, &mut limits.h2_given_up),
    ];
    for (key, least, into) in counts {
        if let Some(number) = number(&section, key, least).and_then(|number| usize::try_from(number).ok()) {
            *into = number;
        }
    }
    let numbers: [(&str, u32, &mut u32); 5] = [
        ("commands_per_second", 1, &mut limits.commands_per_second),
        ("command_burst", 1, &mut limits.command_burst),
        ("h2_streams", 1, &mut limits.h2_streams),
        ("h2_stream_window", 1024, &mut limits.h2_stream_window),
        ("h2_connection_window", 65_535, &mut limits.h2_connection_window),
    ];
    for (key, least, into) in numbers {
        if let Some(number) = number(&section, key, least) {
            *into = number;
        }
    }
    let times: [(&str, &mut Duration); 10] = [
        ("handshake_timeout", &mut limits.handshake_timeout),
        ("head_timeout", &mut limits.head_timeout),
        ("body_timeout", &mut limits.body_timeout),
        ("request_timeout", &mut limits.request_timeout),
        ("write_timeout", &mut limits.write_timeout),
        ("idle_timeout", &mut limits.idle_timeout),
        ("lifetime", &mut limits.lifetime),
        ("drain_timeout", &mut limits.drain_timeout),
        ("h2_ping_every", &mut limits.h2_ping_every),
        ("h2_ping_timeout", &mut limits.h2_ping_timeout),
    ];
    for (key, into) in times {
        if let Some(time) = time(&section, key) {
            *into = time;
        }
    }
    limits
}

fn number(section: &Section<'_>, key: &str, least: u32) -> Option<u32> {
    let number = section.number(key)?;
    if (least..=MOST).contains(&number.value) {
        return Some(number.value);
    }
    section.reader.report(number.span, format!("`{key}` is from {least} to {MOST}"), None);
    None
}

fn time(section: &Section<'_>, key: &str) -> Option<Duration> {
    let time = Duration::from_secs(section.duration(key)?.secs());
    if time.is_zero() || time > LONGEST {
        section.reader.report(section.span_of(key), format!("`{key}` is from PT1S to PT24H; a wait without an end is none"), None);
        return None;
    }
    Some(time)
}
