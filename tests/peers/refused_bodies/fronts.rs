//! A real nginx and a real Caddy, started for a test and ended with it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::server::{Folder, Program};

/// Longest a test waits for a program to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The proxies that are running in front of one server.
#[derive(Debug)]
pub(crate) struct Fronts {
    pub(crate) all: Vec<(&'static str, SocketAddr)>,
    // In this order: a program is gone before its folder is.
    _programs: Vec<Program>,
    _folder: Folder,
}

impl Fronts {
    /// nginx with `proxy_pass` alone, with connections that it keeps, and without buffering of
    /// requests; Caddy with `reverse_proxy`.
    pub(crate) async fn in_front_of(server: SocketAddr) -> Self {
        let folder = Folder::new("refused-bodies");
        let names = ["nginx", "nginx, keepalive", "nginx, unbuffered", "caddy"];
        let all = names.map(|name| (name, free_address()));
        let [stock, keepalive, unbuffered, caddy] = all.map(|(_, address)| address);
        let programs = vec![
            start_nginx(folder.path(), server, [stock, keepalive, unbuffered]),
            start_caddy(folder.path(), server, caddy),
        ];
        for (name, address) in all {
            let listening = async { while TcpStream::connect(address).await.is_err() {} };
            assert!(tokio::time::timeout(PATIENCE, listening).await.is_ok(), "{name} listens");
        }
        Self { all: all.into(), _programs: programs, _folder: folder }
    }
}

/// One process, so that none is left behind.
fn start_nginx(folder: &Path, server: SocketAddr, addresses: [SocketAddr; 3]) -> Program {
    let path = folder.display();
    let [stock, keepalive, unbuffered] = addresses;
    let text = format!(
        "
daemon off;
master_process off;
pid {path}/nginx.pid;
error_log {path}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    client_max_body_size 64m;
    upstream access {{ server {server}; keepalive 16; }}
    server {{
        listen {stock};
        location / {{ proxy_pass http://{server}; proxy_set_header Host $http_host; }}
    }}
    server {{
        listen {keepalive};
        location / {{
            proxy_pass http://access;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection '';
        }}
    }}
    server {{
        listen {unbuffered};
        location / {{
            proxy_pass http://{server};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
        }}
    }}
}}
"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    let log = folder.join("nginx.log");
    Program::start(Command::new("nginx").arg("-c").arg(file).arg("-e").arg(log), "nginx")
}

fn start_caddy(folder: &Path, server: SocketAddr, address: SocketAddr) -> Program {
    let (host, port) = (address.ip(), address.port());
    let text = format!(
        "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://:{port} {{\n\tbind {host}\n\treverse_proxy {server}\n}}\n"
    );
    let file = folder.join("Caddyfile");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    Program::start(&mut command, "caddy")
}

/// An address nobody listens on.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
