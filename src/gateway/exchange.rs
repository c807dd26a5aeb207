//! What is known of one request, until it is recorded. Every exit passes through here, also a client's hanging up.
//!
//! An exchange owns what it knows, so that dropping it at any point still books, counts and records the request.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::admit::{Staff, Stop, Worker};
use super::shared::Live;
use crate::base::net::Prefix;
use crate::base::operation::Operation;
use crate::base::request_id::RequestId;
use crate::base::room::Room;
use crate::base::secret::SessionHash;
use crate::base::text::cut;
use crate::base::time::{Timestamp, Wait};
use crate::dialect::Request;
use crate::dialect::head::Answer;
use crate::dialect::route::Method;
use crate::engine::Ending;
use crate::engine::assess::Assessment;
use crate::engine::book::{Plan, Receipt};
use crate::engine::decision::{Caller, Decision, Reason, Standing};
use crate::engine::facts::{Credential, Facts, TargetClaim};
use crate::generator::attempt::Mark;
use crate::generator::fleet::{self, End};
use crate::generator::roster::{Asker, Payer};
use crate::generator::{Failure, wire};
use crate::telemetry::access_log::{AccessRecord, KeyDoubt, Lapse, Ruling, Target, redact_target};
use crate::telemetry::metrics::InFlight;
use crate::telemetry::outcome::Outcome;

/// What was shown for a key.
#[derive(Clone, Copy)]
enum Shown {
    Nothing,
    /// One that was looked up.
    Key,
    /// One that was not.
    Barred(Wait),
}

/// One request, from its first look to its record.
pub struct Exchange<'w> {
    worker: &'w Worker,
    /// The one policy set that this request sees.
    pub live: Arc<Live>,
    /// And the generators.
    pub staff: Rc<Staff>,
    /// What the client is told as `X-Request-ID`.
    pub id: RequestId,
    /// When it was decided; until then, when it came.
    pub now: Timestamp,
    sequence: u64,
    client: Option<IpAddr>,
    shown: Shown,
    operation: Option<Operation>,
    room: Option<Room>,
    session: Option<SessionHash>,
    method: &'static str,
    /// The public form of the target; then the user agent; then host and path of a URL that stood in the body.
    text: String,
    /// Whether the target in it is as the record has it.
    is_public: bool,
    /// Where each of these ends.
    ends: [usize; 4],
    decision: Option<Decision>,
    /// What a refused request would have been charged to.
    plan: Plan,
    /// What was booked, where `is_booked`. In its place from the start: it is large.
    receipt: Receipt,
    is_booked: bool,
    /// The policy admits it, and there was no capacity for it.
    turned_away: bool,
    /// The gateway's own reason, where no policy was asked.
    own_reason: &'static str,
    outcome: Outcome,
    generator: Option<usize>,
    lapse: Option<Lapse>,
    attempts: u8,
    queue_time: Duration,
    generator_time: Duration,
    refunded: bool,
    /// When what was booked was settled: where replay settles it, too.
    settled: Option<Timestamp>,
    answer_room: Option<Room>,
    bytes_in: u64,
    answered: Option<(u16, u64)>,
    _in_flight: InFlight,
}

impl<'w> Exchange<'w> {
    /// Takes up a request.
    pub fn begin(worker: &'w Worker) -> Self {
        let shared = &worker.shared;
        let now = shared.clock.now();
        let sequence = shared.next_sequence();
        Self {
            worker,
            live: shared.live.load_full(),
            staff: worker.staff(),
            id: RequestId::new(now, sequence, worker.seed),
            now,
            sequence,
            client: None,
            shown: Shown::Nothing,
            operation: None,
            room: None,
            session: None,
            method: "",
            text: worker.spare_text(),
            is_public: false,
            ends: [0; 4],
            decision: None,
            plan: Plan::default(),
            receipt: Receipt::default(),
            is_booked: false,
            turned_away: false,
            own_reason: "client-gone",
            // Until something else is known: dropped now, the client has hung up.
            outcome: Outcome::ClientGone,
            generator: None,
            lapse: None,
            attempts: 0,
            queue_time: Duration::ZERO,
            generator_time: Duration::ZERO,
            refunded: false,
            settled: None,
            answer_room: None,
            bytes_in: 0,
            answered: None,
            _in_flight: shared.metrics.enter(),
        }
    }

    /// Notes where it comes from, before anything of it is believed.
    pub fn came(&mut self, client: IpAddr, method: &str) {
        self.client = Some(client);
        self.method = known_method(method);
    }

    /// Notes what the head of a request says that cannot be read any further.
    pub fn not_read(&mut self, target: &str, user_agent: &str) {
        if !self.worker.recorder.records() {
            return;
        }
        let mut text = std::mem::take(&mut self.text).into_bytes();
        text.clear();
        redact_target(target, &mut text);
        self.text = String::from_utf8(text).unwrap_or_default();
        self.note(user_agent, TargetClaim::None);
    }

    /// Notes where a connection came from that brought no request.
    pub fn came_without_request(&mut self, client: IpAddr) {
        self.client = Some(client);
        // Nothing is made up of a head that was refused.
        self.method = "";
    }

    /// Appends to the target what else is known in words.
    fn note(&mut self, user_agent: &str, url: TargetClaim<'_>) {
        let (host, path) = match url {
            TargetClaim::Url { host, path } => (host, path),
            TargetClaim::None | TargetClaim::InBody => ("", ""),
        };
        self.ends[0] = self.text.len();
        for (end, text) in self.ends[1..].iter_mut().zip([user_agent, host, path]) {
            self.text.push_str(cut(text, WORDS_BYTES_MAX));
            *end = self.text.len();
        }
    }

    /// Notes what was read of it; again when the body has told more.
    pub fn identified(&mut self, request: &Request<'_>, facts: &Facts<'_>) {
        self.operation = Some(facts.operation);
        self.shown = match facts.credential {
            Credential::Presented(_) => Shown::Key,
            Credential::Unchecked(wait) => Shown::Barred(wait),
            Credential::Absent | Credential::Unknown | Credential::Recorded { .. } => Shown::Nothing,
        };
        self.room = facts.room;
        self.session = facts.session;
        if !self.worker.recorder.records() {
            return;
        }
        self.text.clear();
        self.is_public = request.write_public_target(&mut self.text);
        // In a request line it is part of the target already.
        let in_body = request.route().method() == Method::Post;
        self.note(facts.user_agent, if in_body { facts.target } else { TargetClaim::None });
    }

    /// Has fetched from memory, while the request is looked at further, what looking its key up begins with.
    pub fn foresee(&self, request: &Request<'_>) {
        if let Some(key) = request.key() {
            self.live.policy.prefetch_key(&key);
        }
    }

    /// The facts of `request`. A key is not looked up where its proxy showed too many unknown ones.
    pub fn facts<'r>(&self, request: &'r Request<'_>, client: IpAddr) -> Facts<'r> {
        let policy = &self.live.policy;
        let network = policy.networks().lookup(client);
        let mut facts = request.facts(client, network.map(|network| network.asn));
        if let Credential::Presented(key) = facts.credential {
            match self.worker.shared.key_attempts.barred(Prefix::proxy(client), self.now) {
                Some(wait) => facts.credential = Credential::Unchecked(wait),
                None => policy.prefetch_caller(&key),
            }
        }
        facts
    }

    /// Decides: charges what the assessment planned and concludes. Whoever the policy admits, and there is no capacity for, is
    /// turned away before anything is booked.
    pub(super) fn decide(&mut self, assessment: &mut Assessment, facts: &Facts<'_>) -> Result<(), Stop> {
        let (engine, live, generators) = (&self.worker.shared.engine, &self.live, &self.staff.fleet);
        let receipt = &mut self.receipt;
        let mut failure = None;
        let charge = engine.charge_unless(&live.policy, assessment, receipt, self.now, |caller| {
            failure = generators.turn_away(facts.operation, asker(live, Some(caller), facts));
            failure.is_some()
        });
        let decision = engine.conclude(&live.policy, assessment, charge, receipt, self.now);
        self.turned_away = failure.is_some();
        self.is_booked = decision.refusal.is_none() && !self.turned_away;
        self.room = assessment.room;
        if !self.is_booked {
            self.plan = std::mem::take(&mut assessment.plan);
        }
        if !self.concluded(decision) {
            return Err(Stop::Refused);
        }
        let Some(failure) = failure else { return Ok(()) };
        self.observe(&fleet::Outcome::without(failure, None));
        Err(Stop::Failed(failure))
    }

    /// Who asks, where requests may have to wait or be turned away.
    pub fn asker(&self, facts: &Facts<'_>) -> Asker<'_> {
        asker(&self.live, self.decision.as_ref().map(|decision| &decision.caller), facts)
    }

    /// Decides without charging: for a request that is refused before its body is read, and for one that costs nothing.
    pub fn decide_free(&mut self, assessment: Assessment) -> bool {
        let Assessment { caller, refusal, shadow, plan, room, .. } = assessment;
        (self.plan, self.room) = (plan, room);
        self.concluded(Decision { caller, refusal, shadow })
    }

    fn concluded(&mut self, decision: Decision) -> bool {
        let admitted = decision.refusal.is_none();
        if let Some(refusal) = &decision.refusal {
            self.outcome = Outcome::Refused;
            if let (Reason::KeyUnknown, Some(client)) = (refusal.first(), self.client) {
                self.worker.shared.key_attempts.failed(Prefix::proxy(client), self.now);
            }
        }
        if let Some(operation) = self.operation {
            self.live.rules.count(operation, &decision);
        }
        self.decision = Some(decision);
        admitted
    }

    /// The decision, once there is one.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// How the windows stand that this request met.
    pub fn standings(&self) -> SmallVec<[Standing; 8]> {
        let (shared, policy) = (&self.worker.shared, &self.live.policy);
        if self.is_booked {
            self.receipt.standings(policy, self.now).collect()
        } else {
            shared.engine.standings_of(policy, &self.plan, self.now).into()
        }
    }

    /// Notes a body that was read. It is decided only now: by the time of its head, a client could save up a rate's or a
    /// window's worth of requests behind slow bodies and have them all admitted at once.
    pub fn read_body(&mut self, bytes: usize) {
        let shared = &self.worker.shared;
        self.bytes_in = bytes as u64;
        (self.now, self.sequence) = (shared.clock.now(), shared.next_sequence());
    }

    /// Notes that the request itself is at fault.
    pub fn invalid(&mut self, reason: &'static str) {
        self.outcome = Outcome::Invalid;
        self.own_reason = reason;
    }

    /// Notes an answer that the gateway made by itself.
    pub fn served_here(&mut self) {
        self.outcome = Outcome::Good;
    }

    /// From here on a client that hangs up is charged: a generator is being asked. Released is only what was in flight.
    pub fn asking(&mut self) {
        self.outcome = Outcome::ClientGone;
    }

    /// Takes in how asking ended; gives back what was booked where the generators are to blame.
    pub fn observe(&mut self, asked: &fleet::Outcome) {
        for attempt in asked.attempts.iter().flatten() {
            self.attempts += 1;
            self.generator = Some(attempt.generator);
            self.staff.count_attempt(attempt);
        }
        self.generator_time = asked.asking;
        if let Some(queued) = asked.queued {
            self.queue_time = queued;
            self.worker.shared.metrics.queued(queued);
        }
        if let (End::Failed(Failure::NoCapacity(lack, _)), Some(decision)) = (&asked.end, &self.decision) {
            self.live.rules.shed(decision.caller.tier, *lack as usize);
        }
        self.outcome = match &asked.end {
            End::Good(good, place) => {
                self.generator = Some(*place);
                self.answer_room = good.room;
                Outcome::Good
            }
            End::BlamesRequest(_) => {
                self.fell_short(asked, Mark::BLAMES.word());
                Outcome::RequestBlamed
            }
            End::Failed(failure @ (Failure::NoCapacity(..) | Failure::NoneConfigured)) => {
                self.lapse = Some(Lapse::Lack(failure.reason()));
                Outcome::NoCapacity
            }
            End::Failed(failure @ (Failure::Wire(_) | Failure::Judged(_))) => {
                self.fell_short(asked, failure.reason());
                match failure {
                    Failure::Wire(wire::WireError::TimedOut(_)) => Outcome::TimedOut,
                    _ => Outcome::GeneratorFailed,
                }
            }
        };
        self.settle(match &asked.end {
            End::Good(good, _) => Ending::Good(good.room),
            End::BlamesRequest(_) => Ending::Charged,
            End::Failed(Failure::NoCapacity(..) | Failure::NoneConfigured) => Ending::Refused,
            End::Failed(_) => Ending::Refunded,
        });
    }

    /// Notes what was the matter with the answer that settled it, and whose answer that was: of several that ran at once it
    /// need not be the one that was asked last.
    fn fell_short(&mut self, asked: &fleet::Outcome, defect: &'static str) {
        self.lapse = Some(Lapse::Defect(defect));
        let mut attempts = asked.attempts.iter().flatten().rev();
        if let Some(attempt) = attempts.find(|attempt| attempt.mark.word() == defect) {
            self.generator = Some(attempt.generator);
        }
    }

    /// To be called once: a second release would free somebody else's place.
    fn settle(&mut self, ending: Ending) {
        if self.is_booked {
            let shared = &self.worker.shared;
            let now = shared.clock.now();
            self.refunded = shared.engine.observe(&self.live.policy, &self.receipt, ending, now);
            self.settled = Some(now);
        }
    }

    /// Notes the answer that goes out.
    pub fn answered(&mut self, answer: &Answer) {
        self.answered = Some((answer.status.as_u16(), answer.body.len() as u64));
    }
}

fn asker<'c>(live: &Live, caller: Option<&'c Caller>, facts: &Facts<'_>) -> Asker<'c> {
    let identity = caller.and_then(|caller| caller.identity.as_ref());
    Asker {
        payer: match identity {
            Some((account, _)) => Payer::Account(account),
            None => Payer::Proxy(Prefix::proxy(facts.client)),
        },
        rank: caller.map_or(0, |caller| live.policy.shedding_rank(caller.tier)),
    }
}

/// A user agent, a host and a path are kept up to so many bytes each.
const WORDS_BYTES_MAX: usize = 1024;

/// The methods that have a meaning here; a record says `other` of the rest.
fn known_method(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

/// Every exit passes through here: what was booked is settled, and the request is counted and recorded.
impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let shared = &self.worker.shared;
        if self.is_booked && self.outcome == Outcome::ClientGone {
            self.settle(Ending::Charged);
        }
        let duration = self.settled.unwrap_or_else(|| shared.clock.now()).since(self.now);
        let (status, bytes_out) = self.answered.unwrap_or_default();
        match self.answered {
            Some((status, _)) => shared.metrics.answered(self.operation, status, self.outcome),
            None => shared.metrics.unanswered(self.operation, self.outcome),
        }
        shared.metrics.took(self.operation, duration.saturating_sub(self.queue_time + self.generator_time));
        if self.outcome == Outcome::Good && self.generator.is_some() {
            shared.metrics.good_answer(duration);
        }
        if let (true, Some(operation)) = (self.refunded, self.operation) {
            shared.metrics.refunded(operation);
        }
        let part = |from, to| self.text.get(from..to).unwrap_or_default();
        let [target_end, agent_end, host_end, path_end] = self.ends;
        let url = match part(agent_end, host_end) {
            "" => TargetClaim::None,
            host => TargetClaim::Url { host, path: part(host_end, path_end) },
        };
        let known = self.decision.as_ref().is_some_and(|decision| decision.caller.identity.is_some());
        let key_doubt = match self.shown {
            // Where nobody came to look it up, such as with a body that cannot be read, nothing is known of it.
            Shown::Key if !known && self.decision.is_some() => Some(KeyDoubt::Unknown),
            Shown::Barred(wait) => Some(KeyDoubt::Barred(wait)),
            Shown::Nothing | Shown::Key => None,
        };
        self.worker.recorder.record(&AccessRecord {
            time: self.now,
            seq: self.sequence,
            duration,
            request_id: self.id.text(),
            client: self.client,
            key_doubt,
            method: self.method,
            target: if self.is_public {
                Target::Public(part(0, target_end))
            } else {
                Target::AsItCame(part(0, target_end))
            },
            url,
            user_agent: part(target_end, agent_end),
            session: self.session,
            room: self.room,
            answer_room: self.answer_room,
            operation: self.operation,
            status,
            ruling: match &self.decision {
                Some(decision) => Ruling::Policy { decision, policy: &self.live.policy },
                None => Ruling::Gateway { policy: Some(self.live.policy.digest()), reason: self.own_reason },
            },
            outcome: self.outcome,
            generator: self.generator.map(|place| &*self.staff.fleet.roster().all()[place].name),
            lapse: self.lapse,
            attempts: self.attempts,
            refunded: self.refunded,
            turned_away: self.turned_away,
            queue: self.queue_time,
            generator_time: self.generator_time,
            bytes_in: self.bytes_in,
            bytes_out,
        });
        self.worker.keep_text(std::mem::take(&mut self.text));
    }
}
