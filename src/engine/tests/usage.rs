//! How full quotas are, as the sweeper tells.

use super::*;
use crate::engine::usage::RuleUsage;
use crate::engine::usage::Usage;

fn swept(book: &Book, policy: &PolicySet, now: Timestamp) -> Vec<RuleUsage> {
    let mut usage = Usage::new(policy);
    (0..book.shard_count()).for_each(|shard| book.tally(shard, &mut usage, now));
    usage.rules().map(|(_, usage)| usage).collect()
}

#[test]
fn subjects_are_told_by_the_share_of_their_fullest_window() {
    let book = Book::new(8_192, 7);
    let policy = Draft::new().quota("p", "proxy", &[(60, 5), (3_600, 1_000)]).set();
    for (client, times) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 9)] {
        for _ in 0..times {
            book.charge(&policy, &plan_of(&policy, v4(client << 24 | 1)), &mut Receipt::default(), START);
        }
    }
    // 20 and 40 % low, 60 % half, 80 % high; what is over the limit was refused, and is full.
    let told = swept(&book, &policy, START);
    assert_eq!(told, [RuleUsage { subjects: [2, 1, 1, 2], fullest: 1.0 }]);
    // The minute is over and the hour is not: all have used less than 1 % of it.
    let told = swept(&book, &policy, START + Duration::from_secs(61));
    assert_eq!(told, [RuleUsage { subjects: [6, 0, 0, 0], fullest: 5.0 / 1_000.0 }]);
    assert_eq!(swept(&book, &policy, START + Duration::from_secs(3_601)), [RuleUsage::default()]);
}

#[test]
fn a_policy_tells_its_own_rules_only() {
    let book = Book::new(8_192, 7);
    let policy = Draft::new().quota("p", "proxy", &[(60, 5)]).set();
    book.charge(&policy, &plan_of(&policy, v4(0x0100_0001)), &mut Receipt::default(), START);
    let next = Draft::new().quota("q", "proxy", &[(60, 5)]).set();
    assert_eq!(swept(&book, &next, START), [RuleUsage::default()]);
}
