//! Who is asked, how much, and when another is.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::super::stage::{Stage, Wanted};
use super::*;

/// Which share of the first attempts the one at `place` of two got, of what is asked in so long.
async fn share_of(world: &World, place: usize, secs: u64) -> f64 {
    let first = || [0, 1].map(|place| world.asked(place, Cause::First));
    let before = first();
    assert!(share_good(&world.load(200, secs).await) >= 1.0);
    let after = first();
    let [one, other] = [after[0] - before[0], after[1] - before[1]];
    f64::from([one, other][place]) / f64::from(one + other)
}

/// The one at `place` of two that are alike has just come into service: of ten requests at a time it gets few at first, and
/// half once its slow start is over.
async fn starts_slowly(world: &World, place: usize) {
    let early = share_of(world, place, 3).await;
    assert!((0.02..0.2).contains(&early), "{early} in the first three seconds");
    let more = share_of(world, place, 3).await;
    assert!((early + 0.1..0.45).contains(&more), "{more} in the next ones, after {early}");
    share_of(world, place, 4).await;
    let late = share_of(world, place, 3).await;
    assert!((0.45..0.55).contains(&late), "{late} in the end");
}

/// It was out for long, so that nothing of how it failed is held against it any more.
#[tokio::test(start_paused = true)]
async fn one_that_is_well_again_gets_its_share_by_and_by() {
    let start = Instant::now();
    let back_at = Duration::from_secs(100);
    let recovers = Play::new(move || async move {
        tokio::time::sleep(50 * MS).await;
        start.elapsed() >= back_at
    });
    let world = World::of(vec![recovers, Play::good(50 * MS)]);
    world
        .run(async {
            world.load(20, 5).await;
            assert_eq!(world.fleet.roster.serving(), Places::NONE.with(1));
            while world.fleet.roster.serving().len() < 2 {
                tokio::time::sleep(MS).await;
            }
            starts_slowly(&world, 0).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_a_reload_brings_gets_its_share_by_and_by() {
    let wanted = |name, place: u8| Wanted {
        generator: Generator::new(
            name,
            name,
            Kind::Played(Play::good(50 * MS)),
            Judge::of_stand_in(),
            1_000,
            1,
        ),
        fingerprint: [place; 32],
    };
    let now = Timestamp::from_secs(1_000);
    let stage = Stage::new(vec![wanted("a", 1)], Settings::default(), now);
    let world = |stage: &Stage| World {
        fleet: Rc::new(Fleet::new(stage.roster(), 7)),
        metrics: Arc::new(Metrics::new(now)),
    };
    let before = world(&stage);
    before.run(before.load(200, 5)).await;
    stage.set(vec![wanted("a", 1), wanted("b", 2)], Settings::default(), stage.roster().now()).unwrap();
    let after = world(&stage);
    after.run(starts_slowly(&after, 1)).await;
}

/// Whoever looks after the generators begins a moment after the first request, and anew with each reload.
#[tokio::test(start_paused = true)]
async fn what_was_asked_while_nobody_looked_is_in_the_metrics() {
    let world = World::of(vec![Play::good(20 * MS)]);
    let tells = |times: u32| {
        let name = &world.fleet.roster.all()[0].name;
        let line =
            format!("signgate_generator_attempts_total{{cause=\"first\",generator=\"{name}\"}} {times}\n");
        let text = world.metrics.text();
        assert!(text.contains(&line), "no {line} in {text}");
    };
    for times in 1..=2 {
        assert!(world.ask(Operation::Connect).await.is_good());
        world.run(tokio::time::sleep(100 * MS)).await;
        tells(times);
    }
}

#[tokio::test(start_paused = true)]
async fn another_is_asked_when_one_takes_longer_than_it_usually_does() {
    let hangs = Arc::new(AtomicBool::new(false));
    let play = || {
        let hangs = Arc::clone(&hangs);
        Play::new(move || {
            let hangs = hangs.swap(false, Ordering::Relaxed);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(40 * MS).await;
                true
            }
        })
    };
    let world = World::of(vec![play(), play()]);
    let asked = world
        .run(async {
            world.load(50, 4).await;
            hangs.store(true, Ordering::Relaxed);
            world.ask(Operation::Connect).await
        })
        .await;
    assert_eq!(asked.words(), ["overtaken", "good"]);
    let hedge = asked.outcome.attempts[1].unwrap();
    let after = asked.took.saturating_sub(hedge.took);
    assert_eq!(hedge.cause, Cause::Hedge);
    assert!((40 * MS..=60 * MS).contains(&after), "{after:?}");
}

/// Of one that was good the last time least is known to be bad; of one that was waited for in vain, most.
#[tokio::test(start_paused = true)]
async fn while_all_are_out_the_least_bad_is_tried() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let rarely_good = Play::new(move || {
        let good = count.fetch_add(1, Ordering::Relaxed) % 4 == 3;
        async move {
            tokio::time::sleep(20 * MS).await;
            good
        }
    });
    let world = World::of(vec![Play::hangs(), Play::bad(), rarely_good]);
    let roster = world.fleet.roster();
    // Nobody looks after them: none is probed, and none comes back.
    roster.serve(Places::NONE, roster.now());
    let mut tried = Vec::new();
    for _ in 0..60 {
        roster.trickle.give_back();
        let asked = world.ask(Operation::Connect).await;
        let attempts: Vec<_> = asked.outcome.attempts.iter().flatten().collect();
        assert_eq!(attempts.len(), 1, "{:?}", asked.outcome);
        tried.push((attempts[0].generator, asked.is_good()));
        tokio::time::sleep(100 * MS).await;
    }
    let times = |place| tried.iter().filter(|(tried, _)| *tried == place).count();
    assert_eq!(times(0), 1, "once, as nothing was known of it: {tried:?}");
    assert!(times(2) > times(1), "{tried:?}");
    let after_good = tried.windows(2).filter(|two| two[0].1).map(|two| two[1].0);
    assert!(after_good.clone().count() >= 5 && after_good.clone().all(|next| next == 2), "{tried:?}");
}
