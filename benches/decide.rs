//! What does a decision cost? assess, charge, conclude and observe, without any I/O.
//!
//! Compare cases within one run: the machine's own speed is in every figure.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_main};
use signgate::base::library::Library;
use signgate::base::operation::Operation;
use signgate::base::room::Room;
use signgate::base::time::Timestamp;
use signgate::engine::facts::{Credential, Facts, TargetClaim};
use signgate::engine::{Ending, Engine};
use signgate::policy::{PolicySet, Sources, compile};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const POLICY: &str = r#"
format = 1
[tier.anonymous]
class = "none"
[[target]]
hosts = ["webcast.tiktok.com"]
paths = ["/webcast/*"]
"#;

fn policy(more: &str, feed: &str) -> PolicySet {
    let mut sources = Sources::new("");
    sources.insert("10.toml", format!("{POLICY}{more}"));
    sources.insert("feed.netset", feed);
    compile(&sources, NOW).unwrap_or_else(|diagnostics| panic!("{diagnostics:?}")).set
}

fn facts(client: u32) -> Facts<'static> {
    Facts {
        operation: Operation::Connect,
        client: IpAddr::V4(Ipv4Addr::from_bits(client)),
        credential: Credential::Absent,
        room: Some(Room::Id(7_300_000_000_000_000_001)),
        target: TargetClaim::None,
        session: None,
        user_agent: "TikTokLive.py/7.0.1",
        library: Library::UNKNOWN,
        device: None,
        asn: None,
    }
}

fn decide(engine: &Engine, policy: &PolicySet, client: u32) -> bool {
    let assessment = engine.assess(policy, &facts(client), NOW);
    let charge = engine.charge(policy, &assessment, NOW);
    let (_, receipt) = engine.conclude(policy, assessment, charge, NOW);
    match receipt {
        Some(receipt) => {
            engine.observe(policy, &receipt, Ending::Charged, NOW);
            true
        }
        None => false,
    }
}

fn decisions(criterion: &mut Criterion) {
    let quotas = r#"
[[quota]]
name = "q"
scope = "proxy"
limits = { minute = 4000000000, hour = 4000000000, day = 4000000000 }
[[quota]]
name = "r"
scope = "room"
limits = { day = 4000000000 }
[[rate]]
name = "burst"
scope = "proxy"
rate = "1000000/s"
burst = 1000000
"#;
    let mut group = criterion.benchmark_group("decide");

    let (engine, set) = (Engine::new(2_000_000, 1), policy(quotas, ""));
    group.bench_function("admitted, warm", |bench| {
        bench.iter(|| assert!(decide(&engine, &set, black_box(7))));
    });

    let spent = policy("\n[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = { minute = 0 }\n", "");
    group.bench_function("refused by a quota", |bench| {
        bench.iter(|| assert!(!decide(&engine, &spent, black_box(7))));
    });

    let prefixes: BTreeSet<Ipv4Addr> =
        (0..100_000u32).map(|n| Ipv4Addr::from_bits((n.wrapping_mul(40_503) << 8) | 1 << 24)).collect();
    let feed: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}/24")).collect();
    let feed = feed.join("\n");
    let listed = policy(
        &format!("{quotas}\n[[blocklist]]\nname = \"b\"\nfile = \"feed.netset\"\nmode = \"shadow\"\n"),
        &feed,
    );
    group.bench_function("admitted beside 100,000 prefixes", |bench| {
        bench.iter(|| decide(&engine, &listed, black_box(0xc000_0207)));
    });

    let mut client = 0u32;
    group.bench_function("admitted, a million addresses in turn", |bench| {
        bench.iter(|| {
            client = client.wrapping_add(2_654_435_761) % 1_000_000;
            decide(&engine, &set, 0x0a00_0000 | client)
        });
    });
    group.finish();
}

mod groups {
    use super::decisions;
    criterion::criterion_group!(benches, decisions);
}

criterion_main!(groups::benches);
