//! A Redis server that is away: an error in time, and no restart when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower_access::store::{RedisStore, Store};

use super::promises::told;
use super::server::{RedisServer, free_port};

const HOUR: Duration = Duration::from_secs(3_600);
const TIMEOUT: Duration = Duration::from_millis(500);
/// For a machine that is busy.
const SLACK: Duration = Duration::from_secs(3);

/// Asks until the store serves again.
async fn healed(store: &RedisStore) {
    let begun = Instant::now();
    while let Err(error) = store.put("session/healed", Bytes::from("x"), HOUR).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.take("session/healed").await.unwrap(), Some(Bytes::from("x")));
    store.put_member("ended/healed", "a", Bytes::from("x"), HOUR).await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let port = free_port();
    let store = RedisStore::builder(format!("redis://127.0.0.1:{port}").parse().unwrap());
    let store = store.timeout(TIMEOUT).build().unwrap();
    for _ in 0..3 {
        let begun = Instant::now();
        let error = store.get("session/1").await.unwrap_err().to_string();
        assert!(begun.elapsed() < TIMEOUT + SLACK);
        let words = format!("redis://127.0.0.1:{port}/0: cannot be reached");
        assert!(error.contains(&words), "{error}");
    }
    let _server = RedisServer::start_at(port).await;
    healed(&store).await;
}

#[tokio::test]
async fn a_server_that_stands_still_is_an_error_in_time() {
    let server = RedisServer::start(&[]).await;
    let store = Arc::new(server.settings().timeout(TIMEOUT).build().unwrap());
    store.put("session/1", Bytes::from("x"), HOUR).await.unwrap();
    server.stop();
    let begun = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = Arc::clone(&store);
        asking.spawn(async move {
            match number % 4 {
                0 => store.get("session/1").await.map(drop),
                1 => store.put("session/2", Bytes::from("x"), HOUR).await,
                2 => store.count("attempts/1", 1, HOUR).await.map(drop),
                _ => store.members("ended/1").await.map(drop),
            }
        });
    }
    for answer in asking.join_all().await {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("no response within") || error.contains("was lost"), "{error}");
    }
    assert!(begun.elapsed() < TIMEOUT + SLACK, "{:?}", begun.elapsed());
    server.go_on();
    healed(&store).await;
    assert_eq!(store.get("session/1").await.unwrap(), Some(Bytes::from("x")));
}

#[tokio::test]
async fn a_server_that_was_killed_and_is_back_is_used_again() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = server.settings().timeout(TIMEOUT).build().unwrap();
    for number in 0..3 {
        let key = format!("session/{number}");
        store.put(&key, Bytes::from("x"), HOUR).await.unwrap();
        server.kill();
        let begun = Instant::now();
        assert!(store.get(&key).await.is_err());
        assert!(begun.elapsed() < TIMEOUT + SLACK);
        server.start_again().await;
        healed(&store).await;
        // It keeps what it confirmed, as it was told to.
        assert_eq!(store.get(&key).await.unwrap(), Some(Bytes::from("x")));
    }
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_told_them_again() {
    let server = RedisServer::start(&[]).await;
    let store = server.store();
    store.put("login/1", Bytes::from("0"), HOUR).await.unwrap();
    for number in 0..3 {
        assert!(server.tell("SCRIPT FLUSH").await.starts_with("+OK"));
        let (present, next) = (number.to_string(), (number + 1).to_string());
        let replaced = store.replace("login/1", present.as_bytes(), Bytes::from(next), HOUR);
        assert!(replaced.await.unwrap());
    }
}

#[tokio::test]
async fn a_server_that_is_slow_is_waited_for() {
    let server = RedisServer::start(&[]).await;
    let store = server.settings().timeout(Duration::from_secs(20)).build().unwrap();
    store.put("session/1", Bytes::from("x"), HOUR).await.unwrap();
    let _asleep = server.tell_only("DEBUG SLEEP 1").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    assert_eq!(store.get("session/1").await.unwrap(), Some(Bytes::from("x")));
    assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_listens_hears_that_everything_was_forgotten() {
    let server = RedisServer::start(&[]).await;
    let store = Arc::new(server.store());
    for _ in 0..3 {
        store.notify("ended").await.unwrap();
    }
    let seen = store.notified("ended", 0).await.unwrap();
    let listening = Arc::clone(&store);
    let heard = tokio::spawn(async move { listening.notified("ended", seen).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!heard.is_finished());
    assert!(server.tell("FLUSHALL").await.starts_with("+OK"));
    let number = tokio::time::timeout(SLACK, heard).await.expect("heard in time").unwrap();
    assert_eq!(number, 0);
    // However often somebody is told from now on, it is never what was seen before.
    for count in 1..=4 {
        store.notify("ended").await.unwrap();
        let number = store.notified("ended", seen).await.unwrap();
        assert_eq!(told(number), count);
        assert_ne!(number - count, seen - 3);
    }
}

#[tokio::test]
async fn who_listens_outlasts_a_short_outage_and_hears_of_a_long_one() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = Arc::new(server.settings().timeout(Duration::from_secs(10)).build().unwrap());
    store.notify("ended").await.unwrap();
    let seen = store.notified("ended", 0).await.unwrap();
    let listening = Arc::clone(&store);
    let heard = tokio::spawn(async move { listening.notified("ended", seen).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.start_again().await;
    healed(&store).await;
    assert!(!heard.is_finished());
    store.notify("ended").await.unwrap();
    let number = tokio::time::timeout(SLACK, heard).await.expect("heard in time").unwrap().unwrap();
    assert_eq!(number, seen + 1);
    // An outage that lasts is told, so that whoever mirrors the store knows.
    let store = server.settings().timeout(TIMEOUT).build().unwrap();
    assert_eq!(store.notified("ended", 0).await.unwrap(), number);
    server.kill();
    let begun = Instant::now();
    assert!(store.notified("ended", number).await.is_err());
    assert!(begun.elapsed() < TIMEOUT + SLACK, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_store_outlives_the_runtime_it_was_used_in_first() {
    let server = RedisServer::start(&[]).await;
    let store = Arc::new(server.store());
    let of_thread = Arc::clone(&store);
    let first = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(of_thread.put("session/1", Bytes::from("x"), HOUR)).unwrap();
    });
    tokio::task::spawn_blocking(move || first.join().unwrap()).await.unwrap();
    healed(&store).await;
    assert_eq!(store.get("session/1").await.unwrap(), Some(Bytes::from("x")));
}
