//! Answers that are not honest, or not for this browser.

use http::StatusCode;

use super::*;
use crate::support::log::Log;

type Change = fn(&mut Reply);

const SOON: u64 = support::NOW + 30;

/// Brings a changed answer back. Returns the response and the browser.
async fn changed(world: &World, key: &provider::Key, change: Change) -> (Answer, Browser) {
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let reply = Reply::to(&asked, "ada@example.com").with(change);
    let answer = bring(&mut browser, &asked, &reply.xml(key)).await;
    (answer, browser)
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused_and_leaves_nothing() {
    let world = World::new();
    let log = Log::of_this_test();
    let changes: &[(&str, Change)] = &[
        ("signature missing", |it| it.signed = Signed::Nothing),
        ("audience", |it| it.audience = Some("https://other.example.com/".to_owned())),
        ("audience", |it| it.audience = Some(format!("{ACS}/"))),
        ("audience", |it| it.audience = None),
        ("recipient", |it| {
            it.recipient = "https://other.example.com/cdn-cgi/access/callback".to_owned()
        }),
        ("recipient", |it| it.recipient = String::new()),
        ("destination", |it| {
            it.destination = Some("https://other.example.com/cdn-cgi/access/callback".to_owned())
        }),
        ("destination", |it| {
            it.destination = None;
            it.signed = Signed::Both;
        }),
        ("InResponseTo", |it| it.confirmed_in_response_to = None),
        ("InResponseTo", |it| it.confirmed_in_response_to = Some("_other".to_owned())),
        ("another provider", |it| {
            it.response_issuer = Some("https://other.example.net".to_owned())
        }),
        ("issuer", |it| {
            it.response_issuer = None;
            it.issuer = "https://other.example.net".to_owned();
        }),
        ("issuer", |it| {
            it.response_issuer = None;
            it.issuer = format!("{CORP_ISSUER}/");
        }),
        ("Conditions", |it| {
            it.not_before = support::NOW - 7200;
            it.not_on_or_after = support::NOW - 61;
        }),
        ("Conditions", |it| it.not_before = support::NOW + 61),
        ("time window", |it| it.confirmed_until = support::NOW - 61),
    ];
    for (count, (says, change)) in changes.iter().enumerate() {
        let (answer, browser) = changed(&world, &CORP, *change).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{says}: {}", answer.text);
        assert!(answer.text.contains("did not answer as expected"), "{}", answer.text);
        assert!(!is_logged_in(&browser), "{says}");
        let lines = log.with("method", "corp");
        assert_eq!(lines.len(), count + 1, "{says}");
        let line = lines.last().unwrap();
        let cause = line.field("cause").unwrap();
        assert!(cause.to_lowercase().contains(&says.to_lowercase()), "{says}: {cause}");
        let reference = line.field("reference").unwrap();
        assert!(answer.text.contains(reference), "{}", answer.text);
        assert!(!cause.contains("ada@"), "{cause}");
    }
    assert_eq!(world.store.kinds().into_keys().collect::<Vec<_>>(), Vec::<String>::new());
    world.other_methods_work().await;
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    let world = World::new();
    let changes: &[Change] = &[
        |it| it.not_before = support::NOW + 60,
        |it| it.not_on_or_after = support::NOW - 59,
        |it| it.confirmed_until = support::NOW - 59,
        |it| it.not_before = SOON,
    ];
    for change in changes {
        let (answer, _) = changed(&world, &CORP, *change).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    }
}

#[tokio::test]
async fn another_key_is_refused_also_one_that_the_answer_brings_along() {
    let world = World::new();
    for key in [&MALLORY, &PARTNER] {
        let (answer, browser) = changed(&world, key, |_| ()).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        assert!(!is_logged_in(&browser));
        // With the certificate of the trusted key in place of its own, or none.
        for replacement in [&*CORP.certificate, ""] {
            let mut browser = world.browser();
            let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
            let xml = Reply::to(&asked, "ada@example.com").xml(key);
            let xml = xml.replace(&key.certificate, replacement);
            let answer = bring(&mut browser, &asked, &xml).await;
            assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
            assert!(!is_logged_in(&browser));
        }
    }
    world.other_methods_work().await;
}

#[tokio::test]
async fn one_changed_character_breaks_the_signature() {
    let world = World::new();
    let changes: &[(&str, &str)] = &[
        ("ada@example.com", "bob@example.com"),
        ("ada@example.com", "a&#100;b@example.com"),
        ("8f14e45f", "8f14e45g"),
        ("SessionIndex=\"_s1\"", "SessionIndex=\"_s2\""),
        ("#rsa-sha256", "#rsa-sha512"),
        ("Version=\"2.0\" IssueInstant", "Version=\"2.0\" x=\"y\" IssueInstant"),
        ("</saml:Assertion>", "<saml:AttributeStatement/></saml:Assertion>"),
    ];
    for (from, to) in changes {
        let mut browser = world.browser();
        let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
        let xml = Reply::to(&asked, "ada@example.com").xml(&CORP);
        // The last one: the attribute of the assertion and not that of the response.
        let (before, after) = xml.rsplit_once(from).unwrap();
        let answer = bring(&mut browser, &asked, &format!("{before}{to}{after}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{to}: {}", answer.text);
        assert!(!is_logged_in(&browser), "{to}");
    }
}

#[tokio::test]
async fn weak_algorithms_are_refused_before_anything_is_verified() {
    let world = World::new();
    let log = Log::of_this_test();
    let sha1 = "http://www.w3.org/2000/09/xmldsig#";
    for (from, to) in [
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", format!("{sha1}rsa-sha1")),
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", format!("{sha1}hmac-sha1")),
        ("http://www.w3.org/2001/04/xmlenc#sha256", format!("{sha1}sha1")),
        (
            "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>",
            "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/>".to_owned(),
        ),
    ] {
        let mut browser = world.browser();
        let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
        let xml = Reply::to(&asked, "ada@example.com").xml(&CORP).replace(from, &to);
        let answer = bring(&mut browser, &asked, &xml).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{to}");
        let lines = log.with("method", "corp");
        let cause = lines.last().unwrap().field("cause").unwrap();
        assert!(cause.contains("an algorithm that is not accepted"), "{cause}");
    }
}

#[tokio::test]
async fn flow_05_an_answer_is_accepted_once() {
    let world = World::new();
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/a"), "corp").await;
    let xml = Reply::to(&asked, "ada@example.com").xml(&CORP);
    let name = format!("CF_SamlLogin_{}", &asked.id[1..]);
    let pending = browser.cookie(TEAM_HOST, &name).unwrap();
    let session = browser.cookie(TEAM_HOST, "CF_Session").unwrap();
    let answer = bring(&mut browser, &asked, &xml).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    // Somebody who has both cookies and the answer: also much later, and at another node.
    for wait in [0, 60, 13 * 60] {
        world.clock.advance(Duration::from_secs(wait));
        let mut thief = world.browser();
        thief.plant(TEAM_HOST, &name, &pending);
        thief.plant(TEAM_HOST, "CF_Session", &session);
        let answer = bring(&mut thief, &asked, &xml).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.text);
        assert!(answer.text.contains("Invalid session. Please try logging in again."));
        assert!(!is_logged_in(&thief));
    }
    // The user, who posted it twice, gets on.
    browser.plant(TEAM_HOST, &name, &pending);
    let again = bring(&mut browser, &asked, &xml).await;
    assert_eq!(again.status(), StatusCode::FOUND, "{}", again.text);
    assert_eq!(browser.visit(again.location()).await.1.text, "origin saw /a");
    assert_eq!(world.store.records("saml-used"), 2);
    // Another answer with the same assertion: of another login of the same user, if a provider does so.
    let mut other = world.browser();
    let asked_again = begin(&mut other, &format!("{WIKI}/b"), "corp").await;
    let reply = Reply::to(&asked_again, "ada@example.com");
    let reply = reply.with(|it| it.assertion_id = format!("_a{}", &asked.id[1..]));
    let answer = bring(&mut other, &asked_again, &reply.xml(&CORP)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.text);
}

#[tokio::test]
async fn flow_05_an_answer_belongs_to_its_browser_login_and_time() {
    let world = World::new();
    let url = format!("{WIKI}/a");
    let invalid = |answer: &Answer, browser: &Browser| {
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.text);
        assert!(answer.text.contains("Invalid session. Please try logging in again."));
        assert!(!is_logged_in(browser));
    };
    // Another browser, with a login of its own or without.
    let mut ada = world.browser();
    let mut bob = world.browser();
    let of_ada = begin(&mut ada, &url, "corp").await;
    let of_bob = begin(&mut bob, &url, "corp").await;
    let for_ada = Reply::to(&of_ada, "ada@example.com").xml(&CORP);
    for mut browser in [world.browser(), Browser::new(world.service.clone())] {
        let answer = bring(&mut browser, &of_ada, &for_ada).await;
        invalid(&answer, &browser);
    }
    let answer = bring(&mut bob, &of_ada, &for_ada).await;
    invalid(&answer, &bob);
    let answer = bring(&mut bob, &of_bob, &for_ada).await;
    invalid(&answer, &bob);
    assert!(answer.text.contains("/cdn-cgi/access/login/wiki.example.com"), "{}", answer.text);
    // No login: one that began at the provider.
    let encoded = encode(&for_ada);
    for relay_state in
        [None, Some(""), Some("https://wiki.example.com/"), Some(&*of_bob.relay_state)]
    {
        let mut fields = vec![("SAMLResponse", &*encoded)];
        fields.extend(relay_state.map(|it| ("RelayState", it)));
        let answer = post(&mut ada, &fields).await;
        invalid(&answer, &ada);
    }
    let unsolicited = Reply::to(&of_ada, "ada@example.com").with(|it| {
        (it.in_response_to, it.confirmed_in_response_to) = (None, None);
    });
    let answer = bring(&mut ada, &of_ada, &unsolicited.xml(&CORP)).await;
    invalid(&answer, &ada);
    // The browser has logged out or lost its cookies meanwhile.
    let cookie =
        |browser: &Browser| browser.cookie(TEAM_HOST, &format!("CF_SamlLogin_{}", &of_ada.id[1..]));
    let mut forgetful = world.browser();
    forgetful.plant(
        TEAM_HOST,
        &format!("CF_SamlLogin_{}", &of_ada.id[1..]),
        &cookie(&ada).unwrap(),
    );
    let answer = bring(&mut forgetful, &of_ada, &for_ada).await;
    invalid(&answer, &forgetful);
    // A pending login under the name of another one.
    let mut renamed = world.browser();
    let own = begin(&mut renamed, &url, "corp").await;
    let value = renamed.cookie(TEAM_HOST, &format!("CF_SamlLogin_{}", &own.id[1..])).unwrap();
    renamed.plant(TEAM_HOST, &format!("CF_SamlLogin_{}", &of_ada.id[1..]), &value);
    let answer = bring(&mut renamed, &of_ada, &for_ada).await;
    invalid(&answer, &renamed);
    assert_eq!(world.store.records("saml-used"), 0);
    // None of it has harmed the login.
    world.clock.advance(Duration::from_secs(899));
    let answer = bring(&mut ada, &of_ada, &for_ada).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    // Too late.
    world.clock.advance(Duration::from_secs(1));
    let for_bob = Reply::to(&of_bob, "bob@example.com").xml(&CORP);
    let answer = bring(&mut bob, &of_bob, &for_bob).await;
    invalid(&answer, &bob);
    world.other_methods_work().await;
}

#[tokio::test]
async fn flow_05_providers_cannot_speak_for_each_other() {
    let world = World::new();
    for (begun, key, issuer) in [
        // The partner answers a login at corp, under its own name or that of corp.
        ("corp", &PARTNER, PARTNER_ISSUER),
        ("corp", &PARTNER, CORP_ISSUER),
        ("partner", &CORP, CORP_ISSUER),
        ("partner", &CORP, PARTNER_ISSUER),
        ("partner", &PARTNER, CORP_ISSUER),
    ] {
        let mut browser = world.browser();
        let asked = begin(&mut browser, &format!("{WIKI}/"), begun).await;
        let reply = Reply::to(&asked, "ada@example.com").with(|it| {
            (it.issuer, it.response_issuer) = (issuer.to_owned(), Some(issuer.to_owned()));
        });
        let xml = reply.xml(key);
        let answer = bring(&mut browser, &asked, &xml).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{begun} {issuer}");
        // Under the name of the other login method in `RelayState`.
        let mut other = world.browser();
        let of_other = begin(
            &mut other,
            &format!("{WIKI}/"),
            if begun == "corp" { "partner" } else { "corp" },
        )
        .await;
        let mark = of_other.relay_state.split('.').next().unwrap();
        let relay_state = format!("{mark}.{}", asked.relay_state.split('.').nth(1).unwrap());
        let fields = [("SAMLResponse", &*encode(&xml)), ("RelayState", &*relay_state)];
        let answer = post(&mut browser, &fields).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{begun} {issuer}");
        assert!(!is_logged_in(&browser));
    }
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "partner").await;
    let reply = Reply::to(&asked, "ada@example.com").with(|it| {
        (it.issuer, it.response_issuer) = (PARTNER_ISSUER.to_owned(), None);
    });
    let answer = bring(&mut browser, &asked, &reply.xml(&PARTNER)).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_a_clear_page() {
    let world = World::new();
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let xml = Reply::to(&asked, "ada@example.com").xml(&CORP);
    for (response, status) in [
        ("!", StatusCode::BAD_REQUEST),
        ("YQ", StatusCode::BAD_REQUEST),
        (&encode(&xml)[1..], StatusCode::BAD_REQUEST),
        ("/w==", StatusCode::BAD_REQUEST),
        (&encode("hello"), StatusCode::BAD_GATEWAY),
        (&encode("<a/>"), StatusCode::BAD_GATEWAY),
        (&encode(&xml[..xml.len() - 1]), StatusCode::BAD_GATEWAY),
    ] {
        let answer =
            post(&mut browser, &[("SAMLResponse", response), ("RelayState", &asked.relay_state)])
                .await;
        assert_eq!(answer.status(), status, "{response}");
        assert!(answer.text.contains("Start again"), "{}", answer.text);
        assert!(!is_logged_in(&browser));
    }
    // With line breaks, as some providers write it.
    let lines: Vec<String> = encode(&xml)
        .as_bytes()
        .chunks(76)
        .map(|it| String::from_utf8(it.to_vec()).unwrap())
        .collect();
    let lines = lines.join("\r\n");
    let answer =
        post(&mut browser, &[("SAMLResponse", &lines), ("RelayState", &asked.relay_state)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
}

#[tokio::test]
async fn a_provider_that_refuses_the_user_is_a_clear_page() {
    let world = World::new();
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let reply = Reply::to(&asked, "").with(|it| {
        it.status = "urn:oasis:names:tc:SAML:2.0:status:Responder".to_owned();
    });
    for xml in [reply.around(""), reply.xml(&CORP)] {
        let answer = bring(&mut browser, &asked, &xml).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.text.contains("Example Corp. did not let you log in"), "{}", answer.text);
        assert!(!is_logged_in(&browser));
    }
    // A success without an assertion.
    let reply = Reply::to(&asked, "");
    let answer = bring(&mut browser, &asked, &reply.around("")).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn dos_03_a_flood_of_begun_logins_and_of_answers_leaves_nothing_and_locks_nobody_out() {
    let world = World::new();
    let mut user = world.browser();
    let asked = begin(&mut user, &format!("{WIKI}/mine"), "corp").await;
    let xml = Reply::to(&asked, "ada@example.com").xml(&CORP);
    for number in 0..300 {
        let mut stranger = world.browser();
        let begun = begin(&mut stranger, &format!("{WIKI}/{number}"), "corp").await;
        // Answers for this login, and for the user's, as far as somebody knows its names.
        let forged = Reply::to(&begun, "ada@example.com").with(|it| it.signed = Signed::Nothing);
        let answer = bring(&mut stranger, &begun, &forged.around(&forged.assertion())).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        let answer = bring(&mut stranger, &asked, &forged.around(&forged.assertion())).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        // A page of another site that posts through the user's own browser.
        let forged = Reply::to(&asked, "eve@example.com").with(|it| it.signed = Signed::Nothing);
        let answer = bring(&mut user, &asked, &forged.around(&forged.assertion())).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    }
    assert_eq!(world.store.kinds().into_keys().collect::<Vec<_>>(), Vec::<String>::new());
    let answer = bring(&mut user, &asked, &xml).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    assert_eq!(user.visit(answer.location()).await.1.text, "origin saw /mine");
    world.other_methods_work().await;
}
