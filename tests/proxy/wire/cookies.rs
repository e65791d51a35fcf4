//! Cookies of others beside ours, as bytes.

use http::{HeaderValue, Request};
use http_body_util::Full;
use tower_access::issuer::SigningKey;

use super::client::*;
use super::world::*;
use crate::support::person;

/// The cookies of a line that are not named `CF_Authorization`, as they stand there.
fn others(line: &[u8]) -> Vec<Vec<u8>> {
    line.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && !pair.starts_with(b"CF_Authorization="))
        .map(<[u8]>::to_vec)
        .collect()
}

/// Whatever stands beside a good token, the person is let in, and the origin sees the rest of the
/// cookies as they were sent.
#[tokio::test]
async fn ses_03_ses_04_cookies_of_others_neither_keep_out_nor_change() {
    let world = world().await;
    let token = world.token();
    let stranger = SigningKey::generate().unwrap();
    let foreign = person("https://login.example.org", AUDIENCE, "ada@example.com");
    let foreign = stranger.sign(&foreign).unwrap();
    let latin = b"region=\xcele-de-France";
    let utf8 = "city=\u{130}stanbul \u{1f30d}".as_bytes();
    let big = [b"big=".as_slice(), &b"x".repeat(60_000)].concat();
    let ours = format!("CF_Authorization={token}");
    let ours = ours.as_bytes();
    let theirs = format!("CF_Authorization={foreign}");
    let theirs = theirs.as_bytes();
    let join = |parts: &[&[u8]]| parts.join(b"; ".as_slice());
    let lines: Vec<Vec<u8>> = vec![
        join(&[latin, ours]),
        join(&[ours, latin]),
        join(&[utf8, ours]),
        join(&[b"ps={\"a\":\"1\",\"b\":false}", ours]),
        join(&[b"q=\"a;b\"", ours, b"r='x, y'"]),
        [b"; ;foo; =bar; ", ours, b"; ;"].concat(),
        [b"a=1;", ours, b";b=2"].concat(),
        [b"a=1 ;\t", ours, b"\t; b=2"].concat(),
        join(&[theirs, ours]),
        join(&[ours, theirs]),
        join(&[theirs, latin, b"CF_Authorization=", ours]),
        join(&[b"CF_Authorization=", ours]),
        join(&[b"CF_Authorization", ours]),
        join(&[b"CF_Authorization=\xff\xfe", ours]),
        join(&[b"cf_authorization=x", ours]),
        join(&[b"$Version=1", ours, b"$Path=/"]),
        join(&[&big, ours]),
        join(&[ours, &big]),
    ];
    for line in &lines {
        let text = String::from_utf8_lossy(line);
        let shown: String = text.chars().take(60).collect();
        let request = |lines: &[&[u8]]| {
            let mut request = b"GET /x HTTP/1.1\r\nhost: app.example\r\n".to_vec();
            for line in lines {
                request.extend([b"Cookie: ".as_slice(), line, b"\r\n"].concat());
            }
            [request.as_slice(), b"\r\n"].concat()
        };
        let passes = |status: u16| {
            assert_eq!(status, 200, "{shown}");
            let seen = world.origin.last().header("cookie");
            assert_eq!(others(&seen.join(b"; ".as_slice())), others(line), "{shown}");
            let seen = seen.concat();
            assert!(seen.windows(ours.len()).any(|part| part == ours), "{shown}: the token");
            let is_there = |part: &[u8]| seen.windows(part.len()).any(|window| window == part);
            assert!(!is_there(foreign.as_bytes()), "{shown}: another one's token");
        };
        passes(ask(world.proxy, request(&[line])).await.status);
        // The same in two lines, the token in the second.
        let place = line.windows(ours.len()).position(|part| part == ours).unwrap();
        let (before, behind) = line.split_at(place);
        passes(ask(world.proxy, request(&[before, behind])).await.status);
        // And in crumbs.
        let crumbs: Vec<_> = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).collect();
        let mut request = Request::get("http://app.example/x");
        for crumb in crumbs {
            request = request.header("cookie", HeaderValue::from_bytes(crumb).unwrap());
        }
        let mut sender = http2(world.proxy).await;
        let answer = ask_http2(&mut sender, request.body(Full::default()).unwrap()).await;
        passes(answer.status().as_u16());
    }
}

/// A browser sends each cookie as a field of its own over HTTP/2.
#[tokio::test]
async fn proto_08_one_of_many_crumbs_is_found() {
    let world = world().await;
    let token = world.token();
    for place in [0, 90, 179] {
        let crumbs: Vec<String> = (0..180)
            .map(|number| match number == place {
                true => format!("CF_Authorization={token}"),
                false => format!("c{number}=v{number}"),
            })
            .collect();
        let builder = Request::get("http://app.example/x");
        let request = crumbs.iter().fold(builder, |it, crumb| it.header("cookie", crumb));
        let mut sender = http2(world.proxy).await;
        let answer = ask_http2(&mut sender, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), 200, "{place}");
        let seen = world.origin.last().header("cookie");
        assert_eq!(seen.len(), 1, "HTTP/1.1 has one line of cookies");
        assert_eq!(String::from_utf8_lossy(&seen[0]), crumbs.join("; "));
    }
    // Above the limit of a head nothing is let in, in any version.
    let big = format!("big={}; CF_Authorization={token}", "x".repeat(64 * 1024));
    let request = format!("GET /x HTTP/1.1\r\nhost: app.example\r\ncookie: {big}\r\n\r\n");
    let passed = world.passed();
    assert_eq!(ask(world.proxy, request).await.status, 431);
    let builder = Request::get("http://app.example/x").header("cookie", big);
    let mut sender = http2(world.proxy).await;
    if let Ok(answer) = soon(sender.send_request(builder.body(Full::default()).unwrap())).await {
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(world.passed(), passed);
}
