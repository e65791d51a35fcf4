use proptest::prelude::*;

use super::*;

fn host() -> CanonicalHost {
    "dav.example.com".parse().unwrap()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// What is read: hosts and paths, and the headers that are written anew.
#[derive(Debug, PartialEq)]
struct Read {
    named: Vec<String>,
    rewritten: Vec<(String, String)>,
}

fn read(method: &str, lines: &[(&str, &str)]) -> Result<Read, ResourceError> {
    let method: Method = method.parse().unwrap();
    let resources = Resources::read(&method, &headers(lines), &host(), "/drop/a")?;
    let Some(resources) = resources else {
        return Ok(Read { named: Vec::new(), rewritten: Vec::new() });
    };
    let named = resources.named.iter().map(|it| format!("{}{}", it.host, it.path)).collect();
    let rewritten = resources.rewritten.into_iter();
    let rewritten = rewritten
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    Ok(Read { named, rewritten })
}

fn named(method: &str, lines: &[(&str, &str)]) -> Result<Vec<String>, ResourceError> {
    read(method, lines).map(|read| read.named)
}

fn destination(value: &str) -> Result<Read, ResourceError> {
    read("MOVE", &[("destination", value)])
}

#[test]
fn path_30_a_destination_is_read_and_shortened_on_its_own_host() {
    for (written, resource, canonical) in [
        ("/staff/x", "dav.example.com/staff/x", "/staff/x"),
        ("https://dav.example.com/staff/x", "dav.example.com/staff/x", "/staff/x"),
        ("HTTPS://Dav.Example.COM.:443/staff/x", "dav.example.com/staff/x", "/staff/x"),
        ("http://dav.example.com:8080/staff/x", "dav.example.com/staff/x", "/staff/x"),
        ("https://dav.example.com", "dav.example.com/", "/"),
        ("/%73taff/%c3%a4", "dav.example.com/staff/%C3%A4", "/staff/%C3%A4"),
        ("/drop/{b}[1]", "dav.example.com/drop/%7Bb%7D%5B1%5D", "/drop/%7Bb%7D%5B1%5D"),
        ("/a%40b/c?x=1", "dav.example.com/a@b/c", "/a%40b/c?x=1"),
        (
            "HTTP://Other.Example.com:81/%62?x",
            "other.example.com/b",
            "http://other.example.com:81/b?x",
        ),
        ("https://[2001:DB8::1]:8443/x", "[2001:db8::1]/x", "https://[2001:db8::1]:8443/x"),
    ] {
        let read = destination(written).unwrap();
        assert_eq!(read.named, [resource], "{written}");
        let expected = if written == canonical {
            Vec::new()
        } else {
            vec![("destination".to_owned(), canonical.to_owned())]
        };
        assert_eq!(read.rewritten, expected, "{written}");
    }
}

#[test]
fn path_30_a_destination_that_can_be_read_two_ways_is_refused() {
    for written in [
        "",
        "b",
        "../staff/x",
        "./b",
        "?x",
        "/drop/../staff/x",
        "/drop/%2e%2e/staff/x",
        "/drop/.%2E/staff/x",
        "/drop/b/..",
        "/drop//b",
        "//dav.example.com/staff/x",
        "///staff",
        "/drop\\..\\staff",
        "/drop/b;x=1",
        "/drop/%00",
        "/drop/%zz",
        "/drop/%252e%252e/staff",
        "/drop/b#c",
        "/drop/b /staff/x",
        " /drop/b",
        "/drop/b\t",
        "/drop/b, /staff/x",
        "/drop/b?/../../staff/x",
        "/drop/<b>",
        "/drop/\"b\"",
        "/drop/ä",
        "https://user@dav.example.com/drop/b",
        "https://dav.example.com@evil.example/b",
        "https://dav.example.com:/b",
        "https://dav.example.com:x/b",
        "https://dav.example.com:99999/b",
        "https:///staff/x",
        "https:/staff/x",
        "https:staff/x",
        "https:\\\\dav.example.com\\staff",
        "https://dav.example.com\\staff",
        "https://dav.example.com/drop/../staff/x",
        "https://dav%2Eexample.com/staff",
        "ftp://dav.example.com/staff",
        "javascript://dav.example.com/staff",
        "file:///staff/x",
        "<https://dav.example.com/b>",
        "https://dav.example.com/b https://dav.example.com/staff/x",
    ] {
        assert_eq!(destination(written), Err(ResourceError::Ambiguous), "{written:?}");
    }
    for lines in [
        &[("destination", "/a"), ("destination", "/a")][..],
        &[("destination", "/a"), ("destination-account", "x")],
        &[("destination_account", "x")],
    ] {
        assert_eq!(named("COPY", lines), Err(ResourceError::Ambiguous), "{lines:?}");
    }
}

#[test]
fn path_30_a_destination_of_another_method_counts_where_it_is_a_reference() {
    for method in ["GET", "POST", "PUT", "DELETE", "PROPFIND", "LOCK", "MOVER"] {
        for text in ["Berlin", "NORTH SOUTH", "", "urn:x", "s3://bucket", "a/b", "x, y"] {
            let found = named(method, &[("destination", text)]);
            assert_eq!(found, Ok(Vec::new()), "{method} {text}");
        }
        let found = read(method, &[("destination", "https://dav.example.com/st%61ff")]).unwrap();
        assert_eq!(found.named, ["dav.example.com/staff"], "{method}");
        // What an API makes of it is not known: it stays a URL.
        let expected = ("destination".to_owned(), "https://dav.example.com/staff".to_owned());
        assert_eq!(found.rewritten, [expected]);
        for text in ["/a/../b", "//x", "https:x", "HTTP://u@x/", " /x"] {
            let found = named(method, &[("destination", text)]);
            assert_eq!(found, Err(ResourceError::Ambiguous), "{method} {text}");
        }
    }
    // A request that some programs take for another is read as both.
    for name in ["x-http-method-override", "x_http_method", "x-method-override"] {
        for method in ["MOVE", "copy", " Move "] {
            let lines = [(name, method), ("destination", "../staff")];
            assert_eq!(named("POST", &lines), Err(ResourceError::Ambiguous), "{lines:?}");
        }
        let lines = [(name, "PATCH"), ("destination", "Berlin")];
        assert_eq!(named("POST", &lines), Ok(Vec::new()));
    }
}

#[test]
fn path_30_tags_of_conditions_are_resources() {
    let token = "(<urn:uuid:1>)";
    for (written, resources, canonical) in [
        (token.to_owned(), &[][..], token.to_owned()),
        (
            format!("</staff/x> {token}"),
            &["dav.example.com/staff/x"],
            format!("</staff/x> {token}"),
        ),
        (
            format!(
                "<https://DAV.example.com/st%61ff> {token} <https://other.example.com/b>{token}"
            ),
            &["dav.example.com/staff", "other.example.com/b"],
            format!("</staff> {token} <https://other.example.com/b>{token}"),
        ),
    ] {
        for method in ["PUT", "GET", "MOVE", "LOCK"] {
            let mut lines = vec![("if", written.as_str())];
            if method == "MOVE" {
                lines.push(("destination", "/drop/b"));
            }
            let read = read(method, &lines).unwrap();
            assert_eq!(
                read.named.iter().filter(|it| !it.ends_with("drop/b")).count(),
                resources.len()
            );
            for resource in resources {
                assert!(read.named.iter().any(|named| named == resource), "{written}");
            }
            let rewritten: Vec<_> = read.rewritten.iter().map(|(_, value)| value).collect();
            let expected: Vec<_> = if canonical == written { Vec::new() } else { vec![&canonical] };
            assert_eq!(rewritten, expected, "{written}");
        }
    }
    for written in
        ["<../staff> (<x:1>)", "<//x> (<x:1>)", "<https://u@x/> (<x:1>)", "</a b> (<x:1>)"]
    {
        assert_eq!(named("PUT", &[("if", written)]), Err(ResourceError::Ambiguous), "{written}");
    }
    let twice = [("if", token), ("if", token)];
    assert_eq!(named("PUT", &twice), Err(ResourceError::Ambiguous));
}

#[test]
fn path_30_sources_of_copies_are_resources() {
    for name in
        ["x-amz-copy-source", "x_amz_copy_source", "x-ms-copy-source", "x-amz-rename-source"]
    {
        for (written, resource) in [
            ("/staff/key", "dav.example.com/staff/key"),
            ("staff/key?versionId=3", "dav.example.com/staff/key"),
            ("st%61ff/a%20b", "dav.example.com/staff/a%20b"),
            ("https://dav.example.com/staff/key", "dav.example.com/staff/key"),
            ("https://other.example.com/key", "other.example.com/key"),
        ] {
            assert_eq!(
                named("PUT", &[(name, written)]),
                Ok(vec![resource.to_owned()]),
                "{written}"
            );
        }
        for written in ["", "..", "a/../staff", "/a//b", "s3://bucket/key", "a;b", "/a b"] {
            let found = named("PUT", &[(name, written)]);
            let is_root = written.is_empty();
            assert_eq!(found.is_err(), !is_root, "{written:?}");
        }
        let twice = [(name, "/a"), (name, "/a")];
        assert_eq!(named("PUT", &twice), Err(ResourceError::Ambiguous));
    }
    let read = read("PUT", &[("x-amz-copy-source", "st%61ff/key%2b?versionId=3")]).unwrap();
    assert_eq!(read.rewritten[0].1, "staff/key%2B?versionId=3");
    // Of the host, and of the account.
    assert_eq!(
        named("PUT", &[("x-copy-from", "/c/o")]).unwrap(),
        ["dav.example.com/c/o", "dav.example.com/drop/a/c/o"]
    );
}

#[test]
fn path_30_more_resources_than_are_judged_are_refused() {
    let tags = |count: usize| {
        (0..count).map(|number| format!("</{number}> (<x:1>)")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named("PUT", &[("if", &tags(MAX_RESOURCES))]).unwrap().len(), MAX_RESOURCES);
    let found = named("PUT", &[("if", &tags(MAX_RESOURCES + 1))]);
    assert_eq!(found, Err(ResourceError::TooMany));
}

#[test]
fn path_30_usual_requests_are_not_looked_at() {
    let lines = headers(&[
        ("host", "dav.example.com"),
        ("accept", "*/*"),
        ("if-match", "\"1\""),
        ("x-forwarded-host", "x"),
        ("x-requested-with", "x"),
    ]);
    for method in [Method::GET, Method::POST, Method::PUT, Method::CONNECT] {
        assert!(Resources::read(&method, &lines, &host(), "/").unwrap().is_none());
    }
    assert!(Resources::read(&Method::DELETE, &lines, &host(), "/").unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What was written anew reads as it was judged, and is not written anew again.
    #[test]
    fn path_30_what_is_served_is_what_was_judged(
        origin in prop::option::of("(http|https|HTTPS)://([a-z]{1,3}\\.example|dav\\.example\\.com)(:[0-9]{1,4})?"),
        path in "(/[a-zA-Z0-9.~@%-]{1,6}){1,3}/?",
        query in prop::option::of("[a-z=&%]{0,5}"),
    ) {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let written = format!("{}{path}{query}", origin.unwrap_or_default());
        if let Ok(once) = destination(&written) {
            let canonical = once.rewritten.first().map_or(&written, |(_, value)| value);
            let twice = destination(canonical).unwrap();
            prop_assert_eq!(&twice.named, &once.named);
            prop_assert_eq!(twice.rewritten.len(), 0);
        }
    }

    /// Any bytes in any of the headers: no panic, a bounded number of resources, and what is
    /// written anew is read again with the same outcome.
    #[test]
    fn path_30_any_bytes_are_read_or_refused(
        method in "GET|PUT|MOVE|COPY|PROPFIND|DELETE|BIND|[A-Z]{1,6}",
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "destination", "if", "depth", "x-amz-copy-source", "x-copy-from",
                    "x-http-method-override", "destination-account", "overwrite",
                ]),
                prop_oneof![
                    prop::collection::vec(32_u8..=255, 0..40),
                    "[<>()\\[\\]\" /a:.%2fehtps?#@;\\\\]{0,40}".prop_map(String::into_bytes),
                ],
            ),
            0..5,
        ),
    ) {
        let mut headers = HeaderMap::new();
        for (name, bytes) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.append(name, value);
            }
        }
        let method: Method = method.parse().unwrap();
        if let Ok(Some(once)) = Resources::read(&method, &headers, &host(), "/a/b") {
            prop_assert!(once.named.len() <= MAX_RESOURCES);
            for (name, value) in &once.rewritten {
                headers.insert(name, value.clone());
            }
            let twice = Resources::read(&method, &headers, &host(), "/a/b").unwrap().unwrap();
            let places = |resources: &Resources| {
                let named = resources.named.iter();
                named.map(|it| (it.host.clone(), it.path.as_str().to_owned())).collect::<Vec<_>>()
            };
            prop_assert_eq!(places(&twice), places(&once));
            prop_assert!(twice.rewritten.is_empty());
        }
    }
}
