//! Processes that share a store of service tokens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::record::{Names, Record};
use super::stored::{INDEX, key};
use super::{LiveServiceTokens, ServiceToken, ServiceTokenAdmin, ServiceTokens};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::random::{Random, SystemRandom};
use crate::secret::SecretHash;
use crate::store::{MemoryStore, ReloadCause, Store, StoreMirror};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn process(clock: &Arc<ManualClock>, store: &Arc<dyn Store>) -> Arc<LiveServiceTokens> {
    let nightly = ServiceToken::new("nightly", "n.access", SecretHash::new("n"));
    let in_file = ServiceTokens::new([nightly.expires_at(NOW.plus(5 * DAY))]).unwrap();
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let changes = Arc::default();
    LiveServiceTokens::with_store(in_file, true, store, (&clock, &random, &changes), None)
}

async fn warn_of_expiry(tokens: &LiveServiceTokens, now: Timestamp) -> Vec<Box<str>> {
    let table = tokens.table.load_full();
    tokens.stored.as_ref().unwrap().warn_of_expiry(&table, now).await
}

fn world() -> (Arc<ManualClock>, Arc<dyn Store>) {
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 1_000));
    (clock, store)
}

#[tokio::test]
async fn an_end_is_warned_of_a_week_ahead_once_a_day_over_all_processes() {
    let (clock, store) = world();
    let (one, two) = (process(&clock, &store), process(&clock, &store));
    let admin = ServiceTokenAdmin::new(&one);
    admin.create("deploy", 8 * DAY).await.unwrap();
    admin.create("forever", None).await.unwrap();
    let (off, _) = admin.create("off", 2 * DAY).await.unwrap();
    admin.disable(&off.id).await.unwrap();
    two.reload(ReloadCause::Unknown).await.unwrap();
    let mut warned = warn_of_expiry(&one, NOW).await;
    assert_eq!(warned, [Box::from("nightly")]);
    assert!(warn_of_expiry(&two, NOW).await.is_empty());
    let next = NOW.plus(DAY);
    assert!(warn_of_expiry(&one, NOW.plus(DAY / 24)).await.is_empty());
    warned = warn_of_expiry(&two, next).await;
    warned.sort();
    assert_eq!(warned, ["deploy", "nightly"].map(Box::from));
    assert!(warn_of_expiry(&one, next).await.is_empty());
    assert_eq!(warn_of_expiry(&one, NOW.plus(6 * DAY)).await, [Box::from("deploy")]);
    assert!(warn_of_expiry(&one, NOW.plus(8 * DAY)).await.is_empty());
}

#[tokio::test]
async fn a_store_that_forgot_everything_gets_back_what_was_not_deleted() {
    let (clock, store) = world();
    let (one, two) = (process(&clock, &store), process(&clock, &store));
    let admin = ServiceTokenAdmin::new(&one);
    let (stays, _) = admin.create("stays", None).await.unwrap();
    let (goes, _) = admin.create("goes", None).await.unwrap();
    two.reload(ReloadCause::Unknown).await.unwrap();
    // Here `goes` is deleted, the other process has not heard of it, and the store forgets.
    admin.delete(&goes.id).await.unwrap();
    let record = |name: &str| {
        let names =
            Names { id: goes.id.clone(), name: name.into(), client_id: goes.client_id.clone() };
        Record::new(names, SecretHash::new("x"), None.into(), NOW)
    };
    two.stored.as_ref().unwrap().state().records.insert(goes.id.clone(), record("goes"));
    one.stored.as_ref().unwrap().delete(&stays.id).await.unwrap();
    two.reload(ReloadCause::Forgotten).await.unwrap();
    assert!(two.known(&stays.client_id).is_some());
    // Whoever deleted it sees to it that it stays so.
    one.reload(ReloadCause::Forgotten).await.unwrap();
    two.reload(ReloadCause::Notified).await.unwrap();
    for process in [&one, &two] {
        assert!(process.known(&stays.client_id).is_some());
        assert!(process.known(&goes.client_id).is_none());
    }
}

#[tokio::test]
async fn ses_16_a_record_that_cannot_be_read_opens_nothing_and_hides_nothing() {
    let (clock, store) = world();
    let one = process(&clock, &store);
    let admin = ServiceTokenAdmin::new(&one);
    let (fine, _) = admin.create("fine", None).await.unwrap();
    let (odd, _) = admin.create("odd", None).await.unwrap();
    store.put(&key(&odd.id), Bytes::from_static(b"{}"), DAY).await.unwrap();
    // Under another id than its own.
    let copied = store.get(&key(&fine.id)).await.unwrap().unwrap();
    store.put(&key("copy"), copied, DAY).await.unwrap();
    store.put_member(INDEX, "copy", Bytes::new(), DAY).await.unwrap();
    one.reload(ReloadCause::Notified).await.unwrap();
    assert!(one.known(&fine.client_id).is_some() && one.known(&odd.client_id).is_none());
    assert_eq!(one.table().all().count(), 2);
}

#[test]
fn without_a_runtime_the_first_one_that_comes_reads_the_store() {
    let (clock, store) = world();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let one = process(&clock, &store);
    let stored = one.stored.as_ref().unwrap();
    assert!(!stored.is_following.load(Ordering::SeqCst));
    // Each runtime that ends is followed by another.
    for _ in 0..2 {
        let runtime = runtime();
        runtime.block_on(async {
            one.follow_store();
            assert!(stored.is_following.load(Ordering::SeqCst));
            tokio::task::yield_now().await;
        });
        drop(runtime);
        assert!(!stored.is_following.load(Ordering::SeqCst));
    }
}
