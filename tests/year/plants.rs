//! What is planted in the year so that alerts come up: each at a known day, while nothing else of its kind happens in the company.

use serde_json::{Value, json};

use super::alerts::OFTEN;
use super::books::{Grant, Holder};
use super::calendar::{At, DAY, HOUR, MINUTE, midnight};
use super::company::{self, ENVIRONMENTS, PAIR, SCOPES, SECURITY, SYSTEMS, leads};
use super::wire::Ask;
use super::work::Wish;
use super::year::{FIRST, FOUNDED, Plan, Year};

/// Roles that nobody has but for what is planted: `rescue` of the last departments.
const WEAK: usize = 27;
const CIRCLE: usize = 31;
pub const ASSIGNED: usize = 35;
const CROWDED: usize = 39;
/// `data-admin` and `fraud-admin`, on the whole company.
const WIDE: usize = 10;
const ALSO_WIDE: usize = 18;

#[derive(Debug, Clone, Copy)]
pub enum Plant {
    /// A privileged role is assigned without an end, to more than there may be.
    Assigned,
    /// One of those incidents is put aside and taken up again, another one is remedied.
    Remedied,
    /// Two departments may activate a role that is for a few.
    Crowded,
    Uncrowded,
    /// One of two approvers is away, and comes back.
    Away,
    Back,
    /// The only reviewer of some reviews is away, and comes back.
    ReviewerAway,
    ReviewerBack,
    /// A role asks for no second factor, and does again.
    Weak,
    Strong,
    /// Somebody asks for much at once, and for nothing of it after all.
    Requests,
    /// Somebody activates much at once.
    Activations,
    /// Somebody tries again and again.
    Refused,
    /// Somebody is denied again and again.
    Denied,
    /// Somebody activates the same role again and again, for days.
    Often,
    /// Somebody works on a Sunday at night.
    Sunday,
    /// Some people do nothing any more.
    Silence,
}

/// What is planted, and on which day at which hour.
pub fn all() -> Vec<(At, Plant)> {
    use Plant::{
        Activations, Assigned, Away, Back, Crowded, Denied, Often, Refused, Remedied, Requests, ReviewerAway, ReviewerBack, Silence,
        Strong, Sunday, Uncrowded, Weak,
    };
    // days are counted from the first of July, and 300 is a Sunday
    let days = [
        (43, Assigned),
        (45, Remedied),
        (50, Crowded),
        (53, Uncrowded),
        (71, Away),
        (73, Back),
        (74, ReviewerAway),
        (78, Weak),
        (79, Strong),
        (85, Requests),
        (88, ReviewerBack),
        (92, Activations),
        (99, Refused),
        (106, Denied),
        (110, Silence),
        (126, Often),
        (127, Often),
        (128, Often),
        (129, Often),
        (130, Often),
        (180, Away),
        (183, Back),
        (202, Sunday),
        (231, Refused),
        (252, Requests),
        (258, Sunday),
        (279, Assigned),
        (282, Remedied),
        (302, Activations),
        (308, Denied),
    ];
    let hour = |plant: Plant| if matches!(plant, Sunday) { 2 * HOUR + 7 * MINUTE } else { 11 * HOUR + 3 * MINUTE };
    days.into_iter().map(|(day, plant)| (midnight(FIRST) + (day - 1) * DAY + hour(plant), plant)).collect()
}

impl Year {
    /// Plants what is due.
    pub fn plant(&mut self) {
        let due: Vec<Plant> = self.plants.extract_if(..=self.now, |_, _| true).flat_map(|(_, plants)| plants).collect();
        for plant in due {
            println!("{}: {plant:?}", super::calendar::show(self.now));
            match plant {
                Plant::Assigned => {
                    for number in 0..3 {
                        let person = self.somebody();
                        self.give_one(Holder::Person(person), ASSIGNED, ENVIRONMENTS + 1 + number, false);
                    }
                }
                Plant::Remedied => self.remedied(),
                Plant::Crowded => (0..2).for_each(|group| self.give_one(Holder::Group(group), CROWDED, ENVIRONMENTS + 1, true)),
                Plant::Uncrowded => self.take_all(CROWDED),
                Plant::Away | Plant::Back => {
                    let person = self.books.members(PAIR)[0];
                    let away = matches!(plant, Plant::Away);
                    self.away(person, away);
                    let subject = format!("role {}", self.books.roles[CIRCLE].name);
                    if away {
                        self.alerts.begin("small_circle", subject, self.now);
                    } else {
                        self.alerts.end("small_circle", &subject, self.now);
                    }
                }
                Plant::ReviewerAway | Plant::ReviewerBack => {
                    let person = super::definitions::second_account(&self.books, 9);
                    self.away(person, matches!(plant, Plant::ReviewerAway));
                }
                Plant::Weak => self.weaken(true),
                Plant::Strong => self.weaken(false),
                Plant::Requests => self.ask_for_much(),
                Plant::Activations => self.activate_much(),
                Plant::Refused => self.refused(),
                Plant::Denied => self.denied(),
                Plant::Often => self.often(),
                Plant::Sunday => (0..3).for_each(|_| self.sunday()),
                Plant::Silence => {
                    for _ in 0..3 {
                        let person = self.somebody();
                        self.silent.insert(person);
                    }
                }
            }
        }
    }

    /// Somebody ordinary who is there, and has nothing open.
    fn somebody(&mut self) -> usize {
        for _ in 0..10_000 {
            let person = SECURITY + self.rng.below(self.books.people.len() - SECURITY);
            let found = &self.books.people[person];
            let ordinary = self.books.enabled(person) && !found.lead && found.busy > 0 && self.books.open[person].is_empty();
            if ordinary && self.books.history[person].len() >= 25.min(self.size / 20) && !self.silent.contains(&person) {
                return person;
            }
        }
        panic!("there is nobody to plant anything with");
    }

    fn give_one(&mut self, holder: Holder, role: usize, scope: usize, eligibility: bool) {
        let grant = Grant {
            id: String::new(),
            eligibility,
            holder,
            role,
            scope: Some(scope),
            start: self.now,
            end: None,
            given: self.now,
            gone: None,
            first_activation: None,
            last_activation: None,
            last_check: None,
        };
        self.give(vec![(grant, true)]);
    }

    fn take_all(&mut self, role: usize) {
        let all = self.books.of_person.iter().chain(&self.books.of_group).flatten().copied();
        let all: Vec<usize> = all.filter(|grant| self.books.grants[*grant].role == role && self.books.stands(*grant, self.now)).collect();
        for grant in all {
            self.take(grant);
        }
    }

    /// The incidents of a kind that are open.
    fn open_incidents(&mut self, kind: &str) -> Vec<Value> {
        self.detected();
        let ask = self.ask(0, "GET", format!("/v1/alerts/incidents?kind={kind}&status=open&limit=100"), Value::Null);
        self.wire.one(ask).body["items"].as_array().cloned().unwrap_or_default()
    }

    fn remedied(&mut self) {
        let open = self.open_incidents("role_held_outside");
        let Some(first) = open.first() else { return self.fault("no assignment of a privileged role is an incident".to_owned()) };
        let path = |verb: &str| format!("/v1/alerts/incidents/{}/{verb}", first["id"].as_str().unwrap());
        for (verb, body, status) in [
            ("dismiss", json!({"reason": "known"}), "dismissed"),
            ("rearm", Value::Null, "open"),
            ("remedy", json!({"reason": "no"}), "cleared"),
        ] {
            let by = self.someone_of_security();
            let ask = self.ask(by, "POST", path(verb), body);
            let reply = self.wire.one(ask);
            self.expect(|| format!("{verb} of an incident"), &reply, 200, "");
            self.same(|| format!("how an incident stands after {verb}"), &json!(status), &reply.body["status"]);
        }
        let id = first["subject"]["id"].as_str().unwrap_or_default();
        match self.books.grants.iter().position(|grant| grant.id == id) {
            Some(grant) => self.books.remove(grant, self.now),
            None => self.fault(format!("{id} is no assignment")),
        }
        self.digest();
        self.detected();
        // some are left to be taken away later
        self.take_all(ASSIGNED);
    }

    fn away(&mut self, person: usize, away: bool) {
        self.digest();
        self.detected();
        let name = self.books.people[person].name.clone();
        let verb = if away { "disable" } else { "enable" };
        let ask = self.ask(0, "POST", format!("/v1/entities/{verb}"), json!({"type": "User", "id": name}));
        let reply = self.wire.one(ask);
        self.expect(|| format!("{verb} {name}"), &reply, 200, "");
        if away {
            self.books.disable(person, self.now);
        } else {
            self.books.people[person].disabled = false;
        }
        self.digest();
        self.detected();
    }

    fn weaken(&mut self, weak: bool) {
        self.digest();
        self.detected();
        let policies = self.home.policies();
        company::write_roles(&policies, &self.books.roles, weak.then_some(WEAK));
        let ask = self.ask(0, "POST", "/v1/policies/reload", Value::Null);
        let reply = self.wire.one(ask);
        self.expect(|| "other role settings".to_owned(), &reply, 200, "");
        let subject = format!("role {}", self.books.roles[WEAK].name);
        if weak {
            self.alerts.begin("weak_settings", subject, self.now);
        } else {
            self.alerts.end("weak_settings", &subject, self.now);
        }
        self.detected();
    }

    /// Somebody with a wide eligibility asks for so many things that wait for votes; what they came to be.
    fn ask_widely(&mut self, count: usize) -> Vec<usize> {
        let person = self.somebody();
        for role in [WIDE, ALSO_WIDE] {
            let wide =
                |grant: &Grant| grant.eligibility && (grant.holder, grant.role, grant.scope) == (Holder::Person(person), role, Some(0));
            let there = self.books.of_person[person].iter().any(|grant| wide(&self.books.grants[*grant]));
            if !there {
                self.give_one(Holder::Person(person), role, 0, true);
            }
        }
        let before = self.books.acts.len();
        let wish = |place: usize| {
            let (role, scope) = (if place < SCOPES { WIDE } else { ALSO_WIDE }, Some(place % SCOPES));
            Wish { person, role, scope, duration: 30 * MINUTE, emergency: false }
        };
        self.request((0..count).map(wish).collect());
        let made: Vec<usize> = (before..self.books.acts.len()).collect();
        for plans in self.plans.values_mut() {
            plans.retain(|plan| !matches!(plan, Plan::Answer(act) if made.contains(act)));
        }
        self.same(|| "requests that wait".to_owned(), &count, &made.len());
        made
    }

    fn ask_for_much(&mut self) {
        let made = self.ask_widely(20);
        let path = |act: &usize| format!("/v1/activations/{}/cancel", self.books.acts[*act].id);
        let asks: Vec<Ask> = made.iter().map(|act| self.ask(self.books.acts[*act].person, "POST", path(act), Value::Null)).collect();
        for (reply, act) in self.wire.all(&asks).into_iter().zip(made) {
            if self.expect(|| "a request is called off".to_owned(), &reply, 200, "") {
                self.books.end(act, self.now, "cancelled");
            }
        }
    }

    fn denied(&mut self) {
        let made = self.ask_widely(10);
        let voters = self.books.members(leads(self.books.roles[WIDE].department));
        let mut asks = Vec::new();
        for act in &made {
            let found = &self.books.acts[*act];
            let body = json!({"request_hash": found.hash, "justification": "no"});
            asks.push(self.ask(voters[0], "POST", format!("/v1/activations/{}/deny", found.id), body));
        }
        for (reply, act) in self.wire.all(&asks).into_iter().zip(made) {
            self.voted(act, "deny", voters[0], &reply);
        }
    }

    fn of_department(&self, person: usize, place: usize, minutes: i64) -> Wish {
        let role = self.books.people[person].department * 4;
        Wish { person, role, scope: Some(ENVIRONMENTS + 1 + place % SYSTEMS), duration: minutes * MINUTE, emergency: false }
    }

    fn activate_much(&mut self) {
        let person = self.somebody();
        let wishes = (0..10).map(|place| self.of_department(person, place, 5)).collect();
        self.request(wishes);
    }

    fn often(&mut self) {
        let person = match self.busiest.filter(|person| self.books.enabled(*person)) {
            Some(person) => person,
            None => self.somebody(),
        };
        self.busiest = Some(person);
        let each = OFTEN.0.div_ceil(5) + 1;
        let wishes = (0..each).map(|place| self.of_department(person, place, 5)).collect();
        self.request(wishes);
    }

    fn sunday(&mut self) {
        let person = self.somebody();
        let wish = self.of_department(person, 0, 30);
        self.request(vec![wish]);
    }

    /// Somebody tries what is not theirs, a dozen times within a minute: the first is journaled at once, the rest when the minute is over.
    fn refused(&mut self) {
        let person = self.somebody();
        let wish = |_| Wish { person, role: CROWDED, scope: Some(1), duration: 30 * MINUTE, emergency: false };
        self.request((0..12).map(wish).collect());
        let principal = self.principal(person);
        self.alerts.refused(principal.clone(), self.now, 1);
        self.digest();
        self.detected();
        if self.next_due().is_some_and(|due| due <= self.now + 2 * MINUTE) {
            return self.fault("a review is due within two minutes of what is planted".to_owned());
        }
        self.go_to(self.now + 2 * MINUTE);
        self.alerts.refused(principal, self.now, 11);
        let name = self.books.people[person].name.clone();
        let path = format!("/v1/alerts/incidents?kind=denial_burst&principal_type=User&principal_id={name}");
        self.until(&path, "many refusals are an incident", |shown| shown["items"].as_array().is_some_and(|items| !items.is_empty()));
    }

    // ---- the clock ---------------------------------------------------------------------------------------------------------------

    /// The clock jumps ahead and is not believed. It is again when so much time has passed that it may have been slewed as far.
    pub fn jump(&mut self) {
        let ask = self.ask(0, "POST", "/dev/clock", json!({"jump": "PT1H"}));
        let reply = self.wire.one(ask);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let ask = self.ask(0, "POST", "/v1/entities/disable", json!({"type": "User", "id": "nobody"}));
        let reply = self.wire.one(ask);
        self.expect(|| "a command while the clock is not believed".to_owned(), &reply, 503, "time_untrusted");
        // nothing tells when the detectors have seen it
        std::thread::sleep(std::time::Duration::from_millis(2500));
        self.go_to(midnight(FOUNDED) - DAY);
        self.until("/readyz", "the clock is believed again", |shown| shown["time_trusted"] == json!(true));
        self.detected();
    }
}
