//! Networks as sorted lists of ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

/// A set of networks. A lookup is one binary search.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Networks {
    /// First and last address of each range; disjoint and sorted.
    v4: Box<[(Ipv4Addr, Ipv4Addr)]>,
    v6: Box<[(Ipv6Addr, Ipv6Addr)]>,
}

impl Networks {
    pub(super) fn new(networks: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push((network.network(), network.broadcast())),
                IpNet::V6(network) => v6.push((network.network(), network.broadcast())),
            }
        }
        Self { v4: disjoint(v4), v6: disjoint(v6) }
    }

    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(in crate::policy) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => is_inside(&self.v4, address),
            IpAddr::V6(address) => is_inside(&self.v6, address),
        }
    }

    /// Returns the networks that make up the set.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.iter().map(|(first, last)| Ipv4Subnets::new(*first, *last, 0));
        let v6 = self.v6.iter().map(|(first, last)| Ipv6Subnets::new(*first, *last, 0));
        v4.map(IpSubnets::V4).chain(v6.map(IpSubnets::V6)).flatten()
    }
}

fn is_inside<A: Copy + Ord>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after
        .checked_sub(1)
        .and_then(|index| ranges.get(index))
        .is_some_and(|(_, last)| address <= *last)
}

fn disjoint<A: Copy + Ord>(mut ranges: Vec<(A, A)>) -> Box<[(A, A)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0_u8..=32).prop_map(|(bits, prefix)| IpNet::new(
                IpAddr::from(bits.to_be_bytes()),
                prefix
            )
            .unwrap()
            .trunc()),
            (any::<u128>(), 0_u8..=128).prop_map(|(bits, prefix)| IpNet::new(
                IpAddr::from(bits.to_be_bytes()),
                prefix
            )
            .unwrap()
            .trunc()),
        ]
    }

    proptest! {
        #[test]
        fn answers_as_a_scan_of_all_networks_does(
            networks in prop::collection::vec(network(), 0..40),
            inside in any::<prop::sample::Index>(),
            random in any::<u32>(),
        ) {
            let set = Networks::new(&networks);
            let again = Networks::new(&set.networks().collect::<Vec<_>>());
            let mut addresses = vec![IpAddr::from(random.to_be_bytes())];
            if !networks.is_empty() {
                let chosen = networks[inside.index(networks.len())];
                addresses.extend([chosen.network(), chosen.broadcast()]);
            }
            for address in addresses {
                let scan = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(set.contains(address), scan);
                prop_assert_eq!(again.contains(address), scan);
            }
        }
    }
}
