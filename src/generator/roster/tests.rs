use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::super::adapters::Kind;
use super::super::judge::Judge;
use super::*;

fn roster(limits: &[u32]) -> Roster {
    let all = limits
        .iter()
        .map(|max| Generator::new("g", "g", Kind::StandIn, Judge::of_stand_in(), *max, 1))
        .collect();
    Roster::new(all, Settings::default(), Timestamp::from_secs(1_000))
}

fn asker(address: u8) -> Asker<'static> {
    let proxy = Prefix::proxy(std::net::IpAddr::from([203, 0, 113, address]));
    Asker { payer: Payer::Proxy(proxy), rank: 0 }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

#[test]
fn the_less_busy_of_two_is_chosen_and_none_beyond_its_limit() {
    let (roster, draws) = (roster(&[100, 100]), Draws::new(7));
    let both = Places::first(2);
    let permit = || roster.permit(both, &draws, roster.now());
    let mut permits: Vec<_> = (0..100).map(|_| permit().unwrap()).collect();
    assert_eq!((roster.all()[0].in_flight(), roster.all()[1].in_flight()), (50, 50));
    permits.extend((0..100).map(|_| permit().unwrap()));
    assert!(permit().is_none(), "no generator has room");
    drop(permits);
    assert_eq!(roster.all()[0].in_flight(), 0, "permits come back");
}

#[test]
fn a_full_generator_does_not_hide_one_with_room() {
    let (roster, draws) = (roster(&[1, 1, 1, 1]), Draws::new(7));
    let permits: Vec<_> =
        (0..4).map(|_| roster.permit(Places::first(4), &draws, roster.now()).unwrap()).collect();
    assert_eq!(permits.len(), 4);
}

#[test]
fn of_three_to_one_the_heavier_gets_three_quarters() {
    let all =
        [3, 1].map(|weight| Generator::new("g", "g", Kind::StandIn, Judge::of_stand_in(), 1_000, weight));
    let roster = Roster::new(all.into(), Settings::default(), Timestamp::from_secs(1_000));
    for generator in roster.all() {
        generator.latency.answered(Duration::from_millis(20), roster.now());
    }
    let draws = Draws::new(7);
    let permits: Vec<_> =
        (0..400).map(|_| roster.permit(Places::first(2), &draws, roster.now()).unwrap()).collect();
    let heavier = permits.iter().filter(|permit| permit.place == 0).count();
    assert!((295..=305).contains(&heavier), "{heavier}");
}

#[test]
fn one_that_takes_ten_times_as_long_gets_a_tenth_of_the_work() {
    let roster = roster(&[1_000, 1_000]);
    for (generator, takes) in roster.all().iter().zip([200, 20]) {
        generator.latency.answered(Duration::from_millis(takes), roster.now());
    }
    let draws = Draws::new(7);
    let permits: Vec<_> =
        (0..440).map(|_| roster.permit(Places::first(2), &draws, roster.now()).unwrap()).collect();
    let slower = permits.iter().filter(|permit| permit.place == 0).count();
    assert!((36..=42).contains(&slower), "{slower}");
}

#[tokio::test(start_paused = true)]
async fn a_permit_goes_to_the_next_who_waits() {
    let roster = roster(&[1]);
    let held = roster.permit_of(0).unwrap();
    let waits = roster.wait(asker(1), Places::first(1), soon());
    let gives = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(roster.waiting(), 1);
        drop(held);
        assert_eq!((roster.waiting(), roster.all()[0].in_flight()), (0, 1), "held for who waited");
    };
    let (permit, ()) = tokio::join!(waits, gives);
    assert_eq!(permit.unwrap().place, 0);
    assert_eq!(roster.all()[0].in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_and_leaves_no_hole() {
    let roster = roster(&[1]);
    let held = roster.permit_of(0).unwrap();
    let waited = roster.wait(asker(1), Places::first(1), soon()).await;
    assert_eq!(waited.err(), Some(Unserved::TooLong));
    assert_eq!(roster.waiting(), 0);
    drop(held);
    assert!(roster.permit_of(0).is_some());
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_with_a_permit_on_its_way_passes_it_on() {
    let roster = roster(&[1]);
    let held = roster.permit_of(0).unwrap();
    // Polled once, so that they wait.
    let mut gone = Box::pin(roster.wait(asker(1), Places::first(1), soon()));
    let mut second = Box::pin(roster.wait(asker(2), Places::first(1), soon()));
    assert!(poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx).is_pending())).await);
    assert!(poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
    drop(held);
    assert_eq!(roster.waiting(), 1, "the first was served, and has not heard of it yet");
    drop(gone);
    assert_eq!(roster.waiting(), 0);
    drop(second.await.unwrap());
    assert_eq!((roster.waiting(), roster.all()[0].in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn with_nobody_left_in_service_who_could_do_it_all_who_wait_are_told_at_once() {
    let roster = roster(&[1, 1]);
    let _held = (roster.permit_of(0), roster.permit_of(1));
    let start = Instant::now();
    let ends = async {
        for serving in [Places::NONE.with(1), Places::NONE] {
            tokio::time::sleep(Duration::from_millis(5)).await;
            roster.serve(serving, roster.now());
        }
    };
    let wait = async |places: Places| {
        let waited = roster.wait(asker(1), places, soon()).await;
        (waited.err(), start.elapsed().as_millis())
    };
    let (by_one, by_any, ()) = tokio::join!(wait(Places::NONE.with(0)), wait(Places::first(2)), ends);
    assert_eq!((by_one, by_any), ((Some(Unserved::Hopeless), 5), (Some(Unserved::Hopeless), 10)));
    assert_eq!(
        wait(Places::first(2)).await,
        (Some(Unserved::Hopeless), 10),
        "and whoever comes too late for that"
    );
}

/// Threads that come, wait, give up and hold: no permit is ever lost or made, and everybody who stays is served.
#[test]
fn threads_hand_permits_to_one_another() {
    let roster = Arc::new(roster(&[2, 1]));
    let (served, gave_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (roster, served, gave_up) = (Arc::clone(&roster), Arc::clone(&served), Arc::clone(&gave_up));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let draws = Draws::new(u64::from(thread) + 1);
                    let one = async |number: u32| {
                        let both = Places::first(2);
                        let patient = !number.is_multiple_of(3);
                        let until = Instant::now() + Duration::from_millis(if patient { 60_000 } else { 1 });
                        let permit = match roster.permit(both, &draws, roster.now()) {
                            Some(permit) if roster.waiting() == 0 => Ok(permit),
                            _ => roster.wait(asker(thread), both, until).await,
                        };
                        let count = if let Ok(permit) = &permit {
                            assert!(permit.generator().in_flight() <= permit.generator().in_flight_max);
                            tokio::task::yield_now().await;
                            &served
                        } else {
                            assert!(!patient, "{permit:?}");
                            &gave_up
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                    };
                    for round in 0..300 {
                        tokio::join!(one(round), one(round + 1), one(round + 2), one(round + 3));
                    }
                });
            });
        }
    });
    let (served, gave_up) = (served.load(Ordering::Relaxed), gave_up.load(Ordering::Relaxed));
    assert_eq!(served + gave_up, 4 * 300 * 4);
    assert_eq!(roster.waiting(), 0);
    assert!(roster.all().iter().all(|generator| generator.in_flight() == 0));
}
