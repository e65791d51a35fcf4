//! Applications that ask for a second cookie: a token that was stolen alone opens nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::application::{Application, SameSite};
use tower_access::clock::ManualClock;
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::token::TokenErrorKind;
use tower_access::{Access, AccessLayer, Identity, Rejection, RejectionKind};

use crate::support::{Answer, Browser, Mailbox, Origin, clock, send};

type Service = AccessService<Origin>;

const VAULT: &str = "vault.example.com";
const SAFE: &str = "safe.example.com";
const WIKI: &str = "wiki.example.com";
const TEAM: &str = "login.example.com";
const TOKEN: &str = "CF_Authorization";
const BINDING: &str = "CF_Binding";
const ADA: &str = "ada@example.com";

struct World {
    access: Access,
    service: Service,
    origin: Origin,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

/// A vault and a safe that ask for the second cookie, and a wiki that does not.
fn world() -> World {
    world_with(|vault| vault)
}

fn world_with(vault: impl Fn(Application) -> Application) -> World {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let application = |name: &str, host: &str| {
        Application::new(name, host)
            .unwrap()
            .policy(Policy::service_auth("ci").include(Rule::service_token("ci")))
            .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
    };
    let access = Access::builder()
        .team_domain(TEAM.parse().unwrap())
        .application(vault(application("Vault", VAULT).binding_cookie()))
        .application(application("Safe", SAFE).binding_cookie())
        .application(application("Wiki", WIKI))
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, service, origin, mail, clock }
}

/// What a browser has for a host once somebody has logged in there.
#[derive(Clone, Debug)]
struct Pair {
    token: String,
    binding: String,
}

impl World {
    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }

    /// A whole login that begins at a host. All answers, the origin's last.
    async fn log_in(&self, browser: &mut Browser<Service>, host: &str, email: &str) -> Vec<Answer> {
        let mails = self.mail.len();
        let (url, page) = browser.visit(&format!("https://{host}/")).await;
        let (action, mut fields) = form(&url, &page.text);
        fields.push(("email".to_owned(), email.to_owned()));
        let sent = submit(browser, &action, &fields).await;
        let url = join(&url, sent.location());
        let page = browser.get(&url).await;
        let (action, mut fields) = form(&url, &page.text);
        fields.push(("code".to_owned(), self.mail.code(mails + 1).await));
        let done = submit(browser, &action, &fields).await;
        let authorized = browser.get(done.location()).await;
        let last = browser.get(&format!("https://{host}/")).await;
        vec![done, authorized, last]
    }

    /// A login of its own in a browser of its own.
    async fn logged_in(&self, host: &str, email: &str) -> (Browser<Service>, Pair) {
        let mut browser = self.browser();
        let answers = self.log_in(&mut browser, host, email).await;
        assert_eq!(answers.last().unwrap().status(), StatusCode::OK);
        let pair = pair(&browser, host);
        (browser, pair)
    }

    /// Asks with these lines and no others.
    async fn ask(&self, host: &str, lines: &[(&str, &str)]) -> Answer {
        send(&self.service, request("GET", host, lines)).await
    }

    async fn with_cookies(&self, host: &str, cookies: &[(&str, &str)]) -> Answer {
        self.ask(host, &[("cookie", &cookie_line(cookies))]).await
    }

    /// Holds an answer to be a way to the login, and one that says it was about the binding.
    fn is_sent_to_log_in(&self, answer: &Answer, origin_asked: usize) {
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        let login = format!("https://{TEAM}/cdn-cgi/access/login/");
        assert!(answer.location().starts_with(&login), "{}", answer.location());
        let rejection = rejection(answer);
        assert_eq!(rejection.kind(), RejectionKind::LoginRequired);
        assert_eq!(rejection.token_error(), Some(TokenErrorKind::Binding));
        assert_eq!(self.origin.count(), origin_asked, "the inner service was not asked");
    }
}

fn rejection(answer: &Answer) -> &Rejection {
    answer.parts.extensions.get::<Rejection>().unwrap()
}

fn pair(browser: &Browser<Service>, host: &str) -> Pair {
    let cookie = |name| browser.cookie(host, name).unwrap();
    Pair { token: cookie(TOKEN), binding: cookie(BINDING) }
}

fn cookie_line(cookies: &[(&str, &str)]) -> String {
    let cookies: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    cookies.join("; ")
}

fn request(method: &str, host: &str, lines: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri("/").header("host", host);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

/// Where a page's form goes, and its hidden fields.
fn form(page_url: &str, html: &str) -> (String, Vec<(String, String)>) {
    let form = html.split("<form").nth(1).expect("a form").split("</form>").next().unwrap();
    let attribute = |html: &str, name: &str| {
        let value = html.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
        value.replace("&#38;", "&").replace("&amp;", "&")
    };
    let hidden = form
        .split("<input")
        .skip(1)
        .filter(|input| input.split('>').next().unwrap().contains("type=\"hidden\""))
        .map(|input| (attribute(input, "name"), attribute(input, "value")))
        .collect();
    (join(page_url, &attribute(form, "action")), hidden)
}

async fn submit(
    browser: &mut Browser<Service>,
    action: &str,
    fields: &[(String, String)],
) -> Answer {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = browser.post(action, &fields).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    answer
}

fn join(base: &str, reference: &str) -> String {
    url::Url::parse(base).unwrap().join(reference).unwrap().to_string()
}

#[tokio::test]
async fn ses_23_a_login_sets_both_cookies_with_the_attributes_of_the_application() {
    for (same_site, word) in
        [(SameSite::None, "None"), (SameSite::Lax, "Lax"), (SameSite::Strict, "Strict")]
    {
        let world = world_with(|vault| vault.same_site_cookie(same_site));
        let mut browser = world.browser();
        let answers = world.log_in(&mut browser, VAULT, ADA).await;
        let [_, authorized, last] = &answers[..] else { panic!("{answers:?}") };
        for name in [TOKEN, BINDING] {
            let line = authorized.set_cookie(name).unwrap();
            let parts: Vec<_> = line.split("; ").collect();
            let same_site = format!("SameSite={word}");
            for part in ["Secure", "HttpOnly", "Path=/", same_site.as_str()] {
                assert!(parts.contains(&part), "{part} in {line}");
            }
            assert!(parts.iter().any(|part| part.starts_with("Expires=")), "{line}");
            assert!(!line.contains("Domain"), "for this host alone: {line}");
        }
        let Pair { token, binding } = pair(&browser, VAULT);
        assert_ne!(token, binding);
        assert_eq!((last.status(), last.text.as_str()), (StatusCode::OK, "origin saw /"));
    }
}

#[tokio::test]
async fn ses_23_the_binding_cookie_is_not_for_scripts_even_where_the_token_is() {
    let world = world_with(Application::insecure_cookie_for_scripts);
    let answers = world.log_in(&mut world.browser(), VAULT, ADA).await;
    assert!(!answers[1].set_cookie(TOKEN).unwrap().contains("HttpOnly"));
    assert!(answers[1].set_cookie(BINDING).unwrap().contains("HttpOnly"));
}

#[tokio::test]
async fn ses_23_a_token_that_was_stolen_alone_opens_nothing() {
    let world = world();
    let (_, ada) = world.logged_in(VAULT, ADA).await;
    let before = world.origin.count();
    // Seen by the verifier before, and again and again.
    for _ in 0..5 {
        let answer = world.with_cookies(VAULT, &[(TOKEN, &ada.token)]).await;
        world.is_sent_to_log_in(&answer, before);
        let answer = world.ask(VAULT, &[("cf-access-token", &ada.token)]).await;
        world.is_sent_to_log_in(&answer, before);
    }
    // A script is told where the login is.
    let cookie = cookie_line(&[(TOKEN, &ada.token)]);
    for line in [("cookie", cookie.as_str()), ("cf-access-token", &ada.token)] {
        let answer = send(&world.service, request("POST", VAULT, &[line])).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(answer.text.contains("login_required"), "{}", answer.text);
        assert_eq!(rejection(&answer).token_error(), Some(TokenErrorKind::Binding));
    }
    assert_eq!(world.origin.count(), before);
}

#[tokio::test]
async fn ses_23_the_binding_of_somebody_or_something_else_does_not_do() {
    let world = world();
    let (mut browser, ada) = world.logged_in(VAULT, ADA).await;
    let (_, again) = world.logged_in(VAULT, ADA).await;
    let (_, bob) = world.logged_in(VAULT, "bob@example.com").await;
    let (_, page) = browser.visit(&format!("https://{SAFE}/")).await;
    assert_eq!(page.status(), StatusCode::OK, "the same session");
    let safe = pair(&browser, SAFE);
    let team = browser.cookie(TEAM, TOKEN).unwrap();
    let (_, stranger) = self::world().logged_in(VAULT, ADA).await;
    // The signature's last character tells four values apart: another one is another signature.
    let (start, last) = ada.binding.split_at(ada.binding.len() - 1);
    let damaged = format!("{start}{}", if last == "A" { "Q" } else { "A" });
    let before = world.origin.count();
    for (what, binding) in [
        ("another session", &again.binding),
        ("another person", &bob.binding),
        ("another application", &safe.binding),
        ("another deployment", &stranger.binding),
        ("the token itself", &ada.token),
        ("another token", &again.token),
        ("the session's token", &team),
        ("damaged", &damaged),
        ("empty", &String::new()),
        ("nonsense", &"a.b.c".to_owned()),
    ] {
        let cookies = [(TOKEN, ada.token.as_str()), (BINDING, binding)];
        let answer = world.with_cookies(VAULT, &cookies).await;
        assert_ne!(answer.status(), StatusCode::OK, "{what}");
        world.is_sent_to_log_in(&answer, before);
        let cookie = cookie_line(&[(BINDING, binding)]);
        let lines = [("cf-access-token", ada.token.as_str()), ("cookie", &cookie)];
        let answer = world.ask(VAULT, &lines).await;
        world.is_sent_to_log_in(&answer, before);
    }
    // The tokens of the two sessions with each other's bindings: neither way.
    let crossed = [(TOKEN, again.token.as_str()), (BINDING, &ada.binding)];
    world.is_sent_to_log_in(&world.with_cookies(VAULT, &crossed).await, before);
    // Nor on the other application, for which there is a good token.
    let elsewhere = [(TOKEN, safe.token.as_str()), (BINDING, &ada.binding)];
    world.is_sent_to_log_in(&world.with_cookies(SAFE, &elsewhere).await, before);
}

#[tokio::test]
async fn ses_23_both_together_open_and_the_inner_service_sees_one_of_them() {
    let world = world();
    let (_, ada) = world.logged_in(VAULT, ADA).await;
    let (token, binding) = ((TOKEN, ada.token.as_str()), (BINDING, ada.binding.as_str()));
    for cookies in [
        &[token, binding][..],
        &[binding, token],
        &[("theme", "dark"), binding, ("lang", "fr"), token],
        // SES-02: planted ones do not lock out.
        &[(BINDING, "a.b.c"), (BINDING, &ada.token), token, binding],
        &[binding, (BINDING, "a.b.c"), (TOKEN, "a.b.c"), token],
    ] {
        for _ in 0..3 {
            let answer = world.with_cookies(VAULT, cookies).await;
            assert_eq!(answer.status(), StatusCode::OK, "{cookies:?}");
            let seen = world.origin.last();
            assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
            assert_eq!(seen.headers["cf-access-jwt-assertion"], ada.token);
            for (name, value) in &seen.headers {
                let value = value.to_str().unwrap();
                assert!(!value.contains(BINDING) && !value.contains(&ada.binding), "{name}");
            }
            assert!(seen.headers["cookie"].to_str().unwrap().contains(&ada.token));
        }
    }
    let cookie = cookie_line(&[binding]);
    let lines = [("cf-access-token", ada.token.as_str()), ("cookie", &cookie)];
    assert_eq!(world.ask(VAULT, &lines).await.status(), StatusCode::OK);
    assert!(!world.origin.last().headers.contains_key("cookie"), "the binding was all of it");
}

#[tokio::test]
async fn ses_02_ses_03_ses_23_a_good_token_that_was_planted_locks_nobody_out() {
    let world = world();
    let (_, ada) = world.logged_in(VAULT, ADA).await;
    let (_, eve) = world.logged_in(VAULT, "eve@example.com").await;
    let (planted, hers) = ((TOKEN, eve.token.as_str()), (TOKEN, ada.token.as_str()));
    let binding = (BINDING, ada.binding.as_str());
    for cookies in [[planted, hers, binding], [hers, planted, binding]] {
        let answer = world.with_cookies(VAULT, &cookies).await;
        assert_eq!(answer.status(), StatusCode::OK, "{cookies:?}");
        let seen = world.origin.last();
        assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
    }
}

#[tokio::test]
async fn ses_08_ses_09_ses_23_a_logout_clears_and_ends_both() {
    let world = world();
    let (mut browser, ada) = world.logged_in(VAULT, ADA).await;
    let both = [(TOKEN, ada.token.as_str()), (BINDING, ada.binding.as_str())];
    assert_eq!(world.with_cookies(VAULT, &both).await.status(), StatusCode::OK);
    let out = browser.get(&format!("https://{VAULT}/cdn-cgi/access/logout")).await;
    assert_eq!(out.status(), StatusCode::OK);
    let line = out.set_cookie(BINDING).unwrap();
    assert!(line.contains("01 Jan 1970") && line.contains("Path=/"), "{line}");
    assert!(browser.cookie(VAULT, BINDING).is_none());
    let answer = world.with_cookies(VAULT, &both).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(rejection(&answer).token_error(), Some(TokenErrorKind::Revoked));
}

#[tokio::test]
async fn ses_10_ses_23_a_binding_ends_with_what_is_revoked() {
    for way in 0..3 {
        let world = world();
        let (_, ada) = world.logged_in(VAULT, ADA).await;
        let both = [(TOKEN, ada.token.as_str()), (BINDING, ada.binding.as_str())];
        for _ in 0..5 {
            assert_eq!(world.with_cookies(VAULT, &both).await.status(), StatusCode::OK);
        }
        let identity = world.origin.last().extensions.get::<Identity>().unwrap().clone();
        match way {
            0 => world.access.revoke_user(&ADA.parse().unwrap()).await.map(drop).unwrap(),
            1 => {
                world.access.revoke_session(identity.session_id().unwrap()).await.map(drop).unwrap()
            }
            _ => world.clock.advance(Duration::from_secs(24 * 3600)),
        }
        let answer = world.with_cookies(VAULT, &both).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "way {way}");
    }
}

#[tokio::test]
async fn ses_23_a_token_that_is_renewed_is_bound_to_the_same_session() {
    let world = world_with(|vault| vault.session_duration(Duration::from_secs(60)));
    let mut browser = world.browser();
    // The session lives longer than the application's token: set by the safe.
    world.log_in(&mut browser, SAFE, ADA).await;
    browser.visit(&format!("https://{VAULT}/")).await;
    let first = pair(&browser, VAULT);
    world.clock.advance(Duration::from_secs(61));
    let (_, page) = browser.visit(&format!("https://{VAULT}/")).await;
    assert_eq!((page.status(), page.text.as_str()), (StatusCode::OK, "origin saw /"));
    assert_eq!(world.mail.len(), 1, "without another question");
    let second = pair(&browser, VAULT);
    assert_ne!(first.token, second.token);
    let kept = [(TOKEN, second.token.as_str()), (BINDING, first.binding.as_str())];
    assert_eq!(world.with_cookies(VAULT, &kept).await.status(), StatusCode::OK);
    let old = [(TOKEN, first.token.as_str()), (BINDING, second.binding.as_str())];
    assert_eq!(world.with_cookies(VAULT, &old).await.status(), StatusCode::FOUND, "expired");
}

#[tokio::test]
async fn ses_23_an_application_without_the_switch_needs_no_binding() {
    let world = world();
    let mut browser = world.browser();
    let answers = world.log_in(&mut browser, WIKI, ADA).await;
    assert!(answers.iter().all(|answer| answer.set_cookie(BINDING).is_none()));
    let token = browser.cookie(WIKI, TOKEN).unwrap();
    for cookies in [&[(TOKEN, token.as_str())][..], &[(TOKEN, &token), (BINDING, "a.b.c")]] {
        let answer = world.with_cookies(WIKI, cookies).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let seen = world.origin.last().headers;
        assert!(!seen["cookie"].to_str().unwrap().contains(BINDING));
    }
    assert_eq!(world.ask(WIKI, &[("cf-access-token", &token)]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn ses_23_service_tokens_are_not_concerned() {
    let world = world();
    let ci = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    for lines in [&ci[..], &[ci[0], ci[1], ("cookie", "CF_Binding=a.b.c")]] {
        let answer = world.ask(VAULT, lines).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.set_cookie(BINDING).is_none());
        let seen = world.origin.last();
        assert_eq!(seen.extensions.get::<Identity>().unwrap().client_id(), Some("ci.access"));
        assert!(!seen.headers.contains_key("cookie"));
    }
}

#[tokio::test]
async fn jwt_19_ses_23_the_binding_opens_nothing_as_a_token() {
    let world = world();
    let (_, ada) = world.logged_in(VAULT, ADA).await;
    let before = world.origin.count();
    let binding = ada.binding.as_str();
    let as_both = cookie_line(&[(TOKEN, binding), (BINDING, binding)]);
    let alone = cookie_line(&[(BINDING, binding)]);
    for lines in [
        &[("cookie", as_both.as_str())][..],
        &[("cf-access-token", binding)],
        &[("cf-access-token", binding), ("cookie", &as_both)],
    ] {
        for _ in 0..3 {
            let answer = world.ask(VAULT, lines).await;
            assert_eq!(answer.status(), StatusCode::FOUND);
            assert_eq!(rejection(&answer).token_error(), Some(TokenErrorKind::Type));
        }
    }
    let answer = world.ask(VAULT, &[("cookie", &alone)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(rejection(&answer).token_error(), None, "no token was there");
    assert_eq!(world.origin.count(), before);
    // Nor does it prove a session to the login.
    let cookie = cookie_line(&[(TOKEN, binding)]);
    let identity = Request::builder()
        .uri("/cdn-cgi/access/get-identity")
        .header("host", VAULT)
        .header("cookie", cookie)
        .body(Full::default())
        .unwrap();
    assert_ne!(send(&world.service, identity).await.status(), StatusCode::OK);
}
