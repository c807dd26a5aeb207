//! The address plan: networks of twelve countries, hosters and platforms. The same for every seed, so one table serves.
//!
//! No real network is named: IPv4 addresses are of 240.0.0.0/4, which nobody uses (RFC 1112 section 4), IPv6 addresses of
//! 3fff::/20, which is for documentation (RFC 9637), numbers of autonomous systems are for private use (RFC 6996).

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::random::Random;

/// The first number of an autonomous system.
const ASN_FIRST: u32 = 4_200_000_001;

/// How much of the world's audience each country has. The names are for people alone.
const COUNTRIES: [(&str, f64); 12] = [
    ("Aland", 0.20),
    ("Borduria", 0.14),
    ("Carpathia", 0.12),
    ("Drusselstein", 0.10),
    ("Elbonia", 0.09),
    ("Freedonia", 0.08),
    ("Grand Fenwick", 0.07),
    ("Hav", 0.06),
    ("Islandia", 0.05),
    ("Kreplachistan", 0.04),
    ("Latveria", 0.03),
    ("Molvania", 0.02),
];

/// Of each country: networks for homes, each with its share of the country's people.
const HOMES: [f64; 4] = [0.34, 0.22, 0.14, 0.06];

/// And for telephones.
const MOBILES: [f64; 2] = [0.15, 0.09];

/// How many /16 a home network has.
const BLOCKS_OF_HOME: u16 = 3;

/// How many people's addresses a mobile network's translators have: everybody shares these.
const CGNAT_ADDRESSES: u64 = 12;

/// Where machines are rented.
const HOSTERS: u16 = 8;

/// Platforms on which many people's programs share few addresses.
const PLATFORMS: u16 = 3;

/// How many addresses a platform's programs leave by.
const PLATFORM_ADDRESSES: u64 = 8;

/// What kind of network it is, in the words of a networks table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Home,
    Mobile,
    Hosting,
    Platform,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Home => "isp",
            Self::Mobile => "mobile",
            Self::Hosting => "hosting",
            Self::Platform => "paas",
        }
    }
}

/// One autonomous system.
#[derive(Debug, Clone)]
pub(super) struct Network {
    asn: u32,
    kind: Kind,
    /// Of its country, and how much of the country's people it has.
    share: f64,
    /// Its /16 blocks: the first, and how many.
    first_block: u16,
    blocks: u16,
    /// Its IPv6 /32, and which share of its people have IPv6.
    v6: (u16, f64),
}

/// All networks.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    networks: Vec<Network>,
}

impl Plan {
    /// The one plan that there is.
    pub fn new() -> Self {
        let mut networks = Vec::new();
        let mut block = 0;
        let mut add = |kind, share, blocks, v6_share| {
            let number = networks.len() as u16;
            let asn = ASN_FIRST + u32::from(number);
            networks.push(Network {
                asn,
                kind,
                share,
                first_block: block,
                blocks,
                v6: (number + 1, v6_share),
            });
            block += blocks;
        };
        for country in 0..COUNTRIES.len() {
            for (place, share) in HOMES.into_iter().enumerate() {
                // Some countries and some providers are further with IPv6 than others.
                add(Kind::Home, share, BLOCKS_OF_HOME, [0.5, 0.3, 0.1, 0.0][(country + place) % 4]);
            }
            for share in MOBILES {
                add(Kind::Mobile, share, 1, 0.0);
            }
        }
        (0..HOSTERS).for_each(|_| add(Kind::Hosting, 0.0, 2, 0.1));
        (0..PLATFORMS).for_each(|_| add(Kind::Platform, 0.0, 1, 0.0));
        Self { networks }
    }

    /// How much of the world's people a country has.
    pub fn share_of(country: u8) -> f64 {
        COUNTRIES[usize::from(country)].1
    }

    /// A country, by how many people it has.
    pub fn country(random: &mut Random) -> u8 {
        random.weighted(COUNTRIES.iter().map(|(_, share)| *share)) as u8
    }

    fn of_country(&self, country: u8) -> &[Network] {
        let count = HOMES.len() + MOBILES.len();
        &self.networks[usize::from(country) * count..][..count]
    }

    /// The networks of a country, by the share of its people: homes first.
    pub fn network_of_person(&self, country: u8, random: &mut Random) -> &Network {
        let networks = self.of_country(country);
        &networks[random.weighted(networks.iter().map(|network| network.share))]
    }

    /// The home networks of a country, the largest first.
    pub fn homes(&self, country: u8) -> &[Network] {
        &self.of_country(country)[..HOMES.len()]
    }

    /// The mobile networks of a country, the largest first.
    pub fn mobiles(&self, country: u8) -> &[Network] {
        &self.of_country(country)[HOMES.len()..]
    }

    /// A home anywhere in the world, as sellers of proxies have them: not by where people live.
    pub fn any_home(&self, random: &mut Random) -> &Network {
        let country = random.place(COUNTRIES.len()) as u8;
        random.pick(self.homes(country))
    }

    /// The network that an IPv4 or IPv6 address is in.
    pub fn network_of(&self, address: IpAddr) -> Option<&Network> {
        self.networks.iter().find(|network| match address {
            IpAddr::V4(v4) => {
                let block = (v4.to_bits() >> 16) as u16 & 0xfff;
                (network.first_block..network.first_block + network.blocks).contains(&block)
            }
            IpAddr::V6(v6) => v6.segments()[1] == network.v6.0,
        })
    }

    /// Where machines are rented.
    pub fn hosters(&self) -> &[Network] {
        let from = self.networks.len() - usize::from(HOSTERS + PLATFORMS);
        &self.networks[from..][..usize::from(HOSTERS)]
    }

    /// Platforms.
    pub fn platforms(&self) -> &[Network] {
        &self.networks[self.networks.len() - usize::from(PLATFORMS)..]
    }

    /// Writes the table that a policy's `[networks]` reads: `prefix,asn,kind`.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "prefix,asn,kind")?;
        for network in &self.networks {
            for block in network.first_block..network.first_block + network.blocks {
                writeln!(
                    out,
                    "{}/16,{},{}",
                    network.v4(block - network.first_block, 0),
                    network.asn,
                    network.kind.word()
                )?;
            }
            writeln!(out, "{}/32,{},{}", network.v6(0), network.asn, network.kind.word())?;
        }
        Ok(())
    }
}

impl Network {
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    #[cfg(test)]
    pub const fn asn(&self) -> u32 {
        self.asn
    }

    fn v4(&self, block: u16, low: u16) -> Ipv4Addr {
        Ipv4Addr::from_bits(0xf000_0000 | u32::from(self.first_block + block) << 16 | u32::from(low))
    }

    fn v6(&self, low: u128) -> Ipv6Addr {
        Ipv6Addr::from_bits(0x3fff << 112 | u128::from(self.v6.0) << 96 | low)
    }

    /// The address that somebody has here.
    pub fn address(&self, random: &mut Random) -> IpAddr {
        match self.kind {
            Kind::Home | Kind::Hosting if random.chance(self.v6.1) => self.address_v6(random),
            Kind::Home | Kind::Hosting => {
                let block = random.below(u64::from(self.blocks)) as u16;
                let subnet = random.below(256) as u16;
                IpAddr::V4(self.v4(block, subnet << 8 | host(random)))
            }
            // The translators of a country's telephones and a platform's gateways stand in two racks.
            Kind::Mobile => self.shared_address(random.below(CGNAT_ADDRESSES)),
            Kind::Platform => self.shared_address(random.below(PLATFORM_ADDRESSES)),
        }
    }

    /// One of the addresses that everybody here shares.
    pub fn shared_address(&self, number: u64) -> IpAddr {
        IpAddr::V4(self.v4(0, ((number as u16 % 2) << 8) | (16 + number as u16 / 2)))
    }

    /// A /64 of its own, and a host in it.
    pub fn address_v6(&self, random: &mut Random) -> IpAddr {
        let (net, low) = (random.next() as u32, random.next() | 1 << 63);
        IpAddr::V6(self.v6(u128::from(net) << 64 | u128::from(low)))
    }

    /// The host of this number in the /24 of this number, of the first /16.
    pub fn host(&self, (subnet, host): (u16, u16)) -> IpAddr {
        IpAddr::V4(self.v4(0, (subnet & 0xff) << 8 | host & 0xff))
    }

    /// A host in the /24 of this number.
    pub fn address_in(&self, subnet: u16, random: &mut Random) -> IpAddr {
        IpAddr::V4(self.v4(0, (subnet & 0xff) << 8 | host(random)))
    }
}

/// Not the network's own address, its router's or the broadcast's.
fn host(random: &mut Random) -> u16 {
    random.between(2, 255) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_networks_share_a_prefix_and_no_real_one_is_named() {
        let mut csv = Vec::new();
        Plan::new().write_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        let mut prefixes = std::collections::BTreeSet::new();
        for row in csv.lines().skip(1) {
            let [prefix, asn, kind] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
            assert!(prefixes.insert(prefix.to_owned()), "{prefix} twice");
            assert!(prefix.starts_with("24") || prefix.starts_with("3fff:"), "{prefix}");
            assert!((4_200_000_000..4_294_967_295).contains(&asn.parse::<u32>().unwrap()));
            assert!(["isp", "mobile", "hosting", "paas"].contains(&kind));
        }
        assert!(prefixes.len() > 200);
    }

    #[test]
    fn telephones_share_few_addresses_and_homes_do_not() {
        let (plan, mut random) = (Plan::new(), Random::named(1, "test"));
        let mut distinct = |network: &Network| {
            (0..2_000).map(|_| network.address(&mut random)).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(distinct(&plan.mobiles(0)[0]) as u64, CGNAT_ADDRESSES);
        assert_eq!(distinct(&plan.platforms()[0]) as u64, PLATFORM_ADDRESSES);
        assert!(distinct(&plan.homes(3)[1]) > 1_900);
    }
}
