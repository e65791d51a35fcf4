//! URLs of services whose responses decide about access: key sets, identities, evaluations.

use std::net::IpAddr;

use url::{Host, Url};

/// Parses the URL of a service that an attacker on the network cannot impersonate: `https`, or `http` to
/// [this machine](is_loopback).
///
/// It carries neither a user name nor a password, which would end up in logs, nor a fragment, which
/// is never sent.
pub(crate) fn parse(text: &str) -> Result<Url, UntrustedUrl> {
    let url = Url::parse(text).map_err(UntrustedUrl::NotUrl)?;
    let host = url.host();
    let is_private = match url.scheme() {
        "https" => host.is_some(),
        "http" => host.as_ref().is_some_and(is_loopback),
        _ => false,
    };
    if !is_private {
        return Err(UntrustedUrl::Plaintext);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UntrustedUrl::Credentials);
    }
    if url.fragment().is_some() {
        return Err(UntrustedUrl::Fragment);
    }
    Ok(url)
}

/// Returns whether a host is always this machine: 127.0.0.0/8, `::1`, the former mapped
/// into IPv6 (`::ffff:127.0.0.1`, to which the kernel connects over IPv4), and `localhost`.
///
/// Names below `localhost` do not count: not every resolver resolves them itself, and a
/// name server may return any address. `0.0.0.0` and `::` do not either: they
/// are not addresses of a machine.
pub(crate) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).to_canonical().is_loopback(),
    }
}

/// The reason why a URL is not trusted. Does not contain the URL, which may hold a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum UntrustedUrl {
    #[error("not a URL: {0}")]
    NotUrl(url::ParseError),
    #[error("plain `http` can be intercepted: use `https` (`http` to a loopback address only)")]
    Plaintext,
    #[error("remove the user name and the password from the URL")]
    Credentials,
    #[error("remove the fragment (`#…`) from the URL")]
    Fragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn trusted(urls: &[&str]) {
        for url in urls {
            assert_eq!(parse(url).err(), None, "{url}");
        }
    }

    #[track_caller]
    fn refused(reason: UntrustedUrl, urls: &[&str]) {
        for url in urls {
            assert_eq!(parse(url).err(), Some(reason), "{url}");
        }
    }

    #[test]
    fn https_is_trusted_whatever_the_host() {
        trusted(&[
            "https://keys.example.com",
            "HTTPS://keys.example.com:8443/a?b=c",
            "https://10.0.0.1/",
            "https://[2001:db8::1]/",
        ]);
    }

    #[test]
    fn http_to_another_machine_is_refused() {
        refused(
            UntrustedUrl::Plaintext,
            &["http://keys.example.com/", "http://10.0.0.1/", "http://128.0.0.1/"],
        );
        refused(UntrustedUrl::Plaintext, &["http://[2001:db8::1]/", "http://[::ffff:10.0.0.1]/"]);
    }

    #[test]
    fn http_to_127_0_0_0_slash_8_is_trusted_in_every_spelling() {
        trusted(&["http://127.0.0.1:1", "http://127.255.255.254/", "http://127.1/"]);
        trusted(&["http://2130706433/", "http://0x7f.0.0.1/", "http://0177.0.0.1/"]);
    }

    #[test]
    fn http_to_ipv6_loopback_is_trusted_in_every_spelling() {
        trusted(&["http://[::1]/", "http://[0:0:0:0:0:0:0:1]:8080/", "http://[::0.0.0.1]/"]);
    }

    #[test]
    fn http_to_ipv4_loopback_mapped_into_ipv6_is_trusted() {
        trusted(&["http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"]);
        trusted(&["http://[0:0:0:0:0:ffff:7fff:1]/"]);
    }

    #[test]
    fn http_to_ipv4_loopback_in_other_ipv6_notations_is_refused() {
        // IPv4-compatible, NAT64 and 6to4 addresses are routed.
        let urls =
            ["http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/"];
        refused(UntrustedUrl::Plaintext, &urls);
    }

    #[test]
    fn http_to_localhost_is_trusted() {
        trusted(&["http://localhost/", "http://LOCALHOST:8080/", "http://%6cocalhost/"]);
    }

    #[test]
    fn http_to_names_like_localhost_is_refused() {
        let urls = ["http://a.localhost/", "http://localhost./", "http://localhost.example/"];
        refused(UntrustedUrl::Plaintext, &urls);
        refused(UntrustedUrl::Plaintext, &["http://localhost.localdomain/", "http://xlocalhost/"]);
        refused(UntrustedUrl::Plaintext, &["http://127.0.0.1.example/", "http://ip6-localhost/"]);
    }

    #[test]
    fn http_to_the_unspecified_address_is_refused() {
        refused(UntrustedUrl::Plaintext, &["http://0.0.0.0/", "http://[::]/", "http://0/"]);
    }

    #[test]
    fn other_schemes_are_refused_even_to_loopback() {
        refused(
            UntrustedUrl::Plaintext,
            &[
                "ftp://localhost/",
                "ws://127.0.0.1/",
                "file:///etc/passwd",
                "data:,x",
                "redis://[::1]",
            ],
        );
    }

    #[test]
    fn user_names_and_passwords_are_refused() {
        refused(
            UntrustedUrl::Credentials,
            &["https://user@a.example/", "https://:hush@a.example/", "http://user:hush@localhost/"],
        );
        // The host is what follows the `@`.
        refused(UntrustedUrl::Plaintext, &["http://localhost@a.example/"]);
        refused(UntrustedUrl::Plaintext, &["http://a.example\\@localhost/"]);
    }

    #[test]
    fn fragments_are_refused() {
        refused(UntrustedUrl::Fragment, &["https://a.example/#", "https://a.example/#keys"]);
    }

    #[test]
    fn texts_that_are_no_url_are_refused() {
        for text in ["", "a.example", "/keys", "https://", "http://[::1", "https://a b/"] {
            assert!(matches!(parse(text), Err(UntrustedUrl::NotUrl(_))), "{text}");
        }
    }
}
