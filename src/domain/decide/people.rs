//! Who is one person with whom, who is in which group, and who could act for whom.

use std::collections::{BTreeSet, HashSet};

use super::Case;
use crate::domain::facts::{Facts, Records, Unavailable};
use crate::domain::id::Uid;
use crate::domain::standing::{ancestors, definition, parents};

/// Most names that are looked at below a group. Past it, nobody is found any more: a request is then not refused for want of approvers
/// (it still needs their votes), and only direct and upward membership show that somebody grants to oneself.
pub const MAX_WALK: usize = 10_000;

/// What counts as one person: the attribute `person`, or the principal itself.
///
/// # Errors
/// The store cannot be read.
pub fn person(facts: &dyn Facts, uid: &Uid) -> Result<String, Unavailable> {
    Ok(definition(facts, uid)?.and_then(|def| def.person()).unwrap_or_else(|| uid.to_string()))
}

/// Whether a name stands in a list, itself or through a group that stands there.
///
/// # Errors
/// The store cannot be read.
pub fn is_among(facts: &dyn Facts, uid: &Uid, list: &[Uid]) -> Result<bool, Unavailable> {
    Ok(list.contains(uid) || ancestors(facts, uid)?.iter().any(|group| list.contains(group)))
}

/// A walk over names and everything below the groups among them, each once, within [`MAX_WALK`].
pub(super) struct Members<'a> {
    facts: &'a dyn Facts,
    tables: &'a dyn Records,
    waiting: Vec<Uid>,
    seen: HashSet<Uid>,
    /// Whether the walk ended for its bound.
    pub(super) cut: bool,
}

impl<'a> Members<'a> {
    pub(super) fn of(facts: &'a dyn Records, list: &[Uid]) -> Self {
        Self::after(facts, facts, list)
    }

    /// The same, as it will be: who is stored below whom is the same before a change and after it, whether that counts need not be.
    pub(super) fn after(tables: &'a dyn Records, facts: &'a dyn Facts, list: &[Uid]) -> Self {
        let mut waiting = list.to_vec();
        waiting.reverse();
        Self { facts, tables, waiting, seen: list.iter().cloned().collect(), cut: false }
    }

    /// The next name that is not a group.
    pub(super) fn next(&mut self) -> Result<Option<Uid>, Unavailable> {
        while let Some(uid) = self.waiting.pop() {
            if !self.facts.definitions().is_group(&uid) {
                return Ok(Some(uid));
            }
            for child in self.children(&uid)? {
                if self.seen.len() >= MAX_WALK {
                    self.cut = true;
                } else if self.seen.insert(child.clone()) {
                    self.waiting.push(child);
                }
            }
        }
        Ok(None)
    }

    /// What is right below a group now: the bundle's, and those stored ones whose edge still counts.
    fn children(&self, group: &Uid) -> Result<Vec<Uid>, Unavailable> {
        let mut children = self.facts.definitions().children.get(group).cloned().unwrap_or_default();
        for child in self.tables.stored_children(group, None, MAX_WALK)? {
            if parents(self.facts, &child)?.contains(group) {
                children.push(child);
            }
        }
        Ok(children)
    }
}

/// The names in a list, and those below the groups in it, each once and in order: as many as `most`, and whether there are more.
///
/// # Errors
/// The store cannot be read.
pub fn members(facts: &dyn Records, list: &[Uid], most: usize) -> Result<(BTreeSet<Uid>, bool), Unavailable> {
    let (mut walk, mut found) = (Members::of(facts, list), BTreeSet::new());
    while let Some(member) = walk.next()? {
        if found.len() >= most {
            return Ok((found, true));
        }
        found.insert(member);
    }
    Ok((found, walk.cut))
}

/// Whether what is given to a holder is given to the actor, too: to itself, to another account of the same person, or to a group that
/// either of them is in.
pub(super) fn reaches_actor(case: &Case<'_>, actor: &Uid, holder: &Uid) -> Result<bool, Unavailable> {
    reaches(case.facts, actor, holder)
}

/// The same, as the facts stand.
pub(super) fn reaches(facts: &dyn Records, actor: &Uid, holder: &Uid) -> Result<bool, Unavailable> {
    if is_among(facts, actor, std::slice::from_ref(holder))? || person(facts, actor)? == person(facts, holder)? {
        return Ok(true);
    }
    let Some(mine) = definition(facts, actor)?.and_then(|def| def.person()) else { return Ok(false) };
    let mut members = Members::of(facts, std::slice::from_ref(holder));
    while let Some(member) = members.next()? {
        if person(facts, &member)? == mine {
            return Ok(true);
        }
    }
    Ok(false)
}
