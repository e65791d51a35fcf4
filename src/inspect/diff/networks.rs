//! Classes of addresses that networks distinguish.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use super::atoms::{Slots, by_signature};

/// Addresses in the same networks.
#[derive(Clone, Debug)]
pub(super) struct AddressClass {
    ranges: Vec<Range>,
    /// One of the addresses.
    pub(super) sample: IpAddr,
}

/// The addresses from `first` to `last`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Range {
    is_v6: bool,
    first: u128,
    last: u128,
}

/// Groups all addresses by the networks that contain them.
pub(super) fn classes(networks: &[(IpNet, u32)]) -> Vec<AddressClass> {
    let segments = [false, true].into_iter().flat_map(|is_v6| segments(networks, is_v6));
    by_signature(segments)
        .into_iter()
        .filter_map(|ranges| {
            let sample = PREFERRED
                .into_iter()
                .find(|address| ranges.iter().any(|range| range.contains(*address)))
                .or_else(|| ranges.iter().find_map(|range| range.sample()))?;
            Some(AddressClass { ranges, sample })
        })
        .collect()
}

/// Returns the networks that form these classes.
pub(super) fn networks<'a>(classes: impl IntoIterator<Item = &'a AddressClass>) -> Vec<IpNet> {
    let mut ranges: Vec<Range> =
        classes.into_iter().flat_map(|class| class.ranges.iter().copied()).collect();
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(before)
                if before.is_v6 == range.is_v6
                    && before.last.checked_add(1) == Some(range.first) =>
            {
                before.last = range.last;
            }
            _ => merged.push(range),
        }
    }
    merged.into_iter().flat_map(Range::networks).collect()
}

fn segments(networks: &[(IpNet, u32)], is_v6: bool) -> Vec<(Range, Slots)> {
    let most = if is_v6 { u128::MAX } else { u128::from(u32::MAX) };
    // The networks that begin (`true`) and end at an address.
    let mut events: BTreeMap<u128, Vec<(bool, u32)>> = BTreeMap::from([(0, Vec::new())]);
    for (network, slot) in networks.iter().filter(|(network, _)| network.addr().is_ipv6() == is_v6)
    {
        events.entry(number(network.network())).or_default().push((true, *slot));
        if let Some(after) = number(network.broadcast()).checked_add(1).filter(|end| *end <= most) {
            events.entry(after).or_default().push((false, *slot));
        }
    }
    let mut around: BTreeMap<u32, usize> = BTreeMap::new();
    let mut segments = Vec::with_capacity(events.len());
    let ends: Vec<u128> = events.keys().skip(1).map(|begin| begin - 1).chain([most]).collect();
    for ((first, changes), last) in events.into_iter().zip(ends) {
        for (begins, slot) in changes {
            let count = around.entry(slot).or_default();
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        }
        around.retain(|_, count| *count > 0);
        segments.push((Range { is_v6, first, last }, around.keys().copied().collect()));
    }
    segments
}

impl Range {
    fn contains(&self, address: IpAddr) -> bool {
        self.is_v6 == address.is_ipv6() && (self.first..=self.last).contains(&number(address))
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(short) if !self.is_v6 => IpAddr::V4(Ipv4Addr::from_bits(short)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }

    /// Returns an address that a client can have: an IPv4 address written as IPv6 is an IPv4 address.
    fn sample(&self) -> Option<IpAddr> {
        let second = self.first.saturating_add(1).min(self.last);
        [second, self.first, self.last]
            .into_iter()
            .map(|number| self.address(number))
            .find(|address| address.to_canonical() == *address)
    }

    fn networks(self) -> impl Iterator<Item = IpNet> {
        match (self.address(self.first), self.address(self.last)) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                IpSubnets::V4(Ipv4Subnets::new(first, last, 0))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                IpSubnets::V6(Ipv6Subnets::new(first, last, 0))
            }
            // Unreachable: both ends are of one kind.
            _ => IpSubnets::V4(Ipv4Subnets::new(Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED, 0)),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Addresses reserved for documentation.
const PREFERRED: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_by_the_networks_they_lie_in() {
        let network = |text: &str, slot| (text.parse::<IpNet>().unwrap(), slot);
        let all = classes(&[
            network("10.0.0.0/8", 1),
            network("10.1.0.0/16", 2),
            network("11.0.0.0/8", 1),
            network("2001:db8::/32", 1),
        ]);
        let shown: Vec<Vec<String>> = all
            .iter()
            .map(|class| networks([class]).iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(all.len(), 3);
        assert_eq!(shown[2], ["10.1.0.0/16"]);
        assert!(shown[1].contains(&"11.0.0.0/8".to_owned()), "{shown:?}");
        assert!(shown[1].contains(&"2001:db8::/32".to_owned()), "{shown:?}");
        assert_eq!(all[0].sample, PREFERRED[0]);
        let whole: Vec<String> = networks(&all).iter().map(ToString::to_string).collect();
        assert_eq!(whole, ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn a_mapped_address_is_nobodys() {
        let all = classes(&[("::ffff:0:0/96".parse().unwrap(), 1)]);
        assert_eq!(all.len(), 1);
    }
}
