//! The two directions of one connection: hearing a request, watching the client while it is answered, saying the answer.
//!
//! Each wait for the client ends with a deadline. The client's end is seen while its request is at work, so that nobody
//! signs for somebody who has hung up.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connection::{ConnectionState, Phase},
    counts::Deadline,
    framing::{Framing, Position, RequestHead},
    inbound::Inbound,
    outbound::Outbound,
    proxy_protocol::{Preface, read_preface},
    thread::Stage,
    violation::Violation,
};
use crate::base::turn::after_the_others;
use crate::dialect::head::Answer;

/// How much of the requests after the current one is read before their turn.
const AHEAD_BYTES_MAX: usize = 16 << 10;
/// How much is read and thrown away after the last answer, so that a client that is still sending can read it.
const LINGER_BYTES_MAX: usize = 512 << 10;
/// What a client waits for that does not send its body at once (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What came of waiting for a request.
pub(super) enum Heard {
    /// A head of so many bytes is at the front.
    Head(usize),
    /// There is none, and the client is told why.
    Refused(Violation),
    /// There will be none.
    Over(Parting),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// With an answer, which the client must be able to read.
    Answered,
    /// Without a word.
    Silent,
    /// The client is gone.
    Lost,
}

/// What the client did while its request was at work.
enum Watched {
    /// The handler may look at the body again.
    BodyMoved,
    /// It hung up.
    Gone,
}

/// A client's stream, and how far we are in it.
pub(super) struct Conversation<'c, S> {
    stream: S,
    state: &'c ConnectionState,
    framing: Framing,
    awaits_preface: bool,
    inbound: Inbound,
    /// Whether the client has finished sending.
    peer_finished: bool,
    /// Whether a violation ends the connection with the next answer.
    refused: bool,
    /// What is left to be written of [`CONTINUE`], where the client waits for it.
    interim: &'static [u8],
}

impl<'c, S: AsyncRead + AsyncWrite + Unpin> Conversation<'c, S> {
    pub(super) fn new(stream: S, state: &'c ConnectionState) -> Self {
        let settings = state.thread.settings();
        Self {
            stream,
            framing: Framing::new(settings.framing),
            awaits_preface: settings.expects_preface(state.peer().ip()),
            state,
            inbound: Inbound::default(),
            peer_finished: false,
            refused: false,
            interim: b"",
        }
    }

    /// Waits for the next request.
    pub(super) async fn hear(&mut self) -> Heard {
        poll_fn(|cx| self.poll_hear(cx)).await
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            match self.look() {
                Ok(Some(head_bytes)) => return Poll::Ready(Heard::Head(head_bytes)),
                Ok(None) if self.peer_finished && self.inbound.is_empty() => {
                    return Poll::Ready(Heard::Over(Parting::Answered));
                }
                Ok(None) if self.peer_finished => return Poll::Ready(self.refuse(Violation::HeadCut)),
                Ok(None) => {}
                Err(violation) => return Poll::Ready(self.refuse(violation)),
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Heard::Over(Parting::Lost)),
                Poll::Pending => return self.wait_for_head().map_or(Poll::Pending, Poll::Ready),
            }
        }
    }

    /// Looks at what is there: the PROXY protocol's line first, where one is expected, then a head.
    fn look(&mut self) -> Result<Option<usize>, Violation> {
        if self.awaits_preface {
            match read_preface(self.inbound.bytes()) {
                Preface::More => return Ok(None),
                Preface::Whole(length, source) => {
                    self.inbound.advance(length);
                    self.state.proxied.set(source);
                    self.awaits_preface = false;
                }
                Preface::Refused(violation) => return Err(violation),
            }
        }
        self.inbound.look(&mut self.framing)
    }

    fn refuse(&mut self, violation: Violation) -> Heard {
        self.note_violation(violation);
        self.state.body.begin(false);
        Heard::Refused(violation)
    }

    fn note_violation(&mut self, violation: Violation) {
        self.refused = true;
        self.framing.end();
        self.inbound.clear();
        self.state.refuse(violation);
    }

    /// There is nothing to read now: starts the deadline that fits, or acts on the one that has passed.
    fn wait_for_head(&mut self) -> Option<Heard> {
        let (state, begun) = (self.state, !self.inbound.is_empty());
        state.enter(if begun || !state.has_had_a_request() { Phase::Head } else { Phase::Idle });
        let counts = state.thread.counts();
        if state.is_late() {
            if begun {
                counts.count_deadline(Deadline::Head);
                return Some(self.refuse(Violation::HeadTimeout));
            }
            let deadline = if state.phase() == Phase::Idle { Deadline::Idle } else { Deadline::Silent };
            counts.count_deadline(deadline);
            return Some(Heard::Over(Parting::Silent));
        }
        (!begun && state.thread.stage() == Stage::Closing).then_some(Heard::Over(Parting::Silent))
    }

    /// Parts the head at the front from what follows it.
    pub(super) fn take_head(&mut self, bytes: usize) -> Inbound {
        let mut head = std::mem::take(&mut self.inbound);
        if bytes < head.len() {
            self.inbound = self.state.thread.spare_inbound();
            head.split(bytes, &mut self.inbound);
        }
        let awaits_body = self.framing.position() == Position::Body;
        self.state.body.begin(awaits_body);
        // One that sends its body at once does not wait.
        let waits = awaits_body && head.head().expects_continue() && self.inbound.is_empty();
        self.interim = if waits { CONTINUE } else { b"" };
        head
    }

    /// Waits for `answering`, reading its body for it; `None` when the client hung up meanwhile.
    pub(super) async fn wait_for<F: Future>(&mut self, mut answering: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
                    return Poll::Ready(Some(answer));
                }
                match ready!(self.poll_watch(cx)) {
                    Watched::BodyMoved => {}
                    Watched::Gone => return Poll::Ready(None),
                }
            }
        })
        .await
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        if self.framing.position() == Position::Body {
            return if self.state.body.is_wanted() { self.poll_body(cx) } else { Poll::Pending };
        }
        loop {
            if self.peer_finished {
                // One that hung up and one that waits for its answer look alike.
                self.state.enter(Phase::HalfClosed);
                if !self.state.is_late() {
                    return Poll::Pending;
                }
                self.state.thread.counts().count_deadline(Deadline::HalfClosed);
                return Poll::Ready(Watched::Gone);
            }
            if self.inbound.len() >= AHEAD_BYTES_MAX {
                return Poll::Pending;
            }
            if ready!(self.poll_read(cx)).is_err() {
                return Poll::Ready(Watched::Gone);
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        let (state, body) = (self.state, &self.state.body);
        while !self.interim.is_empty() {
            match ready!(self.poll_write(cx, self.interim, b"")) {
                Ok(length) => self.interim = &self.interim[length..],
                Err(_) => return Poll::Ready(Watched::Gone),
            }
        }
        let violation = loop {
            match body.take(|data| self.framing.body(self.inbound.bytes(), data)) {
                Ok(taken) => self.inbound.advance(taken),
                Err(violation) => break violation,
            }
            if self.framing.position() != Position::Body {
                state.enter(Phase::Serving);
                body.end(Ok(()));
                return Poll::Ready(Watched::BodyMoved);
            }
            if self.peer_finished {
                break Violation::BodyCut;
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                // Nobody is left to be answered, but the record is to say why.
                Poll::Ready(Err(_)) => break Violation::BodyCut,
                Poll::Pending => {
                    state.enter(Phase::Body);
                    if !state.is_late() {
                        return Poll::Pending;
                    }
                    state.thread.counts().count_deadline(Deadline::Body);
                    break Violation::BodyTimeout;
                }
            }
        };
        self.note_violation(violation);
        state.enter(Phase::Serving);
        body.end(Err(violation));
        Poll::Ready(Watched::BodyMoved)
    }

    /// Whether the answer to `head`, which was a request if there is one, has to be the connection's last.
    pub(super) fn closes_after(&self, head: Option<RequestHead<'_>>) -> bool {
        self.refused
            || !head.is_some_and(|head| head.keeps_alive())
            // What is left of a body that nobody read would be taken for the next request.
            || matches!(self.framing.position(), Position::Body | Position::End)
            || (self.peer_finished && self.inbound.is_empty())
            || (self.state.thread.stage() != Stage::Open && !self.has_whole_head())
    }

    /// Whether a request waits that has come whole, as far as can be said without reading it.
    fn has_whole_head(&self) -> bool {
        self.inbound.bytes().windows(4).any(|four| four == b"\r\n\r\n")
    }

    /// Writes an answer.
    pub(super) async fn say(
        &mut self,
        answer: Answer,
        head: Option<RequestHead<'_>>,
        closes: bool,
    ) -> io::Result<()> {
        self.state.enter(Phase::Serving);
        let mut outbound = {
            let date = self.state.thread.date(answer.time);
            Outbound::new(answer, &date, head, closes)
        };
        // What came together is answered together.
        after_the_others().await;
        let written = poll_fn(|cx| {
            loop {
                let (text, body) = outbound.left();
                if text.is_empty() && body.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let length = ready!(self.poll_write(cx, text, body))?;
                outbound.advance(length);
            }
        })
        .await;
        self.state.written();
        written
    }

    /// Says goodbye. What a client is still sending is read and thrown away for a while: closing a socket with unread
    /// bytes resets it, and the reset would overtake our last answer.
    pub(super) async fn part(mut self, parting: Parting) {
        if parting == Parting::Lost {
            return;
        }
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await.ok();
        if parting == Parting::Answered && !self.peer_finished {
            self.state.enter(Phase::Linger);
            let mut left = LINGER_BYTES_MAX;
            poll_fn(|cx| self.poll_linger(cx, &mut left)).await;
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        let mut space = [0; 2048];
        while *left > 0 {
            let mut rubbish = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut rubbish) {
                Poll::Ready(Ok(())) if !rubbish.filled().is_empty() => {
                    *left = left.saturating_sub(rubbish.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending if self.state.is_late() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Reads what has arrived. Memory is taken only for the look, where nothing has.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.inbound.is_bare() {
            self.inbound = self.state.thread.spare_inbound();
        }
        let read = self.inbound.poll_read(&mut self.stream, cx);
        if self.inbound.is_empty() {
            self.state.thread.keep_inbound(std::mem::take(&mut self.inbound));
        }
        match ready!(read)? {
            0 => self.peer_finished = true,
            arrived => self.state.thread.counts().bytes_in.add(arrived as u64),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of `first`, or of both; counts it, or starts the deadline for the client to take it.
    fn poll_write(&mut self, cx: &mut Context<'_>, first: &[u8], then: &[u8]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match (first.is_empty(), then.is_empty()) {
            (_, true) => stream.poll_write(cx, first),
            (true, false) => stream.poll_write(cx, then),
            (false, false) => stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(then)]),
        };
        match written {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(length)) => self.state.thread.counts().bytes_out.add(length as u64),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.state.write_blocked(),
        }
        written
    }
}
