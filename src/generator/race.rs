//! One request among generators: the first is asked, another when it fails, another when it takes long.
//!
//! What runs is never cut off for being slow: the first good answer wins, and the rest is dropped where it stands, with its
//! connection. So a time that was set too short wastes a request, and never an answer. That what was dropped took long is held
//! against its generator ([`Runner`]).
//!
//! A generator may say that the request is at fault. Mostly it is; but one whose session has run out, or that is not there any
//! more behind its proxy, says so of everything. So the word of one that has done nothing well yet, blamed the request before as
//! well, or blames far more than the others, is not enough: one that is not doubted has to say the same, and may take its time. Nor
//! is that of one enough at once while another is being asked: that has a moment to do well. Where another does well, the first has
//! failed; what convicts it of that is said in [`witness`](super::witness).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Attempt, Cause, Mark};
use super::balance::Places;
use super::bell::Ring;
use super::fleet::{ATTEMPTS_MAX, End, Fleet, Outcome};
use super::judge::Judgement;
use super::roster::{Payer, Permit};
use super::wire::WireError;
use super::witness::Origin;
use super::{Failure, Question};

/// No hedge comes sooner: below this, what is lost is not worth a signature.
const HEDGE_MIN: Duration = Duration::from_millis(10);

/// When a hedge comes for a generator of which too little is known.
const HEDGE_UNKNOWN: Duration = Duration::from_millis(150);

/// So long another that is being asked may still do well on what one says is at fault.
const BELIEVED_AFTER: Duration = Duration::from_millis(250);

type Judged = Result<Judgement, WireError>;
type Running<'f> = Pin<Box<dyn Future<Output = Judged> + 'f>>;

/// One request, on its way through generators.
pub(super) struct Race<'f, 'q> {
    fleet: &'f Fleet,
    question: &'f Question<'q>,
    payer: Payer<'f>,
    deadline: Instant,
    /// Who may be asked still.
    left: Places,
}

#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every answer")]
enum Event {
    Answered(usize, Judged),
    Late,
}

impl<'f, 'q> Race<'f, 'q> {
    /// Among these, as far as it may be repeated.
    pub(super) fn among(
        fleet: &'f Fleet,
        question: &'f Question<'q>,
        payer: Payer<'f>,
        places: Places,
        deadline: Instant,
    ) -> Self {
        Self { fleet, question, payer, deadline, left: places }
    }

    /// One attempt and no more.
    pub(super) fn alone(
        fleet: &'f Fleet,
        question: &'f Question<'q>,
        payer: Payer<'f>,
        deadline: Instant,
    ) -> Self {
        Self::among(fleet, question, payer, Places::NONE, deadline)
    }

    fn runner(&self, permit: Permit<'f>, cause: Cause, began: Instant) -> Runner<'f, 'q> {
        permit.generator().asked(cause);
        let Self { fleet, question, payer, .. } = *self;
        Runner { fleet, question, payer, permit, cause, began, is_booked: false, is_alone: false }
    }

    /// From the first permit to the end.
    pub(super) async fn run(
        mut self,
        permit: Permit<'f>,
        began: Instant,
        queued: Option<Duration>,
    ) -> Outcome {
        let (fleet, question, deadline) = (self.fleet, self.question, self.deadline);
        self.left = self.left.without(permit.place);
        // The first is part of this future; only further ones are allocated for.
        let mut first = pin!(fleet.ask_one(&permit, question, deadline));
        let mut others: [Option<Running<'f>>; ATTEMPTS_MAX - 1] = [const { None }; ATTEMPTS_MAX - 1];
        let mut runners = [Some(self.runner(permit, Cause::First, began)), None, None];
        let mut count = 1;
        let mut ring = self.late_ring(runners[0].as_mut(), began);
        let mut attempts = [None; ATTEMPTS_MAX];
        // What a generator said of the request, whose word alone is not enough; and whether it is doubted.
        let mut blamed: Option<(u16, bool)> = None;
        let mut failed: Option<Failure> = None;

        let (end, now) = loop {
            let event = poll_fn(|cx| {
                if attempts[0].is_none()
                    && let Poll::Ready(judged) = first.as_mut().poll(cx)
                {
                    return Poll::Ready(Event::Answered(0, judged));
                }
                if count > 1
                    && let Poll::Ready((place, judged)) = poll_others(&mut others, cx)
                {
                    return Poll::Ready(Event::Answered(place + 1, judged));
                }
                match &mut ring {
                    Some(ring) => ring.poll(cx).map(|()| Event::Late),
                    None => Poll::Pending,
                }
            })
            .await;
            let mut now = Instant::now();
            let mut cause = Cause::Hedge;
            let mut failure = None;
            let mut needs_another = true;
            match event {
                Event::Answered(which, judged) => {
                    if let Some(runner) = runners[which].take() {
                        attempts[which] = Some(runner.ended(&judged, now));
                        let place = attempts[which].map_or(0, |attempt: Attempt| attempt.generator);
                        match judged {
                            Ok(Judgement::Good(good)) => break (End::Good(good, place), now),
                            Ok(Judgement::BlamesRequest(status)) => {
                                let is_doubted = fleet.roster.all()[place].tally.is_doubted();
                                needs_another = runners.iter().all(Option::is_none);
                                let is_first = attempts.iter().flatten().count() == 1;
                                let (said, all_doubted) = blamed
                                    .map_or((status, is_doubted), |(said, before)| {
                                        (said, before && is_doubted)
                                    });
                                blamed = Some((said, all_doubted));
                                if !is_doubted && (needs_another || !is_first) {
                                    break (End::BlamesRequest(said), now);
                                }
                                if !is_doubted {
                                    ring = Some(fleet.bell.ring_at(now + BELIEVED_AFTER));
                                }
                            }
                            Ok(Judgement::Bad(fault)) => failure = Some(Failure::Judged(fault)),
                            Err(error) => failure = Some(Failure::Wire(error)),
                        }
                    }
                    if which > 0 {
                        others[which - 1] = None;
                    }
                    cause = Cause::Retry;
                }
                Event::Late => {
                    runners.iter_mut().flatten().for_each(|runner| runner.still_runs(now));
                    if let Some((status, false)) = blamed {
                        break (End::BlamesRequest(status), now);
                    }
                }
            }
            failed = failure.or(failed);
            let repeats = question.operation.may_be_repeated()
                || matches!(failure, Some(Failure::Wire(error)) if error.certainly_unsent());
            let may_ask = repeats && needs_another && count < ATTEMPTS_MAX && now < deadline;
            let mut another = may_ask.then(|| fleet.permit_for_another(self.left, cause, now)).flatten();
            let is_last = runners.iter().all(Option::is_none);
            if another.is_none() && may_ask && is_last && failure.is_some() && blamed.is_none() {
                // Boxed, as the futures of all other requests would have room for it.
                another = Box::pin(fleet.wait_for_another(self.left, self.payer, deadline)).await;
                now = Instant::now();
            }
            if let Some(permit) = another {
                self.left = self.left.without(permit.place);
                others[count - 1] = Some(Box::pin(fleet.ask_one(&permit, question, deadline)));
                runners[count] = Some(self.runner(permit, cause, now));
                ring = self.late_ring(runners[count].as_mut(), now);
                count += 1;
            } else if is_last {
                match (blamed, failed) {
                    (Some((status, false)), _) | (Some((status, true)), None) => {
                        break (End::BlamesRequest(status), now);
                    }
                    // Nobody whose word counts has said it, whoever failed first.
                    (Some((_, true)) | None, Some(failed)) => break (End::Failed(failed), now),
                    (None, None) => {}
                }
            } else if cause == Cause::Hedge {
                // No budget, or no room: there may be later.
                ring = self.late_ring(runners.iter_mut().flatten().next(), now);
            }
        };
        let won = matches!(end, End::Good(..));
        self.settle_blames(&attempts[..count], won, now);
        for (runner, attempt) in runners.into_iter().zip(&mut attempts) {
            if let Some(runner) = runner {
                *attempt = Some(runner.overtaken(won, now));
            } else if count > 1
                && won
                && let Some(attempt) = attempt
                && attempt.mark.is_failure()
            {
                fleet.roster.all()[attempt.generator].tally.vouch();
            }
        }
        if let Some(first) = &attempts[0] {
            fleet.roster.count_for_trials(first);
        }
        Outcome { end, attempts, queued, asking: now.duration_since(began) }
    }

    /// Whoever blamed a request that another did well on has failed. It is as they say where two say the same, one of whom is not
    /// doubted, or all there are.
    fn settle_blames(&self, attempts: &[Option<Attempt>], won: bool, now: Instant) {
        if attempts.len() == 1 {
            return;
        }
        let all = self.fleet.roster.all();
        let blames = || attempts.iter().flatten().filter(|attempt| attempt.mark == Mark::BLAMES);
        let is_believed = || blames().any(|attempt| !all[attempt.generator].tally.is_doubted());
        if !won && (blames().count() == 1 || !self.left.is_empty() && !is_believed()) {
            return;
        }
        for attempt in blames() {
            let generator = &all[attempt.generator];
            if !won {
                generator.tally.confirmed();
            } else if attempt.took < generator.hangs_after(false) {
                // What hung as well is counted already.
                generator.failed(Mark::BLAMES, self.origin(), attempt.took, self.fleet.roster.at(now));
                generator.tally.refuted();
            }
        }
    }

    /// Whose fault a failure may be, beside the generator's.
    fn origin(&self) -> Origin {
        origin(self.fleet, self.question, self.payer)
    }

    /// When another is asked if this one has not answered; where none may be, when this one is taken to hang.
    fn late_ring(&self, runner: Option<&mut Runner<'f, 'q>>, now: Instant) -> Option<Ring<'f>> {
        let runner = runner?;
        runner.is_alone = self.left.is_empty() || !self.question.operation.may_be_repeated();
        let after = if runner.is_alone { runner.hangs_after() } else { runner.late_after() };
        Some(self.fleet.bell.ring_at(now + after))
    }
}

fn origin(fleet: &Fleet, question: &Question<'_>, payer: Payer<'_>) -> Origin {
    let subject = match question.room {
        Some(room) => fleet.roster.hash(&room),
        None => fleet.roster.hash(&question.url),
    };
    Origin::new(fleet.roster.hash(&payer), subject)
}

fn poll_others(others: &mut [Option<Running<'_>>], cx: &mut Context<'_>) -> Poll<(usize, Judged)> {
    for (place, other) in others.iter_mut().enumerate() {
        if let Some(running) = other
            && let Poll::Ready(judged) = running.as_mut().poll(cx)
        {
            return Poll::Ready((place, judged));
        }
    }
    Poll::Pending
}

/// One attempt while it runs: what comes of it is booked for its generator, also when it is dropped.
struct Runner<'f, 'q> {
    fleet: &'f Fleet,
    question: &'f Question<'q>,
    payer: Payer<'f>,
    permit: Permit<'f>,
    cause: Cause,
    began: Instant,
    is_booked: bool,
    /// Whether no other could be asked in its place.
    is_alone: bool,
}

impl Runner<'_, '_> {
    /// After so long another is asked: what 95 of 100 of its own answers keep within.
    fn late_after(&self) -> Duration {
        if self.fleet.roster.settings().hedge {
            self.permit.generator().latency.p95().map_or(HEDGE_UNKNOWN, |p95| p95.max(HEDGE_MIN))
        } else {
            self.hangs_after()
        }
    }

    fn hangs_after(&self) -> Duration {
        self.permit.generator().hangs_after(self.is_alone)
    }

    fn origin(&self) -> Origin {
        origin(self.fleet, self.question, self.payer)
    }

    /// It has answered, or failed.
    fn ended(mut self, judged: &Judged, now: Instant) -> Attempt {
        let (generator, took) = (self.permit.generator(), now.duration_since(self.began));
        let mark = Mark::of(judged);
        let at = self.fleet.roster.at(now);
        match judged {
            Ok(Judgement::Good(_)) => {
                generator.latency.answered(took, at);
                self.fleet.answered_well(self.question);
                generator.tally.did_its_work();
                // Who sends a chat message waits for it; it says little of how fast signatures are made.
                if took > generator.slow() && self.question.operation.may_be_repeated() {
                    generator.tally.slow();
                } else {
                    generator.tally.good();
                }
            }
            Ok(Judgement::BlamesRequest(_)) => {
                generator.tally.neither();
                generator.latency.blamed(took, at);
            }
            // Counted already while it hung.
            _ if self.is_booked => {}
            // We could not have sent it to anybody.
            Err(WireError::Unsendable(_)) => {}
            Ok(Judgement::Bad(_)) | Err(_) => generator.failed(mark, self.origin(), took, at),
        }
        self.is_booked = true;
        self.attempt(mark, now)
    }

    /// Another's answer came first; whether a good one.
    fn overtaken(mut self, by_good: bool, now: Instant) -> Attempt {
        self.still_runs(now);
        if self.is_booked && by_good {
            self.permit.generator().tally.vouch();
        }
        self.attempt(Mark::OVERTAKEN, now)
    }

    fn attempt(&self, mark: Mark, now: Instant) -> Attempt {
        Attempt {
            generator: self.permit.place,
            cause: self.cause,
            mark,
            took: now.duration_since(self.began),
        }
    }

    /// It has not answered yet: one that hangs need not be waited for to be known.
    fn still_runs(&mut self, now: Instant) {
        let took = now.duration_since(self.began);
        if !self.is_booked && took >= self.hangs_after() {
            self.is_booked = true;
            let mark = Mark::of(&Err(WireError::TimedOut(super::wire::Phase::Head)));
            self.permit.generator().failed(mark, self.origin(), took, self.fleet.roster.at(now));
        }
    }
}

/// Given up before it answered, as it was overtaken or its client hung up: that says something once it took longer than is
/// usual for it, and nothing before.
impl Drop for Runner<'_, '_> {
    fn drop(&mut self) {
        if self.is_booked {
            return;
        }
        let now = Instant::now();
        self.still_runs(now);
        let took = now.duration_since(self.began);
        // Whoever sends a chat message waits for it, and says little of how long it takes, as in `ended`.
        if !self.is_booked && took >= self.late_after() && self.question.operation.may_be_repeated() {
            let generator = self.permit.generator();
            generator.tally.slow();
            generator.latency.outlasted(took, self.fleet.roster.at(now));
        }
    }
}
