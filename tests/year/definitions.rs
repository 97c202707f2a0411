//! What is reviewed: every recurrence and every rule for want of an answer, by those who lead, by holders themselves, by security, in one to
//! three stages, by the clocks of four places, on days that not every month has. Each has a minute of its own, so that no two are carried out
//! at one instant.

use super::books::{Books, Holder};
use super::calendar::{Date, Every, Recurrence, Zone};
use super::company::{DEPARTMENTS, SECURITY_GROUP, leads};
use super::reviews::{Deciders, Definition, Rule, Stage};

const SECURITY: Holder = Holder::Group(SECURITY_GROUP);

fn by(list: &[Holder], days: i64) -> Stage {
    Stage { by: Deciders::Listed(list.to_vec()), fallback: vec![SECURITY], days }
}

fn themselves(fallback: &[Holder], days: i64) -> Stage {
    Stage { by: Deciders::Themselves, fallback: fallback.to_vec(), days }
}

fn of_department(department: usize) -> Vec<usize> {
    (department * 4..department * 4 + 4).collect()
}

fn of_kind(kind: usize) -> Vec<usize> {
    (0..DEPARTMENTS.len()).map(|department| department * 4 + kind).collect()
}

fn lead(department: usize) -> Holder {
    Holder::Group(leads(department))
}

/// The second account of one who leads.
pub fn second_account(books: &Books, department: usize) -> usize {
    let name = format!("p{department:03}-admin");
    books.people.iter().position(|person| person.name == name).unwrap()
}

/// All of them.
pub fn all(books: &Books) -> Vec<Definition> {
    let second = |department: usize| Holder::Person(second_account(books, department));
    let mut found = Vec::new();
    let mut add = |name: &str, every: Every, (first, at, zone): (Date, i64, Zone), rule: Rule, roles: Vec<usize>, stages: Vec<Stage>| {
        let minute = i64::try_from(found.len()).unwrap();
        found.push(Definition {
            name: name.to_owned(),
            roles,
            scopes: Vec::new(),
            covers: "both",
            inactive: None,
            stages,
            rule,
            auto: true,
            confirm_above: 20,
            recurrence: Recurrence { every, first, at: at + minute, zone },
            id: String::new(),
            next: None,
            opened: 0,
        });
        found.len() - 1
    };
    let (month, quarter, half, year) = (Every::Months(1), Every::Months(3), Every::Months(6), Every::Months(12));
    let [no_change, remove, approve, recommended] = Rule::ALL;
    let four = of_department;

    add("billing by the month", month, ((2031, 7, 31), 540, Zone::Berlin), no_change, four(0), vec![by(&[lead(0)], 14)]);
    let stages = vec![themselves(&[lead(1)], 7), by(&[lead(1)], 7)];
    let at = add("crm by the month", month, ((2031, 8, 30), 120, Zone::NewYork), remove, four(1), stages);
    let at_data = add("data by the month", month, ((2031, 7, 15), 600, Zone::Kolkata), approve, four(2), vec![by(&[lead(2)], 10)]);
    add("erp by the month", month, ((2031, 1, 31), 0, Zone::Utc), recommended, four(3), vec![by(&[lead(3)], 12)]);

    add("fraud by the quarter", quarter, ((2031, 8, 31), 120, Zone::Berlin), no_change, four(4), vec![by(&[lead(4)], 21)]);
    let three = vec![by(&[SECURITY], 7), themselves(&[SECURITY], 7), by(&(0..10).map(lead).collect::<Vec<_>>(), 7)];
    add("administrators", quarter, ((2031, 7, 30), 480, Zone::Kolkata), remove, of_kind(2), three);
    let at_assigned = add("assigned", quarter, ((2031, 9, 15), 570, Zone::NewYork), approve, Vec::new(), vec![by(&[SECURITY], 20)]);
    let at_scope =
        add("first environment", quarter, ((2031, 9, 30), 0, Zone::Utc), recommended, Vec::new(), vec![by(&[lead(0), SECURITY], 25)]);

    let at_half = add("operators", half, ((2031, 8, 31), 720, Zone::Berlin), recommended, of_kind(1), vec![by(&[SECURITY], 30)]);
    let stages = vec![themselves(&[], 14), by(&[SECURITY], 14)];
    add("rescuers", half, ((2031, 10, 31), 690, Zone::Kolkata), remove, of_kind(3), stages);

    add("everything", year, ((2031, 2, 28), 510, Zone::Berlin), no_change, Vec::new(), vec![by(&[SECURITY], 30)]);
    add("hr by the year", year, ((2032, 2, 29), 0, Zone::Utc), remove, four(6), vec![by(&[lead(6)], 20)]);
    add("infra by the year", year, ((2031, 12, 31), 1410, Zone::NewYork), approve, four(7), vec![by(&[lead(7)], 20)]);
    add("legal by the year", year, ((2031, 10, 26), 120, Zone::Berlin), recommended, four(8), vec![by(&[lead(8)], 20)]);

    add("mail by the week", Every::Week, ((2031, 7, 7), 540, Zone::Kolkata), no_change, vec![36, 37], vec![by(&[second(9)], 5)]);
    add(
        "grid by the week",
        Every::Week,
        ((2031, 7, 6), 120, Zone::NewYork),
        recommended,
        vec![20, 22, 23],
        vec![themselves(&[lead(5)], 4)],
    );
    let at_once = add("long unused", Every::Once, ((2031, 12, 24), 600, Zone::Berlin), remove, Vec::new(), vec![by(&[SECURITY], 10)]);

    found[at].auto = false;
    found[at_data].inactive = Some(45);
    found[at_assigned].covers = "assignments";
    found[at_scope].scopes = vec![1];
    found[at_half].covers = "eligibilities";
    found[at_half].inactive = Some(60);
    found[at_half].confirm_above = 100;
    found[at_once].inactive = Some(90);
    found
}
