//! Restored backups.

use tower_access::RestoreOptions;

use super::*;
use crate::support::{Form, ask_for_code};

impl World {
    fn file(&self, name: &str) -> PathBuf {
        let Backend::File(path) = &self.backend else { panic!("no file") };
        path.with_file_name(name)
    }

    fn copy(&self, from: &str, to: &str) {
        // Whoever had it open has closed it then.
        drop(self.store());
        std::fs::copy(self.file(from), self.file(to)).unwrap();
    }
}

/// Somebody who was logged in when the backup was made, somebody who had a code, which may have been
/// used since, and a service token that has been deleted since.
struct Before {
    waiting: (Browser<AccessService<Origin>>, Form, String),
    browser: Browser<AccessService<Origin>>,
    token: String,
    machine: (String, String),
    key: String,
}

async fn before(world: &World, process: &Process) -> Before {
    let browser = world.log_in(process).await;
    let token = browser.cookie(HOST, "CF_Authorization").unwrap();
    let (made, secret) = process.access.service_tokens().create("m", None).await.unwrap();
    let machine = (made.client_id.to_string(), secret.reveal().to_owned());
    let count = world.mail.len();
    let mut waiting = Browser::new(process.service.clone());
    let form = ask_for_code(&mut waiting, WIKI, "late@example.com").await;
    let code = world.mail.code(count + 1).await;
    let waiting = (waiting.at(world.nobody.clone()), form, code);
    Before { waiting, browser, token, machine, key: process.key_ids().await.remove(0) }
}

async fn nothing_is_good(process: &Process, before: &Before) {
    let (waiting, form, code) = &before.waiting;
    let mut waiting = waiting.at(process.service.clone());
    let answer = form.submit(&mut waiting, &[("code", code)]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "a code");
    assert!(!process.opens(&before.token).await, "a token");
    assert!(!process.knows(&before.browser).await, "a session");
    assert!(!process.lets_in(&before.machine.0, &before.machine.1).await, "a service token");
    assert!(!process.key_ids().await.contains(&before.key), "a key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_15_a_file_that_was_put_back_ends_all_that_is_in_it() {
    let world = World::in_file();
    let process = world.start(world.settings()).await;
    let old = before(&world, &process).await;
    drop(process);
    world.copy("state.redb", "backup");
    let process = world.start(world.settings()).await;
    process.access.revoke_everybody().await.unwrap();
    drop(process);
    world.copy("backup", "state.redb");
    let process = world.start(world.settings()).await;
    nothing_is_good(&process, &old).await;
    world.pass(3 * SECOND);
    let new = before(&world, &process).await;
    drop(process);
    // That was once: from here on it is a file like any other.
    let process = world.start(world.settings()).await;
    assert!(process.opens(&new.token).await && process.knows(&new.browser).await);
    assert!(process.lets_in(&new.machine.0, &new.machine.1).await);
    drop(process);
    // Without its witness, and with another's.
    drop(world.store());
    std::fs::remove_file(world.file("state.redb.witness")).unwrap();
    let process = world.start(world.settings()).await;
    nothing_is_good(&process, &new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_15_a_copy_is_put_in_place_for_good_only_after_everything_ended() {
    let world = World::in_file();
    let process = world.start(world.settings()).await;
    let old = before(&world, &process).await;
    drop(process);
    world.copy("state.redb", "backup");
    // The very same state, and a process that is stopped before it has done anything.
    RedbStore::restore_copy(world.file("backup"), world.file("state.redb")).unwrap();
    for _ in 0..2 {
        assert!(world.store().is_rolled_back().await.unwrap());
    }
    let process = world.start(world.settings()).await;
    nothing_is_good(&process, &old).await;
    drop(process);
    assert!(!world.store().is_rolled_back().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_15_restoring_ends_everything_with_every_store() {
    for world in World::all().await {
        let process = world.start(world.settings()).await;
        let old = before(&world, &process).await;
        if !world.is_shared() {
            drop(process);
            let settings = world.settings().store(world.store()).master_secret(master());
            settings.restore(RestoreOptions::new()).await.unwrap();
            nothing_is_good(&world.start(world.settings()).await, &old).await;
            continue;
        }
        // A process that runs hears of it.
        let settings = world.settings().store(world.store()).master_secret(master());
        settings.restore(RestoreOptions::new()).await.unwrap();
        until("it hears of the keys", async || !process.key_ids().await.contains(&old.key)).await;
        let (id, secret) = &old.machine;
        until("it hears of the tokens", async || !process.lets_in(id, secret).await).await;
        nothing_is_good(&process, &old).await;
        nothing_is_good(&world.start(world.settings()).await, &old).await;
        // Nor does it write the old key back.
        process.access.rotate_keys().await.unwrap();
        nothing_is_good(&process, &old).await;
    }
}
