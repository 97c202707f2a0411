//! The oracle's books: who holds what and when, by the rules as they are written in the documents, over lists that are walked from end to end.
//! Nothing of it is taken from the server's code.

use super::calendar::{At, DAY};
use super::company::{Role, group_above, group_name, scope_name, within};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    Person(usize),
    Group(usize),
}

/// What somebody works with, and gets again when it was taken away, unless it is never used anyway.
#[derive(Debug, Clone)]
pub struct Need {
    pub role: usize,
    pub scope: Option<usize>,
    pub dormant: bool,
    pub forever: bool,
    /// Not to be given again before.
    pub not_before: At,
}

#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    /// Two accounts of one person have the same.
    pub human: usize,
    pub department: usize,
    pub groups: Vec<usize>,
    pub there: bool,
    pub disabled: bool,
    pub lead: bool,
    /// The hour, by universal time, at which the day begins.
    pub shift: i64,
    /// How often something is done, beside others.
    pub busy: u64,
    pub needs: Vec<Need>,
}

#[derive(Debug, Clone)]
pub struct Grant {
    pub id: String,
    pub eligibility: bool,
    pub holder: Holder,
    pub role: usize,
    pub scope: Option<usize>,
    pub start: At,
    pub end: Option<At>,
    pub given: At,
    /// When somebody, or a review, took it away, or its holder was deleted.
    pub gone: Option<At>,
    pub first_activation: Option<At>,
    pub last_activation: Option<At>,
    pub last_check: Option<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending { until: At },
    Active { start: At, end: At },
    Over(&'static str),
}

#[derive(Debug, Clone)]
pub struct Activation {
    pub id: String,
    pub person: usize,
    pub role: usize,
    pub scope: Option<usize>,
    pub basis: usize,
    pub asked: At,
    pub duration: i64,
    pub emergency: bool,
    pub extends: Option<usize>,
    pub extensions: u32,
    pub state: State,
    /// The time that it had, or will have.
    pub window: Option<(At, At)>,
    pub votes: Vec<usize>,
    pub hash: String,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// It begins at once, or waits for votes.
    New {
        waits: bool,
    },
    /// One of these is there already.
    There(Vec<usize>),
    Refused(u16, &'static str),
}

/// What happened, in order, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub enum Noted {
    Given(usize),
    Gone(usize),
    Asked {
        person: usize,
    },
    Denied {
        person: usize,
    },
    Began(usize),
    /// Somebody joined, moved, left, or was deleted.
    Changed(usize),
}

#[derive(Default)]
pub struct Books {
    pub noted: Vec<Noted>,
    /// Whom checks allowed something by a grant of their own, and when.
    pub checks: Vec<(usize, At, usize)>,
    pub roles: Vec<Role>,
    pub people: Vec<Person>,
    pub grants: Vec<Grant>,
    pub acts: Vec<Activation>,
    /// Of each person, the activations that may still be open; the first ones may be over.
    pub open: Vec<Vec<usize>>,
    /// Of each person, every activation.
    pub history: Vec<Vec<usize>>,
    /// Of each person and each group, the grants that are not gone.
    pub of_person: Vec<Vec<usize>>,
    pub of_group: Vec<Vec<usize>>,
}

impl Books {
    pub fn add_person(&mut self, person: Person) -> usize {
        self.people.push(person);
        self.open.push(Vec::new());
        self.history.push(Vec::new());
        self.of_person.push(Vec::new());
        self.people.len() - 1
    }

    pub fn add_grant(&mut self, grant: Grant) -> usize {
        let number = self.grants.len();
        match grant.holder {
            Holder::Person(person) => self.of_person[person].push(number),
            Holder::Group(group) => self.of_group[group].push(number),
        }
        self.grants.push(grant);
        self.noted.push(Noted::Given(number));
        number
    }

    // ---- who is in what ----------------------------------------------------------------------------------------------------------

    pub fn groups_of(&self, person: usize) -> Vec<usize> {
        let mut found = self.people[person].groups.clone();
        let mut at = 0;
        while at < found.len() {
            if let Some(above) = group_above(found[at])
                && !found.contains(&above)
            {
                found.push(above);
            }
            at += 1;
        }
        found
    }

    pub fn is_in(&self, person: usize, group: usize) -> bool {
        self.groups_of(person).contains(&group)
    }

    pub fn members(&self, group: usize) -> Vec<usize> {
        (0..self.people.len()).filter(|person| self.people[*person].there && self.is_in(*person, group)).collect()
    }

    pub fn enabled(&self, person: usize) -> bool {
        self.people[person].there && !self.people[person].disabled
    }

    /// Whether what a holder has is a person's, too.
    pub fn has(&self, person: usize, holder: Holder) -> bool {
        match holder {
            Holder::Person(other) => other == person,
            Holder::Group(group) => self.is_in(person, group),
        }
    }

    // ---- grants ------------------------------------------------------------------------------------------------------------------

    /// Whether a grant is neither gone nor over; it may be yet to begin.
    pub fn stands(&self, grant: usize, now: At) -> bool {
        let found = &self.grants[grant];
        let holder = match found.holder {
            Holder::Person(person) => self.people[person].there,
            Holder::Group(_) => true,
        };
        holder && found.gone.is_none() && found.end.is_none_or(|end| now < end)
    }

    pub fn in_force(&self, grant: usize, now: At) -> bool {
        self.stands(grant, now) && self.grants[grant].start <= now
    }

    /// What a person has of a kind of grant, by oneself or through groups, that is in force.
    pub fn grants_of(&self, person: usize, eligibility: bool, now: At) -> Vec<usize> {
        let through = self.groups_of(person).into_iter().flat_map(|group| self.of_group[group].iter().copied());
        let all = self.of_person[person].iter().copied().chain(through);
        all.filter(|grant| self.grants[*grant].eligibility == eligibility && self.in_force(*grant, now)).collect()
    }

    /// The eligibilities that a request could rest on.
    pub fn bases(&self, person: usize, role: usize, scope: Option<usize>, now: At) -> Vec<usize> {
        let fits = |grant: &Grant| grant.role == role && grant.scope.is_none_or(|above| scope.is_some_and(|scope| within(scope, above)));
        self.grants_of(person, true, now).into_iter().filter(|grant| fits(&self.grants[*grant])).collect()
    }

    /// Takes a grant away, and ends what rests on it.
    pub fn remove(&mut self, grant: usize, now: At) {
        self.grants[grant].gone = Some(now);
        self.noted.push(Noted::Gone(grant));
        match self.grants[grant].holder {
            Holder::Person(person) => self.of_person[person].retain(|other| *other != grant),
            Holder::Group(group) => self.of_group[group].retain(|other| *other != grant),
        }
        if !self.grants[grant].eligibility {
            return;
        }
        let resting: Vec<usize> = self.open.iter().flatten().copied().filter(|act| self.acts[*act].basis == grant).collect();
        resting.into_iter().for_each(|act| self.cut(act, now));
    }

    // ---- activations -------------------------------------------------------------------------------------------------------------

    pub fn add(&mut self, act: Activation) -> usize {
        let number = self.acts.len();
        self.open[act.person].push(number);
        self.history[act.person].push(number);
        self.acts.push(act);
        number
    }

    /// When an activation ends: with its eligibility, where that is earlier.
    pub fn effective_end(&self, act: usize) -> Option<At> {
        let State::Active { end, .. } = self.acts[act].state else { return None };
        Some(self.grants[self.acts[act].basis].end.map_or(end, |other| other.min(end)))
    }

    /// Whether an activation counts.
    pub fn counts(&self, act: usize, now: At) -> bool {
        let found = &self.acts[act];
        let State::Active { start, .. } = found.state else { return false };
        start <= now
            && self.effective_end(act).is_some_and(|end| now < end)
            && self.enabled(found.person)
            && self.in_force(found.basis, now)
            && self.has(found.person, self.grants[found.basis].holder)
    }

    pub fn waits(&self, act: usize, now: At) -> bool {
        matches!(self.acts[act].state, State::Pending { until } if now < until)
    }

    /// Ends an activation now.
    pub fn end(&mut self, act: usize, now: At, how: &'static str) {
        let found = &mut self.acts[act];
        if let (State::Active { .. }, Some((start, end))) = (found.state, found.window) {
            found.window = Some((start, end.min(now)));
        }
        found.state = State::Over(how);
        let waiting: Vec<usize> =
            self.open[self.acts[act].person].iter().copied().filter(|other| self.acts[*other].extends == Some(act)).collect();
        for extension in waiting {
            if self.waits(extension, now) {
                self.acts[extension].state = State::Over("failed");
            }
        }
    }

    /// Ends an activation because what it rests on is gone.
    fn cut(&mut self, act: usize, now: At) {
        match self.acts[act].state {
            State::Pending { until } if now < until => self.acts[act].state = State::Over("failed"),
            State::Active { end, .. } if now < end => self.end(act, now, "revoked"),
            State::Pending { .. } | State::Active { .. } | State::Over(_) => {}
        }
    }

    /// Lets an activation begin.
    pub fn begin(&mut self, act: usize, now: At) {
        let end = now + self.acts[act].duration;
        self.acts[act].state = State::Active { start: now, end };
        self.acts[act].window = Some((now, end));
        let basis = self.acts[act].basis;
        self.grants[basis].first_activation.get_or_insert(now);
        self.grants[basis].last_activation = Some(now);
        self.noted.push(Noted::Began(act));
    }

    /// How many seconds of a role a person has had, or will have, on the day of an instant.
    fn used(&self, person: usize, role: usize, day: i64) -> i64 {
        let recent = self.history[person].iter().rev().take_while(|act| self.acts[**act].asked > (day - 3) * DAY);
        let windows = recent.filter(|act| self.acts[**act].role == role).filter_map(|act| self.acts[*act].window);
        windows.map(|(start, end)| (end.min((day + 1) * DAY) - start.max(day * DAY)).max(0)).sum()
    }

    /// Whether a window takes no more of any day than the role gives.
    pub fn within_budget(&self, person: usize, role: usize, (start, end): (At, At)) -> bool {
        let Some(budget) = self.roles[role].budget else { return true };
        (start.div_euclid(DAY)..=(end - 1).div_euclid(DAY)).all(|day| {
            let asked = end.min((day + 1) * DAY) - start.max(day * DAY);
            self.used(person, role, day) + asked <= budget
        })
    }

    fn emergencies_on(&self, person: usize, role: usize, day: i64) -> usize {
        let recent = self.history[person].iter().rev().take_while(|act| self.acts[**act].asked >= day * DAY);
        recent.filter(|act| self.acts[**act].emergency && self.acts[**act].role == role).count()
    }

    /// What becomes of a request for a role at once.
    pub fn request(&self, person: usize, role: usize, scope: Option<usize>, duration: i64, emergency: bool, now: At) -> Expected {
        if !self.enabled(person) {
            let rule = if self.people[person].there { "principal_disabled" } else { "unknown_principal" };
            return Expected::Refused(403, rule);
        }
        if self.bases(person, role, scope, now).is_empty() {
            return Expected::Refused(403, "not_eligible");
        }
        let same = |act: &&usize| {
            let found = &self.acts[**act];
            found.role == role && found.scope == scope && found.emergency == emergency && found.extends.is_none()
        };
        let active: Vec<usize> = self.open[person].iter().filter(same).copied().filter(|act| self.counts(*act, now)).collect();
        let long: Vec<usize> =
            active.iter().copied().filter(|act| self.effective_end(*act).is_some_and(|end| end >= now + duration)).collect();
        if !long.is_empty() {
            return Expected::There(long);
        }
        let waiting = self.open[person].iter().filter(same).copied();
        let waiting: Vec<usize> =
            waiting.filter(|act| !emergency && self.waits(*act, now) && self.acts[*act].duration >= duration).collect();
        if !waiting.is_empty() {
            return Expected::There(waiting);
        }
        if !active.is_empty() {
            return Expected::Refused(409, "already_active");
        }
        let settings = &self.roles[role];
        if let Some((_, times, _)) = settings.emergency.filter(|_| emergency) {
            if self.emergencies_on(person, role, now.div_euclid(DAY)) >= times {
                return Expected::Refused(409, "emergency_limit");
            }
            return Expected::New { waits: false };
        }
        if !self.within_budget(person, role, (now, now + duration)) {
            return Expected::Refused(409, "budget_exhausted");
        }
        Expected::New { waits: settings.quorum > 0 }
    }

    // ---- people ------------------------------------------------------------------------------------------------------------------

    /// Disables somebody: everything that is open ends.
    pub fn disable(&mut self, person: usize, now: At) {
        self.people[person].disabled = true;
        self.noted.push(Noted::Changed(person));
        self.open[person].clone().into_iter().for_each(|act| self.cut(act, now));
    }

    /// Deletes somebody: grants go with the name.
    pub fn delete(&mut self, person: usize, now: At) {
        self.people[person].there = false;
        self.noted.push(Noted::Changed(person));
        self.open[person].clone().into_iter().for_each(|act| self.cut(act, now));
        for grant in std::mem::take(&mut self.of_person[person]) {
            self.grants[grant].gone = Some(now);
            self.noted.push(Noted::Gone(grant));
        }
    }

    /// Puts somebody into other groups: what rests on those that are left ends.
    pub fn regroup(&mut self, person: usize, groups: Vec<usize>, now: At) {
        self.people[person].groups = groups;
        self.noted.push(Noted::Changed(person));
        for act in self.open[person].clone() {
            if !self.has(person, self.grants[self.acts[act].basis].holder) {
                self.cut(act, now);
            }
        }
    }

    /// Forgets what is over of those that may be open.
    pub fn tidy(&mut self, now: At) {
        for open in &mut self.open {
            open.retain(|act| match self.acts[*act].state {
                State::Pending { until } => now < until,
                State::Active { end, .. } => now < end,
                State::Over(_) => false,
            });
        }
    }

    // ---- who is elevated ---------------------------------------------------------------------------------------------------------

    /// What a person holds of a role that counts on a scope: activations and assignments, by id, with their ends. Where no scope is given, all.
    pub fn holdings(&self, person: usize, role: usize, on: Option<usize>, now: At) -> Vec<(String, Option<At>, Option<usize>)> {
        if !self.enabled(person) {
            return Vec::new();
        }
        let covers = |scope: Option<usize>| on.is_none_or(|on| scope.is_none_or(|scope| within(on, scope)));
        let active = self.open[person].iter().copied().filter(|act| self.acts[*act].role == role && self.counts(*act, now));
        let active = active.filter(|act| self.acts[*act].extends.is_none() && covers(self.acts[*act].scope));
        let assigned = self.grants_of(person, false, now).into_iter();
        let assigned = assigned.filter(|grant| self.grants[*grant].role == role && covers(self.grants[*grant].scope));
        let active = active.map(|act| (self.acts[act].id.clone(), self.effective_end(act), self.acts[act].scope));
        let assigned = assigned.map(|grant| (self.grants[grant].id.clone(), self.grants[grant].end, self.grants[grant].scope));
        let mut found: Vec<_> = active.chain(assigned).collect();
        found.sort();
        found
    }

    /// Notes that a check on something was decided by a role: for all that holds it there, to the hour.
    pub fn checked(&mut self, person: usize, role: usize, on: usize, now: At) {
        let covers = |scope: Option<usize>| scope.is_none_or(|scope| within(on, scope));
        let active = self.open[person].iter().copied().filter(|act| self.acts[*act].role == role && self.counts(*act, now));
        let mut grants: Vec<usize> = active.filter(|act| covers(self.acts[*act].scope)).map(|act| self.acts[act].basis).collect();
        let assigned = self.grants_of(person, false, now).into_iter();
        grants.extend(assigned.filter(|grant| self.grants[*grant].role == role && covers(self.grants[*grant].scope)));
        for grant in grants {
            self.grants[grant].last_check = Some(now);
            if self.grants[grant].holder == Holder::Person(person) {
                self.checks.push((person, now, grant));
            }
        }
    }

    // ---- for reading -------------------------------------------------------------------------------------------------------------

    pub fn named(&self, holder: Holder) -> (&'static str, String) {
        match holder {
            Holder::Person(person) => ("User", self.people[person].name.clone()),
            Holder::Group(group) => ("Group", group_name(group)),
        }
    }

    /// A grant in words.
    pub fn say(&self, grant: usize) -> String {
        let found = &self.grants[grant];
        let scope = found.scope.map_or("everywhere".to_owned(), |scope| scope_name(scope).1);
        format!("{} ({} of {} on {scope})", found.id, self.roles[found.role].name, self.named(found.holder).1)
    }
}
