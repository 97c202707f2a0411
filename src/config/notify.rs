//! Reads `[notify]`. What the files hold that it names is looked at when a server starts, and by `elevon config check`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use super::file::{File, word};
use super::keys;
use crate::domain::alert::Severity;
use crate::domain::calendar::{TimeOfDay, Zone};
use crate::domain::notice::Notice;
use crate::domain::{Duration, Uid};
use crate::notify::digest::{DigestSettings, WEEKDAYS};
use crate::notify::settings::{
    DestinationSettings, EmailSettings, Kind, MAX_DESTINATIONS, MAX_MAILBOXES, MAX_SECRETS, MailTls, NotifySettings, SetSettings,
    SubjectFormat, Url, is_of_this_machine,
};
use crate::notify::template::{Template, Templates};
use crate::notify::{is_mailbox, settings::Kind as Of};
use crate::policy::{At, Section, is_destination_name};

/// What bounds a destination where its entry does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ATTEMPTS: u32 = 300;
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
const DEAD_LETTERS: u32 = 1000;

/// How long a link to approve is good for, unless said. What is remembered of its use is kept for longer than the longest.
const LINK_GOOD_FOR: Duration = Duration::from_hours(1);

/// The claim that lists roles, unless said.
const CLAIM: &str = "elevon_roles";
/// Longest name of a host, an issuer, an audience and the like, in bytes.
const MAX_WORD_BYTES: usize = 255;

pub(super) fn read(file: &File<'_>) -> NotifySettings {
    let Some(section) = file.root.section("notify") else { return NotifySettings::default() };
    section.only(&[keys::NOTIFY.as_slice(), &["destinations", "digest", "templates"]].concat(), &[]);
    let destinations = destinations(file, &section);
    let digest = section.section("digest").and_then(|digest| read_digest(&digest, &destinations));
    let link_good_for = time(&section, "link_good_for", LINK_GOOD_FOR, [Duration::from_mins(1), Duration::from_hours(12)]);
    NotifySettings { public_url: public_url(&section), link_good_for, destinations, digest, templates: templates(&section) }
}

/// Where secrets of webhooks stand in a text, by mistake: in comments, too.
pub(super) fn secret_texts(text: &str) -> Vec<Range<usize>> {
    let begins = text.match_indices("whsec_").map(|(at, begins)| (at, at + begins.len()));
    let spans = begins.filter_map(|(at, from)| {
        let rest = text.get(from..)?;
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')).count();
        (length >= 8).then_some(at..from + length)
    });
    spans.collect()
}

fn report(section: &Section<'_>, key: &str, message: impl Into<String>, help: &str) {
    section.reader.report(section.span_of(key), message, (!help.is_empty()).then(|| help.to_owned()));
}

fn public_url(section: &Section<'_>) -> Option<String> {
    let text = section.string("public_url")?;
    match Url::parse(text.value, true) {
        Ok(url) if !url.text.contains('?') => Some(url.text.trim_end_matches('/').to_owned()),
        Ok(_) => {
            report(section, "public_url", "`public_url` has a query, and paths are put behind it", "take it out");
            None
        }
        Err(why) => {
            report(section, "public_url", format!("`public_url`: {why}"), "");
            None
        }
    }
}

fn time(section: &Section<'_>, key: &str, default: Duration, [least, most]: [Duration; 2]) -> Duration {
    let time = section.duration(key).unwrap_or(default);
    if time < least || time > most {
        report(section, key, format!("`{key}` is from {least} to {most}"), "");
    }
    time
}

fn templates(section: &Section<'_>) -> Templates {
    let mut found = Templates::default();
    let Some(all) = section.section("templates") else { return found };
    all.only(&Notice::ALL.map(Notice::as_str), &[]);
    for notice in Notice::ALL {
        let Some(one) = all.section(notice.as_str()) else { continue };
        one.only(&keys::TEMPLATE, &[]);
        let read = |key: &str| {
            let text = one.string(key)?;
            match Template::parse(text.value) {
                Ok(_) if key == "subject" && text.value.contains(['\n', '\r']) => {
                    one.reader.report(text.span, "a subject is one line", None);
                    None
                }
                Ok(template) => Some(template),
                Err(why) => {
                    one.reader.report(text.span, why, None);
                    None
                }
            }
        };
        found.0.insert(notice, (read("subject"), read("text")));
    }
    found
}

fn read_digest(section: &Section<'_>, destinations: &BTreeMap<String, DestinationSettings>) -> Option<DigestSettings> {
    section.only(&keys::DIGEST, &[]);
    let days: Vec<(&str, u32)> = WEEKDAYS.into_iter().zip(0..).collect();
    let day = word(section, "weekday", &days).unwrap_or(0);
    let at = section.string("at").map_or(Ok(None), |text| TimeOfDay::try_from(text.value.to_owned()).map(Some));
    let at = match at {
        Ok(at) => at,
        Err(why) => {
            report(section, "at", why, "");
            None
        }
    };
    let zone = section.string("zone").map_or_else(Zone::utc, |text| Zone::new(text.value));
    if !zone.is_known() {
        report(section, "zone", format!("there is no time zone `{zone}`"), "write one such as `Europe/Berlin`");
    }
    let mut named = BTreeSet::new();
    for text in section.strings("destinations").unwrap_or_default() {
        match destinations.get(text.value).map(|found| &found.kind) {
            None => section.reader.report(text.span, format!("there is no `[notify.destinations.{}]`", text.value), None),
            Some(Kind::Set(_)) => section.reader.report(text.span, "a receiver of security events gets no digest", None),
            Some(Kind::Email(mail)) if mail.to.is_empty() => {
                section.reader.report(text.span, "a digest goes to the mailboxes in `to`, and this destination has none", None);
            }
            Some(_) => drop(named.insert(text.value.to_owned())),
        }
    }
    if named.is_empty() && section.strings("destinations").is_none_or(|list| list.is_empty()) {
        report(section, "destinations", "a digest for nobody", "name `destinations`, or leave `[notify.digest]` out");
    }
    let nine = TimeOfDay::try_from("09:00".to_owned()).unwrap_or(TimeOfDay::MIDNIGHT);
    DigestSettings::weekly(day, at.unwrap_or(nine), zone, named)
}

fn destinations(file: &File<'_>, notify: &Section<'_>) -> BTreeMap<String, DestinationSettings> {
    let mut found = BTreeMap::new();
    let Some(all) = notify.section("destinations") else { return found };
    for key in all.keys() {
        if !is_destination_name(key.value) {
            let message = format!("`{}` is no name of a destination", key.value);
            let help = "such a name has 1 to 32 lower-case letters, digits, `-` and `_`";
            all.reader.report(key.span, message, Some(help.to_owned()));
            continue;
        }
        if found.len() >= MAX_DESTINATIONS {
            all.reader.report(key.span, format!("there are more than {MAX_DESTINATIONS} destinations"), None);
            break;
        }
        let Some(section) = all.section(key.value) else { continue };
        if let Some(destination) = (One { file, section }).read(key.value) {
            found.insert(key.value.to_owned(), destination);
        }
    }
    found
}

/// What every kind of destination may have, and what some have besides.
const KINDS: [(&str, &[&str]); 4] = [("webhook", &keys::WEBHOOK), ("slack", &keys::SLACK), ("email", &keys::EMAIL), ("set", &keys::SET)];

/// One destination being read.
struct One<'a> {
    file: &'a File<'a>,
    section: Section<'a>,
}

impl One<'_> {
    fn report(&self, key: &str, message: impl Into<String>, help: &str) {
        report(&self.section, key, message, help);
    }

    fn read(&self, name: &str) -> Option<DestinationSettings> {
        let section = &self.section;
        section.needed("kind")?;
        let kinds: Vec<(&str, (&str, &[&str]))> = KINDS.into_iter().map(|(kind, keys)| (kind, (kind, keys))).collect();
        let (kind, own) = word(section, "kind", &kinds)?;
        section.only(&[keys::DESTINATION.as_slice(), own].concat(), &[]);
        let allow_private = section.bool("allow_private").unwrap_or(false);
        let kind = match kind {
            "webhook" => self.webhook(allow_private),
            "slack" => self.slack(),
            "email" => self.email(allow_private),
            _ => self.set(allow_private),
        };
        let first_pause = self.time("first_pause", FIRST_PAUSE, [Duration::from_secs(1), Duration::from_hours(1)]);
        let longest_pause = self.time("longest_pause", LONGEST_PAUSE.max(first_pause), [Duration::from_secs(1), Duration::from_hours(1)]);
        if longest_pause < first_pause {
            self.report("longest_pause", "`longest_pause` is shorter than `first_pause`", "");
        }
        let kind = kind?;
        Some(DestinationSettings {
            name: name.to_owned(),
            events: self.events(&kind),
            alerts: word(section, "alerts", &Severity::ALL.map(|severity| (severity.as_str(), severity))),
            texts: section.bool("texts").unwrap_or(matches!(kind, Of::Slack { .. } | Of::Email(_))),
            allow_private,
            ca: self.file.maybe_path(section, "ca"),
            timeout: self.time("timeout", TIMEOUT, [Duration::from_secs(1), Duration::from_mins(1)]),
            max_attempts: self.number("max_attempts", MAX_ATTEMPTS, 10_000),
            give_up_after: self.time("give_up_after", GIVE_UP_AFTER, [Duration::from_secs(1), Duration::from_days(30)]),
            first_pause,
            longest_pause,
            dead_letters: usize::try_from(self.number("dead_letters", DEAD_LETTERS, 10_000)).unwrap_or(1),
            kind,
        })
    }

    fn time(&self, key: &str, default: Duration, [least, most]: [Duration; 2]) -> Duration {
        time(&self.section, key, default, [least, most])
    }

    fn number(&self, key: &str, default: u32, most: u32) -> u32 {
        let Some(number) = self.section.number(key) else { return default };
        if !(1..=most).contains(&number.value) {
            self.report(key, format!("`{key}` is from 1 to {most}"), "");
        }
        number.value
    }

    fn events(&self, kind: &Kind) -> BTreeSet<Notice> {
        let all: Vec<(&str, Notice)> = Notice::ALL.into_iter().map(|notice| (notice.as_str(), notice)).collect();
        match super::file::words(&self.section, "events", &all) {
            Some(events) => events.into_iter().collect(),
            None if matches!(kind, Kind::Webhook { .. }) => Notice::ALL.into_iter().filter(|notice| *notice != Notice::Upkeep).collect(),
            None => BTreeSet::new(),
        }
    }

    fn url(&self, allow_private: bool) -> Option<Url> {
        let text = self.section.needed("url")?;
        match Url::parse(text.value, allow_private) {
            Ok(url) => Some(url),
            Err(why) => {
                self.report("url", format!("`url`: {why}"), "");
                None
            }
        }
    }

    fn paths(&self, key: &str) -> Option<Vec<PathBuf>> {
        let listed = self.section.strings(key)?;
        if listed.iter().any(|text| text.value.is_empty()) {
            self.report(key, format!("`{key}` has an empty path"), "");
        }
        Some(listed.iter().map(|text| PathBuf::from(self.file.below(text.value))).collect())
    }

    /// A text that is no longer than names are, in one line.
    fn plain<'t>(&self, key: &str, text: Option<At<&'t str>>) -> Option<&'t str> {
        let text = text?;
        if text.value.is_empty() || text.value.len() > MAX_WORD_BYTES || text.value.chars().any(char::is_control) {
            self.report(key, format!("`{key}` has 1 to {MAX_WORD_BYTES} bytes in one line"), "");
            return None;
        }
        Some(text.value)
    }

    fn needed(&self, key: &str) -> Option<String> {
        self.plain(key, self.section.needed(key)).map(str::to_owned)
    }

    fn maybe(&self, key: &str) -> Option<String> {
        self.plain(key, self.section.string(key)).map(str::to_owned)
    }

    fn webhook(&self, allow_private: bool) -> Option<Kind> {
        let url = self.url(allow_private);
        let secrets = self.paths("secret_files").unwrap_or_default();
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            let message = format!("a webhook has 1 to {MAX_SECRETS} `secret_files`");
            self.report(
                "secret_files",
                message,
                "each holds one secret, `whsec_` and its key in base64; name two while one replaces the other",
            );
        }
        Some(Kind::Webhook { url: url?, secrets })
    }

    fn slack(&self) -> Option<Kind> {
        if !self.section.has("url_file") {
            let help = "the address of an incoming webhook is a secret: put it into a file, and name the file";
            self.report("url_file", "a Slack destination has no `url_file`", help);
        }
        let principal: Option<Uid> = self.section.uid("principal").map(|uid| uid.value);
        Some(Kind::Slack { url: self.file.maybe_path(&self.section, "url_file")?, principal })
    }

    fn email(&self, allow_private: bool) -> Option<Kind> {
        let words = [("starttls", MailTls::Starttls), ("tls", MailTls::Tls), ("none", MailTls::None)];
        let tls = word(&self.section, "tls", &words).unwrap_or(MailTls::Starttls);
        let host = self.needed("host");
        if tls == MailTls::None && !(allow_private && host.as_deref().is_some_and(is_of_this_machine)) {
            let message = "mail without TLS goes over the wire for everybody to read";
            self.report("tls", message, "it is taken for a server on this machine only, with `allow_private = true`");
        }
        let usual = match tls {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        };
        let port = if self.section.has("port") { self.number("port", usual, u32::from(u16::MAX)) } else { usual };
        let port = u16::try_from(port).unwrap_or(25);
        let (username, password) = (self.maybe("username"), self.file.maybe_path(&self.section, "password_file"));
        if username.is_some() != password.is_some() {
            self.report("username", "`username` and `password_file` go together", "name both, or neither");
        }
        let from = self.needed("from");
        if from.as_deref().is_some_and(|from| !is_mailbox(from)) {
            self.report("from", "`from` is no mailbox", "write one such as `Elevon <elevon@example.com>`");
        }
        let to = self.section.strings("to").unwrap_or_default();
        if to.len() > MAX_MAILBOXES {
            self.report("to", format!("{} mailboxes; at most {MAX_MAILBOXES} are written to", to.len()), "use a list of the mail server's");
        }
        for mailbox in to.iter().filter(|mailbox| !is_mailbox(mailbox.value) || mailbox.value.contains('<')) {
            self.section.reader.report(mailbox.span.clone(), format!("`{}` is no address", mailbox.value), None);
        }
        let to = to.into_iter().map(|mailbox| mailbox.value.to_owned()).collect();
        let attribute = self.maybe("address_attribute").unwrap_or_else(|| "email".to_owned());
        Some(Kind::Email(EmailSettings { host: host?, port, tls, username, password, from: from?, to, attribute }))
    }

    fn set(&self, allow_private: bool) -> Option<Kind> {
        for key in ["events", "alerts", "texts"].into_iter().filter(|key| self.section.has(key)) {
            self.report(key, format!("`{key}` is not for receivers of security events"), "they get what changes what somebody may claim");
        }
        let word_of = word(&self.section, "subject", &[("opaque", 0), ("iss_sub", 1), ("email", 2)]).unwrap_or(0);
        let of = self.subject_type(word_of != 0);
        let attribute = self.maybe("address_attribute").unwrap_or_else(|| "email".to_owned());
        let subject = match word_of {
            1 => self.needed("subject_issuer").zip(of).map(|(issuer, of)| SubjectFormat::IssSub { issuer, of }),
            2 => of.map(|of| SubjectFormat::Email { attribute, of }),
            _ => Some(SubjectFormat::Opaque),
        };
        if word_of != 1 && self.section.has("subject_issuer") {
            self.report("subject_issuer", "`subject_issuer` goes with `subject = \"iss_sub\"`", "leave it out");
        }
        let (url, issuer, audience) = (self.url(allow_private), self.needed("issuer"), self.needed("audience"));
        if !self.section.has("key_file") {
            self.report(
                "key_file",
                "no `key_file`: nobody could tell whose tokens these are",
                "name a file with a key on P-256, PKCS #8 in PEM",
            );
        }
        let retired = self.retired_keys();
        Some(Kind::Set(SetSettings {
            url: url?,
            issuer: issuer?,
            audience: audience?,
            key: self.file.maybe_path(&self.section, "key_file")?,
            kid: self.maybe("kid"),
            retired,
            authorization: self.file.maybe_path(&self.section, "authorization_file"),
            subject: subject?,
            claim: self.maybe("claim").unwrap_or_else(|| CLAIM.to_owned()),
        }))
    }

    /// Keys that sign no more: by their thumbprints, and by the names that they had.
    fn retired_keys(&self) -> Vec<(PathBuf, Option<String>)> {
        let mut found: Vec<_> = self.paths("retired_key_files").unwrap_or_default().into_iter().map(|path| (path, None)).collect();
        for section in self.section.sections("retired_keys") {
            section.only(&keys::RETIRED_KEY, &[]);
            let one = One { file: self.file, section };
            if let (Some(_), Some(path)) = (one.section.needed("file"), self.file.maybe_path(&one.section, "file")) {
                found.push((path, one.maybe("kid")));
            }
        }
        if found.len() > MAX_SECRETS {
            let key = if self.section.has("retired_keys") { "retired_keys" } else { "retired_key_files" };
            self.report(key, format!("at most {MAX_SECRETS} keys are published beside the one that signs"), "");
        }
        found
    }

    /// The type of principals that tokens speak of, where these are named by something that does not say it.
    fn subject_type(&self, needed: bool) -> Option<String> {
        let (key, given) = ("subject_type", self.section.has("subject_type"));
        match (needed, given) {
            (false, false) => None,
            (false, true) => {
                self.report(key, "`subject_type` goes with a `subject` that is `iss_sub` or `email`", "leave it out");
                None
            }
            (true, false) => {
                let message = "no `subject_type`: an id or an address alone does not say of which type a principal is";
                self.report(key, message, "name the type of those whom the receiver knows, such as `subject_type = \"User\"`");
                None
            }
            (true, true) => {
                let of = self.maybe(key)?;
                let sound = Uid::parse(&format!("{of}::\"x\"")).is_ok_and(|uid| uid.kind() == of);
                if !sound {
                    self.report(
                        key,
                        format!("`{of}` is no type of principals"),
                        "write one such as `User`, or `Corp::User` with its namespace",
                    );
                }
                sound.then_some(of)
            }
        }
    }
}
