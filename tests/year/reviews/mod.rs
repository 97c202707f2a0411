//! Reviews: what is defined, and by which rules the oracle reckons what is in each, who decides, what goes and what stays. What time makes of them is
//! in `course`, what reviewers say in `deciding`, and what breaking the glass opens in `emergencies`.

mod course;
mod deciding;
mod emergencies;

use std::collections::BTreeMap;

use crate::books::{Books, Holder};
use crate::calendar::{At, Recurrence};

#[derive(Debug, Clone)]
pub enum Deciders {
    Listed(Vec<Holder>),
    Themselves,
}

#[derive(Debug, Clone)]
pub struct Stage {
    pub by: Deciders,
    pub fallback: Vec<Holder>,
    pub days: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    NoChange,
    Remove,
    Approve,
    Recommended,
}

impl Rule {
    pub const ALL: [Self; 4] = [Self::NoChange, Self::Remove, Self::Approve, Self::Recommended];

    pub fn word(self) -> &'static str {
        match self {
            Self::NoChange => "no_change",
            Self::Remove => "remove",
            Self::Approve => "approve",
            Self::Recommended => "take_recommendation",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub roles: Vec<usize>,
    pub scopes: Vec<usize>,
    /// Eligibilities, assignments, or both.
    pub covers: &'static str,
    pub inactive: Option<i64>,
    pub stages: Vec<Stage>,
    pub rule: Rule,
    pub auto: bool,
    pub confirm_above: usize,
    pub recurrence: Recurrence,
    pub id: String,
    pub next: Option<At>,
    pub opened: usize,
}

#[derive(Debug, Clone)]
pub struct Item {
    pub grant: usize,
    /// Whether it is recommended to go.
    pub unused: bool,
    /// What was said last in each stage.
    pub said: Vec<Option<&'static str>>,
}

impl Item {
    /// What stands: what was said in the latest stage in which somebody knew.
    fn standing(&self) -> Option<&'static str> {
        self.said.iter().rev().flatten().find(|said| **said != "dont_know").copied()
    }

    fn goes(&self, rule: Rule) -> bool {
        match (self.standing(), rule) {
            (Some(said), _) => said == "deny",
            (None, Rule::Remove) => true,
            (None, Rule::Recommended) => self.unused,
            (None, Rule::NoChange | Rule::Approve) => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Asking {
        stage: usize,
        ends: At,
    },
    /// Complete, and to be carried out by somebody then.
    Complete {
        apply: At,
    },
    Done,
}

#[derive(Debug, Clone)]
pub struct Instance {
    pub of: usize,
    pub id: String,
    pub items: Vec<Item>,
    pub standing: Standing,
    /// When somebody ends it before its time.
    pub cut_short: Option<At>,
}

/// What somebody is going to say about items.
#[derive(Debug, Clone)]
pub struct Answer {
    pub instance: usize,
    pub stage: usize,
    pub by: usize,
    pub items: Vec<usize>,
    pub says: &'static str,
}

/// The review of an emergency.
#[derive(Debug, Clone)]
pub struct Emergency {
    pub act: usize,
    pub id: String,
    pub ends: At,
    pub says: Option<(At, &'static str)>,
    pub said: Option<&'static str>,
}

#[derive(Default)]
pub struct Reviews {
    pub definitions: Vec<Definition>,
    pub instances: Vec<Instance>,
    pub emergencies: Vec<Emergency>,
    pub answers: BTreeMap<At, Vec<Answer>>,
    /// Whether no review opens soon.
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Decides,
    Own,
    None,
}

/// Whether access is somebody's own: as its holder, through the group that holds it, or by another account.
fn own(books: &Books, who: usize, holder: Holder) -> bool {
    let human = books.people[who].human;
    match holder {
        Holder::Person(person) => books.people[person].human == human,
        Holder::Group(group) => (0..books.people.len())
            .any(|other| books.people[other].human == human && books.people[other].there && books.is_in(other, group)),
    }
}

fn listed(books: &Books, who: usize, list: &[Holder]) -> bool {
    list.iter().any(|entry| books.has(who, *entry))
}

/// What part somebody has in an item of a stage.
pub fn part(books: &Books, stage: &Stage, grant: usize, who: usize) -> Part {
    let holder = books.grants[grant].holder;
    let of_list = |list: &[Holder]| match (listed(books, who, list), own(books, who, holder)) {
        (false, _) => Part::None,
        (true, true) => Part::Own,
        (true, false) => Part::Decides,
    };
    let (first, somebody) = match &stage.by {
        Deciders::Themselves => match holder {
            Holder::Person(person) => (if person == who { Part::Decides } else { Part::None }, books.enabled(person)),
            Holder::Group(_) => (Part::None, false),
        },
        Deciders::Listed(list) => {
            let could = |person: &usize| books.enabled(*person) && listed(books, *person, list) && !own(books, *person, holder);
            (of_list(list), (0..books.people.len()).any(|person| could(&person)))
        }
    };
    if first == Part::None && !somebody { of_list(&stage.fallback) } else { first }
}
