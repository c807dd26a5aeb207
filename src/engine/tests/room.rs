//! Making room in a full shard.

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use super::*;
use crate::engine::record::RecordKey;
use crate::engine::shard::{Likely, Shard};

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
