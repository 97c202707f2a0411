//! Every key that a configuration file may have. The reader refuses all others; a test holds this list against `docs/configuration.md` and
//! `elevon.example.toml`.

/// Keys at the top.
pub(super) const TOP: [&str; 11] =
    ["policies", "data", "log", "listeners", "tokens", "oidc", "mtls", "unix", "limits", "metrics", "notify"];
/// Keys of `[log]`.
pub(super) const LOG: [&str; 2] = ["format", "filter"];
/// Keys of `[[listeners]]`.
pub(super) const LISTENER: [&str; 8] = ["name", "address", "unix", "mode", "planes", "accept", "tls", "grpc_reflection"];
/// Keys of `tls` of a listener.
pub(super) const TLS: [&str; 4] = ["certificate", "key", "client_ca", "client_certificate"];
/// Keys of `[[tokens]]`.
pub(super) const TOKEN: [&str; 7] = ["id", "sha256", "principal", "groups", "not_before", "expires", "previous"];
/// Keys of `previous` of a token.
const PREVIOUS: [&str; 2] = ["sha256", "until"];
/// Keys of `[[oidc]]` that say which tokens are taken, and whom they show.
pub(super) const ISSUER: [&str; 13] = [
    "issuer",
    "keys",
    "audiences",
    "algorithms",
    "types",
    "leeway",
    "require_nbf",
    "max_lifetime",
    "principal_type",
    "principal_claim",
    "strip_prefix",
    "groups_claim",
    "mfa_acr",
];
/// Keys of `[[oidc]]` that say how its keys are fetched.
pub(super) const FETCH: [&str; 2] = ["refresh", "ca"];
/// Keys of `keys` of an issuer.
const KEYS: [&str; 2] = ["url", "file"];
/// Keys of `[mtls]`.
pub(super) const MTLS: [&str; 4] = ["names", "trust_domain", "paths", "subjects"];
/// Keys of `[[mtls.paths]]`.
const PATH: [&str; 3] = ["path", "principal", "groups"];
/// Keys of `[[mtls.subjects]]`.
const SUBJECT: [&str; 3] = ["name", "principal", "groups"];
/// Keys of `[[unix]]`.
pub(super) const UNIX: [&str; 4] = ["uid", "gid", "principal", "groups"];
/// Keys of `[limits]`.
pub(super) const LIMITS: [&str; 24] = [
    "connections",
    "connections_per_peer",
    "checks_in_flight",
    "control_in_flight",
    "commands_per_second",
    "command_burst",
    "header_bytes",
    "headers",
    "handshake_timeout",
    "head_timeout",
    "body_timeout",
    "request_timeout",
    "write_timeout",
    "idle_timeout",
    "lifetime",
    "drain_timeout",
    "h2_streams",
    "h2_pending_resets",
    "h2_error_resets",
    "h2_given_up",
    "h2_stream_window",
    "h2_connection_window",
    "h2_ping_every",
    "h2_ping_timeout",
];
/// Keys of `[metrics]`.
pub(super) const METRICS: [&str; 1] = ["open"];
/// Keys of `[notify]`.
pub(super) const NOTIFY: [&str; 2] = ["public_url", "link_good_for"];
/// Keys of `[notify.destinations.NAME]` of every kind.
pub(super) const DESTINATION: [&str; 12] = [
    "kind",
    "events",
    "alerts",
    "texts",
    "allow_private",
    "ca",
    "timeout",
    "max_attempts",
    "give_up_after",
    "first_pause",
    "longest_pause",
    "dead_letters",
];
/// Those of a webhook.
pub(super) const WEBHOOK: [&str; 2] = ["url", "secret_files"];
/// Those of a channel.
pub(super) const SLACK: [&str; 2] = ["url_file", "principal"];
/// Those of e-mail.
pub(super) const EMAIL: [&str; 8] = ["host", "port", "tls", "username", "password_file", "from", "to", "address_attribute"];
/// Those of a receiver of security events.
pub(super) const SET: [&str; 13] = [
    "url",
    "issuer",
    "audience",
    "key_file",
    "kid",
    "retired_key_files",
    "retired_keys",
    "authorization_file",
    "subject",
    "subject_issuer",
    "subject_type",
    "address_attribute",
    "claim",
];
/// Keys of `retired_keys` of such a destination.
pub(super) const RETIRED_KEY: [&str; 2] = ["file", "kid"];
/// Keys of `[notify.digest]`.
pub(super) const DIGEST: [&str; 4] = ["weekday", "at", "zone", "destinations"];
/// Keys of `[notify.templates.EVENT]`.
pub(super) const TEMPLATE: [&str; 2] = ["subject", "text"];

/// Every key that has a value of its own, spelt out from the top.
#[must_use]
pub fn all() -> Vec<String> {
    let tables: [(&str, &[&str]); 23] = [
        ("log", &LOG),
        ("listeners", &LISTENER),
        ("listeners.tls", &TLS),
        ("tokens", &TOKEN),
        ("tokens.previous", &PREVIOUS),
        ("oidc", &ISSUER),
        ("oidc", &FETCH),
        ("oidc.keys", &KEYS),
        ("mtls", &MTLS),
        ("mtls.paths", &PATH),
        ("mtls.subjects", &SUBJECT),
        ("unix", &UNIX),
        ("limits", &LIMITS),
        ("metrics", &METRICS),
        ("notify", &NOTIFY),
        ("notify.destinations.NAME", &DESTINATION),
        ("notify.destinations.NAME", &WEBHOOK),
        ("notify.destinations.NAME", &SLACK),
        ("notify.destinations.NAME", &EMAIL),
        ("notify.destinations.NAME", &SET),
        ("notify.destinations.NAME.retired_keys", &RETIRED_KEY),
        ("notify.digest", &DIGEST),
        ("notify.templates.EVENT", &TEMPLATE),
    ];
    let below = tables.into_iter().flat_map(|(table, keys)| keys.iter().map(move |key| format!("{table}.{key}")));
    let every: Vec<String> = TOP.iter().map(|key| (*key).to_owned()).chain(below).collect();
    every.iter().filter(|key| !every.iter().any(|other| other.starts_with(&format!("{key}.")))).cloned().collect()
}
