//! What the test programs share.
#![allow(dead_code, unreachable_pub, reason = "every program uses a part of it")]

pub mod github;
pub mod identity_providers;
pub mod ledger;
pub mod log;
pub mod mmdb;
pub mod openid;
pub mod sockets;
pub mod wire;
pub mod wrapping_store;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::issuer::SigningKey;
use tower_access::login::mail::{Mail, MailFuture, Mailer};
use tower_access::token::{Audiences, Claims, TokenKind};

pub const NOW: u64 = 1_790_000_000;

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_unix_seconds(NOW)))
}

/// Mail that arrived, newest last.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Mutex<Vec<Mail>>>);

impl Mailer for Mailbox {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        self.0.lock().unwrap().push(mail);
        Box::pin(async { Ok(()) })
    }
}

impl Mailbox {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The newest one.
    pub fn last(&self) -> Mail {
        self.0.lock().unwrap().last().expect("a mail").clone()
    }

    /// Waits for the mail that the last request caused, and reads its code.
    pub async fn code(&self, count: usize) -> String {
        for attempt in 0..1_000 {
            if self.len() >= count {
                return code_in(&self.0.lock().unwrap().last().unwrap().text);
            }
            tokio::task::yield_now().await;
            // It may be that another thread mails it.
            if attempt > 500 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        panic!("no mail arrived");
    }
}

pub fn code_in(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    words.rfind(|word| word.len() >= 6).expect("a code in the mail").to_owned()
}

/// A code that is not this one, as long as it.
pub fn another_code(code: &str) -> String {
    let count = 10_u64.pow(u32::try_from(code.len()).unwrap());
    format!("{:0width$}", (code.parse::<u64>().unwrap() + 1) % count, width = code.len())
}

/// An inner service that keeps what it received and answers with a line.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub received: Arc<Mutex<Vec<http::request::Parts>>>,
}

impl Origin {
    pub fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    pub fn last(&self) -> http::request::Parts {
        self.received.lock().unwrap().last().cloned().expect("the origin was asked")
    }
}

impl<B: Send + 'static> Service<Request<B>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().to_string();
        self.received.lock().unwrap().push(request.into_parts().0);
        std::future::ready(Ok(Response::new(Full::from(format!("origin saw {path}")))))
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub parts: http::response::Parts,
    pub text: String,
}

impl Answer {
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }

    pub fn location(&self) -> &str {
        self.parts.headers[LOCATION].to_str().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `Set-Cookie` line of a cookie.
    pub fn set_cookie(&self, name: &str) -> Option<&str> {
        self.parts
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|line| line.to_str().unwrap())
            .find(|line| line.split('=').next() == Some(name))
    }
}

/// A browser: one cookie jar for each host, redirects followed on request.
pub struct Browser<S> {
    service: S,
    jars: HashMap<String, HashMap<(String, String), String>>,
    pub headers: Vec<(&'static str, String)>,
}

impl<S, R> Browser<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    pub fn new(service: S) -> Self {
        Self { service, jars: HashMap::new(), headers: vec![("accept", "text/html".to_owned())] }
    }

    /// The same browser, with another service on the line.
    pub fn at(&self, service: S) -> Self {
        Self { service, jars: self.jars.clone(), headers: self.headers.clone() }
    }

    pub async fn get(&mut self, url: &str) -> Answer {
        self.send("GET", url, "").await
    }

    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send("POST", url, &form).await
    }

    /// Follows redirects until an answer is none.
    pub async fn visit(&mut self, url: &str) -> (String, Answer) {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let answer = self.get(&url).await;
            if answer.status() != StatusCode::FOUND {
                return (url, answer);
            }
            url = answer.location().to_owned();
        }
        panic!("too many redirects, the last to {url}");
    }

    /// As [`visit`](Self::visit), also where a server may go away on the way.
    pub async fn get_through(&mut self, url: &str) -> (String, Answer) {
        let (mut url, mut answer) = (url.to_owned(), self.get(url).await);
        for _ in 0..10 {
            if answer.status() != StatusCode::FOUND {
                break;
            }
            url = answer.location().to_owned();
            answer = self.get(&url).await;
        }
        (url, answer)
    }

    pub async fn send(&mut self, method: &str, url: &str, body: &str) -> Answer {
        let url = url::Url::parse(url).unwrap();
        let host = url.host_str().unwrap().to_owned();
        let jar = self.jars.entry(host.clone()).or_default();
        let mut cookies: Vec<_> =
            jar.iter().filter(|((_, path), _)| url.path().starts_with(path.as_str())).collect();
        cookies.sort_by_key(|((_, path), _)| std::cmp::Reverse(path.len()));
        let cookies: Vec<_> =
            cookies.into_iter().map(|((name, _), value)| format!("{name}={value}")).collect();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", host.as_str())
            .header("content-type", "application/x-www-form-urlencoded");
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = send(&self.service, request.body(Full::from(body.to_owned())).unwrap()).await;
        let jar = self.jars.entry(host).or_default();
        for line in answer.parts.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let cookie = cookie::Cookie::parse(line.to_owned()).unwrap();
            let key = (cookie.name().to_owned(), cookie.path().unwrap_or("/").to_owned());
            if line.contains("01 Jan 1970") {
                jar.remove(&key);
            } else {
                jar.insert(key, cookie.value().to_owned());
            }
        }
        answer
    }

    /// A cookie: that of the whole host, where others have its name.
    pub fn cookie(&self, host: &str, name: &str) -> Option<String> {
        let any = || {
            let jar = self.jars.get(host)?;
            jar.iter().find(|((key, _), _)| key == name).map(|(_, value)| value.clone())
        };
        self.cookie_at(host, name, "/").or_else(any)
    }

    /// A cookie with this path.
    pub fn cookie_at(&self, host: &str, name: &str, path: &str) -> Option<String> {
        self.jars.get(host)?.get(&(name.to_owned(), path.to_owned())).cloned()
    }

    pub fn count_cookies(&self, host: &str) -> usize {
        self.jars.get(host).map_or(0, HashMap::len)
    }

    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        let jar = self.jars.entry(host.to_owned()).or_default();
        jar.insert((name.to_owned(), "/".to_owned()), value.to_owned());
    }

    /// A cookie that another host planted, for the login's endpoints.
    pub fn plant(&mut self, host: &str, name: &str, value: &str) {
        let jar = self.jars.entry(host.to_owned()).or_default();
        jar.insert((name.to_owned(), "/cdn-cgi/access".to_owned()), value.to_owned());
    }

    pub fn forget(&mut self, host: &str) {
        self.jars.remove(host);
    }
}

/// From a protected page to the page that asks for the code.
pub async fn ask_for_code<S, R>(browser: &mut Browser<S>, url: &str, email: &str) -> Form
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let (page_url, page) = browser.visit(url).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
    let form = Form::of(&page_url, &page.text);
    let answer = form.submit(browser, &[("email", email)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let code_url = absolute(&page_url, answer.location());
    let page = browser.get(&code_url).await;
    assert_eq!(page.status(), StatusCode::OK);
    Form::of(&code_url, &page.text)
}

/// A whole login, up to the answer of the origin.
pub async fn log_in<S, R>(
    browser: &mut Browser<S>,
    mail: &Mailbox,
    url: &str,
    email: &str,
) -> String
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let before = mail.len();
    let form = ask_for_code(browser, url, email).await;
    let code = mail.code(before + 1).await;
    let answer = form.submit(browser, &[("code", &code)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let (_, page) = browser.visit(answer.location()).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
    page.text
}

/// A form of a page: where it goes, and its hidden fields.
pub struct Form {
    pub action: String,
    pub hidden: Vec<(String, String)>,
}

impl Form {
    pub fn of(page_url: &str, html: &str) -> Self {
        let form = html.split("<form").nth(1).expect("a form").split("</form>").next().unwrap();
        let action = attribute(form, "action").unwrap();
        let hidden = form
            .split("<input")
            .skip(1)
            .filter(|input| input.split('>').next().unwrap().contains("type=\"hidden\""))
            .map(|input| (attribute(input, "name").unwrap(), attribute(input, "value").unwrap()))
            .collect();
        Self { action: absolute(page_url, &action), hidden }
    }

    pub async fn submit<S, R>(&self, browser: &mut Browser<S>, typed: &[(&str, &str)]) -> Answer
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
        S::Error: std::fmt::Debug,
        R: http_body::Body<Data = Bytes>,
        R::Error: std::fmt::Debug,
    {
        let hidden = self.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<_> = hidden.chain(typed.iter().copied()).collect();
        browser.post(&self.action, &fields).await
    }

    pub fn value(&self, name: &str) -> &str {
        self.hidden.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap()
    }
}

pub fn attribute(html: &str, name: &str) -> Option<String> {
    let value = html.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(
        value
            .replace("&#38;", "&")
            .replace("&amp;", "&")
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">"),
    )
}

pub fn absolute(base: &str, reference: &str) -> String {
    url::Url::parse(base).unwrap().join(reference).unwrap().to_string()
}

pub async fn send<S, R>(service: &S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    Answer { parts, text: String::from_utf8(text.to_vec()).unwrap() }
}

/// The value of a query parameter of an address.
pub fn query(url: &str, name: &str) -> Option<String> {
    let url = url::Url::options()
        .base_url(Some(&url::Url::parse("https://x/").unwrap()))
        .parse(url)
        .unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A signing key, and another copy of it.
pub fn two_copies_of_a_key() -> (SigningKey, SigningKey) {
    let key = SigningKey::generate().unwrap();
    let copy = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
    (key, copy)
}

/// The claims of a person's application token, good for an hour.
pub fn person(issuer: &str, audience: &str, email: &str) -> Claims {
    let issued = Timestamp::from_unix_seconds(NOW);
    let expires = Timestamp::from_unix_seconds(NOW + 3600);
    let audience = Audiences::single(audience);
    let mut claims = Claims::new(TokenKind::Application, issuer, audience, issued, expires);
    claims.nbf = Some(NOW);
    claims.sub = Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned());
    claims.email = Some(email.to_owned());
    claims.identity_nonce = Some("q2ZkWf0yTn9sVb3L".to_owned());
    claims.country = Some("FR".to_owned());
    claims
}
