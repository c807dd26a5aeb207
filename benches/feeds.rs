//! What does a feed of a million prefixes cost: to compile, off the data threads, and to look an address up in?
//!
//! Compare cases within one run: the machine's own speed is in every figure.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use criterion::{Criterion, criterion_main};
use signgate::base::time::Timestamp;
use signgate::policy::{PolicySet, Sources, compile};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
[[blocklist]]
name = "feed"
file = "feed.netset"
[[blocklist]]
name = "nested"
prefixes = ["64.0.0.0/3", "2a00::/12"]
mode = "shadow"
[networks]
table = "networks.csv"
"#;

/// Numbers without a pattern (xorshift), the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// An address or a prefix, one in eight of IPv6, as feeds of proxies are.
    fn prefix(&mut self) -> (IpAddr, u8) {
        let number = self.next();
        if number.is_multiple_of(8) {
            let bits = ((0x2a00u128 << 112 | u128::from(self.next()) << 48) >> 80) << 80;
            return (IpAddr::V6(Ipv6Addr::from_bits(bits)), 48);
        }
        let length: u8 = [32, 32, 32, 28, 24, 22, 16][(number >> 50) as usize % 7];
        let bits = (number as u32 >> (32 - length)) << (32 - length);
        (IpAddr::V4(Ipv4Addr::from_bits(bits)), length)
    }
}

fn sources(count: usize, networks: usize) -> (Sources, Vec<IpAddr>) {
    let mut numbers = Numbers(88_172_645_463_325_252);
    let (mut feed, mut addresses) = (String::new(), Vec::new());
    for _ in 0..count {
        let (address, length) = numbers.prefix();
        addresses.push(address);
        writeln!(feed, "{address}/{length}").unwrap();
    }
    let mut table = String::from("192.0.2.0/24,64496,hosting\n");
    for number in 0..networks {
        let (address, length) = numbers.prefix();
        writeln!(table, "{address}/{length},{},isp", number % 70_000 + 1).unwrap();
    }
    let mut sources = Sources::new("");
    sources.insert("10.toml", POLICY);
    sources.insert("feed.netset", feed);
    sources.insert("networks.csv", table);
    (sources, addresses)
}

fn compiled(sources: &Sources) -> PolicySet {
    compile(sources, NOW).unwrap_or_else(|diagnostics| panic!("{diagnostics:?}")).set
}

fn feeds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feeds");
    group.sample_size(10).measurement_time(Duration::from_secs(15));
    for (name, count, networks) in [
        ("compile 10,000 prefixes", 10_000, 0),
        ("compile 1,000,000 prefixes", 1_000_000, 0),
        ("compile 500,000 networks", 0, 500_000),
    ] {
        let (sources, _) = sources(count, networks);
        group.bench_function(name, |bench| bench.iter(|| compiled(black_box(&sources))));
    }
    group.sample_size(50).measurement_time(Duration::from_secs(3));
    for count in [10_000, 100_000, 1_000_000] {
        let (sources, listed) = sources(count, count / 2);
        let set = compiled(&sources);
        // In an order that no cache foresees; as many as keep the addresses themselves in it.
        let mut numbers = Numbers(88_172_645_463_325_252);
        let asked: Vec<IpAddr> =
            (0..8_192).map(|_| listed[(numbers.next() % count as u64) as usize]).collect();
        let others: Vec<IpAddr> =
            (0..8_192).map(|_| IpAddr::V4(Ipv4Addr::from_bits(numbers.next() as u32))).collect();
        let mut place = 0;
        let mut next = move || {
            place = (place + 1) % 8_192;
            place
        };
        group.bench_function(format!("a listed address among {count} prefixes"), |bench| {
            bench.iter(|| set.blocklists().of_address(asked[next()]).len());
        });
        group.bench_function(format!("any address among {count} prefixes"), |bench| {
            bench.iter(|| set.blocklists().of_address(others[next()]).len());
        });
        group.bench_function(format!("the network of any address among {}", count / 2), |bench| {
            bench.iter(|| set.networks().lookup(others[next()]));
        });
    }
    group.finish();
}

mod groups {
    use super::feeds;
    criterion::criterion_group!(benches, feeds);
}

criterion_main!(groups::benches);
