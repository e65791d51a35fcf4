use std::sync::OnceLock;

use super::*;
use crate::token::keys::KeySet;

#[derive(Debug)]
struct Kept {
    token: Vec<u8>,
    note: Box<str>,
}

thread_local! {
    static NEAR: RefCell<ThreadCache<Kept>> = const { RefCell::new(ThreadCache::new()) };
}

impl Packed for Box<str> {
    fn heap_bytes(&self) -> usize {
        allocated(self.len())
    }
}

impl CacheEntry for Kept {
    type Packed = Box<str>;

    fn token(&self) -> &[u8] {
        &self.token
    }

    fn pack(&self) -> Option<Box<str>> {
        Some(self.note.clone())
    }

    fn unpack(note: &Box<str>, token: &[u8]) -> Option<Self> {
        Some(Self { token: token.to_vec(), note: note.clone() })
    }
}

fn kept(token: &str) -> Kept {
    Kept { token: token.as_bytes().to_vec(), note: token.into() }
}

/// A key set's id of its own.
fn keys() -> KeySetId {
    KeySet::default().id()
}

#[test]
fn jwt_26_an_entry_ends_with_its_keys() {
    let cache = VerifiedTokens::with_capacity(100_000, &NEAR);
    let (one, two) = (keys(), keys());
    cache.insert(one, &kept("a.b.c"));
    assert!(cache.get(b"a.b.c", |keys| keys == one).is_some());
    assert!(cache.get(b"a.b.c", |keys| keys == two).is_none());
    assert!(cache.get(b"a.b.d", |keys| keys == one).is_none());
}

#[test]
fn jwt_26_a_threads_copy_ends_with_its_keys_and_its_cache() {
    let cache = VerifiedTokens::with_capacity(100_000, &NEAR);
    let (one, two) = (keys(), keys());
    cache.insert(one, &kept("a.b.c"));
    let seen: Vec<_> = (0..4).map(|_| cache.get(b"a.b.c", |keys| keys == one).unwrap()).collect();
    assert!(!Arc::ptr_eq(&seen[0], &seen[2]), "no copy of its own");
    assert!(Arc::ptr_eq(&seen[2], &seen[3]));
    assert!(cache.get(b"a.b.c", |keys| keys == two).is_none());
    let other = VerifiedTokens::with_capacity(100_000, &NEAR);
    assert!(other.get(b"a.b.c", |keys| keys == one).is_none());
    cache.insert(two, &kept("a.b.c"));
    assert!(cache.get(b"a.b.c", |keys| keys == two).is_some());
}

#[test]
fn jwt_27_dos_03_a_hundred_thousand_tokens_stay_within_the_bound() {
    let keys = keys();
    let cache = VerifiedTokens::with_capacity(1_000_000, &NEAR);
    let padding = "x".repeat(700);
    for number in 0..100_000 {
        cache.insert(keys, &kept(&format!("{padding}{number}")));
    }
    assert!(cache.entries.len() <= 1_100, "{}", cache.entries.len());
    assert!(cache.entries.len() >= 800, "{}", cache.entries.len());
    cache.insert(keys, &kept(&"y".repeat(2_000_000)));
    assert!(cache.entries.weight() <= 1_000_000);
}

#[test]
fn jwt_27_nothing_is_cached_without_memory() {
    let cache = VerifiedTokens::with_capacity(0, &NEAR);
    cache.insert(keys(), &kept("a.b.c"));
    assert!(cache.get(b"a.b.c", |_| true).is_none());
}

/// Whatever the size of the notes, and however full the cache is.
#[test]
fn jwt_27_dos_03_entries_take_no_more_memory_than_the_bound_says() {
    let keys = keys();
    for (bytes, length) in
        [(2 << 20, 0), (2 << 20, 90), (1 << 20, 400), (4 << 20, 5_000), (50_000, 90)]
    {
        let cache = OnceLock::new();
        let mut number = 0_u32;
        let mut token = kept(&"x".repeat(length));
        let mut fill = |count: u32| {
            allocation_counter::measure(|| {
                let cache =
                    cache.get_or_init(|| VerifiedTokens::<Kept>::with_capacity(bytes, &NEAR));
                for _ in 0..count {
                    number += 1;
                    token.token.clear();
                    token.token.extend_from_slice(&[b'.'; 80]);
                    token.token.extend_from_slice(&number.to_be_bytes());
                    cache.insert(keys, &token);
                }
            })
        };
        let mut taken = 0;
        for _ in 0..12 {
            taken += fill(2_000).bytes_current;
            let taken = usize::try_from(taken).unwrap();
            assert!(taken <= bytes, "{taken} of {bytes}, notes of {length}");
        }
        let weight = usize::try_from(cache.get().unwrap().entries.weight()).unwrap();
        let taken = usize::try_from(taken).unwrap();
        assert!(weight >= bytes * 8 / 10, "{weight} of {bytes}: the bound is made use of");
        assert!(taken >= bytes / 2, "{taken} of {bytes}: the weights are not invented");
    }
}

#[test]
fn jwt_26_a_token_with_one_other_bit_anywhere_has_no_entry() {
    let cache = VerifiedTokens::with_capacity(100_000, &NEAR);
    let keys = keys();
    let token =
        format!("{}.{}.{}", "eyJhbGciOiJSUzI1NiJ9", "eyJhIjoxfQ".repeat(30), "AQ".repeat(170));
    cache.insert(keys, &kept(&token));
    // First by the digest, then by the thread's copy as well.
    for _ in 0..2 {
        let mut other = token.clone().into_bytes();
        for position in 0..other.len() {
            for bit in 0..8 {
                other[position] ^= 1 << bit;
                assert!(cache.get(&other, |_| true).is_none(), "bit {bit} of {position}");
                other[position] ^= 1 << bit;
            }
        }
        for other in [&token[1..], &token[..token.len() - 1], &format!("{token}=")] {
            assert!(cache.get(other.as_bytes(), |_| true).is_none());
            assert!(cache.get(format!(" {other}").as_bytes(), |_| true).is_none());
        }
        for _ in 0..3 {
            assert!(cache.get(token.as_bytes(), |_| true).is_some());
        }
    }
}

/// A deterministic source of numbers (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Token `number` of `family`: the families differ in the first byte alone, so that the fast hash is
/// the same for a token of each.
fn numbered(family: u64, number: u64) -> String {
    format!("{family}.{number:08}.{}{number:08}", "s".repeat(60))
}

#[test]
fn jwt_26_a_million_random_operations_agree_with_a_slow_model() {
    const TOKENS: u64 = 300;
    // Too small for all of them.
    let cache = VerifiedTokens::with_capacity(40_000, &NEAR);
    let mut sets = [keys(), keys()];
    let mut model = std::collections::HashMap::new();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut hits, mut last) = (0, String::new());
    for round in 0..1_000_000_u32 {
        // Tokens come in short runs, as from a user, so that threads copy some.
        if round % 4 == 0 {
            last = numbered(numbers.below(3), numbers.below(TOKENS));
        }
        match numbers.below(100) {
            0..5 => {
                let keys = sets[usize::try_from(numbers.below(2)).unwrap()];
                cache.insert(keys, &kept(&last));
                model.insert(last.clone(), keys);
            }
            5 if numbers.below(1_000) == 0 => {
                let left = usize::try_from(numbers.below(2)).unwrap();
                sets[left] = keys();
            }
            _ => {
                let current = sets[usize::try_from(numbers.below(2)).unwrap()];
                let found = cache.get(last.as_bytes(), |keys| keys == current);
                if let Some(found) = found {
                    assert_eq!(found.token, last.as_bytes());
                    assert_eq!(*found.note, *last, "the value of another token");
                    // A thread's copy may be older than the entry, but never its keys.
                    assert!(model.contains_key(&last), "never inserted");
                    hits += 1;
                }
            }
        }
    }
    assert!(hits > 50_000, "{hits}");
}

#[test]
fn jwt_26_threads_that_share_a_cache_get_their_own_tokens() {
    let cache = VerifiedTokens::with_capacity(60_000, &NEAR);
    let sets = [keys(), keys()];
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let cache = &cache;
            scope.spawn(move || {
                let mut numbers = Numbers(thread + 1);
                for _ in 0..20_000 {
                    let token = numbered(thread % 2, numbers.below(200));
                    let keys = sets[usize::try_from(numbers.below(2)).unwrap()];
                    if numbers.below(4) == 0 {
                        cache.insert(keys, &kept(&token));
                    } else if let Some(found) = cache.get(token.as_bytes(), |it| it == keys) {
                        assert_eq!(*found.note, *token);
                    }
                }
            });
        }
    });
    assert!(cache.entries.weight() <= 60_000);
}
