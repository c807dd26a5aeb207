//! Viewers as a service: pools that serve many rooms, move between them, or change what they look like.

use super::super::agenda::{Agenda, World};
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::{Client, Persona};
use super::super::record::Place;
use super::super::rooms::Room;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};
use super::super::tools::{JAVA, NODE, PYTHON, PYTHON_OLD, ToolId};
use super::bots::{audience_of, bot, identified, of_country, pool, rented, residential, true_profile};
use super::{window, within};

/// One pool, from customer to customer.
pub(in super::super) const MOVING_POOL: Scenario = Scenario {
    name: "moving-pool",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "one pool of 225 residential proxies moves through four rooms, four minutes each",
    hard: "a raid moves a crowd from room to room, too",
    build: |world, agenda| {
        let rooms = (23..27).map(|stage| world.rooms.stage(stage).place).collect();
        let mut random = world.random("pool");
        let members =
            (0..world.settings.sized(225)).map(|_| bot(residential(world, &mut random), PYTHON_OLD));
        let members: Vec<Client> = members.collect();
        moving(world, agenda, rooms, &members, 4);
    },
};

/// The pool follows the customer from stream to stream.
pub(in super::super) const RENTED_POOL: Scenario = Scenario {
    name: "rented-pool",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "a rented pool of 300, with the programs and networks of the customer's country, follows them through three streams, five minutes each",
    hard: "a loyal audience does exactly this",
    build: |world, agenda| {
        let rooms = (0..3).map(|_| world.rooms.make_apart(Some(0)).place).collect();
        let mut random = world.random("pool");
        let members = (0..world.settings.sized(300)).map(|_| {
            let country = audience_of(world, 0, &mut random);
            identified(Client {
                key: None,
                device: None,
                session: None,
                ..true_profile(world, country, &mut random)
            })
        });
        let members: Vec<Client> = members.collect();
        moving(world, agenda, rooms, &members, 5);
    },
};

fn moving(world: &World, agenda: &mut Agenda, rooms: Vec<Place>, members: &[Client], minutes: u64) {
    let stay = within(world, minutes * rooms.len() as u64) / rooms.len() as u64;
    let begins = world.settings.event_at();
    for (place, room) in rooms.into_iter().enumerate() {
        // All are there after three quarters of the time.
        let pace = Pace::over(members.len() as u64, stay * 3 / 4);
        let members = members.to_vec();
        let make = move |Turn { number, .. }: Turn<'_>| Some((*members.get(number as usize)?, room));
        agenda
            .source(begins + stay * place as u64, Campaign::new(world, &format!("room {place}"), pace, make));
    }
}

/// A few viewers in each of many rooms.
pub(in super::super) const PANEL: Scenario = Scenario {
    name: "panel",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "a panel of 60 viewers in each of 40 rooms, three minutes in each",
    hard: "in each room it is a good evening; only all rooms together tell",
    build: |world, agenda| panel(world, agenda, 60),
};

/// Fewer.
pub(in super::super) const SMALL_PANEL: Scenario = Scenario {
    name: "small-panel",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "a panel of 12 viewers in each of 40 rooms, three minutes in each",
    hard: "twelve are hardly more than comes by itself",
    build: |world, agenda| panel(world, agenda, 12),
};

const PANEL_ROOMS: usize = 40;

/// How long it takes until the whole panel is in a room, in minutes.
const PANEL_MINUTES: u64 = 3;

fn panel(world: &World, agenda: &mut Agenda, members: u64) {
    let mut random = world.random("panel");
    let members = pool(world.settings.sized(members), || residential(world, &mut random));
    let length = within(world, PANEL_MINUTES);
    for stage in 0..PANEL_ROOMS {
        let (room, members) = (world.rooms.stage(stage).place, members.clone());
        let pace = Pace::over(members.len() as u64, length);
        let make =
            move |Turn { number, .. }: Turn<'_>| Some((bot(*members.get(number as usize)?, PYTHON), room));
        let starts = world.settings.event_at() + random.below(window(world) - length + 1);
        agenda.source(starts, Campaign::new(world, &format!("room {stage}"), pace, make));
    }
}

/// A business.
pub(in super::super) const VIEWER_SERVICE: Scenario = Scenario {
    name: "viewer-service",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "a service with 25 customers: 50 to 300 viewers each from one pool of 2,000 proxies with a mix of programs",
    hard: "each customer's viewers are few and mixed, and orders overlap in time and in addresses",
    build: |world, agenda| {
        const CUSTOMERS: usize = 25;
        let mut random = world.random("service");
        let proxies: Vec<Client> = (0..world.settings.sized(2_000))
            .map(|number| {
                let tool = match number % 4 {
                    0 => world.tools.anybody(&mut random),
                    other => [PYTHON, NODE, PYTHON_OLD][other as usize - 1],
                };
                bot(residential(world, &mut random), tool)
            })
            .collect();
        let begins = world.settings.event_at();
        for customer in 0..CUSTOMERS {
            let room = world.rooms.stage(customer).place;
            let viewers = world.settings.sized(random.between(50, 301));
            let starts = begins + random.below(window(world) / 2);
            let length = random.between(180_000, 420_000).min(window(world) / 2);
            let (proxies, from) = (proxies.clone(), random.place(proxies.len()));
            // Each order takes the next that are free in the pool: nobody is counted twice in a room.
            let make = move |Turn { number, .. }: Turn<'_>| {
                let proxy = (from + number as usize) % proxies.len();
                Some((proxies[proxy], room))
            };
            let name = format!("customer {customer}");
            agenda.source(starts, Campaign::new(world, &name, Pace::over(viewers, length), make));
        }
    },
};

/// Somebody who looks at what comes through.
pub(in super::super) const ADAPTING_OPERATOR: Scenario = Scenario {
    name: "adapting-operator",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "300 viewers in five minutes, then the same with another network and another program, as long as there is time",
    hard: "what was learned of the bots is worth nothing five minutes later; all that stays is the room",
    build: |world, agenda| {
        const PHASE: u64 = 300_000;
        let room: Room = world.rooms.stage(27);
        let begins = world.settings.event_at();
        let programs: [ToolId; 4] = [PYTHON, JAVA, NODE, PYTHON_OLD];
        for phase in 0..(window(world) / PHASE).max(1) {
            let tool = programs[phase as usize % programs.len()];
            let make = move |Turn { world, random, .. }: Turn<'_>| {
                let address = match phase % 3 {
                    0 => rented(world, random),
                    1 => residential(world, random),
                    _ => of_country(world, room.country, random),
                };
                Some((bot(address, tool), room.place))
            };
            let pace = Pace::over(world.settings.sized(300), PHASE.min(window(world)));
            agenda
                .source(begins + phase * PHASE, Campaign::new(world, &format!("phase {phase}"), pace, make));
        }
    },
};

/// Not view-botting, but not wanted.
pub(in super::super) const HARVEST: Scenario = Scenario {
    name: "harvest",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "30 rented machines ask for 4,000 rooms, each room once",
    hard: "no room gains anything: not a view-bot's work, and distinct quotas of rooms are what stops it",
    build: |world, agenda| {
        let count = world.settings.sized(4_000);
        let mut random = world.random("machines");
        let machines = pool(30, || rented(world, &mut random));
        let rooms: Vec<Place> = (0..count).map(|_| world.rooms.make_apart(None).place).collect();
        let make = move |Turn { number, random, .. }: Turn<'_>| {
            let client = bot(*random.pick(&machines), PYTHON);
            Some((Client { persona: Persona::Harvester, ..client }, *rooms.get(number as usize)?))
        };
        let pace = Pace::over(count, window(world));
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};
