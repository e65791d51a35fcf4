//! Codes that are asked for in a browser, and the queue between that and the mail server.

use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpListener;
use tower::Layer;
use tower_access::application::Application;
use tower_access::layer::AccessService;
use tower_access::login::mail::MailStatus;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessBuilder, AccessLayer};

use super::mailer;
use super::server::{MailServer, Settings};
use crate::support::{Browser, Form, Origin, ask_for_code, clock, code_in};

const WIKI: &str = "https://wiki.example.com/";

fn builder(port: u16) -> AccessBuilder {
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    Access::builder()
        .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(staff))
        .mailer(mailer(port))
}

struct World {
    access: Access,
}

impl World {
    fn new(port: u16) -> Self {
        Self { access: builder(port).clock(clock()).build().unwrap() }
    }

    /// Asks for a code, and gets the form to enter it, whatever becomes of the mail.
    async fn ask(&self) -> (Browser<AccessService<Origin>>, Form) {
        let layer = AccessLayer::new(self.access.clone());
        let mut browser = Browser::new(layer.layer(Origin::default()));
        let form = ask_for_code(&mut browser, WIKI, "ada@example.com").await;
        (browser, form)
    }

    /// Waits until this is so, at most half a minute.
    async fn until(&self, is_so: impl Fn(&MailStatus) -> bool) {
        for _ in 0..3_000 {
            if is_so(&self.access.mail_status().unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.access.mail_status());
    }
}

async fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    free.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_server_that_keeps_strangers_waiting_gets_the_mail_again() {
    let server = MailServer::that(&["450 4.2.0 greylisted", "451 4.7.1 later"]).await;
    let world = World::new(server.port);
    let (mut browser, form) = world.ask().await;
    world.until(|status| status.sent == 1).await;
    let status = world.access.mail_status().unwrap();
    assert_eq!((status.retried, status.failed, status.queued), (2, 0, 0));
    assert!(!status.is_failing());
    let code = code_in(&server.wait_for(1).await[0].text);
    let answer = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
}

#[tokio::test]
async fn a_server_that_hangs_up_and_one_that_is_away_get_the_mail_once_they_are_back() {
    let server = MailServer::that(&["hang up", "hang up later"]).await;
    let world = World::new(server.port);
    world.ask().await;
    world.until(|status| status.sent == 1).await;
    assert_eq!(world.access.mail_status().unwrap().retried, 2);

    let port = free_port().await;
    let world = World::new(port);
    assert!(world.access.check_mail().await.is_err());
    assert!(world.access.mail_status().unwrap().is_failing());
    world.ask().await;
    world.until(|status| status.retried > 0).await;
    let server = MailServer::start(&Settings { port, ..Settings::default() }).await;
    world.until(|status| status.sent == 1).await;
    server.wait_for(1).await;
    let status = world.access.mail_status().unwrap();
    assert!(!status.is_failing() && status.last_error.is_some(), "{status:?}");
}

#[tokio::test]
async fn a_recipient_who_is_refused_is_no_failure_and_no_page_tells() {
    let server = MailServer::that(&["550 5.1.1 <ada@example.com> is nobody"]).await;
    let world = World::new(server.port);
    world.access.check_mail().await.unwrap();
    world.ask().await;
    world.until(|status| status.recipients_refused == 1).await;
    world.ask().await;
    world.until(|status| status.sent == 1).await;
    let status = world.access.mail_status().unwrap();
    assert_eq!((status.retried, status.failed, status.is_failing()), (0, 0, false));
}

#[tokio::test]
async fn what_the_server_refuses_for_good_is_a_failure() {
    let server = MailServer::that(&["554 5.7.1 <ada@example.com>: relay access denied"]).await;
    let world = World::new(server.port);
    world.ask().await;
    world.until(|status| status.failed == 1).await;
    let status = world.access.mail_status().unwrap();
    assert_eq!((status.retried, status.expired, status.is_failing()), (0, 0, true));
    let error = status.last_error.unwrap();
    assert!(error.contains("<…@example.com>: relay access denied"), "{error}");
}

#[tokio::test]
async fn a_program_that_ends_waits_for_its_mail_and_says_what_is_lost() {
    let server = MailServer::that(&["450 4.2.0 greylisted"]).await;
    let world = World::new(server.port);
    world.ask().await;
    world.until(|status| status.retried == 1).await;
    assert_eq!(world.access.finish_mail(Duration::from_secs(5)).await, 0);
    server.wait_for(1).await;

    let world = World::new(free_port().await);
    world.ask().await;
    world.until(|status| status.retried > 0).await;
    assert_eq!(world.access.finish_mail(Duration::from_secs(5)).await, 1);
    assert_eq!(world.access.mail_status().unwrap().queued, 0);
}

/// Whoever reloads the settings loses no mail.
#[tokio::test]
async fn mail_that_waits_outlives_a_reload() {
    let server = MailServer::that(&["450 4.2.0 greylisted"]).await;
    let world = World::new(server.port);
    world.ask().await;
    world.until(|status| status.retried == 1).await;
    world.access.reload(builder(free_port().await)).unwrap();
    world.until(|status| status.sent == 1).await;
    server.wait_for(1).await;
}
