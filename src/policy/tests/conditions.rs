//! Conditions: a role counts for a check only where its conditions hold for that very check.

use serde_json::{Value, json};

use super::story::{NOW, Story, object, uid};
use super::{ROLES, SCHEMA, load};
use crate::domain::facts::{Action, Object};
use crate::domain::standing::WhyNot;
use crate::domain::{ActivationId, Duration, RoleName};
use crate::policy::{Ask, Bundle, Reason, Verdict};

const ANN: &str = "User::\"ann\"";
const PLAN: &str = "Doc::\"plan\"";
const MFA: &str = "permit (principal, action, resource) when { context has mfa && context.mfa };";

/// The usual bundle, in which the editor has these conditions, and `read` may be told of a second factor.
fn bundle(conditions: &str, policy: &str) -> Bundle {
    let schema = SCHEMA
        .replace("reason?: String, now", "reason?: String, mfa?: Bool, now")
        .replace("level?: Long }", "level?: Long, @from_request managed?: Bool }");
    let roles = ROLES.replace("[roles.\"editor\"]\n", "[roles.\"editor\"]\nconditions = true\n");
    let changes = [
        ("schema.cedarschema", Some(schema.as_str())),
        ("roles.toml", Some(&roles)),
        ("conditions/editor.cedar", Some(conditions)),
        ("more.cedar", Some(policy)),
    ];
    load(&changes).unwrap_or_else(|error| panic!("{error}"))
}

fn editor(conditions: &str) -> Story {
    Story::of(bundle(conditions, "")).active(ANN, "editor", None, 0)
}

fn read(story: &Story, context: &Value) -> Verdict {
    let mut ask = Ask::new(uid(ANN), "read", uid(PLAN));
    ask.context = object(context);
    story.check(&ask)
}

/// Why the only holding does not count; nothing, where it does.
fn why(verdict: &Verdict) -> Option<String> {
    assert_eq!(verdict.holdings.len(), 1);
    match &verdict.holdings[0].counts {
        Ok(()) => None,
        Err(WhyNot::ConditionsNotMet { role, because }) => {
            assert_eq!(role.as_str(), "editor");
            Some(because.clone())
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_role_counts_only_where_its_conditions_hold() {
    let fails = "when { principal has level && principal.level + 9223372036854775807 > 0 };";
    let rows: [(&str, Value, Option<&str>); 9] = [
        (MFA, json!({"mfa": true}), None),
        (MFA, json!({"mfa": false}), Some("none of them permits it")),
        (MFA, json!({}), Some("none of them permits it")),
        (&format!("{MFA} @id(\"away\") forbid (principal, action, resource) when {{ context has reason }};"), json!({"mfa": true}), None),
        (
            &format!("{MFA} @id(\"away\") forbid (principal, action, resource) when {{ context has reason }};"),
            json!({"mfa": true, "reason": "x"}),
            Some("`away` forbids it"),
        ),
        (&format!("@id(\"odd\") permit (principal, action, resource) {fails}"), json!({}), Some("`odd` failed: integer overflow")),
        // what fails and could have forbidden counts as if it had, and what fails beside a permit changes nothing
        (&format!("{MFA} @id(\"odd\") forbid (principal, action, resource) {fails}"), json!({"mfa": true}), Some("`odd` failed: integer")),
        (&format!("{MFA} @id(\"odd\") permit (principal, action, resource) {fails}"), json!({"mfa": true}), None),
        ("permit (principal in Group::\"staff\", action, resource) when { principal has level };", json!({}), None),
    ];
    for (conditions, context, expected) in rows {
        let verdict = read(&editor(conditions), &context);
        let said = why(&verdict);
        assert_eq!(said.is_some(), expected.is_some(), "{conditions} {context}: {verdict:?}");
        assert!(said.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{conditions} {context}: {verdict:?}");
        assert_eq!(verdict.reason, if expected.is_none() { Reason::Permitted } else { Reason::NoPermit }, "{conditions} {context}");
        assert!(verdict.errors.is_empty());
    }
}

#[test]
fn each_check_is_asked_about_as_it_is() {
    let conditions = "permit (principal, action == Action::\"read\", resource in Folder::\"top\")
        when { principal has managed && principal.managed };
        permit (principal, action == Action::\"sign\", resource) when { context.level > 2 };";
    let story = Story::of(bundle(conditions, "permit (principal in Role::\"editor\", action == Action::\"sign\", resource);"))
        .active(ANN, "editor", None, 0)
        .stored("Doc::\"loose\"", &json!({}));
    for (action, resource, context, properties, reason) in [
        ("read", PLAN, json!({}), json!({"managed": true}), Reason::Permitted),
        ("read", PLAN, json!({}), json!({"managed": false}), Reason::NoPermit),
        ("read", PLAN, json!({}), json!({}), Reason::NoPermit),
        ("read", "Doc::\"loose\"", json!({}), json!({"managed": true}), Reason::NoPermit),
        ("read", "Gauge::\"g\"", json!({}), json!({"managed": true}), Reason::NoPermit),
        ("sign", PLAN, json!({"level": 3}), json!({}), Reason::Permitted),
        ("sign", PLAN, json!({"level": 2}), json!({"managed": true}), Reason::NoPermit),
    ] {
        let mut ask = Ask::new(uid(ANN), action, uid(resource));
        (ask.context, ask.subject_properties) = (object(&context), object(&properties));
        assert_eq!(story.check(&ask).reason, reason, "{action} {resource} {context} {properties}");
    }
}

/// The conditions of a role say nothing about other roles, and nothing is permitted by them.
#[test]
fn conditions_permit_nothing_themselves() {
    let all = "permit (principal, action, resource);";
    assert_eq!(read(&Story::of(bundle(all, "")), &json!({})).reason, Reason::NoPermit);
    assert_eq!(bundle(all, "").policy_count(), 2);
    let forbid = format!("{all} forbid (principal, action, resource);");
    let story = Story::of(bundle(&forbid, "")).active(ANN, "admin", None, 0).assigned("Group::\"staff\"", "editor", None, None);
    let verdict = read(&story, &json!({}));
    assert_eq!((verdict.reason, verdict.policies), (Reason::Permitted, vec!["admins".to_owned()]));
    // every holding of the role, however it came about; and one that does not count for another reason keeps that reason
    let story =
        Story::of(bundle(MFA, "")).active(ANN, "editor", Some("Folder::\"far\""), 0).assigned("Group::\"staff\"", "editor", None, None);
    let whys: Vec<_> = read(&story, &json!({})).holdings.into_iter().map(|holding| holding.counts).collect();
    assert!(whys.iter().any(|why| matches!(why, Err(WhyNot::OutOfScope { .. }))), "{whys:?}");
    assert!(whys.iter().any(|why| matches!(why, Err(WhyNot::ConditionsNotMet { .. }))), "{whys:?}");
}

#[test]
fn a_role_that_does_not_count_shows_no_tag() {
    let policy = "permit (principal, action == Action::\"read\", resource) when { principal.hasTag(\"editor\") };";
    let story = Story::of(bundle(MFA, policy)).active(ANN, "editor", None, 0);
    assert_eq!(read(&story, &json!({})).reason, Reason::NoPermit);
    assert_eq!(read(&story, &json!({"mfa": true})).reason, Reason::Permitted);
}

#[test]
fn conditions_that_read_the_time_hold_for_the_moment() {
    let until = |conditions: &str, story: fn(Bundle) -> Story| read(&story(bundle(conditions, "")), &json!({})).valid_until;
    let timed = "permit (principal, action == Action::\"read\", resource) when { context.now < datetime(\"2040-01-01\") };";
    let elsewhere = "permit (principal, action == Action::\"read\", resource);
        permit (principal, action == Elevon::Action::\"readAudit\", resource) when { context.now < datetime(\"2040-01-01\") };";
    assert_eq!(until(timed, |bundle| Story::of(bundle).active(ANN, "editor", None, 0)), Some(NOW));
    assert_eq!(until(elsewhere, |bundle| Story::of(bundle).active(ANN, "editor", None, 0)), Some(NOW.plus(Duration::from_hours(1))));
    assert_eq!(until(timed, |bundle| Story::of(bundle).active(ANN, "admin", None, 0)), Some(NOW.plus(Duration::from_hours(1))));
    assert_eq!(until(timed, Story::of), None);
    let past = timed.replace("2040", "2020");
    assert_eq!(read(&editor(&past), &json!({})).reason, Reason::NoPermit);
}

/// Elevon's own actions ask conditions, too: an approver whose role wants a second factor votes with one.
#[test]
fn elevons_own_actions_ask_conditions() {
    let policy = "permit (principal in Role::\"editor\", action == Elevon::Action::\"approveActivation\", resource);
        permit (principal in Role::\"editor\", action == Elevon::Action::\"readAudit\", resource);";
    let conditions = "permit (principal, action == Elevon::Action::\"approveActivation\", resource)
        when { context.mfa && resource.role == \"admin\" };
        permit (principal, action == Elevon::Action::\"readAudit\", resource);";
    let story = Story::of(bundle(conditions, policy)).active(ANN, "editor", None, 0);
    let about = |role: &str| Object::RoleActivation {
        id: ActivationId::new("act_9").unwrap(),
        role: RoleName::new(role).unwrap(),
        scope: None,
        beneficiary: uid("User::\"bea\""),
        requester: None,
    };
    for (amr, action, asked_about, reason) in [
        (&["pwd", "otp"][..], Action::ApproveActivation, about("admin"), Reason::Permitted),
        (&["pwd"][..], Action::ApproveActivation, about("admin"), Reason::NoPermit),
        (&["pwd", "otp"][..], Action::ApproveActivation, about("editor"), Reason::NoPermit),
        (&["pwd"][..], Action::ReadAudit, Object::Sidecar, Reason::Permitted),
    ] {
        let verdict = story.asks_with(ANN, amr, action, asked_about.clone());
        assert_eq!(verdict.reason, reason, "{amr:?} {action:?} {asked_about:?}");
        assert_eq!(why(&verdict).is_none(), reason == Reason::Permitted);
    }
}

#[test]
fn a_bundle_says_which_roles_have_conditions() {
    let bundle = bundle(MFA, "");
    let has = |bundle: &Bundle, role: &str| bundle.has_conditions(&RoleName::new(role).unwrap());
    assert_eq!((has(&bundle, "editor"), has(&bundle, "admin"), has(&bundle, "nobody")), (true, false, false));
    let again = Bundle::from_archive(&bundle.to_archive()).unwrap();
    assert!(has(&again, "editor") && again.revision() == bundle.revision());
    assert!(bundle.files().iter().any(|file| file.path == "conditions/editor.cedar"));
}

/// Policy tests ask conditions as checks do.
#[test]
fn policy_tests_ask_conditions() {
    let schema = SCHEMA.replace("reason?: String, now", "reason?: String, mfa?: Bool, now");
    let roles = ROLES.replace("[roles.\"editor\"]\n", "[roles.\"editor\"]\nconditions = true\nemergency = {}\n");
    let test = |context: &str, expect: &str| {
        format!(
            "{}[[test]]\nname = \"t\"\nactive = [{{ principal = '{ANN}', role = \"editor\", emergency = true }}]\nexpect = \"{expect}\"
            ask = {{ principal = '{ANN}', action = \"read\", resource = '{PLAN}', context = {{ {context} }} }}\n",
            super::TESTS
        )
    };
    for (context, expect, failure) in [
        ("mfa = true", "allow", None),
        ("", "deny", None),
        ("", "allow", Some("`editor` did not count: the conditions of role `editor` do not hold for this check: none of them permits it")),
    ] {
        let tests = test(context, expect);
        let loaded = load(&[
            ("schema.cedarschema", Some(&schema)),
            ("roles.toml", Some(&roles)),
            ("conditions/editor.cedar", Some(MFA)),
            ("tests/guard.toml", Some(&tests)),
        ]);
        match (loaded, failure) {
            (Ok(_), None) => {}
            (Err(error), Some(failure)) => assert!(error.to_string().contains(failure), "{error}"),
            (Ok(_), Some(failure)) => panic!("taken: {failure}"),
            (Err(error), None) => panic!("{error}"),
        }
    }
}
