//! The document against the code: every endpoint, every rule, every example.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use regex::Regex;

use super::*;

#[test]
fn every_endpoint_is_described_and_nothing_else_is() {
    let name = |method: &Method, path: &str| format!("{method} {path}");
    let served: BTreeSet<String> = endpoints().iter().map(|endpoint| name(&endpoint.method, endpoint.path)).collect();
    let operations = paths::operations();
    let described: BTreeSet<String> = operations.iter().map(|operation| name(&operation.method, operation.path)).collect();
    assert_eq!(served, described);
    assert_eq!(operations.len(), described.len(), "something is described twice");
    let ids: BTreeSet<&str> = operations.iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), operations.len(), "two operations share an id");
    let document = document();
    let shown: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase())))
        .collect();
    assert_eq!(served, shown);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let references: BTreeSet<&str> =
        Regex::new(r##""\$ref":"#(/[^"]+)""##).unwrap().captures_iter(&text).map(|found| found.extract::<1>().1[0]).collect();
    assert!(references.len() > 30);
    for reference in &references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(references.contains(format!("/components/schemas/{name}").as_str()), "nothing refers to {name}");
    }
}

#[test]
fn every_body_and_every_answer_has_an_example() {
    for operation in paths::operations() {
        assert_eq!(examples::request(operation.id).is_some(), operation.body.is_some(), "{}", operation.id);
        for answered in &operation.answers {
            let shown = matches!(answered.content, Content::Json(_));
            assert_eq!(examples::answer(operation.id, answered.status).is_some(), shown, "{} {}", operation.id, answered.status);
        }
    }
}

#[test]
fn what_commands_take_is_closed() {
    let document = document();
    for operation in paths::operations() {
        let Some((schema, _)) = operation.body.filter(|(schema, _)| *schema != "Evaluation") else { continue };
        assert_eq!(document["components"]["schemas"][schema]["additionalProperties"], json!(false), "{schema}");
    }
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

fn code(name: &str) -> u16 {
    // The names of `http::StatusCode`'s constants are the reason phrases, in capitals.
    let named = |status: &StatusCode| status.canonical_reason().unwrap_or_default().to_uppercase().replace(' ', "_") == name;
    (400..600).filter_map(|code| StatusCode::from_u16(code).ok()).find(named).unwrap_or_else(|| panic!("{name}")).as_u16()
}

/// Every rule that the code refuses by: word, status and title, as they stand in the sources.
fn in_the_code() -> BTreeSet<(String, u16, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root.join("http"), &mut files);
    let made = Regex::new(r#"(?s)(?:Problem|Self)::new\(\s*(?:http::)?StatusCode::([A-Z_]+),\s*(?:"([a-z_]+)",\s*"([^"]+)"|rule, title)"#)
        .unwrap();
    let every = Regex::new(r"(?:Problem|Self)::new\(\s*(?:http::)?StatusCode::").unwrap();
    let member = Regex::new(r#"(?s)about\(\s*"([a-z_]+)",\s*"([^"]+)""#).unwrap();
    let mut found = BTreeSet::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        assert_eq!(
            made.find_iter(text).count(),
            every.find_iter(text).count(),
            "{} makes a problem in a way that is not seen here",
            path.display()
        );
        for problem in made.captures_iter(text).filter(|problem| problem.get(2).is_some()) {
            found.insert((problem[2].to_owned(), code(&problem[1]), problem[3].to_owned()));
        }
        for problem in member.captures_iter(text) {
            found.insert((problem[1].to_owned(), 400, problem[2].to_owned()));
        }
    }
    // The domain's refusals: a word for each, and a status and a title. Both matches are exhaustive, so that these are all.
    let problems = fs::read_to_string(root.join("http/problem.rs")).unwrap();
    let words = fs::read_to_string(root.join("domain/rejection.rs")).unwrap();
    let row = Regex::new(r#"(?s)R::(\w+)[^=\n]*=> \(\s*StatusCode::([A-Z_]+),\s*"([^"]+)"\s*\)"#).unwrap();
    for refusal in row.captures_iter(&problems) {
        let word = Regex::new(&format!(r#"Self::{}[^=\n]*=> "([a-z_]+)""#, &refusal[1])).unwrap();
        let word = word.captures(&words).unwrap_or_else(|| panic!("{} has no word", &refusal[1]))[1].to_owned();
        found.insert((word, code(&refusal[2]), refusal[3].to_owned()));
    }
    let count = Regex::new(r#"(?m)^            Self::\w+.* => "[a-z_]+",$"#).unwrap().find_iter(&words).count();
    assert_eq!(row.find_iter(&problems).count(), count, "some refusal of the domain is not seen here");
    found
}

#[test]
fn every_rule_is_listed_with_its_status_and_title() {
    let listed: BTreeSet<(String, u16, String)> =
        RULES.iter().map(|rule| (rule.word.to_owned(), rule.status, rule.title.to_owned())).collect();
    assert_eq!(listed.len(), RULES.len(), "a rule stands there twice");
    let mut expected = in_the_code();
    // A caller whom nobody stored is refused by the same rule, as a matter of rights (`Asker::submit_as`).
    expected.insert(("unknown_principal".to_owned(), 403, "the principal is not known".to_owned()));
    assert_eq!(listed, expected);
    assert!(RULES.is_sorted_by_key(|rule| (rule.status, rule.word)), "by status and word");
    for rule in RULES {
        assert!(!rule.means.is_empty() && !rule.todo.is_empty(), "{}", rule.word);
    }
}

#[test]
fn every_rule_is_somewhere_in_the_document() {
    let text = document().to_string();
    for rule in RULES.iter().filter(|rule| rule.at != At::Nowhere) {
        assert!(text.contains(&problems::type_of(rule.word)), "no operation refuses by {}", rule.word);
    }
    for operation in paths::operations() {
        for word in &operation.rules {
            assert!(RULES.iter().any(|rule| rule.word == *word), "{} refuses by {word}, which is no rule", operation.id);
        }
    }
}

/// `docs/problems.md`. `ELEVON_BLESS=1 cargo test` writes it anew.
fn page() -> String {
    let mut page = String::from(
        "# Problems\n\n\
        Everything outside of the AuthZEN evaluation answers what goes wrong as a problem document (RFC 9457, `application/problem+json`):\n\n\
        \x20   409 {\"type\": \"urn:elevon:problem:not_in_state\", \"rule\": \"not_in_state\", \"title\": \"it is no longer in that state\", \"status\": 409,\n\
        \x20        \"detail\": \"`act_0198…` is denied since 2030-01-31T09:05:00.000Z; nothing was changed\",\n\
        \x20        \"id\": \"act_0198…\", \"outcome\": \"denied\", \"at\": \"2030-01-31T09:05:00.000Z\", \"seq\": 5, \"request_id\": \"…\"}\n\n\
        `type` is stable: `urn:elevon:problem:` and the rule's word, which stands alone in `rule`. Programs tell problems apart by it, and by nothing else; `detail` is\n\
        for people, and says what is wrong with this very request. `seq` is where the journal stood; `request_id` is in the log, too. Some rules have members of their\n\
        own. A rule whose word stands here twice has two statuses. What is refused by a rule changes nothing.\n\n\
        The AuthZEN evaluation answers the same statuses, and the text of `detail` as `text/plain`; what is not JSON is 400 there.\n\n\
        Two answers come before anything of this is read, and have no body: 400 for what is not HTTP, and 431 for a head that is too large.\n\n\
        This page is written from the code; a test holds it.\n\n\
        | status | `type` | what it means | what to do | members of its own |\n\
        | --- | --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        let members: Vec<String> = rule.members.iter().map(|member| format!("`{member}`")).collect();
        let row = [
            rule.status.to_string(),
            format!("`{}`", problems::type_of(rule.word)),
            rule.means.to_owned(),
            rule.todo.to_owned(),
            members.join(", "),
        ];
        page.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    page
}

#[test]
fn the_page_about_problems_says_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("ELEVON_BLESS").is_some() {
        fs::write(root.join("docs/problems.md"), page()).unwrap();
    }
    assert_eq!(page(), fs::read_to_string(root.join("docs/problems.md")).unwrap_or_default(), "see the top of `page`");
}

#[test]
fn lists_of_words_are_those_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rows: [(&str, &str, &[&str]); 2] = [
        ("policy/ask.rs", r#"(?m)^            Self::\w+ => "([a-z_]+)",$"#, &schemas::answers::REASONS),
        ("http/views/mod.rs", r#"Cause::\w+(?:\(\w+\))? => json!\(\{ "kind": "([a-z_]+)""#, &schemas::answers::CAUSES),
    ];
    for (file, pattern, listed) in rows {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let found: BTreeSet<&str> = Regex::new(pattern).unwrap().captures_iter(&text).map(|found| found.extract::<1>().1[0]).collect();
        assert_eq!(found, listed.iter().copied().collect(), "{file}");
    }
}
