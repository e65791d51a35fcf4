//! Many networks as one sorted list of ranges.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of networks: ten thousand cost about what ten cost (one binary search).
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    /// Disjoint and sorted: first and last address of each.
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl Networks {
    pub(super) fn new(networks: &[IpNet]) -> Self {
        let mut ranges: Vec<_> = IpNet::aggregate(&networks.to_vec())
            .into_iter()
            .map(|network| (network.network(), network.broadcast()))
            .collect();
        ranges.sort_unstable();
        Self { ranges }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        after
            .checked_sub(1)
            .and_then(|index| self.ranges.get(index))
            .is_some_and(|(_, last)| address <= *last)
    }
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
            let mut addresses = vec![IpAddr::from(random.to_be_bytes())];
            if !networks.is_empty() {
                let chosen = networks[inside.index(networks.len())];
                addresses.extend([chosen.network(), chosen.broadcast()]);
            }
            for address in addresses {
                let scan = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(set.contains(address), scan);
            }
        }
    }
}
