//! What traffic promises: to be the same again, to be what its labels say, and to be what each scenario is called.

mod personas;
mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::identity::Persona;
use super::networks::{Kind as NetworkKind, Plan};
use super::record::{Ask, Ending};
use super::scenarios::{ALL, Kind, Scenario, find};
use super::tools::Tools;
use super::{Population, Record, Settings, Traffic};
use crate::base::net::Prefix;

fn settings(scenario: &'static Scenario, rate: f64) -> Settings {
    Settings { rate, ..Settings::new(scenario, 7) }
}

fn named(name: &str) -> Settings {
    settings(find(name).unwrap(), 6.0)
}

fn records(name: &str) -> Vec<Record> {
    Traffic::new(named(name)).collect()
}

fn of(records: &[Record], persona: Persona) -> Vec<&Record> {
    records.iter().filter(|record| record.request.client.persona == persona).collect()
}

fn attack(records: &[Record]) -> Vec<&Record> {
    records.iter().filter(|record| record.is_attack).collect()
}

fn bytes(settings: Settings) -> Vec<u8> {
    let mut traffic = Traffic::new(settings);
    let mut out = Vec::new();
    while let Some(record) = traffic.next() {
        traffic.write_line(&record, &mut out);
    }
    out
}

/// What makes a viewer: the proxy, and the first of device, session, key, user agent.
fn identity(record: &Record, tools: &Tools) -> (Prefix, String) {
    let client = &record.request.client;
    let program = client
        .device
        .map(|device| format!("d{device}"))
        .or(client.session.map(|session| format!("s{session}")))
        .or(client.key.map(|key| format!("k{}", key.number)))
        .unwrap_or_else(|| format!("u{}", tools.get(client.tool).user_agent));
    (Prefix::proxy(record.client), program)
}

fn distinct<T: Ord>(of: impl Iterator<Item = T>) -> usize {
    of.collect::<BTreeSet<T>>().len()
}

#[test]
fn the_same_settings_make_the_same_bytes_and_another_seed_makes_others() {
    for scenario in ALL {
        let short = || Settings { duration: Duration::from_secs(300), ..settings(scenario, 3.0) };
        let first = bytes(short());
        assert!(first == bytes(short()), "{}", scenario.name);
        assert!(first != bytes(Settings { seed: 8, ..short() }), "{}", scenario.name);
        assert!(first.len() > 100_000, "{}", scenario.name);
    }
}

#[test]
fn every_line_is_a_record_with_a_label_in_order_of_time() {
    for scenario in ALL {
        let settings = settings(scenario, 3.0);
        let (start, end) = (settings.start_ms, settings.start_ms + settings.end());
        let (mut traffic, mut line, mut last, mut count) = (Traffic::new(settings), Vec::new(), start, 0);
        while let Some(record) = traffic.next() {
            assert!((last..end).contains(&record.time_ms) && record.seq == count, "{}", scenario.name);
            last = record.time_ms;
            count += 1;
            // One in a few is enough to meet every form.
            if count % 13 != 0 {
                continue;
            }
            line.clear();
            traffic.write_line(&record, &mut line);
            let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
            let label = &read["label"];
            assert_eq!(read["time"].as_u64(), Some(record.time_ms));
            assert_eq!(read["client"].as_str().unwrap().parse::<IpAddr>().unwrap(), record.client);
            assert!(read["target"].as_str().unwrap().starts_with('/'));
            assert_eq!(label["scenario"], scenario.name);
            assert_eq!(label["persona"], record.persona());
            assert_eq!(label["attack"], record.is_attack);
            assert_eq!(label["room"], record.room.to_string());
            assert!(label["viewer"].as_str().unwrap().starts_with('v'));
            let places = line.windows(6).filter(|window| *window == b"\"room\"").count();
            assert!(places <= 2, "the label's and the record's own");
        }
    }
}

#[test]
fn only_attacks_hold_attackers() {
    for scenario in ALL {
        let all: Vec<Record> = Traffic::new(settings(scenario, 3.0)).collect();
        let bots = attack(&all).len();
        assert_eq!(bots > 0, scenario.kind == Kind::Attack, "{}: {bots} bots", scenario.name);
        assert!(all.len() > bots + 4_000, "{}", scenario.name);
    }
}

/// The truth of a label is what a gateway could know: one viewer in a label is one identity in the record, and the other
/// way round.
#[test]
fn as_many_viewers_as_a_label_tells_are_as_many_identities() {
    for scenario in ALL.into_iter().filter(|scenario| scenario.kind == Kind::Attack) {
        let mut traffic = Traffic::new(settings(scenario, 3.0));
        let mut viewers: BTreeMap<u64, (Prefix, String)> = BTreeMap::new();
        let bots: Vec<Record> = traffic.by_ref().filter(|record| record.is_attack).collect();
        for bot in &bots {
            let identity = identity(bot, traffic.tools());
            let known = viewers.entry(bot.request.client.viewer).or_insert_with(|| identity.clone());
            assert_eq!(*known, identity, "{}", scenario.name);
        }
        let count = bots.len();
        assert_eq!(distinct(viewers.values()), viewers.len(), "{}", scenario.name);
        let repeats = match scenario.name {
            // These come back on purpose.
            "hammering" => 60.0,
            "harvest" => 200.0,
            "panel" | "small-panel" => 50.0,
            "moving-pool" | "rented-pool" => 5.0,
            "free-keys" | "free-key-farm" | "platform-abuse" | "viewer-service" | "mimicked-churn" => 4.0,
            _ => 1.3,
        };
        assert!(
            count as f64 <= viewers.len() as f64 * repeats,
            "{}: {count} of {}",
            scenario.name,
            viewers.len()
        );
    }
}

/// An attack is laid over ordinary traffic and changes nothing of it.
#[test]
fn ordinary_traffic_is_the_same_with_an_attack_in_it() {
    let ordinary = |name: &str, population| -> Vec<_> {
        let traffic = Traffic::new(Settings { population, ..named(name) });
        let honest = traffic.filter(|record| {
            !record.is_attack && !matches!(record.request.client.persona, Persona::Preparing)
        });
        honest.map(|record| (record.time_ms, record.client, record.room, record.duration_ms)).collect()
    };
    for population in Population::ALL {
        let without = ordinary("ordinary", population);
        for name in
            ["naive-burst", "slow-drip", "aged-identities", "trained-baseline", "panel", "viewer-service"]
        {
            assert!(ordinary(name, population) == without, "{name}");
        }
    }
}

#[test]
fn the_rate_is_what_was_asked_for() {
    for population in Population::ALL {
        for rate in [3.0, 30.0, 100.0] {
            let duration = Duration::from_secs(if rate > 50.0 { 600 } else { 1_800 });
            let settings = Settings { population, duration, ..settings(find("ordinary").unwrap(), rate) };
            let count = Traffic::new(settings).count() as f64 / duration.as_secs_f64();
            // Few streams are few bursts.
            let off = if rate < 10.0 { 0.25 } else { 0.12 };
            assert!(
                (rate * (1.0 - off)..rate * (1.0 + off)).contains(&count),
                "{count} instead of {rate} in {population:?}"
            );
        }
    }
}

#[test]
fn most_requests_have_no_device_and_half_have_no_key() {
    for population in Population::ALL {
        let settings = Settings { population, ..named("ordinary") };
        let all: Vec<Record> = Traffic::new(settings).collect();
        let share = |is: &dyn Fn(&Record) -> bool| {
            all.iter().filter(|record| is(record)).count() as f64 / all.len() as f64
        };
        assert!((0.4..0.65).contains(&share(&|record| record.request.client.key.is_none())));
        let devices = share(&|record| record.request.client.device.is_some());
        assert!(devices > 0.0 && devices < 0.03, "{devices}");
        assert!(share(&Record::is_connect) > 0.9);
        // Everybody is there.
        let personas: BTreeSet<Persona> = all.iter().map(|record| record.request.client.persona).collect();
        let lively = usize::from(population == Population::Lively);
        assert_eq!(personas.len(), 9 + 2 * lively, "{personas:?}");
        let app = distinct(
            of(&all, Persona::EmbeddedApp).iter().map(|record| record.request.client.key.unwrap().number),
        );
        assert_eq!(app, 1, "one key in every copy");
    }
}

/// Memory hangs on how much happens at a time, not on how long.
#[test]
fn memory_does_not_grow_with_length() {
    let peak = |minutes: u64| {
        let duration = Duration::from_secs(minutes * 60);
        let settings = Settings { duration, population: Population::Lively, ..named("ordinary") };
        allocation_counter::measure(|| {
            assert!(Traffic::new(settings).count() > 1_000);
        })
        .bytes_max
    };
    // The ring of those who were seen is full after some time: with it, an hour takes as much as three.
    let (hour, three) = (peak(60), peak(180));
    assert!(three < hour * 2 && three < 16 << 20, "{hour} and {three}");
}

#[test]
fn addresses_are_what_the_attacks_say() {
    let plan = Plan::new(6.0);
    let kind = |record: &&Record| plan.network_of(record.client).unwrap().kind();
    let subnets = |bots: &[&Record]| distinct(bots.iter().map(|record| Prefix::subnet(record.client)));
    let proxies = |bots: &[&Record]| distinct(bots.iter().map(|record| Prefix::proxy(record.client)));

    let all = records("naive-burst");
    let bots = attack(&all);
    assert_eq!(bots.len(), 3_000);
    assert!(bots.iter().all(|bot| kind(bot) == NetworkKind::Hosting) && proxies(&bots) > 2_850);

    let all = records("residential-rotation");
    let bots = attack(&all);
    assert!(bots.iter().all(|bot| kind(bot) == NetworkKind::Home) && subnets(&bots) > 1_300);

    let all = records("ipv6-rotation");
    let bots = attack(&all);
    assert!(bots.iter().all(|bot| bot.client.is_ipv6()) && proxies(&bots) == bots.len());

    let all = records("identity-churn");
    assert!(proxies(&attack(&all)) <= 12);

    let all = records("hosting-subnets");
    let bots = attack(&all);
    assert!(proxies(&bots) == bots.len() && subnets(&bots) == 8);

    // Among honest people, behind their addresses.
    for (name, shared, kind_of) in [
        ("shared-cgnat", Persona::Cgnat, NetworkKind::Mobile),
        ("infected-phones", Persona::Cgnat, NetworkKind::Mobile),
        ("platform-abuse", Persona::SharedHosting, NetworkKind::Platform),
    ] {
        let all = records(name);
        let bots = attack(&all);
        assert!(bots.iter().all(|bot| kind(bot) == kind_of), "{name}");
        let honest: BTreeSet<IpAddr> = of(&all, shared).iter().map(|record| record.client).collect();
        let among = bots.iter().filter(|bot| honest.contains(&bot.client)).count();
        assert!(among * 10 > bots.len() * 7, "{name}: {among} of {}", bots.len());
    }
}

#[test]
fn keys_are_what_the_attacks_say() {
    let keys = |bots: &[&Record]| {
        distinct(bots.iter().filter_map(|bot| bot.request.client.key).map(|key| key.number))
    };
    assert_eq!(keys(&attack(&records("free-keys"))), 300);
    assert_eq!(keys(&attack(&records("free-key-farm"))), 500);
    let all = records("stolen-key");
    let (bots, owner) = (attack(&all), of(&all, Persona::KeyOwner));
    let stolen = owner[0].request.client.key.unwrap();
    assert!(keys(&bots) == 1 && bots[0].request.client.key == Some(stolen) && owner.len() > 20);
    assert!(owner.last().unwrap().time_ms > bots[0].time_ms, "the owner goes on");
}

#[test]
fn pools_and_panels_are_one_and_the_same_in_each_room() {
    for (name, rooms, members) in
        [("panel", 40, 60), ("small-panel", 40, 12), ("moving-pool", 4, 225), ("rented-pool", 3, 300)]
    {
        let all = records(name);
        let mut by_room: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for bot in attack(&all) {
            by_room.entry(bot.room).or_default().insert(bot.request.client.viewer);
        }
        assert_eq!(by_room.len(), rooms, "{name}");
        let first = by_room.values().next().unwrap().clone();
        assert!(
            by_room.values().all(|viewers| *viewers == first && viewers.len() > members * 85 / 100),
            "{name}"
        );
    }
    let all = records("harvest");
    let bots = attack(&all);
    assert_eq!(distinct(bots.iter().map(|bot| bot.room)), bots.len(), "each room once");
    let orders = attack(&records("viewer-service")).iter().fold(BTreeMap::new(), |mut orders, bot| {
        *orders.entry(bot.room).or_insert(0) += 1;
        orders
    });
    assert!(orders.len() == 25 && orders.values().all(|viewers| (48..=300).contains(viewers)), "{orders:?}");
}

/// Who was seen elsewhere long enough before, in truth.
#[test]
fn bots_are_as_known_as_they_should_be() {
    let share_known = |name: &str| {
        let all = records(name);
        let seen: BTreeMap<u64, u64> = of(&all, Persona::Preparing)
            .iter()
            .rev()
            .map(|record| (record.request.client.viewer, record.time_ms))
            .collect();
        let bots = attack(&all);
        let known = bots
            .iter()
            .filter(|bot| seen.get(&bot.request.client.viewer).is_some_and(|at| at + 480_000 <= bot.time_ms));
        known.count() as f64 / bots.len() as f64
    };
    assert!(share_known("aged-identities") > 0.98);
    assert!((0.4..0.6).contains(&share_known("mimicked-and-aged")));
    assert!(share_known("mimicked-but-age") == 0.0);
}

#[test]
fn crowds_are_as_large_and_as_known_as_they_should_be() {
    let all = Traffic::new(settings(find("flash-crowd").unwrap(), 30.0)).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    let (mut crowd, mut known) = (0, 0);
    for record in all.iter().filter(|record| record.is_connect()) {
        let viewer = record.request.client.viewer;
        if record.request.client.persona == Persona::Crowd {
            crowd += 1;
            known += i32::from(seen.contains(&viewer));
        }
        seen.insert(viewer);
    }
    assert!((3_700..4_300).contains(&crowd), "{crowd}");
    let share = f64::from(known) / f64::from(crowd);
    assert!((0.33..0.6).contains(&share), "{share}");

    let half = Settings { attack_size: 0.5, ..named("celebrity") };
    let crowd = Traffic::new(half).filter(|record| record.request.client.persona == Persona::Crowd).count();
    assert!((2_300..2_900).contains(&crowd), "{crowd}");
}

#[test]
fn an_outage_fails_everything_for_three_minutes_and_three_in_five_try_again() {
    let settings = named("generator-outage");
    let (from, start) = (settings.event_at(), settings.start_ms);
    let all: Vec<Record> = Traffic::new(settings).collect();
    let (mut first, mut retries) = (0, 0);
    for record in &all {
        let during = (from..from + 180_000).contains(&(record.time_ms - start));
        let failed = record.request.ending == Ending::Failed;
        let spared = record.request.ask == Ask::Limits || record.request.ending == Ending::NotLive;
        assert_eq!(failed, during && !spared);
        first += u32::from(failed && record.request.tries == 0);
        retries += u32::from(record.request.tries == 1);
    }
    let share = f64::from(retries) / f64::from(first);
    assert!((0.52..0.68).contains(&share), "{share} of {first}");
}

#[test]
fn after_an_update_nobody_has_the_old_release() {
    let settings = named("app-update");
    let updated = settings.start_ms + settings.event_at() + 300_000;
    let mut traffic = Traffic::new(settings);
    let all: Vec<Record> = traffic.by_ref().collect();
    let agent = |record: &Record| traffic.tools().get(record.request.client.tool).user_agent.clone();
    let old = |record: &&Record| agent(record) == "TikTokLive.py/7.0.1";
    assert!(all.iter().filter(|record| record.time_ms < updated).any(|record| old(&record)));
    assert_eq!(all.iter().filter(|record| record.time_ms >= updated).filter(old).count(), 0);
    assert!(of(&all, Persona::Reconnect).len() > 100);
}

#[test]
fn countries_have_tools_of_their_own_in_population_2_alone() {
    let favourite_share = |population| {
        let settings = Settings { population, ..settings(find("ordinary").unwrap(), 30.0) };
        let plan = Plan::new(6.0);
        let home = plan.homes(1).iter().map(super::networks::Network::asn).collect::<BTreeSet<_>>();
        let [favourite, _] = Tools::favourites(1);
        let all: Vec<Record> = Traffic::new(settings).collect();
        let people: Vec<&Record> = of(&all, Persona::Audience)
            .into_iter()
            .filter(|record| home.contains(&plan.network_of(record.client).unwrap().asn()))
            .collect();
        let with = people.iter().filter(|record| record.request.client.tool == favourite).count();
        with as f64 / people.len() as f64
    };
    let (independent, lively) =
        (favourite_share(Population::Independent), favourite_share(Population::Lively));
    assert!(lively > independent * 2.0, "{independent} and {lively}");
}
