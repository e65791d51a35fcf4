//! Any bytes as a published key set: nothing panics, and what is read is neither empty nor large.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tower_access::token::keys::KeySet;

/// Most entries of a set that are looked at.
const MOST: usize = 64;

fuzz_target!(|json: &[u8]| {
    let Ok(keys) = KeySet::from_jwks(json) else { return };
    assert!((1..=MOST).contains(&keys.len()), "{} keys", keys.len());

    // So many good keys do not fit into an input: the same ones under other names.
    let Ok(Value::Object(document)) = serde_json::from_slice(json) else { return };
    let entries = document["keys"].as_array().expect("read, but no list");
    let many = entries.iter().cycle().take(MOST + 6).enumerate().map(|(number, entry)| {
        let mut entry = entry.clone();
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("kid".to_owned(), json!(number.to_string()));
        }
        entry
    });
    let many = json!({ "keys": many.collect::<Vec<_>>() }).to_string();
    if let Ok(keys) = KeySet::from_jwks(many.as_bytes()) {
        assert!(keys.len() <= MOST, "{} keys", keys.len());
    }
});
