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

/// Bytes that the input buffer starts with and goes back to. A head and a small answer fit; of a large one the rest is
/// read directly to where it stays.
const INPUT_BYTES: usize = 8 * 1024;

/// Bytes of output that a buffer may keep between requests.
const OUTPUT_BYTES_KEPT: usize = 16 * 1024;

/// The memory of one exchange. The pool keeps them, not the connections: idle ones need none. Not `Debug`: keys and
/// sessions pass through.
#[derive(Default)]
pub(super) struct Buffers {
    /// The request, whole.
    pub(super) output: Vec<u8>,
    input: Vec<u8>,
}

impl Buffers {
    /// Empties them, and gives back what an unusual exchange made them grow to.
    pub(super) fn reset(&mut self) {
        self.output.clear();
        self.output.shrink_to(OUTPUT_BYTES_KEPT);
        self.input.clear();
        self.input.shrink_to(INPUT_BYTES);
    }
}

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

    /// Sends `buffers.output` and reads the answer.
    ///
    /// After an error, or if the future is dropped half-way, the connection must not be used again.
    pub(super) async fn exchange(
        &mut self,
        buffers: &mut Buffers,
        mut parser: AnswerParser,
        deadline: Instant,
    ) -> Result<(Answer, Afterwards), WireError> {
        self.alarm.set(deadline);
        let Buffers { output, input } = buffers;
        let stream = &mut self.stream;
        let written = self.alarm.bound(async {
            stream.write_all(output).await?;
            // TLS holds records back until it is told.
            stream.flush().await
        });
        match written.await {
            Err(_elapsed) => return Err(WireError::TimedOut(Phase::Write)),
            Ok(Err(_io)) => return Err(WireError::ClosedEarly),
            Ok(Ok(())) => {}
        }

        input.clear();
        // Of the input, what the parser has taken already.
        let mut taken = 0;
        while !parser.is_complete() {
            let read = if let Some(mut window) = parser.window() {
                self.alarm.bound(self.stream.read_buf(&mut window)).await
            } else {
                make_room(input, &mut taken);
                self.alarm.bound(self.stream.read_buf(input)).await
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
        let answer = parser.into_answer().ok_or(WireError::CutShort)?;
        Ok((answer, afterwards))
    }
}

/// Makes room behind what the parser could not take yet.
fn make_room(input: &mut Vec<u8>, taken: &mut usize) {
    if *taken > 0 {
        input.drain(..*taken);
        *taken = 0;
    }
    if input.capacity() < INPUT_BYTES {
        input.reserve_exact(INPUT_BYTES - input.len());
    } else if input.len() == input.capacity() {
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
