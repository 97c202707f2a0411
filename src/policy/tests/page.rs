//! The page for authors, `docs/policies.md`: it says what the schema says, and its examples are in order.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::decide::MAX_PENDING;
use crate::domain::facts::Action;
use crate::domain::id::{MAX_ID_BYTES, MAX_TYPE_BYTES};
use crate::domain::settings::MAX_STAGES;
use crate::policy::files::{MAX_BUNDLE_BYTES, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES};
use crate::policy::problem::MAX_PROBLEMS;
use crate::policy::routes::MAX_ROUTES;
use crate::policy::trial::MAX_TESTS;
use crate::policy::{Bundle, BundleError};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/policies.md")).unwrap()
}

/// Examples of a language, as they stand on the page.
fn examples(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The sample, with these files besides.
fn sample_with(more: Vec<(String, String)>) -> Result<Bundle, BundleError> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root().join("policies")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root().join("policies")).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files.extend(more.into_iter().map(|(path, text)| (path, text.into_bytes())));
    Bundle::from_files(files)
}

#[test]
fn the_examples_on_the_page_are_in_order() {
    let page = page();
    let policies = examples(&page, "cedar").into_iter().enumerate().map(|(nth, text)| (format!("page-{nth}.cedar"), text));
    let named = |text: &str| text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap().to_owned();
    let files: Vec<_> = policies.chain(examples(&page, "toml").into_iter().map(|text| (named(&text), text))).collect();
    assert_eq!(files.len(), 4);
    let bundle = sample_with(files.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert!(bundle.run_tests().iter().filter(|test| test.file == "tests/extra.toml").count() == 3 && bundle.warnings().is_empty());
    // the policies are what the tests are about
    let without: Vec<_> = files.into_iter().filter(|(path, _)| path != "page-0.cedar").collect();
    assert!(sample_with(without).is_err());
}

#[test]
fn the_page_names_every_action_and_what_it_is_asked_about() {
    let (page, schema) = (page(), sample_with(Vec::new()).unwrap().schema_text());
    let resources = |action: Action| {
        let line = format!("action \"{}\" appliesTo", action.as_str());
        let line = schema.lines().find(|found| found.trim_start().starts_with(&line)).unwrap();
        line.split("resource: [").nth(1).unwrap().split(']').next().unwrap()
    };
    let expected: Vec<(String, String)> = Action::ALL
        .into_iter()
        .map(|action| {
            let about = match resources(action) {
                "Role" => "a role".to_owned(),
                many if many.split(", ").any(|kind| kind == "User") => "any entity of yours".to_owned(),
                own => own.split(", ").map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", "),
            };
            (format!("`{}`", action.as_str()), about)
        })
        .collect();
    let table = page.split("| action | resource | asked when |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let mut told: Vec<(String, String)> = rows.map(|cells| (cells[1].to_owned(), cells[2].to_owned())).collect();
    let mut sorted = expected;
    sorted.sort();
    told.sort();
    assert_eq!(told, sorted);
    // every member of Elevon's types
    let own = schema.split("namespace Elevon {").nth(1).unwrap();
    let members = own.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).map(|(name, _)| name.trim_end_matches('?'));
    let members: Vec<&str> = members.collect();
    assert!(members.len() > 20, "{members:?}");
    for name in members {
        let there = ["`NAME`", "`NAME?`", "`NAME.groups`"].iter().any(|form| page.contains(&form.replace("NAME", name)));
        assert!(there, "`{name}` is not on the page");
    }
}

#[test]
fn the_bounds_on_the_page_are_those_of_the_code() {
    let page = page();
    let number = |number: usize| if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) };
    for row in [
        format!("{} files, {} MiB, {} MiB; folders {MAX_DEPTH} deep", number(MAX_FILES), MAX_FILE_BYTES >> 20, MAX_BUNDLE_BYTES >> 20),
        format!("| stages of an approval; approvers of a stage; quorum | {MAX_STAGES};"),
        format!("| {}; {} |", number(MAX_TESTS), number(MAX_TESTS)),
        format!("| routes; certificates; clusters | {};", number(MAX_ROUTES)),
        format!("| problems that are shown of a bundle | {MAX_PROBLEMS} |"),
        format!("| {MAX_ID_BYTES} bytes; {MAX_TYPE_BYTES} bytes |"),
        format!("| {MAX_PENDING}; one more that would wait is 409"),
    ] {
        assert!(page.contains(&row), "{row}");
    }
}
