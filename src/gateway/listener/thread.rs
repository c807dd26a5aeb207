//! What all connections of one thread share: settings, counts, a coarse clock, and the list of themselves.
//!
//! No request registers a timer or reads a clock. One task a thread advances [`ListenerThread`]'s clock every [`TICK`]
//! and looks through its connections, whose deadlines are numbers in cells; 10,000 of them take well under a millisecond.

use std::{
    cell::{Cell, Ref, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::base::{request_id::RequestId, time::Timestamp};

use super::{
    connection::ConnectionState,
    counts::{Deadline, ListenerCounts},
    inbound::Inbound,
    settings::ListenerSettings,
};

/// How often a thread looks at the clock. A deadline of `d` is met between `d` and `d` plus two ticks.
pub const TICK: Duration = Duration::from_millis(250);

/// How far a thread is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serving.
    Open,
    /// Serving open connections, each answer with `Connection: close`.
    LameDuck,
    /// Closing connections as soon as they have nothing in flight.
    Closing,
}

/// One listener thread.
pub struct ListenerThread {
    settings: Arc<ListenerSettings>,
    counts: Arc<ListenerCounts>,
    started: Instant,
    now_ms: Cell<u64>,
    stage: Cell<Stage>,
    connections: RefCell<Connections>,
    ids: Box<dyn Fn() -> RequestId>,
    inbounds: RefCell<Vec<Inbound>>,
    date: RefCell<Date>,
}

/// So much memory is kept for whoever reads next.
const SPARES_MAX: usize = 64;

/// A second, and how an answer tells it.
#[derive(Default)]
struct Date {
    secs: Option<u64>,
    text: String,
}

impl fmt::Debug for ListenerThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerThread").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Connections {
    slots: Vec<Option<Rc<ConnectionState>>>,
    free: Vec<usize>,
}

impl ListenerThread {
    /// A thread with no connections. Its clock stands until [`ListenerThread::keep_time`] runs. `ids` names the answers that
    /// it gives by itself, to connections over a cap.
    pub fn new(settings: Arc<ListenerSettings>, ids: impl Fn() -> RequestId + 'static) -> Rc<Self> {
        Rc::new(Self {
            ids: Box::new(ids),
            settings,
            counts: Arc::default(),
            started: Instant::now(),
            now_ms: Cell::new(0),
            stage: Cell::new(Stage::Open),
            connections: RefCell::default(),
            inbounds: RefCell::default(),
            date: RefCell::default(),
        })
    }

    /// Memory for what a client sends.
    pub(super) fn spare_inbound(&self) -> Inbound {
        self.inbounds.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes it back.
    pub(super) fn keep_inbound(&self, mut inbound: Inbound) {
        inbound.clear();
        let mut inbounds = self.inbounds.borrow_mut();
        if inbound.is_spare() && inbounds.len() < SPARES_MAX {
            inbounds.push(inbound);
        }
    }

    /// How much such memory is kept.
    #[cfg(test)]
    pub(super) fn spares(&self) -> usize {
        self.inbounds.borrow().len()
    }

    /// How a `Date` tells this time; written anew once a second.
    pub(super) fn date(&self, time: Timestamp) -> Ref<'_, str> {
        let secs = Some(time.as_secs());
        if self.date.borrow().secs != secs {
            *self.date.borrow_mut() = Date { secs, text: time.to_http_date() };
        }
        Ref::map(self.date.borrow(), |date| date.text.as_str())
    }

    pub(super) fn next_id(&self) -> RequestId {
        (self.ids)()
    }

    /// The settings of this listener.
    pub fn settings(&self) -> &ListenerSettings {
        &self.settings
    }

    /// This thread's numbers; clone the `Arc` to read them elsewhere.
    pub fn counts(&self) -> &Arc<ListenerCounts> {
        &self.counts
    }

    /// How far this thread is on its way out.
    pub fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Advances the clock and enforces deadlines, for ever. Run one beside the connections.
    pub async fn keep_time(self: Rc<Self>) -> ! {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let now = ticks.tick().await.max(Instant::now());
            self.now_ms.set(now.duration_since(self.started).as_millis() as u64);
            for connection in self.connections.borrow().slots.iter().flatten() {
                connection.tick(self.now_ms.get());
            }
        }
    }

    /// Goes out gracefully; call it after accepting has stopped. Returns when no connection is left.
    ///
    /// Connections that were just accepted have sent nothing that we could have seen, and a client that has just been
    /// told nothing of a shutdown may be sending on an idle one: both get the time of a lame duck to be served, then
    /// idle ones are closed, then what is left is cut.
    pub async fn drain(&self) {
        self.stage.set(Stage::LameDuck);
        sleep(self.settings.deadlines.lame_duck).await;
        self.stage.set(Stage::Closing);
        self.each(ConnectionState::wake);
        if timeout(self.settings.deadlines.drain, self.emptied()).await.is_err() {
            self.each(|connection| connection.cut(Deadline::Drain));
            self.emptied().await;
        }
    }

    async fn emptied(&self) {
        // A poll and not a signal: this happens once in a process's life.
        while !self.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn is_empty(&self) -> bool {
        let connections = self.connections.borrow();
        connections.free.len() == connections.slots.len()
    }

    fn each(&self, action: impl Fn(&ConnectionState)) {
        for connection in self.connections.borrow().slots.iter().flatten() {
            action(connection);
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// When `limit` from now is over: one tick later than the clock says, which may be one tick behind.
    pub(super) fn deadline_ms(&self, limit: Duration) -> u64 {
        self.now_ms.get().saturating_add((TICK + limit).as_millis() as u64)
    }

    /// Puts a connection on the list for as long as the returned value lives.
    pub(super) fn register(self: &Rc<Self>, connection: Rc<ConnectionState>) -> Registered {
        let mut connections = self.connections.borrow_mut();
        let slot = connections.free.pop().unwrap_or_else(|| {
            connections.slots.push(None);
            connections.slots.len() - 1
        });
        connections.slots[slot] = Some(connection);
        self.counts.accepted.add(1);
        Registered { thread: Rc::clone(self), slot }
    }
}

/// A connection's place on its thread's list.
pub(super) struct Registered {
    thread: Rc<ListenerThread>,
    slot: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut connections = self.thread.connections.borrow_mut();
        connections.slots[self.slot] = None;
        connections.free.push(self.slot);
        self.thread.counts.closed.add(1);
    }
}
