//! What the threads of a gateway run: workers with the data path, and the one that looks after the generators.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

use crate::base::time::Clock;
use crate::control::generators::Generators;
use crate::gateway::listener::{
    Arrival, CapReached, ConnectionCaps, Deadline, ListenerCounts, ListenerSettings, ListenerThread,
    Violation, serve_listener,
};
use crate::gateway::{Shared, Staff, Worker};
use crate::generator::fleet::Fleet;
use crate::generator::keeper::Keeper;
use crate::generator::stage::Stage;
use crate::telemetry::access_log::RecordLog;
use crate::telemetry::metrics::{ListenerTotals, Metrics};

/// What one worker thread starts with.
pub(super) struct WorkerParts {
    pub(super) shared: Arc<Shared>,
    pub(super) stage: Arc<Stage>,
    pub(super) record: Arc<RecordLog>,
    pub(super) seed: [u64; 2],
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) caps: Arc<ConnectionCaps>,
    pub(super) counts: mpsc::Sender<Arc<ListenerCounts>>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// How often a worker hands its records on.
const TICK: Duration = Duration::from_millis(250);

pub(super) fn work(socket: std::net::TcpListener, part: WorkerParts) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker thread cannot start");
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        let worker = Rc::new(Worker::new(part.shared, part.stage, part.record.recorder(), part.seed));
        worker.warm_up();
        let for_ids = Rc::clone(&worker);
        let thread = ListenerThread::new(part.settings, move || for_ids.next_id());
        let _ = part.counts.send(Arc::clone(thread.counts()));
        // Whoever waits for all workers must see when one of them will not come.
        drop(part.counts);
        let staffed = Rc::new(Staffed::new(Rc::clone(&worker)));
        let (ticking, going_over) = (Rc::clone(&worker), Rc::clone(&staffed));
        tokio::task::spawn_local(async move {
            let mut ticks = tokio::time::interval(TICK);
            // After a long lag one tick, not a burst of those that were missed.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let due = ticks.tick().await;
                ticking.tick(due.elapsed());
                going_over.go_over();
                for place in ticking.due_looks() {
                    let looking = Rc::clone(&ticking);
                    tokio::task::spawn_local(async move { looking.look_at_generator(place).await });
                }
            }
        });
        let for_handler = Rc::clone(&worker);
        let handler = Rc::new(async move |arrival: Arrival<'_>| {
            staffed.go_over();
            for_handler.handle(arrival).await
        });
        if let Err(error) = serve_listener(socket, thread, part.caps, handler, part.stopped).await {
            tracing::error!(%error, "a worker thread cannot accept connections");
        }
        worker.tick(Duration::ZERO);
    });
}

/// No request is under way for longer with the generators that it began with.
const OLD_STAFF: Duration = Duration::from_secs(30);

/// A worker with the generators that are in force, and who keeps time for its requests.
struct Staffed {
    worker: Rc<Worker>,
    ringing: RefCell<JoinHandle<()>>,
}

impl Staffed {
    fn new(worker: Rc<Worker>) -> Self {
        let ringing = RefCell::new(ring_for(worker.staff()));
        Self { worker, ringing }
    }

    /// Goes over to generators that a reload put in force: before each request, so that none which comes after the reload was
    /// answered asks a generator that was taken out, or one that was drained since; and with each tick, for a thread that nobody
    /// asks.
    fn go_over(&self) {
        let Some(staff) = self.worker.restaff() else { return };
        let before = self.ringing.replace(ring_for(staff));
        tokio::task::spawn_local(async move {
            tokio::time::sleep(OLD_STAFF).await;
            before.abort();
        });
    }
}

/// Keeps time for the requests of a staff.
pub(super) fn ring_for(staff: Rc<Staff>) -> JoinHandle<()> {
    tokio::task::spawn_local(async move {
        staff.fleet.keep_time().await;
    })
}

/// How often canaries are compared with their baselines.
const COMPARE: Duration = Duration::from_secs(1);

/// How often it is looked whether a reload has put other generators in force, and who still waits for the old ones.
const LOOK: Duration = Duration::from_millis(50);

/// Looks after the generators until the sender is gone.
pub(super) fn look_after(
    generators: &Generators,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    seed: u64,
    mut kept: watch::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "generators cannot be looked after: none is ejected, and no failure is mended");
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        let comparing = async {
            let mut times = tokio::time::interval(COMPARE);
            times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                times.tick().await;
                generators.compare(COMPARE);
            }
        };
        let keeping = async {
            loop {
                let generation = generators.stage().generation();
                let roster = generators.stage().roster();
                let keeper = Keeper::new(Arc::clone(&roster), Arc::clone(metrics));
                let fleet = Rc::new(Fleet::new(roster, seed));
                fleet.warm_up();
                let replaced = async {
                    while generators.stage().generation() == generation {
                        generators.stage().tend_retired(clock.now());
                        tokio::time::sleep(LOOK).await;
                    }
                };
                tokio::select! {
                    () = keeper.run(fleet) => {}
                    () = replaced => {}
                }
            }
        };
        tokio::select! {
            () = comparing => {}
            () = keeping => {}
            _ = kept.changed() => {}
        }
    });
}

/// All threads' numbers together.
pub(super) fn totals(counts: &[Arc<ListenerCounts>]) -> ListenerTotals {
    let sum = |read: &dyn Fn(&ListenerCounts) -> u64| counts.iter().map(|counts| read(counts)).sum();
    ListenerTotals {
        open: sum(&ListenerCounts::open),
        accepted: sum(&|counts| counts.accepted.get()),
        accept_errors: sum(&|counts| counts.accept_errors.get()),
        refused: CapReached::ALL
            .iter()
            .map(|cap| (cap.label(), sum(&|counts| counts.capped(*cap))))
            .collect(),
        rejected: by_label(
            Violation::ALL
                .iter()
                .map(|violation| (violation.rejection().label, sum(&|counts| counts.violations(*violation)))),
        ),
        deadlines: Deadline::ALL
            .iter()
            .map(|deadline| (deadline.label(), sum(&|counts| counts.deadlines(*deadline))))
            .collect(),
        bytes_in: sum(&|counts| counts.bytes_in.get()),
        bytes_out: sum(&|counts| counts.bytes_out.get()),
    }
}

/// Several violations may share a label; a metric has each once.
pub(super) fn by_label(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let mut sums: std::collections::BTreeMap<&'static str, u64> = std::collections::BTreeMap::new();
    counts.for_each(|(label, count)| *sums.entry(label).or_default() += count);
    sums.into_iter().collect()
}
