//! What detection promises, on small worlds whose truth is known.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::decision::{Decision, Reason, Refusal, Verdict};
use super::super::facts::{Credential, Facts, TargetClaim};
use super::super::foresight::Foresight;
use super::super::{Ending, Engine};
use super::Rung;
use super::evidence::Kind;
use crate::base::library::Library;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::time::Timestamp;
use crate::policy::viewbot::ViewbotMode;
use crate::policy::{PolicySet, Sources, compile};

mod alike;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The attacked room.
const ROOM: Room = Room::Id(7_000_000_000_000_000_001);

const AGENTS: [&str; 5] = [
    "TikTokLive.py/7.0.1",
    "tiktok-live-connector/2.5.0 linux",
    "TikTokLive.py/6.6.5",
    "Java",
    "go-overlay/1",
];

fn policy(mode: &str, more: &str) -> PolicySet {
    policy_with("8m", mode, more)
}

fn policy_with(known_age: &str, mode: &str, more: &str) -> PolicySet {
    let mut sources = Sources::new("");
    let text = format!(
        "format = 1\n[tier.anonymous]\nclass = \"none\"\n[tier.free]\nclass = \"free\"\n[tier.paid]\nclass = \"paid\"\n\
         [networks]\ntable = \"n.csv\"\n[viewbot]\nmode = \"{mode}\"\nknown-age = \"{known_age}\"\n{more}"
    );
    sources.insert("p.toml", text.as_str());
    sources
        .insert("n.csv", "198.18.0.0/15,64500,hosting\n10.0.0.0/8,64501,isp\n100.64.0.0/10,64502,mobile\n192.0.0.0/16,64503,isp\n");
    compile(&sources, START).unwrap_or_else(|wrong| panic!("{wrong:?}")).set
}

/// An engine, a policy and a clock.
struct World {
    engine: Engine,
    policy: PolicySet,
    now: Timestamp,
}

#[derive(Clone, Copy)]
struct Asks<'a> {
    room: Room,
    from: IpAddr,
    agent: &'a str,
    key: Option<(&'a str, &'a str)>,
    device: Option<&'a str>,
}

fn asks(room: Room, from: u32, agent: &str) -> Asks<'_> {
    Asks { room, from: Ipv4Addr::from_bits(from).into(), agent, key: None, device: None }
}

impl World {
    fn new(mode: &str) -> Self {
        Self::with(mode, "", 1)
    }

    fn with(mode: &str, more: &str, seed: u64) -> Self {
        Self { engine: Engine::new(10_000, seed), policy: policy(mode, more), now: START }
    }

    /// A gateway that has seen an ordinary hour: 4,000 people in 400 rooms, ten minutes apart in two of them.
    fn warm(mode: &str) -> Self {
        let mut world = Self::new(mode);
        world.warm_up();
        world
    }

    fn warm_up(&mut self) {
        for round in 0..2u64 {
            for person in 0..4_000u32 {
                let room = Room::Id(1_000 + u64::from(person) % 400 + round);
                let agent = AGENTS[person as usize % 9 % 5];
                let decision = self.ask(asks(room, honest(person), agent));
                assert_eq!(decision.verdict(), Verdict::Allow, "{person} {:?}", decision.refusal);
                self.wait(400);
            }
        }
        assert!(!self.engine.viewbot().is_cold(self.now));
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn facts<'a>(asked: &Asks<'a>) -> Facts<'a> {
        Facts {
            resolved: None,
            operation: Operation::Connect,
            client: asked.from,
            credential: match asked.key {
                Some((id, tier)) => Credential::Recorded { id, account: "a", tier, subjects: None },
                None => Credential::Absent,
            },
            room: Some(asked.room),
            target: TargetClaim::None,
            session: None,
            user_agent: asked.agent,
            library: Library::UNKNOWN,
            device: asked.device,
            asn: match asked.from {
                IpAddr::V4(v4) if v4.octets()[0] == 198 => Some(64_500),
                IpAddr::V4(v4) if v4.octets()[0] == 10 => Some(64_501),
                IpAddr::V4(v4) if v4.octets()[0] == 192 => Some(64_503),
                _ => None,
            },
        }
    }

    fn ask_ending(&mut self, asked: Asks<'_>, ending: Ending) -> Decision {
        let facts = Self::facts(&asked);
        let assessment = self.engine.assess(&self.policy, &facts, self.now);
        let (decision, receipt) = self.engine.decide(&self.policy, assessment, self.now);
        if let Some(receipt) = receipt {
            self.engine.observe(&self.policy, &receipt, ending, self.now);
        }
        decision
    }

    fn ask(&mut self, asked: Asks<'_>) -> Decision {
        self.ask_ending(asked, Ending::Good(None))
    }

    /// So many bots of one program, each from a rented machine of its own, one every 100 ms. How many got in.
    fn attack(&mut self, count: u32) -> u32 {
        self.attack_with(0..count)
    }

    fn attack_with(&mut self, bots: std::ops::Range<u32>) -> u32 {
        let mut admitted = 0;
        for bot in bots {
            let decision = self.ask(asks(ROOM, bot_at(bot), "curl/8.0"));
            admitted += u32::from(decision.verdict() == Verdict::Allow);
            self.wait(100);
        }
        admitted
    }

    fn sum(&self) -> f64 {
        let rooms = self.engine.viewbot().alarmed_rooms(self.policy.viewbot(), self.now);
        rooms.iter().find(|room| room.room == ROOM).map_or(0.0, |room| room.sum)
    }
}

/// Spread over subnets.
fn honest(person: u32) -> u32 {
    0x0a00_0000 | person.wrapping_mul(2_654_435_761) >> 8
}

/// Three to a /24, two /24s of each /16.
fn bot_at(bot: u32) -> u32 {
    0xc612_0000 + (bot % 40) * 256 + bot / 40 + 1
}

fn rung(decision: &Decision) -> Option<Rung> {
    match decision.refusal.as_ref()?.first() {
        Reason::Viewbot(against) => Some(against.rung),
        Reason::Banned(_) => Some(Rung::Banned),
        _ => None,
    }
}

#[test]
fn a_naive_burst_is_stopped_and_its_proxies_are_denied() {
    let mut world = World::warm("enforce");
    let admitted = world.attack(600);
    assert!(admitted <= 16, "{admitted} got in");
    let bans = world.engine.viewbot().bans().list(world.now);
    assert!(bans.len() > 100, "{}", bans.len());
    assert!(bans.iter().all(|ban| ban.room == ROOM && ban.evidence.score() >= 3.2));
    // Its proxies are denied elsewhere as well, with identities that nobody saw before.
    let address = bans.iter().find_map(|ban| match ban.target {
        super::bans::Target::Address(address) => Some(address.number() as u32),
        _ => None,
    });
    let decision = world.ask(asks(Room::Id(55), address.unwrap(), "somebody new"));
    assert_eq!(rung(&decision), Some(Rung::Banned));
}

#[test]
fn a_flash_crowd_is_left_alone_however_large_it_is() {
    let mut world = World::warm("enforce");
    for person in 0..3_000u32 {
        // Four in ten were here before; the rest is as ordinary, and new.
        let who = if person % 10 < 4 { person } else { 100_000 + person };
        let decision = world.ask(asks(ROOM, honest(who), AGENTS[who as usize % 9 % 5]));
        assert_eq!(decision.verdict(), Verdict::Allow, "{person}: {:?}", decision.refusal);
        world.wait(50);
    }
    assert!(world.sum() > 10.0, "it is noticed");
    assert_eq!(world.engine.viewbot().bans().len(), 0);
}

#[test]
fn a_cold_gateway_throttles_at_most() {
    let mut world = World::new("enforce");
    for bot in 0..500 {
        let decision = world.ask(asks(ROOM, bot_at(bot), "curl/8.0"));
        assert_ne!(decision.verdict(), Verdict::Deny, "{:?}", decision.refusal);
        world.wait(100);
    }
    assert!(world.engine.viewbot().is_cold(world.now));
    assert_eq!(world.engine.viewbot().bans().len(), 0);
}

#[test]
fn shadow_decides_and_does_not_act_and_a_change_of_mode_makes_nothing_real() {
    let mut world = World::warm("shadow");
    let mut would = 0;
    for bot in 0..300 {
        let decision = world.ask(asks(ROOM, bot_at(bot), "curl/8.0"));
        assert_eq!(decision.verdict(), Verdict::Allow);
        would += u32::from(decision.shadow_verdict() == Verdict::Deny);
        world.wait(100);
    }
    assert!(would > 250, "{would}");
    let viewbot = world.engine.viewbot();
    assert_eq!(viewbot.bans().len(), 0);
    assert!(viewbot.shadow_bans().len() > 100);
    assert!(
        viewbot.counts().of_rung(ViewbotMode::Shadow, Rung::Banned) > 0
            || viewbot.counts().of_rung(ViewbotMode::Shadow, Rung::Convicted) > 0
    );
    assert!(viewbot.counts().of_evidence(ViewbotMode::Shadow, Kind::Network) > 100);

    // In earnest from now on, in a room that is calm: whoever was convicted in shadow gets in.
    world.policy = policy("enforce", "");
    let other = asks(Room::Id(77), bot_at(250), "curl/8.0");
    assert_eq!(world.ask(other).verdict(), Verdict::Allow);
    // Promoted by hand, it is denied.
    let ban = world.engine.viewbot().shadow_bans().list(world.now);
    let whole =
        ban.iter().find(|ban| ban.target.word() == "address").expect("some address was banned as a whole");
    let super::bans::Target::Address(address) = whole.target else { unreachable!() };
    world.engine.viewbot().promote(whole.id, world.now).unwrap();
    let from: u32 = address.number() as u32;
    world.wait(1_000);
    let decision = world.ask(asks(Room::Id(78), from, "somebody new"));
    assert_eq!(rung(&decision), Some(Rung::Banned));
}

#[test]
fn throttle_denies_nobody() {
    let mut world = World::warm("throttle");
    let mut waited = 0;
    for bot in 0..300 {
        let decision = world.ask(asks(ROOM, bot_at(bot), "curl/8.0"));
        assert_ne!(decision.verdict(), Verdict::Deny);
        waited +=
            u32::from(decision.verdict() == Verdict::Throttle && decision.shadow_verdict() == Verdict::Deny);
        world.wait(100);
    }
    assert!(waited > 250, "{waited}");
    assert_eq!(world.engine.viewbot().bans().len(), 0);
}

#[test]
fn what_is_refused_for_anything_else_or_gets_no_good_answer_counts_nothing() {
    let quota = "[[quota]]\nname = \"q\"\nscope = \"room\"\nlimits = { hour = 3 }\n";
    let mut world = World::with("enforce", quota, 1);
    for bot in 0..200 {
        world.ask(asks(ROOM, bot_at(bot), "curl/8.0"));
        world.wait(10);
    }
    assert_eq!(world.sum().to_bits(), 0.0f64.to_bits(), "three viewers alarm nobody");

    let mut world = World::warm("enforce");
    for bot in 0..400 {
        let ending = if bot % 2 == 0 { Ending::Refunded } else { Ending::Charged };
        let decision = world.ask_ending(asks(ROOM, bot_at(bot), "curl/8.0"), ending);
        assert_eq!(decision.verdict(), Verdict::Allow, "{bot}");
        world.wait(10);
    }
    assert_eq!(world.attack(10), 10, "nothing is left of what was taken back");
}

#[test]
fn a_request_that_is_stopped_costs_no_quota() {
    let quota = "[[quota]]\nname = \"q\"\nscope = \"total\"\nlimits = { day = 1000000 }\n\
                 [[rate]]\nname = \"r\"\nscope = \"total\"\nrate = \"1000/s\"\nburst = 100000\n\
                 [[distinct]]\nname = \"d\"\ncount = \"room\"\nscope = \"proxy\"\nlimits = { day = 100 }\n";
    let mut world = World::with("enforce", quota, 1);
    world.warm_up();
    let left = |world: &World| {
        let facts = World::facts(&asks(ROOM, bot_at(1), "curl/8.0"));
        world.engine.standings(&world.policy, &facts, world.now)[0].remaining
    };
    let before = left(&world);
    let admitted = world.attack(300);
    assert_eq!(left(&world), before - admitted);
}

#[test]
fn one_client_in_a_loop_is_throttled_and_never_convicted() {
    let mut world = World::warm("enforce");
    let mut throttled = 0;
    for _ in 0..600 {
        let decision = world.ask(asks(ROOM, honest(9), AGENTS[0]));
        assert_ne!(decision.verdict(), Verdict::Deny);
        throttled += u32::from(rung(&decision) == Some(Rung::Repeats));
        world.wait(1_000);
    }
    assert!(throttled > 500, "{throttled}");
    assert_eq!(world.sum().to_bits(), 0.0f64.to_bits());
}

#[test]
fn a_pardon_drops_the_excess_and_everything_derived_from_it() {
    let mut world = World::warm("enforce");
    world.attack(300);
    assert!(!world.engine.viewbot().bans().is_empty());
    world.engine.viewbot().pardon(ROOM, Duration::from_secs(3_600), world.now);
    assert_eq!(world.engine.viewbot().bans().len(), 0);
    assert_eq!(world.attack(300), 300);
    world.wait(3_600_000);
    assert!(world.attack_with(300..600) < 30, "a pardon ends");
}

#[test]
fn what_an_operator_pardons_is_not_what_is_ordinary() {
    let mut world = World::warm("enforce");
    world.attack(300);
    world.engine.viewbot().pardon(ROOM, Duration::from_secs(3_600), world.now);
    assert_eq!(world.attack(2_000), 2_000);
    let elsewhere = (2_000..2_300u32)
        .filter(|bot| {
            let asked = asks(Room::Id(7_000_000_000_000_000_002), bot_at(*bot), "curl/8.0");
            let verdict = world.ask(asked).verdict();
            world.wait(100);
            verdict == Verdict::Allow
        })
        .count();
    assert!(elsewhere < 30, "{elsewhere} of the pardoned program got into another room");
}

#[test]
fn what_was_carried_from_a_room_is_forgotten_with_its_pardon() {
    let carried_elsewhere = |is_pardoned: bool| {
        // Who is convicted does not get as far; and of the same moves, which are the stronger evidence, and what is carried only
        // one counts.
        let more = "[viewbot.ladder]\ndeny-bits = 20\n[viewbot.evidence]\npool-chain = [0, 0]\n";
        let mut world = World::with("throttle", more, 1);
        world.warm_up();
        world.attack(300);
        if is_pardoned {
            world.engine.viewbot().pardon(ROOM, Duration::from_secs(3_600), world.now);
        }
        let carried =
            |world: &World| world.engine.viewbot().counts().of_evidence(ViewbotMode::Throttle, Kind::Carried);
        let before = carried(&world);
        for bot in 0..300 {
            world.ask(asks(Room::Id(7_000_000_000_000_000_002), bot_at(bot), "curl/8.0"));
            world.wait(100);
        }
        carried(&world) - before
    };
    assert!(carried_elsewhere(false) > 100, "{}", carried_elsewhere(false));
    assert_eq!(carried_elsewhere(true), 0);
}

/// A gateway with a dozen rooms, all of them busy: none is ever calm by the floor, and each is by its own baseline.
#[test]
fn few_busy_rooms_are_no_attack() {
    let mut world = World::new("enforce");
    let mut refused = 0;
    for person in 0..9_000u32 {
        let room = Room::Id(500 + u64::from(person) % 12);
        let decision = world.ask(asks(room, honest(person), AGENTS[person as usize % 9 % 5]));
        refused += u32::from(decision.verdict() != Verdict::Allow);
        world.wait(200);
    }
    assert_eq!(refused, 0);
    assert!(!world.engine.viewbot().is_cold(world.now), "they taught what is ordinary");
}

/// Everybody's program is replaced within minutes: what comes to all rooms at once is no room's excess.
#[test]
fn a_release_that_is_rolled_out_is_no_attack() {
    let mut world = World::warm("enforce");
    let (mut refused, mut asked) = (0, 0);
    for minute in 0..8u32 {
        for step in 0..400u32 {
            let person = (minute * 400 + step) * 7 % 4_000;
            let agent = AGENTS[person as usize % 9 % 5];
            let is_new = agent == AGENTS[0] && step % 8 <= minute;
            let agent = if is_new { "TikTokLive.py/7.0.2" } else { agent };
            // A third of them are in one room.
            let room = if step % 3 == 0 { ROOM } else { Room::Id(1_000 + u64::from(person) % 400) };
            let decision = world.ask(asks(room, honest(person), agent));
            asked += u32::from(is_new);
            refused += u32::from(decision.verdict() == Verdict::Deny);
            world.wait(150);
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(refused, 0, "of {asked}");
}

/// A few viewers at one home are a family. At each of sixty homes they are none.
#[test]
fn homes_are_held_against_all_homes_together() {
    // Without the budget for strangers, which would stop them first where everybody else is known.
    let mut world = World::with("enforce", "[viewbot.strangers]\nbudget = \"6000/min\"\nburst = 1000\n", 1);
    world.warm_up();
    let mut admitted = [0u32; 2];
    for bot in 0..300u32 {
        let (home, agent) = (bot % 60, AGENTS[(bot % 60 + bot / 60) as usize % 5]);
        let decision = world.ask(asks(ROOM, honest(1_000_000 + home), agent));
        admitted[usize::from(bot >= 60)] += u32::from(decision.verdict() == Verdict::Allow);
        world.wait(500);
    }
    assert!(admitted[0] > 40, "the first of each home is anybody: {admitted:?}");
    assert!(admitted[1] < 30, "{admitted:?}");
    // A family in a calm room is none of it.
    for agent in &AGENTS[..4] {
        let decision = world.ask(asks(Room::Id(1_001), honest(2_000_000), agent));
        assert_eq!(decision.verdict(), Verdict::Allow);
    }
}

/// Everybody's program, a dozen addresses, and each asks all the time: four that keep at it are no broken client.
/// An audience of one carrier sits close together, and so do the addresses that one telephone has one after the other. The same at
/// a provider's homes is bought in blocks.
#[test]
fn telephones_that_sit_close_together_are_no_farm() {
    let denied = |base: u32| {
        let mut world = World::warm("enforce");
        let mut denied = 0;
        for person in 0..300u32 {
            let from = base | (person % 6) << 8 | (person / 6 * 5 + 3);
            let decision = world.ask(asks(ROOM, from, AGENTS[4]));
            denied += u32::from(decision.verdict() == Verdict::Deny);
            world.wait(300);
        }
        let mut of_one = 0;
        for address in 0..12u32 {
            let mut asked = asks(ROOM, base | 0x9900 | address, AGENTS[0]);
            asked.key = Some(("k_phone", "free"));
            of_one += u32::from(world.ask(asked).verdict() == Verdict::Deny);
            world.wait(2_000);
        }
        (denied, of_one)
    };
    assert_eq!(denied(0x6440_0000), (0, 0), "100.64.0.0/10 is mobile");
    let (of_farm, of_key) = denied(0x0ac8_0000);
    assert!(of_farm > 100 && of_key > 3, "{of_farm} {of_key}: else it was no test");
}

#[test]
fn many_that_repeat_themselves_wait_sooner_than_one() {
    let mut world = World::warm("enforce");
    let mut admitted = 0;
    for n in 0..400u32 {
        let from = honest(1_000_000 + n % 9);
        admitted += u32::from(world.ask(asks(ROOM, from, AGENTS[0])).verdict() == Verdict::Allow);
        world.wait(700);
    }
    assert!(admitted < 9 * 8 + 4, "{admitted}");
    assert!(world.engine.viewbot().bans().is_empty(), "and are not convicted for that");
}

#[test]
fn a_lifted_ban_leaves_a_probation() {
    let mut world = World::warm("enforce");
    world.attack(300);
    let bans = world.engine.viewbot().bans().list(world.now);
    let ban = bans.iter().find(|ban| ban.target.word() == "viewer-in-room").unwrap().clone();
    let super::bans::Target::ViewerInRoom(viewer, _) = ban.target else { unreachable!() };
    for ban in bans.iter().filter(|ban| {
        matches!(ban.target, super::bans::Target::ViewerInRoom(other, _) if other.address == viewer.address)
            || matches!(ban.target, super::bans::Target::Address(other) | super::bans::Target::Profile(other, _) if other == viewer.address)
    }) {
        assert!(world.engine.viewbot().lift(ban.id, world.now).is_some());
    }
    let bot = asks(ROOM, viewer.address.number() as u32, "curl/8.0");
    let decision = world.ask(bot);
    // Its subnet may still be denied in the room, for what its neighbours did; it itself only waits.
    assert!(matches!(rung(&decision), Some(Rung::Lenient | Rung::Banned)), "{:?}", decision.refusal);
    assert!(!world.engine.viewbot().bans().list(world.now).iter().any(|other| other.target == ban.target));
}

#[test]
fn an_allowlist_exempts_from_detection() {
    let allow = "[[allowlist]]\nname = \"launch\"\nuser-agents = [\"curl/*\"]\nexempt = [\"viewbot\"]\n";
    let mut world = World::with("enforce", allow, 1);
    world.warm_up();
    assert_eq!(world.attack(300), 300);
    assert_eq!(world.sum().to_bits(), 0.0f64.to_bits());
}

#[test]
fn a_room_is_one_room_however_it_is_named_and_requests_do_not_teach() {
    let mut world = World::warm("enforce");
    let name = Room::parse("@streamer").unwrap();
    let giant = Room::Id(1_001);
    // A request that names another room teaches nothing, whatever it says; nor does an answer that was none.
    world.ask_ending(asks(name, bot_at(1), "curl/8.0"), Ending::Refunded);
    world.ask_ending(asks(giant, bot_at(2), "curl/8.0"), Ending::Good(Some(ROOM)));
    assert_eq!(world.engine.viewbot().canonical(name, world.now), name);
    assert_eq!(world.engine.viewbot().canonical(giant, world.now), giant);
    // The answer does.
    world.ask_ending(asks(name, bot_at(3), "curl/8.0"), Ending::Good(Some(ROOM)));
    assert_eq!(world.engine.viewbot().canonical(name, world.now), ROOM);
    // Half under the one name, half under the other: one attack.
    let mut admitted = 0;
    for bot in 10..310 {
        let room = if bot % 2 == 0 { name } else { ROOM };
        admitted += u32::from(world.ask(asks(room, bot_at(bot), "curl/8.0")).verdict() == Verdict::Allow);
        world.wait(100);
    }
    assert!(admitted <= 16, "{admitted}");
}

#[test]
fn the_same_trace_gives_the_same_decisions_under_any_seed() {
    let run = |seed: u64| {
        let mut world = World::with("enforce", "", seed);
        world.warm_up();
        let mut decisions = Vec::new();
        for n in 0..900u32 {
            let asked = match n % 3 {
                0 => asks(ROOM, bot_at(n), "curl/8.0"),
                1 => asks(ROOM, honest(200_000 + n), AGENTS[n as usize % 5]),
                _ => asks(Room::Id(1_000 + u64::from(n) % 7), bot_at(n / 3), "wget"),
            };
            decisions.push(format!("{:?}", world.ask(asked).refusal));
            world.wait(77);
        }
        decisions
    };
    assert_eq!(run(1), run(2));
}

/// Of those who get in, those who are weighed, and those who are banned: explained as the last thing that is asked of one world,
/// and asked in another that is like it.
#[test]
fn what_is_explained_of_a_viewer_is_what_is_decided() {
    use super::super::explain::{Outcome, What};
    let mut refused = [0; 2];
    for (mode, bots, last) in [
        ("enforce", 4, 4),
        ("enforce", 40, 40),
        ("enforce", 40, 39),
        ("throttle", 40, 40),
        ("shadow", 40, 40),
        ("shadow", 40, 39),
    ] {
        let world = || {
            let mut world = World::warm(mode);
            world.attack(bots);
            world
        };
        let asked = asks(ROOM, bot_at(last), "curl/8.0");
        let (mut one, other) = (world(), world());
        let decision = one.ask(asked);
        let explained = other.engine.explain(&other.policy, &World::facts(&asked), other.now);
        assert_eq!(explained.decision.refusal, decision.refusal, "{mode} {bots} {last}");
        assert_eq!(explained.decision.shadow, decision.shadow, "{mode} {bots} {last}");
        let reasons = decision.refusal.iter().chain(decision.shadow.refusal()).flat_map(Refusal::reasons);
        let reasons: Vec<_> = reasons.filter(|reason| reason.evidence().is_some()).collect();
        for (place, what) in [What::Convictions, What::Viewbots].into_iter().enumerate() {
            let check = explained.checks.iter().find(|check| check.what == what).unwrap();
            if let Outcome::Refuses(found) | Outcome::WouldRefuse(found) = &check.outcome {
                assert!(found.iter().all(|reason| reasons.contains(&reason)), "{found:?} {reasons:?}");
                refused[place] += 1;
                let evidence = found[0].evidence().unwrap().to_string();
                assert!(!evidence.is_empty());
                assert!(explained.tree(&other.policy).to_string().contains(&evidence));
                assert!(explained.json(&other.policy).to_string().contains(&evidence));
            }
        }
        assert_eq!(reasons.is_empty(), bots == 4, "{mode} {bots} {last}");
    }
    assert!(refused.iter().all(|count| *count > 1), "{refused:?}");
}

/// At what comes and at what does not, in rooms and of viewers that are known and that are not, before anything was seen.
#[test]
fn looking_ahead_changes_no_decision() {
    let run = |looks: bool| {
        let quotas = "[[quota]]\nname = \"q\"\nscope = \"proxy\"\nlimits = { hour = 4 }\n\
                      [[distinct]]\nname = \"d\"\ncount = \"room\"\nscope = \"proxy\"\nlimits = { hour = 3 }\n";
        let mut world = World::with("enforce", quotas, 1);
        let (mut decisions, mut foresight) = (Vec::new(), Foresight::default());
        for n in 0..4_000u32 {
            let asked = |n: u32| match n % 3 {
                0 => asks(ROOM, bot_at(n), "curl/8.0"),
                1 => asks(Room::parse("@name").unwrap(), honest(n % 700), AGENTS[n as usize % 5]),
                _ => asks(Room::Id(1_000 + u64::from(n) % 7), bot_at(n / 9), "wget"),
            };
            if looks {
                for next in [n, n + 1, 3 * n + 1_000_000] {
                    let (asked, now) = (asked(next), world.now);
                    let facts = World::facts(&asked);
                    world.engine.foresee(&mut foresight, &world.policy, &facts, now);
                    world.engine.foresee_entries(&mut foresight);
                    world.engine.foresee_behind(&mut foresight);
                    if next == n && n % 16 == 5 {
                        let engine = &world.engine;
                        let foreseen = engine.assess_foreseen(&world.policy, &mut foresight, || facts, now);
                        let assessed = world.engine.assess(&world.policy, &facts, now);
                        assert_eq!(format!("{:?}", foreseen.unforeseen()), format!("{assessed:?}"));
                    }
                }
            }
            decisions.push(format!("{:?}", world.ask(asked(n)).refusal));
            world.wait(77);
        }
        (decisions, world.engine.viewbot().memory(), world.engine.book().len())
    };
    assert!(run(true) == run(false));
}

/// In earnest, and out of the shadow by the operator.
#[test]
fn a_conviction_between_looking_ahead_and_the_turn_counts() {
    for mode in ["enforce", "shadow"] {
        let mut world = World::warm(mode);
        let bots = || (0..60).map(|bot| asks(ROOM, bot_at(bot), "curl/8.0"));
        let now = world.now;
        let foresee = |asked| {
            let mut foresight = Foresight::default();
            world.engine.foresee(&mut foresight, &world.policy, &World::facts(&asked), now);
            foresight
        };
        let mut foreseen: Vec<_> = bots().map(foresee).collect();
        world.attack(60);
        world.now = now;
        if mode == "shadow" {
            for ban in world.engine.viewbot().shadow_bans().list(now) {
                world.engine.viewbot().promote(ban.id, now).unwrap();
            }
        }
        let mut refused = 0;
        for (asked, foresight) in bots().zip(&mut foreseen) {
            let (engine, facts) = (&world.engine, World::facts(&asked));
            let foreseen = engine.assess_foreseen(&world.policy, foresight, || facts, now).unforeseen();
            let assessed = engine.assess(&world.policy, &facts, now);
            assert_eq!(format!("{foreseen:?}"), format!("{assessed:?}"));
            refused += usize::from(assessed.refusal.is_some());
        }
        assert!(refused > 10, "{mode}: {refused}");
    }
}

#[test]
fn what_is_remembered_across_a_restart_makes_a_warm_gateway() {
    let mut world = World::warm("enforce");
    let memory = world.engine.viewbot().memory();
    assert!(memory.viewers.len() > 3_000, "{}", memory.viewers.len());
    let mut next = World::new("enforce");
    next.now = world.now;
    next.engine.viewbot().recall(&memory, next.now);
    assert!(!next.engine.viewbot().is_cold(next.now));
    assert_eq!(next.engine.viewbot().memory(), memory);
    let (here, there) = (world.attack(300), next.attack(300));
    assert!(there <= 16 && here.abs_diff(there) <= 2, "{here} {there}");
}

/// A gateway that looks for two hours knows whom it saw in the first.
#[test]
fn nobody_need_be_known_for_longer_than_the_gateway_looks() {
    let mut world = World::new("enforce");
    world.ask(asks(ROOM, honest(1), AGENTS[0]));
    let ages = |wanted: u64| {
        let mut settings = world.policy.viewbot().clone();
        settings.known_age = Duration::from_secs(wanted);
        let minutes = [0, 10, 120, 719, 721, 9_999];
        minutes.map(|minute| {
            let now = START + Duration::from_secs(60 * minute);
            world.engine.viewbot().known_age(&settings, now.as_millis())
        })
    };
    assert_eq!(ages(6 * 3_600), [900, 900, 3_600, 21_570, 21_600, 21_600]);
    assert_eq!(ages(120), [120; 6]);

    // As it is weighed: regulars of the first hour, in a room under attack in the third.
    let mut world = World { policy: policy_with("6h", "enforce", ""), ..World::new("enforce") };
    world.warm_up();
    world.wait(70 * 60_000);
    world.attack(60);
    for person in 0..20 {
        world.ask(asks(ROOM, honest(person), AGENTS[person as usize % 9 % 5]));
        world.wait(500);
    }
    let rooms = world.engine.viewbot().alarmed_rooms(world.policy.viewbot(), world.now);
    let room = rooms.iter().find(|room| room.room == ROOM).unwrap();
    assert!(room.known > 18.0, "{} of 20", room.known);
}

#[test]
fn a_warm_calm_request_allocates_nothing() {
    let mut world = World::warm("enforce");
    let asked = asks(Room::Id(1_001), honest(1), AGENTS[1]);
    let facts = World::facts(&asked);
    let mut once = || {
        let assessment = world.engine.assess(&world.policy, &facts, world.now);
        let (decision, receipt) = world.engine.decide(&world.policy, assessment, world.now);
        assert!(decision.refusal.is_none());
        world.engine.observe(&world.policy, &receipt.unwrap(), Ending::Good(None), world.now);
        world.now = world.now + Duration::from_secs(120);
    };
    once();
    assert_eq!(allocation_counter::measure(once).count_total, 0);
}
