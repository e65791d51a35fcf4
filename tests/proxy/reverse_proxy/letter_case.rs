//! PATH-29: paths that some origins take for others, on their way through access and the proxy.

use http::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt};
use tower_access::application::{Application, CaseSensitiveOrigin};
use tower_access::config::Config;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{
    AccessProxy, Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve,
};
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessLayer};

use super::world::*;

/// A way to ask for a path, byte by byte as it is given.
#[derive(Clone, Copy, Debug)]
enum Http {
    One,
    Two,
}

async fn ask(running: &Running, http: Http, path: &str) -> (StatusCode, String) {
    let stream = TokioIo::new(TcpStream::connect(running.address).await.unwrap());
    let request = Request::get(format!("http://app.example{path}")).body(no_body()).unwrap();
    let answer = match http {
        Http::One => {
            let request = Request::get(path).header("host", "app.example").body(no_body()).unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            soon(sender.send_request(request)).await.unwrap()
        }
        Http::Two => {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            let answer = soon(sender.send_request(request)).await.unwrap();
            assert_eq!(answer.version(), Version::HTTP_2);
            answer
        }
    };
    (answer.status(), text(answer).await)
}

fn rule(path: Option<&str>, service: &str) -> IngressRule {
    IngressRule::parse("app.example", path, service, OriginSettings::default()).unwrap()
}

fn ingress(mut rules: Vec<IngressRule>) -> Ingress {
    rules.push(IngressRule::parse("", None, "http_status:404", OriginSettings::default()).unwrap());
    Ingress::new(rules).unwrap()
}

async fn behind(access: Access, ingress: Ingress) -> Running {
    let proxy = ReverseProxy::builder(ingress).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let service = AccessLayer::new(access).layer(proxy);
    let task = tokio::spawn(serve(listener, service, ServeLimits::default(), stopped));
    Running { address, stop, task }
}

fn open(domain: &str) -> Application {
    let everyone = Policy::bypass("all").include(Rule::everyone());
    Application::new("Open", domain).unwrap().policy(everyone)
}

fn staff(domain: &str) -> Application {
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    Application::new("Staff", domain).unwrap().policy(staff)
}

/// An engine of each role.
fn engines(applications: impl Fn() -> Vec<Application>) -> [Access; 2] {
    let issuing = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(tower_access::login::mail::ConsoleMailer);
    let verifying = TestIssuer::new().verifier_builder();
    [
        applications().into_iter().fold(issuing, |it, one| it.application(one)).build().unwrap(),
        applications().into_iter().fold(verifying, |it, one| it.application(one)).build().unwrap(),
    ]
}

#[tokio::test]
async fn path_29_no_spelling_of_a_protected_path_reaches_the_origin() {
    let origin = mirror().await;
    for access in engines(|| vec![open("app.example"), staff("app.example/ghost")]) {
        let rules = vec![rule(None, &format!("http://{origin}"))];
        let proxy = behind(access, ingress(rules)).await;
        for http in [Http::One, Http::Two] {
            for path in [
                "/GHOST/",
                "/Ghost",
                "/%47host/x",
                "/ghost./x",
                "/ghost%20/x",
                "/gho%c5%bft",
                "/.../ghost",
                "/CDN-CGI/access/login",
                "/cdn-cgi./access/login",
            ] {
                let (status, text) = ask(&proxy, http, path).await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{http:?} {path}: {text}");
            }
            let (status, text) = ask(&proxy, http, "/Posts/A.").await;
            assert_eq!(status, StatusCode::OK);
            assert!(text.starts_with("GET /Posts/A. "), "{text}");
        }
    }
}

#[tokio::test]
async fn path_29_no_spelling_steps_around_a_rule_of_ingress() {
    let origin = format!("http://{}", mirror().await);
    let other = format!("http://{}", mirror().await);
    let rules = |settings: OriginSettings| {
        let with = |path, service: &str| {
            IngressRule::parse("app.example", path, service, settings.clone()).unwrap()
        };
        vec![
            rule(Some("^/admin(/|$)"), "http_status:403"),
            rule(Some("^/(?-i:Setup)$"), "http_status:403"),
            rule(Some("^/API/v1"), &origin),
            rule(Some("^/api"), "http_status:403"),
            rule(Some("^/[^A-Z]*/lower$"), &other),
            rule(Some(r"\.php$"), "http_status:403"),
            rule(Some(r"^/dot\.$"), "http_status:403"),
            with(Some("^/assets/"), &origin),
            rule(None, &origin),
        ]
    };
    for access in engines(|| vec![open("app.example")]) {
        let proxy = behind(access, ingress(rules(OriginSettings::default()))).await;
        for http in [Http::One, Http::Two] {
            for path in [
                "/ADMIN",
                "/Admin/x",
                "/%41dmin/",
                "/admin.",
                "/admin%20/x",
                "/adm%C4%B1n",
                "/Setup.",
                "/Api/v1/x",
                "/API/v1/x",
                "/X/lower",
                "/x/Lower",
                "/x.PHP",
                "/x.php.",
                "/x.Php%20",
                "/DOT.",
            ] {
                let (status, text) = ask(&proxy, http, path).await;
                assert!(status.is_client_error(), "{http:?} {path}: {text}");
                assert!(!text.contains("GET "), "{http:?} {path}: {text}");
            }
            for path in ["/", "/Assets/x", "/ASSETS/", "/administration", "/A/b.C", "/x/lower"] {
                let (status, text) = ask(&proxy, http, path).await;
                assert_eq!(status, StatusCode::OK, "{http:?} {path}: {text}");
            }
        }
    }
    // The same service with other settings is another.
    let mut settings = OriginSettings::default();
    settings.http_host_header = Some("assets.internal".parse().unwrap());
    let proxy = ReverseProxy::builder(ingress(rules(settings))).build().unwrap();
    let answer = proxy.oneshot(get("/Assets/x")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn path_29_rules_are_told_apart_where_the_application_says_so() {
    let origin = format!("http://{}", mirror().await);
    let rules = || vec![rule(Some("^/admin"), "http_status:403"), rule(None, &origin)];
    for access in engines(|| vec![open("app.example").insecure_case_sensitive_origin()]) {
        let proxy = behind(access, ingress(rules())).await;
        for http in [Http::One, Http::Two] {
            assert_eq!(ask(&proxy, http, "/Admin").await.0, StatusCode::OK);
            assert_eq!(ask(&proxy, http, "/admin").await.0, StatusCode::FORBIDDEN);
        }
    }
    // Without access in front the program says it.
    let proxy = ReverseProxy::builder(ingress(rules())).build().unwrap();
    let answer = proxy.clone().oneshot(get("/Admin")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let mut request = get("/Admin");
    request.extensions_mut().insert(CaseSensitiveOrigin);
    assert_eq!(proxy.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn path_29_a_file_decides_as_it_says() {
    let origin = mirror().await;
    let text = |more: &str| {
        format!(
            "ingress:\n- {{ hostname: app.example, service: 'http://{origin}' }}\n\
             - {{ service: 'http_status:404' }}\n\
             access:\n  mail: console\n  applications:\n  - name: Blog\n    domain: app.example\n    \
             policies: [ {{ name: Open, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ]\n  \
             - name: Ghost\n    domain: app.example/ghost\n{more}    policies: [ {{ name: Ada, \
             decision: allow, include: [ {{ email: {{ email: ada@example.com }} }} ] }} ]\n"
        )
    };
    for (more, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("    insecure_case_sensitive_origin: true\n", StatusCode::OK),
    ] {
        let config = Config::parse(&text(more), "access.yml").unwrap();
        let proxy = AccessProxy::new(&config).await.unwrap();
        assert_eq!(proxy.oneshot(get("/GHOST/")).await.unwrap().status(), status, "{more}");
    }
}
