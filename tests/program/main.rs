//! The proxy as a program: it follows its file, and is told what to do.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod command_line;
mod emergencies;
mod first_use;
mod mail;
mod output;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_proxy"))
}

/// A running proxy, its folder and its log. Both end with it.
struct Running {
    process: Child,
    folder: PathBuf,
    log: Arc<Mutex<String>>,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A file whose only origin answers with a status of its own.
struct File {
    listen: SocketAddr,
    admin: SocketAddr,
    token: PathBuf,
}

impl File {
    fn text(&self, status: u16) -> String {
        let Self { listen, admin, token } = self;
        format!(
            "
listen: {listen}
admin: {{ listen: '{admin}', token_file: {} }}
ingress: [ {{ service: http_status:{status} }} ]
access:
  mail: console
  applications:
    - {{ name: Open, domain: open.example, policies: [ {{ name: x, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ] }}
",
            token.display()
        )
    }
}

impl Running {
    /// Starts it; `place` puts the first text where the file is read from.
    fn start(name: &str, place: impl FnOnce(&Path, &str)) -> (Self, File) {
        let folder = std::env::temp_dir()
            .join(format!("tower-access-program-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let token = std::env::temp_dir()
            .join(format!("tower-access-program-{name}-{}.token", std::process::id()));
        std::fs::write(&token, "6f1ed002ab5595859014ebf0951522d9\n").unwrap();
        let file = File { listen: free_address(), admin: free_address(), token };
        place(&folder, &file.text(201));
        let mut process = Command::new(program())
            .arg("--config")
            .arg(folder.join("access.yml"))
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let written = Arc::clone(&log);
        let lines = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let running = Self { process, folder, log, address: file.listen };
        running.answers(201);
        (running, file)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("access.yml")
    }

    fn status(&self) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let request = "GET / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    fn soon(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < end, "{what}:\n{}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self, status: u16) {
        self.soon(&format!("answers {status}"), || self.status() == Some(status));
    }

    fn logs(&self, text: &str) {
        self.soon(text, || self.log.lock().unwrap().contains(text));
    }

    fn hang_up(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }
}

#[test]
fn cfg_01_it_follows_a_file_that_is_replaced_and_a_hangup() {
    let (running, file) = Running::start("rename", |folder, text| {
        std::fs::write(folder.join("access.yml"), text).unwrap();
    });
    // As editors do it: another file in its place.
    let new = running.folder.join(".access.yml.swp");
    std::fs::write(&new, file.text(202)).unwrap();
    std::fs::rename(&new, running.config()).unwrap();
    running.answers(202);
    running.logs("the configuration was replaced");
    // Over the old one.
    std::fs::write(running.config(), file.text(203)).unwrap();
    running.answers(203);
    // A broken one changes nothing, and the log says what is wrong and where.
    std::fs::write(running.config(), file.text(204).replace("mail:", "mial:")).unwrap();
    running.logs("access.yml:6:3: access.mial: unknown key; did you mean `mail`?");
    assert_eq!(running.status(), Some(203));
    // Nor does it say so again because of what else is written there.
    let errors = || running.log.lock().unwrap().matches("unknown key").count();
    let before = errors();
    for number in 0..5 {
        std::fs::write(running.folder.join("proxy.log"), number.to_string()).unwrap();
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(errors(), before);
    assert!(!running.log.lock().unwrap().contains("STAYS"));
    // A secret in a file of its own is read again when it is told to.
    std::fs::write(running.config(), file.text(203)).unwrap();
    running.logs("the configuration is valid again");
    std::fs::write(&file.token, "too short").unwrap();
    running.hang_up();
    running.logs("admin.token_file: invalid token: write at least 32 visible ASCII characters");
    std::fs::write(&file.token, "00000000000000000000000000000000").unwrap();
    running.hang_up();
    let token = || tell(&running, &["health"]).0;
    running.soon("the new token counts", || token() == Some(0));
    // What is settled is named.
    let moved = file.text(205).replace(&running.address.to_string(), "127.0.0.1:1");
    std::fs::write(running.config(), moved).unwrap();
    running.answers(205);
    running.logs("takes effect after a restart");
    std::fs::remove_file(&file.token).unwrap();
}

#[test]
fn cfg_01_it_follows_kubernetes_links() {
    let put = |folder: &Path, version: &str, text: &str| {
        let real = folder.join(version);
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("access.yml"), text).unwrap();
        let new = folder.join("..data_tmp");
        symlink(version, &new).unwrap();
        std::fs::rename(&new, folder.join("..data")).unwrap();
    };
    let (running, file) = Running::start("links", |folder, text| {
        put(folder, "..2026_01", text);
        symlink("..data/access.yml", folder.join("access.yml")).unwrap();
    });
    for (status, version, old) in [(202, "..2026_02", "..2026_01"), (203, "..2026_03", "..2026_02")]
    {
        put(&running.folder, version, &file.text(status));
        std::fs::remove_dir_all(running.folder.join(old)).unwrap();
        running.answers(status);
    }
    std::fs::remove_file(&file.token).unwrap();
}

/// Runs a command against it: exit code, output, errors.
fn tell(running: &Running, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program())
        .args(arguments)
        .arg("--config")
        .arg(running.config())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_is_told_what_to_do_by_commands() {
    let (running, file) = Running::start("commands", |folder, text| {
        std::fs::write(folder.join("access.yml"), text).unwrap();
    });
    let (code, text, _) = tell(&running, &["health"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("key_state: fresh") && text.contains("store_answers: true"), "{text}");
    let (code, json, _) = tell(&running, &["keys", "show", "--format", "json"]);
    let before: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &before["success"]), (Some(0), &Value::from(true)));
    assert_eq!(tell(&running, &["keys", "rotate"]).0, Some(0));
    let (_, json, _) = tell(&running, &["keys", "show", "--format", "json"]);
    let after: Value = serde_json::from_str(&json).unwrap();
    assert_ne!(before["result"]["key_id"], after["result"]["key_id"]);
    for (what, code, said) in [
        (&["revoke", "session", "q2ZkWf0yTn9sVb3L"][..], 1, "no live session has this id"),
        (&["revoke", "person", "ada+x@example.com"], 1, "no session of `ada+x@example.com`"),
        (
            &["revoke", "application", "Open"],
            0,
            "all tokens of `Open` issued until now are revoked",
        ),
        (&["revoke", "everybody"], 0, "every session and every token is revoked"),
    ] {
        let told = tell(&running, what);
        assert_eq!(told.0, Some(code), "{what:?} {told:?}");
        assert!(told.1.starts_with(said), "{what:?} {told:?}");
    }
    running.logs("revoke_everybody");
    let (code, text, _) = tell(&running, &["sessions", "ada@example.com"]);
    assert_eq!((code, &*text), (Some(0), "none\n"));
    // Refused, with the reason.
    let (code, _, errors) = tell(&running, &["revoke", "application", "Closed"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("no application has this id"), "{errors}");
    assert_eq!(tell(&running, &["revoke", "person", "no address"]).0, Some(1));
    // A file of which only another part is wrong is still told to be read again, and said to be wrong.
    std::fs::write(running.config(), file.text(202).replace("mail:", "mial:")).unwrap();
    let (code, _, errors) = tell(&running, &["reload"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains(":6:3: access.mial: unknown key"), "{errors}");
    assert_eq!(tell(&running, &["health"]).0, Some(1));
    std::fs::write(running.config(), file.text(202)).unwrap();
    assert_eq!(tell(&running, &["reload"]).0, Some(0));
    running.answers(202);

    let run = |arguments: &[&str]| {
        let output = Command::new(program()).args(arguments).output().unwrap();
        output.status.code()
    };
    let admin = format!("http://{}", file.admin);
    let token = file.token.to_str().unwrap();
    assert_eq!(run(&["health", "--admin", &admin, "--token-file", token]), Some(0));
    // Cannot be asked.
    let nobody = format!("http://{}", free_address());
    assert_eq!(run(&["health", "--admin", &nobody, "--token-file", token]), Some(2));
    assert_eq!(run(&["health", "--admin", &admin]), Some(2));
    assert_eq!(run(&["health"]), Some(2));
    assert_eq!(run(&["health", "--config", "/no/such/file"]), Some(2));
    // Another token than the one in force. (The proxy may read its own file again at any moment.)
    let other = file.token.with_extension("other");
    std::fs::write(&other, "11111111111111111111111111111111").unwrap();
    let other_token = other.to_str().unwrap();
    assert_eq!(run(&["health", "--admin", &admin, "--token-file", other_token]), Some(1));
    std::fs::remove_file(&other).unwrap();
    std::fs::remove_file(&file.token).unwrap();
}
