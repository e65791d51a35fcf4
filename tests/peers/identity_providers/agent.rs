//! A browser without a screen: it knows which site asked for what, and sends cookies accordingly.
//!
//! It follows redirects, and submits a page's form where a script of the page does. Hosts below `example.com` are
//! the proxy; all others are where they say.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use cookie::{Cookie, SameSite};
use futures_util::StreamExt;
use http::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use url::Url;

use crate::support::attribute;

/// A page that is shown.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    /// The page without its head, for messages.
    fn body(&self) -> &str {
        self.text.split_once("<body>").map_or(&self.text, |(_, body)| body)
    }

    /// Sees that it says something.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(
            self.text.contains(text),
            "no {text:?}: {} {}\n{}",
            self.status,
            self.url,
            self.body()
        );
        self
    }

    /// Sees what its status is.
    #[track_caller]
    pub(crate) fn has_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}\n{}", self.url, self.body());
        self
    }

    /// The form with this button; else the first one, since a button may be elsewhere on the page.
    pub(crate) fn form(&self, button: &str) -> Form {
        let forms = || {
            let parts = self.text.split("<form").skip(1);
            parts.map(|form| form.split("</form>").next().unwrap())
        };
        assert!(
            self.text.contains(button),
            "no button {button:?} on {}\n{}",
            self.url,
            self.body()
        );
        let form = forms().find(|form| form.contains(button)).or_else(|| forms().next());
        let form = form.unwrap_or_else(|| panic!("no form on {}\n{}", self.url, self.body()));
        let head = form.split('>').next().unwrap();
        let action = attribute(head, "action").unwrap_or_default();
        let is_post = attribute(head, "method").is_some_and(|it| it.eq_ignore_ascii_case("post"));
        let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().unwrap());
        let hidden = inputs.filter(|input| input.contains("hidden")).map(|input| {
            (attribute(input, "name").unwrap(), attribute(input, "value").unwrap_or_default())
        });
        Form {
            page: self.url.clone(),
            action: self.url.join(&action).unwrap(),
            method: if is_post { Method::POST } else { Method::GET },
            fields: hidden.collect(),
        }
    }

    /// Where the link with this text leads.
    pub(crate) fn link(&self, text: &str) -> Url {
        let link = self.text.split("<a ").skip(1).find(|link| {
            let link = link.split("</a>").next().unwrap();
            link.split_once('>').is_some_and(|(_, shown)| shown.trim() == text)
        });
        let link =
            link.unwrap_or_else(|| panic!("no link {text:?} on {}\n{}", self.url, self.body()));
        self.url.join(&attribute(link.split('>').next().unwrap(), "href").unwrap()).unwrap()
    }
}

/// A form that may be sent, also more than once.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    page: Url,
    pub(crate) action: Url,
    method: Method,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn field(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(key, _)| key == name);
        &field.unwrap_or_else(|| panic!("no field {name} in {self:?}")).1
    }

    /// The same with another value of a field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(key, _)| key != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The browser.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    proxy: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    /// By host, path and name.
    cookies: BTreeMap<(String, String, String), Cookie<'static>>,
    /// Whether scripts of pages submit forms.
    pub(crate) runs_scripts: bool,
    /// Whether it goes where an answer sends it.
    pub(crate) follows_redirects: bool,
    /// Where it was: each redirect too.
    pub(crate) visited: Vec<Url>,
}

impl Agent {
    pub(crate) fn new(proxy: SocketAddr) -> Self {
        Self {
            proxy,
            client: Client::builder(TokioExecutor::new()).build_http(),
            cookies: BTreeMap::new(),
            runs_scripts: true,
            follows_redirects: true,
            visited: Vec::new(),
        }
    }

    /// Goes to an address that somebody typed.
    pub(crate) async fn open(&mut self, url: &str) -> Page {
        self.navigate(None, Method::GET, Url::parse(url).unwrap(), String::new()).await
    }

    /// Sends a form that is on no page, as a program does it.
    pub(crate) async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        let url = Url::parse(url).unwrap();
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let form =
            Form { page: url.clone(), action: url, method: Method::POST, fields: fields.collect() };
        self.send(&form).await
    }

    /// Follows the link with this text.
    pub(crate) async fn follow(&mut self, page: &Page, link: &str) -> Page {
        self.navigate(Some(&page.url), Method::GET, page.link(link), String::new()).await
    }

    /// Submits the form that has this button.
    pub(crate) async fn submit(
        &mut self,
        page: &Page,
        button: &str,
        typed: &[(&str, &str)],
    ) -> Page {
        let mut form = page.form(button);
        form.fields
            .extend(typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.send(&form).await
    }

    pub(crate) async fn send(&mut self, form: &Form) -> Page {
        let encoded = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&form.fields)
            .finish();
        let mut action = form.action.clone();
        let body = if form.method == Method::POST {
            encoded
        } else {
            action.set_query(Some(&encoded));
            String::new()
        };
        self.navigate(Some(&form.page), form.method.clone(), action, body).await
    }

    /// `from` is the page that leads there.
    async fn navigate(
        &mut self,
        from: Option<&Url>,
        method: Method,
        url: Url,
        body: String,
    ) -> Page {
        let (mut from, mut method, mut url, mut body) = (from.cloned(), method, url, body);
        for _ in 0..20 {
            let (headers, status, text) =
                self.request(from.as_ref(), &method, &url, body.clone()).await;
            self.visited.push(url.clone());
            self.store(&url, &headers);
            let is_redirect = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
            if is_redirect && self.follows_redirects {
                url = url.join(headers[LOCATION].to_str().unwrap()).unwrap();
                if !matches!(status.as_u16(), 307 | 308) {
                    method = Method::GET;
                    body.clear();
                }
                continue;
            }
            let page = Page { url: url.clone(), status, headers, text };
            if self.runs_scripts && page.text.contains("document.forms[0].submit()") {
                let form = page.form("");
                body = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(&form.fields)
                    .finish();
                (from, method, url) = (Some(page.url), form.method, form.action);
                continue;
            }
            return page;
        }
        panic!("too many redirects: {:#?}", self.visited);
    }

    async fn request(
        &self,
        from: Option<&Url>,
        method: &Method,
        url: &Url,
        body: String,
    ) -> (HeaderMap, StatusCode, String) {
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let uri = format!("http://{}{target}", self.address(url));
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(HOST, authority)
            .header("accept", "text/html")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Agent of the tests")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", from.map_or("none", |from| relation(from, url)));
        if *method == Method::POST {
            let from = from.unwrap().origin().ascii_serialization();
            request = request.header(ORIGIN, from);
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let is_same_site = from.is_none_or(|from| site(from) == site(url));
        let cookies = self.cookies_for(url, is_same_site, *method == Method::GET);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        let request = request.body(Full::from(body)).unwrap();
        let answer = self.client.request(request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        let (parts, body) = answer.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        (parts.headers, parts.status, String::from_utf8_lossy(&text).into_owned())
    }

    /// Opens a WebSocket from a page of the same host.
    pub(crate) async fn web_socket(&self, url: &str) -> WebSocket {
        let url = Url::parse(url).unwrap();
        let host = url.host_str().unwrap();
        let mut request = format!("ws://{host}{}", url.path()).into_client_request().unwrap();
        let cookies = self.cookies_for(&url, true, true);
        request.headers_mut().insert(COOKIE, cookies.parse().unwrap());
        request.headers_mut().insert(ORIGIN, format!("https://{host}").parse().unwrap());
        let stream = TcpStream::connect(self.address(&url)).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        WebSocket(socket)
    }

    fn address(&self, url: &Url) -> String {
        let host = url.host_str().unwrap();
        if host.ends_with(".example.com") {
            return self.proxy.to_string();
        }
        format!("{host}:{}", url.port_or_known_default().unwrap())
    }

    /// `is_get` is whether it is a navigation that `Lax` cookies go along with from other sites.
    fn cookies_for(&self, url: &Url, is_same_site: bool, is_get: bool) -> String {
        let mut cookies: Vec<_> = self
            .cookies
            .iter()
            .filter(|((host, path, _), cookie)| {
                // Chromium takes a cookie that says nothing for a lax one.
                let goes_along = match cookie.same_site().unwrap_or(SameSite::Lax) {
                    SameSite::Strict => is_same_site,
                    SameSite::Lax => is_same_site || is_get,
                    SameSite::None => cookie.secure() == Some(true) || is_same_site || is_get,
                };
                Some(host.as_str()) == url.host_str() && is_below(url.path(), path) && goes_along
            })
            .collect();
        cookies.sort_by_key(|((_, path, _), _)| std::cmp::Reverse(path.len()));
        let pairs =
            cookies.iter().map(|(_, cookie)| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn store(&mut self, url: &Url, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let cookie = Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            assert!(cookie.domain().is_none(), "a cookie for other hosts: {cookie}");
            assert!(cookie.secure() != Some(true) || url.scheme() == "https", "{url}: {cookie}");
            let folder = url.path().rsplit_once('/').unwrap().0;
            let default = if folder.is_empty() { "/" } else { folder };
            let path = cookie.path().unwrap_or(default).to_owned();
            let host = url.host_str().unwrap().to_owned();
            let key = (host, path, cookie.name().to_owned());
            let is_over = cookie.max_age().is_some_and(|age| age.is_zero())
                || line.to_str().unwrap().contains("01 Jan 1970");
            if is_over {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, cookie);
            }
        }
    }

    /// A cookie of a host.
    pub(crate) fn cookie(&self, host: &str, name: &str) -> Option<String> {
        let mut cookies = self.cookies.iter();
        let cookie = cookies.find(|((of, _, key), _)| of == host && key == name);
        cookie.map(|(_, cookie)| cookie.value().to_owned())
    }

    /// The names of the cookies of a host.
    pub(crate) fn cookie_names(&self, host: &str) -> Vec<&str> {
        let cookies = self.cookies.keys().filter(|(of, _, _)| of == host);
        cookies.map(|(_, _, name)| name.as_str()).collect()
    }

    pub(crate) fn forget(&mut self, host: &str) {
        self.cookies.retain(|(of, _, _), _| of != host);
    }
}

/// An open WebSocket.
pub(crate) struct WebSocket(WebSocketStream<TcpStream>);

impl WebSocket {
    /// Waits until it is closed.
    pub(crate) async fn closed(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Whether something comes back of what is sent.
    pub(crate) async fn echoes(&mut self) -> bool {
        use futures_util::SinkExt;
        use tokio_tungstenite::tungstenite::Message;

        let sent = Message::text("are you there");
        if self.0.send(sent.clone()).await.is_err() {
            return false;
        }
        matches!(self.0.next().await, Some(Ok(message)) if message == sent)
    }
}

fn is_below(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}

/// Scheme and registrable domain, as far as the names of the tests go.
fn site(url: &Url) -> String {
    let host = url.host_str().unwrap();
    let domain = match url.host().unwrap() {
        url::Host::Domain(_) => {
            let mut labels = host.rsplit('.');
            let (last, second) = (labels.next().unwrap(), labels.next().unwrap_or_default());
            format!("{second}.{last}")
        }
        _ => host.to_owned(),
    };
    format!("{}://{domain}", url.scheme())
}

fn relation(from: &Url, to: &Url) -> &'static str {
    match from {
        _ if from.origin() == to.origin() => "same-origin",
        _ if site(from) == site(to) => "same-site",
        _ => "cross-site",
    }
}
