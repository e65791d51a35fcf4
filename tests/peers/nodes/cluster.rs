//! Programs that are started for a test and end with it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::any;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::client::{Operator, Wire, code_of};
use super::until;

pub(crate) const HOST: &str = "wiki.example.com";
const ADMIN_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The program.
const PROXY: &str = env!("CARGO_BIN_EXE_proxy");

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-access-nodes-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) async fn listens(port: u16) {
    until("it listens", async || TcpStream::connect(local(port)).await.is_ok()).await;
}

/// The page behind all of this.
pub(crate) async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = Router::new().fallback(any(|| async { "the page" }));
    tokio::spawn(async move { axum::serve(listener, pages).await });
    address
}

/// Mail that proxies have printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Mail {
    /// The code that was mailed to somebody last, once there is one; it is taken.
    pub(crate) async fn code(&self, to: &str) -> String {
        let mut code = None;
        until(&format!("mail arrives for {to}"), async || {
            code = self.0.lock().unwrap().get_mut(to).and_then(Vec::pop);
            code.is_some()
        })
        .await;
        code.unwrap()
    }

    /// Reads what a program prints until it ends.
    fn listen(&self, output: impl AsyncRead + Unpin + Send + 'static) {
        let all = Arc::clone(&self.0);
        tokio::spawn(async move {
            let (mut lines, mut to) = (BufReader::new(output).lines(), None);
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = line.trim().strip_prefix("Mail to ") {
                    to = Some(address.trim().to_owned());
                }
                let digits = line.trim();
                if digits.len() == 6
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    && let Some(to) = to.take()
                {
                    all.lock().unwrap().entry(to).or_default().push(code_of(digits));
                }
            }
        });
    }
}

/// One proxy.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) port: u16,
    admin: u16,
    file: PathBuf,
    process: Option<Child>,
    mail: Mail,
}

impl Node {
    /// A proxy whose state is this (the file's `state`).
    pub(crate) fn new(folder: &Folder, origin: SocketAddr, state: &str, mail: &Mail) -> Self {
        let (port, admin) = (free_port(), free_port());
        let secret = folder.write("admin.secret", ADMIN_SECRET);
        let text = format!(
            "
listen: 127.0.0.1:{port}
trusted_proxies: [ 127.0.0.1 ]
state: {state}
admin: {{ listen: '127.0.0.1:{admin}', token_file: '{}' }}
ingress: [ {{ service: 'http://{origin}' }} ]
access:
  mail: console
  applications:
    - name: Wiki
      domain: {HOST}
      session_duration: 8h
      policies:
        - {{ name: Staff, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ] }}
        - {{ name: Services, decision: non_identity, include: [ {{ any_valid_service_token: {{}} }} ] }}
",
            secret.display()
        );
        let file = folder.write(&format!("node-{port}.yml"), &text);
        Self { port, admin, file, process: None, mail: mail.clone() }
    }

    pub(crate) async fn start(&mut self) {
        let mut process = Command::new(PROXY)
            .arg("--config")
            .arg(&self.file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.mail.listen(process.stdout.take().unwrap());
        self.process = Some(process);
        let ports = [self.port, self.admin];
        let process = self.process.as_mut().unwrap();
        until("the proxy listens", async || {
            assert!(process.try_wait().unwrap().is_none(), "the proxy has ended");
            for port in ports {
                if TcpStream::connect(local(port)).await.is_err() {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// As by `kill -9`.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    /// A kill that does not wait, for whoever is in the middle of something.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).expect("it runs")
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::to(local(self.port))
    }

    pub(crate) fn operator(&self) -> Operator {
        Operator { wire: Wire::to(local(self.admin)), secret: ADMIN_SECRET.to_owned() }
    }
}

/// A signal, by its name.
pub(crate) fn signal(process: u32, name: &str) {
    let kill = std::process::Command::new("kill");
    let status = { kill }.args([&format!("-{name}"), &process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// A real Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) port: u16,
    process: Child,
}

impl Redis {
    pub(crate) async fn start(folder: &Folder, port: u16) -> Self {
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("`redis-server` cannot be started: install redis-server");
        listens(port).await;
        Self { port, process }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.id().expect("it runs"), name);
    }

    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Says something to it.
    pub(crate) fn command(&self, words: &[&str]) {
        let port = self.port.to_string();
        let mut cli = std::process::Command::new("redis-cli");
        let output = cli.args(["-p", &port]).args(words).output().unwrap();
        assert!(output.status.success());
    }
}

/// A real nginx, which gives each request to the next node: one process, so that none is left
/// behind.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    _process: Child,
}

impl Nginx {
    pub(crate) async fn start(folder: &Folder, nodes: &[u16]) -> Self {
        let port = free_port();
        let servers: String = nodes
            .iter()
            .map(|node| format!("server 127.0.0.1:{node} max_fails=1 fail_timeout=2s;\n"))
            .collect();
        let place = folder.path().display();
        let text = format!(
            "
daemon off;
master_process off;
pid {place}/nginx.pid;
error_log {place}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    upstream nodes {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection '';
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_next_upstream error timeout;
            proxy_connect_timeout 2s;
        }}
    }}
}}
"
        );
        let file = folder.write("nginx.conf", &text);
        let process = Command::new("nginx")
            .arg("-c")
            .arg(file)
            .arg("-e")
            .arg(folder.path().join("nginx.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("`nginx` cannot be started: install nginx");
        listens(port).await;
        Self { address: local(port), _process: process }
    }
}

/// Three nodes with one Redis, behind nginx.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) redis: Option<Redis>,
    pub(crate) nginx: Nginx,
    pub(crate) mail: Mail,
    pub(crate) folder: Folder,
}

impl Cluster {
    pub(crate) async fn start(count: usize) -> Self {
        let (folder, mail) = (Folder::new(), Mail::default());
        let redis = Redis::start(&folder, free_port()).await;
        let secret = folder.write("master.secret", &"5a".repeat(32));
        let state = format!(
            "{{ redis: {{ url: 'redis://127.0.0.1:{}/0', secret_file: '{}' }} }}",
            redis.port,
            secret.display()
        );
        let origin = origin().await;
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(Node::new(&folder, origin, &state, &mail));
        }
        // All at once: they have to agree about the first key.
        futures_util::future::join_all(nodes.iter_mut().map(Node::start)).await;
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        let nginx = Nginx::start(&folder, &ports).await;
        Self { nodes, redis: Some(redis), nginx, mail, folder }
    }
}
