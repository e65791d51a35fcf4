//! `cors_headers` of an application (sections 7.4 and 15.2 of the contract).

use http::Method;
use http::header::HeaderName;

use crate::application::{CorsHeaders, CorsHeadersError};

use super::reader::{NodeRef, Reader};
use super::schema::{Field, Read, Shape, Written, document};

document! {
    /// Which pages of other origins may read responses. For origins and for methods, one of `allow_all_…`
    /// and `allowed_…` is required.
    pub(super) struct Cors in "access.applications[].cors_headers" {
        /// Allows pages of every origin. Excludes `allow_credentials`.
        "allow_all_origins" allow_all_origins: bool {
            default: "false", example: "true", cloudflare: "allow_all_origins",
        }
        /// The origins whose pages are allowed: scheme, host and port.
        "allowed_origins" allowed_origins: Vec<String> {
            default: "[]", example: "[ 'https://app.example.com' ]", cloudflare: "allowed_origins",
        }
        /// Allows every method.
        "allow_all_methods" allow_all_methods: bool {
            default: "false", example: "true", cloudflare: "allow_all_methods",
        }
        /// The methods that are allowed.
        "allowed_methods" allowed_methods: Vec<AllowedMethod> {
            default: "[]", example: "[ GET, POST ]", cloudflare: "allowed_methods",
        }
        /// Allows every request header.
        "allow_all_headers" allow_all_headers: bool {
            default: "false", example: "true", cloudflare: "allow_all_headers",
        }
        /// The request headers that are allowed; `*` is every header.
        "allowed_headers" allowed_headers: Vec<AllowedHeader> {
            default: "[]", example: "[ Content-Type ]", cloudflare: "allowed_headers",
        }
        /// Allows requests with the application's cookie.
        "allow_credentials" allow_credentials: bool {
            default: "false", example: "true", cloudflare: "allow_credentials",
        }
        /// Seconds for which a browser may remember the response to a preflight; `-1` forbids it.
        "max_age" max_age: MaxAge {
            default: "the browser's own", example: "600", cloudflare: "max_age",
        }
    }
}

/// Reads the object. `None` if it is empty, or invalid: then with at least one error.
pub(super) fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<CorsHeaders> {
    if place.node.is_switched_off() {
        return None;
    }
    let before = reader.errors.len();
    let cors = Cors::read(reader, place)?;
    let headers = origins(reader, place, &cors);
    let headers = methods(reader, place, &cors, headers);
    let headers = request_headers(reader, &cors, headers);
    let headers = credentials(reader, &cors, headers);
    let headers = max_age(reader, &cors, headers);
    headers.filter(|_| reader.errors.len() == before)
}

fn origins(reader: &mut Reader, place: &NodeRef<'_>, cors: &Cors) -> Option<CorsHeaders> {
    match one_of(
        reader,
        place,
        ("allow_all_origins", &cors.allow_all_origins),
        ("allowed_origins", &cors.allowed_origins),
    )? {
        Choice::All => Some(CorsHeaders::for_all_origins()),
        Choice::Listed(listed) => {
            let mut are_valid = true;
            for (entry, origin) in listed.iter().filter_map(|it| Some((it, it.value.as_deref()?))) {
                if let Err(error) = CorsHeaders::for_origins([origin]) {
                    reader.error(entry, error);
                    are_valid = false;
                }
            }
            let origins = listed.iter().filter_map(|entry| entry.value.as_deref());
            CorsHeaders::for_origins(origins).ok().filter(|_| are_valid)
        }
    }
}

fn methods(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    cors: &Cors,
    headers: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    match one_of(
        reader,
        place,
        ("allow_all_methods", &cors.allow_all_methods),
        ("allowed_methods", &cors.allowed_methods),
    )? {
        Choice::All => headers.map(CorsHeaders::all_methods),
        Choice::Listed(listed) => {
            let methods = listed.iter().filter_map(|entry| entry.value.clone());
            headers.map(|headers| headers.methods(methods))
        }
    }
}

fn request_headers(
    reader: &mut Reader,
    cors: &Cors,
    headers: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    let listed = cors.allowed_headers.written().filter(|list| !is_empty(list));
    if cors.allow_all_headers.is_on() {
        if let Some(listed) = listed {
            excluded(reader, listed, "allow_all_headers", "allowed_headers");
        }
        return headers.map(CorsHeaders::all_headers);
    }
    let entries = listed.iter().filter_map(|list| list.value.as_ref()).flatten();
    let names: Vec<HeaderName> = entries.filter_map(|entry| entry.value.clone()).collect();
    let all = names.iter().any(|name| name.as_str() == "*");
    headers.map(|headers| if all { headers.all_headers() } else { headers.headers(names) })
}

fn credentials(
    reader: &mut Reader,
    cors: &Cors,
    headers: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    if !cors.allow_credentials.is_on() {
        return headers;
    }
    accepted(reader, &cors.allow_credentials, headers?.credentials())
}

fn max_age(reader: &mut Reader, cors: &Cors, headers: Option<CorsHeaders>) -> Option<CorsHeaders> {
    match cors.max_age.get() {
        Some(seconds) => accepted(reader, &cors.max_age, headers?.max_age(*seconds)),
        None => headers,
    }
}

fn accepted<T>(
    reader: &mut Reader,
    field: &Field<T>,
    headers: Result<CorsHeaders, CorsHeadersError>,
) -> Option<CorsHeaders> {
    headers
        .map_err(|error| {
            if let Some(written) = field.written() {
                reader.error(written, error);
            }
        })
        .ok()
}

/// Which of two keys is written.
enum Choice<'a, T> {
    All,
    Listed(&'a [Written<T>]),
}

fn one_of<'a, T>(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    (all, switch): (&str, &Field<bool>),
    (these, list): (&str, &'a Field<Vec<Written<T>>>),
) -> Option<Choice<'a, T>> {
    let listed = list.written().filter(|list| !is_empty(list));
    match (switch.is_on(), listed) {
        (true, None) => Some(Choice::All),
        (false, Some(listed)) => listed.value.as_deref().map(Choice::Listed),
        (true, Some(listed)) => {
            excluded(reader, listed, all, these);
            None
        }
        (false, None) => {
            reader.error(
                place,
                format_args!("nothing is allowed; write `{all}: true`, or `{these}`"),
            );
            None
        }
    }
}

fn is_empty<T>(list: &Written<Vec<T>>) -> bool {
    list.value.as_ref().is_some_and(Vec::is_empty)
}

fn excluded<T>(reader: &mut Reader, listed: &Written<T>, all: &str, these: &str) {
    let message = format_args!("`{all}` and `{these}` exclude each other; leave one out");
    reader.error(&listed.key_position(), message);
}

/// A method of Cloudflare's list.
#[derive(Debug)]
pub(super) struct AllowedMethod;

impl Read for AllowedMethod {
    type Output = Method;

    fn shape() -> Shape {
        Shape::Choice(METHODS)
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Method> {
        let name = String::read(reader, place)?;
        let method = METHODS.iter().find(|method| **method == name);
        let method = method.and_then(|method| method.parse().ok());
        if method.is_none() {
            let names = METHODS.join(", ");
            reader.error(place, format_args!("this method cannot be allowed; write {names}"));
        }
        method
    }
}

/// The header name, or `*`.
#[derive(Debug)]
pub(super) struct AllowedHeader;

impl Read for AllowedHeader {
    type Output = HeaderName;

    fn shape() -> Shape {
        Shape::Text { form: "header name", pattern: None }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<HeaderName> {
        let name = String::read(reader, place)?;
        let name = HeaderName::from_bytes(name.as_bytes());
        name.map_err(|_| {
            reader.error(place, "invalid header name; write one such as `content-type`")
        })
        .ok()
    }
}

/// -1 to 86400.
#[derive(Debug)]
pub(super) struct MaxAge;

impl Read for MaxAge {
    type Output = i32;

    fn shape() -> Shape {
        Shape::Integer { min: -1, max: 86_400 }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<i32> {
        let seconds: f64 = reader.read(place, &[])?;
        let is_valid = seconds.fract() == 0.0 && (-1.0..=86_400.0).contains(&seconds);
        #[allow(clippy::cast_possible_truncation, reason = "it is in range")]
        // The setter reports what is out of range.
        Some(if is_valid { seconds as i32 } else { i32::MAX })
    }
}

const METHODS: &[&str] =
    &["GET", "POST", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn errors(cors: &str) -> Vec<String> {
        let text = format!(
            "access: {{ mail: console, applications: [ {{ domain: a.example, \
             cors_headers: {{ {cors} }} }} ] }}"
        );
        match Config::parse(&text, "f") {
            Ok(config) => {
                assert!(config.access.applications[0].cors_headers.is_some(), "{cors}");
                Vec::new()
            }
            Err(errors) => errors
                .iter()
                .map(|error| {
                    let key = error.key().trim_start_matches("access.applications[0].");
                    format!("{key}: {}", error.message())
                })
                .collect(),
        }
    }

    #[test]
    fn cfg_04_good_settings_are_taken() {
        for cors in [
            "allow_all_origins: true, allow_all_methods: true",
            "allow_all_origins: true, allow_all_methods: true, allow_all_headers: true, max_age: -1",
            "allowed_origins: ['https://a.example'], allowed_methods: [GET], max_age: 86400",
            "allowed_origins: ['*'], allowed_methods: [GET, PATCH], allowed_headers: ['*']",
            "allowed_origins: ['https://a.example'], allow_all_methods: true, \
             allow_credentials: true, allow_all_origins: false, allowed_headers: [x-a]",
        ] {
            assert_eq!(errors(cors), [""; 0], "{cors}");
        }
    }

    #[test]
    fn cfg_04_each_contradiction_is_refused_where_it_stands() {
        let methods = "allow_all_methods: true";
        let origins = "allow_all_origins: true";
        for (cors, key, words) in [
            (methods, "cors_headers", "`allow_all_origins: true`, or `allowed_origins`"),
            (origins, "cors_headers", "`allow_all_methods: true`, or `allowed_methods`"),
            (
                "allow_all_origins: true, allow_all_methods: true, allowed_origins: ['*']",
                "cors_headers.allowed_origins",
                "exclude each other",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, allowed_methods: [GET]",
                "cors_headers.allowed_methods",
                "exclude each other",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, allow_all_headers: true, \
                 allowed_headers: [x-a]",
                "cors_headers.allowed_headers",
                "exclude each other",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, allow_credentials: true",
                "cors_headers.allow_credentials",
                "all origins",
            ),
            (
                "allowed_origins: ['*'], allow_all_methods: true, allow_credentials: true",
                "cors_headers.allow_credentials",
                "all origins",
            ),
            (
                "allowed_origins: ['https://a.example', a.example], allow_all_methods: true",
                "cors_headers.allowed_origins[1]",
                "not an origin",
            ),
            (
                "allow_all_origins: true, allowed_methods: [GET, get]",
                "cors_headers.allowed_methods[1]",
                "cannot be allowed",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, allowed_headers: ['a b']",
                "cors_headers.allowed_headers[0]",
                "invalid header name",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, max_age: -2",
                "cors_headers.max_age",
                "-1 to 86400",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, max_age: 86401",
                "cors_headers.max_age",
                "-1 to 86400",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, max_age: 1.5",
                "cors_headers.max_age",
                "-1 to 86400",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, max_age: x",
                "cors_headers.max_age",
                "",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, expose_headers: [x]",
                "cors_headers.expose_headers",
                "unknown key",
            ),
        ] {
            let errors = errors(cors);
            assert_eq!(errors.len(), 1, "{cors}: {errors:?}");
            assert!(errors[0].starts_with(&format!("{key}: ")), "{cors}: {errors:?}");
            assert!(errors[0].contains(words), "{cors}: {errors:?}");
        }
    }
}
