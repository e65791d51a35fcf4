//! What a mailer makes of the answers of a server.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tower_access::login::mail::{MailError, Mailer, SmtpError, SmtpMailer, SmtpTls};

use super::server::{Authority, MailServer, Settings};
use super::{SENDER, TIMEOUT, mail, mailer};

async fn refused(mailer: &SmtpMailer) -> MailError {
    mailer.deliver(mail()).await.unwrap_err()
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let server = MailServer::start(&Settings::default()).await;
    let mailer = mailer(server.port).hello_name("access.example.com").unwrap();
    mailer.deliver(mail()).await.unwrap();
    let arrived = &server.wait_for(1).await[0];
    assert_eq!((&*arrived.to, &*arrived.from), (&["ada@example.com".to_owned()][..], SENDER));
    assert_eq!(arrived.subject, "Hello");
    assert!(arrived.text.contains("048213") && arrived.text.contains("Grüße"), "{arrived:?}");
    assert!(arrived.html.contains("<p>048213, Grüße</p>"), "{arrived:?}");
    assert_eq!(arrived.hello, "access.example.com");
    assert!(!arrived.encrypted && !arrived.login);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = MailServer::start(&Settings::default()).await;
    let mailer = mailer(server.port);
    mailer.check().await.unwrap();
    for _ in 0..3 {
        mailer.deliver(mail()).await.unwrap();
    }
    let peers: Vec<_> = server.wait_for(3).await.iter().map(|mail| mail.peer).collect();
    assert_eq!(peers, [peers[0]; 3]);
}

#[tokio::test]
async fn tls_needs_an_authority_that_is_trusted() {
    let authority = Authority::new("tls");
    for (name, tls) in [("implicit", SmtpTls::Implicit), ("starttls", SmtpTls::StartTls)] {
        let server = MailServer::start(&authority.settings(name)).await;
        let mailer = || SmtpMailer::new("127.0.0.1", server.port, tls, SENDER).unwrap();
        for untrusting in
            [mailer(), mailer().ca_certificates(Authority::new("other").pem.as_bytes()).unwrap()]
        {
            let error = untrusting.deliver(mail()).await.unwrap_err();
            assert!(error.to_string().contains("UnknownIssuer"), "{name}: {error}");
            assert!(error.to_string().contains("`ca_file`"), "{name}: {error}");
            assert!(untrusting.check().await.is_err());
        }
        let trusting = mailer().ca_certificates(authority.pem.as_bytes()).unwrap();
        trusting.check().await.unwrap();
        trusting.deliver(mail()).await.unwrap();
        // By another name than the certificate's.
        let misled = SmtpMailer::new("localhost", server.port, tls, SENDER).unwrap();
        let misled = misled.ca_certificates(authority.pem.as_bytes()).unwrap();
        let error = refused(&misled).await.to_string();
        assert!(error.contains("certificate is for `host`"), "{name}: {error}");
        let arrived = server.wait_for(1).await;
        assert!(arrived.iter().all(|mail| mail.encrypted), "{name}");
    }
}

#[tokio::test]
async fn a_login_is_right_or_wrong() {
    let authority = Authority::new("login");
    for (name, tls) in [("implicit", SmtpTls::Implicit), ("starttls", SmtpTls::StartTls)] {
        let settings = Settings {
            user: Some("access"),
            password: "correct horse",
            ..authority.settings(name)
        };
        let server = MailServer::start(&settings).await;
        let mailer = |password: &str| {
            let (user, password) = ("access".to_owned(), password.to_owned());
            SmtpMailer::with_login("127.0.0.1", server.port, tls, SENDER, user, password)
                .unwrap()
                .ca_certificates(authority.pem.as_bytes())
                .unwrap()
        };
        mailer("correct horse").deliver(mail()).await.unwrap();
        for error in
            [refused(&mailer("wrong horse")).await, mailer("wrong").check().await.unwrap_err()]
        {
            assert!(error.is_permanent() && !error.is_recipient_refused(), "{name}: {error}");
            let text = error.to_string();
            assert!(text.contains("check `username` and `password_file`"), "{name}: {text}");
            assert!(!text.contains("wrong"), "{name}: {text}");
        }
        let none = SmtpMailer::new("127.0.0.1", server.port, tls, SENDER).unwrap();
        let error = refused(&none.ca_certificates(authority.pem.as_bytes()).unwrap()).await;
        assert!(error.is_permanent(), "{name}: {error}");
        assert!(error.to_string().contains("requires authentication"), "{name}: {error}");
        assert!(server.wait_for(1).await[0].login, "{name}");
    }
}

#[tokio::test]
async fn what_the_server_does_not_offer_is_an_error_of_the_settings() {
    let server = MailServer::start(&Settings::default()).await;
    let no_tls = SmtpMailer::new("127.0.0.1", server.port, SmtpTls::StartTls, SENDER).unwrap();
    let (user, password) = ("access".to_owned(), "horse".to_owned());
    let no_login = SmtpMailer::with_login(
        "127.0.0.1",
        server.port,
        SmtpTls::DangerousNone,
        SENDER,
        user,
        password,
    );
    for mailer in [no_tls, no_login.unwrap()] {
        for error in [refused(&mailer).await, mailer.check().await.unwrap_err()] {
            assert!(error.is_permanent() && !error.is_recipient_refused(), "{error}");
            assert!(error.to_string().contains("does not support what `tls` or the login"));
        }
    }
    assert!(server.all().is_empty());
}

#[tokio::test]
async fn answers_are_sorted_into_now_never_and_later() {
    let server = MailServer::that(&[
        "450 4.2.0 greylisted",
        "550 5.1.1 nobody of that name",
        "552 5.2.2 mailbox full",
        "550 5.7.1 relay denied",
        "hang up",
        "hang up later",
    ])
    .await;
    let mailer = mailer(server.port);
    let error = refused(&mailer).await;
    assert!(error.is_delayed() && !error.is_permanent(), "{error}");
    for _ in 0..2 {
        let error = refused(&mailer).await;
        assert!(error.is_recipient_refused() && error.is_permanent(), "{error}");
    }
    let error = refused(&mailer).await;
    assert!(error.is_permanent() && !error.is_recipient_refused(), "{error}");
    for _ in 0..2 {
        let error = refused(&mailer).await;
        assert!(!error.is_permanent() && !error.is_delayed(), "{error}");
    }
    assert!(server.all().is_empty());
    mailer.deliver(mail()).await.unwrap();
    server.wait_for(1).await;
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_its_connection_never_used_again() {
    let server = MailServer::that(&["", "hang"]).await;
    let mailer = mailer(server.port);
    mailer.deliver(mail()).await.unwrap();
    let begun = Instant::now();
    let impatient = mailer.clone().timeout(Duration::from_millis(300));
    let error = refused(&impatient).await;
    assert!(begun.elapsed() < TIMEOUT, "{error}");
    assert!(error.to_string().contains("no response within 300ms"), "{error}");
    assert!(!error.is_permanent() && !error.is_delayed());
    mailer.deliver(mail()).await.unwrap();
    let arrived = server.wait_for(2).await;
    assert_ne!(arrived[0].peer, arrived[1].peer);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let first = MailServer::start(&Settings::default()).await;
    let port = first.port;
    let mailer = mailer(port);
    mailer.deliver(mail()).await.unwrap();
    first.wait_for(1).await;
    first.stop().await;
    let down = refused(&mailer).await;
    assert!(!down.is_permanent() && !down.is_delayed(), "{down}");
    let second = MailServer::start(&Settings { port, ..Settings::default() }).await;
    mailer.deliver(mail()).await.unwrap();
    second.wait_for(1).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mailer = mailer(port);
    for error in [refused(&mailer).await, mailer.check().await.unwrap_err()] {
        assert!(!error.is_permanent() && !error.is_delayed(), "{error}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
}

#[test]
fn bad_settings_are_refused() {
    let mailer = || mailer(25);
    for name in ["", "a b", "x\r\nMAIL FROM:<eve@evil.example>", "host:25"] {
        let error = mailer().hello_name(name).unwrap_err();
        assert!(matches!(error, SmtpError::HelloName), "{name:?}");
    }
    for name in ["access.example.com", "192.0.2.7", "2001:db8::7"] {
        mailer().hello_name(name).unwrap();
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "no certificate", broken, "-----BEGIN CERTIFICATE-----\n%%%\n"] {
        let mailer = SmtpMailer::new("127.0.0.1", 25, SmtpTls::StartTls, SENDER).unwrap();
        let error = mailer.ca_certificates(pem.as_bytes()).unwrap_err();
        assert!(matches!(error, SmtpError::Certificates(_)), "{pem:?}: {error}");
    }
    assert!(matches!(
        SmtpMailer::new("127.0.0.1", 25, SmtpTls::StartTls, "nobody"),
        Err(SmtpError::Sender)
    ));
}

#[test]
fn debug_leaves_the_password_out() {
    let (user, password) = ("access".to_owned(), "hunter2".to_owned());
    let mailer =
        SmtpMailer::with_login("127.0.0.1", 25, SmtpTls::DangerousNone, SENDER, user, password);
    assert!(!format!("{:?}", mailer.unwrap()).contains("hunter2"));
}
