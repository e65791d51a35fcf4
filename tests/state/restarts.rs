//! `state` in the configuration: what the file may say, and what survives a restart.

use std::path::Path;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::AccessLayer;
use tower_access::config::{Config, NoteKind, StateConfig};
use tower_access::layer::AccessService;

use crate::stores::folder::Folder;
use crate::stores::server::RedisServer;
use crate::support::{Browser, Form, Origin, ask_for_code, code_in};

const WIKI: &str = "https://wiki.example.com/";
const SECRET: &str = "6c1d7a0e5b3f49288a0c4dfe6e2f71b59d0b8c3a7e415f62a9c8d7e6f5041322";

/// A mail server that keeps what it is given.
#[derive(Clone, Debug, Default)]
struct MailServer(Arc<Mutex<Vec<String>>>);

impl MailServer {
    /// Listens for as long as the runtime lives; on which port.
    async fn listen(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, Arc::clone(&mails)));
            }
        });
        port
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn code(&self, count: usize) -> String {
        for _ in 0..1_000 {
            if self.count() >= count {
                return code_in(self.0.lock().unwrap().last().unwrap());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no mail arrived");
    }
}

async fn receive(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    to.write_all(b"220 test\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.to_ascii_uppercase().split(' ').next() {
            Some("DATA") => {
                to.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    mail.push_str(&line);
                    mail.push('\n');
                }
                // The parts for machines hold other numbers.
                let text = mail.split("text/html").next().unwrap_or_default().to_owned();
                mails.lock().unwrap().push(text);
                "250 kept\r\n"
            }
            Some("QUIT") => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        to.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn config(state: &str, mail_port: u16) -> Config {
    let text = format!(
        "
state: {state}
access:
  team_domain: login.example.com
  mail: {{ smtp: {{ host: 127.0.0.1, port: {mail_port}, tls: none, from: access@example.com }} }}
  applications:
    - name: Wiki
      domain: wiki.example.com
      policies:
        - {{ name: staff, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ] }}
"
    );
    Config::parse(&text, "access.yml").unwrap()
}

/// One run of a program: everything of it is gone afterwards.
fn run<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(run)
}

async fn service(config: &Config) -> AccessService<Origin> {
    AccessLayer::new(config.open().await.unwrap()).layer(Origin::default())
}

async fn log_in(browser: &mut Browser<AccessService<Origin>>, mail: &MailServer) {
    let before = mail.count();
    let form: Form = ask_for_code(browser, WIKI, "ada@example.com").await;
    let code = mail.code(before + 1).await;
    let answer = form.submit(browser, &[("code", &code)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let (_, page) = browser.visit(answer.location()).await;
    assert_eq!(page.text, "origin saw /");
}

/// What a browser holds while the program is not running: nothing of it.
fn nobody() -> AccessService<Origin> {
    let text = "access: { applications: [ { domain: other.example } ] }";
    let access = Config::parse(text, "other.yml").unwrap().access().unwrap();
    AccessLayer::new(access).layer(Origin::default())
}

/// Logs in, and starts the program again; and once more, after the application's cookie is gone.
fn a_login_survives(state: &str) {
    let mail = MailServer::default();
    let browser = run(async {
        let config = config(state, mail.listen().await);
        let mut browser = Browser::new(service(&config).await);
        log_in(&mut browser, &mail).await;
        browser.at(nobody())
    });
    for forget in [false, true] {
        run(async {
            let config = config(state, mail.listen().await);
            let mut browser = browser.at(service(&config).await);
            if forget {
                // The login itself is still known: it asks for nothing.
                browser.forget("wiki.example.com");
                let (_, page) = browser.visit(WIKI).await;
                assert_eq!(page.text, "origin saw /");
            }
            let page = browser.get(WIKI).await;
            assert_eq!((page.status(), &*page.text), (StatusCode::OK, "origin saw /"));
        });
    }
    assert_eq!(mail.count(), 1);
}

#[test]
fn ses_16_a_login_survives_a_restart_with_a_file() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    a_login_survives(path.to_str().unwrap());
    let secret = std::fs::read_to_string(folder.file("state.redb.secret")).unwrap();
    assert_eq!(secret.trim_end().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for name in ["state.redb", "state.redb.secret"] {
            let mode = std::fs::metadata(folder.file(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
    // Nothing in the file is of use to whoever has the file alone.
    let state = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    assert!(!state.contains(secret.trim_end()) && !state.contains("PRIVATE KEY"));
}

#[test]
fn ses_16_a_login_survives_a_restart_with_redis() {
    let folder = Folder::new();
    let secret = write(&folder, "secret", &format!("{SECRET}\n"));
    let password = write(&folder, "password", "hush-hush\n");
    let keep = tokio::runtime::Runtime::new().unwrap();
    let server = keep.block_on(RedisServer::start(&["--requirepass", "hush-hush"]));
    a_login_survives(&format!(
        "{{ redis: {{ url: 'redis://127.0.0.1:{}/0', password_file: {password}, prefix: 'test:', \
         secret_file: {secret} }} }}",
        server.port()
    ));
}

fn write(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.file(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn refusal(state: &str) -> String {
    run(async { config(state, 25).open().await.unwrap_err().to_string() })
}

fn opens(state: &str) {
    run(async { config(state, 25).open().await.map(drop).unwrap() });
}

#[test]
fn a_secret_is_made_once_and_missed_when_it_is_gone() {
    let folder = Folder::new();
    let (state, secret) = (folder.file("state.redb"), folder.file("state.redb.secret"));
    opens(state.to_str().unwrap());
    let first = std::fs::read_to_string(&secret).unwrap();
    opens(state.to_str().unwrap());
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), first);
    // Without it, nothing is made anew in silence.
    std::fs::remove_file(&secret).unwrap();
    let error = refusal(state.to_str().unwrap());
    assert!(error.contains("is missing") && error.contains(secret.to_str().unwrap()), "{error}");
    assert!(!secret.exists());
    // Another one does not open what is there.
    std::fs::write(&secret, SECRET).unwrap();
    let error = refusal(state.to_str().unwrap());
    assert!(error.contains("sealed"), "{error}");
    std::fs::write(&secret, &first).unwrap();
    opens(state.to_str().unwrap());
    // A secret that was made before its state is good for the state.
    std::fs::remove_file(&state).unwrap();
    opens(state.to_str().unwrap());
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), first);
}

#[test]
fn ses_21_a_secret_of_another_name_may_be_named_and_is_checked() {
    let folder = Folder::new();
    let (state, secret) = (folder.file("state.redb"), folder.file("a secret"));
    let both = format!("{{ file: {}, secret_file: '{}' }}", state.display(), secret.display());
    for text in ["", "hush-hush", &SECRET[1..], &format!("{SECRET}{SECRET}"), &"g".repeat(64)] {
        std::fs::write(&secret, text).unwrap();
        let error = refusal(&both);
        assert!(error.contains("64 hexadecimal digits") && error.contains("a secret"), "{error}");
        assert!(text.is_empty() || !error.contains(text), "{error}");
        assert!(!state.exists());
    }
    std::fs::write(&secret, SECRET.to_uppercase()).unwrap();
    opens(&both);
    assert!(state.exists() && !folder.file("state.redb.secret").exists());
    std::fs::remove_file(&secret).unwrap();
    assert!(refusal(&both).contains("is missing"));
}

#[test]
fn what_is_missing_for_redis_is_named() {
    let folder = Folder::new();
    let secret = folder.file("secret").to_str().unwrap().to_owned();
    let state = |more: &str| {
        format!("{{ redis: {{ url: 'rediss://127.0.0.1:1', secret_file: {secret}{more} }} }}")
    };
    let error = refusal(&state(""));
    assert!(error.contains(&format!("openssl rand -hex 32 > {secret}")), "{error}");
    assert!(!Path::new(&secret).exists());
    std::fs::write(&secret, SECRET).unwrap();
    let missing = folder.file("missing");
    for key in ["password_file", "ca_file"] {
        let error = refusal(&state(&format!(", {key}: {}", missing.display())));
        assert!(error.contains(missing.to_str().unwrap()), "{error}");
    }
    // Keys are kept in the server: nothing starts without it.
    let away = format!("{{ redis: {{ url: 'redis://127.0.0.1:1', secret_file: {secret} }} }}");
    let error = refusal(&away);
    assert!(error.contains("redis://127.0.0.1:1/0: cannot be reached"), "{error}");
}

#[test]
fn a_file_that_is_in_use_is_told() {
    let folder = Folder::new();
    let state = folder.file("state.redb");
    let state = state.to_str().unwrap();
    run(async {
        let config = config(state, 25);
        let _access = config.open().await.unwrap();
        let error = config.open().await.unwrap_err().to_string();
        assert!(error.contains("another process has it open"), "{error}");
    });
    opens(state);
}

#[test]
fn state_is_opened_and_never_left_out() {
    let folder = Folder::new();
    let path = folder.file("state.redb");
    let config = config(path.to_str().unwrap(), 25);
    let error = config.access().unwrap_err().to_string();
    assert!(error.contains("`Config::open`"), "{error}");
    config.try_build().unwrap();
    assert!(!path.exists(), "asking makes no file");
    let text = "access: { mail: console, applications: [ { domain: a.example } ] }";
    let plain = Config::parse(text, "f").unwrap();
    assert!(plain.state.is_none());
    plain.access().unwrap();
    run(async { plain.open().await.unwrap() });
}

fn parse(state: &str) -> Result<Config, String> {
    let text = format!(
        "state: {state}\naccess: {{ mail: console, applications: [ {{ domain: a.example }} ] }}\n"
    );
    Config::parse(&text, "f").map_err(|errors| errors.to_string())
}

#[test]
fn what_the_file_says_is_read() {
    let Some(StateConfig::File(file)) = parse("/var/lib/access/state.redb").unwrap().state else {
        panic!()
    };
    assert_eq!(file.file, Path::new("/var/lib/access/state.redb"));
    assert_eq!(file.secret_file(), Path::new("/var/lib/access/state.redb.secret"));
    let both = "{ file: state.redb, secret_file: /etc/secret }";
    let Some(StateConfig::File(file)) = parse(both).unwrap().state else { panic!() };
    assert_eq!(file.secret_file(), Path::new("/etc/secret"));
    let redis = "{ redis: { url: 'rediss://r.example', username: u, password_file: /p, ca_file: /c, \
                 prefix: 'x:', secret_file: /s } }";
    let config = parse(redis).unwrap();
    let Some(StateConfig::Redis(redis)) = &config.state else { panic!() };
    assert_eq!(redis.url.to_string(), "rediss://r.example:6379/0");
    assert_eq!(redis.username.as_deref(), Some("u"));
    assert_eq!(redis.password_file.as_deref(), Some(Path::new("/p")));
    assert_eq!(redis.ca_file.as_deref(), Some(Path::new("/c")));
    assert_eq!(redis.prefix.as_deref(), Some("x:"));
    assert_eq!(redis.secret_file, Path::new("/s"));
    assert!(!config.notes().iter().any(|note| note.key().starts_with("state")));
}

#[test]
fn cfg_04_what_is_wrong_is_told_with_its_place() {
    for (state, place, words) in [
        ("''", "f:1:8: state: ", "`state` is empty"),
        ("7", "f:1:8: state: ", "invalid `state`"),
        ("[]", "f:1:8: state: ", "invalid `state`"),
        ("{}", "f:1:8: state: ", "invalid `state`"),
        ("redis://localhost:6379", "f:1:8: state: ", "write `state: { redis: { url: …"),
        ("{ fil: x }", "f:1:10: state.fil: ", "did you mean `file`?"),
        ("{ file: [] }", "f:1:16: state.file: ", "expected a text"),
        ("{ file: x, secret_file: '' }", "f:1:32: state.secret_file: ", "`secret_file` is empty"),
        (
            "{ file: x, redis: { url: 'redis://h', secret_file: s } }",
            "f:1:8: state: ",
            "`{ file: … }` or",
        ),
        ("{ redis: redis://h }", "f:1:17: state.redis: ", "expected a mapping"),
        (
            "{ redis: { secret_file: s } }",
            "f:1:17: state.redis: ",
            "`url` is missing: write `url: redis://",
        ),
        ("{ redis: { url: 'redis://h' } }", "f:1:17: state.redis: ", "openssl rand -hex 32 > FILE"),
        (
            "{ redis: { url: 'redis://h', secret_file: s, passwrd_file: x } }",
            "f:1:53: state.redis.passwrd_file: ",
            "did you mean `password_file`?",
        ),
        (
            "{ redis: { url: 'redis://h', secret_file: s }, secret_file: s }",
            "f:1:68: state.secret_file: ",
            "write it inside `redis`",
        ),
        (
            "{ redis: { url: 'redis://u:hush-hush@h', secret_file: s } }",
            "f:1:24: state.redis.url: ",
            "the Redis URL contains a user name or password",
        ),
        (
            "{ redis: { url: 'redis://h', password: hush-hush, secret_file: s } }",
            "f:1:47: state.redis.password: ",
            "write `password_file: /path/to/it`",
        ),
        (
            "{ redis: { url: 'http://h', secret_file: s } }",
            "f:1:24: state.redis.url: ",
            "rediss://",
        ),
        (
            "{ redis: { url: 'redis://h', ca_file: c, secret_file: s } }",
            "f:1:46: state.redis.ca_file: ",
            "write `rediss://` in `url`",
        ),
        (
            "{ redis: { url: 'redis://h', username: u, secret_file: s } }",
            "f:1:17: state.redis: ",
            "`username` without `password_file`",
        ),
        (
            "{ redis: { url: 'redis://h', prefix: 'a b', secret_file: s } }",
            "f:1:45: state.redis.prefix: ",
            "visible ASCII",
        ),
    ] {
        let errors = parse(state).unwrap_err();
        assert!(errors.starts_with(place) && errors.contains(words), "{state}\n{errors}");
        assert!(!errors.contains("hush-hush"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{state}\n{errors}");
    }
}

#[test]
fn what_weakens_or_does_nothing_is_noted() {
    let notes = |config: &Config| -> Vec<NoteKind> {
        let of_state = config.notes().iter().filter(|note| note.key().starts_with("state"));
        of_state.map(tower_access::config::Note::kind).collect()
    };
    let plain = "{ redis: { url: 'redis://r.example', secret_file: s } }";
    assert_eq!(notes(&parse(plain).unwrap()), [NoteKind::Weakens]);
    for url in ["redis://localhost", "redis://[::1]:7000/1", "rediss://r.example"] {
        let state = format!("{{ redis: {{ url: '{url}', secret_file: s }} }}");
        assert_eq!(notes(&parse(&state).unwrap()), []);
    }
    let aud = "7a".repeat(32);
    let text = format!(
        "state: /nowhere/state.redb\naccess:\n  issuer: {{ team_domain: acme.cloudflareaccess.com, \
         certs_url: 'http://127.0.0.1:1/certs' }}\n  applications: [ {{ domain: a.example, aud: {aud} }} ]\n"
    );
    let config = Config::parse(&text, "f").unwrap();
    assert_eq!(notes(&config), [NoteKind::HasNoEffect]);
    // And so it hinders nothing.
    config.access().unwrap();
    run(async { config.open().await.unwrap() });
}
