//! What each kind of ordinary person and program does, an evening long, in population 2.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::super::identity::{Persona, Tier};
use super::super::networks::{Kind as NetworkKind, Network, Plan};
use super::super::record::{Ask, Ending};
use super::super::scenarios::find;
use super::super::tools::Tools;
use super::super::{Population, Record, Settings, Traffic};
use super::{distinct, of};

const MINUTES: u64 = 12;

/// Everyday life, twelve minutes of it.
struct Evening {
    plan: Plan,
    tools: Tools,
    all: Vec<Record>,
    /// Of each whether its room was live at that moment.
    live: Vec<bool>,
    /// The rooms that somebody asked for and that are over at the end.
    over: BTreeSet<u64>,
    ends_ms: u64,
}

impl Evening {
    fn new(population: Population) -> Self {
        let rate = 10.0;
        let duration = Duration::from_secs(MINUTES * 60);
        let settings = Settings { population, rate, duration, ..Settings::new(find("ordinary").unwrap(), 7) };
        let ends_ms = settings.start_ms + settings.end();
        let mut traffic = Traffic::new(settings);
        let (mut all, mut live) = (Vec::new(), Vec::new());
        while let Some(record) = traffic.next() {
            live.push(traffic.is_live(record.request.room));
            all.push(record);
        }
        let was_live =
            all.iter().zip(&live).filter(|(_, live)| **live).map(|(record, _)| record.request.room);
        let over = was_live.filter(|room| !traffic.is_live(*room)).map(|room| room.id).collect();
        Self { plan: Plan::new(rate), tools: traffic.tools().clone(), all, live, over, ends_ms }
    }

    fn lively() -> Self {
        Self::new(Population::Lively)
    }

    fn of(&self, persona: Persona) -> Vec<&Record> {
        of(&self.all, persona)
    }

    fn network(&self, address: IpAddr) -> &Network {
        self.plan.network_of(address).unwrap()
    }

    /// What a program calls itself, or called itself before a release that rolls out meanwhile.
    fn program(&self, record: &Record) -> String {
        let agent = &self.tools.get(record.request.client.tool).user_agent;
        agent.replace("connector/2.5.1", "connector/2.5.0").replace("py/7.0.2", "py/7.0.1")
    }

    /// The country of a home or a telephone.
    fn country(&self, address: IpAddr) -> Option<u8> {
        let asn = self.network(address).asn();
        let has = |network: &Network| network.asn() == asn;
        (0..12).find(|country| {
            self.plan.homes(*country).iter().any(has) || self.plan.mobiles(*country).iter().any(has)
        })
    }
}

/// Those who watch, each by themselves.
const fn watches(record: &Record) -> bool {
    matches!(record.request.client.persona, Persona::Audience | Persona::Cgnat)
}

fn grouped<'r, K: Ord>(
    records: impl IntoIterator<Item = &'r Record>,
    by: impl Fn(&Record) -> K,
) -> BTreeMap<K, Vec<&'r Record>> {
    let mut groups: BTreeMap<K, Vec<&Record>> = BTreeMap::new();
    for record in records {
        groups.entry(by(record)).or_default().push(record);
    }
    groups
}

fn viewer(record: &Record) -> u64 {
    record.request.client.viewer
}

fn addresses(records: &[&Record]) -> usize {
    distinct(records.iter().map(|record| record.client))
}

fn rooms(records: &[&Record]) -> usize {
    distinct(records.iter().map(|record| record.room))
}

fn keys(records: &[&Record]) -> usize {
    distinct(records.iter().map(|record| record.request.client.key.map(|key| key.number)))
}

#[test]
fn creators_run_one_to_five_tools_at_one_address() {
    let evening = Evening::lively();
    let creators = grouped(evening.of(Persona::Creator), |record| record.room);
    let mut with_several = 0;
    for tools in creators.values() {
        assert_eq!(addresses(tools), 1, "a room has one creator");
        let tools = distinct(tools.iter().map(|record| {
            let key = record.request.client.key;
            (evening.program(record), key.map(|key| key.number))
        }));
        assert!((1..=5).contains(&tools), "{tools}");
        with_several += usize::from(tools > 1);
    }
    assert!(creators.len() > 80 && with_several * 4 > creators.len(), "{with_several} of {}", creators.len());
}

#[test]
fn pollers_ask_at_their_interval() {
    const INTERVALS: [u64; 4] = [30_000, 60_000, 120_000, 300_000];
    let evening = Evening::lively();
    // What is sent in between is no turn.
    let turns = evening.of(Persona::Poller).into_iter().filter(|record| record.request.ask != Ask::Chat);
    let mut compared = 0;
    for (viewer, asks) in grouped(turns, viewer) {
        assert_eq!(addresses(&asks), 1);
        // The first of what belongs to one turn: some ask for something else before they connect.
        let mut turns: Vec<u64> = Vec::new();
        for ask in asks {
            if turns.last().is_none_or(|last| ask.time_ms > last + 5_000) {
                turns.push(ask.time_ms);
            }
        }
        let [first, second, ..] = turns[..] else { continue };
        let near = |interval: &&u64| interval.abs_diff(second - first) <= 120;
        let interval = INTERVALS.iter().find(near).unwrap_or_else(|| panic!("{viewer}: {}", second - first));
        for pair in turns.windows(2) {
            assert!(interval.abs_diff(pair[1] - pair[0]) <= 120, "{viewer}: {pair:?} of {interval}");
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn hobby_apps_have_one_free_key_in_every_copy() {
    let evening = Evening::lively();
    let apps = grouped(evening.of(Persona::HobbyApp), |record| record.request.client.key.unwrap().number);
    assert_eq!(apps.len(), 7);
    for copies in apps.values() {
        assert!(copies.iter().all(|copy| copy.request.client.key.unwrap().tier == Tier::Community));
        assert_eq!(distinct(copies.iter().map(|copy| evening.program(copy))), 1);
        assert!(addresses(copies) > 3, "{}", addresses(copies));
    }
    let large = apps.values().filter(|copies| addresses(copies) > 20).count();
    assert!(large >= 2, "{:?}", apps.values().map(|copies| addresses(copies)).collect::<Vec<_>>());
}

#[test]
fn an_embedded_app_has_one_paid_key_at_many_addresses() {
    let evening = Evening::lively();
    let copies = evening.of(Persona::EmbeddedApp);
    assert!(copies.iter().all(|copy| copy.request.client.key.unwrap().tier == Tier::Enterprise));
    assert!(keys(&copies) == 1 && addresses(&copies) > 100, "{}", addresses(&copies));
}

#[test]
fn programs_on_platforms_share_few_addresses() {
    let evening = Evening::lively();
    let programs = evening.of(Persona::SharedHosting);
    assert!(programs.iter().all(|program| evening.network(program.client).kind() == NetworkKind::Platform));
    let viewers = distinct(programs.iter().map(|program| viewer(program)));
    assert!(addresses(&programs) <= 24 && viewers > 150, "{viewers}");
}

#[test]
fn broken_clients_repeat_themselves_in_one_room() {
    let evening = Evening::lively();
    let connects = evening.of(Persona::Loop).into_iter().filter(|record| record.is_connect());
    let mut whole = 0;
    for tries in grouped(connects, |record| (viewer(record), record.room)).into_values() {
        for pair in tries.windows(2) {
            let apart = pair[1].time_ms - pair[0].time_ms;
            assert!((1_500..6_300).contains(&apart), "{apart}");
        }
        // The others were cut short.
        if tries[0].time_ms + 120_000 < evening.ends_ms {
            assert!(tries.len() > 10, "{}", tries.len());
            whole += 1;
        }
    }
    assert!(whole > 0);
}

#[test]
fn firms_have_few_machines_and_one_key_each_and_go_everywhere() {
    let evening = Evening::lively();
    let firms = evening.of(Persona::Analytics);
    // Four each, and hardly two at one address.
    assert!(keys(&firms) == 5 && (17..=20).contains(&addresses(&firms)), "{}", addresses(&firms));
    assert!(firms.iter().all(|machine| evening.network(machine.client).kind() == NetworkKind::Hosting));
    for firm in grouped(firms, |record| record.request.client.key.unwrap().number).into_values() {
        assert!(rooms(&firm) > 30, "{}", rooms(&firm));
    }
    let agencies = grouped(evening.of(Persona::Agency), viewer);
    assert!(agencies.len() > 2);
    for office in agencies.into_values() {
        assert_eq!((addresses(&office), keys(&office)), (1, 1));
        assert!(rooms(&office) > 3, "{}", rooms(&office));
    }
}

#[test]
fn raids_move_a_crowd_into_one_room_within_a_minute() {
    let evening = Evening::lively();
    let connects = evening.of(Persona::Raid).into_iter().filter(|record| record.is_connect());
    let (mut raids, mut movers, mut late) = (0, 0, 0);
    for moves in grouped(connects, |record| record.room).into_values() {
        let first = moves[0].time_ms;
        if first + 120_000 > evening.ends_ms {
            continue;
        }
        raids += 1;
        // Of six at least.
        assert!(moves.len() >= 6, "{}", moves.len());
        movers += moves.len();
        late += moves.iter().filter(|mover| mover.time_ms > first + 60_000).count();
    }
    assert!(raids > 0 && late * 5 < movers, "{late} of {movers} in {raids} raids");
}

#[test]
fn streams_are_asked_for_before_they_begin_and_nobody_joins_one_that_is_over() {
    let evening = Evening::lively();
    let rooms = grouped(&evening.all, |record| record.room);
    let mut early = 0;
    for asks in rooms.values() {
        let first = asks.iter().find(|record| record.is_connect()).map(|record| record.time_ms);
        for blamed in asks.iter().filter(|record| record.request.ending == Ending::NotLive) {
            assert!(watches(blamed) && blamed.request.ask == Ask::RoomId);
            assert!(first.is_none_or(|first| blamed.time_ms < first), "asked for when it was on");
            early += 1;
        }
    }
    assert!(early > 30, "{early}");

    assert!(evening.over.len() > 10, "{}", evening.over.len());
    let mut last = BTreeMap::new();
    for (record, is_live) in evening.all.iter().zip(&evening.live) {
        let before = last.insert((viewer(record), record.room), record.time_ms);
        // Whoever asks for something else first has come already.
        let joins = record.is_connect() && before.is_none_or(|before| before + 1_000 < record.time_ms);
        assert!(!(joins && watches(record)) || *is_live, "joined {} when it was over", record.room);
    }
}

#[test]
fn audiences_are_of_one_country_in_population_2_alone() {
    let at_home = |population| {
        let evening = Evening::new(population);
        let mut of = (0, 0);
        let people = evening.all.iter().filter(|record| watches(record) && record.is_connect());
        for audience in grouped(people, |record| record.room).into_values() {
            let mut countries: BTreeMap<_, usize> = BTreeMap::new();
            for person in &audience {
                *countries.entry(evening.country(person.client).unwrap()).or_default() += 1;
            }
            // Of fewer the largest country tells nothing.
            if audience.len() >= 20 {
                of.0 += countries.values().max().unwrap();
                of.1 += audience.len();
            }
        }
        assert!(of.1 > 500, "{of:?}");
        of.0 as f64 / of.1 as f64
    };
    let lively = at_home(Population::Lively);
    assert!(lively > 0.8 && lively < 0.99, "{lively}");
    let independent = at_home(Population::Independent);
    assert!(independent < 0.5, "{independent}");
}

/// Nobody had it at first, a third has it after an hour.
#[test]
fn a_release_rolls_out() {
    let hour = Duration::from_secs(3_600);
    let lively = Settings { population: Population::Lively, ..Settings::new(find("ordinary").unwrap(), 7) };
    let settings = Settings { rate: 6.0, duration: hour, ..lively };
    let start = settings.start_ms;
    let mut traffic = Traffic::new(settings);
    let people: Vec<Record> = traffic.by_ref().filter(watches).collect();
    let share = |minutes: std::ops::Range<u64>| {
        let (mut new, mut all) = (0, 0);
        let during = |record: &&Record| minutes.contains(&((record.time_ms - start) / 60_000));
        for person in people.iter().filter(during) {
            let agent = &traffic.tools().get(person.request.client.tool).user_agent;
            let is_new = agent == "tiktok-live-connector/2.5.1 linux";
            new += u32::from(is_new);
            all += u32::from(is_new || agent == "tiktok-live-connector/2.5.0 linux");
        }
        assert!(all > 100, "{all}");
        f64::from(new) / f64::from(all)
    };
    let (first, middle, last) = (share(0..15), share(20..40), share(45..60));
    assert!(first < 0.2 && first < middle && middle < last, "{first}, {middle}, {last}");
    assert!((0.18..0.5).contains(&last), "{last}");
}
