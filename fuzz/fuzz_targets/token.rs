//! Any text as a token: nothing panics, and nothing is accepted but the good tokens themselves.
//!
//! Mutations are made inside a token's decoded segments as often as in its text, and segments are
//! exchanged for those of other tokens: forgeries that are well formed.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tower_access::token::keys::KeySet;
use tower_access::token::verify;
use tower_access_fuzz::VECTORS;

static KEYS: LazyLock<KeySet> = LazyLock::new(|| VECTORS.keys());

fuzz_target!(|data: &[u8]| {
    let Ok(token) = std::str::from_utf8(data) else { return };
    let outcome =
        verify(token, &KEYS, VECTORS.expected(), VECTORS.now()).and_then(|claims| claims.subject());
    let good = VECTORS.good.iter().any(|good| good == token);
    assert_eq!(outcome.is_ok(), good, "{outcome:?}");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mutated = match seed % 4 {
        0 => None,
        1 => exchange(&data[..size], seed / 4),
        _ => inside(&data[..size], seed / 4, max_size),
    };
    match mutated {
        Some(token) if !token.is_empty() && token.len() <= max_size => {
            data[..token.len()].copy_from_slice(&token);
            token.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

/// One segment mutated as what it encodes.
fn inside(token: &[u8], seed: u32, max_size: usize) -> Option<Vec<u8>> {
    let mut segments = segments(token);
    let place = seed as usize % segments.len();
    let mut bytes = URL_SAFE_NO_PAD.decode(&segments[place]).ok()?;
    let size = bytes.len();
    bytes.resize(max_size, 0);
    let size = fuzzer_mutate(&mut bytes, size, max_size);
    segments[place] = URL_SAFE_NO_PAD.encode(&bytes[..size]).into_bytes();
    Some(segments.join(&b'.'))
}

/// One segment replaced by that of another token.
fn exchange(token: &[u8], seed: u32) -> Option<Vec<u8>> {
    let mut own = segments(token);
    let place = seed as usize % own.len();
    let others = VECTORS.good.len() + VECTORS.bad.len();
    let other = VECTORS.good.iter().chain(&VECTORS.bad).nth(seed as usize / 4 % others)?;
    own[place] = segments(other.as_bytes()).into_iter().nth(place)?;
    Some(own.join(&b'.'))
}

fn segments(token: &[u8]) -> Vec<Vec<u8>> {
    token.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect()
}
