//! Mail that is posted to a service.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tower_access::login::mail::{MailError, Mailer, WebhookError, WebhookMailer};

use super::mail;
use crate::support::sockets::{Act, Arrived, Server};

const TOKEN: &str = "6f1ed002ab5595859014ebf0951522d9";

async fn posted(act: Act) -> (Result<(), MailError>, Arrived) {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let server = Server::start(move |arrived| {
        *keep.lock().unwrap() = Some(arrived.clone());
        act.clone()
    })
    .await;
    let mailer = WebhookMailer::new(&server.url("/codes?key=hush")).unwrap();
    let mailer = mailer.token(&TOKEN.to_owned().into()).unwrap();
    let delivered = mailer.deliver(mail()).await;
    assert_eq!(server.connections(), 1);
    let arrived = seen.lock().unwrap().take().unwrap();
    (delivered, arrived)
}

#[tokio::test]
async fn a_mail_is_posted_as_json() {
    let (delivered, request) = posted(Act::status("202 Accepted")).await;
    delivered.unwrap();
    assert!(request.head.starts_with("POST /codes?key=hush HTTP/1.1"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({
        "to": "ada@example.com",
        "subject": "Hello",
        "text": mail().text,
        "html": mail().html,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn answers_are_sorted_into_now_never_and_later() {
    for (status, is_permanent, is_delayed) in [
        ("200 OK", None, false),
        ("204 No Content", None, false),
        ("302 Found", Some(false), false),
        ("400 Bad Request", Some(false), false),
        ("401 Unauthorized", Some(false), false),
        ("404 Not Found", Some(false), false),
        ("422 Unprocessable", Some(true), false),
        ("429 Too Many Requests", None, true),
        ("500 Internal Server Error", None, false),
        ("503 Service Unavailable", None, true),
    ] {
        let (delivered, _) = posted(Act::status(status)).await;
        let is_fine = status.starts_with('2');
        assert_eq!(delivered.is_ok(), is_fine, "{status}");
        let Err(error) = delivered else { continue };
        assert_eq!(error.is_permanent(), is_permanent.is_some(), "{status}");
        assert_eq!(error.is_recipient_refused(), is_permanent == Some(true), "{status}");
        assert_eq!(error.is_delayed(), is_delayed, "{status}");
        let text = error.to_string();
        assert!(text.contains(&status[..3]) && !text.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_tried_again_and_one_that_floods_is_not() {
    let (delivered, _) = posted(Act::Close).await;
    let error = delivered.unwrap_err();
    assert!(!error.is_permanent() && !error.is_delayed(), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
    let (delivered, _) = posted(Act::Flood).await;
    assert!(delivered.unwrap_err().is_permanent());
}

#[test]
fn codes_are_sent_only_where_nobody_reads_them_on_the_way() {
    for url in
        ["http://mail.example.com/", "ftp://mail.example.com/", "mail", "https://a:b@c.example"]
    {
        assert!(matches!(WebhookMailer::new(url), Err(WebhookError::Url(_))), "{url}");
    }
    let mailer = WebhookMailer::new("https://mail.example.com/hush").unwrap();
    let error = mailer.clone().token(&"a\nb".to_owned().into()).unwrap_err();
    assert!(matches!(error, WebhookError::Token));
    let mailer = mailer.token(&TOKEN.to_owned().into()).unwrap();
    let debug = format!("{mailer:?}");
    assert!(!debug.contains("hush") && !debug.contains(TOKEN), "{debug}");
}
