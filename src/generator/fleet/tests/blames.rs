//! Generators that say of requests that they are at fault, rightly or not.

use super::super::super::canary::Behind;
use super::*;

/// Blames every request, as one does whose session has run out.
fn blames_all() -> Play {
    Play::by_status(MS, |_| 404)
}

#[tokio::test(start_paused = true)]
async fn one_that_blames_every_request_is_believed_once_and_ejected() {
    for others in 1..3 {
        let good = (0..others).map(|_| Play::good(20 * MS));
        let world = World::of(std::iter::once(blames_all()).chain(good).collect());
        world
            .run(async {
                // It is hardly asked again, so that it is the probe of who got nothing for long that finds it out.
                let early = world.load(50, 60).await;
                let blamed = early.iter().filter(|asked| !asked.is_good()).count();
                assert!(blamed <= 1, "{blamed} of 3,000 with {others} others");
                let serving = world.fleet.roster.serving();
                assert!(!serving.contains(0) && serving.len() == others, "{serving:?}");
                // A probe of it is blamed like all else, and what it is asked for works with the others.
                let late = world.load(50, 60).await;
                assert!(share_good(&late) >= 1.0);
                assert!(!world.fleet.roster.serving().contains(0) && world.asked(0, Cause::Probe) > 0);
            })
            .await;
    }
}

/// They must not bear witness for each other.
#[tokio::test(start_paused = true)]
async fn two_of_three_that_blame_every_request_are_found_out() {
    let world = World::of(vec![blames_all(), Play::good(20 * MS), blames_all()]);
    world
        .run(async {
            let early = world.load(50, 60).await;
            let blamed = early.iter().filter(|asked| !asked.is_good()).count();
            assert!(blamed <= 4, "{blamed} of 3,000");
            assert!(share_good(&world.load(50, 30).await) >= 1.0);
            assert_eq!(world.fleet.roster.serving(), Places::NONE.with(1));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_is_blamed_by_one_that_blames_far_more_than_the_others_is_helped() {
    let part = |room| if matches!(room, Some(Room::Id(room)) if room % 10 < 4) { 400 } else { 200 };
    let world = World::of(vec![Play::by_status(20 * MS, part), Play::good(20 * MS)]);
    world
        .run(async {
            // In turns good and bad, so that hardly two in a row are blamed.
            let early = world.load_of(50, 10, |n| (n as u8, n * 3)).await;
            assert!(share_good(&early) > 0.97, "{}", share_good(&early));
        })
        .await;
}

/// Asks one of them, again and again, for what only the other can do.
#[tokio::test(start_paused = true)]
async fn one_caller_cannot_have_a_generator_ejected_for_what_only_another_can_do() {
    let only_other = |room| if room == Some(Room::Id(9)) { 402 } else { 200 };
    let world = World::of(vec![Play::by_status(20 * MS, only_other), Play::good(20 * MS)]);
    world
        .run(async {
            let asked = world.load_of(50, 30, |_| (7, 9)).await;
            assert!(share_good(&asked) > 0.9, "{}", share_good(&asked));
            assert_eq!(world.fleet.roster.serving().len(), 2);
            let others = world.load_of(50, 10, |n| (n as u8, 1_000 + n)).await;
            assert!(share_good(&others) >= 1.0);
            assert_eq!(world.fleet.roster.serving().len(), 2);
        })
        .await;
}

/// The word of one that is doubted counts for nothing while the other makes a signature.
#[tokio::test(start_paused = true)]
async fn who_checks_a_doubted_word_may_take_its_time() {
    let world = World::of(vec![blames_all(), Play::good(800 * MS), Play::good(800 * MS)]);
    world
        .run(async {
            let asked = world.load(5, 20).await;
            assert!(share_good(&asked) >= 1.0, "{}", share_good(&asked));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_at_fault_everywhere_is_told_so_and_nobody_is_held_to_blame() {
    let ended = |room| if matches!(room, Some(Room::Id(room)) if room % 2 == 0) { 404 } else { 200 };
    let world = World::of((0..3).map(|_| Play::by_status(20 * MS, ended)).collect());
    world
        .run(async {
            // One caller asks for nothing but rooms that have ended, then others ask for others as well.
            let alone = world.load_of(30, 10, |_| (1, 2)).await;
            assert!(alone.iter().all(|asked| matches!(asked.outcome.end, End::BlamesRequest(404))));
            let asked: usize = alone.iter().map(|asked| asked.words().len()).sum();
            assert!(asked < 2 * alone.len(), "{asked}: every other is taken at its word");
            let mixed = world.load_of(30, 20, |n| (n as u8, n)).await;
            assert!((share_good(&mixed) - 0.5).abs() < 0.01);
            assert_eq!(world.fleet.roster.serving().len(), 3);
        })
        .await;
}

/// The other one's good answer is on its way.
#[tokio::test(start_paused = true)]
async fn a_hedge_that_blames_the_request_is_not_taken_at_its_word() {
    for slow in [0, 1] {
        let mut plays = vec![Play::by_status(300 * MS, |_| 200), blames_all()];
        plays.rotate_left(slow);
        let world = World::of(plays);
        let good =
            world.run(async { (world.ask(Operation::Connect).await, world.ask(Operation::Connect).await) });
        let (first, second) = good.await;
        let hedged = [first, second].into_iter().find(|asked| asked.words().len() == 2);
        assert!(hedged.is_none_or(|asked| asked.is_good()));
    }
    // One that did its work before is waited with for a moment.
    let hangs = World::of(vec![Play::hangs(), blames_all()]);
    hangs.fleet.roster.all()[1].tally.good();
    let asked = hangs.run(hangs.ask(Operation::Connect)).await;
    assert!(matches!(asked.outcome.end, End::BlamesRequest(404)) && asked.took < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_blames_every_request_falls_behind() {
    let now = Timestamp::from_secs(1_000);
    let of = |name, play| Generator::new(name, name, Kind::Played(play), Judge::of_stand_in(), 1_000, 1);
    let all = vec![of("old", Play::good(20 * MS)), of("new", blames_all()).on_trial(Trial::new("old", 0.3))];
    let roster = Arc::new(Roster::new(all, Settings::default(), now));
    let world = World { fleet: Rc::new(Fleet::new(roster, 7)), metrics: Arc::new(Metrics::new(now)) };
    world
        .run(async {
            let asked = world.load_of(50, 60, |n| (n as u8, n)).await;
            assert!(asked.iter().filter(|asked| !asked.is_good()).count() <= 1);
            assert_eq!(world.fleet.roster.serving(), Places::NONE.with(0));
        })
        .await;
    // By its probes.
    let behind = world.fleet.roster.compare(Duration::from_secs(1));
    assert_eq!(behind, [(1, Behind::Success)]);
}

/// Whoever of the two is asked first.
#[tokio::test(start_paused = true)]
async fn what_a_doubted_one_says_after_another_failed_is_no_answer() {
    let mut first = Vec::new();
    for plays in [vec![Play::bad(), blames_all()], vec![blames_all(), Play::bad()]] {
        let world = World::of(plays);
        let asked = world.run(world.ask(Operation::Connect)).await;
        assert!(matches!(asked.outcome.end, End::Failed(_)), "{:?}", asked.words());
        first.push(asked.words()[0]);
    }
    assert!(first.contains(&"blames the request") && first[0] != first[1], "{first:?}");
}
