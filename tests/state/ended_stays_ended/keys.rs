//! Signing keys.

use bytes::Bytes;
use tower_access::store::Store;

use super::*;

/// A key whose overlap has ended, a longer overlap, a reload, a rotation.
async fn ends_a_key(world: &World, process: &Process) -> (String, String) {
    let token = world.token(process).await;
    let old = process.key_ids().await.remove(0);
    process.access.reload(world.settings().key_rotation(overlap(Duration::ZERO))).unwrap();
    process.access.rotate_keys().await.unwrap();
    assert!(process.opens(&token).await);
    world.pass(LEAD);
    assert!(!process.opens(&token).await && !process.key_ids().await.contains(&old));
    (token, old)
}

async fn stays_ended(process: &Process, (token, old): &(String, String)) {
    assert!(!process.opens(token).await, "its tokens pass again");
    assert!(!process.key_ids().await.contains(old), "it is published again");
}

#[tokio::test]
async fn key_15_a_key_that_ended_is_not_published_again_by_a_reload_or_a_rotation() {
    // Also where nothing is kept.
    let world = World::in_memory();
    let access = world.settings().build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(Origin::default());
    let process = Process { access, service };
    let token = world.token(&process).await;
    let old = process.key_ids().await.remove(0);
    process.access.rotate_keys().await.unwrap();
    let short = || world.settings().key_rotation(overlap(HOUR));
    process.access.reload(short()).unwrap();
    world.pass(HOUR - SECOND);
    assert!(process.opens(&token).await);
    // A longer overlap does not prolong a key that has stopped to sign.
    process.access.reload(world.settings().key_rotation(overlap(31 * DAY))).unwrap();
    world.pass(SECOND);
    let ended = (token, old);
    stays_ended(&process, &ended).await;
    for _ in 0..3 {
        process.access.rotate_keys().await.unwrap();
        stays_ended(&process, &ended).await;
    }
    process.access.reload(short()).unwrap();
    process.access.reload(world.settings().key_rotation(overlap(31 * DAY))).unwrap();
    stays_ended(&process, &ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_15_a_key_that_ended_stays_so_after_a_restart_with_every_store() {
    for world in World::all().await {
        let process = world.start(world.settings()).await;
        let ended = ends_a_key(&world, &process).await;
        let long = || world.settings().key_rotation(overlap(31 * DAY));
        process.access.reload(long()).unwrap();
        stays_ended(&process, &ended).await;
        process.access.rotate_keys().await.unwrap();
        world.pass(LEAD);
        stays_ended(&process, &ended).await;
        drop(process);
        let process = world.start(long()).await;
        stays_ended(&process, &ended).await;
        process.access.rotate_keys().await.unwrap();
        stays_ended(&process, &ended).await;
        drop(process);
        // Its secret is gone as well.
        let record = format!("signing-keys/{}", ended.1);
        assert_eq!(world.store().get(&record).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_15_another_process_that_was_configured_otherwise_brings_no_key_back() {
    for world in World::all().await.into_iter().filter(World::is_shared) {
        let (one, two) = (world.start(world.settings()).await, world.start(world.settings()).await);
        two.access.reload(world.settings().key_rotation(overlap(31 * DAY))).unwrap();
        let ended = ends_a_key(&world, &one).await;
        until("the other one ends it", async || !two.key_ids().await.contains(&ended.1)).await;
        // It writes its list.
        two.access.rotate_keys().await.unwrap();
        world.pass(LEAD);
        for process in [&one, &two] {
            stays_ended(process, &ended).await;
        }
        let three = world.start(world.settings().key_rotation(overlap(31 * DAY))).await;
        stays_ended(&three, &ended).await;
    }
}

/// The list as it was before the key ended, in the place of the present one.
#[tokio::test]
async fn key_15_a_process_that_runs_takes_no_key_back_from_a_list_of_before() {
    let world = World::in_memory();
    let process = world.start(world.settings()).await;
    let store = world.store();
    let before = store.get("signing-keys/list").await.unwrap().unwrap();
    let old = process.key_ids().await.remove(0);
    let record = format!("signing-keys/{old}");
    let key = store.get(&record).await.unwrap().unwrap();
    let ended = ends_a_key(&world, &process).await;
    process.access.reload(world.settings().key_rotation(overlap(31 * DAY))).unwrap();
    let put = async |name: &str, value: Bytes| store.put(name, value, DAY).await.unwrap();
    put(&record, key).await;
    put("signing-keys/list", before).await;
    store.notify("signing-keys").await.unwrap();
    process.access.rotate_keys().await.unwrap();
    stays_ended(&process, &ended).await;
    until("it leaves the store", async || store.get(&record).await.unwrap().is_none()).await;
    let restarted = world.start(world.settings().key_rotation(overlap(31 * DAY))).await;
    stays_ended(&restarted, &ended).await;
}
