//! The verifier against a slow and obvious model: tokens of every kind of oddity, signed for real.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use tower_access::clock::Timestamp;
use tower_access::identity::Subject;
use tower_access::token::keys::KeySet;
use tower_access::token::{
    Algorithm, Algorithms, ClaimName, Claims, Expected, TokenErrorKind as Kind, TokenKind, verify,
};

const NOW: u64 = 1_790_000_000;
const YEAR: u64 = 366 * 86_400;
const ISSUER: &str = "https://acme.cloudflareaccess.com";
const AUDIENCES: [&str; 3] = [
    "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
    "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
    "9c1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
];

/// A member of a JSON object as it is written: both parts are JSON text, well formed or not.
type Member = (String, String);

/// A token as it is to be made, and what it is judged by.
#[derive(Clone, Debug)]
struct Case {
    header: Vec<Member>,
    header_shape: Shape,
    payload: Vec<Member>,
    payload_shape: Shape,
    signer: Signer,
    damage: Damage,
    spelling: Spelling,
    now: u64,
    leeway: Duration,
    audiences: Vec<&'static str>,
    kind: TokenKind,
}

/// What stands around the members.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Object,
    /// Blanks around an object are JSON.
    Blanks,
    Cut,
    Trailing,
    Marked,
    InList,
    NotText,
}

impl Shape {
    fn is_object(self) -> bool {
        matches!(self, Self::Object | Self::Blanks)
    }

    fn write(self, members: &[Member]) -> Vec<u8> {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let members = members.join(",");
        match self {
            Self::Object => format!("{{{members}}}").into(),
            Self::Blanks => format!(" \n{{{members}\t}}\r\n ").into(),
            Self::Cut => format!("{{{members}").into(),
            Self::Trailing => format!("{{{members}}}}}").into(),
            Self::Marked => format!("\u{feff}{{{members}}}").into(),
            Self::InList => format!("[{{{members}}}]").into(),
            Self::NotText => {
                let separator = if members.is_empty() { "" } else { "," };
                let mut text = format!("{{{members}{separator}\"z\":\"").into_bytes();
                text.extend(b"\xc0\xae\"}");
                text
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Signer {
    /// The key published as `rs`, for RS256.
    Rs,
    /// The same key published as `ps`, for PS256.
    Ps,
    /// The key published as `other`, for RS256.
    Other,
    /// A key that nobody published.
    Stranger,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    None,
    BitFlipped,
    Shortened,
    Empty,
    OtherPayload,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spelling {
    Plain,
    Padded(usize),
    Blank(usize),
    FourSegments,
    FiveSegments,
    TwoSegments,
    TooLong,
}

struct Keys {
    published: KeySet,
    own: RsaKeyPair,
    other: RsaKeyPair,
    stranger: RsaKeyPair,
}

/// Made once for the process: a key takes a while.
fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let new = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (own, other, stranger) = (new(), new(), new());
        let jwk = |id: &str, algorithm: &str, pair: &RsaKeyPair| {
            let public: RsaPublicKeyComponents<Vec<u8>> = pair.public_key().into();
            let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
            json!({"kid": id, "kty": "RSA", "alg": algorithm, "n": n, "e": e})
        };
        let set = json!({"keys": [
            jwk("rs", "RS256", &own), jwk("ps", "PS256", &own), jwk("other", "RS256", &other),
        ]});
        let algorithms = Algorithms::default().allow(Algorithm::Ps256);
        let published = KeySet::from_jwks_for(set.to_string().as_bytes(), algorithms).unwrap();
        assert_eq!(published.len(), 3);
        Keys { published, own, other, stranger }
    })
}

impl Case {
    fn token(&self) -> String {
        let header = URL_SAFE_NO_PAD.encode(self.header_shape.write(&self.header));
        let mut payload = URL_SAFE_NO_PAD.encode(self.payload_shape.write(&self.payload));
        let mut signature = self.signature(&format!("{header}.{payload}"));
        match self.damage {
            Damage::None => {}
            Damage::BitFlipped => signature[100] ^= 1,
            Damage::Shortened => signature.truncate(255),
            Damage::Empty => signature.clear(),
            Damage::OtherPayload => payload = URL_SAFE_NO_PAD.encode("{}"),
        }
        let mut segments = vec![header, payload, URL_SAFE_NO_PAD.encode(signature)];
        match self.spelling {
            Spelling::Plain => {}
            Spelling::Padded(place) => segments[place].push('='),
            Spelling::Blank(place) => segments[place].insert(0, ' '),
            Spelling::FourSegments => segments.push(String::new()),
            Spelling::FiveSegments => segments.extend(["e30".to_owned(), String::new()]),
            Spelling::TwoSegments => drop(segments.pop()),
            Spelling::TooLong => segments[1].push_str(&"A".repeat(16 * 1024)),
        }
        segments.join(".")
    }

    fn signature(&self, message: &str) -> Vec<u8> {
        let (pair, padding): (_, &'static dyn RsaEncoding) = match self.signer {
            Signer::Rs => (&keys().own, &RSA_PKCS1_SHA256),
            Signer::Ps => (&keys().own, &RSA_PSS_SHA256),
            Signer::Other => (&keys().other, &RSA_PKCS1_SHA256),
            Signer::Stranger => (&keys().stranger, &RSA_PKCS1_SHA256),
        };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        signature
    }

    fn judged(&self) -> Result<Claims, Kind> {
        let expected = Expected::new(ISSUER, &self.audiences, self.kind).with_leeway(self.leeway);
        let now = Timestamp::from_unix_seconds(self.now);
        verify(&self.token(), &keys().published, expected, now).map_err(|error| error.kind())
    }
}

/// What is wrong with a token: the first stage at which anything is, and all that is wrong there.
/// Nothing: the token is good.
fn faults(case: &Case) -> Vec<Kind> {
    let stages: [fn(&Case) -> Vec<Kind>; 7] =
        [spelling, header_form, header_sense, later_spelling, key, payload, claims];
    stages.iter().map(|stage| stage(case)).find(|faults| !faults.is_empty()).unwrap_or_default()
}

fn spelling(case: &Case) -> Vec<Kind> {
    match case.spelling {
        Spelling::TooLong => vec![Kind::TooLarge],
        Spelling::FourSegments | Spelling::TwoSegments => vec![Kind::Segments],
        Spelling::FiveSegments => vec![Kind::Encrypted],
        Spelling::Padded(0) | Spelling::Blank(0) => vec![Kind::Encoding],
        _ if case.token().len() > 16 * 1024 => vec![Kind::TooLarge],
        _ => Vec::new(),
    }
}

fn header_form(case: &Case) -> Vec<Kind> {
    let known = ["alg", "kid", "typ", "crit", "b64", "zip"];
    let texts = ["alg", "kid", "typ"];
    let mut is_good = case.header_shape.is_object();
    for name in known {
        let values = values_of(&case.header, name);
        is_good &= values.len() <= 1;
        for value in values {
            is_good &= match value {
                None | Some(Value::Null) => false,
                Some(value) => value.is_string() || !texts.contains(&name),
            };
        }
    }
    if is_good { Vec::new() } else { vec![Kind::Header] }
}

/// What a header's only member of a name says.
fn header_text(case: &Case, name: &str) -> Option<String> {
    match values_of(&case.header, name).pop()?? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn header_sense(case: &Case) -> Vec<Kind> {
    let mut faults = Vec::new();
    if ["crit", "b64", "zip"].iter().any(|name| !values_of(&case.header, name).is_empty()) {
        faults.push(Kind::Critical);
    }
    if header_text(case, "typ").is_some_and(|typ| typ.to_lowercase() != "jwt") {
        faults.push(Kind::MediaType);
    }
    if algorithm(case).is_none() {
        faults.push(Kind::Algorithm);
    }
    match header_text(case, "kid").unwrap_or_default().len() {
        0 => faults.push(Kind::NoKeyId),
        1..=256 => {}
        _ => faults.push(Kind::UnknownKey),
    }
    faults
}

fn algorithm(case: &Case) -> Option<Algorithm> {
    match header_text(case, "alg")?.as_str() {
        "RS256" => Some(Algorithm::Rs256),
        "PS256" => Some(Algorithm::Ps256),
        "ES256" => Some(Algorithm::Es256),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
        _ => None,
    }
}

fn later_spelling(case: &Case) -> Vec<Kind> {
    match case.spelling {
        Spelling::Padded(_) | Spelling::Blank(_) => vec![Kind::Encoding],
        _ => Vec::new(),
    }
}

fn key(case: &Case) -> Vec<Kind> {
    let (algorithm_of_key, signer) = match header_text(case, "kid").unwrap().as_str() {
        "rs" => (Algorithm::Rs256, Signer::Rs),
        "ps" => (Algorithm::Ps256, Signer::Ps),
        "other" => (Algorithm::Rs256, Signer::Other),
        _ => return vec![Kind::UnknownKey],
    };
    if algorithm(case) != Some(algorithm_of_key) {
        vec![Kind::Algorithm]
    } else if signer != case.signer || case.damage != Damage::None {
        vec![Kind::Signature]
    } else {
        Vec::new()
    }
}

const NEEDED: [&str; 5] = ["type", "iss", "aud", "exp", "iat"];
const KNOWN_CLAIMS: [(&str, ClaimName); 11] = [
    ("type", ClaimName::Type),
    ("iss", ClaimName::Issuer),
    ("aud", ClaimName::Audience),
    ("exp", ClaimName::ExpiresAt),
    ("iat", ClaimName::IssuedAt),
    ("nbf", ClaimName::NotBefore),
    ("sub", ClaimName::Subject),
    ("email", ClaimName::Email),
    ("common_name", ClaimName::CommonName),
    ("identity_nonce", ClaimName::IdentityNonce),
    ("country", ClaimName::Country),
];

fn payload(case: &Case) -> Vec<Kind> {
    let mut faults = Vec::new();
    if !case.payload_shape.is_object() {
        faults.push(Kind::Payload);
    }
    for (name, claim) in KNOWN_CLAIMS {
        let values = values_of(&case.payload, name);
        if values.is_empty() && NEEDED.contains(&name) {
            faults.push(Kind::MissingClaim(claim));
        }
        if values.len() > 1 {
            faults.push(Kind::DuplicateClaim(claim));
        }
        for value in values {
            match value {
                None => faults.push(Kind::Payload),
                Some(value) if !has_type(name, &value) => faults.push(Kind::WrongType(claim)),
                Some(Value::String(kind)) if name == "type" && kind_named(&kind).is_none() => {
                    faults.push(Kind::Type);
                }
                Some(_) => {}
            }
        }
    }
    let mut others: Vec<String> = case.payload.iter().map(|(name, _)| decoded(name)).collect();
    others.retain(|name| KNOWN_CLAIMS.iter().all(|(known, _)| known != name));
    let count = others.len();
    others.sort();
    others.dedup();
    if others.len() < count {
        faults.push(Kind::DuplicateClaim(ClaimName::Other));
    }
    faults
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "exp" | "iat" | "nbf" => seconds(value, f64::floor).is_some(),
        "aud" => audiences(value).is_some(),
        "identity_nonce" if value.is_number() => true,
        "sub" | "email" | "common_name" | "identity_nonce" | "country" if value.is_null() => true,
        _ => value.is_string(),
    }
}

fn kind_named(name: &str) -> Option<TokenKind> {
    match name {
        "app" => Some(TokenKind::Application),
        "org" => Some(TokenKind::Session),
        "binding" => Some(TokenKind::Binding),
        _ => None,
    }
}

/// A moment, as JSON has numbers: exact where it is whole, a double where it is not.
fn seconds(value: &Value, round: fn(f64) -> f64) -> Option<u128> {
    let Value::Number(number) = value else { return None };
    if let Some(whole) = number.as_u64() {
        return Some(whole.into());
    }
    let fraction = number.is_f64().then(|| number.as_f64())??;
    let is_moment = fraction >= 0.0 && fraction < 2_f64.powi(53);
    is_moment.then(|| round(fraction) as u128)
}

fn audiences(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(many) => many.iter().map(|one| Some(one.as_str()?.to_owned())).collect(),
        _ => None,
    }
}

fn claims(case: &Case) -> Vec<Kind> {
    let mut faults = Vec::new();
    let claim = |name: &str| values_of(&case.payload, name).pop().flatten();
    let text = |name: &str| claim(name).and_then(|value| Some(value.as_str()?.to_owned()));
    if text("iss").as_deref() != Some(ISSUER) {
        faults.push(Kind::Issuer);
    }
    if text("type").as_deref().and_then(kind_named) != Some(case.kind) {
        faults.push(Kind::Type);
    }
    let claimed = claim("aud").as_ref().and_then(audiences).unwrap();
    if !claimed.iter().any(|one| case.audiences.contains(&one.as_str())) {
        faults.push(Kind::Audience);
    }
    let exp = seconds(&claim("exp").unwrap(), f64::floor).unwrap();
    let iat = seconds(&claim("iat").unwrap(), f64::ceil).unwrap();
    let nbf = claim("nbf").map_or(0, |nbf| seconds(&nbf, f64::ceil).unwrap());
    let (now, leeway) = (u128::from(case.now), u128::from(case.leeway.as_secs()));
    if exp > iat + u128::from(YEAR) {
        faults.push(Kind::Lifetime);
    }
    if now >= exp + leeway {
        faults.push(Kind::Expired);
    }
    if iat > now + leeway || nbf > now + leeway {
        faults.push(Kind::NotYetValid);
    }
    faults
}

/// Every value that stands under a name, `None` for one that is no JSON.
fn values_of(members: &[Member], name: &str) -> Vec<Option<Value>> {
    let named = members.iter().filter(|(text, _)| decoded(text) == name);
    named.map(|(_, value)| serde_json::from_str(value).ok()).collect()
}

fn decoded(name: &str) -> String {
    serde_json::from_str(name).unwrap()
}

/// Who the claims are about, as the contract has it: a service by its name alone, a person by
/// address and id. JWT-28: somebody where one of the two cannot be used.
fn subject(claims: &Claims) -> Option<&'static str> {
    let has = |claim: &Option<String>| claim.as_ref().is_some_and(|text| !text.is_empty());
    match (has(&claims.common_name), claims.email.as_deref(), has(&claims.sub)) {
        (true, None, false) => Some("service"),
        (true, ..) | (false, None, false) => None,
        (false, Some(email), true) if GOOD_EMAILS.contains(&email) => Some("person"),
        (false, ..) => Some("somebody"),
    }
}

const GOOD_EMAILS: [&str; 2] = ["ada@example.com", "Ada.L+x@EXAMPLE.com"];
const BAD_EMAILS: [&str; 4] =
    ["ada", "x@evil.example@example.com", "ada@example.com\r\nX: y", "\"ada\"@example.com"];

// From here on: what tokens are made of.

fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn member(name: &str, value: impl Into<String>) -> Member {
    (quoted(name), value.into())
}

/// The name with its first letter escaped: another spelling of the same name.
fn escaped(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => format!("\"\\u{:04x}{}\"", u32::from(first), letters.as_str()),
        None => quoted(name),
    }
}

/// A change to a list of members.
#[derive(Clone, Debug)]
enum Oddity {
    Value(&'static str, String),
    Missing(&'static str),
    Again(Index, bool),
    Other(Member),
    OtherTwice(Member),
    EscapedName(Index),
}

impl Oddity {
    fn apply(self, members: &mut Vec<Member>) {
        let known: Vec<String> = members.iter().map(|(name, _)| decoded(name)).collect();
        match self {
            Self::Value(name, value) => match known.iter().position(|known| known == name) {
                Some(place) => members[place].1 = value,
                None => members.push(member(name, value)),
            },
            Self::Missing(name) => members.retain(|(text, _)| decoded(text) != name),
            Self::Again(index, in_other_spelling) if !members.is_empty() => {
                let (name, value) = index.get(members).clone();
                let name = if in_other_spelling { escaped(&decoded(&name)) } else { name };
                members.insert(index.index(members.len() + 1), (name, value));
            }
            Self::EscapedName(index) if !members.is_empty() => {
                let place = index.index(members.len());
                members[place].0 = escaped(&known[place]);
            }
            Self::Other(other) => members.push(other),
            Self::OtherTwice(other) => {
                members.insert(0, (escaped(&decoded(&other.0)), "1".to_owned()));
                members.push(other);
            }
            Self::Again(..) | Self::EscapedName(_) => {}
        }
    }
}

/// Values that are good JSON to somebody who only skips them.
fn others() -> BoxedStrategy<Oddity> {
    let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let values = vec![
        "1".to_owned(),
        "null".to_owned(),
        "{\"groups\":[\"a\",\"a\"],\"groups\":1}".to_owned(),
        "1e999".to_owned(),
        "\"\\ud800\"".to_owned(),
        nested,
    ];
    let names = select(vec!["custom", "jku", "x5c", "jwk", "groups", "Exp", "exp ", ""]);
    (names, select(values), prop::bool::weighted(0.2))
        .prop_map(|(name, value, twice)| match twice {
            true => Oddity::OtherTwice(member(name, value)),
            false => Oddity::Other(member(name, value)),
        })
        .boxed()
}

fn texts(texts: &[&str]) -> Vec<String> {
    let no_texts = ["null", "1", "true", "[]", "{}", "[\"x\"]", "-0.5"].map(str::to_owned);
    texts.iter().map(|text| quoted(text)).chain(no_texts).collect()
}

fn in_header() -> BoxedStrategy<Oddity> {
    let long = "k".repeat(257);
    let named = [
        (
            "alg",
            texts(&[
                "none", "None", "", "HS256", "RS384", "PS256", "RS256", "ES256", "EdDSA", "rs256",
            ]),
        ),
        (
            "kid",
            [
                texts(&["", "unknown", &long, "../../etc/passwd", "rs", "ps", "other", "RS"]),
                vec!["\"r\\u0073\"".to_owned()],
            ]
            .concat(),
        ),
        ("typ", texts(&["JWT", "jwt", "at+jwt", "", "JWT ", "logout+jwt"])),
        ("crit", ["[\"exp\"]", "null", "[]", "1"].map(str::to_owned).to_vec()),
        ("b64", ["false", "true", "null"].map(str::to_owned).to_vec()),
        ("zip", ["\"DEF\"", "null"].map(str::to_owned).to_vec()),
    ];
    let value = select(named.to_vec())
        .prop_flat_map(|(name, values)| select(values).prop_map(move |v| Oddity::Value(name, v)));
    prop_oneof![
        6 => value,
        2 => select(vec!["alg", "kid", "typ"]).prop_map(Oddity::Missing),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(index, other)| Oddity::Again(index, other)),
        1 => any::<Index>().prop_map(Oddity::EscapedName),
        4 => others(),
    ]
    .boxed()
}

/// Numbers around the moments that decide, and texts that are no moment.
fn moments(now: u64, leeway: Duration) -> Vec<String> {
    let leeway = leeway.as_secs();
    let edges = [
        0,
        1,
        now,
        now.saturating_add(leeway),
        now.saturating_sub(leeway),
        now.saturating_add(YEAR),
        now.saturating_add(3600),
        u64::MAX,
        1 << 53,
    ];
    let mut all = Vec::new();
    for edge in edges {
        for second in [edge.saturating_sub(1), edge, edge.saturating_add(1)] {
            // What stands on the very edge comes up most.
            let times = if edge == second { 4 } else { 1 };
            all.extend(std::iter::repeat_n(second.to_string(), times));
        }
        all.extend([format!("{edge}.5"), format!("{edge}.0"), format!("{edge}e0")]);
    }
    let odd = [
        "-1",
        "-0",
        "-0.0",
        "0.5",
        "1e300",
        "1e999",
        "18446744073709551616",
        "01",
        "1.79e9",
        "\"1790000000\"",
        "\"never\"",
        "null",
        "true",
        "[1]",
        "{}",
    ];
    all.extend(odd.map(str::to_owned));
    all
}

fn audience_values() -> Vec<String> {
    let [first, second, third] = AUDIENCES;
    let many: Vec<String> = (0..500).map(|number| format!("x{number}")).collect();
    let with_first: Vec<String> = many.iter().cloned().chain([first.to_owned()]).collect();
    let values = [
        json!(first),
        json!(second),
        json!([third]),
        json!([second, first]),
        json!([first, first]),
        json!(["x", third]),
        json!([]),
        json!(""),
        json!([""]),
        json!([first, null]),
        json!([1]),
        json!([[first]]),
        json!({first: 1}),
        json!(first[..63]),
        json!(first.to_uppercase()),
        json!(format!("{first} ")),
        json!(format!("{first},{second}")),
        json!(many),
        json!(with_first),
        json!(null),
        json!(7),
    ];
    values.iter().map(Value::to_string).collect()
}

fn in_payload(now: u64, leeway: Duration) -> BoxedStrategy<Oddity> {
    let moments = moments(now, leeway);
    let no_string = "\"\\ud800\"".to_owned();
    let issuers = [
        ISSUER,
        "https://acme.cloudflareaccess.com/",
        "https://Acme.cloudflareaccess.com",
        "http://acme.cloudflareaccess.com",
        "https://other.cloudflareaccess.com",
        "",
    ];
    let slashes = vec![quoted(ISSUER).replace('/', "\\/"), no_string];
    let named = [
        ("exp", moments.clone()),
        ("iat", moments.clone()),
        ("nbf", moments),
        ("aud", audience_values()),
        ("iss", [texts(&issuers), slashes].concat()),
        ("type", texts(&["app", "org", "binding", "other", "App", ""])),
        ("email", texts(&["", BAD_EMAILS[1], BAD_EMAILS[2]])),
        ("sub", texts(&["", "4f0a"])),
        ("common_name", texts(&["", "ci.access"])),
        ("identity_nonce", texts(&["", "q2ZkWf0yTn9sVb3L"])),
        ("country", texts(&["FR", ""])),
    ];
    let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
    let value = select(named.to_vec())
        .prop_flat_map(|(name, values)| select(values).prop_map(move |v| Oddity::Value(name, v)));
    prop_oneof![
        10 => value,
        2 => select(names).prop_map(Oddity::Missing),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(index, other)| Oddity::Again(index, other)),
        1 => any::<Index>().prop_map(Oddity::EscapedName),
        3 => others(),
    ]
    .boxed()
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        40 => Just(Shape::Object),
        2 => Just(Shape::Blanks),
        1 => select(vec![
            Shape::Cut, Shape::Trailing, Shape::Marked, Shape::InList, Shape::NotText,
        ]),
    ]
}

fn signing() -> impl Strategy<Value = (Signer, Damage, Spelling)> {
    let signer = prop_oneof![
        12 => Just(Signer::Rs),
        4 => Just(Signer::Ps),
        4 => Just(Signer::Other),
        1 => Just(Signer::Stranger),
    ];
    let damage = prop_oneof![
        30 => Just(Damage::None),
        1 => select(vec![
            Damage::BitFlipped, Damage::Shortened, Damage::Empty, Damage::OtherPayload,
        ]),
    ];
    let spelling = prop_oneof![
        20 => Just(Spelling::Plain),
        1 => select(vec![
            Spelling::Padded(0),
            Spelling::Padded(1),
            Spelling::Padded(2),
            Spelling::Blank(0),
            Spelling::Blank(2),
            Spelling::FourSegments,
            Spelling::FiveSegments,
            Spelling::TwoSegments,
            Spelling::TooLong,
        ]),
    ];
    (signer, damage, spelling)
}

/// A clock and a tolerance. Not the last second there is: what would end after it cannot be said.
fn time() -> impl Strategy<Value = (u64, Duration)> {
    let now = prop_oneof![
        8 => Just(NOW),
        2 => NOW - 100_000..NOW + 100_000,
        1 => select(vec![0, 1, 59, (1 << 53) - 1, 1 << 53, u64::MAX - 1]),
    ];
    let leeway = select(vec![
        Duration::ZERO,
        Duration::from_secs(1),
        Duration::from_secs(60),
        Duration::from_millis(60_999),
        Duration::from_secs(300),
        Duration::MAX,
    ]);
    (now, leeway)
}

fn good_header(signer: Signer) -> Vec<Member> {
    let (algorithm, id) = match signer {
        Signer::Rs | Signer::Stranger => ("RS256", "rs"),
        Signer::Ps => ("PS256", "ps"),
        Signer::Other => ("RS256", "other"),
    };
    vec![member("alg", quoted(algorithm)), member("kid", quoted(id)), member("typ", quoted("JWT"))]
}

fn good_payload(now: u64, kind: TokenKind, audience: &str) -> Vec<Member> {
    let kind = match kind {
        TokenKind::Session => "org",
        TokenKind::Binding => "binding",
        _ => "app",
    };
    vec![
        member("type", quoted(kind)),
        member("iss", quoted(ISSUER)),
        member("aud", json!([audience]).to_string()),
        member("exp", now.saturating_add(3600).to_string()),
        member("iat", now.to_string()),
        member("country", quoted("FR")),
    ]
}

/// Members about who it is, in all combinations.
fn about_somebody() -> impl Strategy<Value = Vec<Member>> {
    let emails = [&GOOD_EMAILS[..], &GOOD_EMAILS[..], &BAD_EMAILS[..], &[""]].concat();
    let maybe = |name, values: Vec<&'static str>| {
        prop::option::of(select(values).prop_map(move |value| member(name, quoted(value))))
    };
    let (name, nonce) = (vec!["ci.access", ""], vec!["q2ZkWf0yTn9sVb3L"]);
    (
        maybe("email", emails),
        maybe("sub", vec!["4f0a7d0e", "4f0a7d0e", ""]),
        maybe("common_name", name),
        maybe("identity_nonce", nonce),
    )
        .prop_map(|(email, sub, name, nonce)| {
            [email, sub, name, nonce].into_iter().flatten().collect()
        })
}

fn number_of_oddities() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0_usize), 6 => Just(1), 3 => Just(2), 1 => Just(4)]
}

fn case() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        4 => Just(TokenKind::Application),
        1 => Just(TokenKind::Session),
        1 => Just(TokenKind::Binding),
    ];
    let accepted = prop_oneof![
        6 => Just(vec![AUDIENCES[0]]),
        6 => Just(vec![AUDIENCES[1], AUDIENCES[0]]),
        2 => Just(AUDIENCES.to_vec()),
        1 => Just(vec![AUDIENCES[2]]),
        1 => Just(Vec::new()),
    ];
    (time(), kind, accepted, about_somebody(), signing(), (shape(), shape()), any::<bool>())
        .prop_flat_map(|((now, leeway), kind, audiences, somebody, signing, shapes, is_odd)| {
            let (signer, damage, spelling) = signing;
            let payload = [good_payload(now, kind, AUDIENCES[0]), somebody].concat();
            let header = Just(good_header(signer)).prop_shuffle();
            let payload = Just(payload).prop_shuffle();
            let in_header = number_of_oddities().prop_flat_map(move |count| {
                prop::collection::vec(in_header(), if is_odd { count } else { 0 })
            });
            let in_payload = number_of_oddities()
                .prop_flat_map(move |count| prop::collection::vec(in_payload(now, leeway), count));
            (header, payload, in_header, in_payload).prop_map(
                move |(mut header, mut payload, in_header, in_payload)| {
                    in_header.into_iter().for_each(|oddity| oddity.apply(&mut header));
                    in_payload.into_iter().for_each(|oddity| oddity.apply(&mut payload));
                    Case {
                        header,
                        header_shape: shapes.0,
                        payload,
                        payload_shape: shapes.1,
                        signer,
                        damage,
                        spelling,
                        now,
                        leeway,
                        audiences: audiences.clone(),
                        kind,
                    }
                },
            )
        })
}

/// Holds the verifier against the model, and says how both found the token.
fn agree(case: &Case) -> Result<String, TestCaseError> {
    let faults = faults(case);
    let claims = match case.judged() {
        Ok(claims) => claims,
        Err(kind) => {
            prop_assert!(faults.contains(&kind), "{:?}, and the model says {:?}", kind, faults);
            return Ok(format!("{kind:?}"));
        }
    };
    prop_assert!(faults.is_empty(), "accepted, and the model says {:?}", faults);
    same_claims(case, &claims)?;
    let found = match claims.subject() {
        Ok(Subject::Service { .. }) => Some("service"),
        Ok(Subject::User { .. }) => Some("person"),
        Ok(Subject::IncompleteUser { .. }) => Some("somebody"),
        Ok(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
        Err(error) => {
            prop_assert_eq!(error.kind(), Kind::Subject);
            None
        }
    };
    prop_assert_eq!(found, subject(&claims));
    Ok(format!("accepted, {}", found.unwrap_or("nobody")))
}

/// What was accepted says what was signed.
fn same_claims(case: &Case, claims: &Claims) -> Result<(), TestCaseError> {
    let signed = |name: &str| values_of(&case.payload, name).pop().flatten();
    let text = |name: &str| signed(name).and_then(|value| Some(value.as_str()?.to_owned()));
    prop_assert_eq!(Some(claims.iss.clone()), text("iss"));
    prop_assert_eq!(&claims.sub, &text("sub"));
    prop_assert_eq!(&claims.email, &text("email"));
    prop_assert_eq!(&claims.common_name, &text("common_name"));
    prop_assert_eq!(&claims.identity_nonce, &text("identity_nonce"));
    prop_assert_eq!(&claims.country, &text("country"));
    for audience in audiences(&signed("aud").unwrap()).unwrap() {
        prop_assert!(claims.aud.contains(&audience));
    }
    let moment = |name: &str, round| signed(name).and_then(|value| seconds(&value, round));
    prop_assert_eq!(Some(u128::from(claims.exp)), moment("exp", f64::floor));
    prop_assert_eq!(Some(u128::from(claims.iat)), moment("iat", f64::ceil));
    prop_assert_eq!(claims.nbf.map(u128::from), moment("nbf", f64::ceil));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn jwt_01_to_jwt_25_a_token_is_good_when_the_model_says_so(case in case()) {
        agree(&case)?;
    }
}

/// The same tokens every time, so that what they are like can be asserted.
#[test]
fn jwt_12_to_jwt_22_the_model_meets_good_tokens_and_all_kinds_of_bad_ones() {
    const CASES: u32 = 1_500;
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcomes = RefCell::new(BTreeMap::<String, u32>::new());
    let outcome = runner.run(&case(), |case| {
        *outcomes.borrow_mut().entry(agree(&case)?).or_default() += 1;
        Ok(())
    });
    outcome.unwrap();
    let outcomes = outcomes.into_inner();
    let accepted: u32 = outcomes
        .iter()
        .filter_map(|(outcome, count)| outcome.starts_with("accepted").then_some(count))
        .sum();
    let share = accepted * 100 / CASES;
    assert!((15..=60).contains(&share), "{share} % accepted: {outcomes:?}");
    let mut expected = vec![
        Kind::TooLarge,
        Kind::Segments,
        Kind::Encrypted,
        Kind::Encoding,
        Kind::Header,
        Kind::Critical,
        Kind::MediaType,
        Kind::Algorithm,
        Kind::NoKeyId,
        Kind::UnknownKey,
        Kind::Signature,
        Kind::Payload,
        Kind::DuplicateClaim(ClaimName::Other),
        Kind::Issuer,
        Kind::Audience,
        Kind::Type,
        Kind::Expired,
        Kind::NotYetValid,
        Kind::Lifetime,
    ];
    for (name, claim) in KNOWN_CLAIMS {
        expected.extend([Kind::DuplicateClaim(claim), Kind::WrongType(claim)]);
        expected.extend(NEEDED.contains(&name).then_some(Kind::MissingClaim(claim)));
    }
    let mut expected: Vec<_> = expected.iter().map(|kind| format!("{kind:?}")).collect();
    expected
        .extend(["person", "somebody", "service", "nobody"].map(|who| format!("accepted, {who}")));
    expected.retain(|outcome| !outcomes.contains_key(outcome));
    assert!(expected.is_empty(), "no case was {expected:?}: {outcomes:?}");
}
