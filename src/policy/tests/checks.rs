//! What a check answers, and what Elevon's own authority does.

use serde_json::{Value, json};

use super::story::{NOW, Story, object, uid};
use super::{POLICIES, ROLES, load};
use crate::domain::facts::{Action, Authority, Object, Question};
use crate::domain::settings::{JsonObject, UnknownRule};
use crate::domain::standing::{Moment, Presence};
use crate::domain::{ActivationId, Actor, Duration, RoleName, Uid};
use crate::policy::{Ask, Effect, Reason};

const ANN: &str = "User::\"ann\"";
const PLAN: &str = "Doc::\"plan\"";
const TOP: Option<&str> = Some("Folder::\"top\"");

#[test]
fn a_role_counts_where_its_scope_covers() {
    assert_eq!(Story::plain().says(ANN, "read", PLAN), Reason::NoPermit);
    for (scope, reason) in [
        (None, Reason::Permitted),
        (Some(PLAN), Reason::Permitted),
        (TOP, Reason::Permitted),
        (Some("Folder::\"elsewhere\""), Reason::NoPermit),
    ] {
        assert_eq!(Story::plain().active(ANN, "editor", scope, 0).says(ANN, "read", PLAN), reason, "{scope:?}");
        assert_eq!(Story::plain().assigned(ANN, "editor", scope, None).says(ANN, "read", PLAN), reason, "{scope:?}");
    }
    assert_eq!(Story::plain().assigned("Group::\"staff\"", "editor", None, None).says(ANN, "read", PLAN), Reason::Permitted);
    assert_eq!(Story::plain().active(ANN, "editor", None, 0).says(ANN, "Action::\"read\"", PLAN), Reason::Permitted);
    let verdict = Story::plain().active(ANN, "editor", None, 0).check(&Ask::new(uid(ANN), "read", uid(PLAN)));
    assert_eq!(verdict.policies, ["main.cedar#1"]);
    assert_eq!(verdict.memberships.groups, [uid("Group::\"staff\"")]);
    assert_eq!(verdict.valid_until, Some(NOW.plus(Duration::from_hours(1))));
    assert_eq!(verdict.holdings.len(), 1);
}

#[test]
fn strangers_are_treated_as_their_type_says() {
    let story = Story::plain().active(ANN, "admin", None, 0).stored("User::\"off\"", &json!({})).disabled("User::\"off\"");
    for (subject, action, resource, reason) in [
        ("User::\"zoe\"", "read", PLAN, Reason::UnknownPrincipal),
        ("User::\"off\"", "read", PLAN, Reason::PrincipalDisabled),
        ("Dog::\"rex\"", "read", PLAN, Reason::UnknownPrincipal),
        ("Role::\"admin\"", "read", PLAN, Reason::UnknownPrincipal),
        (ANN, "read", "Doc::\"new\"", Reason::UnknownResource),
        (ANN, "read", "Gauge::\"new\"", Reason::Permitted),
        (ANN, "write", PLAN, Reason::UnknownAction),
        (ANN, "Action::\"write\"", PLAN, Reason::UnknownAction),
        (ANN, "read", "Folder::\"top\"", Reason::NotApplicable),
        (ANN, "read", "Cat::\"tom\"", Reason::NotApplicable),
        (ANN, "sign", PLAN, Reason::ContextMissing),
        (ANN, "manageEntity", "Folder::\"new\"", Reason::UnknownResource),
        (ANN, "manageBundle", "Elevon::Sidecar::\"other\"", Reason::UnknownResource),
        (ANN, "activateRole", "Elevon::RoleGrant::\"x\"", Reason::UnknownResource),
    ] {
        assert_eq!(story.says(subject, action, resource), reason, "{subject} {action} {resource}");
    }
}

#[test]
fn a_type_may_let_strangers_in() {
    let roles =
        ROLES.replace("[elevon]", "[elevon.types.User]\nunknown = \"evaluate\"\n[elevon.types.Doc]\nunknown = \"evaluate\"\n[elevon]");
    let open = "permit (principal, action == Action::\"read\", resource) when { !(principal in Group::\"staff\") };";
    let story = Story::of(load(&[("roles.toml", Some(&roles)), ("open.cedar", Some(open))]).unwrap());
    assert_eq!(story.says("User::\"zoe\"", "read", PLAN), Reason::Permitted);
    // what is not stored is below nothing: a scope counts only if it is that very resource
    let new = uid("Doc::\"new\"");
    let verdict = story.assigned(ANN, "editor", Some("Doc::\"new\""), None).check(&Ask::new(uid(ANN), "read", new.clone()));
    assert_eq!((verdict.reason, verdict.resource_presence), (Reason::Permitted, Presence::Unknown(UnknownRule::Evaluate)));
    let story = Story::of(load(&[("roles.toml", Some(&roles)), ("open.cedar", Some(open))]).unwrap());
    assert_eq!(story.assigned(ANN, "editor", TOP, None).check(&Ask::new(uid(ANN), "read", new)).reason, Reason::NoPermit);
}

#[test]
fn context_is_what_the_schema_declares_and_nothing_else() {
    let policies = "permit (principal, action == Action::\"read\", resource) when { context has reason && context.reason == \"audit\" };
        permit (principal, action == Action::\"sign\", resource) when { context.level > 2 };";
    let story = Story::with_policy(policies);
    let mut ask = Ask::new(uid(ANN), "read", uid(PLAN));
    ask.context = object(&json!({"reason": "audit", "colour": "red", "now": "1999-01-01"}));
    let verdict = story.check(&ask);
    assert_eq!((verdict.reason, verdict.context_dropped), (Reason::Permitted, vec!["colour".to_owned(), "now".to_owned()]));
    for (action, context, reason) in [
        ("read", json!({"reason": 3}), Reason::ContextInvalid),
        ("read", json!({"reason": {"__extn": {"fn": "unknown", "arg": "x"}}}), Reason::ContextInvalid),
        ("sign", json!({"level": 3}), Reason::Permitted),
        ("sign", json!({"level": 2}), Reason::NoPermit),
        ("sign", json!({"level": "3"}), Reason::ContextInvalid),
        ("sign", json!({"level": 3.5}), Reason::ContextInvalid),
        ("sign", json!({"level": {"__extn": {"fn": "unknown", "arg": "x"}}}), Reason::ContextInvalid),
        ("sign", json!({}), Reason::ContextMissing),
    ] {
        let mut ask = Ask::new(uid(ANN), action, uid(PLAN));
        ask.context = object(&context);
        assert_eq!(story.check(&ask).reason, reason, "{action} {context}");
    }
}

#[test]
fn entities_that_the_context_names_are_there_with_all_that_is_above_them() {
    let schema = super::SCHEMA.replace("{ reason?: String, now: datetime }", "{ via?: User, seen?: Set<Doc>, now: datetime }");
    let policy = "permit (principal, action == Action::\"read\", resource) when
        { context has via && context.via in Group::\"staff\" && context.via has level && context.via.level == 3 };";
    let bundle = load(&[("schema.cedarschema", Some(&schema)), ("via.cedar", Some(policy))]).unwrap_or_else(|error| panic!("{error}"));
    let story = Story::of(bundle).stored("User::\"bea\"", &json!({}));
    for (context, reason) in [
        (json!({"via": {"type": "User", "id": "ann"}, "seen": [{"__entity": {"type": "Doc", "id": "plan"}}]}), Reason::Permitted),
        (json!({"via": {"type": "User", "id": "bea"}}), Reason::NoPermit),
        (json!({"via": {"type": "User", "id": "nobody"}}), Reason::NoPermit),
        (json!({"via": {"type": "Doc", "id": "plan"}}), Reason::ContextInvalid),
    ] {
        let mut ask = Ask::new(uid("User::\"bea\""), "read", uid(PLAN));
        ask.context = object(&context);
        assert_eq!(story.check(&ask).reason, reason, "{context}");
    }
}

#[test]
fn properties_fill_what_is_marked_and_never_what_is_stored() {
    let policy = "permit (principal, action == Action::\"read\", resource is Doc) when { resource has ip && resource.ip.isLoopback() };
        forbid (principal, action == Action::\"read\", resource is Doc) when { resource has secret && resource.secret };";
    let story = Story::with_policy(policy)
        .stored("Doc::\"far\"", &json!({"ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}))
        .stored("Doc::\"hid\"", &json!({"secret": true}))
        .stored("Doc::\"odd\"", &json!({"secret": "yes"}));
    for (resource, properties, reason, dropped) in [
        (PLAN, json!({"ip": "127.0.0.1"}), Reason::Permitted, 0),
        (PLAN, json!({"ip": "10.0.0.1"}), Reason::NoPermit, 0),
        (PLAN, json!({"ip": "localhost"}), Reason::ContextInvalid, 0),
        (PLAN, json!({"ip": "127.0.0.1", "secret": true}), Reason::Permitted, 1),
        ("Doc::\"far\"", json!({"ip": "127.0.0.1"}), Reason::NoPermit, 0),
        ("Doc::\"hid\"", json!({"ip": "127.0.0.1", "secret": false}), Reason::Forbidden, 1),
        // what is stored and is no longer as the schema wants it cannot be left out: a policy might forbid by it
        ("Doc::\"odd\"", json!({"ip": "127.0.0.1"}), Reason::PolicyError, 0),
    ] {
        let mut ask = Ask::new(uid(ANN), "read", uid(resource));
        ask.resource_properties = object(&properties);
        let verdict = story.check(&ask);
        assert_eq!((verdict.reason, verdict.context_dropped.len()), (reason, dropped), "{resource} {properties}");
    }
}

#[test]
fn a_policy_that_fails_cannot_turn_a_deny_into_an_allow() {
    let fails = "when { principal has level && principal.level + 9223372036854775807 > 0 };";
    let ask = |policy: &str| Story::with_policy(policy).active(ANN, "editor", None, 0).check(&Ask::new(uid(ANN), "read", uid(PLAN)));
    let permit = ask(&format!("@id(\"odd\") permit (principal, action == Action::\"read\", resource) {fails}"));
    assert_eq!((permit.reason, permit.errors.len(), permit.errors[0].effect), (Reason::Permitted, 1, Effect::Permit));
    let forbid = ask(&format!("@id(\"odd\") forbid (principal, action == Action::\"read\", resource) {fails}"));
    assert_eq!((forbid.allowed, forbid.reason, forbid.policies.len()), (false, Reason::PolicyError, 0));
    assert_eq!((forbid.errors[0].policy.as_str(), forbid.errors[0].effect), ("odd", Effect::Forbid));
    // a forbid that is satisfied decides, whatever else fails
    let both = ask(&format!(
        "@id(\"odd\") forbid (principal, action == Action::\"read\", resource) {fails} @id(\"no\") forbid (principal, action, resource is Doc);"
    ));
    assert_eq!((both.reason, both.policies), (Reason::Forbidden, vec!["no".to_owned()]));
}

#[test]
fn a_holding_shows_as_a_tag() {
    let narrow = POLICIES.replace("Role::\"admin\", action,", "Role::\"admin\", action == Elevon::Action::\"manageBundle\",");
    let policy = "permit (principal, action == Action::\"read\", resource)
        when { principal.hasTag(\"admin\") && principal.getTag(\"admin\").approvals >= 2 && principal.getTag(\"admin\").via == \"activation\" };";
    let bundle = || load(&[("main.cedar", Some(&narrow)), ("tags.cedar", Some(policy))]).unwrap_or_else(|error| panic!("{error}"));
    for (approvals, reason) in [(1, Reason::NoPermit), (2, Reason::Permitted)] {
        assert_eq!(Story::of(bundle()).active(ANN, "admin", None, approvals).says(ANN, "read", PLAN), reason);
    }
    assert_eq!(Story::of(bundle()).assigned(ANN, "admin", None, None).says(ANN, "read", PLAN), Reason::NoPermit);
}

#[test]
fn a_tag_is_there_for_a_policy_that_makes_its_name() {
    let narrow = POLICIES.replace("Role::\"admin\", action,", "Role::\"admin\", action == Elevon::Action::\"manageBundle\",");
    let policy = "permit (principal, action == Action::\"read\", resource)
        when { context has reason && principal.hasTag(context.reason) && principal.getTag(context.reason).approvals >= 2 };";
    for (named, reason) in [("admin", Reason::Permitted), ("editor", Reason::NoPermit), ("other", Reason::NoPermit)] {
        let bundle = load(&[("main.cedar", Some(&narrow)), ("tags.cedar", Some(policy))]).unwrap_or_else(|error| panic!("{error}"));
        let ask = Ask { context: object(&json!({"reason": named})), ..Ask::new(uid(ANN), "read", uid(PLAN)) };
        assert_eq!(Story::of(bundle).active(ANN, "admin", None, 2).check(&ask).reason, reason, "{named}");
    }
}

#[test]
fn a_tag_shows_an_emergency() {
    let roles = format!("{ROLES}[roles.\"admin\".emergency]\nmax_duration = \"PT30M\"\n");
    let forbid = "forbid (principal, action == Action::\"read\", resource)
        when { principal.hasTag(\"admin\") && principal.getTag(\"admin\").emergency };";
    let story = || Story::of(load(&[("roles.toml", Some(&roles)), ("tags.cedar", Some(forbid))]).unwrap_or_else(|error| panic!("{error}")));
    let verdict = |story: Story| story.check(&Ask::new(uid(ANN), "read", uid(PLAN)));
    let plain = verdict(story().active(ANN, "admin", None, 0));
    assert_eq!((plain.reason, plain.valid_until), (Reason::Permitted, Some(NOW.plus(Duration::from_hours(1)))));
    let emergency = verdict(story().active(ANN, "admin", None, 0).in_emergency(ANN));
    assert_eq!((emergency.reason, emergency.valid_until), (Reason::Forbidden, Some(NOW.plus(Duration::from_mins(30)))));
    assert_eq!(verdict(story().assigned(ANN, "admin", None, None)).reason, Reason::Permitted);
}

#[test]
fn time_decides_how_long_an_answer_holds() {
    let end = NOW.plus(Duration::from_mins(5));
    let until = |story: Story| story.check(&Ask::new(uid(ANN), "read", uid(PLAN))).valid_until;
    assert_eq!(until(Story::plain()), None);
    assert_eq!(until(Story::plain().assigned(ANN, "editor", None, Some(end))), Some(end));
    let forbid =
        |action: &str, when: &str| Story::with_policy(&format!("forbid (principal, action == {action}, resource) when {{ {when} }};"));
    let reads_now = "context.now < datetime(\"2020-01-01\")";
    assert_eq!(until(forbid("Action::\"read\"", reads_now)), Some(NOW));
    assert_eq!(until(forbid("Elevon::Action::\"readAudit\"", reads_now)), None);
    assert_eq!(until(forbid("Action::\"read\"", "context has reason && context.reason == \"x\"")), None);
}

#[test]
fn now_is_made_here() {
    let policy = "permit (principal, action == Action::\"read\", resource) when { context.now == datetime(\"2030-03-17T17:46:40.000Z\") };";
    let mut ask = Ask::new(uid(ANN), "read", uid(PLAN));
    ask.context = object(&json!({"now": "1999-01-01"}));
    assert_eq!(Story::with_policy(policy).check(&ask).reason, Reason::Permitted);
}

#[test]
fn while_the_clock_cannot_be_believed_only_permanent_holdings_count() {
    let story = || Story::plain().untrusted();
    assert_eq!(story().active(ANN, "editor", None, 0).says(ANN, "read", PLAN), Reason::TimeUntrusted);
    assert_eq!(story().assigned(ANN, "editor", None, None).says(ANN, "read", PLAN), Reason::Permitted);
    assert_eq!(story().says(ANN, "read", PLAN), Reason::NoPermit);
    assert_eq!(story().active(ANN, "admin", None, 0).asks(ANN, Action::ManageBundle, Object::Sidecar), Reason::TimeUntrusted);
}

fn grant(role: &str, scope: Option<&str>, beneficiary: &str) -> Object {
    let (role, duration) = (RoleName::new(role).unwrap(), Some(Duration::from_hours(1)));
    Object::RoleGrant { role, scope: scope.map(uid), beneficiary: uid(beneficiary), duration }
}

fn activation(scope: Option<&str>) -> Object {
    let (bea, role) = (uid("User::\"bea\""), RoleName::new("admin").unwrap());
    Object::RoleActivation {
        id: ActivationId::new("act_9").unwrap(),
        role,
        scope: scope.map(uid),
        beneficiary: bea.clone(),
        requester: Some(bea),
    }
}

#[test]
fn elevons_own_actions_are_asked_of_the_same_policies() {
    let policies = "
        permit (principal, action == Elevon::Action::\"activateRole\", resource) when { context has beneficiary && context.beneficiary.self };
        permit (principal, action == Elevon::Action::\"assignRole\", resource in Role::\"editor\")
          when { resource has seconds && resource.seconds <= 3600 };
        permit (principal in Role::\"editor\", action == Elevon::Action::\"approveActivation\", resource);
        permit (principal, action == Elevon::Action::\"readAudit\", resource) when { context.claims.groups.contains(\"g\") && !context.mfa };
        permit (principal, action == Elevon::Action::\"manageEntity\", resource in Folder::\"top\");
        permit (principal, action == Elevon::Action::\"checkAccess\", resource == Elevon::SubjectKind::\"User\")
          when { context.credential == \"dev\" };";
    let story =
        || Story::with_policy(policies).stored("User::\"bea\"", &json!({})).stored("User::\"off\"", &json!({})).disabled("User::\"off\"");
    let editor = |scope: Option<&str>| story().active(ANN, "editor", scope, 0);
    let admin = |scope: Option<&str>| story().active(ANN, "admin", scope, 0);
    let rows = [
        (story().asks(ANN, Action::ActivateRole, grant("admin", TOP, ANN)), Reason::Permitted),
        (story().asks(ANN, Action::ActivateRole, grant("admin", TOP, "User::\"bea\"")), Reason::NoPermit),
        (story().asks("User::\"zoe\"", Action::ActivateRole, grant("admin", None, "User::\"zoe\"")), Reason::UnknownPrincipal),
        (story().asks("User::\"off\"", Action::ActivateRole, grant("admin", None, "User::\"off\"")), Reason::PrincipalDisabled),
        (story().asks("Group::\"staff\"", Action::ActivateRole, grant("admin", None, ANN)), Reason::NotApplicable),
        (story().asks(ANN, Action::AssignRole, grant("editor", None, "Group::\"staff\"")), Reason::Permitted),
        (story().asks(ANN, Action::AssignRole, grant("admin", None, "Group::\"staff\"")), Reason::NoPermit),
        // a role active on one place governs that place only
        (editor(TOP).asks(ANN, Action::ApproveActivation, activation(Some(PLAN))), Reason::Permitted),
        (editor(TOP).asks(ANN, Action::ApproveActivation, activation(None)), Reason::NoPermit),
        (editor(None).asks(ANN, Action::ApproveActivation, activation(None)), Reason::Permitted),
        (story().asks(ANN, Action::ReadAudit, Object::Sidecar), Reason::Permitted),
        (story().asks(ANN, Action::ManageBundle, Object::Sidecar), Reason::NoPermit),
        (admin(TOP).asks(ANN, Action::ManageBundle, Object::Sidecar), Reason::NoPermit),
        (admin(None).asks(ANN, Action::ManageBundle, Object::Sidecar), Reason::Permitted),
        (story().asks(ANN, Action::ManageEntity, Object::Entity(uid(PLAN))), Reason::Permitted),
        (story().asks(ANN, Action::ManageEntity, Object::Entity(uid("Doc::\"new\""))), Reason::NoPermit),
        (admin(None).asks(ANN, Action::ManageEntity, Object::Entity(uid("Doc::\"new\""))), Reason::Permitted),
        (story().asks(ANN, Action::ManageEntity, Object::Entity(uid(ANN))), Reason::NoPermit),
        (story().asks(ANN, Action::ManageEntity, Object::Entity(uid("Cat::\"tom\""))), Reason::UnknownResource),
        (story().asks(ANN, Action::CheckAccess, Object::SubjectKind("User".to_owned())), Reason::Permitted),
        (story().asks(ANN, Action::CheckAccess, Object::SubjectKind("Dog".to_owned())), Reason::NoPermit),
    ];
    for (nth, (said, reason)) in rows.into_iter().enumerate() {
        assert_eq!(said, reason, "row {nth}");
    }
    let system = Question { actor: Actor::System, action: Action::ReadAudit, object: Object::Sidecar, now: NOW };
    assert!(!story().bundle.ask(&story().rows, &system, Moment::trusted(NOW)).unwrap().allowed);
}

#[test]
fn what_is_stored_has_to_conform() {
    let bundle = load(&[]).unwrap();
    let rows: [(&str, Option<&str>, Value, bool); 9] = [
        (ANN, Some("Group::\"staff\""), json!({"level": 2}), true),
        (ANN, None, json!({"level": "2"}), false),
        (ANN, None, json!({"colour": 2}), false),
        (ANN, TOP, json!({}), false),
        (ANN, Some("Role::\"admin\""), json!({}), false),
        ("Role::\"admin\"", None, json!({}), false),
        ("Elevon::Sidecar::\"self\"", None, json!({}), false),
        ("Dog::\"rex\"", None, json!({}), false),
        ("Action::\"read\"", None, json!({}), false),
    ];
    for (name, parent, attrs, conforms) in rows {
        let parents: Vec<Uid> = parent.into_iter().map(uid).collect();
        let attrs = JsonObject::new(&object(&attrs)).unwrap();
        assert_eq!(bundle.conforms(&uid(name), &parents, &attrs).is_ok(), conforms, "{name} {attrs:?}");
    }
}

#[test]
fn a_role_is_offered_where_it_would_do() {
    let story = |policy: &str| Story::of(load(&[("more.cedar", Some(policy))]).unwrap());
    let offered = |story: &Story, action: &str| {
        let offers = story.bundle.suggest(&story.rows, &Ask::new(uid(ANN), action, uid("Doc::\"plan\"")), story.moment).unwrap();
        let told = |offer: &crate::policy::Offer| (offer.role.to_string(), offer.scope.as_ref().map(ToString::to_string));
        offers.iter().map(told).collect::<Vec<_>>()
    };
    let role = |name: &str| (name.to_owned(), Some("Doc::\"plan\"".to_owned()));
    // at the resource itself, which is the narrowest; and only where it would be permitted
    let eligible = story("").eligible(ANN, "editor", None).eligible(ANN, "admin", None);
    assert_eq!(offered(&eligible, "read"), [role("admin"), role("editor")]);
    let eligible = story("").eligible("Group::\"staff\"", "editor", Some("Folder::\"top\""));
    assert_eq!(offered(&eligible, "read"), [role("editor")]);
    assert_eq!(offered(&story("").eligible(ANN, "editor", Some("Folder::\"other\"")), "read"), []);
    assert_eq!(offered(&story(""), "read"), []);
    assert_eq!(offered(&story("forbid (principal, action == Action::\"read\", resource);").eligible(ANN, "editor", None), "read"), []);
    assert_eq!(offered(&story("").eligible(ANN, "editor", None).untrusted(), "read"), []);
}
