//! Ids out of text: what is taken prints and reads back as itself, folds to something that folds no further, and shows what it is.

#![no_main]

use elevon::domain::id::fold;
use elevon::domain::{RoleName, Uid};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(uid) = Uid::parse(text) {
        assert_eq!(uid.to_string(), text, "an entity has one spelling");
        holds(&uid);
    }
    if let Ok(uid) = Uid::new("User", text) {
        assert_eq!(uid.id(), text);
        assert_eq!(Uid::parse(&uid.to_string()).ok().as_ref(), Some(&uid));
        holds(&uid);
    }
    if let Ok(role) = RoleName::new(text) {
        assert_eq!(role.as_str(), text);
    }
    if let Ok(uid) = serde_json::from_slice::<Uid>(data) {
        holds(&uid);
    }
    // two halves of one input are two ids; their printed forms are the same only where they are
    if let Some((one, other)) = text.split_once('\u{0}')
        && let (Ok(one), Ok(other)) = (Uid::parse(one), Uid::parse(other))
    {
        assert_eq!(one == other, one.to_string() == other.to_string());
        assert!(one != other || one.fold() == other.fold());
    }
});

fn holds(uid: &Uid) {
    assert!(!uid.id().chars().any(char::is_control));
    assert!(!uid.id().chars().any(elevon::domain::text::misleads));
    let folded = uid.fold();
    assert_eq!(fold(&folded), folded, "a fold is folded");
    let written = serde_json::to_vec(uid).expect("an entity is JSON");
    assert_eq!(serde_json::from_slice::<Uid>(&written).expect("it reads back"), *uid);
}
