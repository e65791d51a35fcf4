//! Any bytes as `Cookie` headers, one a line, through the layers: nothing panics, and a request
//! gets through exactly when one of its cookies is a good token.
//!
//! Control bytes, which no header may hold, stand for whole tokens: good ones and bad ones.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt};
use tower_access::AccessLayer;
use tower_access::layer::AccessService;
use tower_access_fuzz::VECTORS;

/// Most cookies of our name that are looked at.
const MOST: usize = 8;

/// The service behind the layers: keeps the headers of the request that reached it.
#[derive(Clone, Default)]
struct Origin(Arc<Mutex<Option<HeaderMap>>>);

impl Service<Request<Empty<Bytes>>> for Origin {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        *self.0.lock().unwrap() = Some(request.into_parts().0.headers);
        ready(Ok(Response::new(Empty::new())))
    }
}

struct World {
    runtime: Runtime,
    origin: Origin,
    service: AccessService<Origin>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new({
        let origin = Origin::default();
        World {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            service: AccessLayer::new(VECTORS.access()).layer(origin.clone()),
            origin,
        }
    });
}

fuzz_target!(|data: &[u8]| {
    let lines: Vec<HeaderValue> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(&with_tokens(line)).ok())
        .collect();
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/docs");
    request.headers_mut().insert("host", HeaderValue::from_static("wiki.example.com"));
    for line in &lines {
        request.headers_mut().append(COOKIE, line.clone());
    }
    let behind = WORLD.with_borrow_mut(|world| {
        let answer = world.runtime.block_on(world.service.clone().oneshot(request)).unwrap();
        assert!(!answer.status().is_server_error(), "{}", answer.status());
        world.origin.0.lock().unwrap().take()
    });

    let cookies: Vec<&[u8]> = lines.iter().flat_map(|line| authorizations(line)).collect();
    let is_good = |cookie: &[u8]| VECTORS.good.iter().any(|good| good.as_bytes() == cookie);
    match behind {
        Some(headers) => {
            assert!(cookies.iter().any(|cookie| is_good(cookie)), "{lines:?}");
            assert!(is_good(headers["cf-access-jwt-assertion"].as_bytes()), "{headers:?}");
            let shown = headers.get_all(COOKIE).iter().flat_map(authorizations);
            assert!(shown.into_iter().all(is_good), "{headers:?}");
        }
        // A good one behind more than that many others is not found.
        None => assert!(
            cookies.len() > MOST || !cookies.iter().any(|cookie| is_good(cookie)),
            "{lines:?}"
        ),
    }
});

/// The values of all cookies called `CF_Authorization`.
fn authorizations(line: &HeaderValue) -> Vec<&[u8]> {
    let pairs = line.as_bytes().split(|byte| *byte == b';');
    pairs
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            (pair[..equals].trim_ascii() == b"CF_Authorization")
                .then(|| pair[equals + 1..].trim_ascii())
        })
        .collect()
}

/// The line with a token in place of every control byte: the good ones come first.
fn with_tokens(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in line {
        // A tab may stand in a header, and a newline ends the line.
        let place = match byte {
            1..=8 => byte - 1,
            11..=31 => byte - 3,
            _ => {
                text.push(*byte);
                continue;
            }
        };
        let token = VECTORS.good.iter().chain(&VECTORS.bad).nth(usize::from(place)).unwrap();
        text.extend_from_slice(token.as_bytes());
    }
    text
}
