//! Configuration files that are wrong, each with what is said and where; and that file, example and documentation name the same keys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use elevon::config::{BadFile, Place, Settings, all_keys};

/// A file that is in order. Rows change a part of it.
const GOOD: &str = r#"policies = "policies"
data = "/var/lib/elevon"

[[listeners]]
name = "local"
address = "127.0.0.1:8181"
accept = ["token"]

[[tokens]]
id = "first"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
principal = 'User::"admin"'
"#;

const ISSUER: &str = "\n[[oidc]]\nissuer = \"https://id.example\"\nkeys = { url = \"https://id.example/jwks\" }\naudiences = [\"elevon\"]\nprincipal_type = \"User\"\n";

fn load(text: &str) -> Result<Settings, BadFile> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("elevon.toml");
    fs::write(&file, text).unwrap();
    Settings::load(&file)
}

fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

/// One problem as `line:column message; help`.
fn problems(text: &str) -> Vec<String> {
    let Err(bad) = load(text) else { return Vec::new() };
    let shown = bad.problems().iter().map(|problem| {
        let place = format!("{}:{}", problem.line.unwrap_or(0), problem.column.unwrap_or(0));
        format!("{place} {}; {}", problem.message, problem.help.clone().unwrap_or_default())
    });
    shown.collect()
}

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    let listener = |more: &str| changed("accept = [\"token\"]", more);
    let oidc = |more: &str| format!("{}{ISSUER}{more}", changed("[\"token\"]", "[\"token\", \"oidc\"]"));
    let rows: Vec<(String, &str, &str)> = vec![
        (changed("policies =", "polices ="), "1:1", "unknown key `polices` in the file; did you mean `policies`?"),
        (changed("policies = \"policies\"\n", ""), "1:1", "the file has no `policies`"),
        (changed("\"policies\"", "\"\""), "1:12", "`policies` is empty"),
        (changed("\"policies\"", "7"), "1:12", "`policies` is an integer, and has to be a string"),
        (changed("\"policies\"", "\"policies"), "1:21", "invalid basic string"),
        (format!("{GOOD}\n[log]\nformat = \"yaml\"\n"), "15:10", "`format` takes no `yaml`; known here: text, json"),
        (format!("{GOOD}\n[log]\nfilter = \"elevon=loud=louder\"\n"), "15:10", "the log filter"),
        (format!("{GOOD}\n[log]\nlevel = \"info\"\n"), "15:1", "unknown key `level` in `log`"),
        ("policies = \"p\"\ndata = \"d\"\n".to_owned(), "1:1", "nobody could reach this server"),
        (listener(""), "4:1", "a listener that accepts nothing has nobody to serve"),
        (listener("accept = []"), "7:10", "a listener that accepts nothing has nobody to serve"),
        (listener("accept = [\"tokens\"]"), "7:11", "`accept` takes no `tokens`; did you mean `token`?"),
        (listener("accept = [\"token\", \"token\"]"), "7:20", "`token` stands there twice"),
        (listener("accept = [\"dev\"]"), "7:11", "`accept` takes no `dev`"),
        (listener("accept = [\"token\"]\nplanes = []"), "8:10", "answers nothing"),
        (listener("accept = [\"token\"]\nplanes = [\"data\"]"), "8:11", "`planes` takes no `data`"),
        (listener("accept = [\"token\"]\nport = 8181"), "8:1", "unknown key `port` in `listeners`"),
        (listener("accept = [\"token\"]\nplanes = [\"control\"]\ngrpc_reflection = true"), "9:19", "this listener serves no checks"),
        (listener("accept = [\"token\"]\nmode = \"0660\""), "8:8", "`mode` is for `unix` sockets"),
        (listener("accept = [\"oidc\"]"), "4:1", "accepts `oidc`, and there is no `[[oidc]]`"),
        (listener("accept = [\"oidc\"]"), "9:1", "`[[tokens]]` is there, and no listener accepts `token`"),
        (listener("accept = [\"token\", \"mtls\"]"), "7:10", "`mtls` needs a listener that asks clients for certificates"),
        (listener("accept = [\"unix\"]"), "7:10", "`unix` is for listeners with a `unix` socket"),
        (listener("accept = [\"token\", \"unix\"]"), "7:10", "`unix` stands alone"),
        (changed("127.0.0.1:8181", "0.0.0.0:8181"), "6:11", "would be in clear text; add `tls"),
        (changed("127.0.0.1:8181", "10.1.2.3:8181"), "6:11", "would be in clear text"),
        (changed("127.0.0.1:8181", "localhost:8181"), "6:11", "is no address with a port; write one such as"),
        (changed("address = \"127.0.0.1:8181\"\n", ""), "5:8", "a listener needs an `address` or a `unix` socket"),
        (changed("accept", "unix = \"/run/e\"\naccept"), "7:8", "and not both"),
        (changed("address = \"127.0.0.1:8181\"", "unix = \"/run/e\"\nmode = \"0999\""), "7:8", "`0999` are no permissions"),
        (changed("address = \"127.0.0.1:8181\"", "unix = \"/run/e\"\ntls = { certificate = \"c\", key = \"k\" }"), "7:7", "takes no TLS"),
        (listener("accept = [\"token\"]\ntls = { certificate = \"c\" }"), "8:1", "`listeners.tls` has no `key`"),
        (listener("accept = [\"token\"]\ntls = { certificate = \"c\", key = \"k\", client_ca = \"a\" }"), "8:1", "of no use"),
        (
            listener("accept = [\"token\"]\ntls = { certificate = \"c\", key = \"k\", client_certificate = \"required\" }"),
            "8:60",
            "no `client_ca` says which are believed",
        ),
        (
            format!("{GOOD}\n[[listeners]]\nname = \"local\"\naddress = \"[::1]:1\"\naccept = [\"token\"]\n"),
            "15:8",
            "two listeners are named",
        ),
        (
            format!("{GOOD}\n[[listeners]]\nname = \"b\"\naddress = \"127.0.0.1:8181\"\naccept = [\"token\"]\n"),
            "16:11",
            "two listeners listen on `127.0.0.1:8181`",
        ),
        (changed("principal = 'User::\"admin\"'", "principal = 'admin'"), "12:13", "admin"),
        (changed("id = \"first\"\n", ""), "9:1", "`tokens` has no `id`"),
        (changed("id = \"first\"", "id = \"first\"\nhash = \"0\""), "11:1", "unknown key `hash` in `tokens`"),
        (changed("sha256 = \"0000", "sha256 = \"00"), "11:10", "64"),
        (changed("id = \"first\"", "id = \"elv_x\""), "9:1", "looks like a token"),
        (format!("{GOOD}\n[[tokens]]{}", GOOD.split("[[tokens]]").nth(1).unwrap()), "14:1", "two tokens have this id"),
        (format!("{GOOD}previous = {{ sha = \"0\" }}\n"), "13:14", "unknown key `sha` in `tokens`; known here: sha256, until"),
        (oidc("leeway = \"1m\"\n"), "19:10", "1m"),
        (oidc("leeway = \"PT1H\"\n"), "14:1", "leeway"),
        (oidc("refresh = \"PT1S\"\n"), "19:11", "`refresh` is from PT1M to"),
        (oidc("algorithms = [\"HS256\"]\n"), "19:15", "HS256"),
        (oidc("").replace("https://id.example/jwks", "http://id.example/jwks"), "16:8", "come from an `https://` address"),
        (oidc("").replace("https://id.example/jwks", "http://localhost.evil.example/jwks"), "16:8", "come from an `https://` address"),
        (oidc("").replace("https://id.example/jwks", "https://user:secret@id.example/jwks"), "16:8", "without user and password"),
        (oidc("").replace("url =", "uri ="), "16:10", "uri"),
        (format!("{GOOD}\n[limits]\nconnections = 0\n"), "15:15", "`connections` is from 1"),
        (format!("{GOOD}\n[limits]\nhead_timeout = \"PT0S\"\n"), "15:16", "a wait without an end is none"),
        (format!("{GOOD}\n[limits]\nhead_timout = \"PT1S\"\n"), "15:1", "did you mean `head_timeout`?"),
        (
            format!("{}\n[metrics]\nopen = true\n", changed("127.0.0.1:8181\"", "0.0.0.0:1\"\ntls = { certificate = \"c\", key = \"k\" }")),
            "16:8",
            "open to other machines",
        ),
    ];
    assert_eq!(problems(GOOD), Vec::<String>::new());
    let mut others = String::new();
    for (text, place, says) in rows {
        let found = problems(&text);
        if !found.iter().any(|problem| problem.starts_with(&format!("{place} ")) && problem.contains(says)) {
            others.push_str(&format!("{text}\nis to be refused at {place} with `{says}`, and: {found:#?}\n\n"));
        }
    }
    assert!(others.is_empty(), "{others}");
}

#[test]
fn what_is_wrong_with_who_is_told_is_said_where_it_stands() {
    let notify = |text: &str| format!("{GOOD}\n[notify]\n{text}");
    let webhook = |more: &str| {
        notify(&format!("[notify.destinations.ops]\nkind = \"webhook\"\nurl = \"https://hooks.example/x\"\nsecret_files = [\"s\"]\n{more}"))
    };
    let changed = |from: &str, to: &str| {
        let text = webhook("");
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let email = |more: &str| notify(&format!("[notify.destinations.mail]\nkind = \"email\"\n{more}"));
    let good_mail = "host = \"mail.example\"\nfrom = \"elevon@example.com\"\n";
    let set = |more: &str| {
        notify(&format!(
            "[notify.destinations.idp]\nkind = \"set\"\nurl = \"https://id.example/x\"\nissuer = \"https://e\"\naudience = \"https://i\"\n{more}"
        ))
    };
    let rows: Vec<(String, &str, &str)> = vec![
        (notify("url = \"x\"\n"), "15:1", "unknown key `url` in `notify`"),
        (notify("public_url = \"ftp://x\"\n"), "15:14", "`public_url`: an address begins with `https://`"),
        (notify("public_url = \"https://x/?a=b\"\n"), "15:14", "has a query"),
        (changed("[notify.destinations.ops]", "[notify.destinations.\"Ops Room\"]"), "15:22", "is no name of a destination"),
        (changed("kind = \"webhook\"\n", ""), "15:22", "has no `kind`"),
        (changed("\"webhook\"", "\"webhok\""), "16:8", "`kind` takes no `webhok`; did you mean `webhook`?"),
        (changed("https://hooks.example/x", "http://hooks.example/x"), "17:7", "goes over the wire for everybody to read"),
        (changed("https://hooks.example/x", "http://127.0.0.1/x"), "17:7", "with `allow_private = true`"),
        (changed("https://hooks.example/x", "https://u:p@hooks.example/x"), "17:7", "no user, no password"),
        (changed("[\"s\"]", "[]"), "18:16", "a webhook has 1 to 4 `secret_files`"),
        (changed("secret_files = [\"s\"]\n", ""), "15:22", "a webhook has 1 to 4 `secret_files`"),
        (webhook("host = \"x\"\n"), "19:1", "unknown key `host` in `notify.destinations.ops`"),
        (webhook("secret_file = \"x\"\n"), "19:1", "did you mean `secret_files`?"),
        (webhook("secret = \"whsec_MfKQ9r8GKYqrTwjU\"\n"), "19:11", "a webhook's secret stands here"),
        (webhook("# whsec_MfKQ9r8GKYqrTwjU\n"), "19:3", "a webhook's secret stands here"),
        (webhook("events = [\"activatd\"]\n"), "19:11", "`events` takes no `activatd`; did you mean `activated`?"),
        (webhook("alerts = \"loud\"\n"), "19:10", "`alerts` takes no `loud`"),
        (webhook("timeout = \"PT2M\"\n"), "19:11", "`timeout` is from PT1S to PT1M"),
        (webhook("max_attempts = 0\n"), "19:16", "`max_attempts` is from 1 to 10000"),
        (webhook("first_pause = \"PT10M\"\nlongest_pause = \"PT1M\"\n"), "20:17", "is shorter than `first_pause`"),
        (
            notify("[notify.destinations.ops]\nkind = \"slack\"\n"),
            "15:22",
            "has no `url_file`; the address of an incoming webhook is a secret",
        ),
        (notify("[notify.destinations.ops]\nkind = \"slack\"\nurl_file = \"u\"\nprincipal = \"bob\"\n"), "18:13", "bob"),
        (email("host = \"mail.example\"\n"), "15:22", "has no `from`"),
        (email(&format!("{good_mail}tls = \"none\"\n")), "19:7", "for everybody to read; it is taken for a server on this machine only"),
        (email(&format!("{good_mail}username = \"x\"\n")), "19:12", "go together"),
        (email(&format!("{good_mail}to = [\"x\"]\n")), "19:7", "`x` is no address"),
        (email(&good_mail.replace("elevon@example.com", "a@b.c\\nBcc: d@e.f")), "18:8", "in one line"),
        (set(""), "15:22", "no `key_file`"),
        (set("key_file = \"k\"\nevents = [\"activated\"]\n"), "21:10", "is not for receivers of security events"),
        (set("key_file = \"k\"\nsubject = \"iss_sub\"\n"), "15:22", "has no `subject_issuer`"),
        (set("key_file = \"k\"\nsubject_issuer = \"x\"\n"), "21:18", "goes with `subject"),
        (set("key_file = \"k\"\nsubject = \"iss_sub\"\nsubject_issuer = \"x\"\n"), "15:22", "no `subject_type`: an id or an address alone"),
        (set("key_file = \"k\"\nsubject = \"email\"\n"), "15:22", "such as `subject_type = \"User\"`"),
        (set("key_file = \"k\"\nsubject = \"email\"\nsubject_type = \"a user\"\n"), "22:16", "is no type of principals"),
        (set("key_file = \"k\"\nsubject_type = \"User\"\n"), "21:16", "goes with a `subject` that"),
        (webhook("[notify.digest]\nweekday = \"mon\"\ndestinations = [\"ops\"]\n"), "20:11", "`weekday` takes no `mon`"),
        (webhook("[notify.digest]\nat = \"9\"\ndestinations = [\"ops\"]\n"), "20:6", "is not a time of day"),
        (webhook("[notify.digest]\nzone = \"Mars\"\ndestinations = [\"ops\"]\n"), "20:8", "there is no time zone `Mars`"),
        (webhook("[notify.digest]\ndestinations = [\"opps\"]\n"), "20:17", "there is no `[notify.destinations.opps]`"),
        (webhook("[notify.digest]\n"), "19:9", "a digest for nobody"),
        (email(&format!("{good_mail}[notify.digest]\ndestinations = [\"mail\"]\n")), "20:17", "this destination has none"),
        (notify("[notify.templates.denid]\n"), "15:19", "did you mean `denied`?"),
        (notify("[notify.templates.denied]\ntext = \"{rol}\"\n"), "16:8", "`{rol}` is no name; known here: event"),
        (notify("[notify.templates.denied]\nsubject = \"a\\nb\"\n"), "16:11", "a subject is one line"),
    ];
    let shown = load(&webhook("secret = \"whsec_MfKQ9r8GKYqrTwjU\"\n")).unwrap_err().to_string();
    assert!(!shown.contains("MfKQ9r8GKYqrTwjU"), "{shown}");
    assert_eq!(problems(&webhook("")), Vec::<String>::new());
    assert_eq!(problems(&email(good_mail)), Vec::<String>::new());
    assert_eq!(problems(&set("key_file = \"k\"\n")), Vec::<String>::new());
    let mut others = String::new();
    for (text, place, says) in rows {
        let found = problems(&text);
        if !found.iter().any(|problem| problem.starts_with(&format!("{place} ")) && problem.contains(says)) {
            others.push_str(&format!("{text}\nis to be refused at {place} with `{says}`, and: {found:#?}\n\n"));
        }
    }
    assert!(others.is_empty(), "{others}");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = GOOD.replace("policies =", "polices =").replace("127.0.0.1", "10.0.0.1").replace("'User::\"admin\"'", "'admin'");
    assert_eq!(problems(&text).len(), 4, "{:#?}", problems(&text));
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("elevon.toml");
    fs::write(&file, changed("address = \"127.0.0.1:8181\"", "unix = \"run/elevon.sock\"")).unwrap();
    let settings = Settings::load(&file).unwrap();
    assert_eq!(settings.policies, folder.path().join("policies"));
    assert_eq!(settings.data, Path::new("/var/lib/elevon"));
    assert_eq!(settings.listeners.first().unwrap().at, Place::Unix { path: folder.path().join("run/elevon.sock"), mode: 0o660 });
    assert!(Settings::load(&folder.path().join("none.toml")).unwrap_err().to_string().contains("cannot be read"));
}

/// Every key with a value, spelt out from the top.
fn keys_of(table: &toml::Table, under: &str, into: &mut BTreeSet<String>) {
    for (key, value) in table {
        // what has names of its own stands in the documentation once
        let key = match under {
            "notify.destinations" => "NAME",
            "notify.templates" => "EVENT",
            _ => key.as_str(),
        };
        let name = if under.is_empty() { key.to_owned() } else { format!("{under}.{key}") };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let tables: Vec<&toml::Table> = items.iter().filter_map(toml::Value::as_table).collect();
        if tables.is_empty() {
            into.insert(name);
        } else {
            tables.iter().for_each(|table| keys_of(table, &name, into));
        }
    }
}

#[test]
fn example_and_documentation_name_every_key_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<String> = all_keys().into_iter().collect();
    let example = fs::read_to_string(root.join("elevon.example.toml")).unwrap();
    if let Err(bad) = load(&example) {
        panic!("the example is not in order:\n{bad}");
    }
    // what goes with other settings only stands there as a comment that begins so
    let whole: String = example.lines().map(|line| format!("{}\n", line.strip_prefix("#: ").unwrap_or(line))).collect();
    let mut shown = BTreeSet::new();
    keys_of(&whole.parse().unwrap(), "", &mut shown);
    assert_eq!(shown, known, "elevon.example.toml");
    let documented = fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let named = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key.to_owned()));
    assert_eq!(named.collect::<BTreeSet<_>>(), known, "docs/configuration.md");
}
