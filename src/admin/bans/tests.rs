//! Convictions, as an operator sees and changes them: a gateway that has learned what is ordinary takes a quarter of an hour
//! by the clock, so the clock is the test's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::super::tests::{ask, gateway, shown, started};
use super::super::{AdminThread, Shown};
use crate::admin::door::{Door, Token};
use crate::base::library::Library;
use crate::base::operation::Operation;
use crate::base::room::Room;
use crate::base::secret::KeyHash;
use crate::base::time::{Clock, Timestamp};
use crate::engine::Ending;
use crate::engine::decision::{Decision, Reason, Verdict};
use crate::engine::facts::{Credential, Facts, TargetClaim};
use crate::engine::viewbot::Rung;
use crate::telemetry::metrics::ViewbotNumbers;

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const ROOM: Room = Room::Id(7_000_000_000_000_000_001);

/// A gateway without a data path: its decisions are asked for here, its operator's pages over their listener.
struct World {
    shown: Shown,
    clock: Clock,
    address: SocketAddr,
    _admin: AdminThread,
}

impl World {
    /// One that has seen an ordinary hour.
    fn warm(mode: &str) -> Self {
        let clock = Clock::manual(START);
        let policy = format!(
            "format = 1\n[tier.anonymous]\nclass = \"none\"\n[networks]\ntable = \"networks.csv\"\n\
             [viewbot]\nmode = \"{mode}\"\nknown-age = \"8m\"\n"
        );
        let token = Token {
            name: "works".into(),
            hash: KeyHash::of(b"sg_works"),
            role: crate::admin::door::Role::Operator,
            expires: None,
        };
        let shown = Shown {
            gateway: gateway(&policy, clock.clone()).into(),
            clock: clock.clone(),
            door: Door::new(vec![token], clock.clone()).into(),
            ..shown()
        };
        let (admin, address) = started(&shown);
        let world = Self { shown, clock, address, _admin: admin };
        for round in 0..2u64 {
            for person in 0..4_000u32 {
                let agent = ["TikTokLive.py/7.0.1", "tiktok-live-connector/2.5.0 linux", "Java"]
                    [person as usize % 7 % 3];
                let from = 0x0a00_0000 | person.wrapping_mul(2_654_435_761) >> 8;
                world.connect(Room::Id(1_000 + u64::from(person) % 400 + round), from, agent);
                world.clock.advance(Duration::from_millis(400));
            }
        }
        world
    }

    fn connect(&self, room: Room, from: u32, agent: &str) -> Decision {
        let facts = Facts {
            operation: Operation::Connect,
            client: IpAddr::V4(Ipv4Addr::from_bits(from)),
            credential: Credential::Absent,
            room: Some(room),
            resolved: None,
            target: TargetClaim::None,
            session: None,
            user_agent: agent,
            library: Library::UNKNOWN,
            device: None,
            asn: None,
        };
        let (engine, live, now) =
            (&self.shown.gateway.engine, self.shown.gateway.live.load(), self.clock.now());
        let assessment = engine.assess(&live.policy, &facts, now);
        let (decision, receipt) = engine.decide(&live.policy, assessment, now);
        if let Some(receipt) = receipt {
            engine.observe(&live.policy, &receipt, Ending::Good(None), now);
        }
        decision
    }

    /// Bots of one program: four addresses of each /24, one every 100 ms. How many got in.
    fn attack(&self, bots: std::ops::Range<u32>) -> u32 {
        let mut admitted = 0;
        for bot in bots {
            admitted += u32::from(self.connect(ROOM, bot_at(bot), "curl/8.0").verdict() == Verdict::Allow);
            self.clock.advance(Duration::from_millis(100));
        }
        admitted
    }

    fn ask(&self, request: &str) -> (u16, Value) {
        let answer =
            ask(self.address, &format!("{request} HTTP/1.1\r\nauthorization: Bearer sg_works\r\nx-rest:"));
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    fn bans(&self, query: &str) -> Vec<Value> {
        let (status, body) = self.ask(&format!("GET /bans{query}"));
        assert_eq!(status, 200, "{body}");
        body["bans"].as_array().unwrap().clone()
    }

    /// The first ban of a kind, in a state.
    fn first(&self, kind: &str, state: &str) -> Value {
        let bans = self.bans("");
        let found = bans.iter().find(|ban| ban["kind"] == kind && ban["state"] == state);
        found.unwrap_or_else(|| panic!("no {state} {kind} among {} bans", bans.len())).clone()
    }
}

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

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

/// The address that a ban of one is about.
fn address_of(ban: &Value) -> String {
    let whom = text(&ban["whom"]);
    whom.split(' ').find(|word| word.parse::<IpAddr>().is_ok()).unwrap_or_else(|| panic!("{whom}")).to_owned()
}

fn number_of(address: &str) -> u32 {
    address.parse::<Ipv4Addr>().unwrap().to_bits()
}

#[test]
fn convictions_are_listed_with_what_is_held_against_whom() {
    let world = World::warm("enforce");
    assert_eq!(world.ask("GET /viewbot/rooms").1["rooms"], serde_json::json!([]));
    world.attack(0..400);
    let all = world.bans("");
    for kind in ["viewer-in-room", "address", "subnet-in-room"] {
        let ban = world.first(kind, "enforced");
        assert_eq!((text(&ban["origin"]), text(&ban["room"])), ("heuristics", ROOM.to_string().as_str()));
        assert!(text(&ban["evidence"]).contains("expected of an ordinary crowd"), "{ban}");
        assert!(text(&ban["id"]).starts_with('b') && text(&ban["since"]) < text(&ban["until"]), "{ban}");
    }
    let address = address_of(&world.first("address", "enforced"));
    let about = world.bans(&format!("?proxy={address}"));
    assert!(!about.is_empty() && about.len() < all.len());
    assert!(about.iter().all(|ban| text(&ban["whom"]).contains(&address[..address.rfind('.').unwrap()])));
    assert_eq!(world.bans(&format!("?room={ROOM}")).len(), all.len());
    assert!(world.bans("?room=@somebody").is_empty());
    assert_eq!(world.ask("GET /bans?planet=mars").0, 400);
    assert_eq!(world.ask("GET /bans?room=streamer").0, 400);

    // The numbers of it.
    let (metrics, gateway) = (&world.shown.gateway.metrics, world.shown.gateway.clone());
    metrics.read_viewbot(move || {
        let live = gateway.live.load();
        Some(ViewbotNumbers::read(&gateway.engine, live.policy.viewbot(), gateway.clock.now()))
    });
    let page = metrics.text();
    let number = |series: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}:\n{page}")).parse().unwrap()
    };
    let count = |kind: &str| all.iter().filter(|ban| ban["kind"] == kind).count() as f64;
    for (series, expected) in [
        (r#"signgate_bans{of="enforced"}"#, all.len() as f64),
        (r#"signgate_bans{of="shadow"}"#, 0.0),
        (r#"signgate_viewbot_bans_made_total{kind="address",mode="enforce"}"#, count("address")),
        (r#"signgate_viewbot_bans_made_total{kind="address",mode="shadow"}"#, 0.0),
        (r#"signgate_viewbot_mode{mode="enforce"}"#, 1.0),
        (r#"signgate_viewbot_mode{mode="shadow"}"#, 0.0),
        ("signgate_viewbot_rooms_alarmed", 1.0),
        ("signgate_viewbot_cold", 0.0),
    ] {
        assert!((number(series) - expected).abs() < 0.5, "{series}: {}, not {expected}", number(series));
    }
    for series in [
        r#"signgate_viewbot_requests_total{mode="enforce",rung="convicted"}"#,
        r#"signgate_viewbot_evidence_total{heuristic="profile",mode="enforce"}"#,
        "signgate_viewbot_excess_viewers",
        "signgate_viewbot_excess_viewers_most",
    ] {
        assert!(number(series) > 10.0, "{series}: {}", number(series));
    }

    // The room, as an alarm shows it.
    let (_, rooms) = world.ask("GET /viewbot/rooms");
    let room = &rooms["rooms"][0];
    assert_eq!((text(&room["room"]), text(&rooms["mode"])), (ROOM.to_string().as_str(), "enforce"));
    assert_eq!(room["verdict"], "convicted in part");
    assert!(room["newcomers"]["excess"].as_f64().unwrap() > 10.0 && room["sum"].as_f64().unwrap() > 10.0);
    for list in ["curve", "cohorts", "proxies", "subnets", "evidence"] {
        assert!(!room[list].as_array().unwrap().is_empty(), "{list}: {room}");
    }
    assert!(text(&room["cohorts"][0]["profile"]).contains("curl/8.0"), "{room}");
    assert_eq!(rooms["learning"]["is_cold"], false);
}

#[test]
fn a_lifted_conviction_forgets_what_led_there_and_the_same_evidence_only_throttles() {
    let world = World::warm("enforce");
    world.attack(0..300);
    let address = address_of(&world.first("address", "enforced"));
    let from = number_of(&address);
    assert_eq!(world.connect(ROOM, from, "curl/8.0").verdict(), Verdict::Deny);
    // By the address, its subnet in the room too; the operator's own ban of it stays, and is named.
    let prefix = address.split('/').next().unwrap();
    let (status, own) = world.ask(&format!("POST /bans/add?prefix={prefix}&reason=mine&for=1s"));
    assert_eq!(status, 200, "{own}");
    let own = text(&own["ban"]["id"]);
    let (status, body) = world.ask(&format!("POST /bans/lift?proxy={address}"));
    assert_eq!((status, text(&body["result"])), (200, "lifted"), "{body}");
    assert_eq!(text(&body["note"]), format!("your own bans stand: `signgate bans lift {own}`"));
    let (_, body) = world.ask(&format!("POST /bans/lift?id={own}"));
    assert!(body["note"].is_null(), "{body}");
    assert_eq!(world.bans(&format!("?proxy={address}")), [] as [Value; 0]);

    // The attack goes on, from there as well: what came before is forgotten, and it waits.
    world.attack(300..340);
    let decision = world.connect(ROOM, from, "curl/8.0");
    assert_eq!(rung(&decision), Some(Rung::Lenient), "{decision:?}");
    world.attack(340..380);
    let about = world.bans(&format!("?proxy={address}"));
    assert!(
        about.iter().all(|ban| ban["kind"] == "subnet-in-room"),
        "its neighbours may be banned: {about:?}"
    );
    let decision = world.connect(ROOM, from, "curl/8.0");
    assert_eq!(rung(&decision), Some(Rung::Lenient), "it is not, for what they did: {decision:?}");

    // An hour later it is as anybody.
    world.clock.advance(Duration::from_secs(3_700));
    world.attack(400..700);
    let decision = world.connect(ROOM, from, "curl/8.0");
    assert_eq!(decision.verdict(), Verdict::Deny, "a probation ends");

    let (status, body) = world.ask("POST /bans/lift?id=b999999");
    assert_eq!(status, 404, "{body}");
    assert_eq!(world.ask("POST /bans/lift?id=x1").0, 400);
    assert_eq!(world.ask("POST /bans/lift").0, 400);
}

#[test]
fn a_conviction_in_shadow_is_real_once_promoted_in_any_mode_and_can_be_lifted_again() {
    let world = World::warm("shadow");
    assert_eq!(world.attack(0..400), 400, "shadow acts on nobody");
    let ban = world.first("address", "shadow");
    let (id, address) = (text(&ban["id"]), address_of(&ban));
    assert!(id.starts_with('s'), "{ban}");
    let somebody_new = |room: u64| world.connect(Room::Id(room), number_of(&address), "somebody new");
    assert_eq!(somebody_new(55).verdict(), Verdict::Allow);

    let (status, body) = world.ask(&format!("POST /bans/promote?id={id}"));
    assert_eq!((status, text(&body["ban"]["state"])), (200, "enforced"), "{body}");
    assert!(text(&body["ban"]["origin"]).contains("promoted") && text(&body["kept"]).contains("in memory"));
    world.clock.advance(Duration::from_secs(1));
    let decision = world.connect(Room::Id(56), number_of(&address), "another new one");
    assert_eq!((decision.verdict(), rung(&decision)), (Verdict::Deny, Some(Rung::Banned)), "{decision:?}");
    let others = world.bans("").iter().filter(|ban| ban["state"] == "enforced").count();
    assert_eq!(others, 1, "nothing else became real");

    let promoted = text(&body["ban"]["id"]).to_owned();
    assert_eq!(world.ask(&format!("POST /bans/promote?id={promoted}")).0, 400, "it is real already");
    assert_eq!(world.ask(&format!("POST /bans/lift?id={promoted}")).0, 200);
    let decision = world.connect(Room::Id(57), number_of(&address), "a third");
    assert_eq!(decision.verdict(), Verdict::Allow, "{decision:?}");
}

#[test]
fn a_pardon_drops_what_goes_back_to_the_room_and_leaves_the_operators_own() {
    let world = World::warm("enforce");
    world.attack(0..300);
    assert_eq!(world.ask("POST /bans/add?asn=64500&reason=mine&for=2h").0, 200);
    let count = world.bans("").len();
    let (status, body) = world.ask(&format!("POST /viewbot/pardon?room={ROOM}"));
    assert_eq!((status, body["bans_dropped"].as_u64().unwrap() as usize), (200, count - 1), "{body}");
    let left = world.bans("");
    assert_eq!((left.len(), text(&left[0]["id"])), (1, "o1"));
    assert_eq!(world.ask("GET /viewbot/rooms").1["rooms"], serde_json::json!([]));
    assert_eq!(world.attack(300..600), 300, "it is looked away from");
    world.clock.advance(Duration::from_secs(3_600));
    // What was let in meanwhile counts as ordinary, so it takes longer to tell; but it is looked at again.
    assert!(world.attack(600..900) < 300, "a pardon ends");
    assert_eq!(world.ask("GET /viewbot/rooms").1["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(world.ask("POST /viewbot/pardon?room=streamer").0, 400);
    assert_eq!(world.ask("POST /viewbot/pardon").0, 400);
}
