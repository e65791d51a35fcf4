//! A process that writes into a file is killed, again and again: what was confirmed is there.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tower_access::clock::SystemClock;
use tower_access::store::{RedbStore, Store};

use super::folder::Folder;

/// Names the file to the process that is killed, and the round.
const FILE: &str = "TOWER_ACCESS_TEST_STATE_FILE";
const ROUND: &str = "TOWER_ACCESS_TEST_ROUND";
const LIFE: Duration = Duration::from_secs(86_400);
const WRITERS: u64 = 6;

/// What one writer was told is done.
#[derive(Default)]
struct Confirmed {
    put: u64,
    counted: u64,
    taken: u64,
}

#[test]
fn what_was_confirmed_survives_a_kill_at_any_moment() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut total = 0;
    for round in 0..8_u64 {
        let confirmed = run_and_kill(&path, round, Duration::from_millis(60 + 37 * round));
        let store = RedbStore::open(&path, SystemClock).unwrap();
        for (writer, confirmed) in &confirmed {
            total += confirmed.put;
            runtime.block_on(check(&store, round, *writer, confirmed));
        }
    }
    assert!(total > 100, "only {total} writes were confirmed in all rounds");
}

/// Runs this program as a process that writes, kills it, and returns what it was told.
fn run_and_kill(path: &Path, round: u64, after: Duration) -> HashMap<u64, Confirmed> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "stores::crash::writes_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FILE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    let mut confirmed: HashMap<u64, Confirmed> = HashMap::new();
    let mut line = String::new();
    // The time counts from the first write.
    while lines.read_line(&mut line).unwrap() > 0 && !line.contains("confirmed") {
        line.clear();
    }
    let reading = std::thread::spawn(move || {
        loop {
            // A line that is cut off says nothing.
            if let Some(line) = line.strip_suffix('\n')
                && let [_, "confirmed", writer, what, number] =
                    line.split(' ').collect::<Vec<_>>()[..]
            {
                let confirmed = confirmed.entry(writer.parse().unwrap()).or_default();
                let number = number.parse().unwrap();
                match what {
                    "put" => confirmed.put = number,
                    "counted" => confirmed.counted = number,
                    _ => confirmed.taken = number,
                }
            }
            line.clear();
            if lines.read_line(&mut line).unwrap() == 0 {
                return confirmed;
            }
        }
    });
    std::thread::sleep(after);
    process.kill().unwrap();
    process.wait().unwrap();
    reading.join().unwrap()
}

async fn check(store: &RedbStore, round: u64, writer: u64, confirmed: &Confirmed) {
    for number in 1..=confirmed.put {
        let value = store.get(&format!("put{round}/{writer}-{number}")).await.unwrap();
        let was_taken = number <= confirmed.taken;
        // The one after the last confirmed may have been taken as well.
        if number != confirmed.taken + 1 {
            let expected = (!was_taken).then(|| Bytes::from(format!("{writer} {number}")));
            assert_eq!(value, expected, "round {round}, {writer} {number}");
        }
    }
    let sum = store.count(&format!("counted{round}/{writer}"), 0, LIFE).await.unwrap();
    assert!((confirmed.counted..=confirmed.counted + 1).contains(&sum), "{sum}");
}

/// Not a test of its own: the process that [`run_and_kill`] runs. Without a file it has nothing to do.
#[test]
fn writes_until_it_is_killed() {
    let (Ok(path), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(RedbStore::open(path, SystemClock).unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(Arc::clone(&store), round.clone(), writer));
        }
        writers.join_all().await;
    });
}

async fn write(store: Arc<RedbStore>, round: String, writer: u64) {
    for number in 1_u64.. {
        let key = format!("put{round}/{writer}-{number}");
        let value = Bytes::from(format!("{writer} {number}"));
        store.put(&key, value.clone(), LIFE).await.unwrap();
        confirm(writer, "put", number);
        let sum = store.count(&format!("counted{round}/{writer}"), 1, LIFE).await.unwrap();
        assert_eq!(sum, number);
        confirm(writer, "counted", number);
        // Two steps behind.
        if let Some(earlier) = number.checked_sub(2).filter(|earlier| *earlier > 0) {
            let taken = store.take(&format!("put{round}/{writer}-{earlier}")).await.unwrap();
            assert_eq!(taken, Some(Bytes::from(format!("{writer} {earlier}"))));
            confirm(writer, "taken", earlier);
        }
    }
}

/// One write of the system each, so that a line is there whole or cut off, and never mixed.
fn confirm(writer: u64, what: &str, number: u64) {
    let line = format!("\n- confirmed {writer} {what} {number}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}
