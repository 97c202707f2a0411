//! Alerts: which incidents have to come up, of what kind, about what and when, and which of them are over; reckoned from the books alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::books::{Books, Grant, Holder, Noted};
use super::calendar::{At, DAY, HOUR, midnight, read, show};
use super::company::{Kind, within};

use super::year::{FOUNDED, Year};

/// The rules as `alerts.toml` and the defaults set them.
pub const OFTEN: (usize, i64) = (25, 7 * DAY);
const REQUESTS: (usize, i64) = (20, 600);
const DENIALS: (usize, i64) = (10, 600);
const ACTIVATIONS: (usize, i64) = (10, 600);
const NEVER_USED: i64 = 90 * DAY;
const STALE: i64 = 120 * DAY;
const FIRST_KNOWN: (usize, i64) = (10, 30 * DAY);
const HOUR_KNOWN: usize = 20;
const HOUR_NEAR: i64 = 2;
/// For how long what has no end of its own is open.
const OPEN_FOR: i64 = 30 * DAY;
/// Permanent assignments of a privileged role that are not too many yet.
pub const PERMANENT: usize = 2;

/// Holders of a privileged role that are not too many yet.
pub fn most_holders(people: usize) -> usize {
    people * 12 / 100
}

/// What `alerts.toml` says.
pub fn file(people: usize) -> String {
    format!(
        "[activated_often]\ntimes = {}\nwithin = \"P7D\"\n\n[too_many_holders]\ncount = {}\nshare = 100\nfew = 5\n\n\
         [too_many_permanent]\ncount = {PERMANENT}\nshare = 100\nfew = 2\n",
        OFTEN.0,
        most_holders(people)
    )
}

/// An incident that has to be there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    pub kind: &'static str,
    pub subject: String,
    pub began: At,
    /// When it was over.
    pub over: Option<At>,
}

/// What somebody usually does.
#[derive(Default, Clone)]
struct Habits {
    first: Option<At>,
    times: usize,
    roles: BTreeSet<usize>,
    scopes: BTreeSet<usize>,
    hours: BTreeMap<i64, usize>,
}

/// How often something happened lately.
#[derive(Default)]
struct Rate {
    times: VecDeque<(At, usize)>,
}

#[derive(Default)]
pub struct Alerts {
    all: Vec<Expected>,
    /// Those that are so, by kind and subject: their places in the list.
    standing: BTreeMap<(&'static str, String), usize>,
    rates: BTreeMap<(&'static str, String), Rate>,
    habits: BTreeMap<usize, Habits>,
    /// Since when anything that was given reaches somebody.
    reached: BTreeMap<usize, At>,
    /// From when on the first of that is in force, and since when that is so.
    begins: BTreeMap<usize, Vec<(At, At)>>,
    /// Of whom it was looked at which roles they were given twice.
    doubled: BTreeMap<usize, BTreeSet<usize>>,
    /// When somebody activated something.
    signs: BTreeMap<usize, Vec<At>>,
    /// People who could not show a sign of life any more from then on.
    out: BTreeMap<usize, At>,
    /// When grants end by themselves.
    ends: BTreeMap<At, Vec<usize>>,
}

impl Alerts {
    pub fn begin(&mut self, kind: &'static str, subject: String, began: At) {
        let key = (kind, subject.clone());
        if self.standing.contains_key(&key) {
            return;
        }
        self.standing.insert(key, self.all.len());
        self.all.push(Expected { kind, subject, began, over: None });
    }

    pub fn end(&mut self, kind: &'static str, subject: &str, at: At) {
        if let Some(place) = self.standing.remove(&(kind, subject.to_owned())) {
            self.all[place].over = Some(at);
        }
    }

    fn set(&mut self, kind: &'static str, subject: String, so: bool, at: At) {
        if so { self.begin(kind, subject, at) } else { self.end(kind, &subject, at) }
    }

    /// Somebody was refused, so many times.
    pub fn refused(&mut self, principal: String, at: At, times: usize) {
        self.count("denial_burst", principal, DENIALS, at, times);
    }

    /// Something happened, so many times.
    fn count(&mut self, kind: &'static str, subject: String, (limit, length): (usize, i64), at: At, times: usize) {
        let rate = self.rates.entry((kind, subject.clone())).or_default();
        // what had been too often may have been over before
        while rate.times.front().is_some_and(|(first, _)| first + length <= at) {
            let over = rate.times.pop_front().map(|(first, _)| first + length).unwrap_or(at);
            if rate.times.iter().map(|(_, times)| times).sum::<usize>() < limit
                && let Some(place) = self.standing.remove(&(kind, subject.clone()))
            {
                self.all[place].over = Some(over);
            }
        }
        rate.times.push_back((at, times));
        if rate.times.iter().map(|(_, times)| times).sum::<usize>() >= limit {
            self.begin(kind, subject, at);
        }
    }
}

impl Alerts {
    /// Ends what was too often and lies too far back by now.
    fn let_rates_pass(&mut self, now: At) {
        for (kind, (limit, length)) in
            [("activated_often", OFTEN), ("request_burst", REQUESTS), ("denial_burst", DENIALS), ("activation_burst", ACTIVATIONS)]
        {
            let subjects: Vec<String> = self.standing.keys().filter(|(of, _)| *of == kind).map(|(_, subject)| subject.clone()).collect();
            for subject in subjects {
                let times = self.rates.get(&(kind, subject.clone())).map(|rate| rate.times.iter().filter(|(at, _)| at + length > now));
                if times.is_none_or(|times| times.map(|(_, times)| times).sum::<usize>() < limit) {
                    self.end(kind, &subject, now);
                }
            }
        }
    }
}

fn hour_of_week(at: At) -> i64 {
    (at.div_euclid(HOUR) + 3 * 24).rem_euclid(7 * 24)
}

fn alike(one: i64, other: i64) -> bool {
    let apart = (one % 24 - other % 24).abs();
    (one / 24 >= 5) == (other / 24 >= 5) && apart.min(24 - apart) <= HOUR_NEAR
}

/// Everybody whom what a holder has reaches.
fn behind(books: &Books, holder: Holder) -> Vec<usize> {
    match holder {
        Holder::Person(person) => vec![person],
        Holder::Group(group) => books.members(group),
    }
}

fn overlap(one: &Grant, other: &Grant) -> bool {
    one.end.is_none_or(|end| other.start < end) && other.end.is_none_or(|end| one.start < end)
}

/// Whether one grant gives all that another one does.
fn covers(wider: &Grant, grant: &Grant) -> bool {
    let as_much = !wider.eligibility || grant.eligibility;
    let as_wide = wider.scope.is_none_or(|above| grant.scope.is_some_and(|scope| within(scope, above)));
    as_much && as_wide && overlap(wider, grant)
}

/// What reaches somebody, whether it has begun or not.
fn reaching(books: &Books, person: usize, now: At) -> Vec<usize> {
    if !books.people[person].there {
        return Vec::new();
    }
    let through = books.groups_of(person).into_iter().flat_map(|group| books.of_group[group].iter().copied());
    books.of_person[person].iter().copied().chain(through).filter(|grant| books.stands(*grant, now)).collect()
}

impl Year {
    pub fn principal(&self, person: usize) -> String {
        format!("principal {}", self.books.people[person].name)
    }

    fn privileged(&self, role: usize) -> bool {
        matches!(self.books.roles[role].kind, Kind::Admin | Kind::Rescue)
    }

    /// Takes in what happened since, all of it at this instant but for what ended by itself.
    pub fn digest(&mut self) {
        let now = self.now;
        let mut touched: BTreeSet<usize> = BTreeSet::new();
        let mut recount: BTreeSet<usize> = BTreeSet::new();
        let ended: Vec<usize> = self.alerts.ends.extract_if(..=now, |_, _| true).flat_map(|(_, grants)| grants).collect();
        for grant in ended {
            if self.books.grants[grant].gone.is_none() {
                self.grant_over(grant, &mut touched);
            }
        }
        for noted in std::mem::take(&mut self.books.noted) {
            match noted {
                Noted::Given(grant) => {
                    let found = self.books.grants[grant].clone();
                    touched.extend(behind(&self.books, found.holder));
                    if let Some(end) = found.end {
                        self.alerts.ends.entry(end).or_default().push(grant);
                    }
                    if !found.eligibility && self.privileged(found.role) {
                        self.alerts.begin("role_held_outside", format!("assignment {}", found.id), now);
                    }
                }
                Noted::Gone(grant) => self.grant_over(grant, &mut touched),
                Noted::Asked { person } => {
                    let principal = self.principal(person);
                    self.alerts.count("request_burst", principal, REQUESTS, now, 1);
                }
                Noted::Denied { person } => {
                    let principal = self.principal(person);
                    self.alerts.count("denial_burst", principal, DENIALS, now, 1);
                }
                Noted::Began(act) => {
                    // what reaches somebody is known before they activate by it
                    self.settle(&std::mem::take(&mut touched), &mut recount);
                    self.began(act);
                }
                Noted::Changed(person) => {
                    touched.insert(person);
                }
            }
        }
        self.settle(&touched, &mut recount);
        for role in recount {
            self.too_many(role);
        }
    }

    fn grant_over(&mut self, grant: usize, touched: &mut BTreeSet<usize>) {
        let found = self.books.grants[grant].clone();
        touched.extend(behind(&self.books, found.holder));
        if !found.eligibility {
            self.alerts.end("role_held_outside", &format!("assignment {}", found.id), self.now);
        }
    }

    fn settle(&mut self, touched: &BTreeSet<usize>, recount: &mut BTreeSet<usize>) {
        let now = self.now;
        for person in touched.iter().copied() {
            let grants = reaching(&self.books, person, now);
            let mut doubled = BTreeSet::new();
            for grant in &grants {
                let found = &self.books.grants[*grant];
                let needless = |other: &&usize| {
                    let other_found = &self.books.grants[**other];
                    **other != *grant && other_found.role == found.role && covers(other_found, found)
                };
                if grants.iter().any(|other| needless(&other)) {
                    doubled.insert(found.role);
                }
                recount.insert(found.role);
            }
            let before = self.alerts.doubled.insert(person, doubled.clone()).unwrap_or_default();
            for role in before.union(&doubled) {
                let subject = format!("holding {} {}", self.books.people[person].name, self.books.roles[*role].name);
                self.alerts.set("duplicate_holdings", subject, doubled.contains(role), now);
            }
            if let Some(begins) = grants.iter().map(|grant| self.books.grants[*grant].start).min() {
                let known = self.alerts.begins.entry(person).or_default();
                if known.last().is_none_or(|(_, before)| *before != begins) {
                    known.push((now, begins));
                }
            }
            if grants.is_empty() {
                self.alerts.reached.remove(&person);
            } else {
                // from when on they could do anything with it
                let begins = grants.iter().map(|grant| self.books.grants[*grant].start).min().unwrap_or(now);
                let since = self.alerts.reached.get(&person).copied().filter(|since| *since <= now).unwrap_or(now.max(begins));
                if self.alerts.reached.insert(person, since).is_none() {
                    self.alerts.signs.entry(person).or_default().push(now);
                }
            }
            if !self.books.enabled(person) && self.alerts.reached.contains_key(&person) {
                self.alerts.out.entry(person).or_insert(now);
            }
        }
        if !touched.is_empty() {
            recount.extend((0..self.books.roles.len()).filter(|role| self.privileged(*role)));
        }
    }

    fn too_many(&mut self, role: usize) {
        if !self.privileged(role) {
            return;
        }
        let now = self.now;
        let of_role = |grant: &&usize| self.books.grants[**grant].role == role && self.books.stands(**grant, now);
        let all = self.books.of_person.iter().chain(&self.books.of_group).flatten();
        let (mut holders, mut permanent) = (BTreeSet::new(), BTreeSet::new());
        for grant in all.filter(of_role) {
            let found = &self.books.grants[*grant];
            let people: Vec<usize> = behind(&self.books, found.holder).into_iter().filter(|person| self.books.enabled(*person)).collect();
            holders.extend(people.iter().copied());
            if !found.eligibility && found.end.is_none() {
                permanent.extend(people);
            }
        }
        let subject = format!("role {}", self.books.roles[role].name);
        let most = most_holders(self.size);
        self.alerts.set("too_many_holders", subject.clone(), holders.len() > most, now);
        self.alerts.set("too_many_permanent", subject, permanent.len() > PERMANENT, now);
    }

    /// An activation began.
    fn began(&mut self, act: usize) {
        let (now, found) = (self.now, self.books.acts[act].clone());
        let (person, role) = (found.person, found.role);
        let subject = format!("activation {}", found.id);
        let holding = format!("holding {} {}", self.books.people[person].name, self.books.roles[role].name);
        self.alerts.count("activated_often", holding, OFTEN, now, 1);
        let principal = self.principal(person);
        self.alerts.count("activation_burst", principal, ACTIVATIONS, now, 1);
        if found.emergency {
            self.alerts.begin("emergency_used", subject.clone(), now);
        }
        let habits = self.alerts.habits.get(&person).cloned().unwrap_or_default();
        let (known, days) = FIRST_KNOWN;
        let first = match habits.first {
            None => self.alerts.reached.get(&person).is_some_and(|since| since + days <= now),
            Some(first) => {
                let settled = habits.times >= known && first + days <= now;
                settled && (!habits.roles.contains(&role) || found.scope.is_some_and(|scope| !habits.scopes.contains(&scope)))
            }
        };
        if first && self.privileged(role) {
            self.once("first_activation", subject.clone());
        }
        let hour = hour_of_week(now);
        let near: usize = habits.hours.iter().filter(|(other, _)| alike(**other, hour)).map(|(_, times)| times).sum();
        if habits.times >= HOUR_KNOWN && near * 100 <= 2 * habits.times {
            self.once("unusual_hour", subject);
        }
        let habits = self.alerts.habits.entry(person).or_default();
        habits.first.get_or_insert(now);
        habits.times += 1;
        habits.roles.insert(role);
        habits.scopes.extend(found.scope);
        *habits.hours.entry(hour).or_default() += 1;
        self.alerts.signs.entry(person).or_default().push(now);
    }

    fn once(&mut self, kind: &'static str, subject: String) {
        self.alerts.begin(kind, subject.clone(), self.now);
        self.alerts.end(kind, &subject, self.now + OPEN_FOR);
    }

    // ---- what time makes true ----------------------------------------------------------------------------------------------------

    /// Eligibilities by which nobody ever activated, and people without a sign of life.
    fn silent(&self) -> Vec<Expected> {
        let mut found = Vec::new();
        for grant in self.books.grants.iter().filter(|grant| grant.eligibility) {
            let began = grant.given.max(grant.start) + NEVER_USED;
            let over = [grant.first_activation, grant.gone, grant.end].into_iter().flatten().filter(|at| *at <= self.now).min();
            if began <= self.now && over.is_none_or(|over| over >= began) {
                found.push(Expected { kind: "never_used", subject: format!("eligibility {}", grant.id), began, over });
            }
        }
        let people = self.alerts.reached.keys().copied().filter(|person| self.is_known_silent(*person));
        people.for_each(|person| self.stale(person, &mut found));
        found
    }

    /// Whether it can be told from the books when somebody was silent for long. Marks of checks are no truth: they go with their grants, and are
    /// looked up once a day. Where they are all there is, it is not told here; of those whose silence is planted it is.
    fn is_known_silent(&self, person: usize) -> bool {
        self.silent.contains(&person) || self.books.checks.iter().all(|(of, _, _)| *of != person)
    }

    /// When somebody showed no sign of life for so long: nothing activated, and no check allowed by a grant of their own that is still there.
    fn stale(&self, person: usize, found: &mut Vec<Expected>) {
        let activated = self.alerts.signs.get(&person).cloned().unwrap_or_default();
        let checked = self.books.checks.iter().filter(|(of, _, _)| *of == person);
        let checked: Vec<(At, At)> = checked
            .map(|(_, at, grant)| {
                let of = &self.books.grants[*grant];
                (*at, [of.gone, of.end].into_iter().flatten().min().unwrap_or(At::MAX))
            })
            .collect();
        let out = self.alerts.out.get(&person).copied().unwrap_or(At::MAX);
        // a mark of use goes with its grant, and is looked up where no activation is late enough
        let latest = |by: At| {
            let marked = checked.iter().filter(|(at, until)| *at <= by && by < *until).map(|(at, _)| *at).max();
            let activated = activated.iter().copied().filter(|at| *at <= by).max();
            activated.filter(|at| at + STALE > by).or(activated.max(marked))
        };
        let Some(mut sign) = activated.iter().copied().min() else { return };
        // nobody is silent with what has not begun
        let begins = self.alerts.begins.get(&person).cloned().unwrap_or_default();
        let due_from = |sign: At, after: At| {
            let untils = begins.iter().skip(1).map(|(since, _)| *since).chain([At::MAX]);
            begins.iter().zip(untils).find_map(|((since, begins), until)| {
                let due = after.max(*since).max(sign + STALE).max(begins + STALE);
                (due < until).then_some(due)
            })
        };
        let mut after = At::MIN;
        loop {
            let Some(due) = due_from(sign, after).filter(|due| *due <= self.now && *due < out) else { return };
            if let Some(later) = latest(due).filter(|later| *later > sign) {
                sign = later;
                continue;
            }
            let next = activated.iter().copied().find(|at| *at > due).unwrap_or(At::MAX);
            let seen = checked.iter().map(|(at, _)| *at).filter(|at| *at > due).min().unwrap_or(At::MAX);
            let none = begins.iter().find(|(since, begins)| *since > due && begins + STALE > *since).map_or(At::MAX, |(since, _)| *since);
            let over = Some(next.min(seen).min(none).min(out)).filter(|over| *over <= self.now);
            found.push(Expected { kind: "stale_principal", subject: self.principal(person), began: due, over });
            let Some(over) = over else { return };
            (sign, after) = (if over == none { sign } else { over }, over);
        }
    }

    // ---- what Elevon found -------------------------------------------------------------------------------------------------------

    /// Waits until the detectors have seen everything that happened by now.
    pub fn detected(&mut self) {
        let began = Instant::now();
        let (mut head, now) = (0, show(self.now));
        loop {
            let ask = self.ask(0, "GET", "/v1/alerts", Value::Null);
            let reply = self.wire.one(ask);
            if head == 0 {
                head = reply.body["seq"].as_u64().unwrap();
            }
            let seen = &reply.body["detected"];
            if seen["seq"].as_u64().is_some_and(|seq| seq >= head) && seen["now"].as_str().is_some_and(|at| at >= now.as_str()) {
                return;
            }
            if began.elapsed() > Duration::from_secs(20) {
                return self.fault(format!("the detectors do not keep up: {}", reply.body));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Holds the incidents that there are against those that there should be.
    pub fn incidents(&mut self) {
        self.digest();
        self.detected();
        let now = self.now;
        self.alerts.let_rates_pass(now);
        let mut oracle: BTreeMap<(String, String, At), Option<At>> = BTreeMap::new();
        for expected in self.alerts.all.iter().cloned().chain(self.silent()) {
            oracle.insert((expected.kind.to_owned(), expected.subject, expected.began), expected.over);
        }
        let shown = self.pages(0, "/v1/alerts/incidents");
        let (mut early, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for incident in &shown {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let of = text(&incident["subject"]["kind"]);
            let subject = match of.as_str() {
                "principal" => format!("principal {}", text(&incident["principal"]["id"])),
                "holding" => format!("holding {} {}", text(&incident["principal"]["id"]), text(&incident["role"])),
                "record" => "record".to_owned(),
                _ => format!("{of} {}", text(&incident["subject"]["id"])),
            };
            let (kind, status) = (text(&incident["kind"]), text(&incident["status"]));
            let at = text(&incident["began_at"]);
            // before the company was founded the clock jumped, and nobody was there to approve anything
            if at < show(midnight(FOUNDED)) {
                *self.figures.alerts.entry(kind.clone()).or_default() += 1;
                self.same(|| format!("how {kind} of {subject} at {at} stands"), &"cleared".to_owned(), &status);
                early.insert(if kind == "clock_trouble" { (kind, at) } else { (kind, subject) });
                continue;
            }
            let person = self.books.people.iter().position(|person| Some(person.name.as_str()) == incident["principal"]["id"].as_str());
            if kind == "stale_principal" && person.is_some_and(|person| !self.is_known_silent(person)) {
                continue;
            }
            let began = read(&at);
            *self.figures.alerts.entry(kind.clone()).or_default() += 1;
            let key = (kind.clone(), subject.clone(), began);
            // of two at one instant, with two records, the books know the later one
            let passing = !seen.insert(key.clone()) && status == "cleared" && incident["cleared"]["at"] == incident["raised_at"];
            match oracle.remove(&key) {
                None if passing => {}
                None => self.fault(format!("{kind} of {subject}, began {at}, should not have come up: {incident}")),
                Some(over) => {
                    let over = over.filter(|over| *over <= self.now);
                    self.same(
                        || format!("whether {kind} of {subject}, began {at}, is over (the oracle: {:?})", over.map(show)),
                        &over.is_some(),
                        &(status == "cleared"),
                    );
                }
            }
        }
        for ((kind, subject, began), _) in oracle {
            self.fault(format!("{kind} of {subject} should have come up at {}", show(began)));
        }
        let approved = self.books.roles.iter().filter(|role| role.quorum > 0);
        let mut oracle: BTreeSet<_> = approved.map(|role| ("small_circle".to_owned(), format!("role {}", role.name))).collect();
        oracle.insert(("clock_trouble".to_owned(), show(midnight(FOUNDED) - DAY)));
        self.same(|| "what came up before the company was founded".to_owned(), &oracle, &early);
    }
}
