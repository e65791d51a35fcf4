//! What is tested: the proxy as its example runs it, an origin behind it, a mail server beside it,
//! a browser and another site in front of it.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::extract::Query;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Html;
use http::{HeaderMap, Method, Uri};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::Layer;
use tower_access::clock::{Clock, ManualClock, SystemClock};
use tower_access::config::Config;
use tower_access::login::mail::{SmtpMailer, SmtpTls};
use tower_access::proxy::{ReverseProxy, ServeLimits, serve};
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::browser::Browser;
use crate::mail::MailServer;

pub(crate) const WIKI: &str = "https://wiki.example.com";
pub(crate) const BOARD: &str = "https://board.example.com";
/// Only `chair@example.com` may enter.
pub(crate) const VAULT: &str = "https://vault.example.com";
/// Its cookie is `SameSite=Strict`.
pub(crate) const STRICT: &str = "https://strict.example.com";
/// Nobody may enter.
pub(crate) const LOCKED: &str = "https://locked.example.com";
/// Everybody may enter, and its origin is down.
pub(crate) const BROKEN: &str = "https://broken.example.com";
/// The team domain.
pub(crate) const TEAM: &str = "https://login.example.com";
/// A site of somebody else.
pub(crate) const EVIL: &str = "https://evil.test";
/// Another one, which some applications trust.
pub(crate) const FRIEND: &str = "https://friend.test";

pub(crate) const ADA: &str = "ada@example.com";

pub(crate) struct World {
    pub(crate) browser: Browser,
    pub(crate) mail: MailServer,
    pub(crate) origin: Origin,
    pub(crate) clock: Arc<ManualClock>,
    /// The address of the plain listener.
    pub(crate) address: SocketAddr,
    /// Where browsers find hosts.
    rules: String,
}

impl World {
    /// Several applications and one team domain, over TLS, from a configuration file.
    pub(crate) async fn start() -> Self {
        Self::with_applications(&usual_applications()).await
    }

    /// These applications in place of the usual ones, as the file has them.
    pub(crate) async fn with_applications(applications: &str) -> Self {
        Self::with_team_domain(applications, |config, _, _| config.access().unwrap()).await
    }

    /// The same, with a clock that is moved by hand.
    pub(crate) async fn with_clock() -> Self {
        Self::with_clock_and(|builder| builder).await
    }

    /// The same, with further settings.
    pub(crate) async fn with_clock_and(
        settings: impl FnOnce(AccessBuilder) -> AccessBuilder,
    ) -> Self {
        Self::with_team_domain(&usual_applications(), |config, smtp_port, clock| {
            let mailer =
                SmtpMailer::new("127.0.0.1", smtp_port, SmtpTls::DangerousNone, SENDER).unwrap();
            let builder = Access::builder()
                .team_domain("login.example.com".parse().unwrap())
                .mailer(mailer)
                .clock(Arc::clone(clock));
            let applications = config.access.applications.iter().cloned();
            let builder = applications.fold(builder, AccessBuilder::application);
            settings(builder).build().unwrap()
        })
        .await
    }

    async fn with_team_domain(
        applications: &str,
        access: impl FnOnce(&Config, u16, &Arc<ManualClock>) -> Access,
    ) -> Self {
        let (origin, behind) = Origin::start().await;
        let mail = MailServer::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let text = team_configuration(address, behind, mail.port, applications);
        let config = Config::parse(&text, "test").unwrap();
        // Chromium looks at expiry dates with a clock of its own: begin with the real time.
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        run(listener, &config, access(&config, mail.port, &clock));
        let ours = encrypted(address).await;
        let others = encrypted(another_site().await).await;
        let rules = format!("MAP *.example.com {ours}, MAP *.test {others}");
        Self { browser: Browser::start(&rules).await, mail, origin, clock, address, rules }
    }

    /// A browser of somebody else, or of the same person elsewhere.
    pub(crate) async fn another_browser(&self) -> Browser {
        Browser::start(&self.rules).await
    }

    /// One application on `http://localhost`, as the demonstration has it: no team domain, no TLS.
    pub(crate) async fn on_localhost() -> Self {
        Self::on_localhost_with(&["localhost"]).await
    }

    /// The same, with an application for each of these places on it.
    pub(crate) async fn on_localhost_with(domains: &[&str]) -> Self {
        let (origin, behind) = Origin::start().await;
        let mail = MailServer::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let text = localhost_configuration(address, behind, mail.port, domains);
        let config = Config::parse(&text, "test").unwrap();
        run(listener, &config, config.access().unwrap());
        let rules = "MAP localhost 127.0.0.1".to_owned();
        let browser = Browser::start(&rules).await;
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        Self { browser, mail, origin, clock, address, rules }
    }

    /// From a protected page to the page that asks for the code.
    pub(crate) async fn ask_for_code(&self, url: &str, email: &str) {
        self.browser.open(url).await;
        self.browser.wait_for("Enter your email address").await;
        self.browser.fill("email", email).await;
        self.browser.click("Send me a code").await;
        self.browser.wait_for("Check your email").await;
    }

    pub(crate) async fn enter_code(&self, code: &str) {
        self.browser.fill("code", code).await;
        self.browser.click("Sign in").await;
    }

    /// A whole login, up to the page of the origin. Gives the code that was used.
    pub(crate) async fn log_in(&self, url: &str) -> String {
        let before = self.mail.all().len();
        self.ask_for_code(url, ADA).await;
        let code = self.mail.wait_for(before + 1).await.code();
        self.enter_code(&code).await;
        self.browser.wait_for("The origin").await;
        code
    }

    /// Sees that a page lets the browser in without a question.
    pub(crate) async fn assert_open(&self, url: &str) {
        self.browser.open(url).await;
        self.browser.wait_for("The origin").await;
        assert_eq!(self.browser.url().await, url);
    }

    /// Sees that a page sends the browser to the login.
    pub(crate) async fn assert_closed(&self, url: &str) {
        self.browser.open(url).await;
        self.browser.wait_for("Enter your email address").await;
    }
}

/// A code that is not this one.
pub(crate) fn another_code(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// The address of a page with this content, on a site that is not ours.
pub(crate) fn page_at(site: &str, html: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!("{site}/show?{}", query.append_pair("html", html).finish())
}

const SENDER: &str = "Access <access@example.com>";

fn usual_applications() -> String {
    let application = |name: &str, decision: &str, rule: &str| {
        let host = name.to_lowercase();
        format!(
            "
    - name: {name}
      domain: {host}.example.com
      policies:
        - name: Policy of {name}
          decision: {decision}
          include: [ {rule} ]"
        )
    };
    let staff = "{ email_domain: { domain: example.com } }";
    let chair = "{ email: { email: chair@example.com } }";
    let everyone = "{ everyone: {} }";
    [
        application("Wiki", "allow", staff),
        application("Board", "allow", staff),
        application("Vault", "allow", chair),
        application("Strict", "allow", staff) + "\n      same_site_cookie_attribute: strict",
        application("Locked", "deny", everyone),
        application("Broken", "bypass", everyone),
    ]
    .concat()
}

fn team_configuration(
    address: SocketAddr,
    origin: SocketAddr,
    smtp_port: u16,
    applications: &str,
) -> String {
    format!(
        "
listen: {address}
ingress:
  - hostname: broken.example.com
    service: http://127.0.0.1:1
  - hostname: '*.example.com'
    service: http://{origin}
  - service: http_status:404
access:
  team_domain: login.example.com
  mail: {{ smtp: {{ host: 127.0.0.1, port: {smtp_port}, tls: none, from: '{SENDER}' }} }}
  applications:{applications}
"
    )
}

fn localhost_configuration(
    address: SocketAddr,
    origin: SocketAddr,
    smtp_port: u16,
    domains: &[&str],
) -> String {
    let application = |domain: &&str| {
        format!(
            "
    - name: Demonstration of {domain}
      domain: {domain}
      policies:
        - name: People at example.com
          decision: allow
          include: [ {{ email_domain: {{ domain: example.com }} }} ]"
        )
    };
    let applications: String = domains.iter().map(application).collect();
    format!(
        "
listen: {address}
ingress:
  - hostname: localhost
    service: http://{origin}
  - service: http_status:404
access:
  mail: {{ smtp: {{ host: 127.0.0.1, port: {smtp_port}, tls: none, from: '{SENDER}' }} }}
  applications:{applications}
"
    )
}

/// Runs what the proxy example runs.
fn run(listener: TcpListener, config: &Config, access: Access) {
    LazyLock::force(&LOG);
    let service = AccessLayer::new(access).layer(ReverseProxy::from_config(config).unwrap());
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
}

/// What the origin received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(Arc<Mutex<Vec<Received>>>);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    /// Who the origin was told is asking.
    pub(crate) email: Option<String>,
    /// All lines of them.
    pub(crate) cookies: String,
}

impl Origin {
    async fn start() -> (Self, SocketAddr) {
        let origin = Self::default();
        let received = Arc::clone(&origin.0);
        let show = async move |method: Method, uri: Uri, headers: HeaderMap| {
            let path_and_query = uri.to_string();
            let email = headers.get("cf-access-authenticated-user-email");
            let email = email.map(|email| email.to_str().unwrap().to_owned());
            let html = format!(
                "<!doctype html><html lang=en><title>Origin</title><link rel=icon href='data:,'>\
                 <h1>The origin</h1><p>asked for {}<p>by {}",
                path_and_query.replace('&', "&amp;"),
                email.as_deref().unwrap_or_default(),
            );
            let cookies = headers.get_all("cookie").iter();
            let cookies: Vec<_> = cookies.map(|line| line.to_str().unwrap()).collect();
            let cookies = cookies.join("; ");
            received.lock().unwrap().push(Received { method, path_and_query, email, cookies });
            Html(html)
        };
        // Says that it is open, and stays so.
        let socket = async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket: WebSocket| {
                let _ = socket.send(Message::text("open")).await;
                while let Some(Ok(_)) = socket.recv().await {}
            })
        };
        let router = Router::new()
            .route("/socket", axum::routing::any(socket))
            .route("/b/socket", axum::routing::any(socket))
            .fallback(show);
        let address = plain(router).await;
        (origin, address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.0.lock().unwrap().clone()
    }

    /// The last request there was.
    pub(crate) fn last(&self) -> Received {
        self.0.lock().unwrap().last().expect("a request").clone()
    }
}

/// A site of somebody else. Its pages do what their address says: `/post?to=URL&field=value` sends
/// a form at once, `/show?html=…` is that HTML.
async fn another_site() -> SocketAddr {
    type Fields = Query<Vec<(String, String)>>;
    let post = async |Query(fields): Fields| {
        let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
        let mut html = "<!doctype html><title>Evil</title><link rel=icon href='data:,'>".to_owned();
        for (name, value) in &fields {
            html += &match name.as_str() {
                "to" => format!("<form method=post action=\"{}\">", escape(value)),
                name => format!("<input name=\"{name}\" value=\"{}\">", escape(value)),
            };
        }
        Html(html + "</form><script>document.forms[0].submit()</script>")
    };
    let show = async |Query(fields): Fields| {
        let html = fields.into_iter().map(|(_, html)| html).collect::<String>();
        Html(format!("<!doctype html><title>Evil</title><link rel=icon href='data:,'>{html}"))
    };
    let router = Router::new()
        .route("/post", axum::routing::get(post))
        .route("/show", axum::routing::get(show));
    plain(router).await
}

async fn plain(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Takes the encryption off in front of a plain listener.
async fn encrypted(behind: SocketAddr) -> SocketAddr {
    let names = vec!["*.example.com".to_owned(), "*.test".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A browser that goes away is no failure.
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let Ok(mut inside) = TcpStream::connect(behind).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

/// Everything that was logged so far, by all tests.
pub(crate) fn log() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

static LOG: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(|| {
    let filter = tracing_subscriber::EnvFilter::new("info");
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    subscriber.with_writer(|| LogWriter).init();
    Mutex::default()
});

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
