//! Many viewers behind few addresses, some of which honest people share.

use std::net::IpAddr;

use super::super::agenda::{Agenda, World};
use super::super::campaign::{Campaign, Pace, Turn};
use super::super::identity::Client;
use super::super::record::Place;
use super::super::scenarios::{Kind, Scenario};
use super::super::settings::Population::{Independent, Lively};
use super::super::tools::{JAVA, NODE_PLATFORM, PYTHON, ToolId};
use super::bots::{bot, farmed_key, pool, rented, residential, with_device, with_key, with_session};
use super::within;

/// Device ids cost nothing.
pub(in super::super) const IDENTITY_CHURN: Scenario = Scenario {
    name: "identity-churn",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,850 viewers in eight minutes behind 12 addresses, each with a device id of its own",
    hard: "a telephone network's translator has as many people behind one address",
    build: |world, agenda| {
        let mut random = world.random("machines");
        let machines = pool(world.settings.sized(12), || rented(world, &mut random));
        churn(world, agenda, world.rooms.stage(7).place, (1_850, 8), (machines, PYTHON), false);
    },
};

/// Behind the address of honest people.
pub(in super::super) const SHARED_CGNAT: Scenario = Scenario {
    name: "shared-cgnat",
    populations: &[Independent],
    kind: Kind::Attack,
    summary: "1,800 viewers in ten minutes behind the shared addresses of three mobile networks, among their honest users",
    hard: "whoever blocks the address blocks hundreds of people who did nothing",
    build: |world, agenda| {
        let mobiles = (0..3).map(|country| &world.plan.mobiles(country)[0]);
        let addresses =
            mobiles.flat_map(|network| (0..6).map(|number| network.shared_address(number))).collect();
        churn(world, agenda, world.rooms.stage(8).place, (1_800, 10), (addresses, PYTHON), false);
    },
};

/// Telephones with a program that their owners do not know of.
pub(in super::super) const INFECTED_PHONES: Scenario = Scenario {
    name: "infected-phones",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "1,500 viewers in ten minutes from telephones of the room's own country, behind its mobile networks' addresses",
    hard: "the right country, real networks, addresses that honest people with the same library share",
    build: |world, agenda| {
        let room = world.rooms.stage(9);
        let mobiles = world.plan.mobiles(room.country);
        let addresses =
            mobiles.iter().flat_map(|network| (0..12).map(|number| network.shared_address(number))).collect();
        churn(world, agenda, room.place, (1_500, 10), (addresses, JAVA), true);
    },
};

/// Residential proxies with an identity for each request.
pub(in super::super) const RESIDENTIAL_CHURN: Scenario = Scenario {
    name: "residential-churn",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "1,500 viewers in twelve minutes behind 200 residential proxies with several programs, which make up a session for each",
    hard: "a handful of viewers at a home is a family; only all homes together tell",
    build: |world, agenda| {
        let mut random = world.random("proxies");
        let proxies: Vec<Client> = (0..world.settings.sized(200))
            .map(|number| {
                // Whoever sells them copied some people's programs.
                let tool = if number % 2 == 0 { PYTHON } else { world.tools.anybody(&mut random) };
                bot(residential(world, &mut random), tool)
            })
            .collect();
        let room = world.rooms.stage(10).place;
        let pace = Pace::over(world.settings.sized(1_500), within(world, 12));
        let make =
            move |Turn { random, .. }: Turn<'_>| Some((with_session(*random.pick(&proxies), random), room));
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// So many viewers in so many minutes from any of these addresses, each with a session or a device id of its own.
fn churn(
    world: &World,
    agenda: &mut Agenda,
    room: Place,
    (viewers, minutes): (u64, u64),
    (addresses, tool): (Vec<IpAddr>, ToolId),
    has_session: bool,
) {
    let pace = Pace::over(world.settings.sized(viewers), within(world, minutes));
    let make = move |Turn { random, .. }: Turn<'_>| {
        let bot = bot(*random.pick(&addresses), tool);
        let bot = if has_session { with_session(bot, random) } else { with_device(bot, random.next()) };
        Some((bot, room))
    };
    agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
}

/// A few neighbouring networks, bought.
pub(in super::super) const HOSTING_SUBNETS: Scenario = Scenario {
    name: "hosting-subnets",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "1,200 viewers in eight minutes from eight neighbouring /24s of a hoster, each address once",
    hard: "analytics firms ask from the same hoster, and no address asks twice",
    build: |world, agenda| {
        let room = world.rooms.stage(11).place;
        let pace = Pace::over(world.settings.sized(1_200), within(world, 8));
        // At each address the next: a draw would meet some twice.
        let make = move |Turn { number, world, .. }: Turn<'_>| {
            let hoster = &world.plan.hosters()[3];
            let address = hoster.host(((96 + number % 8) as u16 % 256, (2 + number / 8 % 250) as u16));
            Some((bot(address, PYTHON), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};

/// A hobby platform, used for more than a hobby.
pub(in super::super) const PLATFORM_ABUSE: Scenario = Scenario {
    name: "platform-abuse",
    populations: &[Lively],
    kind: Kind::Attack,
    summary: "900 viewers in ten minutes under free keys from a platform whose eight addresses hundreds of honest bots share",
    hard: "same addresses, same user agent, same kind of key as honest programs; to block either is to block them",
    build: |world, agenda| {
        let room = world.rooms.stage(12).place;
        let keys = world.settings.sized(180);
        let pace = Pace::over(world.settings.sized(900), within(world, 10));
        let make = move |Turn { number, world, random, .. }: Turn<'_>| {
            let address = world.plan.platforms()[0].address(random);
            Some((with_key(bot(address, NODE_PLATFORM), farmed_key(world, number % keys)), room))
        };
        agenda.source(world.settings.event_at(), Campaign::new(world, "attack", pace, make));
    },
};
