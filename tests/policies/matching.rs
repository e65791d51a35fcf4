//! Which application a request belongs to, against a slow model written from the contract's text
//! (section 7.3), and through the layers.

use axum::Router as Axum;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use proptest::sample::select;
use tower_access::application::{Application, Criterion, Destination, NotSelectedReason, Router};
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer, RejectionKind};

use crate::support::{Answer, Mailbox, clock, send};

/// The rules as they are written down, over plain text.
mod model {
    use std::cmp::Ordering;

    /// A destination in two texts; nothing but this is known of it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct Pattern {
        pub(crate) host: String,
        pub(crate) path: String,
    }

    /// Letter case of hosts and ports say nothing, a slash at the end neither; `/*` is everything.
    pub(crate) fn read(text: &str) -> Pattern {
        let (host, path) = match text.find('/') {
            Some(slash) => (&text[..slash], &text[slash..]),
            None => (text, ""),
        };
        let host = host.split(':').next().unwrap().to_lowercase();
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = if path == "/*" { "" } else { path };
        Pattern { host, path: path.to_owned() }
    }

    pub(crate) fn matches_host(pattern: &Pattern, host: &str) -> bool {
        let labels: Vec<&str> = pattern.host.split('.').collect();
        let of_host: Vec<&str> = host.split('.').collect();
        labels.len() == of_host.len()
            && labels
                .iter()
                .zip(&of_host)
                .all(|(label, text)| !text.is_empty() && label_covers(&units(label), &units(text)))
    }

    pub(crate) fn matches(pattern: &Pattern, host: &str, path: &str) -> bool {
        matches_host(pattern, host) && path_covers(&units(&pattern.path), &units(path))
    }

    /// Characters; an escape is one.
    fn units(text: &str) -> Vec<&str> {
        let mut units = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = if &text[at..=at] == "%" { at + 3 } else { at + 1 };
            units.push(&text[at..end]);
            at = end;
        }
        units
    }

    fn label_covers(pattern: &[&str], text: &[&str]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ["*", rest @ ..] => (0..=text.len()).any(|skip| label_covers(rest, &text[skip..])),
            [unit, rest @ ..] => text.first() == Some(unit) && label_covers(rest, &text[1..]),
        }
    }

    fn path_covers(pattern: &[&str], path: &[&str]) -> bool {
        match pattern {
            [] => path.is_empty() || path[0] == "/",
            ["*", rest @ ..] => (0..=path.len()).any(|skip| path_covers(rest, &path[skip..])),
            [unit, rest @ ..] => path.first() == Some(unit) && path_covers(rest, &path[1..]),
        }
    }

    /// `Greater` when the first is the more specific one, and the name of what decided.
    pub(crate) fn more_specific(one: &Pattern, two: &Pattern) -> (Ordering, &'static str) {
        let stars = |text: &str| text.chars().filter(|c| *c == '*').count();
        let literal = |text: &str| text.len() - stars(text);
        let before = |text: &str| text.chars().take_while(|c| *c != '*').count();
        if one.host != two.host {
            return match (stars(&one.host), stars(&two.host)) {
                (0, 1..) => (Ordering::Greater, "exact_host"),
                (1.., 0) => (Ordering::Less, "exact_host"),
                (stars_one, stars_two) => {
                    if literal(&one.host) != literal(&two.host) {
                        (literal(&one.host).cmp(&literal(&two.host)), "longer_host")
                    } else if stars_one != stars_two {
                        (stars_two.cmp(&stars_one), "fewer_host_wildcards")
                    } else if before(&one.host) != before(&two.host) {
                        (before(&one.host).cmp(&before(&two.host)), "longer_host_start")
                    } else {
                        (two.host.cmp(&one.host), "host_order")
                    }
                }
            };
        }
        let (stars_one, stars_two) = (stars(&one.path), stars(&two.path));
        if before(&one.path) != before(&two.path) {
            (before(&one.path).cmp(&before(&two.path)), "longer_path")
        } else if (stars_one == 0) != (stars_two == 0) {
            (stars_two.cmp(&stars_one), "plain_path")
        } else if literal(&one.path) != literal(&two.path) {
            (literal(&one.path).cmp(&literal(&two.path)), "more_of_the_path")
        } else if stars_one != stars_two {
            (stars_two.cmp(&stars_one), "fewer_path_wildcards")
        } else {
            (two.path.cmp(&one.path), "path_order")
        }
    }

    /// The one that beats all others that match.
    pub(crate) fn winner(patterns: &[Pattern], host: &str, path: &str) -> Option<usize> {
        let matching: Vec<usize> =
            (0..patterns.len()).filter(|one| matches(&patterns[*one], host, path)).collect();
        matching.iter().copied().find(|one| {
            matching.iter().all(|other| {
                one == other
                    || more_specific(&patterns[*one], &patterns[*other]).0 == Ordering::Greater
            })
        })
    }
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["a", "b", "ab", "aab", "b-a", "*"]).prop_map(str::to_owned),
        1 => "[ab]{0,2}\\*[ab]{0,2}",
    ]
}

fn definition() -> impl Strategy<Value = String> {
    let host = prop::collection::vec(label(), 0..3).prop_map(|mut labels| {
        labels.push("c".to_owned());
        labels.join(".")
    });
    let spelling = select(vec![("", false), ("", false), (":8443", false), ("", true)]);
    let segment = prop_oneof![
        4 => select(vec!["a", "b", "ab", "*", "a*", "*b", "a*b", "A", "4", "%C3%A4", "a.b"])
            .prop_map(str::to_owned),
        1 => "[ab4]{0,2}\\*(%C3%A4)?[ab4]{0,1}",
    ];
    let path = prop::collection::vec(segment, 0..4)
        .prop_map(|segments| segments.iter().map(|one| format!("/{one}")).collect::<String>());
    let slash = select(vec!["", "", "/"]);
    (host, spelling, path, slash).prop_map(|(host, (port, upper), path, slash)| {
        let host = if upper { host.to_uppercase() } else { host };
        format!("{host}{port}{path}{slash}")
    })
}

fn host() -> impl Strategy<Value = String> {
    let label = select(vec!["a", "b", "ab", "aab", "b-a", "ba", "aa"]);
    prop::collection::vec(label, 0..4).prop_map(|mut labels| {
        labels.push("c");
        labels.join(".")
    })
}

fn path() -> impl Strategy<Value = String> {
    let segment =
        select(vec!["a", "b", "ab", "aab", "A", "4", "%C3%A4", "a%C3%A4", "a.b", "*", "ba4"]);
    (prop::collection::vec(segment, 0..5), select(vec!["", "/"])).prop_map(|(segments, slash)| {
        let path: String = segments.iter().map(|one| format!("/{one}")).collect();
        if path.is_empty() { "/".to_owned() } else { path + slash }
    })
}

/// Definitions in an order of chance, none twice.
fn definitions() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    prop::collection::vec(definition(), 0..14)
        .prop_map(|all| {
            let mut different: Vec<String> = Vec::new();
            for one in all {
                if !different.iter().any(|known| model::read(known) == model::read(&one)) {
                    different.push(one);
                }
            }
            different
        })
        .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
}

fn router(definitions: &[String]) -> Router<String> {
    let parsed = definitions.iter().map(|text| {
        let destination: Destination =
            text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (destination, text.clone())
    });
    Router::new(parsed).unwrap()
}

proptest! {
    // 10 places for each of 4,000 sets.
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn path_18_pol_05_host_07_the_router_finds_what_the_model_finds(
        (definitions, shuffled) in definitions(),
        places in prop::collection::vec((host(), path()), 10),
    ) {
        let patterns: Vec<_> = definitions.iter().map(|text| model::read(text)).collect();
        let (router, other) = (router(&definitions), router(&shuffled));
        for (host, path) in &places {
            let expected = model::winner(&patterns, host, path).map(|one| &definitions[one]);
            prop_assert_eq!(router.locate(host, path), expected, "{} {}", host, path);
            prop_assert_eq!(other.locate(host, path), expected, "in another order: {} {}", host, path);
            let known = patterns.iter().filter(|one| model::matches_host(one, host)).count();
            prop_assert_eq!(router.has_host(host), known > 0);
            prop_assert_eq!(router.destinations_for(host).count(), known);
        }
    }

    #[test]
    fn an_explanation_agrees_with_the_choice(
        (definitions, _) in definitions(),
        places in prop::collection::vec((host(), path()), 4),
    ) {
        let router = router(&definitions);
        for (host, path) in &places {
            let choice = router.explain(host, path);
            let chosen = choice.chosen.as_ref().map(|chosen| chosen.value);
            prop_assert_eq!(chosen, router.locate(host, path));
            prop_assert_eq!(choice.others.len() + chosen.iter().len(), definitions.len());
            for other in &choice.others {
                let pattern = model::read(other.value);
                prop_assert_ne!(Some(other.value), chosen);
                match other.why {
                    NotSelectedReason::HostDiffers => prop_assert!(!model::matches_host(&pattern, host)),
                    NotSelectedReason::PathDiffers => prop_assert!(
                        model::matches_host(&pattern, host) && !model::matches(&pattern, host, path)
                    ),
                    NotSelectedReason::LessSpecific { decided_by } => {
                        prop_assert!(model::matches(&pattern, host, path));
                        let (_, name) =
                            model::more_specific(&model::read(chosen.unwrap()), &pattern);
                        prop_assert_eq!(serde_json::to_value(decided_by).unwrap(), name);
                    }
                    why => prop_assert!(false, "{why}"),
                }
            }
        }
    }

    #[test]
    fn a_definition_is_read_again_as_it_is_printed(text in definition()) {
        let destination: Destination = text.parse().unwrap();
        let printed = destination.to_string();
        prop_assert_eq!(printed.parse::<Destination>().unwrap(), destination);
        let pattern = model::read(&text);
        prop_assert_eq!(printed, format!("{}{}", pattern.host, pattern.path));
    }
}

/// Whether a definition covers a request.
fn covers(definition: &str, host: &str, path: &str) -> bool {
    definition.parse::<Destination>().unwrap().matches(host, path)
}

fn winner<'a>(definitions: &[&'a str], host: &str, path: &str) -> &'a str {
    let mut backwards = definitions.to_vec();
    backwards.reverse();
    let [one, two] = [definitions, &backwards].map(|order| {
        let router = Router::new(order.iter().map(|one| (one.parse().unwrap(), *one))).unwrap();
        *router.locate(host, path).unwrap()
    });
    assert_eq!(one, two, "the order is of no account");
    one
}

#[test]
fn path_16_the_segment_boundary_eng_is_not_engine() {
    for (path, covered) in [
        ("/eng", true),
        ("/eng/", true),
        ("/eng/exec", true),
        ("/engine", false),
        ("/eng.html", false),
        ("/eng-old", false),
        ("/", false),
    ] {
        assert_eq!(covers("h.example/eng", "h.example", path), covered, "{path}");
    }
}

#[test]
fn a_sub_path_without_an_application_of_its_own_is_covered_by_the_one_above() {
    let both = ["example.com/eng", "example.com/eng/exec"];
    assert_eq!(winner(&both, "example.com", "/eng/exec"), both[1]);
    assert_eq!(winner(&both, "example.com", "/eng/exec/board"), both[1]);
    assert_eq!(winner(&both, "example.com", "/eng/executive"), both[0]);
    assert_eq!(winner(&both, "example.com", "/eng/all"), both[0]);
}

#[test]
fn path_15_letter_case_counts_in_paths_and_not_in_hosts() {
    assert!(covers("H.Example/Admin", "h.example", "/Admin/x"));
    assert!(!covers("h.example/Admin", "h.example", "/admin"));
    assert!(!covers("h.example/admin", "h.example", "/ADMIN"));
}

#[test]
fn path_16_a_star_below_alpha_leaves_alpha_open() {
    assert!(!covers("h.example/alpha/*", "h.example", "/alpha"));
    assert!(covers("h.example/alpha/*", "h.example", "/alpha/"));
    assert!(covers("h.example/alpha/*", "h.example", "/alpha/x/y"));
    let both = ["h.example/alpha", "h.example/alpha/*"];
    assert_eq!(winner(&both, "h.example", "/alpha"), both[0]);
    assert_eq!(winner(&both, "h.example", "/alpha/x"), both[1]);
}

#[test]
fn a_slash_at_the_end_says_nothing() {
    assert!(covers("h.example/alpha/", "h.example", "/alpha"));
    let same = |one: &str, two: &str| {
        assert_eq!(one.parse::<Destination>().unwrap(), two.parse().unwrap(), "{one}");
    };
    same("h.example/alpha/", "h.example/alpha");
    same("h.example/foo*/", "h.example/foo*");
    for everything in ["h.example/", "h.example/*", "h.example/*/", "h.example."] {
        same(everything, "h.example");
    }
    for text in ["h.example//", "h.example/a//", "h.example/*//"] {
        assert!(text.parse::<Destination>().is_err(), "{text}");
    }
}

#[test]
fn no_path_is_every_path_the_root_included() {
    for definition in ["h.example", "h.example/", "h.example/*"] {
        for path in ["/", "/x", "/x/y/", "/*"] {
            assert!(covers(definition, "h.example", path), "{definition} {path}");
        }
    }
}

#[test]
fn path_17_a_star_in_the_middle_spans_segments() {
    for (path, covered) in [
        ("/foo/bar", true),
        ("/food/bar", true),
        ("/food/stuff/bar", true),
        ("/food/stuff/bar/below", true),
        ("/foo/barn", false),
        ("/foo", false),
    ] {
        assert_eq!(covers("h.example/foo*/bar", "h.example", path), covered, "{path}");
    }
}

#[test]
fn host_07_a_star_in_a_host_crosses_no_dot() {
    for (definition, host, covered) in [
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "evilexample.com", false),
        ("*test.example.com", "test.example.com", true),
        ("*test.example.com", "alphatest.example.com", true),
        ("*test.example.com", "beta.test.example.com", false),
        ("a*b.example.com", "a.b.example.com", false),
        ("a.*.com", "a.b.com", true),
        ("a.*.com", "a.b.c.com", false),
        ("*.2.3.4", "[::ffff:1.2.3.4]", false),
    ] {
        assert_eq!(covers(definition, host, "/"), covered, "{definition} {host}");
        let router = Router::new([(definition.parse().unwrap(), ())]).unwrap();
        assert_eq!(router.locate(host, "/").is_some(), covered, "{definition} {host}");
        assert_eq!(router.has_host(host), covered, "{definition} {host}");
    }
}

#[test]
fn the_host_comes_before_the_path() {
    let both = ["a.example", "*.example/a/very/long/path"];
    assert_eq!(winner(&both, "a.example", "/a/very/long/path"), both[0]);
    let three = ["*.example/x/y", "pre*.example/x", "prefix.example/x/y"];
    assert_eq!(winner(&three, "prefix.example", "/x/y"), three[2]);
    assert_eq!(winner(&three, "prefix.example", "/x/z"), three[1], "no other path on the first");
    assert_eq!(winner(&three, "present.example", "/x/y"), three[1]);
    assert_eq!(winner(&three, "b.example", "/x/y"), three[0]);
}

#[test]
fn crossing_wildcards_are_decided_by_what_stands_before_them() {
    let paths = ["h.example/*/b", "h.example/a*"];
    assert_eq!(winner(&paths, "h.example", "/a/b"), paths[1]);
    let paths = ["h.example/a/*/c", "h.example/a/b"];
    assert_eq!(winner(&paths, "h.example", "/a/b/c"), paths[1]);
    let hosts = ["*.b.example", "a.*.example"];
    assert_eq!(winner(&hosts, "a.b.example", "/"), hosts[1]);
}

#[test]
fn wildcard_hosts_have_an_order() {
    let all = ["*.example", "pre*.example", "*fix.example", "p*x.example", "prefix.example"];
    let order = |hosts: &[&str]| {
        let router = Router::new(hosts.iter().map(|one| (one.parse().unwrap(), ()))).unwrap();
        router.destinations().map(|(one, ())| one.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        order(&all),
        ["prefix.example", "pre*.example", "*fix.example", "p*x.example", "*.example"]
    );
}

/// Whoever covers less wins, also where the numbers of characters are the same.
#[test]
fn pol_05_a_narrower_destination_wins_over_a_wider_one() {
    for (narrow, wide, host, path) in [
        ("a.*.example", "a*.*.example", "a.b.example", "/"),
        ("h.example/x*/a", "h.example/x*/a*", "h.example", "/x/a"),
        ("h.example/x*/a/b", "h.example/x*/a*/b", "h.example", "/xx/a/b"),
    ] {
        assert_eq!(winner(&[wide, narrow], host, path), narrow);
    }
}

#[test]
fn host_01_a_port_is_left_out_of_a_definition() {
    for text in ["h.example:8443/x", "h.example.:80/x", "h.example/x"] {
        assert_eq!(text.parse::<Destination>().unwrap().to_string(), "h.example/x", "{text}");
    }
    assert_eq!("*.example:8080".parse::<Destination>().unwrap().to_string(), "*.example");
    assert_eq!(
        "[2001:DB8::1]:8080/x".parse::<Destination>().unwrap().to_string(),
        "[2001:db8::1]/x"
    );
    for text in [
        "h.example:",
        "h.example:x",
        "h.example:99999",
        "h.example:1:2",
        "::1",
        "[::1",
        "[::1]x",
        "h.example:*",
        "[::*]",
    ] {
        assert!(text.parse::<Destination>().is_err(), "{text}");
    }
    let both = ["h.example:80", "h.example:8080"].map(|text| (text.parse().unwrap(), ()));
    assert!(Router::new(both).is_err(), "one host, two applications");
}

#[test]
fn path_07_path_09_path_12_escapes_are_compared_in_canonical_form() {
    let same = |one: &str, two: &str| {
        assert_eq!(one.parse::<Destination>().unwrap(), two.parse().unwrap(), "{one}");
    };
    same("h.example/%61dmin", "h.example/admin");
    same("h.example/caf%c3%a9", "h.example/café");
    same("h.example/a b", "h.example/a%20b");
    assert!(covers("h.example/café", "h.example", "/caf%C3%A9/x"));
    // An escape is one character: nothing begins in the middle of it.
    assert!(!covers("h.example/x*4", "h.example", "/x%C3%A4"));
    assert!(!covers("h.example/*A4", "h.example", "/%C3%A4"));
    assert!(covers("h.example/x*4", "h.example", "/x%C3%A44"));
    // `%23` and `%3F` are characters of a segment.
    assert!(covers("h.example/public/*/x", "h.example", "/public/secret%23/x"));
    assert!(!covers("h.example/admin", "h.example", "/admin%3F/public"));
    for text in
        ["/%2a", "/a%2Fb", "/%252e", "/%", "/a%*", "/%C3*", "/..", "/a/../b", "/a;b", "/a\\b"]
    {
        assert!(format!("h.example{text}").parse::<Destination>().is_err(), "{text}");
    }
    // An asterisk in a request is a character, and no wildcard.
    assert!(!covers("h.example/ab", "h.example", "/a*"));
    assert!(covers("h.example/a*", "h.example", "/a*"));
}

#[test]
fn host_06_names_beyond_ascii_are_held_as_requests_bring_them() {
    for (text, printed) in [
        ("bücher.example/x", "xn--bcher-kva.example/x"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(text.parse::<Destination>().unwrap().to_string(), printed, "{text}");
    }
    assert!(covers("bücher.example", "xn--bcher-kva.example", "/"));
    // A Cyrillic letter is another letter.
    assert!(!covers("\u{430}pp.example", "app.example", "/"));
    for imitation in [
        "\u{ff41}pp.example",
        "app\u{ff0e}example",
        "app.example\u{3002}com",
        "\u{ff11}.example",
        "bü*.example",
        "ü%61.example",
    ] {
        assert!(imitation.parse::<Destination>().is_err(), "{imitation}");
    }
}

#[test]
fn path_26_a_long_path_costs_no_more_than_its_length() {
    let definitions: Vec<String> =
        (0..200).map(|n| format!("h.example{}", "/a".repeat(n))).collect();
    let router = Router::new(definitions.iter().map(|one| (one.parse().unwrap(), one))).unwrap();
    let path = "/a".repeat(4_000);
    assert_eq!(router.locate("h.example", &path), definitions.last().as_ref());
    let host = vec!["a"; 120].join(".");
    assert_eq!(router.locate(&host, &path), None);
}

#[test]
fn criteria_are_told_apart_by_name() {
    assert_eq!(serde_json::to_value(Criterion::ExactHost).unwrap(), "exact_host");
}

// === through the layers ===

const GHOST: &str = "blog.example";

fn applications() -> Vec<Application> {
    vec![
        Application::new("Editors", "blog.example/ghost")
            .unwrap()
            .policy(Policy::allow("editors").include(Rule::email("editor@example.com").unwrap())),
        Application::new("Readers", "blog.example/ghost/api/content")
            .unwrap()
            .policy(Policy::bypass("everyone").include(Rule::everyone())),
    ]
}

fn blog(applications: Vec<Application>, key: SigningKey) -> Axum {
    let mut builder = Access::builder()
        .team_domain("login.example".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key)
        .clock(clock());
    for application in applications {
        builder = builder.application(application);
    }
    Axum::new()
        .fallback(get(|| async { "inside" }))
        .layer(AccessLayer::new(builder.build().unwrap()))
}

async fn ask(app: &Axum, path: &str) -> Answer {
    let request = Request::builder().uri(path).header("host", GHOST);
    send(app, request.body(Full::from(String::new())).unwrap()).await
}

/// Section 18.1: "path precedence is unreliable".
#[tokio::test]
async fn pol_05_a_protected_ghost_with_a_public_api_works_in_every_order() {
    let der = SigningKey::generate().unwrap().to_pkcs8_der().unwrap().to_vec();
    let with_more_around_it = |name: &str, domain: &str| {
        Application::new(name, domain)
            .unwrap()
            .policy(Policy::allow("nobody").include(Rule::email("nobody@example.com").unwrap()))
    };
    let mut orders: Vec<Vec<Application>> = Vec::new();
    for around in [
        None,
        Some("*.example/ghost/api/content"),
        Some("blog.example"),
        Some("blog.example/ghost/*"),
    ] {
        let mut all = applications();
        all.extend(around.map(|domain| with_more_around_it("Around", domain)));
        for order in permutations(all.len()) {
            orders.push(order.into_iter().map(|one| all[one].clone()).collect());
        }
    }
    for order in orders {
        let names: Vec<String> = order.iter().map(|one| one.name().to_owned()).collect();
        let whole_host =
            order.iter().any(|one| one.destinations()[0].to_string() == "blog.example");
        let app = blog(order, SigningKey::from_pkcs8_der(&der).unwrap());
        for path in ["/ghost/api/content", "/ghost/api/content/", "/ghost/api/content/posts/?key=1"]
        {
            let answer = ask(&app, path).await;
            assert_eq!(answer.status(), StatusCode::OK, "{names:?} {path}");
            assert_eq!(answer.text, "inside");
        }
        for path in [
            "/ghost",
            "/ghost/",
            "/ghost/api",
            "/ghost/api/contents",
            "/ghost/api/content-admin",
            "/ghost/api/Content",
            "/ghost/?x=/ghost/api/content",
        ] {
            let answer = ask(&app, path).await;
            assert_ne!(answer.status(), StatusCode::OK, "{names:?} {path}");
            assert!(!answer.text.contains("inside"));
        }
        for path in [
            "/ghost/api/content/../../admin",
            "/ghost/api/content%2f..%2f..",
            "/ghost/api/content;x",
        ] {
            assert_eq!(ask(&app, path).await.status(), StatusCode::BAD_REQUEST, "{path}");
        }
        let answer = ask(&app, "/ghostly").await;
        assert!(!answer.text.contains("inside"));
        let rejection = answer.parts.extensions.get::<tower_access::Rejection>().unwrap();
        let nothing_there = rejection.kind() == RejectionKind::NoApplication;
        assert_eq!(nothing_there, !whole_host, "{names:?}");
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |shorter, next| {
        shorter
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(move |place| {
                    let mut order = order.clone();
                    order.insert(place, next);
                    order
                })
            })
            .collect()
    })
}
