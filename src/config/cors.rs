//! `cors_headers` of an application (sections 7.4 and 15.2 of the contract).

use http::Method;
use http::header::HeaderName;

use crate::application::{CorsHeaders, CorsHeadersError};

use super::keys;
use super::location::Located;
use super::reader::{Place, Reader};

/// `None` where there are no such settings, or wrong ones: then with at least one error.
pub(super) fn read(reader: &mut Reader, application: &Place<'_>) -> Option<CorsHeaders> {
    let place = application.get("cors_headers").filter(|it| !it.node.is_switched_off())?;
    if !reader.mapping(&place, &[keys::CORS]) {
        return None;
    }
    let before = reader.errors.len();
    let cors = origins(reader, &place);
    let cors = methods(reader, &place, cors);
    let cors = headers(reader, &place, cors);
    let cors = credentials(reader, &place, cors);
    let cors = max_age(reader, &place, cors);
    cors.filter(|_| reader.errors.len() == before)
}

fn origins(reader: &mut Reader, place: &Place<'_>) -> Option<CorsHeaders> {
    let listed = list(reader, place, "allowed_origins");
    match one_of(reader, place, "allow_all_origins", "allowed_origins", &listed)? {
        Choice::All => Some(CorsHeaders::for_all_origins()),
        Choice::Listed => {
            let mut are_good = true;
            for entry in &listed {
                if let Err(error) = CorsHeaders::for_origins([entry.value.as_str()]) {
                    reader.error_at(entry.at, &entry.key, error);
                    are_good = false;
                }
            }
            let origins = listed.iter().map(|entry| entry.value.as_str());
            CorsHeaders::for_origins(origins).ok().filter(|_| are_good)
        }
    }
}

fn methods(
    reader: &mut Reader,
    place: &Place<'_>,
    cors: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    let listed = list(reader, place, "allowed_methods");
    match one_of(reader, place, "allow_all_methods", "allowed_methods", &listed)? {
        Choice::All => cors.map(CorsHeaders::all_methods),
        Choice::Listed => {
            let mut methods = Vec::new();
            for entry in &listed {
                match METHODS.iter().find(|method| method.as_str() == entry.value) {
                    Some(method) => methods.push(method.clone()),
                    None => {
                        let names: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
                        reader.error_at(
                            entry.at,
                            &entry.key,
                            format_args!(
                                "no method that can be allowed; write {}",
                                names.join(", ")
                            ),
                        );
                    }
                }
            }
            cors.map(|cors| cors.methods(methods))
        }
    }
}

fn headers(
    reader: &mut Reader,
    place: &Place<'_>,
    cors: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    let listed = list(reader, place, "allowed_headers");
    if is_on(reader, place, "allow_all_headers") {
        if !listed.is_empty() {
            excluded(reader, place, "allow_all_headers", "allowed_headers");
        }
        return cors.map(CorsHeaders::all_headers);
    }
    let mut names = Vec::new();
    let mut all = false;
    for entry in &listed {
        match HeaderName::from_bytes(entry.value.as_bytes()) {
            Ok(_) if entry.value == "*" => all = true,
            Ok(name) => names.push(name),
            Err(_) => reader.error_at(entry.at, &entry.key, "no name of a header"),
        }
    }
    cors.map(|cors| if all { cors.all_headers() } else { cors.headers(names) })
}

fn credentials(
    reader: &mut Reader,
    place: &Place<'_>,
    cors: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    if !is_on(reader, place, "allow_credentials") {
        return cors;
    }
    cors?.credentials().map_err(|error| refuse(reader, place, "allow_credentials", &error)).ok()
}

fn max_age(
    reader: &mut Reader,
    place: &Place<'_>,
    cors: Option<CorsHeaders>,
) -> Option<CorsHeaders> {
    let Some(seconds) = reader.optional::<f64>(place, "max_age") else { return cors };
    let whole = seconds.value.fract() == 0.0 && (-1.0..=86_400.0).contains(&seconds.value);
    #[allow(clippy::cast_possible_truncation, reason = "it is in range")]
    let set = cors?.max_age(if whole { seconds.value as i32 } else { i32::MAX });
    set.map_err(|error| refuse(reader, place, "max_age", &error)).ok()
}

fn refuse(reader: &mut Reader, place: &Place<'_>, key: &str, error: &CorsHeadersError) {
    if let Some(value) = place.get(key) {
        reader.error(&value, error);
    }
}

/// Which of two keys says what is allowed.
enum Choice {
    All,
    Listed,
}

fn one_of(
    reader: &mut Reader,
    place: &Place<'_>,
    all: &str,
    these: &str,
    listed: &[Located<String>],
) -> Option<Choice> {
    match (is_on(reader, place, all), listed.is_empty()) {
        (true, true) => Some(Choice::All),
        (false, false) => Some(Choice::Listed),
        (true, false) => {
            excluded(reader, place, all, these);
            None
        }
        (false, true) => {
            reader.error(
                place,
                format_args!("nothing is allowed; write `{all}: true`, or `{these}`"),
            );
            None
        }
    }
}

fn excluded(reader: &mut Reader, place: &Place<'_>, all: &str, these: &str) {
    reader.error_at(
        place.key_at(these),
        &format!("{}.{these}", place.path),
        format_args!("`{all}` and `{these}` exclude each other; leave one out"),
    );
}

fn is_on(reader: &mut Reader, place: &Place<'_>, key: &str) -> bool {
    reader.optional::<bool>(place, key).is_some_and(|on| on.value)
}

fn list(reader: &mut Reader, place: &Place<'_>, key: &str) -> Vec<Located<String>> {
    let entries = reader.list(place, key);
    let read = |entry: Place<'_>| reader.read(&entry, &[]).map(|text: String| entry.locate(text));
    entries.into_iter().filter_map(read).collect()
}

const METHODS: &[Method] = &[
    Method::GET,
    Method::POST,
    Method::HEAD,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

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
                "no origin",
            ),
            (
                "allow_all_origins: true, allowed_methods: [GET, get]",
                "cors_headers.allowed_methods[1]",
                "no method",
            ),
            (
                "allow_all_origins: true, allow_all_methods: true, allowed_headers: ['a b']",
                "cors_headers.allowed_headers[0]",
                "no name of a header",
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
