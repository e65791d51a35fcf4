//! The chain of senders of a request, for the origin.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) are written from one chain: origins differ in which of the
//! two they trust, and must find the same client in both.

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::address::{MAX_HOPS, forwarded_entry};

/// Senders of a request, the client first. `None` is a sender with an unreadable address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Chain(Vec<Option<IpAddr>>);

impl Chain {
    /// Reads the headers of a trusted proxy: `X-Forwarded-For`, which policies use as well, or `Forwarded` if
    /// there is none. Uses the last 32 senders.
    pub(super) fn from_trusted_peer(headers: &HeaderMap) -> Self {
        if headers.contains_key(X_FORWARDED_FOR) {
            Self::from_x_forwarded_for(headers)
        } else {
            Self::from_forwarded(headers)
        }
    }

    /// Appends the peer that sent the request to this proxy.
    pub(super) fn push(&mut self, peer: IpAddr) {
        self.0.push(Some(peer.to_canonical()));
    }

    /// Returns the chain of a request that its peer made, as far as the proxy knows.
    pub(super) fn of_peer(peer: Option<IpAddr>) -> Self {
        Self(peer.map(|peer| Some(peer.to_canonical())).into_iter().collect())
    }

    fn from_x_forwarded_for(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(X_FORWARDED_FOR);
        let is_blank = |line: &HeaderValue| line.as_bytes().iter().all(|it| b" \t".contains(it));
        if lines.iter().all(is_blank) {
            return Self::default();
        }
        let mut senders: Vec<_> = lines
            .iter()
            .rev()
            // A line that is not text is one unreadable sender.
            .flat_map(|line| line.to_str().unwrap_or_default().rsplit(','))
            .take(MAX_HOPS)
            .map(forwarded_entry)
            .collect();
        senders.reverse();
        Self(senders)
    }

    fn from_forwarded(headers: &HeaderMap) -> Self {
        let mut senders = Vec::new();
        for line in headers.get_all(FORWARDED) {
            match line.to_str().ok().and_then(elements) {
                Some(elements) => senders.extend(elements),
                None => senders.push(None),
            }
        }
        senders.drain(..senders.len().saturating_sub(MAX_HOPS));
        Self(senders)
    }

    /// Returns the values of `X-Forwarded-For`, if a sender is known, and `Forwarded`.
    pub(super) fn values(
        &self,
        host: &str,
        proto: &str,
    ) -> (Option<HeaderValue>, Option<HeaderValue>) {
        let forwarded = Bytes::from(self.forwarded(host, proto));
        let senders = match self.0.as_slice() {
            // The same text as in the other header.
            [Some(peer)] => address_in(&forwarded, peer.is_ipv6()),
            _ => self.x_forwarded_for().map(Bytes::from),
        };
        let value = |text: Bytes| HeaderValue::from_maybe_shared(text).ok();
        (senders.and_then(value), value(forwarded))
    }

    /// Returns the value of `X-Forwarded-For`; `None` if no sender is known.
    fn x_forwarded_for(&self) -> Option<String> {
        let mut list = String::new();
        for (index, sender) in self.0.iter().enumerate() {
            if index > 0 {
                list.push_str(", ");
            }
            match sender {
                Some(address) => push_address(&mut list, *address),
                None => list.push_str(UNKNOWN),
            }
        }
        (!list.is_empty()).then_some(list)
    }

    /// Returns the value of `Forwarded`. The last element, which is this proxy's, has the request's own host
    /// and protocol.
    fn forwarded(&self, host: &str, proto: &str) -> String {
        let senders = self.0.len().max(1) * MAX_ELEMENT;
        let mut list = String::with_capacity(senders + host.len() + proto.len() + MAX_ELEMENT);
        for (index, sender) in self.0.iter().enumerate() {
            if index > 0 {
                list.push_str(", ");
            }
            list.push_str("for=");
            match sender {
                Some(address @ IpAddr::V4(_)) => push_address(&mut list, *address),
                Some(address @ IpAddr::V6(_)) => {
                    list.push_str("\"[");
                    push_address(&mut list, *address);
                    list.push_str("]\"");
                }
                None => list.push_str(UNKNOWN),
            }
        }
        if list.is_empty() {
            list.extend(["for=", UNKNOWN]);
        }
        list.extend([";host=\"", host, "\";proto=", proto]);
        list
    }
}

fn push_address(list: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    list.push('.');
                }
                push_octet(list, octet);
            }
        }
        IpAddr::V6(address) => {
            // Writing to a string cannot fail.
            let _ = write!(list, "{address}");
        }
    }
}

/// Writes an octet in decimal; quicker than `Display`.
fn push_octet(list: &mut String, octet: u8) {
    let digit = |digit: u8| char::from(b'0' + digit % 10);
    if octet >= 100 {
        list.push(digit(octet / 100));
    }
    if octet >= 10 {
        list.push(digit(octet / 10));
    }
    list.push(digit(octet));
}

/// Returns the address in a value of `Forwarded` that begins with one.
fn address_in(forwarded: &Bytes, is_ipv6: bool) -> Option<Bytes> {
    let (start, end) = if is_ipv6 { ("for=\"[", b']') } else { ("for=", b';') };
    let address = forwarded.get(start.len()..)?;
    let length = address.iter().position(|byte| *byte == end)?;
    Some(forwarded.slice_ref(address.get(..length)?))
}

/// Returns the senders in one line of `Forwarded`; `None` if it does not follow the grammar.
fn elements(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut senders = Vec::new();
    let mut rest = line;
    loop {
        let mut sender = Sender::Missing;
        let mut is_empty = true;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if !rest.starts_with([';', ',']) && !rest.is_empty() {
                let (name, value, after) = pair(rest)?;
                rest = after.trim_start_matches([' ', '\t']);
                is_empty = false;
                if name.eq_ignore_ascii_case("for") {
                    sender = sender.named(&value);
                }
            }
            match rest.strip_prefix(';') {
                Some(after) => rest = after,
                None => break,
            }
        }
        if !is_empty {
            senders.push(sender.address());
        }
        rest = match rest.strip_prefix(',') {
            Some(after) => after,
            None if rest.is_empty() => return Some(senders),
            None => return None,
        };
    }
}

/// The sender of an element, while its parameters are read.
enum Sender {
    Missing,
    Named(Option<IpAddr>),
    /// The parameter is repeated, which is invalid.
    Repeated,
}

impl Sender {
    fn named(self, value: &str) -> Self {
        match self {
            Self::Missing => Self::Named(forwarded_entry(value)),
            Self::Named(_) | Self::Repeated => Self::Repeated,
        }
    }

    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Named(address) => address,
            Self::Missing | Self::Repeated => None,
        }
    }
}

/// Parses `token=token` or `token="quoted"` at the start of a text. Returns the rest, too.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=')?;
    match rest.strip_prefix('"') {
        None => token(rest).map(|(value, rest)| (name, value.to_owned(), rest)),
        Some(quoted) => {
            let mut value = String::new();
            let mut characters = quoted.chars();
            loop {
                match characters.next()? {
                    '"' => return Some((name, value, characters.as_str())),
                    '\\' => value.push(characters.next()?),
                    character => value.push(character),
                }
            }
        }
    }
}

/// Parses a token (RFC 9110, section 5.6.2) at the start of a text. Returns the rest, too.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The identifier of a sender with an unreadable address.
const UNKNOWN: &str = "unknown";
/// About the most bytes that one sender needs in `Forwarded`.
const MAX_ELEMENT: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let chain = Chain::from_trusted_peer(&headers);
        chain.x_forwarded_for().unwrap_or_default()
    }

    /// Both headers are the same as what the addresses write themselves.
    #[test]
    fn the_peer_alone_is_in_both_headers() {
        for peer in [
            "192.0.2.7",
            "0.0.0.0",
            "255.255.255.255",
            "10.20.100.9",
            "1.99.101.110",
            "2001:db8::1",
            "::",
            "::1",
            "fe80::1:2:3:4",
            "2001:db8:1:2:3:4:5:6",
        ] {
            let peer: IpAddr = peer.parse().unwrap();
            let written = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
            let (senders, forwarded) = Chain::of_peer(Some(peer)).values("a.example:80", "https");
            assert_eq!(senders.unwrap(), peer.to_string());
            assert_eq!(
                forwarded.unwrap(),
                format!("for={written};host=\"a.example:80\";proto=https"),
            );
        }
        let mapped = Chain::of_peer(Some("::ffff:192.0.2.7".parse().unwrap()));
        assert_eq!(mapped.values("a", "http").0.unwrap(), "192.0.2.7");
        let (senders, forwarded) = Chain::of_peer(None).values("a", "http");
        assert!(senders.is_none());
        assert_eq!(forwarded.unwrap(), "for=unknown;host=\"a\";proto=http");
    }

    /// IP-04: by the grammar, or unknown.
    #[test]
    fn ip_04_forwarded_is_read_by_its_grammar() {
        for (line, senders) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=\"192.0.2.7:4711\" ; proto=http;by=203.0.113.1", "192.0.2.7"),
            ("for=\"[2001:db8::1]:443\", for=192.0.2.1", "2001:db8::1, 192.0.2.1"),
            ("for=\"[2001:DB8::1]\"", "2001:db8::1"),
            ("for=\"::ffff:192.0.2.7\"", "192.0.2.7"),
            ("for=\"19\\2.0.2.7\"", "192.0.2.7"),
            ("for=_hidden, for=unknown, for=\"_x:_y\"", "unknown, unknown, unknown"),
            ("proto=https, for=192.0.2.7", "unknown, 192.0.2.7"),
            ("for=192.0.2.7;for=10.0.0.1", "unknown"),
            ("for=\"1.1.1.1, 10.0.0.1\";proto=https", "unknown"),
            ("host=\"a,b;for=10.0.0.1\";for=192.0.2.7", "192.0.2.7"),
            (", for=192.0.2.7,, ;,", "192.0.2.7"),
            ("for=192.0.2.7:80", "unknown"),
            ("for = 192.0.2.7", "unknown"),
            ("for=", "unknown"),
            ("for=\"192.0.2.7", "unknown"),
            ("for=\"192.0.2.7\\", "unknown"),
            ("for=192.0.2.7 for=192.0.2.8", "unknown"),
            ("192.0.2.7", "unknown"),
            ("", ""),
        ] {
            assert_eq!(chain(&[("forwarded", line)]), senders, "{line}");
        }
        assert_eq!(
            chain(&[("forwarded", "for=192.0.2.1"), ("forwarded", "x")]),
            "192.0.2.1, unknown"
        );
    }

    #[test]
    fn what_policies_are_judged_by_counts_before_forwarded() {
        let both = |list| chain(&[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", list)]);
        assert_eq!(both("192.0.2.7"), "192.0.2.7");
        assert_eq!(both("junk"), "unknown");
        assert_eq!(both(" "), "");
    }

    /// IP-03, IP-06: nothing is left out in silence, and nothing grows without bound.
    #[test]
    fn ip_03_x_forwarded_for_is_read_entry_by_entry() {
        for (line, senders) in [
            ("192.0.2.7:4711,[2001:db8::1]:80 , [::1]", "192.0.2.7, 2001:db8::1, ::1"),
            ("192.0.2.7,", "192.0.2.7, unknown"),
            ("a, 010.0.0.1, 1.1.1.1:99999", "unknown, unknown, unknown"),
        ] {
            assert_eq!(chain(&[("x-forwarded-for", line)]), senders, "{line}");
        }
        let long = "10.0.0.1,".repeat(5_000);
        let kept = |lines: &[(&'static str, &str)]| chain(lines).split(", ").count();
        assert_eq!(kept(&[("x-forwarded-for", &long)]), MAX_HOPS);
        assert_eq!(kept(&[("forwarded", &"for=10.0.0.1,".repeat(5_000))]), MAX_HOPS);
        let ends = ["1.1.1.1,".repeat(40), "192.0.2.9".to_owned()].concat();
        assert!(chain(&[("x-forwarded-for", &ends)]).ends_with("1.1.1.1, 192.0.2.9"));
    }
}
