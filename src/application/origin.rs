//! The public origins (scheme, host and port) of hosts.

use super::host::CanonicalHost;
use super::public_addresses::PublicAddresses;

/// Builds public origins from the configuration, never from a request.
///
/// `https://` and the host, and the port if one is set; `http://` for `localhost` and names below it.
#[derive(Clone, Debug)]
pub(crate) struct PublicOrigins {
    addresses: PublicAddresses,
    /// The port of hosts without TLS and without their own port.
    localhost_port: u16,
}

/// The scheme and port of an origin.
#[derive(Clone, Copy)]
struct Authority {
    scheme: &'static str,
    /// `None`: the default of the scheme.
    port: Option<u16>,
}

impl PublicOrigins {
    pub(crate) fn new(addresses: PublicAddresses, localhost_port: u16) -> Self {
        Self { addresses, localhost_port }
    }

    /// Returns the origin (RFC 6454) of a host.
    pub(crate) fn origin(&self, host: &CanonicalHost) -> String {
        self.authority(host).origin(host)
    }

    /// Returns the origin of a host whose port or scheme is set.
    pub(crate) fn configured(&self, host: &CanonicalHost) -> Option<String> {
        self.addresses.is_configured(host).then(|| self.origin(host))
    }

    /// Returns the issuer of a host's tokens: its origin if that is set, else `https://` and the host, as
    /// clients build it.
    pub(crate) fn issuer(&self, host: &CanonicalHost) -> String {
        self.issuer_address(host).origin(host)
    }

    /// Returns whether `name` is the issuer of a host, byte for byte.
    pub(crate) fn is_issuer(&self, name: &str, host: &CanonicalHost) -> bool {
        let Authority { scheme, port } = self.issuer_address(host);
        let rest = name.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(host.as_str())) else {
            return false;
        };
        match port {
            None => rest.is_empty(),
            Some(port) => rest.strip_prefix(':').is_some_and(|digits| {
                digits.starts_with(|first| matches!(first, '1'..='9')) && digits.parse() == Ok(port)
            }),
        }
    }

    fn issuer_address(&self, host: &CanonicalHost) -> Authority {
        match self.addresses.is_configured(host) {
            true => self.authority(host),
            false => Authority { scheme: "https", port: None },
        }
    }

    fn authority(&self, host: &CanonicalHost) -> Authority {
        let port = self.addresses.port_for(host);
        let (scheme, port, usual) = match self.addresses.is_http(host) {
            true => ("http", port.unwrap_or(self.localhost_port), 80),
            false => ("https", port.unwrap_or(443), 443),
        };
        Authority { scheme, port: (port != usual).then_some(port) }
    }
}

impl Authority {
    fn origin(self, host: &CanonicalHost) -> String {
        let Self { scheme, port } = self;
        match port {
            None => format!("{scheme}://{host}"),
            Some(port) => format!("{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> CanonicalHost {
        text.parse().unwrap()
    }

    #[test]
    fn without_a_setting_addresses_and_issuers_are_the_usual_ones() {
        let origins = PublicOrigins::new(PublicAddresses::new(), 3000);
        for (name, address, issuer) in [
            ("a.example", "https://a.example", "https://a.example"),
            ("localhost", "http://localhost:3000", "https://localhost"),
            ("127.0.0.1", "https://127.0.0.1", "https://127.0.0.1"),
        ] {
            let host = host(name);
            assert_eq!((&*origins.origin(&host), &*origins.issuer(&host)), (address, issuer));
            assert_eq!(origins.configured(&host), None);
            assert!(origins.is_issuer(issuer, &host));
        }
        assert!(!origins.is_issuer("https://a.example:443", &host("a.example")));
    }

    #[test]
    fn a_port_that_is_set_is_in_addresses_and_issuers() {
        let addresses = PublicAddresses::with_port(8443).unwrap();
        let addresses = addresses.with_host_port("b.example", 443).unwrap();
        let origins = PublicOrigins::new(addresses, 3000);
        for (name, address) in [
            ("a.example", "https://a.example:8443"),
            ("b.example", "https://b.example"),
            ("[2001:db8::1]", "https://[2001:db8::1]:8443"),
            ("localhost", "http://localhost:8443"),
        ] {
            let host = host(name);
            assert_eq!((&*origins.origin(&host), &*origins.issuer(&host)), (address, address));
            assert_eq!(origins.configured(&host).as_deref(), Some(address));
            assert!(origins.is_issuer(address, &host));
        }
        for name in [
            "https://a.example",
            "https://a.example:443",
            "https://a.example:08443",
            "https://a.example:+8443",
            "https://a.example:8443/",
            "https://a.example:84430",
            "https://A.example:8443",
            "http://a.example:8443",
            "a.example:8443",
        ] {
            assert!(!origins.is_issuer(name, &host("a.example")), "{name}");
        }
    }

    #[test]
    fn http_on_loopback_is_in_addresses_and_issuers() {
        let addresses = PublicAddresses::new().with_insecure_http_on_loopback();
        let origins = PublicOrigins::new(addresses, 3000);
        for (name, address) in [
            ("127.0.0.1", "http://127.0.0.1:3000"),
            ("[::1]", "http://[::1]:3000"),
            ("localhost", "http://localhost:3000"),
        ] {
            let host = host(name);
            assert_eq!((&*origins.origin(&host), &*origins.issuer(&host)), (address, address));
            assert!(origins.is_issuer(address, &host));
        }
    }
}
