//! Making room in a full shard.

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use super::*;
use crate::engine::record::RecordKey;
use crate::engine::shard::{Likely, Shard};

proptest! {
    /// Where a record was seen is believed only while it lies there: a sweep takes others out, which move.
    #[test]
    fn what_was_seen_to_lie_somewhere_is_charged_wherever_it_lies_now(
        steps in proptest::collection::vec((0u64..12, 0u64..30, any::<bool>()), 1..300),
    ) {
        let hasher = SeedableRandomState::with_seed(1, SharedSeed::global_random());
        let policy = Draft::new().quota("q", "room", &[(60, 1_000)]).set();
        let counter = policy.counter(0);
        let mut shard = Shard::default();
        let (mut seen, mut model) = (HashMap::new(), HashMap::<u64, (Timestamp, u32)>::new());
        let mut now = START;
        for (room, seconds, sweeps) in steps {
            now = now + Duration::from_secs(seconds);
            if sweeps {
                shard.free_ended(&hasher, now);
                model.retain(|_, (ends, _)| *ends > now);
            }
            let key = RecordKey::new(counter, Subject::room(&Room::Id(room + 1)));
            let likely = seen.get(&room).copied().unwrap_or(Likely::Unseen);
            let found = shard.find_mut(&hasher, key, likely).is_some();
            prop_assert_eq!(found, model.contains_key(&room));
            let mut look_up = shard.look_up(&hasher, key, likely);
            shard.confirm(&mut look_up);
            let (record, likely, _) = shard.charge(&hasher, &counter.limit, &look_up, Subject::TOTAL, now);
            let (ends, count) = model.entry(room).or_insert((now, 0));
            if *ends <= now {
                (*ends, *count) = (now + Duration::from_secs(60), 0);
            }
            *count += 1;
            prop_assert_eq!(record.windows().unwrap()[0].count(now.as_millis()), *count);
            seen.insert(room, likely);
        }
    }
}

#[test]
fn a_shard_that_cannot_be_folded_is_not_gone_through_for_every_charge() {
    let hasher = SeedableRandomState::with_seed(1, SharedSeed::global_random());
    let policy = Draft::new().quota("q", "account+room", &[(60, 5)]).set();
    let counter = policy.counter(0);
    let mut shard = Shard::default();
    let charge = |shard: &mut Shard, account: u32, room: u64| {
        let account = Subject::text(Scope::Account, &format!("a{account}"));
        let subject = Subject::pair(account, Subject::room(&Room::Id(room)));
        let mut look_up = shard.look_up(&hasher, RecordKey::new(counter, subject), Likely::Unseen);
        shard.confirm(&mut look_up);
        shard.charge(&hasher, &counter.limit, &look_up, Subject::TOTAL, START);
    };
    for account in 0..100 {
        charge(&mut shard, account, 1);
        charge(&mut shard, account, 2);
    }
    assert!(shard.is_over(16));
    shard.make_room(&hasher, 12, START);
    assert_eq!(shard.strangers(), 100, "each account's rooms became one, and accounts are not mixed");
    assert!(!shard.is_over(16), "looking again at once would find nothing");
    for account in 100..125 {
        charge(&mut shard, account, 1);
    }
    assert!(shard.is_over(16), "a quarter more is worth a look");
    shard.free_ended(&hasher, START + Duration::from_secs(60));
    for account in 0..16 {
        charge(&mut shard, account, 1);
    }
    assert!(shard.is_over(16), "what had been tight has ended");
}
