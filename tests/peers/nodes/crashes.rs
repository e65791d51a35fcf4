//! One proxy with its state in a file, killed at random moments: what somebody was told is done is
//! done.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::client::{Person, status};
use super::cluster::{Folder, Mail, Node, origin, signal};
use crate::support::Form;

/// Numbers that look random and come again with the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What was confirmed before the proxy was killed.
#[derive(Default)]
struct Confirmed {
    /// Tokens of sessions that have not been ended, each with how many keys came before its own.
    good: Vec<(String, u64)>,
    /// When the key was replaced, or may have been.
    rotations: Vec<Instant>,
    /// Tokens of sessions that have.
    ended: Vec<String>,
    /// Forms whose code has been used, with the code.
    used: Vec<(Form, String, Person)>,
    /// Service tokens, with their secrets.
    machines: Vec<(String, String)>,
    deleted: Vec<(String, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_survives_kill_9_at_any_moment() {
    let rounds: u64 =
        std::env::var("TOWER_ACCESS_CRASH_ROUNDS").map_or(200, |text| text.parse().unwrap());
    let (folder, mail, origin) = (Folder::new(), Mail::default(), origin().await);
    let state = folder.path().join("state.redb");
    let mut node = Node::new(&folder, origin, &format!("'{}'", state.display()), &mail);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut confirmed = Confirmed::default();
    let mut number = 1_000;
    let mut done = 0;
    for round in 0..rounds {
        node.start().await;
        holds(&node, &mut confirmed, round).await;
        // Somebody else pulls the plug while things are done one after the other.
        let process = node.process_id();
        let moment = Duration::from_millis(5 + dice.roll(250));
        let plug = tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            signal(process, "KILL");
        });
        while !plug.is_finished() {
            number += 1;
            done += u32::from(step(&node, &mail, &mut confirmed, dice.roll(6), number).await);
        }
        plug.await.unwrap();
        node.kill().await;
    }
    println!(
        "{rounds} kills, {done} steps confirmed: {} sessions live, {} ended, {} codes used, \
         {} service tokens good, {} deleted",
        confirmed.good.len(),
        confirmed.ended.len(),
        confirmed.used.len(),
        confirmed.machines.len(),
        confirmed.deleted.len()
    );
    assert!(u64::from(done) > rounds / 2, "too little was done to prove anything");
}

impl Confirmed {
    /// How many keys came before the one that signs: a new one is announced for five seconds first.
    fn signing(&self) -> u64 {
        let signs = |at: &&Instant| at.elapsed() > Duration::from_secs(6);
        self.rotations.iter().filter(signs).count() as u64
    }
}

/// Everything that was confirmed holds.
async fn holds(node: &Node, confirmed: &mut Confirmed, round: u64) {
    let wire = node.wire();
    // So many keys are kept beside the one that signs.
    let kept = (confirmed.rotations.len() as u64).saturating_sub(8);
    let good = confirmed.good.iter().rev().filter(|(_, rotations)| *rotations >= kept);
    for (token, _) in good.take(5) {
        assert_eq!(status(&wire, token).await, StatusCode::OK, "a session was lost in {round}");
    }
    for token in confirmed.ended.iter().rev().take(5) {
        let status = status(&wire, token).await;
        assert_eq!(status, StatusCode::FOUND, "an ended session works again in {round}");
    }
    if let Some((form, code, person)) = confirmed.used.last_mut() {
        let answer = form.submit(&mut person.browser, &[("code", code)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "a used code works again in {round}");
    }
    for (machines, expected) in
        [(&confirmed.machines, StatusCode::OK), (&confirmed.deleted, StatusCode::UNAUTHORIZED)]
    {
        for (id, secret) in machines.iter().rev().take(3) {
            assert_eq!(machine(node, id, secret).await, expected, "a service token in {round}");
        }
    }
}

/// Does something; whether it was confirmed.
async fn step(
    node: &Node,
    mail: &Mail,
    confirmed: &mut Confirmed,
    what: u64,
    number: usize,
) -> bool {
    match what {
        0 | 1 => log_in(node, mail, confirmed, number).await,
        2 => match confirmed.good.pop() {
            Some((token, _)) => end(node, confirmed, token).await,
            None => false,
        },
        3 => {
            confirmed.rotations.push(Instant::now());
            let operator = node.operator();
            operator.call("POST", "/access/keys/rotate", Value::Null).await.0.is_success()
        }
        4 => {
            let body = json!({ "name": format!("machine {number}") });
            let (said, answer) = node.operator().call("POST", "/access/service_tokens", body).await;
            let text = |key: &str| answer["result"][key].as_str().map(str::to_owned);
            match (said.is_success(), text("client_id"), text("client_secret")) {
                (true, Some(id), Some(secret)) => confirmed.machines.push((id, secret)),
                _ => return false,
            }
            true
        }
        _ => delete_machine(node, confirmed).await,
    }
}

async fn log_in(node: &Node, mail: &Mail, confirmed: &mut Confirmed, number: usize) -> bool {
    let mut person = Person::new(number, std::net::SocketAddr::from(([127, 0, 0, 1], node.port)));
    let (url, page) = person.browser.get_through(&Person::url("/")).await;
    if page.status() != StatusCode::OK {
        return false;
    }
    let typed = [("email", person.email.as_str())];
    let asked = Form::of(&url, &page.text).submit(&mut person.browser, &typed).await;
    if asked.status() != StatusCode::FOUND {
        return false;
    }
    let place = crate::support::absolute(&url, asked.location());
    let page = person.browser.get(&place).await;
    if page.status() != StatusCode::OK {
        return false;
    }
    let form = Form::of(&place, &page.text);
    let email = person.email.clone();
    let Ok(code) = tokio::time::timeout(Duration::from_millis(500), mail.code(&email)).await else {
        return false;
    };
    // The browser as it was without the session: with that, the page leads on whatever the code.
    let without_session = person.browser.at(node.wire());
    let answer = form.submit(&mut person.browser, &[("code", &code)]).await;
    if answer.status() != StatusCode::FOUND {
        return false;
    }
    // From here on the code is used, whatever becomes of the rest.
    let location = answer.location().to_owned();
    let (_, page) = person.browser.get_through(&location).await;
    if page.status() == StatusCode::OK && page.text.contains("the page") {
        confirmed.good.push((person.token(), confirmed.signing()));
    }
    person.browser = without_session;
    confirmed.used.push((form, code, person));
    true
}

async fn end(node: &Node, confirmed: &mut Confirmed, token: String) -> bool {
    let path = format!("/access/sessions/{}", super::client::session_of(&token));
    let (said, _) = node.operator().call("DELETE", &path, Value::Null).await;
    if said.is_success() {
        confirmed.ended.push(token);
        return true;
    }
    // Perhaps it was ended and perhaps not: nobody was told either.
    false
}

async fn delete_machine(node: &Node, confirmed: &mut Confirmed) -> bool {
    let Some((id, secret)) = confirmed.machines.pop() else { return false };
    let (said, list) = node.operator().call("GET", "/access/service_tokens", Value::Null).await;
    let known = list["result"].as_array().into_iter().flatten();
    let named = known.into_iter().find(|token| token["client_id"] == id.as_str()).cloned();
    let Some(token) = named.filter(|_| said.is_success()) else {
        return false;
    };
    let path = format!("/access/service_tokens/{}", token["id"].as_str().unwrap());
    let (said, _) = node.operator().call("DELETE", &path, Value::Null).await;
    if said.is_success() {
        confirmed.deleted.push((id, secret));
    }
    said.is_success()
}

async fn machine(node: &Node, id: &str, secret: &str) -> StatusCode {
    let request = http::Request::get("/")
        .header("host", super::cluster::HOST)
        .header("cf-access-client-id", id)
        .header("cf-access-client-secret", secret);
    node.wire().send(request.body(http_body_util::Full::default()).unwrap()).await.status()
}
