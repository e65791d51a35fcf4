//! What every store promises.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tower_access::store::{Store, StoreError};

use super::world::World;

/// The bound the stores under test are made with.
pub(crate) const BOUND: usize = 60;
const CALLERS: u64 = 40;

/// What many callers get who ask at once.
async fn all_at_once<T, F>(world: &World, ask: impl Fn(Arc<dyn Store>, u64) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(ask(Arc::clone(&world.store), number));
    }
    callers.join_all().await.into_iter().map(Result::unwrap).collect()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

pub(crate) async fn a_value_is_there_until_its_end(world: &World) {
    let store = &world.store;
    assert_eq!(store.get("session/1").await.unwrap(), None);
    store.put("session/1", bytes("x"), world.life(2)).await.unwrap();
    assert_eq!(store.get("session/1").await.unwrap(), Some(bytes("x")));
    world.pass(1).await;
    assert_eq!(store.get("session/1").await.unwrap(), Some(bytes("x")));
    world.pass(1).await;
    assert_eq!(store.get("session/1").await.unwrap(), None);
    assert_eq!(store.take("session/1").await.unwrap(), None);
    assert!(!store.replace("session/1", b"x", bytes("y"), world.life(1)).await.unwrap());
}

pub(crate) async fn a_value_put_again_has_a_new_end(world: &World) {
    let store = &world.store;
    store.put("session/1", bytes("x"), world.life(1)).await.unwrap();
    store.put("session/1", bytes("y"), world.life(3)).await.unwrap();
    store.put("session/2", bytes("x"), world.life(9)).await.unwrap();
    store.put("session/2", bytes("y"), world.life(1)).await.unwrap();
    world.pass(1).await;
    assert_eq!(store.get("session/1").await.unwrap(), Some(bytes("y")));
    assert_eq!(store.get("session/2").await.unwrap(), None);
}

pub(crate) async fn otp_04_of_many_who_take_one_gets_it(world: &World) {
    for round in 0..5 {
        let key: Arc<str> = format!("pin/{round}").into();
        world.store.put(&key, bytes("x"), world.life(60)).await.unwrap();
        let taken = all_at_once(world, |store, _| {
            let key = Arc::clone(&key);
            async move { store.take(&key).await }
        });
        let taken: Vec<Bytes> = taken.await.into_iter().flatten().collect();
        assert_eq!(taken, [bytes("x")]);
        assert_eq!(world.store.get(&key).await.unwrap(), None);
    }
}

pub(crate) async fn of_many_who_insert_one_does(world: &World) {
    for round in 0..5 {
        let key: Arc<str> = format!("keys/{round}").into();
        let life = world.life(60);
        let inserted = all_at_once(world, |store, number| {
            let key = Arc::clone(&key);
            async move {
                let value = Bytes::from(number.to_string());
                store.insert(&key, value.clone(), life).await.map(|did| did.then_some(value))
            }
        });
        let inserted: Vec<Bytes> = inserted.await.into_iter().flatten().collect();
        let [winner] = &inserted[..] else { panic!("{inserted:?}") };
        assert_eq!(world.store.get(&key).await.unwrap().as_ref(), Some(winner));
    }
}

pub(crate) async fn what_has_ended_makes_room_for_another(world: &World) {
    let store = &world.store;
    assert!(store.insert("keys/1", bytes("x"), world.life(1)).await.unwrap());
    assert!(!store.insert("keys/1", bytes("y"), world.life(60)).await.unwrap());
    world.pass(1).await;
    assert!(store.insert("keys/1", bytes("z"), world.life(60)).await.unwrap());
    assert_eq!(store.get("keys/1").await.unwrap(), Some(bytes("z")));
}

pub(crate) async fn ses_16_of_many_who_replace_one_does(world: &World) {
    world.store.put("login/1", bytes("first"), world.life(60)).await.unwrap();
    let life = world.life(60);
    let replaced = all_at_once(world, |store, number| async move {
        let value = Bytes::from(number.to_string());
        let did = store.replace("login/1", b"first", value.clone(), life).await;
        did.map(|did| did.then_some(value))
    });
    let replaced: Vec<Bytes> = replaced.await.into_iter().flatten().collect();
    let [winner] = &replaced[..] else { panic!("{replaced:?}") };
    assert_eq!(world.store.get("login/1").await.unwrap().as_ref(), Some(winner));
}

pub(crate) async fn ses_16_nothing_is_lost_where_all_replace_what_they_read(world: &World) {
    world.store.put("login/1", bytes("0"), world.life(60)).await.unwrap();
    let life = world.life(60);
    all_at_once(world, |store, _| async move {
        loop {
            let present = store.get("login/1").await?.unwrap();
            let number: u64 = std::str::from_utf8(&present).unwrap().parse().unwrap();
            let next = Bytes::from((number + 1).to_string());
            if store.replace("login/1", &present, next, life).await? {
                return Ok(());
            }
        }
    })
    .await;
    let sum = world.store.get("login/1").await.unwrap().unwrap();
    assert_eq!(sum, Bytes::from(CALLERS.to_string()));
}

pub(crate) async fn ses_16_what_is_gone_or_changed_is_not_replaced(world: &World) {
    let store = &world.store;
    assert!(!store.replace("login/1", b"", bytes("x"), world.life(60)).await.unwrap());
    assert_eq!(store.get("login/1").await.unwrap(), None);
    store.put("login/1", bytes("x"), world.life(1)).await.unwrap();
    for other in [&b""[..], b"X", b"x ", b"y"] {
        assert!(!store.replace("login/1", other, bytes("z"), world.life(60)).await.unwrap());
    }
    assert_eq!(store.get("login/1").await.unwrap(), Some(bytes("x")));
    assert!(store.replace("login/1", b"x", bytes("y"), world.life(60)).await.unwrap());
    world.pass(1).await;
    assert_eq!(store.take("login/1").await.unwrap(), Some(bytes("y")));
    assert!(!store.replace("login/1", b"y", bytes("z"), world.life(60)).await.unwrap());
    assert_eq!(store.get("login/1").await.unwrap(), None);
}

pub(crate) async fn otp_01_no_count_is_lost(world: &World) {
    let life = world.life(60);
    let sums = all_at_once(world, |store, _| async move {
        let first = store.count("attempts/1", 1, life).await?;
        Ok([first, store.count("attempts/1", 2, life).await?])
    });
    let sums = sums.await.concat();
    // Everybody has seen a sum of their own, and none was lost.
    assert_eq!(sums.iter().collect::<HashSet<_>>().len(), sums.len(), "{sums:?}");
    assert_eq!(sums.iter().max(), Some(&(3 * CALLERS)));
    assert_eq!(world.store.count("attempts/1", 0, life).await.unwrap(), 3 * CALLERS);
}

pub(crate) async fn otp_01_a_counter_keeps_its_first_end(world: &World) {
    let store = &world.store;
    assert_eq!(store.count("attempts/1", 1, world.life(2)).await.unwrap(), 1);
    world.pass(1).await;
    assert_eq!(store.count("attempts/1", 1, world.life(60)).await.unwrap(), 2);
    world.pass(1).await;
    assert_eq!(store.count("attempts/1", 0, world.life(60)).await.unwrap(), 0);
    assert_eq!(store.count("attempts/1", 5, world.life(60)).await.unwrap(), 5);
}

pub(crate) async fn counting_nothing_reads_and_starts_nothing(world: &World) {
    let store = &world.store;
    assert_eq!(store.count("attempts/1", 0, world.life(1)).await.unwrap(), 0);
    assert_eq!(store.count("attempts/1", 1, world.life(60)).await.unwrap(), 1);
    // Had the nothing started a lifetime, this would be a new counter.
    world.pass(1).await;
    assert_eq!(store.count("attempts/1", 1, world.life(60)).await.unwrap(), 2);
}

pub(crate) async fn a_counter_may_be_as_large_as_it_likes(world: &World) {
    let large = (1_u64 << 62) + 1;
    assert_eq!(world.store.count("attempts/1", large, world.life(60)).await.unwrap(), large);
    assert_eq!(world.store.count("attempts/1", 2, world.life(60)).await.unwrap(), large + 2);
    assert_eq!(world.store.count("attempts/1", 0, world.life(60)).await.unwrap(), large + 2);
}

async fn members(world: &World, set: &str) -> Vec<(String, Bytes)> {
    let mut members = world.store.members(set).await.unwrap();
    members.sort();
    members
}

fn member(name: &str, value: &'static str) -> (String, Bytes) {
    (name.to_owned(), bytes(value))
}

pub(crate) async fn members_have_ends_of_their_own(world: &World) {
    let store = &world.store;
    assert_eq!(members(world, "ended/1").await, []);
    store.put_member("ended/1", "b", bytes("2"), world.life(9)).await.unwrap();
    store.put_member("ended/1", "a", bytes("1"), world.life(1)).await.unwrap();
    store.put_member("ended/1", "c", bytes("3"), world.life(2)).await.unwrap();
    let all = [member("a", "1"), member("b", "2"), member("c", "3")];
    assert_eq!(members(world, "ended/1").await, all);
    world.pass(1).await;
    assert_eq!(store.take_member("ended/1", "a").await.unwrap(), None);
    assert_eq!(members(world, "ended/1").await, all[1..]);
    world.pass(1).await;
    assert_eq!(members(world, "ended/1").await, all[1..2]);
    assert_eq!(store.take_member("ended/1", "b").await.unwrap(), Some(bytes("2")));
    assert_eq!(members(world, "ended/1").await, []);
}

pub(crate) async fn a_member_put_again_is_another(world: &World) {
    let store = &world.store;
    store.put_member("ended/1", "a", bytes("1"), world.life(1)).await.unwrap();
    store.put_member("ended/1", "b", bytes("1"), world.life(60)).await.unwrap();
    store.put_member("ended/1", "a", bytes("2"), world.life(60)).await.unwrap();
    store.put_member("ended/1", "b", bytes("2"), world.life(1)).await.unwrap();
    assert_eq!(members(world, "ended/1").await, [member("a", "2"), member("b", "2")]);
    world.pass(1).await;
    assert_eq!(members(world, "ended/1").await, [member("a", "2")]);
}

pub(crate) async fn of_many_who_take_a_member_one_gets_it(world: &World) {
    let life = world.life(60);
    // Everybody puts one, and then everybody takes one and the same.
    all_at_once(world, |store, number| async move {
        store.put_member("ended/1", &number.to_string(), bytes("x"), life).await
    })
    .await;
    assert_eq!(members(world, "ended/1").await.len(), CALLERS as usize);
    let taken =
        all_at_once(world, |store, _| async move { store.take_member("ended/1", "7").await });
    let taken: Vec<Bytes> = taken.await.into_iter().flatten().collect();
    assert_eq!(taken, [bytes("x")]);
    assert_eq!(members(world, "ended/1").await.len(), CALLERS as usize - 1);
}

pub(crate) async fn sets_and_values_do_not_mix(world: &World) {
    let (store, life) = (&world.store, world.life(60));
    store.put("ended/1", bytes("value"), life).await.unwrap();
    store.put_member("ended/1", "a", bytes("1"), life).await.unwrap();
    store.put_member("ended/10", "a", bytes("10"), life).await.unwrap();
    store.put_member("ended/", "a", bytes("0"), life).await.unwrap();
    assert_eq!(members(world, "ended/1").await, [member("a", "1")]);
    assert_eq!(members(world, "ended/10").await, [member("a", "10")]);
    assert_eq!(members(world, "ended/").await, [member("a", "0")]);
    assert_eq!(store.take("ended/1").await.unwrap(), Some(bytes("value")));
    assert_eq!(members(world, "ended/1").await, [member("a", "1")]);
    assert_eq!(store.take_member("ended/10", "b").await.unwrap(), None);
    assert_eq!(store.take_member("ended/100", "a").await.unwrap(), None);
}

pub(crate) async fn dos_03_a_full_set_refuses_until_something_ends(world: &World) {
    let store = &world.store;
    let long = world.life(60);
    store.put_member("ended/1", "short", bytes("x"), world.life(1)).await.unwrap();
    for number in 1..BOUND {
        store.put_member("ended/1", &number.to_string(), bytes("x"), long).await.unwrap();
    }
    for _ in 0..3 {
        assert!(store.put_member("ended/1", "more", bytes("x"), long).await.is_err());
    }
    // Who is in may change.
    store.put_member("ended/1", "7", bytes("y"), long).await.unwrap();
    assert_eq!(members(world, "ended/1").await.len(), BOUND);
    world.pass(1).await;
    store.put_member("ended/1", "more", bytes("x"), long).await.unwrap();
    assert!(store.put_member("ended/1", "too many", bytes("x"), long).await.is_err());
    // Whose end comes sooner than all others makes room when it has come.
    store.put_member("ended/1", "more", bytes("x"), world.life(1)).await.unwrap();
    world.pass(1).await;
    store.put_member("ended/1", "again", bytes("x"), long).await.unwrap();
    assert_eq!(members(world, "ended/1").await.len(), BOUND);
    store.take_member("ended/1", "7").await.unwrap();
    store.put_member("ended/1", "in its place", bytes("x"), long).await.unwrap();
    assert!(store.put_member("ended/1", "too many", bytes("x"), long).await.is_err());
}

/// How often somebody was told, as the number of a channel says it.
pub(crate) fn told(number: u64) -> u64 {
    number & u64::from(u32::MAX)
}

pub(crate) async fn who_listens_hears_of_what_was_before(world: &World) {
    let store = &world.store;
    for _ in 0..3 {
        store.notify("ended").await.unwrap();
    }
    let heard = tokio::time::timeout(SOON, store.notified("ended", 0)).await;
    let number = heard.expect("told at once").unwrap();
    assert_eq!(told(number), 3);
    // What was seen is no news, and neither is what another channel has to say.
    assert!(tokio::time::timeout(A_WHILE, store.notified("ended", number)).await.is_err());
}

pub(crate) async fn who_listens_hears_of_what_comes(world: &World) {
    let mut listening = JoinSet::new();
    for _ in 0..CALLERS {
        let store = Arc::clone(&world.store);
        listening.spawn(async move { store.notified("ended", 0).await });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(listening.try_join_next().is_none());
    world.store.notify("ended").await.unwrap();
    let heard = tokio::time::timeout(SOON, listening.join_all()).await.expect("heard in time");
    assert!(heard.into_iter().all(|number| told(number.unwrap()) == 1));
}

pub(crate) async fn channels_do_not_mix(world: &World) {
    let store = &world.store;
    store.notify("keys").await.unwrap();
    assert!(tokio::time::timeout(A_WHILE, store.notified("ended", 0)).await.is_err());
    assert_eq!(told(store.notified("keys", 0).await.unwrap()), 1);
    // A channel is neither a value nor a counter.
    assert_eq!(store.get("keys").await.unwrap(), None);
    assert_eq!(store.count("keys", 0, world.life(1)).await.unwrap(), 0);
}

pub(crate) async fn values_are_any_bytes_up_to_16_kib(world: &World) {
    let (store, life) = (&world.store, world.life(60));
    let large: Bytes = (0..16 * 1_024 - 1).map(|index| (index % 251) as u8).collect();
    let all: Bytes = (0..=255).collect();
    for value in [large, all, Bytes::new(), bytes("\n:\r\n$-1\r\n"), bytes("12345")] {
        store.put("session/1", value.clone(), life).await.unwrap();
        assert_eq!(store.get("session/1").await.unwrap(), Some(value.clone()));
        assert!(store.replace("session/1", &value, bytes("other"), life).await.unwrap());
        assert!(store.replace("session/1", b"other", value.clone(), life).await.unwrap());
        assert_eq!(store.take("session/1").await.unwrap(), Some(value.clone()));
        assert!(store.insert("session/1", value.clone(), life).await.unwrap());
        assert_eq!(store.take("session/1").await.unwrap(), Some(value.clone()));
        store.put_member("ended/1", "a", value.clone(), life).await.unwrap();
        assert_eq!(store.members("ended/1").await.unwrap(), [("a".to_owned(), value.clone())]);
        assert_eq!(store.take_member("ended/1", "a").await.unwrap(), Some(value));
    }
}

pub(crate) async fn keys_are_any_visible_ascii(world: &World) {
    let (store, life) = (&world.store, world.life(60));
    let every: String = ('!'..='~').collect();
    let long = format!("kind/{}", "k".repeat(194));
    let keys =
        [every.as_str(), &long, "/", "a//b", "a/{b}", "a/{}", "a/*", "a/:", "a/\\n", "nokind"];
    let mut seen = HashSet::new();
    for (number, key) in keys.iter().enumerate() {
        let value = Bytes::from(number.to_string());
        store.put(key, value.clone(), life).await.unwrap();
        store.put_member(key, key, value.clone(), life).await.unwrap();
        assert_eq!(store.count(&format!("{key}/"), 1, life).await.unwrap(), 1);
        assert!(seen.insert(value));
    }
    for (number, key) in keys.iter().enumerate() {
        let value = Bytes::from(number.to_string());
        assert_eq!(store.members(key).await.unwrap(), [((*key).to_owned(), value.clone())]);
        assert_eq!(store.take_member(key, key).await.unwrap(), Some(value.clone()));
        assert_eq!(store.take(key).await.unwrap(), Some(value));
    }
}

pub(crate) async fn kinds_do_not_mix(world: &World) {
    let (store, life) = (&world.store, world.life(60));
    store.put("a/b/c", bytes("1"), life).await.unwrap();
    store.put("a/b", bytes("2"), life).await.unwrap();
    store.put("a", bytes("3"), life).await.unwrap();
    store.put("ab/c", bytes("4"), life).await.unwrap();
    for (key, value) in [("a", "3"), ("a/b/c", "1"), ("ab/c", "4"), ("a/b", "2")] {
        assert_eq!(store.take(key).await.unwrap(), Some(bytes(value)), "{key}");
    }
}

/// Who goes away while a step is done leaves it done or not, and nobody else waits for them.
pub(crate) async fn who_gives_up_waiting_breaks_nothing(world: &World) {
    let (store, life) = (&world.store, world.life(60));
    store.put("session/1", bytes("x"), life).await.unwrap();
    for number in 0..30 {
        // Polled once, and dropped.
        let _ = store.put(&format!("session/{number}"), bytes("y"), life).now_or_never();
        let _ = store.take("session/1").now_or_never();
        let _ = store.members("ended/1").now_or_never();
        let _ = store.notified("ended", 0).now_or_never();
    }
    store.put("session/1", bytes("z"), life).await.unwrap();
    assert_eq!(store.take("session/1").await.unwrap(), Some(bytes("z")));
    assert_eq!(store.take("session/1").await.unwrap(), None);
}

/// Longer than any store may keep listeners waiting, on a machine that is busy.
const SOON: Duration = Duration::from_secs(5);
/// Long enough for news to arrive, if there were any.
const A_WHILE: Duration = Duration::from_millis(500);
