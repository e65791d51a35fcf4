//! A short browser name for the list of sessions: "Firefox on Linux".

use http::HeaderMap;
use http::header::USER_AGENT;

/// Returns a short form of the `User-Agent` header: visible ASCII and spaces, 200 characters at most.
/// For display only: clients can send any value.
pub(super) fn short_form(headers: &HeaderMap) -> Option<String> {
    let said = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let plain = |text: &str| -> String {
        let visible = |c: &char| c.is_ascii_graphic() || *c == ' ';
        text.chars().filter(visible).take(MAX_CHARS).collect::<String>().trim().to_owned()
    };
    let first = |known: &[(&str, &'static str)]| {
        known.iter().find(|(part, _)| said.contains(part)).map(|(_, name)| *name)
    };
    let text = match (first(BROWSERS), first(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        // The header of a program is short enough: `curl/8.5.0`.
        (None, _) => plain(&said),
    };
    (!text.is_empty()).then_some(text)
}

const MAX_CHARS: usize = 200;

/// The more specific ones first: most headers name other browsers as well.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: &[(&str, &str)] = &[
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn short(said: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes(said).unwrap());
        short_form(&headers)
    }

    #[test]
    fn browsers_are_told_apart() {
        for (said, seen) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
                 like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl/8.5.0"),
        ] {
            assert_eq!(short(said.as_bytes()).as_deref(), Some(seen));
        }
    }

    #[test]
    fn proto_08_what_is_kept_is_short_and_plain() {
        assert_eq!(short_form(&HeaderMap::new()), None);
        assert_eq!(short(b""), None);
        assert_eq!(short("\u{fc}\t".as_bytes()), None);
        assert_eq!(short(b"a\tb\xff<i>").as_deref(), Some("ab<i>"));
        assert_eq!(short(&[b'x'; 4_000]).unwrap().len(), MAX_CHARS);
    }
}
