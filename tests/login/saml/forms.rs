//! What other sites can post, and what they cannot.

use http::StatusCode;

use super::*;
use crate::support::{another_code, ask_for_code};

#[tokio::test]
async fn only_an_answer_may_come_from_another_site() {
    let world = World::new();
    let mut browser = world.browser();
    let form = ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    let nonce = form.value("nonce").to_owned();
    for fields in [
        vec![("code", &*code), ("nonce", &*nonce)],
        vec![("SAMLResponse", "x"), ("code", &*code), ("nonce", &*nonce)],
        vec![("SAMLResponse", "x"), ("nonce", &*nonce)],
        vec![("SAMLResponse", "x"), ("code", &*code)],
        vec![("SAMLResponse", "x"), ("SAMLResponse", "y")],
        vec![("SAMLResponse", "")],
        vec![("RelayState", "x")],
        vec![],
    ] {
        let answer = post(&mut browser, &fields).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{fields:?}");
        assert!(answer.text.contains("This form was sent by another site"), "{}", answer.text);
    }
    let path = "https://login.example.com/cdn-cgi/access/logout";
    browser.headers.push(("sec-fetch-site", "cross-site".to_owned()));
    let answer = browser.post(path, &[("SAMLResponse", "x")]).await;
    browser.headers.truncate(1);
    assert!(answer.text.contains("This form was sent by another site"), "{}", answer.text);
    // The code is as good as before.
    let wrong = form.submit(&mut browser, &[("code", &another_code(&code))]).await;
    assert_eq!(wrong.status(), StatusCode::FORBIDDEN);
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
}

#[tokio::test]
async fn without_such_a_provider_no_form_of_another_site_is_read() {
    let access = Access::builder()
        .team_domain(TEAM_HOST.parse().unwrap())
        .application(application("wiki", Policy::allow("all").include(Rule::everyone())))
        .mailer(Mailbox::default())
        .clock(clock())
        .build()
        .unwrap();
    let mut browser = Browser::new(AccessLayer::new(access).layer(Origin::default()));
    let answer = post(&mut browser, &[("SAMLResponse", "x")]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let answer = post(&mut browser, &[("SAMLResponse", &"x".repeat(20_000))]).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer = browser.get(&format!("{TEAM}/cdn-cgi/access/saml-metadata")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn proto_08_a_long_answer_is_read_and_a_huge_one_is_not() {
    let world = World::new();
    let mut browser = world.browser();
    let groups: Vec<String> =
        (0..900).map(|number| format!("Group Number {number}, Ltd.")).collect();
    let answer = enter(&mut browser, &format!("{WIKI}/"), |reply| {
        reply.attributes.push(("groups".to_owned(), groups));
    })
    .await;
    assert_eq!((answer.status(), &*answer.text), (StatusCode::OK, "origin saw /"));

    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let reply = Reply::to(&asked, "ada@example.com");
    for (bytes, status) in
        [(190_000, StatusCode::BAD_GATEWAY), (220_000, StatusCode::PAYLOAD_TOO_LARGE)]
    {
        let xml = reply.clone().with(|it| {
            it.attributes.push(("more".to_owned(), vec!["x".repeat(bytes)]));
        });
        let answer = bring(&mut browser, &asked, &xml.around(&xml.assertion())).await;
        assert_eq!(answer.status(), status, "{bytes}");
    }
    // A form of one of our pages stays as short as ever.
    let long = "x".repeat(20_000);
    for fields in [[("nonce", &*long)], [("other", &*long)]] {
        let answer = browser.post(ACS, &fields).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let answer =
        browser.post(&format!("{TEAM}/cdn-cgi/access/logout"), &[("SAMLResponse", &*long)]).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
