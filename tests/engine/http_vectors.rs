//! The cases in `tests/vectors/http.json`, byte for byte over a socket.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::application::Application;
use tower_access::issuer::SigningKey;
use tower_access::policy::Policy;
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::{Access, AccessLayer};

use crate::support::{self, Origin, clock, person, query, two_copies_of_a_key};

const ISSUER: &str = "https://example-team.cloudflareaccess.com";

struct Setup {
    document: Value,
    origin: Origin,
    key: SigningKey,
    peer: Arc<Mutex<Option<IpAddr>>>,
    address: std::net::SocketAddr,
}

async fn setup() -> Setup {
    let document: Value = serde_json::from_str(include_str!("../vectors/http.json")).unwrap();
    let fixture = &document["fixture"];
    let (key, copy) = two_copies_of_a_key();
    let peer = Arc::new(Mutex::new(None));
    let source = Arc::clone(&peer);
    let team = fixture["team_domain"].as_str().unwrap().parse().unwrap();
    let mut builder = Access::builder()
        .team_domain(team)
        .mailer(support::Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .peer_address(move |_| *source.lock().unwrap());
    for token in fixture["service_tokens"].as_array().unwrap() {
        let field = |name: &str| token[name].as_str().unwrap();
        let hash = SecretHash::new(field("client_secret"));
        builder = builder.service_token(
            ServiceToken::new(field("name"), field("client_id"), hash).id(field("id")),
        );
    }
    for app in fixture["apps"].as_array().unwrap() {
        let field = |name: &str| app[name].as_str().unwrap();
        let mut application = Application::new(field("name"), field("domain"))
            .unwrap()
            .id(field("id"))
            .audience(field("aud").parse().unwrap());
        for policy in app["policies"].as_array().unwrap() {
            application =
                application.policy(serde_json::from_value::<Policy>(policy.clone()).unwrap());
        }
        builder = builder.application(application);
    }
    let origin = Origin::default();
    let service = AccessLayer::new(builder.build().unwrap()).layer(origin.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback_service(service);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Setup { document, origin, key, peer, address }
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

impl Setup {
    async fn send(&self, case: &Value) -> Head {
        let request = &case["request"];
        let field = |name: &str| request[name].as_str().unwrap();
        *self.peer.lock().unwrap() = Some(field("peer").parse().unwrap());
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            field("method"),
            field("target"),
            field("host")
        );
        for header in request["headers"].as_array().unwrap() {
            text +=
                &format!("{}: {}\r\n", header[0].as_str().unwrap(), header[1].as_str().unwrap());
        }
        if let Some(email) = request["credential"]["cookie_for"].as_str() {
            let id = &request["credential"]["application"];
            let apps = self.document["fixture"]["apps"].as_array().unwrap();
            let app = apps.iter().find(|app| app["id"] == *id).unwrap();
            let claims = person(ISSUER, app["aud"].as_str().unwrap(), email);
            text += &format!("Cookie: CF_Authorization={}\r\n", self.key.sign(&claims).unwrap());
        }
        text += "\r\n";
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        while !received.windows(4).any(|window| window == b"\r\n\r\n") {
            let count = stream.read_buf(&mut received).await.unwrap();
            assert!(count > 0, "{}: the connection ended", case["name"]);
        }
        let text = String::from_utf8_lossy(&received).into_owned();
        let mut lines = text.split("\r\n\r\n").next().unwrap().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Head { status, headers }
    }

    fn check(&self, case: &Value, before: usize, head: &Head) {
        let (name, outcome) = (&case["name"], &case["outcome"]);
        let reached = self.origin.count() > before;
        assert_eq!(outcome["origin"], reached, "{name}: answered {}", head.status);
        if let Some(statuses) = outcome["status"].as_array() {
            assert!(
                statuses.iter().any(|status| *status == head.status),
                "{name}: {}",
                head.status
            );
        }
        if let Some(prefix) = outcome["location"]["path_prefix"].as_str() {
            let location = head.header("location").unwrap();
            assert!(location.starts_with(&format!("{ISSUER}{prefix}/")), "{name}: {location}");
            for (key, value) in outcome["location"]["query"].as_object().unwrap() {
                assert_eq!(query(location, key).as_deref(), value.as_str(), "{name}: {location}");
            }
            assert!(query(location, "meta").is_some(), "{name}: {location}");
        }
        if let Some(cache) = outcome["cache"].as_str() {
            assert!(head.header("cache-control").unwrap().contains(cache), "{name}");
        }
        if let Some(cookie) = outcome["sets_cookie"].as_str() {
            let set = head.headers.iter().any(|(key, value)| {
                key == "set-cookie" && value.starts_with(&format!("{cookie}="))
            });
            assert!(set, "{name}: {:?}", head.headers);
        }
        if !reached {
            return;
        }
        let seen = self.origin.last().headers;
        let folded = |name: &str| {
            name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        };
        for (header, value) in outcome["origin_has"].as_object().into_iter().flatten() {
            let values: Vec<_> = seen.get_all(header).iter().collect();
            assert_eq!(values, [value.as_str().unwrap()], "{name}: {header}");
        }
        for header in outcome["origin_lacks"].as_array().into_iter().flatten() {
            let lacked = folded(header.as_str().unwrap());
            assert!(!seen.keys().any(|key| folded(key.as_str()) == lacked), "{name}: {header}");
        }
        if let Some(value) = outcome["origin_lacks_value"].as_str() {
            let arrived = seen.iter().any(|(key, seen)| {
                folded(key.as_str()).starts_with("cf-access") && seen.as_bytes() == value.as_bytes()
            });
            assert!(!arrived, "{name}: {value} arrived");
        }
        if outcome["origin_has_jwt"] == true {
            assert_eq!(seen.get_all("cf-access-jwt-assertion").iter().count(), 1, "{name}");
        }
    }
}

/// catalogue: vectors/http.json
#[tokio::test]
async fn every_case_ends_as_stated() {
    let setup = setup().await;
    let mut checked = 0;
    for case in setup.document["cases"].as_array().unwrap() {
        let before = setup.origin.count();
        let head = setup.send(case).await;
        setup.check(case, before, &head);
        checked += 1;
    }
    assert_eq!(checked, setup.document["cases"].as_array().unwrap().len());
    assert!(checked >= 30);
}
