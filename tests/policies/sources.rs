//! Where facts come from that a request does not prove itself, and what happens without them.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use tower::{Layer, ServiceBuilder};
use tower_access::address::{Country, PeerAddress, TrustedProxies};
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::config::Config;
use tower_access::facts::{
    CertificateError, CertificateHeaders, FactSource, GeoDatabase, PeerCertificate, RequestView,
    TrustedHeaders,
};
use tower_access::identity::{Attributes, Email, LoginMethod, ProviderGroup, RiskLevel, Subject};
use tower_access::policy::{
    Certificate, Definitions, DevicePosture, Fact, Facts, Outcome, Policies, Policy, Rule, Verdict,
};
use tower_access::{Access, AccessLayer, Identity};

use crate::support::mmdb::{Value, country, database};
use crate::support::{self, Browser, Mailbox, NOW, Origin, ask_for_code, clock, log_in, send};

const PROXY: &str = "10.0.0.1";
const STRANGER: &str = "203.0.113.9";

/// A source that says what it is told to.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Knowledge>>);

#[derive(Clone, Debug, Default)]
struct Knowledge {
    country: Option<Country>,
    certificate: PeerCertificate,
    device_posture: Option<Arc<DevicePosture>>,
    risk: Option<RiskLevel>,
    asked: Vec<&'static str>,
    people: Vec<(Option<String>, Option<String>)>,
}

impl Told {
    fn set(&self, change: impl FnOnce(&mut Knowledge)) {
        change(&mut self.0.lock().unwrap());
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn answer<T>(
        &self,
        what: &'static str,
        request: &RequestView<'_>,
        of: impl Fn(&Knowledge) -> T,
    ) -> T {
        let mut known = self.0.lock().unwrap();
        known.asked.push(what);
        let email = request.email().map(ToString::to_string);
        known.people.push((email, request.user_id().map(str::to_owned)));
        of(&known)
    }
}

impl FactSource for Told {
    fn country(&self, request: &RequestView<'_>) -> Option<Country> {
        self.answer("country", request, |known| known.country)
    }

    fn certificate(&self, request: &RequestView<'_>) -> PeerCertificate {
        self.answer("certificate", request, |known| known.certificate.clone())
    }

    fn device_posture(&self, request: &RequestView<'_>) -> Option<Arc<DevicePosture>> {
        self.answer("device_posture", request, |known| known.device_posture.clone())
    }

    fn risk(&self, request: &RequestView<'_>, person: &Email) -> Option<RiskLevel> {
        assert_eq!(request.email(), Some(person));
        self.answer("risk", request, |known| known.risk)
    }
}

fn france() -> Country {
    "FR".parse().unwrap()
}

fn posture(is_good: bool) -> Arc<DevicePosture> {
    Arc::new([("disk".into(), is_good)].into_iter().collect())
}

fn proxies() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]).unwrap()
}

fn request(peer: Option<&str>, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().uri("/").header("host", "app.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(peer) = peer {
        request = request.extension(PeerAddress(peer.parse().unwrap()));
    }
    request.body(Full::default()).unwrap()
}

/// One application, for machines and networks: no login is ever offered.
fn open_to(policy: Policy, source: impl FactSource) -> (impl Service, Origin) {
    let access = Access::builder()
        .clock(clock())
        .trusted_proxies(proxies())
        .fact_source(source)
        .application(Application::new("App", "app.example").unwrap().policy(policy))
        .build()
        .unwrap();
    let origin = Origin::default();
    (AccessLayer::new(access).layer(origin.clone()), origin)
}

/// What the layers make of an origin.
trait Service:
    tower::Service<
        Request<Full<Bytes>>,
        Response = http::Response<Self::Body>,
        Error: std::fmt::Debug,
    > + Clone
{
    type Body: http_body::Body<Data = Bytes, Error: std::fmt::Debug>;
}

impl<S, B> Service for S
where
    S: tower::Service<Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    type Body = B;
}

async fn is_open(service: &impl Service, request: Request<Full<Bytes>>) -> bool {
    send(service, request).await.status() == StatusCode::OK
}

#[tokio::test]
async fn ip_01_a_country_header_counts_from_trusted_proxies_alone() {
    let headers = TrustedHeaders::new().country_from(HeaderName::from_static("cf-ipcountry"));
    let policy = Policy::bypass("france").include(Rule::geo("FR").unwrap());
    let (service, _) = open_to(policy, headers);
    let client = ("x-forwarded-for", "192.0.2.7");
    let says = |country| ("cf-ipcountry", country);
    for (peer, lines, expected) in [
        (Some(PROXY), &[client, says("FR")][..], true),
        (Some(PROXY), &[client, says("DE")], false),
        (Some(PROXY), &[client, says("XX")], false),
        (Some(PROXY), &[client, says("FR"), says("FR")], false),
        (Some(PROXY), &[client, ("cf_ipcountry", "FR")], false),
        // Of whom does it speak?
        (Some(PROXY), &[says("FR")], false),
        (Some(STRANGER), &[client, says("FR")], false),
        (Some(STRANGER), &[says("FR")], false),
        (None, &[client, says("FR")], false),
    ] {
        assert_eq!(is_open(&service, request(peer, lines)).await, expected, "{peer:?} {lines:?}");
    }
}

#[tokio::test]
async fn ip_01_an_origin_never_sees_what_a_stranger_wrote_in_a_proxys_name() {
    let headers = TrustedHeaders::new()
        .country_from(HeaderName::from_static("cf-ipcountry"))
        .certificate_from(CertificateHeaders::nginx());
    let (service, origin) = open_to(Policy::bypass("everyone").include(Rule::everyone()), headers);
    let lines = [
        ("Cf-IpCountry", "FR"),
        ("cf_ipcountry", "FR"),
        ("X-SSL-Client-Verify", "SUCCESS"),
        ("X_SSL.Client_Verify", "SUCCESS"),
        ("X-SSL-Client-S-DN", "CN=boss"),
        ("accept-language", "fr"),
    ];
    for (peer, expected) in [
        (Some(STRANGER), &["accept-language"][..]),
        (None, &["accept-language"]),
        (
            Some(PROXY),
            &["accept-language", "cf-ipcountry", "x-ssl-client-s-dn", "x-ssl-client-verify"],
        ),
    ] {
        assert!(is_open(&service, request(peer, &lines)).await);
        let seen = origin.last().headers;
        let mut names: Vec<&str> =
            seen.keys().map(HeaderName::as_str).filter(|name| *name != "host").collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{peer:?}");
    }
}

/// SVC-09
#[tokio::test]
async fn ip_01_a_certificate_in_headers_counts_from_trusted_proxies_alone() {
    let headers = TrustedHeaders::new().certificate_from(CertificateHeaders::nginx());
    let policy = Policy::service_auth("laptop").include(Rule::common_name("laptop-7"));
    let (service, _) = open_to(policy, headers);
    let lines = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("x-ssl-client-s-dn", "CN=laptop-7,O=Example"),
    ];
    assert!(is_open(&service, request(Some(PROXY), &lines)).await);
    assert!(!is_open(&service, request(Some(STRANGER), &lines)).await);
    assert!(!is_open(&service, request(Some(PROXY), &lines[..2])).await);
    let another = [lines[0], lines[1], ("x-ssl-client-s-dn", "O=laptop-7\\,CN=laptop-7,CN=eve")];
    assert!(!is_open(&service, request(Some(PROXY), &another)).await);
}

/// SVC-09
#[tokio::test]
async fn a_certificate_of_the_peer_is_the_clients_unless_the_peer_is_a_proxy() {
    let policy = Policy::service_auth("laptop").include(Rule::common_name("laptop-7"));
    let (service, _) = open_to(policy, Told::default());
    let with = |peer, certificate: PeerCertificate| {
        let mut request = request(Some(peer), &[("x-forwarded-for", "192.0.2.7")]);
        request.extensions_mut().insert(certificate);
        request
    };
    let laptop = PeerCertificate::verified(Some("laptop-7"));
    assert!(is_open(&service, with(STRANGER, laptop.clone())).await);
    assert!(!is_open(&service, with(PROXY, laptop)).await);
    for other in [
        PeerCertificate::verified(Some("laptop-8")),
        PeerCertificate::verified(None),
        PeerCertificate::Missing,
        PeerCertificate::Unknown,
    ] {
        assert!(!is_open(&service, with(STRANGER, other)).await);
    }
}

/// SVC-09
#[tokio::test]
async fn a_certificate_out_of_date_is_as_good_as_none() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(NOW)));
    let access = Access::builder()
        .clock(Arc::clone(&clock))
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .policy(Policy::service_auth("any").include(Rule::certificate())),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let at = |seconds| Timestamp::from_unix_seconds(NOW + seconds);
    let certificate = PeerCertificate::verified(None).valid_between(at(10), at(20));
    for (seconds, expected) in [(0, false), (10, true), (10, true), (1, false)] {
        clock.advance(Duration::from_secs(seconds));
        let mut request = request(Some(STRANGER), &[]);
        request.extensions_mut().insert(certificate.clone());
        assert_eq!(is_open(&service, request).await, expected, "{clock:?}");
    }
}

/// SVC-09
#[test]
fn a_certificates_name_and_dates_are_read_from_what_came_over_the_wire() {
    let der = |names: &[&str]| {
        let mut params = CertificateParams::new(vec!["alt.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "CN=boss");
        for (number, name) in names.iter().enumerate() {
            // The same attribute twice is written under two spellings of its type.
            let kind = if number == 0 {
                DnType::CommonName
            } else {
                DnType::CustomDnType(vec![2, 5, 4, 3])
            };
            params.distinguished_name.push(kind, *name);
        }
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    };
    let from = Timestamp::from_unix_seconds(1_577_836_800);
    let to = Timestamp::from_unix_seconds(1_893_456_000);
    for (names, expected) in [(&["laptop-7"][..], Some("laptop-7")), (&[], None)] {
        let read = PeerCertificate::from_verified_der(&der(names)).unwrap();
        assert_eq!(read, PeerCertificate::verified(expected).valid_between(from, to));
    }
    let two = der(&["laptop-7", "boss"]);
    assert_eq!(PeerCertificate::from_verified_der(&two), Err(CertificateError::CommonName));
    let good = der(&["laptop-7"]);
    for bad in [&good[1..], &good[..good.len() - 1], b"", &[good.as_slice(), b"\0"].concat()] {
        let read = PeerCertificate::from_verified_der(bad);
        assert_eq!(read, Err(CertificateError::Malformed));
    }
}

/// A file that is gone when the test ends.
struct File(PathBuf);

impl File {
    fn with(content: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-access-{}-{number}.mmdb", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        std::fs::write(&file.0, content).unwrap();
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn of_test(built_at: u64) -> Vec<u8> {
    let only = |key| Value::Map(vec![(key, Value::Map(vec![("iso_code", Value::Text("FR"))]))]);
    database(
        "GeoLite2-Country",
        built_at,
        &[
            ("192.0.2.0/24", country("FR")),
            ("198.51.100.0/24", country("DE")),
            ("198.18.0.0/24", country("XX")),
            ("198.18.1.0/24", only("registered_country")),
            ("198.18.2.0/24", Value::Map(vec![("country", Value::Text("FR"))])),
            ("2001:db8::/32", country("FR")),
        ],
    )
}

#[test]
fn ip_05_pol_15_a_database_knows_countries_or_does_not() {
    let file = File::with(&of_test(NOW));
    let countries = GeoDatabase::open(&file.0).unwrap();
    assert_eq!(countries.built_at(), Timestamp::from_unix_seconds(NOW));
    for (address, expected) in [
        ("192.0.2.7", Some("FR")),
        ("::ffff:192.0.2.7", Some("FR")),
        ("198.51.100.1", Some("DE")),
        ("2001:db8::1", Some("FR")),
        ("2001:db9::1", None),
        ("203.0.113.9", None),
        ("198.18.0.1", None),
        ("198.18.1.1", None),
        ("198.18.2.1", None),
    ] {
        let country = countries.country(address.parse::<IpAddr>().unwrap());
        assert_eq!(country.map(|it| it.to_string()).as_deref(), expected, "{address}");
    }
}

#[test]
fn pol_15_a_file_that_cannot_be_used_is_refused_by_its_path() {
    let missing = GeoDatabase::open("/nowhere/countries.mmdb").unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/countries.mmdb: cannot be read:"), "{missing}");
    let networks = Value::Map(vec![("autonomous_system_number", Value::Number32(64_496))]);
    let asn = database("GeoLite2-ASN", NOW, &[("192.0.2.0/24", networks)]);
    let good = of_test(NOW);
    for (content, expected) in [
        (b"no database".as_slice(), "not a MaxMind database"),
        (b"", "not a MaxMind database"),
        (&good[..good.len() - 40], "not a MaxMind database"),
        (&asn, "GeoLite2-ASN"),
    ] {
        let file = File::with(content);
        let error = GeoDatabase::open(&file.0).unwrap_err().to_string();
        assert!(error.starts_with(file.0.to_str().unwrap()) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_newer_file_is_taken_whole_or_not_at_all() {
    let file = File::with(&of_test(NOW));
    let countries = GeoDatabase::open(&file.0).unwrap();
    let address = "192.0.2.7".parse().unwrap();
    std::fs::write(&file.0, b"half a file").unwrap();
    assert!(countries.reload().is_err());
    assert_eq!(countries.country(address), Some(france()));
    let moved = database("GeoLite2-Country", NOW + 1, &[("192.0.2.0/24", country("DE"))]);
    std::fs::write(&file.0, moved).unwrap();
    let clone = countries.clone();
    clone.reload().unwrap();
    assert_eq!(countries.country(address), "DE".parse().ok());
    assert_eq!(clone.country(address), "DE".parse().ok());
    assert_eq!(countries.built_at(), Timestamp::from_unix_seconds(NOW + 1));
}

/// What is written to the log.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Of all tests: whoever looks for a line looks for something of its own.
    fn shared() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::WARN)
                .with_writer(move || writer.clone())
                .init();
            log
        })
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        let all = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        all.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn pol_15_an_old_database_serves_and_the_log_says_so_once() {
    let log = Log::shared();
    let day = 86_400;
    for (age, warnings) in [(60 * day, 0), (61 * day, 1)] {
        let file = File::with(&of_test(NOW - age));
        let policy = Policy::bypass("france").include(Rule::geo("FR").unwrap());
        let (service, _) = open_to(policy, GeoDatabase::open(&file.0).unwrap());
        for _ in 0..3 {
            assert!(is_open(&service, request(Some("192.0.2.7"), &[])).await);
        }
        let lines = log.lines_with(file.0.to_str().unwrap());
        assert_eq!(lines.len(), warnings, "{lines:?}");
    }
}

/// A country that does not exist is no fact: it meets no rule, and nobody is known not to be there.
#[tokio::test]
async fn pol_21_a_country_of_a_source_that_does_not_exist_is_unknown() {
    let log = Log::shared();
    let includes = || Policy::bypass("p").include(Rule::geo("FR").unwrap());
    let excludes =
        || Policy::bypass("p").include(Rule::everyone()).exclude(Rule::geo("GB").unwrap());
    for code in ["EU", "A1", ""] {
        let records = [("192.0.2.0/24", country(code)), ("198.51.100.0/24", country("FR"))];
        let file = File::with(&database("GeoLite2-Country", NOW, &records));
        let countries = GeoDatabase::open(&file.0).unwrap();
        assert_eq!(countries.country("192.0.2.7".parse().unwrap()), None, "{code}");
        for policy in [includes(), excludes()] {
            let (service, _) = open_to(policy, countries.clone());
            assert!(!is_open(&service, request(Some("192.0.2.7"), &[])).await, "{code}");
            assert!(is_open(&service, request(Some("198.51.100.7"), &[])).await, "{code}");
        }
        let lines = log.lines_with(file.0.to_str().unwrap());
        assert_eq!(lines.len(), usize::from(!code.is_empty()), "{code}: {lines:?}");

        let name = format!("x-{}-country", code.to_lowercase());
        let headers = TrustedHeaders::new().country_from(name.parse().unwrap());
        for policy in [includes(), excludes()] {
            let (service, _) = open_to(policy, headers.clone());
            let lines = |code| [("x-forwarded-for", "192.0.2.7"), (name.as_str(), code)];
            assert!(!is_open(&service, request(Some(PROXY), &lines(code))).await, "{code}");
            assert!(is_open(&service, request(Some(PROXY), &lines("FR"))).await, "{code}");
        }
        let lines = log.lines_with(&name);
        assert_eq!(lines.len(), usize::from(!code.is_empty()), "{code}: {lines:?}");
    }
}

#[tokio::test]
async fn pol_15_a_refusal_for_want_of_a_fact_says_which_under_its_reference() {
    let log = Log::shared();
    let policy = Policy::service_auth("france")
        .include(Rule::certificate())
        .require(Rule::geo("FR").unwrap());
    let source = Told::default();
    let (service, _) = open_to(policy, source.clone());
    let answer = send(&service, request(Some(STRANGER), &[])).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
    assert!(verdict.missing_facts().contains(Fact::Certificate));
    let reference = |answer: &support::Answer| {
        let rejection = answer.parts.extensions.get::<tower_access::Rejection>();
        rejection.unwrap().reference().to_owned()
    };
    let lines = log.lines_with(&reference(&answer));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("certificate"), "{lines:?}");
    // What is known and does not suffice is no fact missing.
    source.set(|known| {
        known.country = "DE".parse().ok();
        known.certificate = PeerCertificate::Missing;
    });
    let answer = send(&service, request(Some(STRANGER), &[])).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(log.lines_with(&reference(&answer)), Vec::<String>::new());
}

#[tokio::test]
async fn the_first_source_that_knows_wins() {
    let (first, second) = (Told::default(), Told::default());
    let policy = Policy::bypass("france").include(Rule::geo("FR").unwrap());
    let access = Access::builder()
        .clock(clock())
        .fact_source(first.clone())
        .fact_source(second.clone())
        .application(Application::new("App", "app.example").unwrap().policy(policy))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    for (one, two, expected) in [
        (None, None, false),
        (None, Some("FR"), true),
        (Some("DE"), Some("FR"), false),
        (Some("FR"), Some("DE"), true),
    ] {
        let country = |code: Option<&str>| code.and_then(|code| code.parse().ok());
        first.set(|known| known.country = country(one));
        second.set(|known| known.country = country(two));
        let open = is_open(&service, request(Some(STRANGER), &[])).await;
        assert_eq!(open, expected, "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn nothing_is_asked_that_no_policy_of_the_application_asks_for() {
    let rule = |asks: &str| match asks {
        "country" => Rule::geo("FR").unwrap(),
        "certificate" => Rule::common_name("laptop-7"),
        "device_posture" => Rule::device_posture("disk"),
        _ => Rule::everyone(),
    };
    for asks in ["", "country", "certificate", "device_posture"] {
        let source = Told::default();
        let (service, _) = open_to(Policy::service_auth("p").include(rule(asks)), source.clone());
        let _ = is_open(&service, request(Some(STRANGER), &[])).await;
        let expected: Vec<&str> = Some(asks).filter(|it| !it.is_empty()).into_iter().collect();
        assert_eq!(source.asked(), expected);
    }
}

/// A place for people, behind a proxy that says where they come from.
fn for_people(policies: Vec<Policy>, source: &Told) -> (impl Service + use<>, Mailbox, Origin) {
    let (mailbox, origin) = (Mailbox::default(), Origin::default());
    let application = policies
        .into_iter()
        .fold(Application::new("App", "app.example").unwrap(), Application::policy);
    let access = Access::builder()
        .clock(clock())
        .mailer(mailbox.clone())
        .fact_source(source.clone())
        .application(application)
        .build()
        .unwrap();
    let service = ServiceBuilder::new()
        .map_request(|mut request: Request<Full<Bytes>>| {
            request.extensions_mut().insert(PeerAddress("192.0.2.7".parse().unwrap()));
            request
        })
        .layer(AccessLayer::new(access))
        .service(origin.clone());
    (service, mailbox, origin)
}

type Change = fn(&mut Knowledge);

/// For each kind of fact: a rule that asks for it, and what makes the rule hold, and fail.
fn outside_facts() -> Vec<(&'static str, Rule, Change, Change)> {
    vec![
        (
            "country",
            Rule::geo("FR").unwrap(),
            |known| known.country = Some(france()),
            |known| known.country = "DE".parse().ok(),
        ),
        (
            "certificate",
            Rule::certificate(),
            |known| known.certificate = PeerCertificate::verified(Some("laptop-7")),
            |known| known.certificate = PeerCertificate::Missing,
        ),
        (
            "common name",
            Rule::common_name("laptop-7"),
            |known| known.certificate = PeerCertificate::verified(Some("laptop-7")),
            |known| known.certificate = PeerCertificate::verified(Some("laptop-8")),
        ),
        (
            "device posture",
            Rule::device_posture("disk"),
            |known| known.device_posture = Some(posture(true)),
            |known| known.device_posture = Some(posture(false)),
        ),
        (
            "risk",
            Rule::user_risk_score(&[RiskLevel::Low]).unwrap(),
            |known| known.risk = Some(RiskLevel::Low),
            |known| known.risk = Some(RiskLevel::High),
        ),
    ]
}

#[tokio::test]
async fn pol_06_a_fact_that_goes_missing_closes_in_every_place() {
    let ada = || Rule::email("ada@example.com").unwrap();
    for (name, rule, holds, fails) in outside_facts() {
        let places = [
            ("include", vec![Policy::allow("p").include(rule.clone())], true),
            ("require", vec![Policy::allow("p").include(ada()).require(rule.clone())], true),
            ("exclude", vec![Policy::allow("p").include(ada()).exclude(rule.clone())], false),
            (
                "block",
                vec![
                    Policy::deny("d").include(rule.clone()),
                    Policy::allow("p").include(Rule::everyone()),
                ],
                false,
            ),
        ];
        for (place, policies, opens_when_it_holds) in places {
            let source = Told::default();
            let (service, mailbox, origin) = for_people(policies, &source);
            let set = |is_open: bool| {
                source.set(if is_open == opens_when_it_holds { holds } else { fails });
            };
            set(true);
            let mut browser = Browser::new(service);
            let page = log_in(&mut browser, &mailbox, "https://app.example/x", "ada@example.com");
            assert_eq!(page.await, "origin saw /x", "{name} {place}");
            set(false);
            let refused = browser.get("https://app.example/x").await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name} {place}");
            source.set(|known| *known = Knowledge::default());
            let refused = browser.get("https://app.example/x").await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name} {place}");
            set(true);
            assert_eq!(browser.get("https://app.example/x").await.status(), StatusCode::OK);
            // The origin saw what was open, and nothing else.
            assert_eq!(origin.count(), 2, "{name} {place}");
        }
    }
}

#[tokio::test]
async fn pol_06_without_the_fact_no_code_is_mailed_and_nobody_gets_a_token() {
    for (name, rule, holds, _) in outside_facts() {
        let ada = Rule::email("ada@example.com").unwrap();
        let policy = Policy::allow("p").include(ada).require(rule);
        let source = Told::default();
        let (service, mailbox, origin) = for_people(vec![policy], &source);
        let mut browser = Browser::new(service.clone());
        source.set(holds);
        let _ = ask_for_code(&mut browser, "https://app.example/", "ada@example.com").await;
        let code = mailbox.code(1).await;
        assert!(!code.is_empty());

        // Known when the code is asked for, gone when it is typed.
        let mut browser = Browser::new(service.clone());
        let form = ask_for_code(&mut browser, "https://app.example/", "ada@example.com").await;
        let code = mailbox.code(2).await;
        source.set(|known| *known = Knowledge::default());
        let answer = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
        assert!(browser.cookie("app.example", "CF_Authorization").is_some(), "{name}: the session");
        assert_ne!(browser.get("https://app.example/").await.status(), StatusCode::OK, "{name}");

        // Unknown from the beginning.
        let mut browser = Browser::new(service);
        let (_, page) = browser.visit("https://app.example/").await;
        if page.status() == StatusCode::OK {
            let _ = ask_for_code(&mut browser, "https://app.example/", "ada@example.com").await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(mailbox.len(), 2, "{name}");
        assert_eq!(origin.count(), 0, "{name}");
    }
}

#[tokio::test]
async fn sources_learn_who_it_is_once_that_is_proved() {
    let source = Told::default();
    source.set(|known| known.risk = Some(RiskLevel::Low));
    let risk = Rule::user_risk_score(&[RiskLevel::Low]).unwrap();
    let policy = Policy::allow("p").include(Rule::everyone()).require(risk);
    let (service, mailbox, origin) = for_people(vec![policy], &source);
    let mut browser = Browser::new(service);
    log_in(&mut browser, &mailbox, "https://app.example/", "ada@example.com").await;
    let identity = origin.last().extensions.get::<Identity>().unwrap().clone();
    let Subject::User { id, .. } = identity.subject() else { panic!() };
    let people = source.0.lock().unwrap().people.clone();
    let ada = Some("ada@example.com".to_owned());
    assert_eq!(people.first(), Some(&(ada.clone(), None)), "while logging in");
    assert_eq!(people.last(), Some(&(ada, Some(id.to_string()))));
}

#[tokio::test]
async fn a_one_time_pin_is_a_login_method_without_groups_and_factors() {
    let okta: Rule =
        serde_json::from_str(r#"{"okta":{"name":"ops","identity_provider_id":"o"}}"#).unwrap();
    for (policy, expected) in [
        (Policy::allow("p").include(Rule::login_method("onetimepin")), true),
        (Policy::allow("p").include(Rule::login_method("okta")), false),
        (Policy::allow("p").include(Rule::everyone()).require(Rule::auth_method("mfa")), false),
        // Known to be in no group, and to have shown no other factor.
        (Policy::allow("p").include(Rule::everyone()).exclude(okta.clone()), true),
        (Policy::allow("p").include(Rule::everyone()).exclude(Rule::auth_method("sms")), true),
        (Policy::allow("p").include(okta), false),
        // A claim that nobody makes is not known.
        (Policy::allow("p").include(Rule::everyone()).exclude(Rule::oidc("dept", "x")), false),
    ] {
        let (service, mailbox, origin) = for_people(vec![policy.clone()], &Told::default());
        let mut browser = Browser::new(service);
        let form = ask_for_code(&mut browser, "https://app.example/", "ada@example.com").await;
        if expected {
            let code = mailbox.code(1).await;
            let answer = form.submit(&mut browser, &[("code", &code)]).await;
            let (_, page) = browser.visit(answer.location()).await;
            assert_eq!(page.status(), StatusCode::OK, "{policy:?}");
        } else {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(
            (mailbox.len(), origin.count()),
            (expected.into(), expected.into()),
            "{policy:?}"
        );
    }
}

#[tokio::test]
async fn a_verifier_asks_sources_as_well() {
    let issuer = tower_access::test_util::TestIssuer::new();
    let source = Told::default();
    let access = issuer
        .verifier_builder()
        .trusted_proxies(proxies())
        .fact_source(TrustedHeaders::new().country_from(HeaderName::from_static("cf-ipcountry")))
        .fact_source(source.clone())
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .audience(tower_access::test_util::TestIssuer::AUDIENCE.parse().unwrap())
                .policy(
                    Policy::allow("p")
                        .include(Rule::geo("FR").unwrap())
                        .require(Rule::user_risk_score(&[RiskLevel::Low]).unwrap()),
                ),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let token = issuer.token_for("ada@example.com");
    let lines = [
        ("cf-access-jwt-assertion", token.as_str()),
        ("x-forwarded-for", "192.0.2.7"),
        ("cf-ipcountry", "FR"),
    ];
    assert!(!is_open(&service, request(Some(PROXY), &lines)).await);
    source.set(|known| known.risk = Some(RiskLevel::Low));
    assert!(is_open(&service, request(Some(PROXY), &lines)).await);
    assert!(!is_open(&service, request(Some(STRANGER), &lines)).await);
}

fn file(facts: &str, more: &str) -> String {
    format!(
        "\
trusted_proxies: [ 10.0.0.0/8 ]
ingress:
  - service: http://127.0.0.1:9000
access:
  mail: console
  facts: {facts}
  applications:
    - name: App
      domain: app.example
      policies:
        - name: France
          decision: bypass
          include: [ {{ geo: {{ country_code: FR }} }}, {{ common_name: {{ common_name: laptop-7 }} }} ]
{more}"
    )
}

#[tokio::test]
async fn a_file_names_its_sources() {
    let database = File::with(&of_test(NOW));
    let path = database.0.display();
    let facts = format!(
        "{{ geoip_database: {path}, country_header: Cf-IpCountry, certificate_headers: nginx }}"
    );
    let config = Config::parse(&file(&facts, ""), "access.yml").unwrap();
    assert_eq!(config.notes().iter().filter(|it| it.to_string().contains("facts")).count(), 0);
    let service = AccessLayer::new(config.access().unwrap()).layer(Origin::default());
    let client = |address| ("x-forwarded-for", address);
    for (peer, lines, expected) in [
        ("192.0.2.7", &[][..], true),
        ("198.51.100.7", &[], false),
        (STRANGER, &[("cf-ipcountry", "FR")], false),
        (PROXY, &[client("192.0.2.7")], true),
        (PROXY, &[client("198.51.100.7"), ("cf-ipcountry", "FR")], true),
        (PROXY, &[client("192.0.2.7"), ("cf-ipcountry", "DE")], false),
        // Where the header says nothing, the database is asked.
        (PROXY, &[client("192.0.2.7"), ("cf-ipcountry", "XX")], true),
        (
            PROXY,
            &[
                client("198.51.100.7"),
                ("x-ssl-client-verify", "SUCCESS"),
                ("x-ssl-client-s-dn", "CN=laptop-7"),
            ],
            true,
        ),
    ] {
        let open = is_open(&service, request(Some(peer), lines)).await;
        assert_eq!(open, expected, "{peer} {lines:?}");
    }
}

#[test]
fn pol_15_a_file_without_its_database_builds_nothing() {
    let config =
        Config::parse(&file("{ geoip_database: /nowhere/c.mmdb }", ""), "access.yml").unwrap();
    let error = config.access().unwrap_err().to_string();
    assert!(
        error.starts_with("access.facts.geoip_database: /nowhere/c.mmdb: cannot be read"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_about_sources_is_said_where_it_stands() {
    for (facts, expected) in [
        ("{ geo_database: /x }", "6:12: access.facts.geo_database: unknown key"),
        (
            "{ geoip_database: \"\" }",
            "6:28: access.facts.geoip_database: `geoip_database` is empty",
        ),
        ("{ country_header: \"a b\" }", "6:28: access.facts.country_header: invalid"),
        ("{ country_header: Cookie }", "`cookie` has another meaning"),
        ("{ country_header: Cf_Access-Token }", "`cf_access-token` has another meaning"),
        ("{ certificate_headers: apache }", "invalid set of headers"),
        ("{ certificate_headers: { common_name: X-CN } }", "`verified` is missing"),
        ("{ certificate_headers: { verified: X-V } }", "write one of `common_name`"),
        (
            "{ certificate_headers: { verified: X-V, common_name: X-CN, distinguished_name: X-DN } }",
            "write one of `common_name`",
        ),
        (
            "{ certificate_headers: { verified: X-V, common_name: X-CN, issuer: X-I } }",
            "access.facts.certificate_headers.issuer: unknown key",
        ),
        ("[]", "found a list, expected a mapping"),
    ] {
        let errors = Config::parse(&file(facts, ""), "access.yml").unwrap_err().to_string();
        assert!(errors.contains(expected), "{facts}: {errors}");
    }
    let nobody = file("{ country_header: X-Country }", "").replace("[ 10.0.0.0/8 ]", "[]");
    let config = Config::parse(&nobody, "access.yml").unwrap();
    let notes: Vec<String> = config.notes().iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|note| note.contains("access.facts.country_header")), "{notes:?}");
}

/// Everything there is to know about one request.
#[derive(Clone, Debug)]
struct Everything {
    email: Email,
    attributes: Attributes,
    address: IpAddr,
    country: Country,
    /// `None`: none was shown.
    certificate: Option<&'static str>,
    device_posture: DevicePosture,
}

impl Everything {
    fn facts(&self) -> Facts<'_> {
        Facts {
            email: Some(&self.email),
            attributes: Some(&self.attributes),
            address: Some(self.address),
            country: Some(self.country),
            certificate: match self.certificate {
                Some(name) => Certificate::Good { common_name: Some(name) },
                None => Certificate::Missing,
            },
            device_posture: Some(&self.device_posture),
            ..Facts::default()
        }
    }
}

/// Ways in which one fact goes missing.
const WAYS: usize = 12;

fn without<'a>(facts: Facts<'a>, less: &'a mut Attributes, way: usize) -> Facts<'a> {
    match way {
        0 => return Facts { address: None, ..facts },
        1 => return Facts { country: None, ..facts },
        2 => return Facts { certificate: Certificate::Unknown, ..facts },
        3 => return Facts { device_posture: None, ..facts },
        4 => return Facts { attributes: None, ..facts },
        5 => less.login_method = None,
        6 => less.authentication_methods = None,
        7 => less.groups = None,
        8 => less.risk = None,
        9 => less.oidc_claims = None,
        10 => less.accounts = None,
        _ => less.saml_attributes = None,
    }
    Facts { attributes: Some(less), ..facts }
}

fn everything() -> impl Strategy<Value = Everything> {
    let one_of = |choices: &'static [&'static str]| proptest::sample::select(choices);
    (
        one_of(&["ada@example.com", "eve@other.example"]),
        one_of(&["192.0.2.7", "203.0.113.9"]),
        one_of(&["FR", "DE"]),
        one_of(&["", "laptop-7", "laptop-8"]),
        any::<bool>(),
        (one_of(&["oidc", "otp"]), one_of(&["mfa", "pwd"]), one_of(&["ops", "dev"])),
        proptest::sample::select(&RiskLevel::ALL[..]),
    )
        .prop_map(|(email, address, country, name, is_good, (method, factor, group), risk)| {
            let mut attributes = Attributes::default();
            attributes.login_method =
                Some(LoginMethod { id: method.into(), kind: "cloudflare".into() });
            attributes.authentication_methods = Some(vec![factor.into()]);
            let name_of_group = Some(group.into());
            attributes.groups =
                Some(vec![ProviderGroup { name: name_of_group, ..Default::default() }]);
            attributes.oidc_claims = Some([("dept", group)].into_iter().collect());
            attributes.saml_attributes = Some([("dept", group)].into_iter().collect());
            attributes.accounts = Some(vec![group.into()]);
            attributes.risk = Some(risk);
            Everything {
                email: email.parse().unwrap(),
                attributes,
                address: address.parse().unwrap(),
                country: country.parse().unwrap(),
                certificate: Some(name).filter(|name| !name.is_empty()),
                device_posture: [("disk".into(), is_good)].into_iter().collect(),
            }
        })
}

fn rule(of_person: bool) -> impl Strategy<Value = Rule> {
    let of_request = [
        r#"{"everyone":{}}"#,
        r#"{"ip":{"ip":"192.0.2.0/24"}}"#,
        r#"{"geo":{"country_code":"FR"}}"#,
        r#"{"certificate":{}}"#,
        r#"{"common_name":{"common_name":"laptop-7"}}"#,
        r#"{"device_posture":{"integration_uid":"disk"}}"#,
    ];
    let of_a_person = [
        r#"{"email":{"email":"ada@example.com"}}"#,
        r#"{"login_method":{"id":"oidc"}}"#,
        r#"{"auth_method":{"auth_method":"mfa"}}"#,
        r#"{"okta":{"name":"ops","identity_provider_id":"oidc"}}"#,
        r#"{"oidc":{"claim_name":"dept","claim_value":"ops","identity_provider_id":"oidc"}}"#,
        r#"{"saml":{"attribute_name":"dept","attribute_value":"ops"}}"#,
        r#"{"user_risk_score":{"user_risk_score":["low","unscored"]}}"#,
        r#"{"cloudflare_account_member":{"account_id":"ops"}}"#,
    ];
    let mut all = of_request.to_vec();
    if of_person {
        all.extend(of_a_person);
    }
    proptest::sample::select(all).prop_map(|json| serde_json::from_str(json).unwrap())
}

fn policy(number: usize) -> impl Strategy<Value = Policy> {
    let decisions: [fn(String) -> Policy; 4] = [
        |name| Policy::allow(name),
        |name| Policy::deny(name),
        |name| Policy::bypass(name),
        |name| Policy::service_auth(name),
    ];
    (0..4_usize).prop_flat_map(move |decision| {
        let list = |most| proptest::collection::vec(rule(decision < 2), 0..=most);
        (list(3), list(2), list(2)).prop_map(move |(include, require, exclude)| {
            let policy = decisions[decision](number.to_string());
            let policy = include.into_iter().fold(policy, Policy::include);
            let policy = require.into_iter().fold(policy, Policy::require);
            exclude.into_iter().fold(policy, Policy::exclude)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn pol_06_no_fact_that_goes_missing_widens_access(
        all in everything(),
        policies in (policy(0), policy(1), policy(2)),
        first in 0..WAYS,
        second in 0..WAYS,
    ) {
        let policies = [policies.0, policies.1, policies.2];
        let compiled = Policies::compile(&policies, &Definitions::default()).unwrap();
        let complete = all.facts();
        let mut less = all.attributes.clone();
        let one = without(complete, &mut less, first);
        let mut even_less = one.attributes.cloned().unwrap_or_default();
        let is_known = one.attributes.is_some();
        let two = without(one, &mut even_less, second);
        let two = Facts { attributes: two.attributes.filter(|_| is_known), ..two };
        let opens = |facts: &Facts<'_>| compiled.evaluate(facts).outcome().grants_access();
        prop_assert!(!opens(&one) || opens(&complete), "{first}");
        prop_assert!(!opens(&two) || opens(&one), "{first} {second}");
        prop_assert!(!compiled.could_allow(&one) || compiled.could_allow(&complete));
        // Before a login as well.
        let outcome = |facts: &Facts<'_>| {
            let nobody = Facts { email: None, attributes: None, ..*facts };
            compiled.evaluate(&nobody).outcome()
        };
        prop_assert!(!outcome(&one).grants_access() || outcome(&complete).grants_access());
        prop_assert!(!matches!(outcome(&one), Outcome::Allowed));
    }
}
