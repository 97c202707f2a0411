//! `routes.toml` of a bundle: what is taken, what is refused and where, and its tests.

use super::load;
use crate::domain::Duration;
use crate::policy::{Identity, Target};

const ROUTES: &str = r#"identity = "header"

[[route]]
host = "docs.example"
path = "/docs/{doc}"
methods = ["GET"]
action = "read"
resource = 'Doc::"{doc}"'
max_stale = "PT30S"

[[route]]
host = "docs.example"
path = "/docs/{doc}/signature"
methods = ["*"]
action = "sign"
resource = 'Doc::"{doc}"'
identity = "token"

[[certificate]]
name = "spiffe://prod.example/ns/{namespace}/sa/{account}"
principal = 'User::"{namespace}/{account}"'

[[certificate]]
name = "web.example"
principal = 'User::"web"'

[kubernetes.main]
cluster = 'Folder::"main"'
namespace = 'Folder::"main/{namespace}"'
actions = "K8s"
users = "User"
service_accounts = "Group"
"#;
const SCHEMA: &str = "namespace K8s { action get appliesTo { principal: [User], resource: [Folder] }; }\n";

fn with(routes: &str, tests: &str) -> Result<crate::policy::Bundle, String> {
    let (schema, tests) = (format!("{}{SCHEMA}", super::SCHEMA), format!("{}{tests}", super::TESTS));
    let changes =
        [("routes.toml", Some(routes)), ("schema.cedarschema", Some(schema.as_str())), ("tests/guard.toml", Some(tests.as_str()))];
    load(&changes).map_err(|error| error.to_string())
}

#[test]
fn routes_are_read_as_they_are_written() {
    let bundle = with(ROUTES, "").unwrap();
    let find = |method: &str, url: &str| bundle.routes().find(&Target::of_url(method, url).unwrap()).map_err(|none| none.to_string());
    let found = find("GET", "https://docs.example/docs/plan").unwrap();
    assert_eq!((found.route.action.as_str(), found.resource.to_string().as_str()), ("read", "Doc::\"plan\""));
    assert_eq!((found.route.line, found.route.identity, found.route.max_stale), (5, Identity::Header, Some(Duration::from_secs(30))));
    let found = find("POST", "https://docs.example/docs/plan/signature").unwrap();
    assert_eq!((found.route.identity, found.route.max_stale), (Identity::Token, None));
    assert!(find("PUT", "https://docs.example/docs/plan").unwrap_err().contains("there are routes for GET"));
    // a bundle without routes has none
    assert!(load(&[]).unwrap().routes().all().is_empty());
    // and they are in its revision, and in what is kept of it
    let kept = crate::policy::Bundle::from_archive(&bundle.to_archive()).unwrap();
    assert_eq!((kept.routes().all().len(), kept.revision()), (2, bundle.revision()));
}

#[test]
fn clusters_are_read_as_they_are_written() {
    let bundle = with(ROUTES, "").unwrap();
    let cluster = bundle.routes().cluster("main").unwrap();
    assert!(bundle.routes().cluster("other").is_none() && !cluster.authoritative);
    assert_eq!(cluster.resource("").unwrap().to_string(), "Folder::\"main\"");
    assert_eq!(cluster.resource("shop").unwrap().to_string(), "Folder::\"main/shop\"");
    assert_eq!(cluster.action("get"), "K8s::Action::\"get\"");
    assert_eq!(cluster.principal("ann").unwrap().to_string(), "User::\"ann\"");
    assert_eq!(cluster.principal("system:serviceaccount:shop:web").unwrap().to_string(), "Group::\"shop/web\"");
    assert_eq!(cluster.principal("system:node:one").unwrap().to_string(), "User::\"system:node:one\"");
}

#[test]
fn certificates_show_whom_the_bundle_says() {
    let bundle = with(ROUTES, "").unwrap();
    let shows = |name: &str| bundle.routes().certificate(name).map(|uid| uid.to_string()).ok();
    assert_eq!(shows("spiffe://prod.example/ns/shop/sa/web").as_deref(), Some("User::\"shop/web\""));
    assert_eq!(shows("web.example").as_deref(), Some("User::\"web\""));
    let nobody = [
        "spiffe://other.example/ns/shop/sa/web",
        "spiffe://prod.example/ns/shop/sa",
        "spiffe://prod.example/ns/shop/sa/web/",
        "spiffe://prod.example/ns//sa/web",
        "spiffe://prod.example/ns/shop/sa/web?x",
        "spiffe://prod.example/ns/../sa/web",
        "spiffe://PROD.example/ns/shop/sa/web",
        "https://prod.example/ns/shop/sa/web",
        "WEB.example",
        "",
    ];
    for name in nobody {
        assert_eq!(shows(name), None, "{name}");
    }
}

#[test]
fn what_is_wrong_with_routes_is_said_with_its_place() {
    let route = |more: &str| format!("[[route]]\nhost = \"x\"\npath = \"/a/{{b}}\"\nmethods = [\"GET\"]\n{more}");
    let good = "action = \"read\"\nresource = 'Doc::\"{b}\"'\n";
    let two = format!(
        "{}[[route]]\nhost = \"x\"\npath = \"/a/{{c}}\"\nmethods = [\"PUT\", \"GET\"]\n{}",
        route(good),
        good.replace("{b}", "{c}")
    );
    let cluster = |from: &str, to: &str| ROUTES.replace(from, to);
    let rows = [
        (two, "routes.toml:9:8", "and the one at routes.toml:3 (`x/a/{b}`) are both for GET"),
        (route("action = \"reed\"\nresource = 'Doc::\"{b}\"'\n"), "routes.toml:5:10", "no action `reed`"),
        (route("action = \"read\"\nresource = 'Folder::\"{b}\"'\n"), "routes.toml:6:12", "does not apply `read` to a Folder"),
        (route("action = \"read\"\nresource = 'Doc::\"{x}\"'\n"), "routes.toml:6:12", "`{x}` is no part of the path; it has `{b}`"),
        (
            route("action = 'Elevon::Action::\"manageBundle\"'\nresource = 'Elevon::Sidecar::\"self\"'\n"),
            "routes.toml:5:10",
            "Elevon itself",
        ),
        (route("action = \"read\"\n"), "routes.toml:1", "has no `resource`"),
        (route(&format!("{good}max_stale = \"PT1S\"\n")), "routes.toml:7:13", "from PT2S to PT1H"),
        (route(&format!("{good}identity = \"cookie\"\n")), "routes.toml:7:12", "`token`, `certificate` or `header`"),
        (route(&format!("{good}order = 1\n")), "routes.toml:7:1", "unknown key `order`"),
        ("[[route]]\npath = \"/\"\n".to_owned(), "routes.toml:1", "has no `host`"),
        ("[[route]]\nhost = \"X:80\"\n".to_owned(), "routes.toml:2:8", "no host of a route"),
        ("[[route]]\nhost = \"x\"\npath = \"a\"\n".to_owned(), "routes.toml:3:8", "begins with `/`"),
        ("[[route]]\nhost = \"x\"\npath = \"/\"\n".to_owned(), "routes.toml:1", "has no `methods`"),
        ("[[route]]\nhost = \"x\"\npath = \"/\"\nmethods = [\"get\"]\n".to_owned(), "routes.toml:4:12", "capital letters"),
        ("[[route]]\nhost = \"x\"\npath = \"/\"\nmethods = []\n".to_owned(), "routes.toml:4:11", "for no method"),
        ("[[routes]]\n".to_owned(), "routes.toml:1:3", "did you mean `route`?"),
        (cluster("/{namespace}", ""), "routes.toml:29", "`{namespace}` in its id"),
        (cluster("\"K8s\"", "\"K9\""), "routes.toml:30", "no action in the namespace `K9`"),
        (cluster("users = \"User\"", "users = \"Human\""), "routes.toml:31", "no entity type `Human`"),
        (cluster("kubernetes.main", "kubernetes.\"a/b\""), "routes.toml:27", "no name of a cluster"),
    ];
    for (text, place, why) in rows {
        let said = with(&text, "").unwrap_err();
        assert!(said.contains(&format!("--> {place}")) && said.contains(why), "{text}\nwanted {place}: {why}\n{said}");
    }
}

#[test]
fn routes_have_tests_like_policies() {
    let rows = [
        ("request = \"GET https://docs.example/docs/plan\"\naction = \"read\"\nresource = 'Doc::\"plan\"'", None),
        ("request = \"PUT https://docs.example/docs/plan\"\nexpect = \"no route\"", None),
        ("request = \"GET https://docs.example/docs/../plan\"\nexpect = \"refused\"", None),
        ("request = \"GET https://docs.example/docs/plan\"\nexpect = \"no route\"", Some("asks for `read` on Doc::\"plan\", by line 5")),
        ("request = \"GET https://docs.example/docs/other\"\naction = \"read\"\nresource = 'Doc::\"plan\"'", Some("Doc::\"other\"")),
        (
            "request = \"PUT https://docs.example/docs/plan\"\naction = \"read\"\nresource = 'Doc::\"plan\"'",
            Some("there are routes for GET"),
        ),
        ("request = \"GET https://docs.example/a//b\"\nexpect = \"no route\"", Some("refused: the path has `//` in it")),
        ("request = \"GET\"\nexpect = \"no route\"", Some("write a method and a URL")),
        ("request = \"GET https://x/\"\nexpect = \"allow\"", Some("`no route` or `refused`")),
    ];
    for (test, why) in rows {
        let outcome = with(ROUTES, &format!("\n[[route]]\n{test}\n"));
        match why {
            None => assert!(outcome.unwrap().run_tests().iter().all(|outcome| outcome.result.is_ok()), "{test}"),
            Some(why) => {
                let said = outcome.unwrap_err();
                assert!(said.contains(why) && said.contains("tests/guard.toml:"), "{test}\n{said}");
            }
        }
    }
    // a policy test may ask as a gateway would
    let asks = |expect: &str, url: &str| {
        format!(
            "\n[[test]]\nname = \"by route\"\nactive = [{{ principal = 'User::\"ann\"', role = \"editor\" }}]\nask = {{ principal = 'User::\"ann\"', request = \"GET {url}\" }}\nexpect = \"{expect}\"\n"
        )
    };
    with(ROUTES, &asks("allow", "https://docs.example/docs/plan")).unwrap();
    assert!(with(ROUTES, &asks("deny", "https://docs.example/docs/plan")).unwrap_err().contains("expected deny, got allow"));
    assert!(with(ROUTES, &asks("deny", "https://docs.example/x")).unwrap_err().contains("expect = \"no route\""));
}
