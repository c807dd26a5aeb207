//! Generators that work on to the end, whoever still waits.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// What a generator works on, as it sees it itself: it does not notice when nobody waits any more.
#[derive(Default)]
struct Seen {
    begun: AtomicU32,
    now: AtomicU32,
    most: AtomicU32,
}

impl Seen {
    /// A generator that is seen, and works so long on everything.
    fn working(took: Duration) -> (Arc<Self>, Play) {
        let seen = Arc::<Self>::default();
        let working = Arc::clone(&seen);
        let play = Play::new(move || {
            working.begun.fetch_add(1, Ordering::Relaxed);
            let now = working.now.fetch_add(1, Ordering::Relaxed) + 1;
            working.most.fetch_max(now, Ordering::Relaxed);
            let ending = Arc::clone(&working);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(took).await;
                ending.now.fetch_sub(1, Ordering::Relaxed);
            });
            async move {
                tokio::time::sleep(took).await;
                true
            }
        });
        (seen, play.working_on_for(Duration::from_secs(5)))
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_hung_up_on_is_finished_before_more_is_asked() {
    let (seen, play) = Seen::working(1_000 * MS);
    let world = World::with(vec![play], Settings::default(), 1);
    let last = world
        .run(async {
            for _ in 0..8 {
                let hung_up = tokio::time::timeout(100 * MS, world.ask(Operation::SignUrl)).await;
                assert!(hung_up.is_err());
            }
            world.ask(Operation::SignUrl).await
        })
        .await;
    assert!(last.is_good(), "{:?}", last.outcome.end);
    assert!(last.took < 1_300 * MS, "{:?}: the rest of the first one's second, and its own", last.took);
    assert_eq!((seen.most(), seen.begun()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_was_overtaken_is_finished_before_more_is_asked() {
    let (one, first) = Seen::working(1_000 * MS);
    let (other, second) = Seen::working(1_000 * MS);
    let world = World::with(vec![first, second], Settings::default(), 1);
    let overtaken = world
        .run(async {
            let mut overtaken = 0;
            for _ in 0..12 {
                let asked = world.ask(Operation::SignUrl).await;
                assert!(asked.is_good(), "{:?}", asked.outcome.end);
                overtaken += u32::from(asked.words().contains(&"overtaken"));
            }
            overtaken
        })
        .await;
    assert!(overtaken > 0);
    assert_eq!((one.most(), other.most()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_more_time_leaves_and_the_work_has_its_own() {
    let (seen, play) = Seen::working(60_000 * MS);
    let world = World::with(vec![play], Settings::default(), 1);
    world
        .run(async {
            let began = Instant::now();
            let question = question(Operation::SignUrl);
            let outcome = answered(&world.fleet, &question, asker(), began + 1_000 * MS).await;
            assert!(
                matches!(outcome.end, End::Failed(Failure::Wire(WireError::TimedOut(_)))),
                "{:?}",
                outcome.end
            );
            assert_eq!(began.elapsed(), 1_000 * MS);
            tokio::time::sleep_until(began + 4_999 * MS).await;
            assert_eq!((seen.begun(), world.fleet.roster.all()[0].in_flight()), (1, 1));
            // By now it has given up, and the keeper may see how it is.
            tokio::time::sleep_until(began + 10_000 * MS).await;
            assert!(seen.begun() > 1);
        })
        .await;
}

/// What a request waits for a generator is part of its client's time, not before it.
#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_waiting_and_work_together() {
    let calls = AtomicU32::new(0);
    let play = Play::new(move || {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            tokio::time::sleep(if is_first { 1_500 * MS } else { 60_000 * MS }).await;
            true
        }
    });
    let world = World::with(vec![play], Settings::default(), 1);
    let (first, second) = world
        .run(async {
            // As long as Node 1.x is given.
            let late = async {
                let (began, question) = (Instant::now(), question(Operation::SignUrl));
                let outcome = answered(&world.fleet, &question, asker(), began + 4_700 * MS).await;
                Asked { outcome, took: began.elapsed() }
            };
            tokio::join!(world.ask(Operation::SignUrl), late)
        })
        .await;
    assert!(first.is_good(), "{:?}", first.outcome.end);
    assert!(matches!(second.outcome.end, End::Failed(Failure::Wire(WireError::TimedOut(_)))));
    assert_eq!((second.outcome.queued, second.took), (Some(1_500 * MS), 4_700 * MS));
}
