//! Three proxies, one Redis, nginx in front.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Person, Wire, status};
use super::cluster::{Cluster, HOST};
use super::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flow_05_otp_16_logins_hop_from_node_to_node() {
    let cluster = Cluster::start(3).await;
    for number in 0..12 {
        let mut person = Person::new(number, cluster.nginx.address);
        person.log_in(&cluster.mail).await;
        // nginx gives each request to the next node; each of them knows the person.
        for node in &cluster.nodes {
            assert_eq!(status(&node.wire(), &person.token()).await, StatusCode::OK);
        }
        let token = person.token();
        let answer = person.browser.get(&Person::url("/cdn-cgi/access/logout")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        for node in &cluster.nodes {
            let wire = node.wire();
            until("logged out", async || status(&wire, &token).await == StatusCode::FOUND).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_10_what_is_revoked_on_one_node_is_refused_by_all_within_a_second() {
    let cluster = Cluster::start(3).await;
    let mut sessions = Vec::new();
    for number in 100..140 {
        let mut person = Person::new(number, cluster.nginx.address);
        person.log_in(&cluster.mail).await;
        sessions.push((person.email.clone(), person.session(), person.token()));
    }
    let mut took = Vec::new();
    for (number, (email, session, token)) in sessions.iter().enumerate() {
        let operator = cluster.nodes[number % 3].operator();
        let began = if number % 2 == 0 {
            let path = format!("/access/sessions/{session}");
            operator.done("DELETE", &path, Value::Null).await;
            Instant::now()
        } else {
            let path = "/access/organizations/revoke_user";
            operator.done("POST", path, json!({ "email": email })).await;
            Instant::now()
        };
        for node in &cluster.nodes {
            let wire = node.wire();
            until("revoked", async || status(&wire, token).await == StatusCode::FOUND).await;
            took.push(began.elapsed());
        }
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "a revocation is in force on another node after: median {:?}, p99 {:?}, longest {:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.99) < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_costs_what_is_in_flight_and_no_more() {
    const CLIENTS: usize = 6;
    let mut cluster = Cluster::start(3).await;
    let mut tokens = Vec::new();
    for number in 200..200 + CLIENTS {
        let mut person = Person::new(number, cluster.nginx.address);
        person.log_in(&cluster.mail).await;
        tokens.push(person.token());
    }
    let (stop, good, failed) = <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let clients: Vec<_> = tokens
        .iter()
        .cloned()
        .map(|token| {
            let (stop, good, failed) = (Arc::clone(&stop), Arc::clone(&good), Arc::clone(&failed));
            let wire = Wire::to(cluster.nginx.address);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match status(&wire, &token).await {
                        StatusCode::OK => good.fetch_add(1, Ordering::Relaxed),
                        other => {
                            println!("under load: {other}");
                            failed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            })
        })
        .collect();
    let served = async |count: usize| {
        let enough = good.load(Ordering::Relaxed) + count;
        until("requests are served", async || good.load(Ordering::Relaxed) >= enough).await;
    };
    served(200).await;
    cluster.nodes[1].kill().await;
    served(500).await;
    cluster.nodes[1].start().await;
    served(200).await;
    stop.store(true, Ordering::Relaxed);
    futures_util::future::join_all(clients).await;
    let (good, failed) = (good.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    println!("a node was killed under load: {good} requests served, {failed} failed");
    assert!(failed <= CLIENTS, "{failed} failed, {CLIENTS} were in flight at most");
    // Who is back knows everybody.
    for token in &tokens {
        assert_eq!(status(&cluster.nodes[1].wire(), token).await, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_14_one_node_rotates_and_no_request_fails() {
    let cluster = Cluster::start(3).await;
    let mut first = Person::new(300, cluster.nginx.address);
    first.log_in(&cluster.mail).await;
    let before = key_ids(&cluster.nodes[0].wire()).await;
    assert_eq!(before.len(), 1);
    for node in &cluster.nodes {
        assert_eq!(key_ids(&node.wire()).await, before, "one first key for all");
    }
    cluster.nodes[1].operator().done("POST", "/access/keys/rotate", Value::Null).await;
    // Logins go on all the while, wherever their steps are taken.
    let began = Instant::now();
    let mut tokens = vec![first.token()];
    let mut number = 301;
    while began.elapsed() < Duration::from_secs(9) {
        let mut person = Person::new(number, cluster.nginx.address);
        person.log_in(&cluster.mail).await;
        tokens.push(person.token());
        number += 1;
        for node in &cluster.nodes {
            for token in &tokens {
                assert_eq!(status(&node.wire(), token).await, StatusCode::OK);
            }
        }
    }
    let after = key_ids(&cluster.nodes[0].wire()).await;
    assert_eq!(after.len(), 2);
    for node in &cluster.nodes {
        assert_eq!(key_ids(&node.wire()).await, after);
    }
    assert_ne!(kid(tokens.last().unwrap()), kid(&tokens[0]), "the new key signs");
}

async fn key_ids(wire: &Wire) -> Vec<String> {
    use http_body_util::BodyExt;
    let request = http::Request::get("/cdn-cgi/access/certs").header("host", HOST);
    let answer = wire.send(request.body(http_body_util::Full::default()).unwrap()).await;
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let keys = document["keys"].as_array().unwrap();
    let mut ids: Vec<_> = keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn kid(token: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
