//! A disk that is full: nothing is confirmed that is not written, and all goes on once there is room.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower_access::clock::SystemClock;
use tower_access::store::{RedbStore, Store};

use super::folder::Folder;

/// Names the file to the process that runs out of room.
const FILE: &str = "TOWER_ACCESS_TEST_FULL_DISK_FILE";
const LIFE: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(30);
/// What one record takes: enough that the file has to grow soon.
const VALUE: usize = 200_000;

#[test]
fn ses_16_a_disk_that_was_full_is_written_again_without_a_restart() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    let (mut process, lines) = run(&path);
    let mut confirmed = Vec::new();
    for round in 0..3 {
        wait_for(&lines, &mut confirmed, "written");
        // From here on no file of the process grows.
        let size = std::fs::metadata(&path).unwrap().len();
        limit(&process, &size.to_string());
        wait_for(&lines, &mut confirmed, "refused");
        // What was written before can be read all the while, but for the moments the file is closed.
        wait_for(&lines, &mut confirmed, "read");
        std::thread::sleep(Duration::from_millis(700 * round));
        limit(&process, "unlimited");
    }
    wait_for(&lines, &mut confirmed, "written");
    process.kill().unwrap();
    process.wait().unwrap();
    while let Ok(line) = lines.try_recv() {
        note(&line, &mut confirmed);
    }
    let store = RedbStore::open(&path, SystemClock).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(confirmed.len() > 6, "{confirmed:?}");
    for number in confirmed {
        let value = runtime.block_on(store.get(&format!("put/{number}"))).unwrap();
        assert_eq!(value.map(|value| value.len()), Some(VALUE), "{number}");
    }
}

/// Runs this program as a process that writes until it is killed, whatever becomes of its writes.
fn run(path: &Path) -> (Child, Receiver<String>) {
    // A write beyond the limit is an error, not the end.
    let mut process = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "stores::full_disk::writes_on_and_on", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(process.stdout.take().unwrap());
    let (said, lines) = channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    (process, lines)
}

/// How large files of a process may become.
fn limit(process: &Child, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let done = Command::new("prlimit").args(["--pid", &process.id().to_string(), &limit]).status();
    assert!(done.unwrap().success(), "{limit}");
}

/// Until the process says so of something that it began from now on.
fn wait_for(lines: &Receiver<String>, confirmed: &mut Vec<u64>, what: &str) {
    let end = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < 2 {
        let left = end.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("nothing was {what}"));
        note(&line, confirmed);
        seen += usize::from(line.starts_with(what));
    }
}

fn note(line: &str, confirmed: &mut Vec<u64>) {
    if let Some(number) = line.strip_prefix("written ") {
        confirmed.push(number.parse().unwrap());
    }
}

/// Not a test of its own: the process that [`run`] runs. Without a file it has nothing to do.
#[test]
fn writes_on_and_on() {
    let Ok(path) = std::env::var(FILE) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = RedbStore::open(path, SystemClock).unwrap();
        store.put("first/1", Bytes::from("x"), LIFE).await.unwrap();
        for number in 0_u64.. {
            let value = Bytes::from(vec![7; VALUE]);
            let written = store.put(&format!("put/{number}"), value, LIFE).await;
            let read = store.get("first/1").await.ok().flatten();
            let mut out = std::io::stdout().lock();
            writeln!(out, "{} {number}", if written.is_ok() { "written" } else { "refused" })
                .unwrap();
            if read.is_some() {
                writeln!(out, "read {number}").unwrap();
            }
            out.flush().unwrap();
            drop(out);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
}
