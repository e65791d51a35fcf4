//! Caches that several people share, in front: a real nginx and a real Varnish, as they come.
//!
//! Run by name, `cargo test --features full --test peers shared_caches::`: it needs `nginx` and `varnishd`.

mod caches;
mod world;

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use self::caches::{Cache, Caches};
use self::world::{CASES, Door, World};

/// Who asks.
#[derive(Clone, Debug)]
struct Reader {
    headers: Vec<(&'static str, String)>,
    /// Whose page the origin thinks it is; `None` for a stranger, who may see none.
    of: Option<&'static str>,
}

impl Reader {
    fn new(of: Option<&'static str>, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { headers, of }
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.push((name, value.to_owned()));
        changed
    }
}

/// One way to be let in, and those who are not let in this way or see another page.
struct Entry {
    host: &'static str,
    admitted: Reader,
    others: Vec<Reader>,
}

const INSIDE: &str = "192.0.2.7";
const OUTSIDE: &str = "198.51.100.7";

fn entries(world: &World) -> Vec<Entry> {
    let [ada, bob] = ["ada@example.com", "bob@example.com"].map(|email| world.token(email));
    let [ada_cookie, bob_cookie] = [&ada, &bob].map(|token| format!("CF_Authorization={token}"));
    let person = |of, name, value: &str| Reader::new(Some(of), &[(name, value)]);
    let service = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    let stranger = Reader::new(None, &[("x-forwarded-for", OUTSIDE)]);
    let strangers = [
        stranger.clone(),
        stranger.with("cookie", "CF_Authorization=x; other=1"),
        stranger.with("cf-access-token", "x"),
        stranger.with("accept", "text/html"),
        Reader::new(None, &[("x-forwarded-for", INSIDE)]),
    ];
    let with = |others: &[Reader]| strangers.iter().chain(others).cloned().collect::<Vec<_>>();
    let (ada_of, bob_of) = ("ada@example.com", "bob@example.com");
    vec![
        Entry {
            host: "wiki",
            admitted: person(ada_of, "cf-access-token", &ada),
            others: with(&[
                person(bob_of, "cf-access-token", &bob),
                person(bob_of, "cookie", &bob_cookie),
                Reader::new(Some("a service"), &service),
            ]),
        },
        Entry {
            host: "wiki",
            admitted: person(ada_of, "cookie", &ada_cookie),
            others: with(&[person(bob_of, "cookie", &bob_cookie)]),
        },
        Entry {
            host: "wiki",
            admitted: Reader::new(Some("a service"), &service),
            others: with(&[person(bob_of, "cf-access-token", &bob)]),
        },
        Entry {
            host: "office",
            admitted: Reader::new(Some("somebody"), &[("x-forwarded-for", INSIDE)]),
            others: strangers[..4].to_vec(),
        },
        Entry {
            host: "outside",
            admitted: Reader::new(Some("somebody"), &[("x-forwarded-for", OUTSIDE)]),
            others: strangers[4..].to_vec(),
        },
    ]
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn page_of(&self) -> Option<&str> {
        self.headers.get("x-page-of").map(|of| of.to_str().unwrap())
    }
}

struct Browser(Client<HttpConnector, Empty<Bytes>>);

impl Browser {
    fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    async fn ask(
        &self,
        method: Method,
        address: SocketAddr,
        (host, path): (&str, &str),
        reader: &Reader,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header("host", format!("{host}.example"));
        for (name, value) in &reader.headers {
            request = request.header(*name, value);
        }
        let answer = self.0.request(request.body(Empty::new()).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, cache: &Cache, place: (&str, &str), reader: &Reader) -> Answer {
        self.ask(Method::GET, cache.address, place, reader).await
    }
}

/// HDR-21, PROTO-11
#[tokio::test(flavor = "multi_thread")]
async fn hdr_21_proto_11_no_cache_in_front_of_a_program_serves_a_page_to_others() {
    no_cache_serves_a_page_to_others(Door::Layer).await;
}

/// HDR-21, PROTO-11
#[tokio::test(flavor = "multi_thread")]
async fn hdr_21_proto_11_no_cache_in_front_of_the_proxy_serves_a_page_to_others() {
    no_cache_serves_a_page_to_others(Door::Proxy).await;
}

async fn no_cache_serves_a_page_to_others(door: Door) {
    let world = World::new(door).await;
    let caches = Caches::in_front_of(world.address, &format!("{door:?}")).await;
    let browser = Browser::new();
    for (index, cache) in caches.all.iter().enumerate() {
        for (number, entry) in entries(&world).iter().enumerate() {
            for (case, written) in CASES.iter().enumerate() {
                let path = format!("/{index}/{number}/{case}");
                let place = (entry.host, &*path);
                let about = format!("{} {} {number} {written:?}", cache.name, entry.host);
                stays_with_its_reader(
                    &browser,
                    &world,
                    cache,
                    place,
                    entry,
                    written.status,
                    &about,
                )
                .await;
            }
        }
    }
}

async fn stays_with_its_reader(
    browser: &Browser,
    world: &World,
    cache: &Cache,
    place: (&str, &str),
    entry: &Entry,
    status: u16,
    about: &str,
) {
    let Entry { admitted, others, .. } = entry;
    // A refusal is not stored either, nor is what a stranger asked for first.
    let refused = others.iter().find(|reader| reader.of.is_none()).unwrap();
    let answer = browser.get(cache, place, refused).await;
    assert!(is_refusal(&answer), "{about}: {}", answer.status);
    for again in ["", "if-none-match", "range"] {
        let reader = match again {
            "if-none-match" => admitted.with("if-none-match", "\"1\""),
            "range" => admitted.with("range", "bytes=0-3"),
            _ => admitted.clone(),
        };
        let before = world.origin.count(place.1);
        let answer = browser.get(cache, place, &reader).await;
        let statuses = [status, 206, 304];
        assert!(statuses.contains(&answer.status.as_u16()), "{about}: {}", answer.status);
        assert_eq!(answer.page_of(), admitted.of, "{about}");
        let line = answer.headers["cache-control"].to_str().unwrap();
        assert!(line.contains("private") || line.contains("no-store"), "{about}: {line}");
        assert_eq!(world.origin.count(place.1), before + 1, "{about}: it was stored");
        for reader in others {
            for method in [Method::GET, Method::HEAD] {
                let answer = browser.ask(method, cache.address, place, reader).await;
                assert_eq!(answer.page_of(), reader.of, "{about}: {reader:?}");
                if reader.of.is_none() {
                    assert!(is_refusal(&answer), "{about}: {} to {reader:?}", answer.status);
                    assert!(!answer.text.contains("page of"), "{about}: {}", answer.text);
                }
            }
        }
    }
}

fn is_refusal(answer: &Answer) -> bool {
    let to_login = answer.status == StatusCode::FOUND
        && answer.headers["location"].to_str().unwrap().contains("/cdn-cgi/access/login/");
    to_login || matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The caches do store, and hand on, whatever is written so: behind a `bypass` policy for everyone
/// as the origin wants it, and behind others where the application allows it by name.
#[tokio::test(flavor = "multi_thread")]
async fn hdr_21_pages_for_everybody_are_served_from_caches() {
    for door in [Door::Layer, Door::Proxy] {
        let world = World::new(door).await;
        let caches = Caches::in_front_of(world.address, &format!("{door:?}-public")).await;
        let browser = Browser::new();
        let token = world.token("ada@example.com");
        let nobody = Reader::new(Some("somebody"), &[("x-forwarded-for", OUTSIDE)]);
        let ada = Reader::new(Some("somebody"), &[("cf-access-token", &token)]);
        for (index, cache) in caches.all.iter().enumerate() {
            for (number, case) in CASES.iter().enumerate() {
                let about = format!("{door:?} {} {case:?}", cache.name);
                let mut is_stored = false;
                // A cache may ask twice for a page that it stores, when it meets the end of a
                // connection: so it is asked for up to three.
                for attempt in 0..3 {
                    let path = format!("/{index}-{attempt}/{number}");
                    for reader in [&ada, &nobody, &nobody] {
                        let answer = browser.get(cache, ("public", &path), reader).await;
                        assert_eq!(answer.status.as_u16(), case.status, "{about}");
                        assert_eq!(answer.page_of(), reader.of, "{about}");
                    }
                    is_stored |= world.origin.count(&path) == 1;
                    if is_stored {
                        break;
                    }
                }
                // The proxy removes what `Connection` names.
                let is_named_away = matches!(door, Door::Proxy)
                    && case.lines.iter().any(|line| line.starts_with("connection: "));
                let expected = match cache.name {
                    "nginx" => case.is_stored[0] && !is_named_away,
                    "varnish" => case.is_stored[1],
                    // It stores what names no freshness besides.
                    _ => is_stored || case.is_stored[0],
                };
                assert_eq!(is_stored, expected, "{about}");
            }
            let path = format!("/{index}/shared/2");
            assert_eq!(CASES[2].lines, ["cache-control: public, max-age=600"]);
            let ada = Reader { of: Some("ada@example.com"), ..ada.clone() };
            for reader in [&ada, &nobody] {
                let answer = browser.get(cache, ("shared", &path), reader).await;
                assert_eq!(answer.page_of(), ada.of, "{door:?} {}", cache.name);
            }
            // `max-age` alone is not the name of shared caches.
            let path = format!("/{index}/shared/1");
            assert_eq!(browser.get(cache, ("shared", &path), &ada).await.page_of(), ada.of);
            assert!(is_refusal(&browser.get(cache, ("shared", &path), &nobody).await));
        }
    }
}
