//! Public mail providers.

/// Whether a domain (in lower case) belongs to a public mail provider.
///
/// The list has only large providers; `false` proves nothing.
pub(super) fn is_public(domain: &str) -> bool {
    DOMAINS.contains(&domain)
        || domain.split_once('.').is_some_and(|(first, rest)| {
            FAMILIES.contains(&first) && rest.split('.').count() <= 2 && is_country_like(rest)
        })
}

/// `fr`, `com`, `co.uk`: not `example.com`.
fn is_country_like(rest: &str) -> bool {
    rest.split('.').all(|label| (2..=3).contains(&label.len()))
}

const DOMAINS: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "fastmail.com",
    "free.fr",
    "gmail.com",
    "googlemail.com",
    "hey.com",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "rocketmail.com",
    "t-online.de",
    "tuta.com",
    "tutanota.com",
    "web.de",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zohomail.com",
];

/// Under many countries: `yahoo.co.uk`, `gmx.net`.
const FAMILIES: &[&str] = &["gmx", "hotmail", "live", "outlook", "yahoo"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_providers_are_known_and_companies_are_not() {
        for domain in ["gmail.com", "yahoo.co.uk", "gmx.net", "outlook.com", "proton.me", "live.fr"]
        {
            assert!(is_public(domain), "{domain}");
        }
        for domain in [
            "example.com",
            "yahoo.example.com",
            "mygmail.com",
            "gmail.com.evil.example",
            "live.nation.com",
            "mail.example.com",
        ] {
            assert!(!is_public(domain), "{domain}");
        }
    }
}
