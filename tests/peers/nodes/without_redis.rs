//! Redis stopped, gone, and back with nothing in it: what is said of it in the design, and healing
//! without a restart.

use http::StatusCode;
use serde_json::Value;

use super::client::{Person, status};
use super::cluster::{Cluster, Redis};
use super::until;

/// What has to be so while the store is away.
async fn goes_on_without_opening(cluster: &Cluster, token: &str, revoked: &str, session: &str) {
    for node in &cluster.nodes {
        assert_eq!(status(&node.wire(), token).await, StatusCode::OK, "established sessions");
        assert_eq!(status(&node.wire(), revoked).await, StatusCode::FOUND, "known revocations");
    }
    // A login fails with a clear answer, and soon.
    let mut person = Person::new(900, cluster.nginx.address);
    let (url, page) = person.browser.visit(&Person::url("/")).await;
    let form = crate::support::Form::of(&url, &page.text);
    let answer = form.submit(&mut person.browser, &[("email", "person900@example.com")]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    assert!(answer.text.contains("not possible right now"), "{}", answer.text);
    // What is revoked now is ended here, and the operator is told that it is not written.
    let operator = cluster.nodes[0].operator();
    let path = format!("/access/sessions/{session}");
    let (said, _) = operator.call("DELETE", &path, Value::Null).await;
    assert!(said.is_server_error(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_16_a_store_that_does_not_answer_stops_no_established_session() {
    let cluster = Cluster::start(2).await;
    let [established, revoked, put_out] = people(&cluster, 400).await;
    let operator = cluster.nodes[0].operator();
    operator.done("DELETE", &format!("/access/sessions/{}", revoked.session()), Value::Null).await;
    for node in &cluster.nodes {
        let wire = node.wire();
        until("revoked", async || status(&wire, &revoked.token()).await == StatusCode::FOUND).await;
    }
    let redis = cluster.redis.as_ref().unwrap();
    redis.signal("STOP");
    goes_on_without_opening(&cluster, &established.token(), &revoked.token(), &put_out.session())
        .await;
    assert_eq!(status(&cluster.nodes[0].wire(), &put_out.token()).await, StatusCode::FOUND);
    redis.signal("CONT");
    heals(&cluster, 410).await;
    assert_eq!(status(&cluster.nodes[0].wire(), &established.token()).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_16_a_store_that_comes_back_empty_is_told_what_is_known() {
    let mut cluster = Cluster::start(2).await;
    let [established, revoked, put_out] = people(&cluster, 500).await;
    let operator = cluster.nodes[0].operator();
    operator.done("DELETE", &format!("/access/sessions/{}", revoked.session()), Value::Null).await;
    for node in &cluster.nodes {
        let wire = node.wire();
        until("revoked", async || status(&wire, &revoked.token()).await == StatusCode::FOUND).await;
    }
    let redis = cluster.redis.take().unwrap();
    let port = redis.port;
    redis.kill().await;
    goes_on_without_opening(&cluster, &established.token(), &revoked.token(), &put_out.session())
        .await;
    cluster.redis = Some(Redis::start(&cluster.folder, port).await);
    heals(&cluster, 510).await;
    still_ended(&cluster, &established.token(), &[&revoked.token(), &put_out.token()]).await;
    // And once more, in one go.
    cluster.redis.as_ref().unwrap().command(&["flushall"]);
    heals(&cluster, 520).await;
    still_ended(&cluster, &established.token(), &[&revoked.token(), &put_out.token()]).await;
}

/// Three people who have logged in.
async fn people(cluster: &Cluster, from: usize) -> [Person; 3] {
    let mut all = [from, from + 1, from + 2].map(|it| Person::new(it, cluster.nginx.address));
    for person in &mut all {
        person.log_in(&cluster.mail).await;
    }
    all
}

/// Somebody can log in again, and every node knows them.
async fn heals(cluster: &Cluster, number: usize) {
    let mut number = number;
    until("logins work again", async || {
        number += 1;
        let mut person = Person::new(number, cluster.nginx.address);
        let (url, page) = person.browser.visit(&Person::url("/")).await;
        let form = crate::support::Form::of(&url, &page.text);
        let typed = [("email", person.email.as_str())];
        form.submit(&mut person.browser, &typed).await.status() == StatusCode::FOUND
    })
    .await;
    let mut person = Person::new(number + 100, cluster.nginx.address);
    person.log_in(&cluster.mail).await;
    for node in &cluster.nodes {
        assert_eq!(status(&node.wire(), &person.token()).await, StatusCode::OK);
    }
}

/// Who was put out stays out, on a node that has just started as well; who was not stays in.
async fn still_ended(cluster: &Cluster, established: &str, ended: &[&str]) {
    for node in &cluster.nodes {
        let wire = node.wire();
        assert_eq!(status(&wire, established).await, StatusCode::OK);
        for token in ended {
            until("ended", async || status(&wire, token).await == StatusCode::FOUND).await;
        }
    }
}
