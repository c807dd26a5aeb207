//! The answer parser: no I/O, no clock; fed with bytes, it says when the answer is complete or why it never will be.
//!
//! A line of states, each of which takes whole elements (a head, a chunk's line, data) from the front of what it is
//! given and leaves the rest with the caller. A verdict never depends on how the bytes were split.

use std::fmt;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::StatusCode;

use super::answer::{Answer, Span, WANTED_MAX, Wanted};
use super::chunk::{book_extension, read_chunk_line, read_trailers};
use super::error::{Malformed, TooLarge, WireError};
use super::head::{Framing, Head, HeadRead, may_have_ended, read_head};
use super::request::Method;
use crate::base::buffer::Buffer;

/// How much a generator may say. Everything is bounded; a body's bytes are held in memory until it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one head, the empty line included. At most 4 GiB.
    pub head_bytes_max: usize,
    /// Headers in one head, at most [`HEADERS_MAX`](super::HEADERS_MAX).
    pub headers_max: usize,
    /// Bytes of the body, chunking undone.
    pub body_bytes_max: usize,
    /// 1xx answers before the answer itself.
    pub interims_max: u8,
    /// Bytes of the trailers, the empty line included.
    pub trailer_bytes_max: usize,
    /// Bytes of all chunk extensions of a body together; one line has 256 bytes at most besides.
    pub extension_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 * 1024,
            headers_max: 100,
            body_bytes_max: 1024 * 1024,
            interims_max: 8,
            trailer_bytes_max: 8 * 1024,
            extension_bytes_max: 4 * 1024,
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A head, of which so many bytes were looked at in vain.
    Head {
        scanned: usize,
    },
    /// Body bytes until the store is this long.
    Length {
        end: usize,
    },
    ChunkLine,
    ChunkData {
        left: usize,
    },
    /// The CR LF after a chunk's data.
    ChunkEnd,
    /// Trailers, of which so many bytes were looked at in vain.
    Trailers {
        scanned: usize,
    },
    /// Body bytes until the connection closes.
    ToClose,
    Done,
}

/// Reads one answer to one request.
///
/// Feed it until [`Self::is_complete`], tell it when the connection closed ([`Self::end`]), and take the answer. After an
/// error it is spent: the connection must be closed.
pub struct AnswerParser {
    method: Method,
    wanted: Wanted,
    limits: Limits,
    state: State,
    interims: u8,
    extension_bytes: usize,
    status: StatusCode,
    keep_alive: bool,
    idle_hint: Option<Duration>,
    spans: [Span; WANTED_MAX],
    /// The wanted headers' values, then the body; empty where all of them lie where they were read to.
    store: Vec<u8>,
    body_start: usize,
    /// Whether the caller gives away what it has read with [`Self::into_answer_in`].
    may_stay: bool,
    /// Whether the whole answer lies where it was read to, and is to stay there.
    stays: bool,
}

/// Where it stands, never what it has read.
impl fmt::Debug for AnswerParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerParser")
            .field("method", &self.method)
            .field("state", &self.state)
            .field("stored_bytes", &self.store.len())
            .finish_non_exhaustive()
    }
}

impl AnswerParser {
    /// A parser for the answer to a request with this method; keeps the headers in `wanted`.
    pub fn new(method: Method, wanted: Wanted, limits: Limits) -> Self {
        Self {
            method,
            wanted,
            limits,
            state: State::Head { scanned: 0 },
            interims: 0,
            extension_bytes: 0,
            status: StatusCode::OK,
            keep_alive: false,
            idle_hint: None,
            spans: [Span::ABSENT; WANTED_MAX],
            store: Vec::new(),
            body_start: 0,
            may_stay: false,
            stays: false,
        }
    }

    /// The same for a caller that gives away what it has read, all in one piece from the answer's first byte. An answer that came
    /// whole is not copied then.
    pub(super) fn staying(mut self) -> Self {
        self.may_stay = true;
        self
    }

    /// Takes what it can from the front of `input` and says how many bytes that were.
    ///
    /// What is left is either the start of an element whose end is missing (to be fed again with more behind it) or,
    /// if the answer [is complete](Self::is_complete), surplus.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        let mut taken = 0;
        while let Some(len) = self.step(&input[taken..])? {
            taken += len;
        }
        Ok(taken)
    }

    /// Takes one element; `None` if there is none, or not all of it yet.
    fn step(&mut self, input: &[u8]) -> Result<Option<usize>, WireError> {
        if input.is_empty() {
            return Ok(None);
        }
        match self.state {
            State::Head { scanned } => {
                let taken = self.take_head(input, scanned, false)?;
                if taken.is_none() {
                    self.state = State::Head { scanned: input.len() };
                }
                Ok(taken)
            }
            State::Length { end } => {
                let len = input.len().min(end - self.store.len());
                self.store.extend_from_slice(&input[..len]);
                self.window_filled();
                Ok(Some(len))
            }
            State::ChunkLine => {
                let Some(line) = read_chunk_line(input)? else { return Ok(None) };
                book_extension(&mut self.extension_bytes, line, &self.limits)?;
                let room = self.limits.body_bytes_max - self.body_len();
                let size = match usize::try_from(line.size) {
                    Ok(size) if size <= room => size,
                    _ => return Err(WireError::TooLarge(TooLarge::Body)),
                };
                if size == 0 {
                    self.state = State::Trailers { scanned: 0 };
                } else {
                    // Most chunked answers are one chunk, which so gets exactly what it needs.
                    if self.body_len() == 0 {
                        self.store.reserve_exact(size);
                    } else {
                        self.store.reserve(size);
                    }
                    self.state = State::ChunkData { left: size };
                }
                Ok(Some(line.len))
            }
            State::ChunkData { left } => {
                let len = input.len().min(left);
                self.store.extend_from_slice(&input[..len]);
                self.state =
                    if len == left { State::ChunkEnd } else { State::ChunkData { left: left - len } };
                Ok(Some(len))
            }
            State::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkLine;
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(WireError::Malformed(Malformed::ChunkEnd)),
            },
            State::Trailers { scanned } => {
                let taken = self.take_trailers(input, scanned, false)?;
                if taken.is_none() {
                    self.state = State::Trailers { scanned: input.len() };
                }
                Ok(taken)
            }
            State::ToClose => {
                if input.len() > self.limits.body_bytes_max - self.body_len() {
                    return Err(WireError::TooLarge(TooLarge::Body));
                }
                self.store.extend_from_slice(input);
                Ok(Some(input.len()))
            }
            State::Done => Ok(None),
        }
    }

    /// A head, if it is whole. Tried at once, then when an end may have come, at the limit, and when `last`.
    fn take_head(&mut self, input: &[u8], scanned: usize, last: bool) -> Result<Option<usize>, WireError> {
        let full = input.len() >= self.limits.head_bytes_max;
        if scanned > 0 && !full && !last && !may_have_ended(input, scanned) {
            return Ok(None);
        }
        let window = &input[..input.len().min(self.limits.head_bytes_max)];
        match read_head(window, self.method, &self.wanted, &self.limits)? {
            HeadRead::Partial if full => Err(WireError::TooLarge(TooLarge::Head)),
            HeadRead::Partial => Ok(None),
            HeadRead::Interim { len } => {
                if self.interims >= self.limits.interims_max {
                    return Err(WireError::TooLarge(TooLarge::Interims));
                }
                self.interims += 1;
                self.state = State::Head { scanned: 0 };
                Ok(Some(len))
            }
            HeadRead::Final(head) => {
                let whole =
                    matches!(head.framing, Framing::Length(length) if head.len + length == input.len());
                if whole && self.may_stay && self.interims == 0 {
                    self.leave(&head, input);
                    return Ok(Some(input.len()));
                }
                self.keep(&head);
                Ok(Some(head.len))
            }
        }
    }

    /// Takes note of an answer that is whole, head and body, and stays where it is.
    fn leave(&mut self, head: &Head<'_>, input: &[u8]) {
        (self.status, self.keep_alive, self.idle_hint) = (head.status, head.keep_alive, head.idle_hint);
        for (span, value) in self.spans.iter_mut().zip(&head.values) {
            if let Some(value) = value {
                let start = (value.as_ptr().addr() - input.as_ptr().addr()) as u32;
                *span = Span { start, end: start + value.len() as u32 };
            }
        }
        self.body_start = head.len;
        (self.stays, self.state) = (true, State::Done);
    }

    /// Keeps what the answer needs of its head, in a store with room for the body where its length is known.
    fn keep(&mut self, head: &Head<'_>) {
        self.status = head.status;
        self.keep_alive = head.keep_alive;
        self.idle_hint = head.idle_hint;
        self.body_start = head.values.iter().flatten().map(|value| value.len()).sum();
        let body_len = if let Framing::Length(length) = head.framing { length } else { 0 };
        self.store.reserve_exact(self.body_start + body_len);
        for (span, value) in self.spans.iter_mut().zip(&head.values) {
            if let Some(value) = value {
                let start = self.store.len() as u32;
                self.store.extend_from_slice(value);
                *span = Span { start, end: self.store.len() as u32 };
            }
        }
        self.state = match head.framing {
            Framing::Empty => State::Done,
            Framing::Length(length) => State::Length { end: self.body_start + length },
            Framing::Chunked => State::ChunkLine,
            Framing::ToClose => State::ToClose,
        };
    }

    /// The trailers, if they are whole; usually the empty line alone.
    fn take_trailers(
        &mut self,
        input: &[u8],
        scanned: usize,
        last: bool,
    ) -> Result<Option<usize>, WireError> {
        let full = input.len() >= self.limits.trailer_bytes_max;
        if scanned > 0 && !full && !last && !input.starts_with(b"\r\n") && !may_have_ended(input, scanned) {
            return Ok(None);
        }
        match read_trailers(&input[..input.len().min(self.limits.trailer_bytes_max)])? {
            Some(len) => {
                self.state = State::Done;
                Ok(Some(len))
            }
            None if full => Err(WireError::TooLarge(TooLarge::Trailers)),
            None => Ok(None),
        }
    }

    /// The connection closed; `rest` is what [`Self::feed`] left.
    ///
    /// Completes an answer that is delimited by the close. Otherwise says what is wrong with an answer that ends here.
    pub fn end(&mut self, rest: &[u8]) -> Result<(), WireError> {
        match self.state {
            State::Done => return Ok(()),
            State::ToClose => {
                self.state = State::Done;
                return Ok(());
            }
            State::Head { .. } if rest.is_empty() && self.is_untouched() => {
                return Err(WireError::ClosedEarly);
            }
            // What was left unparsed for want of an end may be wrong before it.
            State::Head { scanned } => drop(self.take_head(rest, scanned, true)?),
            State::Trailers { scanned } => drop(self.take_trailers(rest, scanned, true)?),
            State::Length { .. } | State::ChunkLine | State::ChunkData { .. } | State::ChunkEnd => {}
        }
        Err(WireError::CutShort)
    }

    /// Where the caller may read the body's remaining bytes to directly, if their number is known: this spares a copy.
    /// To be followed by [`Self::window_filled`].
    pub(super) fn window(&mut self) -> Option<impl BufMut> {
        let State::Length { end } = self.state else { return None };
        let left = end - self.store.len();
        Some((&mut self.store).limit(left))
    }

    /// Takes note of what was read to the [`Self::window`].
    pub(super) fn window_filled(&mut self) {
        if self.state == (State::Length { end: self.store.len() }) {
            self.state = State::Done;
        }
    }

    /// Whether the answer is all there.
    pub fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the answer's head is still to come.
    pub fn awaits_head(&self) -> bool {
        matches!(self.state, State::Head { .. })
    }

    /// Whether no element was taken yet: what came so far, if anything, is the start of a head.
    pub(super) fn is_untouched(&self) -> bool {
        self.awaits_head() && self.interims == 0
    }

    /// Whether the generator lets another request follow on this connection. False until the answer is complete.
    pub fn keeps_alive(&self) -> bool {
        self.keep_alive && self.is_complete()
    }

    /// For how long the generator says that it keeps the connection when idle; at most an hour.
    pub fn idle_hint(&self) -> Option<Duration> {
        self.idle_hint
    }

    /// The answer, if it is complete.
    pub fn into_answer(self) -> Option<Answer> {
        self.into_answer_in(Buffer::new)
    }

    /// The same for whoever asked that it [stay](Self::staying) where it was read to: in `input`.
    pub(super) fn into_answer_in(self, input: impl FnOnce() -> Buffer) -> Option<Answer> {
        self.is_complete().then(|| Answer {
            status: self.status,
            wanted: self.wanted,
            spans: self.spans,
            bytes: if self.stays { Bytes::from_owner(input()) } else { self.store.into() },
            body_start: self.body_start,
        })
    }

    fn body_len(&self) -> usize {
        self.store.len() - self.body_start
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
