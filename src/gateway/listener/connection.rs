//! What the conversation on one connection, the handler of its requests and the clock share.
//!
//! All of it lives on one thread, so it is cells.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::Waker,
};

use super::{
    body::BodyState,
    counts::Deadline,
    thread::{ListenerThread, Stage},
    violation::Violation,
};

/// What a connection's reading deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// PROXY protocol line and head: from accept, or from the first byte of a later head.
    Head,
    /// Waiting for more of a body.
    Body,
    /// Between requests.
    Idle,
    /// The gateway is at work: no deadline of the listener's.
    Serving,
    /// The gateway is at work for a client that has finished sending.
    HalfClosed,
    /// Everything is said; reading on so that the client can read our last answer.
    Linger,
}

/// One open connection, as seen from everywhere on its thread.
#[derive(Debug)]
pub struct ConnectionState {
    pub(super) thread: Rc<ListenerThread>,
    peer: SocketAddr,
    pub(super) proxied: Cell<Option<SocketAddr>>,
    /// Requests so far, the current one included.
    requests: Cell<u32>,
    /// The body of the current request.
    pub(super) body: BodyState,
    phase: Cell<Phase>,
    deadline_ms: Cell<u64>,
    write_deadline_ms: Cell<u64>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// No deadline.
const NEVER: u64 = u64::MAX;

impl ConnectionState {
    pub(super) fn new(thread: Rc<ListenerThread>, peer: SocketAddr) -> Self {
        let deadline_ms = thread.deadline_ms(thread.settings().deadlines.head);
        Self {
            thread,
            peer: super::proxy_protocol::canonical(peer),
            proxied: Cell::new(None),
            requests: Cell::new(0),
            body: BodyState::default(),
            phase: Cell::new(Phase::Head),
            deadline_ms: Cell::new(deadline_ms),
            write_deadline_ms: Cell::new(NEVER),
            cut: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn has_had_a_request(&self) -> bool {
        self.requests.get() > 0
    }

    /// Takes up the next request, or what stands in the place of one.
    pub(super) fn begin(&self) -> u32 {
        self.thread.counts().requests.add(1);
        self.requests.set(self.requests.get().wrapping_add(1));
        self.enter(Phase::Serving);
        self.requests.get()
    }

    /// Counts a violation, which ends the connection.
    pub(super) fn refuse(&self, violation: Violation) {
        self.thread.counts().count_violation(violation);
    }

    /// Starts the deadline of `phase`, unless the connection is in it already.
    pub(super) fn enter(&self, phase: Phase) {
        if self.phase.get() == phase {
            return;
        }
        self.phase.set(phase);
        let limits = &self.thread.settings().deadlines;
        self.deadline_ms.set(match phase {
            Phase::Head => self.thread.deadline_ms(limits.head),
            Phase::Body => self.thread.deadline_ms(limits.body),
            Phase::Idle => self.thread.deadline_ms(limits.idle),
            Phase::Serving => NEVER,
            Phase::HalfClosed => self.thread.deadline_ms(limits.half_closed),
            Phase::Linger => self.thread.deadline_ms(limits.linger),
        });
    }

    /// Whether the deadline of the phase has passed.
    pub(super) fn is_late(&self) -> bool {
        self.deadline_ms.get() <= self.thread.now_ms()
    }

    /// The phase that the connection is in.
    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Starts the writing deadline, unless it runs already.
    pub(super) fn write_blocked(&self) {
        if self.write_deadline_ms.get() == NEVER {
            self.write_deadline_ms.set(self.thread.deadline_ms(self.thread.settings().deadlines.write));
        }
    }

    /// Notes that all that was to be written is with the kernel.
    pub(super) fn written(&self) {
        self.write_deadline_ms.set(NEVER);
    }

    /// Looks at the clock; wakes the connection where a deadline has passed.
    pub(super) fn tick(&self, now_ms: u64) {
        if self.write_deadline_ms.get() <= now_ms {
            self.cut(Deadline::Write);
        } else if self.deadline_ms.get() <= now_ms {
            self.wake();
        }
    }

    /// Ends the connection where it stands.
    pub(super) fn cut(&self, deadline: Deadline) {
        if !self.cut.replace(true) {
            self.thread.counts().count_deadline(deadline);
            self.wake();
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Remembers whom to wake.
    pub(super) fn attend(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        match &mut *slot {
            Some(known) => known.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// Where a request came from: its connection, and its number on it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'c> {
    pub(super) connection: &'c ConnectionState,
    pub(super) number: u32,
}

impl Origin<'_> {
    /// The other end of the socket; IPv4-mapped addresses are IPv4.
    pub fn peer(&self) -> SocketAddr {
        self.connection.peer()
    }

    /// The client that a trusted peer named in the PROXY protocol; `None` where there is no such line or it names none.
    pub fn proxied(&self) -> Option<SocketAddr> {
        self.connection.proxied.get()
    }

    /// How many requests this connection has brought, this one included.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether the listener is on its way out: this answer is the connection's last, or one of its last.
    pub fn is_stopping(&self) -> bool {
        self.connection.thread.stage() != Stage::Open
    }
}
