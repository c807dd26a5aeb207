//! The path of a request, top to bottom.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::address::client_address;
use super::exchange::Exchange;
use super::listener::{Arrival, Origin, Rejection, RequestHead};
use super::respond;
use super::shared::{PATIENCE, PATIENCE_JAVA, PATIENCE_NODE_1, Shared};
use crate::base::library::LibraryName;
use crate::base::operation::Operation;
use crate::base::request_id::RequestId;
use crate::dialect::forward::Scratch;
use crate::dialect::head::Answer;
use crate::dialect::limits::{self, LoadShedding};
use crate::dialect::ratelimit::Limits;
use crate::dialect::route::{Generation, Method};
use crate::dialect::{Fault, Request};
use crate::engine::facts::Facts;
use crate::generator::attempt::{Attempt, Mark};
use crate::generator::fleet::{End, Fleet};
use crate::generator::keeper::tell_working;
use crate::generator::member::Generator;
use crate::generator::stage::Stage;
use crate::generator::{Failure, Question, wire};
use crate::telemetry::access_log::Recorder;
use crate::telemetry::metrics::{GeneratorMetrics, Metrics};

/// One thread of the data path.
#[derive(Debug)]
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    stage: Arc<Stage>,
    staff: RefCell<Rc<Staff>>,
    pub(super) recorder: Recorder,
    pub(super) seed: [u64; 2],
    scratches: RefCell<Vec<Scratch>>,
    texts: RefCell<Vec<String>>,
}

/// The generators as one thread asks them, with the handles that count. One request sees one staff.
#[derive(Debug)]
pub struct Staff {
    /// This thread's view of them.
    pub fleet: Fleet,
    metrics: Box<[GeneratorMetrics]>,
    generation: u64,
}

impl Staff {
    pub(super) fn count_attempt(&self, attempt: &Attempt) {
        if let Some(metrics) = self.metrics.get(attempt.generator) {
            metrics.answered(attempt.mark.index(), attempt.took);
        }
    }

    fn new(stage: &Stage, metrics: &Metrics, seed: u64) -> Self {
        // Read first: should another come between the two, it is seen with the next request.
        let generation = stage.generation();
        let fleet = Fleet::new(stage.roster(), seed);
        tell_working(fleet.roster(), metrics);
        let handles = |generator: &Generator| {
            metrics.generator(&generator.name, generator.in_flight_max, Mark::words())
        };
        let metrics = fleet.roster().all().iter().map(|generator| handles(generator)).collect();
        Self { fleet, metrics, generation }
    }
}

/// Why a request gets no good answer.
pub(super) enum Stop {
    /// There was no request.
    Framing(Rejection),
    /// The request is at fault.
    Fault(Fault),
    /// The policy refuses it; the exchange holds the decision.
    Refused,
    /// A generator says that the request is at fault.
    Blamed(u16),
    /// The generators failed.
    Failed(Failure),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Worker {
    /// A thread's own part. `seed` makes its request ids.
    pub fn new(shared: Arc<Shared>, stage: Arc<Stage>, recorder: Recorder, seed: [u64; 2]) -> Self {
        let staff = Staff::new(&stage, &shared.metrics, seed[0]);
        Self {
            shared,
            stage,
            staff: RefCell::new(Rc::new(staff)),
            recorder,
            seed,
            scratches: RefCell::default(),
            texts: RefCell::default(),
        }
    }

    /// Answers one arrival, and records it.
    pub async fn handle(&self, arrival: Arrival<'_>) -> Answer {
        if let Some(healthy) = self.health_check(&arrival) {
            return healthy;
        }
        let mut exchange = Exchange::begin(self);
        let head = arrival.request;
        let answer = match self.admit(arrival, &mut exchange).await {
            Ok(answer) => answer,
            Err(stop) => respond::refusal(&mut exchange, &stop, head.map_or("", |head| head.user_agent())),
        };
        exchange.answered(&answer);
        answer
    }

    async fn admit(&self, arrival: Arrival<'_>, exchange: &mut Exchange<'_>) -> Result<Answer, Stop> {
        // accept
        let Arrival { origin, request, body } = arrival;
        let head = match request {
            Ok(head) => head,
            Err(rejection) => {
                exchange.came_without_request(self.client_of(None, origin));
                return Err(Stop::Framing(rejection));
            }
        };

        // identify: the head
        let client = self.client_of(Some(head), origin);
        let (method, target) = (head.method(), head.target());
        exchange.came(client, method);
        let read = Request::read(method, target, head.headers(), &self.shared.hash_key);
        let mut request = read.inspect_err(|_| exchange.not_read(target, head.user_agent()))?;
        exchange.foresee(&request);

        // identify: the body, for a request that may still be admitted
        if request.awaits_body() {
            let facts = exchange.facts(&request, client);
            exchange.identified(&request, &facts);
            let early = self.shared.engine.assess(&exchange.live.policy, &facts, exchange.now);
            if early.refusal.is_some() {
                exchange.decide_free(early);
                return Err(Stop::Refused);
            }
            let bytes = body.read().await.map_err(Stop::Framing)?;
            exchange.read_body(bytes.len());
            request.read_body(&bytes)?;
        }
        request.complete().inspect_err(|_| exchange.not_read(target, head.user_agent()))?;

        // assess
        let facts = exchange.facts(&request, client);
        exchange.identified(&request, &facts);
        {
            // Large, and not held until the answer is there.
            let mut assessment = self.shared.engine.assess_ahead(&exchange.live.policy, &facts, exchange.now);
            if facts.operation == Operation::Limits {
                return if exchange.decide_free(assessment) {
                    Ok(self.limits(exchange, &facts))
                } else {
                    Err(Stop::Refused)
                };
            }

            // charge, or shed: before anything is booked or made ready for a generator; conclude
            exchange.decide(&mut assessment, &facts)?;
        }
        exchange.asking();

        // forward, judge
        let mut scratch = self.scratches.borrow_mut().pop().unwrap_or_default();
        let sessions = exchange.live.policy.sessions();
        let forwarded = request.forward(sessions, None, &mut scratch);
        let url = request.forwarded_url(sessions);
        let browser_user_agent = || request.browser_user_agent();
        let question = Question {
            operation: facts.operation,
            room: facts.room,
            url: url.as_deref(),
            browser_user_agent: &browser_user_agent,
            method: match forwarded.method {
                Method::Get => wire::Method::Get,
                Method::Post => wire::Method::Post,
            },
            target: forwarded.target,
            headers: forwarded.headers.as_slice(),
            body: forwarded.body,
        };
        let patience = patience(&request);
        let asked =
            exchange.staff.fleet.ask(&question, exchange.asker(&facts), Instant::now() + patience).await;
        self.keep_scratch(scratch);

        // observe, respond; the record is written when the exchange is dropped
        exchange.observe(&asked);
        match asked.end {
            End::Good(good, place) => {
                let alias = Arc::clone(&exchange.staff.fleet.roster().all()[place].alias);
                Ok(respond::good(exchange, &good, &alias, request.route().generation()))
            }
            End::BlamesRequest(status) => Err(Stop::Blamed(status)),
            End::Failed(failure) => Err(Stop::Failed(failure)),
        }
    }

    /// The client's address, from the one configured source.
    fn client_of(&self, head: Option<RequestHead<'_>>, origin: Origin<'_>) -> IpAddr {
        let settings = &self.shared.settings;
        let values = settings.address_source.header().zip(head).map(|(name, head)| head.values(name));
        client_address(
            settings.address_source,
            &settings.trusted_proxies,
            origin.peer().ip(),
            origin.proxied(),
            values.into_iter().flatten(),
        )
    }

    /// Answers a load balancer's question whether the data path lives; neither counted nor recorded.
    fn health_check(&self, arrival: &Arrival<'_>) -> Option<Answer> {
        let path = self.shared.settings.health_path.as_deref()?;
        let head = arrival.request.ok()?;
        (head.path() == path).then(|| respond::health(arrival.origin.is_stopping(), self.shared.clock.now()))
    }

    fn limits(&self, exchange: &mut Exchange<'_>, facts: &Facts<'_>) -> Answer {
        let (policy, now) = (&exchange.live.policy, exchange.now);
        let proxy = crate::base::net::Prefix::proxy(facts.client);
        let caller =
            exchange.decision().and_then(|decision| decision.caller.identity.as_ref()).map(|(_, key)| key);
        let chance = exchange.staff.fleet.roster().shedding.chance(exchange.asker(facts).rank);
        let shedding = LoadShedding { chance, ..LoadShedding::NONE };
        let body = self.shared.poll(proxy, caller, now, || {
            let standings = self.shared.engine.standings(policy, facts, now);
            limits::body(Limits { policy, standings: &standings }, shedding, now)
        });
        let answer = respond::with(limits::head(exchange.id), body, now);
        exchange.served_here();
        answer
    }

    /// The id of an answer that is given before there is a request: to a connection over a cap.
    pub fn next_id(&self) -> RequestId {
        RequestId::new(self.shared.clock.now(), self.shared.next_sequence(), self.seed)
    }

    /// The generators as this thread asks them.
    pub fn staff(&self) -> Rc<Staff> {
        Rc::clone(&self.staff.borrow())
    }

    /// Goes over to the generators that were put in force since the last time; then somebody has to keep time for the new
    /// staff ([`Fleet::keep_time`]). Requests under way keep the one that they have.
    pub fn restaff(&self) -> Option<Rc<Staff>> {
        if self.stage.generation() == self.staff.borrow().generation {
            return None;
        }
        let staff = Rc::new(Staff::new(&self.stage, &self.shared.metrics, self.seed[0]));
        staff.fleet.warm_up();
        self.staff.replace(Rc::clone(&staff));
        Some(staff)
    }

    /// Work of the quarter of a second: hands records on, closes connections that idled too long, and tells how much too late
    /// it comes itself.
    pub fn tick(&self, lag: Duration) {
        self.shared.metrics.worker_lagged(lag);
        self.recorder.flush();
        self.staff().fleet.tidy();
    }

    /// Looks up the generators' names before the first request needs them.
    pub fn warm_up(&self) {
        self.staff().fleet.warm_up();
    }

    /// The places of the generators that this thread should look at now: see [`Fleet::due`].
    pub fn due_looks(&self) -> Vec<usize> {
        self.staff().fleet.due().collect()
    }

    /// Asks a generator how it fares.
    pub async fn look_at_generator(&self, place: usize) {
        self.staff().fleet.look(place).await;
    }

    pub(super) fn spare_text(&self) -> String {
        self.texts.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn keep_text(&self, mut text: String) {
        text.clear();
        let mut texts = self.texts.borrow_mut();
        if texts.len() < SPARES_MAX && text.capacity() <= SPARE_BYTES_MAX {
            texts.push(text);
        }
    }

    fn keep_scratch(&self, scratch: Scratch) {
        let mut scratches = self.scratches.borrow_mut();
        if scratches.len() < SPARES_MAX && scratch.capacity() <= SPARE_BYTES_MAX {
            scratches.push(scratch);
        }
    }
}

/// So many buffers are kept for the next requests, and none that has grown beyond so many bytes.
const SPARES_MAX: usize = 64;
const SPARE_BYTES_MAX: usize = 64 << 10;

/// How long the client of a request waits for its answer.
fn patience(request: &Request<'_>) -> Duration {
    match (request.library().name, request.route().generation()) {
        (LibraryName::Java, _) => PATIENCE_JAVA,
        (_, Generation::Zero) => PATIENCE_NODE_1,
        _ => PATIENCE,
    }
}
