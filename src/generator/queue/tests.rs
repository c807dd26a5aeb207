use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_000);
const EVERYWHERE: Places = Places::first(64);

fn line(length_max: usize, per_account_max: usize) -> Line {
    Line::new(Bounds { length_max, per_account_max })
}

fn entry(account: u64, rank: u8) -> Entry {
    Entry { account, rank, places: EVERYWHERE }
}

fn late() -> Timestamp {
    START + OVERLOADED_AFTER
}

/// Serves all that wait, and says whose they were in the order in which they were entered.
fn served(line: &mut Line, tickets: &[(u64, Ticket)], now: Timestamp) -> Vec<u64> {
    let mut order = Vec::new();
    let mut seen = vec![false; tickets.len()];
    while matches!(line.next(0, now), Next::Served(_)) {
        for (place, (name, ticket)) in tickets.iter().enumerate() {
            let has = line.slot_of(ticket).is_some_and(|slot| slot.turn == Turn::Has(0));
            if has && !std::mem::replace(&mut seen[place], true) {
                order.push(*name);
            }
        }
    }
    order
}

fn enter(line: &mut Line, name: u64, entry: Entry, now: Timestamp) -> (u64, Ticket) {
    (name, line.enter(entry, now).unwrap().0)
}

#[test]
fn accounts_take_turns_and_each_is_served_in_order() {
    let mut line = line(10, 10);
    let tickets: Vec<_> = [(1, 7), (2, 7), (3, 7), (4, 8), (5, 9)]
        .map(|(name, account)| enter(&mut line, name, entry(account, 0), START))
        .into();
    assert_eq!(served(&mut line, &tickets, START), [1, 4, 5, 2, 3]);
    assert!(line.is_empty());
}

#[test]
fn the_newest_first_once_the_queue_has_stood() {
    let mut line = line(10, 10);
    let tickets: Vec<_> = (1..=4).map(|name| enter(&mut line, name, entry(7, 0), START)).collect();
    assert_eq!(served(&mut line, &tickets, late()), [4, 3, 2, 1]);
    // It was empty in between: a burst again.
    let tickets: Vec<_> = (1..=3).map(|name| enter(&mut line, name, entry(7, 0), late())).collect();
    assert_eq!(served(&mut line, &tickets, late()), [1, 2, 3]);
}

#[test]
fn dear_tiers_before_cheap_ones() {
    let mut line = line(10, 10);
    let tickets: Vec<_> = [(1, 0), (2, 3), (3, 0), (4, 3), (5, 1)]
        .map(|(name, rank)| enter(&mut line, name, entry(name, rank), START))
        .into();
    assert_eq!(served(&mut line, &tickets, START), [2, 4, 5, 1, 3]);
}

#[test]
fn one_account_cannot_fill_it() {
    let mut line = line(10, 3);
    for name in 0..3 {
        enter(&mut line, name, entry(7, 0), START);
    }
    assert_eq!(line.enter(entry(7, 0), START).err(), Some(Full));
    for name in 3..10 {
        enter(&mut line, name, entry(100 + name, 0), START);
    }
    assert_eq!(line.len(), 10);
    // Whoever has nothing there takes the place of the oldest of who has most.
    let (ticket, _) = line.enter(entry(200, 0), START).unwrap();
    assert_eq!(line.len(), 10);
    assert_eq!(line.poll(&ticket, Waker::noop()), Turn::Waits);
    assert_eq!(line.ranks[0].accounts[&7].len(), 2);
}

#[test]
fn a_dear_one_takes_a_cheap_ones_place_and_not_the_other_way_round() {
    let mut line = line(2, 2);
    let (_, cheap) = enter(&mut line, 1, entry(1, 0), START);
    enter(&mut line, 2, entry(2, 1), START);
    assert_eq!(line.enter(entry(3, 0), START).err(), Some(Full), "of one tier nobody has more");
    let (dear, _) = line.enter(entry(4, 1), START).unwrap();
    assert_eq!(line.poll(&cheap, Waker::noop()), Turn::Displaced);
    assert_eq!(line.poll(&dear, Waker::noop()), Turn::Waits);
    assert_eq!(line.enter(entry(3, 0), START).err(), Some(Full));
    assert_eq!(line.enter(entry(3, 0), late()).err(), Some(Full), "also when it is overload");
}

#[test]
fn in_overload_the_newest_takes_the_oldest_ones_place() {
    let mut line = line(2, 1);
    let (_, first) = enter(&mut line, 1, entry(1, 0), START);
    enter(&mut line, 2, entry(2, 0), START);
    assert_eq!(line.enter(entry(1, 0), START).err(), Some(Full));
    line.enter(entry(1, 0), late()).unwrap();
    assert_eq!(line.poll(&first, Waker::noop()), Turn::Displaced, "its own oldest");
    line.enter(entry(3, 0), late()).unwrap();
    assert_eq!(line.len(), 2);
}

#[test]
fn how_many_are_ahead_hangs_on_tier_account_and_generators() {
    let mut line = line(50, 50);
    let ahead = |line: &Line, account, rank| line.ahead(&entry(account, rank));
    assert_eq!(ahead(&line, 1, 0), 0);
    let mut tickets: Vec<_> = (0..20).map(|name| enter(&mut line, name, entry(7, 1), START)).collect();
    assert_eq!(ahead(&line, 7, 1), 20, "behind itself");
    assert_eq!(ahead(&line, 8, 1), 1, "its turn comes second");
    assert_eq!(ahead(&line, 8, 0), 20, "all of a dearer tier are before a cheap one");
    assert_eq!(ahead(&line, 8, 2), 0);
    tickets.extend((20..23).map(|name| enter(&mut line, name, entry(9, 1), START)));
    assert_eq!(ahead(&line, 9, 1), 8, "four turns of two accounts");
    let elsewhere = Entry { places: Places::NONE.with(3), ..entry(8, 0) };
    assert_eq!(line.ahead(&elsewhere), 0, "nobody waits for that generator alone");
    for (_, ticket) in &tickets[..20] {
        line.leave(ticket);
    }
    assert_eq!((ahead(&line, 8, 0), ahead(&line, 7, 1)), (3, 1), "who has gone is not ahead");
}

#[test]
fn a_generator_gets_only_what_it_can_do() {
    let mut line = line(10, 10);
    let only = Entry { places: Places::NONE.with(5), ..entry(1, 0) };
    let (_, for_five) = enter(&mut line, 1, only, START);
    let (_, for_all) = enter(&mut line, 2, entry(2, 0), START);
    assert!(matches!(line.next(4, START), Next::Served(_)));
    assert_eq!(line.poll(&for_all, Waker::noop()), Turn::Has(4));
    assert!(matches!(line.next(4, START), Next::Nobody));
    assert!(matches!(line.next(5, START), Next::Served(_)));
    assert_eq!(line.poll(&for_five, Waker::noop()), Turn::Has(5));
}

#[test]
fn who_leaves_leaves_no_hole() {
    let mut line = line(3, 3);
    let tickets: Vec<_> = (1..=3).map(|name| enter(&mut line, name, entry(name, 0), START)).collect();
    assert_eq!(line.leave(&tickets[0].1), Turn::Waits);
    assert_eq!(line.len(), 2);
    assert!(matches!(line.next(0, START), Next::Served(_)));
    assert_eq!(line.leave(&tickets[1].1), Turn::Has(0), "whoever asks passes the permit on");
    assert_eq!(line.leave(&tickets[1].1), Turn::Displaced, "a ticket is good once");
    assert!(matches!(line.next(0, START), Next::Served(_)));
    assert_eq!(line.poll(&tickets[2].1, Waker::noop()), Turn::Has(0));
    assert!(line.is_empty() && matches!(line.next(0, START), Next::Nobody));
}

#[test]
fn whoever_has_nobody_left_to_wait_for_is_told() {
    let mut line = line(3, 3);
    let only = |place| Entry { places: Places::NONE.with(place), ..entry(place as u64, 0) };
    let [first, second] = [1, 2].map(|place| {
        let (_, ticket) = enter(&mut line, place as u64, only(place), START);
        line.poll(&ticket, Waker::noop());
        ticket
    });
    assert_eq!(line.give_up(Places::NONE.with(2)).len(), 1, "the second waits for one that is in service");
    assert_eq!(line.poll(&first, Waker::noop()), Turn::Hopeless);
    assert_eq!(line.poll(&second, Waker::noop()), Turn::Waits);
    assert_eq!(line.give_up(Places::NONE).len(), 1);
    assert_eq!(line.poll(&second, Waker::noop()), Turn::Hopeless);
    assert!(line.is_empty());
}

proptest! {
    /// Whatever comes and goes: never longer than its bounds, never more of one account, everybody who waits is served, and
    /// nothing is kept of who has gone.
    #[test]
    fn bounds_hold_and_nobody_is_lost(steps in proptest::collection::vec((0_u8..4, 0_u64..6, 0_u8..3, 0_u64..200), 1..300)) {
        let mut line = line(8, 3);
        let mut now = START;
        let mut held: Vec<Ticket> = Vec::new();
        for (what, account, rank, millis) in steps {
            now = now + Duration::from_millis(millis);
            match what {
                0 | 1 => held.extend(line.enter(entry(account, rank), now).ok().map(|(ticket, _)| ticket)),
                2 => { line.next(0, now); }
                _ => if !held.is_empty() {
                    let ticket = held.swap_remove(account as usize % held.len());
                    line.leave(&ticket);
                },
            }
            prop_assert!(line.len() <= 8);
            let waiting = held.iter().filter(|ticket| {
                line.slots[ticket.slot as usize].as_ref().is_some_and(|slot| slot.turn == Turn::Waits)
            }).count();
            prop_assert_eq!(waiting, line.len());
            prop_assert_eq!(line.alike.iter().map(|(_, count)| count).sum::<usize>(), waiting);
            prop_assert!(line.came.len() <= 2 * 8 + 17);
            for rank in &line.ranks {
                prop_assert_eq!(rank.turns.len(), rank.accounts.len());
                prop_assert_eq!(rank.length, rank.accounts.values().map(VecDeque::len).sum::<usize>());
                for waiting in rank.accounts.values() {
                    prop_assert!((1..=3).contains(&waiting.len()));
                }
            }
        }
        while matches!(line.next(0, now), Next::Served(_)) {}
        prop_assert!(line.is_empty());
        for ticket in held {
            prop_assert!(line.poll(&ticket, Waker::noop()) != Turn::Waits);
        }
        prop_assert!(line.slots.iter().all(Option::is_none));
    }
}
