//! Bundles that are refused: what is wrong, where, and how the answer begins.

use super::{ROLES, SCHEMA, files, load};
use crate::policy::Bundle;

/// The file, what is replaced in it (nothing: what follows is added at its end), by what, and how the answer begins.
type Row = (&'static str, &'static str, &'static str);

fn refused(file: &str, rows: &[Row]) {
    for (old, new, expected) in rows {
        let mut all = files(&[]);
        let text = String::from_utf8(all.get(file).cloned().unwrap()).unwrap();
        assert!(text.contains(old), "{file} has no {old:?}");
        let text = if old.is_empty() { format!("{text}{new}") } else { text.replace(old, new) };
        all.insert(file.to_owned(), text.into_bytes());
        let Err(error) = Bundle::from_files(all) else { panic!("taken: {new:?}") };
        let said = error.summary();
        assert!(said.starts_with(expected), "{new:?}\nexpected {expected}\ngot      {said}\n\n{error}");
    }
}

#[test]
fn schemas() {
    refused(
        "schema.cedarschema",
        &[
            ("entity Gauge;", "entity Gauge", "schema.cedarschema:6:1: error parsing schema: unexpected token `action`"),
            ("in [Folder];", "in [Foldr];", "schema.cedarschema:3:19: failed to resolve type: Foldr"),
            ("[Doc, Gauge]", "[Doc, Gage]", "schema.cedarschema:6:60: failed to resolve type: Gage"),
            ("in [Group, Role]", "in [Group]", "schema.cedarschema:1:8: `User` is a principal type, and cannot hold roles as it stands"),
            ("tags Elevon::Holding", "tags String", "schema.cedarschema:1:8: the tags of principal type `User` show its roles"),
            ("entity Gauge;", "entity Gauge tags String;", "schema.cedarschema:5:8: tags of `Gauge` are not available yet"),
            ("entity Gauge;", "entity Gauge; entity Role;", "schema.cedarschema:5:22: `Role` is generated from roles.toml"),
            ("entity Gauge;", "entity Gauge; entity Sidecar;", "schema.cedarschema:5:22: `Sidecar` is also the name of a type"),
            ("action sign", "action readAudit", "schema.cedarschema:7:8: `readAudit` is also the name of an action of Elevon's"),
            ("", "namespace Elevon { entity X; }", "schema.cedarschema:8:11: the namespace `Elevon` is generated"),
            ("now: datetime", "now: String", "schema.cedarschema:6:8: the context of action `read` declares `now`"),
        ],
    );
    let error = load(&[("schema.cedarschema", Some(&SCHEMA.replace("in [Group, Role]", "in [Group]")))]).unwrap_err();
    assert_eq!(error.problems()[0].help.as_deref(), Some("write `entity User in [Group, Role]`"));
    for missing in ["schema.cedarschema", "roles.toml"] {
        assert_eq!(load(&[(missing, None)]).unwrap_err().summary(), format!("the bundle has no `{missing}`"));
    }
}

#[test]
fn roles() {
    refused(
        "roles.toml",
        &[
            ("", "max_duraton = \"PT1H\"", "roles.toml:7:1: unknown key `max_duraton` in `roles.admin`"),
            ("", "emergency = true", "roles.toml:7:1: `emergency` is not available yet"),
            ("", "conditions = true", "roles.toml:7:1: `conditions` is not available yet"),
            ("", "max_extensions = 1", "roles.toml:7:1: `max_extensions` is not available yet"),
            ("\"User\"", "\"Usr\"", "roles.toml:2:20: `principal_types` names `Usr`, which is no entity type of the schema"),
            ("[elevon]", "[elevon", "roles.toml:1:8: unclosed table"),
            ("[elevon]", "[elevon]\nrole_type = \"A::Role\"", "roles.toml:2:13: `role_type` is `A::Role`, and has to be"),
            ("[elevon]", "[elevon.types.Doc]\nunknown = \"allow\"\n[elevon]", "roles.toml:2:11: `unknown` is `allow`, and has to be"),
            ("[elevon]", "[elevon.types.Dog]\n[elevon]", "roles.toml:1:15: `[elevon.types]` names `Dog`"),
            ("\"Group\"", "\"User\"", "roles.toml: `User` is both a principal type and a group type"),
            ("", "max_duration = \"PT1H\"\ndefault_duration = \"PT2H\"", "roles.toml:8:20: `default_duration` is longer than"),
            ("", "max_duration = \"1h\"", "roles.toml:7:16: `1h` is not an ISO 8601 duration"),
            ("", "max_duration = 3600", "roles.toml:7:16: `max_duration` is an integer, and has to be a string"),
            ("", "max_duration = \"PT0S\"", "roles.toml:7:16: `max_duration` is no time at all"),
            ("", "scopes = [\"Dock\"]", "roles.toml:7:11: `scopes` names `Dock`"),
            ("", "require = [\"pin\"]", "roles.toml:7:12: unknown requirement `pin`"),
            ("", "mfa_max_age = \"PT1H\"", "roles.toml:7:15: `mfa_max_age` does nothing while `require` does not list mfa"),
            ("", "ticket_pattern = \"(\"", "roles.toml:7:18: `ticket_pattern` is no regular expression: unclosed group"),
            ("", "[roles.\"admin\"]", "roles.toml:7:8: duplicate key"),
            ("", "[roles.\"a\\u0000b\"]", "roles.toml:7:8: the role name `a\\0b` holds a control character"),
            ("", "approval.stages = []", "roles.toml:7:1: `approval` has no stages"),
            ("", "[[roles.admin.approval.stages]]\nquorum = 1", "roles.toml:7:1: the stage has no approvers"),
            ("", "[[roles.admin.approval.stages]]\napprovers = []", "roles.toml:8:13: the stage has no approvers"),
            ("", "[[roles.admin.approval.stages]]\napprovers = ['ann']", "roles.toml:8:14: `ann` is not an entity"),
            ("", "[[roles.admin.approval.stages]]\napprovers = ['Doc::\"plan\"']", "roles.toml:8:14: Doc::\"plan\" cannot approve"),
            (
                "",
                "[[roles.admin.approval.stages]]\napprovers = ['User::\"ann\"']\nquorum = 2",
                "roles.toml:9:10: the quorum of 2 can never be reached",
            ),
            (
                "",
                "[[roles.admin.approval.stages]]\napprovers = ['Group::\"staff\"']\nquorum = 0",
                "roles.toml:9:10: `quorum` is 0, and has to be from 1 to 100",
            ),
            (
                "",
                "[[roles.admin.approval.stages]]\napprovers = ['User::\"ann\"']\nfallback = 2",
                "roles.toml:9:1: `fallback` is not available yet",
            ),
        ],
    );
}

#[test]
fn policies() {
    refused(
        "main.cedar",
        &[
            ("\"admin\"", "\"admn\"", "main.cedar:4:22: for policy `admins`: entity `Role::\"admn\"` is of an enumerated entity type"),
            ("in Role::\"editor\"", "on Role::\"editor\"", "main.cedar:1:19: unexpected token `on`"),
            ("", "permit (principal, action, resource) when { resource.secrt };", "main.cedar:5:45: for policy `main.cedar#3`, attribute"),
            ("", "@id(\"admins\")\nforbid (principal, action, resource);", "main.cedar:5:1: there are two policies with the id `admins`"),
            ("", "@id(\"\")\nforbid (principal, action, resource);", "main.cedar:5:1: the policy's `@id` is empty"),
            ("", "permit (principal == ?principal, action, resource);", "main.cedar:5:1: templates are not taken"),
            ("", "permit (principal is Doc, action, resource);", "main.cedar:5:1: the policy can never apply"),
            ("", "permit (principal, action == Action::\"raed\", resource);", "main.cedar:5:30: for policy `main.cedar#3`, unrecognized"),
            (
                "",
                "permit (principal is User, action == Action::\"read\", resource is Doc) when { principal.level > 1 };",
                "main.cedar:5:78: for policy `main.cedar#3`, unable to guarantee safety of access to optional attribute `level`",
            ),
        ],
    );
    let twice = load(&[("a.cedar", Some("\n@id(\"admins\") forbid (principal, action, resource);"))]).unwrap_err();
    assert_eq!(twice.problems()[0].help.as_deref(), Some("the other one is at a.cedar:2:1; rename one of them"));
}

/// Policies look one step far: what lies behind an attribute would not be there when they are evaluated.
#[test]
fn policies_that_look_too_far() {
    let schema = SCHEMA.replace("{ level?: Long }", "{ level?: Long, boss?: User }");
    let far = "permit (principal, action == Action::\"read\", resource) when { principal has boss && principal.boss has level };";
    let error = load(&[("schema.cedarschema", Some(&schema)), ("far.cedar", Some(far))]).unwrap_err();
    assert!(error.summary().starts_with("far.cedar:1:"), "{error}");
    assert!(error.to_string().contains("level"), "{error}");
}

#[test]
fn entities() {
    let staff = "{\"type\": \"Group\", \"id\": \"staff\"}]}";
    let top = "\"Folder\", \"id\": \"top\"}}";
    let level = "{\"level\": 3}";
    refused(
        "entities.json",
        &[
            ("\"top\"}}", "\"top\"}", "entities.json:5:3: key must be a string"),
            (level, "{\"level\": \"3\"}", "entities.json:3:3: entity does not conform to the schema: in attribute `level`"),
            (level, "{\"lvl\": 3}", "entities.json:3:3: error during entity deserialization: attribute `lvl`"),
            (level, "3", "entities.json:3:3: the attributes of User::\"ann\" are not an object"),
            (level, "{}, \"color\": 1", "entities.json:3:3: unknown member `color` of an entity"),
            (level, "{}, \"tags\": {\"a\": 1}", "entities.json:3:3: User::\"ann\" has tags"),
            (level, "{\"level\": {\"__extn\": {\"fn\": \"unknown\", \"arg\": \"x\"}}}", "entities.json:3:3:"),
            (staff, "{\"type\": \"Role\", \"id\": \"admin\"}]}", "entities.json:3:3: User::\"ann\" has Role::\"admin\" as a parent"),
            (staff, "{\"type\": \"Group\", \"id\": \"x\"}]}", "entities.json:3:3: User::\"ann\" has Group::\"x\" as a parent, which"),
            (staff, "{\"type\": \"Folder\", \"id\": \"top\"}]}", "entities.json:3:3: entity does not conform to the schema"),
            (
                top,
                "\"Folder\", \"id\": \"top\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"top\"}]}",
                "entities.json:4:3: Folder::\"top\" is below Folder::\"top\" and above it",
            ),
            (
                top,
                "\"Folder\", \"id\": \"top\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"mid\"}]},
                {\"uid\": {\"type\": \"Folder\", \"id\": \"mid\"}, \"parents\": [{\"type\": \"Folder\", \"id\": \"top\"}]}",
                "entities.json:5:17: Folder::\"mid\" is below Folder::\"top\" and above it",
            ),
            (top, "\"Group\", \"id\": \"staff\"}}", "entities.json:4:3: Group::\"staff\" is defined twice"),
            (top, "\"Foldr\", \"id\": \"top\"}}", "entities.json:4:3: Foldr::\"top\" is of type `Foldr`, which is not in the schema"),
            (top, "\"Role\", \"id\": \"admin\"}}", "entities.json:4:3: Role::\"admin\" is a role; roles are defined in roles.toml"),
            (top, "\"Folder\", \"id\": \"\"}}", "entities.json:4:3: an entity is named by"),
        ],
    );
    let twins = super::ENTITIES.replace("\"id\": \"ann\"}", "\"id\": \"ann\"}}, {\"uid\": {\"type\": \"User\", \"id\": \"ANN\"}");
    let folding = ROLES.replace("[elevon]", "[elevon.types.User]\ncase_insensitive = true\n[elevon]");
    let guarded = super::TESTS.replace("\"ann\"", "\"ANN\"");
    assert!(load(&[("entities.json", Some(&twins)), ("tests/guard.toml", Some(&guarded))]).is_ok());
    let error = load(&[("entities.json", Some(&twins)), ("roles.toml", Some(&folding))]).unwrap_err();
    assert!(error.summary().contains("differ by case only"), "{error}");
}

#[test]
fn policy_tests() {
    refused(
        "tests/guard.toml",
        &[
            ("guard = true\n", "", "no policy test is a guard, so this bundle could lock everybody out"),
            (
                "\"admin\"",
                "\"editor\"",
                "tests/guard.toml:2:8: the guard test `guard` failed: expected allow, got deny (reason `no_permit`",
            ),
            ("\"admin\"", "\"admn\"", "tests/guard.toml:4:47: there is no role `admn`"),
            ("'User::\"ann\"', role", "'User::\"bea\"', role", "tests/guard.toml:4:25: User::\"bea\" is not known in this test"),
            ("\"allow\"", "\"yes\"", "tests/guard.toml:6:10: `expect` is `yes`"),
            ("\"allow\"", "\"deny\"", "tests/guard.toml:2:8: a guard shows that somebody may still manage the bundle; this test does not"),
            ("manageBundle", "readAudit", "tests/guard.toml:2:8: a guard shows that somebody may still manage the bundle"),
            ("manageBundle", "read", "tests/guard.toml:5:1: `test.ask` has no `resource`"),
            ("", "by = [\"admin\"]", "tests/guard.toml:7:7: there is no policy `admin`"),
            ("", "by = [\"main.cedar#1\"]", "tests/guard.toml:2:8: the guard test `guard` failed: expected to be decided by"),
            ("", "reason = \"ok\"", "tests/guard.toml:7:10: unknown reason `ok`"),
            ("", "reason = \"forbidden\"", "tests/guard.toml:2:8: the guard test `guard` failed: expected the reason `forbidden`"),
            ("", "because = 3", "tests/guard.toml:7:1: unknown key `because` in `test`"),
            ("", "at = \"noon\"", "tests/guard.toml:7:6: `noon` is not an RFC 3339 time"),
            ("", "stored = [{ uid = 'Dog::\"rex\"' }]", "tests/guard.toml:7:19: the schema has no entity type `Dog`"),
        ],
    );
}

#[test]
fn every_problem_is_shown_at_once() {
    let policies = "permit (principal, action == Action::\"raed\", resource);\npermit (principal, action == Action::\"rad\", resource);";
    let error =
        load(&[("main.cedar", Some(policies)), ("entities.json", Some("[{\"uid\": {\"type\": \"Dog\", \"id\": \"rex\"}}]"))]).unwrap_err();
    let places: Vec<_> = error.problems().iter().map(|problem| (problem.file.as_deref().unwrap(), problem.line.unwrap())).collect();
    assert_eq!(places, [("entities.json", 1), ("main.cedar", 1), ("main.cedar", 2)]);
    assert!(error.summary().ends_with("(and 2 more problems)"));
    let shown = "error: for policy `main.cedar#1`, unrecognized action `Action::\"raed\"`
  --> main.cedar:1:30
  |
1 | permit (principal, action == Action::\"raed\", resource);
  |                              ^^^^^^^^^^^^^^
  = help: did you mean `Action::\"read\"`?";
    assert!(error.to_string().contains(shown), "{error}");
}
