//! People who look like a farm at first sight, each beside the farm that they look like: they wait at most, and it is denied.

use super::*;

/// How many of a crowd were admitted, had to wait and were denied.
#[derive(Debug, Default)]
struct Came {
    admitted: u32,
    waits: u32,
    denied: u32,
}

/// A crowd comes to a warm gateway, one each 300 ms.
fn come<'a>(crowd: impl Iterator<Item = Asks<'a>>) -> Came {
    come_to(&mut warm(), crowd)
}

/// One in ten of those whom it knows comes through a rented machine.
fn warm() -> World {
    let mut world = World::warm("enforce");
    for round in 0..2u64 {
        for person in 0..400u32 {
            let room = Room::Id(1_000 + u64::from(person) + round);
            let from = rented(50 + person % 100, person / 100 + 1);
            assert_eq!(
                world.ask(asks(room, from, AGENTS[person as usize % 9 % 5])).verdict(),
                Verdict::Allow
            );
            world.wait(2_000);
        }
    }
    world
}

fn come_to<'a>(world: &mut World, crowd: impl Iterator<Item = Asks<'a>>) -> Came {
    let mut came = Came::default();
    for asked in crowd {
        match world.ask(asked).verdict() {
            Verdict::Deny => came.denied += 1,
            Verdict::Throttle => came.waits += 1,
            Verdict::Allow => came.admitted += 1,
        }
        world.wait(300);
    }
    came
}

/// Nobody of these is denied, though not all get in; of the farm beside them many are.
fn only_wait(people: &Came, farm: &Came) {
    assert_eq!(people.denied, 0, "{people:?}");
    assert!(people.waits > 0, "{people:?}: nothing was held against them, so nothing is shown");
    assert!(farm.denied * 3 > farm.admitted + farm.waits, "{farm:?}");
}

/// Others go on: what was learned is published once a thirty-second of all is new.
fn go_on(world: &mut World) {
    for person in 0..200 {
        world.ask(asks(
            Room::Id(2_000 + u64::from(person)),
            home(500_000 + person),
            AGENTS[person as usize % 9 % 5],
        ));
        world.wait(1_000);
    }
}

/// A home of a provider's, far from the others.
fn home(number: u32) -> u32 {
    honest(1_000_000 + number)
}

const fn rented(subnet: u32, machine: u32) -> u32 {
    0xc612_0000 + subnet * 256 + machine
}

fn keyed<'a>(asked: Asks<'a>, id: &'a str, tier: &'a str) -> Asks<'a> {
    Asks { key: Some((id, tier)), ..asked }
}

fn keys(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("k_{number}")).collect()
}

#[test]
fn a_class_behind_one_address() {
    let keys = keys(64);
    let pupil =
        |at: u32| keys.iter().map(move |key| keyed(asks(ROOM, home(at), "TikTokLive.py/6.6.5"), key, "free"));
    let churn = (0..keys.len() as u32)
        .map(|bot| keyed(asks(ROOM, home(bot % 8), "TikTokLive.py/6.6.5"), &keys[bot as usize], "free"));
    only_wait(&come(pupil(0)), &come(churn));
}

#[test]
fn a_campus_that_many_had_before() {
    let keys = keys(150);
    let students = || (0..150).map(|n| keyed(asks(ROOM, home(n % 3), "Java"), &keys[n as usize], "free"));
    let mut world = warm();
    for device in &["a", "b", "c", "d", "e", "f"] {
        for campus in 0..3 {
            let asked = asks(Room::Id(1_200 + u64::from(campus)), home(campus), AGENTS[0]);
            world.ask(Asks { device: Some(*device), ..asked });
            world.wait(2_000);
        }
    }
    only_wait(&come_to(&mut world, students()), &come(students()));
}

#[test]
fn a_vpn_whose_customers_have_all_sorts_of_programs() {
    let exit = |n: u32| rented(1, n % 28 + 1);
    let keys = keys(140);
    let customers = come((0..140).map(|n| asks(ROOM, exit(n), AGENTS[(n / 28 + n) as usize % 5])));
    let bots = come((0..140).map(|n| keyed(asks(ROOM, exit(n), AGENTS[3]), &keys[n as usize], "free")));
    only_wait(&customers, &bots);
}

#[test]
fn a_new_app_with_a_paid_key_in_it() {
    // A few of those who have it come through rented machines, as a few of everybody do.
    let somewhere = |n: u32| if n % 25 == 7 { rented(n / 25, 9) } else { home(n) };
    let app = come((0..300).map(|n| keyed(asks(ROOM, somewhere(n), "Quiz/1.0"), "k_quiz", "paid")));
    let stolen = come((0..300).map(|n| keyed(asks(ROOM, somewhere(n), AGENTS[0]), "k_stolen", "paid")));
    only_wait(&app, &stolen);
}

#[test]
fn a_fan_app_with_one_free_key_in_it() {
    let keys = keys(40);
    let fans = come((0..200).map(|n| keyed(asks(ROOM, home(n), "Java"), "k_fans", "free")));
    let farm = come((0..200).map(|n| keyed(asks(ROOM, home(n), "Java"), &keys[n as usize % 40], "free")));
    only_wait(&fans, &farm);
}

/// A platform has its addresses and its program: in calm rooms it is seen that they go together.
#[test]
fn a_platforms_customers_in_one_room() {
    let keys = keys(120);
    let customer = |room, n: u32, key| keyed(asks(room, rented(70, n % 8 + 1), "platform/2"), key, "free");
    let mut world = warm();
    for (n, key) in (0..).zip(&keys[..40]) {
        world.ask(customer(Room::Id(1_000 + u64::from(n) * 3), n, key));
        world.wait(2_000);
    }
    go_on(&mut world);
    let customers = come_to(&mut world, (0..).zip(&keys).skip(40).map(|(n, key)| customer(ROOM, n, key)));
    // The same, and in calm rooms the program was seen elsewhere.
    let mut world = warm();
    for (n, key) in (0..).zip(&keys[..40]) {
        world.ask(Asks {
            from: Ipv4Addr::from_bits(home(n)).into(),
            ..customer(Room::Id(1_000 + u64::from(n) * 3), n, key)
        });
        world.wait(2_000);
    }
    go_on(&mut world);
    let farm = come_to(&mut world, (0..).zip(&keys).skip(40).map(|(n, key)| customer(ROOM, n, key)));
    only_wait(&customers, &farm);
}

/// A country's provider may have few subnets.
#[test]
fn an_audience_of_a_provider_with_few_subnets() {
    // Of a provider's 24 /24s.
    let at = |n: u32| 0xc000_0000 + n % 24 * 256 + n / 24 + 1;
    let crowd = |teaching: u32| {
        let mut world = warm();
        for n in 0..teaching {
            world.ask(asks(Room::Id(1_000 + u64::from(n) * 3), at(n + 2_000), AGENTS[n as usize % 9 % 5]));
            world.wait(2_000);
        }
        go_on(&mut world);
        come_to(&mut world, (0..360).map(|n| asks(ROOM, at(n), AGENTS[4])))
    };
    only_wait(&crowd(120), &crowd(0));
}

/// Behind the same translators as a farm. Nobody is a neighbour on a rented machine.
#[test]
fn neighbours_with_another_program() {
    let neighbours = |first: u32| {
        let (mut world, mut came) = (warm(), Came::default());
        for n in 0..200 {
            // Five bots at each of eight addresses of a /24 that nobody was seen from.
            let from = first + n / 5 % 8 + n / 40 * 256;
            let key = format!("k_{n}");
            let bot = world.ask(keyed(asks(ROOM, from, "curl/8.0"), &key, "free"));
            came.waits += u32::from(bot.verdict() != Verdict::Allow);
            world.wait(100);
            if n % 5 == 4 {
                let verdict = world.ask(asks(Room::Id(4_000 + u64::from(n)), from, "Java")).verdict();
                came.denied += u32::from(verdict == Verdict::Deny);
            }
        }
        came
    };
    let (behind_translators, on_machines) = (neighbours(0xc000_0200), neighbours(rented(90, 2)));
    assert!(behind_translators.waits > 150 && behind_translators.denied == 0, "{behind_translators:?}");
    assert!(on_machines.denied > 10, "{on_machines:?}");
}

#[test]
fn a_customers_machines_side_by_side() {
    let machine = |n: u32| asks(ROOM, rented(3, n + 1), AGENTS[1]);
    let fleet = come((0..40).map(|n| keyed(machine(n), "k_fleet", "paid")));
    only_wait(&fleet, &come((0..40).map(machine)));
}

/// Fewer of a firm's than are an excess at all, wherever they stand, and however large the excess beside them is.
#[test]
fn a_firms_few_in_a_room_under_attack() {
    let came = |each: u32| {
        let mut world = warm();
        for bot in 0..60 {
            world.ask(asks(ROOM, bot_at(bot), "curl/8.0"));
            world.wait(100);
        }
        // A machine in each of many subnets of one provider.
        come_to(
            &mut world,
            (0..each).map(|n| keyed(asks(ROOM, rented(80 + n, 1), "firm/1"), "k_firm", "paid")),
        )
    };
    let (firm, stolen) = (came(9), came(60));
    assert_eq!(firm.denied, 0, "{firm:?}");
    assert!(stolen.denied > 30, "{stolen:?}");
}

/// That some of many come through rented machines is no second fact beside their being many.
#[test]
fn a_few_of_a_large_crowd_at_rented_machines() {
    let crowd = |rented_of_20: u32| {
        (0..400).map(move |n| {
            let from = if n % 20 < rented_of_20 { rented(n / 20, n % 20 + 1) } else { home(n) };
            asks(ROOM, from, AGENTS[3])
        })
    };
    only_wait(&come(crowd(1)), &come(crowd(20)));
}

/// Whoever sits behind an address with many made none of its moves.
#[test]
fn neighbours_of_those_who_moved_from_room_to_room() {
    let under_attack = [Room::Id(7_100), Room::Id(7_200)];
    let moved = |neighbours: u32| {
        let mut world = warm();
        for device in &keys(neighbours) {
            for address in 0..20 {
                let asked = asks(Room::Id(1_300 + u64::from(address)), home(address), AGENTS[0]);
                world.ask(Asks { device: Some(device), ..asked });
                world.wait(300);
            }
        }
        for room in under_attack {
            for bot in 0..60 {
                world.ask(asks(room, bot_at(bot), "curl/8.0"));
                world.wait(100);
            }
            (0..20).for_each(|address| {
                world.ask(asks(room, home(address), AGENTS[1]));
                world.wait(300);
            });
        }
        come_to(&mut world, (0..80).map(|n| asks(ROOM, home(n % 20), AGENTS[(n / 20 + n) as usize % 5])))
    };
    let (people, pool) = (moved(6), moved(0));
    assert_eq!(people.denied, 0, "{people:?}");
    assert!(pool.denied > 20, "{pool:?}");
}

/// What is held against one customer of a host goes with that customer, and not with all who rent there.
#[test]
fn neighbours_of_those_who_were_in_odd_crowds() {
    let waits = |customers: u32, who: usize| {
        let mut world = warm();
        let (keys, machines) = (keys(customers), 12);
        let customer = |room: u64, machine: u32, key| {
            keyed(asks(Room::Id(room), rented(60, machine + 1), AGENTS[1]), key, "free")
        };
        for room in [7_100, 7_200, 7_300] {
            for bot in 0..60 {
                world.ask(asks(Room::Id(room), bot_at(bot), "curl/8.0"));
                world.wait(100);
            }
            for machine in 0..machines {
                world.ask(customer(room, machine, &keys[0]));
                world.wait(300);
            }
            for (at, key) in keys.iter().enumerate().skip(1) {
                for machine in 0..machines {
                    world.ask(customer(2_000 + at as u64 * 12 + u64::from(machine), machine, key));
                    world.wait(300);
                }
            }
        }
        // Each now goes to a room in which nothing is wrong.
        let others = (0..machines).map(|machine| customer(3_000 + u64::from(machine), machine, &keys[who]));
        come_to(&mut world, others).waits
    };
    assert_eq!(waits(8, 7), 0, "who was never there");
    assert!(waits(8, 0) > 3, "who was there");
    assert!(waits(1, 0) > 3, "who was there, alone at its address");
}

/// A giveaway: each of a family takes part on a device of its own, with whatever program, and more than usual have one of them.
#[test]
fn families_many_of_whom_have_one_program() {
    // At one address and with one program people are one viewer, but that each has a key.
    let keys = keys(480);
    let crowd = |all_share: bool| {
        (0..480u32).zip(&keys).map(move |(n, key)| {
            let has_it = (n / 4 + n) % 3 == 0;
            let agent = if has_it { AGENTS[4] } else { AGENTS[n as usize % 4] };
            let from = match (all_share, has_it) {
                (true, _) => n / 4,
                (false, true) => n / 12,
                (false, false) => n + 5_000,
            };
            keyed(asks(ROOM, home(from), agent), key, "free")
        })
    };
    let (families, farm) = (come(crowd(true)), come(crowd(false)));
    assert_eq!(families.denied, 0, "{families:?}");
    assert!(farm.denied > 80, "of 160 that share addresses: {farm:?}");
}

/// Programs on rented machines that follow streams meet at the start of one after the other: that they come from where they do is
/// one fact in all of those rooms.
#[test]
fn followers_on_rented_machines() {
    let follow = |agent_of: fn(u32) -> &'static str| {
        let (mut world, mut came) = (warm(), Came::default());
        for stream in 0..8u32 {
            let crowd = (0..180).map(|n| {
                if n % 3 > 0 {
                    return asks(Room::Id(7_100), home(n + 1_000 * stream), AGENTS[n as usize % 9 % 5]);
                }
                // Another sixty of four hundred each time.
                let machine = (super::super::arith::mix(stream.into(), n.into()) % 400) as u32;
                asks(Room::Id(7_100), rented(100 + machine % 8, machine + 1), agent_of(machine))
            });
            let crowd = crowd.map(|asked| Asks { room: Room::Id(7_100 + u64::from(stream)), ..asked });
            let of_stream = come_to(&mut world, crowd);
            came.admitted += of_stream.admitted;
            came.waits += of_stream.waits;
            came.denied += of_stream.denied;
        }
        came
    };
    let (followers, bots) = (follow(|n| AGENTS[n as usize % 9 % 5]), follow(|_| "curl/8.0"));
    assert_eq!(followers.denied, 0, "{followers:?}");
    assert!(followers.waits > 0, "{followers:?}: nothing was held against them, so nothing is shown");
    assert!(bots.denied > 60, "{bots:?}");
}

/// Being known is no credit for those who earned it in a hundred decoys and have one program. A raid comes from one room, and the
/// acquaintances that an ordinary crowd brings have all sorts of programs.
#[test]
fn acquaintances_who_come_at_once() {
    let waits = |room_of: fn(u32) -> u64, agent_of: fn(u32) -> &'static str| {
        let mut world = warm();
        for n in 0..240 {
            let asked = asks(Room::Id(room_of(n)), home(n), agent_of(n));
            assert_eq!(world.ask(asked).verdict(), Verdict::Allow, "{n}");
            // Slowly enough for one room.
            world.wait(25_000);
        }
        world.wait(600_000);
        let came = come_to(&mut world, (0..240).map(|n| asks(ROOM, home(n), agent_of(n))));
        assert_eq!(came.denied, 0, "who was known for long is denied by nothing of this");
        came.waits
    };
    let aged = waits(|n| 1_000 + u64::from(n % 100), |_| AGENTS[4]);
    let raid = waits(|_| 1_000, |_| AGENTS[4]);
    let crowd = waits(|n| 1_000 + u64::from(n % 100), |n| AGENTS[n as usize % 9 % 5]);
    assert!(aged > 150, "{aged} of 240");
    assert_eq!((raid, crowd), (0, 0));
}

/// Bots among them make nobody a stranger.
#[test]
fn a_crowd_that_bots_hide_in() {
    let waits = |with_bots: bool| {
        let (mut world, mut waits) = (World::warm("enforce"), 0);
        for n in 0..600 {
            // Everybody's usual share of known viewers is nearly all: a third is few enough.
            let from = if n % 3 == 0 { honest(n) } else { home(n) };
            let decision = world.ask(asks(ROOM, from, AGENTS[n as usize % 9 % 5]));
            waits += u32::from(decision.verdict() != Verdict::Allow);
            world.wait(150);
            if with_bots && n % 2 == 0 {
                world.ask(asks(ROOM, home(10_000 + n), "curl/8.0"));
                world.wait(150);
            }
        }
        waits
    };
    let (alone, beside_bots) = (waits(false), waits(true));
    assert!(beside_bots <= alone + 12, "{alone} wait, beside bots {beside_bots}");
}

/// One key in every copy of an app that few have: what brought so many of the app brought as many of the key. Whoever stole one has
/// the program of others.
#[test]
fn a_small_app_with_a_paid_key_in_it() {
    let crowd = |agent: &str| {
        let mut world = warm();
        // In five rooms: it takes eight for the key to be seen to be an app's.
        for n in 0..60 {
            let asked = asks(Room::Id(1_000 + u64::from(n) % 5), home(n), "fans/1");
            world.ask(keyed(asked, "k_fans", "paid"));
            world.wait(2_000);
        }
        go_on(&mut world);
        come_to(
            &mut world,
            (100..700).map(|n| match n % 5 {
                0 | 1 => keyed(asks(ROOM, home(n), agent), "k_fans", "paid"),
                _ => asks(ROOM, home(n), AGENTS[n as usize % 9 % 5]),
            }),
        )
    };
    let (fans, thieves) = (crowd("fans/1"), crowd(AGENTS[0]));
    assert_eq!(fans.denied, 0, "{fans:?}");
    assert!(fans.waits > 0, "{fans:?}: nothing was held against them, so nothing is shown");
    assert!(thieves.denied > 100, "of 240: {thieves:?}");
}

/// Whoever waited as it was told is no second viewer at its address; those who come back in company are in company still.
#[test]
fn those_who_wait_and_ask_again() {
    let keys = keys(300);
    let rounds = |each: u32| {
        let mut world = warm();
        [(); 4].map(|()| {
            let asking = (0..300u32)
                .zip(&keys)
                .map(|(n, key)| keyed(asks(ROOM, home(n / each), AGENTS[3]), key, "free"));
            let came = come_to(&mut world, asking);
            world.wait(520_000);
            came
        })
    };
    for (round, (alone, in_company)) in rounds(1).into_iter().zip(rounds(3)).enumerate() {
        only_wait(&alone, &in_company);
        assert!(round == 0 || alone.waits > 200, "{round}: {alone:?}");
    }
}

/// What came in minutes is not what the room usually has, or nobody would notice what comes after it.
#[test]
fn a_crowd_and_the_bots_that_come_after_it() {
    // However slowly others come before it, without an alarm.
    for trickle in [0, 120] {
        let mut world = World::warm("enforce");
        for n in 0..trickle {
            world.ask(asks(ROOM, honest(20_000 + n), AGENTS[n as usize % 9 % 5]));
            world.wait(15_500);
        }
        // Four in ten were here before.
        let from = |n: u32| if n % 5 < 2 { honest(n) } else { honest(10_000 + n) };
        let crowd = (0..1_500).map(|n| asks(ROOM, from(n), AGENTS[n as usize % 9 % 5]));
        let crowd = come_to(&mut world, crowd);
        assert!(crowd.denied == 0 && crowd.waits < 50, "{crowd:?}");
        world.wait(900_000);
        let mut admitted = 0;
        for bot in 0..200 {
            admitted += u32::from(world.ask(asks(ROOM, bot_at(bot), "curl/8.0")).verdict() == Verdict::Allow);
            world.wait(1_500);
        }
        assert!(admitted <= 30, "{admitted} of 200 got in");
    }
}

/// A busy room has a raid of twice as many for a quarter of an hour: it is calm again with its own audience soon after.
#[test]
fn a_raid_on_a_busy_room() {
    let mut world = World::warm("enforce");
    let mut came = 0;
    let mut minutes = |world: &mut World, minutes: u32, millis: u64| {
        for _ in 0..minutes * 60_000 / millis as u32 {
            came += 1;
            let from = if came % 5 < 3 { honest(came % 4_000) } else { honest(10_000 + came) };
            let decision = world.ask(asks(ROOM, from, AGENTS[came as usize % 9 % 5]));
            assert_ne!(decision.verdict(), Verdict::Deny, "{came}");
            world.wait(millis);
        }
    };
    minutes(&mut world, 90, 2_000);
    assert!(world.sum() <= 0.0, "30 a minute are usual by now");
    minutes(&mut world, 15, 700);
    assert!(world.sum() > 10.0, "it is noticed");
    minutes(&mut world, 5, 2_000);
    assert!(world.sum() <= 0.0, "{}", world.sum());
}
