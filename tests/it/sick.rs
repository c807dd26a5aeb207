//! Generators that fall sick while clients ask: what clients get is judged by what is in it, as they would.
//!
//! Here real time is the subject: five seconds to notice what is the matter are what the gateway may take. The groups of
//! pairs run at the same time, each with a gateway of its own.

use std::time::Duration;

use crate::moods::generator::{Generator, Settings};
use crate::moods::load::{Group, Load, Running, Tally};
use crate::moods::mood::Mood;

/// Runs `each` on all of `all` at the same time; a thread, with a runtime of its own, for each.
fn at_once<T: Send + Sync, R: Send>(all: &[T], each: impl AsyncFn(&T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter()
            .map(|one| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    tokio::task::LocalSet::new().block_on(&runtime, each(one))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn clients(address: std::net::SocketAddr, rate: f64) -> Running {
    Running::new(Load {
        address,
        rate,
        bytes: 0,
        library: "ttlive-node",
        groups: vec![Group { lines: String::new(), weight: 1 }],
    })
}

async fn ask_for(clients: &mut Running, length: Duration) -> Tally {
    clients.ask_for(length).await.end().await.remove(0)
}

#[test]
fn asked_directly_every_mood_is_sick_in_its_way() {
    let moods: Vec<Mood> = [Mood::Good].into_iter().chain(Mood::SICK).collect();
    let found = at_once(&moods, async |mood| {
        let generator = Generator::start(Settings::default());
        generator.set(*mood);
        let mut clients = clients(generator.address, 20.0);
        let sick = ask_for(&mut clients, Duration::from_millis(500)).await;
        generator.set(Mood::Good);
        // Those that hung are let go; the next ones find it well.
        let well = ask_for(&mut clients, Duration::from_millis(500)).await;
        (sick, well, generator.asked_by_users())
    });
    for (mood, (sick, well, asked)) in moods.into_iter().zip(found) {
        assert_eq!(sick.sent, 10, "{mood:?}");
        match mood {
            Mood::Good => assert_eq!(sick.good, 10, "{sick:?}"),
            Mood::Slow => {
                assert_eq!(sick.good, 10, "{sick:?}");
                assert!(sick.took.iter().all(|took| *took >= Duration::from_secs(3)), "{sick:?}");
            }
            _ => assert_eq!(sick.good, 0, "{mood:?}: {sick:?}"),
        }
        assert_eq!(well.good, 10, "{mood:?}: {well:?}");
        let reached = if matches!(mood, Mood::Dead | Mood::Refused | Mood::Flapping) { 10 } else { 20 };
        assert!(asked >= reached, "{mood:?}: {asked}");
    }
}

#[test]
fn one_that_flaps_is_good_in_between() {
    let generator = Generator::start(Settings::default());
    generator.set(Mood::Flapping);
    let stretches = at_once(&[()], async |()| {
        let mut stretches = Vec::new();
        for _ in 0..24 {
            let mut clients = clients(generator.address, 20.0);
            stretches.push(ask_for(&mut clients, Duration::from_millis(250)).await.good);
        }
        stretches
    });
    let all = &stretches[0];
    let good = all.iter().position(|good| *good == 5).unwrap_or_else(|| panic!("{all:?}"));
    assert!(all[..good].contains(&0) && all[good..].contains(&0), "{all:?}");
}
