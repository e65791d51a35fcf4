//! What a store in a file promises beside what all do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower_access::clock::{Clock, SystemClock};
use tower_access::store::{RedbStore, Store};

use super::folder::Folder;
use super::world::clock;

const HOUR: Duration = Duration::from_secs(3_600);

fn open(path: &Path, clock: impl Clock) -> RedbStore {
    RedbStore::open(path, clock).unwrap()
}

fn refusal(path: &Path) -> String {
    RedbStore::open(path, SystemClock).unwrap_err().to_string()
}

#[tokio::test]
async fn what_was_confirmed_is_there_when_the_file_is_opened_again() {
    let (folder, clock) = (Folder::new(), clock());
    let path = folder.file("state.redb");
    let store = open(&path, Arc::clone(&clock));
    store.put("session/1", Bytes::from("x"), 2 * HOUR).await.unwrap();
    store.put("session/2", Bytes::from("short"), HOUR).await.unwrap();
    store.put("session/3", Bytes::from("taken"), HOUR).await.unwrap();
    store.take("session/3").await.unwrap();
    store.count("attempts/1", 7, 2 * HOUR).await.unwrap();
    store.put_member("ended/1", "a", Bytes::from("m"), 2 * HOUR).await.unwrap();
    store.put_member("ended/1", "b", Bytes::from("m"), HOUR).await.unwrap();
    drop(store);
    clock.advance(HOUR);
    let store = open(&path, Arc::clone(&clock));
    assert_eq!(store.get("session/1").await.unwrap(), Some(Bytes::from("x")));
    assert_eq!(store.get("session/2").await.unwrap(), None);
    assert_eq!(store.get("session/3").await.unwrap(), None);
    assert_eq!(store.count("attempts/1", 1, HOUR).await.unwrap(), 8);
    let member = ("a".to_owned(), Bytes::from("m"));
    assert_eq!(store.members("ended/1").await.unwrap(), [member]);
}

#[tokio::test]
async fn dos_03_how_much_there_is_is_known_when_the_file_is_opened_again() {
    let (folder, clock) = (Folder::new(), clock());
    let path = folder.file("state.redb");
    let store = open(&path, Arc::clone(&clock)).with_entries_per_kind(3);
    for number in 0..3 {
        store.put(&format!("pin/{number}"), Bytes::new(), HOUR).await.unwrap();
    }
    drop(store);
    let store = open(&path, Arc::clone(&clock)).with_entries_per_kind(3);
    let error = store.put("pin/x", Bytes::new(), HOUR).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is unavailable: full");
    assert!(store.take("pin/0").await.unwrap().is_some());
    store.put("pin/x", Bytes::new(), HOUR).await.unwrap();
}

#[tokio::test]
async fn dos_03_a_file_does_not_grow_with_what_has_ended() {
    let (folder, clock) = (Folder::new(), clock());
    let path = folder.file("state.redb");
    let store = Arc::new(open(&path, Arc::clone(&clock)));
    let mut sizes = Vec::new();
    for round in 0..12 {
        let mut writing = tokio::task::JoinSet::new();
        for number in 0..400 {
            let store = Arc::clone(&store);
            // A kind of its own each time: nobody comes back to what has ended.
            let key = format!("kind{round}/{number}");
            let value = Bytes::from(vec![7; 1_000]);
            writing.spawn(async move { store.put(&key, value, HOUR).await.unwrap() });
        }
        writing.join_all().await;
        clock.advance(HOUR);
        // What is written later clears a little of what has ended, whatever it is.
        for number in 0..20 {
            store.put(&format!("other/{number}"), Bytes::new(), HOUR).await.unwrap();
        }
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    // If nothing left it, it would be three times as large.
    assert!(sizes[11] < 2 * sizes[3], "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_share_what_one_has_to_wait_for() {
    let folder = Folder::new();
    let store = Arc::new(open(&folder.file("state.redb"), SystemClock));
    let begun = Instant::now();
    for number in 0..20 {
        store.put(&format!("session/{number}"), Bytes::from("x"), HOUR).await.unwrap();
    }
    let one_after_the_other = begun.elapsed() / 20;
    let begun = Instant::now();
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            store.put(&format!("session/{number}"), Bytes::from("y"), HOUR).await.unwrap();
        });
    }
    writing.join_all().await;
    let together = begun.elapsed() / 1_000;
    println!(
        "one after the other {one_after_the_other:?} each, a thousand at once {together:?} each"
    );
    assert!(together * 2 < one_after_the_other, "{together:?} {one_after_the_other:?}");
}

#[tokio::test]
async fn a_second_opening_is_told_who_is_in_the_way() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    let store = open(&path, SystemClock);
    let error = refusal(&path);
    assert!(error.contains("another process has it open"), "{error}");
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    store.put("session/1", Bytes::from("x"), HOUR).await.unwrap();
    drop(store);
    assert!(open(&path, SystemClock).get("session/1").await.unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let path = folder.file("state.redb");
    drop(open(&path, SystemClock));
    for name in ["state.redb", "state.redb.witness"] {
        let mode = std::fs::metadata(folder.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_is_no_state_of_ours_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let foreign = folder.file("foreign.redb");
    let other = redb::Database::create(&foreign).unwrap();
    let writing = other.begin_write().unwrap();
    let table = redb::TableDefinition::<'_, u64, u64>::new("theirs");
    writing.open_table(table).unwrap().insert(1, 1).unwrap();
    writing.commit().unwrap();
    drop(other);
    let text = folder.file("notes.txt");
    std::fs::write(&text, "dear diary, ".repeat(10_000)).unwrap();
    let empty = folder.file("empty");
    std::fs::write(&empty, "").unwrap();
    for (path, words) in
        [(&foreign, "theirs"), (&text, "not a state file of this program"), (&empty, "it is empty")]
    {
        let before = std::fs::read(path).unwrap();
        for _ in 0..2 {
            let error = refusal(path);
            assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
            assert!(error.contains("left as it is"), "{error}");
        }
        assert!(*path == foreign || std::fs::read(path).unwrap() == before, "{path:?}");
    }
    // Nothing of theirs was touched.
    let reading = redb::Database::open(&foreign).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&reading).unwrap();
    assert_eq!(reading.open_table(table).unwrap().get(1).unwrap().unwrap().value(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_not_replaced() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    let store = open(&path, SystemClock);
    for number in 0..200 {
        store.put(&format!("session/{number}"), Bytes::from(vec![1; 4_000]), HOUR).await.unwrap();
    }
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    // Cut off, and overwritten here and there.
    let cut = whole.len() / 2;
    let mut damages = vec![whole[..cut].to_vec(), whole[..100].to_vec()];
    for place in (4_096..whole.len()).step_by(whole.len() / 12) {
        let mut damaged = whole.clone();
        let end = damaged.len().min(place + 40_000);
        damaged[place..end].fill(0xa5);
        damages.push(damaged);
    }
    for damaged in &damages {
        std::fs::write(&path, damaged).unwrap();
        match RedbStore::open(&path, SystemClock) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
            // What was hit was free: then everything is there.
            Ok(store) => {
                for number in 0..200 {
                    let value = store.get(&format!("session/{number}")).await.unwrap().unwrap();
                    assert_eq!(value, vec![1; 4_000]);
                }
            }
        }
    }
    assert!(refused >= 4, "{refused} of {}", damages.len());
    std::fs::write(&path, &whole).unwrap();
    assert!(open(&path, SystemClock).get("session/0").await.unwrap().is_some());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    let path = folder.file("missing/state.redb");
    let error = refusal(&path);
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(error.contains("use a file in a writable folder"), "{error}");
    assert!(refusal(folder.path()).contains(folder.path().to_str().unwrap()));
}

#[test]
fn what_was_queued_is_written_before_the_file_is_closed() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Arc::new(open(&path, SystemClock));
    let confirmed: Vec<u32> = runtime.block_on(async {
        let writing = (0..500).map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store
                    .put(&format!("session/{number}"), Bytes::from("x"), HOUR)
                    .await
                    .map(|()| number)
            })
        });
        let mut confirmed = Vec::new();
        for (count, one) in writing.collect::<Vec<_>>().into_iter().enumerate() {
            // Some are left to themselves.
            if count < 300 {
                confirmed.push(one.await.unwrap().unwrap());
            }
        }
        confirmed
    });
    // Tasks end with the runtime, wherever they are.
    drop(runtime);
    drop(store);
    let store = open(&path, SystemClock);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for number in confirmed {
        let value = runtime.block_on(store.get(&format!("session/{number}"))).unwrap();
        assert_eq!(value, Some(Bytes::from("x")), "{number}");
    }
}
