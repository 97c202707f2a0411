//! The files of a bundle. An input is files one after the other, each behind a line `=== path`. They lie over the smallest bundle that is in
//! order, so that one changed file is enough to get somewhere.

#![no_main]

use std::collections::BTreeMap;

use elevon::policy::Bundle;
use libfuzzer_sys::fuzz_target;

const SMALLEST: [(&str, &str); 5] = [
    ("schema.cedarschema", include_str!("../smallest/schema.cedarschema")),
    ("roles.toml", include_str!("../smallest/roles.toml")),
    ("entities.json", include_str!("../smallest/entities.json")),
    ("policy.cedar", include_str!("../smallest/policy.cedar")),
    ("tests/guard.toml", include_str!("../smallest/guard.toml")),
];
/// Most bytes of an input: Cedar's validation is not linear, and this looks for faults and not for the time they take.
const MAX_BYTES: usize = 4 * 1024;

fn files(text: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> =
        SMALLEST.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    for part in text.split("=== ").skip(1) {
        let (path, text) = part.split_once('\n').unwrap_or((part, ""));
        files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    files
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if data.len() > MAX_BYTES {
        return;
    }
    match Bundle::from_files(files(text)) {
        Ok(bundle) => {
            let again = Bundle::from_archive(&bundle.to_archive()).expect("what was kept is read");
            assert_eq!(again.revision(), bundle.revision());
            assert_eq!(again.to_archive(), bundle.to_archive());
            assert_eq!(again.definitions(), bundle.definitions());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = Bundle::from_archive(data);
});
