//! The guard around a client's socket: hyper reads through it and sees only what [`Framing`] let pass.
//!
//! A head that arrives in one read, as nearly all do, is looked at where it lies in hyper's buffer. Of a head that
//! arrives in pieces hyper gets nothing until it is whole. In place of a head that is refused hyper gets a harmless
//! stand-in, whose number the service knows: so the refusal takes the same path as every other answer, after those to
//! the requests before it. A violation in a body becomes a read error, which hyper hands to whoever reads that body.
//!
//! The guard also is where a connection's deadlines take effect, since each of them ends a wait for the client.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connection::{ConnectionState, Phase},
    counts::Deadline,
    framing::{Framing, Position, Refused, Vetted},
    proxy_protocol::{Preface, read_preface},
    thread::Stage,
    violation::Violation,
};

/// What hyper reads in place of a refused head.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// How much is read and thrown away after the last answer, so that a client that is still sending can read it.
const LINGER_BYTES_MAX: usize = 512 << 10;

/// Whether and how reading has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// Nothing more is read: the client has finished, was refused, or may not go on.
    Ended,
    /// A body has a violation; its reader is to know.
    Broken,
}

/// A client's stream, as hyper may see it.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    state: Rc<ConnectionState>,
    framing: Framing,
    awaits_preface: bool,
    /// First `ready` bytes for hyper, then the beginning of a head. Empty while heads arrive whole.
    held: Vec<u8>,
    ready: usize,
    reading: Reading,
    /// Whether the connection ends without an answer, so that nobody has to be waited for.
    silent: bool,
    shut_down: bool,
    lingered_bytes: usize,
}

impl<S> Guard<S> {
    pub(super) fn new(stream: S, state: Rc<ConnectionState>) -> Self {
        let settings = state.thread.settings();
        Self {
            framing: Framing::new(settings.framing),
            awaits_preface: settings.expects_preface(state.peer().ip()),
            stream,
            state,
            held: Vec::new(),
            ready: 0,
            reading: Reading::Open,
            silent: false,
            shut_down: false,
            lingered_bytes: 0,
        }
    }

    /// Gives hyper what is ready of the held bytes.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.held.drain(..length);
        self.ready -= length;
        if self.held.is_empty() {
            // Heads in pieces are rare: no connection keeps room for them.
            self.held = Vec::new();
        }
    }

    /// Looks at bytes that arrived in hyper's buffer after its first `before`, and leaves those that may pass.
    fn vet_in_place(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let vetted = self.framing.vet(&mut buf.filled_mut()[before..]);
        let passed = before + vetted.passed;
        if vetted.refused.is_none() && self.framing.position() == Position::Head {
            self.held.extend_from_slice(&buf.filled()[passed..]);
        }
        buf.set_filled(passed);
        self.note(vetted);
    }

    /// Looks at the held bytes.
    fn vet_held(&mut self) {
        if self.awaits_preface {
            match read_preface(&self.held) {
                Preface::More => return self.state.position.set(Position::Head),
                Preface::Whole(length, source) => {
                    self.held.drain(..length);
                    self.state.proxied.set(source);
                    self.state.position.set(Position::Boundary);
                    self.awaits_preface = false;
                }
                Preface::Refused(violation) => {
                    self.held.clear();
                    return self.refuse_head(violation);
                }
            }
        }
        let vetted = self.framing.vet(&mut self.held);
        self.ready = vetted.passed;
        if vetted.refused.is_some() || self.framing.position() != Position::Head {
            self.held.truncate(vetted.passed);
        }
        self.note(vetted);
    }

    /// Notes what was found among new bytes.
    fn note(&mut self, vetted: Vetted) {
        self.state.position.set(self.framing.position());
        self.state.pass_heads(vetted.heads);
        match vetted.refused {
            None if self.framing.position() == Position::End => self.reading = Reading::Ended,
            None => {}
            Some(Refused::Head(violation)) => self.refuse_head(violation),
            Some(Refused::Body(violation)) => self.refuse_body(violation),
        }
    }

    /// Puts the stand-in in the place of a refused head, after what is ready.
    fn refuse_head(&mut self, violation: Violation) {
        self.held.truncate(self.ready);
        self.held.extend_from_slice(STAND_IN);
        self.ready = self.held.len();
        self.reading = Reading::Ended;
        self.state.position.set(Position::End);
        self.state.refuse_head(violation);
    }

    fn refuse_body(&mut self, violation: Violation) {
        self.reading = Reading::Broken;
        self.state.position.set(Position::End);
        self.state.refuse_body(violation);
    }

    /// The client has finished sending.
    fn finish(&mut self) {
        self.state.peer_finished.set(true);
        match self.state.position.get() {
            Position::Body => self.refuse_body(Violation::BodyCut),
            Position::Head => self.refuse_head(Violation::HeadCut),
            Position::Boundary | Position::End => self.reading = Reading::Ended,
        }
    }

    /// There is nothing to read now: starts the deadline that fits, or acts on the one that has passed.
    fn wait(&mut self) {
        self.state.settle();
        let counts = self.state.thread.counts();
        match self.state.expired() {
            Some(Phase::Head) if self.state.position.get() == Position::Head => {
                counts.count_deadline(Deadline::Head);
                self.refuse_head(Violation::HeadTimeout);
            }
            Some(Phase::Head) => {
                counts.count_deadline(Deadline::Silent);
                self.end_silently();
            }
            Some(Phase::Body) => {
                counts.count_deadline(Deadline::Body);
                self.refuse_body(Violation::BodyTimeout);
            }
            Some(Phase::Idle) => {
                counts.count_deadline(Deadline::Idle);
                self.end_silently();
            }
            Some(Phase::Serving | Phase::HalfClosed | Phase::Linger) | None => {
                let idle = !self.state.is_busy() && self.state.position.get() == Position::Boundary;
                if idle && self.state.thread.stage() == Stage::Closing {
                    self.end_silently();
                }
            }
        }
    }

    fn end_silently(&mut self) {
        self.silent = true;
        self.reading = Reading::Ended;
    }

    /// What hyper reads when nothing more is read from the client.
    fn poll_ended(&self) -> Poll<io::Result<()>> {
        // hyper takes an end of input while it serves or writes for a client that hung up, and drops everything. Whoever
        // was refused or has half-closed still waits for answers, so the end is kept from hyper until they are written.
        if !self.state.is_busy() {
            return Poll::Ready(Ok(()));
        }
        if self.state.peer_finished.get() && self.state.is_unanswered() {
            self.state.enter(Phase::HalfClosed);
            if self.state.expired() == Some(Phase::HalfClosed) {
                self.state.thread.counts().count_deadline(Deadline::HalfClosed);
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            match this.reading {
                Reading::Open => {}
                Reading::Ended => return this.poll_ended(),
                Reading::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    this.wait();
                    if this.reading == Reading::Open {
                        return Poll::Pending;
                    }
                    continue;
                }
            }
            let arrived = buf.filled().len() - before;
            if arrived == 0 {
                this.finish();
                continue;
            }
            this.state.thread.counts().bytes_in.add(arrived as u64);
            if this.held.is_empty() && !this.awaits_preface {
                this.vet_in_place(buf, before);
                if buf.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend_from_slice(&buf.filled()[before..]);
                buf.set_filled(before);
                this.vet_held();
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// After a write: counts it, or starts the deadline for the client to take it.
    fn note_write(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(length)) => self.state.thread.counts().bytes_out.add(length as u64),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.state.write_blocked(),
        }
        written
    }

    /// Reads on and throws away until the client has finished, or has had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.enter(Phase::Linger);
        let mut space = [0; 2048];
        while self.lingered_bytes < LINGER_BYTES_MAX {
            let mut rubbish = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut rubbish) {
                Poll::Ready(Ok(())) if !rubbish.filled().is_empty() => {
                    self.lingered_bytes += rubbish.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending if self.state.expired().is_some() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_write(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes whenever it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.state.written();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut_down {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.shut_down = true;
        }
        if !this.silent && !this.state.peer_finished.get() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
