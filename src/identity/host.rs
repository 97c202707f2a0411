//! Names of this machine to itself.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a `Host` header (with or without a port) names a loopback address. A web page that points a name of its own at
/// 127.0.0.1 sends that name, and is refused.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let Some(name) = without_port(host) else { return false };
    if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok_and(|address| IpAddr::V6(address).is_loopback());
    }
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let in_order = port.is_none_or(|port| !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()));
    in_order.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_loopback_names_pass() {
        let rows = [
            ("localhost", true),
            ("LocalHost:8123", true),
            ("127.0.0.1:80", true),
            ("127.9.9.9", true),
            ("[::1]:8123", true),
            ("[::1]", true),
            ("", false),
            ("localhost:", false),
            ("localhost:80:80", false),
            ("localhost.evil.example", false),
            ("evil.example:8123", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("[::2]", false),
            ("::1", false),
            ("127.0.0.1.evil.example", false),
        ];
        for (host, loopback) in rows {
            assert_eq!(is_loopback_host(host), loopback, "{host}");
        }
    }
}
