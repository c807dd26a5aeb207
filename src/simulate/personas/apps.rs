//! Apps with one key in every copy, and releases that roll out.

use super::super::agenda::{Agenda, Source, World};
use super::super::identity::{Client, Key, Persona, Tier};
use super::super::networks::Plan;
use super::super::random::Random;
use super::super::tools::{NODE, PYTHON, ToolId};

/// How many addresses the app with the paid key runs at.
const EMBEDDED_COPIES: u64 = 2_000;

/// The app with the paid key, as it calls itself.
const EMBEDDED_AGENT: &str = "OverlayStudio/4.2.0";

/// How many hobby apps there are.
const HOBBY_APPS: u64 = 7;

/// The usual rate has so many copies of the largest; each further one has three quarters of the one before.
const HOBBY_COPIES: f64 = 260.0;

/// One app: its copies connect to whatever their users watch.
struct App {
    random: Random,
    gap: f64,
    number: u64,
    copies: u64,
    key: Key,
    tool: ToolId,
    /// Where its users live; `None` for everywhere.
    country: Option<u8>,
    persona: Persona,
}

/// One paid key in every copy of a widespread app.
pub(super) fn embedded(world: &mut World, agenda: &mut Agenda, share: f64) {
    let tool = world.tools.add(EMBEDDED_AGENT, NODE);
    let app = App {
        random: world.random("embedded app"),
        gap: world.gap(share),
        number: 0,
        copies: EMBEDDED_COPIES,
        key: world.people.own_key(5 << 40, Tier::Enterprise),
        tool,
        country: None,
        persona: Persona::EmbeddedApp,
    };
    agenda.source(0, app);
}

/// One free key in every copy of small apps, most of them at home in one country. They call themselves as the library does
/// that they are made with.
pub(super) fn hobby(world: &World, agenda: &mut Agenda, share: f64) {
    let mut random = world.random("hobby apps");
    let sizes: Vec<f64> = (0..HOBBY_APPS).map(|number| 0.75f64.powi(number as i32)).collect();
    let whole: f64 = sizes.iter().sum();
    for (number, size) in (1..).zip(sizes) {
        let country = Plan::country(&mut random);
        let app = App {
            random: Random::numbered(random.next(), number),
            gap: world.gap(share * size / whole),
            number,
            copies: world.scaled(HOBBY_COPIES * size),
            key: world.people.own_key(5 << 40 | number, Tier::Community),
            tool: Tools::of_app(country, &mut random),
            country: random.chance(0.8).then_some(country),
            persona: Persona::HobbyApp,
        };
        agenda.source(0, app);
    }
}

/// What hobby apps are made with.
struct Tools;

impl Tools {
    fn of_app(country: u8, random: &mut Random) -> ToolId {
        let [first, _] = super::super::tools::Tools::favourites(country);
        *random.pick(&[first, PYTHON, NODE])
    }
}

impl Source for App {
    fn fire(&mut self, now: u64, world: &mut World, agenda: &mut Agenda) -> Option<u64> {
        let copy = self.random.below(self.copies);
        // A copy's country is its own, too.
        let mut own = Random::numbered(self.number, copy);
        let country = self.country.unwrap_or_else(|| Plan::country(&mut own));
        let number = 6 << 40 | self.number << 24 | copy;
        let person = world.people.person(country, number, &world.plan, &world.tools);
        let client = Client {
            key: Some(self.key),
            tool: self.tool,
            device: None,
            session: None,
            persona: self.persona,
            ..person
        };
        if let Some(room) = world.rooms.watched(&mut self.random) {
            agenda.connect(now, client, room.place, world);
        }
        Some(now + self.random.wait(self.gap))
    }
}

/// A release that rolls out while we watch: nobody had it at first, a third has it after an hour.
pub(super) fn roll_out(world: &mut World) {
    const WHOLE: u64 = 3 * 3_600_000;
    let node = world.tools.add("tiktok-live-connector/2.5.1 linux", NODE);
    world.tools.roll_out(NODE, node, 0, WHOLE);
    let python = world.tools.add("TikTokLive.py/7.0.2", PYTHON);
    let begun = world.settings.event_at() / 2;
    world.tools.roll_out(PYTHON, python, begun, 2 * WHOLE);
}
