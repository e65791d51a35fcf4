//! Another file in force while requests go on, over real sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt, stream};
use http::StatusCode;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower_access::config::{Config, Environment};
use tower_access::proxy::{Reloader, ServeLimits, serve};
use tower_access::secret::SecretHash;

use crate::support::{Browser, ask_for_code};

const SECRET: &str = "8ca92a6528213c93b56190c5457fc8979fd26528c88d921a91357fefcd52bdad";

/// An origin that says its name.
async fn origin(name: &'static str, go_on: Arc<Notify>) -> SocketAddr {
    let app = Router::new()
        .route(
            "/open/slow",
            get(move || async move {
                go_on.notified().await;
                format!("{name} slow")
            }),
        )
        .route(
            "/events",
            get(|| async {
                let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from("event\n"))]);
                Body::from_stream(first.chain(stream::pending()))
            }),
        )
        .route(
            "/ws",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|mut socket| async move {
                    while let Some(Ok(Message::Text(text))) = socket.recv().await {
                        if socket.send(Message::Text(text)).await.is_err() {
                            return;
                        }
                    }
                })
            }),
        )
        .fallback(move || async move { name });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// A mail server that takes everything, and the codes in it.
async fn mail_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let codes: Arc<Mutex<Vec<String>>> = Arc::default();
    let found = Arc::clone(&codes);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(take_mail(stream, Arc::clone(&found)));
        }
    });
    (port, codes)
}

async fn take_mail(stream: TcpStream, codes: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mail\r\n").await?;
    let mut in_mail = false;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match &*line {
            "." => {
                in_mail = false;
                b"250 taken\r\n"
            }
            _ if in_mail => {
                if line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit()) {
                    codes.lock().unwrap().push(line);
                }
                continue;
            }
            "DATA" => {
                in_mail = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 fine\r\n",
        };
        write.write_all(answer).await?;
    }
    Ok(())
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tower-access-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What one version of the file says.
struct Version<'a> {
    origin: SocketAddr,
    mail: u16,
    /// The service token that gets in, beside `c`, which always does.
    token: &'a str,
    people: &'a [&'a str],
}

impl Version<'_> {
    fn text(&self) -> String {
        let Self { origin, mail, token, people } = self;
        let people: String =
            people.iter().map(|email| format!("{{ email: {{ email: {email} }} }}, ")).collect();
        let hash = SecretHash::new(SECRET);
        format!(
            "
listen: 127.0.0.1:8080
ingress:
  - hostname: app.example
    service: http://{origin}
  - service: http_status:404
access:
  team_domain: login.example
  applications:
    - name: App
      domain: app.example
      policies:
        - name: CI
          decision: non_identity
          include: [ {{ service_token: {{ token_id: {token} }} }}, {{ service_token: {{ token_id: c }} }} ]
        - name: People
          decision: allow
          include: [ {people}{{ email: {{ email: nobody@example.com }} }} ]
    - name: Open
      domain: app.example/open
      policies: [ {{ name: Everyone, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ]
  service_tokens:
    - {{ name: a, client_id: a.access, client_secret_hash: \"{hash}\" }}
    - {{ name: b, client_id: b.access, client_secret_hash: \"{hash}\" }}
    - {{ name: c, client_id: c.access, client_secret_hash: \"{hash}\" }}
  mail: {{ smtp: {{ host: 127.0.0.1, port: {mail}, from: access@example.com, tls: none }} }}
"
        )
    }
}

/// In one step, as whoever does it right.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

async fn start(file: &Path, text: &str, environment: Environment) -> (Reloader, SocketAddr) {
    replace(file, text);
    let config = Config::load_with(file, &environment).unwrap();
    let reloader = Reloader::start(file, config, environment).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = reloader.proxy();
    tokio::spawn(serve(listener, proxy, ServeLimits::default(), std::future::pending::<()>()));
    (reloader, address)
}

/// A client that follows no redirects. Its TLS is never used, but without one of its own it would
/// look for a process-wide provider.
fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

async fn fetch(
    client: &reqwest::Client,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, String) {
    try_fetch(client, address, path, headers).await.expect("every request is answered, and wholly")
}

async fn try_fetch(
    client: &reqwest::Client,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(StatusCode, String), reqwest::Error> {
    let mut request = client.get(format!("http://{address}{path}")).header("host", "app.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    Ok((answer.status(), answer.text().await?))
}

fn token(name: &str) -> [(&'static str, &'static str); 2] {
    let id = match name {
        "a" => "a.access",
        "b" => "b.access",
        _ => "c.access",
    };
    [("cf-access-client-id", id), ("cf-access-client-secret", SECRET)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cfg_02_every_request_sees_one_of_two_versions_during_200_reloads() {
    let folder = Folder::new("versions");
    let file = folder.path("access.yml");
    let go_on = Arc::new(Notify::new());
    let (a, b) = (origin("A", Arc::clone(&go_on)).await, origin("B", Arc::clone(&go_on)).await);
    let version = |origin, token| Version { origin, mail: 1, token, people: &[] }.text();
    let versions = [version(a, "a"), version(b, "b")];
    let (reloader, address) = start(&file, &versions[0], Environment::empty()).await;

    let has_ended = Arc::new(AtomicBool::new(false));
    let (opened, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut asking = Vec::new();
    for name in ["a", "b", "a", "b"] {
        let (has_ended, opened, refused) =
            (Arc::clone(&has_ended), Arc::clone(&opened), Arc::clone(&refused));
        asking.push(tokio::spawn(async move {
            let client = client();
            while !has_ended.load(Ordering::SeqCst) {
                match try_fetch(&client, address, "/", &token(name)).await {
                    // Whom the new version does not admit is put out in the middle of an answer.
                    Err(_) => {}
                    Ok((StatusCode::OK, text)) => {
                        // Who is admitted by one version goes where that version leads.
                        assert_eq!(text, name.to_uppercase());
                        opened.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok((status, text)) => {
                        let is_refusal =
                            [StatusCode::FOUND, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
                        assert!(is_refusal.contains(&status), "{status} {text}");
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                }
                // Whom both admit notices nothing, whether it shows a token or not.
                for (path, headers) in [("/open/x", &[][..]), ("/", &token("c")[..])] {
                    let (status, text) = fetch(&client, address, path, headers).await;
                    assert_eq!(status, StatusCode::OK, "{path} {text}");
                    assert!(text == "A" || text == "B", "{text}");
                }
            }
        }));
    }
    for number in 1..=200 {
        replace(&file, &versions[number % 2]);
        let reloaded = reloader.reload().await.unwrap();
        assert!(reloaded.changed && reloaded.after_restart.is_empty());
        assert_eq!(reloaded.version, reloader.config().version());
        // It is in force when the call returns.
        let name = ["A", "B"][number % 2];
        if number % 20 == 0 {
            let now = fetch(&client(), address, "/open/x", &[]).await;
            assert_eq!(now, (StatusCode::OK, name.to_owned()));
        }
    }
    has_ended.store(true, Ordering::SeqCst);
    for task in asking {
        task.await.unwrap();
    }
    // Both versions were seen, by those they admit and by those they do not.
    assert!(opened.load(Ordering::SeqCst) > 0 && refused.load(Ordering::SeqCst) > 0);
    let same = reloader.reload().await.unwrap();
    assert!(!same.changed);
}

#[tokio::test]
async fn cfg_02_requests_under_way_end_under_the_version_they_began_with() {
    let folder = Folder::new("under-way");
    let file = folder.path("access.yml");
    let go_on = Arc::new(Notify::new());
    let (a, b) = (origin("A", Arc::clone(&go_on)).await, origin("B", Arc::clone(&go_on)).await);
    let version = |origin| Version { origin, mail: 1, token: "a", people: &[] }.text();
    let (reloader, address) = start(&file, &version(a), Environment::empty()).await;
    let slow = tokio::spawn(async move { fetch(&client(), address, "/open/slow", &[]).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    replace(&file, &version(b));
    reloader.reload().await.unwrap();
    assert_eq!(fetch(&client(), address, "/open/x", &[]).await.1, "B");
    assert!(!slow.is_finished());
    go_on.notify_one();
    assert_eq!(slow.await.unwrap(), (StatusCode::OK, "A slow".to_owned()));
}

#[tokio::test]
async fn cfg_01_what_cannot_be_used_leaves_the_last_good_one_in_force() {
    let folder = Folder::new("broken");
    let file = folder.path("access.yml");
    let origin = origin("A", Arc::default()).await;
    let good = Version { origin, mail: 1, token: "a", people: &[] }.text();
    let environment = Environment::empty().with("PASSWORD", "hunter2-is-no-password");
    let (reloader, address) = start(&file, &good, environment).await;
    let client = client();
    let in_force = reloader.config().version().to_owned();

    let smtp = |more: &str| good.replace("from: access", &format!("{more}, from: access"));
    let half = &good[..good.find("decision: non_identity").unwrap() + 12];
    let pool = good.replace(
        "  - service: http_status:404",
        "  - { hostname: b.example, service: 'https://b.example', originRequest: { caPool: /no/pool.pem } }\n  - service: http_status:404",
    );
    let issuer = good
        .lines()
        .filter(|line| !line.contains("team_domain"))
        .map(|line| {
            if line.starts_with("  mail:") { "  issuer: { team_domain: x.example }" } else { line }
        })
        .collect::<Vec<_>>()
        .join("\n")
        .replace("- name: App", &format!("- aud: {}\n      name: App", "a".repeat(64)))
        .replace("- name: Open", &format!("- aud: {}\n      name: Open", "b".repeat(64)));
    for (name, text, why) in [
        ("invalid YAML", "access: [", "access.yml:1:"),
        ("empty", "", "the file is empty"),
        ("half", half, "access.applications[0].policies[0]"),
        ("misspelt", &*good.replace("policies:", "polices:"), "did you mean `policies`?"),
        ("missing variable", &smtp("username: u, password: '${NO_SUCH}'"), "`NO_SUCH` is not set"),
        ("missing password", &smtp("username: u, password_file: /no/password"), "password_file"),
        ("missing pool", &pool, "/no/pool.pem"),
        (
            "missing token",
            &format!("{good}admin: {{ token_file: /no/token }}\n"),
            "admin.token_file",
        ),
        ("another role", &issuer, "restart"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = reloader.reload().await.expect_err(name).to_string();
        assert!(error.contains(why) && error.contains("access.yml"), "{name}: {error}");
        assert!(reloader.failure().is_some(), "{name}");
        assert_eq!(reloader.config().version(), in_force, "{name}");
        assert_eq!(fetch(&client, address, "/", &token("a")).await.0, StatusCode::OK, "{name}");
        assert_ne!(fetch(&client, address, "/", &token("b")).await.0, StatusCode::OK, "{name}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(reloader.reload().await.is_err());
    assert_eq!(fetch(&client, address, "/", &token("a")).await.0, StatusCode::OK);

    // The good one again is the one in force: nothing is done, and nothing is wrong any more.
    replace(&file, &good);
    assert!(!reloader.reload().await.unwrap().changed);
    assert!(reloader.failure().is_none());
    // A secret that is there is used.
    replace(&file, &smtp("username: u, password: '${PASSWORD}'"));
    assert!(reloader.reload().await.unwrap().changed);
}

#[tokio::test]
async fn files_that_are_named_are_read_again_and_what_is_settled_is_named() {
    let folder = Folder::new("named");
    let (file, password) = (folder.path("access.yml"), folder.path("password"));
    std::fs::write(&password, "one\n").unwrap();
    let origin = origin("A", Arc::default()).await;
    let text = Version { origin, mail: 1, token: "a", people: &[] }.text().replace(
        "from: access",
        &format!("username: u, password_file: {}, from: access", password.display()),
    );
    let (reloader, _) = start(&file, &text, Environment::empty()).await;
    assert!(!reloader.reload().await.unwrap().changed);
    std::fs::write(&password, "two\n").unwrap();
    assert!(reloader.reload().await.unwrap().changed);
    assert!(!reloader.reload().await.unwrap().changed);
    // One that is there no more is no reason to go on without.
    std::fs::remove_file(&password).unwrap();
    assert!(reloader.reload().await.is_err());
    std::fs::write(&password, "two\n").unwrap();

    let token = folder.path("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    let moved = text.replace("127.0.0.1:8080", "127.0.0.1:8081");
    replace(&file, &format!("{moved}admin: {{ token_file: {} }}\n", token.display()));
    let reloaded = reloader.reload().await.unwrap();
    assert!(reloaded.changed);
    assert_eq!(reloaded.after_restart, ["listen", "admin.listen"]);
}

/// Logs somebody in, and gives the cookie.
async fn log_in(reloader: &Reloader, codes: &Mutex<Vec<String>>, email: &str) -> String {
    let before = codes.lock().unwrap().len();
    let mut browser = Browser::new(reloader.proxy());
    let form = ask_for_code(&mut browser, "https://app.example/", email).await;
    let arrival = async {
        while codes.lock().unwrap().len() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrival).await.expect("a mail arrives");
    let code = codes.lock().unwrap()[before].clone();
    let answer = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let (_, page) = browser.visit(answer.location()).await;
    assert_eq!((page.status(), &*page.text), (StatusCode::OK, "A"));
    format!("CF_Authorization={}", browser.cookie("app.example", "CF_Authorization").unwrap())
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn socket(address: SocketAddr, cookie: &str) -> Socket {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("host", "app.example".parse().unwrap());
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    says_so(&mut socket, "hello").await;
    socket
}

async fn says_so(socket: &mut Socket, text: &str) {
    socket.send(Sent::text(text.to_owned())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text(text.to_owned()));
}

#[tokio::test]
async fn ses_08_who_may_not_stay_is_put_out_within_a_second_and_who_may_stays() {
    let folder = Folder::new("people");
    let file = folder.path("access.yml");
    let origin = origin("A", Arc::default()).await;
    let (mail, codes) = mail_server().await;
    let version =
        |people: &'static [&'static str]| Version { origin, mail, token: "a", people }.text();
    let both = version(&["ada@example.com", "bob@example.com"]);
    let (reloader, address) = start(&file, &both, Environment::empty()).await;
    let ada = log_in(&reloader, &codes, "ada@example.com").await;
    let bob = log_in(&reloader, &codes, "bob@example.com").await;
    let (mut adas, mut bobs) = (socket(address, &ada).await, socket(address, &bob).await);
    let client = client();
    let events = |cookie: &str| {
        let request = client.get(format!("http://{address}/events"));
        request.header("host", "app.example").header("cookie", cookie).send()
    };
    let (mut adas_events, mut bobs_events) =
        (events(&ada).await.unwrap(), events(&bob).await.unwrap());
    for events in [&mut adas_events, &mut bobs_events] {
        assert_eq!(events.chunk().await.unwrap().unwrap(), "event\n");
    }

    replace(&file, &version(&["ada@example.com"]));
    assert!(reloader.reload().await.unwrap().changed);
    let second = Duration::from_secs(1);
    let end = tokio::time::timeout(second, bobs.next()).await.expect("closed within a second");
    assert!(!matches!(end, Some(Ok(Sent::Text(_)))), "{end:?}");
    let end = tokio::time::timeout(second, bobs_events.chunk()).await.expect("within a second");
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    // A stream that stays has nothing to say.
    let quiet = tokio::time::timeout(Duration::from_millis(300), adas_events.chunk()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    says_so(&mut adas, "still here").await;

    // The session and the key that signed its token are as they were.
    let visit = async |cookie| fetch(&client, address, "/", &[("cookie", cookie)]).await.0;
    assert_eq!(visit(&ada).await, StatusCode::OK);
    assert_ne!(visit(&bob).await, StatusCode::OK);
    let access = reloader.proxy().access();
    assert_eq!(access.sessions_of(&"ada@example.com".parse().unwrap()).await.unwrap().len(), 1);

    // And what was ended stays ended, whatever comes into force.
    access.revoke_user(&"ada@example.com".parse().unwrap()).await.unwrap();
    replace(&file, &both);
    assert!(reloader.reload().await.unwrap().changed);
    assert_ne!(visit(&ada).await, StatusCode::OK);
    let end = tokio::time::timeout(second, adas.next()).await.expect("closed within a second");
    assert!(!matches!(end, Some(Ok(Sent::Text(_)))), "{end:?}");
}
