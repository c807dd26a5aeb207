//! What the guard, the service and the clock share about one connection.
//!
//! All of it lives on one thread, so it is cells. The guard counts the heads that it passes to hyper, the service the
//! requests that it receives from it: equal numbers mean the same request, which no client can forge, and which keeps
//! the answers to pipelined requests in their order.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::Waker,
};

use super::{
    counts::Deadline,
    framing::{Position, Refused},
    thread::{ListenerThread, Stage},
    violation::{Rejection, Violation},
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
    pub(super) position: Cell<Position>,
    /// Heads passed to hyper, the stand-in for a refused one included.
    heads: Cell<u32>,
    /// Requests that hyper gave to the service.
    begun: Cell<u32>,
    /// Requests that the service has answered.
    answered: Cell<u32>,
    /// Whether an answer was given that is not with the kernel yet.
    unwritten: Cell<bool>,
    /// The violation that ends this connection, and the number of the request that it belongs to.
    refused: Cell<Option<(u32, Refused)>>,
    /// Whether the client has finished sending.
    pub(super) peer_finished: Cell<bool>,
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
            position: Cell::new(Position::Boundary),
            heads: Cell::new(0),
            begun: Cell::new(0),
            answered: Cell::new(0),
            unwritten: Cell::new(false),
            refused: Cell::new(None),
            peer_finished: Cell::new(false),
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

    /// Whether hyper holds a request that is not answered yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answered.get() < self.heads.get()
    }

    /// Whether there is a request that is not answered yet, or an answer that is not written yet.
    pub(super) fn is_busy(&self) -> bool {
        self.is_unanswered() || self.unwritten.get()
    }

    pub(super) fn has_had_a_head(&self) -> bool {
        self.heads.get() > 0
    }

    /// Notes that the guard passed `heads` more of them.
    pub(super) fn pass_heads(&self, heads: u32) {
        if heads > 0 {
            self.heads.set(self.heads.get().wrapping_add(heads));
            self.enter(Phase::Serving);
        }
    }

    /// Notes the violation of a head, for which the guard passes a stand-in.
    pub(super) fn refuse_head(&self, violation: Violation) {
        self.pass_heads(1);
        self.refuse(Refused::Head(violation));
    }

    /// Notes a violation in the body of the last head passed.
    pub(super) fn refuse_body(&self, violation: Violation) {
        self.refuse(Refused::Body(violation));
    }

    fn refuse(&self, refused: Refused) {
        self.refused.set(Some((self.heads.get(), refused)));
        self.thread.counts().count_violation(refused.violation());
        self.enter(Phase::Serving);
    }

    /// The violation of the request of this number, if it has one.
    pub(super) fn refused(&self, number: u32) -> Option<Refused> {
        self.refused.get().filter(|&(refused, _)| refused == number).map(|(_, refused)| refused)
    }

    /// Gives the next request its number.
    pub(super) fn begin(&self) -> u32 {
        self.thread.counts().requests.add(1);
        self.begun.set(self.begun.get().wrapping_add(1));
        self.begun.get()
    }

    /// Notes that a request was answered; true when the answer has to be the connection's last.
    pub(super) fn answer(&self) -> bool {
        self.answered.set(self.answered.get().wrapping_add(1));
        self.unwritten.set(true);
        !self.is_unanswered()
            && (self.refused.get().is_some()
                || self.peer_finished.get()
                // What is left of a body that nobody read would be taken for the next request.
                || matches!(self.position.get(), Position::Body | Position::End)
                || self.thread.stage() != Stage::Open)
    }

    /// Starts the deadline for what the connection now waits for, if that is something new.
    pub(super) fn settle(&self) {
        self.enter(match (self.position.get(), self.is_busy()) {
            (Position::Body, _) => Phase::Body,
            (_, true) | (Position::End, _) => Phase::Serving,
            (Position::Boundary, false) if self.has_had_a_head() => Phase::Idle,
            (Position::Boundary | Position::Head, false) => Phase::Head,
        });
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

    /// The phase whose deadline has passed, if it has.
    pub(super) fn expired(&self) -> Option<Phase> {
        (self.deadline_ms.get() <= self.thread.now_ms()).then_some(self.phase.get())
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
        if self.unwritten.replace(false) {
            self.settle();
            if self.peer_finished.get() {
                // hyper now is to be told the end of input, and waits for a socket that nobody reads any more.
                self.wake();
            }
        }
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
#[derive(Clone, Debug)]
pub struct Origin {
    pub(super) connection: Rc<ConnectionState>,
    pub(super) number: u32,
}

impl Origin {
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

    /// Why the body of this request cannot be read to its end, once that is known.
    pub fn rejection(&self) -> Option<Rejection> {
        self.connection.refused(self.number).map(|refused| refused.violation().rejection())
    }
}
