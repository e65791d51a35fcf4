//! Paths that servers read in several ways, for applications that let them through by name.

use std::sync::LazyLock;

use http::{Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tower::Layer;
use tower_access::application::{Ambiguity, Application, PathError};
use tower_access::explain::Question;
use tower_access::inspect::check_text;
use tower_access::policy::{Policy, Rule};
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessLayer, Rejection, RejectionKind};

use crate::support::{Origin, send};

static ISSUER: LazyLock<TestIssuer> = LazyLock::new(TestIssuer::new);

fn open(domain: &str) -> Application {
    let everyone = Policy::bypass("all").include(Rule::everyone());
    Application::new(domain, domain).unwrap().policy(everyone)
}

fn staff(domain: &str) -> Application {
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    Application::new(domain, domain).unwrap().policy(staff)
}

fn allow(application: Application, kind: Ambiguity) -> Application {
    match kind {
        Ambiguity::EncodedSlash => application.insecure_allow_encoded_slashes(),
        Ambiguity::DoubledSlash => application.insecure_allow_doubled_slashes(),
        Ambiguity::Backslash => application.insecure_allow_backslashes(),
        Ambiguity::PathParameter => application.insecure_allow_path_parameters(),
        Ambiguity::ControlCharacter => application.insecure_allow_control_characters(),
        Ambiguity::DoubleEscape => application.insecure_allow_double_escapes(),
        Ambiguity::InvalidEscape => application.insecure_allow_invalid_escapes(),
        Ambiguity::InvalidUtf8 => application.insecure_allow_invalid_utf8(),
        Ambiguity::UnescapedCharacter => application.insecure_allow_unescaped_characters(),
        other => panic!("{other:?} has no test"),
    }
}

fn allow_all(application: Application) -> Application {
    Ambiguity::ALL.into_iter().fold(application, allow)
}

fn verifying(applications: impl IntoIterator<Item = Application>) -> Access {
    let builder = ISSUER.verifier_builder();
    applications.into_iter().fold(builder, |it, one| it.application(one)).build().unwrap()
}

fn request(path: &str) -> Request<Full<bytes::Bytes>> {
    let uri = format!("https://h.example{path}");
    Request::get(uri).header("accept", "application/json").body(Full::default()).unwrap()
}

/// A path of each kind, and the reason for its refusal in plain words.
const SAMPLES: [(Ambiguity, &str, PathError, &str); 9] = [
    (Ambiguity::EncodedSlash, "/a%2fb", PathError::EncodedSlash, "an encoded slash"),
    (Ambiguity::DoubledSlash, "/a//b", PathError::EmptySegment, "a doubled slash"),
    (Ambiguity::Backslash, "/a%5cb", PathError::Backslash, "a backslash"),
    (Ambiguity::PathParameter, "/a;b/c", PathError::Parameter, "a path parameter"),
    (Ambiguity::ControlCharacter, "/a%0Ab", PathError::Control, "a control character"),
    (Ambiguity::DoubleEscape, "/a%2541", PathError::DoubleEscape, "an escape of an escape"),
    (Ambiguity::InvalidEscape, "/a%zz", PathError::Escape, "an invalid escape"),
    (Ambiguity::InvalidUtf8, "/a%E4", PathError::InvalidUtf8, "escapes that are not UTF-8"),
    (Ambiguity::UnescapedCharacter, "/aä", PathError::UnescapedCharacter, "needs an escape"),
];

#[tokio::test]
async fn path_03_05_10_to_14_each_kind_has_one_setting_and_is_served_as_it_was_sent() {
    for (kind, path, error, words) in SAMPLES {
        for (other, ..) in SAMPLES {
            let origin = Origin::default();
            let access = verifying([allow(open("h.example"), other)]);
            let service = AccessLayer::new(access).layer(origin.clone());
            let answer = send(&service, request(path)).await;
            if kind == other {
                assert_eq!(answer.status(), StatusCode::OK, "{kind:?} {path}");
                assert_eq!(origin.last().uri.path(), path);
                continue;
            }
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path} with {other:?}");
            assert_eq!(origin.count(), 0);
            let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
            assert_eq!(rejection.kind(), RejectionKind::Path(error), "{path}");
            assert!(rejection.kind().to_string().contains(kind.setting()));
            assert!(answer.text.contains(words), "{}", answer.text);
            assert!(!answer.text.contains("insecure"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn path_03_encoded_slashes_may_touch_slashes_and_stand_alone() {
    let origin = Origin::default();
    let access = verifying([open("h.example").insecure_allow_encoded_slashes()]);
    let service = AccessLayer::new(access).layer(origin.clone());
    for path in [
        "/api/vhosts/%2F/permissions",
        "/api/exchanges/%2f/amq.default/publish",
        "/api/definitions/%2F",
        "/insecure/plain/https%3A%2F%2Fx.example%2Fa.png",
        "/%2F",
        "/%2F%2f%2F/",
        "/a%2F/b",
        "/a/%2Fb",
        "/v4/projects/group%2Fname%20x",
    ] {
        assert_eq!(send(&service, request(path)).await.status(), StatusCode::OK, "{path}");
        assert_eq!(origin.last().uri.path(), path);
    }
    let count = origin.count();
    for path in ["/x/%2e%2e%2Fy", "/x/..%2Fy", "/x/%2e%2F", "/x%2F..", "/x%2F.%20/", "//a%2Fb"] {
        let status = send(&service, request(path)).await.status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(origin.count(), count);
}

/// Paths that some server takes for `/admin/x`, or for one with dot segments.
const ROUNDABOUT: [&str; 46] = [
    "//admin/x",
    "/admin//x/%2F..",
    "///admin",
    "//x/admin",
    "//x//admin",
    "/%2Fadmin",
    "/%2F%2Fadmin/",
    "/%2Fx/admin",
    "/admin%2Fx",
    "/%5Cadmin",
    "/\\admin",
    "/admin\\x",
    "/admin%5Cx",
    "/;a/admin",
    "/;/admin",
    "/admin;x/y",
    "/admin%3Bx",
    "/admin%00x",
    "/%09admin",
    "/ad%0Amin",
    "/%00/admin",
    "/admin%7F/x",
    "/%2561dmin",
    "/admin%252Fx",
    "/%25252Fadmin",
    "/%252525255Cadmin",
    "/ad%min",
    "/admin%",
    "/admin%u002Fx",
    "/%u0061dmin",
    "/%uFF0Fadmin",
    "/admin%C0%AFx",
    "/%C1%A1dmin",
    "/admin%E0%80%AFx",
    "/admin%C0%2Fx",
    "/admin%FF/x",
    "/;a%2Fadmin",
    "/x%2F..",
    "/x/..;/admin",
    "/x/%252e%252e/admin",
    "/x\\..\\admin",
    "/x/.%00./admin",
    "/x/%C0%AE%C0%AE/admin",
    "/x/%u002e%u002e/admin",
    "//ADMIN/x",
    "/%2FAdmin./x",
];

#[tokio::test]
async fn path_11_no_reading_gets_past_a_more_specific_application() {
    for [first, second] in [
        [allow_all(open("h.example")), staff("h.example/admin")],
        [allow_all(open("h.example")), allow_all(staff("h.example/admin"))],
        [open("h.example"), allow_all(staff("h.example/admin"))],
    ] {
        let origin = Origin::default();
        let service = AccessLayer::new(verifying([first, second])).layer(origin.clone());
        for path in ROUNDABOUT {
            let status = send(&service, request(path)).await.status();
            assert_ne!(status, StatusCode::OK, "{path}");
        }
        assert_eq!(origin.count(), 0);
    }
}

#[tokio::test]
async fn path_11_slashes_in_front_may_be_all_that_is_collapsed() {
    let applications = [allow_all(open("h.example")), staff("h.example/a/*/b")];
    let service = AccessLayer::new(verifying(applications)).layer(Origin::default());
    assert_eq!(send(&service, request("//a//b")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn path_25_no_reading_gets_to_the_login() {
    let service =
        AccessLayer::new(verifying([allow_all(open("h.example"))])).layer(Origin::default());
    for path in [
        "//cdn-cgi/access/login",
        "/cdn-cgi//access/login",
        "/cdn-cgi%2Faccess",
        "/cdn-cgi\\access/logout",
        "/cdn-cgi;x/access/logout",
        "/cdn-cgi/access//logout",
        "/cdn-cgi/access/%2561",
        "/CDN-CGI%5Caccess",
        "//x/cdn-cgi/access",
    ] {
        let status = send(&service, request(path)).await.status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn path_26_the_number_of_readings_is_bounded() {
    let service =
        AccessLayer::new(verifying([allow_all(open("h.example"))])).layer(Origin::default());
    for piece in
        ["%2F", "//", ";x", "%5C", "%00", "%25%32%35", "%zz", "%C0%AF", "%25252525252525252525"]
    {
        let path = format!("/{}", piece.repeat(2_700 / piece.len()));
        let answer = send(&service, request(&path)).await;
        assert!(matches!(answer.status().as_u16(), 200 | 400), "{piece}");
    }
    let path = format!("/{}/a", "25".repeat(1_000).replacen("25", "%25", 1));
    let answer = send(&service, request(&path)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

/// Each change that a server may make, one character at a time.
mod model {
    /// A character: bare, or decoded `depth` times less than it could be.
    pub(crate) fn readings(path: &str) -> Vec<String> {
        // Servers differ in what they do, and in the order: all orders of up to six steps.
        let steps: [fn(&str) -> String; 6] = [
            |it| it.replace("%2F", "/"),
            |it| it.replace("%5C", "\\"),
            |it| it.replace('\\', "/"),
            |it| {
                let mut out = String::new();
                for c in it.chars() {
                    if !(c == '/' && out.ends_with('/')) {
                        out.push(c);
                    }
                }
                out
            },
            |it| it.split('/').map(|s| s.split(';').next().unwrap()).collect::<Vec<_>>().join("/"),
            |it| it.replace("%252F", "%2F").replace("%255C", "%5C").replace("%253B", ";"),
        ];
        let mut all = vec![path.to_owned()];
        for _ in 0..5 {
            for one in all.clone() {
                for step in steps {
                    let next = step(&one);
                    if !all.contains(&next) {
                        all.push(next);
                    }
                }
            }
        }
        all
    }

    pub(crate) fn is_admin(path: &str) -> bool {
        path == "/admin" || path.starts_with("/admin/")
    }

    pub(crate) fn has_dots(path: &str) -> bool {
        path.split('/').any(|one| one == "." || one == "..")
    }
}

fn path() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "//", "%2F", "%5C", "\\", ";", "%3B", "%252F", "%255C", "admin", "admin", "x",
        "..",
    ]);
    prop::collection::vec(piece, 1..6).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn path_11_what_passes_belongs_to_one_application_in_all_readings_of_a_slow_model(
        path in path(),
        kinds in subsequence(Ambiguity::ALL.to_vec(), 0..=9),
    ) {
        let [first, second] = ["h.example", "h.example/admin"].map(|domain| {
            let one = if domain.ends_with("admin") { staff(domain) } else { open(domain) };
            kinds.iter().fold(one, |one, kind| allow(one, *kind))
        });
        let access = verifying([first, second]);
        let explained = access.explain(&Question::new(format!("h.example{path}")));
        let passes = !explained.reason.contains("refused with 400");
        let readings = model::readings(&path);
        if passes {
            let is_admin = model::is_admin(&readings[0]);
            for one in &readings {
                prop_assert_eq!(model::is_admin(one), is_admin, "{} as {}", path, one);
                prop_assert!(!model::has_dots(one), "{} as {}", path, one);
            }
        } else if !explained.reason.contains("letter case") && kinds.len() == Ambiguity::ALL.len() && !path.contains("//") && !path.contains(';') && !path.contains("3B") {
            // Nothing is refused without need.
            let is_admin = model::is_admin(&readings[0]);
            let is_host = readings.iter().any(|one| one.starts_with("//"));
            prop_assert!(
                is_host
                    || readings.iter().any(|it| model::is_admin(it) != is_admin || model::has_dots(it)),
                "{}: {}", path, explained.reason
            );
        }
    }
}

#[test]
fn cfg_04_a_file_sets_each_of_them_and_check_points_it_out() {
    for kind in Ambiguity::ALL {
        let text = |value: &str| {
            format!(
                "access: {{ mail: console, applications: [ {{ domain: h.example, {}: {value}, policies: \
                 [ {{ name: Ada, decision: allow, include: [ {{ email: {{ email: ada@example.com }} }} ] }} ] }} ] }}",
                kind.setting()
            )
        };
        let now = tower_access::clock::Timestamp::from_unix_seconds(1_790_000_000);
        let report = |value: &str| match check_text(&text(value), "access.yml", now) {
            Ok(report) => report.findings().iter().map(ToString::to_string).collect::<String>(),
            Err(errors) => errors.to_string(),
        };
        assert!(report("true").contains(kind.setting()), "{kind:?}: {}", report("true"));
        assert!(!report("false").contains(kind.setting()), "{kind:?}: {}", report("false"));
        assert!(report("7").contains("`true` or `false`"), "{kind:?}: {}", report("7"));
    }
}

#[test]
fn cfg_04_check_says_where_no_reading_makes_a_difference() {
    let is_said = |ingress: &str, more: &str| {
        let policies = "policies: [ { name: Ada, decision: allow, include: [ { email: { email: ada@example.com } } ] } ]";
        let text = format!(
            "ingress: [ {ingress} {{ service: 'http://localhost:9' }} ]\naccess: {{ mail: console, applications: \
             [ {{ domain: h.example, insecure_allow_doubled_slashes: true, {policies} }}{more} ] }}"
        );
        let now = tower_access::clock::Timestamp::from_unix_seconds(1_790_000_000);
        let report = check_text(&text, "f", now).unwrap_or_else(|errors| panic!("{errors}"));
        report.findings().iter().any(|it| it.to_string().contains("path-readings-judged-alike"))
    };
    assert!(is_said("", ""));
    assert!(is_said("", ", { domain: g.example/admin, policies: [] }"));
    assert!(!is_said("", ", { domain: h.example/admin, policies: [] }"));
    assert!(!is_said("", ", { domain: '*.example/admin', policies: [] }"));
    for host in ["hostname: h.example, ", "hostname: '*.example', "] {
        let rule = format!("{{ {host}path: ^/admin, service: 'http_status:403' }},");
        assert!(!is_said(&rule, ""), "{rule}");
    }
    let other = "{ hostname: g.example, path: ^/admin, service: 'http_status:403' },";
    assert!(is_said(other, ""));
}

#[test]
fn flow_01_a_deny_url_leads_to_its_own_application_in_no_reading() {
    let build = |url: &str| {
        let one = allow_all(staff("h.example/app")).custom_deny_url(url).unwrap();
        ISSUER.verifier_builder().application(one).application(open("h.example")).build().is_ok()
    };
    assert!(build("https://h.example/denied"));
    for url in
        ["https://h.example//app/no", "https://h.example/%2Fapp", "https://h.example/app%2Fno"]
    {
        assert!(!build(url), "{url}");
    }
}
