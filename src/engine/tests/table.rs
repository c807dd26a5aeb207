//! The table of records beside a map.

use std::collections::BTreeMap;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use super::*;
use crate::engine::record::{Record, RecordKey};
use crate::engine::table::{Table, hash_of};

proptest! {
    /// Several records of one subject, which lie side by side, among them; taken out one by one and many at once.
    #[test]
    fn records_are_found_under_their_keys_and_no_others(
        steps in prop::collection::vec((0u64..60, 0u16..3, 0u8..8), 1..600), seed in any::<u64>()
    ) {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_random());
        let policy = Draft::new()
            .quota("a", "proxy", &[(60, 5)]).quota("b", "proxy", &[(60, 5)]).quota("c", "account", &[(60, 5)]).set();
        let key = |subject: u64, counter: u16| RecordKey::new(policy.counter(counter), Subject::number(subject));
        let limit = &policy.counter(0).limit;
        let charge = |record: &mut Record| record.charge(limit, Subject::TOTAL, START);
        let new = || { let mut record = Record::empty(limit); charge(&mut record); record };
        let (mut table, mut model) = (Table::default(), BTreeMap::new());
        for (subject, counter, step) in steps {
            let (key, hash) = (key(subject, counter), hash_of(&hasher, key(subject, counter)));
            match step {
                0 => prop_assert_eq!(table.remove(&hasher, key).is_some(), model.remove(&key).is_some()),
                1 => {
                    let stays = |key: &RecordKey| key.fixed_hash() % 8 != subject % 8;
                    table.retain(&hasher, |key, _| stays(&key));
                    model.retain(|key, _| stays(key));
                    table.shrink();
                }
                2..=4 => {
                    table.merge(&hasher, key, charge, new);
                    *model.entry(key).or_default() += 1;
                }
                _ if model.contains_key(&key) => {
                    let place = table.place(hash, key).unwrap();
                    charge(table.record_mut(place));
                    *model.get_mut(&key).unwrap() += 1;
                }
                _ => {
                    table.insert(hash, key, new());
                    model.insert(key, 1);
                }
            }
            table.prefetch_index(hash);
            if let Some(place) = table.prefetch(hash) {
                table.prefetch_behind(place);
            }
            prop_assert_eq!(table.len(), model.len());
            let count = |record: &Record| record.used(limit, START)[0].0;
            let held: BTreeMap<_, _> = table.iter().map(|(key, record)| (key, count(record))).collect();
            prop_assert_eq!(&held, &model);
            for subject in 0..60 {
                for counter in 0..3 {
                    let key = RecordKey::new(policy.counter(counter), Subject::number(subject));
                    let hash = hash_of(&hasher, key);
                    prop_assert_eq!(table.get(&hasher, key).map(count), model.get(&key).copied());
                    prop_assert!(table.likely_place(hash).is_some() || !model.contains_key(&key));
                }
            }
        }
    }
}
