//! Reads a configuration file's text. Nothing it names is looked at.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::keys;
use super::{ClientCertificate, Credentials, ListenerSettings, MAX_CONFIG_BYTES, MAX_LISTENERS, Place, Settings, TlsSettings};
use crate::domain::CredentialKind;
use crate::identity::token_texts;
use crate::policy::{At, BundleError, Reader, Section, nearest};
use crate::telemetry::{LogConfig, LogFormat};

/// Longest name of a listener, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Longest path of a UNIX socket that the kernel takes, in bytes.
const MAX_SOCKET_BYTES: usize = 107;
/// Permissions of a UNIX socket, unless said: its owner and its group.
const MODE: u32 = 0o660;

/// The text of a file, within bounds.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let bytes = file.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes as u64 > MAX_CONFIG_BYTES {
        return Err(format!("is longer than {MAX_CONFIG_BYTES} bytes"));
    }
    Ok(text)
}

/// Reads a text. `path` is where it came from: what it names is relative to the folder of that.
pub(super) fn read(path: &Path, text: &str) -> Result<Settings, BundleError> {
    let name = path.display().to_string();
    // what is wrong is shown with its line, and a token that was put there by mistake is shown to nobody
    let (tokens, secrets) = (token_texts(text), super::notify::secret_texts(text));
    let text = without(text, &[tokens.as_slice(), secrets.as_slice()].concat());
    let reader = Reader::new(&name, &text);
    for token in tokens {
        let help = "take it out, make another one with `elevon token`, and put that one's `sha256` here";
        reader.report(token, "a token stands here, and whoever reads this file could be whom it shows", Some(help.to_owned()));
    }
    for secret in secrets {
        let help = "put it into a file of its own, and name that in `secret_files`; make another one, for this one may have been read";
        reader.report(secret, "a webhook's secret stands here, and whoever reads this file could sign with it", Some(help.to_owned()));
    }
    let table = reader.parse();
    let root = reader.root(&table);
    let read = File { folder: path.parent().unwrap_or_else(|| Path::new("")), root };
    let settings = read.settings(path);
    drop(read);
    drop(table);
    reader.into_problems().into_result()?;
    Ok(settings)
}

/// A text with `*` in the place of these spans, so that every other place is where it was.
fn without(text: &str, spans: &[Range<usize>]) -> String {
    let hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
    text.char_indices().map(|(at, letter)| if hidden(at) { '*' } else { letter }).collect()
}

/// A file being read.
pub(super) struct File<'a> {
    folder: &'a Path,
    pub(super) root: Section<'a>,
}

impl File<'_> {
    fn settings(&self, path: &Path) -> Settings {
        self.root.only(&keys::TOP, &[]);
        let listeners = self.listeners();
        let credentials = self.credentials(&listeners);
        Settings {
            file: Some(path.to_owned()),
            policies: self.path(&self.root, "policies").unwrap_or_default(),
            data: self.path(&self.root, "data").unwrap_or_default(),
            log: self.log(),
            dev: false,
            limits: super::limits::read(self),
            open_metrics: self.metrics(&listeners),
            notify: super::notify::read(self),
            listeners,
            credentials,
            test_clock: false,
            port_file: None,
        }
    }

    /// A path as it is meant: relative to the file's folder.
    pub(super) fn below(&self, path: &str) -> String {
        self.folder.join(path).display().to_string()
    }

    /// A path that has to be there.
    pub(super) fn path(&self, section: &Section<'_>, key: &str) -> Option<PathBuf> {
        let text = section.needed(key)?;
        if text.value.is_empty() {
            section.reader.report(text.span, format!("`{key}` is empty; write a path, absolute or relative to this file"), None);
            return None;
        }
        Some(self.folder.join(text.value))
    }

    /// A path that may be left out.
    pub(super) fn maybe_path(&self, section: &Section<'_>, key: &str) -> Option<PathBuf> {
        if section.has(key) { self.path(section, key) } else { None }
    }

    fn log(&self) -> LogConfig {
        let mut log = LogConfig::default();
        let Some(section) = self.root.section("log") else { return log };
        section.only(&keys::LOG, &[]);
        if let Some(format) = word(&section, "format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]) {
            log.format = format;
        }
        if let Some(filter) = section.string("filter") {
            filter.value.clone_into(&mut log.filter);
            if let Err(error) = log.check() {
                section.reader.report(filter.span, error.to_string(), None);
            }
        }
        log
    }

    fn metrics(&self, listeners: &[ListenerSettings]) -> bool {
        let Some(section) = self.root.section("metrics") else { return false };
        section.only(&keys::METRICS, &[]);
        let open = section.bool("open").unwrap_or(false);
        let outside = listeners.iter().find(|listener| listener.control && !listener.at.is_of_this_machine());
        if let Some(listener) = outside.filter(|_| open) {
            let message = format!("`open` shows metrics to whoever connects, and listener `{}` is open to other machines", listener.name);
            let help = "leave it out and let the collector show a credential, or take the control plane off that listener";
            section.reader.report(section.span_of("open"), message, Some(help.to_owned()));
        }
        open
    }

    fn listeners(&self) -> Vec<ListenerSettings> {
        let sections = self.root.sections("listeners");
        let report = |message: String, help: &str| self.root.reader.report(self.root.span_of("listeners"), message, Some(help.to_owned()));
        if sections.is_empty() {
            let help =
                "add one, such as:\n    [[listeners]]\n    name = \"local\"\n    address = \"127.0.0.1:8181\"\n    accept = [\"token\"]";
            report("no `[[listeners]]`: nobody could reach this server".to_owned(), help);
        }
        if sections.len() > MAX_LISTENERS {
            report(format!("{} listeners; at most {MAX_LISTENERS} are served", sections.len()), "take some out");
        }
        let listeners: Vec<_> = sections.iter().take(MAX_LISTENERS).filter_map(|section| self.listener(section)).collect();
        let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (listener, section) in listeners.iter().zip(&sections) {
            if !names.insert(listener.name.as_str()) {
                let message = format!("two listeners are named `{}`; give each its own name", listener.name);
                section.reader.report(section.span_of("name"), message, None);
            }
            let any_port = matches!(listener.at, Place::Tcp(address) if address.port() == 0);
            if !places.insert(listener.at.to_string()) && !any_port {
                let key = if section.has("address") { "address" } else { "unix" };
                section.reader.report(section.span_of(key), format!("two listeners listen on `{}`", listener.at), None);
            }
        }
        listeners
    }

    fn listener(&self, section: &Section<'_>) -> Option<ListenerSettings> {
        section.only(&keys::LISTENER, &[]);
        let report = |key: &str, message: String, help: &str| {
            section.reader.report(section.span_of(key), message, Some(help.to_owned()));
        };
        let name = section.needed("name").map(|name| name.value.to_owned());
        let plain = |name: &String| !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(|sign| sign.is_ascii_graphic());
        if name.as_ref().is_some_and(|name| !plain(name)) {
            report("name", format!("a listener's name has 1 to {MAX_NAME_BYTES} visible ASCII characters"), "it is what logs show");
        }
        let at = self.place(section);
        let planes = words(section, "planes", &[("check", true), ("control", false)]).unwrap_or_else(|| vec![true, false]);
        if planes.is_empty() {
            report("planes", "a listener without a plane answers nothing".to_owned(), "leave `planes` out for both");
        }
        let kinds = [CredentialKind::Oidc, CredentialKind::Token, CredentialKind::Mtls, CredentialKind::Unix];
        let accept = words(section, "accept", &kinds.map(|kind| (kind.as_str(), kind))).unwrap_or_default();
        if accept.is_empty() {
            let message = "a listener that accepts nothing has nobody to serve".to_owned();
            report("accept", message, "name what it takes, such as `accept = [\"token\"]`");
        }
        let tls = section.section("tls").and_then(|tls| self.tls(&tls));
        let (check, control) = (planes.contains(&true), planes.contains(&false));
        let grpc_reflection = section.bool("grpc_reflection").unwrap_or(false);
        if grpc_reflection && !check {
            let message = "`grpc_reflection` says what is served over gRPC, and this listener serves no checks".to_owned();
            report("grpc_reflection", message, "leave it out, or add `check` to `planes`");
        }
        let listener = ListenerSettings { name: name?, at: at?, check, control, accept, tls, grpc_reflection };
        fits(section, &listener);
        Some(listener)
    }

    fn place(&self, section: &Section<'_>) -> Option<Place> {
        let report = |key: &str, message: &str, help: &str| {
            section.reader.report(section.span_of(key), message, Some(help.to_owned()));
            None
        };
        match (section.has("address"), section.has("unix")) {
            (false, false) => report("name", "a listener needs an `address` or a `unix` socket", "write `address = \"127.0.0.1:8181\"`"),
            (true, true) => report("unix", "a listener has an `address` or a `unix` socket, and not both", "make two listeners of it"),
            (true, false) => {
                if section.has("mode") {
                    report("mode", "`mode` is for `unix` sockets", "leave it out")?;
                }
                let text = section.string("address")?;
                let Ok(address) = text.value.parse::<SocketAddr>() else {
                    let message = format!("`{}` is no address with a port", text.value);
                    return report("address", &message, "write one such as `127.0.0.1:8181` or `[::1]:8181`; names are not looked up");
                };
                Some(Place::Tcp(address))
            }
            (false, true) => {
                let path = self.path(section, "unix")?;
                if path.as_os_str().len() > MAX_SOCKET_BYTES {
                    return report("unix", "the kernel takes no socket with a path that long", "write a path of at most 107 bytes");
                }
                Some(Place::Unix { path, mode: mode(section).unwrap_or(MODE) })
            }
        }
    }

    fn tls(&self, section: &Section<'_>) -> Option<TlsSettings> {
        section.only(&keys::TLS, &[]);
        let asked =
            [("none", ClientCertificate::None), ("optional", ClientCertificate::Optional), ("required", ClientCertificate::Required)];
        let client_certificate = word(section, "client_certificate", &asked).unwrap_or(ClientCertificate::None);
        let (certificate, key) = (self.path(section, "certificate"), self.path(section, "key"));
        let client_ca = self.maybe_path(section, "client_ca");
        let asks = client_certificate != ClientCertificate::None;
        if asks != section.has("client_ca") {
            let (message, help) = if asks {
                ("clients are asked for certificates, and no `client_ca` says which are believed", "name the file of the authority")
            } else {
                ("`client_ca` is of no use while clients are not asked for certificates", "add `client_certificate = \"required\"`")
            };
            section.reader.report(section.span_of("client_certificate"), message, Some(help.to_owned()));
        }
        Some(TlsSettings { certificate: certificate?, key: key?, client_ca, client_certificate })
    }

    fn credentials(&self, listeners: &[ListenerSettings]) -> Credentials {
        super::credentials::read(self, listeners)
    }
}

/// What of a listener does not go together.
fn fits(section: &Section<'_>, listener: &ListenerSettings) {
    let report = |key: &str, message: String, help: &str| section.reader.report(section.span_of(key), message, Some(help.to_owned()));
    let takes = |kind| listener.accept.contains(&kind);
    match &listener.at {
        Place::Tcp(address) if listener.tls.is_none() && !section.has("tls") && !address.ip().is_loopback() => {
            let message = format!("`{address}` is open to other machines, and what comes and goes there would be in clear text");
            report("address", message, "add `tls = { certificate = \"…\", key = \"…\" }`, or listen on 127.0.0.1 or a `unix` socket");
        }
        Place::Unix { .. } if section.has("tls") => {
            report("tls", "a `unix` socket does not leave this machine and takes no TLS".to_owned(), "leave `tls` out");
        }
        Place::Tcp(_) | Place::Unix { .. } => {}
    }
    if takes(CredentialKind::Unix) && matches!(listener.at, Place::Tcp(_)) {
        report("accept", "`unix` is for listeners with a `unix` socket".to_owned(), "take it out, or make a listener of its own for it");
    }
    if takes(CredentialKind::Unix) && listener.accept.len() > 1 {
        let message = "`unix` stands alone: every connection to a UNIX socket has a user".to_owned();
        report("accept", message, "make a listener of its own for the others");
    }
    let asks = listener.tls.as_ref().is_some_and(|tls| tls.client_certificate != ClientCertificate::None);
    if takes(CredentialKind::Mtls) && !asks {
        let help = "add `tls = { certificate = \"…\", key = \"…\", client_ca = \"…\", client_certificate = \"required\" }`";
        report("accept", "`mtls` needs a listener that asks clients for certificates".to_owned(), help);
    }
}

/// Permissions, as octal digits.
fn mode(section: &Section<'_>) -> Option<u32> {
    let text = section.string("mode")?;
    let mode = u32::from_str_radix(text.value, 8).ok().filter(|mode| *mode <= 0o777 && text.value.len() <= 4);
    if mode.is_none() {
        let message = format!("`{}` are no permissions; write octal digits such as \"0660\"", text.value);
        section.reader.report(text.span, message, None);
    }
    mode
}

fn known<T: Copy>(section: &Section<'_>, key: &str, text: &At<&str>, known: &[(&str, T)]) -> Option<T> {
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == text.value) {
        return Some(*value);
    }
    let words = || known.iter().map(|(word, _)| *word);
    let help = match nearest(text.value, words()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known here: {}", words().collect::<Vec<_>>().join(", ")),
    };
    section.reader.report(text.span.clone(), format!("`{key}` takes no `{}`", text.value), Some(help));
    None
}

/// One of the words that a key takes.
pub(super) fn word<T: Copy>(section: &Section<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    known(section, key, &section.string(key)?, words)
}

/// A list of the words that a key takes, each once.
pub(super) fn words<T: Copy>(section: &Section<'_>, key: &str, words: &[(&str, T)]) -> Option<Vec<T>> {
    let listed = section.strings(key)?;
    let mut seen = BTreeSet::new();
    for text in listed.iter().filter(|text| !seen.insert(text.value)) {
        section.reader.report(text.span.clone(), format!("`{}` stands there twice", text.value), None);
    }
    Some(listed.iter().filter_map(|text| known(section, key, text, words)).collect())
}

impl Place {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}
