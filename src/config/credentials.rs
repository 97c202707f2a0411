//! Reads `[[tokens]]`, `[[oidc]]`, `[mtls]` and `[[unix]]`. What an entry may hold is said by its type in the identity room.

use std::sync::Arc;

use super::file::File;
use super::{Credentials, IssuerConfig, ListenerSettings, keys};
use crate::domain::{CredentialKind, Duration};
use crate::identity::{
    BadSettings, CertificateSettings, Certificates, Issuer, IssuerSettings, KeySet, KeySource, Keys, Oidc, PeerEntry, Peers, TokenEntry,
    Tokens,
};
use crate::policy::Section;

/// How often an issuer's keys are fetched, unless said; and the least and the most that may be said.
const REFRESH: Duration = Duration::from_mins(15);
const REFRESH_BOUNDS: [Duration; 2] = [Duration::from_mins(1), Duration::from_hours(24)];

/// Stands in for an issuer's keys while only its settings are looked at.
struct NoKeys;

impl Keys for NoKeys {
    fn current(&self) -> Arc<KeySet> {
        Arc::new(KeySet::none())
    }
}

/// Reads the entries of every kind, and sees that each kind that a listener takes has some, and that none is there for nothing.
pub(super) fn read(file: &File<'_>, listeners: &[ListenerSettings]) -> Credentials {
    let root = &file.root;
    let read = Credentials { tokens: tokens(root), issuers: issuers(file), mtls: mtls(root), peers: peers(root) };
    let kinds = [
        (CredentialKind::Token, "tokens", "[[tokens]]"),
        (CredentialKind::Oidc, "oidc", "[[oidc]]"),
        (CredentialKind::Mtls, "mtls", "[mtls]"),
        (CredentialKind::Unix, "unix", "[[unix]]"),
    ];
    for (kind, key, table) in kinds {
        let taken = listeners.iter().find(|listener| listener.accept.contains(&kind));
        match (taken, root.has(key)) {
            (Some(listener), false) => {
                let message = format!("listener `{}` accepts `{}`, and there is no `{table}`", listener.name, kind.as_str());
                let help = format!("add `{table}` with whom it shows, or take `{}` out of `accept`", kind.as_str());
                root.reader.report(root.span_of("listeners"), message, Some(help));
            }
            (None, true) => {
                let message = format!("`{table}` is there, and no listener accepts `{}`: nobody in it could call", kind.as_str());
                let help = format!("add `{}` to `accept` of a listener, or take `{table}` out", kind.as_str());
                root.reader.report(root.span_of(key), message, Some(help));
            }
            (Some(_), true) | (None, false) => {}
        }
    }
    read
}

fn report(section: &Section<'_>, bad: &BadSettings) {
    section.reader.report(section.span.clone(), format!("{}: {}", bad.at, bad.why), None);
}

/// The entries of a list of tables, each with its place.
fn entries<'a, T: serde::de::DeserializeOwned>(root: &Section<'a>, key: &str, keys: &[&str]) -> Vec<(T, Section<'a>)> {
    let sections = root.sections(key).into_iter();
    let read = sections.filter_map(|section| {
        section.only(keys, &[]);
        section.typed(keys).map(|entry| (entry, section))
    });
    read.collect()
}

/// Says what is wrong with entries that are held together, at the first entry with which it is.
fn together<T: Clone>(found: &[(T, Section<'_>)], new: impl Fn(Vec<T>) -> Result<(), BadSettings>) {
    let mut taken: Vec<T> = Vec::new();
    for (entry, section) in found {
        taken.push(entry.clone());
        if let Err(bad) = new(taken.clone()) {
            report(section, &bad);
            taken.pop();
        }
    }
}

fn tokens(root: &Section<'_>) -> Vec<TokenEntry> {
    let found = entries::<TokenEntry>(root, "tokens", &keys::TOKEN);
    together(&found, |entries| Tokens::new(entries).map(drop));
    found.into_iter().map(|(entry, _)| entry).collect()
}

fn peers(root: &Section<'_>) -> Vec<PeerEntry> {
    let found = entries::<PeerEntry>(root, "unix", &keys::UNIX);
    together(&found, |entries| Peers::new(entries).map(drop));
    found.into_iter().map(|(entry, _)| entry).collect()
}

fn mtls(root: &Section<'_>) -> Option<CertificateSettings> {
    let section = root.section("mtls")?;
    section.only(&keys::MTLS, &[]);
    let settings: CertificateSettings = section.typed(&keys::MTLS)?;
    if let Err(bad) = Certificates::new(settings.clone()) {
        report(&section, &bad);
    }
    Some(settings)
}

fn issuers(file: &File<'_>) -> Vec<IssuerConfig> {
    let mut found = Vec::new();
    for section in file.root.sections("oidc") {
        section.only(&[keys::ISSUER.as_slice(), &keys::FETCH].concat(), &[]);
        let refresh = section.duration("refresh").unwrap_or(REFRESH);
        let [least, most] = REFRESH_BOUNDS;
        if refresh < least || refresh > most {
            section.reader.report(section.span_of("refresh"), format!("`refresh` is from {least} to {most}"), None);
        }
        let ca = file.maybe_path(&section, "ca");
        let Some(mut settings) = section.typed::<IssuerSettings>(&keys::ISSUER) else { continue };
        match &mut settings.keys {
            KeySource::File(path) => *path = file.below(path),
            KeySource::Url(url) => {
                if let Err(why) = fetchable(url) {
                    section.reader.report(section.span_of("keys"), why, None);
                }
            }
        }
        found.push((IssuerConfig { settings, refresh, ca }, section));
    }
    together(&found, |entries: Vec<IssuerConfig>| {
        let issuers = entries.into_iter().map(|entry| Issuer::new(entry.settings, Arc::new(NoKeys)));
        Oidc::new(issuers.collect::<Result<_, _>>()?).map(drop)
    });
    found.into_iter().map(|(entry, _)| entry).collect()
}

/// Keys that come over a wire that others can write on are not the issuer's.
fn fetchable(url: &str) -> Result<(), String> {
    let loopback = ["http://127.0.0.1", "http://[::1]", "http://localhost"]
        .iter()
        .any(|start| url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('@') && url.len() <= 2048;
    if plain && (loopback || url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))) {
        return Ok(());
    }
    Err("an issuer's keys come from an `https://` address without user and password (`http://` on this machine only), or from a `file`"
        .to_owned())
}
