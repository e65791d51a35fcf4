//! A real nginx and a real Varnish, started for a test and ended with it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::server::{Folder, Program};

/// Longest a test waits for something that has no promised time, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cache in front of one server.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
}

/// The caches that are running.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) all: Vec<Cache>,
    // In this order: a program is gone before its folder is.
    _programs: Vec<Program>,
    _folders: Vec<Folder>,
}

impl Caches {
    /// nginx as its documentation shows `proxy_cache`, nginx that stores whatever names no freshness
    /// as well, and Varnish with its built-in VCL.
    pub(crate) async fn in_front_of(server: SocketAddr, name: &str) -> Self {
        let folders =
            vec![Folder::new(&format!("{name}-nginx")), Folder::new(&format!("{name}-varnish"))];
        let ports = [free_port(), free_port(), free_port()];
        let [stock, eager, varnish] = ports;
        let programs = vec![
            nginx(&folders[0], server, [stock, eager]),
            varnishd(&folders[1], server, varnish),
        ];
        let named = ["nginx", "nginx with proxy_cache_valid any", "varnish"];
        let all = named
            .into_iter()
            .zip(ports)
            .map(|(name, port)| Cache { name, address: local(port) })
            .collect();
        for port in ports {
            listens(port).await;
        }
        Self { all, _programs: programs, _folders: folders }
    }
}

/// One process, so that none is left behind.
fn nginx(folder: &Folder, server: SocketAddr, [stock, eager]: [u16; 2]) -> Program {
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
    proxy_cache_path {place}/pages keys_zone=pages:10m;
    proxy_cache_path {place}/more keys_zone=more:10m;
    proxy_set_header Host $http_host;
    server {{
        listen 127.0.0.1:{stock};
        location / {{ proxy_pass http://{server}; proxy_cache pages; }}
    }}
    server {{
        listen 127.0.0.1:{eager};
        location / {{ proxy_pass http://{server}; proxy_cache more; proxy_cache_valid any 10m; }}
    }}
}}
"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let log = folder.path().join("nginx.log");
    Program::start(Command::new("nginx").arg("-c").arg(file).arg("-e").arg(log), "nginx")
}

fn varnishd(folder: &Folder, server: SocketAddr, port: u16) -> Program {
    let mut command = Command::new("varnishd");
    command
        .args(["-F", "-j", "none", "-s", "malloc,32m"])
        .args(["-a", &local(port).to_string(), "-b", &server.to_string()])
        .arg("-n")
        .arg(folder.path());
    Program::start(&mut command, "varnish")
}

/// A port nobody listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn listens(port: u16) {
    let connects = async {
        while TcpStream::connect(local(port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let connected = tokio::time::timeout(PATIENCE, connects).await;
    assert!(connected.is_ok(), "nginx or varnishd does not listen on port {port}");
}
