//! Refusals of requests with large bodies, behind a real nginx and a real Caddy.
//!
//! Run by name, `cargo test --features full --test peers refused_bodies::`: it needs `nginx` and `caddy`.
//! `REFUSED_BODIES=200` sends so many requests of each kind.

mod fronts;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::application::Application;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, ReverseProxy, ServeLimits, serve};
use tower_access::{Access, AccessLayer};

use self::fronts::Fronts;
use crate::support::{Mailbox, clock, two_copies_of_a_key};

const SIZES: [usize; 4] = [100_000, 1_000_000, 5_000_000, 50_000_000];

/// A stranger's request, and requests that were let in where no origin reads them.
const CASES: [(&str, u16); 3] =
    [("wiki.example", 401), ("gone.example", 410), ("down.example", 502)];

/// The 502 of the proxy has it, and that of nginx or Caddy does not.
const OWN_HEADER: &str = "x-content-type-options: nosniff";

#[tokio::test]
async fn proto_13_refusals_of_large_bodies_reach_the_client_behind_nginx_and_caddy() {
    let times = std::env::var("REFUSED_BODIES").map_or(10, |times| times.parse().unwrap());
    let fronts = Fronts::in_front_of(start().await).await;
    let body = vec![b'x'; SIZES[3]];
    for (front, address) in &fronts.all {
        for (host, status) in CASES {
            for size in SIZES {
                let mut answers = BTreeMap::<_, usize>::new();
                for _ in 0..times {
                    let answer = send(*address, host, &body[..size]).await;
                    *answers.entry(answer).or_default() += 1;
                }
                let expected = BTreeMap::from([(Some((status, true)), times)]);
                assert_eq!(answers, expected, "{front}, {host}, {size} bytes");
            }
        }
    }
}

async fn start() -> SocketAddr {
    let everyone = || Policy::bypass("everyone").include(Rule::everyone());
    let app = |host: &str| Application::new(host, host).unwrap();
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(two_copies_of_a_key().0)
        .clock(clock())
        .application(app("wiki.example").policy(staff))
        .application(app("gone.example").policy(everyone()))
        .application(app("down.example").policy(everyone()))
        .build()
        .unwrap();
    let rule = |host, service| IngressRule::parse(host, None, service, Default::default()).unwrap();
    let ingress = Ingress::new(vec![
        // Port 1 is nobody's.
        rule("down.example", "http://127.0.0.1:1"),
        rule("", "http_status:410"),
    ]);
    let proxy = ReverseProxy::builder(ingress.unwrap()).build().unwrap();
    let service = AccessLayer::new(access).layer(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
    address
}

/// Sends a request, and reads its answer afterwards, as simple clients do: the status, and whether the
/// proxy gave it.
async fn send(front: SocketAddr, host: &str, body: &[u8]) -> Option<(u16, bool)> {
    let mut stream = TcpStream::connect(front).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST /up HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A front may close when it has answered.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, status != 502 || text.contains(OWN_HEADER)))
}
