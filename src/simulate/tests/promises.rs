//! What the line of each scenario promises: how many come, from how many addresses, to how many rooms, how fast.

use std::collections::{BTreeMap, BTreeSet};

use super::super::identity::{Persona, Tier};
use super::super::networks::{Network, Plan};
use super::super::scenarios::find;
use super::super::tools::{PYTHON_OLD, Tools};
use super::super::{Record, Settings, Traffic};
use super::{distinct, named, of, records, settings};

/// At six ordinary requests a second, for half an hour. Seconds: so long after the first nine in ten have come.
const PROMISES: &str = "
    scenario             persona   connects  viewers   addresses rooms   programs seconds  networks
    slow-drip            bot       2400      2400      385-400   1       6        800-950  hosting
    new-room             bot       900       890-900   890-900   1       1        390-475  home
    identity-churn       bot       1850      1850      12        1       1        390-475  hosting
    mimicked-timing      bot       900-1100  890-1100  890-1100  1       1        560-780  home
    mimicked-churn       bot       1000      990-1000  76-80     1       8-14     490-590  home
    mimicked-hosting     bot       1000      990-1000  985-1000  1       8-14     490-590  hosting
    trained-baseline     bot       230-330   230-330   230-330   1       1        800-890  home
    hidden-in-crowd      bot       900-1100  890-1100  890-1100  1       1        280-420  home
    hidden-in-crowd      crowd     3750-4250 3000-4000 2500-4000 1       8-14     300-390  any
    four-in-five-minutes bot       5-13      5-13      5-13      1       4-13     400-1080 home+mobile
    residential-churn    bot       1500      1500      190-200   1       8-14     590-710  home
    adapting-operator    bot       900       800-900   800-900   1       3        740-880  home+mobile+hosting
    replayed-profiles    bot       1000      1000      700-850   1       8-14     490-590  home+mobile
    country-true-drip    bot       60-82     60-82     50-82     1       5-14     700-1080 home+mobile
    flash-crowd          crowd     3750-4250 3000-4000 2500-4000 1       8-14     300-390  any
    skewed-crowd         crowd     3750-4250 3000-4000 2500-4000 1       8-14     300-390  any
    reconnect-storm      reconnect 1000-1250 600-1100  550-1100  90-120  8-14     75-120   any
    outage-moved         reconnect 1000-1250 600-1100  750-1100  130-220 8-16     75-120   any
    tv-game              crowd     2800-3200 2790-3200 2000-2800 1       1        300-390  home+mobile
    tournament           crowd     5600-6400 2250-2550 1700-2200 40      8-16     460-640  any
";

/// A number, or the least and the most.
fn is_within(count: usize, range: &str) -> bool {
    let (least, most) = range.split_once('-').unwrap_or((range, range));
    (least.parse().unwrap()..=most.parse().unwrap()).contains(&count)
}

#[test]
fn scenarios_are_what_their_lines_say() {
    let plan = Plan::new(6.0);
    let mut rows = PROMISES.trim().lines();
    let columns: Vec<&str> = rows.next().unwrap().split_whitespace().collect();
    let mut wrong = Vec::new();
    for row in rows {
        let row: Vec<&str> = row.split_whitespace().collect();
        let ([scenario, persona], ranges, networks) = ([row[0], row[1]], &row[2..8], row[8]);
        let all = records(scenario);
        let own: Vec<&Record> =
            all.iter().filter(|record| record.persona() == persona && record.is_connect()).collect();
        let clients = || own.iter().map(|record| &record.request.client);
        let most = own[own.len() * 9 / 10].time_ms - own[0].time_ms;
        let counts = [
            own.len(),
            distinct(clients().map(|client| client.viewer)),
            distinct(clients().map(|client| client.address)),
            distinct(own.iter().map(|record| record.room)),
            distinct(clients().map(|client| client.tool)),
            most as usize / 1_000,
        ];
        for ((count, range), what) in counts.into_iter().zip(ranges).zip(&columns[2..]) {
            if !is_within(count, range) {
                wrong.push(format!("{scenario}: {count} {what}, not {range}"));
            }
        }
        let kinds = clients().map(|client| plan.network_of(client.address).unwrap().kind());
        let kinds: BTreeSet<String> = kinds.map(|kind| format!("{kind:?}").to_lowercase()).collect();
        if networks != "any" && kinds != networks.split('+').map(str::to_owned).collect() {
            wrong.push(format!("{scenario}: from {kinds:?}, not {networks}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rooms_of_their_own_have_nobody_else() {
    for (name, who) in [("new-room", Persona::Bot), ("tv-game", Persona::Crowd)] {
        let all = records(name);
        let room = of(&all, who)[0].room;
        let others = all.iter().filter(|record| record.room == room && record.request.client.persona != who);
        assert_eq!(others.count(), 0, "{name}");
    }
}

/// What a baseline is trained with comes as slowly as people do.
#[test]
fn a_baseline_is_trained_in_the_room_that_is_attacked() {
    let all = records("trained-baseline");
    let (bots, before) = (of(&all, Persona::Bot), of(&all, Persona::Preparing));
    assert!(before.iter().all(|record| record.room == bots[0].room));
    assert!(before[before.len() / 2].time_ms < bots[0].time_ms);
    let minutes = named("trained-baseline").event_at() as f64 / 60_000.0;
    let pace = before.len() as f64 / minutes;
    assert!((0.8..=1.2).contains(&pace), "{pace} a minute");
}

#[test]
fn a_skewed_crowd_has_one_app_and_three_providers() {
    let plan = Plan::new(6.0);
    let providers: BTreeSet<u32> = plan.homes(1)[..3].iter().map(Network::asn).collect();
    let shares = |name: &str| {
        let all = records(name);
        let crowd = of(&all, Persona::Crowd);
        let share = |is: &dyn Fn(&Record) -> bool| {
            crowd.iter().filter(|record| is(record)).count() as f64 / crowd.len() as f64
        };
        let of_app = share(&|record| record.request.client.tool == PYTHON_OLD);
        (of_app, share(&|record| providers.contains(&plan.network_of(record.client).unwrap().asn())))
    };
    let (plain, skewed) = (shares("flash-crowd"), shares("skewed-crowd"));
    assert!(skewed.0 > plain.0 + 0.15 && skewed.1 > plain.1 + 0.15, "{plain:?} and {skewed:?}");
}

#[test]
fn whoever_moved_has_another_address_of_the_same_provider() {
    let plan = Plan::new(6.0);
    let moved = |name: &str| {
        let all = records(name);
        let mut before = BTreeMap::new();
        let (mut moved, mut all_of_them) = (0, 0);
        for record in &all {
            let client = &record.request.client;
            if client.persona != Persona::Reconnect {
                before.insert(client.viewer, client.address);
                continue;
            }
            let old = before[&client.viewer];
            let provider = |address| plan.network_of(address).unwrap().asn();
            assert_eq!(provider(old), provider(client.address));
            moved += u32::from(old != client.address);
            all_of_them += 1;
        }
        f64::from(moved) / f64::from(all_of_them)
    };
    let share = moved("outage-moved");
    assert!((0.38..0.6).contains(&share), "{share}");
    assert!(moved("reconnect-storm") < 0.01);
}

#[test]
fn people_of_a_tournament_look_into_several_rooms() {
    for rate in [6.0, 30.0] {
        let traffic = Traffic::new(settings(find("tournament").unwrap(), rate));
        let mut rooms: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for record in traffic.filter(|record| record.request.client.persona == Persona::Crowd) {
            rooms.entry(record.request.client.viewer).or_default().insert(record.room);
        }
        assert!((2_250..=2_550).contains(&rooms.len()), "{} at {rate}", rooms.len());
        let each = rooms.values().map(BTreeSet::len).sum::<usize>() as f64 / rooms.len() as f64;
        assert!((2.2..2.7).contains(&each), "{each} at {rate}");
        let several = rooms.values().filter(|rooms| rooms.len() > 1).count();
        assert!(several * 2 > rooms.len(), "{several} of {} at {rate}", rooms.len());
    }
}

#[test]
fn a_new_app_is_one_in_eight_with_one_paid_key() {
    let settings = named("app-launch");
    let launch = settings.start_ms + settings.event_at();
    let mut traffic = Traffic::new(settings);
    let all: Vec<Record> = traffic.by_ref().filter(Record::is_connect).collect();
    let is_app = |record: &&Record, tools: &Tools| {
        tools.get(record.request.client.tool).user_agent == "StreamPal/1.0.0"
    };
    let copies: Vec<&Record> = all.iter().filter(|record| is_app(record, traffic.tools())).collect();
    assert!(copies.iter().all(|copy| copy.time_ms >= launch));
    let since = all.iter().filter(|record| record.time_ms >= launch).count();
    let share = copies.len() as f64 / since as f64;
    assert!((0.10..0.16).contains(&share), "{share}");
    let keys = copies.iter().map(|copy| copy.request.client.key.unwrap());
    assert!(keys.clone().all(|key| key.tier == Tier::Business) && distinct(keys.map(|key| key.number)) == 1);
    let (addresses, rooms) =
        (distinct(copies.iter().map(|copy| copy.client)), distinct(copies.iter().map(|copy| copy.room)));
    assert!(addresses > 400 && rooms > 100, "{addresses} and {rooms}");
}

#[test]
fn bots_of_the_room_s_country_are_of_it() {
    let plan = Plan::new(6.0);
    for (name, at_least) in [("replayed-profiles", 0.99), ("country-true-drip", 0.75)] {
        let all = records(name);
        let bots = of(&all, Persona::Bot);
        let at_home = (0..12).map(|country| {
            let networks = plan.homes(country).iter().chain(plan.mobiles(country));
            let asns: BTreeSet<u32> = networks.map(Network::asn).collect();
            bots.iter().filter(|bot| asns.contains(&plan.network_of(bot.client).unwrap().asn())).count()
        });
        let share = at_home.max().unwrap() as f64 / bots.len() as f64;
        assert!(share >= at_least, "{name}: {share}");
        if name == "replayed-profiles" {
            assert!(bots.iter().all(|bot| bot.request.client.key.is_none()), "keys cannot be replayed");
        }
    }
}

#[test]
fn without_device_ids_there_are_none() {
    let devices = |settings: Settings| {
        Traffic::new(settings).filter(|record| record.request.client.device.is_some()).count()
    };
    assert_eq!(devices(named("generator-outage")), 0);
    assert!(devices(named("reconnect-storm")) > 0);
}
