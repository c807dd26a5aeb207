use super::*;

const RULES: Rules = Rules {
    failures_in_a_row: 5,
    failure_share: 0.2,
    ejected_share_max: 0.7,
    eject_for: Duration::from_secs(1),
    eject_for_max: Duration::from_secs(60),
};

const LOOK: Duration = Duration::from_millis(50);

/// Generators, their tallies and a clock of the test's own.
struct World {
    health: Health,
    tallies: Vec<Tally>,
    now: Timestamp,
}

impl World {
    fn of(count: usize) -> Self {
        let now = Timestamp::from_secs(1_000);
        let tallies = (0..count).map(|_| Tally::default()).collect();
        Self {
            health: Health::new(RULES, vec![Places::first(count); count], Places::first(count), now),
            tallies,
            now,
        }
    }

    fn look(&mut self) -> Vec<Change> {
        self.now = self.now + LOOK;
        self.health.look(|place| &self.tallies[place], self.now)
    }

    /// Looks for so long; before each look `act` marks what happened.
    fn run(&mut self, secs: f64, mut act: impl FnMut(&[Tally], usize)) -> Vec<Change> {
        let looks = Duration::from_secs_f64(secs).as_millis() / LOOK.as_millis();
        (0..looks as usize)
            .flat_map(|look| {
                act(&self.tallies, look);
                self.look()
            })
            .collect()
    }

    fn serving(&self) -> Vec<usize> {
        self.health.serving().iter().collect()
    }
}

fn good(tallies: &[Tally], places: &[usize]) {
    for place in places {
        tallies[*place].good();
    }
}

/// Failures of requests at which another generator did well.
fn bad(tallies: &[Tally], places: &[usize]) {
    for place in places {
        tallies[*place].bad(Some(ORIGIN));
        tallies[*place].vouch();
    }
}

const ORIGIN: Origin = Origin::new(6, 8);

#[test]
fn five_failures_in_a_row_eject_and_four_do_not() {
    let mut world = World::of(3);
    (0..4).for_each(|_| bad(&world.tallies, &[0]));
    assert_eq!(world.look(), []);
    good(&world.tallies, &[0]);
    (0..4).for_each(|_| bad(&world.tallies, &[0]));
    assert_eq!(world.look(), [], "a good answer in between: it lives");
    bad(&world.tallies, &[0]);
    let changes = world.look();
    let expected = Counts { good: 1, bad: 9, vouched: 9, ..Counts::default() };
    assert_eq!(
        changes,
        [Change::Ejected { place: 0, why: Why::Dead, counts: expected, probed_in: RULES.eject_for }]
    );
    assert_eq!(world.serving(), [1, 2]);
}

#[test]
fn two_of_three_that_die_are_both_out_and_the_third_stays() {
    let mut world = World::of(3);
    world.run(1.0, |tallies, _| {
        bad(tallies, &[0, 2]);
        good(tallies, &[1]);
    });
    assert_eq!(world.serving(), [1]);
}

#[test]
fn no_more_are_out_than_the_ceiling_while_any_works() {
    let mut world = World::of(10);
    world.run(2.0, |tallies, _| {
        bad(tallies, &[0, 1, 2, 3, 4, 5, 6, 7, 8]);
        good(tallies, &[9]);
    });
    assert_eq!(world.serving().len(), 3, "seven of ten at most");
    assert!(world.serving().contains(&9));
}

#[test]
fn all_dead_is_a_state_of_its_own() {
    let mut world = World::of(2);
    let changes = world.run(1.0, |tallies, _| bad(tallies, &[0, 1]));
    assert_eq!(changes.iter().filter(|change| **change == Change::AllOut).count(), 1, "{changes:?}");
    assert!(world.serving().is_empty());
    world.run(1.0, |_, _| {});
    assert_eq!(world.health.probes_due(world.now), Places::first(2));
    let changes = world.health.probed(1, true, world.now);
    assert!(matches!(
        changes[..],
        [Change::Recovered { place: 1, .. }, Change::NoLongerAllOut(after)] if after > Duration::from_secs(1)
    ));
    assert_eq!(world.serving(), [1]);
}

#[test]
fn a_single_generator_is_out_only_when_it_is_dead() {
    let mut world = World::of(1);
    let changes =
        world.run(10.0, |tallies, look| if look % 2 == 0 { bad(tallies, &[0]) } else { good(tallies, &[0]) });
    assert_eq!(changes, [], "half of its answers are good: better than none");
    let changes = world.run(0.5, |tallies, _| bad(tallies, &[0]));
    assert!(changes.contains(&Change::AllOut));
    // The second time it would wait for two seconds; while all are out each is probed every second, and so it is said.
    world.health.probed(0, true, world.now);
    let changes = world.run(0.5, |tallies, _| bad(tallies, &[0]));
    assert!(
        matches!(changes[..], [Change::Ejected { probed_in, .. }, Change::AllOut] if probed_in == ALL_OUT_PROBE),
        "{changes:?}"
    );
}

#[test]
fn one_that_fails_a_third_is_worse_than_one_that_does_not() {
    let mut world = World::of(3);
    let changes = world.run(5.0, |tallies, look| {
        good(tallies, &[1, 2]);
        if look % 3 == 0 { bad(tallies, &[0]) } else { good(tallies, &[0]) }
    });
    assert!(matches!(changes[..], [Change::Ejected { place: 0, why: Why::Worse, .. }]), "{changes:?}");
}

#[test]
fn where_all_fail_alike_none_is_worse() {
    // As by clients who ask for what no generator can serve.
    let mut world = World::of(3);
    let changes =
        world.run(
            20.0,
            |tallies, look| {
                if look % 2 == 0 { bad(tallies, &[0, 1, 2]) } else { good(tallies, &[0, 1, 2]) }
            },
        );
    assert_eq!(changes, []);
}

#[test]
fn one_that_is_always_overtaken_is_worse_and_better_than_nothing() {
    let mut world = World::of(2);
    world.run(2.0, |tallies, _| {
        tallies[0].slow();
        good(tallies, &[1]);
    });
    assert_eq!(world.serving(), [1]);
    let changes = world.run(1.0, |tallies, _| bad(tallies, &[1]));
    assert_eq!(world.serving(), [0], "the slow one is taken back when the fast one dies: {changes:?}");
    assert!(!changes.contains(&Change::AllOut));
}

#[test]
fn few_results_are_chance() {
    let mut world = World::of(2);
    let changes = world.run(4.0, |tallies, look| {
        if look % 20 == 0 {
            bad(tallies, &[0]);
            good(tallies, &[0, 1]);
        }
    });
    assert_eq!(changes, []);
}

#[test]
fn each_failed_probe_and_each_relapse_waits_longer() {
    let mut world = World::of(3);
    let mut waits = Vec::new();
    for _ in 0..4 {
        (0..5).for_each(|_| bad(&world.tallies, &[0]));
        for change in world.look() {
            if let Change::Ejected { probed_in, .. } = change {
                waits.push(probed_in.as_secs());
            }
        }
        let mut passed = 0;
        while world.health.probes_due(world.now).is_empty() {
            world.look();
            passed += 1;
        }
        assert_eq!(passed / 20, waits.last().map_or(0, |secs| *secs as usize));
        world.tallies[0].no_failure();
        world.health.probed(0, true, world.now);
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    world.run(61.0, |tallies, _| good(tallies, &[0]));
    (0..5).for_each(|_| bad(&world.tallies, &[0]));
    let changes = world.look();
    assert!(
        matches!(changes[..], [Change::Ejected { probed_in, .. }] if probed_in == RULES.eject_for),
        "a minute of service is forgiven: {changes:?}"
    );
    for expected in [2, 4, 8, 16, 32, 60, 60] {
        while world.health.probes_due(world.now).is_empty() {
            world.look();
        }
        let before = world.now;
        world.health.probed(0, false, world.now);
        while world.health.probes_due(world.now).is_empty() {
            world.look();
        }
        assert_eq!(world.now.since(before).as_secs(), expected);
    }
    assert_eq!(world.serving(), [1, 2], "no client brings it back");
}

#[test]
fn a_client_that_finds_it_working_brings_the_probe_forward() {
    let mut world = World::of(1);
    (0..5).for_each(|_| bad(&world.tallies, &[0]));
    world.look();
    assert!(world.health.probes_due(world.now).is_empty());
    good(&world.tallies, &[0]);
    world.look();
    assert_eq!(world.health.probes_due(world.now), Places::first(1));
}

#[test]
fn what_is_older_than_five_seconds_is_forgotten() {
    let mut world = World::of(2);
    world.run(1.0, |tallies, look| {
        if look < 9 {
            good(tallies, &[0, 1]);
        }
    });
    assert_eq!(world.health.window(0).good, 9);
    world.run(5.1, |_, _| {});
    assert_eq!(world.health.window(0), Counts::default());
}

#[test]
fn failures_to_which_nobody_bears_witness_eject_nobody() {
    let mut world = World::of(3);
    let fail = |tallies: &[Tally]| {
        for tally in tallies {
            tally.bad(Some(ORIGIN));
        }
    };
    assert_eq!(world.run(20.0, |tallies, _| fail(tallies)), [], "whatever is asked");
    // A little honest work beside.
    let changes = world.run(20.0, |tallies, look| {
        fail(tallies);
        if look % 20 < 3 {
            good(tallies, &[look % 20]);
        }
    });
    assert_eq!(changes, []);
    fail(&world.tallies);
    (0..5).for_each(|_| fail(&world.tallies));
    world.tallies[1].vouch();
    let changes = world.look();
    assert!(matches!(changes[..], [Change::Ejected { place: 1, why: Why::Dead, .. }]), "{changes:?}");
}

#[test]
fn failures_of_many_for_many_rooms_are_the_generators_where_a_probe_cannot_tell() {
    let mut world = World::of(2);
    let fail = |tallies: &[Tally], look: usize| {
        let origin = Origin::new((look as u64 % 5) << 1, look as u64 % 7);
        for tally in tallies {
            tally.bad(Some(origin));
        }
    };
    assert_eq!(world.run(2.0, fail), [], "a probe is asked first");
    world.tallies.iter().for_each(Tally::unclear);
    assert!(world.look().contains(&Change::AllOut));
}

#[test]
fn one_that_lags_is_ejected_unless_it_is_the_last() {
    let mut world = World::of(2);
    assert!(matches!(world.health.lags(0, world.now), Some(Change::Ejected { why: Why::Worse, .. })));
    assert_eq!(world.health.lags(0, world.now), None, "it is out");
    assert_eq!(world.health.lags(1, world.now), None, "the last one");
}

#[test]
fn one_that_was_out_before_is_probed_at_once_and_serves_nobody_until_then() {
    let now = Timestamp::from_secs(1_000);
    let mut health = Health::new(RULES, vec![Places::first(3); 3], Places::first(3).without(1), now);
    assert_eq!(
        (health.serving(), health.probes_due(now)),
        (Places::first(3).without(1), Places::NONE.with(1))
    );
    assert!(matches!(health.probed(1, true, now)[..], [Change::Recovered { place: 1, .. }]));
}
