//! A Redis server of one test's own, which can be hurt.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_access::store::{RedisStore, RedisStoreBuilder};

use super::folder::Folder;

#[derive(Debug)]
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    folder: Folder,
}

impl RedisServer {
    /// Starts one on a port that is free, and waits until it answers.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(Folder::new(), "--port", arguments).await
    }

    /// Starts one that speaks TLS alone.
    pub(crate) async fn start_tls(folder: Folder, arguments: &[&str]) -> Self {
        Self::start_in(folder, "--tls-port", &[&["--port", "0"], arguments].concat()).await
    }

    async fn start_in(folder: Folder, port_key: &str, arguments: &[&str]) -> Self {
        for _ in 0..20 {
            let port = free_port();
            let mut all: Vec<String> =
                arguments.iter().map(|argument| (*argument).to_owned()).collect();
            all.extend([port_key.to_owned(), port.to_string()]);
            let mut process = run(&folder, &all);
            // Another test may have taken the port meanwhile: then this one ends at once.
            if is_ready(&mut process, port).await {
                return Self { process, port, arguments: all, folder };
            }
        }
        panic!("redis-server does not start; see whether it does by hand: `redis-server --port 0`");
    }

    /// Starts one where somebody looks for it already.
    pub(crate) async fn start_at(port: u16) -> Self {
        let (folder, arguments) = (Folder::new(), vec!["--port".to_owned(), port.to_string()]);
        let mut process = run(&folder, &arguments);
        assert!(is_ready(&mut process, port).await, "the port was taken meanwhile; run it again");
        Self { process, port, arguments, folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn settings(&self) -> RedisStoreBuilder {
        RedisStore::builder(format!("redis://127.0.0.1:{}", self.port).parse().unwrap())
    }

    pub(crate) fn store(&self) -> RedisStore {
        self.settings().build().unwrap()
    }

    /// Sends a command beside the store, and returns the beginning of the answer.
    pub(crate) async fn tell(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// Begins a command and does not wait for its answer.
    pub(crate) async fn tell_only(&self, command: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        stream
    }

    /// The server stands still: its connections stay open, and nothing answers.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// The server is gone, with all it had in memory.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, where it was.
    pub(crate) async fn start_again(&mut self) {
        self.process = run(&self.folder, &self.arguments);
        assert!(is_ready(&mut self.process, self.port).await, "redis-server does not start again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &Folder, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]);
    command.arg("--dir").arg(folder.path()).args(arguments);
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.unwrap_or_else(|error| {
        panic!(
            "these tests need a Redis server: `redis-server` cannot be run ({error}); install it \
             (Debian: `apt-get install redis-server`)"
        )
    })
}

async fn is_ready(process: &mut Child, port: u16) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            // Whoever answers there has to be this one.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return process.try_wait().unwrap().is_none();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = process.kill();
    let _ = process.wait();
    false
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
