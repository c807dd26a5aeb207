use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::adapters::Kind;
use super::super::judge::Judge;
use super::super::keeper::Keeper;
use super::super::played::Play;
use super::super::roster::Payer;
use super::super::settings::Settings;
use super::super::trial::Trial;
use super::super::wire::Method;
use super::*;
use crate::base::net::Prefix;
use crate::base::time::Timestamp;
use crate::telemetry::metrics::Metrics;

mod blames;
mod choice;
mod unattended;

const MS: Duration = Duration::from_millis(1);

fn question(operation: Operation) -> Question<'static> {
    Question {
        operation,
        room: Some(Room::Id(7_300_000_000_000_000_001)),
        url: Some("https://webcast.tiktok.com/webcast/im/fetch/?room_id=7300000000000000001"),
        browser_user_agent: &|| None,
        method: Method::Get,
        target: "/webcast/fetch?room_id=7300000000000000001",
        headers: &[],
        body: None,
    }
}

fn asker() -> Asker<'static> {
    Asker { payer: Payer::Proxy(Prefix::proxy(std::net::IpAddr::from([203, 0, 113, 7]))), rank: 0 }
}

/// Generators that are played, one thread's view of them, and what runs beside.
struct World {
    fleet: Rc<Fleet>,
    metrics: Arc<Metrics>,
}

impl World {
    fn of(plays: Vec<Play>) -> Self {
        Self::with(plays, Settings::default(), 1_000)
    }

    fn with(plays: Vec<Play>, settings: Settings, in_flight_max: u32) -> Self {
        let names = ["g0", "g1", "g2", "g3"];
        let all = plays.into_iter().zip(names).map(|(play, name)| {
            Generator::new(name, name, Kind::Played(play), Judge::of_stand_in(), in_flight_max, 1)
        });
        let now = Timestamp::from_secs(1_000);
        let roster = Arc::new(Roster::new(all.collect(), settings, now));
        Self { fleet: Rc::new(Fleet::new(roster, 7)), metrics: Arc::new(Metrics::new(now)) }
    }

    /// Runs in virtual time, with the keeper and the bell beside.
    async fn run<F: Future>(&self, act: F) -> F::Output {
        let roster = Arc::clone(self.fleet.roster());
        let keeper = Keeper::new(Arc::clone(&roster), Arc::clone(&self.metrics));
        let probes = Rc::new(Fleet::new(roster, 9));
        let local = tokio::task::LocalSet::new();
        let act = Box::pin(act);
        local
            .run_until(Box::pin(async {
                tokio::select! {
                    biased;
                    output = act => output,
                    _ = self.fleet.keep_time() => unreachable!(),
                    () = keeper.run(probes) => unreachable!(),
                }
            }))
            .await
    }

    async fn ask(&self, operation: Operation) -> Asked {
        Box::pin(ask(&self.fleet, operation)).await
    }

    /// The same of callers and rooms of their own: the `n`th request is that caller's, and for that room.
    async fn load_of(&self, per_second: u32, secs: u64, who: impl Fn(u64) -> (u8, u64)) -> Vec<Asked> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        let mut running = tokio::task::JoinSet::new();
        for n in 0..u64::from(per_second) * secs {
            ticks.tick().await;
            let (fleet, (caller, room)) = (Rc::clone(&self.fleet), who(n));
            running.spawn_local(async move {
                let question = Question { room: Some(Room::Id(room)), ..question(Operation::Connect) };
                let asker = Asker {
                    payer: Payer::Proxy(Prefix::proxy(std::net::IpAddr::from([203, 0, 113, caller]))),
                    rank: 0,
                };
                let began = Instant::now();
                let outcome = answered(&fleet, &question, asker, began + Duration::from_secs(14)).await;
                Asked { outcome, took: began.elapsed() }
            });
        }
        running.join_all().await
    }

    /// Asks so often a second for so long, and waits for all answers.
    async fn load(&self, per_second: u32, secs: u64) -> Vec<Asked> {
        self.load_to(Operation::Connect, per_second, secs).await
    }

    async fn load_to(&self, operation: Operation, per_second: u32, secs: u64) -> Vec<Asked> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..u64::from(per_second) * secs {
            ticks.tick().await;
            let fleet = Rc::clone(&self.fleet);
            running.spawn_local(async move { ask(&fleet, operation).await });
        }
        running.join_all().await
    }

    /// Asks so many at the same moment.
    async fn at_once(&self, count: usize) -> Vec<Asked> {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..count {
            let fleet = Rc::clone(&self.fleet);
            running.spawn_local(async move { ask(&fleet, Operation::Connect).await });
        }
        running.join_all().await
    }

    fn asked(&self, place: usize, cause: Cause) -> u32 {
        self.fleet.roster.all()[place].asked_for(cause as usize)
    }
}

#[derive(Debug)]
struct Asked {
    outcome: Outcome,
    took: Duration,
}

impl Asked {
    fn is_good(&self) -> bool {
        matches!(self.outcome.end, End::Good(..))
    }

    fn words(&self) -> Vec<&'static str> {
        self.outcome.attempts.iter().flatten().map(|attempt| attempt.mark.word()).collect()
    }
}

/// As the gateway asks: who is to be turned away is.
async fn answered(fleet: &Fleet, question: &Question<'_>, asker: Asker<'_>, deadline: Instant) -> Outcome {
    match fleet.turn_away(question.operation, asker) {
        Some(failure) => Outcome::without(failure, None),
        None => fleet.ask(question, asker, deadline).await,
    }
}

async fn ask(fleet: &Fleet, operation: Operation) -> Asked {
    let question = question(operation);
    let began = Instant::now();
    let outcome = answered(fleet, &question, asker(), began + Duration::from_secs(14)).await;
    Asked { outcome, took: began.elapsed() }
}

fn quantile(asked: &[Asked], per_mille: usize) -> Duration {
    let mut took: Vec<_> = asked.iter().map(|asked| asked.took).collect();
    took.sort_unstable();
    took[(took.len() * per_mille / 1_000).min(took.len() - 1)]
}

fn share_good(asked: &[Asked]) -> f64 {
    asked.iter().filter(|asked| asked.is_good()).count() as f64 / asked.len() as f64
}

#[tokio::test(start_paused = true)]
async fn two_failures_are_mended_by_a_third_generator() {
    for bad in [[0, 1], [1, 2], [0, 2]] {
        let plays = (0..3).map(|place| if bad.contains(&place) { Play::bad() } else { Play::good(20 * MS) });
        let world = World::of(plays.collect());
        let asked = world.ask(Operation::Connect).await;
        assert!(asked.is_good(), "{:?}", asked.outcome.end);
        assert_eq!(asked.words().last(), Some(&"good"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_chat_message_is_sent_once() {
    let world = World::of((0..3).map(|_| Play::bad()).collect());
    let asked = world.ask(Operation::Chat).await;
    assert_eq!(asked.words(), ["server error"]);
    let slow = World::of((0..3).map(|_| Play::good(Duration::from_secs(5))).collect());
    let asked = slow.run(slow.ask(Operation::Chat)).await;
    assert_eq!(asked.words(), ["good"], "nor hedged");
}

#[tokio::test(start_paused = true)]
async fn what_takes_long_is_asked_of_another_and_the_loser_is_dropped() {
    let world = World::of(vec![Play::hangs(), Play::hangs(), Play::good(20 * MS)]);
    let asked = world.run(world.ask(Operation::Connect)).await;
    assert!(asked.is_good());
    assert!(asked.took <= 350 * MS, "{:?}: nothing is known yet: 150 ms each", asked.took);
    assert!(world.fleet.roster.all().iter().all(|generator| generator.in_flight() == 0));
}

#[tokio::test(start_paused = true)]
async fn without_hedging_only_what_hangs_is_asked_again() {
    let settings = Settings { hedge: false, ..Settings::default() };
    let plays = vec![Play::hangs(), Play::good(20 * MS)];
    let world = World::with(plays, settings, 1_000);
    let asked = world.run(async { world.load(50, 3).await }).await;
    assert!(share_good(&asked) >= 1.0);
    assert!(quantile(&asked, 1_000) <= Duration::from_millis(1_100), "{:?}", quantile(&asked, 1_000));
}

/// The goal: any two of three in any mood; after five seconds 99.9 % good, 99 of 100 within 300 ms.
#[tokio::test(start_paused = true)]
async fn any_two_of_three_may_be_in_any_mood() {
    type Mood = (&'static str, fn() -> Play);
    let moods: [Mood; 7] = [
        ("bad", Play::bad),
        ("hangs", Play::hangs),
        ("slow", || Play::good(Duration::from_secs(2))),
        ("very slow", || Play::good(Duration::from_secs(20))),
        ("bad and late", || {
            Play::new(|| async {
                tokio::time::sleep(400 * MS).await;
                false
            })
        }),
        ("flaps every two seconds", || {
            let start = Instant::now();
            Play::new(move || async move {
                tokio::time::sleep(20 * MS).await;
                !(start.elapsed().as_secs() / 2).is_multiple_of(2)
            })
        }),
        ("hangs every two seconds", || {
            let start = Instant::now();
            Play::new(move || async move {
                if (start.elapsed().as_secs() / 2).is_multiple_of(2) {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(20 * MS).await;
                true
            })
        }),
    ];
    for per_second in [20, 200] {
        for (place, one) in moods.iter().enumerate() {
            for other in &moods[place..] {
                let world = World::of(vec![(one.1)(), (other.1)(), Play::good(20 * MS)]);
                let (early, late) = world
                    .run(async { (world.load(per_second, 5).await, world.load(per_second, 15).await) })
                    .await;
                let what = format!("{} + {} at {per_second}/s", one.0, other.0);
                let p99 = quantile(&late, 990);
                assert!(share_good(&late) >= 0.999, "{what}: {} good", share_good(&late));
                assert!(p99 <= 300 * MS, "{what}: p99 {p99:?}");
                assert!(share_good(&early) >= 0.9, "{what}: {} good at the start", share_good(&early));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retries_and_hedges_keep_within_their_budget() {
    // All alike, so nobody is ejected for being worse: half of what each gives is bad.
    let half = || {
        let count = std::sync::atomic::AtomicU32::new(0);
        Play::new(move || {
            let bad = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2);
            async move { !bad }
        })
    };
    let world = World::of(vec![half(), half(), half()]);
    let asked = world.run(world.load(500, 20)).await;
    let more: u32 =
        (0..3).map(|place| world.asked(place, Cause::Retry) + world.asked(place, Cause::Hedge)).sum();
    assert!(more <= asked.len() as u32 / 5 + 20, "{more} of {}", asked.len());
    assert!(more >= asked.len() as u32 / 6, "{more}: it is used");
    assert!(world.fleet.roster.budget_exhausted() > 0);
}

#[tokio::test(start_paused = true)]
async fn with_all_out_a_trickle_is_tried_and_the_rest_is_told_at_once() {
    let world = World::of(vec![Play::hangs(), Play::bad(), Play::bad()]);
    let asked = world
        .run(async {
            world.load(200, 30).await;
            assert!(world.fleet.roster.serving().is_empty());
            world.load(1_000, 10).await
        })
        .await;
    let refused: Vec<_> = asked
        .iter()
        .filter_map(|asked| match asked.outcome.end {
            End::Failed(Failure::NoCapacity(Lack::AllOut, wait)) => Some((asked.took, wait)),
            _ => None,
        })
        .collect();
    let tried = asked.len() - refused.len();
    assert!((180..=230).contains(&tried), "{tried}: 2 % of 1,000 a second");
    let told = world.fleet.roster.shedding.chance(0);
    assert!(told > 0.9, "{told}: whoever asks for its limits is told that nearly all are refused");
    assert!(refused.iter().all(|(took, _)| *took < MS), "at once");
    assert!(refused.iter().all(|(_, wait)| *wait >= Duration::from_secs(20) && *wait <= ALL_OUT_WAIT_MAX));
}

#[tokio::test(start_paused = true)]
async fn when_one_works_again_it_is_found_within_two_seconds_and_not_by_users() {
    let start = Instant::now();
    let until_30 = move || async move {
        tokio::time::sleep(20 * MS).await;
        start.elapsed().as_secs() >= 30
    };
    let world = World::of(vec![Play::new(until_30), Play::bad()]);
    let late = world
        .run(async {
            world.load(100, 30).await;
            world.load(100, 2).await;
            world.load(100, 10).await
        })
        .await;
    assert!(share_good(&late) >= 0.999, "{}", share_good(&late));
    assert!(world.asked(0, Cause::Probe) > 0);
}

const BAD_ROOM: u64 = 66;

/// One caller repeats requests that fail wherever they are asked, with hardly anybody else there.
#[tokio::test(start_paused = true)]
async fn a_request_that_fails_everywhere_ejects_nobody() {
    for (honest, rooms) in [(false, 1), (false, 50), (true, 1), (true, 50)] {
        // Good for everybody at first: the gateway has learned the very room for its probes.
        let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let play = || {
            let ended = Arc::clone(&ended);
            Play::by_room(move |room| match room {
                Some(Room::Id(BAD_ROOM)) => !ended.load(std::sync::atomic::Ordering::Relaxed),
                Some(Room::Id(room)) => room < BAD_ROOM,
                _ => true,
            })
        };
        let world = World::of(vec![play(), play(), play()]);
        world
            .run(async {
                world.load_of(5, 2, |_| (1, BAD_ROOM)).await;
                ended.store(true, std::sync::atomic::Ordering::Relaxed);
                for second in 0..30 {
                    let who = |n| if honest && n == 7 { (2, 5) } else { (1, BAD_ROOM + n % rooms) };
                    let asked = world.load_of(20, 1, who).await;
                    let good = asked.iter().filter(|asked| asked.is_good()).count();
                    assert_eq!(good, usize::from(honest), "at second {second}");
                    assert_eq!(all_out(&asked), 0, "at second {second}");
                }
            })
            .await;
        assert_eq!(world.fleet.roster.serving(), Places::first(3));
        let probes: u32 = (0..3).map(|place| world.asked(place, Cause::Probe)).sum();
        assert!(probes <= 3 * 35, "{probes}: it costs few signatures");
    }
}

/// How many were told that no generator works.
fn all_out(asked: &[Asked]) -> usize {
    let is_out =
        |asked: &&Asked| matches!(asked.outcome.end, End::Failed(Failure::NoCapacity(Lack::AllOut, _)));
    asked.iter().filter(is_out).count()
}

/// Connects fail at all of them, and URLs are signed as before: what many callers of many rooms meet is no caller's doing.
#[tokio::test(start_paused = true)]
async fn where_all_fail_at_everybodys_connects_all_are_out() {
    let world = World::of((0..3).map(|_| Play::by_room(|room| room.is_none())).collect());
    world
        .run(async {
            world.load_of(20, 5, |n| (1, n)).await;
            assert_eq!(world.fleet.roster.serving(), Places::first(3), "one caller, whatever rooms");
            world.load_of(20, 5, |n| ((n % 200) as u8, 5)).await;
            assert_eq!(world.fleet.roster.serving(), Places::first(3), "one room, whoever asks");
            let asked = world.load_of(100, 3, |n| ((n % 9) as u8, n)).await;
            assert!(all_out(&asked) > 60, "everybody's: {}", all_out(&asked));
        })
        .await;
}

/// Two of choice avoid one that failed, so nobody's request finds out what is the matter with it.
#[tokio::test(start_paused = true)]
async fn a_single_sick_one_among_good_ones_is_ejected_though_hardly_anybody_asks_it() {
    type Mood = (&'static str, fn() -> Play);
    let sick: [Mood; 4] = [
        ("bad", Play::bad),
        ("hangs", Play::hangs),
        ("takes three seconds", || Play::good(Duration::from_secs(3))),
        ("takes a second", || Play::good(Duration::from_secs(1))),
    ];
    for (mood, sick) in sick {
        // With two a second it takes its time until it is known what is usual.
        for (per_second, secs) in [(2, 120), (20, 45), (200, 45)] {
            let world = World::of(vec![sick(), Play::good(20 * MS), Play::good(20 * MS)]);
            world.run(world.load(per_second, secs)).await;
            assert_eq!(
                world.fleet.roster.serving(),
                Places::first(3).without(0),
                "{mood}, {per_second} a second"
            );
            let probes = world.asked(0, Cause::Probe);
            assert!(probes <= 20, "{mood}: {probes} probes");
        }
    }
}

/// One that failed once and is well is asked once more, and not again and again.
#[tokio::test(start_paused = true)]
async fn a_single_failure_costs_one_probe() {
    let failed = std::sync::atomic::AtomicBool::new(false);
    let once = Play::new(move || {
        let good = failed.swap(true, std::sync::atomic::Ordering::Relaxed);
        async move {
            tokio::time::sleep(20 * MS).await;
            good
        }
    });
    let world = World::of(vec![once, Play::good(20 * MS), Play::good(20 * MS)]);
    world.run(world.load(50, 20)).await;
    assert_eq!(world.fleet.roster.serving(), Places::first(3));
    assert_eq!(world.asked(0, Cause::Probe), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_generator_is_probed_every_half_minute_and_a_busy_one_is_not() {
    let world = World::of(vec![Play::good(20 * MS)]);
    world.run(tokio::time::sleep(Duration::from_secs(95))).await;
    assert_eq!(world.asked(0, Cause::Probe), 3);
    world.run(world.load(1, 60)).await;
    assert_eq!(world.asked(0, Cause::Probe), 3);
}

#[tokio::test(start_paused = true)]
async fn an_idle_generator_that_died_is_out_before_anybody_asks_it() {
    let world = World::of(vec![Play::bad(), Play::good(20 * MS)]);
    world.run(tokio::time::sleep(Duration::from_secs(40))).await;
    assert_eq!(world.fleet.roster.serving(), Places::NONE.with(1));
    assert_eq!(world.asked(0, Cause::First), 0);
}

/// What a second of load came to.
struct Overload {
    /// Good answers a second.
    goodput: f64,
    /// The share of each tier's requests that got one; the cheapest first.
    good: [f64; 2],
    /// What each tier is told.
    told: [f64; 2],
    /// How long the slowest but one in a hundred waited for its good answer, and for its refusal at the door.
    good_p99: Duration,
    shed_p99: Duration,
    /// And for any refusal.
    refused_p99: Duration,
    asked: u32,
    /// What the budget of retries holds at the end.
    retries_left: usize,
}

/// Two generators, each eight at a time of 50 ms: 320 a second. Half of the callers pay.
async fn overload(percent: u32) -> Overload {
    const CAPACITY: u32 = 320;
    let world = World::with(vec![Play::good(50 * MS), Play::good(50 * MS)], Settings::default(), 8);
    let per_second = CAPACITY * percent / 100;
    let answers = world
        .run(async {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            let mut running = tokio::task::JoinSet::new();
            let mut answers = Vec::new();
            for number in 0..per_second * 15 {
                ticks.tick().await;
                let fleet = Rc::clone(&world.fleet);
                running.spawn_local(async move {
                    let rank = (number % 2) as u8;
                    let address = [198, 51, (number / 250 % 250) as u8, (number % 250) as u8];
                    let payer = Payer::Proxy(Prefix::proxy(std::net::IpAddr::from(address)));
                    let began = Instant::now();
                    let question = question(Operation::Connect);
                    // As long as Node 1.x waits.
                    let deadline = began + Duration::from_millis(4_700);
                    let outcome = answered(&fleet, &question, Asker { payer, rank }, deadline).await;
                    (number, rank, Asked { outcome, took: began.elapsed() })
                });
                while let Some(answer) = running.try_join_next() {
                    answers.extend(answer);
                }
            }
            let told = [0, 1].map(|rank| world.fleet.roster.shedding.chance(rank));
            answers.extend(running.join_all().await);
            (answers, told)
        })
        .await;
    let (answers, told) = answers;
    // The first five seconds are for finding out.
    let late: Vec<_> = answers.into_iter().filter(|(number, ..)| *number >= per_second * 5).collect();
    let good_of = |rank: u8| {
        let all: Vec<_> = late.iter().filter(|(_, of, _)| *of == rank).map(|(.., asked)| asked).collect();
        all.iter().filter(|asked| asked.is_good()).count() as f64 / all.len() as f64
    };
    let good = [good_of(0), good_of(1)];
    let (mut fine, mut shed): (Vec<Asked>, Vec<Asked>) = (Vec::new(), Vec::new());
    let mut refused = vec![Duration::ZERO];
    for (.., asked) in late {
        if matches!(asked.outcome.end, End::Failed(Failure::NoCapacity(..))) {
            refused.push(asked.took);
        }
        match asked.outcome.end {
            End::Good(..) => fine.push(asked),
            End::Failed(Failure::NoCapacity(Lack::Shed, _)) => shed.push(asked),
            _ => {}
        }
    }
    let asked = (0..2).map(|place| world.asked(place, Cause::First)).sum();
    let retries_left = std::iter::from_fn(|| world.fleet.roster.budget.draw().then_some(())).count();
    refused.sort_unstable();
    Overload {
        refused_p99: refused[refused.len() * 99 / 100],
        goodput: fine.len() as f64 / 10.0,
        good,
        told,
        good_p99: quantile(&fine, 990),
        shed_p99: if shed.is_empty() { Duration::ZERO } else { quantile(&shed, 990) },
        asked,
        retries_left,
    }
}

/// The goal: at three times the capacity goodput stays at 90 % of its peak, and the cheapest tier goes first.
#[tokio::test(start_paused = true)]
async fn at_three_times_the_capacity_nine_tenths_of_the_peak_are_served() {
    let mut found = Vec::new();
    for percent in [50, 100, 200, 300] {
        let load = overload(percent).await;
        println!(
            "{percent} %: {:.0} good a second (p99 {:?}), of the cheap tier {:.3}, of the dear {:.3}, told {:.2?}, \
             refused within {:?}",
            load.goodput, load.good_p99, load.good[0], load.good[1], load.told, load.refused_p99
        );
        found.push(load);
    }
    let peak = found.iter().map(|load| load.goodput).fold(0.0, f64::max);
    assert!(peak >= 310.0, "{peak}");
    assert!(found[0].good.iter().all(|good| *good >= 1.0), "nobody is refused at half of the capacity");
    assert!(found[0].told.iter().all(|told| *told <= 0.0));
    for load in &found[1..] {
        assert!(load.goodput >= 0.9 * peak, "{} of {peak}", load.goodput);
        assert!(load.good_p99 <= 500 * MS, "{:?}: a queue that stands is held short", load.good_p99);
        assert!(load.refused_p99 <= 100 * MS, "{:?}: nobody waits in vain", load.refused_p99);
        assert!(load.shed_p99 < MS, "turned away at once");
        assert!(
            f64::from(load.asked) <= load.goodput * 15.0 * 1.1,
            "what is refused costs no generator anything"
        );
        let saved = load.goodput * 10.0 / 5.0;
        assert!(
            load.retries_left as f64 <= 1.3 * saved,
            "{} of {saved}: a fifth, of ten seconds",
            load.retries_left
        );
    }
    // At twice the capacity the dear tier alone is what can be served, at three times it is half as much again.
    assert!(found[2].good[1] >= 0.95 && found[2].good[0] <= 0.1, "{:?}", found[2].good);
    assert!(found[3].good[0] <= 0.02 && found[3].good[1] >= 0.6, "{:?}", found[3].good);
    assert!((found[3].told[0] - 1.0).abs() < 0.05, "{:?}: what is told is what happens", found[3].told);
    assert!((found[3].told[1] - (1.0 - found[3].good[1])).abs() < 0.15, "{:?}", found[3].told);
}

/// One of three fails a seventh of what it is asked, too little to be out for it; all have their hands full.
#[tokio::test(start_paused = true)]
async fn while_all_are_busy_what_one_fails_waits_for_another() {
    let asked = AtomicU32::new(0);
    let fails_now_and_then = Play::new(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(50 * MS).await;
            !number.is_multiple_of(7)
        }
    });
    let plays = vec![fails_now_and_then, Play::good(50 * MS), Play::good(50 * MS)];
    let world = World::with(plays, Settings::default(), 8);
    let late = world
        .run(async {
            world.load_of(700, 5, |n| ((n % 200) as u8, n)).await;
            world.load_of(700, 10, |n| ((n % 200) as u8, n)).await
        })
        .await;
    assert_eq!(world.fleet.roster.serving().len(), 3, "it is not out");
    let is_refused = |asked: &&Asked| matches!(asked.outcome.end, End::Failed(Failure::NoCapacity(..)));
    let refused = late.iter().filter(is_refused).count();
    let good = late.iter().filter(|asked| asked.is_good()).count();
    assert!(good >= 4_000 && refused >= 1_000, "{good} good, {refused} refused: they are busy");
    let failed = late.len() - refused - good;
    assert!(failed <= late.len() / 1_000, "{failed} of {good}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_nobody_waits_for_any_more_is_given_back() {
    let world = World::with(vec![Play::bad(), Play::good(20 * MS)], Settings::default(), 1);
    let roster = world.fleet.roster();
    let held = roster.permit_of(1).unwrap();
    let left = || std::iter::from_fn(|| roster.budget.draw().then_some(())).count();
    tokio::time::timeout(50 * MS, world.ask(Operation::Connect)).await.unwrap_err();
    assert_eq!((left(), roster.waiting()), (10, 0));
    drop(held);
}

/// One generator that does one thing at a time, twelve a second: what it can work off in time is not refused.
#[tokio::test(start_paused = true)]
async fn a_burst_waits_and_what_would_come_too_late_is_told_at_once() {
    let world = World::with(vec![Play::good(84 * MS)], Settings::default(), 1);
    let (burst, more) = world
        .run(async {
            // So that it is known how long it takes.
            let steady = world.load(10, 10).await;
            assert!(share_good(&steady) >= 1.0, "five sixths of what it can do");
            let burst = world.at_once(18).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            (burst, world.at_once(60).await)
        })
        .await;
    assert!(share_good(&burst) >= 1.0, "all within two seconds: {}", share_good(&burst));
    let (good, refused): (Vec<_>, Vec<_>) = more.into_iter().partition(Asked::is_good);
    assert!((20..=25).contains(&good.len()), "{} in two seconds", good.len());
    assert!(refused.iter().all(|asked| asked.took < MS), "the rest is told at once");
}

#[tokio::test(start_paused = true)]
async fn one_that_connects_is_not_slow_beside_one_that_only_signs() {
    let signs = Play::good(80 * MS).only(Operation::SignUrl);
    let world = World::of(vec![Play::good(600 * MS), signs]);
    world
        .run(async {
            for _ in 0..10 {
                let (connects, signed) =
                    tokio::join!(world.load(20, 3), world.load_to(Operation::SignUrl, 20, 3));
                assert!(share_good(&connects) >= 1.0 && share_good(&signed) >= 1.0);
            }
            assert_eq!(world.fleet.roster.serving().len(), 2);
        })
        .await;
}

/// The other cannot do it.
#[tokio::test(start_paused = true)]
async fn where_the_only_one_that_connects_is_out_it_is_probed_each_second_and_callers_are_told_how_long_it_lasts()
 {
    let start = Instant::now();
    let broken = Play::new(move || async move { start.elapsed() > Duration::from_secs(40) });
    let world = World::of(vec![broken, Play::good(80 * MS).only(Operation::SignUrl)]);
    world
        .run(async {
            let early = world.load(20, 30).await;
            let waits = early.iter().filter_map(|asked| match asked.outcome.end {
                End::Failed(Failure::NoCapacity(Lack::AllOut, wait)) => Some(wait),
                _ => None,
            });
            assert!(waits.last().is_some_and(|wait| wait > Duration::from_secs(20)));
            let signed = world.load_to(Operation::SignUrl, 20, 10).await;
            assert!(share_good(&signed) >= 1.0);
            world.load(20, 3).await;
            assert!(share_good(&world.load(20, 3).await) >= 1.0, "found within two seconds");
        })
        .await;
}

/// `old`, and `new` that is its canary with a tenth of the traffic.
fn with_canary(old: Play, new: Play) -> World {
    let now = Timestamp::from_secs(1_000);
    let of = |name, play| Generator::new(name, name, Kind::Played(play), Judge::of_stand_in(), 1_000, 1);
    let all = vec![of("old", old), of("new", new).on_trial(Trial::new("old", 0.1))];
    let roster = Arc::new(Roster::new(all, Settings::default(), now));
    World { fleet: Rc::new(Fleet::new(roster, 7)), metrics: Arc::new(Metrics::new(now)) }
}

#[tokio::test(start_paused = true)]
async fn while_all_others_are_out_a_canary_serves_everybody() {
    let world = with_canary(Play::bad(), Play::good(20 * MS));
    world
        .run(async {
            world.load_of(50, 3, |n| (n as u8, n)).await;
            let late = world.load_of(50, 10, |n| (n as u8, n)).await;
            assert!(share_good(&late) >= 1.0, "{}", share_good(&late));
        })
        .await;
}

/// Beside one that is no canary, the slow one would be out.
#[tokio::test(start_paused = true)]
async fn a_canary_that_is_faster_by_far_gets_no_more_than_its_share() {
    let world = with_canary(Play::good(700 * MS), Play::good(100 * MS));
    let asked_at = |place: usize| world.fleet.roster.all()[place].asked_for(Cause::First as usize);
    world
        .run(async {
            world.load_of(50, 20, |n| (n as u8, n)).await;
            let before = [asked_at(0), asked_at(1)];
            let late = world.load_of(50, 10, |n| (n as u8, n)).await;
            let [old, new] = [asked_at(0) - before[0], asked_at(1) - before[1]];
            assert!(share_good(&late) >= 1.0 && world.fleet.roster.serving().len() == 2);
            assert!(new > 0 && new <= (old + new) / 5, "{new} beside {old}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn where_only_a_canary_can_do_it_and_is_out_a_few_requests_try_it() {
    let world = with_canary(Play::good(20 * MS).only(Operation::SignUrl), Play::bad());
    world
        .run(async {
            world.load(50, 5).await;
            assert_eq!(world.fleet.roster.working(Operation::Connect), Places::NONE);
            let tried = world.load(50, 10).await;
            let tried = tried
                .iter()
                .filter(|asked| !matches!(asked.outcome.end, End::Failed(Failure::NoCapacity(..))));
            assert!((20..=150).contains(&tried.count()));
        })
        .await;
}

/// Those that it waited for went out; others that can do it are in service by now.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_one_that_goes_out_is_served_by_the_others() {
    let world = World::with(vec![Play::good(20 * MS), Play::good(20 * MS)], Settings::default(), 1);
    let roster = Arc::clone(world.fleet.roster());
    let serve = |serving| roster.serve(serving, roster.now());
    serve(Places::NONE.with(0));
    let held = roster.permit_of(0).unwrap();
    let goes_out = async {
        tokio::time::sleep(5 * MS).await;
        for serving in [Places::first(2), Places::NONE.with(1)] {
            serve(serving);
        }
    };
    let (asked, ()) = tokio::join!(world.ask(Operation::Connect), goes_out);
    assert!(matches!(asked.outcome.end, End::Good(_, 1)) && asked.took == 25 * MS, "{asked:?}");
    let goes_out_too = async {
        tokio::time::sleep(5 * MS).await;
        serve(Places::NONE);
    };
    let held_too = roster.permit_of(1).unwrap();
    let (asked, ()) = tokio::join!(world.ask(Operation::Connect), goes_out_too);
    assert!(matches!(asked.outcome.end, End::Failed(Failure::NoCapacity(Lack::AllOut, _))), "{asked:?}");
    assert_eq!((asked.took, roster.waiting()), (5 * MS, 0));
    drop((held, held_too));
}
