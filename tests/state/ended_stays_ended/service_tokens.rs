//! Service tokens.

use super::*;

const GENERATE: &str = "generate a new secret";

fn is_refused(error: &str, client_id: &str) {
    assert!(error.contains(&format!("client_id `{client_id}` was revoked on 2026-")), "{error}");
    assert!(error.contains(GENERATE), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svc_03_a_token_that_a_reload_removed_takes_a_new_secret() {
    for world in World::all().await {
        let with = |secret: &str| world.settings().service_token(listed(secret));
        let process = world.start(with("old")).await;
        assert!(process.lets_in("ci.access", "old").await);
        world.pass(SECOND);
        process.access.reload(world.settings()).unwrap();
        assert!(!process.lets_in("ci.access", "old").await);
        is_refused(&process.access.reload(with("old")).unwrap_err().to_string(), "ci.access");
        process.access.reload(with("new")).unwrap();
        assert!(process.lets_in("ci.access", "new").await);
        assert!(!process.lets_in("ci.access", "old").await);
        // One that is replaced has ended as well.
        process.access.reload(with("newest")).unwrap();
        is_refused(&process.access.reload(with("new")).unwrap_err().to_string(), "ci.access");
        // Waits until it is written.
        process.access.service_tokens().load().await.unwrap();
        drop(process);
        for secret in ["old", "new"] {
            is_refused(&world.try_start(with(secret)).await.err().unwrap(), "ci.access");
        }
        assert!(world.start(with("newest")).await.lets_in("ci.access", "newest").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svc_03_a_token_that_was_deleted_or_rotated_is_not_listed_again() {
    for world in World::all().await {
        let process = world.start(world.settings()).await;
        let admin = process.access.service_tokens();
        let (deleted, secret) = admin.create("deleted", None).await.unwrap();
        let (rotated, before) = admin.create("rotated", None).await.unwrap();
        let (off, of_off) = admin.create("off", None).await.unwrap();
        admin.delete(&deleted.id).await.unwrap();
        admin.rotate(&rotated.id, Duration::ZERO).await.unwrap();
        admin.disable(&off.id).await.unwrap();
        let listing = |client_id: &str, secret: &str| {
            let token = ServiceToken::new("again", client_id, SecretHash::new(secret));
            world.settings().service_token(token)
        };
        let again = || {
            [
                listing(&deleted.client_id, secret.reveal()),
                listing(&rotated.client_id, before.reveal()),
                listing(&off.client_id, of_off.reveal()),
            ]
        };
        drop(admin);
        for settings in again() {
            let error = process.access.reload(settings).unwrap_err().to_string();
            assert!(error.contains("service token `again`") && error.contains(GENERATE), "{error}");
        }
        drop(process);
        for settings in again() {
            assert!(world.try_start(settings).await.err().unwrap().contains(GENERATE));
        }
        let process = world.start(listing(&deleted.client_id, "another")).await;
        assert!(process.lets_in(&deleted.client_id, "another").await);
        assert!(!process.lets_in(&deleted.client_id, secret.reveal()).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svc_03_a_token_that_expired_is_not_prolonged_by_the_file() {
    for world in World::all().await {
        let end = tower_access::clock::Clock::now(&*world.clock).plus(DAY);
        let ends = || world.settings().service_token(listed("s").expires_at(end));
        let forever = || world.settings().service_token(listed("s"));
        let process = world.start(ends()).await;
        world.pass(DAY);
        assert!(!process.lets_in("ci.access", "s").await);
        is_refused(&process.access.reload(forever()).unwrap_err().to_string(), "ci.access");
        drop(process);
        is_refused(&world.try_start(forever()).await.err().unwrap(), "ci.access");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svc_03_what_was_removed_while_nothing_ran_is_revoked() {
    let world = World::in_redis().await;
    drop(world.start(world.settings().service_token(listed("s"))).await);
    // Within an hour another process may list it that is not changed yet.
    drop(world.start(world.settings()).await);
    world.pass(HOUR);
    drop(world.start(world.settings()).await);
    let again = world.try_start(world.settings().service_token(listed("s"))).await;
    is_refused(&again.err().unwrap(), "ci.access");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svc_03_what_one_process_ended_another_does_not_let_in() {
    for world in World::all().await.into_iter().filter(World::is_shared) {
        let with = || world.settings().service_token(listed("s"));
        let (one, two) = (world.start(with()).await, world.start(with()).await);
        assert!(two.lets_in("ci.access", "s").await);
        one.access.reload(world.settings()).unwrap();
        until("the other one hears of it", async || !two.lets_in("ci.access", "s").await).await;
        is_refused(&two.access.reload(with()).unwrap_err().to_string(), "ci.access");
    }
}

#[tokio::test]
async fn svc_03_a_cookie_made_from_a_token_ends_with_it_and_stays_ended() {
    let world = World::in_memory();
    let with = |secret: &str| {
        world.settings().strict_service_token_auth(false).service_token(listed(secret))
    };
    let process = world.start(with("old")).await;
    let request = Request::get("/")
        .header("host", HOST)
        .header("cf-access-client-id", "ci.access")
        .header("cf-access-client-secret", "old");
    let answer = send(&process.service, request.body(Full::default()).unwrap()).await;
    let line = answer.parts.headers["set-cookie"].to_str().unwrap().to_owned();
    let cookie = line.split(['=', ';']).nth(1).unwrap().to_owned();
    assert!(process.opens(&cookie).await);
    world.pass(SECOND);
    process.access.reload(with("new")).unwrap();
    assert!(!process.opens(&cookie).await, "the client id has another secret");
    process.access.service_tokens().load().await.unwrap();
    let restarted = world.start(with("new")).await;
    assert!(!restarted.opens(&cookie).await);
}
