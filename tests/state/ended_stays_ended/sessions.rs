//! Sessions.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_10_a_session_that_ended_is_not_brought_back_by_longer_limits() {
    for world in World::all().await {
        let short = || world.settings().idle_timeout(5 * MINUTE).session_duration(HOUR);
        let long = || world.settings().session_duration(31 * DAY);
        let process = world.start(short()).await;
        let revoked = world.log_in(&process).await;
        let idle = world.log_in(&process).await;
        let whose = process.access.sessions_of(&"ada0@example.com".parse().unwrap()).await.unwrap();
        process.access.revoke_session(&whose[0].id).await.unwrap();
        world.pass(7 * MINUTE);
        let active = world.log_in(&process).await;
        process.access.reload(long()).unwrap();
        let check = async |process: &Process| {
            assert!(!process.knows(&revoked).await, "revoked");
            assert!(!process.knows(&idle).await, "idle");
        };
        check(&process).await;
        assert!(process.knows(&active).await);
        drop(process);
        let process = world.start(long()).await;
        check(&process).await;
        // It ends as it was said to when it began.
        world.pass(HOUR);
        assert!(!process.knows(&active).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_10_what_a_short_limit_ended_that_was_in_force_for_a_while_stays_ended() {
    for world in World::all().await {
        let process = world.start(world.settings()).await;
        let idle = world.log_in(&process).await;
        world.pass(20 * MINUTE);
        process.access.reload(world.settings().idle_timeout(10 * MINUTE)).unwrap();
        process.access.reload(world.settings()).unwrap();
        assert!(!process.knows(&idle).await, "after a reload");
        let later = world.log_in(&process).await;
        assert!(process.knows(&later).await);
        drop(process);
        // In force while nothing happened, and then no more.
        let process = world.start(world.settings().idle_timeout(10 * MINUTE)).await;
        world.pass(20 * MINUTE);
        drop(process);
        let process = world.start(world.settings()).await;
        assert!(!process.knows(&idle).await && !process.knows(&later).await, "after a restart");
    }
}
