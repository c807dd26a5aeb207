//! Which autonomous system announces an address, and what kind of network that is.
//!
//! From a table that the operator brings: an MMDB, as the usual providers publish them, or CSV. Either is laid out in
//! memory when the policy is compiled, so that a request costs one look-up that cannot fail, and a damaged table is
//! found then and not by a request.

mod read;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;

pub use read::{Format, read};

use super::lists::canonical_prefix;
use super::ranges::Ranges;
use crate::base::net::canonical;

/// A table may hold at most so many prefixes.
pub const PREFIXES_MAX: usize = 4_000_000;

/// What is known of the network that an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The number of the autonomous system (RFC 6793), at least 1.
    pub asn: u32,
    /// What kind of network it is, where the table says.
    pub kind: Option<NetworkKind>,
}

impl Network {
    /// Whether it is rented machines.
    pub fn is_hosting(self) -> bool {
        self.kind == Some(NetworkKind::Hosting)
    }

    /// Whether it is telephones, whose addresses go from hand to hand.
    pub fn is_mobile(self) -> bool {
        self.kind == Some(NetworkKind::Mobile)
    }

    /// Whether many people are behind few addresses.
    pub fn is_shared(self) -> bool {
        matches!(self.kind, Some(NetworkKind::Mobile | NetworkKind::Paas))
    }
}

/// What kind of network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkKind {
    /// Homes and offices.
    Isp,
    /// Telephones: many people behind few addresses.
    Mobile,
    /// Rented machines.
    Hosting,
    /// Platforms on which many people's programs share few addresses.
    Paas,
}

impl NetworkKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Isp, Self::Mobile, Self::Hosting, Self::Paas];

    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Isp => "isp",
            Self::Mobile => "mobile",
            Self::Hosting => "hosting",
            Self::Paas => "paas",
        }
    }

    /// The kind of that [`word`](Self::word).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// The table, or none.
#[derive(Default, PartialEq, Eq)]
pub struct Networks {
    ranges: Ranges,
    /// In order, each once: a table has far fewer networks than prefixes.
    networks: Vec<Network>,
}

impl Networks {
    /// Of prefixes in any order. The narrowest that holds an address says what it is in; of one prefix that is given twice,
    /// the network with the higher number.
    pub fn new(prefixes: &[(IpNet, Network)]) -> Self {
        // Sorted, so that the order of lines cannot show: of two with the same prefix the later place wins.
        let mut networks: Vec<Network> = prefixes.iter().map(|(_, network)| *network).collect();
        networks.sort_unstable();
        networks.dedup();
        let numbered = prefixes.iter().filter_map(|(prefix, network)| {
            let place = networks.binary_search(network).ok()?;
            Some((canonical_prefix(*prefix), place as u32))
        });
        Self { ranges: Ranges::new(numbered, |_, own| own), networks }
    }

    /// What is known of the network that an address is in.
    pub fn lookup(&self, address: IpAddr) -> Option<Network> {
        self.ranges.value(canonical(address)).map(|place| self.networks[place as usize])
    }

    /// Whether some prefix is of that autonomous system.
    pub fn has_asn(&self, asn: u32) -> bool {
        self.networks.binary_search_by_key(&asn, |network| network.asn).is_ok()
    }

    /// How many networks it tells apart.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether nothing is known of any address.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Networks").field("networks", &self.networks.len()).finish_non_exhaustive()
    }
}
