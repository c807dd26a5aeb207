//! One policy's way through recorded traffic: its own counts, and what is still to come of requests that were admitted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::record::{Ended, Record};
use crate::base::operation::Operation;
use crate::base::time::Timestamp;
use crate::dialect::Fault;
use crate::dialect::recorded::Reading;
use crate::engine::assess::Assessment;
use crate::engine::book::{Receipt, STRANGERS_MAX_DEFAULT};
use crate::engine::decision::{Decision, Verdict};
use crate::engine::facts::Facts;
use crate::engine::foresight::Foresight;
use crate::engine::{Ending, Engine};
use crate::policy::PolicySet;
use crate::telemetry::outcome::Outcome;

/// At most so many admitted requests are under way at a time; beyond that the one that ends first is taken to have ended.
const UNDER_WAY_MAX: usize = 1 << 16;

/// One shard of the book is swept for every so many records: all of it once in a while, at a cost that none of them
/// feels. Sweeping changes no decision.
const RECORDS_PER_SHARD: u64 = 512;

/// One policy on its way.
pub struct Course<'p> {
    /// The policy.
    pub policy: &'p PolicySet,
    engine: Engine,
    seed: u64,
    now: Timestamp,
    under_way: UnderWay,
    records: u64,
    /// What was seen of the records that come next.
    foreseen: Vec<Foresight>,
}

/// What is said of a record without asking a policy; see [`Said`].
#[derive(Debug, Clone, Copy)]
pub enum Unasked<'r> {
    /// The request itself is at fault.
    Fault(Fault),
    /// The gateway refused it by itself.
    ByGateway(&'r str),
}

impl<'r> From<Unasked<'r>> for Said<'r> {
    fn from(unasked: Unasked<'r>) -> Self {
        match unasked {
            Unasked::Fault(fault) => Self::Fault(fault),
            Unasked::ByGateway(reason) => Self::ByGateway(reason),
        }
    }
}

/// What is said of one record.
pub enum Said<'r> {
    /// By the policy.
    Decision(Decision),
    /// The request itself is at fault.
    Fault(Fault),
    /// The gateway refused it by itself when it was recorded, for this reason; no policy was asked.
    ByGateway(&'r str),
}

impl Said<'_> {
    /// What the enforced rules say.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Decision(decision) => decision.verdict(),
            Self::Fault(fault) => of_status(fault.status()),
            Self::ByGateway(_) => Verdict::Deny,
        }
    }

    /// What they would say with every shadow rule enforced.
    pub fn shadow_verdict(&self) -> Verdict {
        match self {
            Self::Decision(decision) => decision.shadow_verdict(),
            Self::Fault(_) | Self::ByGateway(_) => self.verdict(),
        }
    }
}

fn of_status(status: u16) -> Verdict {
    if status == 429 { Verdict::Throttle } else { Verdict::Deny }
}

impl<'p> Course<'p> {
    /// With empty counts. `seed` seeds the hash tables: nothing hangs on it.
    pub fn new(policy: &'p PolicySet, seed: u64) -> Self {
        let engine = Engine::new(STRANGERS_MAX_DEFAULT, seed);
        let (now, under_way) = (Timestamp::EPOCH, UnderWay::default());
        Self { policy, engine, seed, now, under_way, records: 0, foreseen: Vec::new() }
    }

    /// Decides one record, as the gateway would have.
    pub fn decide<'r>(&mut self, record: &'r Record) -> Said<'r> {
        match Self::asking(self.policy, record) {
            Err(unasked) => unasked.into(),
            Ok(facts) => {
                self.advance(record.time);
                let mut assessment = self.engine.assess(self.policy, &facts, self.now);
                Said::Decision(self.decide_assessed(facts.operation, &mut assessment, record))
            }
        }
    }

    /// Looks ahead to records that come next, which are then to be [decided](Self::decide_all).
    pub fn foresee(&mut self, records: &[Box<Record>]) {
        for record in records {
            record.prefetch_shared();
        }
        for record in records {
            record.prefetch_texts();
        }
        if self.foreseen.len() < records.len() {
            self.foreseen.resize_with(records.len(), Foresight::default);
        }
        let mut now = self.now;
        for (record, foresight) in records.iter().zip(&mut self.foreseen) {
            now = now.max(record.time);
            match Self::asking(self.policy, record) {
                Err(_) => foresight.forget(),
                Ok(facts) => self.engine.foresee(foresight, self.policy, &facts, now),
            }
        }
        let foreseen = &mut self.foreseen[..records.len()];
        for foresight in &mut *foreseen {
            self.engine.foresee_entries(foresight);
        }
        for foresight in &mut *foreseen {
            self.engine.foresee_behind(foresight);
        }
        for foresight in &*foreseen {
            self.engine.foresee_beyond(foresight);
        }
    }

    /// [`decide`](Self::decide) for a record that was foreseen.
    fn decide_foreseen<'r>(&mut self, record: &'r Record, foresight: &mut Foresight) -> Said<'r> {
        let Some(operation) = foresight.take_operation() else { return self.decide(record) };
        self.advance(record.time);
        let facts = || Self::asking(self.policy, record).expect("it was asked when it was foreseen");
        let assessment = self.engine.assess_foreseen(self.policy, foresight, facts, self.now);
        Said::Decision(self.decide_assessed(operation, assessment, record))
    }

    /// Follows or decides each of the records that were [foreseen](Self::foresee), and no others, in their order; `None` of what is no
    /// request.
    pub fn decide_all<'r>(&mut self, records: &'r [Box<Record>]) -> Vec<Option<Said<'r>>> {
        let mut foreseen = std::mem::take(&mut self.foreseen);
        assert!(foreseen.len() >= records.len(), "each was foreseen");
        let each = records.iter().zip(&mut foreseen);
        let said = each.map(|(record, foresight)| {
            (!self.follow(record)).then(|| self.decide_foreseen(record, foresight))
        });
        let said = said.collect();
        self.foreseen = foreseen;
        said
    }

    /// What a record asks the policy; or what is said of it without one.
    fn asking<'r>(policy: &PolicySet, record: &'r Record) -> Result<Facts<'r>, Unasked<'r>> {
        let by_gateway = || Unasked::ByGateway(record.rule());
        if record.by_gateway {
            return Err(by_gateway());
        }
        let request = record.request().as_ref().map_err(|fault| Unasked::Fault(*fault))?;
        facts_of(policy, record, request).ok_or_else(by_gateway)
    }

    /// Follows an operator's order or a gateway's start, where the record is one. A ban that there is not with this policy is not
    /// missed.
    pub fn follow(&mut self, record: &Record) -> bool {
        if record.starts {
            // Nothing is kept over a start, and what was under way then never ended.
            self.engine = Engine::new(STRANGERS_MAX_DEFAULT, self.seed);
            self.under_way = UnderWay::default();
            self.advance(record.time);
            return true;
        }
        let Some(order) = &record.order else { return false };
        self.advance(record.time);
        let _ = self.engine.obey(order, self.now);
        true
    }

    /// The facts of a record, with what this policy's networks say of its address.
    pub fn facts<'f>(&self, record: &'f Record, request: &'f Reading) -> Option<Facts<'f>> {
        facts_of(self.policy, record, request)
    }

    /// Moves on to `time`, and books what has ended by then. Time never goes back.
    pub fn advance(&mut self, time: Timestamp) {
        self.now = self.now.max(time);
        while let Some((at, slot)) = self.under_way.ended_by(self.now) {
            self.end(slot, at);
        }
        self.records += 1;
        if self.records.is_multiple_of(RECORDS_PER_SHARD) {
            let book = self.engine.book();
            book.sweep((self.records / RECORDS_PER_SHARD) as usize % book.shard_count(), self.now);
        }
    }

    /// What comes after assessing a live request; the last step at once, or when the record says that it ended.
    fn decide_assessed(
        &mut self,
        operation: Operation,
        assessment: &mut Assessment,
        record: &Record,
    ) -> Decision {
        let (ended, turned_away) = (record.ended, record.turned_away);
        if operation == Operation::Limits {
            // As in the gateway: asking for one's limits is charged to nothing.
            let shadow = std::mem::take(&mut assessment.shadow);
            return Decision {
                caller: assessment.caller.clone(),
                refusal: assessment.refusal.take(),
                shadow,
            };
        }
        let slot = self.under_way.vacant();
        let receipt = &mut self.under_way.slots[slot].0;
        let (policy, now) = (self.policy, self.now);
        let charge = self.engine.charge_unless(policy, assessment, receipt, now, |_| turned_away);
        let decision = self.engine.conclude(policy, assessment, charge, receipt, now);
        if decision.refusal.is_some() || turned_away {
            self.under_way.free.push(slot);
            return decision;
        }
        let after = Duration::from_nanos(ended.map_or(0, |ended| ended.after));
        self.under_way.slots[slot].1 = ended.map_or(Ending::Good(None), ending);
        if after.is_zero() {
            self.end(slot, self.now);
        } else {
            if let Some((_, slot)) = self.under_way.too_many() {
                self.end(slot, self.now);
            }
            self.under_way.add(self.now + after, slot);
        }
        decision
    }

    /// Ends what stands in a slot, which is free then.
    fn end(&mut self, slot: usize, at: Timestamp) {
        let (receipt, ending) = &self.under_way.slots[slot];
        self.engine.observe(self.policy, receipt, *ending, at);
        self.under_way.free.push(slot);
    }

    /// The engine as it stands, to be asked.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How far it has come.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// The facts of a record, with what a policy's networks say of its address.
fn facts_of<'f>(policy: &PolicySet, record: &'f Record, request: &'f Reading) -> Option<Facts<'f>> {
    let recorded = record.recorded()?;
    let network = policy.networks().lookup(recorded.client);
    Some(request.facts(&recorded, network.map(|network| network.asn)))
}

/// What the gateway would have done: `Exchange::observe`. A request that was refused when it was recorded, and is
/// admitted now, had a good answer as far as anybody can say.
const fn ending(ended: Ended) -> Ending {
    match ended.outcome {
        Outcome::GeneratorFailed | Outcome::TimedOut => Ending::Refunded,
        Outcome::NoCapacity => Ending::Refused,
        Outcome::Good | Outcome::Refused => Ending::Good(ended.answer_room),
        Outcome::Invalid | Outcome::RequestBlamed | Outcome::ClientGone | Outcome::GatewayFailed => {
            Ending::Charged
        }
    }
}

/// Admitted requests that have not ended yet. Receipts are large and stay where they are.
#[derive(Default)]
struct UnderWay {
    /// When each ends, in the order of their decisions where several end at once, and its place in `slots`.
    ends: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    slots: Vec<(Receipt, Ending)>,
    free: Vec<usize>,
    count: u64,
}

impl UnderWay {
    /// A slot to write a receipt into.
    fn vacant(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push((Receipt::default(), Ending::Charged));
            self.slots.len() - 1
        })
    }

    fn add(&mut self, at: Timestamp, slot: usize) {
        self.count += 1;
        self.ends.push(Reverse((at, self.count, slot)));
    }

    /// When the first ends that has ended by `now`, and its slot; to be called until there is none.
    fn ended_by(&mut self, now: Timestamp) -> Option<(Timestamp, usize)> {
        let Reverse((at, _, _)) = self.ends.peek()?;
        if *at <= now { self.pop() } else { None }
    }

    /// The one that ends first, where no more can be held.
    fn too_many(&mut self) -> Option<(Timestamp, usize)> {
        if self.ends.len() < UNDER_WAY_MAX { None } else { self.pop() }
    }

    fn pop(&mut self) -> Option<(Timestamp, usize)> {
        self.ends.pop().map(|Reverse((at, _, slot))| (at, slot))
    }
}
