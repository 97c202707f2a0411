//! The year as it is lived: the server, the oracle's books, and what is planned for later.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::alerts::Alerts;
use super::books::{Books, Grant, Holder, Need, Noted, Person};
use super::calendar::{At, DAY, HOUR, MINUTE, midnight, read, show};
use super::common::{Home, Server};
use super::company::{
    self, DEPARTMENTS, ENVIRONMENTS, GROUPS, Kind, SCOPES, SECURITY, SECURITY_GROUP, SYSTEMS, TEAMS, group_name, leads, scope_json,
    security_name, team,
};
use super::plants::{self, Plant};
use super::reviews::Reviews;
use super::rng::Rng;
use super::wire::{Ask, Reply, Wire};

/// When the company is founded, and the first and the last day on which it works: over a leap day and four changes of clocks.
pub const FOUNDED: (i64, i64, i64) = (2031, 6, 30);
pub const FIRST: (i64, i64, i64) = (2031, 7, 1);
pub const LAST: (i64, i64, i64) = (2032, 6, 30);
/// So many differences are told before the rest is left out.
const MOST_FAULTS: usize = 25;
/// The hours of shifts, by universal time: India, Europe, America.
const SHIFTS: [i64; 3] = [4, 7, 12];

/// What is to become of an activation at some time.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    Deactivate(usize),
    Revoke(usize),
    Extend(usize),
    /// A request is voted on, or called off.
    Answer(usize),
}

/// What was done, for the figures.
#[derive(Default)]
pub struct Figures {
    pub activations: usize,
    pub refused: BTreeMap<String, usize>,
    pub grants: usize,
    pub joined: usize,
    pub moved: usize,
    pub left: usize,
    pub elevated: usize,
    pub evaluations: usize,
    pub reviews: usize,
    pub items: usize,
    pub decisions: usize,
    pub removed: usize,
    pub gone: usize,
    pub confirmed: usize,
    pub alerts: BTreeMap<String, usize>,
}

pub struct Year {
    pub seed: u64,
    pub rng: Rng,
    pub books: Books,
    pub home: Home,
    pub server: Server,
    pub wire: Wire,
    pub now: At,
    pub faults: Vec<String>,
    pub figures: Figures,
    pub plans: BTreeMap<At, Vec<Plan>>,
    pub reviews: Reviews,
    /// Grants that are never used.
    pub dormant: HashSet<usize>,
    /// People who come later, with their day.
    pub joiners: BTreeMap<At, Vec<usize>>,
    /// People who go, and those who are deleted a while after.
    pub leavers: BTreeMap<At, Vec<usize>>,
    pub deleted: BTreeMap<At, Vec<usize>>,
    pub movers: BTreeMap<At, Vec<usize>>,
    pub group_needs: Vec<(usize, Need)>,
    pub alerts: Alerts,
    pub plants: BTreeMap<At, Vec<Plant>>,
    /// People who do nothing any more, and one who does too much.
    pub silent: HashSet<usize>,
    pub busiest: Option<usize>,
    /// How many people there are at first and later on.
    pub size: usize,
    /// Steps of the clock since checks were asked that the server was seen to have followed: two of them, and its marks of use are kept.
    pub followed: usize,
    /// How long the journal was when the clock was moved last, and at the time of work before.
    moved_at: u64,
    seq: u64,
    before: At,
}

impl Year {
    pub fn new(seed: u64, people: usize) -> Self {
        let home = Home::new();
        let roles = company::roles();
        company::write(&home.policies(), &roles, &super::alerts::file(people));
        let server = home.serve();
        let wire = Wire::new(server.port());
        let mut books = Books { roles, of_group: vec![Vec::new(); GROUPS], ..Books::default() };
        for number in 0..SECURITY {
            books.add_person(Person {
                name: security_name(number),
                human: number,
                department: 0,
                groups: vec![SECURITY_GROUP],
                there: true,
                disabled: false,
                lead: false,
                shift: 7,
                busy: 0,
                needs: Vec::new(),
            });
        }
        let mut year = Self {
            seed,
            rng: Rng::new(seed),
            books,
            home,
            server,
            wire,
            // the machine's own time, as far as anybody here knows it
            now: 0,
            faults: Vec::new(),
            figures: Figures::default(),
            plans: BTreeMap::new(),
            reviews: Reviews::default(),
            dormant: HashSet::new(),
            joiners: BTreeMap::new(),
            leavers: BTreeMap::new(),
            deleted: BTreeMap::new(),
            movers: BTreeMap::new(),
            group_needs: Vec::new(),
            alerts: Alerts::default(),
            plants: BTreeMap::new(),
            silent: HashSet::new(),
            busiest: None,
            size: people,
            followed: 2,
            moved_at: 0,
            seq: 0,
            before: 0,
        };
        year.people(people);
        year
    }

    // ---- differences -------------------------------------------------------------------------------------------------------------

    /// Notes a difference between what the oracle says and what the server does.
    pub fn fault(&mut self, what: String) {
        let line = format!("{} {what}", show(self.now));
        println!("DIFFERENT: {line}");
        self.faults.push(line);
        assert!(self.faults.len() < MOST_FAULTS, "too many differences (seed {}):\n{}", self.seed, self.faults.join("\n"));
    }

    /// Whether something was answered as expected; `rule` is empty where it is not refused.
    pub fn expect(&mut self, what: impl FnOnce() -> String, reply: &Reply, status: u16, rule: &str) -> bool {
        if !rule.is_empty() {
            *self.figures.refused.entry(rule.to_owned()).or_default() += 1;
        }
        if reply.status == status && reply.rule() == rule {
            return true;
        }
        let expected = if rule.is_empty() { status.to_string() } else { format!("{status} {rule}") };
        self.fault(format!("{}: the oracle says {expected}, Elevon {} {}", what(), reply.status, reply.body));
        false
    }

    pub fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: impl FnOnce() -> String, oracle: &T, elevon: &T) -> bool {
        if oracle != elevon {
            self.fault(format!("{}: the oracle says {oracle:?}, Elevon {elevon:?}", what()));
        }
        oracle == elevon
    }

    // ---- asking ------------------------------------------------------------------------------------------------------------------

    /// Somebody's credential, with a second factor shown now.
    pub fn who(&self, person: usize) -> String {
        format!("User::\"{}\"; mfa=pwd,otp; auth_time={}", self.books.people[person].name, show(self.now))
    }

    pub fn ask(&self, person: usize, method: &'static str, path: impl Into<String>, body: Value) -> Ask {
        Ask { who: self.who(person), method, path: path.into(), body }
    }

    /// One of those who look after Elevon.
    pub fn someone_of_security(&mut self) -> usize {
        self.rng.below(SECURITY)
    }

    /// Moves the clock.
    pub fn go_to(&mut self, at: At) {
        self.digest();
        assert!(at >= self.now, "time goes back from {} to {}", show(self.now), show(at));
        self.now = at;
        let ask = self.ask(0, "POST", "/dev/clock", json!({"set": show(at)}));
        let reply = self.wire.one(ask);
        assert_eq!(reply.status, 200, "{}", reply.body);
        self.moved_at = reply.body["seq"].as_u64().unwrap();
    }

    // ---- who is there ------------------------------------------------------------------------------------------------------------

    fn people(&mut self, count: usize) {
        let joining = count * 8 / 100;
        let first = midnight(FIRST);
        for number in 0..count {
            let department = number % DEPARTMENTS.len();
            let lead = number < 5 * DEPARTMENTS.len();
            let mut groups = vec![team(department, (number / DEPARTMENTS.len()) % TEAMS)];
            if lead {
                groups.push(leads(department));
            }
            let busy = if self.rng.chance(300) { 8 } else { 2 };
            let person = Person {
                name: format!("p{number:03}"),
                human: SECURITY + number,
                department,
                groups,
                there: false,
                disabled: false,
                lead,
                shift: SHIFTS[department % SHIFTS.len()],
                busy,
                needs: Vec::new(),
            };
            let person = self.books.add_person(person);
            self.books.people[person].needs = self.needs(department, lead);
            let joins = if number + joining >= count { first + self.rng.between(1, 330) * DAY } else { midnight(FOUNDED) };
            self.joiners.entry(joins).or_default().push(person);
            if !lead && joins < first && self.rng.chance(100) {
                let at = first + self.rng.between(3, 50) * 7 * DAY;
                self.leavers.entry(at).or_default().push(person);
            } else if !lead && joins < first && self.rng.chance(130) {
                let at = first + self.rng.between(2, 50) * 7 * DAY;
                self.movers.entry(at).or_default().push(person);
            }
        }
        // some who lead have a second account, which holds nothing and is in no group
        for number in 0..DEPARTMENTS.len() {
            let main = self.books.people[SECURITY + number].clone();
            let name = format!("{}-admin", main.name);
            let groups = if number < 2 { vec![company::PAIR] } else { Vec::new() };
            let person = Person { name, groups, lead: false, busy: 0, needs: Vec::new(), ..main };
            let person = self.books.add_person(person);
            self.joiners.entry(midnight(FOUNDED)).or_default().push(person);
        }
        for department in 0..DEPARTMENTS.len() {
            let need = |kind: usize, scope| Need { role: department * 4 + kind, scope, dormant: false, forever: true, not_before: 0 };
            self.group_needs.push((department, need(0, None)));
            self.group_needs.push((team(department, 0), need(1, Some(1 + department % ENVIRONMENTS))));
        }
    }

    /// What somebody of a department works with.
    pub fn needs(&mut self, department: usize, lead: bool) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        let system = |rng: &mut Rng| Some(ENVIRONMENTS + 1 + rng.below(SYSTEMS));
        let environment = |rng: &mut Rng| Some(1 + rng.below(ENVIRONMENTS));
        let mut wanted = Vec::new();
        for _ in 0..2 {
            if self.rng.chance(450) {
                wanted.push((department * 4 + 1, system(&mut self.rng), 150));
            }
        }
        if lead || self.rng.chance(300) {
            let scope = if self.rng.chance(500) { system(&mut self.rng) } else { environment(&mut self.rng) };
            wanted.push((department * 4 + 2, scope, 120));
        }
        // of the last departments, this role is nobody's
        if self.rng.chance(120) && department < 6 {
            wanted.push((department * 4 + 3, environment(&mut self.rng), 0));
        }
        if self.rng.chance(300) {
            let other = self.rng.below(DEPARTMENTS.len());
            let scope = if self.rng.chance(300) { None } else { system(&mut self.rng) };
            wanted.push((other * 4, scope, 250));
        }
        for (role, scope, dormant) in wanted {
            if needs.iter().all(|need| (need.role, need.scope) != (role, scope)) {
                let forever = self.books.roles[role].permanent && self.rng.chance(600);
                needs.push(Need { role, scope, dormant: self.rng.chance(dormant), forever, not_before: 0 });
            }
        }
        needs
    }

    fn entity(&self, person: usize) -> Value {
        let found = &self.books.people[person];
        let parents: Vec<Value> = found.groups.iter().map(|group| json!({"type": "Group", "id": group_name(*group)})).collect();
        json!({"uid": {"type": "User", "id": found.name}, "parents": parents, "attrs": {"person": format!("human-{}", found.human)}})
    }

    /// Stores people who come, all at once.
    pub fn join(&mut self, people: &[usize]) {
        for person in people {
            self.books.people[*person].there = true;
            self.books.noted.push(Noted::Changed(*person));
        }
        let asks: Vec<Ask> = people.iter().map(|person| self.ask(person % SECURITY, "PUT", "/v1/entities", self.entity(*person))).collect();
        for (reply, person) in self.wire.all(&asks).into_iter().zip(people) {
            self.expect(|| format!("person {person} joins"), &reply, 201, "");
        }
        self.figures.joined += people.len();
    }

    /// Puts people into another team, and another department now and then.
    pub fn move_on(&mut self, people: &[usize]) {
        let mut asks = Vec::new();
        for person in people {
            let department = if self.rng.chance(600) { self.rng.below(DEPARTMENTS.len()) } else { self.books.people[*person].department };
            let groups = vec![team(department, self.rng.below(TEAMS))];
            self.books.people[*person].department = department;
            self.books.regroup(*person, groups, self.now);
            let needs = self.needs(department, false);
            self.books.people[*person].needs = needs;
            asks.push(self.ask(person % SECURITY, "PUT", "/v1/entities", self.entity(*person)));
        }
        for (reply, person) in self.wire.all(&asks).into_iter().zip(people) {
            self.expect(|| format!("person {person} moves"), &reply, 200, "");
        }
        self.figures.moved += people.len();
    }

    pub fn leave(&mut self, people: &[usize]) {
        let body = |name: &str| json!({"type": "User", "id": name, "reason": "left"});
        let asks: Vec<Ask> = people
            .iter()
            .map(|person| self.ask(person % SECURITY, "POST", "/v1/entities/disable", body(&self.books.people[*person].name)))
            .collect();
        for (reply, person) in self.wire.all(&asks).into_iter().zip(people) {
            self.expect(|| format!("person {person} leaves"), &reply, 200, "");
            self.books.disable(*person, self.now);
            if self.rng.chance(500) {
                let day = (self.now / DAY + self.rng.between(5, 40)) * DAY;
                self.deleted.entry(day).or_default().push(*person);
            }
        }
        self.figures.left += people.len();
    }

    pub fn delete(&mut self, people: &[usize]) {
        let path = |name: &str| format!("/v1/entities?type=User&id={name}");
        let asks: Vec<Ask> = people
            .iter()
            .map(|person| self.ask(person % SECURITY, "DELETE", path(&self.books.people[*person].name), Value::Null))
            .collect();
        for (reply, person) in self.wire.all(&asks).into_iter().zip(people) {
            self.expect(|| format!("person {person} is deleted"), &reply, 200, "");
            self.books.delete(*person, self.now);
        }
    }

    // ---- grants ------------------------------------------------------------------------------------------------------------------

    /// Gives grants, all at once.
    pub fn give(&mut self, wanted: Vec<(Grant, bool)>) {
        let mut asks = Vec::new();
        for (number, (grant, _)) in wanted.iter().enumerate() {
            let (kind, id) = self.books.named(grant.holder);
            let mut body =
                json!({"principal": {"type": kind, "id": id}, "role": self.books.roles[grant.role].name, "justification": "needed"});
            if let Some(scope) = grant.scope {
                body["scope"] = scope_json(scope);
            }
            if let Some(end) = grant.end {
                body["end"] = json!(show(end));
            }
            if grant.start > self.now {
                body["start"] = json!(show(grant.start));
            }
            let path = if grant.eligibility { "/v1/eligibilities" } else { "/v1/assignments" };
            asks.push(self.ask(number % SECURITY, "POST", path, body));
        }
        for (reply, (grant, dormant)) in self.wire.all(&asks).into_iter().zip(wanted) {
            let what = |books: &Books| format!("a grant of {} to {:?}", books.roles[grant.role].name, books.named(grant.holder));
            let what = what(&self.books);
            if self.expect(|| what, &reply, 201, "") {
                self.figures.grants += 1;
                let given = read(reply.body["granted_at"].as_str().unwrap());
                let now = self.now;
                self.same(|| "when a grant was given".to_owned(), &now, &given);
                let id = reply.body["id"].as_str().unwrap().to_owned();
                let number = self.books.add_grant(Grant { id, ..grant });
                if dormant {
                    self.dormant.insert(number);
                }
            }
        }
    }

    fn drawn(&mut self, holder: Holder, need: &Need) -> (Grant, bool) {
        let role = &self.books.roles[need.role];
        // a role that is counted by the day ends when nobody works
        let time = if role.kind == Kind::Operate { 3 * HOUR + 45 * MINUTE } else { self.rng.between(0, 24 * 60 - 1) * MINUTE };
        let end = (self.now / DAY + self.rng.between(60, 300)) * DAY + time;
        let start = if self.rng.chance(60) { (self.now / DAY + self.rng.between(2, 9)) * DAY } else { self.now };
        let grant = Grant {
            id: String::new(),
            eligibility: true,
            holder,
            role: need.role,
            scope: need.scope,
            start,
            end: (!need.forever || !role.permanent).then_some(end),
            given: self.now,
            gone: None,
            first_activation: None,
            last_activation: None,
            last_check: None,
        };
        (grant, need.dormant)
    }

    /// Gives what is needed and not there: soon after it went, but for what nobody used anyway.
    pub fn provide(&mut self, at_once: bool) {
        let now = self.now;
        let mut wanted = Vec::new();
        let had = |books: &Books, holder: Holder, need: &Need| {
            let of = match holder {
                Holder::Person(person) => &books.of_person[person],
                Holder::Group(group) => &books.of_group[group],
            };
            of.iter().any(|grant| {
                let found = &books.grants[*grant];
                found.eligibility && (found.role, found.scope) == (need.role, need.scope) && books.stands(*grant, now - 8 * HOUR)
            })
        };
        for (group, need) in self.group_needs.clone() {
            let holder = Holder::Group(group);
            if !had(&self.books, holder, &need) {
                wanted.push(self.drawn(holder, &need));
            }
        }
        for person in 0..self.books.people.len() {
            if !self.books.enabled(person) {
                continue;
            }
            for number in 0..self.books.people[person].needs.len() {
                let need = self.books.people[person].needs[number].clone();
                let holder = Holder::Person(person);
                if now < need.not_before || had(&self.books, holder, &need) || !(at_once || self.rng.chance(200)) {
                    continue;
                }
                wanted.push(self.drawn(holder, &need));
                if need.dormant {
                    self.books.people[person].needs[number].not_before = At::MAX;
                }
            }
        }
        self.give(wanted);
    }

    /// Gives a few roles without activation.
    pub fn assign(&mut self, count: usize) {
        let mut wanted: Vec<(Grant, bool)> = Vec::new();
        for _ in 0..count {
            let person = SECURITY + self.rng.below(self.books.people.len() - SECURITY);
            let role = 4 * self.rng.below(DEPARTMENTS.len());
            let scope = Some(self.rng.below(SCOPES));
            let same =
                |grant: &Grant| !grant.eligibility && (grant.holder, grant.role, grant.scope) == (Holder::Person(person), role, scope);
            let there = self.books.of_person[person].iter().any(|grant| same(&self.books.grants[*grant]));
            if there || wanted.iter().any(|(grant, _)| same(grant)) || !self.books.enabled(person) || self.books.people[person].busy == 0 {
                continue;
            }
            let end = self.rng.chance(500).then(|| self.now + self.rng.between(30, 200) * DAY);
            let grant = Grant {
                id: String::new(),
                eligibility: false,
                holder: Holder::Person(person),
                role,
                scope,
                start: self.now,
                end,
                given: self.now,
                gone: None,
                first_activation: None,
                last_activation: None,
                last_check: None,
            };
            wanted.push((grant, false));
        }
        self.give(wanted);
    }

    // ---- the year ----------------------------------------------------------------------------------------------------------------

    /// Founds the company.
    pub fn found(&mut self) {
        self.jump();
        self.go_to(midnight(FOUNDED));
        let people = self.joiners.remove(&self.now).unwrap_or_default();
        self.join(&people);
        self.figures.joined = 0;
        self.provide(true);
        self.assign(30);
        self.define_reviews();
    }

    /// Works for the year, and lets the reviews that are open then come to their end.
    pub fn live(&mut self, activations: usize) {
        let mut stops: BTreeMap<At, bool> = BTreeMap::new();
        let (first, last) = (midnight(FIRST), midnight(LAST));
        for day in (first..=last).step_by(usize::try_from(DAY).unwrap()) {
            let working = super::calendar::weekday(day) < 5;
            let hours: &[i64] = if working { &[4, 6, 8, 10, 12, 14, 16, 18, 20] } else { &[9, 15] };
            for hour in hours {
                let at = day + hour * HOUR + self.rng.between(0, 59) * MINUTE;
                stops.insert(at, working);
                // people are done, or need longer, in between
                stops.insert(at + self.rng.between(21, 29) * MINUTE, false);
                stops.insert(at + self.rng.between(45, 59) * MINUTE, false);
            }
        }
        for (at, plant) in plants::all() {
            self.plants.entry(at).or_default().push(plant);
            stops.entry(at).or_insert(false);
        }
        let mut left = stops.values().filter(|work| **work).count();
        while let Some((stop, work)) = stops.pop_first() {
            (self.seq, self.before) = (self.moved_at, self.now);
            self.reviews_until(stop, stops.keys().nth(8).copied().unwrap_or(stop));
            if self.now < stop {
                self.go_to(stop);
                self.follow();
            }
            if !work {
                self.plant();
                self.go_on();
                continue;
            }
            let share = (activations - self.figures.activations.min(activations)).div_ceil(left);
            self.work(share, left == 1);
            left -= 1;
        }
        self.end_reviews();
        self.incidents();
    }

    /// Waits until the server has written down what ended since, where it has to be known.
    fn follow(&mut self) {
        if self.followed >= 2 {
            return;
        }
        let now = self.now;
        let ended = |act: &usize| match self.books.acts[*act].state {
            super::books::State::Active { end, .. } if end <= now && end > self.before && self.books.acts[*act].extends.is_none() => {
                // what ends with its eligibility is written down otherwise
                self.books.grants[self.books.acts[*act].basis].end.is_none_or(|other| other > end).then_some((end, *act))
            }
            _ => None,
        };
        let Some((_, act)) = self.books.open.iter().flatten().filter_map(ended).max() else { return };
        let path = format!("/v1/audit/events?activation={}&kind=activation_expired&limit=500&cursor={}", self.books.acts[act].id, self.seq);
        let began = std::time::Instant::now();
        loop {
            let ask = self.ask(0, "GET", path.clone(), Value::Null);
            let reply = self.wire.one(ask);
            if reply.body["items"].as_array().is_some_and(|items| !items.is_empty()) {
                self.followed += 1;
                return;
            }
            if began.elapsed() > std::time::Duration::from_secs(3) {
                let ask = self.ask(0, "GET", format!("/v1/activations/{}", self.books.acts[act].id), Value::Null);
                let shown = self.wire.one(ask).body;
                panic!("{:?} is not recorded as expired: {} {shown}", self.books.acts[act], reply.body);
            }
        }
    }
}
