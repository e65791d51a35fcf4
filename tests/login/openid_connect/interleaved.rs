//! Several logins at once through one provider: each gets its own identity.

use http::StatusCode;

use super::*;

/// The orders in which two logins of four steps each can happen: which login takes the next step.
fn orders() -> Vec<Vec<usize>> {
    (0_u32..1 << 8)
        .filter(|order| order.count_ones() == 4)
        .map(|order| (0..8).map(|bit| (order >> bit & 1) as usize).collect())
        .collect()
}

/// A login that takes its steps one by one.
struct Steps {
    browser: Browser<Service>,
    name: &'static str,
    url: String,
}

impl Steps {
    fn new(world: &World, name: &'static str) -> Self {
        Self { browser: world.browser(), name, url: String::new() }
    }

    async fn take(&mut self, step: usize, world: &World) {
        self.url = match step {
            0 => begin(&mut self.browser, WIKI, "corp").await.location().to_owned(),
            1 => world.corp.log_in(&self.url, &user(self.name)),
            _ => self.browser.get(&self.url).await.location().to_owned(),
        };
    }

    async fn is_itself(&mut self, world: &World) {
        assert_eq!(self.browser.get(&self.url).await.status(), StatusCode::OK);
        assert_eq!(world.seen_email(), format!("{}@example.com", self.name));
    }
}

#[tokio::test]
async fn two_logins_in_any_order_of_their_steps_get_their_own_identities() {
    let world = World::new().await;
    let orders = orders();
    assert_eq!(orders.len(), 70);
    for order in orders {
        let mut logins = [Steps::new(&world, "ada"), Steps::new(&world, "grace")];
        let mut taken = [0, 0];
        for who in order {
            logins[who].take(taken[who], &world).await;
            taken[who] += 1;
        }
        for login in &mut logins {
            login.is_itself(&world).await;
        }
    }
}

#[tokio::test]
async fn two_tabs_of_one_browser_get_the_identity_of_the_last_answer() {
    let world = World::new().await;
    for swapped in [false, true] {
        let mut browser = world.browser();
        let first = begin(&mut browser, WIKI, "corp").await.location().to_owned();
        let second = begin(&mut browser, WIKI, "corp").await.location().to_owned();
        let mut callbacks = [
            (world.corp.log_in(&first, &user("ada")), "ada"),
            (world.corp.log_in(&second, &user("grace")), "grace"),
        ];
        if swapped {
            callbacks.reverse();
        }
        for (callback, name) in callbacks {
            assert_eq!(browser.visit(&callback).await.1.status(), StatusCode::OK);
            assert_eq!(world.seen_email(), format!("{name}@example.com"));
        }
    }
}

#[tokio::test]
async fn the_code_of_one_login_is_worth_nothing_in_another() {
    let world = World::new().await;
    let (mut ada, mut eve) = (world.browser(), world.browser());
    let of_ada = begin(&mut ada, WIKI, "corp").await.location().to_owned();
    let of_eve = begin(&mut eve, WIKI, "corp").await.location().to_owned();
    // Eve has got hold of the code of Ada, before it was used.
    let code = world.corp.code(&of_ada, &user("ada"));
    let issuer = world.corp.issuer();
    let stolen = support::openid::back(&of_eve, &[("code", &code), ("iss", &issuer)]);
    is_page(&eve.get(&stolen).await, StatusCode::FORBIDDEN, "The login has expired");
    world.is_out(&mut eve).await;
}

#[tokio::test]
async fn many_at_once_get_their_own_identities() {
    let world = Arc::new(World::new().await);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..50 {
        let world = Arc::clone(&world);
        all.spawn(async move {
            let mut browser = world.browser();
            let at_provider = begin(&mut browser, WIKI, "corp").await;
            let callback = world.corp.log_in(at_provider.location(), &user(&format!("u{number}")));
            assert_eq!(browser.visit(&callback).await.1.status(), StatusCode::OK);
            let answer = browser.get(&format!("{TEAM}/cdn-cgi/access/get-identity")).await;
            let identity: Value = serde_json::from_str(&answer.text).unwrap();
            assert_eq!(identity["email"], format!("u{number}@example.com"));
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}
