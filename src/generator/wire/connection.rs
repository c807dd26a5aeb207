//! One connection: a request out in one write, an answer in, whole.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::answer::Answer;
use super::error::{Phase, WireError};
use super::parse::AnswerParser;
use crate::base::buffer::Buffer;

/// Whether another request may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It may, unless it idles for longer than this.
    Reuse {
        idle_hint: Option<Duration>,
    },
    Close,
}

/// A connection between two requests, or in one. Not `Debug`: a socket shows its addresses.
pub(super) struct Connection<S> {
    stream: S,
    alarm: Alarm,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, deadline: Instant) -> Self {
        Self { stream, alarm: Alarm::new(deadline) }
    }

    /// Whether nothing came while the connection was idle.
    ///
    /// A byte now would pass for the start of the next answer, and an end means that the generator has closed. One poll,
    /// which asks the system only if the runtime was told of something to read.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let stream = &mut self.stream;
        let look = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte)));
        // Unconstrained, for a task that has used up its turn would be told "pending" whatever there is.
        let look = pin!(tokio::task::coop::unconstrained(look));
        look.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Sends `request`, whole, and reads the answer.
    ///
    /// After an error, or if the future is dropped half-way, the connection must not be used again.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        mut parser: AnswerParser,
        deadline: Instant,
    ) -> Result<(Answer, Afterwards), WireError> {
        self.alarm.set(deadline);
        let stream = &mut self.stream;
        let written = self.alarm.bound(async {
            stream.write_all(request).await?;
            // TLS holds records back until it is told.
            stream.flush().await
        });
        match written.await {
            Err(_elapsed) => return Err(WireError::TimedOut(Phase::Write)),
            Ok(Err(_io)) => return Err(WireError::ClosedEarly),
            Ok(Ok(())) => {}
        }

        // An answer that comes whole stays in it; of a large one the rest is read directly to where it stays.
        let mut input = Buffer::new();
        // Of the input, what the parser has taken already.
        let mut taken = 0;
        while !parser.is_complete() {
            let read = if let Some(mut window) = parser.window() {
                self.alarm.bound(self.stream.read_buf(&mut window)).await
            } else {
                make_room(&mut input, &mut taken);
                self.alarm.bound(self.stream.read_buf(&mut *input)).await
            };
            match read {
                Err(_elapsed) => {
                    let phase = if parser.awaits_head() { Phase::Head } else { Phase::Body };
                    return Err(WireError::TimedOut(phase));
                }
                Ok(Ok(0)) => parser.end(&input[taken..])?,
                Ok(Ok(_)) => {
                    parser.window_filled();
                    taken += parser.feed(&input[taken..])?;
                }
                Ok(Err(_io)) => return Err(broken(&parser, &input[taken..])),
            }
        }
        let surplus = taken < input.len();
        let afterwards = if parser.keeps_alive() && !surplus {
            Afterwards::Reuse { idle_hint: parser.idle_hint() }
        } else {
            Afterwards::Close
        };
        // The loop ends with a complete answer only.
        let answer = parser.into_answer_in(|| input).ok_or(WireError::CutShort)?;
        Ok((answer, afterwards))
    }
}

/// Makes room behind what the parser could not take yet.
fn make_room(input: &mut Vec<u8>, taken: &mut usize) {
    if *taken > 0 {
        input.drain(..*taken);
        *taken = 0;
    }
    if input.len() == input.capacity() {
        // Bounded by the limits of a head and of trailers, beyond which the parser refuses.
        input.reserve(input.len());
    }
}

/// A reset, or a TLS stream that ends without saying so. Never the proper end of anything.
fn broken(parser: &AnswerParser, rest: &[u8]) -> WireError {
    if parser.is_untouched() && rest.is_empty() { WireError::ClosedEarly } else { WireError::CutShort }
}

#[cfg(test)]
mod tests;
