//! PATH-15, PATH-29: paths that some origins take for those of another application: in other letter
//! case, or with dots or blanks at the end of a segment.

use std::sync::LazyLock;

use http::{Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tower::Layer;
use tower_access::application::{Application, CaseSensitiveOrigin, Destination, PathError};
use tower_access::clock::Timestamp;
use tower_access::explain::Question;
use tower_access::inspect::lint::Severity;
use tower_access::inspect::{Deployment, check_text, diff};
use tower_access::policy::{Outcome, Policy, Rule};
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessLayer, Rejection, RejectionKind, headers};

use crate::support::{self, Origin, person, send, two_copies_of_a_key};

const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn application(name: &str, domain: &str) -> Application {
    Application::new(name, domain).unwrap()
}

fn open(domain: &str) -> Application {
    application("Open", domain).policy(Policy::bypass("all").include(Rule::everyone()))
}

fn staff(domain: &str) -> Application {
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    application("Staff", domain).audience(AUDIENCE.parse().unwrap()).policy(staff)
}

fn issuing(applications: impl IntoIterator<Item = Application>) -> Access {
    let builder = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(support::Mailbox::default())
        .clock(support::clock());
    applications.into_iter().fold(builder, |builder, it| builder.application(it)).build().unwrap()
}

fn verifying(applications: impl IntoIterator<Item = Application>) -> Access {
    let builder = TestIssuer::new().verifier_builder();
    applications.into_iter().fold(builder, |builder, it| builder.application(it)).build().unwrap()
}

fn request(method: &str, host: &str, path: &str) -> Request<Full<bytes::Bytes>> {
    let uri = format!("https://{host}{path}");
    Request::builder().method(method).uri(uri).body(Full::default()).unwrap()
}

const GHOSTS: [&str; 19] = [
    "/GHOST",
    "/GHOST/",
    "/Ghost/x",
    "/gHost/x/y",
    "/%47host",
    "/%67%48ost",
    "/gho%C5%BFt/",
    "/ghost.",
    "/ghost./x",
    "/ghost%20/x",
    "/ghost%20",
    "/ghost.%20./x",
    "/ghost%C2%A0/x",
    "/ghost%E3%80%80",
    "/GHOST.%20",
    "/.../ghost",
    "/%20/GHOST/x",
    "/.../ghost./x",
    "/ghost.../",
];

#[tokio::test]
async fn path_15_path_29_another_letter_case_does_not_step_around_a_stricter_application() {
    type Build = fn([Application; 2]) -> Access;
    let roles: [Build; 2] = [|all| issuing(all), |all| verifying(all)];
    for access in roles {
        let origin = Origin::default();
        let applications = [open("blog.example.com"), staff("blog.example.com/ghost")];
        let service = AccessLayer::new(access(applications)).layer(origin.clone());
        for path in GHOSTS {
            for method in ["GET", "POST", "HEAD", "OPTIONS", "PROPFIND"] {
                let answer = send(&service, request(method, "blog.example.com", path)).await;
                assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{method} {path}");
                let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
                assert_eq!(rejection.kind(), RejectionKind::Path(PathError::LetterCase), "{path}");
            }
        }
        assert_eq!(origin.count(), 0);
        // What else is on the host passes as it did, and is served as it was written.
        for path in [
            "/",
            "/Ghosts",
            "/GHOSTS/x",
            "/blog/Ghost",
            "/Assets/Main.JS",
            "/a./b%20c/D..",
            "/%C3%84",
            "/...",
            "/Ghost.html",
        ] {
            let answer = send(&service, request("GET", "blog.example.com", path)).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(origin.last().uri.path(), path);
        }
        let count = origin.count();
        for path in ["/ghost", "/ghost/X", "/ghost/x./Y%20"] {
            let answer = send(&service, request("GET", "blog.example.com", path)).await;
            assert_ne!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
            assert_ne!(answer.status(), StatusCode::OK, "{path}");
        }
        assert_eq!(origin.count(), count);
    }
}

#[tokio::test]
async fn path_29_a_login_does_not_open_other_spellings_either() {
    let (key, copy) = two_copies_of_a_key();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(support::Mailbox::default())
        .signing_key(copy)
        .clock(support::clock())
        .application(open("blog.example.com/public"))
        .application(staff("blog.example.com"))
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let token =
        key.sign(&person("https://login.example.com", AUDIENCE, "ada@example.com")).unwrap();
    for (path, status) in
        [("/x", 200), ("/X", 200), ("/PUBLIC", 400), ("/public/X", 200), ("/public./x", 400)]
    {
        let mut request = request("GET", "blog.example.com", path);
        let cookie = format!("CF_Authorization={token}").parse().unwrap();
        request.headers_mut().insert("cookie", cookie);
        assert_eq!(send(&service, request).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn path_29_an_encoded_slash_hides_no_letter_case() {
    let slashes = |it: Application| it.insecure_allow_encoded_slashes();
    let origin = Origin::default();
    let access = issuing([slashes(open("git.example")), slashes(staff("git.example/x/ghost"))]);
    let service = AccessLayer::new(access).layer(origin.clone());
    for path in ["/x%2FGHOST", "/X%2Fghost", "/x%2Fghost.", "/x/GHOST%2Fa", "/X%2Fghost%20%2Fa"] {
        let answer = send(&service, request("GET", "git.example", path)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(origin.count(), 0);
    let answer = send(&service, request("GET", "git.example", "/X%2FGhosts")).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn path_25_path_29_own_endpoints_are_nobody_elses_in_any_spelling() {
    let slashes = || open("blog.example.com").insecure_allow_encoded_slashes();
    let everything = TestIssuer::new().access();
    for access in [issuing([slashes()]), verifying([slashes()]), everything] {
        let origin = Origin::default();
        let service = AccessLayer::new(access).layer(origin.clone());
        for path in [
            "/CDN-CGI/access/login",
            "/Cdn-Cgi/Access/certs",
            "/%43dn-cgi/access/certs",
            "/cdn-cgi./access/logout",
            "/cdn-cgi/access./logout",
            "/cdn-cgi%20/access",
            "/cdn-cgi/acce%C5%BFs/login",
            "/.../cdn-cgi/access/login",
            "/Cdn-Cgi/access/../",
            "/CDN-CGI%2Faccess%2Flogin",
            "/cdn-cgi%2Faccess/login",
            "/cdn-cgi/access/login%2Fx",
        ] {
            let answer = send(&service, request("GET", "blog.example.com", path)).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        }
        assert_eq!(origin.count(), 0);
    }
}

#[test]
fn path_29_only_who_has_something_to_lose_can_say_that_letter_case_is_told_apart() {
    let says = |it: Application| it.insecure_case_sensitive_origin();
    let friends = || {
        let ada = Rule::email("ada@example.com").unwrap();
        application("Friends", "blog.example.com").policy(Policy::allow("ada").include(ada))
    };
    let at_home = || {
        let home = Rule::ip("192.0.2.0/24").unwrap();
        application("Home", "blog.example.com").policy(Policy::bypass("home").include(home))
    };
    let ghost = || staff("blog.example.com/ghost");
    let outside = || open("blog.example.com");
    let also_open = || {
        let everyone = Policy::service_auth("all").include(Rule::everyone());
        application("Also open", "blog.example.com/ghost").policy(everyone)
    };
    for (applications, passes) in [
        ([outside(), ghost()], false),
        ([says(outside()), ghost()], false),
        ([outside(), says(ghost())], true),
        ([friends(), says(ghost())], false),
        ([says(friends()), ghost()], false),
        ([says(friends()), says(ghost())], true),
        ([at_home(), says(ghost())], false),
        ([outside(), also_open()], true),
    ] {
        let names = format!("{applications:?}");
        let access = issuing(applications);
        for path in ["/GHOST", "/ghost./x"] {
            let explained = access.explain(&Question::new(format!("blog.example.com{path}")));
            assert_eq!(!explained.reason.contains("refused with 400"), passes, "{names} {path}");
        }
    }
}

#[test]
fn path_29_destinations_in_any_letter_case() {
    let is_refused = |applications: [Application; 2], path: &str| {
        let explained =
            issuing(applications).explain(&Question::new(format!("blog.example.com{path}")));
        explained.reason.contains("refused with 400")
    };
    let ghost = || [open("blog.example.com"), staff("blog.example.com/Ghost")];
    assert!(!is_refused(ghost(), "/Ghost/x"));
    for path in ["/ghost", "/GHOST/x", "/Ghost."] {
        assert!(is_refused(ghost(), path), "{path}");
    }
    // Where two differ in nothing else, nobody knows which of them an origin serves.
    let both = || [open("blog.example.com/ghost"), staff("blog.example.com/Ghost")];
    for path in ["/Ghost", "/ghost/x"] {
        assert!(is_refused(both(), path), "{path}");
    }
    // What is less specific by its spelling is more so for the origin.
    let below = || [open("blog.example.com/Docs"), staff("blog.example.com/docs/admin")];
    assert!(is_refused(below(), "/Docs/admin"));
    assert!(!is_refused(below(), "/docs/admin"));
    assert!(!is_refused(below(), "/Docs/x"));
    let wildcard = || [open("*.example.com"), staff("blog.example.com/*/Admin")];
    assert!(is_refused(wildcard(), "/a/admin"));
    assert!(!is_refused(wildcard(), "/a/Admin/x"));
    assert!(!is_refused(wildcard(), "/a/administration"));
    // Nothing covers what an origin serves that cuts the dot off.
    let closed = || [open("blog.example.com/a.*"), staff("blog.example.com/b")];
    assert!(is_refused(closed(), "/a."));
    assert!(!is_refused(closed(), "/a.b"));
    // One application in several spellings is one.
    let one = || {
        [
            open("blog.example.com"),
            staff("blog.example.com/A").also_at("blog.example.com/a").unwrap(),
        ]
    };
    assert!(!is_refused(one(), "/a/x") && !is_refused(one(), "/A/x"));
}

#[tokio::test]
async fn path_29_the_word_of_an_application_goes_with_its_requests() {
    let origin = Origin::default();
    let says = staff("blog.example.com/ghost").insecure_case_sensitive_origin();
    let access = verifying([open("blog.example.com"), says]);
    let service = AccessLayer::new(access).layer(origin.clone());
    // Put there by somebody else: it does not count.
    let mut forged = request("GET", "blog.example.com", "/");
    forged.extensions_mut().insert(CaseSensitiveOrigin);
    assert_eq!(send(&service, forged).await.status(), StatusCode::OK);
    assert!(origin.last().extensions.get::<CaseSensitiveOrigin>().is_none());
    let issuer = TestIssuer::new();
    let access = issuer
        .verifier_builder()
        .application(
            staff("blog.example.com")
                .audience(TestIssuer::AUDIENCE.parse().unwrap())
                .insecure_case_sensitive_origin(),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(origin.clone());
    let mut request = request("GET", "blog.example.com", "/");
    let token = issuer.token_for("ada@example.com").parse().unwrap();
    request.headers_mut().insert(headers::JWT_ASSERTION, token);
    assert_eq!(send(&service, request).await.status(), StatusCode::OK);
    assert!(origin.last().extensions.get::<CaseSensitiveOrigin>().is_some());
}

// === Against a model ===

/// The rule as it is written down, over characters.
mod model {
    use std::cmp::Reverse;

    #[derive(Clone, Debug)]
    pub(crate) struct Entry {
        pub(crate) host: &'static str,
        pub(crate) path: String,
        pub(crate) application: usize,
    }

    /// Paths here have no escapes of ASCII but blanks.
    pub(crate) fn decode(path: &str) -> String {
        percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned()
    }

    pub(crate) fn fold(path: &str) -> String {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let mut folded = String::new();
        for (number, segment) in segments.iter().enumerate() {
            let cut = segment.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
            if !cut.is_empty() || number + 1 == segments.len() {
                folded += "/";
                folded += &cut.to_lowercase().to_uppercase().to_lowercase();
            }
        }
        folded
    }

    fn covers(pattern: &[char], path: &[char]) -> bool {
        match pattern {
            [] => path.is_empty() || path[0] == '/',
            ['*'] => true,
            ['*', rest @ ..] => (0..=path.len()).any(|skip| covers(rest, &path[skip..])),
            [one, rest @ ..] => path.first() == Some(one) && covers(rest, &path[1..]),
        }
    }

    pub(crate) fn matches(pattern: &str, path: &str) -> bool {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        covers(&characters(pattern), &characters(path))
    }

    /// All that an origin could mean by a folded path.
    pub(crate) fn folded_winners(entries: &[Entry], host: &str, path: &str) -> Vec<usize> {
        let path = fold(path);
        let folded = entries.iter().filter_map(|entry| {
            let folded = if entry.path.is_empty() { String::new() } else { fold(&entry.path) };
            let folded = folded.strip_suffix('/').unwrap_or(&folded).to_owned();
            let is_blank = folded.is_empty() && !entry.path.is_empty();
            let is_here = entry.host == host || entry.host.starts_with('*');
            (is_here && !is_blank && matches(&folded, &path)).then_some((entry, folded))
        });
        let all: Vec<_> = folded.collect();
        let rank = |(entry, text): &(&Entry, String)| {
            // A blank is an escape of three characters.
            let text = text.replace(' ', "%20");
            let stars = text.matches('*').count();
            (
                entry.host.starts_with('*'),
                Reverse(text.find('*').unwrap_or(text.len())),
                stars > 0,
                Reverse(text.len() - stars),
                stars,
                text,
            )
        };
        let Some(best) = all.iter().map(rank).min() else { return Vec::new() };
        let winners = all.iter().filter(|one| rank(one) == best);
        winners.map(|(entry, _)| entry.application).collect()
    }
}

fn segment() -> impl Strategy<Value = String> {
    let parts = ["a", "A", "b", "B", "%C3%A9", "%C3%89", "%C3%9F", "ss", "S", "%C5%BF", "k"];
    let ends = ["", "", "", ".", "%20", "..", ".%20", "%C2%A0"];
    prop_oneof![
        8 => (subsequence(parts.to_vec(), 1..=2), select(ends.to_vec()))
            .prop_map(|(parts, end)| parts.concat() + end),
        2 => select(vec!["a", "A", "%E2%84%AA", "k"]).prop_map(str::to_owned),
        1 => Just("...".to_owned()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let segments = prop::collection::vec(segment(), 0..=3);
    (segments, any::<bool>()).prop_map(|(segments, slash)| {
        let path: String = segments.iter().map(|one| format!("/{one}")).collect();
        if slash || path.is_empty() { path + "/" } else { path }
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let wild = (segment(), any::<bool>())
        .prop_map(|(one, before)| if before { format!("*{one}") } else { format!("{one}*") });
    let segment = prop_oneof![4 => segment(), 1 => wild, 1 => Just("*".to_owned())];
    prop::collection::vec(segment, 0..=3)
        .prop_map(|segments| segments.iter().map(|one| format!("/{one}")).collect())
}

/// Whether it is open to everybody, and whether it says that letter case is told apart.
type Kind = (bool, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn path_29_refuses_what_a_slow_model_refuses(
        patterns in prop::collection::vec((any::<bool>(), pattern(), 0..3_usize), 1..8),
        kinds in prop::collection::vec(any::<Kind>(), 3),
        paths in prop::collection::vec(path(), 6),
    ) {
        let mut entries: Vec<(model::Entry, Destination)> = Vec::new();
        for (is_wild, path, application) in patterns {
            let host = if is_wild { "*.example" } else { "h.example" };
            let destination: Destination = format!("{host}{path}").parse().unwrap();
            if entries.iter().any(|(_, known)| *known == destination) {
                continue;
            }
            let path = if path == "/*" { String::new() } else { model::decode(&path) };
            entries.push((model::Entry { host, path, application }, destination));
        }
        // Without keys of its own it is quickly built.
        static ISSUER: LazyLock<TestIssuer> = LazyLock::new(TestIssuer::new);
        let mut builder = ISSUER.verifier_builder();
        for (number, (is_open, says)) in kinds.iter().enumerate() {
            let mut own = entries.iter().filter(|(entry, _)| entry.application == number);
            let Some((_, first)) = own.next() else { continue };
            let mut one = application(&number.to_string(), &first.to_string());
            for (_, other) in own {
                one = one.also_at(&other.to_string()).unwrap();
            }
            one = one.policy(if *is_open {
                Policy::bypass("all").include(Rule::everyone())
            } else {
                Policy::allow("ada").include(Rule::email("ada@example.com").unwrap())
            });
            builder =
                builder.application(if *says { one.insecure_case_sensitive_origin() } else { one });
        }
        let access = builder.build().unwrap();
        for path in paths {
            for host in ["h.example", "g.example"] {
                let decoded = model::decode(&path);
                let here = entries
                    .iter()
                    .filter(|(entry, _)| entry.host == host || entry.host.starts_with('*'))
                    .filter(|(entry, _)| model::matches(&entry.path, &decoded))
                    .min_by_key(|(_, destination)| destination.specificity())
                    .map(|(entry, _)| entry.application);
                let all: Vec<_> = entries.iter().map(|(entry, _)| entry.clone()).collect();
                let folded = model::folded_winners(&all, host, &decoded);
                let explained = access.explain(&Question::new(format!("{host}{path}")));
                let Some(here) = here else {
                    prop_assert!(explained.reason.contains("no application"), "{}", explained);
                    continue;
                };
                let careless = |one: &usize| kinds[*one].0 || kinds[*one].1;
                let passes = folded.iter().all(|one| *one == here) && !folded.is_empty()
                    || !folded.is_empty() && careless(&here) && folded.iter().all(careless);
                let is_refused = explained.reason.contains("refused with 400");
                prop_assert_eq!(!is_refused, passes, "{} {} {:?} {:?}", host, path, here, folded);
                if passes {
                    let outcome =
                        if kinds[here].0 { Outcome::Bypassed } else { Outcome::LoginRequired };
                    prop_assert_eq!(explained.outcome, outcome);
                }
            }
        }
    }
}

// === What is said of a file ===

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const OPEN: &str = "policies: [ { name: Open, decision: bypass, include: [ { everyone: {} } ] } ]";
const STAFF: &str = "policies: [ { name: Ada, decision: allow, include: [ { email: { email: ada@example.com } } ] } ]";

fn file(applications: &[(&str, &str, &str)], more: &str) -> String {
    let applications: String = applications
        .iter()
        .map(|(name, domain, rest)| format!("  - {{ name: {name}, domain: '{domain}', {rest} }}\n"))
        .collect();
    format!(
        "access:\n  mail: {{ smtp: {{ host: mail.example.com, from: access@example.com }} }}\n  \
         applications:\n{applications}{more}"
    )
}

/// `id key` and message of what is found about letter case, and about settings.
fn found(text: &str) -> Vec<(String, String)> {
    let report = check_text(text, "f", NOW).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    let all =
        report.findings().iter().map(|one| (format!("{} {}", one.id, one.key), one.to_string()));
    all.filter(|(id, _)| id.starts_with("letter-case") || id.starts_with("weakened")).collect()
}

#[test]
fn path_29_check_names_the_pairs() {
    let pair = |one: &str, two: &str| {
        file(&[("Blog", "b.example.com", one), ("Ghost", "b.example.com/ghost", two)], "")
    };
    let refused = found(&pair(OPEN, STAFF));
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].0, "letter-case-refused access.applications[1].domain");
    for word in ["`/Ghost`", "`Blog`", "`Ghost`", "400", "insecure_case_sensitive_origin"] {
        assert!(refused[0].1.contains(word), "{word}: {refused:?}");
    }
    assert_eq!(found(&pair(STAFF, OPEN)).len(), 1);
    // The same policies, or nothing to lose: no difference.
    assert!(found(&pair(STAFF, STAFF)).is_empty());
    assert!(found(&pair(OPEN, &OPEN.replace("Open", "Too"))).is_empty());
    // The word of the stricter application counts, and is what is warned of then.
    let says = |policies: &str| format!("insecure_case_sensitive_origin: true, {policies}");
    let through = found(&pair(OPEN, &says(STAFF)));
    assert_eq!(through.len(), 1, "{through:?}");
    let key = "access.applications[1].insecure_case_sensitive_origin";
    assert_eq!(through[0].0, format!("letter-case-let-through {key}"));
    for word in ["`/Ghost`", "`Blog`", "`Ghost`"] {
        assert!(through[0].1.contains(word), "{word}: {through:?}");
    }
    let worthless = found(&pair(&says(OPEN), STAFF));
    let ids: Vec<&str> = worthless.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "weakened-default access.applications[0].insecure_case_sensitive_origin",
            "letter-case-refused access.applications[1].domain"
        ]
    );
}

#[test]
fn path_29_check_is_silent_where_letter_case_makes_no_difference() {
    let silent = |applications: &[(&str, &str, &str)]| {
        let text = file(applications, "");
        assert!(found(&text).is_empty(), "{text}: {:?}", found(&text));
    };
    silent(&[("A", "a.example.com", OPEN), ("B", "b.example.com/ghost", STAFF)]);
    silent(&[("A", "b.example.com", OPEN), ("B", "b.example.com/2024", STAFF)]);
    silent(&[("A", "b.example.com/blog", OPEN), ("B", "b.example.com/ghost", STAFF)]);
    silent(&[("A", "*.example.com", OPEN), ("B", "b.example.com", STAFF)]);
    let several = found(&file(
        &[
            ("A", "b.example.com", OPEN),
            ("B", "b.example.com/ghost", STAFF),
            ("C", "*.example.com/x", STAFF),
            ("D", "*.example.com", OPEN),
            ("E", "b.example.com/%C3%A4*", STAFF),
        ],
        "",
    ));
    let keys: Vec<&str> = several.iter().map(|(id, _)| id.as_str()).collect();
    let key = |number| format!("letter-case-refused access.applications[{number}].domain");
    assert_eq!(keys, [key(1), key(2), key(4)]);
}

#[test]
fn path_29_check_names_rules_of_ingress() {
    let ingress = |rules: &str| {
        file(
            &[("Blog", "b.example.com", OPEN)],
            &format!("ingress:\n{rules}  - {{ service: 'http_status:404' }}\n"),
        )
    };
    let rule = |path: &str, service: &str| {
        format!("  - {{ hostname: b.example.com, {path} service: '{service}' }}\n")
    };
    let (admin, other) = ("path: '^/admin',", "http://127.0.0.1:1");
    let text = ingress(&(rule(admin, "http_status:403") + &rule("", other)));
    let refused = found(&text);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].0, "letter-case-refused ingress[0].path");
    for (path, service, next) in [
        (admin, other, other),
        ("path: '(?i)^/admin',", "http_status:403", other),
        ("path: '^/\\d+',", "http_status:403", other),
        (admin, other, "http_status:404"),
    ] {
        let text = ingress(&(rule(path, service) + &rule("", next)));
        assert!(found(&text).is_empty(), "{text}: {:?}", found(&text));
    }
}

#[test]
fn path_29_severities_are_those_of_the_documentation() {
    use tower_access::inspect::lint::LintKind;
    assert_eq!(LintKind::LetterCaseRefused.severity(), Severity::Notice);
    assert_eq!(LintKind::LetterCaseLetThrough.severity(), Severity::Warning);
}

#[test]
fn path_29_explain_and_diff_know_what_is_refused() {
    let blog = ("Blog", "b.example.com", OPEN);
    let says = format!("insecure_case_sensitive_origin: true, {STAFF}");
    let text = |ghost: &str| file(&[blog, ("Ghost", "b.example.com/ghost", ghost)], "");
    let deployment = |text: &str| Deployment::parse(text, "f").unwrap_or_else(|it| panic!("{it}"));
    let (strict, lax) = (deployment(&text(STAFF)), deployment(&text(&says)));
    let question = Question::new("b.example.com/GHOST/x");
    let explained = strict.explain(&question, NOW);
    assert_eq!(explained.outcome, Outcome::Denied);
    assert!(explained.reason.contains("letter case"), "{explained}");
    assert_eq!(lax.explain(&question, NOW).outcome, Outcome::Bypassed);
    // That more is let through is not passed over in silence.
    let report = diff(&strict, &lax, NOW);
    assert!(!report.is_empty());
    assert!(report.to_string().contains("insecure_case_sensitive_origin"), "{report}");
    // Of two applications that differ in letter case alone, nobody gets to either.
    let both = file(
        &[("Upper", "b.example.com/Ghost", OPEN), ("Lower", "b.example.com/ghost", STAFF)],
        "",
    );
    let one = file(&[("Upper", "b.example.com/Ghost", OPEN)], "");
    let report = diff(&deployment(&one), &deployment(&both), NOW);
    let moved: Vec<_> = report.moved.iter().map(|one| (&*one.place, one.new.is_some())).collect();
    assert_eq!(moved, [("b.example.com/Ghost", false)], "{report}");
}
