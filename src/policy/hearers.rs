//! `notify` of a role: who hears of what. Whether a destination is there is not asked here: one bundle serves with many configurations, and a
//! server says in its log which names of a bundle it does not know.

use std::collections::BTreeSet;

use super::problem::nearest;
use super::settings_file::{At, Section};
use crate::domain::notice::{Hearer, Hearers, Notice};
use crate::domain::{RoleSettings, Uid};

/// Most who can be named for one kind of event.
const MAX_HEARERS: usize = 100;
/// What a destination's name stands behind.
const DESTINATION: &str = "destination:";
/// Longest name of a destination, in bytes.
pub(crate) const MAX_DESTINATION_BYTES: usize = 32;
/// The words that name somebody by the part that they have.
const PARTS: [(&str, Hearer); 3] = [("approvers", Hearer::Approvers), ("requester", Hearer::Requester), ("holder", Hearer::Holder)];

/// Whether a text is the name of a destination: it stands in addresses, in ids and in labels.
pub(crate) fn is_destination_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= MAX_DESTINATION_BYTES && text.bytes().all(plain)
}

/// Reads `notify` of a role that has these settings besides; each entity that is named is noted in `named`, to be held against the schema.
pub(super) fn read(role: &Section<'_>, settings: &RoleSettings, named: &mut Vec<At<Uid>>) -> Hearers {
    let Some(section) = role.section("notify") else { return Hearers::new() };
    let known: Vec<&str> = Notice::ALL.iter().filter(|notice| notice.is_of_a_role()).map(|notice| notice.as_str()).collect();
    section.only(&known, &[]);
    let has_stages = !settings.stages.is_empty();
    let mut hearers = Hearers::new();
    for notice in Notice::ALL.into_iter().filter(|notice| notice.is_of_a_role()) {
        let Some(listed) = section.strings(notice.as_str()) else { continue };
        if listed.len() > MAX_HEARERS {
            let message = format!("`{}` names {}; at most {MAX_HEARERS} are told", notice.as_str(), listed.len());
            section.reader.report(section.span_of(notice.as_str()), message, Some("put them into a group".to_owned()));
        }
        if notice == Notice::Emergency && settings.emergency.is_none() {
            let help = "add `emergency` to the role, or take this out: nobody would ever be told".to_owned();
            section.reader.report(section.span_of(notice.as_str()), "the role cannot be taken in an emergency", Some(help));
        }
        let mut found = BTreeSet::new();
        for text in listed.into_iter().take(MAX_HEARERS) {
            let span = text.span.clone();
            let Some(hearer) = hearer(&section, notice, text, has_stages, named) else { continue };
            if found.contains(&hearer) {
                section.reader.report(span, "it stands there twice", None);
            }
            found.insert(hearer);
        }
        hearers.insert(notice, found);
    }
    hearers
}

fn hearer(section: &Section<'_>, notice: Notice, text: At<&str>, has_stages: bool, named: &mut Vec<At<Uid>>) -> Option<Hearer> {
    let report = |message: String, help: &str| {
        section.reader.report(text.span.clone(), message, Some(help.to_owned()));
        None
    };
    if let Some((word, hearer)) = PARTS.iter().find(|(word, _)| *word == text.value) {
        let of_a_grant = matches!(notice, Notice::Eligibility | Notice::Assignment);
        let asked = matches!(hearer, Hearer::Approvers);
        if (of_a_grant && !matches!(hearer, Hearer::Holder)) || (asked && notice == Notice::GrantRequest) {
            return report(format!("`{}` has no {word}", notice.as_str()), "name the `holder`, a group, or a destination");
        }
        if asked && !has_stages {
            return report("the role asks no approvers".to_owned(), "add `approval.stages`, or take `approvers` out");
        }
        return Some(hearer.clone());
    }
    if let Some(name) = text.value.strip_prefix(DESTINATION) {
        if !is_destination_name(name) {
            let message = format!("`{name}` is no name of a destination");
            return report(message, "such a name has 1 to 32 lower-case letters, digits, `-` and `_`");
        }
        return Some(Hearer::Destination(name.to_owned()));
    }
    if !text.value.contains("::") {
        let words = || PARTS.iter().map(|(word, _)| *word);
        let help = match nearest(text.value, words()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "known here: approvers, requester, holder, `Type::\"id\"`, `destination:NAME`".to_owned(),
        };
        return report(format!("`{}` names nobody", text.value), &help);
    }
    let uid = section.as_uid(text)?;
    named.push(uid.clone());
    Some(Hearer::Entity(uid.value))
}
