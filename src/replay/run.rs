//! All records, decided by one policy or two.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::course::{Course, Said};
use super::decided;
use super::feed::Feed;
use super::input::InputError;
use super::record::Record;
use super::tally::{Difference, Tally};
use crate::base::time::Timestamp;
use crate::policy::PolicySet;

/// So many tiers that the policy lacks are named.
const TIERS_MAX: usize = 32;

/// Why a replay does not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The decisions cannot be written.
    #[error("cannot write the decisions")]
    Decisions(#[source] io::Error),
}

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the policy said.
    pub tally: Tally,
    /// What another policy says otherwise, where one was asked.
    pub difference: Option<Difference>,
    /// Times of the first and the last decision.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Tiers of records that the policy lacks: they counted as free ones.
    pub unknown_tiers: BTreeSet<String>,
    /// The same of the other policy, where one was asked.
    pub unknown_tiers_against: BTreeSet<String>,
    /// Records whose verdict is not the one that they hold.
    pub unlike_recorded: u64,
    /// Of the records that the policy itself decided.
    pub compared: Compared,
    /// Of those that the other one did, where one was asked.
    pub compared_against: Compared,
}

/// What one and the same policy said when it was recorded, and says now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// So many verdicts are its own.
    pub verdicts: u64,
    /// So many of them are other ones now.
    pub unlike: u64,
}

impl Compared {
    /// Counts a record, where it says that the policy at this [place](Record::decided_by) decided it.
    pub fn count(&mut self, record: &Record, place: u8, said: &Said<'_>) {
        if let Some(verdict) = record.verdict.filter(|_| record.decided_by == Some(place)) {
            self.verdicts += 1;
            self.unlike += u64::from(verdict != said.verdict());
        }
    }
}

/// Notes the tier of a record where a policy lacks it, and there are not too many.
pub fn note_tier(unknown: &mut BTreeSet<String>, record: &Record, policy: &PolicySet) {
    let tier = record.tier();
    if !tier.is_empty() && policy.tier_named(tier).is_none() && unknown.len() < TIERS_MAX {
        unknown.insert(tier.to_owned());
    }
}

/// Replays everything that `feed` holds. `policy` is asked, and `against`, where it is given, too. `decisions` gets one line for each
/// record, in the order of the decisions. `tell` hears now and then how many records have been decided.
pub fn run(
    feed: &mut Feed,
    policy: &PolicySet,
    against: Option<&PolicySet>,
    seed: u64,
    decisions: Option<&mut dyn Write>,
    tell: impl FnMut(&Feed, u64),
) -> Result<Outcome, ReplayError> {
    let mut outcome = Outcome::default();
    run_into(&mut outcome, feed, (policy, against), seed, decisions, tell)?;
    Ok(outcome)
}

/// [`run`] into an empty outcome, which is that of all that was read also where the input cannot be read to its end.
pub fn run_into(
    outcome: &mut Outcome,
    feed: &mut Feed,
    (policy, against): (&PolicySet, Option<&PolicySet>),
    seed: u64,
    decisions: Option<&mut dyn Write>,
    mut tell: impl FnMut(&Feed, u64),
) -> Result<(), ReplayError> {
    const TELL_EVERY: u64 = 1 << 12;
    const WRITE_BYTES: usize = 64 << 10;
    feed.look_for_policies(std::iter::once(policy).chain(against));
    let mut course = Course::new(policy, seed);
    let mut other = against.map(|policy| Course::new(policy, seed));
    outcome.difference = against.map(|_| Difference::default());
    let names: Vec<String> = feed.names().iter().map(|name| name.display().to_string()).collect();
    let (mut decisions, mut lines) = (decisions, Vec::with_capacity(2 * WRITE_BYTES));
    let mut records = Vec::new();
    let mut latest = Timestamp::EPOCH;
    let ended = loop {
        let read = feed.next_records(&mut records);
        if read.is_err() || records.is_empty() {
            break read;
        }
        // Each step for all of them: by turns, record by record, the processor would fetch the code of all steps again for each.
        course.foresee(&records);
        for record in &records {
            outcome.tally.prefetch(record);
        }
        let said = course.decide_all(&records);
        let said_by_other = other.as_mut().map(|other| {
            other.foresee(&records);
            other.decide_all(&records)
        });
        for (place, (record, said)) in records.iter().zip(&said).enumerate() {
            latest = latest.max(record.time);
            let Some(said) = said else { continue };
            let room = record.room().or_else(|| record.request().as_ref().ok()?.room());
            outcome.tally.count(record, room, said, policy);
            if let (Some(other), Some(difference), Some(before)) = (
                &other,
                &mut outcome.difference,
                said_by_other.as_ref().and_then(|said| said.get(place)?.as_ref()),
            ) {
                difference.count(record, (said, policy), (before, other.policy));
                outcome.compared_against.count(record, 1, before);
                note_tier(&mut outcome.unknown_tiers_against, record, other.policy);
            }
            note_tier(&mut outcome.unknown_tiers, record, policy);
            outcome.unlike_recorded +=
                u64::from(record.verdict.is_some_and(|verdict| verdict != said.verdict()));
            outcome.compared.count(record, 0, said);
            let first = outcome.span.map_or(record.time, |(first, _)| first);
            outcome.span = Some((first, latest));
            if let Some(decisions) = &mut decisions {
                let file = (names.len() > 1).then(|| names[usize::from(record.place.file)].as_str());
                decided::write(&mut lines, (record.place.line, file, record.time), said, policy);
                if lines.len() >= WRITE_BYTES {
                    decisions.write_all(&lines).map_err(ReplayError::Decisions)?;
                    lines.clear();
                }
            }
            if outcome.tally.total.asked.is_multiple_of(TELL_EVERY) {
                tell(feed, outcome.tally.total.asked);
            }
        }
        drop((said, said_by_other));
        records.drain(..).for_each(|record| feed.give_back(record));
    };
    if let Some(decisions) = &mut decisions {
        decisions.write_all(&lines).and_then(|()| decisions.flush()).map_err(ReplayError::Decisions)?;
    }
    tell(feed, outcome.tally.total.asked);
    Ok(ended?)
}
