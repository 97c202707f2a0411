//! Which addresses a message may go to. A destination's name is looked up for every connection, all that it stands for is held against the ranges
//! below, and the connection goes to an address that was looked at and to no other: a name that changes its meaning between two look-ups gains
//! nothing. Lost: looking at the name's text, which says nothing of where it leads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use crate::domain::text::misleads;

/// Most addresses of one name that are looked at; more of them are refused with the rest.
const MAX_ADDRESSES: usize = 16;

/// Why a connection was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// The name could not be looked up.
    #[error("`{host}` cannot be looked up: {why}")]
    Unknown {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// It stands for an address that is not public.
    #[error("`{host}` is at {address}, which is {what}; a destination there needs `allow_private = true`")]
    Private {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// No more of them.
    #[error("`{host}` stands for more than {MAX_ADDRESSES} addresses")]
    TooMany {
        /// The host.
        host: String,
    },
}

/// What an address is that is not public; nothing for one that is.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

/// Whether the first `bits` of an address are those of another.
fn below(address: u32, net: [u8; 4], bits: u32) -> bool {
    (address ^ u32::from_be_bytes(net)) >> (32 - bits) == 0
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let number = u32::from(address);
    let ranges: [([u8; 4], u32, &str); 16] = [
        ([169, 254, 169, 254], 32, "where clouds keep credentials"),
        ([0, 0, 0, 0], 8, "this network"),
        ([10, 0, 0, 0], 8, "private"),
        ([100, 64, 0, 0], 10, "shared behind a carrier's translation"),
        ([127, 0, 0, 0], 8, "this machine"),
        ([169, 254, 0, 0], 16, "link-local"),
        ([172, 16, 0, 0], 12, "private"),
        ([192, 0, 0, 0], 24, "for protocols"),
        ([192, 0, 2, 0], 24, "for documentation"),
        ([192, 88, 99, 0], 24, "a relay"),
        ([192, 168, 0, 0], 16, "private"),
        ([198, 18, 0, 0], 15, "for measurements"),
        ([198, 51, 100, 0], 24, "for documentation"),
        ([203, 0, 113, 0], 24, "for documentation"),
        ([224, 0, 0, 0], 4, "multicast"),
        ([240, 0, 0, 0], 4, "reserved"),
    ];
    ranges.into_iter().find(|(net, bits, _)| below(number, *net, *bits)).map(|(_, _, what)| what)
}

/// The IPv4 address that an IPv6 address stands for: as mapped or compatible, behind NAT64 or 6to4, or by Teredo.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(last(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(last(high, low)),
        [0x64, 0xff9b, 1, _, _, _, high, low] => Some(last(high, low)),
        [0x2002, high, low, ..] => Some(last(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(last(!high, !low)),
        _ => None,
    }
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() || address.is_loopback() {
        return Some("this machine");
    }
    if let Some(v4) = embedded(address) {
        // a local translation (64:ff9b:1::/48) is somebody's own network, whatever it leads to
        let local = matches!(address.segments(), [0x64, 0xff9b, 1, ..]);
        return if local { Some("a local translation") } else { not_public_v4(v4) };
    }
    match address.segments() {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some("where clouds keep credentials"),
        [first, ..] if first & 0xfe00 == 0xfc00 => Some("unique local"),
        [first, ..] if first & 0xffc0 == 0xfe80 => Some("link-local"),
        [first, ..] if first & 0xffc0 == 0xfec0 => Some("site-local"),
        [first, ..] if first & 0xff00 == 0xff00 => Some("multicast"),
        [0x100, 0, 0, 0, ..] => Some("for what is thrown away"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("for documentation"),
        [0x2001, second, ..] if second < 0x200 => Some("for protocols"),
        [first, ..] if first & 0xe000 != 0x2000 => Some("not assigned"),
        _ => None,
    }
}

/// Looks a host up, at most as long as `timeout`, and takes its addresses if all of them may be connected to.
///
/// # Errors
/// It cannot be looked up, or one of its addresses is not public and that is not allowed.
pub fn addresses(host: &str, port: u16, allow_private: bool, timeout: Duration) -> Result<Vec<SocketAddr>, Barred> {
    admitted(host, allow_private, look_up(host, port, timeout)?)
}

/// Takes the addresses that a host was found to have, all of them or none.
fn admitted(host: &str, allow_private: bool, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Barred> {
    let host = || host.to_owned();
    if found.is_empty() {
        return Err(Barred::Unknown { host: host(), why: "it has no address".to_owned() });
    }
    if found.len() > MAX_ADDRESSES {
        return Err(Barred::TooMany { host: host() });
    }
    let barred = found.iter().find_map(|address| Some((address.ip(), not_public(address.ip())?)));
    match barred.filter(|_| !allow_private) {
        Some((address, what)) => Err(Barred::Private { host: host(), address, what }),
        None => Ok(found),
    }
}

fn look_up(host: &str, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, Barred> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let bad = |why: String| Barred::Unknown { host: host.to_owned(), why };
    let (name, (tell, told)) = (host.to_owned(), std::sync::mpsc::sync_channel(1));
    // The system's resolver knows no time-out, so it is asked on a thread that may outlast the question.
    let asking = std::thread::Builder::new().name("elevon-resolve".to_owned()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES + 1).collect::<Vec<_>>());
        let _ = tell.send(found);
    });
    asking.map_err(|error| bad(error.to_string()))?;
    match told.recv_timeout(timeout) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(bad(error.to_string())),
        Err(_) => Err(bad(format!("no answer within {} s", timeout.as_secs()))),
    }
}

/// A text that came from outside, or that somebody wrote, as it may stand in a line: what misleads, or does not belong in a line, is spelt out.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, letter| {
        if letter.is_control() || misleads(letter) {
            line.push_str(&format!("\\u{{{:x}}}", u32::from(letter)));
        } else {
            line.push(letter);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_public_are_known_as_such() {
        let rows: &[(&str, Option<&str>)] = &[
            // public
            ("1.1.1.1", None),
            ("100.63.255.255", None),
            ("100.128.0.0", None),
            ("172.15.255.255", None),
            ("172.32.0.0", None),
            ("192.167.255.255", None),
            ("198.17.255.255", None),
            ("223.255.255.255", None),
            ("2606:4700::1111", None),
            ("2a00:1450::1", None),
            ("::ffff:1.1.1.1", None),
            ("64:ff9b::1.1.1.1", None),
            ("2002:101:101::", None),
            // not public
            ("0.0.0.0", Some("this network")),
            ("10.1.2.3", Some("private")),
            ("172.16.0.1", Some("private")),
            ("172.31.255.255", Some("private")),
            ("192.168.1.1", Some("private")),
            ("100.64.0.1", Some("shared behind a carrier's translation")),
            ("100.127.255.255", Some("shared behind a carrier's translation")),
            ("127.0.0.1", Some("this machine")),
            ("127.9.9.9", Some("this machine")),
            ("169.254.169.254", Some("where clouds keep credentials")),
            ("169.254.1.1", Some("link-local")),
            ("192.0.0.8", Some("for protocols")),
            ("192.0.2.1", Some("for documentation")),
            ("198.18.0.1", Some("for measurements")),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("255.255.255.255", Some("reserved")),
            ("::", Some("this machine")),
            ("::1", Some("this machine")),
            ("fc00::1", Some("unique local")),
            ("fdff::1", Some("unique local")),
            ("fd00:ec2::254", Some("where clouds keep credentials")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("site-local")),
            ("ff02::1", Some("multicast")),
            ("100::1", Some("for what is thrown away")),
            ("2001:db8::1", Some("for documentation")),
            ("3fff::1", Some("for documentation")),
            ("4000::1", Some("not assigned")),
            // IPv4 in other clothes
            ("::ffff:127.0.0.1", Some("this machine")),
            ("::ffff:169.254.169.254", Some("where clouds keep credentials")),
            ("::ffff:10.0.0.1", Some("private")),
            ("::127.0.0.1", Some("this machine")),
            ("::ffff:0:10.0.0.1", Some("private")),
            ("64:ff9b::10.0.0.1", Some("private")),
            ("64:ff9b::a9fe:a9fe", Some("where clouds keep credentials")),
            ("64:ff9b:1::1.1.1.1", Some("a local translation")),
            ("2002:7f00:1::", Some("this machine")),
            ("2001:0:1:2:3:4:f5ff:fffe", Some("private")),
        ];
        for (text, expected) in rows {
            assert_eq!(not_public(text.parse().unwrap()), *expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_taken_if_all_that_it_stands_for_may_be_connected_to() {
        let rows: &[(&[&str], bool, bool)] = &[
            (&["1.1.1.1:443"], false, true),
            (&["1.1.1.1:443", "[2606:4700::1]:443"], false, true),
            (&["1.1.1.1:443", "127.0.0.1:443"], false, false),
            (&["[::ffff:10.0.0.1]:443"], false, false),
            (&["127.0.0.1:443"], true, true),
            (&[], true, false),
        ];
        for (found, allow_private, taken) in rows {
            let found: Vec<SocketAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(admitted("h", *allow_private, found.clone()).is_ok(), *taken, "{found:?}");
        }
        let many: Vec<SocketAddr> = (1..=17).map(|last| SocketAddr::from(([1, 1, 1, last], 443))).collect();
        assert!(matches!(admitted("h", false, many), Err(Barred::TooMany { .. })));
        assert!(matches!(addresses("127.0.0.1", 9, false, Duration::from_secs(1)), Err(Barred::Private { .. })));
        assert!(addresses("127.0.0.1", 9, true, Duration::from_secs(1)).is_ok());
        assert!(matches!(addresses("localhost", 9, false, Duration::from_secs(5)), Err(Barred::Private { .. } | Barred::Unknown { .. })));
    }

    #[test]
    fn a_line_shows_what_misleads() {
        let rows = [("plain text", "plain text"), ("a\r\nBcc: b", "a\\u{d}\\u{a}Bcc: b"), ("\u{202e}txt", "\\u{202e}txt"), ("é", "é")];
        for (text, line) in rows {
            assert_eq!(one_line(text), line);
        }
    }
}
