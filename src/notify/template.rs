//! What is written: a subject and a text for each kind of event, with names in braces. A template is plain text in every medium and has no logic;
//! what stands for a name is made harmless before it is put in, and the whole is escaped for the medium afterwards. Lost: a template language, in
//! which a reason that somebody wrote is one mistake away from being part of the message's form.

use std::collections::BTreeMap;

use crate::domain::notice::Notice;

/// Longest template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 4096;

/// The names that a template may use.
pub const NAMES: [&str; 15] =
    ["event", "at", "seq", "id", "role", "principal", "requester", "actor", "scope", "start", "end", "reason", "ticket", "detail", "link"];

/// What stands for nothing.
const NOTHING: &str = "-";

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(&'static str),
}

/// A text with names in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// What stands for the names.
pub type Values = BTreeMap<&'static str, String>;

impl Template {
    /// Reads a text. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// It is too long, a brace stands alone, or a name is not known.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(format!("a template has at most {MAX_TEMPLATE_BYTES} bytes"));
        }
        let (mut parts, mut plain, mut letters) = (Vec::new(), String::new(), text.chars().peekable());
        while let Some(letter) = letters.next() {
            match letter {
                '{' | '}' if letters.peek() == Some(&letter) => {
                    letters.next();
                    plain.push(letter);
                }
                '}' => return Err("a `}` stands alone; write `}}` for the sign itself".to_owned()),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match letters.next() {
                            Some('}') => break,
                            Some('{') | None => return Err("a `{` is not closed; write `{{` for the sign itself".to_owned()),
                            Some(letter) => name.push(letter),
                        }
                    }
                    let known = NAMES.into_iter().find(|known| *known == name);
                    let known = known.ok_or_else(|| format!("`{{{name}}}` is no name; known here: {}", NAMES.join(", ")))?;
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Name(known));
                }
                letter => plain.push(letter),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The text with what stands for the names.
    #[must_use]
    pub fn fill(&self, values: &Values) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name(name) => values.get(name).filter(|value| !value.is_empty()).map_or_else(|| NOTHING.to_owned(), Clone::clone),
        };
        self.0.iter().map(part).collect()
    }
}

/// A subject and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// One line.
    pub subject: Template,
    /// The whole.
    pub text: Template,
}

/// What a configuration says instead of what is written otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates(pub BTreeMap<Notice, (Option<Template>, Option<Template>)>);

impl Templates {
    /// The subject and the text for a kind of event.
    #[must_use]
    pub fn wording(&self, notice: Notice) -> Wording {
        let given = self.0.get(&notice).cloned().unwrap_or_default();
        let (subject, text) = default_texts(notice);
        // the texts below are read by a test
        let plain = |text: &str| Template::parse(text).unwrap_or(Template(vec![Part::Text(text.to_owned())]));
        Wording { subject: given.0.unwrap_or_else(|| plain(subject)), text: given.1.unwrap_or_else(|| plain(text)) }
    }
}

/// What every message about an activation ends with.
macro_rules! about {
    ($text:literal) => {
        concat!($text, "\n\nrole: {role}\nfor: {principal}\nscope: {scope}\nrequest: {id}\n{link}")
    };
}

fn default_texts(notice: Notice) -> (&'static str, &'static str) {
    match notice {
        Notice::Requested => (
            "{role}: {principal} asks",
            about!("{requester} asks for the role {role} for {principal}.\n\nreason: {reason}\nticket: {ticket}\n{detail}"),
        ),
        Notice::Approved => ("{role}: {actor} approved", about!("{actor} approved the request for {role}.\n\nreason: {reason}")),
        Notice::Denied => ("{role}: {actor} denied", about!("{actor} denied the request for {role}.\n\nreason: {reason}")),
        Notice::Cancelled => ("{role}: request taken back", about!("{actor} took the request for {role} back.\n\nreason: {reason}")),
        Notice::TimedOut => ("{role}: nobody decided", about!("Nobody decided in time on the request for {role}.")),
        Notice::Failed => ("{role}: request failed", about!("The request for {role} can no longer begin.\n\n{detail}")),
        Notice::Scheduled => ("{role}: approved for later", about!("The request for {role} is approved and begins at {start}.")),
        Notice::Activated => ("{role}: active for {principal}", about!("{principal} holds {role} from {start} until {end}.")),
        Notice::Extended => ("{role}: extended for {principal}", about!("{principal} holds {role} until {end}.")),
        Notice::Shortened => ("{role}: ends earlier for {principal}", about!("{principal} holds {role} until {end} only.\n\n{detail}")),
        Notice::Expired => ("{role}: over for {principal}", about!("{principal} holds {role} no more: its time is over.")),
        Notice::Deactivated => ("{role}: given back by {principal}", about!("{principal} gave {role} back.\n\nreason: {reason}")),
        Notice::Revoked => ("{role}: revoked from {principal}", about!("{actor} revoked {role}.\n\nreason: {reason}\n{detail}")),
        Notice::Emergency => (
            "EMERGENCY: {principal} took {role}",
            about!("{principal} took {role} in an emergency, without approval, until {end}.\n\nreason: {reason}\n{detail}"),
        ),
        Notice::QuorumUnreachable => ("{role}: a request cannot be approved", about!("Too few approvers are left.\n\n{detail}")),
        Notice::Eligibility | Notice::Assignment => (
            "{role}: {event} of {principal}",
            "{event} by {actor}.\n\nrole: {role}\nholder: {principal}\nscope: {scope}\nfrom: {start}\nuntil: {end}\nreason: {reason}\nid: {id}",
        ),
        Notice::GrantRequest => (
            "{role}: {event} for {principal}",
            "{event} by {actor}.\n\nrole: {role}\nholder: {principal}\nscope: {scope}\nuntil: {end}\nreason: {reason}\nid: {id}",
        ),
        Notice::Review => ("Access review: {event}", "{event}: {detail}\n\nreview: {id}\nuntil: {end}\n{link}"),
        Notice::Alert => (
            "Alert: {event}",
            "{event}.\n\n{detail}\nprincipal: {principal}\nrole: {role}\nscope: {scope}\nincident: {id}\nreason: {reason}",
        ),
        Notice::ReviewDefinition | Notice::Entity | Notice::Policies | Notice::Clock | Notice::Refused | Notice::Upkeep => {
            ("Elevon: {event}", "{event} by {actor} at {at}.\n\n{detail}\n{id}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_others_refused() {
        let values = Values::from([("role", "db-admin".to_owned()), ("reason", "{role} {{".to_owned()), ("scope", String::new())]);
        let rows: &[(&str, Result<&str, &str>)] = &[
            ("", Ok("")),
            ("role {role}, {scope}, {end}", Ok("role db-admin, -, -")),
            ("{reason}", Ok("{role} {{")),
            ("{{role}} }}{{", Ok("{role} }{")),
            ("{rol}", Err("`{rol}` is no name; known here: event")),
            ("{", Err("a `{` is not closed")),
            ("{role", Err("a `{` is not closed")),
            ("{ro{le}}", Err("a `{` is not closed")),
            ("}", Err("a `}` stands alone")),
        ];
        for (text, expected) in rows {
            match (Template::parse(text), expected) {
                (Ok(template), Ok(expected)) => assert_eq!(template.fill(&values), *expected, "{text}"),
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{text}: {error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
        assert!(Template::parse(&"x".repeat(MAX_TEMPLATE_BYTES + 1)).is_err());
    }

    #[test]
    fn what_is_written_otherwise_is_in_order() {
        for notice in Notice::ALL {
            let (subject, text) = default_texts(notice);
            assert!(!subject.contains('\n') && Template::parse(subject).is_ok() && Template::parse(text).is_ok(), "{notice:?}");
        }
        let given = Templates(BTreeMap::from([(Notice::Denied, (Some(Template::parse("no: {role}").unwrap()), None))]));
        let values = Values::from([("role", "x".to_owned())]);
        assert_eq!(given.wording(Notice::Denied).subject.fill(&values), "no: x");
        assert!(given.wording(Notice::Denied).text.fill(&values).contains("denied the request for x"));
    }
}
